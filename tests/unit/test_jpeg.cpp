// SPDX-License-Identifier: MIT
// Do JPEGs decode as asked for, whichever decoder the build has, and are the bad ones refused? The
// pixels are compared with those of Pillow by tests/e2e/test_decoders.py.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "host/codec/image_file.h"
#include "host/codec/jpeg.h"
#include "host/codec/jpeg_tables.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::host;
using namespace mien::test;

namespace {

const bool is_turbo = jpeg_library() != std::string("stb_image");

// A slope in red and green over 48 x 32 pixels.
ByteVector small_jpeg(bool full_color = false) {
    ByteVector rgb(3 * 48 * 32), jpeg;
    for (std::size_t y = 0; y < 32; ++y) {
        for (std::size_t x = 0; x < 48; ++x) {
            rgb[3 * (y * 48 + x)] = static_cast<std::uint8_t>(x * 5);
            rgb[3 * (y * 48 + x) + 1] = static_cast<std::uint8_t>(y * 7);
            rgb[3 * (y * 48 + x) + 2] = 90;
        }
    }
    const Frame frame{rgb.data(), 48, 32, 3 * 48, PixelFormat::rgb24};
    REQUIRE(encode_jpeg(frame, {.quality = 80, .full_color = full_color}, jpeg));
    return jpeg;
}

// Where the segment of `marker` starts, its FF included.
std::size_t find_segment(const ByteVector& jpeg, std::uint8_t marker) {
    std::size_t at = 2;
    while (jpeg[at + 1] != marker) {
        REQUIRE(jpeg[at + 1] != 0xda);
        at += 2 + (std::size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
    }
    return at;
}

// Takes every Huffman table out, as cameras do.
ByteVector without_tables(const ByteVector& jpeg) {
    ByteVector out(jpeg.begin(), jpeg.begin() + 2);
    std::size_t at = 2;
    while (jpeg[at + 1] != 0xda) {
        const std::size_t length = 2 + (std::size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
        if (jpeg[at + 1] != 0xc4)
            out.insert(out.end(), jpeg.begin() + static_cast<long>(at),
                       jpeg.begin() + static_cast<long>(at + length));
        at += length;
    }
    out.insert(out.end(), jpeg.begin() + static_cast<long>(at), jpeg.end());
    return out;
}

JpegPicture decoded(const ByteVector& jpeg, const JpegRequest& request = {}) {
    JpegPicture picture;
    REQUIRE(decode_jpeg(jpeg, request, picture));
    return picture;
}

bool equal(const JpegPicture& a, const JpegPicture& b) {
    return a.width == b.width && a.height == b.height && a.kind == b.kind &&
           std::memcmp(a.pixels.get(), b.pixels.get(), a.bytes()) == 0;
}

}  // namespace

TEST_CASE("jpeg: without Huffman tables and with bytes behind the end") {
    const ByteVector jpeg = small_jpeg();
    const JpegPicture whole = decoded(jpeg);
    CHECK(whole.width == 48);
    CHECK(whole.height == 32);
    CHECK(whole.damage.empty());
    CHECK(std::abs(whole.pixels[3 * (10 * 48 + 20)] - 100) < 12);
    const ByteVector stripped = without_tables(jpeg);
    REQUIRE(stripped.size() < jpeg.size());
    CHECK(equal(decoded(stripped), whole));
    CHECK(with_huffman_tables(jpeg).empty());
    CHECK(equal(decoded(with_huffman_tables(stripped)), whole));
    ByteVector padded = jpeg;
    padded.resize(jpeg.size() + 5000, 0);
    CHECK(equal(decoded(padded), whole));
}

TEST_CASE("jpeg: a smaller size, and memory that is kept") {
    const ByteVector jpeg = small_jpeg();
    JpegPicture picture;
    REQUIRE(decode_jpeg(jpeg, {}, picture));
    const std::uint8_t* const first = picture.pixels.get();
    REQUIRE(decode_jpeg(jpeg, {.scale = 2}, picture));
    CHECK(picture.width == 24);
    CHECK(picture.height == 16);
    CHECK(std::abs(picture.pixels[3 * (5 * 24 + 10)] - 102) < 12);
    CHECK(picture.capacity == 3 * 48 * 32);
    CHECK(picture.pixels.get() == first);
}

TEST_CASE("jpeg: gray, brightness and colors as stored") {
    const ByteVector jpeg = small_jpeg();
    const JpegPicture rgb = decoded(jpeg), gray = decoded(jpeg, {.pixels = JpegPixels::gray}),
                      ycbcr = decoded(jpeg, {.pixels = JpegPixels::ycbcr});
    REQUIRE(rgb.kind == JpegPixels::rgb);
    CHECK(gray.kind == (is_turbo ? JpegPixels::gray : JpegPixels::rgb));
    CHECK(ycbcr.kind == (is_turbo ? JpegPixels::ycbcr : JpegPixels::rgb));
    if (is_turbo) {
        bool same = true;
        for (std::size_t i = 0; i < gray.bytes(); ++i)
            same = same && gray.pixels[i] == ycbcr.pixels[3 * i];
        CHECK(same);
    }
    // One that holds gray alone: RGB all the same where RGB is wanted.
    const ByteVector pixels(20 * 10, 77);
    ByteVector gray_jpeg;
    REQUIRE(encode_jpeg({pixels.data(), 20, 10, 20, PixelFormat::gray8}, {}, gray_jpeg));
    const JpegPicture wide = decoded(gray_jpeg);
    CHECK(wide.kind == JpegPixels::rgb);
    for (std::size_t c = 0; c < 3; ++c) CHECK(std::abs(wide.pixels[c] - 77) <= 1);
    CHECK(decoded(gray_jpeg, {.pixels = JpegPixels::ycbcr}).kind ==
          (is_turbo ? JpegPixels::gray : JpegPixels::rgb));
}

TEST_CASE("jpeg: rows with gaps, and rows from the bottom up, are written as they are") {
    ByteVector pixels(40 * 3 * 16), plain, gaps;
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 5);
    ByteVector packed;
    for (std::size_t y = 16; y-- > 0;)
        packed.insert(packed.end(), pixels.begin() + static_cast<long>(y * 120),
                      pixels.begin() + static_cast<long>(y * 120 + 90));
    REQUIRE(encode_jpeg({packed.data(), 30, 16, 90, PixelFormat::rgb24}, {}, plain));
    REQUIRE(encode_jpeg({pixels.data() + 15 * 120, 30, 16, -120, PixelFormat::rgb24}, {}, gaps));
    CHECK(plain == gaps);
}

TEST_CASE("jpeg: cut, too large or not one at all") {
    const ByteVector jpeg = small_jpeg();
    JpegPicture picture;
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{2}, std::size_t{100}, jpeg.size() / 2, jpeg.size() - 30}) {
        CAPTURE(length);
        const auto done =
            decode_jpeg(std::span(jpeg).first(length), {.pixels = JpegPixels::gray}, picture);
        // A frame of a camera with this note is dropped.
        const std::string text = done ? picture.damage : done.error().text;
        CHECK_FALSE(text.empty());
        CHECK(text.find('\n') == std::string::npos);
    }
    JpegRequest small;
    small.limits.max_pixels = 48 * 32 - 1;
    const auto refused = decode_jpeg(jpeg, small, picture);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text.find("too large: 48 x 32") != std::string::npos);
    small.limits = {};
    small.limits.max_side = 47;
    CHECK_FALSE(decode_jpeg(jpeg, small, picture));
    ByteVector huge = jpeg;  // 65,535 rows
    const std::size_t frame = find_segment(huge, 0xc0);
    huge[frame + 5] = huge[frame + 6] = 0xff;
    CHECK_FALSE(decode_jpeg(huge, {}, picture));
    const auto png = encode_image({jpeg.data(), 4, 4, 4, PixelFormat::gray8}, ImageFormat::png);
    REQUIRE(png);
    CHECK_FALSE(decode_jpeg(*png, {}, picture));
}

