// SPDX-License-Identifier: MIT
// A convolution for instruction sets that multiply bytes into 16 bits and widen in a second step.
// Written once over the vector type V of the file that includes this one, inside an anonymous
// namespace: SSE4.1 and AVX2 (pmaddubsw, then pmaddwd).
//
// Weights are multiplied in steps of four input bytes. Results of several steps are added in 16
// bits and widened together where no input can make that overflow: where for no output the weights
// of one sign that meet in a 16-bit lane add up to more than 32767 / the largest input. Which steps
// go together is chosen when weights are packed, and so is how many: the smaller the weights, the
// more (docs/QUANTIZATION.md, "Fewer bits"). A step that overflows by itself is made of two with
// half the weights.
//
// Blocks have sixteen channels; of the last one perhaps only eight are made.

// Act: four input bytes for every channel, unsigned. multiply8: their products with a step's weights
// in 16-bit lanes, two in each. Acc: sums of 32 bits.
template <class T>
concept MaddVector =
    requires(const std::int8_t* bytes, const std::int32_t* bias, const float* scale,
             std::int8_t* out, const typename T::I32 (&half)[T::vectors],
             const typename T::I32 (&all)[2 * T::vectors], typename T::Act a, typename T::U8 words,
             typename T::Acc acc, typename T::I32 values, std::int8_t low, std::uint8_t lift) {
        a = T::broadcast4(bytes);
        words = T::multiply8(a, T::load(bytes));
        words = T::add16(words, words);
        acc = T::add32(T::load_bias(bias), T::add_pairs(words));
        values = T::scaled(acc, T::load_scale(scale));
        // Saturated, not below `low`, lifted.
        T::store_clamped(out, half, low, lift);
        T::store_clamped(out, all, low, lift);
        T::store_two(out, std::ptrdiff_t{}, all, all, low, lift);
        requires T::pixels > 0;  // of a tile
    };
static_assert(MaddVector<V>);

constexpr int madd_block = 16, madd_vectors = 2 * V::vectors, madd_lanes = 8 / V::vectors;
constexpr int madd_step_bytes = 4 * madd_block;  // of packed weights
constexpr int madd_sums = 2 * madd_block;        // 16-bit lanes of a step
constexpr int madd_most = 4, madd_sizes = 3;     // groups have four steps, two or one

// Packed weights: [block] of these, [block][step] where its bytes are, [block][step] weights, each
// step madd_step_bytes. The largest groups come first.
struct MaddBlock {
    std::int32_t groups[madd_sizes];
    std::int32_t weights_at;  // bytes from the first of all
    [[nodiscard]] int steps() const noexcept {
        int sum = 0;
        for (int i = 0; i < madd_sizes; ++i) sum += groups[i] * (madd_most >> i);
        return sum;
    }
};
struct MaddStep {
    std::int32_t row, byte;  // of the kernel; in its row
};

inline int madd_blocks(int output_channels) noexcept {
    return (output_channels + madd_block - 1) / madd_block;
}
inline int madd_largest_sum(const ConvGeometry& g) noexcept { return 32767 / g.largest_input; }
inline int madd_row_steps(int run) noexcept { return (run + 3) / 4; }
// As many as a block may have.
inline int madd_most_steps(const ConvGeometry& g) noexcept {
    const bool halves = 2 * g.largest_weight > madd_largest_sum(g);
    return (halves ? 2 : 1) * g.kernel_h * madd_row_steps(g.kernel_w * g.input_pixel);
}
inline std::size_t madd_head_bytes(int blocks, int most_steps) noexcept {
    const std::size_t bytes =
        static_cast<std::size_t>(blocks) *
        (sizeof(MaddBlock) + static_cast<std::size_t>(most_steps) * sizeof(MaddStep));
    return (bytes + 63) / 64 * 64;
}

