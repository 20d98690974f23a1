// SPDX-License-Identifier: MIT
// What must an instruction set provide for the detector? Parameter structs and the functions that take them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mien {

// A stump over `rects` rectangles, ready for one pyramid step: the corners are offsets (in 32-bit elements) from the
// window's origin in the integral image, in the order a - b - c + d.
template <int rects>
struct HaarStump {
    std::int32_t corner[rects][4];
    float weight[rects];
    float threshold;
    std::int32_t gain;  // fixed point: what choosing the left leaf adds to the stage's sum of right leaves
};

// A stage decides in fixed point where that is certain. The stage's true sum is a double; the fixed-point sum of n gains is
// off by at most n / 2 + 2 units, so a sum >= pass_from surely passes, a sum < fail_below surely fails, and the few
// between are evaluated again as the reference does (HaarTable::exact_stage).
struct HaarStage {
    std::int32_t first2, count2, first3, count3;  // ranges in HaarTable::stumps2 and ::stumps3
    std::int32_t pass_from, fail_below;
};

struct HaarTable;
// True when the window whose origin in the integral image is `origin` passes stage `stage`; `norm` is its 1 / deviation.
using HaarExactStageFn = bool (*)(const HaarTable&, int stage, const std::uint32_t* origin, float norm) noexcept;

struct HaarTable {
    const HaarStage* stages;
    int stage_count;
    const HaarStump<2>* stumps2;
    const HaarStump<3>* stumps3;
    HaarExactStageFn exact_stage;
    const void* exact_context;     // for exact_stage
    std::int32_t norm_corner[4];   // corners of the normalisation rectangle
    double norm_area;
};

// One row of windows, `step` pixels apart. In the integral images neighbouring windows are neighbouring elements: with a
// step of 2 the even and the odd columns of each row are stored apart, and the corner offsets know it.
struct HaarRow {
    const HaarTable* table;
    const std::uint32_t* sum;      // integral at the origin of window 0; tilted corners are offsets from here as well
    const std::uint32_t* square;   // integral of squares, same layout
    int count;                     // windows
};
// Writes the indexes of the windows that pass every stage, ascending; returns how many. `hits` has room for all.
using HaarRowFn = int (*)(const HaarRow&, std::int32_t* hits) noexcept;

struct DetectKernels {
    HaarRowFn haar_row;
};

}  // namespace mien
