// SPDX-License-Identifier: MIT
// The definition of each kernel, in portable C++ that compilers vectorize for any processor.
// Weights widened to int16, inner loops over output channels: independent sums over contiguous
// memory.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/tables.h"

namespace mien {
namespace {

// clamp, then round to nearest even by adding 1.5 * 2^23: the sum's last mantissa bit is worth 1.
// Same value as rounding first, because both limits are integers; and unlike rintf it vectorizes
// everywhere.
inline std::int8_t requantise(std::int32_t acc, float scale, float low) noexcept {
    constexpr float magic = 12582912.0f;
    const float value = std::min(std::max(static_cast<float>(acc) * scale, low), 127.0f);
    return static_cast<std::int8_t>(std::bit_cast<std::int32_t>(value + magic) -
                                    std::bit_cast<std::int32_t>(magic));
}

constexpr int conv_block = 8;

void conv(const ConvArgs& args) noexcept {
    const auto* weights = static_cast<const std::int16_t*>(args.weights);
    const std::size_t block_weights = static_cast<std::size_t>(args.kernel_h) *
                                      static_cast<std::size_t>(args.run_bytes) * conv_block;
    const float low = args.low;
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const std::int8_t* field = args.input + y * args.stride_y * args.input_row +
                                       x * args.stride_x * args.input_pixel;
            std::int8_t* out = args.output + y * args.output_row + x * args.output_pixel;
            for (int n = 0; n < args.output_channels; n += conv_block) {
                const std::int16_t* w =
                    weights + static_cast<std::size_t>(n / conv_block) * block_weights;
                std::int32_t acc[conv_block];
                std::memcpy(acc, args.bias + n, sizeof acc);
                for (int ky = 0; ky < args.kernel_h; ++ky) {
                    const std::int8_t* run = field + ky * args.input_row;
                    for (int k = 0; k < args.run_bytes; ++k, w += conv_block) {
                        const std::int16_t a = run[k];
                        for (int i = 0; i < conv_block; ++i) acc[i] += a * w[i];
                    }
                }
                for (int i = 0; i < conv_block; ++i)
                    out[n + i] = requantise(acc[i], args.scale[n + i], low);
            }
        }
}

// The part of a pooling window that lies inside the input.
struct Clip {
    int y0, y1, x0, x1;
};
inline Clip clip_window(const PoolArgs& args, int y, int x) noexcept {
    const int top = y * args.stride_y - args.pad_top, left = x * args.stride_x - args.pad_left;
    return {std::max(top, 0), std::min(top + args.kernel_h, args.input_h), std::max(left, 0),
            std::min(left + args.kernel_w, args.input_w)};
}

template <bool lifted>
void depthwise_rows(const DepthwiseArgs& args) noexcept {
    const float low = args.low;
    const int taps = args.kernel_h * args.kernel_w;
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const std::int8_t* field =
                args.input + y * args.stride_y * args.input_row + x * args.stride_x * args.channels;
            std::int8_t* out = args.output + y * args.output_row + x * args.channels;
            for (int n = 0; n < args.channels; n += channel_multiple) {
                std::int32_t acc[channel_multiple];
                std::memcpy(acc, args.bias + n, sizeof acc);
                for (int tap = 0; tap < taps; ++tap) {
                    const std::int8_t* in = field + tap / args.kernel_w * args.input_row +
                                            tap % args.kernel_w * args.channels + n;
                    const std::int16_t* w =
                        args.weights + (tap / 2 * args.channels + n) * 2 + tap % 2;
                    for (int i = 0; i < channel_multiple; ++i)
                        acc[i] +=
                            static_cast<std::int8_t>(lifted ? in[i] ^ 0x80 : in[i]) * w[2 * i];
                }
                for (int i = 0; i < channel_multiple; ++i) {
                    const std::int8_t value = requantise(acc[i], args.scale[n + i], low);
                    out[n + i] = static_cast<std::int8_t>(value ^ args.output_lift);
                }
            }
        }
}

