// SPDX-License-Identifier: MIT
// What must an instruction set provide? The contract of every hot loop: parameter structs and one table of functions.
//
// scalar.cpp fills the whole table in portable C++; an instruction set overlays what it does better (dispatch.cpp).
// Every entry gives the same bits on every instruction set; tests/unit/test_kernels.cpp sweeps shapes to prove it.
//
// Memory: kernels may read up to `read_slack` bytes past the last byte that they use (the planner leaves room), and write
// nothing but the outputs named. Nothing here allocates or checks: shapes were validated when the file was opened.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mien/mien.hpp"

namespace mien {

constexpr std::size_t read_slack = 64;
constexpr int channel_multiple = 8;  // activations are stored with channels padded to this, padding channels are zero

// ---------------------------------------------------------------------------------------------- network, int8

// Packed weights of a convolution: [block][kernel_h][run_bytes / group][out_block][group], where `run` is the kernel row:
// kernel_w * input pixel bytes, contiguous in channels-last memory, rounded up to the group (zero weights beyond).
// The group and the element width are the kernel's choice: see ConvLayout.
struct ConvLayout {
    int out_block;      // output channels that one block of packed weights serves
    int group;          // input bytes that one packed step multiplies
    int element_bytes;  // 1: int8 weights, 2: weights widened to int16
};

struct ConvArgs {
    const std::int8_t* input;      // first byte of the receptive field of output (0, 0), border included
    std::ptrdiff_t input_row;      // bytes from one input row to the next
    int input_pixel;               // bytes from one input pixel to the next
    int kernel_h, run_bytes;       // see ConvLayout
    int stride_y, stride_x;
    int output_h, output_w;
    int output_channels;           // padded to channel_multiple
    const void* weights;           // packed
    const std::int32_t* bias;      // [output_channels rounded up to out_block]
    const float* scale;            // the same length
    std::int8_t* output;
    std::ptrdiff_t output_row;
    int output_pixel;
    std::int8_t low;               // 0 after ReLU, else -127
    bool input_nonnegative;        // every input byte is >= 0
};
using ConvFn = void (*)(const ConvArgs&) noexcept;

// Packed weights: int16 [tap pair][channels][2], taps in row-major order, an odd last tap paired with zero weights.
struct DepthwiseArgs {
    const std::int8_t* input;
    std::ptrdiff_t input_row;
    int kernel_h, kernel_w;
    int stride_y, stride_x;
    int output_h, output_w;
    int channels;                  // padded; also the bytes of an input and an output pixel
    const std::int16_t* weights;
    const std::int32_t* bias;      // [channels]
    const float* scale;
    std::int8_t* output;
    std::ptrdiff_t output_row;
    std::int8_t low;
};
using DepthwiseFn = void (*)(const DepthwiseArgs&) noexcept;

// Pooling looks only at positions inside the input: windows are clipped at its edges.
struct PoolArgs {
    const std::int8_t* input;      // pixel (0, 0)
    std::ptrdiff_t input_row;
    int input_h, input_w;
    int kernel_h, kernel_w, stride_y, stride_x, pad_top, pad_left;
    int output_h, output_w;
    int channels;                  // padded; also the bytes of a pixel
    std::int8_t* output;
    std::ptrdiff_t output_row;
};
using PoolFn = void (*)(const PoolArgs&) noexcept;

// output[i] = clamp(a[i] + b[i], low, 127) over rows of `row_bytes` bytes.
struct AddArgs {
    const std::int8_t *a, *b;
    std::ptrdiff_t a_row, b_row;
    int rows, row_bytes;
    std::int8_t* output;
    std::ptrdiff_t output_row;
    std::int8_t low;
};
using AddFn = void (*)(const AddArgs&) noexcept;

// ---------------------------------------------------------------------------------------------- detector

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

// ---------------------------------------------------------------------------------------------- table

struct Kernels {
    Isa isa;
    ConvLayout conv_layout;
    ConvFn conv;
    DepthwiseFn depthwise;
    PoolFn max_pool, avg_pool;
    AddFn add;
    HaarRowFn haar_row;
};

// The table of an instruction set that is available (see isa_available); Isa::best and unavailable ones are resolved.
[[nodiscard]] const Kernels& kernels_for(Isa isa) noexcept;

}  // namespace mien
