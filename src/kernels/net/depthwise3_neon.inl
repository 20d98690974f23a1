// SPDX-License-Identifier: MIT
// A 3x3 depthwise convolution with stride 1 for NEON without dot products, by smull and smlal.
// Included by neon.cpp inside an anonymous namespace.
//
// Products are added in 16 bits, all nine or in groups, each of which goes to 32 bits by itself. A
// sum of inputs that are not negative lies between -127 times the weights below zero and 127 times
// those above, so that it fits wherever the magnitudes add up to at most 516, if it starts from a
// number that puts the middle of that range at zero; the bias is less by it. (Sums on the way may
// wrap.) Of inputs that may be negative they must add up to at most 258.

#if defined(__aarch64__)
constexpr int tap_halves = 2;
#else  // has half as many registers
constexpr int tap_halves = 1;
#endif
constexpr int tap_block = 8 * tap_halves;  // channels that are made together
constexpr int tap_pixels = 4;              // of a tile

// The taps after each group: as many groups as the sums need. Two always fit, three in those sums
// that start from such a number.
constexpr int centered_groups = 3;
constexpr int tap_group_ends[][5] = {{}, {9}, {5, 9}, {3, 6, 9}, {}, {2, 4, 6, 8, 9}};

// A block's constants; of the last one perhaps only eight channels are real.
struct TapBlock {
    std::int8_t weights[9][tap_block];
    std::int16_t start[centered_groups][tap_block];  // of inputs that are not negative
    std::int32_t bias[tap_block], centered_bias[tap_block];
    float scale[tap_block];
    // For inputs that may be negative, 1 or 5; for others, 1 to 3.
    std::int32_t signed_groups, groups;
};

inline int tap_blocks(int channels) noexcept { return (channels + tap_block - 1) / tap_block; }

std::size_t depthwise3_packed_bytes(int channels) noexcept {
    return static_cast<std::size_t>(tap_blocks(channels)) * sizeof(TapBlock);
}
std::size_t depthwise3_scratch_bytes(int, int) noexcept { return 0; }

// What the magnitudes of the weights in taps first .. end - 1 add up to; and the weights.
struct TapSums {
    int magnitude, sum;
};
inline TapSums tap_sums(const TapBlock& block, int c, int first, int end) noexcept {
    TapSums sums = {};
    for (int t = first; t < end; ++t) {
        const int w = block.weights[t][c];
        sums.magnitude += w < 0 ? -w : w;
        sums.sum += w;
    }
    return sums;
}

inline bool taps_fit(const TapBlock& block, int groups, int limit) noexcept {
    for (int c = 0; c < tap_block; ++c)
        for (int g = 0, first = 0; g < groups; first = tap_group_ends[groups][g++])
            if (tap_sums(block, c, first, tap_group_ends[groups][g]).magnitude > limit)
                return false;
    return true;
}

// Tensors are not lifted here.
void depthwise3_pack(const std::int8_t* weights, int real_channels, int channels,
                     const std::int32_t* bias, const float* scale, std::uint8_t,
                     void* packed) noexcept {
    constexpr int limit = 32767 / 127, range = 65535 / 127;
    auto* block = static_cast<TapBlock*>(packed);
    for (int n = 0; n < channels; n += tap_block, ++block) {
        *block = {};
        for (int c = 0; c < tap_block; ++c) {
            const int channel = n + c;
            block->scale[c] = channel < channels ? scale[channel] : 1.0f;
            block->bias[c] = channel < channels ? bias[channel] : 0;
            for (int t = 0; t < 9 && channel < real_channels; ++t)
                block->weights[t][c] = weights[t * real_channels + channel];
        }
        block->signed_groups = taps_fit(*block, 1, limit) ? 1 : 5;
        block->groups = 1;
        while (!taps_fit(*block, block->groups, range)) ++block->groups;
        for (int c = 0; c < tap_block; ++c) {
            block->centered_bias[c] = block->bias[c];
            for (int g = 0, first = 0; g < block->groups;
                 first = tap_group_ends[block->groups][g++]) {
                // Sums lie between -127 * (magnitude - sum) / 2 and 127 * (magnitude + sum) / 2.
                const int start =
                    -(127 * tap_sums(*block, c, first, tap_group_ends[block->groups][g]).sum) / 2;
                block->start[g][c] = static_cast<std::int16_t>(start);
                block->centered_bias[c] =
                    static_cast<std::int32_t>(static_cast<std::uint32_t>(block->centered_bias[c]) -
                                              static_cast<std::uint32_t>(start));
            }
        }
    }
}

