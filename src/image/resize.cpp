// SPDX-License-Identifier: MIT
// Formulas: resize of OpenCV 4 (imgproc), checked on thousands of sizes; tests/compare_opencv.py repeats the check.
// This file must be built with -ffp-contract=off: a fused scale * (i + 0.5) - 0.5 gives other coordinates.
#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mien {
namespace {

// Coordinate of destination index i: scale = 1 / (destination / source), not source / destination, which rounds otherwise.
double inverse_scale(int destination, int source) noexcept {
    return 1.0 / (static_cast<double>(destination) / static_cast<double>(source));
}

struct Position {
    int index;
    float fraction;
};
Position linear_position(int i, double scale) noexcept {
    const float f = static_cast<float>((i + 0.5) * scale - 0.5);
    const float k = std::floor(f);
    return {static_cast<int>(k), f - k};
}
std::int16_t weight_2048(float w) noexcept { return static_cast<std::int16_t>(std::lrint(w * 2048.0f)); }

}  // namespace

void resize_linear(const ResizeSource& source, const int* channel_offset, int channels, int destination_width,
                   int destination_height, LinearTap* taps, std::uint8_t* destination) noexcept {
    const int width = source.width, height = source.height;
    if (width == destination_width && height == destination_height) {
        for (int y = 0; y < height; ++y) {
            const std::uint8_t* p = source.data + y * source.stride_bytes;
            for (int x = 0; x < width; ++x, p += source.pixel_bytes)
                for (int c = 0; c < channels; ++c) *destination++ = p[channel_offset[c]];
        }
        return;
    }
    if (width == 2 * destination_width && height == 2 * destination_height) {
        for (int y = 0; y < destination_height; ++y) {
            const std::uint8_t* p = source.data + 2 * y * source.stride_bytes;
            const std::uint8_t* q = p + source.stride_bytes;
            for (int x = 0; x < destination_width; ++x, p += 2 * source.pixel_bytes, q += 2 * source.pixel_bytes)
                for (int c = 0; c < channels; ++c) {
                    const int a = channel_offset[c], b = a + source.pixel_bytes;
                    *destination++ = static_cast<std::uint8_t>((p[a] + p[b] + q[a] + q[b] + 2) >> 2);
                }
        }
        return;
    }
    const double scale_x = inverse_scale(destination_width, width), scale_y = inverse_scale(destination_height, height);
    for (int x = 0; x < destination_width; ++x) {
        const Position at = linear_position(x, scale_x);
        if (at.index < 0)
            taps[x] = {0, 2048, 0};
        else if (at.index >= width - 1)
            taps[x] = {width - 1, 2048, 0};
        else
            taps[x] = {at.index, weight_2048(1.0f - at.fraction), weight_2048(at.fraction)};
    }
    for (int y = 0; y < destination_height; ++y) {
        const Position at = linear_position(y, scale_y);
        // Unlike columns, border rows keep their two weights; only the row numbers are clamped.
        const std::int32_t w0 = weight_2048(1.0f - at.fraction), w1 = weight_2048(at.fraction);
        const std::uint8_t* p = source.data + std::clamp(at.index, 0, height - 1) * source.stride_bytes;
        const std::uint8_t* q = source.data + std::clamp(at.index + 1, 0, height - 1) * source.stride_bytes;
        for (int x = 0; x < destination_width; ++x) {
            const LinearTap tap = taps[x];
            const std::ptrdiff_t left = std::ptrdiff_t{tap.left} * source.pixel_bytes;
            const std::ptrdiff_t right = left + (tap.left + 1 < width ? source.pixel_bytes : 0);
            for (int c = 0; c < channels; ++c) {
                const std::ptrdiff_t a = left + channel_offset[c], b = right + channel_offset[c];
                const std::int32_t top = tap.weight_left * p[a] + tap.weight_right * p[b];
                const std::int32_t bottom = tap.weight_left * q[a] + tap.weight_right * q[b];
                // The two separate truncations are OpenCV's; one rounding of the whole product gives other pixels.
                *destination++ = static_cast<std::uint8_t>(
                    ((w0 * (top >> 4) >> 16) + (w1 * (bottom >> 4) >> 16) + 2) >> 2);
            }
        }
    }
}

}  // namespace mien
