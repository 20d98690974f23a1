// SPDX-License-Identifier: MIT
// The networks with RISC-V's vectors (V 1.0), of any length from 128 bits: as many channels at a
// time as a register holds, each byte of the input a scalar. Built with -march=rv64gcv; runs only
// where dispatch.cpp found vectors. Every load is of elements at their natural alignment. No
// standard library here, see tables.h.
#include <riscv_vector.h>

#include "kernels/tables.h"

namespace mien {

// The first draft that was built into processors (0.7.1) has other encodings, and its kernels
// announce the same letter. It knows no "agnostic" bits and marks a type that has them as illegal.
bool rvv_works() noexcept {
    std::size_t lanes, type;
    __asm__ volatile("vsetvli %0, zero, e8, m1, ta, ma\n\tcsrr %1, vtype"
                     : "=r"(lanes), "=r"(type));
    return static_cast<std::ptrdiff_t>(type) >= 0 && lanes >= 16;
}

namespace {

// Types have no size that the compiler knows: no arrays of them, no members. The overloaded names
// of the intrinsics (vwmul, vnclip) serve every length; loads are named by it.
struct OneRegister {
    static constexpr int pixels = 4;  // 4 x 4 registers of sums, 4 x 2 of products
    static auto bytes(const std::int8_t* p, std::size_t n) noexcept {
        return __riscv_vle8_v_i8m1(p, n);
    }
    static auto integers(const std::int32_t* p, std::size_t n) noexcept {
        return __riscv_vle32_v_i32m4(p, n);
    }
    static auto floats(const float* p, std::size_t n) noexcept {
        return __riscv_vle32_v_f32m4(p, n);
    }
};
struct TwoRegisters {
    static constexpr int pixels = 2;
    static auto bytes(const std::int8_t* p, std::size_t n) noexcept {
        return __riscv_vle8_v_i8m2(p, n);
    }
    static auto integers(const std::int32_t* p, std::size_t n) noexcept {
        return __riscv_vle32_v_i32m8(p, n);
    }
    static auto floats(const float* p, std::size_t n) noexcept {
        return __riscv_vle32_v_f32m8(p, n);
    }
};

// Conversions round to nearest even, which is what C leaves set, and saturate; so does vnclip,
// which has nothing to round with a shift of 0.
template <class I32, class F32>
[[gnu::always_inline]] inline void store_scaled(std::int8_t* p, I32 sum, F32 scale, std::int8_t low,
                                                std::size_t n) noexcept {
    const auto words = __riscv_vfncvt_x(__riscv_vfmul(__riscv_vfcvt_f(sum, n), scale, n), n);
    __riscv_vse8(p, __riscv_vmax(__riscv_vnclip(words, 0, __RISCV_VXRM_RNU, n), low, n), n);
}

// -------------------------------------------------------------------- convolution

// Channels come in blocks: of two registers, or one if that holds all. Packed: for each block how
// many products are added in 16 bits before they are widened, a power of two; then the weights,
// [block][kernel_h][run][channels of the block]. The order depends on the length of vectors, but
// every sum is exact.
constexpr int largest_group = 16;

int block_of(int channels) noexcept {
    const auto one = static_cast<int>(__riscv_vsetvlmax_e8m1());
    return channels <= one ? channels : 2 * one;
}
int blocks_of(int channels) noexcept {
    const int block = block_of(channels);
    return (channels + block - 1) / block;
}
std::size_t head_bytes(int channels) noexcept {
    return sizeof(std::int32_t) * static_cast<std::size_t>(blocks_of(channels));
}
std::size_t packed_bytes(const ConvGeometry& g) noexcept {
    return head_bytes(g.output_channels) + static_cast<std::size_t>(g.output_channels) *
                                               static_cast<std::size_t>(g.kernel_h) *
                                               static_cast<std::size_t>(g.kernel_w * g.input_pixel);
}
std::size_t no_scratch(const ConvGeometry&) noexcept { return 0; }

// The most products of neighboring inputs whose sum fits in 16 bits whatever the input, of `width`
// channels' weights. Two always do: 2 * 127 * 127 < 2^15.
int group_of(const ConvGeometry& g, const std::int8_t* packed, int width) noexcept {
    const int run = g.kernel_w * g.input_pixel, limit = 32767 / g.largest_input;
    int group = largest_group;
    while (group > run) group /= 2;
    for (; group > 2; group /= 2) {
        bool fits = true;
        for (int y = 0; y < g.kernel_h && fits; ++y)
            for (int k = 0; k + group <= run && fits; k += group)
                for (int c = 0; c < width && fits; ++c) {
                    int sum = 0;
                    for (int i = 0; i < group; ++i) {
                        const int w = packed[(y * run + k + i) * width + c];
                        sum += w < 0 ? -w : w;
                    }
                    fits = sum <= limit;
                }
        if (fits) break;
    }
    return group;
}

void pack(const ConvGeometry& g, const std::int8_t* weights, void* packed) noexcept {
    const int block = block_of(g.output_channels), run = g.kernel_w * g.input_pixel;
    auto* group = static_cast<std::int32_t*>(packed);
    auto* to = static_cast<std::int8_t*>(packed) + head_bytes(g.output_channels);
    for (int n = 0; n < g.output_channels; n += block) {
        const int left = g.output_channels - n, width = left < block ? left : block;
        std::int8_t* const first = to;
        for (int y = 0; y < g.kernel_h; ++y)
            for (int k = 0; k < run; ++k) {
                const int x = k / g.input_pixel, c = k % g.input_pixel;
                for (int out = n; out < n + width; ++out)
                    *to++ =
                        out >= g.outputs || c >= g.inputs
                            ? std::int8_t{0}
                            : weights[((std::ptrdiff_t{out} * g.kernel_h + y) * g.kernel_w + x) *
                                          g.inputs +
                                      c];
            }
        *group++ = group_of(g, first, width);
    }
}

struct ConvBlock {
    const std::int8_t* weights;
    int first;  // channel
    std::size_t width;
};

// `pixels` neighboring outputs.
template <class V, int group, int pixels>
[[gnu::always_inline]] inline void conv_tile(const ConvArgs& args, const ConvBlock& block,
                                             const std::int8_t* field, std::int8_t* out) noexcept {
    static_assert(pixels == 1 || pixels == 2 || pixels == 4);
    const std::size_t n = block.width;
    const std::ptrdiff_t step = std::ptrdiff_t{args.stride_x} * args.input_pixel;
    const std::int8_t* w = block.weights;
    const auto next_weights = [&]() __attribute__((always_inline)) {
        const auto weights = V::bytes(w, n);
        w += n;
        __asm__("" : "+r"(w));  // or all multiples of n would be held in registers
        return weights;
    };
    auto sum0 = V::integers(args.bias + block.first, n);
    auto sum1 = sum0, sum2 = sum0, sum3 = sum0;
    for (int ky = 0; ky < args.kernel_h; ++ky) {
        const std::int8_t *a0 = field + ky * args.input_row, *a1 = a0 + step, *a2 = a1 + step,
                          *a3 = a2 + step;
        const std::int8_t* const end = a0 + args.run_bytes;
        for (; end - a0 >= group; a0 += group, a1 += group, a2 += group, a3 += group) {
            auto weights = next_weights();
            auto p0 = __riscv_vwmul(weights, a0[0], n);
            auto p1 = p0, p2 = p0, p3 = p0;
            if constexpr (pixels > 1) p1 = __riscv_vwmul(weights, a1[0], n);
            if constexpr (pixels > 2) p2 = __riscv_vwmul(weights, a2[0], n);
            if constexpr (pixels > 2) p3 = __riscv_vwmul(weights, a3[0], n);
            MIEN_UNROLL
            for (int i = 1; i < group; ++i) {
                weights = next_weights();
                p0 = __riscv_vwmacc(p0, a0[i], weights, n);
                if constexpr (pixels > 1) p1 = __riscv_vwmacc(p1, a1[i], weights, n);
                if constexpr (pixels > 2) p2 = __riscv_vwmacc(p2, a2[i], weights, n);
                if constexpr (pixels > 2) p3 = __riscv_vwmacc(p3, a3[i], weights, n);
            }
            sum0 = __riscv_vwadd_wv(sum0, p0, n);
            if constexpr (pixels > 1) sum1 = __riscv_vwadd_wv(sum1, p1, n);
            if constexpr (pixels > 2) sum2 = __riscv_vwadd_wv(sum2, p2, n);
            if constexpr (pixels > 2) sum3 = __riscv_vwadd_wv(sum3, p3, n);
        }
        for (; a0 != end; ++a0, ++a1, ++a2, ++a3) {
            const auto weights = next_weights();
            sum0 = __riscv_vwadd_wv(sum0, __riscv_vwmul(weights, *a0, n), n);
            if constexpr (pixels > 1)
                sum1 = __riscv_vwadd_wv(sum1, __riscv_vwmul(weights, *a1, n), n);
            if constexpr (pixels > 2)
                sum2 = __riscv_vwadd_wv(sum2, __riscv_vwmul(weights, *a2, n), n);
            if constexpr (pixels > 2)
                sum3 = __riscv_vwadd_wv(sum3, __riscv_vwmul(weights, *a3, n), n);
        }
    }
    const auto scale = V::floats(args.scale + block.first, n);
    std::int8_t* to = out + block.first;
    store_scaled(to, sum0, scale, args.low, n);
    if constexpr (pixels > 1) store_scaled(to += args.output_pixel, sum1, scale, args.low, n);
    if constexpr (pixels > 2) store_scaled(to += args.output_pixel, sum2, scale, args.low, n);
    if constexpr (pixels > 2) store_scaled(to += args.output_pixel, sum3, scale, args.low, n);
}

// Takes copies: stored bytes might alias the originals, and they would be loaded again and again.
// The last tile of a row overlaps the one before and writes the same values again.
template <class V, int group>
[[gnu::noinline]] void conv_rows(const ConvArgs args, const ConvBlock block) noexcept {
    constexpr int pixels = V::pixels;
    const std::ptrdiff_t step = std::ptrdiff_t{args.stride_x} * args.input_pixel;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* const field = args.input + y * args.stride_y * args.input_row;
        std::int8_t* const out = args.output + y * args.output_row;
        int x = 0;
        if (args.output_w < pixels) {
            for (; x < args.output_w; ++x)
                conv_tile<V, group, 1>(args, block, field + x * step, out + x * args.output_pixel);
            continue;
        }
        for (; x < args.output_w; x += pixels) {
            if (x > args.output_w - pixels) x = args.output_w - pixels;
            conv_tile<V, group, pixels>(args, block, field + x * step, out + x * args.output_pixel);
        }
    }
}

template <class V>
void conv_block(const ConvArgs& args, const ConvBlock& block, int group) noexcept {
    switch (group) {
        case 1: return conv_rows<V, 1>(args, block);
        case 2: return conv_rows<V, 2>(args, block);
        case 4: return conv_rows<V, 4>(args, block);
        case 8: return conv_rows<V, 8>(args, block);
        default: return conv_rows<V, largest_group>(args, block);
    }
}

void conv(const ConvArgs& args) noexcept {
    const int channels = args.output_channels, size = block_of(channels);
    const auto one = static_cast<int>(__riscv_vsetvlmax_e8m1());
    const auto* group = static_cast<const std::int32_t*>(args.weights);
    ConvBlock block = {static_cast<const std::int8_t*>(args.weights) + head_bytes(channels), 0, 0};
    for (; block.first < channels; block.first += size) {
        const int left = channels - block.first, width = left < size ? left : size;
        block.width = static_cast<std::size_t>(width);
        if (width <= one)
            conv_block<OneRegister>(args, block, *group++);
        else
            conv_block<TwoRegisters>(args, block, *group++);
        block.weights += std::ptrdiff_t{args.kernel_h} * args.run_bytes * width;
    }
}

const ConvPacking conv_packing = {
    .packed_bytes = packed_bytes,
    .scratch_bytes = no_scratch,
    .pack = pack,
};

// ------------------------------------------------- depthwise 3x3 with a stride of 1

// Channels come in blocks of as many as one register of bytes holds; of fewer channels a block is
// of several pixels, which lie side by side. Packed: how many products may be added in 16 bits
// before they are widened; then for each block its weights by tap, biases and scales.
constexpr std::size_t depthwise3_head = 16;

int depthwise3_lanes(int channels, int first) noexcept {
    const auto most = static_cast<int>(__riscv_vsetvlmax_e8m1());
    const int left = channels - first;
    return channels <= most ? most / channels * channels : left < most ? left : most;
}
std::size_t depthwise3_block_bytes(int lanes) noexcept {
    return (9 + sizeof(std::int32_t) + sizeof(float)) * static_cast<std::size_t>(lanes);
}
std::size_t depthwise3_packed_bytes(int channels) noexcept {
    std::size_t bytes = depthwise3_head;
    for (int first = 0; first < channels;) {
        const int lanes = depthwise3_lanes(channels, first);
        bytes += depthwise3_block_bytes(lanes);
        first += lanes;
    }
    return bytes;
}
std::size_t depthwise3_scratch_bytes(int, int) noexcept { return 0; }

// Nine, three (a kernel row's) or two.
int depthwise3_products(const std::int8_t* weights, int channels) noexcept {
    int products = 9;
    for (int c = 0; c < channels; ++c) {
        int all = 0;
        for (int row = 0; row < 3; ++row) {
            int sum = 0;
            for (int x = 0; x < 3; ++x) {
                const int w = weights[(3 * row + x) * channels + c];
                sum += w < 0 ? -w : w;
            }
            if (sum > largest_small_sum) return 2;
            all += sum;
        }
        if (all > largest_small_sum) products = 3;
    }
    return products;
}

void depthwise3_pack(const std::int8_t* weights, int real_channels, int channels,
                     const std::int32_t* bias, const float* scale, std::uint8_t,
                     void* packed) noexcept {
    const std::int32_t products = depthwise3_products(weights, real_channels);
    __builtin_memcpy(packed, &products, sizeof products);
    auto* to = static_cast<std::int8_t*>(packed) + depthwise3_head;
    for (int first = 0; first < channels;) {
        const int lanes = depthwise3_lanes(channels, first);
        auto* const biases = reinterpret_cast<std::int32_t*>(to + 9 * lanes);
        auto* const scales = reinterpret_cast<float*>(biases + lanes);
        for (int i = 0; i < lanes; ++i) {
            const int c = first + i % channels;
            for (int t = 0; t < 9; ++t)
                to[t * lanes + i] =
                    c < real_channels ? weights[t * real_channels + c] : std::int8_t{0};
            biases[i] = bias[c];
            scales[i] = scale[c];
        }
        to += depthwise3_block_bytes(lanes);
        first += lanes;
    }
}

// Another product of every lane. `widen`: what was added so far fills 16 bits.
template <bool widen>
[[gnu::always_inline]] inline void add_product(vint32m4_t& sum, vint16m2_t& words, vint8m1_t a,
                                               vint8m1_t w, std::size_t n) noexcept {
    if constexpr (widen) {
        sum = __riscv_vwadd_wv(sum, words, n);
        words = __riscv_vwmul(a, w, n);
    } else {
        words = __riscv_vwmacc(words, a, w, n);
    }
}

// All outputs of a block: bytes, or floats where `values` is not null. A step is of `lanes`
// channels, the next one `advance` channels further; a row's last may be shorter.
template <int products>
void depthwise3_block(const DepthwiseArgs args, const std::int8_t* packed, int first, int lanes,
                      int advance, float* values) noexcept {
    const auto all = static_cast<std::size_t>(lanes);
    const auto tap = [=](int t) { return __riscv_vle8_v_i8m1(packed + t * lanes, all); };
    const auto w0 = tap(0), w1 = tap(1), w2 = tap(2), w3 = tap(3), w4 = tap(4), w5 = tap(5),
               w6 = tap(6), w7 = tap(7), w8 = tap(8);
    const auto* const biases = reinterpret_cast<const std::int32_t*>(packed + 9 * lanes);
    const auto bias = __riscv_vle32_v_i32m4(biases, all);
    const auto scale = __riscv_vle32_v_f32m4(reinterpret_cast<const float*>(biases + lanes), all);
    const int row_channels = args.output_w * args.channels;
    for (int y = 0; y < args.output_h; ++y)
        for (int i = first; i < row_channels; i += advance) {
            const auto n =
                static_cast<std::size_t>(row_channels - i < lanes ? row_channels - i : lanes);
            const std::int8_t *top = args.input + y * args.input_row + i,
                              *middle = top + args.input_row, *bottom = middle + args.input_row;
            const auto in = [=](const std::int8_t* row, int x) __attribute__((always_inline)) {
                return __riscv_vle8_v_i8m1(row + x * args.channels, n);
            };
            constexpr bool by_two = products == 2, by_three = products == 3;
            auto sum = bias;
            auto words = __riscv_vwmul(in(top, 0), w0, n);
            add_product<false>(sum, words, in(top, 1), w1, n);
            add_product<by_two>(sum, words, in(top, 2), w2, n);
            add_product<by_three>(sum, words, in(middle, 0), w3, n);
            add_product<by_two>(sum, words, in(middle, 1), w4, n);
            add_product<false>(sum, words, in(middle, 2), w5, n);
            add_product<by_two || by_three>(sum, words, in(bottom, 0), w6, n);
            add_product<false>(sum, words, in(bottom, 1), w7, n);
            add_product<by_two>(sum, words, in(bottom, 2), w8, n);
            sum = __riscv_vwadd_wv(sum, words, n);
            if (values == nullptr)
                store_scaled(args.output + y * args.output_row + i, sum, scale, args.low, n);
            else
                __riscv_vse32(values + std::ptrdiff_t{y} * row_channels + i,
                              __riscv_vfmul(__riscv_vfcvt_f(sum, n), scale, n), n);
        }
}

void depthwise3(const DepthwiseArgs& args, float* values) noexcept {
    std::int32_t products;
    __builtin_memcpy(&products, args.packed3, sizeof products);
    const auto* packed = static_cast<const std::int8_t*>(args.packed3) + depthwise3_head;
    for (int first = 0; first < args.channels;) {
        const int lanes = depthwise3_lanes(args.channels, first),
                  advance = lanes < args.channels ? args.channels : lanes;
        if (products == 9)
            depthwise3_block<9>(args, packed, first, lanes, advance, values);
        else if (products == 3)
            depthwise3_block<3>(args, packed, first, lanes, advance, values);
        else
            depthwise3_block<2>(args, packed, first, lanes, advance, values);
        packed += depthwise3_block_bytes(lanes);
        first += lanes;
    }
}

const Depthwise3 depthwise3_functions = {
    .packed_bytes = depthwise3_packed_bytes,
    .pack = depthwise3_pack,
    .scratch_bytes = depthwise3_scratch_bytes,
    .floats = depthwise3,
};

// ------------------------------------------------------------------------- others

// Calls make(n, count) for the channels n .. n + count - 1 of which a vector holds all.
template <class Make>
[[gnu::always_inline]] inline void each_vector(int channels, const Make& make) noexcept {
    for (int n = 0; n < channels;) {
        const std::size_t count = __riscv_vsetvl_e8m1(static_cast<std::size_t>(channels - n));
        make(n, count);
        n += static_cast<int>(count);
    }
}

void depthwise(const DepthwiseArgs& args) noexcept {
    if (args.packed3 != nullptr) return depthwise3(args, nullptr);
    const int taps = args.kernel_h * args.kernel_w, channels = args.channels;
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const std::int8_t* const field =
                args.input + y * args.stride_y * args.input_row + x * args.stride_x * channels;
            std::int8_t* const out = args.output + y * args.output_row + x * channels;
            each_vector(channels, [&](int n, std::size_t count) {
                auto sum = __riscv_vle32_v_i32m4(args.bias + n, count);
                for (int t = 0; t < taps; ++t) {
                    const std::int8_t* const in = field + t / args.kernel_w * args.input_row +
                                                  t % args.kernel_w * channels + n;
                    const auto weights = __riscv_vlse16_v_i16m2(
                        args.weights + (t / 2 * channels + n) * 2 + t % 2, 4, count);
                    const auto words = __riscv_vsext_vf2(__riscv_vle8_v_i8m1(in, count), count);
                    sum = __riscv_vwmacc(sum, words, weights, count);
                }
                store_scaled(out + n, sum, __riscv_vle32_v_f32m4(args.scale + n, count), args.low,
                             count);
            });
        }
}

