// SPDX-License-Identifier: MIT
// A 3x3 depthwise convolution as dot products of four, written once over the vector type V of the
// file that includes this one, inside an anonymous namespace.
//
// Rows of the tensor are flattened: width * channels bytes, in which the neighbor to the right is
// `channels` bytes further. Four input rows y .. y + 3 are interleaved byte by byte, so that a
// 32-bit lane holds the column of four pixels of one channel; its dot product with (w0, w1, w2, 0)
// belongs to output row y, with (0, w0, w1, w2) to output row y + 1. The interleaving is done once
// for two output rows and three kernel columns, into a scratch that stays in the L1 cache.
//
// Unpacking works within 16 bytes, so four channels out of each sixteen bytes come together: plane
// j holds bytes 4 j .. 4 j + 3 of every 16-byte group of the flattened row. A shift by channels =
// 16 q + 8 h bytes is then q groups, and with h = 1 two planes further (planes 2 and 3 continue in
// planes 0 and 1 of the next group). Packing four accumulators of the planes 0 to 3 back to bytes
// restores the order of the flattened row.

// U8: V::bytes bytes; Acc: a quarter of their channels as 32-bit sums; I16: half of them.
template <class T>
concept Depthwise3Vector =
    requires(const std::int8_t* bytes, const std::int32_t* bias, const float* scale,
             std::int8_t* out, float* floats, typename T::U8 v, typename T::Acc acc,
             typename T::I16 half, std::int8_t low, std::uint8_t lift, int count) {
        requires T::bytes == 16 || T::bytes == 32 || T::bytes == 64;
        v = T::load(bytes);
        v = T::low16(T::low8(v, v), T::high8(v, v));  // unpack within 16 bytes
        v = T::high16(v, v);
        acc = T::load_bias(bias);
        acc = T::template dot<true>(acc, T::template prepare<true>(v), T::load_weights(bytes));
        half = T::requantise(acc, T::load_scale(scale), acc, T::load_scale(scale));
        v = T::pack_bytes(half, half, low, lift);  // saturated, not below `low`, lifted
        // Of each four channels their sums times scales, sixteen floats apart, `count` of them.
        T::store_floats(floats, acc, T::load_scale(scale), count);
        T::store(out, v);
        T::store_part(out, v, count);
    };
static_assert(Depthwise3Vector<V>);

// Those whose dot product is a multiplication into 16 bits that saturates, and a second step that
// widens: they can add the three columns of a kernel before they widen, if the weights are small
// enough (see conv_madd_body.inl).
template <class T>
concept WordVector = requires(typename T::U8 v, typename T::Acc acc, std::uint8_t lift) {
    v = T::add16(T::multiply8(v, v), v);
    acc = T::add_pairs(v);
    v = T::flip(v, lift);
};

// What the weights of a layer allow: the sum of columns in 16 bits; the dot product of each column;
// only that of signed bytes.
enum class Columns : std::int32_t { together, apart, are_signed };

// V, as a name that depends on a template argument: what another V lacks is then only looked for
// where it is used.
template <Columns>
struct Dependent {
    using Vector = V;
};

template <class T>
inline typename T::U8 flipped(typename T::U8 v) noexcept {
    if constexpr (WordVector<T>) return T::flip(v, 0x80);
    return v;
}

inline Columns columns_of(const std::int8_t* weights, int channels, std::uint8_t lift) noexcept {
    if constexpr (!WordVector<V>) return Columns::apart;
    const int limit = 32767 / (lift != 0 ? 255 : 127);
    Columns columns = Columns::together;
    for (int c = 0; c < channels; ++c)
        for (int ky = 0; ky < 2; ++ky) {  // a 16-bit lane has two rows
            int up = 0, down = 0;
            for (int kx = 0; kx < 3; ++kx) {
                const int a = weights[(ky * 3 + kx) * channels + c],
                          b = weights[(ky * 3 + 3 + kx) * channels + c];
                const int high = (a > 0 ? a : 0) + (b > 0 ? b : 0), low = high - a - b;
                if (high > limit || low > limit) return Columns::are_signed;
                up += high;
                down += low;
            }
            if (up > limit || down > limit) columns = Columns::apart;
        }
    return columns;
}

constexpr int vector_floats = V::bytes / 4;

// One period of channels after which vectors see the same channels again, in vectors.
constexpr int phases_of(int channels) noexcept {
    int a = channels, b = V::bytes;
    while (b != 0) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    return channels / a;
}

