// SPDX-License-Identifier: MIT
// The networks with SSE4.1: int8 dot products by pmaddubsw + pmaddwd, four lanes at a time.
// Built with -msse4.1; runs only where dispatch.cpp found SSE4.1. No standard library here, see
// tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

struct V {
    static constexpr int bytes = 16;
    using U8 = __m128i;
    using Act = U8;
    using Acc = __m128i;
    using I32 = __m128i;
    using I16 = __m128i;
    using F32 = __m128;
    // f32(acc) * scale, rounded to nearest even, as int32; the packs that follow saturate it.
    static I32 scaled(Acc acc, F32 scale) noexcept {
        return _mm_cvtps_epi32(_mm_mul_ps(_mm_cvtepi32_ps(acc), scale));
    }

    // Convolution.
    static constexpr int vectors = 2, pixels = 2;
    static Acc load_bias(const std::int32_t* p) noexcept { return load128(p); }
    static F32 load_scale(const float* p) noexcept { return _mm_loadu_ps(p); }
    static void store_clamped(std::int8_t* p, const I32 (&v)[2], std::int8_t low,
                              std::uint8_t lift) noexcept {
        const __m128i words = _mm_packs_epi32(v[0], v[1]);
        store64(p, pack_bytes(words, words, low, lift));
    }
    static void store_clamped(std::int8_t* p, const I32 (&v)[4], std::int8_t low,
                              std::uint8_t lift) noexcept {
        store128(p,
                 pack_bytes(_mm_packs_epi32(v[0], v[1]), _mm_packs_epi32(v[2], v[3]), low, lift));
    }
    static void store_two(std::int8_t* p, std::ptrdiff_t distance, const I32 (&a)[4],
                          const I32 (&b)[4], std::int8_t low, std::uint8_t lift) noexcept {
        store_clamped(p, a, low, lift);
        store_clamped(p + distance, b, low, lift);
    }
    static U8 broadcast4(const void* p) noexcept { return _mm_set1_epi32(load32(p)); }
    static U8 multiply8(U8 a, U8 w) noexcept { return _mm_maddubs_epi16(a, w); }
    static U8 add16(U8 a, U8 b) noexcept { return _mm_add_epi16(a, b); }
    static Acc add_pairs(U8 words) noexcept { return _mm_madd_epi16(words, _mm_set1_epi16(1)); }
    // A sum to which more will be added: compilers must not reorder the additions, or they keep all
    // products in memory first.
    static Acc add32(Acc sum, Acc v) noexcept {
        sum = _mm_add_epi32(sum, v);
        __asm__("" : "+x"(sum));
        return sum;
    }

    // Depthwise.
    static U8 flip(U8 v, std::uint8_t lift) noexcept {
        return _mm_xor_si128(v, _mm_set1_epi8(static_cast<char>(lift)));
    }
    static U8 load(const std::int8_t* p) noexcept { return load128(p); }
    static void store(std::int8_t* p, U8 v) noexcept { store128(p, v); }
    // rows are whole groups of eight channels
    static void store_part(std::int8_t* p, U8 v, int count) noexcept {
        if (count == bytes)
            store(p, v);
        else
            store64(p, v);
    }
    static U8 low8(U8 a, U8 b) noexcept { return _mm_unpacklo_epi8(a, b); }
    static U8 high8(U8 a, U8 b) noexcept { return _mm_unpackhi_epi8(a, b); }
    static U8 low16(U8 a, U8 b) noexcept { return _mm_unpacklo_epi16(a, b); }
    static U8 high16(U8 a, U8 b) noexcept { return _mm_unpackhi_epi16(a, b); }
    struct Signed {
        __m128i value, magnitude;
    };
    template <bool nonnegative>
    static Signed prepare(U8 v) noexcept {
        return {v, nonnegative ? v : _mm_abs_epi8(v)};
    }
    static U8 load_weights(const std::int8_t* p) noexcept { return load128(p); }
    // |a| * sign(w, a) keeps pmaddubsw, whose first operand is unsigned, within 2 * 127 * 127 <
    // 2^15: it cannot saturate.
    template <bool nonnegative>
    static Acc dot(Acc acc, const Signed& a, U8 w) noexcept {
        return add32(
            acc, add_pairs(multiply8(a.magnitude, nonnegative ? w : _mm_sign_epi8(w, a.value))));
    }
    static I16 requantise(Acc a, F32 a_scale, Acc b, F32 b_scale) noexcept {
        return _mm_packs_epi32(scaled(a, a_scale), scaled(b, b_scale));
    }
    static void store_floats(float* p, Acc acc, F32 scale, int) noexcept {
        _mm_storeu_ps(p, _mm_mul_ps(_mm_cvtepi32_ps(acc), scale));
    }
    static U8 pack_bytes(I16 front, I16 back, std::int8_t low, std::uint8_t lift) noexcept {
        return flip(_mm_max_epi8(_mm_packs_epi16(front, back), _mm_set1_epi8(low)), lift);
    }