// Bytes of eight channels, or of sixteen, and the products of the first and the second eight.
inline int16x8_t tap_products(int8x8_t a, int8x8_t w, int) noexcept { return vmull_s8(a, w); }
inline int16x8_t add_tap_products(int16x8_t sum, int8x8_t a, int8x8_t w, int) noexcept {
    return vmlal_s8(sum, a, w);
}
#if defined(__aarch64__)
inline int16x8_t tap_products(int8x16_t a, int8x16_t w, int half) noexcept {
    return half == 0 ? vmull_s8(vget_low_s8(a), vget_low_s8(w)) : vmull_high_s8(a, w);
}
inline int16x8_t add_tap_products(int16x8_t sum, int8x16_t a, int8x16_t w, int half) noexcept {
    return half == 0 ? vmlal_s8(sum, vget_low_s8(a), vget_low_s8(w)) : vmlal_high_s8(sum, a, w);
}
#endif
template <int halves>
[[gnu::always_inline]] inline auto load_tap(const std::int8_t* p) noexcept {
    if constexpr (halves == 1)
        return vld1_s8(p);
    else
        return vld1q_s8(p);
}

// The 32-bit sums of `pixels` neighboring outputs, of 8 * halves channels.
template <int groups, bool centered, int halves, int pixels>
[[gnu::always_inline]] inline void tap_tile_sums(const DepthwiseArgs& args, const TapBlock& block,
                                                 const std::int8_t* field,
                                                 int32x4_t (&acc)[pixels][2 * halves]) noexcept {
    int16x8_t before[pixels][halves], sum[pixels][halves];
    decltype(load_tap<halves>(field)) in[pixels + 2];
    MIEN_UNROLL
    for (int t = 0, g = 0; t < 9; ++t) {
        if (t % 3 == 0) {
            MIEN_UNROLL
            for (int x = 0; x < pixels + 2; ++x)
                in[x] = load_tap<halves>(field + t / 3 * args.input_row + x * args.channels);
        }
        const bool first = t == 0 || t == tap_group_ends[groups][g - 1];  // of group g
        const auto w = load_tap<halves>(block.weights[t]);
        MIEN_UNROLL
        for (int h = 0; h < halves; ++h) {
            const int16x8_t start =
                first && centered ? vld1q_s16(block.start[g] + 8 * h) : vdupq_n_s16(0);
            MIEN_UNROLL
            for (int p = 0; p < pixels; ++p) {
                const auto a = in[t % 3 + p];
                if (first && !centered)
                    sum[p][h] = tap_products(a, w, h);
                else
                    sum[p][h] = add_tap_products(first ? start : sum[p][h], a, w, h);
            }
        }
        if (first) ++g;
        if (t + 1 != tap_group_ends[groups][g - 1]) continue;
        MIEN_UNROLL
        for (int h = 0; h < halves; ++h) {
            const std::int32_t* const from = (centered ? block.centered_bias : block.bias) + 8 * h;
            MIEN_UNROLL
            for (int p = 0; p < pixels; ++p) {
                int32x4_t &low = acc[p][2 * h], &high = acc[p][2 * h + 1];
                const int16x8_t now = sum[p][h];
                if (groups == 1) {
                    low = vaddw_s16(vld1q_s32(from), vget_low_s16(now));
                    high = vaddw_s16(vld1q_s32(from + 4), vget_high_s16(now));
                } else if (g == 1) {
                    before[p][h] = now;  // added together with the next group's
                } else if (g == 2) {
                    low = vaddl_s16(vget_low_s16(before[p][h]), vget_low_s16(now));
                    high = vaddl_s16(vget_high_s16(before[p][h]), vget_high_s16(now));
                } else {
                    low = vaddw_s16(low, vget_low_s16(now));
                    high = vaddw_s16(high, vget_high_s16(now));
                }
                if (groups > 1 && g == groups) {
                    low = vaddq_s32(low, vld1q_s32(from));
                    high = vaddq_s32(high, vld1q_s32(from + 4));
                }
            }
        }
    }
}

// The same of one output, each product widened by itself.
template <int halves>
[[gnu::always_inline]] inline void tap_sums_of_one(const DepthwiseArgs& args, const TapBlock& block,
                                                   const std::int8_t* field,
                                                   int32x4_t (&acc)[1][2 * halves]) noexcept {
    MIEN_UNROLL
    for (int h = 0; h < 2 * halves; ++h) acc[0][h] = vld1q_s32(block.bias + 4 * h);
    for (int t = 0; t < 9; ++t) {
        const auto w = load_tap<halves>(block.weights[t]),
                   a = load_tap<halves>(field + t / 3 * args.input_row + t % 3 * args.channels);
        MIEN_UNROLL
        for (int h = 0; h < halves; ++h) {
            const int16x8_t product = tap_products(a, w, h);
            acc[0][2 * h] = vaddw_s16(acc[0][2 * h], vget_low_s16(product));
            acc[0][2 * h + 1] = vaddw_s16(acc[0][2 * h + 1], vget_high_s16(product));
        }
    }
}

