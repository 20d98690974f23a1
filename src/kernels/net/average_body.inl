// SPDX-License-Identifier: MIT
// Average pooling of 2x2 windows that lie inside the input, eight channels at a time; all others by
// the plain loop.

// out[i] = max(rne((a[i] + b[i] + c[i] + d[i]) / 4), -127), all stored as x ^ lift. A quarter is
// rounded to nearest even in integers: (s + 1 + (s >> 2 & 1)) >> 2. That is what the float of
// docs/QUANTISATION.md gives, which is exact for 1 / 4.
template <class T>
concept AverageVector = requires(const std::int8_t* bytes, std::uint8_t lift, std::int8_t* out) {
    T::average8(bytes, bytes, bytes, bytes, lift, out);
};
static_assert(AverageVector<V>);

void average_pool(const PoolArgs& args) noexcept {
    const bool inside = args.pad_top == 0 && args.pad_left == 0 &&
                        (args.output_h - 1) * args.stride_y + 2 <= args.input_h &&
                        (args.output_w - 1) * args.stride_x + 2 <= args.input_w;
    if (args.kernel_h != 2 || args.kernel_w != 2 || !inside) return avg_pool_scalar(args);
    for (int y = 0; y < args.output_h; ++y) {
        const std::int8_t* top = args.input + y * args.stride_y * args.input_row;
        std::int8_t* out = args.output + y * args.output_row;
        for (int x = 0; x < args.output_w;
             ++x, top += args.stride_x * args.channels, out += args.channels) {
            const std::int8_t *right = top + args.channels, *bottom = top + args.input_row,
                              *corner = bottom + args.channels;
            for (int n = 0; n < args.channels; n += 8)
                V::average8(top + n, right + n, bottom + n, corner + n, args.lift, out + n);
        }
    }
}
