// SPDX-License-Identifier: MIT
// Gray and resize are OpenCV's to the bit: checksums made with OpenCV on the same generated pictures.
#include <doctest/doctest.h>

#include "base/crc32.h"
#include "image/gray.h"
#include "kernels/kernels.h"
#include "detect/pyramid.h"
#include "image/resize.h"
#include "unit/golden.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::test;

namespace {

std::size_t area(int width, int height) { return static_cast<std::size_t>(width) * static_cast<std::size_t>(height); }

}  // namespace

TEST_CASE("crc32 is zlib's") {
    const std::string_view text = "123456789";
    const std::span<const std::uint8_t> bytes{reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
    CHECK(crc32(bytes) == 0xcbf43926u);
    CHECK(crc32(bytes.subspan(4), crc32(bytes.first(4))) == 0xcbf43926u);
}

TEST_CASE("gray equals OpenCV") {
    for (const GrayGolden& golden : gray_golden) {
        const int pixel = bytes_per_pixel(golden.format);
        const ByteVector source = test_picture(golden.seed, area(golden.width, golden.height) * static_cast<std::size_t>(pixel));
        ByteVector gray(area(golden.width, golden.height));
        to_gray({source.data(), golden.width, golden.height, std::ptrdiff_t{golden.width} * pixel, golden.format}, kernels_for(Isa::best).image, gray.data());
        CHECK(crc32(gray) == golden.crc);
    }
}

TEST_CASE("gray of a frame with a stride, upside down") {
    const ByteVector source = test_picture(5, 40 * 10);
    ByteVector gray(10 * 9), expected(10 * 9);
    to_gray({source.data(), 9, 10, 40, PixelFormat::bgra32}, kernels_for(Isa::best).image, expected.data());
    to_gray({source.data() + 9 * 40, 9, 10, -40, PixelFormat::bgra32}, kernels_for(Isa::best).image, gray.data());
    for (std::size_t y = 0; y < 10; ++y)
        CHECK(std::memcmp(gray.data() + y * 9, expected.data() + (9 - y) * 9, 9) == 0);
}

TEST_CASE("crops are resized as OpenCV does") {
    for (const ResizeGolden& golden : crop_golden) {
        const auto pixels = area(golden.source_width, golden.source_height) * static_cast<std::size_t>(golden.channels);
        const ByteVector source = test_picture(golden.seed, pixels);
        ByteVector out(area(golden.width, golden.height) * static_cast<std::size_t>(golden.channels));
        std::vector<LinearTap> taps(static_cast<std::size_t>(golden.width));
        const int order[3] = {0, 1, 2};
        resize_linear({source.data(), std::ptrdiff_t{golden.source_width} * golden.channels, golden.source_width, golden.source_height,
                       golden.channels},
                      order, golden.channels, golden.width, golden.height, taps.data(), out.data());
        CHECK_MESSAGE(crc32(out) == golden.crc, "case ", golden.seed);
    }
}

TEST_CASE("levels are resized as OpenCV does") {
    for (const ResizeGolden& golden : level_golden) {
        const ByteVector source = test_picture(golden.seed, area(golden.source_width, golden.source_height));
        const auto width = static_cast<std::size_t>(golden.width);
        for (const Isa isa : isas()) {
            const auto place = [&](Arena& arena, IntegralBand& band) {
                band.place(arena, std::max(golden.source_width, golden.width), golden.source_height, 1, false, kernels_for(isa));
            };
            Arena measure;
            IntegralBand measured, band;
            place(measure, measured);
            std::vector<std::byte> memory(measure.required_bytes());
            Arena arena(memory.data(), memory.size());
            place(arena, band);
            Level level = {};
            level.width = golden.width;
            level.height = golden.height;
            level.step = 1;
            band.begin({source.data(), golden.source_width, golden.source_width, golden.source_height}, level, 0, 1);
            std::uint32_t crc = 0;
            for (int y = 0; y < golden.height; ++y) crc = crc32({band.level_row(y), width}, crc);
            CHECK_MESSAGE(crc == golden.crc, "case ", golden.seed, " ", isa_name(isa));
        }
    }
}

TEST_CASE("frames that cannot be read are refused") {
    const std::uint8_t byte = 0;
    CHECK(is_valid({&byte, 1, 1, 1, PixelFormat::gray8}));
    CHECK(!is_valid({nullptr, 1, 1, 1, PixelFormat::gray8}));
    CHECK(!is_valid({&byte, 0, 1, 1, PixelFormat::gray8}));
    CHECK(!is_valid({&byte, 1, -1, 1, PixelFormat::gray8}));
    CHECK(!is_valid({&byte, 4, 2, 3, PixelFormat::gray8}));
    CHECK(!is_valid({&byte, 4, 2, 11, PixelFormat::rgb24}));
    CHECK(!is_valid({&byte, 1, 1, 1, static_cast<PixelFormat>(77)}));
}
