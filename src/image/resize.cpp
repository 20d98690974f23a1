// SPDX-License-Identifier: MIT
// Formulas: resize of OpenCV 4 (imgproc), checked on thousands of sizes; tests/compare_opencv.py repeats the check.
// This file must be built with -ffp-contract=off: a fused scale * (i + 0.5) - 0.5 gives other coordinates.
#include "image/resize.h"

#include <algorithm>
#include <cmath>

namespace mien {
namespace {

// Coordinate of destination index i: scale = 1 / (destination / source), not source / destination, which rounds otherwise.
double inverse_scale(int destination, int source) noexcept {
    return 1.0 / (static_cast<double>(destination) / static_cast<double>(source));
}

// Left source index and weight of its right neighbour, 0..256. At both borders the outermost pixel alone counts.
LevelResizer::Tap exact_tap(int i, double scale, int source) noexcept {
    const double v = scale * (i + 0.5) - 0.5;
    const double k = std::floor(v);
    if (k < 0) return {0, 0};
    if (k >= source - 1) return {source - 1, 0};
    return {static_cast<std::int32_t>(k), static_cast<std::uint16_t>(std::lrint((v - k) * 256.0))};
}

}  // namespace

LevelResizer::LevelResizer(const std::uint8_t* source, std::ptrdiff_t stride, int source_width, int source_height,
                           int width, int height, const Scratch& scratch) noexcept
    : source_(source), stride_(stride), source_width_(source_width), source_height_(source_height), width_(width),
      height_(height), scale_y_(inverse_scale(height, source_height)), scratch_(scratch) {
    const double scale_x = inverse_scale(width, source_width);
    for (int x = 0; x < width; ++x) scratch_.taps[x] = exact_tap(x, scale_x, source_width);
}

const std::uint16_t* LevelResizer::interpolated_row(int source_y) noexcept {
    for (int i = 0; i < 2; ++i)
        if (cached_[i] == source_y) return scratch_.rows[i];
    const int slot = cached_[0] < cached_[1] ? 0 : 1;  // rows come in ascending order: the smaller one is done with
    cached_[slot] = source_y;
    std::uint16_t* out = scratch_.rows[slot];
    const std::uint8_t* p = source_ + source_y * stride_;
    for (int x = 0; x < width_; ++x) {
        const Tap tap = scratch_.taps[x];
        const int left = p[tap.left];
        const int right = p[std::min(tap.left + 1, source_width_ - 1)];
        out[x] = static_cast<std::uint16_t>(256 * left + tap.weights * (right - left));  // 8.8 fixed point
    }
    return out;
}

const std::uint8_t* LevelResizer::row(int y, std::uint8_t* out) noexcept {
    if (width_ == source_width_ && height_ == source_height_) return source_ + y * stride_;
    const Tap tap = exact_tap(y, scale_y_, source_height_);
    const std::uint16_t* top = interpolated_row(tap.left);
    const std::uint16_t* bottom = tap.weights == 0 ? top : interpolated_row(tap.left + 1);
    const std::uint32_t w1 = tap.weights, w0 = 256 - w1;
    for (int x = 0; x < width_; ++x) out[x] = static_cast<std::uint8_t>((w0 * top[x] + w1 * bottom[x] + 32768) >> 16);
    return out;
}

}  // namespace mien
