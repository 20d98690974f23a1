// SPDX-License-Identifier: MIT
// The AVX2 kernels of the networks: int8 dot products by vpmaddubsw + vpmaddwd.
// Built with -mavx2; runs only where dispatch.cpp found AVX2. No standard library here, see
// tables.h.
#include <immintrin.h>

#include "kernels/tables.h"
#include "kernels/x86.h"

namespace mien {
namespace {

// f32(acc) * scale, rounded to nearest even, as int32; the packs that follow saturate it.
inline __m256i scaled(__m256i acc, __m256 scale) noexcept {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), scale));
}

// ------------------------------------------------------------------- convolution

struct V {
    static constexpr int bytes = 32;
    using U8 = __m256i;
    using Act = U8;
    using Acc = __m256i;
    using I32 = __m256i;
    using I16 = __m256i;
    using F32 = __m256;

    // Convolution.
    static constexpr int vectors = 1, pixels = 4;
    static Acc load_bias(const std::int32_t* p) noexcept { return load256(p); }
    static F32 load_scale(const float* p) noexcept { return _mm256_loadu_ps(p); }
    static I32 scaled(Acc acc, F32 scale) noexcept { return mien::scaled(acc, scale); }
    // packs works within 128-bit halves: (first.lo, second.lo | first.hi, second.hi); put the
    // quarters back in order.
    static __m128i to_bytes(__m256i first, __m256i second, std::int8_t low,
                            std::uint8_t lift) noexcept {
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
        const __m128i all =
            _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        return _mm_xor_si128(_mm_max_epi8(all, _mm_set1_epi8(low)),
                             _mm_set1_epi8(static_cast<char>(lift)));
    }
    static void store_clamped(std::int8_t* p, const I32 (&v)[1], std::int8_t low,
                              std::uint8_t lift) noexcept {
        store64(p, to_bytes(v[0], v[0], low, lift));
    }
    static void store_clamped(std::int8_t* p, const I32 (&v)[2], std::int8_t low,
                              std::uint8_t lift) noexcept {
        store128(p, to_bytes(v[0], v[1], low, lift));
    }
    // Sixteen bytes each, of two pixels.
    static void store_two(std::int8_t* p, std::ptrdiff_t distance, const I32 (&a)[2],
                          const I32 (&b)[2], std::int8_t low, std::uint8_t lift) noexcept {
        const __m256i mixed =
            pack_bytes(_mm256_packs_epi32(a[0], a[1]), _mm256_packs_epi32(b[0], b[1]), low, lift);
        const __m256i both =
            _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        store128(p, _mm256_castsi256_si128(both));
        store128(p + distance, _mm256_extracti128_si256(both, 1));
    }
    static U8 broadcast4(const void* p) noexcept { return _mm256_set1_epi32(load32(p)); }
    static U8 multiply8(U8 a, U8 w) noexcept { return _mm256_maddubs_epi16(a, w); }
    static U8 add16(U8 a, U8 b) noexcept { return _mm256_add_epi16(a, b); }
    static Acc add_pairs(U8 words) noexcept {
        return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
    }
    // A sum to which more will be added: compilers must not reorder the additions, or they keep all
    // products in memory first.
    static Acc add32(Acc sum, Acc v) noexcept {
        sum = _mm256_add_epi32(sum, v);
        __asm__("" : "+x"(sum));
        return sum;
    }

    // Depthwise.
    static U8 flip(U8 v, std::uint8_t lift) noexcept {
        return _mm256_xor_si256(v, _mm256_set1_epi8(static_cast<char>(lift)));
    }
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
    struct Signed {
        __m256i value, magnitude;
    };
    template <bool nonnegative>
    static Signed prepare(U8 v) noexcept {
        return {v, nonnegative ? v : _mm256_abs_epi8(v)};
    }
    static U8 load_weights(const std::int8_t* p) noexcept { return load256(p); }
    // |a| * sign(w, a) keeps vpmaddubsw, whose first operand is unsigned, within 2 * 127 * 127 <
    // 2^15: it cannot saturate.
    template <bool nonnegative>
    static Acc dot(Acc acc, const Signed& a, U8 w) noexcept {
        return add32(
            acc, add_pairs(multiply8(a.magnitude, nonnegative ? w : _mm256_sign_epi8(w, a.value))));
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
        return flip(_mm256_max_epi8(_mm256_packs_epi16(front, back), _mm256_set1_epi8(low)), lift);
    }
};

