// SPDX-License-Identifier: MIT
// How does a picture file become RGB pixels the right way up, and pixels a picture file?
// Decoding works on bytes in memory (for files, the service and the fuzzer alike), with limits
// known beforehand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "host/codec/image.h"
#include "host/codec/image_header.h"
#include "host/files/file_io.h"
#include "host/files/result.h"
#include "mien/mien.hpp"

namespace mien::host {

// Of a file that is decoded all the same. `possible`: every pixel is there, but beside them are bytes
// that do not belong there. `certain`: pixels are guessed.
enum class Damage { none, possible, certain };

struct DecodedImage {
    Image image;
    Damage damage = Damage::none;
    // What the user may want to know though it is no error: "animation: only its first frame is
    // used".
    std::string note;
};

// Decodes JPEG (also CMYK), PNG, BMP, GIF (first frame), PNM (P5, P6), and by their libraries WebP
// (first frame), TIFF (first page), HEIC and AVIF (primary image); turns the picture as its EXIF
// says. 16 bits a channel become 8. Alpha is dropped, as OpenCV drops it: what a transparent pixel
// stores counts. GIF stores nothing for one; it is black. A damaged JPEG is decoded as far as it
// goes, and `note` says so; so do up to 4 KiB before an image.
Result<DecodedImage> decode_image(std::span<const std::uint8_t> bytes,
                                  const ImageLimits& limits = {});

// The picture turned by an EXIF orientation (1..8; others leave it as it is).
Result<Image> apply_orientation(Image image, int orientation);

enum class ImageFormat { png, jpeg };

// By the ending of the name; fails with the endings that are possible.
Result<ImageFormat> format_of_name(const std::string& path);

// Frames of gray8 or rgb24.
Result<ByteVector> encode_image(const Frame& frame, ImageFormat format);

}  // namespace mien::host
