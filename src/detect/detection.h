// SPDX-License-Identifier: MIT
// What the detectors answer with.
#pragma once

#include <span>

#include "mien/mien.hpp"

namespace mien {

// Haar.
struct Detection {
    Rect box;
    int neighbors;            // merged windows
    double stage_weight = 0;  // the highest of them
};

// Either detector; what one has not is 0 or empty.
struct FoundFace {
    Rect box;  // not empty
    int neighbors;
    float score;
    std::span<const Point> landmarks;
    double stage_weight = 0;
};

}  // namespace mien
