// SPDX-License-Identifier: MIT
// The networks with AVX-512 VNNI: vpdpbusd multiplies four unsigned bytes by four signed ones and
// adds them to a 32-bit lane. Tensors that may be negative are stored lifted (net.h), so that every
// input byte is unsigned here. Runs only where dispatch.cpp found AVX-512 F, BW, DQ, VL and VNNI.
// No standard library here, see tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

constexpr int conv_block = 16;

// acc += the dot products of four unsigned bytes of `a` with four signed bytes of `w`. As assembly,
// because g++ 12 wraps the intrinsic in register moves: they cost a quarter of the speed.
template <class Vector>
inline Vector dot4(Vector acc, Vector a, Vector w) noexcept {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(w));
    return acc;
}
inline __m512i dot4(__m512i acc, __m512i a, const std::int8_t* w) noexcept {
    struct Bytes {
        std::int8_t at[64];
    };
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "m"(*reinterpret_cast<const Bytes*>(w)));
    return acc;
}

// f32(acc) * scale, rounded to nearest even, as int32; the packs that follow saturate it.
inline __m512i scaled(__m512i acc, __m512 scale) noexcept {
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale));
}
inline __m256i scaled(__m256i acc, __m256 scale) noexcept {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), scale));
}

inline __m512i to_bytes512(__m512i front, __m512i back, std::int8_t low,
                           std::uint8_t output_lift) noexcept {
    const __m512i bytes = _mm512_max_epi8(_mm512_packs_epi16(front, back), _mm512_set1_epi8(low));
    return _mm512_xor_si512(bytes, _mm512_set1_epi8(static_cast<char>(output_lift)));
}
// Four vectors of 32-bit values to bytes: within 16 bytes the packs give a, b, c, d dword by dword.
inline __m512i pack4(__m512i a, __m512i b, __m512i c, __m512i d, std::int8_t low,
                     std::uint8_t output_lift) noexcept {
    return to_bytes512(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d), low, output_lift);
}

// ------------------------------------------------------------------- convolution

// Shapes for which the compiler knows the loop's length and the distance of neighboring pixels. The
// names say the kernel and the channels of the input; any other shape is `general`.
enum class Shape {
    general,
    pointwise8,
    pointwise16,
    pointwise32,
    pointwise64,
    pointwise128,
    gray3x3,
    deep3x3
};

template <Shape shape>
struct Geometry {
    static constexpr int run_of(Shape s) noexcept {
        switch (s) {
            case Shape::general: return 0;
            case Shape::pointwise8: return 8;
            case Shape::pointwise16: return 16;
            case Shape::pointwise32: return 32;
            case Shape::pointwise64: return 64;
            case Shape::pointwise128: return 128;
            case Shape::gray3x3: return 4;
            case Shape::deep3x3: return 24;
        }
        return 0;
    }
    static constexpr int run_bytes = run_of(shape);
    static constexpr int kernel_h = shape == Shape::gray3x3 || shape == Shape::deep3x3 ? 3 : 1;
    static constexpr std::ptrdiff_t step = shape == Shape::gray3x3   ? 1
                                           : shape == Shape::deep3x3 ? 8
                                                                     : run_bytes;
    explicit Geometry(const ConvArgs&) noexcept {}
    static bool fits(const ConvArgs& args) noexcept {
        return args.run_bytes == run_bytes && args.kernel_h == kernel_h &&
               args.stride_x * args.input_pixel == step;
    }
};
template <>
struct Geometry<Shape::general> {
    int run_bytes, kernel_h;
    std::ptrdiff_t step;
    explicit Geometry(const ConvArgs& args) noexcept
        : run_bytes(args.run_bytes),
          kernel_h(args.kernel_h),
          step(static_cast<std::ptrdiff_t>(args.stride_x) * args.input_pixel) {}
    static bool fits(const ConvArgs&) noexcept { return true; }
};

// Where a tile begins.
struct Tile {
    const std::int8_t* field;
    const std::int8_t* weights;  // [block][kernel_h][run_bytes / 4][16][4]
    std::size_t block_bytes;
    int n;  // first channel
    std::int8_t* out;
};

