// SPDX-License-Identifier: MIT
// What an instruction set provides for pixels: functions over one row.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mien {

// gray[x] = (9798 R + 19235 G + 3735 B + 16384) >> 15 for `width` packed pixels; of YUYV and UYVY,
// Y as it is. Reads and writes nothing beyond the row: frames belong to the caller, who leaves no
// slack.
using GrayRowFn = void (*)(const std::uint8_t* pixels, int width, std::uint8_t* gray) noexcept;

// The two halves of INTER_LINEAR. Weights are out of 2048 and two of them add up to 2048, give or
// take one.
//   columns: out[i] = (pairs[2 i] weights[2 i] + pairs[2 i + 1] weights[2 i + 1]) >> 4; each sum of
//   weights is at most 2048
//   rows:    out[i] = ((top_weight top[i] >> 16) + (bottom_weight bottom[i] >> 16) + 2) >> 2
// Nothing past `count` is read or written.
using LinearColumnsFn = void (*)(const std::uint8_t* pairs, const std::int16_t* weights, int count,
                                 std::int16_t* out) noexcept;
using LinearRowsFn = void (*)(const std::int16_t* top, const std::int16_t* bottom, int top_weight,
                              int bottom_weight, int count, std::uint8_t* out) noexcept;

struct ImageKernels {
    GrayRowFn gray_rgb24, gray_bgr24, gray_rgba32, gray_bgra32, gray_yuyv, gray_uyvy;
    LinearColumnsFn linear_columns;
    LinearRowsFn linear_rows;
};

}  // namespace mien
