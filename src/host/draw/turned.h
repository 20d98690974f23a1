// SPDX-License-Identifier: MIT
// Coordinates of a turned area: between an image and an upright copy of the area.
#pragma once

#include <cmath>
#include <numbers>

#include "mien/mien.hpp"

namespace mien::host {

class Turned {
public:
    // Pixels and their fractions: the middle of the first pixel lies at (0.5, 0.5).
    struct Place {
        double x, y;
    };

    explicit Turned(const TurnedRect& area)
        : cos_(std::cos(radians(area))),
          sin_(std::sin(radians(area))),
          half_width_(area.rect.width / 2.0),
          half_height_(area.rect.height / 2.0),
          middle_{area.rect.x + half_width_, area.rect.y + half_height_} {}

    // From the image to the copy, where the area covers 0..width and 0..height.
    [[nodiscard]] Place to_copy(double x, double y) const {
        const double dx = x - middle_.x, dy = y - middle_.y;
        return {cos_ * dx + sin_ * dy + half_width_, cos_ * dy - sin_ * dx + half_height_};
    }
    // From the copy to the image.
    [[nodiscard]] Place to_image(double x, double y) const {
        const double u = x - half_width_, v = y - half_height_;
        return {middle_.x + cos_ * u - sin_ * v, middle_.y + sin_ * u + cos_ * v};
    }
    [[nodiscard]] Place middle() const { return middle_; }
    // From the middle to a corner.
    [[nodiscard]] double reach() const { return std::hypot(half_width_, half_height_); }

private:
    static double radians(const TurnedRect& area) {
        return static_cast<double>(area.degrees) / 180 * std::numbers::pi;
    }
    double cos_, sin_, half_width_, half_height_;
    Place middle_;
};

}  // namespace mien::host
