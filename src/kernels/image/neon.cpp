// SPDX-License-Identifier: MIT
// Rows of pixels with NEON, of armv7 and aarch64 alike. Structure loads take the channels apart.
// On armv7 built with -mfpu=neon; runs only where dispatch.cpp found NEON. No standard library
// here, see tables.h.
#include <arm_neon.h>

#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    static constexpr int block = 16;

    static uint16x4_t gray4(uint16x4_t red, uint16x4_t green, uint16x4_t blue) noexcept {
        // The narrowing shift rounds: it adds 16384.
        return vrshrn_n_u32(
            vmlal_n_u16(vmlal_n_u16(vmull_n_u16(red, 9798), green, 19235), blue, 3735), 15);
    }
    static uint8x8_t gray8(uint8x8_t red, uint8x8_t green, uint8x8_t blue) noexcept {
        const uint16x8_t r = vmovl_u8(red), g = vmovl_u8(green), b = vmovl_u8(blue);
        return vmovn_u16(vcombine_u16(gray4(vget_low_u16(r), vget_low_u16(g), vget_low_u16(b)),
                                      gray4(vget_high_u16(r), vget_high_u16(g), vget_high_u16(b))));
    }
    static uint8x16_t gray16(uint8x16_t red, uint8x16_t green, uint8x16_t blue) noexcept {
        return vcombine_u8(gray8(vget_low_u8(red), vget_low_u8(green), vget_low_u8(blue)),
                           gray8(vget_high_u8(red), vget_high_u8(green), vget_high_u8(blue)));
    }
    template <int pixel_bytes, int red>
    static void gray(const std::uint8_t* p, std::uint8_t* out) noexcept {
        if constexpr (pixel_bytes == 3) {
            const uint8x16x3_t v = vld3q_u8(p);
            vst1q_u8(out, gray16(v.val[red], v.val[1], v.val[2 - red]));
        } else {
            const uint8x16x4_t v = vld4q_u8(p);
            vst1q_u8(out, gray16(v.val[red], v.val[1], v.val[2 - red]));
        }
    }
    template <int first>
    static void every_second(const std::uint8_t* p, std::uint8_t* out) noexcept {
        vst1q_u8(out, vld2q_u8(p).val[first]);
    }

    static void linear_columns(const std::uint8_t* pairs, const std::int16_t* weights,
                               std::int16_t* out) noexcept {
        for (int i = 0; i < block; i += 8) {
            const uint8x8x2_t pair = vld2_u8(pairs + 2 * i);
            const int16x8x2_t weight = vld2q_s16(weights + 2 * i);
            const int16x8_t l = vreinterpretq_s16_u16(vmovl_u8(pair.val[0])),
                            r = vreinterpretq_s16_u16(vmovl_u8(pair.val[1]));
            const int32x4_t low = vmlal_s16(vmull_s16(vget_low_s16(l), vget_low_s16(weight.val[0])),
                                            vget_low_s16(r), vget_low_s16(weight.val[1]));
            const int32x4_t high =
                vmlal_s16(vmull_s16(vget_high_s16(l), vget_high_s16(weight.val[0])),
                          vget_high_s16(r), vget_high_s16(weight.val[1]));
            vst1q_s16(out + i, vcombine_s16(vshrn_n_s32(low, 4), vshrn_n_s32(high, 4)));
        }
    }
    static int16x8_t high_product(int16x8_t a, std::int16_t w) noexcept {
        return vcombine_s16(vshrn_n_s32(vmull_n_s16(vget_low_s16(a), w), 16),
                            vshrn_n_s32(vmull_n_s16(vget_high_s16(a), w), 16));
    }
    static void linear_rows(const std::int16_t* top, const std::int16_t* bottom, std::int16_t w0,
                            std::int16_t w1, std::uint8_t* out) noexcept {
        for (int i = 0; i < block; i += 8) {
            const int16x8_t sum = vaddq_s16(high_product(vld1q_s16(top + i), w0),
                                            high_product(vld1q_s16(bottom + i), w1));
            vst1_u8(out + i, vqrshrun_n_s16(sum, 2));  // rounds: it adds 2
        }
    }
};

#include "kernels/image/rows.inl"

}  // namespace

const ImageKernels image_neon = kernels_of_v;

}  // namespace mien
