// SPDX-License-Identifier: MIT
// The networks with AVX-VNNI: vpdpbusd of 32 bytes, on processors without AVX-512.
// Tensors that may be negative are stored lifted (net.h), so that every input byte is unsigned
// here. Built with -mavxvnni; runs only where dispatch.cpp found it. The tests build this file a
// second time with the AVX-512 encoding of the same instruction (MIEN_VNNI_EVEX), which more
// processors can run. No standard library here, see tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

struct V {
    static constexpr int bytes = 32;
    using U8 = __m256i;
    using Acc = __m256i;
    using I32 = __m256i;
    using I16 = __m256i;
    using F32 = __m256;
    using Act = __m256i;
    using Weights = __m256i;

    // As assembly: g++ 12 wraps the intrinsic in register moves, which cost half of the speed.
    template <bool>
    static Acc dot(Acc acc, Act a, Weights w) noexcept {
#if MIEN_VNNI_EVEX
        __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(w));
#else
        __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(a), "xm"(w));
#endif
        return acc;
    }
    static Weights load_weights(const std::int8_t* p) noexcept { return load256(p); }
    // f32(acc) * scale, rounded to nearest even, as int32; the packs that follow saturate it.
    static I32 scaled(Acc acc, F32 scale) noexcept {
        return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), scale));
    }

    // Convolution.
    static constexpr int vectors = 1, pixels_of_one_block = 12, pixels_of_two_blocks = 6;
    static Acc load_bias(const std::int32_t* p) noexcept { return load256(p); }
    static F32 load_scale(const float* p) noexcept { return _mm256_loadu_ps(p); }
    template <bool>
    static Act broadcast(const std::int8_t* p) noexcept {
        return _mm256_set1_epi32(load32(p));
    }
    static __m128i to_bytes(__m256i first, __m256i second, std::int8_t low,
                            std::uint8_t lift) noexcept {
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
        const __m128i all =
            _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        return _mm_xor_si128(_mm_max_epi8(all, _mm_set1_epi8(low)),
                             _mm_set1_epi8(static_cast<char>(lift)));
    }
    static void store_clamped8(std::int8_t* p, const I32 (&v)[1], std::int8_t low,
                               std::uint8_t lift) noexcept {
        store64(p, to_bytes(v[0], v[0], low, lift));
    }
    static void store_clamped16(std::int8_t* p, const I32 (&v)[2], std::int8_t low,
                                std::uint8_t lift) noexcept {
        store128(p, to_bytes(v[0], v[1], low, lift));
    }

    // Depthwise.
    static U8 load(const std::int8_t* p) noexcept { return load256(p); }
    static void store(std::int8_t* p, U8 v) noexcept { store256(p, v); }
    static void store_part(std::int8_t* p, U8 v, int count) noexcept {
        if (count == bytes) return store(p, v);
        alignas(32) std::int8_t all[bytes];
        store(all, v);
        __builtin_memcpy(p, all, static_cast<std::size_t>(count));
    }
    static U8 low8(U8 a, U8 b) noexcept { return _mm256_unpacklo_epi8(a, b); }
    static U8 high8(U8 a, U8 b) noexcept { return _mm256_unpackhi_epi8(a, b); }
    static U8 low16(U8 a, U8 b) noexcept { return _mm256_unpacklo_epi16(a, b); }
    static U8 high16(U8 a, U8 b) noexcept { return _mm256_unpackhi_epi16(a, b); }
    template <bool>
    static Act prepare(U8 v) noexcept {
        return v;
    }
    static I16 requantise(Acc a, F32 a_scale, Acc b, F32 b_scale) noexcept {
        return _mm256_packs_epi32(scaled(a, a_scale), scaled(b, b_scale));
    }
    static void store_floats(float* p, Acc acc, F32 scale, int groups) noexcept {
        const __m256 values = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), scale);
        _mm_storeu_ps(p, _mm256_castps256_ps128(values));
        if (groups > 1) _mm_storeu_ps(p + 16, _mm256_extractf128_ps(values, 1));
    }
    static U8 pack_bytes(I16 front, I16 back, std::int8_t low, std::uint8_t lift) noexcept {
        const __m256i all = _mm256_max_epi8(_mm256_packs_epi16(front, back), _mm256_set1_epi8(low));
        return _mm256_xor_si256(all, _mm256_set1_epi8(static_cast<char>(lift)));
    }
};

#include "kernels/net/conv_body.inl"
#include "kernels/net/depthwise3_body.inl"

// Other kernel sizes and strides: eight channels at a time, tap by tap, in 32 bits.
void depthwise(const DepthwiseArgs& args) noexcept {
    if (args.packed3 != nullptr) return depthwise3_any(args);
    const __m128i in_lift = _mm_set1_epi8(static_cast<char>(args.input_lift));
    for (int y = 0; y < args.output_h; ++y)
        for (int x = 0; x < args.output_w; ++x) {
            const std::int8_t* field =
                args.input + y * args.stride_y * args.input_row + x * args.stride_x * args.channels;
            std::int8_t* out = args.output + y * args.output_row + x * args.channels;
            for (int n = 0; n < args.channels; n += 8) {
                __m256i acc = load256(args.bias + n);
                for (int tap = 0; tap < args.kernel_h * args.kernel_w; ++tap) {
                    const std::int8_t* in = field + tap / args.kernel_w * args.input_row +
                                            tap % args.kernel_w * args.channels + n;
                    const __m128i bytes = _mm_xor_si128(load64(in), in_lift);
                    const __m256i pairs = load256(args.weights + (tap / 2 * args.channels + n) * 2);
                    const __m256i w = tap % 2 == 0
                                          ? _mm256_srai_epi32(_mm256_slli_epi32(pairs, 16), 16)
                                          : _mm256_srai_epi32(pairs, 16);
                    acc = _mm256_add_epi32(acc, _mm256_mullo_epi32(_mm256_cvtepi8_epi32(bytes), w));
                }
                const __m256i values[1] = {V::scaled(acc, _mm256_loadu_ps(args.scale + n))};
                V::store_clamped8(out + n, values, args.low, args.output_lift);
            }
        }
}

}  // namespace

#if MIEN_VNNI_EVEX
extern const NetKernels net_avxvnni_evex;
const NetKernels net_avxvnni_evex = {
#else
const NetKernels net_avxvnni = {
#endif
    .conv_layout = conv_layout,
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
