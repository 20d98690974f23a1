// SPDX-License-Identifier: MIT
// YUV of cameras and films to RGB, for the networks and for what is drawn alike.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mien {

// BT.601 with Y from 16 to 235, in the 20-bit fixed point of OpenCV's COLOR_YUV2RGB_*.
inline void yuv_to_rgb(int y, int u, int v, std::uint8_t* out) noexcept {
    const int luma = std::max(y - 16, 0) * 1220542 + (1 << 19);
    u -= 128;
    v -= 128;
    const auto byte = [](int value) {
        return static_cast<std::uint8_t>(std::clamp(value >> 20, 0, 255));
    };
    out[0] = byte(luma + 1673527 * v);
    out[1] = byte(luma - 852492 * v - 409993 * u);
    out[2] = byte(luma + 2116026 * u);
}

}  // namespace mien
