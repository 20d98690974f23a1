// SPDX-License-Identifier: MIT
// A convolution for NEON without dot products, by smull and smlal. Included by neon.cpp inside an
// anonymous namespace.
//
// A step is four bytes of a kernel row times the weights of a block of channels: each 16-bit lane
// gets the products of one channel and of one of the four bytes. Products are added in 16 bits for
// as long as no input can make that overflow, which packing knows from the weights:
//   words   all of them: sums are widened once, when an output is done
//   groups  of four steps, where their flag says so, or of two
//   pairs   of two steps: two products always fit, since 2 * 128 * 127 < 2^15
// ld4r gives four steps of a pixel with one instruction. Loads stand together before the products
// that need them, kept so by empty asm statements: a Cortex-A53 executes in order, and a load that
// follows a multiplication waits for it (bench/mca.py).

#if defined(__aarch64__)
constexpr int conv_vectors = 4;        // of a block, each of four channels
constexpr int conv_part = 2;           // vectors of a block that are made together in groups
constexpr bool conv_has_pairs = true;  // of a whole block, worth it where few groups of four fit
#else                                  // has half as many registers
constexpr int conv_vectors = 2;
constexpr int conv_part = 1;
constexpr bool conv_has_pairs = false;
#endif
constexpr int conv_block = 4 * conv_vectors;
constexpr int conv_pixels = 2;  // of a tile

enum class ConvWay : std::int32_t { words, groups, pairs };

// Packed weights: [block] of these, then for each block a flag for every four steps of a kernel
// row, then the weights: in words [step][vector][16]; in groups [part of a block][step][vector][16];
// in pairs, of each row, [two steps][half of the block][step][vector][16].
struct ConvBlock {
    ConvWay way;
    std::int32_t flags_at, weights_at;  // bytes from the first of all
};

inline int conv_blocks(int output_channels) noexcept {
    return (output_channels + conv_block - 1) / conv_block;
}
// Of the vectors of the last block only those are made that hold outputs.
inline int conv_vectors_of(int output_channels, int block) noexcept {
    const int left = (output_channels - block * conv_block) / 4;
    return left < conv_vectors ? left : conv_vectors;
}
inline int conv_row_steps(int run_bytes) noexcept { return (run_bytes + 3) / 4; }

inline std::size_t conv_head_bytes(const ConvGeometry& g) noexcept {
    const int fours = g.kernel_h * (conv_row_steps(g.kernel_w * g.input_pixel) / 4);
    const auto blocks = static_cast<std::size_t>(conv_blocks(g.output_channels));
    return (blocks * (sizeof(ConvBlock) + static_cast<std::size_t>(fours)) + 63) / 64 * 64;
}

std::size_t conv_packed_bytes(const ConvGeometry& g) noexcept {
    const auto steps =
        static_cast<std::size_t>(g.kernel_h * conv_row_steps(g.kernel_w * g.input_pixel));
    return conv_head_bytes(g) + steps * static_cast<std::size_t>(g.output_channels) * 4;
}
std::size_t conv_scratch_bytes(const ConvGeometry&) noexcept { return 0; }

// What the weights that meet in a 16-bit lane add up to: those of either sign where inputs are not
// negative, else their magnitudes.
struct ConvSums {
    int up[4 * conv_block], down[4 * conv_block];

    void add(const std::int8_t* step, int lanes, bool unsigned_input) noexcept {
        for (int i = 0; i < lanes; ++i) {
            const int w = step[i], magnitude = w < 0 ? -w : w;
            up[i] += w > 0 || !unsigned_input ? magnitude : 0;
            down[i] += w < 0 || !unsigned_input ? magnitude : 0;
        }
    }
    [[nodiscard]] bool fit(int lanes, int limit) const noexcept {
        for (int i = 0; i < lanes; ++i)
            if (up[i] > limit || down[i] > limit) return false;
        return true;
    }
};

