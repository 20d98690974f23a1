// SPDX-License-Identifier: MIT
// Which frames are measured? Generated ones, the same on every machine: overlapping discs of all
// sizes, whose edges and flat parts are about as frequent as a photo's, with faces of the sample
// photos pasted in. And photos that the user gives.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mien/mien.hpp"

namespace mien::bench {

struct Picture {
    int width = 0, height = 0;
    std::vector<std::uint8_t> rgb;
    std::string name;

    [[nodiscard]] Frame frame() const {
        return {rgb.data(), width, height, std::ptrdiff_t{width} * 3, PixelFormat::rgb24};
    }
};

// `faces` faces of about `face_size` pixels in a grid over the frame; fewer when there is no room
// for them.
Picture generated_picture(int width, int height, int faces, int face_size);

Picture read_picture(const std::string& path);
Picture scaled(const Picture& picture, int width, int height);
std::vector<std::uint8_t> gray_of(const Picture& picture);
// The same image in another format; gray8 as the engine would make it.
std::vector<std::uint8_t> converted(const Picture& picture, PixelFormat format);

}  // namespace mien::bench
