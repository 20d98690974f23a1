// SPDX-License-Identifier: MIT
// JPEG to pixels and back, for photos and for the frames of cameras alike. The build chooses one of
// two implementations: jpeg_turbo.cpp (libjpeg-turbo) or, where that library is missing,
// jpeg_stb.cpp (stb_image), which is several times slower and whose pixels differ by a level or two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "host/codec/image.h"
#include "host/codec/image_header.h"
#include "host/files/file_io.h"
#include "host/files/result.h"
#include "mien/mien.hpp"

namespace mien::host {

// "libjpeg-turbo 2.1.5", "stb_image".
const char* jpeg_library();

// How its data is coded, always with 8 bits a channel.
enum class JpegKind { huffman, arithmetic };
bool jpeg_is_read(JpegKind kind);

// How the pixels of a JPEG are wanted. rgb is kept to; the others name what may be left undone:
// with `gray` and `ycbcr`, a gray JPEG gives gray, and one that stores RGB or CMYK gives rgb.
// stb_image always gives rgb.
enum class JpegPixels { gray, ycbcr, rgb };

struct JpegRequest {
    JpegPixels pixels = JpegPixels::rgb;
    int scale = 1;  // 1, 2, 4 or 8: decodes at that fraction of the size, which is cheaper
    ImageLimits limits = {};  // of width and height; checked before memory is taken
};

// Packed, 1 byte per pixel for gray, 3 otherwise. The memory is kept from call to call, so that a
// stream allocates once.
struct JpegPicture {
    PixelBuffer pixels;
    std::size_t capacity = 0;
    int width = 0, height = 0;
    JpegPixels kind = JpegPixels::rgb;
    // Not empty: part of the data was missing or wrong, and the decoder guessed pixels.
    std::string damage;
    // Not empty: bytes of a scan that no pixel needed, or no end mark though no pixel is missing.
    // Cameras pad; in a photo it is a sign that the data is out of step.
    std::string leftover;

    std::size_t bytes() const {
        return static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
               (kind == JpegPixels::gray ? 1 : 3);
    }
};

inline constexpr const char* no_end_mark = "no end mark";

// The same pixels as Pillow and OpenCV where these use libjpeg-turbo, too. A camera's JPEG may lack
// its Huffman tables (then the standard's are meant) and may have bytes behind its end. A
// damaged one is decoded as far as it goes, by libjpeg-turbo with what follows the next restart mark;
// stb_image cannot find its way back, and fails then. Fails on sizes over the limits, too.
Result<> decode_jpeg(std::span<const std::uint8_t> bytes, const JpegRequest& request,
                     JpegPicture& out);

// A JPEG of which rows are decoded when they are wanted, so that rows above and below cost little:
// those above are read without making pixels of them, those below are not read at all. stb_image
// decodes all of them at once.
class JpegRows {
public:
    JpegRows();
    ~JpegRows();
    JpegRows(const JpegRows&) = delete;
    JpegRows& operator=(const JpegRows&) = delete;

    // Reads the header: `out` has its size, kind and room, and no row of it is decoded. `bytes` and
    // `out` stay as they are until the last read().
    Result<> begin(std::span<const std::uint8_t> bytes, const JpegRequest& request,
                   JpegPicture& out);
    // Decodes rows `first` to `last` - 1 of the picture, which lie inside of it, beside those
    // decoded so far, with the pixels that decode_jpeg() gives them. Rows above the first one so far
    // make it begin anew. out.damage and out.leftover are of what was read.
    Result<> read(int first, int last);
    [[nodiscard]] bool is_whole() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

struct JpegSettings {
    int quality = 92;        // 1..100
    bool full_color = true;  // colors at full resolution, which thin colored lines need
    bool fast = false;       // for streams: a little less exact
};

// `frame` is gray8 or rgb24, at most 65,535 pixels a side. `out` is replaced. stb_image heeds the
// quality alone.
Result<> encode_jpeg(const Frame& frame, const JpegSettings& settings, ByteVector& out);

}  // namespace mien::host