// The weights of step `step`, counted through all kernel rows, for the vectors of a block from
// `first` on.
inline void conv_step(const ConvGeometry& g, const std::int8_t* weights, int channel, int vectors,
                      int step, std::int8_t* to) noexcept {
    const int row_steps = conv_row_steps(g.kernel_w * g.input_pixel), ky = step / row_steps;
    for (int i = 0; i < 16 * vectors; ++i) {
        const int out = channel + i / 4, k = step % row_steps * 4 + i % 4, kx = k / g.input_pixel,
                  c = k % g.input_pixel;
        const bool real = out < g.outputs && kx < g.kernel_w && c < g.inputs;
        const std::ptrdiff_t at =
            ((std::ptrdiff_t{out} * g.kernel_h + ky) * g.kernel_w + kx) * g.inputs + c;
        to[i] = real ? weights[at] : std::int8_t{0};
    }
}

void conv_pack(const ConvGeometry& g, const std::int8_t* weights, void* packed) noexcept {
    const int row_steps = conv_row_steps(g.kernel_w * g.input_pixel),
              steps = g.kernel_h * row_steps, limit = 32767 / g.largest_input;
    auto* const bytes = static_cast<std::int8_t*>(packed);
    auto* const blocks = static_cast<ConvBlock*>(packed);
    const int count = conv_blocks(g.output_channels), fours = row_steps / 4 * g.kernel_h;
    std::size_t flags_at = static_cast<std::size_t>(count) * sizeof(ConvBlock),
                weights_at = conv_head_bytes(g);
    for (int b = 0; b < count; ++b) {
        const int vectors = conv_vectors_of(g.output_channels, b), lanes = 16 * vectors;
        std::int8_t* const flags = bytes + flags_at;
        std::int8_t* to = bytes + weights_at;
        blocks[b] = {ConvWay::words, static_cast<std::int32_t>(flags_at),
                     static_cast<std::int32_t>(weights_at)};
        flags_at += static_cast<std::size_t>(fours);
        weights_at += static_cast<std::size_t>(steps) * static_cast<std::size_t>(lanes);

        ConvSums all = {};
        for (int s = 0; s < steps; ++s) {
            conv_step(g, weights, b * conv_block, vectors, s, to + s * lanes);
            all.add(to + s * lanes, lanes, g.input_unsigned);
        }
        int fitting = 0;
        for (int i = 0; i < fours; ++i) {
            const int first = i / (row_steps / 4) * row_steps + i % (row_steps / 4) * 4;
            ConvSums four = {};
            for (int s = first; s < first + 4; ++s)
                four.add(to + s * lanes, lanes, g.input_unsigned);
            flags[i] = four.fit(lanes, limit) ? 1 : 0;
            fitting += flags[i];
        }
        // A block of fewer channels has loops for groups only.
        const bool whole = vectors == conv_vectors;
        if (whole && all.fit(lanes, limit)) continue;
        blocks[b].way =
            conv_has_pairs && whole && 2 * fitting <= fours ? ConvWay::pairs : ConvWay::groups;
        for (int first = 0, end; first < steps; first = end) {
            const int row_end = first / row_steps * row_steps + row_steps;
            end = blocks[b].way != ConvWay::pairs ? steps
                  : first + 2 < row_end           ? first + 2
                                                  : row_end;
            for (int part = 0; part < vectors; part += conv_part)
                for (int k = first; k < end; ++k, to += 16 * conv_part)
                    conv_step(g, weights, b * conv_block + 4 * part, conv_part, k, to);
        }
    }
}

// What a tile needs: a block's weights, and where its inputs are.
struct ConvTile {
    const std::int8_t *weights, *flags;
    int channel;
    int row_steps;
    std::ptrdiff_t pixel_step;  // bytes from one output's inputs to the next one's
};

// Of two pixels: the 32-bit sums of vectors of four channels.
template <int vectors>
using ConvSumsOf = int32x4_t[conv_pixels][vectors];

#if defined(__aarch64__)
#include "kernels/net/conv_neon_a64.inl"
#else

