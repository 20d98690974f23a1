// SPDX-License-Identifier: MIT
// Arithmetic on rectangles and sizes, for the detector, the tracker and the drawing alike.
#pragma once

#include <algorithm>
#include <cmath>

#include "mien/mien.hpp"

namespace mien {

// Source pixels per pixel of the result, as OpenCV's resize computes it: source / destination
// rounds otherwise.
[[nodiscard]] inline double inverse_scale(int destination, int source) noexcept {
    return 1.0 / (static_cast<double>(destination) / static_cast<double>(source));
}

// Pixels that both cover.
[[nodiscard]] inline double common_area(const Rect& a, const Rect& b) noexcept {
    const int w = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
    const int h = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
    return w > 0 && h > 0 ? static_cast<double>(w) * h : 0;
}

// Intersection over union, 0 to 1.
[[nodiscard]] inline double overlap(const Rect& a, const Rect& b) noexcept {
    const double both = common_area(a, b);
    if (both == 0) return 0;
    return both / (static_cast<double>(a.width) * a.height +
                   static_cast<double>(b.width) * b.height - both);
}

// Two boxes that are one face: much overlap, or each middle inside the other box and sizes alike.
[[nodiscard]] inline bool same_place(const Rect& a, const Rect& b) noexcept {
    const auto middle_inside = [](const Rect& inner, const Rect& outer) {
        const int x = inner.x + inner.width / 2, y = inner.y + inner.height / 2;
        return x >= outer.x && x < outer.x + outer.width && y >= outer.y &&
               y < outer.y + outer.height;
    };
    const bool similar = a.width * 2 > b.width && b.width * 2 > a.width;
    return overlap(a, b) > 0.45 || (similar && middle_inside(a, b) && middle_inside(b, a));
}

// The part of `rect`, grown on each side by these fractions of its width and height, that lies
// inside a frame of that size; all zero when nothing does. Any rectangle is allowed: its numbers
// are bounded before the arithmetic, so that none overflows.
[[nodiscard]] inline Rect clamped(const Rect& rect, int frame_width, int frame_height,
                                  float margin_x = 0, float margin_y = 0) noexcept {
    const auto bounded = [](int v) { return std::clamp(v, -(1 << 26), 1 << 26); };
    const int x = bounded(rect.x), y = bounded(rect.y), width = bounded(rect.width),
              height = bounded(rect.height);
    if (width <= 0 || height <= 0) return {};
    const int dx = static_cast<int>(std::lrint(static_cast<float>(width) * margin_x));
    const int dy = static_cast<int>(std::lrint(static_cast<float>(height) * margin_y));
    const int x0 = std::max(x - dx, 0), y0 = std::max(y - dy, 0);
    const int x1 = std::min(x + width + dx, frame_width),
              y1 = std::min(y + height + dy, frame_height);
    if (x1 <= x0 || y1 <= y0) return {};
    return {x0, y0, x1 - x0, y1 - y0};
}

}  // namespace mien