// Columns, in as many bytes as a cache line has; then for each phase: weights
// [plane][kernel column][top, bottom][V::bytes], bias [plane][lanes], scale [plane][lanes].
constexpr std::size_t packed_head = 64, phase_weights = 4 * 3 * 2 * V::bytes,
                      phase_bytes = phase_weights + 2 * 4 * V::bytes;

std::size_t depthwise3_packed_bytes(int channels) noexcept {
    return packed_head + static_cast<std::size_t>(phases_of(channels)) * phase_bytes;
}

void depthwise3_pack(const std::int8_t* weights, int real_channels, int channels,
                     const std::int32_t* bias, const float* scale, std::uint8_t input_lift,
                     void* packed) noexcept {
    const Columns columns = columns_of(weights, real_channels, input_lift);
    *static_cast<Columns*>(packed) = columns;
    if (columns == Columns::are_signed) input_lift = 0;  // rows are turned back
    for (int phase = 0; phase < phases_of(channels); ++phase) {
        auto* const to = static_cast<std::int8_t*>(packed) + packed_head +
                         static_cast<std::size_t>(phase) * phase_bytes;
        auto* const biases = reinterpret_cast<std::int32_t*>(to + phase_weights);
        auto* const scales = reinterpret_cast<float*>(to + phase_weights + 4 * V::bytes);
        for (int plane = 0; plane < 4; ++plane)
            for (int lane = 0; lane < vector_floats; ++lane) {
                const int c = (phase * V::bytes + lane / 4 * 16 + plane * 4 + lane % 4) % channels;
                std::int32_t sum = 0;
                MIEN_UNROLL
                for (int kx = 0; kx < 3; ++kx) {
                    std::int8_t* const top = to + ((plane * 3 + kx) * 2) * V::bytes + lane * 4;
                    std::int8_t* const bottom = top + V::bytes;
                    top[3] = bottom[0] = 0;
                    for (int ky = 0; ky < 3; ++ky) {
                        const std::int8_t w = c < real_channels
                                                  ? weights[(ky * 3 + kx) * real_channels + c]
                                                  : std::int8_t{0};
                        top[ky] = bottom[ky + 1] = w;
                        sum += w;
                    }
                }
                biases[plane * vector_floats + lane] = bias[c] - input_lift * sum;
                scales[plane * vector_floats + lane] = scale[c];
            }
    }
}

constexpr std::size_t plane_bytes_of(int output_w, int channels) noexcept {
    const int needed = (output_w + 2) * channels;
    return static_cast<std::size_t>((needed + V::bytes - 1) / V::bytes * V::bytes + V::bytes);
}
std::size_t depthwise3_scratch_bytes(int output_w, int channels) noexcept {
    return 4 * plane_bytes_of(output_w, channels);
}

// The sums of plane j for `vectors` vectors of outputs of the same phase, `distance` bytes apart, of
// two output rows.
template <Columns columns, bool half, int vectors>
inline void depthwise3_sums(const std::int8_t* planes, std::size_t plane_bytes, int quarters,
                            std::ptrdiff_t distance, const std::int8_t* phase, int j,
                            V::Acc (&acc)[2][vectors]) noexcept {
    const auto* const biases = reinterpret_cast<const std::int32_t*>(phase + phase_weights);
    const V::Acc bias = V::load_bias(biases + j * vector_floats);
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) acc[0][v] = acc[1][v] = bias;
    using W = typename Dependent<columns>::Vector;
    V::U8 words[2][vectors] = {};
    MIEN_UNROLL
    for (int kx = 0; kx < 3; ++kx) {
        const int j2 = half ? j + 2 * (kx & 1) : j,
                  groups = kx * quarters + (half && kx == 2 ? 1 : 0) + (j2 >> 2);
        const std::int8_t* from =
            planes + static_cast<std::size_t>(j2 & 3) * plane_bytes + groups * 16;
        const std::int8_t* const w = phase + ((j * 3 + kx) * 2) * V::bytes;
        MIEN_UNROLL
        for (int v = 0; v < vectors; ++v) {
            const V::U8 bytes = V::load(from + v * distance);
            if constexpr (WordVector<V> && columns == Columns::together) {
                MIEN_UNROLL
                for (int r = 0; r < 2; ++r) {
                    const V::U8 products = W::multiply8(bytes, V::load(w + r * V::bytes));
                    words[r][v] = kx == 0 ? products : W::add16(words[r][v], products);
                }
            } else {
                constexpr bool nonnegative = columns != Columns::are_signed;
                const auto act = V::template prepare<nonnegative>(bytes);
                MIEN_UNROLL
                for (int r = 0; r < 2; ++r)
                    acc[r][v] = V::template dot<nonnegative>(acc[r][v], act,
                                                             V::load_weights(w + r * V::bytes));
            }
        }
    }
    if constexpr (WordVector<V> && columns == Columns::together) {
        MIEN_UNROLL
        for (int r = 0; r < 2; ++r) MIEN_UNROLL
        for (int v = 0; v < vectors; ++v)
            acc[r][v] = W::add32(acc[r][v], W::add_pairs(words[r][v]));
    }
}

