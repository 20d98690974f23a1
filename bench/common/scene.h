// SPDX-License-Identifier: MIT
// A frame to measure on that is the same bit by bit on every machine: integers only. Overlapping
// discs of all sizes with a shade across each (the number of edges is the same at every scale, as
// in photos) and grain; no face in it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace mien::bench {

struct Scene {
    int width, height;
    std::vector<std::uint8_t> rgb;

    Scene(int w, int h)
        : width(w),
          height(h),
          rgb(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * 3, 128) {
        // Radii with density r^-3; discs cover the frame three times over.
        const std::int64_t smallest = 3, largest = std::max(4, std::min(w, h) / 3),
                           total = std::int64_t{w} * h;
        const std::int64_t ratio = 65536 - 65536 * smallest * smallest / (largest * largest);
        for (std::int64_t covered = 0; covered < total;) {
            const std::int64_t square =
                smallest * smallest * 65536 / (65536 - ratio * below(65536) / 65536);
            draw_disc(square);
            covered += square;  // 3.14 / 3 of a disc's pixels
        }
        add_grain();
    }

private:
    std::uint32_t state_ = 42;

    int below(int n) {
        state_ = state_ * 1664525u + 1013904223u;
        return static_cast<int>((std::uint64_t{state_} * static_cast<std::uint32_t>(n)) >> 32);
    }
    static int root(std::int64_t square) {
        int r = 0;
        while (std::int64_t{r + 1} * (r + 1) <= square) ++r;
        return r;
    }
    static std::uint8_t byte(int v) { return static_cast<std::uint8_t>(std::clamp(v, 0, 255)); }
    std::uint8_t* pixel(int x, int y) {
        return &rgb[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                     static_cast<std::size_t>(x)) *
                    3];
    }

    void draw_disc(std::int64_t square) {
        const int cx = below(width), cy = below(height), r = root(square);
        const int green = below(200) + 20, red = green + below(40) - 20,
                  blue = green + below(40) - 20;
        const int shade_x = below(61) - 30, shade_y = below(61) - 30;
        for (int y = std::max(cy - r, 0); y <= std::min(cy + r, height - 1); ++y) {
            const int half = root(square - std::int64_t{y - cy} * (y - cy));
            for (int x = std::max(cx - half, 0); x <= std::min(cx + half, width - 1); ++x) {
                const int shade = (shade_x * (x - cx) + shade_y * (y - cy)) / (r + 1);
                std::uint8_t* p = pixel(x, y);
                p[0] = byte(red + shade);
                p[1] = byte(green + shade);
                p[2] = byte(blue + shade);
            }
        }
    }
    // Lens and sensor: every pixel averaged with its right and lower neighbors, and grain.
    void add_grain() {
        for (int y = 0; y < height; ++y) {
            for (int x = 0; x < width; ++x) {
                const int right = std::min(x + 1, width - 1), down = std::min(y + 1, height - 1),
                          grain = below(7) - 3;
                for (int c = 0; c < 3; ++c)
                    pixel(x, y)[c] = byte((pixel(x, y)[c] + pixel(right, y)[c] + pixel(x, down)[c] +
                                           pixel(right, down)[c] + 2) /
                                              4 +
                                          grain);
            }
        }
    }
};

}  // namespace mien::bench
