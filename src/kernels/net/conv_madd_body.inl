// SPDX-License-Identifier: MIT
// A convolution for instruction sets whose dot products of bytes take a multiplication of unsigned
// by signed bytes that saturates at 16 bits (pmaddubsw) and a second one that adds pairs of words
// (pmaddwd). Written once over the vector type V of the file that includes this one, inside an
// anonymous namespace: SSE4.1 and AVX2.
//
// Inputs that are not negative are at most 127. Where for no output the weights of one sign of a
// 16-bit lane's four products add up to more than 258, two results of pmaddubsw can be added in
// 16 bits, for 127 * 258 < 2^15: one pmaddwd does for both. Which steps of four bytes go together
// is chosen when weights are packed: [block][kernel_h] an order of steps, pairs first.
//
// Other inputs are widened to 16 bits, row by row, so that pmaddwd does all: as many
// multiplications as with bytes, but none of the instructions that make one factor unsigned.
//
// Blocks have sixteen channels; of the last one perhaps only eight are made.

constexpr int madd_block = 16, madd_vectors = 2 * V::vectors, madd_lanes = 8 / V::vectors;
constexpr int madd_step_bytes = 4 * madd_block;  // of packed weights
// 127 times the weights of one sign must fit in 16 bits.
constexpr int madd_largest_sum = 32767 / 127;

inline int madd_blocks(int output_channels) noexcept {
    return (output_channels + madd_block - 1) / madd_block;
}
// Steps of a kernel row: of four bytes, or of two words.
inline int madd_steps(const ConvGeometry& g) noexcept {
    const int run = g.kernel_w * g.input_pixel;
    return g.input_unsigned ? (run + 3) / 4 : (run + 1) / 2;
}
// Bytes of the orders of all rows: [block][kernel_h][the number of pairs, offset of each step].
inline std::size_t madd_order_bytes(int blocks, int kernel_h, int steps) noexcept {
    const std::size_t bytes = sizeof(std::int32_t) * static_cast<std::size_t>(blocks) *
                              static_cast<std::size_t>(kernel_h) *
                              static_cast<std::size_t>(steps + 1);
    return (bytes + 63) / 64 * 64;
}

std::size_t madd_packed_bytes(const ConvGeometry& g) noexcept {
    const int blocks = madd_blocks(g.output_channels), steps = madd_steps(g);
    return (g.input_unsigned ? madd_order_bytes(blocks, g.kernel_h, steps) : 0) +
           static_cast<std::size_t>(blocks) * static_cast<std::size_t>(g.kernel_h) *
               static_cast<std::size_t>(steps) * madd_block * 4;
}

inline std::size_t madd_row_elements(const ConvGeometry& g) noexcept {
    const int last = (g.output_w - 1) * g.stride_x * g.input_pixel;
    return static_cast<std::size_t>(last + 2 * ((g.kernel_w * g.input_pixel + 1) / 2) + 31) / 32 *
           32;
}
std::size_t madd_scratch_bytes(const ConvGeometry& g) noexcept {
    return g.input_unsigned ? 0 : 2 * static_cast<std::size_t>(g.kernel_h) * madd_row_elements(g);
}

// The weight of an output that meets byte `k` of a kernel row; 0 beyond.
inline std::int8_t madd_weight(const ConvGeometry& g, const std::int8_t* weights, int out, int ky,
                               int k) noexcept {
    const int kx = k / g.input_pixel, c = k % g.input_pixel;
    if (out >= g.outputs || kx >= g.kernel_w || c >= g.inputs) return 0;
    return weights[((std::ptrdiff_t{out} * g.kernel_h + ky) * g.kernel_w + kx) * g.inputs + c];
}

