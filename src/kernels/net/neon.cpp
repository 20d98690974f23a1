// SPDX-License-Identifier: MIT
// The networks with NEON, of armv7 and aarch64 alike, by widening multiplies: smull, and sadalp to
// add pairs. On armv7 built with -mfpu=neon; runs only where dispatch.cpp found NEON. No standard
// library here, see tables.h.
#include "kernels/net/neon_common.h"
#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    using I32 = int32x4_t;
    using F32 = float32x4_t;
    static F32 load_scale(const float* p) noexcept { return vld1q_f32(p); }
    static void store_clamped8(std::int8_t* p, const I32 (&v)[2], std::int8_t low,
                               std::uint8_t) noexcept {
        store8_neon(p, v, low);
    }

    // Depthwise. Two products fit in 16 bits: taps go in pairs.
    struct Taps {
        int8x8_t first, second;
    };
    static I32 load_i32(const std::int32_t* p) noexcept { return vld1q_s32(p); }
    static Taps load_taps(const std::int16_t* p) noexcept {
        const int16x8x2_t both = vld2q_s16(p);
        return {vmovn_s16(both.val[0]), vmovn_s16(both.val[1])};
    }
    using Bytes = int8x8_t;
    static Bytes load8(const std::int8_t* p) noexcept { return vld1_s8(p); }
    static void add_taps(I32 (&acc)[2], Bytes first, Bytes second, const Taps& w) noexcept {
        add_words(acc, add_tap(multiply_tap(first, w.first), second, w.second));
    }
    static int16x8_t multiply_tap(Bytes a, Bytes w) noexcept { return vmull_s8(a, w); }
    static int16x8_t add_tap(int16x8_t sum, Bytes a, Bytes w) noexcept {
        return vmlal_s8(sum, a, w);
    }
    static void add_words(I32 (&acc)[2], int16x8_t sum) noexcept {
        acc[0] = vaddw_s16(acc[0], vget_low_s16(sum));
        acc[1] = vaddw_s16(acc[1], vget_high_s16(sum));
    }
    static I32 scaled(I32 v, F32 scale) noexcept { return scaled_neon(v, scale); }

    static void average8(const std::int8_t* a, const std::int8_t* b, const std::int8_t* c,
                         const std::int8_t* d, std::uint8_t, std::int8_t* out) noexcept {
        const int16x8_t sum = vaddq_s16(vaddl_s8(vld1_s8(a), vld1_s8(b)),
                                        vaddl_s8(vld1_s8(c), vld1_s8(d))),
                        one = vdupq_n_s16(1);
        const int16x8_t odd = vandq_s16(vshrq_n_s16(sum, 2), one);
        const int16x8_t mean = vshrq_n_s16(vaddq_s16(vaddq_s16(sum, one), odd), 2);
        vst1_s8(out, vmax_s8(vqmovn_s16(mean), vdup_n_s8(-127)));
    }
};

#include "kernels/net/average_body.inl"
#include "kernels/net/conv_neon.inl"
#include "kernels/net/depthwise3_neon.inl"
#include "kernels/net/depthwise_body.inl"

void depthwise_neon(const DepthwiseArgs& args) noexcept {
    if (args.packed3 != nullptr)
        depthwise3_all<false>(args, {args.output, nullptr});
    else
        depthwise(args);
}

}  // namespace

void avg_pool_neon(const PoolArgs& args) noexcept { average_pool(args); }

// Rows are whole groups of eight channels.
void add_neon(const AddArgs& args) noexcept {
    const int8x8_t low = vdup_n_s8(args.low);
    const int8x16_t all_low = vdupq_n_s8(args.low);
    for (int y = 0; y < args.rows; ++y) {
        const std::int8_t *a = args.a + y * args.a_row, *b = args.b + y * args.b_row;
        std::int8_t* out = args.output + y * args.output_row;
        int i = 0;
        for (; i + 16 <= args.row_bytes; i += 16)
            vst1q_s8(out + i, vmaxq_s8(vqaddq_s8(vld1q_s8(a + i), vld1q_s8(b + i)), all_low));
        for (; i < args.row_bytes; i += 8)
            vst1_s8(out + i, vmax_s8(vqadd_s8(vld1_s8(a + i), vld1_s8(b + i)), low));
    }
}

// Two by two with a stride of two, windows inside the input, whole vectors of channels: the pooling
// of the detector network. All others by the plain loop.
void max_pool_neon(const PoolArgs& args) noexcept {
    if (args.kernel_h != 2 || args.kernel_w != 2 || args.stride_y != 2 || args.stride_x != 2 ||
        args.pad_top != 0 || args.pad_left != 0 || 2 * args.output_h > args.input_h ||
        2 * args.output_w > args.input_w || args.channels % 16 != 0)
        return max_pool_scalar(args);
    const int channels = args.channels, width = args.output_w;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* top = args.input + std::ptrdiff_t{2} * y * args.input_row;
        const std::int8_t* bottom = top + args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int x = 0; x < width; ++x, top += channels, bottom += channels)
            for (int n = 0; n < channels; n += 16, top += 16, bottom += 16, out += 16)
                vst1q_s8(out, vmaxq_s8(vmaxq_s8(vld1q_s8(top), vld1q_s8(top + channels)),
                                       vmaxq_s8(vld1q_s8(bottom), vld1q_s8(bottom + channels))));
    }
}

const NetKernels net_neon = {
    .conv_layout = conv_layout,
    .conv_packing = &conv_packing,
    .conv = conv,
    .depthwise = depthwise_neon,
    .max_pool = max_pool_neon,
    .avg_pool = avg_pool_neon,
    .add = add_neon,
    .sum_positions = sum_positions_scalar,
    .dot = dot_scalar,
    .lift = 0,
    .depthwise3 = &depthwise3_functions,
};

}  // namespace mien
