// SPDX-License-Identifier: MIT
// The detector's row of windows with AVX-512: sixteen windows at a time, their 32-bit values in one
// vector. Runs only where dispatch.cpp found AVX-512 F, BW, DQ and VL. No standard library here,
// see tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

struct V {
    static constexpr int lanes = 16, parts = 1;
    using U16 = __m256i;
    using I32 = __m512i;
    using F32 = __m512;

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
    static void widen(U16 v, I32 (&out)[parts]) noexcept { out[0] = _mm512_cvtepi16_epi32(v); }

    static I32 zero() noexcept { return _mm512_setzero_si512(); }
    static I32 load(const std::uint32_t* p) noexcept { return _mm512_loadu_si512(p); }
    static I32 add(I32 a, I32 b) noexcept { return _mm512_add_epi32(a, b); }
    static I32 sub(I32 a, I32 b) noexcept { return _mm512_sub_epi32(a, b); }
    static F32 to_float(I32 a) noexcept { return _mm512_cvtepi32_ps(a); }
    static F32 splat(float v) noexcept { return _mm512_set1_ps(v); }
    static F32 mul(F32 a, F32 b) noexcept { return _mm512_mul_ps(a, b); }
    static F32 add(F32 a, F32 b) noexcept { return _mm512_add_ps(a, b); }
    static I32 choose(I32 sum, F32 value, float threshold, std::int32_t gain) noexcept {
        const __mmask16 below = _mm512_cmp_ps_mask(value, _mm512_set1_ps(threshold), _CMP_LT_OQ);
        return _mm512_mask_add_epi32(sum, below, sum, _mm512_set1_epi32(gain));
    }
    static I32 constant(std::int32_t v) noexcept { return _mm512_set1_epi32(v); }
    static I32 select(F32 value, float threshold, I32 below, I32 other) noexcept {
        const __mmask16 is_below = _mm512_cmp_ps_mask(value, _mm512_set1_ps(threshold), _CMP_LT_OQ);
        return _mm512_mask_mov_epi32(other, is_below, below);
    }
    static std::uint32_t at_least(I32 a, std::int32_t limit) noexcept {
        return _mm512_cmpge_epi32_mask(a, _mm512_set1_epi32(limit));
    }
    static F32 load_float(const float* p) noexcept { return _mm512_load_ps(p); }
    static void store(float* p, F32 v) noexcept { _mm512_store_ps(p, v); }
    static float lane(F32 v, int i) noexcept {
        alignas(64) float values[16];
        _mm512_store_ps(values, v);
        return values[i];
    }

    // As haar_norm(), for eight windows.
    static __m256 normalise8(__m256i s, __m256i q, double area, std::uint32_t& bits) noexcept {
        const __m512d sum = _mm512_cvtepi32_pd(s);
        const __m512d a = _mm512_set1_pd(area);
        const __m512d nf =
            _mm512_sub_pd(_mm512_mul_pd(a, _mm512_cvtepu32_pd(q)), _mm512_mul_pd(sum, sum));
        const __mmask8 positive = _mm512_cmp_pd_mask(nf, _mm512_setzero_pd(), _CMP_GT_OQ);
        // Lanes that are not positive compute with 1 instead, so that no invalid operation is
        // raised.
        const __m512d safe = _mm512_mask_mov_pd(_mm512_set1_pd(1.0), positive, nf);
        const __m256 norm =
            _mm512_cvtpd_ps(_mm512_div_pd(_mm512_set1_pd(1.0), _mm512_sqrt_pd(safe)));
        bits = _mm512_mask_cmp_pd_mask(positive, _mm512_mul_pd(a, _mm512_cvtps_pd(norm)),
                                       _mm512_set1_pd(0.1), _CMP_LT_OQ);
        return norm;
    }
    static std::uint32_t normalise(I32 s, I32 q, double area, F32& norm) noexcept {
        std::uint32_t low_bits, high_bits;
        const __m256 low =
            normalise8(_mm512_castsi512_si256(s), _mm512_castsi512_si256(q), area, low_bits);
        const __m256 high = normalise8(_mm512_extracti64x4_epi64(s, 1),
                                       _mm512_extracti64x4_epi64(q, 1), area, high_bits);
        norm = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
        return low_bits | high_bits << 8;
    }
};

#include "kernels/detect/haar_body.inl"
#include "kernels/detect/rows_body.inl"

}  // namespace

const DetectKernels detect_avx512 = {
    .haar_row = haar_row,
    .haar_batch = haar_batch,
    .batch = unit_lanes,
    .shrink_row = shrink_row,
    .blend_rows = blend_rows,
    .integral_row = integral_row,
};

}  // namespace mien
