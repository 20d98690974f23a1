// SPDX-License-Identifier: MIT
// Frames of one field, whose rows are every second one of the scene: each row twice, so that faces
// are not flat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "video/source.h"

namespace mien::camera {

// The frame of 2 * field_height rows that is made of the first `field_height` rows of a frame with
// `rows` rows and rows `stride` bytes apart. `out` is resized; it has packed rows.
void double_rows(video::PixelLayout layout, const std::uint8_t* data, int width, int rows,
                 std::size_t stride, int field_height, std::vector<std::uint8_t>& out);

}  // namespace mien::camera
