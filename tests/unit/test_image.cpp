// SPDX-License-Identifier: MIT
// Gray and resize are OpenCV's to the bit: checksums made with OpenCV on the same generated images.
#include <doctest/doctest.h>

#include "base/crc32.h"
#include "detect/haar/pyramid.h"
#include "image/gray.h"
#include "kernels/kernels.h"
#include "unit/golden.h"
#include "unit/helpers.h"
#include "unit/resize.h"

using namespace mien;
using namespace mien::test;

namespace {

std::size_t area(int width, int height) {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
}

// A generated frame that ends at a page which must not be touched.
class Picture {
public:
    Picture(PixelFormat format, int width, int height, std::uint32_t seed)
        : format_(format),
          width_(width),
          height_(height),
          bytes_(frame_bytes(format, width, height)) {
        const ByteVector pixels = test_picture(seed, bytes_.size());
        std::memcpy(bytes_.data(), pixels.data(), pixels.size());
    }
    Frame frame() const {
        return {bytes_.data(), width_, height_, std::ptrdiff_t{width_} * bytes_per_pixel(format_),
                format_};
    }
    Rect all() const { return {0, 0, width_, height_}; }
    std::uint8_t* data() const { return bytes_.data(); }

private:
    static std::size_t frame_bytes(PixelFormat format, int width, int height) {
        const std::size_t plane =
            area(width, height) * static_cast<std::size_t>(bytes_per_pixel(format));
        return format == PixelFormat::nv12 ? plane + plane / 2 : plane;
    }
    PixelFormat format_;
    int width_, height_;
    GuardedBuffer bytes_;
};

}  // namespace

TEST_CASE("crc32 is zlib's") {
    const std::string_view text = "123456789";
    const std::span<const std::uint8_t> bytes{reinterpret_cast<const std::uint8_t*>(text.data()),
                                              text.size()};
    CHECK(crc32(bytes) == 0xcbf43926u);
    CHECK(crc32(bytes.subspan(4), crc32(bytes.first(4))) == 0xcbf43926u);
}

TEST_CASE("gray equals OpenCV") {
    for (const Isa isa : isas()) {
        for (const GrayGolden& golden : gray_golden) {
            const Picture source(golden.format, golden.width, golden.height, golden.seed);
            ByteVector gray(area(golden.width, golden.height));
            to_gray(source.frame(), kernels_for(isa).image, gray.data());
            CHECK_MESSAGE(crc32(gray) == golden.crc, isa_name(isa), " ", golden.seed);
        }
    }
}

TEST_CASE("gray of a frame with a stride, upside down") {
    const ByteVector source = test_picture(5, 40 * 10);
    ByteVector gray(10 * 9), expected(10 * 9);
    to_gray({source.data(), 9, 10, 40, PixelFormat::bgra32}, kernels_for(Isa::best).image,
            expected.data());
    to_gray({source.data() + 9 * 40, 9, 10, -40, PixelFormat::bgra32}, kernels_for(Isa::best).image,
            gray.data());
    for (std::size_t y = 0; y < 10; ++y)
        CHECK(std::memcmp(gray.data() + y * 9, expected.data() + (9 - y) * 9, 9) == 0);
}

TEST_CASE("crops are resized as OpenCV does") {
    for (const Isa isa : isas()) {
        for (const ResizeGolden& golden : crop_golden) {
            const Picture source(golden.channels == 1 ? PixelFormat::gray8 : PixelFormat::rgb24,
                                 golden.source_width, golden.source_height, golden.seed);
            const ByteVector out = resized(source.frame(), source.all(), golden.channels,
                                           golden.width, golden.height, isa);
            CHECK_MESSAGE(crc32(out) == golden.crc, isa_name(isa), " case ", golden.seed);
        }
    }
}

TEST_CASE("color crops of YUV frames are OpenCV's") {
    for (const YuvGolden& golden : yuv_golden) {
        const Picture source(golden.format, golden.frame_width, golden.frame_height, golden.seed);
        const Rect part = {golden.x, golden.y, golden.part_width, golden.part_height};
        CHECK_MESSAGE(
            crc32(resized(source.frame(), part, 3, golden.width, golden.height)) == golden.crc,
            "case ", golden.seed);
    }
}

TEST_CASE("crops of the channel orders are those of RGB") {
    const Picture rgb(PixelFormat::rgb24, 31, 17, 8);
    for (const PixelFormat format :
         {PixelFormat::bgr24, PixelFormat::rgba32, PixelFormat::bgra32}) {
        Picture other(format, 31, 17, 9);
        const ChannelOrder order = channel_order(format);
        const auto bytes = static_cast<std::size_t>(bytes_per_pixel(format));
        for (std::size_t i = 0; i < area(31, 17); ++i) {
            other.data()[i * bytes + static_cast<std::size_t>(order.red)] = rgb.data()[3 * i];
            other.data()[i * bytes + static_cast<std::size_t>(order.green)] = rgb.data()[3 * i + 1];
            other.data()[i * bytes + static_cast<std::size_t>(order.blue)] = rgb.data()[3 * i + 2];
        }
        for (const Rect& part : {Rect{3, 2, 20, 9}, {1, 1, 24, 12}, {0, 0, 12, 6}, {30, 16, 1, 1}})
            CHECK(resized(other.frame(), part, 3, 12, 6) == resized(rgb.frame(), part, 3, 12, 6));
    }
    const Picture gray(PixelFormat::gray8, 31, 17, 8);
    const ByteVector single = resized(gray.frame(), gray.all(), 1, 12, 6),
                     three = resized(gray.frame(), gray.all(), 3, 12, 6);
    for (std::size_t i = 0; i < three.size(); ++i) CHECK(three[i] == single[i / 3]);
}

TEST_CASE("levels are resized as OpenCV does") {
    for (const ResizeGolden& golden : level_golden) {
        const ByteVector source =
            test_picture(golden.seed, area(golden.source_width, golden.source_height));
        const auto width = static_cast<std::size_t>(golden.width);
        for (const Isa isa : isas()) {
            const auto place = [&](Arena& arena, IntegralBand& band) {
                band.place(arena, std::max(golden.source_width, golden.width), golden.source_height,
                           1, false, kernels_for(isa));
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
            band.begin(
                {source.data(), golden.source_width, golden.source_width, golden.source_height},
                level, 0, 1);
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
    for (const PixelFormat format : {PixelFormat::yuyv, PixelFormat::uyvy}) {
        CHECK(is_valid({&byte, 2, 1, 4, format}));
        CHECK(!is_valid({&byte, 3, 1, 6, format}));
        CHECK(!is_valid({&byte, 2, 2, 3, format}));
        CHECK(is_valid({&byte, 2, 2, -4, format}));
    }
    CHECK(is_valid({&byte, 2, 2, 2, PixelFormat::nv12}));
    CHECK(!is_valid({&byte, 3, 2, 3, PixelFormat::nv12}));
    CHECK(!is_valid({&byte, 2, 3, 2, PixelFormat::nv12}));
    CHECK(!is_valid({&byte, 2, 2, -2, PixelFormat::nv12}));
}
