// SPDX-License-Identifier: MIT
// Rows of pixels with RISC-V's vectors, of any length. Segment loads take the channels apart.
// Built with -march=rv64gcv; runs only where dispatch.cpp found vectors. No standard library here,
// see tables.h.
#include <riscv_vector.h>

#include "kernels/tables.h"

namespace mien {
namespace {

// Calls make(first, n) for vectors of n bytes until the row's end; the sums of bytes take four
// registers.
template <class Make>
[[gnu::always_inline]] inline void each_vector(int count, const Make& make) noexcept {
    for (int first = 0; first < count;) {
        const std::size_t n = __riscv_vsetvl_e8m1(static_cast<std::size_t>(count - first));
        make(first, n);
        first += static_cast<int>(n);
    }
}

// The narrowing shift rounds up from one half: it adds 16384.
[[gnu::always_inline]] inline void store_gray(std::uint8_t* to, vuint8m1_t red, vuint8m1_t green,
                                              vuint8m1_t blue, std::size_t n) noexcept {
    auto sum = __riscv_vwmulu(__riscv_vzext_vf2(red, n), 9798, n);
    sum = __riscv_vwmaccu(sum, 19235, __riscv_vzext_vf2(green, n), n);
    sum = __riscv_vwmaccu(sum, 3735, __riscv_vzext_vf2(blue, n), n);
    __riscv_vse8(to, __riscv_vncvt_x(__riscv_vnclipu(sum, 15, __RISCV_VXRM_RNU, n), n), n);
}

// `red` is 0 or 2; blue is the other.
template <int pixel_bytes, int red>
void gray_row(const std::uint8_t* p, int width, std::uint8_t* gray) noexcept {
    each_vector(width, [=](int x, std::size_t n) {
        const std::uint8_t* const from = p + std::ptrdiff_t{x} * pixel_bytes;
        const auto take = [&](auto pixels) {
            store_gray(gray + x, __riscv_vget_u8m1(pixels, red), __riscv_vget_u8m1(pixels, 1),
                       __riscv_vget_u8m1(pixels, 2 - red), n);
        };
        if constexpr (pixel_bytes == 3)
            take(__riscv_vlseg3e8_v_u8m1x3(from, n));
        else
            take(__riscv_vlseg4e8_v_u8m1x4(from, n));
    });
}

template <int first>
void every_second(const std::uint8_t* p, int width, std::uint8_t* gray) noexcept {
    for (int x = 0; x < width;) {
        const std::size_t n = __riscv_vsetvl_e8m4(static_cast<std::size_t>(width - x));
        const auto pairs = __riscv_vle8_v_u8m8(p + 2 * std::ptrdiff_t{x}, 2 * n);
        __riscv_vse8(gray + x, __riscv_vnsrl(__riscv_vreinterpret_u16m8(pairs), 8 * first, n), n);
        x += static_cast<int>(n);
    }
}

void linear_columns(const std::uint8_t* pairs, const std::int16_t* weights, int count,
                    std::int16_t* out) noexcept {
    each_vector(count, [=](int i, std::size_t n) {
        const auto pixels = __riscv_vlseg2e8_v_u8m1x2(pairs + 2 * i, n);
        const auto weight = __riscv_vlseg2e16_v_i16m2x2(weights + 2 * i, n);
        const auto wide = [=](vuint8m1_t v) {
            return __riscv_vreinterpret_i16m2(__riscv_vzext_vf2(v, n));
        };
        auto sum =
            __riscv_vwmul(wide(__riscv_vget_u8m1(pixels, 0)), __riscv_vget_i16m2(weight, 0), n);
        sum = __riscv_vwmacc(sum, wide(__riscv_vget_u8m1(pixels, 1)), __riscv_vget_i16m2(weight, 1),
                             n);
        __riscv_vse16(out + i, __riscv_vnsra(sum, 4, n), n);
    });
}

void linear_rows(const std::int16_t* top, const std::int16_t* bottom, int top_weight,
                 int bottom_weight, int count, std::uint8_t* out) noexcept {
    const auto w0 = static_cast<std::int16_t>(top_weight),
               w1 = static_cast<std::int16_t>(bottom_weight);
    for (int i = 0; i < count;) {
        const std::size_t n = __riscv_vsetvl_e16m8(static_cast<std::size_t>(count - i));
        const auto sum =
            __riscv_vadd(__riscv_vmulh(__riscv_vle16_v_i16m8(top + i, n), w0, n),
                         __riscv_vmulh(__riscv_vle16_v_i16m8(bottom + i, n), w1, n), n);
        const auto rounded = __riscv_vreinterpret_u16m8(__riscv_vadd(sum, 2, n));
        __riscv_vse8(out + i, __riscv_vnsrl(rounded, 2, n), n);
        i += static_cast<int>(n);
    }
}

}  // namespace

const ImageKernels image_rvv = {
    .gray_rgb24 = gray_row<3, 0>,
    .gray_bgr24 = gray_row<3, 2>,
    .gray_rgba32 = gray_row<4, 0>,
    .gray_bgra32 = gray_row<4, 2>,
    .gray_yuyv = every_second<0>,
    .gray_uyvy = every_second<1>,
    .linear_columns = linear_columns,
    .linear_rows = linear_rows,
};

}  // namespace mien
