// SPDX-License-Identifier: MIT
// The detector with RISC-V's vectors: stages for sixteen windows at a time, in the compiler's own
// vectors, which it splits over as many registers as they need (of 128 bits two and four); rows by
// intrinsics, whatever the length. Built with -march=rv64gcv; runs only where dispatch.cpp found
// vectors. No standard library here, see tables.h.
#include <riscv_vector.h>

#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    static constexpr int lanes = 16, parts = 1;
    using U16 = std::uint16_t __attribute__((vector_size(32)));
    using I16 = std::int16_t __attribute__((vector_size(32)));
    using U32 = std::uint32_t __attribute__((vector_size(64)));
    using I32 = std::int32_t __attribute__((vector_size(64)));
    using F32 = float __attribute__((vector_size(64)));

    static U16 load16(const std::uint16_t* p) noexcept { return load_vector<U16>(p); }
    static U16 add16(U16 a, U16 b) noexcept { return a + b; }
    static U16 sub16(U16 a, U16 b) noexcept { return a - b; }
    static U16 times16(U16 a, std::int32_t b) noexcept { return a * static_cast<std::uint16_t>(b); }
    static void widen(U16 v, I32 (&out)[parts]) noexcept {
        out[0] = __builtin_convertvector((I16)v, I32);
    }

    static I32 zero() noexcept { return I32{}; }
    static I32 load(const std::uint32_t* p) noexcept { return load_vector<I32>(p); }
    // Sums wrap: unsigned.
    static I32 add(I32 a, I32 b) noexcept { return (I32)((U32)a + (U32)b); }
    static I32 sub(I32 a, I32 b) noexcept { return (I32)((U32)a - (U32)b); }
    static F32 to_float(I32 a) noexcept { return __builtin_convertvector(a, F32); }
    static F32 splat(float v) noexcept {
        return F32{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
    }
    static F32 mul(F32 a, F32 b) noexcept { return a * b; }
    static F32 add(F32 a, F32 b) noexcept { return a + b; }
    static I32 choose(I32 sum, F32 value, float threshold, std::int32_t gain) noexcept {
        return value < splat(threshold) ? add(sum, constant(gain)) : sum;
    }
    static I32 constant(std::int32_t v) noexcept { return I32{} + v; }
    static I32 select(F32 value, float threshold, I32 below, I32 other) noexcept {
        return value < splat(threshold) ? below : other;
    }
    static std::uint32_t at_least(I32 a, std::int32_t limit) noexcept {
        std::int32_t values[lanes];
        store_vector(values, a);
        std::uint32_t bits = 0;
        for (int i = 0; i < lanes;) {
            const std::size_t n = __riscv_vsetvl_e32m4(static_cast<std::size_t>(lanes - i));
            const auto mask = __riscv_vmsge(__riscv_vle32_v_i32m4(values + i, n), limit, n);
            bits |= mask_bits(mask, n) << i;
            i += static_cast<int>(n);
        }
        return bits;
    }
    // One bit for each of n lanes. What lies behind them in a mask is anything.
    template <class Mask>
    static std::uint32_t mask_bits(Mask mask, std::size_t n) noexcept {
        std::uint8_t bytes[lanes / 8] = {};
        __riscv_vsm(bytes, mask, n);
        return (bytes[0] | std::uint32_t{bytes[1]} << 8) & ((1u << n) - 1);
    }
    static F32 load_float(const float* p) noexcept { return load_vector<F32>(p); }
    static void store(float* p, F32 v) noexcept { store_vector(p, v); }
    static float lane(F32 v, int i) noexcept { return v[i]; }

    // As haar_norm(). Lanes that are not positive compute with 1 instead, so that no invalid
    // operation is raised.
    static std::uint32_t normalise(I32 sum, I32 square, double area, F32& norm) noexcept {
        std::uint32_t sums[lanes], squares[lanes], bits = 0;
        float norms[lanes];
        store_vector(sums, sum);
        store_vector(squares, square);
        for (int i = 0; i < lanes;) {
            const std::size_t n = __riscv_vsetvl_e64m8(static_cast<std::size_t>(lanes - i));
            const auto s = __riscv_vfwcvt_f(__riscv_vle32_v_u32m4(sums + i, n), n),
                       q = __riscv_vfwcvt_f(__riscv_vle32_v_u32m4(squares + i, n), n);
            const auto nf = __riscv_vfsub(__riscv_vfmul(q, area, n), __riscv_vfmul(s, s, n), n);
            const auto positive = __riscv_vmfgt(nf, 0.0, n);
            const auto safe = __riscv_vmerge(__riscv_vfmv_v_f_f64m8(1.0, n), nf, positive, n);
            const auto value = __riscv_vfncvt_f(__riscv_vfrdiv(__riscv_vfsqrt(safe, n), 1.0, n), n);
            const auto textured =
                __riscv_vmflt(__riscv_vfmul(__riscv_vfwcvt_f(value, n), area, n), 0.1, n);
            __riscv_vse32(norms + i, value, n);
            bits |= mask_bits(__riscv_vmand(positive, textured, n), n) << i;
            i += static_cast<int>(n);
        }
        norm = load_float(norms);
        return bits;
    }
};