// Four bytes for every channel, and steps of them.
using ConvBytes = int8x8_t;
inline int8x8_t low_half(ConvBytes a) noexcept { return a; }
inline int16x8_t multiply_high(int8x16_t w, ConvBytes a) noexcept {
    return vmull_s8(vget_high_s8(w), a);
}
inline int16x8_t add_high(int16x8_t sum, int8x16_t w, ConvBytes a) noexcept {
    return vmlal_s8(sum, vget_high_s8(w), a);
}
inline void load_steps(const std::int8_t* p, ConvBytes (&to)[4]) noexcept {
    const int32x2x4_t v = vld4_dup_s32(reinterpret_cast<const std::int32_t*>(p));
    MIEN_UNROLL
    for (int i = 0; i < 4; ++i) to[i] = vreinterpret_s8_s32(v.val[i]);
}
inline void load_steps(const std::int8_t* p, ConvBytes (&to)[2]) noexcept {
    const int32x2x2_t v = vld2_dup_s32(reinterpret_cast<const std::int32_t*>(p));
    MIEN_UNROLL
    for (int i = 0; i < 2; ++i) to[i] = vreinterpret_s8_s32(v.val[i]);
}
inline void load_steps(const std::int8_t* p, ConvBytes (&to)[1]) noexcept {
    to[0] = vreinterpret_s8_s32(vld1_dup_s32(reinterpret_cast<const std::int32_t*>(p)));
}

// 16-bit sums of a vector's channels: two channels each, of four bytes.
struct ConvWords {
    int16x8_t low, high;
};
template <bool first>
[[gnu::always_inline]] inline void add_products(ConvWords& sum, int8x16_t w, ConvBytes a) noexcept {
    if constexpr (first)
        sum = {vmull_s8(vget_low_s8(w), low_half(a)), multiply_high(w, a)};
    else
        sum = {vmlal_s8(sum.low, vget_low_s8(w), low_half(a)), add_high(sum.high, w, a)};
}

// 32-bit sums of a vector's channels, each in two lanes.
struct ConvWide {
    int32x4_t low, high;
};
inline int32x4_t joined(ConvWide v) noexcept {
    return vcombine_s32(vpadd_s32(vget_low_s32(v.low), vget_high_s32(v.low)),
                        vpadd_s32(vget_low_s32(v.high), vget_high_s32(v.high)));
}
inline int32x4_t widened(ConvWords v) noexcept {
    return joined({vpaddlq_s16(v.low), vpaddlq_s16(v.high)});
}

// `count` steps, two at a time.
template <int count, bool first, int pixels, int vectors>
[[gnu::always_inline]] inline void conv_products(const std::int8_t* at, std::ptrdiff_t pixel_step,
                                                 const std::int8_t* w,
                                                 ConvWords (&sum)[pixels][vectors]) noexcept {
    constexpr int together = count < 2 ? 1 : 2;
    ConvBytes a[pixels][count];
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) load_steps(at + p * pixel_step, a[p]);
    MIEN_UNROLL
    for (int s = 0; s < count; s += together) {
        int8x16_t loaded[together][vectors];
        MIEN_UNROLL
        for (int i = 0; i < together; ++i) MIEN_UNROLL
        for (int v = 0; v < vectors; ++v) loaded[i][v] = vld1q_s8(w + ((s + i) * vectors + v) * 16);
        MIEN_UNROLL
        for (int i = 0; i < together; ++i) MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) MIEN_UNROLL
        for (int v = 0; v < vectors; ++v) {
            if (first && s + i == 0)
                add_products<true>(sum[p][v], loaded[i][v], a[p][s + i]);
            else
                add_products<false>(sum[p][v], loaded[i][v], a[p][s + i]);
        }
    }
}

