// SPDX-License-Identifier: MIT
// Films that are stored on their side or with pixels that are not square are shown as they say; what
// they say may be nonsense.
#include <doctest/doctest.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <vector>

#include "host/codec/orientation.h"
#include "unit/helpers.h"
#include "video/decoder.h"
#include "video/frame_shape.h"

using namespace mien;
using namespace mien::video;

TEST_CASE("films: a display matrix is one of eight orientations") {
    constexpr std::int32_t one = 1 << 16;
    const auto turned = [](std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d) {
        const std::int32_t matrix[9] = {a, b, 7, c, d, -7, 512 * one, -9, 1 << 30};
        return orientation_of_matrix(matrix);
    };
    CHECK(turned(one, 0, 0, one) == 1);
    CHECK(turned(0, one, -one, 0) == 6);  // a phone held upright: 90 degrees clockwise
    CHECK(turned(-one, 0, 0, -one) == 3);
    CHECK(turned(0, -one, one, 0) == 8);
    CHECK(turned(-one, 0, 0, one) == 2);
    CHECK(turned(one, 0, 0, -one) == 4);
    CHECK(turned(0, one, one, 0) == 5);
    CHECK(turned(0, -one, -one, 0) == 7);
    CHECK(turned(0, 0, 0, 0) == 1);
    CHECK(turned(one - 300, 4000, -4000, one - 300) == 1);  // by a few degrees
    CHECK(turned(INT_MIN, INT_MIN, INT_MIN, INT_MIN) == 3);
    CHECK(turned(0, INT_MAX, INT_MIN, 0) == 6);
}

TEST_CASE("films: two orientations make one") {
    constexpr int width = 5, height = 3;
    std::vector<std::uint8_t> pixels(width * height);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i);
    for (int first = 1; first <= 8; ++first)
        for (int then = 1; then <= 8; ++then) {
            std::vector<std::uint8_t> between(pixels.size()), stepwise(pixels.size()),
                at_once(pixels.size());
            host::turn_pixels({pixels.data(), width, height, width, 1}, first, between.data());
            const bool lies = host::is_transposed(first);
            const int w = lies ? height : width, h = lies ? width : height;
            host::turn_pixels({between.data(), w, h, w, 1}, then, stepwise.data());
            host::turn_pixels({pixels.data(), width, height, width, 1},
                              host::combined_orientation(first, then), at_once.data());
            CHECK(stepwise == at_once);
        }
    CHECK(host::combined_orientation(0, 6) == 6);
    CHECK(host::combined_orientation(6, -3) == 6);
}

TEST_CASE("films: the width with square pixels is bounded") {
    CHECK(square_width(360, 512, {64, 45}) == 512);
    CHECK(square_width(720, 576, {16, 15}) == 768);
    CHECK(square_width(720, 480, {8, 9}) == 640);
    CHECK(square_width(1440, 1080, {4, 3}) == 1920);
    CHECK(square_width(640, 240, {1, 2}) == 320);
    for (const PixelAspect aspect :
         {PixelAspect{1, 1}, PixelAspect{0, 0}, PixelAspect{0, 1}, PixelAspect{1, 0},
          PixelAspect{-4, -3}, PixelAspect{INT_MAX, 1}, PixelAspect{1, INT_MAX}, PixelAspect{9, 1},
          PixelAspect{INT_MIN, INT_MIN}, PixelAspect{INT_MAX, INT_MAX}})
        CHECK(square_width(640, 480, aspect) == 640);
    CHECK(square_width(max_side, 4, {2, 1}) == max_side);
    CHECK(square_width(8192, 8192, {8, 7}) == 8192);
    CHECK(square_width(1, 1, {1, 8}) == 1);
    CHECK(square_width(100, 100, {INT_MAX, INT_MAX / 2}) == 200);
}

TEST_CASE("films: rows are stretched and narrowed without a shift or a change of brightness") {
    RowStretcher stretcher;
    std::vector<std::uint8_t> out;
    for (const int channels : {1, 3})
        for (const int from : {1, 2, 7, 360})
            for (const int to : {1, 3, 8, 512}) {
                const std::vector<std::uint8_t> even(static_cast<std::size_t>(2 * from * channels),
                                                     201);
                stretcher.stretch({even.data(), from, 2, from * channels, channels}, to, out);
                REQUIRE(out.size() == static_cast<std::size_t>(2 * to * channels));
                CHECK(std::all_of(out.begin(), out.end(), [](int v) { return v == 201; }));
            }
    // A ramp stays a ramp: pixel x of 512 has its middle at (x + 0.5) * 256 / 512 - 0.5.
    std::vector<std::uint8_t> ramp(256);
    for (std::size_t x = 0; x < ramp.size(); ++x) ramp[x] = static_cast<std::uint8_t>(x);
    for (const int to : {512, 300, 128, 37}) {
        stretcher.stretch({ramp.data(), 256, 1, 256, 1}, to, out);
        double worst = 0;
        for (int x = 8; x < to - 8; ++x)
            worst = std::max(
                worst, std::abs(out[static_cast<std::size_t>(x)] - ((x + 0.5) * 256.0 / to - 0.5)));
        CHECK(worst <= 0.51);
    }
}

TEST_CASE("films: frames are stretched, then turned, and pictures are those of the frames") {
    constexpr int width = 8, height = 6;
    std::vector<std::uint8_t> rgb;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < 3; ++c)
                rgb.push_back(static_cast<std::uint8_t>(20 * x + 9 * y + c));
    Packet packet{PixelLayout::rgb24, rgb, width, height, 0, 0, 0};
    packet.aspect = {3, 2};
    packet.orientation = 6;
    Frame frame;
    std::vector<std::uint8_t> picture;
    Decoder decoder({true, true});
    REQUIRE(decoder.decode(packet, frame));
    CHECK(std::pair(frame.width, frame.height) == std::pair(6, 12));
    CHECK(decoder.stored().is_changed);
    CHECK(decoder.stored().width == 8);
    decoder.picture(picture);
    CHECK(picture == std::vector<std::uint8_t>(frame.data, frame.data + 3 * 6 * 12));
    // The upper right corner is the upper left one as stored.
    CHECK(std::abs(picture[3 * 5] - rgb[0]) <= 4);
    CHECK(std::abs(picture[3 * (11 * 6)] - rgb[3 * (5 * 8 + 7)]) <= 4);

    // The user's turn comes after the file's; the two undo each other here.
    Decoder back({true, true, 1, 8});
    REQUIRE(back.decode(packet, frame));
    CHECK(std::pair(frame.width, frame.height) == std::pair(12, 6));
    packet.orientation = 1;
    Decoder plain({true, true});
    Frame only_stretched;
    REQUIRE(plain.decode(packet, only_stretched));
    CHECK(std::equal(frame.data, frame.data + 3 * 6 * 12, only_stretched.data));
    plain.picture(picture);
    CHECK(std::equal(picture.begin(), picture.end(), only_stretched.data));

    packet.orientation = 6;
    DecoderOptions as_stored{true, true};
    as_stored.as_stored = true;
    Decoder stored(as_stored);
    REQUIRE(stored.decode(packet, frame));
    CHECK(frame.data == rgb.data());
    CHECK_FALSE(stored.stored().is_changed);
}