inline const float* depthwise3_scales(const std::int8_t* phase, int j) noexcept {
    return reinterpret_cast<const float*>(phase + phase_weights + 4 * V::bytes) + j * vector_floats;
}

// The bytes of such outputs.
template <Columns columns, bool half, int vectors>
inline void depthwise3_tile(const std::int8_t* planes, std::size_t plane_bytes, int quarters,
                            std::ptrdiff_t distance, const std::int8_t* phase,
                            V::U8 (&top)[vectors], V::U8 (&bottom)[vectors], std::int8_t low,
                            std::uint8_t output_lift) noexcept {
    V::I16 rounded[2][2][vectors];  // [planes 0 and 1, planes 2 and 3][top, bottom]
    MIEN_UNROLL
    for (int pair = 0; pair < 2; ++pair) {
        V::Acc acc[2][2][vectors];  // [plane][top, bottom]
        MIEN_UNROLL
        for (int k = 0; k < 2; ++k)
            depthwise3_sums<columns, half>(planes, plane_bytes, quarters, distance, phase,
                                           2 * pair + k, acc[k]);
        const V::F32 scale0 = V::load_scale(depthwise3_scales(phase, 2 * pair)),
                     scale1 = V::load_scale(depthwise3_scales(phase, 2 * pair + 1));
        MIEN_UNROLL
        for (int r = 0; r < 2; ++r) MIEN_UNROLL
        for (int v = 0; v < vectors; ++v)
            rounded[pair][r][v] = V::requantise(acc[0][r][v], scale0, acc[1][r][v], scale1);
    }
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) {
        top[v] = V::pack_bytes(rounded[0][0][v], rounded[1][0][v], low, output_lift);
        bottom[v] = V::pack_bytes(rounded[0][1][v], rounded[1][1][v], low, output_lift);
    }
}

// The input rows of output rows y and y + 1 into args.scratch, interleaved.
template <Columns columns>
inline void depthwise3_interleave(const DepthwiseArgs& args, int y) noexcept {
    const int needed = (args.output_w + 2) * args.channels;
    const std::size_t plane_bytes = plane_bytes_of(args.output_w, args.channels);
    const std::int8_t* const row0 = args.input + y * args.input_row;
    const std::int8_t *const row1 = row0 + args.input_row, *const row2 = row1 + args.input_row;
    const std::int8_t* const row3 = y + 1 < args.output_h ? row2 + args.input_row : row2;
    std::int8_t* const planes = args.scratch;
    const auto load = [](const std::int8_t* p) {
        return columns == Columns::are_signed ? flipped<V>(V::load(p)) : V::load(p);
    };
    for (int i = 0; i < needed; i += V::bytes) {
        const V::U8 a = load(row0 + i), b = load(row1 + i), c = load(row2 + i), d = load(row3 + i);
        const V::U8 ab_low = V::low8(a, b), ab_high = V::high8(a, b), cd_low = V::low8(c, d),
                    cd_high = V::high8(c, d);
        V::store(planes + i, V::low16(ab_low, cd_low));
        V::store(planes + plane_bytes + i, V::high16(ab_low, cd_low));
        V::store(planes + 2 * plane_bytes + i, V::low16(ab_high, cd_high));
        V::store(planes + 3 * plane_bytes + i, V::high16(ab_high, cd_high));
    }
}

