// SPDX-License-Identifier: MIT
// The networks with NEON, of armv7 and aarch64 alike, by widening multiplies: smull, and sadalp to add pairs.
// On armv7 built with -mfpu=neon; runs only where dispatch.cpp found NEON. No standard library here, see tables.h.
#include "kernels/net/neon_common.h"
#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    // Of each of four channels the sum over the first and over the second pair of every four bytes: added up at the end.
    struct I32 {
        int32x4_t low, high;  // channels 0, 0, 1, 1 and 2, 2, 3, 3
    };
    using F32 = float32x4_t;
    using Act = int8x8_t;
    using Weights = int8x16_t;
    using Words32 = int32x4_t;
    static constexpr int vectors = 2, pixels_of_one_block = 4, pixels_of_two_blocks = 2;

    static I32 load_bias(const std::int32_t* p) noexcept {
        const int32x4x2_t spread = vzipq_s32(vld1q_s32(p), vdupq_n_s32(0));
        return {spread.val[0], spread.val[1]};
    }
    static F32 load_scale(const float* p) noexcept { return vld1q_f32(p); }
    static Weights load_weights(const std::int8_t* p) noexcept { return vld1q_s8(p); }
    template <bool unsigned_input>
    static Act broadcast(const std::int8_t* p) noexcept {
        return broadcast_neon(p);
    }
    template <bool unsigned_input>
    static I32 dot(I32 acc, Act a, Weights w) noexcept {
        return {vpadalq_s16(acc.low, vmull_s8(vget_low_s8(w), a)), vpadalq_s16(acc.high, vmull_s8(vget_high_s8(w), a))};
    }
    static Words32 scaled(const I32& acc, F32 scale) noexcept {
        const int32x2_t low = vpadd_s32(vget_low_s32(acc.low), vget_high_s32(acc.low));
        const int32x2_t high = vpadd_s32(vget_low_s32(acc.high), vget_high_s32(acc.high));
        return scaled_neon(vcombine_s32(low, high), scale);
    }
    static void store8(std::int8_t* p, const Words32 (&v)[2], std::int8_t low, std::uint8_t) noexcept { store8_neon(p, v, low); }
    static void store16(std::int8_t* p, const Words32 (&v)[4], std::int8_t low, std::uint8_t) noexcept { store16_neon(p, v, low); }
};

#include "kernels/net/conv_body.inl"

// Any depthwise kernel, eight channels and up to four pixels at a time. Two products fit in 16 bits: taps go in pairs.
template <int pixels>
inline void depthwise_tile(const DepthwiseArgs& args, const std::int8_t* field, int n, std::int8_t* out) noexcept {
    const int taps = args.kernel_h * args.kernel_w;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.channels;
    int32x4_t acc[pixels][2];
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        acc[p][0] = vld1q_s32(args.bias + n);
        acc[p][1] = vld1q_s32(args.bias + n + 4);
    }
    const std::int8_t* tap = field + n;
    int kx = 0;
    const auto next_tap = [&] {
        const std::int8_t* const at = tap;
        tap += args.channels;
        if (++kx == args.kernel_w) {
            kx = 0;
            tap += args.input_row - static_cast<std::ptrdiff_t>(args.kernel_w) * args.channels;
        }
        return at;
    };
    for (int t = 0; t < taps; t += 2) {
        const int16x8x2_t both = vld2q_s16(args.weights + (t / 2 * args.channels + n) * 2);
        const int8x8_t w0 = vmovn_s16(both.val[0]), w1 = vmovn_s16(both.val[1]);
        const std::int8_t* const first = next_tap();
        const std::int8_t* const second = t + 1 < taps ? next_tap() : first;  // the weights of a missing tap are 0
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) {
            const int16x8_t sum = vmlal_s8(vmull_s8(vld1_s8(first + p * step), w0), vld1_s8(second + p * step), w1);
            acc[p][0] = vaddw_s16(acc[p][0], vget_low_s16(sum));
            acc[p][1] = vaddw_s16(acc[p][1], vget_high_s16(sum));
        }
    }
    const float32x4_t scale0 = vld1q_f32(args.scale + n), scale1 = vld1q_f32(args.scale + n + 4);
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        const int32x4_t values[2] = {scaled_neon(acc[p][0], scale0), scaled_neon(acc[p][1], scale1)};
        store8_neon(out + p * args.channels + n, values, args.low);
    }
}

void depthwise(const DepthwiseArgs& args) noexcept {
    constexpr int pixels = 4;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.channels;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* field = args.input + static_cast<std::ptrdiff_t>(y) * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int n = 0; n < args.channels; n += 8) {
            int x = 0;
            for (; x + pixels <= args.output_w; x += pixels) depthwise_tile<pixels>(args, field + x * step, n, out + x * args.channels);
            for (; x < args.output_w; ++x) depthwise_tile<1>(args, field + x * step, n, out + x * args.channels);
        }
    }
}

}  // namespace

const NetKernels net_neon = {
    .conv_layout = conv_layout,
    .conv = conv,
    .depthwise = depthwise,
    .max_pool = max_pool_scalar,
    .avg_pool = avg_pool_scalar,
    .add = add_scalar,
    .sum_positions = sum_positions_scalar,
    .dot = dot_scalar,
    .lift = 0,
    .depthwise3 = nullptr,
};

}  // namespace mien
