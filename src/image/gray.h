// SPDX-License-Identifier: MIT
// Which gray does OpenCV see? 8-bit RGB to gray exactly as cvtColor of OpenCV 4 computes it.
#pragma once

#include <cstdint>

#include "kernels/image.h"
#include "mien/mien.hpp"

namespace mien {

constexpr int bytes_per_pixel(PixelFormat format) noexcept {
    switch (format) {
        case PixelFormat::gray8: return 1;
        case PixelFormat::rgb24:
        case PixelFormat::bgr24: return 3;
        case PixelFormat::rgba32:
        case PixelFormat::bgra32: return 4;
    }
    return 0;
}

// Positions of red, green and blue inside a pixel; all 0 for gray8.
struct ChannelOrder {
    int red, green, blue;
};
constexpr ChannelOrder channel_order(PixelFormat format) noexcept {
    switch (format) {
        case PixelFormat::gray8: return {0, 0, 0};
        case PixelFormat::rgb24:
        case PixelFormat::rgba32: return {0, 1, 2};
        case PixelFormat::bgr24:
        case PixelFormat::bgra32: return {2, 1, 0};
    }
    return {0, 0, 0};
}

// True when the frame can be read: positive sizes, a known format, rows that do not overlap, data present.
[[nodiscard]] bool is_valid(const Frame& frame) noexcept;

// gray[y * width + x] = (9798 R + 19235 G + 3735 B + 16384) >> 15; alpha is ignored. A gray8 frame is copied.
void to_gray(const Frame& frame, const ImageKernels& kernels, std::uint8_t* gray) noexcept;

}  // namespace mien
