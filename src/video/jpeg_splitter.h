// SPDX-License-Identifier: MIT
// Where does one JPEG of a stream end and the next begin?
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mien::video {

// Finds whole JPEGs in a stream of bytes by their markers, not by searching for FF D9, which
// thumbnails contain, too.
class JpegSplitter {
public:
    // Largest image; a longer one is skipped and counted as damage.
    static constexpr std::size_t max_picture_bytes = std::size_t{1} << 26;

    void add(std::span<const std::uint8_t> bytes);
    // The next whole image, valid until the next call of add() or next(); empty: more bytes are
    // needed.
    std::span<const std::uint8_t> next();
    [[nodiscard]] std::uint64_t skipped_bytes() const { return skipped_; }
    [[nodiscard]] std::size_t buffered_bytes() const { return buffer_.size() - begin_; }

private:
    enum class State { start, marker, segment, scan, whole };

    [[nodiscard]] bool has(std::size_t bytes) const { return at_ + bytes <= buffer_.size(); }
    void give_up();  // no image begins where it seemed to
    // Each looks on from at_; false: more bytes are needed.
    bool step();
    bool find_start();
    bool read_marker();
    bool skip_segment();
    bool skip_scan();

    std::vector<std::uint8_t> buffer_;
    std::size_t begin_ = 0;  // of the image being looked at
    std::size_t at_ = 0;     // looked at up to here
    State state_ = State::start;
    std::uint64_t skipped_ = 0;
};

}  // namespace mien::video
