// SPDX-License-Identifier: MIT
// The detector's row of windows in portable C++: eight windows at a time in the compiler's own
// vectors, which become SSE2, NEON, or plain registers, whatever the target has.
#include <cstring>

#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    static constexpr int lanes = 8, parts = 2;
    using U16 = std::uint16_t __attribute__((vector_size(16)));
    using I32 = std::int32_t __attribute__((vector_size(16)));
    using U32 = std::uint32_t __attribute__((vector_size(16)));
    using F32 = float __attribute__((vector_size(16)));

    static U16 load16(const std::uint16_t* p) noexcept {
        U16 v;
        std::memcpy(&v, p, sizeof v);
        return v;
    }
    static U16 add16(U16 a, U16 b) noexcept { return a + b; }
    static U16 sub16(U16 a, U16 b) noexcept { return a - b; }
    static U16 times16(U16 a, std::int32_t b) noexcept { return a * static_cast<std::uint16_t>(b); }
    static U16 load_columns(const std::uint16_t* const* windows, std::ptrdiff_t from) noexcept {
        return load16(windows[0] + from);
    }
    static void widen(U16 v, I32 (&out)[parts]) noexcept {
        for (int i = 0; i < lanes; ++i) out[i / 4][i % 4] = static_cast<std::int16_t>(v[i]);
    }

    static I32 zero() noexcept { return I32{}; }
    static I32 load(const std::uint32_t* p) noexcept {
        I32 v;
        std::memcpy(&v, p, sizeof v);
        return v;
    }
    // Sums wrap modulo 2^32; signed vectors would make that undefined, so the arithmetic is done
    // unsigned.
    static I32 add(I32 a, I32 b) noexcept { return (I32)((U32)a + (U32)b); }
    static I32 sub(I32 a, I32 b) noexcept { return (I32)((U32)a - (U32)b); }
    static F32 to_float(I32 a) noexcept { return __builtin_convertvector(a, F32); }
    static F32 splat(float v) noexcept { return F32{v, v, v, v}; }
    static F32 mul(F32 a, F32 b) noexcept { return a * b; }
    static F32 add(F32 a, F32 b) noexcept { return a + b; }
    static I32 choose(I32 sum, F32 value, float threshold, std::int32_t gain) noexcept {
        return add(sum, (value < splat(threshold)) & I32{gain, gain, gain, gain});
    }
    static I32 constant(std::int32_t v) noexcept { return I32{v, v, v, v}; }
    static I32 select(F32 value, float threshold, I32 below, I32 other) noexcept {
        return value < splat(threshold) ? below : other;
    }
    static std::uint32_t at_least(I32 a, std::int32_t limit) noexcept {
        std::uint32_t bits = 0;
        for (int i = 0; i < 4; ++i) bits |= static_cast<std::uint32_t>(a[i] >= limit) << i;
        return bits;
    }
    static float lane(F32 v, int i) noexcept { return v[i]; }
    static F32 load_float(const float* p) noexcept {
        F32 v;
        std::memcpy(&v, p, sizeof v);
        return v;
    }
    static void store(float* p, F32 v) noexcept { std::memcpy(p, &v, sizeof v); }
    static std::uint32_t normalise(I32 sum, I32 square, double area, F32& norm) noexcept {
        std::uint32_t bits = 0;
        for (int i = 0; i < 4; ++i) {
            float value = 0;
            if (haar_norm(static_cast<std::uint32_t>(sum[i]), static_cast<std::uint32_t>(square[i]),
                          area, value))
                bits |= 1u << i;
            norm[i] = value;
        }
        return bits;
    }
};

#include "kernels/detect/haar_body.inl"
#include "kernels/detect/rows_body.inl"

}  // namespace

const DetectKernels detect_scalar = {
    .haar_row = haar_row,
    .haar_batch = haar_batch,
    .batch = unit_lanes,
    .shrink_row = shrink_row,
    .blend_rows = blend_rows,
    .integral_row = integral_row,
};

}  // namespace mien
