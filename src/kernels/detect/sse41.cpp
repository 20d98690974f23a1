// SPDX-License-Identifier: MIT
// The detector's row of windows with SSE4.1: eight windows at a time.
// Built with -msse4.1; runs only where dispatch.cpp found SSE4.1. No standard library here, see
// tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

struct V {
    static constexpr int lanes = 8, parts = 2;
    using U16 = __m128i;
    using I32 = __m128i;
    using F32 = __m128;

    static U16 load16(const std::uint16_t* p) noexcept { return load128(p); }
    static U16 add16(U16 a, U16 b) noexcept { return _mm_add_epi16(a, b); }
    static U16 sub16(U16 a, U16 b) noexcept { return _mm_sub_epi16(a, b); }
    static U16 times16(U16 a, std::int32_t b) noexcept {
        return _mm_mullo_epi16(a, _mm_set1_epi16(static_cast<short>(b)));
    }
    static U16 load_columns(const std::uint16_t* const* windows, std::ptrdiff_t from) noexcept {
        return load16(windows[0] + from);
    }
    // Even windows are the lower halves of 32-bit lanes, odd ones the upper halves.
    static void widen(U16 v, I32 (&out)[parts]) noexcept {
        out[0] = _mm_srai_epi32(_mm_slli_epi32(v, 16), 16);
        out[1] = _mm_srai_epi32(v, 16);
    }
    static constexpr float widened_scale = 0x1p-16f;
    static void widen_scaled(U16 v, I32 (&out)[parts]) noexcept {
        out[0] = _mm_slli_epi32(v, 16);
        out[1] = _mm_and_si128(v, _mm_set1_epi32(-65536));
    }
    static void to_lanes(F32 (&v)[parts]) noexcept {
        const __m128 even = _mm_shuffle_ps(v[0], v[1], 0x88);
        v[1] = _mm_shuffle_ps(v[0], v[1], 0xdd);
        v[0] = even;
    }
    static void to_windows(F32 (&v)[parts]) noexcept {
        const __m128 low = _mm_unpacklo_ps(v[0], v[1]);
        v[1] = _mm_unpackhi_ps(v[0], v[1]);
        v[0] = low;
    }

    static I32 zero() noexcept { return _mm_setzero_si128(); }
    static I32 load(const std::uint32_t* p) noexcept { return load128(p); }
    static I32 add(I32 a, I32 b) noexcept { return _mm_add_epi32(a, b); }
    static I32 sub(I32 a, I32 b) noexcept { return _mm_sub_epi32(a, b); }
    static F32 to_float(I32 a) noexcept { return _mm_cvtepi32_ps(a); }
    static F32 splat(float v) noexcept { return _mm_set1_ps(v); }
    static F32 mul(F32 a, F32 b) noexcept { return _mm_mul_ps(a, b); }
    static F32 add(F32 a, F32 b) noexcept { return _mm_add_ps(a, b); }
    static I32 choose(I32 sum, F32 value, float threshold, std::int32_t gain) noexcept {
        const __m128i below = _mm_castps_si128(_mm_cmplt_ps(value, _mm_set1_ps(threshold)));
        return _mm_add_epi32(sum, _mm_and_si128(below, _mm_set1_epi32(gain)));
    }
    static I32 constant(std::int32_t v) noexcept { return _mm_set1_epi32(v); }
    static I32 select(F32 value, float threshold, I32 below, I32 other) noexcept {
        const __m128 is_below = _mm_cmplt_ps(value, _mm_set1_ps(threshold));
        return _mm_castps_si128(
            _mm_blendv_ps(_mm_castsi128_ps(other), _mm_castsi128_ps(below), is_below));
    }
    static std::uint32_t at_least(const I32 (&a)[parts], std::int32_t limit) noexcept {
        const __m128i l = _mm_set1_epi32(limit);
        const __m128i below =
            _mm_blend_epi16(_mm_cmpgt_epi32(l, a[0]), _mm_cmpgt_epi32(l, a[1]), 0xaa);
        return ~static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(below, below))) &
               0xffu;
    }
    static F32 load_float(const float* p) noexcept { return _mm_load_ps(p); }
    static void store(float* p, F32 v) noexcept { _mm_store_ps(p, v); }
    static float lane(F32 v, int i) noexcept {
        alignas(16) float values[4];
        _mm_store_ps(values, v);
        return values[i];
    }

    // As haar_norm(), for two windows. The sum of squares is unsigned 32-bit: convert it as signed,
    // less 2^31.
    static __m128 normalise2(__m128i s, __m128i q, double area, std::uint32_t& bits) noexcept {
        const __m128d sum = _mm_cvtepi32_pd(s);
        const __m128d square =
            _mm_add_pd(_mm_cvtepi32_pd(_mm_xor_si128(q, _mm_set1_epi32(INT32_MIN))),
                       _mm_set1_pd(2147483648.0));
        const __m128d a = _mm_set1_pd(area);
        const __m128d nf = _mm_sub_pd(_mm_mul_pd(a, square), _mm_mul_pd(sum, sum));
        const __m128d positive = _mm_cmpgt_pd(nf, _mm_setzero_pd());
        // Lanes that are not positive compute with 1 instead, so that no invalid operation is
        // raised.
        const __m128d safe = _mm_blendv_pd(_mm_set1_pd(1.0), nf, positive);
        const __m128 norm = _mm_cvtpd_ps(_mm_div_pd(_mm_set1_pd(1.0), _mm_sqrt_pd(safe)));
        const __m128d textured = _mm_cmplt_pd(_mm_mul_pd(a, _mm_cvtps_pd(norm)), _mm_set1_pd(0.1));
        bits = static_cast<std::uint32_t>(_mm_movemask_pd(_mm_and_pd(positive, textured)));
        return norm;
    }
    static std::uint32_t normalise(I32 s, I32 q, double area, F32& norm) noexcept {
        std::uint32_t low_bits, high_bits;
        const __m128 low = normalise2(s, q, area, low_bits);
        const __m128 high =
            normalise2(_mm_unpackhi_epi64(s, s), _mm_unpackhi_epi64(q, q), area, high_bits);
        norm = _mm_movelh_ps(low, high);
        return low_bits | high_bits << 2;
    }
};

#include "kernels/detect/haar_body.inl"
#include "kernels/detect/rows_body.inl"

}  // namespace

const DetectKernels detect_sse41 = {
    .haar_row = haar_row,
    .haar_batch = haar_batch,
    .batch = unit_lanes,
    .shrink_row = shrink_row,
    .blend_rows = blend_rows,
    .integral_row = integral_row,
};

}  // namespace mien
