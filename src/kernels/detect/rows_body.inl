// SPDX-License-Identifier: MIT
// Rows of a pyramid level and of its integral images, written once in the compiler's own vectors,
// inside an anonymous namespace of the file that includes this one and decides for which processor
// they are built.

using Bytes8 = std::uint8_t __attribute__((vector_size(8)));
using Words8 = std::uint16_t __attribute__((vector_size(16)));
using Longs4 = std::uint32_t __attribute__((vector_size(16)));

template <class Vector, class T>
inline Vector load_vector(const T* p) noexcept {
    Vector v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
template <class Vector, class T>
inline void store_vector(T* p, Vector v) noexcept {
    __builtin_memcpy(p, &v, sizeof v);
}

void shrink_row(const ShrinkRow& row, std::uint16_t* out) noexcept {
    int x = 0;
    for (; x + 8 <= row.width && row.left[x + 7] + 1 < row.source_width; x += 8) {
        Words8 pairs;  // a pixel and its right neighbour
        for (int i = 0; i < 8; ++i) {
            const std::uint8_t* p = row.source + row.left[x + i];
            pairs[i] = static_cast<std::uint16_t>(p[0] | p[1] << 8);
        }
        const Words8 left = pairs & 255, right = pairs >> 8;
        // modulo 2^16
        store_vector(out + x,
                     (left << 8) + load_vector<Words8>(row.right_weight + x) * (right - left));
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
        const Words8 t = load_vector<Words8>(top + x), b = load_vector<Words8>(bottom + x);
        const Words8 high = w0 * (t >> 8) + w1 * (b >> 8), low = w0 * (t & 255) + w1 * (b & 255);
        store_vector(out + x, __builtin_convertvector((high + (low >> 8) + 128) >> 8, Bytes8));
    }
    for (; x < width; ++x)
        out[x] = static_cast<std::uint8_t>(
            (std::uint32_t{w0} * top[x] + std::uint32_t{w1} * bottom[x] + 32768) >> 16);
}

// Sums of the lanes up to each lane.
inline Words8 prefix(Words8 v) noexcept {
    const Words8 zero = {};
    v += __builtin_shufflevector(zero, v, 0, 8, 9, 10, 11, 12, 13, 14);
    v += __builtin_shufflevector(zero, v, 0, 0, 8, 9, 10, 11, 12, 13);
    return v + __builtin_shufflevector(zero, v, 0, 0, 0, 0, 8, 9, 10, 11);
}
inline Longs4 prefix(Longs4 v) noexcept {
    const Longs4 zero = {};
    v += __builtin_shufflevector(zero, v, 0, 4, 5, 6);
    return v + __builtin_shufflevector(zero, v, 0, 0, 4, 5);
}

// Adds the row above and writes columns x + 1 .. x + 8, which `first` and `second` (or the eight of
// `v`) belong to.
template <int step>
inline void put_longs(std::uint32_t* row, std::ptrdiff_t pitch, std::ptrdiff_t odd, int x,
                      Longs4 first, Longs4 second) noexcept {
    std::uint32_t *a = row + x + 1, *b = a + 4;
    if constexpr (step == 2) {
        const Longs4 odds = __builtin_shufflevector(first, second, 0, 2, 4, 6);
        second = __builtin_shufflevector(first, second, 1, 3, 5, 7);
        first = odds;
        a = row + odd + x / 2;
        b = row + x / 2 + 1;
    }
    store_vector(a, first + load_vector<Longs4>(a - pitch));
    store_vector(b, second + load_vector<Longs4>(b - pitch));
}
template <int step>
inline void put_words(std::uint16_t* row, std::ptrdiff_t pitch, std::ptrdiff_t odd, int x,
                      Words8 v) noexcept {
    using Words4 = std::uint16_t __attribute__((vector_size(8)));
    if constexpr (step == 1) {
        store_vector(row + x + 1, v + load_vector<Words8>(row + x + 1 - pitch));
    } else {
        std::uint16_t *a = row + odd + x / 2, *b = row + x / 2 + 1;
        store_vector(a, __builtin_shufflevector(v, v, 0, 2, 4, 6) + load_vector<Words4>(a - pitch));
        store_vector(b, __builtin_shufflevector(v, v, 1, 3, 5, 7) + load_vector<Words4>(b - pitch));
    }
}

template <int step>
inline void integrate(const IntegralRow& row) noexcept {
    row.low[0] = 0;
    row.sum[0] = row.square[0] = 0;
    // What lies to the left, in every lane. Carried from block to block by one addition: all else
    // is ready beforehand.
    Words8 low_carry = {};
    Longs4 sum_carry = {}, square_carry = {};
    int x = 0;
    for (; x + 8 <= row.width; x += 8) {
        const auto low_half = [](Words8 v) {
            return __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3), Longs4);
        };
        const auto high_half = [](Words8 v) {
            return __builtin_convertvector(__builtin_shufflevector(v, v, 4, 5, 6, 7), Longs4);
        };
        const auto last = [](Longs4 v) { return __builtin_shufflevector(v, v, 3, 3, 3, 3); };
        const Words8 pixels = __builtin_convertvector(load_vector<Bytes8>(row.pixels + x), Words8);
        const Words8 sums = prefix(pixels), squares = pixels * pixels;
        const Longs4 sums1 = low_half(sums), sums2 = high_half(sums);
        const Longs4 squares1 = prefix(low_half(squares)),
                     squares2 = prefix(high_half(squares)) + last(squares1);
        put_words<step>(row.low, row.pitch, row.odd, x, sums + low_carry);
        put_longs<step>(row.sum, row.pitch, row.odd, x, sums1 + sum_carry, sums2 + sum_carry);
        put_longs<step>(row.square, row.pitch, row.odd, x, squares1 + square_carry,
                        squares2 + square_carry);
        low_carry += __builtin_shufflevector(sums, sums, 7, 7, 7, 7, 7, 7, 7, 7);
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
