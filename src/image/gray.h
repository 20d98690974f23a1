// SPDX-License-Identifier: MIT
// 8-bit RGB to gray exactly as cvtColor of OpenCV 4 computes it.
#pragma once

#include <cstdint>

#include "kernels/image.h"
#include "mien/mien.hpp"

namespace mien {

// nv12 holds the gray of a frame as a plane of its own, which serves as a gray8 frame.
constexpr bool has_gray_plane(PixelFormat format) noexcept {
    return format == PixelFormat::gray8 || format == PixelFormat::nv12;
}
// Two columns share their color, in nv12 two rows as well: there are no odd sizes.
constexpr bool has_even_width(PixelFormat format) noexcept {
    return format == PixelFormat::yuyv || format == PixelFormat::uyvy ||
           format == PixelFormat::nv12;
}

// Positions of red, green and blue inside a pixel; all 0 where there are none.
struct ChannelOrder {
    int red, green, blue;
};
constexpr ChannelOrder channel_order(PixelFormat format) noexcept {
    switch (format) {
        case PixelFormat::rgb24:
        case PixelFormat::rgba32: return {0, 1, 2};
        case PixelFormat::bgr24:
        case PixelFormat::bgra32: return {2, 1, 0};
        default: return {0, 0, 0};
    }
}

// True when the frame can be read: positive sizes (even ones where the format asks), a known
// format, rows that do not overlap, data present.
[[nodiscard]] bool is_valid(const Frame& frame) noexcept;

// Gray pixels in rows of any pitch.
struct GrayView {
    const std::uint8_t* data = nullptr;
    std::ptrdiff_t stride_bytes = 0;
};

// The gray of `area`, which lies inside the valid frame: a frame with a gray plane lends it, of
// others it is written to `room` (area.width * area.height bytes).
[[nodiscard]] GrayView gray_of(const Frame& frame, const Rect& area, const ImageKernels& kernels,
                               std::uint8_t* room) noexcept;

// gray[y * width + x] = (9798 R + 19235 G + 3735 B + 16384) >> 15; alpha is ignored. Of a
// gray8 or YUV frame Y is copied.
void to_gray(const Frame& frame, const ImageKernels& kernels, std::uint8_t* gray) noexcept;

}  // namespace mien
