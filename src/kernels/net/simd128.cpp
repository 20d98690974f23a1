// SPDX-License-Identifier: MIT
// The networks with WebAssembly's 128-bit vectors: int8 widened to int16, and i32x4.dot_i16x8 for pairs of products.
// Built with -msimd128; a module that has this file is loaded only where the browser knows these vectors. See tables.h.
#include <wasm_simd128.h>

#include "kernels/tables.h"

namespace mien {
namespace {

// f32(acc) * scale, rounded to nearest even, as int32.
inline v128_t scaled128(v128_t acc, v128_t scale) noexcept {
    return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_mul(wasm_f32x4_convert_i32x4(acc), scale)));
}
inline void store8_128(std::int8_t* p, v128_t a, v128_t b, std::int8_t low) noexcept {
    const v128_t words = wasm_i16x8_narrow_i32x4(a, b);
    wasm_v128_store64_lane(p, wasm_i8x16_max(wasm_i8x16_narrow_i16x8(words, words), wasm_i8x16_splat(low)), 0);
}

struct V {
    using I32 = v128_t;
    using F32 = v128_t;
    struct Act {
        v128_t first, second;  // the first and the second pair of four inputs, in every 32-bit lane
    };
    using Weights = Act;       // of four channels
    using Words32 = v128_t;
    static constexpr int vectors = 2, pixels_of_one_block = 4, pixels_of_two_blocks = 2;

    static I32 load_bias(const std::int32_t* p) noexcept { return wasm_v128_load(p); }
    static F32 load_scale(const float* p) noexcept { return wasm_v128_load(p); }
    static Weights load_weights(const std::int8_t* p) noexcept {
        const v128_t a = wasm_i16x8_load8x8(p), b = wasm_i16x8_load8x8(p + 8);
        return {wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7)};
    }
    template <bool unsigned_input>
    static Act broadcast(const std::int8_t* p) noexcept {
        const v128_t wide = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(p));
        return {wasm_i32x4_shuffle(wide, wide, 0, 0, 0, 0), wasm_i32x4_shuffle(wide, wide, 1, 1, 1, 1)};
    }
    template <bool unsigned_input>
    static I32 dot(I32 acc, const Act& a, const Weights& w) noexcept {
        return wasm_i32x4_add(wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(a.first, w.first)), wasm_i32x4_dot_i16x8(a.second, w.second));
    }
    static Words32 scaled(I32 acc, F32 scale) noexcept { return scaled128(acc, scale); }
    static void store8(std::int8_t* p, const Words32 (&v)[2], std::int8_t low, std::uint8_t) noexcept { store8_128(p, v[0], v[1], low); }
    static void store16(std::int8_t* p, const Words32 (&v)[4], std::int8_t low, std::uint8_t) noexcept {
        const v128_t all = wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(v[0], v[1]), wasm_i16x8_narrow_i32x4(v[2], v[3]));
        wasm_v128_store(p, wasm_i8x16_max(all, wasm_i8x16_splat(low)));
    }
};

#define MIEN_CONV_ANY_SIGN 1
#include "kernels/net/conv_body.inl"

// Any depthwise kernel, eight channels and up to four pixels at a time, two taps at once.
template <int pixels>
inline void depthwise_tile(const DepthwiseArgs& args, const std::int8_t* field, int n, std::int8_t* out) noexcept {
    const int taps = args.kernel_h * args.kernel_w;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.channels;
    v128_t acc[pixels][2];
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        acc[p][0] = wasm_v128_load(args.bias + n);
        acc[p][1] = wasm_v128_load(args.bias + n + 4);
    }
    const std::int8_t* tap = field + n;
    int kx = 0;
    const auto next_tap = [&] {
        const std::int8_t* const at = tap;
        tap += args.channels;
        if (++kx == args.kernel_w) {
            kx = 0;
            tap += args.input_row - static_cast<std::ptrdiff_t>(args.kernel_w) * args.channels;
        }
        return at;
    };
    for (int t = 0; t < taps; t += 2) {
        const std::int16_t* const weights = args.weights + (t / 2 * args.channels + n) * 2;
        const v128_t w0 = wasm_v128_load(weights), w1 = wasm_v128_load(weights + 8);
        const std::int8_t* const first = next_tap();
        const std::int8_t* const second = t + 1 < taps ? next_tap() : first;  // the weights of a missing tap are 0
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) {
            const v128_t a = wasm_v128_load64_zero(first + p * step), b = wasm_v128_load64_zero(second + p * step);
            const v128_t pairs = wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            acc[p][0] = wasm_i32x4_add(acc[p][0], wasm_i32x4_dot_i16x8(wasm_i16x8_extend_low_i8x16(pairs), w0));
            acc[p][1] = wasm_i32x4_add(acc[p][1], wasm_i32x4_dot_i16x8(wasm_i16x8_extend_high_i8x16(pairs), w1));
        }
    }
    const v128_t scale0 = wasm_v128_load(args.scale + n), scale1 = wasm_v128_load(args.scale + n + 4);
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p)
        store8_128(out + p * args.channels + n, scaled128(acc[p][0], scale0), scaled128(acc[p][1], scale1), args.low);
}

void depthwise(const DepthwiseArgs& args) noexcept {
    constexpr int pixels = 4;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.channels;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* field = args.input + static_cast<std::ptrdiff_t>(y) * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int n = 0; n < args.channels; n += 8) {
            int x = 0;
            for (; x + pixels <= args.output_w; x += pixels) depthwise_tile<pixels>(args, field + x * step, n, out + x * args.channels);
            for (; x < args.output_w; ++x) depthwise_tile<1>(args, field + x * step, n, out + x * args.channels);
        }
    }
}

}  // namespace

const NetKernels net_simd128 = {
    .conv_layout = conv_layout,
    .conv = conv,
    .depthwise = depthwise,
    .max_pool = max_pool_scalar,
    .avg_pool = avg_pool_scalar,
    .add = add_scalar,
    .sum_positions = sum_positions_scalar,
    .dot = dot_scalar,
    .lift = 0,
    .depthwise3 = nullptr,
};

}  // namespace mien
