// SPDX-License-Identifier: MIT
// The eight ways in which an image can lie, numbered as in EXIF: 1 upright, 2 mirrored, 3 upside
// down, 4 flipped, 5 transposed, 6 to be turned by 90 degrees clockwise, 7 transposed about the other
// diagonal, 8 to be turned by 270.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace mien::host {

// Turned by `degrees` clockwise, then mirrored (left is right), then flipped (up is down). None if
// the degrees are not 0, 90, 180 or 270.
std::optional<int> orientation_of(int degrees, bool mirror, bool flip);

// Of an image that is set upright by `first`, and what comes of that by `then`.
int combined_orientation(int first, int then);

// Do width and height change places?
constexpr bool is_transposed(int orientation) { return orientation >= 5 && orientation <= 8; }

// Packed pixels with `channels` bytes each (1 or 3), rows `stride` bytes apart.
struct PixelsToTurn {
    const std::uint8_t* data = nullptr;
    int width = 0, height = 0;
    std::ptrdiff_t stride = 0;
    int channels = 3;
};

// Sets them upright into `out`, whose rows are packed and hold as many pixels. Orientations other
// than 1 to 8 count as 1.
void turn_pixels(const PixelsToTurn& pixels, int orientation, std::uint8_t* out);

}  // namespace mien::host
