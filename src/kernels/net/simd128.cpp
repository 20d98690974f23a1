// SPDX-License-Identifier: MIT
// The networks with WebAssembly's 128-bit vectors: int8 widened to int16, and i32x4.dot_i16x8 for
// pairs of products. Built with -msimd128; a module that has this file is loaded only where the
// browser knows these vectors. See tables.h.
#include <wasm_simd128.h>

#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    using Acc = v128_t;
    using I32 = v128_t;
    using F32 = v128_t;
    struct Act {
        v128_t first, second;  // the first and the second pair of four inputs, in every 32-bit lane
    };
    using Weights = Act;  // of four channels
    static constexpr int vectors = 2, pixels_of_one_block = 4, pixels_of_two_blocks = 2;

    static Acc load_bias(const std::int32_t* p) noexcept { return wasm_v128_load(p); }
    static F32 load_scale(const float* p) noexcept { return wasm_v128_load(p); }
    static Weights load_weights(const std::int8_t* p) noexcept {
        const v128_t a = wasm_i16x8_load8x8(p), b = wasm_i16x8_load8x8(p + 8);
        return {wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7)};
    }
    template <bool unsigned_input>
    static Act broadcast(const std::int8_t* p) noexcept {
        const v128_t wide = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(p));
        return {wasm_i32x4_shuffle(wide, wide, 0, 0, 0, 0),
                wasm_i32x4_shuffle(wide, wide, 1, 1, 1, 1)};
    }
    template <bool unsigned_input>
    static Acc dot(Acc acc, const Act& a, const Weights& w) noexcept {
        return wasm_i32x4_add(wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(a.first, w.first)),
                              wasm_i32x4_dot_i16x8(a.second, w.second));
    }
    static I32 scaled(Acc acc, F32 scale) noexcept {
        return wasm_i32x4_trunc_sat_f32x4(
            wasm_f32x4_nearest(wasm_f32x4_mul(wasm_f32x4_convert_i32x4(acc), scale)));
    }
    static void store_clamped8(std::int8_t* p, const I32 (&v)[2], std::int8_t low,
                               std::uint8_t) noexcept {
        const v128_t words = wasm_i16x8_narrow_i32x4(v[0], v[1]);
        wasm_v128_store64_lane(
            p, wasm_i8x16_max(wasm_i8x16_narrow_i16x8(words, words), wasm_i8x16_splat(low)), 0);
    }
    static void store_clamped16(std::int8_t* p, const I32 (&v)[4], std::int8_t low,
                                std::uint8_t) noexcept {
        const v128_t all = wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(v[0], v[1]),
                                                   wasm_i16x8_narrow_i32x4(v[2], v[3]));
        wasm_v128_store(p, wasm_i8x16_max(all, wasm_i8x16_splat(low)));
    }

    // Depthwise.
    struct Taps {
        v128_t low, high;  // of four channels each, both taps of a channel side by side
    };
    static I32 load_i32(const std::int32_t* p) noexcept { return wasm_v128_load(p); }
    static Taps load_taps(const std::int16_t* p) noexcept {
        return {wasm_v128_load(p), wasm_v128_load(p + 8)};
    }
    using Bytes = v128_t;
    static Bytes load8(const std::int8_t* p) noexcept { return wasm_v128_load64_zero(p); }
    static void add_taps(I32 (&acc)[2], Bytes a, Bytes b, const Taps& w) noexcept {
        const v128_t pairs =
            wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        acc[0] =
            wasm_i32x4_add(acc[0], wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(pairs), w.low));
        acc[1] = wasm_i32x4_add(acc[1],
                                wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(pairs), w.high));
    }
    static v128_t multiply_tap(Bytes a, Bytes w) noexcept {
        return wasm_i16x8_extmul_low_i8x16(a, w);
    }
    static v128_t add_tap(v128_t sum, Bytes a, Bytes w) noexcept {
        return wasm_i16x8_add(sum, multiply_tap(a, w));
    }
    static void add_words(I32 (&acc)[2], v128_t sum) noexcept {
        acc[0] = wasm_i32x4_add(acc[0], wasm_i32x4_extend_low_i16x8(sum));
        acc[1] = wasm_i32x4_add(acc[1], wasm_i32x4_extend_high_i16x8(sum));
    }

    static void average8(const std::int8_t* a, const std::int8_t* b, const std::int8_t* c,
                         const std::int8_t* d, std::uint8_t, std::int8_t* out) noexcept {
        const v128_t sum =
            wasm_i16x8_add(wasm_i16x8_add(wasm_i16x8_load8x8(a), wasm_i16x8_load8x8(b)),
                           wasm_i16x8_add(wasm_i16x8_load8x8(c), wasm_i16x8_load8x8(d)));
        const v128_t one = wasm_i16x8_splat(1), odd = wasm_v128_and(wasm_i16x8_shr(sum, 2), one);
        const v128_t mean = wasm_i16x8_shr(wasm_i16x8_add(wasm_i16x8_add(sum, one), odd), 2);
        wasm_v128_store64_lane(
            out, wasm_i8x16_max(wasm_i8x16_narrow_i16x8(mean, mean), wasm_i8x16_splat(-127)), 0);
    }
};

#define MIEN_CONV_ANY_SIGN 1
#include "kernels/net/average_body.inl"
#include "kernels/net/conv_body.inl"
#include "kernels/net/depthwise_body.inl"

}  // namespace

const NetKernels net_simd128 = {
    .conv_layout = conv_layout,
    .conv_packing = nullptr,
    .conv = conv,
    .depthwise = depthwise,
    .max_pool = max_pool_scalar,
    .avg_pool = average_pool,
    .add = add_scalar,
    .sum_positions = sum_positions_scalar,
    .dot = dot_scalar,
    .lift = 0,
    .depthwise3 = nullptr,
};

}  // namespace mien