// Where outputs go: bytes, or the sums times their scales.
struct TapOutput {
    std::int8_t* bytes;
    float* floats;
};

template <bool floats, int halves, int pixels>
[[gnu::always_inline]] inline void tap_store(const DepthwiseArgs& args, const TapBlock& block,
                                             const int32x4_t (&acc)[pixels][2 * halves],
                                             TapOutput out, std::ptrdiff_t at) noexcept {
    float32x4_t scale[2 * halves];
    MIEN_UNROLL
    for (int h = 0; h < 2 * halves; ++h) scale[h] = vld1q_f32(block.scale + 4 * h);
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p, at += args.channels) {
        if constexpr (floats) {
            MIEN_UNROLL
            for (int h = 0; h < 2 * halves; ++h)
                vst1q_f32(out.floats + at + 4 * h, vmulq_f32(vcvtq_f32_s32(acc[p][h]), scale[h]));
            continue;
        }
        int32x4_t values[2 * halves];
        MIEN_UNROLL
        for (int h = 0; h < 2 * halves; ++h) values[h] = scaled_neon(acc[p][h], scale[h]);
        if constexpr (halves == 2)
            store16_neon(out.bytes + at, values, args.low);
        else
            store8_neon(out.bytes + at, values, args.low);
    }
}

// All rows of a block. The last tile overlaps the one before and writes the same values again.
// No groups: one output at a time, for maps that are too narrow.
template <int groups, bool centered, bool floats, int halves>
void tap_rows(const DepthwiseArgs args, const TapBlock& block, int n, TapOutput to) noexcept {
    constexpr int pixels = groups == 0 ? 1 : tap_pixels;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* const field = args.input + y * args.input_row + n;
        const TapOutput out = {
            floats ? nullptr : to.bytes + y * args.output_row + n,
            floats ? to.floats + y * args.output_w * args.channels + n : nullptr};
        for (int left = args.output_w; left > 0; left -= pixels) {
            const int x = left < pixels ? args.output_w - pixels : args.output_w - left;
            const std::ptrdiff_t at = std::ptrdiff_t{x} * args.channels;
            int32x4_t acc[pixels][2 * halves];
            if constexpr (groups == 0)
                tap_sums_of_one<halves>(args, block, field + at, acc);
            else
                tap_tile_sums<groups, centered, halves>(args, block, field + at, acc);
            tap_store<floats, halves>(args, block, acc, out, at);
        }
    }
}

template <bool floats, int halves>
void tap_block_rows(const DepthwiseArgs& args, const TapBlock& block, int n,
                    TapOutput to) noexcept {
    if (args.output_w < tap_pixels)
        tap_rows<0, false, floats, halves>(args, block, n, to);
    else if (!args.input_unsigned && block.signed_groups == 1)
        tap_rows<1, false, floats, halves>(args, block, n, to);
    else if (!args.input_unsigned)
        tap_rows<5, false, floats, halves>(args, block, n, to);
    else if (block.groups == 1)
        tap_rows<1, true, floats, halves>(args, block, n, to);
    else if (block.groups == 2)
        tap_rows<2, true, floats, halves>(args, block, n, to);
    else
        tap_rows<3, true, floats, halves>(args, block, n, to);
}

template <bool floats>
void depthwise3_all(const DepthwiseArgs& args, TapOutput to) noexcept {
    const auto* block = static_cast<const TapBlock*>(args.packed3);
    for (int n = 0; n < args.channels; n += tap_block, ++block)
        if (args.channels - n >= tap_block)
            tap_block_rows<floats, tap_halves>(args, *block, n, to);
        else
            tap_block_rows<floats, 1>(args, *block, n, to);
}

void depthwise3_floats(const DepthwiseArgs& args, float* values) noexcept {
    depthwise3_all<true>(args, {nullptr, values});
}

const Depthwise3 depthwise3_functions = {
    .packed_bytes = depthwise3_packed_bytes,
    .pack = depthwise3_pack,
    .scratch_bytes = depthwise3_scratch_bytes,
    .floats = depthwise3_floats,
};
