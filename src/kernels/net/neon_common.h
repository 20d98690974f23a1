// SPDX-License-Identifier: MIT
// What the NEON paths share: rounding, saturating and storing, on armv7 and aarch64 alike. Included
// inside an anonymous namespace's file, after <arm_neon.h>.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace mien {
namespace {

// f32(acc) * scale, clamped, rounded to nearest even. armv7 has no such conversion: adding 1.5 *
// 2^23 leaves the rounded value in the low bits of the sum; the clamp makes it fit and does not
// change what saturation gives.
inline int32x4_t scaled_neon(int32x4_t acc, float32x4_t scale) noexcept {
    const float32x4_t value = vmulq_f32(vcvtq_f32_s32(acc), scale);
#if defined(__aarch64__)
    return vcvtnq_s32_f32(value);
#else
    const float32x4_t magic = vdupq_n_f32(12582912.0f);
    const float32x4_t clamped =
        vminq_f32(vmaxq_f32(value, vdupq_n_f32(-128.0f)), vdupq_n_f32(127.0f));
    return vsubq_s32(vreinterpretq_s32_f32(vaddq_f32(clamped, magic)),
                     vreinterpretq_s32_f32(magic));
#endif
}

inline int8x8_t narrow_neon(int32x4_t a, int32x4_t b) noexcept {
    return vqmovn_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)));
}

inline void store8_neon(std::int8_t* p, const int32x4_t (&v)[2], std::int8_t low) noexcept {
    vst1_s8(p, vmax_s8(narrow_neon(v[0], v[1]), vdup_n_s8(low)));
}
inline void store16_neon(std::int8_t* p, const int32x4_t (&v)[4], std::int8_t low) noexcept {
    vst1q_s8(p, vmaxq_s8(vcombine_s8(narrow_neon(v[0], v[1]), narrow_neon(v[2], v[3])),
                         vdupq_n_s8(low)));
}

inline int8x8_t broadcast_neon(const std::int8_t* p) noexcept {
    std::int32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return vreinterpret_s8_s32(vdup_n_s32(v));
}

}  // namespace
}  // namespace mien
