// SPDX-License-Identifier: MIT
// Do the pixel kernels of every instruction set give the bits of the scalar ones, and touch nothing
// but their rows?
#include <doctest/doctest.h>

#include <algorithm>

#include "kernels/kernels.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::test;

namespace {

// Widths around every block size, and a few long rows.
std::vector<int> widths() {
    std::vector<int> found;
    for (int w = 1; w <= 70; ++w) found.push_back(w);
    for (const int w : {95, 96, 97, 127, 128, 129, 255, 640, 1001}) found.push_back(w);
    return found;
}

// A row can end at a page that must not be touched; what lies before it is compared instead.
constexpr std::size_t bytes_before = 64;
constexpr std::uint8_t canary = 0xa5;

struct Output {
    GuardedBuffer buffer;
    explicit Output(std::size_t bytes) : buffer(bytes_before + bytes) {
        std::fill_n(buffer.data(), buffer.size(), canary);
    }
    std::uint8_t* data() const { return buffer.data() + bytes_before; }
    bool untouched_before() const {
        return std::all_of(buffer.data(), buffer.data() + bytes_before,
                           [](std::uint8_t v) { return v == canary; });
    }
    bool equals(const Output& other) const {
        return std::equal(data(), buffer.data() + buffer.size(), other.data());
    }
};

}  // namespace

TEST_CASE("rows of pixels become gray alike on every instruction set") {
    struct Case {
        const char* name;
        GrayRowFn ImageKernels::* fn;
        int pixel_bytes;
    };
    const Case cases[] = {
        {"rgb24", &ImageKernels::gray_rgb24, 3},   {"bgr24", &ImageKernels::gray_bgr24, 3},
        {"rgba32", &ImageKernels::gray_rgba32, 4}, {"bgra32", &ImageKernels::gray_bgra32, 4},
        {"yuyv", &ImageKernels::gray_yuyv, 2},     {"uyvy", &ImageKernels::gray_uyvy, 2}};
    const ImageKernels& reference = kernels_for(Isa::scalar).image;
    for (const Isa isa : isas()) {
        for (const Case& c : cases) {
            for (const int width : widths()) {
                const auto count = static_cast<std::size_t>(width);
                const ByteVector pixels =
                    test_picture(static_cast<std::uint32_t>(width),
                                 count * static_cast<std::size_t>(c.pixel_bytes));
                const GuardedBuffer row(pixels.size());
                std::copy(pixels.begin(), pixels.end(), row.data());
                const Output expected(count), got(count);
                (reference.*c.fn)(row.data(), width, expected.data());
                (kernels_for(isa).image.*c.fn)(row.data(), width, got.data());
                CHECK_MESSAGE(got.equals(expected), isa_name(isa), " ", c.name, " width ", width);
                CHECK(got.untouched_before());
            }
        }
    }
}

TEST_CASE("gray is right for every value of each channel") {
    // The formula's rounding at all 256 values beside extremes of the others.
    for (const Isa isa : isas()) {
        for (const int others : {0, 1, 127, 254, 255}) {
            for (int channel = 0; channel < 3; ++channel) {
                ByteVector row(3 * 256, static_cast<std::uint8_t>(others));
                for (std::size_t v = 0; v < 256; ++v)
                    row[3 * v + static_cast<std::size_t>(channel)] = static_cast<std::uint8_t>(v);
                std::uint8_t gray[256];
                kernels_for(isa).image.gray_rgb24(row.data(), 256, gray);
                bool right = true;
                for (std::size_t v = 0; v < 256; ++v) {
                    const std::uint8_t* p = row.data() + 3 * v;
                    right = right &&
                            gray[v] == (9798 * p[0] + 19235 * p[1] + 3735 * p[2] + 16384) >> 15;
                }
                CHECK(right);
            }
        }
    }
}

TEST_CASE("both halves of INTER_LINEAR are alike on every instruction set") {
    const ImageKernels& reference = kernels_for(Isa::scalar).image;
    Random random(77);
    for (const Isa isa : isas()) {
        for (const int count : widths()) {
            const auto n = static_cast<std::size_t>(count);
            const GuardedBuffer pairs(2 * n), weights(4 * n), top(2 * n), bottom(2 * n);
            const ByteVector values = test_picture(static_cast<std::uint32_t>(count), 2 * n);
            std::copy(values.begin(), values.end(), pairs.data());
            auto* const w = reinterpret_cast<std::int16_t*>(weights.data());
            auto* const t = reinterpret_cast<std::int16_t*>(top.data());
            auto* const b = reinterpret_cast<std::int16_t*>(bottom.data());
            for (std::size_t i = 0; i < n; ++i) {
                w[2 * i] = static_cast<std::int16_t>(i % 3 == 0 ? 2048 : random.between(0, 2048));
                w[2 * i + 1] = static_cast<std::int16_t>(2048 - w[2 * i]);
                t[i] = static_cast<std::int16_t>(i % 5 == 0 ? 32640 : random.between(0, 32640));
                b[i] = static_cast<std::int16_t>(i % 7 == 0 ? 32640 : random.between(0, 32640));
            }
            const Output expected(2 * n), got(2 * n);
            reference.linear_columns(pairs.data(), w, count,
                                     reinterpret_cast<std::int16_t*>(expected.data()));
            kernels_for(isa).image.linear_columns(pairs.data(), w, count,
                                                  reinterpret_cast<std::int16_t*>(got.data()));
            CHECK_MESSAGE(got.equals(expected), isa_name(isa), " columns ", count);
            CHECK(got.untouched_before());
            for (const int w0 : {0, 1, 1000, 2047, 2048}) {
                const Output expected_row(n), row(n);
                reference.linear_rows(t, b, w0, 2048 - w0, count, expected_row.data());
                kernels_for(isa).image.linear_rows(t, b, w0, 2048 - w0, count, row.data());
                CHECK_MESSAGE(row.equals(expected_row), isa_name(isa), " rows ", count, " weight ",
                              w0);
                CHECK(row.untouched_before());
            }
        }
    }
}
