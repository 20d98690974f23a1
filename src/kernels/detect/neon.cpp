// SPDX-License-Identifier: MIT
// The detector's row of windows with NEON, of armv7 and aarch64 alike: eight windows at a time.
// On armv7 built with -mfpu=neon; runs only where dispatch.cpp found NEON. No standard library
// here, see tables.h.
#include <arm_neon.h>

#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    static constexpr int lanes = 8, parts = 2;
    using U16 = uint16x8_t;
    using I32 = int32x4_t;
    using F32 = float32x4_t;

    static U16 load16(const std::uint16_t* p) noexcept { return vld1q_u16(p); }
    static U16 add16(U16 a, U16 b) noexcept { return vaddq_u16(a, b); }
    static U16 sub16(U16 a, U16 b) noexcept { return vsubq_u16(a, b); }
    static U16 times16(U16 a, std::int32_t b) noexcept {
        return vmulq_n_u16(a, static_cast<std::uint16_t>(b));
    }
    static U16 load_columns(const std::uint16_t* const* windows, std::ptrdiff_t from) noexcept {
        return load16(windows[0] + from);
    }
    static void widen(U16 v, I32 (&out)[parts]) noexcept {
        const int16x8_t s = vreinterpretq_s16_u16(v);
        out[0] = vmovl_s16(vget_low_s16(s));
        out[1] = vmovl_s16(vget_high_s16(s));
    }

    static I32 zero() noexcept { return vdupq_n_s32(0); }
    static I32 load(const std::uint32_t* p) noexcept { return vreinterpretq_s32_u32(vld1q_u32(p)); }
    static I32 add(I32 a, I32 b) noexcept { return vaddq_s32(a, b); }
    static I32 sub(I32 a, I32 b) noexcept { return vsubq_s32(a, b); }
    static F32 to_float(I32 a) noexcept { return vcvtq_f32_s32(a); }
    static F32 splat(float v) noexcept { return vdupq_n_f32(v); }
    static F32 mul(F32 a, F32 b) noexcept { return vmulq_f32(a, b); }
    static F32 add(F32 a, F32 b) noexcept { return vaddq_f32(a, b); }
    static I32 choose(I32 sum, F32 value, float threshold, std::int32_t gain) noexcept {
        const uint32x4_t below = vcltq_f32(value, vdupq_n_f32(threshold));
        return vaddq_s32(sum, vandq_s32(vreinterpretq_s32_u32(below), vdupq_n_s32(gain)));
    }
    static I32 constant(std::int32_t v) noexcept { return vdupq_n_s32(v); }
    static I32 select(F32 value, float threshold, I32 below, I32 other) noexcept {
        return vbslq_s32(vcltq_f32(value, vdupq_n_f32(threshold)), below, other);
    }
    static std::uint32_t at_least(I32 a, std::int32_t limit) noexcept {
        const std::uint32_t weights[4] = {1, 2, 4, 8};
        const uint32x4_t bits = vandq_u32(vcgeq_s32(a, vdupq_n_s32(limit)), vld1q_u32(weights));
        const uint32x2_t pairs = vpadd_u32(vget_low_u32(bits), vget_high_u32(bits));
        return vget_lane_u32(vpadd_u32(pairs, pairs), 0);
    }
    static F32 load_float(const float* p) noexcept { return vld1q_f32(p); }
    static void store(float* p, F32 v) noexcept { vst1q_f32(p, v); }
    static float lane(F32 v, int i) noexcept {
        float values[4];
        vst1q_f32(values, v);
        return values[i];
    }

    static std::uint32_t normalise(I32 sum, I32 square, double area, F32& norm) noexcept {
#if defined(__aarch64__)
        const uint32x4_t s = vreinterpretq_u32_s32(sum), q = vreinterpretq_u32_s32(square);
        std::uint32_t low_bits, high_bits;
        const float32x2_t low = normalise2(vget_low_u32(s), vget_low_u32(q), area, low_bits);
        const float32x2_t high = normalise2(vget_high_u32(s), vget_high_u32(q), area, high_bits);
        norm = vcombine_f32(low, high);
        return low_bits | high_bits << 2;
#else
        std::uint32_t s[4], q[4], bits = 0;
        float values[4] = {};
        vst1q_u32(s, vreinterpretq_u32_s32(sum));
        vst1q_u32(q, vreinterpretq_u32_s32(square));
        for (int i = 0; i < 4; ++i)
            if (haar_norm(s[i], q[i], area, values[i])) bits |= 1u << i;
        norm = vld1q_f32(values);
        return bits;
#endif
    }
#if defined(__aarch64__)
    // As haar_norm(), for two windows.
    static float32x2_t normalise2(uint32x2_t s, uint32x2_t q, double area,
                                  std::uint32_t& bits) noexcept {
        const float64x2_t sum = vcvtq_f64_u64(vmovl_u32(s)), square = vcvtq_f64_u64(vmovl_u32(q));
        const float64x2_t nf = vsubq_f64(vmulq_n_f64(square, area), vmulq_f64(sum, sum));
        const uint64x2_t positive = vcgtq_f64(nf, vdupq_n_f64(0));
        // Lanes that are not positive compute with 1 instead, so that no invalid operation is
        // raised.
        const float64x2_t safe = vbslq_f64(positive, nf, vdupq_n_f64(1));
        const float32x2_t norm = vcvt_f32_f64(vdivq_f64(vdupq_n_f64(1), vsqrtq_f64(safe)));
        const uint64x2_t textured =
            vandq_u64(positive, vcltq_f64(vmulq_n_f64(vcvt_f64_f32(norm), area), vdupq_n_f64(0.1)));
        bits = static_cast<std::uint32_t>((vgetq_lane_u64(textured, 0) & 1) |
                                          (vgetq_lane_u64(textured, 1) & 2));
        return norm;
    }
#endif
};

#include "kernels/detect/haar_body.inl"
#include "kernels/detect/rows_body.inl"

}  // namespace

const DetectKernels detect_neon = {
    .haar_row = haar_row,
    .haar_batch = haar_batch,
    .batch = unit_lanes,
    .shrink_row = shrink_row,
    .blend_rows = blend_rows,
    .integral_row = integral_row,
};

}  // namespace mien