#include "kernels/net/conv_madd_body.inl"

// --------------------------------------------------------------------- depthwise

inline __m128i flip128(__m128i v, std::uint8_t lift) noexcept {
    return _mm_xor_si128(v, _mm_set1_epi8(static_cast<char>(lift)));
}

// Sixteen outputs whose channels are consecutive (from `n`), or, with `two_pixels`, eight channels
// of two neighboring pixels, which lie in memory like sixteen channels. Taps go in pairs so that
// vpmaddwd adds two products.
template <bool two_pixels>
inline void depthwise16(const DepthwiseArgs& args, const std::int8_t* field, int n,
                        std::int8_t* out) noexcept {
    const int taps = args.kernel_h * args.kernel_w;
    const std::int16_t* w = args.weights + 2 * n;
    const std::int8_t* tap = field;
    int kx = 0;
    const auto next_tap = [&] {
        const __m256i value = _mm256_cvtepi8_epi16(flip128(load128(tap), args.input_lift));
        tap += args.channels;
        if (++kx == args.kernel_w) {
            kx = 0;
            tap += args.input_row - static_cast<std::ptrdiff_t>(args.kernel_w) * args.channels;
        }
        return value;
    };
    // unpacklo/hi give channels 0-3, 8-11 and 4-7, 12-15: load weights, bias and scale in the same
    // order.
    const auto split = [&](const void* first, const void* second) {
        return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(first)), load128(second), 1);
    };
    const int upper = two_pixels ? 0 : 8;  // channel offset of the second eight
    __m256i low_acc = split(args.bias + n, args.bias + n + upper);
    __m256i high_acc = split(args.bias + n + 4, args.bias + n + upper + 4);
    for (int t = 0; t < taps; t += 2, w += 2 * args.channels) {
        const __m256i a = next_tap();
        const __m256i b = t + 1 < taps ? next_tap() : _mm256_setzero_si256();
        low_acc = _mm256_add_epi32(
            low_acc, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), split(w, w + 2 * upper)));
        high_acc = _mm256_add_epi32(high_acc, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b),
                                                                split(w + 8, w + 2 * upper + 8)));
    }
    const __m256 low_scale = _mm256_castsi256_ps(split(args.scale + n, args.scale + n + upper));
    const __m256 high_scale =
        _mm256_castsi256_ps(split(args.scale + n + 4, args.scale + n + upper + 4));
    const __m256i words =
        _mm256_packs_epi32(scaled(low_acc, low_scale), scaled(high_acc, high_scale));
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    store128(out, flip128(_mm_max_epi8(bytes, _mm_set1_epi8(args.low)), args.output_lift));
}

