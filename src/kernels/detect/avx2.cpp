// SPDX-License-Identifier: MIT
// The detector's row of windows with AVX2: sixteen windows at a time.
// Built with -mavx2; runs only where dispatch.cpp found AVX2. No standard library here, see
// tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

struct V {
    static constexpr int lanes = 16, parts = 2;
    using U16 = __m256i;
    using I32 = __m256i;
    using F32 = __m256;

    static U16 load16(const std::uint16_t* p) noexcept { return load256(p); }
    static U16 add16(U16 a, U16 b) noexcept { return _mm256_add_epi16(a, b); }
    static U16 sub16(U16 a, U16 b) noexcept { return _mm256_sub_epi16(a, b); }
    static U16 times16(U16 a, std::int32_t b) noexcept {
        return _mm256_mullo_epi16(a, _mm256_set1_epi16(static_cast<short>(b)));
    }
    static U16 load_columns(const std::uint16_t* const* windows, std::ptrdiff_t from) noexcept {
        return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(windows[0] + from)),
                                       load128(windows[8] + from), 1);
    }
    // Even windows are the lower halves of 32-bit lanes, odd ones the upper halves.
    static void widen(U16 v, I32 (&out)[parts]) noexcept {
        out[0] = _mm256_srai_epi32(_mm256_slli_epi32(v, 16), 16);
        out[1] = _mm256_srai_epi32(v, 16);
    }
    static constexpr float widened_scale = 0x1p-16f;
    static void widen_scaled(U16 v, I32 (&out)[parts]) noexcept {
        out[0] = _mm256_slli_epi32(v, 16);
        out[1] = _mm256_and_si256(v, _mm256_set1_epi32(-65536));
    }
    static void to_lanes(F32 (&v)[parts]) noexcept {
        const __m256 even = _mm256_shuffle_ps(v[0], v[1], 0x88),
                     odd = _mm256_shuffle_ps(v[0], v[1], 0xdd);
        v[0] = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8));
        v[1] = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), 0xd8));
    }
    static void to_windows(F32 (&v)[parts]) noexcept {
        const __m256 low = _mm256_unpacklo_ps(v[0], v[1]), high = _mm256_unpackhi_ps(v[0], v[1]);
        v[0] = _mm256_permute2f128_ps(low, high, 0x20);
        v[1] = _mm256_permute2f128_ps(low, high, 0x31);
    }

    static I32 zero() noexcept { return _mm256_setzero_si256(); }
    static I32 load(const std::uint32_t* p) noexcept { return load256(p); }
    static I32 add(I32 a, I32 b) noexcept { return _mm256_add_epi32(a, b); }
    static I32 sub(I32 a, I32 b) noexcept { return _mm256_sub_epi32(a, b); }
    static F32 to_float(I32 a) noexcept { return _mm256_cvtepi32_ps(a); }
    static F32 splat(float v) noexcept { return _mm256_set1_ps(v); }
    static F32 mul(F32 a, F32 b) noexcept { return _mm256_mul_ps(a, b); }
    static F32 add(F32 a, F32 b) noexcept { return _mm256_add_ps(a, b); }
    static I32 choose(I32 sum, F32 value, float threshold, std::int32_t gain) noexcept {
        const __m256i below =
            _mm256_castps_si256(_mm256_cmp_ps(value, _mm256_set1_ps(threshold), _CMP_LT_OQ));
        return _mm256_add_epi32(sum, _mm256_and_si256(below, _mm256_set1_epi32(gain)));
    }
    static I32 constant(std::int32_t v) noexcept { return _mm256_set1_epi32(v); }
    static I32 select(F32 value, float threshold, I32 below, I32 other) noexcept {
        const __m256 is_below = _mm256_cmp_ps(value, _mm256_set1_ps(threshold), _CMP_LT_OQ);
        return _mm256_castps_si256(
            _mm256_blendv_ps(_mm256_castsi256_ps(other), _mm256_castsi256_ps(below), is_below));
    }
    static std::uint32_t at_least(const I32 (&a)[parts], std::int32_t limit) noexcept {
        const __m256i l = _mm256_set1_epi32(limit);
        const __m256i below =
            _mm256_blend_epi16(_mm256_cmpgt_epi32(l, a[0]), _mm256_cmpgt_epi32(l, a[1]), 0xaa);
        const auto bits =
            static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_packs_epi16(below, below)));
        return ~((bits & 0xffu) | (bits >> 8 & 0xff00u)) & 0xffffu;
    }
    static F32 load_float(const float* p) noexcept { return _mm256_load_ps(p); }
    static void store(float* p, F32 v) noexcept { _mm256_store_ps(p, v); }
    static float lane(F32 v, int i) noexcept {
        alignas(32) float values[8];
        _mm256_store_ps(values, v);
        return values[i];
    }

    // As haar_norm(), for four windows. The sum of squares is unsigned 32-bit: convert it as
    // signed, less 2^31.
    static __m128 normalise4(__m128i s, __m128i q, double area, std::uint32_t& bits) noexcept {
        const __m256d sum = _mm256_cvtepi32_pd(s);
        const __m256d square =
            _mm256_add_pd(_mm256_cvtepi32_pd(_mm_xor_si128(q, _mm_set1_epi32(INT32_MIN))),
                          _mm256_set1_pd(2147483648.0));
        const __m256d a = _mm256_set1_pd(area);
        const __m256d nf = _mm256_sub_pd(_mm256_mul_pd(a, square), _mm256_mul_pd(sum, sum));
        const __m256d positive = _mm256_cmp_pd(nf, _mm256_setzero_pd(), _CMP_GT_OQ);
        // Lanes that are not positive compute with 1 instead, so that no invalid operation is
        // raised.
        const __m256d safe = _mm256_blendv_pd(_mm256_set1_pd(1.0), nf, positive);
        const __m128 norm =
            _mm256_cvtpd_ps(_mm256_div_pd(_mm256_set1_pd(1.0), _mm256_sqrt_pd(safe)));
        const __m256d textured =
            _mm256_cmp_pd(_mm256_mul_pd(a, _mm256_cvtps_pd(norm)), _mm256_set1_pd(0.1), _CMP_LT_OQ);
        bits = static_cast<std::uint32_t>(_mm256_movemask_pd(_mm256_and_pd(positive, textured)));
        return norm;
    }
    static std::uint32_t normalise(I32 s, I32 q, double area, F32& norm) noexcept {
        std::uint32_t low_bits, high_bits;
        const __m128 low =
            normalise4(_mm256_castsi256_si128(s), _mm256_castsi256_si128(q), area, low_bits);
        const __m128 high = normalise4(_mm256_extracti128_si256(s, 1),
                                       _mm256_extracti128_si256(q, 1), area, high_bits);
        norm = _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
        return low_bits | high_bits << 4;
    }
};

#include "kernels/detect/haar_body.inl"
#include "kernels/detect/rows_body.inl"

}  // namespace

const DetectKernels detect_avx2 = {
    .haar_row = haar_row,
    .haar_batch = haar_batch,
    .batch = unit_lanes,
    .shrink_row = shrink_row,
    .blend_rows = blend_rows,
    .integral_row = integral_row,
};

}  // namespace mien
