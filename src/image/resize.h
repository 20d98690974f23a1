// SPDX-License-Identifier: MIT
// How does OpenCV shrink a crop? INTER_LINEAR for 8-bit pictures, bit for bit. (The levels of the detector's pyramid are
// INTER_LINEAR_EXACT: detect/pyramid.h.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace mien {

// One destination column: source columns `left` and `left + 1` (`right_step` is 0 where there is no right neighbour).
struct LinearTap {
    std::int32_t left;
    std::int16_t weight_left, weight_right;  // out of 2048
};

// cv2.resize(..., INTER_LINEAR) of the rectangle that starts at `source`, dsize given.
// Channels are interleaved: `source_pixel_bytes` apart in the source, of which `channels` bytes at the offsets
// `channel_offset[0..channels)` are taken (so BGRA can give RGB); packed in the destination.
// `taps` is scratch of at least destination_width entries.
struct ResizeSource {
    const std::uint8_t* data;
    std::ptrdiff_t stride_bytes;
    int width, height;
    int pixel_bytes;
};
void resize_linear(const ResizeSource& source, const int* channel_offset, int channels, int destination_width,
                   int destination_height, LinearTap* taps, std::uint8_t* destination) noexcept;

}  // namespace mien
