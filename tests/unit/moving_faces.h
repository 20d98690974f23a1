// SPDX-License-Identifier: MIT
// A film without a camera: faces of the sample photos move, grow and leave over a soft background
// with grain. The same frames everywhere. Used by the tracker's tests and by the bench.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace mien::test {

struct Patch {  // gray, with the face somewhere in its middle
    std::vector<std::uint8_t> pixels;
    int width = 0, height = 0;
};

// Where a patch's upper left corner is and how wide it is drawn; width 0: not in this frame.
struct Placed {
    double x = 0, y = 0, width = 0;
};

// Bilinear, clipped at the borders; the outermost twelfth fades into the background, so that there
// is no edge to be found.
inline void paste(std::vector<std::uint8_t>& frame, int width, int height, const Patch& patch,
                  const Placed& at) {
    if (at.width < 1) return;
    const double step = patch.width / at.width, high = patch.height / step;
    for (int y = std::max(0, static_cast<int>(at.y)); y < std::min<double>(height, at.y + high);
         ++y) {
        for (int x = std::max(0, static_cast<int>(at.x));
             x < std::min<double>(width, at.x + at.width); ++x) {
            const double u = (x - at.x) * step, v = (y - at.y) * step;
            if (u < 0 || v < 0 || u >= patch.width - 1 || v >= patch.height - 1) continue;
            const auto i = static_cast<std::size_t>(u), j = static_cast<std::size_t>(v),
                       w = static_cast<std::size_t>(patch.width);
            const double a = u - static_cast<double>(i), b = v - static_cast<double>(j);
            const std::uint8_t* p = patch.pixels.data() + j * w + i;
            const double value =
                (1 - b) * ((1 - a) * p[0] + a * p[1]) + b * ((1 - a) * p[w] + a * p[w + 1]);
            const double inside = std::min({u / patch.width, 1 - u / patch.width, v / patch.height,
                                            1 - v / patch.height}) *
                                  12;
            const double cover = std::clamp(inside, 0.0, 1.0);
            std::uint8_t& out =
                frame[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                      static_cast<std::size_t>(x)];
            out = static_cast<std::uint8_t>(std::lround(cover * value + (1 - cover) * out));
        }
    }
}

// `number` changes only the grain.
inline void background(std::vector<std::uint8_t>& frame, int width, int height, int number) {
    frame.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
    std::uint32_t random = 12345u + static_cast<std::uint32_t>(number) * 7919u;
    std::vector<double> column(static_cast<std::size_t>(width));
    for (int x = 0; x < width; ++x)
        column[static_cast<std::size_t>(x)] =
            26 * std::sin(x * 0.021) + 14 * std::sin(x * 0.067 + 1);
    std::size_t i = 0;
    for (int y = 0; y < height; ++y) {
        const double row = 22 * std::cos(y * 0.027) + 12 * std::sin(y * 0.09);
        for (int x = 0; x < width; ++x) {
            random = random * 1664525u + 1013904223u;
            frame[i++] = static_cast<std::uint8_t>(std::clamp(
                120 + column[static_cast<std::size_t>(x)] + row + static_cast<double>(random >> 29),
                0.0, 255.0));
        }
    }
}

}  // namespace mien::test
