// SPDX-License-Identifier: MIT
// Any depthwise kernel, eight channels and up to four pixels at a time, two taps at once; written
// once over the vector type V of the file that includes this one, inside an anonymous namespace:
// NEON and SIMD128.

// Bytes: eight channels of a pixel; I32: 32-bit integers of four; F32: their scales; Taps: the
// weights of two taps, of eight channels.
template <class T>
concept DepthwiseVector =
    requires(typename T::Bytes first, typename T::Bytes second, const std::int16_t* taps,
             const std::int32_t* bias, const float* scale, std::int8_t* out,
             typename T::I32 (&acc)[2], std::int8_t low, std::uint8_t lift) {
        acc[0] = T::load_i32(bias);
        // Eight channels times the first tap and eight times the second one.
        T::add_taps(acc, first, second, T::load_taps(taps));
        T::add_words(acc, T::add_tap(T::multiply_tap(first, second), first, second));
        acc[0] = T::scaled(acc[0], T::load_scale(scale));
        T::store_clamped8(out, acc, low, lift);  // saturated, not below `low`
    };
static_assert(DepthwiseVector<V>);

template <int pixels>
[[gnu::always_inline]] inline void depthwise_store(const DepthwiseArgs& args,
                                                   const V::I32 (&acc)[pixels][2], int n,
                                                   std::int8_t* out) noexcept {
    const V::F32 scale0 = V::load_scale(args.scale + n), scale1 = V::load_scale(args.scale + n + 4);
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        const V::I32 values[2] = {V::scaled(acc[p][0], scale0), V::scaled(acc[p][1], scale1)};
        V::store_clamped8(out + p * args.channels + n, values, args.low, 0);
    }
}

template <int pixels>
inline void depthwise_tile(const DepthwiseArgs& args, const std::int8_t* field, int n,
                           std::int8_t* out) noexcept {
    const int taps = args.kernel_h * args.kernel_w;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.channels;
    V::I32 acc[pixels][2];
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        acc[p][0] = V::load_i32(args.bias + n);
        acc[p][1] = V::load_i32(args.bias + n + 4);
    }
    const std::int8_t* tap = field + n;
    int kx = 0;
    const auto next_tap = [&] {
        const std::int8_t* const at = tap;
        tap += args.channels;
        if (++kx == args.kernel_w) {
            kx = 0;
            tap += args.input_row - static_cast<std::ptrdiff_t>(args.kernel_w) * args.channels;
        }
        return at;
    };
    for (int t = 0; t < taps; t += 2) {
        const V::Taps weights = V::load_taps(args.weights + (t / 2 * args.channels + n) * 2);
        const std::int8_t* const first = next_tap();
        // the weights of a missing tap are 0
        const std::int8_t* const second = t + 1 < taps ? next_tap() : first;
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p)
            V::add_taps(acc[p], V::load8(first + p * step), V::load8(second + p * step), weights);
    }
    depthwise_store<pixels>(args, acc, n, out);
}

// The same for 3x3 with a stride of 1: neighboring outputs share what they load. `in_words`: with
// DepthwiseArgs::small_weights.
template <int pixels, bool in_words>
[[gnu::always_inline]] inline void depthwise3_tile(const DepthwiseArgs& args,
                                                   const std::int8_t* field, int n,
                                                   std::int8_t* out) noexcept {
    V::I32 acc[pixels][2];
    MIEN_UNROLL
    for (int p = 0; p < pixels; ++p) {
        acc[p][0] = V::load_i32(args.bias + n);
        acc[p][1] = V::load_i32(args.bias + n + 4);
    }
    V::Bytes in[3][pixels + 2];
    MIEN_UNROLL
    for (int y = 0; y < 3; ++y) MIEN_UNROLL
    for (int x = 0; x < pixels + 2; ++x)
        in[y][x] = V::load8(field + n + y * args.input_row + x * args.channels);
    if constexpr (in_words) {
        decltype(V::multiply_tap(in[0][0],
                                 in[0][0])) sum[pixels];  // 16-bit lanes of eight channels
        MIEN_UNROLL
        for (int t = 0; t < 9; ++t) {
            const V::Bytes w = V::load8(args.small_weights + t * args.channels + n);
            MIEN_UNROLL
            for (int p = 0; p < pixels; ++p) {
                const V::Bytes a = in[t / 3][t % 3 + p];
                sum[p] = t == 0 ? V::multiply_tap(a, w) : V::add_tap(sum[p], a, w);
            }
        }
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p) V::add_words(acc[p], sum[p]);
        return depthwise_store<pixels>(args, acc, n, out);
    }
    MIEN_UNROLL
    for (int t = 0; t < 9; t += 2) {
        const V::Taps weights = V::load_taps(args.weights + (t / 2 * args.channels + n) * 2);
        const int u = t + 1 < 9 ? t + 1 : t;  // the weights of a missing tap are 0
        MIEN_UNROLL
        for (int p = 0; p < pixels; ++p)
            V::add_taps(acc[p], in[t / 3][t % 3 + p], in[u / 3][u % 3 + p], weights);
    }
    depthwise_store<pixels>(args, acc, n, out);
}

// Takes a copy: stored bytes might alias the original, and it would be loaded again and again.
template <bool in_words>
void depthwise_rows(const DepthwiseArgs args) noexcept {
    constexpr int pixels = 4;
    const bool is3 = args.kernel_h == 3 && args.kernel_w == 3 && args.stride_x == 1;
    const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.stride_x) * args.channels;
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* field =
            args.input + static_cast<std::ptrdiff_t>(y) * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int n = 0; n < args.channels; n += 8) {
            int x = 0;
            for (; is3 && x + pixels <= args.output_w; x += pixels)
                depthwise3_tile<pixels, in_words>(args, field + x * step, n,
                                                  out + x * args.channels);
            for (; x + pixels <= args.output_w; x += pixels)
                depthwise_tile<pixels>(args, field + x * step, n, out + x * args.channels);
            for (; x < args.output_w; ++x)
                depthwise_tile<1>(args, field + x * step, n, out + x * args.channels);
        }
    }
}

void depthwise(const DepthwiseArgs& args) noexcept {
    if (args.small_weights != nullptr)
        depthwise_rows<true>(args);
    else
        depthwise_rows<false>(args);
}
