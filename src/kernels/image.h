// SPDX-License-Identifier: MIT
// What must an instruction set provide for pixels? Functions over one row.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mien {

// gray[x] = (9798 R + 19235 G + 3735 B + 16384) >> 15 for `width` packed pixels. Reads and writes nothing beyond them:
// frames belong to the caller, who leaves no slack.
using GrayRowFn = void (*)(const std::uint8_t* pixels, int width, std::uint8_t* gray) noexcept;

struct ImageKernels {
    GrayRowFn gray_rgb24, gray_bgr24, gray_rgba32, gray_bgra32;
};

}  // namespace mien
