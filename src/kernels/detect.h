// SPDX-License-Identifier: MIT
// What an instruction set provides for the detector: parameter structs and the functions that take
// them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mien {

// A stump compares the value of its feature, divided by the window's deviation, with a threshold;
// if it is below, `gain` is added to the stage's sum, in fixed point. The value is a sum of corners
// of the integral image; corners are offsets in elements from the window's origin.
//
// Nearly every feature of a trained cascade is small enough that its value fits in 16 bits with a
// sign whatever the pixels. Those are computed modulo 2^16 from the low halves of the integral
// image, twice as many windows at a time; their corners are merged where rectangles touch. The
// value is then the same integer, and exact in float.
struct EdgeStump {  // two rectangles side by side:  c0 + c1 - c2 - c3 + 2 (c4 - c5)
    std::int32_t corner[6];
    float threshold;
    std::int32_t gain;
};
// one rectangle inside another: c0 + c1 - c2 - c3 + weight (c4 + c5 - c6 - c7)
struct LineStump {
    std::int32_t corner[8];
    std::int32_t weight;
    float threshold;
    std::int32_t gain;
};
// two by two, like a chess board: sign (c0 + c1 + c2 + c3 - 2 (c4 + c5 + c6 + c7) + 4 c8)
struct DiagonalStump {
    std::int32_t corner[9];
    std::int32_t sign;
    float threshold;
    std::int32_t gain;
};
// a larger feature in parts that fit, each like a LineStump with the same weight
struct SplitStump {
    static constexpr int max_parts = 4;
    std::int32_t corner[max_parts][8];
    std::int32_t parts;  // at least 2
    std::int32_t weight;
    float threshold;
    std::int32_t gain;
};
// Any feature, from the 32-bit integral image (or the tilted one): rectangles a - b - c + d in
// float, as OpenCV does it.
template <int rects>
struct WideStump {
    std::int32_t corner[rects][4];
    float weight[rects];
    float threshold;
    std::int32_t gain;
};

// A node of a tree. Its feature is in parts that fit, as in SplitStump (one part is a LineStump), or
// wide, as in WideStump. Below the threshold the first of `child` and `answer` counts, else the
// second: a child > 0 is a node of the same tree, counted from its first; otherwise the tree's
// answer, in fixed point, is known.
struct TreeNode {
    std::int32_t corner;  // the first in HaarTable::tree_corners: 8 a part, or 4 a rectangle
    std::int32_t parts;   // 0: wide
    std::int32_t rects;   // of a wide feature
    std::int32_t weight;  // of the parts' inner rectangles
    float weights[3];     // of a wide feature's rectangles
    float threshold;
    std::int32_t child[2], answer[2];
};
struct HaarTree {
    static constexpr int max_nodes = 16;
    std::int32_t first_node, node_count;  // a child comes after its parent
};

// A stage decides in fixed point where that is certain. The stage's true sum is a double; the
// fixed-point sum of n gains is off by at most n / 2 + 2 units, so a sum >= pass_from surely
// passes, a sum < fail_below surely fails, and the few between are evaluated again as the reference
// does (HaarTable::exact_stage).
struct HaarStage {
    struct Range {
        std::int32_t first, count;  // in the array of the same name of HaarTable
    };
    Range edges, lines, diagonals, splits, wide2, wide3, trees;
    std::int32_t pass_from, fail_below;
};

// Integral images at the origin of a window.
struct HaarOrigin {
    const std::uint16_t* low;     // the low halves of `sum`
    const std::uint32_t* sum;     // tilted corners are offsets from here as well
    const std::uint32_t* square;  // integral of squares
};

struct HaarTable;
// True when the window at `origin` passes stage `stage`; `norm` is its 1 / deviation.
using HaarExactStageFn = bool (*)(const HaarTable&, int stage, const std::uint32_t* origin,
                                  float norm) noexcept;