// Whether steps i and j of a row may be added in 16 bits, for all outputs of a block.
inline bool madd_fit(const ConvGeometry& g, const std::int8_t* weights, int block, int ky, int i,
                     int j) noexcept {
    for (int n = 0; n < madd_block; ++n)
        for (int half = 0; half < 4; half += 2) {
            int up = 0, down = 0;
            for (int k = 0; k < 4; ++k) {
                const int at = 4 * (k < 2 ? i : j) + half + k % 2;
                const int w = madd_weight(g, weights, block * madd_block + n, ky, at);
                (w > 0 ? up : down) += w;
            }
            if (up > madd_largest_sum || -down > madd_largest_sum) return false;
        }
    return true;
}

// Each step takes the first later one that fits; those without a partner come last.
inline void madd_choose(const ConvGeometry& g, const std::int8_t* weights, int block, int ky,
                        int steps, std::int32_t* order) noexcept {
    std::int32_t* const chosen = order + 1;
    // The front of the list holds what is chosen, its end what is left.
    for (int i = 0; i < steps; ++i) chosen[i] = i;
    int front = 0, left = steps;
    while (left - front >= 2) {
        int partner = front + 1;
        while (partner < left && !madd_fit(g, weights, block, ky, chosen[front], chosen[partner]))
            ++partner;
        if (partner < left) {
            const std::int32_t other = chosen[partner];
            chosen[partner] = chosen[front + 1];
            chosen[front + 1] = other;
            front += 2;
        } else {
            const std::int32_t alone = chosen[front];
            chosen[front] = chosen[left - 1];
            chosen[--left] = alone;
        }
    }
    order[0] = front / 2;
    for (int i = 0; i < steps; ++i) chosen[i] *= 4;
}

void madd_pack(const ConvGeometry& g, const std::int8_t* weights, void* packed) noexcept {
    const int blocks = madd_blocks(g.output_channels), steps = madd_steps(g);
    if (g.input_unsigned) {
        auto* order = static_cast<std::int32_t*>(packed);
        auto* to = static_cast<std::int8_t*>(packed) + madd_order_bytes(blocks, g.kernel_h, steps);
        for (int block = 0; block < blocks; ++block)
            for (int ky = 0; ky < g.kernel_h; ++ky, order += steps + 1) {
                madd_choose(g, weights, block, ky, steps, order);
                for (int i = 0; i < steps; ++i)
                    for (int n = 0; n < madd_block; ++n)
                        for (int k = 0; k < 4; ++k)
                            *to++ = madd_weight(g, weights, block * madd_block + n, ky,
                                                order[1 + i] + k);
            }
        return;
    }
    auto* to = static_cast<std::int16_t*>(packed);
    for (int block = 0; block < blocks; ++block)
        for (int ky = 0; ky < g.kernel_h; ++ky)
            for (int i = 0; i < steps; ++i)
                for (int n = 0; n < madd_block; ++n)
                    for (int k = 0; k < 2; ++k)
                        *to++ = madd_weight(g, weights, block * madd_block + n, ky, 2 * i + k);
}

// A tile has as many accumulators for half a block as for a whole one.
constexpr int pixels_of(int vectors) noexcept {
    return vectors == madd_vectors ? V::pixels : 2 * V::pixels;
}

// What is the same for all tiles of a block.
struct MaddBlock {
    const std::int32_t* order;  // of rows of bytes
    const std::int8_t* weights;
    int first;  // channel
    int steps;
};

template <int pixels, int vectors>
[[gnu::always_inline]] inline void madd_store(const ConvArgs& args, const MaddBlock& block,
                                              V::Acc (&acc)[pixels][vectors],
                                              std::int8_t* out) noexcept {
    V::F32 scale[vectors];
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v)
        scale[v] = V::load_scale(args.scale + block.first + v * madd_lanes);
    const auto scaled = [&](int p, V::I32(&to)[vectors]) {
        MIEN_UNROLL
        for (int v = 0; v < vectors; ++v) to[v] = V::scaled(acc[p][v], scale[v]);
    };
    constexpr bool by_two = vectors == madd_vectors && pixels % 2 == 0;
    MIEN_UNROLL
    for (int p = 0; p < pixels; p += by_two ? 2 : 1) {
        std::int8_t* const to = out + std::ptrdiff_t{p} * args.output_pixel;
        V::I32 one[vectors];
        scaled(p, one);
        if constexpr (by_two) {
            V::I32 next[vectors];
            scaled(p + 1, next);
            V::store_two(to, args.output_pixel, one, next, args.low);
        } else {
            V::store_clamped(to, one, args.low);
        }
    }
}