// A window's columns, `column_elements` apart, one window after the other.
inline void copy_columns(const std::uint16_t* const* windows, std::ptrdiff_t from, int count,
                         std::uint16_t* to, std::ptrdiff_t column_elements) noexcept {
    const std::ptrdiff_t stride = 2 * column_elements;  // bytes
    for (int done = 0; done < count;) {
        const std::size_t n = __riscv_vsetvl_e16m4(static_cast<std::size_t>(count - done));
        for (int i = 0; i < V::lanes; ++i)
            __riscv_vsse16(to + done * column_elements + i, stride,
                           __riscv_vle16_v_u16m4(windows[i] + from + done, n), n);
        done += static_cast<int>(n);
    }
}
#define MIEN_OWN_COPY 1
#include "kernels/detect/haar_body.inl"

// Pixels by gathering; a tap at the last one has no right neighbor, and takes itself.
void shrink_row(const ShrinkRow& row, std::uint16_t* out) noexcept {
    const auto last = static_cast<std::uint32_t>(row.source_width - 1);
    for (int x = 0; x < row.width;) {
        const std::size_t n = __riscv_vsetvl_e32m8(static_cast<std::size_t>(row.width - x));
        const auto at = __riscv_vreinterpret_u32m8(__riscv_vle32_v_i32m8(row.left + x, n));
        const auto next = __riscv_vminu(__riscv_vadd(at, 1, n), last, n);
        const auto left = __riscv_vzext_vf2(__riscv_vluxei32_v_u8m2(row.source, at, n), n),
                   right = __riscv_vzext_vf2(__riscv_vluxei32_v_u8m2(row.source, next, n), n);
        const auto weight = __riscv_vle16_v_u16m4(row.right_weight + x, n);
        const auto step = __riscv_vmul(weight, __riscv_vsub(right, left, n), n);  // modulo 2^16
        __riscv_vse16(out + x, __riscv_vadd(__riscv_vsll(left, 8, n), step, n), n);
        x += static_cast<int>(n);
    }
}

// The narrowing shift rounds up from one half: it adds 32768.
void blend_rows(const std::uint16_t* top, const std::uint16_t* bottom, int bottom_weight, int width,
                std::uint8_t* out) noexcept {
    const auto w1 = static_cast<std::uint16_t>(bottom_weight),
               w0 = static_cast<std::uint16_t>(256 - bottom_weight);
    for (int x = 0; x < width;) {
        const std::size_t n = __riscv_vsetvl_e16m4(static_cast<std::size_t>(width - x));
        auto sum = __riscv_vwmulu(__riscv_vle16_v_u16m4(top + x, n), w0, n);
        sum = __riscv_vwmaccu(sum, w1, __riscv_vle16_v_u16m4(bottom + x, n), n);
        const auto rounded = __riscv_vnclipu(sum, 16, __RISCV_VXRM_RNU, n);
        __riscv_vse8(out + x, __riscv_vncvt_x(rounded, n), n);
        x += static_cast<int>(n);
    }
}