struct HaarTable {
    const HaarStage* stages;
    int stage_count;
    const EdgeStump* edges;
    const LineStump* lines;
    const DiagonalStump* diagonals;
    const SplitStump* splits;
    const WideStump<2>* wide2;
    const WideStump<3>* wide3;
    const HaarTree* trees;
    const TreeNode* tree_nodes;
    const std::int32_t* tree_corners;
    HaarExactStageFn exact_stage;
    const void* exact_context;    // for exact_stage
    std::int32_t norm_corner[4];  // corners of the normalization rectangle
    double norm_area;
};

// One row of windows, `step` pixels apart. In the integral images neighboring windows are
// neighboring elements: with a step of 2 the even and the odd columns of each row are stored apart,
// and the corner offsets know it.
struct HaarRow {
    const HaarTable* table;
    int stages;         // the first ones, at least 1
    HaarOrigin origin;  // of window 0
    int count;          // windows
};
struct HaarSurvivor {
    std::int32_t window;
    float norm;  // 1 / deviation
};
// Writes the windows that pass these stages, ascending; returns how many. `survivors` has room for
// all.
using HaarRowFn = int (*)(const HaarRow&, HaarSurvivor* survivors) noexcept;

// Few windows survive the first stages, each among many dead neighbors. They are gathered: a batch
// has one window per lane, copied from wherever it is, so that the late stages run with full
// vectors. The copy of the integral image's low halves is [row][column][lane], window_height + 1
// rows of `columns` columns; the corners of `batch_table` are offsets into it.
constexpr int max_batch = 32;
struct HaarBatch {
    const HaarTable* table;  // of the integral image, for what the copy cannot answer
    const HaarTable* batch_table;
    int first_stage, end_stage;  // the stages to pass
    int count;                   // windows, at most DetectKernels::batch
    const std::uint16_t* low[max_batch];
    const std::uint32_t* sum[max_batch];
    float norm[max_batch];
    int rows, columns;  // of the copy
    int step;           // layout of the integral image
    std::ptrdiff_t pitch, odd;
    std::uint16_t* copy;  // rows * round_up(columns, 16) * batch elements, aligned to 64
};
// One bit for each window that passes these stages.
using HaarBatchFn = std::uint32_t (*)(const HaarBatch&) noexcept;

// ---- rows of a pyramid level and of its integral images

// Interpolates one row of the source to the level's width, in 8.8 fixed point:
// out[x] = (256 - right_weight[x]) p[left[x]] + right_weight[x] p[left[x] + 1].
// A tap at the last source pixel has right_weight 0; nothing past the source row is read.
struct ShrinkRow {
    const std::uint8_t* source;
    int source_width;
    const std::int32_t* left;           // source columns, ascending
    const std::uint16_t* right_weight;  // 0..256
    int width;
};
using ShrinkRowFn = void (*)(const ShrinkRow&, std::uint16_t* out) noexcept;

// out[x] = ((256 - bottom_weight) top[x] + bottom_weight bottom[x] + 32768) >> 16.
using BlendRowsFn = void (*)(const std::uint16_t* top, const std::uint16_t* bottom,
                             int bottom_weight, int width, std::uint8_t* out) noexcept;

// One row of pixels added to the integral images: row + 1 of each plane from the row above it,
// `pitch` elements before. Column x of the integral images lies at element x, or with `step` 2 at x
// / 2 for even x and `odd` + x / 2 for odd x.
struct IntegralRow {
    const std::uint8_t* pixels;  // nothing past `width` is read
    int width;
    int step;  // 1 or 2
    std::ptrdiff_t odd, pitch;
    std::uint16_t* low;  // the row to write; column 0 becomes 0
    std::uint32_t *sum, *square;
};
using IntegralRowFn = void (*)(const IntegralRow&) noexcept;

struct DetectKernels {
    HaarRowFn haar_row;
    HaarBatchFn haar_batch;  // null: haar_row does all stages
    int batch;               // windows in a batch, 0 without batches
    ShrinkRowFn shrink_row;
    BlendRowsFn blend_rows;
    IntegralRowFn integral_row;
};

}  // namespace mien
