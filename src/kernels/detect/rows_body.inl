// SPDX-License-Identifier: MIT
// Rows of a pyramid level and of its integral images, written once in the compiler's own vectors,
// inside an anonymous namespace of the file that includes this one and decides for which processor
// they are built.

void shrink_row(const ShrinkRow& row, std::uint16_t* out) noexcept {
    int x = 0;
    for (; x + 8 <= row.width && row.left[x + 7] + 1 < row.source_width; x += 8) {
        U16x8 pairs;  // a pixel and its right neighbor
        for (int i = 0; i < 8; ++i) {
            const std::uint8_t* p = row.source + row.left[x + i];
            pairs[i] = static_cast<std::uint16_t>(p[0] | p[1] << 8);
        }
        const U16x8 left = pairs & 255, right = pairs >> 8;
        // modulo 2^16
        store_vector(out + x,
                     (left << 8) + load_vector<U16x8>(row.right_weight + x) * (right - left));
    }
    for (; x < row.width; ++x) {
        const int left = row.source[row.left[x]];
        const int right = row.left[x] + 1 < row.source_width ? row.source[row.left[x] + 1] : left;
        out[x] = static_cast<std::uint16_t>(256 * left + row.right_weight[x] * (right - left));
    }
}

// In 16 bits, from the high and the low bytes: with A = w0 th + w1 bh and B = w0 tl + w1 bl the
// result is (256 A + B + 32768) >> 16 = (A + (B >> 8) + 128) >> 8, and A + (B >> 8) <= 255 * 256.
void blend_rows(const std::uint16_t* top, const std::uint16_t* bottom, int bottom_weight, int width,
                std::uint8_t* out) noexcept {
    const auto w1 = static_cast<std::uint16_t>(bottom_weight),
               w0 = static_cast<std::uint16_t>(256 - bottom_weight);
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const U16x8 t = load_vector<U16x8>(top + x), b = load_vector<U16x8>(bottom + x);
        const U16x8 high = w0 * (t >> 8) + w1 * (b >> 8), low = w0 * (t & 255) + w1 * (b & 255);
        store_vector(out + x, __builtin_convertvector((high + (low >> 8) + 128) >> 8, U8x8));
    }
    for (; x < width; ++x)
        out[x] = static_cast<std::uint8_t>(
            (std::uint32_t{w0} * top[x] + std::uint32_t{w1} * bottom[x] + 32768) >> 16);
}

// Sums of the lanes up to each lane.
inline U16x8 prefix(U16x8 v) noexcept {
    const U16x8 zero = {};
    v += shuffle<0, 8, 9, 10, 11, 12, 13, 14>(zero, v);
    v += shuffle<0, 0, 8, 9, 10, 11, 12, 13>(zero, v);
    return v + shuffle<0, 0, 0, 0, 8, 9, 10, 11>(zero, v);
}
inline U32x4 prefix(U32x4 v) noexcept {
    const U32x4 zero = {};
    v += shuffle<0, 4, 5, 6>(zero, v);
    return v + shuffle<0, 0, 4, 5>(zero, v);
}

// Adds the row above and writes columns x + 1 .. x + 8, which `first` and `second` (or the eight of
// `v`) belong to.
template <int step>
inline void put_u32(std::uint32_t* row, std::ptrdiff_t pitch, std::ptrdiff_t odd, int x,
                    U32x4 first, U32x4 second) noexcept {
    std::uint32_t *a = row + x + 1, *b = a + 4;
    if constexpr (step == 2) {
        const U32x4 odds = shuffle<0, 2, 4, 6>(first, second);
        second = shuffle<1, 3, 5, 7>(first, second);
        first = odds;
        a = row + odd + x / 2;
        b = row + x / 2 + 1;
    }
    store_vector(a, first + load_vector<U32x4>(a - pitch));
    store_vector(b, second + load_vector<U32x4>(b - pitch));
}
template <int step>
inline void put_u16(std::uint16_t* row, std::ptrdiff_t pitch, std::ptrdiff_t odd, int x,
                    U16x8 v) noexcept {
    if constexpr (step == 1) {
        store_vector(row + x + 1, v + load_vector<U16x8>(row + x + 1 - pitch));
    } else {
        std::uint16_t *a = row + odd + x / 2, *b = row + x / 2 + 1;
        store_vector(a, shuffle<0, 2, 4, 6>(v, v) + load_vector<U16x4>(a - pitch));
        store_vector(b, shuffle<1, 3, 5, 7>(v, v) + load_vector<U16x4>(b - pitch));
    }
}

template <int step>
inline void integrate(const IntegralRow& row) noexcept {
    row.low[0] = 0;
    row.sum[0] = row.square[0] = 0;
    // What lies to the left, in every lane. Carried from block to block by one addition: all else
    // is ready beforehand.
    U16x8 low_carry = {};
    U32x4 sum_carry = {}, square_carry = {};
    int x = 0;
    for (; x + 8 <= row.width; x += 8) {
        const auto low_half = [](U16x8 v) {
            return __builtin_convertvector(shuffle<0, 1, 2, 3>(v, v), U32x4);
        };
        const auto high_half = [](U16x8 v) {
            return __builtin_convertvector(shuffle<4, 5, 6, 7>(v, v), U32x4);
        };
        const auto last = [](U32x4 v) { return shuffle<3, 3, 3, 3>(v, v); };
        const U16x8 pixels = __builtin_convertvector(load_vector<U8x8>(row.pixels + x), U16x8);
        const U16x8 sums = prefix(pixels), squares = pixels * pixels;
        const U32x4 sums1 = low_half(sums), sums2 = high_half(sums);
        const U32x4 squares1 = prefix(low_half(squares)),
                    squares2 = prefix(high_half(squares)) + last(squares1);
        put_u16<step>(row.low, row.pitch, row.odd, x, sums + low_carry);
        put_u32<step>(row.sum, row.pitch, row.odd, x, sums1 + sum_carry, sums2 + sum_carry);
        put_u32<step>(row.square, row.pitch, row.odd, x, squares1 + square_carry,
                      squares2 + square_carry);
        low_carry += shuffle<7, 7, 7, 7, 7, 7, 7, 7>(sums, sums);
        sum_carry += last(sums2);
        square_carry += last(squares2);
    }
    std::uint32_t sum = sum_carry[0], square = square_carry[0];
    for (; x < row.width; ++x) {
        const std::uint32_t p = row.pixels[x];
        sum += p;
        square += p * p;
        const std::ptrdiff_t i = step == 1 ? x + 1 : ((x + 1) >> 1) + ((x + 1) & 1) * row.odd;
        row.low[i] = static_cast<std::uint16_t>(row.low[i - row.pitch] + sum);
        row.sum[i] = row.sum[i - row.pitch] + sum;
        row.square[i] = row.square[i - row.pitch] + square;
    }
}

void integral_row(const IntegralRow& row) noexcept {
    row.step == 1 ? integrate<1>(row) : integrate<2>(row);
}
