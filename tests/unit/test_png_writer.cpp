// SPDX-License-Identifier: MIT
// Does a decoder that is not ours find the same pixels in the PNG files that we write?
#include <doctest/doctest.h>

#include <algorithm>

#include "host/codec/image_file.h"
#include "host/codec/png_writer.h"
#include "unit/helpers.h"

using namespace mien;
using mien::test::Random;
using mien::test::test_picture;

namespace {

// What the decoder makes of it: RGB, so gray comes back threefold.
bool returns_whole(const host::ByteVector& pixels, int width, int height, std::ptrdiff_t stride,
                   PixelFormat format) {
    const host::ByteVector file = host::write_png({pixels.data(), width, height, stride, format});
    const auto decoded = host::decode_image(file);
    if (!decoded || decoded->image.width != width || decoded->image.height != height) return false;
    const int pixel = format == PixelFormat::gray8 ? 1 : 3;
    const std::uint8_t* out = decoded->image.pixels.get();
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < 3; ++c)
                if (*out++ !=
                    pixels[static_cast<std::size_t>(y * stride + x * pixel + (pixel == 3 ? c : 0))])
                    return false;
    return true;
}

}  // namespace

TEST_CASE("PNG files hold the pixels") {
    for (const PixelFormat format : {PixelFormat::gray8, PixelFormat::rgb24}) {
        const int pixel = format == PixelFormat::gray8 ? 1 : 3;
        for (const auto& size : {std::pair{1, 1},
                                 {1, 300},
                                 {300, 1},
                                 {2, 3},
                                 {7, 5},
                                 {64, 64},
                                 {259, 33},
                                 {700, 500}}) {
            const int width = size.first, height = size.second;
            CAPTURE(width);
            CAPTURE(height);
            const std::ptrdiff_t stride = std::ptrdiff_t{width} * pixel;
            const auto bytes = static_cast<std::size_t>(stride * height);
            CHECK(returns_whole(test_picture(3, bytes), width, height, stride, format));
            CHECK(returns_whole(host::ByteVector(bytes, 0), width, height, stride, format));
            CHECK(returns_whole(host::ByteVector(bytes, 200), width, height, stride, format));
            // Slopes with noise, and flat parts of every length with edges between them.
            host::ByteVector slopes(bytes), runs(bytes);
            Random random(9);
            for (std::size_t i = 0; i < bytes; ++i)
                slopes[i] = static_cast<std::uint8_t>(i / 5 + (random.next() >> 30));
            std::uint8_t value = 0;
            for (std::size_t i = 0, left = 0; i < bytes; ++i, --left) {
                if (left == 0) {
                    left = static_cast<std::size_t>(random.between(1, 600));
                    value = static_cast<std::uint8_t>(random.next() >> 24);
                }
                runs[i] = value;
            }
            CHECK(returns_whole(slopes, width, height, stride, format));
            CHECK(returns_whole(runs, width, height, stride, format));
        }
    }
}

TEST_CASE("PNG files of rows with gaps and of rows upside down") {
    const host::ByteVector pixels = test_picture(4, 50 * 20);
    CHECK(returns_whole(pixels, 15, 20, 50, PixelFormat::rgb24));
    const host::ByteVector upward =
        host::write_png({pixels.data() + 19 * 50, 15, 20, -50, PixelFormat::rgb24});
    const auto decoded = host::decode_image(upward);
    REQUIRE(decoded);
    for (std::size_t y = 0; y < 20; ++y)
        CHECK(std::equal(pixels.begin() + static_cast<std::ptrdiff_t>(50 * y),
                         pixels.begin() + static_cast<std::ptrdiff_t>(50 * y + 45),
                         decoded->image.pixels.get() + 45 * (19 - y)));
}

TEST_CASE("PNG files whose Huffman tree would be too deep") {
    // Rows whose differences occur about as often as Fibonacci's numbers, which make the deepest
    // tree that there is.
    std::vector<std::uint8_t> steps;
    for (std::size_t count = 1, next = 1, symbol = 0; symbol < 24; ++symbol) {
        const auto step =
            static_cast<std::uint8_t>(symbol % 2 == 0 ? symbol / 2 : 256 - (symbol + 1) / 2);
        steps.insert(steps.end(), count, step);
        next += count;
        count = next - count;
    }
    Random random(1);
    for (std::size_t i = steps.size() - 1; i > 0; --i)
        std::swap(steps[i], steps[static_cast<std::size_t>(random.next()) % (i + 1)]);
    constexpr int width = 5000;
    steps.resize(steps.size() / width * width);
    host::ByteVector pixels(steps.size());
    std::uint8_t value = 0;
    for (std::size_t i = 0; i < steps.size(); ++i)
        pixels[i] = value = static_cast<std::uint8_t>(value + steps[i]);
    CHECK(returns_whole(pixels, width, static_cast<int>(steps.size()) / width, width,
                        PixelFormat::gray8));
}