    static void average8(const std::int8_t* a, const std::int8_t* b, const std::int8_t* c,
                         const std::int8_t* d, std::uint8_t lift, std::int8_t* out) noexcept {
        const __m128i flip = _mm_set1_epi8(static_cast<char>(lift)), one = _mm_set1_epi16(1);
        const auto words = [&](const std::int8_t* p) {
            return _mm_cvtepi8_epi16(_mm_xor_si128(load64(p), flip));
        };
        const __m128i sum =
            _mm_add_epi16(_mm_add_epi16(words(a), words(b)), _mm_add_epi16(words(c), words(d)));
        const __m128i odd = _mm_and_si128(_mm_srai_epi16(sum, 2), one);
        const __m128i mean = _mm_srai_epi16(_mm_add_epi16(_mm_add_epi16(sum, one), odd), 2);
        const __m128i bytes8 = _mm_max_epi8(_mm_packs_epi16(mean, mean), _mm_set1_epi8(-127));
        store64(out, _mm_xor_si128(bytes8, flip));
    }
};

#include "kernels/net/average_body.inl"
#include "kernels/net/conv_madd_body.inl"
#include "kernels/net/depthwise3_body.inl"

void depthwise(const DepthwiseArgs& args) noexcept {
    if (args.packed3 != nullptr)
        depthwise3_any(args);
    else
        depthwise_scalar(args);
}

// Two by two with a stride of two, windows inside the input, whole vectors of channels: the pooling
// of the detector network. All others by the plain loop.
void max_pool(const PoolArgs& args) noexcept {
    if (args.kernel_h != 2 || args.kernel_w != 2 || args.stride_y != 2 || args.stride_x != 2 ||
        args.pad_top != 0 || args.pad_left != 0 || 2 * args.output_h > args.input_h ||
        2 * args.output_w > args.input_w || args.channels % 16 != 0)
        return max_pool_scalar(args);
    const auto larger = [&](__m128i a, __m128i b) {
        return args.lift != 0 ? _mm_max_epu8(a, b) : _mm_max_epi8(a, b);
    };
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* top = args.input + std::ptrdiff_t{2} * y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int x = 0; x < args.output_w; ++x, top += args.channels)
            for (int n = 0; n < args.channels; n += 16, top += 16, out += 16) {
                const std::int8_t* const bottom = top + args.input_row;
                store128(out, larger(larger(load128(top), load128(top + args.channels)),
                                     larger(load128(bottom), load128(bottom + args.channels))));
            }
    }
}

void add(const AddArgs& args) noexcept {
    const __m128i low = _mm_set1_epi8(args.low);
    const auto sum = [&](__m128i a, __m128i b) {
        const __m128i value = _mm_adds_epi8(V::flip(a, args.a_lift), V::flip(b, args.b_lift));
        return V::flip(_mm_max_epi8(value, low), args.output_lift);
    };
    for (int y = 0; y < args.rows; ++y) {
        const std::int8_t *const a = args.a + y * args.a_row, *const b = args.b + y * args.b_row;
        std::int8_t* const out = args.output + y * args.output_row;
        int i = 0;
        for (; i + 16 <= args.row_bytes; i += 16)
            store128(out + i, sum(load128(a + i), load128(b + i)));
        for (; i < args.row_bytes; i += 8)  // rows are whole groups of eight channels
            store64(out + i, sum(load64(a + i), load64(b + i)));
    }
}

}  // namespace

void avg_pool_sse41(const PoolArgs& args) noexcept { average_pool(args); }

const NetKernels net_sse41 = {
    .conv_layout = conv_layout,
    .conv_packing = &conv_packing,
    .conv = conv,
    .depthwise = depthwise,
    .max_pool = max_pool,
    .avg_pool = avg_pool_sse41,
    .add = add,
    .sum_positions = sum_positions_scalar,
    .dot = dot_scalar,
    .lift = 0x80,
    .depthwise3 = &depthwise3_functions,
};

}  // namespace mien
