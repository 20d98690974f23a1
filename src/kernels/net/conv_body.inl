// SPDX-License-Identifier: MIT
// A convolution as dot products of four, written once over the vector type V of the file that
// includes this one, inside an anonymous namespace: AVX-VNNI, NEON, SIMD128. (AVX-512 has tiles of
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

// Dot products of eight that cost less than two of four, if V has them.
template <class T>
concept PairVector = requires(typename T::Acc acc, typename T::Act a, typename T::Weights w) {
    acc = T::dot_pair(acc, a, w, a, w);
};
template <PairVector T>
inline typename T::Acc dot_pair(typename T::Acc acc, typename T::Act a, typename T::Weights w,
                                typename T::Act b, typename T::Weights v) noexcept {
    return T::dot_pair(acc, a, w, b, v);
}

constexpr int conv_block = 8;

// What the tiles of `blocks` blocks of eight channels share.
template <int blocks>
struct ConvBlocks {
    const std::int8_t* weights;
    std::size_t block_bytes;
    int first;  // channel
    V::Acc bias[V::vectors * blocks];
    V::F32 scale[V::vectors * blocks];
};

// `pixels` neighboring outputs.
template <bool unsigned_input, int pixels, int blocks>
[[gnu::always_inline]] inline void conv_tile(const ConvArgs& args, const ConvBlocks<blocks>& block,
                                             const std::int8_t* field, std::int8_t* out) noexcept {
    constexpr int vectors = V::vectors * blocks, lanes = conv_block / V::vectors;
    const std::int8_t* weights = block.weights;
    V::Acc acc[pixels][vectors];
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) acc[p][v] = block.bias[v];
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.input_pixel;
    for (int ky = 0; ky < args.kernel_h; ++ky) {
        const std::int8_t* run = field + ky * args.input_row;
        int k = 0;
        if constexpr (PairVector<V>)
            for (; k + 8 <= args.run_bytes; k += 8, weights += 8 * conv_block) {
                typename V::Act a[pixels], b[pixels];
                MIEN_UNROLL
                for (int p = 0; p < pixels; ++p) {
                    a[p] = V::template broadcast<unsigned_input>(run + k + p * step);
                    b[p] = V::template broadcast<unsigned_input>(run + k + 4 + p * step);
                }
                MIEN_UNROLL
                for (int v = 0; v < vectors; ++v) {
                    const std::int8_t* const w =
                        weights + static_cast<std::size_t>(v / V::vectors) * block.block_bytes +
                        v % V::vectors * 4 * lanes;
                    const typename V::Weights first = V::load_weights(w),
                                              second = V::load_weights(w + 4 * conv_block);
                    MIEN_UNROLL
                    for (int p = 0; p < pixels; ++p)
                        acc[p][v] = dot_pair<V>(acc[p][v], a[p], first, b[p], second);
                }
            }
        for (; k < args.run_bytes; k += 4, weights += 4 * conv_block) {
            typename V::Weights w[vectors];
            MIEN_UNROLL
            for (int v = 0; v < vectors; ++v)
                w[v] = V::load_weights(
                    weights + static_cast<std::size_t>(v / V::vectors) * block.block_bytes +
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
        for (int v = 0; v < vectors; ++v) values[v] = V::scaled(acc[p][v], block.scale[v]);
        std::int8_t* const to = out + p * args.output_pixel + block.first;
        if constexpr (blocks == 2)
            V::store_clamped16(to, values, args.low, args.output_lift);
        else
            V::store_clamped8(to, values, args.low, args.output_lift);
    }
}

// Takes a copy: stored bytes might alias the original, and it would be loaded again and again.
template <bool unsigned_input, int blocks>
void conv_rows(const ConvArgs args, int n, const std::int8_t* weights,
               std::size_t block_bytes) noexcept {
    constexpr int pixels = blocks == 1 ? V::pixels_of_one_block : V::pixels_of_two_blocks;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.input_pixel;
    ConvBlocks<blocks> block = {weights, block_bytes, n, {}, {}};
    MIEN_UNROLL
    for (int v = 0; v < V::vectors * blocks; ++v) {
        const int channel = n + v * (conv_block / V::vectors);
        block.bias[v] = V::load_bias(args.bias + channel);
        block.scale[v] = V::load_scale(args.scale + channel);
    }
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* field =
            args.input + static_cast<std::ptrdiff_t>(y) * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        int x = 0;
        for (; x + pixels <= args.output_w; x += pixels)
            conv_tile<unsigned_input, pixels, blocks>(args, block, field + x * step,
                                                      out + x * args.output_pixel);
        if (x == args.output_w) continue;
        // the last tile overlaps the one before: it writes the same values again
        if (args.output_w >= pixels) {
            x = args.output_w - pixels;
            conv_tile<unsigned_input, pixels, blocks>(args, block, field + x * step,
                                                      out + x * args.output_pixel);
        } else {
            for (; x < args.output_w; ++x)
                conv_tile<unsigned_input, 1, blocks>(args, block, field + x * step,
                                                     out + x * args.output_pixel);
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