TEST_CASE("jpeg: wrong codes are refused, missing data is mentioned") {
    const ByteVector jpeg = small_jpeg();
    const std::size_t scan = [&jpeg] {
        std::size_t at = 2;
        while (jpeg[at + 1] != 0xda) at += 2 + (std::size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
        return at + 2 + (std::size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
    }();
    // All ones is the one code that no table has.
    ByteVector wrong = jpeg;
    for (std::size_t i = scan + 40; i + 3 < wrong.size(); i += 2) {
        wrong[i] = 0xff;
        wrong[i + 1] = 0;
    }
    const auto refused = decode_image(wrong);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text.find("damaged JPEG file") != std::string::npos);
    // The end comes early: what is there is shown. stb_image does not say so.
    ByteVector early(jpeg.begin(), jpeg.begin() + static_cast<long>(scan + 100));
    early.insert(early.end(), {0xff, 0xd9});
    const auto shown = decode_image(early);
    REQUIRE(shown);
    CHECK(shown->note.empty() == !is_turbo);
    if (is_turbo) CHECK(shown->note.find("damaged") != std::string::npos);
    CHECK(std::abs(shown->image.pixels[3 * 10] - 50) < 12);
}

TEST_CASE("jpeg: bytes that no pixel needs are mentioned for photos, and are no damage") {
    ByteVector jpeg = small_jpeg();
    const JpegPicture whole = decoded(jpeg);
    CHECK(whole.leftover.empty());
    jpeg.insert(jpeg.end() - 2, 40, 0x55);
    const JpegPicture padded = decoded(jpeg);
    CHECK(equal(padded, whole));
    CHECK(padded.damage.empty());
    CHECK(padded.leftover.empty() == !is_turbo);
    const auto photo = decode_image(jpeg);
    REQUIRE(photo);
    CHECK(photo->note == (is_turbo ? "may be damaged (" + padded.leftover + ")" : ""));
}
