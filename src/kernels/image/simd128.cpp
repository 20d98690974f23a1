// SPDX-License-Identifier: MIT
// Rows of pixels with WebAssembly's 128-bit vectors.
// Built with -msimd128; a module that has this file is loaded only where the browser knows these
// vectors. See tables.h.
#include <wasm_simd128.h>

#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    static constexpr int block = 16;

    // Four pixels, each in 32 bits: the `quad`th of the block. Odd quads of 24-bit pixels are
    // loaded from 4 bytes before, so as to end with them. The last byte of a pixel is anything:
    // gray32() gives it no weight.
    template <int pixel_bytes, int quad>
    static v128_t load_pixels(const std::uint8_t* p) noexcept {
        if constexpr (pixel_bytes == 4) {
            return wasm_v128_load(p + 16 * quad);
        } else if constexpr (quad % 2 == 0) {
            const v128_t v = wasm_v128_load(p + 12 * quad);
            return wasm_i8x16_shuffle(v, v, 0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 0, 9, 10, 11, 0);
        } else {
            const v128_t v = wasm_v128_load(p + 12 * quad - 4);
            return wasm_i8x16_shuffle(v, v, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0, 13, 14, 15, 0);
        }
    }
    template <int red>
    static v128_t gray32(v128_t pixels) noexcept {
        constexpr int outer = red == 0 ? 3735 << 16 | 9798 : 9798 << 16 | 3735;
        const v128_t red_blue = wasm_v128_and(pixels, wasm_i16x8_splat(255)),
                     green = wasm_u16x8_shr(pixels, 8);
        const v128_t sum = wasm_i32x4_add(wasm_i32x4_dot_i16x8(red_blue, wasm_i32x4_splat(outer)),
                                          wasm_i32x4_dot_i16x8(green, wasm_i32x4_splat(19235)));
        return wasm_u32x4_shr(wasm_i32x4_add(sum, wasm_i32x4_splat(16384)), 15);
    }
    template <int pixel_bytes, int red>
    static void gray(const std::uint8_t* p, std::uint8_t* out) noexcept {
        const v128_t a = gray32<red>(load_pixels<pixel_bytes, 0>(p)),
                     b = gray32<red>(load_pixels<pixel_bytes, 1>(p));
        const v128_t c = gray32<red>(load_pixels<pixel_bytes, 2>(p)),
                     d = gray32<red>(load_pixels<pixel_bytes, 3>(p));
        wasm_v128_store(out, wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(a, b),
                                                     wasm_i16x8_narrow_i32x4(c, d)));
    }
    template <int first>
    static void every_second(const std::uint8_t* p, std::uint8_t* out) noexcept {
        const v128_t a = wasm_v128_load(p), b = wasm_v128_load(p + 16);
        wasm_v128_store(out, wasm_i8x16_shuffle(a, b, first, first + 2, first + 4, first + 6,
                                                first + 8, first + 10, first + 12, first + 14,
                                                first + 16, first + 18, first + 20, first + 22,
                                                first + 24, first + 26, first + 28, first + 30));
    }

    static void linear_columns(const std::uint8_t* pairs, const std::int16_t* weights,
                               std::int16_t* out) noexcept {
        for (int i = 0; i < block; i += 8) {
            const v128_t p = wasm_v128_load(pairs + 2 * i);
            const v128_t a = wasm_i32x4_dot_i16x8(wasm_u16x8_extend_low_u8x16(p),
                                                  wasm_v128_load(weights + 2 * i));
            const v128_t b = wasm_i32x4_dot_i16x8(wasm_u16x8_extend_high_u8x16(p),
                                                  wasm_v128_load(weights + 2 * i + 8));
            wasm_v128_store(out + i,
                            wasm_i16x8_narrow_i32x4(wasm_i32x4_shr(a, 4), wasm_i32x4_shr(b, 4)));
        }
    }
    static v128_t high_product(v128_t a, v128_t w) noexcept {
        const v128_t low = wasm_i32x4_extmul_low_i16x8(a, w),
                     high = wasm_i32x4_extmul_high_i16x8(a, w);
        return wasm_i16x8_shuffle(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
    }
    static v128_t rows8(const std::int16_t* top, const std::int16_t* bottom, v128_t w0,
                        v128_t w1) noexcept {
        const v128_t sum = wasm_i16x8_add(high_product(wasm_v128_load(top), w0),
                                          high_product(wasm_v128_load(bottom), w1));
        return wasm_i16x8_shr(wasm_i16x8_add(sum, wasm_i16x8_splat(2)), 2);
    }
    static void linear_rows(const std::int16_t* top, const std::int16_t* bottom, std::int16_t w0,
                            std::int16_t w1, std::uint8_t* out) noexcept {
        const v128_t v0 = wasm_i16x8_splat(w0), v1 = wasm_i16x8_splat(w1);
        wasm_v128_store(out, wasm_u8x16_narrow_i16x8(rows8(top, bottom, v0, v1),
                                                     rows8(top + 8, bottom + 8, v0, v1)));
    }
};

#include "kernels/image/rows.inl"

}  // namespace

const ImageKernels image_simd128 = kernels_of_v;

}  // namespace mien
