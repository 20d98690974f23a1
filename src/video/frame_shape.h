// SPDX-License-Identifier: MIT
// Films are stored in one shape and shown in another: turned as the phone was held, with pixels that
// are wider or narrower than high. What do their numbers mean, and how are rows stretched?
#pragma once

#include <cstdint>
#include <vector>

#include "host/codec/orientation.h"

namespace mien::video {

// Of a display matrix as films have it (3 x 3, fixed point): the nearest of the eight orientations
// of host/codec/orientation.h. 1 if the matrix says nothing.
int orientation_of_matrix(const std::int32_t (&matrix)[9]);

// How wide a pixel is to its height, as the file says. 0:0 and other nonsense count as 1:1.
struct PixelAspect {
    int width = 1, height = 1;
    friend bool operator==(const PixelAspect&, const PixelAspect&) = default;
};

// The width of a frame with square pixels; its height stays, as most players have it. The width
// itself where the ratio is beyond 1:8 or 8:1, or the frame would be larger than frames may be.
int square_width(int width, int height, PixelAspect aspect);

// Stretches or narrows rows: linear between pixels, or their mean where they become fewer.
class RowStretcher {
public:
    // `out`: packed rows of `width` pixels.
    void stretch(const host::PixelsToTurn& pixels, int width, std::vector<std::uint8_t>& out);

private:
    void plan(int from, int to);

    int from_ = 0, to_ = 0, taps_ = 0;
    std::vector<int> columns_;           // [to][taps] of the source; beyond a border that border's
    std::vector<std::int32_t> weights_;  // [to][taps], out of 2^14
};

}  // namespace mien::video
