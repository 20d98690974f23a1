// SPDX-License-Identifier: MIT
// Rows of pixels in portable C++.
#include "kernels/tables.h"

namespace mien {
namespace {

// The 15-bit weights of OpenCV 4 add up to 32768, so white stays 255.
template <int pixel_bytes, int red, int green, int blue>
void gray_row(const std::uint8_t* p, int width, std::uint8_t* gray) noexcept {
    for (int x = 0; x < width; ++x, p += pixel_bytes)
        gray[x] = static_cast<std::uint8_t>(
            (9798 * p[red] + 19235 * p[green] + 3735 * p[blue] + 16384) >> 15);
}

template <int first>
void every_second(const std::uint8_t* p, int width, std::uint8_t* gray) noexcept {
    for (int x = 0; x < width; ++x) gray[x] = p[2 * x + first];
}

void linear_columns(const std::uint8_t* pairs, const std::int16_t* weights, int count,
                    std::int16_t* out) noexcept {
    for (int i = 0; i < count; ++i)
        out[i] = static_cast<std::int16_t>(
            (pairs[2 * i] * weights[2 * i] + pairs[2 * i + 1] * weights[2 * i + 1]) >> 4);
}

// The two separate truncations are OpenCV's; one rounding of the whole sum gives other pixels.
void linear_rows(const std::int16_t* top, const std::int16_t* bottom, int top_weight,
                 int bottom_weight, int count, std::uint8_t* out) noexcept {
    for (int i = 0; i < count; ++i)
        out[i] = static_cast<std::uint8_t>(
            ((top_weight * top[i] >> 16) + (bottom_weight * bottom[i] >> 16) + 2) >> 2);
}

}  // namespace

const ImageKernels image_scalar = {
    .gray_rgb24 = gray_row<3, 0, 1, 2>,
    .gray_bgr24 = gray_row<3, 2, 1, 0>,
    .gray_rgba32 = gray_row<4, 0, 1, 2>,
    .gray_bgra32 = gray_row<4, 2, 1, 0>,
    .gray_yuyv = every_second<0>,
    .gray_uyvy = every_second<1>,
    .linear_columns = linear_columns,
    .linear_rows = linear_rows,
};

}  // namespace mien
