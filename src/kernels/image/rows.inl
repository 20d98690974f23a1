// SPDX-License-Identifier: MIT
// Rows of pixels, once for every instruction set: whole blocks, then one more that ends where the
// row ends and computes some pixels twice. Rows shorter than a block go one by one, so that nothing
// outside of a row is touched.

// What happens to one block of T::block pixels.
template <class T>
concept RowVector = requires(const std::uint8_t* pixels, std::uint8_t* out,
                             const std::int16_t* weights, std::int16_t* columns, std::int16_t w) {
    T::template gray<3, 0>(pixels, out);
    T::template every_second<0>(pixels, out);
    T::linear_columns(pixels, weights, columns);
    T::linear_rows(columns, columns, w, w, out);
    requires T::block > 0;
};
static_assert(RowVector<V>);

template <class Block, class Single>
inline void sweep(int count, Block block, Single single) noexcept {
    if (count < V::block) {
        for (int i = 0; i < count; ++i) single(i);
        return;
    }
    int i = 0;
    for (; i <= count - V::block; i += V::block) block(i);
    if (i < count) block(count - V::block);
}

// `red` is 0 or 2; blue is the other.
template <int pixel_bytes, int red>
void gray_row(const std::uint8_t* p, int width, std::uint8_t* gray) noexcept {
    sweep(
        width,
        [=](int x) {
            V::template gray<pixel_bytes, red>(p + std::ptrdiff_t{x} * pixel_bytes, gray + x);
        },
        [=](int x) {
            const std::uint8_t* const q = p + std::ptrdiff_t{x} * pixel_bytes;
            gray[x] = static_cast<std::uint8_t>(
                (9798 * q[red] + 19235 * q[1] + 3735 * q[2 - red] + 16384) >> 15);
        });
}

template <int first>
void every_second(const std::uint8_t* p, int width, std::uint8_t* gray) noexcept {
    sweep(
        width, [=](int x) { V::template every_second<first>(p + 2 * std::ptrdiff_t{x}, gray + x); },
        [=](int x) { gray[x] = p[2 * std::ptrdiff_t{x} + first]; });
}

void linear_columns(const std::uint8_t* pairs, const std::int16_t* weights, int count,
                    std::int16_t* out) noexcept {
    sweep(
        count, [=](int i) { V::linear_columns(pairs + 2 * i, weights + 2 * i, out + i); },
        [=](int i) {
            out[i] = static_cast<std::int16_t>(
                (pairs[2 * i] * weights[2 * i] + pairs[2 * i + 1] * weights[2 * i + 1]) >> 4);
        });
}

void linear_rows(const std::int16_t* top, const std::int16_t* bottom, int top_weight,
                 int bottom_weight, int count, std::uint8_t* out) noexcept {
    const auto w0 = static_cast<std::int16_t>(top_weight),
               w1 = static_cast<std::int16_t>(bottom_weight);
    sweep(
        count, [=](int i) { V::linear_rows(top + i, bottom + i, w0, w1, out + i); },
        [=](int i) {
            out[i] = static_cast<std::uint8_t>(
                ((top_weight * top[i] >> 16) + (bottom_weight * bottom[i] >> 16) + 2) >> 2);
        });
}

constexpr ImageKernels kernels_of_v = {
    .gray_rgb24 = gray_row<3, 0>,
    .gray_bgr24 = gray_row<3, 2>,
    .gray_rgba32 = gray_row<4, 0>,
    .gray_bgra32 = gray_row<4, 2>,
    .gray_yuyv = every_second<0>,
    .gray_uyvy = every_second<1>,
    .linear_columns = linear_columns,
    .linear_rows = linear_rows,
};