std::size_t madd_packed_bytes(const ConvGeometry& g) noexcept {
    const int blocks = madd_blocks(g.output_channels), most = madd_most_steps(g);
    return madd_head_bytes(blocks, most) +
           static_cast<std::size_t>(blocks) * static_cast<std::size_t>(most) * madd_step_bytes;
}

// For the distances of all steps from the first byte of a receptive field.
std::size_t madd_scratch_bytes(const ConvGeometry& g) noexcept {
    return sizeof(std::ptrdiff_t) * static_cast<std::size_t>(madd_blocks(g.output_channels)) *
           static_cast<std::size_t>(madd_most_steps(g));
}

// The weight of an output that meets byte `k` of a kernel row; 0 beyond.
inline std::int8_t madd_weight(const ConvGeometry& g, const std::int8_t* weights, int out, int ky,
                               int k) noexcept {
    const int kx = k / g.input_pixel, c = k % g.input_pixel;
    if (out >= g.outputs || kx >= g.kernel_w || c >= g.inputs) return 0;
    return weights[((std::ptrdiff_t{out} * g.kernel_h + ky) * g.kernel_w + kx) * g.inputs + c];
}

// For each 16-bit lane what the weights of either sign add up to.
struct MaddSums {
    int up[madd_sums], down[madd_sums];

    // Adds a step's, if they stay within the limit.
    bool add(const std::int8_t* step, int limit) noexcept {
        MaddSums sum;
        bool fits = true;
        for (int i = 0; i < madd_sums; ++i) {
            const int a = step[2 * i], b = step[2 * i + 1];
            sum.up[i] = up[i] + (a > 0 ? a : 0) + (b > 0 ? b : 0);
            sum.down[i] = down[i] - (a < 0 ? a : 0) - (b < 0 ? b : 0);
            fits = fits && sum.up[i] <= limit && sum.down[i] <= limit;
        }
        if (fits) *this = sum;
        return fits;
    }
};

// A block's steps and weights while they are put in order.
struct MaddOrder {
    MaddStep* steps;
    std::int8_t* weights;
    int limit;

    [[nodiscard]] std::int8_t* weights_of(int i) const noexcept {
        return weights + std::ptrdiff_t{i} * madd_step_bytes;
    }
    void swap(int i, int j) const noexcept {
        const MaddStep step = steps[i];
        steps[i] = steps[j];
        steps[j] = step;
        std::int8_t *const a = weights_of(i), *const b = weights_of(j);
        for (int k = 0; k < madd_step_bytes; ++k) {
            const std::int8_t w = a[k];
            a[k] = b[k];
            b[k] = w;
        }
    }
    // Groups of `size` from steps first .. end: how many were made. Each step takes the next ones
    // that fit; those without enough partners go to the end.
    int group(int size, int first, int end) const noexcept {
        constexpr int looked_at = 64;  // or packing large layers would take long
        int groups = 0;
        while (end - first >= size) {
            MaddSums sums = {};
            int have = sums.add(weights_of(first), limit) ? 1 : 0;
            for (int i = first + 1; have < size && i < end && i <= first + looked_at; ++i)
                if (sums.add(weights_of(i), limit)) swap(first + have++, i);
            if (have == size) {
                first += size;
                ++groups;
            } else {
                swap(first, --end);
            }
        }
        return groups;
    }
};

// The steps of a block as the kernel has them, those that overflow in halves: how many.
inline int madd_fill(const ConvGeometry& g, const std::int8_t* weights, int block,
                     const MaddOrder& to) noexcept {
    int steps = 0;
    for (int ky = 0; ky < g.kernel_h; ++ky)
        for (int k = 0; k < g.kernel_w * g.input_pixel; k += 4) {
            std::int8_t* const w = to.weights_of(steps);
            for (int i = 0; i < madd_step_bytes; ++i)
                w[i] = madd_weight(g, weights, block * madd_block + i / 4, ky, k + i % 4);
            to.steps[steps++] = {ky, k};
            MaddSums sums = {};
            if (sums.add(w, to.limit)) continue;
            for (int i = 0; i < madd_step_bytes; ++i) {
                const int half = w[i] / 2;
                w[madd_step_bytes + i] = static_cast<std::int8_t>(w[i] - half);
                w[i] = static_cast<std::int8_t>(half);
            }
            to.steps[steps++] = {ky, k};
        }
    return steps;
}