// `pixels` neighboring outputs x `blocks` blocks of sixteen channels. pixels * blocks is a multiple
// of 4, or pixels is 1.
template <Shape shape, int pixels, int blocks>
inline void conv_tile(const ConvArgs& args, const Tile& tile) noexcept {
    __m512i acc[pixels][blocks];
    MIEN_UNROLL
    for (int b = 0; b < blocks; ++b) {
        const __m512i bias = _mm512_loadu_si512(args.bias + tile.n + b * conv_block);
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) acc[p][b] = bias;
    }
    const Geometry<shape> at(args);
    const std::int8_t* weights = tile.weights;
    for (int ky = 0; ky < at.kernel_h; ++ky) {
        const std::int8_t* run = tile.field + ky * args.input_row;
        for (int k = 0; k < at.run_bytes; k += 4, weights += 64) {
            __m512i w[blocks];
            MIEN_UNROLL
            for (int b = 0; b < blocks; ++b)
                w[b] = _mm512_loadu_si512(weights + static_cast<std::size_t>(b) * tile.block_bytes);
            MIEN_UNROLL
            for (int p = 0; p < pixels; ++p) {
                const __m512i a = _mm512_set1_epi32(load32(run + k + p * at.step));
                MIEN_UNROLL
                for (int b = 0; b < blocks; ++b) acc[p][b] = dot4(acc[p][b], a, w[b]);
            }
        }
    }
    __m512 scale[blocks];
    MIEN_UNROLL
    for (int b = 0; b < blocks; ++b)
        scale[b] = _mm512_loadu_ps(args.scale + tile.n + b * conv_block);
    if constexpr (pixels * blocks % 4 == 0) {
        const __m512i order =
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        MIEN_UNROLL
        for (int first = 0; first < pixels * blocks; first += 4) {
            __m512i v[4];
            MIEN_UNROLL
            for (int i = 0; i < 4; ++i)
                v[i] = scaled(acc[(first + i) / blocks][(first + i) % blocks],
                              scale[(first + i) % blocks]);
            const __m512i bytes = _mm512_permutexvar_epi32(
                order, pack4(v[0], v[1], v[2], v[3], args.low, args.output_lift));
            std::int8_t* const out = tile.out + first / blocks * args.output_pixel + tile.n;
            if (blocks == 4 || args.output_pixel == blocks * conv_block) {
                _mm512_storeu_si512(out, bytes);
            } else if constexpr (blocks == 2) {
                store256(out, _mm512_castsi512_si256(bytes));
                store256(out + args.output_pixel, _mm512_extracti64x4_epi64(bytes, 1));
            } else {
                store128(out, _mm512_castsi512_si128(bytes));
                store128(out + args.output_pixel, _mm512_extracti32x4_epi32(bytes, 1));
                store128(out + 2 * args.output_pixel, _mm512_extracti32x4_epi32(bytes, 2));
                store128(out + 3 * args.output_pixel, _mm512_extracti32x4_epi32(bytes, 3));
            }
        }
    } else {
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) MIEN_UNROLL
        for (int b = 0; b < blocks; ++b) {
            const __m128i bytes = _mm512_cvtsepi32_epi8(scaled(acc[p][b], scale[b]));
            store128(tile.out + p * args.output_pixel + tile.n + b * conv_block,
                     _mm_xor_si128(_mm_max_epi8(bytes, _mm_set1_epi8(args.low)),
                                   _mm_set1_epi8(static_cast<char>(args.output_lift))));
        }
    }
}

// Eight channels only: half vectors, so that no lane is wasted. The packed weights have room for
// sixteen.
template <Shape shape, int pixels>
inline void conv_tile8(const ConvArgs& args, const Tile& tile) noexcept {
    __m256i acc[pixels];
    const __m256i bias = load256(args.bias + tile.n);
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) acc[p] = bias;
    const Geometry<shape> at(args);
    const std::int8_t* weights = tile.weights;
    for (int ky = 0; ky < at.kernel_h; ++ky) {
        const std::int8_t* run = tile.field + ky * args.input_row;
        for (int k = 0; k < at.run_bytes; k += 4, weights += 64) {
            const __m256i w = load256(weights);
            MIEN_UNROLL
            for (int p = 0; p < pixels; ++p)
                acc[p] = dot4(acc[p], _mm256_set1_epi32(load32(run + k + p * at.step)), w);
        }
    }
    const __m256 scale = _mm256_loadu_ps(args.scale + tile.n);
    const __m256i low = _mm256_set1_epi8(args.low),
                  up = _mm256_set1_epi8(static_cast<char>(args.output_lift));
    if constexpr (pixels % 4 == 0) {
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        MIEN_UNROLL
        for (int p = 0; p < pixels; p += 4) {
            const __m256i words0 =
                _mm256_packs_epi32(scaled(acc[p], scale), scaled(acc[p + 1], scale));
            const __m256i words1 =
                _mm256_packs_epi32(scaled(acc[p + 2], scale), scaled(acc[p + 3], scale));
            const __m256i bytes = _mm256_xor_si256(
                _mm256_max_epi8(
                    _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words0, words1), order), low),
                up);
            std::int8_t* const out = tile.out + p * args.output_pixel + tile.n;
            const __m128i front = _mm256_castsi256_si128(bytes),
                          back = _mm256_extracti128_si256(bytes, 1);
            if (args.output_pixel == 8) {
                store256(out, bytes);
            } else {
                store64(out, front);
                store64(out + args.output_pixel, _mm_unpackhi_epi64(front, front));
                store64(out + 2 * args.output_pixel, back);
                store64(out + 3 * args.output_pixel, _mm_unpackhi_epi64(back, back));
            }
        }
    } else {
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) {
            const __m128i bytes = _mm256_cvtsepi32_epi8(scaled(acc[p], scale));
            store64(tile.out + p * args.output_pixel + tile.n,
                    _mm_xor_si128(_mm_max_epi8(bytes, _mm256_castsi256_si128(low)),
                                  _mm256_castsi256_si128(up)));
        }
    }
}