// The same for groups of steps whose sums go to 32 bits.
template <int count, int pixels, int vectors>
[[gnu::always_inline]] inline void conv_wide_products(const std::int8_t* at,
                                                      std::ptrdiff_t pixel_step,
                                                      const std::int8_t* w,
                                                      ConvWide (&sum)[pixels][vectors]) noexcept {
    ConvWords words[pixels][vectors];
    conv_products<count, true>(at, pixel_step, w, words);
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) MIEN_UNROLL
    for (int v = 0; v < vectors; ++v)
        sum[p][v] = {vpadalq_s16(sum[p][v].low, words[p][v].low),
                     vpadalq_s16(sum[p][v].high, words[p][v].high)};
}

// The sums of `pixels` outputs, all in 16 bits. `lead`: steps of which a kernel row has as many at
// least, four or one.
template <int lead>
[[gnu::always_inline]] inline void conv_in_words(const ConvArgs& args, const ConvTile& tile,
                                                 const std::int8_t* field,
                                                 ConvSumsOf<conv_vectors>& sums) noexcept {
    constexpr int pixels = conv_pixels, vectors = conv_vectors;
    constexpr int step_bytes = 16 * vectors;
    ConvWords words[pixels][vectors];
    const std::int8_t* w = tile.weights;
    conv_products<lead, true>(field, tile.pixel_step, w, words);
    w += lead * step_bytes;
    const std::int8_t* at = field + 4 * lead;
    int left = tile.row_steps - lead;
    for (int y = 0;;) {
        for (; left >= 4; left -= 4, at += 16, w += 4 * step_bytes)
            conv_products<4, false>(at, tile.pixel_step, w, words);
        if (left >= 2) {
            conv_products<2, false>(at, tile.pixel_step, w, words);
            at += 8;
            w += 2 * step_bytes;
        }
        if (left % 2 != 0) {
            conv_products<1, false>(at, tile.pixel_step, w, words);
            w += step_bytes;
        }
        if (++y == args.kernel_h) break;
        at = field + y * args.input_row;
        left = tile.row_steps;
    }
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) {
        const int32x4_t bias = vld1q_s32(args.bias + tile.channel + 4 * v);
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) sums[p][v] = vaddq_s32(widened(words[p][v]), bias);
    }
}

// The same in groups of four steps or two, for `vectors` vectors from `first` on.
template <int first, int all>
[[gnu::always_inline]] inline const std::int8_t* conv_in_groups(const ConvArgs& args,
                                                                const ConvTile& tile,
                                                                const std::int8_t* field,
                                                                const std::int8_t* w,
                                                                ConvSumsOf<all>& sums) noexcept {
    constexpr int pixels = conv_pixels, vectors = conv_part;
    constexpr int step_bytes = 16 * vectors;
    ConvWide wide[pixels][vectors];
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) {
        const int32x4x2_t spread =
            vzipq_s32(vld1q_s32(args.bias + tile.channel + 4 * (first + v)), vdupq_n_s32(0));
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) wide[p][v] = {spread.val[0], spread.val[1]};
    }
    const std::int8_t* fits = tile.flags;
    for (int y = 0; y < args.kernel_h; ++y) {
        const std::int8_t* at = field + y * args.input_row;
        int left = tile.row_steps;
        for (; left >= 4; left -= 4, at += 16, w += 4 * step_bytes) {
            if (*fits++ != 0) {
                conv_wide_products<4>(at, tile.pixel_step, w, wide);
            } else {
                conv_wide_products<2>(at, tile.pixel_step, w, wide);
                conv_wide_products<2>(at + 8, tile.pixel_step, w + 2 * step_bytes, wide);
            }
        }
        if (left >= 2) {
            conv_wide_products<2>(at, tile.pixel_step, w, wide);
            at += 8;
            w += 2 * step_bytes;
        }
        if (left % 2 != 0) {
            conv_wide_products<1>(at, tile.pixel_step, w, wide);
            w += step_bytes;
        }
    }
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) sums[p][first + v] = joined(wide[p][v]);
    return w;
}

#endif

