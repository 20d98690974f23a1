// SPDX-License-Identifier: MIT
#include "image/gray.h"

#include <cstring>

namespace mien {
namespace {

// The 15-bit weights of OpenCV 4 add up to 32768, so white stays 255.
template <int pixel_bytes, int red, int green, int blue>
void gray_row(const std::uint8_t* p, int width, std::uint8_t* gray) noexcept {
    for (int x = 0; x < width; ++x, p += pixel_bytes)
        gray[x] = static_cast<std::uint8_t>((9798 * p[red] + 19235 * p[green] + 3735 * p[blue] + 16384) >> 15);
}

}  // namespace

bool is_valid(const Frame& frame) noexcept {
    const int pixel_bytes = bytes_per_pixel(frame.format);
    if (frame.data == nullptr || frame.width <= 0 || frame.height <= 0 || pixel_bytes == 0) return false;
    if (frame.width > 1 << 24 || frame.height > 1 << 24) return false;
    const std::ptrdiff_t row = std::ptrdiff_t{frame.width} * pixel_bytes;
    return frame.stride_bytes >= row || frame.stride_bytes <= -row || frame.height == 1;
}

void to_gray(const Frame& frame, std::uint8_t* gray) noexcept {
    for (int y = 0; y < frame.height; ++y, gray += frame.width) {
        const std::uint8_t* row = frame.data + y * frame.stride_bytes;
        switch (frame.format) {
            case PixelFormat::gray8: std::memcpy(gray, row, static_cast<std::size_t>(frame.width)); break;
            case PixelFormat::rgb24: gray_row<3, 0, 1, 2>(row, frame.width, gray); break;
            case PixelFormat::bgr24: gray_row<3, 2, 1, 0>(row, frame.width, gray); break;
            case PixelFormat::rgba32: gray_row<4, 0, 1, 2>(row, frame.width, gray); break;
            case PixelFormat::bgra32: gray_row<4, 2, 1, 0>(row, frame.width, gray); break;
        }
    }
}

}  // namespace mien