template <Columns columns, bool half>
void depthwise3(const DepthwiseArgs& args) noexcept {
    const int flat = args.output_w * args.channels;
    const std::size_t plane_bytes = plane_bytes_of(args.output_w, args.channels);
    const int phases = phases_of(args.channels), quarters = args.channels / 16;
    const std::int8_t* const planes = args.scratch;
    for (int y = 0; y < args.output_h; y += 2) {
        const bool two_rows = y + 1 < args.output_h;
        depthwise3_interleave<columns>(args, y);
        std::int8_t *const out0 = args.output + y * args.output_row, *const out1 =
                                                                         out0 + args.output_row;
        int i = 0, phase = 0;
        const auto* const packed = static_cast<const std::int8_t*>(args.packed3) + packed_head;
        if (phases == 1)
            for (; i + 2 * V::bytes <= flat; i += 2 * V::bytes) {
                V::U8 top[2], bottom[2];
                depthwise3_tile<columns, half, 2>(planes + i, plane_bytes, quarters, V::bytes,
                                                  packed, top, bottom, args.low, args.output_lift);
                for (int v = 0; v < 2; ++v) {
                    V::store(out0 + i + v * V::bytes, top[v]);
                    if (two_rows) V::store(out1 + i + v * V::bytes, bottom[v]);
                }
            }
        for (; i < flat; i += V::bytes) {
            V::U8 top[1], bottom[1];
            depthwise3_tile<columns, half, 1>(
                planes + i, plane_bytes, quarters, 0,
                packed + static_cast<std::size_t>(phase) * phase_bytes, top, bottom, args.low,
                args.output_lift);
            const int left = flat - i < V::bytes ? flat - i : V::bytes;
            V::store_part(out0 + i, top[0], left);
            if (two_rows) V::store_part(out1 + i, bottom[0], left);
            phase = phase + 1 == phases ? 0 : phase + 1;
        }
    }
}

template <Columns columns>
void depthwise3_float_rows(const DepthwiseArgs& args, float* values) noexcept {
    const int flat = args.output_w * args.channels;
    const std::size_t plane_bytes = plane_bytes_of(args.output_w, args.channels);
    const int phases = phases_of(args.channels), quarters = args.channels / 16;
    for (int y = 0; y < args.output_h; y += 2, values += 2 * flat) {
        depthwise3_interleave<columns>(args, y);
        int phase = 0;
        for (int i = 0; i < flat; i += V::bytes) {
            const auto* const packed = static_cast<const std::int8_t*>(args.packed3) + packed_head +
                                       static_cast<std::size_t>(phase) * phase_bytes;
            const int groups = (flat - i < V::bytes ? flat - i : V::bytes) / 16;
            for (int j = 0; j < 4; ++j) {
                V::Acc acc[2][1];
                depthwise3_sums<columns, false>(args.scratch + i, plane_bytes, quarters, 0, packed,
                                                j, acc);
                const V::F32 scale = V::load_scale(depthwise3_scales(packed, j));
                V::store_floats(values + i + 4 * j, acc[0][0], scale, groups);
                if (y + 1 < args.output_h)
                    V::store_floats(values + flat + i + 4 * j, acc[1][0], scale, groups);
            }
            phase = phase + 1 == phases ? 0 : phase + 1;
        }
    }
}

// Calls the function with what the packed weights allow as a template argument.
template <class Function>
[[gnu::always_inline]] inline void with_columns(const DepthwiseArgs& args,
                                                const Function& function) noexcept {
    if constexpr (WordVector<V>) {
        const Columns columns = *static_cast<const Columns*>(args.packed3);
        if (columns == Columns::together) return function.template operator()<Columns::together>();
        if (columns == Columns::are_signed)
            return function.template operator()<Columns::are_signed>();
    }
    function.template operator()<Columns::apart>();
}

void depthwise3_floats(const DepthwiseArgs& args, float* values) noexcept {
    with_columns(args, [&]<Columns columns>() { depthwise3_float_rows<columns>(args, values); });
}

void depthwise3_strip(const DepthwiseArgs& args) noexcept {
    with_columns(args, [&]<Columns columns>() {
        if (args.channels % 16 != 0)
            depthwise3<columns, true>(args);
        else
            depthwise3<columns, false>(args);
    });
}

// Of a row of outputs at most: ten times as much, four rows of the input, their planes and two rows
// of the output, fits in an L1 cache of 32 kB.
constexpr int strip_bytes = 2048;

// Wide maps in strips of columns, which begin where vectors and channels do.
void depthwise3_any(const DepthwiseArgs& args) noexcept {
    const int period = phases_of(args.channels) * V::bytes / args.channels,
              strips = (args.output_w * args.channels + strip_bytes - 1) / strip_bytes,
              width = ((args.output_w + strips - 1) / strips + period - 1) / period * period;
    DepthwiseArgs strip = args;
    for (int x = 0; x < args.output_w; x += width) {
        strip.input = args.input + static_cast<std::ptrdiff_t>(x) * args.channels;
        strip.output = args.output + static_cast<std::ptrdiff_t>(x) * args.channels;
        strip.output_w = args.output_w - x < width ? args.output_w - x : width;
        depthwise3_strip(strip);
    }
}

const Depthwise3 depthwise3_functions = {
    .packed_bytes = depthwise3_packed_bytes,
    .pack = depthwise3_pack,
    .scratch_bytes = depthwise3_scratch_bytes,
    .floats = depthwise3_floats,
};
