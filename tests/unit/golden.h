// SPDX-License-Identifier: MIT
// What did OpenCV compute? Tables made by tests/make_opencv_golden.py.
#pragma once

#include <cstdint>

#include "mien/mien.hpp"

namespace mien::test {

struct GrayGolden {
    PixelFormat format;
    int width, height;
    std::uint32_t seed, crc;
};
struct ResizeGolden {
    int channels, source_width, source_height, width, height;
    std::uint32_t seed, crc;
};
struct YuvGolden {  // part of a frame as RGB
    PixelFormat format;
    int frame_width, frame_height, x, y, part_width, part_height, width, height;
    std::uint32_t seed, crc;
};
struct DetectGolden {
    const char* photo;
    int width, height;
    double scale_factor;
    int min_neighbors, count;
    std::uint32_t crc;
};
#include "golden/opencv.inc"

}  // namespace mien::test
