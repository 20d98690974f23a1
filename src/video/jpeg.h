// SPDX-License-Identifier: MIT
// How does a JPEG of a camera become pixels, and pixels a JPEG? By libjpeg-turbo where the build
// has it, else by the decoder of picture files. A camera's JPEG may lack its Huffman tables (then
// the standard's are meant) and may have bytes behind its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "host/files/result.h"
#include "mien/mien.hpp"

namespace mien::video {

bool has_turbojpeg();

enum class JpegPixels { gray, ycbcr, rgb };

struct JpegPicture {
    // packed; kept from call to call, so that a stream allocates once
    std::vector<std::uint8_t> pixels;
    int width = 0, height = 0;
    JpegPixels kind = JpegPixels::gray;  // without libjpeg-turbo always rgb
};

// `scale` is 1, 2, 4 or 8: decodes at that fraction of the size, which is cheaper. Fails on damaged
// or cut pictures.
host::Result<> decode_jpeg(std::span<const std::uint8_t> bytes, JpegPixels wanted, int scale,
                           JpegPicture& out);

host::Result<> encode_jpeg(const std::uint8_t* rgb, int width, int height, std::size_t stride,
                           int quality, std::vector<std::uint8_t>& out);

// The same picture with the standard's Huffman tables, if it has none; else an empty vector.
std::vector<std::uint8_t> with_huffman_tables(std::span<const std::uint8_t> bytes);

// Finds whole JPEGs in a stream of bytes by their markers, not by searching for FF D9, which
// thumbnails contain too.
class JpegSplitter {
public:
    // Largest picture; a longer one is skipped and counted as damage.
    static constexpr std::size_t max_picture_bytes = std::size_t{1} << 26;

    void add(std::span<const std::uint8_t> bytes);
    // The next whole picture, valid until the next call of add() or next(); empty: more bytes are
    // needed.
    std::span<const std::uint8_t> next();
    [[nodiscard]] std::uint64_t skipped_bytes() const { return skipped_; }
    [[nodiscard]] std::size_t buffered_bytes() const { return buffer_.size() - begin_; }

private:
    enum class State { start, marker, segment, scan };
    std::vector<std::uint8_t> buffer_;
    std::size_t begin_ = 0;  // of the picture being looked at
    std::size_t at_ = 0;     // looked at up to here
    State state_ = State::start;
    std::uint64_t skipped_ = 0;
};

}  // namespace mien::video
