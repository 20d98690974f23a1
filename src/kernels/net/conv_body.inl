// SPDX-License-Identifier: MIT
// A convolution as dot products of four, written once over the vector type V of the file that
// includes this one, inside an anonymous namespace: SSE4.1, AVX2 and NEON. (AVX-512 has tiles of
// its own.)
//
// Packed weights come in blocks of eight channels, [kernel_h][run_bytes / 4][8][4]; a block takes
// V::vectors vectors.

// Acc: accumulators of one vector's channels; I32: their 32-bit outputs, not yet clamped; F32: their
// scales. Act: four input bytes for every lane.
template <class T>
concept ConvVector = requires(
    const std::int8_t* bytes, const std::int32_t* bias, const float* scale, std::int8_t* out,
    const typename T::I32 (&one_block)[T::vectors],
    const typename T::I32 (&two_blocks)[2 * T::vectors], typename T::Acc acc,
    typename T::I32 values, std::int8_t low, std::uint8_t lift) {
    acc = T::load_bias(bias);
    acc = T::template dot<true>(acc, T::template broadcast<true>(bytes), T::load_weights(bytes));
    values = T::scaled(acc, T::load_scale(scale));
    // Saturated, not below `low`, lifted.
    T::store_clamped8(out, one_block, low, lift);
    T::store_clamped16(out, two_blocks, low, lift);
    requires T::pixels_of_one_block > 0 && T::pixels_of_two_blocks > 0;
};
static_assert(ConvVector<V>);

constexpr int conv_block = 8;

// `pixels` neighboring outputs x `blocks` blocks of eight channels, starting at channel n.
template <bool unsigned_input, int pixels, int blocks>
inline void conv_tile(const ConvArgs& args, const std::int8_t* field, const std::int8_t* weights,
                      std::size_t block_bytes, int n, std::int8_t* out) noexcept {
    constexpr int vectors = V::vectors * blocks, lanes = conv_block / V::vectors;
    V::Acc acc[pixels][vectors];
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) {
        const V::Acc bias = V::load_bias(args.bias + n + v * lanes);
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) acc[p][v] = bias;
    }
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.input_pixel;
    for (int ky = 0; ky < args.kernel_h; ++ky) {
        const std::int8_t* run = field + ky * args.input_row;
        for (int k = 0; k < args.run_bytes; k += 4, weights += 4 * conv_block) {
            typename V::Weights w[vectors];
            MIEN_UNROLL
            for (int v = 0; v < vectors; ++v)
                w[v] = V::load_weights(weights +
                                       static_cast<std::size_t>(v / V::vectors) * block_bytes +
                                       v % V::vectors * 4 * lanes);
            MIEN_UNROLL
            for (int p = 0; p < pixels; ++p) {
                const typename V::Act a = V::template broadcast<unsigned_input>(run + k + p * step);
                MIEN_UNROLL
                for (int v = 0; v < vectors; ++v)
                    acc[p][v] = V::template dot<unsigned_input>(acc[p][v], a, w[v]);
            }
        }
    }
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        typename V::I32 values[vectors];
        MIEN_UNROLL
        for (int v = 0; v < vectors; ++v)
            values[v] = V::scaled(acc[p][v], V::load_scale(args.scale + n + v * lanes));
        std::int8_t* const to = out + p * args.output_pixel + n;
        if constexpr (blocks == 2)
            V::store_clamped16(to, values, args.low, args.output_lift);
        else
            V::store_clamped8(to, values, args.low, args.output_lift);
    }
}

template <bool unsigned_input, int blocks>
inline void conv_rows(const ConvArgs& args, int n, const std::int8_t* weights,
                      std::size_t block_bytes) noexcept {
    constexpr int pixels = blocks == 1 ? V::pixels_of_one_block : V::pixels_of_two_blocks;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.input_pixel;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* field =
            args.input + static_cast<std::ptrdiff_t>(y) * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        int x = 0;
        for (; x + pixels <= args.output_w; x += pixels)
            conv_tile<unsigned_input, pixels, blocks>(args, field + x * step, weights, block_bytes,
                                                      n, out + x * args.output_pixel);
        if (x == args.output_w) continue;
        // the last tile overlaps the one before: it writes the same values again
        if (args.output_w >= pixels) {
            x = args.output_w - pixels;
            conv_tile<unsigned_input, pixels, blocks>(args, field + x * step, weights, block_bytes,
                                                      n, out + x * args.output_pixel);
        } else {
            for (; x < args.output_w; ++x)
                conv_tile<unsigned_input, 1, blocks>(args, field + x * step, weights, block_bytes,
                                                     n, out + x * args.output_pixel);
        }
    }
}

template <bool unsigned_input>
inline void conv_blocks(const ConvArgs& args) noexcept {
    const auto* weights = static_cast<const std::int8_t*>(args.weights);
    const std::size_t block_bytes = static_cast<std::size_t>(args.kernel_h) *
                                    static_cast<std::size_t>(args.run_bytes) * conv_block;
    int n = 0;
    for (; n + 2 * conv_block <= args.output_channels;
         n += 2 * conv_block, weights += 2 * block_bytes)
        conv_rows<unsigned_input, 2>(args, n, weights, block_bytes);
    if (n < args.output_channels) conv_rows<unsigned_input, 1>(args, n, weights, block_bytes);
}

void conv(const ConvArgs& args) noexcept {
#if !MIEN_CONV_ANY_SIGN  // defined where both would be the same instructions
    if (args.input_unsigned)
        conv_blocks<true>(args);
    else
#endif
        conv_blocks<false>(args);
}

constexpr ConvLayout conv_layout = {.out_block = conv_block, .group = 4, .element_bytes = 1};
