// SPDX-License-Identifier: MIT
// What an instruction set provides for the int8 networks: parameter structs and the functions that
// take them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mien {

// activations are stored with channels padded to this, padding channels are zero
constexpr int channel_multiple = 8;

// Packed weights of a convolution: [block][kernel_h][run_bytes / group][out_block][group], where
// `run` is the kernel row: kernel_w * input pixel bytes, contiguous in channels-last memory,
// rounded up to the group (zero weights beyond). The group and the element width are the kernel's
// choice: see ConvLayout. With a ConvPacking only out_block counts, and run_bytes is not rounded (a
// group of 1).
struct ConvLayout {
    int out_block;      // output channels that one block of packed weights serves
    int group;          // input bytes that one packed step multiplies
    int element_bytes;  // 1: int8 weights, 2: weights widened to int16
};

// Instructions that multiply unsigned by signed bytes want inputs that are not negative. An
// instruction set with such (NetKernels::lift = 0x80) has tensors that may be negative stored as x
// ^ 0x80, that is x + 128, "lifted"; biases of the layers that read them are less by 128 * sum(w).
// Every other tensor has a lift of 0.

// Outputs: clamp(round to nearest even(f32(accumulator) * scale), low, 127). Accumulators fit in 32
// bits and their products with the scale are below 2^31 in magnitude: opening a file makes sure of
// both.
struct ConvArgs {
    // first byte of the receptive field of output (0, 0), border included
    const std::int8_t* input;
    std::ptrdiff_t input_row;  // bytes from one input row to the next
    int input_pixel;           // bytes from one input pixel to the next
    int kernel_h, run_bytes;   // see ConvLayout
    int stride_y, stride_x;
    int output_h, output_w;
    int output_channels;       // padded to channel_multiple
    const void* weights;       // packed
    const std::int32_t* bias;  // [output_channels rounded up to out_block]
    const float* scale;        // the same length
    std::int8_t* output;
    std::ptrdiff_t output_row;
    int output_pixel;
    std::int8_t low;      // 0 after ReLU, else -127
    bool input_unsigned;  // no input byte is negative, or the input is lifted
    std::uint8_t output_lift;
    std::int8_t* scratch;  // ConvPacking::scratch_bytes, aligned to 64
};
using ConvFn = void (*)(const ConvArgs&) noexcept;

// What the packed weights of a convolution depend on.
struct ConvGeometry {
    int kernel_h, kernel_w, stride_x;
    int input_pixel;      // bytes
    int inputs, outputs;  // channels with weights
    int output_channels;  // padded to channel_multiple
    int largest_input;    // in magnitude, as stored
    int largest_weight;   // in magnitude
    bool input_unsigned;  // as in ConvArgs
};

// The packing of an instruction set that orders the weights as their values allow.
struct ConvPacking {
    std::size_t (*packed_bytes)(const ConvGeometry& geometry) noexcept;
    std::size_t (*scratch_bytes)(const ConvGeometry& geometry) noexcept;
    // weights[((output * kernel_h + y) * kernel_w + x) * inputs + input]
    void (*pack)(const ConvGeometry& geometry, const std::int8_t* weights, void* packed) noexcept;
};

// Packed weights: int16 [tap pair][channels][2], taps in row-major order, an odd last tap paired
// with zero weights.
struct DepthwiseArgs {
    const std::int8_t* input;
    std::ptrdiff_t input_row;
    int kernel_h, kernel_w;
    int stride_y, stride_x;
    int output_h, output_w;
    int channels;  // padded; also the bytes of an input and an output pixel
    const std::int16_t* weights;
    const std::int32_t* bias;  // [channels]
    const float* scale;
    std::int8_t* output;
    std::ptrdiff_t output_row;
    std::int8_t low;
    bool input_unsigned;
    std::uint8_t input_lift, output_lift;
    // [tap][channels], if no input makes the sum of an output's products overflow 16 bits; else null
    const std::int8_t* small_weights;
    // a 3x3 kernel with stride 1 as Depthwise3 packs it, if the instruction set has that
    const void* packed3;
    std::int8_t* scratch;  // Depthwise3::scratch_bytes, aligned to 64
};
// What the magnitudes of an output's weights may add up to for that: inputs reach 127.
constexpr int largest_small_sum = 32767 / 127;
using DepthwiseFn = void (*)(const DepthwiseArgs&) noexcept;

// Pooling looks only at positions inside the input: windows are clipped at its edges.
struct PoolArgs {
    const std::int8_t* input;  // pixel (0, 0)
    std::ptrdiff_t input_row;
    int input_h, input_w;
    int kernel_h, kernel_w, stride_y, stride_x, pad_top, pad_left;
    int output_h, output_w;
    int channels;  // padded; also the bytes of a pixel
    std::int8_t* output;
    std::ptrdiff_t output_row;
    std::uint8_t lift;  // of input and output
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
    std::uint8_t a_lift, b_lift, output_lift;
};
using AddFn = void (*)(const AddArgs&) noexcept;

// sums[c] = the sum of channel c over height x width positions (at most 2^16), `pixel` and `row`
// bytes apart.
struct SumArgs {
    const std::int8_t* input;
    std::ptrdiff_t row;
    std::ptrdiff_t pixel;
    int height, width, channels;
    std::uint8_t lift;
    std::int32_t* sums;
};
using SumFn = void (*)(const SumArgs&) noexcept;
// The sum of a[i] * w[i].
using DotFn = std::int32_t (*)(const std::int32_t* a, const std::int8_t* w, int count) noexcept;

// A 3x3 depthwise convolution with stride 1 as dot products of four: weights, biases and scales in
// an order of its own.
struct Depthwise3 {
    std::size_t (*packed_bytes)(int channels) noexcept;
    // weights[tap * real_channels + c]; channels beyond real_channels are padding, with weights 0.
    void (*pack)(const std::int8_t* weights, int real_channels, int channels,
                 const std::int32_t* bias, const float* scale, std::uint8_t input_lift,
                 void* packed) noexcept;
    std::size_t (*scratch_bytes)(int output_w, int channels) noexcept;
    // The sums times their scales instead of bytes: output_h x output_w x channels floats. For
    // channels in groups of sixteen; output, output_row, low and output_lift are not used.
    void (*floats)(const DepthwiseArgs& args, float* values) noexcept;
};

struct NetKernels {
    ConvLayout conv_layout;
    const ConvPacking* conv_packing;  // null: packed as conv_layout has it
    ConvFn conv;
    DepthwiseFn depthwise;
    PoolFn max_pool, avg_pool;
    AddFn add;
    SumFn sum_positions;
    DotFn dot;
    std::uint8_t lift;
    const Depthwise3* depthwise3;  // null: DepthwiseArgs::packed3 and ::scratch are not wanted
};

}  // namespace mien
