// SPDX-License-Identifier: MIT
// The networks with NEON's dot products: sdot adds four products of signed bytes to a 32-bit lane.
// Built with -march=armv8.2-a+dotprod; runs only where dispatch.cpp found them. No standard library
// here, see tables.h.
#include "kernels/net/neon_common.h"
#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    static constexpr int bytes = 16;
    using U8 = int8x16_t;
    using Acc = int32x4_t;
    using I32 = int32x4_t;
    using I16 = int16x8_t;
    using F32 = float32x4_t;
    using Act = int8x16_t;
    using Weights = int8x16_t;

    template <bool unsigned_input>
    static Acc dot(Acc acc, Act a, Weights w) noexcept {
        return vdotq_s32(acc, w, a);
    }
    static Weights load_weights(const std::int8_t* p) noexcept { return vld1q_s8(p); }
    static I32 scaled(Acc acc, F32 scale) noexcept { return scaled_neon(acc, scale); }

    // Convolution.
    static constexpr int vectors = 2, pixels_of_one_block = 8, pixels_of_two_blocks = 4;
    static Acc load_bias(const std::int32_t* p) noexcept { return vld1q_s32(p); }
    static F32 load_scale(const float* p) noexcept { return vld1q_f32(p); }
    template <bool unsigned_input>
    static Act broadcast(const std::int8_t* p) noexcept {
        const int8x8_t half = broadcast_neon(p);
        return vcombine_s8(half, half);
    }
    static void store_clamped8(std::int8_t* p, const I32 (&v)[2], std::int8_t low,
                               std::uint8_t) noexcept {
        store8_neon(p, v, low);
    }
    static void store_clamped16(std::int8_t* p, const I32 (&v)[4], std::int8_t low,
                                std::uint8_t) noexcept {
        store16_neon(p, v, low);
    }

    // Depthwise.
    static U8 load(const std::int8_t* p) noexcept { return vld1q_s8(p); }
    static void store(std::int8_t* p, U8 v) noexcept { vst1q_s8(p, v); }
    // rows are whole groups of eight channels
    static void store_part(std::int8_t* p, U8 v, int count) noexcept {
        if (count == bytes)
            vst1q_s8(p, v);
        else
            vst1_s8(p, vget_low_s8(v));
    }
    static U8 low8(U8 a, U8 b) noexcept { return vzip1q_s8(a, b); }
    static U8 high8(U8 a, U8 b) noexcept { return vzip2q_s8(a, b); }
    static U8 low16(U8 a, U8 b) noexcept {
        return vreinterpretq_s8_s16(vzip1q_s16(vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b)));
    }
    static U8 high16(U8 a, U8 b) noexcept {
        return vreinterpretq_s8_s16(vzip2q_s16(vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b)));
    }
    template <bool unsigned_input>
    static Act prepare(U8 v) noexcept {
        return v;
    }
    static I16 requantise(Acc a, F32 a_scale, Acc b, F32 b_scale) noexcept {
        return vcombine_s16(vqmovn_s32(scaled(a, a_scale)), vqmovn_s32(scaled(b, b_scale)));
    }
    static void store_floats(float* p, Acc acc, F32 scale, int) noexcept {
        vst1q_f32(p, vmulq_f32(vcvtq_f32_s32(acc), scale));
    }
    static U8 pack_bytes(I16 front, I16 back, std::int8_t low, std::uint8_t) noexcept {
        const int8x16_t all = vcombine_s8(vqmovn_s16(front), vqmovn_s16(back));
        return vmaxq_s8(all, vdupq_n_s8(low));
    }
};

#include "kernels/net/conv_body.inl"
#include "kernels/net/depthwise3_body.inl"

void depthwise(const DepthwiseArgs& args) noexcept {
    if (args.packed3 != nullptr)
        depthwise3_any(args);
    else
        net_neon.depthwise(args);
}

}  // namespace

const Depthwise3 depthwise3_dotprod = depthwise3_functions;

const NetKernels net_dotprod = {
    .conv_layout = conv_layout,
    .conv_packing = nullptr,
    .conv = conv,
    .depthwise = depthwise,
    .max_pool = max_pool_neon,
    .avg_pool = avg_pool_neon,
    .add = add_neon,
    .sum_positions = sum_positions_scalar,
    .dot = dot_scalar,
    .lift = 0,
    .depthwise3 = &depthwise3_functions,
};

}  // namespace mien
