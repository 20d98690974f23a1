// SPDX-License-Identifier: MIT
// Resizes a part of a frame to the input of a network: cv2.resize(..., INTER_LINEAR) with dsize,
// bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/arena.h"
#include "kernels/image.h"
#include "mien/mien.hpp"

namespace mien {

// What one call works with, for results up to `width` columns of `channels` values.
struct LinearScratch {
    // [width] source column; the one to the right of it is the other tap
    std::int32_t* left = nullptr;
    std::int16_t* weights = nullptr;  // [width * channels][2] out of 2048
    std::uint8_t* pairs = nullptr;    // [width * channels][2] source values under the taps
    // [width * channels] two source rows at the width of the result
    std::int16_t* rows[2] = {};

    void place(Arena& arena, int width, int channels) noexcept;
};

// `part` lies inside of the frame and is not empty. `channels` is 1 (the frame is gray8) or 3: R,
// G, B of a frame of any format, gray giving R = G = B and YUV what COLOR_YUV2RGB_* gives. Rows of
// `out` are `row_bytes` apart, or packed if that is 0. The first function makes all rows, the
// second one those from `first` to `end`, where they lie in all of `out`.
void resize_linear(const Frame& frame, const Rect& part, int channels, int width, int height,
                   const ImageKernels& kernels, const LinearScratch& scratch, std::uint8_t* out,
                   std::ptrdiff_t row_bytes = 0) noexcept;
void resize_linear_rows(const Frame& frame, const Rect& part, int channels, int width, int height,
                        int first, int end, const ImageKernels& kernels,
                        const LinearScratch& scratch, std::uint8_t* out,
                        std::ptrdiff_t row_bytes) noexcept;

}  // namespace mien