// `Byte`: unsigned for lifted values, which are in the same order.
template <class Byte>
void max_pool_rows(const PoolArgs& args) noexcept {
    const auto channels = static_cast<std::size_t>(args.channels);
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const Clip clip = clip_window(args, y, x);
            auto* const out =
                reinterpret_cast<Byte*>(args.output + y * args.output_row + x * args.channels);
            std::memset(out, -127 ^ args.lift, channels);
            for (int iy = clip.y0; iy < clip.y1; ++iy)
                for (int ix = clip.x0; ix < clip.x1; ++ix) {
                    const auto* const in = reinterpret_cast<const Byte*>(
                        args.input + iy * args.input_row + ix * args.channels);
                    for (std::size_t c = 0; c < channels; ++c) out[c] = std::max(out[c], in[c]);
                }
        }
}

}  // namespace

void depthwise_scalar(const DepthwiseArgs& args) noexcept {
    args.input_lift != 0 ? depthwise_rows<true>(args) : depthwise_rows<false>(args);
}

void max_pool_scalar(const PoolArgs& args) noexcept {
    args.lift != 0 ? max_pool_rows<std::uint8_t>(args) : max_pool_rows<std::int8_t>(args);
}

void add_scalar(const AddArgs& args) noexcept {
    // copies: stored bytes might alias them, and the loop would not be vectorized
    const int low = args.low, row_bytes = args.row_bytes;
    for (int y = 0; y < args.rows; ++y) {
        const std::int8_t *a = args.a + y * args.a_row, *b = args.b + y * args.b_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int i = 0; i < row_bytes; ++i)
            out[i] = static_cast<std::int8_t>(std::clamp<int>(a[i] + b[i], low, 127));
    }
}

void sum_positions_scalar(const SumArgs& args) noexcept {
    const std::int32_t offset = args.lift != 0 ? 128 * args.height * args.width : 0;
    std::fill_n(args.sums, args.channels, -offset);
    for (int y = 0; y < args.height; ++y)
        for (int x = 0; x < args.width; ++x) {
            const std::int8_t* in = args.input + y * args.row + x * args.pixel;
            for (int c = 0; c < args.channels; ++c)
                args.sums[c] += args.lift != 0 ? static_cast<std::uint8_t>(in[c]) : in[c];
        }
}

std::int32_t dot_scalar(const std::int32_t* a, const std::int8_t* w, int count) noexcept {
    std::int32_t sum = 0;
    for (int i = 0; i < count; ++i) sum += a[i] * w[i];
    return sum;
}

void avg_pool_scalar(const PoolArgs& args) noexcept {
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const Clip clip = clip_window(args, y, x);
            const float scale =
                1.0f / static_cast<float>((clip.y1 - clip.y0) * (clip.x1 - clip.x0));
            std::int8_t* out = args.output + y * args.output_row + x * args.channels;
            for (int n = 0; n < args.channels; n += channel_multiple) {
                std::int32_t acc[channel_multiple] = {};
                for (int iy = clip.y0; iy < clip.y1; ++iy)
                    for (int ix = clip.x0; ix < clip.x1; ++ix) {
                        const std::int8_t* in =
                            args.input + iy * args.input_row + ix * args.channels + n;
                        for (int i = 0; i < channel_multiple; ++i)
                            acc[i] += static_cast<std::int8_t>(in[i] ^ args.lift);
                    }
                for (int i = 0; i < channel_multiple; ++i)
                    out[n + i] =
                        static_cast<std::int8_t>(requantise(acc[i], scale, -127.0f) ^ args.lift);
            }
        }
}

const NetKernels net_scalar = {
    .conv_layout = {.out_block = conv_block, .group = 1, .element_bytes = 2},
    .conv_packing = nullptr,
    .conv = conv,
    .depthwise = depthwise_scalar,
    .max_pool = max_pool_scalar,
    .avg_pool = avg_pool_scalar,
    .add = add_scalar,
    .sum_positions = sum_positions_scalar,
    .dot = dot_scalar,
    .lift = 0,
    .depthwise3 = nullptr,
};

}  // namespace mien
