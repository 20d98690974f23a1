// SPDX-License-Identifier: MIT
// What kind of picture do these bytes hold, how large is it, which way up, and is all of it there?
// Answered from headers and structure alone, before any pixel is decoded; hostile input is
// expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/files/image_kinds.h"
#include "host/files/result.h"
#include "mien/mien.hpp"

namespace mien::host {

// The last three only in builds that found their libraries.
enum class ImageType { jpeg, png, bmp, gif, pnm, webp, tiff, heif };

// What this build reads, and with what: "WebP" and "libwebp 1.2.4"; "" where mien itself or stb_image
// does it.
struct ImageFormatInfo {
    std::string name;
    std::string library;
};
std::vector<ImageFormatInfo> image_formats();
// So that a process may give up opening files: loads the libraries of the formats that it then still
// reads, which are those of ImageLimits::strict_memory.
void load_image_libraries();
// Do the bytes begin as an image of a format that this build reads, or does one begin a little later?
bool begins_as_image(std::span<const std::uint8_t> bytes);

struct ImageLimits {
    // Decoders may take that much for each of max_pixels; images that need more for a pixel (16
    // bits a channel, GIF, CMYK) may have fewer of them.
    static constexpr int decode_bytes = 8;
    // 134 million: above any phone, 400 MB as RGB
    std::uint64_t max_pixels = std::uint64_t{1} << 27;
    int max_side = 1 << 15;  // of the engine's frames
    std::size_t max_file_bytes = std::size_t{1} << 28;
    // Refuses formats whose library may take more than that: HEIC and AVIF.
    bool strict_memory = false;
    Stop stop;  // asked by decoders that work row by row (libjpeg-turbo)
};

// Where the pixels of a file lie in its image.
struct FramePlace {
    int x = 0, y = 0, width = 0, height = 0;
};

struct ImageHeader {
    ImageType type = ImageType::jpeg;
    // Memory of its decoder at the peak, for each pixel of the image: 3 are the result.
    int decode_bytes = 3;
    int width = 0;  // as stored, before orientation
    int height = 0;
    int orientation = 1;          // EXIF: 1..8
    bool has_exif = false;        // an EXIF block was read
    bool cut = false;             // jpeg only: it ends without its mark
    std::size_t junk_bytes = 0;   // before the image, which begins behind them
    bool animated = false;        // more frames follow; only the first is decoded
    int frames = 1;               // tiff only: pages, 2 for several
    int channels = 0;             // pnm only: 1 or 3
    int max_value = 0;            // pnm only
    std::size_t data_offset = 0;  // pnm: first sample; webp: chunk of the pixels
    std::size_t data_bytes = 0;   // webp only
    FramePlace frame;             // webp only
};

// Fails on everything that decode_image() would not decode: other formats (named), cut or damaged
// structure, sizes over the limits. JPEGs may end too early once their data has begun.
Result<ImageHeader> inspect_image(std::span<const std::uint8_t> bytes, const ImageLimits& limits);

// What every decoder says of sizes that are zero or over the limits, and without memory.
Result<> check_size(std::uint64_t width, std::uint64_t height, const ImageLimits& limits,
                    const char* type);
Error no_memory();

// Orientation tag of a TIFF block (the inside of EXIF); 1 when there is none or it makes no sense.
int exif_orientation(std::span<const std::uint8_t> tiff);

}  // namespace mien::host