// Eight outputs of one pixel.
inline void depthwise8(const DepthwiseArgs& args, const std::int8_t* field, int n,
                       std::int8_t* out) noexcept {
    const int taps = args.kernel_h * args.kernel_w;
    __m128i low_acc = load128(args.bias + n), high_acc = load128(args.bias + n + 4);
    const auto tap_at = [&](int t) {
        const std::int8_t* const p =
            field + t / args.kernel_w * args.input_row + t % args.kernel_w * args.channels;
        return _mm_cvtepi8_epi16(flip128(load64(p), args.input_lift));
    };
    const std::int16_t* w = args.weights + 2 * n;
    for (int t = 0; t < taps; t += 2, w += 2 * args.channels) {
        const __m128i a = tap_at(t);
        const __m128i b = t + 1 < taps ? tap_at(t + 1) : _mm_setzero_si128();
        low_acc = _mm_add_epi32(low_acc, _mm_madd_epi16(_mm_unpacklo_epi16(a, b), load128(w)));
        high_acc =
            _mm_add_epi32(high_acc, _mm_madd_epi16(_mm_unpackhi_epi16(a, b), load128(w + 8)));
    }
    const __m256i acc = _mm256_inserti128_si256(_mm256_castsi128_si256(low_acc), high_acc, 1);
    const __m256i values = scaled(acc, _mm256_loadu_ps(args.scale + n));
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
    const __m128i bytes = _mm_max_epi8(_mm_packs_epi16(words, words), _mm_set1_epi8(args.low));
    store64(out, flip128(bytes, args.output_lift));
}

#include "kernels/net/depthwise3_body.inl"

void depthwise(const DepthwiseArgs& args) noexcept {
    if (args.packed3 != nullptr) return depthwise3_any(args);
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.channels;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* field =
            args.input + static_cast<std::ptrdiff_t>(y) * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        int x = 0;
        if (args.channels == 8 && args.stride_x == 1)
            for (; x + 2 <= args.output_w; x += 2)
                depthwise16<true>(args, field + x * step, 0, out + x * args.channels);
        for (; x < args.output_w; ++x) {
            int n = 0;
            for (; n + 16 <= args.channels; n += 16)
                depthwise16<false>(args, field + x * step + n, n, out + x * args.channels + n);
            if (n < args.channels)
                depthwise8(args, field + x * step + n, n, out + x * args.channels + n);
        }
    }
}

}  // namespace

// ------------------------------------------------------------------ pooling, add