template <Shape shape, int pixels, int blocks>
inline void conv_run(const ConvArgs& args, const Tile& tile) noexcept {
    if constexpr (blocks == 0)
        conv_tile8<shape, pixels>(args, tile);
    else
        conv_tile<shape, pixels, blocks>(args, tile);
}

// All positions of `blocks` blocks of channels (0: eight channels), in tiles of `pixels`.
template <Shape shape, int pixels, int blocks>
void conv_rows(const ConvArgs& args, Tile tile) noexcept {
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.input_pixel;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* field =
            args.input + static_cast<std::ptrdiff_t>(y) * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        const auto at = [&](int x) {
            tile.field = field + x * step;
            tile.out = out + x * args.output_pixel;
        };
        int x = 0;
        for (; x + pixels <= args.output_w; x += pixels) {
            at(x);
            conv_run<shape, pixels, blocks>(args, tile);
        }
        if (x == args.output_w) continue;
        // the last tile overlaps the one before: it writes the same values again
        if (args.output_w >= pixels) {
            at(args.output_w - pixels);
            conv_run<shape, pixels, blocks>(args, tile);
        } else {
            for (; x < args.output_w; ++x) {
                at(x);
                conv_run<shape, 1, blocks>(args, tile);
            }
        }
    }
}

// Of two tile widths the one that computes fewer positions twice.
template <Shape shape, int wide, int narrow, int blocks>
void conv_width(const ConvArgs& args, const Tile& tile) noexcept {
    const auto computed = [&](int pixels) {
        return args.output_w < pixels ? 1 << 20 : (args.output_w + pixels - 1) / pixels * pixels;
    };
    if (computed(wide) <= computed(narrow))
        conv_rows<shape, wide, blocks>(args, tile);
    else
        conv_rows<shape, narrow, blocks>(args, tile);
}

template <Shape shape>
void conv_blocks(const ConvArgs& args) noexcept {
    const std::size_t block_bytes = static_cast<std::size_t>(args.kernel_h) *
                                    static_cast<std::size_t>(args.run_bytes) * conv_block;
    Tile tile = {nullptr, static_cast<const std::int8_t*>(args.weights), block_bytes, 0, nullptr};
    const auto advance = [&](int blocks) {
        tile.n += blocks * conv_block;
        tile.weights += static_cast<std::size_t>(blocks) * block_bytes;
    };
    for (; tile.n + 64 <= args.output_channels; advance(4)) conv_width<shape, 5, 4, 4>(args, tile);
    for (; tile.n + 32 <= args.output_channels; advance(2)) conv_width<shape, 10, 8, 2>(args, tile);
    for (; tile.n + 16 <= args.output_channels; advance(1)) conv_width<shape, 12, 8, 1>(args, tile);
    if (tile.n < args.output_channels) conv_width<shape, 12, 8, 0>(args, tile);
}

template <Shape... shapes>
bool conv_first_fit(const ConvArgs& args) noexcept {
    return ((Geometry<shapes>::fits(args) && (conv_blocks<shapes>(args), true)) || ...);
}

void conv(const ConvArgs& args) noexcept {
    conv_first_fit<Shape::pointwise8, Shape::pointwise16, Shape::pointwise32, Shape::pointwise64,
                   Shape::pointwise128, Shape::gray3x3, Shape::deep3x3, Shape::general>(args);
}

// --------------------------------------------------------------------- depthwise

struct V {
    static constexpr int bytes = 64;
    using U8 = __m512i;
    using Acc = __m512i;
    using I16 = __m512i;
    using F32 = __m512;
    using Act = __m512i;