void madd_pack(const ConvGeometry& g, const std::int8_t* weights, void* packed) noexcept {
    const int blocks = madd_blocks(g.output_channels), most = madd_most_steps(g);
    auto* const heads = static_cast<MaddBlock*>(packed);
    MaddOrder order = {reinterpret_cast<MaddStep*>(heads + blocks),
                       static_cast<std::int8_t*>(packed) + madd_head_bytes(blocks, most),
                       madd_largest_sum(g)};
    for (int block = 0; block < blocks; ++block) {
        const int steps = madd_fill(g, weights, block, order);
        for (int i = 0, first = 0; i < madd_sizes; ++i) {
            const int size = madd_most >> i;
            heads[block].groups[i] = size > 1 ? order.group(size, first, steps) : steps - first;
            first += heads[block].groups[i] * size;
        }
        heads[block].weights_at =
            static_cast<std::int32_t>(order.weights - static_cast<std::int8_t*>(packed));
        order.steps += steps;
        order.weights = order.weights_of(steps);
    }
}

// A tile has as many accumulators for half a block as for a whole one.
constexpr int pixels_of(int vectors) noexcept {
    return vectors == madd_vectors ? V::pixels : 2 * V::pixels;
}

// What is the same for all tiles of a block.
struct MaddTile {
    MaddBlock block;
    const std::ptrdiff_t* at;  // of each step
    const std::int8_t* weights;
    int first;  // channel
};

template <int pixels, int vectors>
[[gnu::always_inline]] inline void madd_store(const ConvArgs& args, const MaddTile& tile,
                                              V::Acc (&acc)[pixels][vectors],
                                              std::int8_t* out) noexcept {
    V::F32 scale[vectors];
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v)
        scale[v] = V::load_scale(args.scale + tile.first + v * madd_lanes);
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
            V::store_two(to, args.output_pixel, one, next, args.low, args.output_lift);
        } else {
            V::store_clamped(to, one, args.low, args.output_lift);
        }
    }
}

// `count` steps that are added in 16 bits.
template <int count, int pixels, int vectors>
[[gnu::always_inline]] inline void madd_steps(const std::int8_t* field, std::ptrdiff_t step,
                                              const std::ptrdiff_t*& at, const std::int8_t*& w,
                                              V::Acc (&acc)[pixels][vectors]) noexcept {
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        V::U8 words[vectors];
        MIEN_UNROLL
        for (int i = 0; i < count; ++i) {
            const V::Act a = V::broadcast4(field + at[i] + p * step);
            MIEN_UNROLL
            for (int v = 0; v < vectors; ++v) {
                const V::U8 products =
                    V::multiply8(a, V::load(w + i * madd_step_bytes + v * V::bytes));
                words[v] = i == 0 ? products : V::add16(words[v], products);
            }
        }
        MIEN_UNROLL
        for (int v = 0; v < vectors; ++v) acc[p][v] = V::add32(acc[p][v], V::add_pairs(words[v]));
    }
    at += count;
    w += count * madd_step_bytes;
}

// All steps, from groups of `size` on.
template <int size, int pixels, int vectors>
[[gnu::always_inline]] inline void madd_groups(const std::int32_t* groups, const std::int8_t* field,
                                               std::ptrdiff_t step, const std::ptrdiff_t* at,
                                               const std::int8_t* w,
                                               V::Acc (&acc)[pixels][vectors]) noexcept {
    for (int i = 0; i < *groups; ++i) madd_steps<size>(field, step, at, w, acc);
    if constexpr (size > 1) madd_groups<size / 2>(groups + 1, field, step, at, w, acc);
}

