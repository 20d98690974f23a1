// SPDX-License-Identifier: MIT
// Do JPEGs decode as asked for, whichever decoder the build has, and are the bad ones refused? The
// pixels are compared with those of Pillow by tests/e2e/test_decoders.py.
#include <doctest/doctest.h>

#include <algorithm>
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
ByteVector sloped_jpeg(bool full_color = false) {
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
    const ByteVector jpeg = sloped_jpeg();
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
    const ByteVector jpeg = sloped_jpeg();
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
    const ByteVector jpeg = sloped_jpeg();
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

namespace {

// Of a size that does not divide evenly.
ByteVector photo_jpeg(bool full_color) {
    const auto photo = decode_image(read_file(data_path("photos/astronaut_320.png")));
    REQUIRE(photo);
    const Frame frame{photo->image.pixels.get(), 317, 203,
                      static_cast<std::ptrdiff_t>(photo->image.row_bytes()), PixelFormat::rgb24};
    ByteVector jpeg;
    REQUIRE(encode_jpeg(frame, {.quality = 90, .full_color = full_color}, jpeg));
    return jpeg;
}

// Are rows first to last - 1 of the two the same?
bool same_rows(const JpegPicture& a, const JpegPicture& b, int first, int last) {
    const std::size_t row = a.bytes() / static_cast<std::size_t>(a.height),
                      begin = row * static_cast<std::size_t>(first);
    return std::memcmp(a.pixels.get() + begin, b.pixels.get() + begin,
                       row * static_cast<std::size_t>(last - first)) == 0;
}

}  // namespace

TEST_CASE("jpeg: rows that are read by parts are those of the whole picture") {
    for (const bool full_color : {false, true}) {
        const ByteVector jpeg = photo_jpeg(full_color);
        for (const JpegPixels pixels : {JpegPixels::rgb, JpegPixels::ycbcr, JpegPixels::gray}) {
            for (const int scale : {1, 2}) {
                const JpegRequest request = {.pixels = pixels, .scale = scale};
                const JpegPicture whole = decoded(jpeg, request);
                JpegPicture picture;
                JpegRows rows;
                for (int first = 0; first < whole.height; first += 7) {
                    CAPTURE(first);
                    REQUIRE(rows.begin(jpeg, request, picture));
                    REQUIRE(picture.height == whole.height);
                    std::memset(picture.pixels.get(), 1, picture.bytes());
                    const int last = std::min(first + 1 + first % 30, whole.height);
                    REQUIRE(rows.read(first, last));
                    CHECK(same_rows(picture, whole, first, last));
                    CHECK((!is_turbo || rows.is_whole() == (last - first == whole.height)));
                    // Further down, with the rows between; then above, from where it begins anew.
                    const int further = std::min(last + 40, whole.height);
                    REQUIRE(rows.read(further - 1, further));
                    CHECK(same_rows(picture, whole, first, further));
                    const int above = first / 2;
                    REQUIRE(rows.read(above, above + 1));
                    CHECK(same_rows(picture, whole, above, further));
                    REQUIRE(rows.read(0, whole.height));
                    CHECK(rows.is_whole());
                    CHECK(equal(picture, whole));
                }
            }
        }
    }
}

TEST_CASE("jpeg: what is damaged below the rows that are read does not matter") {
    const ByteVector jpeg = photo_jpeg(false);
    const JpegPicture whole = decoded(jpeg);
    const ByteVector cut(jpeg.begin(), jpeg.begin() + static_cast<long>(jpeg.size() * 3 / 4));
    JpegPicture picture;
    JpegRows rows;
    const Result<> begun = rows.begin(cut, {}, picture);
    if (!is_turbo) return;  // refuses such a file as a whole
    REQUIRE(begun);
    REQUIRE(rows.read(30, 90));
    CHECK(picture.damage.empty());
    CHECK(same_rows(picture, whole, 30, 90));
    const Result<> done = rows.read(0, whole.height);
    CHECK((!done || !picture.damage.empty()));
}

TEST_CASE("jpeg: cut, too large or not one at all") {
    const ByteVector jpeg = sloped_jpeg();
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

namespace {

std::size_t jpeg_scan_begin(const ByteVector& jpeg) {
    std::size_t at = 2;
    while (jpeg[at + 1] != 0xda) at += 2 + (std::size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
    return at + 2 + (std::size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
}

// A JPEG of our own, gray, 16 x 8 blocks with DC alone, and a restart mark behind each row of blocks:
// row r has the level 145 + r.
ByteVector jpeg_with_restarts() {
    ByteVector out = {0xff, 0xd8, 0xff, 0xdb, 0, 67, 0};
    out.insert(out.end(), 64, 1);  // the DC is the mean times 8
    out.insert(out.end(), {0xff, 0xc0, 0, 11, 8, 0, 64, 0, 128, 1, 1, 0x11, 0});
    out.insert(out.end(), {0xff, 0xdd, 0, 4, 0, 16});  // 16 blocks
    // Codes of two bits for a DC of 8 bits (00) and for none (01); one bit for the end of a block.
    out.insert(out.end(), {0xff, 0xc4, 0, 21, 0x00, 0, 2});
    out.insert(out.end(), 14, 0);
    out.insert(out.end(), {8, 0, 0xff, 0xc4, 0, 20, 0x10, 1});
    out.insert(out.end(), 16, 0);
    out.insert(out.end(), {0xff, 0xda, 0, 8, 1, 1, 0x00, 0, 63, 0});
    for (unsigned row = 0; row < 8; ++row) {
        const unsigned level = 136 + 8 * row;    // its first bit is set: no negative number
        unsigned bits = level << 1, count = 11;  // 00, the value, 0
        for (int block = 1; block < 16; ++block) {
            bits = bits << 3 | 2;  // 01, 0
            count += 3;
            while (count >= 8) {
                count -= 8;
                out.push_back(static_cast<std::uint8_t>(bits >> count));
                bits &= (1u << count) - 1;
            }
        }
        if (count > 0)
            out.push_back(
                static_cast<std::uint8_t>(bits << (8 - count) | ((1u << (8 - count)) - 1)));
        if (row < 7) out.insert(out.end(), {0xff, static_cast<std::uint8_t>(0xd0 + row)});
    }
    out.insert(out.end(), {0xff, 0xd9});
    return out;
}

std::vector<std::size_t> restarts_of(const ByteVector& jpeg) {
    std::vector<std::size_t> found;
    for (std::size_t at = jpeg_scan_begin(jpeg); at + 1 < jpeg.size(); ++at)
        if (jpeg[at] == 0xff && jpeg[at + 1] >= 0xd0 && jpeg[at + 1] <= 0xd7) found.push_back(at);
    return found;
}

}  // namespace

TEST_CASE("jpeg: wrong codes and missing data are mentioned") {
    const ByteVector jpeg = sloped_jpeg();
    const std::size_t scan = jpeg_scan_begin(jpeg);
    // All ones is the one code that no table has.
    ByteVector wrong = jpeg;
    for (std::size_t i = scan + 40; i + 3 < wrong.size(); i += 2) {
        wrong[i] = 0xff;
        wrong[i + 1] = 0;
    }
    const auto with_wrong = decode_image(wrong);
    REQUIRE(with_wrong.operator bool() == is_turbo);
    if (is_turbo) {
        CHECK(with_wrong->damage == Damage::certain);
        CHECK(with_wrong->note.find("bad Huffman code") != std::string::npos);
    } else {
        CHECK(with_wrong.error().text.find("damaged JPEG file") != std::string::npos);
    }
    // The end comes early: what is there is shown.
    ByteVector early(jpeg.begin(), jpeg.begin() + static_cast<long>(scan + 100));
    early.insert(early.end(), {0xff, 0xd9});
    const auto shown = decode_image(early);
    REQUIRE(shown);
    CHECK(shown->damage == Damage::certain);
    CHECK(shown->note.find("damaged") != std::string::npos);
    CHECK(std::abs(shown->image.pixels[3 * 10] - 50) < 12);
}

TEST_CASE("jpeg: bytes that no pixel needs are mentioned for photos, and are no damage") {
    ByteVector jpeg = sloped_jpeg();
    const JpegPicture whole = decoded(jpeg);
    CHECK(whole.leftover.empty());
    jpeg.insert(jpeg.end() - 2, 40, 0x55);
    const JpegPicture padded = decoded(jpeg);
    CHECK(equal(padded, whole));
    CHECK(padded.damage.empty());
    CHECK(padded.leftover.find("extraneous bytes before marker 0xd9") != std::string::npos);
    const auto photo = decode_image(jpeg);
    REQUIRE(photo);
    CHECK(photo->note == "may be damaged (" + padded.leftover + ")");
    CHECK(photo->damage == Damage::possible);
}

TEST_CASE("jpeg: an end without its mark, and bytes before the image") {
    const ByteVector jpeg = sloped_jpeg();
    const JpegPicture whole = decoded(jpeg);
    const ByteVector cut(jpeg.begin(), jpeg.end() - 2);
    const JpegPicture all = decoded(cut);
    CHECK(equal(all, whole));
    CHECK(all.damage.empty());
    CHECK(all.leftover == no_end_mark);
    const std::string http = "Content-Type: image/jpeg\r\n\r\n", lost = "\xff\xd8\xff\xd8";
    for (const std::string& before : {std::string("\n"), http, lost}) {
        ByteVector file(before.begin(), before.end());
        file.insert(file.end(), jpeg.begin(), jpeg.end());
        const auto shown = decode_image(file);
        REQUIRE(shown);
        CHECK(shown->damage == Damage::possible);
        CHECK(shown->note ==
              "may be damaged (bytes before the image: " + std::to_string(before.size()) + ")");
        CHECK(std::memcmp(shown->image.pixels.get(), whole.pixels.get(), whole.bytes()) == 0);
    }
    // What is known to be something else stays that; a JPEG far behind is none of ours.
    for (const std::string& before :
         {std::string("<html>"), std::string("%PDF-1.4\n"), std::string(5000, '\n')}) {
        ByteVector file(before.begin(), before.end());
        file.insert(file.end(), jpeg.begin(), jpeg.end());
        CHECK_FALSE(decode_image(file));
    }
}

TEST_CASE("jpeg: restart marks that are lost, doubled or late") {
    const ByteVector jpeg = jpeg_with_restarts();
    const std::vector<std::size_t> at = restarts_of(jpeg);
    REQUIRE(at.size() == 7);
    const auto part = [&jpeg](std::size_t begin, std::size_t end) {
        return ByteVector(jpeg.begin() + static_cast<long>(begin),
                          jpeg.begin() + static_cast<long>(end));
    };
    const auto joined = [](ByteVector a, const ByteVector& b, const ByteVector& c = {}) {
        a.insert(a.end(), b.begin(), b.end());
        a.insert(a.end(), c.begin(), c.end());
        return a;
    };
    const std::size_t size = jpeg.size();
    const auto whole = decode_image(jpeg);
    REQUIRE(whole);
    REQUIRE(whole->note.empty());
    const auto level = [](const DecodedImage& image, int row) {
        return int{image.image.pixels[static_cast<std::size_t>(3 * 128 * (8 * row + 4) + 3 * 40)]};
    };
    for (int row = 0; row < 8; ++row) CHECK(level(*whole, row) == 145 + row);

    // Stray bytes before a mark: all of the image, by either library.
    const auto late =
        decode_image(joined(part(0, at[3]), {0x11, 0xff, 0x00, 0x22}, part(at[3], size)));
    REQUIRE(late);
    CHECK(late->damage == Damage::possible);
    for (int row = 0; row < 8; ++row) CHECK(level(*late, row) == level(*whole, row));
    // An interval cut short, with its mark: the rest is in its place.
    const auto brief = decode_image(joined(part(0, at[3] - 4), part(at[3], size)));
    REQUIRE(brief);
    CHECK(brief->damage == Damage::certain);
    for (const int row : {0, 1, 2, 4, 5, 6, 7}) CHECK(level(*brief, row) == level(*whole, row));
    // An interval or a mark is lost, an interval comes twice: libjpeg-turbo finds its way back.
    for (const ByteVector& file :
         {joined(part(0, at[3]), part(at[4], size)), joined(part(0, at[3]), part(at[3] + 2, size)),
          joined(part(0, at[4]), part(at[3], size))}) {
        const auto shown = decode_image(file);
        REQUIRE(shown.operator bool() == is_turbo);
        const std::string text = is_turbo ? shown->note : shown.error().text;
        CHECK(text.find("instead of RST") != std::string::npos);
        if (!is_turbo) continue;
        CHECK(shown->damage == Damage::certain);
        for (const int row : {0, 1, 2, 6, 7}) CHECK(level(*shown, row) == level(*whole, row));
    }
    // The last ones are lost.
    const auto early = decode_image(joined(part(0, at[5]), {0xff, 0xd9}));
    REQUIRE(early);
    CHECK(early->damage == Damage::certain);
}