    static U8 load(const std::int8_t* p) noexcept { return _mm512_loadu_si512(p); }
    static void store(std::int8_t* p, U8 v) noexcept { _mm512_storeu_si512(p, v); }
    static void store_part(std::int8_t* p, U8 v, int count) noexcept {
        _mm512_mask_storeu_epi8(p, ~std::uint64_t{0} >> (64 - count), v);
    }
    static U8 low8(U8 a, U8 b) noexcept { return _mm512_unpacklo_epi8(a, b); }
    static U8 high8(U8 a, U8 b) noexcept { return _mm512_unpackhi_epi8(a, b); }
    static U8 low16(U8 a, U8 b) noexcept { return _mm512_unpacklo_epi16(a, b); }
    static U8 high16(U8 a, U8 b) noexcept { return _mm512_unpackhi_epi16(a, b); }
    template <bool unsigned_input>
    static Act prepare(U8 v) noexcept {
        return v;
    }
    using Weights = const std::int8_t*;  // read by the instruction itself
    static Weights load_weights(const std::int8_t* p) noexcept { return p; }
    template <bool unsigned_input>
    static Acc dot(Acc acc, Act a, Weights w) noexcept {
        return dot4(acc, a, w);
    }
    static Acc load_bias(const std::int32_t* p) noexcept { return _mm512_loadu_si512(p); }
    static F32 load_scale(const float* p) noexcept { return _mm512_loadu_ps(p); }
    static I16 requantise(Acc a, F32 a_scale, Acc b, F32 b_scale) noexcept {
        return _mm512_packs_epi32(scaled(a, a_scale), scaled(b, b_scale));
    }
    static void store_floats(float* p, Acc acc, F32 scale, int groups) noexcept {
        const __m512 values = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale);
        _mm_storeu_ps(p, _mm512_castps512_ps128(values));
        if (groups > 1) _mm_storeu_ps(p + 16, _mm512_extractf32x4_ps(values, 1));
        if (groups > 2) _mm_storeu_ps(p + 32, _mm512_extractf32x4_ps(values, 2));
        if (groups > 3) _mm_storeu_ps(p + 48, _mm512_extractf32x4_ps(values, 3));
    }
    static U8 pack_bytes(I16 front, I16 back, std::int8_t low, std::uint8_t output_lift) noexcept {
        return to_bytes512(front, back, low, output_lift);
    }
};

#include "kernels/net/depthwise3_body.inl"

// Other kernel sizes and strides: sixteen channels at a time, tap by tap, in 32 bits.
void depthwise_lifted(const DepthwiseArgs& args) noexcept {
    const __m128i in_lift = _mm_set1_epi8(static_cast<char>(args.input_lift)),
                  out_lift = _mm_set1_epi8(static_cast<char>(args.output_lift));
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const std::int8_t* field =
                args.input + y * args.stride_y * args.input_row + x * args.stride_x * args.channels;
            std::int8_t* out = args.output + y * args.output_row + x * args.channels;
            for (int n = 0; n < args.channels; n += 16) {
                const __mmask16 mask = args.channels - n >= 16 ? 0xffff : 0x00ff;
                __m512i acc = _mm512_maskz_loadu_epi32(mask, args.bias + n);
                for (int tap = 0; tap < args.kernel_h * args.kernel_w; ++tap) {
                    const std::int8_t* in = field + tap / args.kernel_w * args.input_row +
                                            tap % args.kernel_w * args.channels + n;
                    const __m512i value = _mm512_cvtepi8_epi32(
                        _mm_xor_si128(_mm_maskz_loadu_epi8(mask, in), in_lift));
                    const __m512i pairs = _mm512_maskz_loadu_epi32(
                        mask, args.weights + (tap / 2 * args.channels + n) * 2);
                    const __m512i w = tap % 2 == 0
                                          ? _mm512_srai_epi32(_mm512_slli_epi32(pairs, 16), 16)
                                          : _mm512_srai_epi32(pairs, 16);
                    acc = _mm512_add_epi32(acc, _mm512_mullo_epi32(value, w));
                }
                const __m128i bytes =
                    _mm512_cvtsepi32_epi8(scaled(acc, _mm512_maskz_loadu_ps(mask, args.scale + n)));
                _mm_mask_storeu_epi8(
                    out + n, mask,
                    _mm_xor_si128(_mm_max_epi8(bytes, _mm_set1_epi8(args.low)), out_lift));
            }
        }
}

void depthwise(const DepthwiseArgs& args) noexcept {
    if (args.packed3 != nullptr)
        depthwise3_any(args);
    else
        depthwise_lifted(args);
}

}  // namespace

const NetKernels net_avx512 = {
    .conv_layout = {.out_block = conv_block, .group = 4, .element_bytes = 1},
    .conv_packing = nullptr,
    .conv = conv,
    .depthwise = depthwise,
    .max_pool = max_pool_avx2,
    .avg_pool = avg_pool_sse41,
    .add = add_avx2,
    .sum_positions = sum_positions_avx2,
    .dot = dot_avx2,
    .lift = 0x80,
    .depthwise3 = &depthwise3_functions,
};

}  // namespace mien