// `pixels` neighboring outputs of a block. Nothing but the largest groups, if the compiler knows
// how many.
template <int pixels, int vectors, int known>
[[gnu::always_inline]] inline void madd_tile(const ConvArgs& args, const MaddTile& tile,
                                             const std::int8_t* field, std::int8_t* out) noexcept {
    V::Acc acc[pixels][vectors];
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) {
        const V::Acc bias = V::load_bias(args.bias + tile.first + v * madd_lanes);
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) acc[p][v] = bias;
    }
    const std::ptrdiff_t step = std::ptrdiff_t{args.stride_x} * args.input_pixel;
    const std::ptrdiff_t* at = tile.at;
    const std::int8_t* w = tile.weights;
    if constexpr (known > 0)
        for (int i = 0; i < known; ++i) madd_steps<madd_most>(field, step, at, w, acc);
    else
        madd_groups<madd_most>(tile.block.groups, field, step, at, w, acc);
    madd_store(args, tile, acc, out);
}

// One row of outputs of a block. Takes copies: stored bytes might alias the originals, and they
// would be loaded again and again. The last tile overlaps the one before and writes the same values
// again.
template <int vectors, int known>
void madd_row(const ConvArgs args, const MaddTile tile, const std::int8_t* field,
              std::int8_t* out) noexcept {
    const std::ptrdiff_t step = std::ptrdiff_t{args.stride_x} * args.input_pixel;
    constexpr int pixels = pixels_of(vectors);
    const int width = args.output_w;
    int x = 0;
    const auto make = [&]<int count>(int first) __attribute__((always_inline)) {
        madd_tile<count, vectors, known>(args, tile, field + first * step,
                                         out + std::ptrdiff_t{first} * args.output_pixel);
    };
    for (; x + pixels <= width; x += pixels) make.template operator()<pixels>(x);
    if (x == width) return;
    if (width >= pixels) return make.template operator()<pixels>(width - pixels);
    for (; x < width; ++x) make.template operator()<1>(x);
}

void conv(const ConvArgs& args) noexcept {
    const int blocks = madd_blocks(args.output_channels);
    const auto* const heads = static_cast<const MaddBlock*>(args.weights);
    const auto* step = reinterpret_cast<const MaddStep*>(heads + blocks);
    auto* at = reinterpret_cast<std::ptrdiff_t*>(args.scratch);
    for (int b = 0; b < blocks; ++b)
        for (int i = 0; i < heads[b].steps(); ++i, ++step)
            *at++ = step->row * args.input_row + step->byte;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* const field = args.input + y * args.stride_y * args.input_row;
        MaddTile tile = {{}, reinterpret_cast<std::ptrdiff_t*>(args.scratch), nullptr, 0};
        for (int b = 0; b < blocks; ++b, tile.first += madd_block) {
            tile.block = heads[b];
            tile.weights = static_cast<const std::int8_t*>(args.weights) + heads[b].weights_at;
            std::int8_t* const out = args.output + y * args.output_row + tile.first;
            const int largest = tile.block.groups[0],
                      known = largest * madd_most == tile.block.steps() ? largest : 0;
            if (tile.first + madd_block > args.output_channels)
                madd_row<V::vectors, 0>(args, tile, field, out);
            else if (known == 1)
                madd_row<madd_vectors, 1>(args, tile, field, out);
            else if (known == 2)
                madd_row<madd_vectors, 2>(args, tile, field, out);
            else if (known == 4)
                madd_row<madd_vectors, 4>(args, tile, field, out);
            else
                madd_row<madd_vectors, 0>(args, tile, field, out);
            tile.at += tile.block.steps();
        }
    }
}

const ConvPacking conv_packing = {
    .packed_bytes = madd_packed_bytes,
    .scratch_bytes = madd_scratch_bytes,
    .pack = madd_pack,
};

constexpr ConvLayout conv_layout = {.out_block = madd_block, .group = 1, .element_bytes = 1};
