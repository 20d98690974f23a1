// SPDX-License-Identifier: MIT
// The detector's row of windows in portable C++: four windows at a time in the compiler's own vectors.
#include <cstring>

#include "kernels/tables.h"

namespace mien {
namespace {

// Four lanes of the compiler's own vectors: SSE2, NEON, or plain registers, whatever the target has.
struct V {
    static constexpr int lanes = 4;
    static constexpr int unit_vectors = 2;
    using I32 = std::int32_t __attribute__((vector_size(16)));
    using F32 = float __attribute__((vector_size(16)));
    using Mask = I32;

    static I32 zero_i32() noexcept { return I32{}; }
    static I32 load(const std::uint32_t* p) noexcept {
        I32 v;
        std::memcpy(&v, p, sizeof v);
        return v;
    }
    // Sums wrap modulo 2^32; signed vectors would make that undefined, so the arithmetic is done unsigned.
    using U32 = std::uint32_t __attribute__((vector_size(16)));
    static I32 add(I32 a, I32 b) noexcept { return (I32)((U32)a + (U32)b); }
    static I32 sub(I32 a, I32 b) noexcept { return (I32)((U32)a - (U32)b); }
    static F32 to_float(I32 a) noexcept { return __builtin_convertvector(a, F32); }
    static F32 splat(float v) noexcept { return F32{v, v, v, v}; }
    static I32 splat(std::int32_t v) noexcept { return I32{v, v, v, v}; }
    static F32 mul(F32 a, F32 b) noexcept { return a * b; }
    static F32 add(F32 a, F32 b) noexcept { return a + b; }
    static Mask less(F32 a, F32 b) noexcept { return a < b; }
    static I32 masked(Mask m, I32 v) noexcept { return m & v; }
    static unsigned at_least(I32 a, std::int32_t limit) noexcept {
        unsigned bits = 0;
        for (int i = 0; i < lanes; ++i) bits |= static_cast<unsigned>(a[i] >= limit) << i;
        return bits;
    }
    static float extract(F32 v, int lane) noexcept { return v[lane]; }
    static unsigned normalise(const std::uint32_t* sum, const std::uint32_t* square, const std::int32_t (&c)[4], double area,
                              F32& norm) noexcept {
        unsigned bits = 0;
        for (int i = 0; i < lanes; ++i) {
            const std::uint32_t s = sum[c[0] + i] - sum[c[1] + i] - sum[c[2] + i] + sum[c[3] + i];
            const std::uint32_t q = square[c[0] + i] - square[c[1] + i] - square[c[2] + i] + square[c[3] + i];
            float value = 0;
            if (haar_norm(s, q, area, value)) bits |= 1u << i;
            norm[i] = value;
        }
        return bits;
    }
};

#include "kernels/detect/haar_body.inl"

}  // namespace

const DetectKernels detect_scalar = {.haar_row = haar_row};

}  // namespace mien
