// SPDX-License-Identifier: MIT
// Arithmetic on rectangles, for the detector, the tracker and the drawing alike.
#pragma once

#include <algorithm>

#include "mien/mien.hpp"

namespace mien {

// Intersection over union, 0 to 1.
[[nodiscard]] inline double overlap(const Rect& a, const Rect& b) noexcept {
    const int w = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
    const int h = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
    if (w <= 0 || h <= 0) return 0;
    const double both = static_cast<double>(w) * h;
    return both / (static_cast<double>(a.width) * a.height +
                   static_cast<double>(b.width) * b.height - both);
}

// The part of `rect` inside a frame of that size; all zero when nothing is. Any values are allowed:
// they are bounded before the arithmetic, so that none overflows.
[[nodiscard]] inline Rect clamped(const Rect& rect, int frame_width, int frame_height) noexcept {
    const auto bounded = [](int v) { return std::clamp(v, -(1 << 26), 1 << 26); };
    const int x = bounded(rect.x), y = bounded(rect.y);
    const int x0 = std::max(x, 0), y0 = std::max(y, 0);
    const int x1 = std::min(x + bounded(rect.width), frame_width);
    const int y1 = std::min(y + bounded(rect.height), frame_height);
    if (x1 <= x0 || y1 <= y0) return {};
    return {x0, y0, x1 - x0, y1 - y0};
}

}  // namespace mien
