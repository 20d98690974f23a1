// SPDX-License-Identifier: MIT
// The networks with NEON's matrix products: smmla multiplies two pixels by two channels, eight
// bytes each, in one instruction. Depthwise convolutions have no such shape and stay with the dot
// products. Built with -march=armv8.2-a+i8mm; runs only where dispatch.cpp found it. No standard
// library here, see tables.h.
#include "kernels/net/neon_common.h"
#include "kernels/tables.h"

namespace mien {
namespace {

// packed weights: [kernel_h][run_bytes / 8][8 channels][8], so two channels per vector
constexpr int conv_block = 8, group = 8;

// `pairs` pairs of neighboring outputs x `blocks` blocks of eight channels. Accumulators hold, for
// two channels a and b, pixel 0 a, pixel 0 b, pixel 1 a, pixel 1 b. With `single` the second pixel
// is the first once more, and is not stored.
template <int pairs, int blocks, bool single>
inline void conv_tile(const ConvArgs& args, const std::int8_t* field, const std::int8_t* weights,
                      std::size_t block_bytes, int n, std::int8_t* out) noexcept {
    constexpr int vectors = 4 * blocks;
    int32x4_t acc[pairs][vectors];
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) {
        const int32x2_t bias = vld1_s32(args.bias + n + 2 * v);
        MIEN_UNROLL
        for (int p = 0; p < pairs; ++p) acc[p][v] = vcombine_s32(bias, bias);
    }
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.input_pixel;
    for (int ky = 0; ky < args.kernel_h; ++ky) {
        const std::int8_t* run = field + ky * args.input_row;
        for (int k = 0; k < args.run_bytes; k += group, weights += group * conv_block) {
            int8x16_t w[vectors];
            MIEN_UNROLL
            for (int v = 0; v < vectors; ++v)
                w[v] =
                    vld1q_s8(weights + static_cast<std::size_t>(v / 4) * block_bytes + v % 4 * 16);
            MIEN_UNROLL
            for (int p = 0; p < pairs; ++p) {
                const std::int8_t* const at = run + k + 2 * p * step;
                const int8x16_t a = vcombine_s8(vld1_s8(at), vld1_s8(single ? at : at + step));
                MIEN_UNROLL
                for (int v = 0; v < vectors; ++v) acc[p][v] = vmmlaq_s32(acc[p][v], a, w[v]);
            }
        }
    }
    MIEN_UNROLL
    for (int p = 0; p < pairs; ++p) MIEN_UNROLL
    for (int pixel = 0; pixel < (single ? 1 : 2); ++pixel) MIEN_UNROLL
    for (int b = 0; b < blocks; ++b) {
        const auto half = [&](int v) {
            return pixel == 0 ? vget_low_s32(acc[p][v]) : vget_high_s32(acc[p][v]);
        };
        const float* const scale = args.scale + n + b * conv_block;
        const int32x4_t values[2] = {
            scaled_neon(vcombine_s32(half(4 * b), half(4 * b + 1)), vld1q_f32(scale)),
            scaled_neon(vcombine_s32(half(4 * b + 2), half(4 * b + 3)), vld1q_f32(scale + 4))};
        store8_neon(out + (2 * p + pixel) * args.output_pixel + n + b * conv_block, values,
                    args.low);
    }
}

template <int pairs, int blocks>
void conv_rows(const ConvArgs& args, int n, const std::int8_t* weights,
               std::size_t block_bytes) noexcept {
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.input_pixel;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* field =
            args.input + static_cast<std::ptrdiff_t>(y) * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        int x = 0;
        for (; x + 2 * pairs <= args.output_w; x += 2 * pairs)
            conv_tile<pairs, blocks, false>(args, field + x * step, weights, block_bytes, n,
                                            out + x * args.output_pixel);
        for (; x + 2 <= args.output_w; x += 2)
            conv_tile<1, blocks, false>(args, field + x * step, weights, block_bytes, n,
                                        out + x * args.output_pixel);
        if (x < args.output_w)
            conv_tile<1, blocks, true>(args, field + x * step, weights, block_bytes, n,
                                       out + x * args.output_pixel);
    }
}

void conv(const ConvArgs& args) noexcept {
    const auto* weights = static_cast<const std::int8_t*>(args.weights);
    const std::size_t block_bytes = static_cast<std::size_t>(args.kernel_h) *
                                    static_cast<std::size_t>(args.run_bytes) * conv_block;
    int n = 0;
    for (; n + 2 * conv_block <= args.output_channels;
         n += 2 * conv_block, weights += 2 * block_bytes)
        conv_rows<2, 2>(args, n, weights, block_bytes);
    if (n < args.output_channels) conv_rows<4, 1>(args, n, weights, block_bytes);
}

void depthwise(const DepthwiseArgs& args) noexcept { net_dotprod.depthwise(args); }

}  // namespace

const NetKernels net_i8mm = {
    .conv_layout = {.out_block = conv_block, .group = group, .element_bytes = 1},
    .conv_packing = nullptr,
    .conv = conv,
    .depthwise = depthwise,
    .max_pool = max_pool_neon,
    .avg_pool = avg_pool_neon,
    .add = add_neon,
    .sum_positions = sum_positions_scalar,
    .dot = dot_scalar,
    .lift = 0,
    .depthwise3 = &depthwise3_dotprod,
};

}  // namespace mien
