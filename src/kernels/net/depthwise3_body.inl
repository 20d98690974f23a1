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

// For each phase: weights [plane][kernel column][top, bottom][V::bytes], then bias [plane][lanes],
// then scale [plane][lanes].
constexpr std::size_t phase_weights = 4 * 3 * 2 * V::bytes,
                      phase_bytes = phase_weights + 2 * 4 * V::bytes;

std::size_t depthwise3_packed_bytes(int channels) noexcept {
    return static_cast<std::size_t>(phases_of(channels)) * phase_bytes;
}

void depthwise3_pack(const std::int8_t* weights, int real_channels, int channels,
                     const std::int32_t* bias, const float* scale, std::uint8_t input_lift,
                     void* packed) noexcept {
    for (int phase = 0; phase < phases_of(channels); ++phase) {
        auto* const to =
            static_cast<std::int8_t*>(packed) + static_cast<std::size_t>(phase) * phase_bytes;
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
template <bool unsigned_input, bool half, int vectors>
inline void depthwise3_sums(const std::int8_t* planes, std::size_t plane_bytes, int quarters,
                            std::ptrdiff_t distance, const std::int8_t* phase, int j,
                            V::Acc (&acc)[2][vectors]) noexcept {
    const auto* const biases = reinterpret_cast<const std::int32_t*>(phase + phase_weights);
    const V::Acc bias = V::load_bias(biases + j * vector_floats);
    MIEN_UNROLL
    for (int v = 0; v < vectors; ++v) acc[0][v] = acc[1][v] = bias;
    MIEN_UNROLL
    for (int kx = 0; kx < 3; ++kx) {
        const int j2 = half ? j + 2 * (kx & 1) : j,
                  groups = kx * quarters + (half && kx == 2 ? 1 : 0) + (j2 >> 2);
        const std::int8_t* from =
            planes + static_cast<std::size_t>(j2 & 3) * plane_bytes + groups * 16;
        const std::int8_t* const w = phase + ((j * 3 + kx) * 2) * V::bytes;
        MIEN_UNROLL
        for (int v = 0; v < vectors; ++v) {
            const V::Act act = V::template prepare<unsigned_input>(V::load(from + v * distance));
            acc[0][v] = V::template dot<unsigned_input>(acc[0][v], act, V::load_weights(w));
            acc[1][v] =
                V::template dot<unsigned_input>(acc[1][v], act, V::load_weights(w + V::bytes));
        }
    }
}

inline const float* depthwise3_scales(const std::int8_t* phase, int j) noexcept {
    return reinterpret_cast<const float*>(phase + phase_weights + 4 * V::bytes) + j * vector_floats;
}

// The bytes of such outputs.
template <bool unsigned_input, bool half, int vectors>
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
            depthwise3_sums<unsigned_input, half>(planes, plane_bytes, quarters, distance, phase,
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
inline void depthwise3_interleave(const DepthwiseArgs& args, int y) noexcept {
    const int needed = (args.output_w + 2) * args.channels;
    const std::size_t plane_bytes = plane_bytes_of(args.output_w, args.channels);
    const std::int8_t* const row0 = args.input + y * args.input_row;
    const std::int8_t *const row1 = row0 + args.input_row, *const row2 = row1 + args.input_row;
    const std::int8_t* const row3 = y + 1 < args.output_h ? row2 + args.input_row : row2;
    std::int8_t* const planes = args.scratch;
    for (int i = 0; i < needed; i += V::bytes) {
        const V::U8 a = V::load(row0 + i), b = V::load(row1 + i), c = V::load(row2 + i),
                    d = V::load(row3 + i);
        const V::U8 ab_low = V::low8(a, b), ab_high = V::high8(a, b), cd_low = V::low8(c, d),
                    cd_high = V::high8(c, d);
        V::store(planes + i, V::low16(ab_low, cd_low));
        V::store(planes + plane_bytes + i, V::high16(ab_low, cd_low));
        V::store(planes + 2 * plane_bytes + i, V::low16(ab_high, cd_high));
        V::store(planes + 3 * plane_bytes + i, V::high16(ab_high, cd_high));
    }
}

template <bool unsigned_input, bool half>
void depthwise3(const DepthwiseArgs& args) noexcept {
    const int flat = args.output_w * args.channels;
    const std::size_t plane_bytes = plane_bytes_of(args.output_w, args.channels);
    const int phases = phases_of(args.channels), quarters = args.channels / 16;
    const std::int8_t* const planes = args.scratch;
    for (int y = 0; y < args.output_h; y += 2) {
        const bool two_rows = y + 1 < args.output_h;
        depthwise3_interleave(args, y);
        std::int8_t *const out0 = args.output + y * args.output_row, *const out1 =
                                                                         out0 + args.output_row;
        int i = 0, phase = 0;
        const auto* const packed = static_cast<const std::int8_t*>(args.packed3);
        if (phases == 1)
            for (; i + 2 * V::bytes <= flat; i += 2 * V::bytes) {
                V::U8 top[2], bottom[2];
                depthwise3_tile<unsigned_input, half, 2>(planes + i, plane_bytes, quarters,
                                                         V::bytes, packed, top, bottom, args.low,
                                                         args.output_lift);
                for (int v = 0; v < 2; ++v) {
                    V::store(out0 + i + v * V::bytes, top[v]);
                    if (two_rows) V::store(out1 + i + v * V::bytes, bottom[v]);
                }
            }
        for (; i < flat; i += V::bytes) {
            V::U8 top[1], bottom[1];
            depthwise3_tile<unsigned_input, half, 1>(
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

template <bool unsigned_input>
void depthwise3_float_rows(const DepthwiseArgs& args, float* values) noexcept {
    const int flat = args.output_w * args.channels;
    const std::size_t plane_bytes = plane_bytes_of(args.output_w, args.channels);
    const int phases = phases_of(args.channels), quarters = args.channels / 16;
    for (int y = 0; y < args.output_h; y += 2, values += 2 * flat) {
        depthwise3_interleave(args, y);
        int phase = 0;
        for (int i = 0; i < flat; i += V::bytes) {
            const auto* const packed = static_cast<const std::int8_t*>(args.packed3) +
                                       static_cast<std::size_t>(phase) * phase_bytes;
            const int groups = (flat - i < V::bytes ? flat - i : V::bytes) / 16;
            for (int j = 0; j < 4; ++j) {
                V::Acc acc[2][1];
                depthwise3_sums<unsigned_input, false>(args.scratch + i, plane_bytes, quarters, 0,
                                                       packed, j, acc);
                const V::F32 scale = V::load_scale(depthwise3_scales(packed, j));
                V::store_floats(values + i + 4 * j, acc[0][0], scale, groups);
                if (y + 1 < args.output_h)
                    V::store_floats(values + flat + i + 4 * j, acc[1][0], scale, groups);
            }
            phase = phase + 1 == phases ? 0 : phase + 1;
        }
    }
}

void depthwise3_floats(const DepthwiseArgs& args, float* values) noexcept {
    if (args.input_unsigned)
        depthwise3_float_rows<true>(args, values);
    else
        depthwise3_float_rows<false>(args, values);
}

void depthwise3_any(const DepthwiseArgs& args) noexcept {
    const bool half = args.channels % 16 != 0;
    if (args.input_unsigned)
        half ? depthwise3<true, true>(args) : depthwise3<true, false>(args);
    else
        half ? depthwise3<false, true>(args) : depthwise3<false, false>(args);
}

const Depthwise3 depthwise3_functions = {
    .packed_bytes = depthwise3_packed_bytes,
    .pack = depthwise3_pack,
    .scratch_bytes = depthwise3_scratch_bytes,
    .floats = depthwise3_floats,
};
