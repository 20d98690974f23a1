// SPDX-License-Identifier: MIT
// The detector's row kernels of every instruction set against loops that only say what is meant:
// odd widths, tails, both layouts, extreme pixels, and memory that ends at a guard page. (Windows
// are compared in test_detector.cpp.)
#include <doctest/doctest.h>

#include <algorithm>

#include "unit/detect_tables.h"

using namespace mien;
using namespace mien::test;

namespace {

constexpr int row_widths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 64, 100, 257};

// Dark, bright or anything.
void fill_pixels(std::uint8_t* p, int count, Random& random) {
    const int kind = random.between(0, 3);
    for (int i = 0; i < count; ++i)
        p[i] = static_cast<std::uint8_t>(kind == 0 ? 0 : kind == 1 ? 255 : random.between(0, 255));
}

}  // namespace

TEST_CASE("rows of a level equal the reference on every instruction set") {
    for (const DetectTable& table : detect_tables()) {
        const DetectKernels& detect = table.kernels.detect;
        Random random(21);
        for (const int source_width : row_widths)
            for (const int width : row_widths) {
                if (width > source_width) continue;
                const auto columns = static_cast<std::size_t>(width);
                GuardedBuffer source(static_cast<std::size_t>(source_width));
                fill_pixels(source.data(), source_width, random);
                std::vector<std::int32_t> left(columns);
                std::vector<std::uint16_t> weight(columns), out(columns), other(columns);
                for (std::size_t x = 0; x < columns; ++x) {
                    left[x] =
                        std::min(static_cast<int>(x) * source_width / width, source_width - 1);
                    weight[x] = static_cast<std::uint16_t>(
                        left[x] == source_width - 1 ? 0 : random.between(0, 256));
                }
                detect.shrink_row({source.data(), source_width, left.data(), weight.data(), width},
                                  out.data());
                int wrong = 0;
                for (std::size_t x = 0; x < columns; ++x) {
                    const int a = source.data()[left[x]],
                              b = left[x] + 1 < source_width ? source.data()[left[x] + 1] : 0;
                    wrong += out[x] != (256 - weight[x]) * a + weight[x] * b;
                }
                CHECK_MESSAGE(wrong == 0, table.name, " shrink ", source_width, " to ", width);
                for (auto& v : other)
                    v = static_cast<std::uint16_t>(
                        random.between(0, 5) == 0 ? 65280 : random.between(0, 65280));
                for (const int bottom : {0, 1, 100, 255, 256}) {
                    GuardedBuffer pixels(columns);
                    detect.blend_rows(out.data(), other.data(), bottom, width, pixels.data());
                    wrong = 0;
                    for (std::size_t x = 0; x < columns; ++x)
                        wrong += pixels.data()[x] !=
                                 ((256u - static_cast<unsigned>(bottom)) * out[x] +
                                  static_cast<unsigned>(bottom) * other[x] + 32768u) >>
                                     16;
                    CHECK_MESSAGE(wrong == 0, table.name, " blend ", width, " weight ", bottom);
                }
            }
    }
}

TEST_CASE("rows of integral images equal the reference on every instruction set") {
    for (const DetectTable& table : detect_tables()) {
        const DetectKernels& detect = table.kernels.detect;
        Random random(22);
        for (const int step : {1, 2})
            for (const int width : row_widths) {
                const std::ptrdiff_t odd = step == 2 ? width / 2 + 2 : 0, pitch = width + 4 + odd;
                const auto elements = static_cast<std::size_t>(2 * pitch);
                std::vector<std::uint16_t> low(elements);
                std::vector<std::uint32_t> sum(elements), square(elements);
                // The row above may hold anything: the planes wrap.
                for (auto& v : low) v = static_cast<std::uint16_t>(random.between(0, 65535));
                for (auto& v : sum)
                    v = static_cast<std::uint32_t>(random.between(0, 1 << 30)) * 4u + 3u;
                for (auto& v : square)
                    v = static_cast<std::uint32_t>(random.between(0, 1 << 30)) * 4u + 1u;
                GuardedBuffer pixels(static_cast<std::size_t>(width));
                fill_pixels(pixels.data(), width, random);
                auto expected_low = low;
                auto expected_sum = sum, expected_square = square;
                std::uint32_t s = 0, q = 0;
                for (int x = 0; x <= width; ++x) {
                    if (x > 0) {
                        const std::uint32_t p = pixels.data()[x - 1];
                        s += p;
                        q += p * p;
                    }
                    const std::ptrdiff_t column = step == 1 ? x : x / 2 + (x & 1) * odd;
                    const auto at = static_cast<std::size_t>(pitch + column),
                               above = static_cast<std::size_t>(column);
                    expected_low[at] =
                        x == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(low[above] + s);
                    expected_sum[at] = x == 0 ? 0 : sum[above] + s;
                    expected_square[at] = x == 0 ? 0 : square[above] + q;
                }
                detect.integral_row({pixels.data(), width, step, odd, pitch, low.data() + pitch,
                                     sum.data() + pitch, square.data() + pitch});
                CHECK_MESSAGE(
                    (low == expected_low && sum == expected_sum && square == expected_square),
                    table.name, " integral of ", width, ", step ", step);
            }
    }
}
