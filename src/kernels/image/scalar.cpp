// SPDX-License-Identifier: MIT
// Rows of pixels in portable C++.
#include "kernels/tables.h"

namespace mien {
namespace {

// The 15-bit weights of OpenCV 4 add up to 32768, so white stays 255.
template <int pixel_bytes, int red, int green, int blue>
void gray_row(const std::uint8_t* p, int width, std::uint8_t* gray) noexcept {
    for (int x = 0; x < width; ++x, p += pixel_bytes)
        gray[x] = static_cast<std::uint8_t>((9798 * p[red] + 19235 * p[green] + 3735 * p[blue] + 16384) >> 15);
}

}  // namespace

const ImageKernels image_scalar = {
    .gray_rgb24 = gray_row<3, 0, 1, 2>,
    .gray_bgr24 = gray_row<3, 2, 1, 0>,
    .gray_rgba32 = gray_row<4, 0, 1, 2>,
    .gray_bgra32 = gray_row<4, 2, 1, 0>,
};

}  // namespace mien