// The biases, for `pixels` neighboring outputs.
template <int pixels, int vectors>
[[gnu::always_inline]] inline void madd_start(const ConvArgs& args, const MaddBlock& block,
                                              V::Acc (&acc)[pixels][vectors]) noexcept {
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) {
        const V::Acc bias = V::load_bias(args.bias + block.first + v * madd_lanes);
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) acc[p][v] = bias;
    }
}

// `count` pairs of steps of bytes.
template <int count, int pixels, int vectors>
[[gnu::always_inline]] inline void madd_pairs(const std::int8_t* field, std::ptrdiff_t step,
                                              const std::int32_t*& order, const std::int8_t*& w,
                                              V::Acc (&acc)[pixels][vectors]) noexcept {
    MIEN_UNROLL
    for (int i = 0; i < count; ++i) {
        const std::int8_t *const first = field + order[2 * i], *const second =
                                                                   field + order[2 * i + 1];
        const std::int8_t* const weights = w + i * 2 * madd_step_bytes;
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) {
            const V::U8 a = V::broadcast4(first + p * step), b = V::broadcast4(second + p * step);
            MIEN_UNROLL
            for (int v = 0; v < vectors; ++v) {
                const V::U8 pair =
                    V::add16(V::multiply8(a, V::load(weights + v * V::bytes)),
                             V::multiply8(b, V::load(weights + madd_step_bytes + v * V::bytes)));
                acc[p][v] = V::add32(acc[p][v], V::add_pairs(pair));
            }
        }
    }
    order += 2 * count;
    w += count * 2 * madd_step_bytes;
}

// Outputs of one block from rows of bytes. A pointwise convolution without steps that have no
// partner, if the compiler knows the number of pairs.
template <int pixels, int vectors, int known_pairs>
[[gnu::always_inline]] inline void madd_byte_tile(const ConvArgs& args, const MaddBlock& block,
                                                  const std::int8_t* field,
                                                  std::int8_t* out) noexcept {
    V::Acc acc[pixels][vectors];
    madd_start(args, block, acc);
    const std::ptrdiff_t step = std::ptrdiff_t{args.stride_x} * args.input_pixel;
    const std::int32_t* order = block.order;
    const std::int8_t* w = block.weights;
    if constexpr (known_pairs > 0) {
        constexpr int unrolled = known_pairs < 4 ? known_pairs : 4;
        ++order;
        for (int i = 0; i < known_pairs; i += unrolled)
            madd_pairs<unrolled>(field, step, order, w, acc);
    }
    for (int ky = 0; known_pairs == 0 && ky < args.kernel_h; ++ky, field += args.input_row) {
        const int pairs = *order++, alone = block.steps - 2 * pairs;
        for (int i = 0; i < pairs; ++i) madd_pairs<1>(field, step, order, w, acc);
        for (int i = 0; i < alone; ++i, ++order, w += madd_step_bytes) MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) {
            const V::U8 a = V::broadcast4(field + *order + p * step);
            MIEN_UNROLL
            for (int v = 0; v < vectors; ++v)
                acc[p][v] =
                    V::add32(acc[p][v], V::add_pairs(V::multiply8(a, V::load(w + v * V::bytes))));
        }
    }
    madd_store(args, block, acc, out);
}