namespace {

// A pixel's maximum over a window: 32 channels at a time, as unsigned bytes. Signed ones are turned
// round twice.
template <bool lifted>
void max_pool_rows(const PoolArgs& args) noexcept {
    const __m256i flip = _mm256_set1_epi8(lifted ? 0 : static_cast<char>(0x80));
    const auto load_part = [](const std::int8_t* p, int count) {
        return count >= 32   ? load256(p)
               : count >= 16 ? _mm256_zextsi128_si256(load128(p))
                             : _mm256_zextsi128_si256(load64(p));
    };
    for (int y = 0; y < args.output_h; ++y) {
        const int top = y * args.stride_y - args.pad_top;
        const int y0 = top > 0 ? top : 0,
                  y1 = top + args.kernel_h < args.input_h ? top + args.kernel_h : args.input_h;
        const std::int8_t* const row = args.input + y0 * args.input_row;
        for (int x = 0; x < args.output_w; ++x) {
            const int left = x * args.stride_x - args.pad_left;
            const int x0 = left > 0 ? left : 0, x1 = left + args.kernel_w < args.input_w
                                                         ? left + args.kernel_w
                                                         : args.input_w;
            std::int8_t* out = args.output + y * args.output_row + x * args.channels;
            for (int n = 0; n < args.channels;) {
                const int rest = args.channels - n, count = rest >= 32 ? 32 : rest >= 16 ? 16 : 8;
                const std::int8_t* in = row + x0 * args.channels + n;
                __m256i best = _mm256_xor_si256(load_part(in, count), flip);
                for (int iy = y0; iy < y1; ++iy, in += args.input_row)
                    for (int ix = 0; ix < x1 - x0; ++ix)
                        best = _mm256_max_epu8(
                            best,
                            _mm256_xor_si256(load_part(in + ix * args.channels, count), flip));
                best = _mm256_xor_si256(best, flip);
                if (count == 32)
                    store256(out + n, best);
                else if (count == 16)
                    store128(out + n, _mm256_castsi256_si128(best));
                else
                    store64(out + n, _mm256_castsi256_si128(best));
                n += count;
            }
        }
    }
}

// Three by three, the pooling of the expression, gender and age networks and of XCEPTION.
template <bool lifted>
void max_pool3(const PoolArgs& args) noexcept {
    const std::ptrdiff_t channels = args.channels;  // a multiple of eight
    // The nine positions as offsets from the first: inside the input they are the same for every
    // window of a row.
    const auto window = [&](const std::int8_t* const(&rows)[3], const std::ptrdiff_t(&columns)[3],
                            std::int8_t* out) {
        std::ptrdiff_t n = 0;
        for (; n + 32 <= channels; n += 32) {
            __m256i best = load256(rows[0] + columns[0] + n);
            MIEN_UNROLL
            for (int i = 1; i < 9; ++i) {
                const __m256i v = load256(rows[i / 3] + columns[i % 3] + n);
                best = lifted ? _mm256_max_epu8(best, v) : _mm256_max_epi8(best, v);
            }
            store256(out + n, best);
        }
        const auto narrow = [&](auto load) {
            __m128i best = load(rows[0] + columns[0] + n);
            MIEN_UNROLL
            for (int i = 1; i < 9; ++i) {
                const __m128i v = load(rows[i / 3] + columns[i % 3] + n);
                best = lifted ? _mm_max_epu8(best, v) : _mm_max_epi8(best, v);
            }
            return best;
        };
        if (n + 16 <= channels) {
            store128(out + n, narrow([](const std::int8_t* p) { return load128(p); }));
            n += 16;
        }
        if (n < channels) store64(out + n, narrow([](const std::int8_t* p) { return load64(p); }));
    };
    // A row or column outside the input repeats one inside: the maximum stays the same.
    const auto clamp = [](int v, int end) { return v < 0 ? 0 : v < end ? v : end - 1; };
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* rows[3];
        for (int i = 0; i < 3; ++i)
            rows[i] = args.input +
                      clamp(y * args.stride_y - args.pad_top + i, args.input_h) * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int x = 0; x < args.output_w; ++x, out += channels) {
            const int left = x * args.stride_x - args.pad_left;
            if (left >= 0 && left + 2 < args.input_w) {
                const std::ptrdiff_t at = std::ptrdiff_t{left} * channels;
                window(rows, {at, at + channels, at + 2 * channels}, out);
            } else {
                std::ptrdiff_t columns[3];
                for (int i = 0; i < 3; ++i)
                    columns[i] = std::ptrdiff_t{clamp(left + i, args.input_w)} * channels;
                window(rows, columns, out);
            }
        }
    }
}

// Two by two with a stride of two, windows inside the input: the pooling of the detector network.
template <bool lifted>
void max_pool2(const PoolArgs& args) noexcept {
    const auto larger = [](auto a, auto b) {
        if constexpr (sizeof a == 32)
            return lifted ? _mm256_max_epu8(a, b) : _mm256_max_epi8(a, b);
        else
            return lifted ? _mm_max_epu8(a, b) : _mm_max_epi8(a, b);
    };
    const std::ptrdiff_t channels = args.channels;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* top = args.input + 2 * y * args.input_row;
        const std::int8_t* bottom = top + args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int x = 0; x < args.output_w;
             ++x, top += 2 * channels, bottom += 2 * channels, out += channels) {
            if (channels == 16) {  // both pixels are one vector
                const __m256i both = larger(load256(top), load256(bottom));
                store128(out,
                         larger(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
                continue;
            }
            for (std::ptrdiff_t n = 0; n < channels; n += 32)
                store256(out + n, larger(larger(load256(top + n), load256(bottom + n)),
                                         larger(load256(top + n + channels),
                                                load256(bottom + n + channels))));
        }
    }
}

template <bool lifted>
void max_pool_any(const PoolArgs& args) noexcept {
    if (args.kernel_h == 2 && args.kernel_w == 2 && args.stride_y == 2 && args.stride_x == 2 &&
        args.pad_top == 0 && args.pad_left == 0 && 2 * args.output_h <= args.input_h &&
        2 * args.output_w <= args.input_w && (args.channels == 16 || args.channels % 32 == 0))
        return max_pool2<lifted>(args);
    if (args.kernel_h == 3 && args.kernel_w == 3) return max_pool3<lifted>(args);
    max_pool_rows<lifted>(args);
}

}  // namespace

