// SPDX-License-Identifier: MIT
// Unaligned loads and stores for the x86 kernels, without the casts of the intrinsics. Internal
// linkage, as in vectors.h.
#pragma once

#include <immintrin.h>

namespace mien {

static inline __m128i load64(const void* p) noexcept {  // the upper half is 0
    return _mm_loadl_epi64(static_cast<const __m128i*>(p));
}
static inline __m128i load128(const void* p) noexcept {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
static inline void store64(void* p, __m128i v) noexcept {  // the lower half
    _mm_storel_epi64(static_cast<__m128i*>(p), v);
}
static inline void store128(void* p, __m128i v) noexcept {
    _mm_storeu_si128(static_cast<__m128i*>(p), v);
}
#if defined(__AVX2__)
static inline __m256i load256(const void* p) noexcept {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
static inline void store256(void* p, __m256i v) noexcept {
    _mm256_storeu_si256(static_cast<__m256i*>(p), v);
}
#endif

// Four bytes, as the operand that is broadcast for a dot product.
static inline int load32(const void* p) noexcept {
    int v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

}  // namespace mien