// `count` steps of words.
template <int count, int pixels, int vectors>
[[gnu::always_inline]] inline void madd_words(const std::int16_t*& from, std::ptrdiff_t step,
                                              const std::int8_t*& w,
                                              V::Acc (&acc)[pixels][vectors]) noexcept {
    MIEN_UNROLL
    for (int i = 0; i < count; ++i) MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        const V::U8 a = V::broadcast4(from + 2 * i + p * step);
        MIEN_UNROLL
        for (int v = 0; v < vectors; ++v)
            acc[p][v] = V::add32(acc[p][v],
                                 V::multiply16(a, V::load(w + i * madd_step_bytes + v * V::bytes)));
    }
    from += 2 * count;
    w += count * madd_step_bytes;
}

// Outputs of one block from widened rows, the first of them in place `top`, `at` elements from its
// beginning. A row of `steps` steps, if the compiler knows how many.
template <int pixels, int vectors, int known_steps, int known_distance>
[[gnu::always_inline]] inline void madd_word_tile(const ConvArgs& args, const MaddBlock& block,
                                                  const std::int16_t* words,
                                                  std::ptrdiff_t row_elements, int top,
                                                  std::ptrdiff_t at, std::int8_t* out) noexcept {
    V::Acc acc[pixels][vectors];
    madd_start(args, block, acc);
    const std::ptrdiff_t step =
        known_distance > 0 ? known_distance : std::ptrdiff_t{args.stride_x} * args.input_pixel;
    const std::int8_t* w = block.weights;
    for (int ky = 0, place = top; ky < args.kernel_h; ++ky) {
        const std::int16_t* from = words + place * row_elements + at;
        place = place + 1 == args.kernel_h ? 0 : place + 1;
        if constexpr (known_steps > 0) {
            madd_words<known_steps>(from, step, w, acc);
        } else {
            int steps = block.steps;
            for (; steps >= 4; steps -= 4) madd_words<4>(from, step, w, acc);
            for (; steps > 0; --steps) madd_words<1>(from, step, w, acc);
        }
    }
    madd_store(args, block, acc, out);
}

// Tiles of `pixels` and what is left of a row: the last tile overlaps the one before and writes the
// same values again.
template <int pixels, class Tile>
[[gnu::always_inline]] inline void madd_row(int width, const Tile& tile) noexcept {
    int x = 0;
    for (; x + pixels <= width; x += pixels) tile.template operator()<pixels>(x);
    if (x == width) return;
    if (width >= pixels) return tile.template operator()<pixels>(width - pixels);
    for (; x < width; ++x) tile.template operator()<1>(x);
}

// One row of outputs of a block. Takes copies: stored bytes might alias the originals, and they
// would be loaded again and again.
template <int vectors, int known_pairs>
void madd_byte_row(const ConvArgs args, const MaddBlock block, const std::int8_t* field,
                   std::int8_t* out) noexcept {
    const std::ptrdiff_t step = std::ptrdiff_t{args.stride_x} * args.input_pixel;
    constexpr int tile = pixels_of(vectors);
    madd_row<tile>(args.output_w, [&]<int pixels>(int x) __attribute__((always_inline)) {
        madd_byte_tile<pixels, vectors, known_pairs>(args, block, field + x * step,
                                                     out + std::ptrdiff_t{x} * args.output_pixel);
    });
}

inline void madd_conv_bytes(const ConvArgs& args, int steps) noexcept {
    const int blocks = madd_blocks(args.output_channels);
    const auto* const packed = static_cast<const std::int8_t*>(args.weights);
    const std::int8_t* const weights = packed + madd_order_bytes(blocks, args.kernel_h, steps);
    for (int y = 0; y < args.output_h; ++y)
        for (int b = 0; b < blocks; ++b) {
            const std::ptrdiff_t rows = std::ptrdiff_t{b} * args.kernel_h;
            const MaddBlock block = {
                reinterpret_cast<const std::int32_t*>(packed) + rows * (steps + 1),
                weights + rows * steps * madd_step_bytes, b * madd_block, steps};
            const std::int8_t* const field = args.input + y * args.stride_y * args.input_row;
            std::int8_t* const out = args.output + y * args.output_row + block.first;
            const int pairs = block.order[0];
            const bool known = args.kernel_h == 1 && 2 * pairs == steps;
            if (b * madd_block + madd_block > args.output_channels)
                madd_byte_row<V::vectors, 0>(args, block, field, out);
            else if (known && pairs == 2)
                madd_byte_row<madd_vectors, 2>(args, block, field, out);
            else if (known && pairs == 4)
                madd_byte_row<madd_vectors, 4>(args, block, field, out);
            else if (known && pairs == 8)
                madd_byte_row<madd_vectors, 8>(args, block, field, out);
            else
                madd_byte_row<madd_vectors, 0>(args, block, field, out);
        }
}

