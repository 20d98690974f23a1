// SPDX-License-Identifier: MIT
// The compiler's own vectors, for bodies that are written once and built for each instruction set:
// a vector has the operators of its elements, and its name says how many it has. Functions here
// have internal linkage: each file keeps its own, built for its instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

// Before a loop over a few vectors: unroll it wholly, and early enough that arrays of vectors
// become registers.
#if defined(__clang__)
#define MIEN_UNROLL _Pragma("unroll")
#else
#define MIEN_UNROLL _Pragma("GCC unroll 32")
#endif

namespace mien {

using U8x8 = std::uint8_t __attribute__((vector_size(8)));
using U16x4 = std::uint16_t __attribute__((vector_size(8)));
using U16x8 = std::uint16_t __attribute__((vector_size(16)));
using U32x4 = std::uint32_t __attribute__((vector_size(16)));

// Unaligned.
template <class Vector, class T>
[[gnu::always_inline]] static inline Vector load_vector(const T* p) noexcept {
    Vector v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
template <class Vector, class T>
[[gnu::always_inline]] static inline void store_vector(T* p, Vector v) noexcept {
    __builtin_memcpy(p, &v, sizeof v);
}

// The named lanes of a and b, counted through both: as many as `a` has, or half as many.
template <int... lanes, class Vector>
[[gnu::always_inline]] static inline auto shuffle(Vector a, Vector b) noexcept {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, lanes...);
#else  // g++ 11 has only shuffles whose result is as long as the operands
    using Element = __typeof__(a[0]);
    constexpr std::size_t bytes = sizeof...(lanes) * sizeof(Element);
    if constexpr (bytes == sizeof(Vector)) {
        return __builtin_shuffle(a, b, Vector{lanes...});
    } else {
        typedef Element Half __attribute__((vector_size(bytes)));  // `using` would lose the size
        const Vector twice = __builtin_shuffle(a, b, Vector{lanes..., lanes...});
        return load_vector<Half>(&twice);
    }
#endif
}

}  // namespace mien