// Lane i becomes the sum of the lanes up to it.
template <class Vector>
[[gnu::always_inline]] inline Vector prefix(Vector v, Vector zero, std::size_t n) noexcept {
    for (std::size_t i = 1; i < n; i *= 2) v = __riscv_vadd(v, __riscv_vslideup(zero, v, i, n), n);
    return v;
}
// Columns x + 1 .. x + n: the row above added, the odd and the even ones apart for a step of 2 (x is
// even).
template <int step>
[[gnu::always_inline]] inline void put(std::uint16_t* row, const IntegralRow& to, int x,
                                       vuint16m2_t v, std::size_t n) noexcept {
    if constexpr (step == 1) {
        std::uint16_t* const at = row + x + 1;
        __riscv_vse16(at, __riscv_vadd(v, __riscv_vle16_v_u16m2(at - to.pitch, n), n), n);
    } else {
        const auto store = [&](std::uint16_t* at, vuint16m1_t half, std::size_t count) {
            const auto above = __riscv_vle16_v_u16m1(at - to.pitch, count);
            __riscv_vse16(at, __riscv_vadd(half, above, count), count);
        };
        const auto pairs = __riscv_vreinterpret_u32m2(v);
        store(row + to.odd + x / 2, __riscv_vnsrl(pairs, 0, (n + 1) / 2), (n + 1) / 2);
        store(row + x / 2 + 1, __riscv_vnsrl(pairs, 16, n / 2), n / 2);
    }
}
template <int step>
[[gnu::always_inline]] inline void put(std::uint32_t* row, const IntegralRow& to, int x,
                                       vuint32m4_t v, std::size_t n) noexcept {
    if constexpr (step == 1) {
        std::uint32_t* const at = row + x + 1;
        __riscv_vse32(at, __riscv_vadd(v, __riscv_vle32_v_u32m4(at - to.pitch, n), n), n);
    } else {
        const auto store = [&](std::uint32_t* at, vuint32m2_t half, std::size_t count) {
            const auto above = __riscv_vle32_v_u32m2(at - to.pitch, count);
            __riscv_vse32(at, __riscv_vadd(half, above, count), count);
        };
        const auto pairs = __riscv_vreinterpret_u64m4(v);
        store(row + to.odd + x / 2, __riscv_vnsrl(pairs, 0, (n + 1) / 2), (n + 1) / 2);
        store(row + x / 2 + 1, __riscv_vnsrl(pairs, 32, n / 2), n / 2);
    }
}

template <int step>
void integrate(const IntegralRow row) noexcept {
    row.low[0] = 0;
    row.sum[0] = row.square[0] = 0;
    const std::size_t vector = __riscv_vsetvlmax_e8m1(),
                      most = vector < 256 ? vector : 256;  // whose sum fits in 16 bits
    const auto zero16 = __riscv_vmv_v_x_u16m2(0, most);
    const auto zero32 = __riscv_vmv_v_x_u32m4(0, most);
    std::uint32_t sum = 0, square = 0;
    for (int x = 0; x < row.width;) {
        const auto left = static_cast<std::size_t>(row.width - x), n = left < most ? left : most;
        const auto pixels = __riscv_vle8_v_u8m1(row.pixels + x, n);
        const auto sums = prefix(__riscv_vzext_vf2(pixels, n), zero16, n);
        put<step>(row.low, row, x, __riscv_vadd(sums, static_cast<std::uint16_t>(sum), n), n);
        const auto wide = __riscv_vadd(__riscv_vzext_vf2(sums, n), sum, n);
        put<step>(row.sum, row, x, wide, n);
        const auto squares = __riscv_vzext_vf2(__riscv_vwmulu(pixels, pixels, n), n);
        const auto total = __riscv_vadd(prefix(squares, zero32, n), square, n);
        put<step>(row.square, row, x, total, n);
        sum = __riscv_vmv_x(__riscv_vslidedown(wide, n - 1, n));
        square = __riscv_vmv_x(__riscv_vslidedown(total, n - 1, n));
        x += static_cast<int>(n);
    }
}

void integral_row(const IntegralRow& row) noexcept {
    row.step == 1 ? integrate<1>(row) : integrate<2>(row);
}

}  // namespace

const DetectKernels detect_rvv = {
    .haar_row = haar_row,
    .haar_batch = haar_batch,
    .batch = unit_lanes,
    .shrink_row = shrink_row,
    .blend_rows = blend_rows,
    .integral_row = integral_row,
};

}  // namespace mien
