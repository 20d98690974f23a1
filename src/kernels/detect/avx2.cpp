// SPDX-License-Identifier: MIT
// The detector's row of windows with AVX2.
// Built with -mavx2; runs only where dispatch.cpp found AVX2. No standard library here, see tables.h.
#include <immintrin.h>

#include "kernels/tables.h"

namespace mien {
namespace {

inline __m256i load256(const void* p) noexcept { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

struct V {
    static constexpr int lanes = 8;
    static constexpr int unit_vectors = 1;  // measured: 12.4, 15.9, 16.4, 18.4 ms a frame with 1, 2, 3, 4
    using I32 = __m256i;
    using F32 = __m256;
    using Mask = __m256;

    static I32 zero_i32() noexcept { return _mm256_setzero_si256(); }
    static I32 load(const std::uint32_t* p) noexcept { return load256(p); }
    static I32 add(I32 a, I32 b) noexcept { return _mm256_add_epi32(a, b); }
    static I32 sub(I32 a, I32 b) noexcept { return _mm256_sub_epi32(a, b); }
    static F32 to_float(I32 a) noexcept { return _mm256_cvtepi32_ps(a); }
    static F32 splat(float v) noexcept { return _mm256_set1_ps(v); }
    static I32 splat(std::int32_t v) noexcept { return _mm256_set1_epi32(v); }
    static F32 mul(F32 a, F32 b) noexcept { return _mm256_mul_ps(a, b); }
    static F32 add(F32 a, F32 b) noexcept { return _mm256_add_ps(a, b); }
    static Mask less(F32 a, F32 b) noexcept { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
    static I32 masked(Mask m, I32 v) noexcept { return _mm256_and_si256(_mm256_castps_si256(m), v); }
    static unsigned at_least(I32 a, std::int32_t limit) noexcept {
        const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(limit), a);
        return ~static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(below))) & 0xffu;
    }
    static float extract(F32 v, int lane) noexcept {
        alignas(32) float values[lanes];
        _mm256_store_ps(values, v);
        return values[lane];
    }

    static I32 rectangle(const std::uint32_t* p, const std::int32_t (&c)[4]) noexcept {
        return add(sub(sub(load(p + c[0]), load(p + c[1])), load(p + c[2])), load(p + c[3]));
    }
    // As haar_norm(), for four windows. The sum of squares is unsigned 32-bit: convert it as signed, less 2^31.
    static __m128 normalise4(__m128i s, __m128i q, double area, unsigned& bits) noexcept {
        const __m256d sum = _mm256_cvtepi32_pd(s);
        const __m256d square = _mm256_add_pd(_mm256_cvtepi32_pd(_mm_xor_si128(q, _mm_set1_epi32(INT32_MIN))), _mm256_set1_pd(2147483648.0));
        const __m256d a = _mm256_set1_pd(area);
        const __m256d nf = _mm256_sub_pd(_mm256_mul_pd(a, square), _mm256_mul_pd(sum, sum));
        const __m256d positive = _mm256_cmp_pd(nf, _mm256_setzero_pd(), _CMP_GT_OQ);
        // Lanes that are not positive compute with 1 instead, so that no invalid operation is raised.
        const __m256d safe = _mm256_blendv_pd(_mm256_set1_pd(1.0), nf, positive);
        const __m128 norm = _mm256_cvtpd_ps(_mm256_div_pd(_mm256_set1_pd(1.0), _mm256_sqrt_pd(safe)));
        const __m256d textured = _mm256_cmp_pd(_mm256_mul_pd(a, _mm256_cvtps_pd(norm)), _mm256_set1_pd(0.1), _CMP_LT_OQ);
        bits = static_cast<unsigned>(_mm256_movemask_pd(_mm256_and_pd(positive, textured)));
        return norm;
    }
    static unsigned normalise(const std::uint32_t* sum, const std::uint32_t* square, const std::int32_t (&c)[4], double area,
                              F32& norm) noexcept {
        const I32 s = rectangle(sum, c), q = rectangle(square, c);
        unsigned low_bits, high_bits;
        const __m128 low = normalise4(_mm256_castsi256_si128(s), _mm256_castsi256_si128(q), area, low_bits);
        const __m128 high = normalise4(_mm256_extracti128_si256(s, 1), _mm256_extracti128_si256(q, 1), area, high_bits);
        norm = _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
        return low_bits | high_bits << 4;
    }
};

#include "kernels/detect/haar_body.inl"

}  // namespace

const DetectKernels detect_avx2 = {.haar_row = haar_row};

}  // namespace mien
