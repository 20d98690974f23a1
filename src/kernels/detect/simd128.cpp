// SPDX-License-Identifier: MIT
// The detector's row of windows with WebAssembly's 128-bit vectors: eight windows at a time.
// Built with -msimd128; a module that has this file is loaded only where the browser knows these
// vectors. See tables.h.
#include <wasm_simd128.h>

#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    static constexpr int lanes = 8, parts = 2;
    using U16 = v128_t;
    using I32 = v128_t;
    using F32 = float __attribute__((vector_size(16)));  // v128_t is the integers'

    static U16 load16(const std::uint16_t* p) noexcept { return wasm_v128_load(p); }
    static U16 add16(U16 a, U16 b) noexcept { return wasm_i16x8_add(a, b); }
    static U16 sub16(U16 a, U16 b) noexcept { return wasm_i16x8_sub(a, b); }
    static U16 times16(U16 a, std::int32_t b) noexcept {
        return wasm_i16x8_mul(a, wasm_i16x8_splat(static_cast<std::int16_t>(b)));
    }
    static U16 load_columns(const std::uint16_t* const* windows, std::ptrdiff_t from) noexcept {
        return load16(windows[0] + from);
    }
    static void widen(U16 v, I32 (&out)[parts]) noexcept {
        out[0] = wasm_i32x4_extend_low_i16x8(v);
        out[1] = wasm_i32x4_extend_high_i16x8(v);
    }

    static I32 zero() noexcept { return wasm_i32x4_splat(0); }
    static I32 load(const std::uint32_t* p) noexcept { return wasm_v128_load(p); }
    static I32 add(I32 a, I32 b) noexcept { return wasm_i32x4_add(a, b); }
    static I32 sub(I32 a, I32 b) noexcept { return wasm_i32x4_sub(a, b); }
    static F32 to_float(I32 a) noexcept { return __builtin_convertvector(a, F32); }
    static F32 splat(float v) noexcept { return F32{v, v, v, v}; }
    static F32 mul(F32 a, F32 b) noexcept { return a * b; }
    static F32 add(F32 a, F32 b) noexcept { return a + b; }
    static I32 choose(I32 sum, F32 value, float threshold, std::int32_t gain) noexcept {
        const v128_t below =
            wasm_f32x4_lt(reinterpret_cast<v128_t>(value), wasm_f32x4_splat(threshold));
        return wasm_i32x4_add(sum, wasm_v128_and(below, wasm_i32x4_splat(gain)));
    }
    static I32 constant(std::int32_t v) noexcept { return wasm_i32x4_splat(v); }
    static I32 select(F32 value, float threshold, I32 below, I32 other) noexcept {
        return wasm_v128_bitselect(
            below, other,
            wasm_f32x4_lt(reinterpret_cast<v128_t>(value), wasm_f32x4_splat(threshold)));
    }
    static std::uint32_t at_least(I32 a, std::int32_t limit) noexcept {
        return static_cast<std::uint32_t>(
            wasm_i32x4_bitmask(wasm_i32x4_ge(a, wasm_i32x4_splat(limit))));
    }
    static F32 load_float(const float* p) noexcept {
        return reinterpret_cast<F32>(wasm_v128_load(p));
    }
    static void store(float* p, F32 v) noexcept { wasm_v128_store(p, reinterpret_cast<v128_t>(v)); }
    static float lane(F32 v, int i) noexcept { return v[i]; }

    // As haar_norm(), for the first two windows; the others of the four are 0.
    static v128_t normalise2(v128_t s, v128_t q, double area, std::uint32_t& bits) noexcept {
        const v128_t sum = wasm_f64x2_convert_low_u32x4(s),
                     square = wasm_f64x2_convert_low_u32x4(q), a = wasm_f64x2_splat(area);
        const v128_t nf = wasm_f64x2_sub(wasm_f64x2_mul(a, square), wasm_f64x2_mul(sum, sum));
        const v128_t positive = wasm_f64x2_gt(nf, wasm_f64x2_splat(0));
        const v128_t one = wasm_f64x2_splat(1);
        const v128_t norm = wasm_f32x4_demote_f64x2_zero(
            wasm_f64x2_div(one, wasm_f64x2_sqrt(wasm_v128_bitselect(nf, one, positive))));
        const v128_t textured = wasm_f64x2_lt(wasm_f64x2_mul(a, wasm_f64x2_promote_low_f32x4(norm)),
                                              wasm_f64x2_splat(0.1));
        bits = static_cast<std::uint32_t>(wasm_i64x2_bitmask(wasm_v128_and(positive, textured)));
        return norm;
    }
    static std::uint32_t normalise(I32 s, I32 q, double area, F32& norm) noexcept {
        std::uint32_t low_bits, high_bits;
        const v128_t low = normalise2(s, q, area, low_bits);
        const v128_t high = normalise2(wasm_i64x2_shuffle(s, s, 1, 1),
                                       wasm_i64x2_shuffle(q, q, 1, 1), area, high_bits);
        norm = reinterpret_cast<F32>(wasm_i64x2_shuffle(low, high, 0, 2));
        return low_bits | high_bits << 2;
    }
};

#include "kernels/detect/haar_body.inl"
#include "kernels/detect/rows_body.inl"

}  // namespace

const DetectKernels detect_simd128 = {
    .haar_row = haar_row,
    .haar_batch = haar_batch,
    .batch = unit_lanes,
    .shrink_row = shrink_row,
    .blend_rows = blend_rows,
    .integral_row = integral_row,
};

}  // namespace mien