void max_pool(const PoolArgs& args) noexcept {
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const int top = y * args.stride_y - args.pad_top, y0 = top < 0 ? 0 : top,
                      below = top + args.kernel_h, y1 = below < args.input_h ? below : args.input_h;
            const int left = x * args.stride_x - args.pad_left, x0 = left < 0 ? 0 : left,
                      right = left + args.kernel_w,
                      x1 = right < args.input_w ? right : args.input_w;
            std::int8_t* const out = args.output + y * args.output_row + x * args.channels;
            for (int n = 0; n < args.channels;) {
                const std::size_t count =
                    __riscv_vsetvl_e8m4(static_cast<std::size_t>(args.channels - n));
                auto most = __riscv_vmv_v_x_i8m4(-127, count);
                for (int iy = y0; iy < y1; ++iy) {
                    const std::int8_t* in =
                        args.input + iy * args.input_row + x0 * args.channels + n;
                    for (int ix = x0; ix < x1; ++ix, in += args.channels)
                        most = __riscv_vmax(most, __riscv_vle8_v_i8m4(in, count), count);
                }
                __riscv_vse8(out + n, most, count);
                n += static_cast<int>(count);
            }
        }
}

// Windows of 2x2 inside the input; all others by the plain loop. The shift rounds to nearest even.
void avg_pool(const PoolArgs& args) noexcept {
    if (args.kernel_h != 2 || args.kernel_w != 2 || args.pad_top != 0 || args.pad_left != 0 ||
        (args.output_h - 1) * args.stride_y + 2 > args.input_h ||
        (args.output_w - 1) * args.stride_x + 2 > args.input_w)
        return avg_pool_scalar(args);
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const std::int8_t* const in =
                args.input + y * args.stride_y * args.input_row + x * args.stride_x * args.channels;
            std::int8_t* const out = args.output + y * args.output_row + x * args.channels;
            each_vector(args.channels, [&](int n, std::size_t count) {
                const auto pair = [=](const std::int8_t* p) {
                    return __riscv_vwadd_vv(__riscv_vle8_v_i8m1(p, count),
                                            __riscv_vle8_v_i8m1(p + args.channels, count), count);
                };
                const auto sum = __riscv_vadd(pair(in + n), pair(in + n + args.input_row), count);
                const auto mean = __riscv_vnclip(sum, 2, __RISCV_VXRM_RNE, count);
                __riscv_vse8(out + n, __riscv_vmax(mean, -127, count), count);
            });
        }
}

