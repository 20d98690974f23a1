// SPDX-License-Identifier: MIT
// The pixels of an image file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "mien/mien.hpp"

namespace mien::host {

struct FreeDeleter {
    void operator()(std::uint8_t* p) const noexcept { std::free(p); }
};
// From malloc: not cleared, as every byte is written anyway.
using PixelBuffer = std::unique_ptr<std::uint8_t[], FreeDeleter>;

// Null without memory.
inline PixelBuffer new_pixels(std::size_t bytes) {
    return PixelBuffer(static_cast<std::uint8_t*>(std::malloc(bytes)));
}

// Packed RGB, 3 bytes per pixel.
struct Image {
    PixelBuffer pixels;
    int width = 0;
    int height = 0;

    std::size_t row_bytes() const { return static_cast<std::size_t>(width) * 3; }
    Frame frame() const {
        return {pixels.get(), width, height, static_cast<std::ptrdiff_t>(row_bytes()),
                PixelFormat::rgb24};
    }
};

}  // namespace mien::host
