// SPDX-License-Identifier: MIT
// The frames of an AVI file of motion JPEG, from a stream of its bytes: what --record and many
// cameras write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mien::video {

// Goes through the chunks in their order. Neither the index nor the sizes of lists are needed, so a
// recording that was killed, and one that is still being written, can be read.
class AviSplitter {
public:
    enum class Step { more, movie, frame, repeat, end, failed };

    void add(std::span<const std::uint8_t> bytes);
    // movie: the headers are read, frames follow. frame: `frame` is a JPEG, valid until the next call
    // of add() or next(). repeat: a frame that stays as it was before. more: bytes are needed.
    // failed: error() says why.
    Step next(std::span<const std::uint8_t>& frame);

    [[nodiscard]] double frame_rate() const { return frame_rate_; }  // 0: the file does not say
    // Bytes that have come and belong to no whole chunk.
    [[nodiscard]] std::size_t buffered_bytes() const { return buffer_.size() - at_; }
    [[nodiscard]] const std::string& error() const { return error_; }

private:
    [[nodiscard]] std::size_t have() const { return buffer_.size() - at_; }
    [[nodiscard]] std::uint32_t number(std::size_t offset) const;  // little-endian, 32 bits
    [[nodiscard]] bool is(std::size_t offset, const char* name) const;
    [[nodiscard]] bool is_frame() const;
    bool fail(std::string text);  // false
    // Each reads one whole chunk; false: it has not come, or error() says what is wrong with it.
    bool enter_list();
    bool read_header(std::uint32_t bytes);  // avih, strh, strf

    std::vector<std::uint8_t> buffer_;
    std::size_t at_ = 0;
    std::uint64_t skip_ = 0;  // bytes of a chunk that nobody reads
    bool started_ = false, in_movie_ = false;
    int streams_ = 0, video_ = -1;  // headers of streams so far; which of them has the frames
    double frame_rate_ = 0;
    std::string error_;
};

}  // namespace mien::video