template <int vectors, int known_steps, int known_distance>
void madd_word_row(const ConvArgs args, const MaddBlock block, const std::int16_t* words,
                   std::ptrdiff_t row_elements, int place, std::int8_t* out) noexcept {
    const std::ptrdiff_t step = std::ptrdiff_t{args.stride_x} * args.input_pixel;
    constexpr int tile = pixels_of(vectors);
    madd_row<tile>(args.output_w, [&]<int pixels>(int x) __attribute__((always_inline)) {
        madd_word_tile<pixels, vectors, known_steps, known_distance>(
            args, block, words, row_elements, place, x * step,
            out + std::ptrdiff_t{x} * args.output_pixel);
    });
}

template <int known_steps, int known_distance>
void madd_conv_words(const ConvArgs& args, int steps) noexcept {
    const int blocks = madd_blocks(args.output_channels);
    const std::ptrdiff_t step = std::ptrdiff_t{args.stride_x} * args.input_pixel;
    const std::ptrdiff_t needed = (args.output_w - 1) * step + 2 * std::ptrdiff_t{steps},
                         row_elements = (needed + 31) / 32 * 32;
    auto* const words = reinterpret_cast<std::int16_t*>(args.scratch);
    int ready = 0;  // input rows before this one are widened; each kernel_h-th takes the same place
    for (int y = 0; y < args.output_h; ++y) {
        const int top = y * args.stride_y;
        for (ready = ready > top ? ready : top; ready < top + args.kernel_h; ++ready) {
            const std::int8_t* const from = args.input + ready * args.input_row;
            std::int16_t* const to = words + ready % args.kernel_h * row_elements;
            for (std::ptrdiff_t i = 0; i < needed; i += V::bytes / 2)
                V::store(reinterpret_cast<std::int8_t*>(to + i), V::widen(from + i));
        }
        const int place = top % args.kernel_h;
        for (int b = 0; b < blocks; ++b) {
            const MaddBlock block = {
                nullptr,
                static_cast<const std::int8_t*>(args.weights) +
                    std::ptrdiff_t{b} * args.kernel_h * steps * madd_step_bytes,
                b * madd_block, steps};
            std::int8_t* const out = args.output + y * args.output_row + block.first;
            if (block.first + madd_block <= args.output_channels)
                madd_word_row<madd_vectors, known_steps, known_distance>(args, block, words,
                                                                         row_elements, place, out);
            else
                madd_word_row<V::vectors, known_steps, known_distance>(args, block, words,
                                                                       row_elements, place, out);
        }
    }
}

void conv(const ConvArgs& args) noexcept {
    if (args.input_unsigned)
        madd_conv_bytes(args, (args.run_bytes + 3) / 4);
    else
        args.run_bytes == 9 && args.stride_x* args.input_pixel == 6
            ? madd_conv_words<5, 6>(args, 5)  // the first layer of a network for color images
            : madd_conv_words<0, 0>(args, (args.run_bytes + 1) / 2);
}

const ConvPacking conv_packing = {
    .packed_bytes = madd_packed_bytes,
    .scratch_bytes = madd_scratch_bytes,
    .pack = madd_pack,
};

constexpr ConvLayout conv_layout = {.out_block = madd_block, .group = 1, .element_bytes = 1};