void add(const AddArgs& args) noexcept {
    for (int y = 0; y < args.rows; ++y) {
        const std::int8_t *a = args.a + y * args.a_row, *b = args.b + y * args.b_row;
        std::int8_t* const out = args.output + y * args.output_row;
        for (int i = 0; i < args.row_bytes;) {
            const std::size_t n = __riscv_vsetvl_e8m8(static_cast<std::size_t>(args.row_bytes - i));
            const auto sum =
                __riscv_vsadd(__riscv_vle8_v_i8m8(a + i, n), __riscv_vle8_v_i8m8(b + i, n), n);
            __riscv_vse8(out + i, __riscv_vmax(sum, args.low, n), n);
            i += static_cast<int>(n);
        }
    }
}

void sum_positions(const SumArgs& args) noexcept {
    each_vector(args.channels, [&](int c, std::size_t count) {
        auto sum = __riscv_vmv_v_x_i32m4(0, count);
        for (int y = 0; y < args.height; ++y) {
            const std::int8_t* in = args.input + y * args.row + c;
            for (int x = 0; x < args.width; ++x, in += args.pixel)
                sum = __riscv_vwadd_wv(
                    sum, __riscv_vsext_vf2(__riscv_vle8_v_i8m1(in, count), count), count);
        }
        __riscv_vse32(args.sums + c, sum, count);
    });
}

std::int32_t dot(const std::int32_t* a, const std::int8_t* w, int count) noexcept {
    auto sum = __riscv_vmv_v_x_i32m1(0, 1);
    for (int i = 0; i < count;) {
        const std::size_t n = __riscv_vsetvl_e32m4(static_cast<std::size_t>(count - i));
        const auto weights = __riscv_vsext_vf4(__riscv_vle8_v_i8m1(w + i, n), n);
        const auto products = __riscv_vmul(__riscv_vle32_v_i32m4(a + i, n), weights, n);
        sum = __riscv_vredsum(products, sum, n);
        i += static_cast<int>(n);
    }
    return __riscv_vmv_x(sum);
}

}  // namespace

const NetKernels net_rvv = {
    .conv_layout = {.out_block = channel_multiple, .group = 1, .element_bytes = 1},
    .conv_packing = &conv_packing,
    .conv = conv,
    .depthwise = depthwise,
    .max_pool = max_pool,
    .avg_pool = avg_pool,
    .add = add,
    .sum_positions = sum_positions,
    .dot = dot,
    .lift = 0,
    .depthwise3 = &depthwise3_functions,
};

}  // namespace mien
