// SPDX-License-Identifier: MIT
// Takes the bytes of one HTTP answer apart: its head, and the JPEGs in its body, whether they come as
// parts of multipart/x-mixed-replace, one after another, or alone. No sockets. In builds with
// Boost.Beast only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace mien::video {

struct HttpHead {
    int status = 0;
    std::string content_type;  // "image/jpeg", in small letters, without parameters
    std::string location;
    std::string authenticate;  // "basic", "digest": the scheme alone
};

class HttpReader {
public:
    HttpReader();
    ~HttpReader();

    // False: this is no HTTP, or more than is allowed; see error().
    bool add(std::span<const std::uint8_t> bytes);
    // The connection was closed. False: in the middle of the head or of a body whose end is known.
    bool close();
    [[nodiscard]] bool has_head() const;
    [[nodiscard]] bool is_done() const;  // the whole body is there
    // Once has_head().
    [[nodiscard]] const HttpHead& head() const { return head_; }
    // The next whole image, valid until the next call; empty: none yet. A boundary that cameras
    // announce often differs from the one that they send, so images are found by their markers.
    std::span<const std::uint8_t> next_picture();
    [[nodiscard]] const std::string& error() const { return error_; }

    static constexpr std::size_t max_head_bytes = 16384;
    // Of a body in which no image begins or ends.
    static constexpr std::size_t max_bytes_without_picture = std::size_t{1} << 26;

private:
    bool fail(std::string text);
    void read_head();

    struct Parser;
    std::unique_ptr<Parser> parser_;
    HttpHead head_;
    std::string error_;
};

}  // namespace mien::video