void max_pool_avx2(const PoolArgs& args) noexcept {
    args.lift != 0 ? max_pool_any<true>(args) : max_pool_any<false>(args);
}

void add_avx2(const AddArgs& args) noexcept {
    const __m256i low = _mm256_set1_epi8(args.low),
                  a_lift = _mm256_set1_epi8(static_cast<char>(args.a_lift)),
                  b_lift = _mm256_set1_epi8(static_cast<char>(args.b_lift)),
                  lift = _mm256_set1_epi8(static_cast<char>(args.output_lift));
    const auto sum = [&](__m256i a, __m256i b) {
        const __m256i value =
            _mm256_adds_epi8(_mm256_xor_si256(a, a_lift), _mm256_xor_si256(b, b_lift));
        return _mm256_xor_si256(_mm256_max_epi8(value, low), lift);
    };
    for (int y = 0; y < args.rows; ++y) {
        const std::int8_t *a = args.a + y * args.a_row, *b = args.b + y * args.b_row;
        std::int8_t* out = args.output + y * args.output_row;
        int i = 0;
        for (; i + 32 <= args.row_bytes; i += 32)
            store256(out + i, sum(load256(a + i), load256(b + i)));
        for (; i < args.row_bytes; i += 8)  // rows are whole groups of eight channels
            store64(out + i, _mm256_castsi256_si128(sum(_mm256_castsi128_si256(load64(a + i)),
                                                        _mm256_castsi128_si256(load64(b + i)))));
    }
}

// Sixteen channels at a time; sums of up to 256 bytes fit in 16 bits.
void sum_positions_avx2(const SumArgs& args) noexcept {
    int c = 0;
    const __m256i offset = _mm256_set1_epi16(args.lift != 0 ? 128 : 0);
    for (; c + 16 <= args.channels; c += 16) {
        __m256i low = _mm256_setzero_si256(), high = low, part = low;
        int count = 0;
        const auto flush = [&] {
            low = _mm256_add_epi32(low, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(part)));
            high = _mm256_add_epi32(high, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(part, 1)));
            part = _mm256_setzero_si256();
            count = 0;
        };
        for (int y = 0; y < args.height; ++y)
            for (int x = 0; x < args.width; ++x) {
                const __m128i bytes = load128(args.input + y * args.row + x * args.pixel + c);
                const __m256i words = args.lift != 0
                                          ? _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), offset)
                                          : _mm256_cvtepi8_epi16(bytes);
                part = _mm256_add_epi16(part, words);
                if (++count == 256) flush();
            }
        flush();
        store256(args.sums + c, low);
        store256(args.sums + c + 8, high);
    }
    if (c == args.channels) return;
    SumArgs rest = args;
    rest.input += c;
    rest.sums += c;
    rest.channels -= c;
    sum_positions_scalar(rest);
}

std::int32_t dot_avx2(const std::int32_t* a, const std::int8_t* w, int count) noexcept {
    __m256i sum = _mm256_setzero_si256();
    int i = 0;
    for (; i + 8 <= count; i += 8)
        sum = _mm256_add_epi32(
            sum, _mm256_mullo_epi32(load256(a + i), _mm256_cvtepi8_epi32(load64(w + i))));
    alignas(32) std::int32_t lanes[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
    std::uint32_t total = 0;
    for (const std::int32_t lane : lanes) total += static_cast<std::uint32_t>(lane);
    for (; i < count; ++i) total += static_cast<std::uint32_t>(a[i] * w[i]);
    return static_cast<std::int32_t>(total);
}

const NetKernels net_avx2 = {
    .conv_layout = conv_layout,
    .conv_packing = &conv_packing,
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
