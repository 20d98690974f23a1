// SPDX-License-Identifier: MIT
// Pixels of cameras that the engine has no format for, made into pixels that it has. One pass over
// the frame into memory that is kept from frame to frame.
#pragma once

#include <cstdint>
#include <vector>

#include "video/source.h"

namespace mien::video {

// The layout that a frame of `layout` is converted to; the same for those that need no conversion.
PixelLayout converted_layout(PixelLayout layout);

// Is only the chroma of `layout` elsewhere than in converted_layout()? Then its gray can be read as
// that of converted_layout(), and only those who want colors need to convert.
bool differs_in_chroma(PixelLayout layout);

// What is learned of a camera from its frames.
struct PixelMemory {
    int gray_bits = 10;  // of y16: as many as its brightest pixel so far has needed, 10 to 16
    std::vector<std::uint8_t> bytes;
};

// `from` is whole (see packet_bytes()), its stride is set, and its layout is not
// converted_layout(). What is given points into `memory`. Of layouts that differ in chroma the last
// column or row is left without a color of its own if the width or height is odd.
Packet convert_pixels(const Packet& from, PixelMemory& memory);

}  // namespace mien::video