// `lead`: the steps that are made first.
template <ConvWay way, int lead, int vectors>
[[gnu::always_inline]] inline void conv_tile(const ConvArgs& args, const ConvTile& tile,
                                             const std::int8_t* field, std::int8_t* out) noexcept {
    ConvSumsOf<vectors> sums;
    if constexpr (way == ConvWay::groups) {
        const std::int8_t* const w = conv_in_groups<0>(args, tile, field, tile.weights, sums);
        if constexpr (vectors > conv_part) conv_in_groups<conv_part>(args, tile, field, w, sums);
#if defined(__aarch64__)
    } else if constexpr (way == ConvWay::pairs) {
        conv_in_pairs<lead>(args, tile, field, sums);
#endif
    } else {
        conv_in_words<lead>(args, tile, field, sums);
    }
    float32x4_t scale[vectors];
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) scale[v] = vld1q_f32(args.scale + tile.channel + 4 * v);
    MIEN_UNROLL
    for (int p = 0; p < conv_pixels; ++p) {
        std::int8_t* const to = out + p * args.output_pixel;
        int32x4_t values[vectors];
        MIEN_UNROLL
        for (int v = 0; v < vectors; ++v) values[v] = scaled_neon(sums[p][v], scale[v]);
        if constexpr (vectors == 4)
            store16_neon(to, values, args.low);
        else
            store8_neon(to, values, args.low);
    }
}

// Takes copies: stored bytes might alias the originals, and they would be loaded again and again.
template <ConvWay way, int lead, int vectors>
void conv_rows(ConvArgs args, ConvTile tile) noexcept {
    const int tiles = (args.output_w + conv_pixels - 1) / conv_pixels;
    if (args.output_w < conv_pixels)  // made twice, written twice
        tile.pixel_step = args.output_pixel = 0;
    // The last tile overlaps the one before and writes the same values again.
    const int last = args.output_w < conv_pixels ? 0 : args.output_w - conv_pixels;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* const row = args.input + y * args.stride_y * args.input_row;
        std::int8_t* const out = args.output + y * args.output_row + tile.channel;
        const std::int8_t* field = row;
        std::int8_t* to = out;
        for (int i = 1; i < tiles; ++i) {
            conv_tile<way, lead, vectors>(args, tile, field, to);
            field += conv_pixels * tile.pixel_step;
            to += conv_pixels * args.output_pixel;
        }
        conv_tile<way, lead, vectors>(args, tile, row + last * tile.pixel_step,
                                      out + last * args.output_pixel);
    }
}

void conv(const ConvArgs& args) noexcept {
    const auto* const bytes = static_cast<const std::int8_t*>(args.weights);
    const auto* const blocks = static_cast<const ConvBlock*>(args.weights);
    for (int b = 0; b < conv_blocks(args.output_channels); ++b) {
        const ConvTile tile = {bytes + blocks[b].weights_at, bytes + blocks[b].flags_at,
                               b * conv_block, conv_row_steps(args.run_bytes),
                               std::ptrdiff_t{args.stride_x} * args.input_pixel};
        const ConvWay way = blocks[b].way;
        if (conv_vectors_of(args.output_channels, b) < conv_vectors)
            conv_rows<ConvWay::groups, 0, 2>(args, tile);
        else if (way == ConvWay::groups)
            conv_rows<ConvWay::groups, 0, conv_vectors>(args, tile);
#if defined(__aarch64__)
        else if (way == ConvWay::pairs && tile.row_steps >= 2)
            conv_rows<ConvWay::pairs, 2, conv_vectors>(args, tile);
        else if (way == ConvWay::pairs)
            conv_rows<ConvWay::pairs, 1, conv_vectors>(args, tile);
#endif
        else if (tile.row_steps >= 4)
            conv_rows<ConvWay::words, 4, conv_vectors>(args, tile);
        else
            conv_rows<ConvWay::words, 1, conv_vectors>(args, tile);
    }
}

const ConvPacking conv_packing = {
    .packed_bytes = conv_packed_bytes,
    .scratch_bytes = conv_scratch_bytes,
    .pack = conv_pack,
};

constexpr ConvLayout conv_layout = {.out_block = conv_block, .group = 1, .element_bytes = 1};
