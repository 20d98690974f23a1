// SPDX-License-Identifier: MIT
// Are WebP and TIFF read as they should, where the build has their libraries? The files are made
// here. HEIC and AVIF: tests/e2e/test_formats.py, where there is an encoder for them.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include "host/codec/image_file.h"

using namespace mien;
using namespace mien::host;

namespace {

bool reads_format(const std::string& name) {
    for (const ImageFormatInfo& format : image_formats())
        if (format.name == name) return format.library.find("is missing") == std::string::npos;
    return false;
}

using PixelColor = std::array<int, 4>;

void put_number(ByteVector& out, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

ByteVector riff_chunk(const std::string& tag, const ByteVector& data) {
    ByteVector out(tag.begin(), tag.end());
    put_number(out, data.size(), 4);
    out.insert(out.end(), data.begin(), data.end());
    if (out.size() % 2 != 0) out.push_back(0);
    return out;
}

ByteVector webp_of(std::initializer_list<ByteVector> chunks) {
    ByteVector body = {'W', 'E', 'B', 'P'};
    for (const ByteVector& chunk : chunks) body.insert(body.end(), chunk.begin(), chunk.end());
    return riff_chunk("RIFF", body);
}

// Lossless data of one color: five prefix codes with one symbol each, so no pixel takes a bit.
ByteVector lossless_chunk(int width, int height, const PixelColor& rgba) {
    ByteVector data;
    int used = 0;
    const auto put = [&](unsigned value, int bits) {
        for (int i = 0; i < bits; ++i, ++used) {
            if (used % 8 == 0) data.push_back(0);
            data.back() = static_cast<std::uint8_t>(data.back() | (value >> i & 1) << (used % 8));
        }
    };
    put(0x2f, 8);
    put(static_cast<unsigned>(width - 1), 14);
    put(static_cast<unsigned>(height - 1), 14);
    put(1, 1);      // alpha counts
    put(0, 3 + 3);  // version; no transform, no cache of colors, no groups
    for (const int symbol : {rgba[1], rgba[0], rgba[2], rgba[3], 0}) {
        put(1, 1);
        put(0, 1);
        put(1, 1);
        put(static_cast<unsigned>(symbol), 8);
    }
    data.resize(data.size() + 8);
    return riff_chunk("VP8L", data);
}

ByteVector canvas_chunk(int width, int height, int flags) {
    ByteVector data;
    put_number(data, static_cast<unsigned>(flags), 4);
    put_number(data, static_cast<unsigned>(width - 1), 3);
    put_number(data, static_cast<unsigned>(height - 1), 3);
    return riff_chunk("VP8X", data);
}

ByteVector frame_chunk(int x, int y, int width, int height, const ByteVector& pixels) {
    ByteVector data;
    for (const int value : {x / 2, y / 2, width - 1, height - 1, 100})
        put_number(data, static_cast<unsigned>(value), 3);
    data.push_back(0);
    data.insert(data.end(), pixels.begin(), pixels.end());
    return riff_chunk("ANMF", data);
}

ByteVector exif_of_orientation(int orientation) {
    ByteVector exif = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0};
    put_number(exif, static_cast<unsigned>(orientation), 4);
    put_number(exif, 0, 4);
    return exif;
}

std::vector<int> pixel_of(const Image& image, int x, int y) {
    const std::uint8_t* const p =
        image.pixels.get() + image.row_bytes() * static_cast<std::size_t>(y) + 3 * x;
    return {p[0], p[1], p[2]};
}

struct TiffEntry {
    int tag, type;
    std::uint32_t count, value;
};

// Little endian, one strip.
ByteVector tiff_of(int width, int height, int bits, int samples, const ByteVector& pixels,
                   std::vector<TiffEntry> more = {}, bool next_page = false) {
    ByteVector out = {'I', 'I', 42, 0};
    put_number(out, 8 + pixels.size() + 16, 4);
    out.insert(out.end(), pixels.begin(), pixels.end());
    for (int i = 0; i < 8; ++i) put_number(out, static_cast<unsigned>(bits), 2);
    const auto bits_at = static_cast<std::uint32_t>(8 + pixels.size());
    const bool alone = samples < 3;
    std::vector<TiffEntry> entries = {
        {256, 4, 1, static_cast<std::uint32_t>(width)},
        {257, 4, 1, static_cast<std::uint32_t>(height)},
        {258, 3, static_cast<std::uint32_t>(samples),
         alone ? static_cast<std::uint32_t>(bits | bits << 16) : bits_at},
        {259, 3, 1, 1},
        {262, 3, 1, alone ? 1u : 2u},
        {273, 4, 1, 8},
        {277, 3, 1, static_cast<std::uint32_t>(samples)},
        {278, 4, 1, static_cast<std::uint32_t>(height)},
        {279, 4, 1, static_cast<std::uint32_t>(pixels.size())}};
    if (samples == 2 || samples == 4) entries.push_back({338, 3, 1, 2});  // alpha, not multiplied
    for (const TiffEntry& entry : more) {
        std::erase_if(entries, [&](const TiffEntry& e) { return e.tag == entry.tag; });
        entries.push_back(entry);
    }
    std::sort(entries.begin(), entries.end(),
              [](const TiffEntry& a, const TiffEntry& b) { return a.tag < b.tag; });
    put_number(out, entries.size(), 2);
    for (const TiffEntry& entry : entries) {
        put_number(out, static_cast<unsigned>(entry.tag), 2);
        put_number(out, static_cast<unsigned>(entry.type), 2);
        put_number(out, entry.count, 4);
        put_number(out, entry.value, 4);
    }
    put_number(out, next_page ? 8 + pixels.size() + 16 : 0, 4);
    return out;
}

std::string refusal_of(const ByteVector& bytes, const ImageLimits& limits = {}) {
    const auto decoded = decode_image(bytes, limits);
    return decoded ? "" : decoded.error().text;
}

bool has_words(const std::string& text, const char* words) {
    return text.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("formats: what is read is listed, and so are its endings") {
    const std::string names = image_format_names();
    const auto endings = image_endings();
    for (const auto& [name, ending] : {std::pair{"JPEG", ".jpg"},
                                       {"WebP", ".webp"},
                                       {"TIFF", ".tiff"},
                                       {"HEIC", ".heic"},
                                       {"AVIF", ".avif"}}) {
        const bool listed = has_words(names, name);
        CHECK(listed == (std::find(endings.begin(), endings.end(), ending) != endings.end()));
        const auto formats = image_formats();
        CHECK(listed == std::any_of(formats.begin(), formats.end(),
                                    [&name = name](const auto& f) { return f.name == name; }));
    }
}

TEST_CASE("formats: WebP") {
    if (!reads_format("WebP")) {
        CHECK_FALSE(refusal_of(webp_of({lossless_chunk(4, 4, {1, 2, 3, 255})})).empty());
        return;
    }
    const PixelColor color = {200, 100, 50, 255}, other = {10, 20, 30, 255};
    const std::vector<int> rgb = {200, 100, 50}, black = {0, 0, 0};
    const auto simple = decode_image(webp_of({lossless_chunk(9, 5, color)}));
    REQUIRE(simple);
    CHECK(simple->image.width == 9);
    CHECK(simple->image.height == 5);
    CHECK(simple->note.empty());
    CHECK(pixel_of(simple->image, 8, 4) == rgb);
    // Alpha is dropped: what a transparent pixel stores counts.
    const auto clear =
        decode_image(webp_of({canvas_chunk(9, 5, 16), lossless_chunk(9, 5, {200, 100, 50, 0})}));
    REQUIRE(clear);
    CHECK(pixel_of(clear->image, 3, 3) == rgb);
    // EXIF, as some write it and as others do; the first counts.
    for (const bool prefixed : {false, true}) {
        ByteVector exif = exif_of_orientation(6);
        if (prefixed) exif.insert(exif.begin(), {'E', 'x', 'i', 'f', 0, 0});
        const auto turned = decode_image(
            webp_of({canvas_chunk(9, 5, 8), lossless_chunk(9, 5, color), riff_chunk("EXIF", exif),
                     riff_chunk("EXIF", exif_of_orientation(1))}));
        REQUIRE(turned);
        CHECK(turned->image.width == 5);
        CHECK(turned->image.height == 9);
    }
    // Of an animation the first frame, in its place on black.
    const auto moving =
        decode_image(webp_of({canvas_chunk(20, 10, 2), riff_chunk("ANIM", ByteVector(6)),
                              frame_chunk(4, 2, 9, 5, lossless_chunk(9, 5, color)),
                              frame_chunk(0, 0, 20, 10, lossless_chunk(20, 10, other))}));
    REQUIRE(moving);
    CHECK(moving->note == "animation: only its first frame is used");
    CHECK(moving->image.width == 20);
    CHECK(pixel_of(moving->image, 4, 2) == rgb);
    CHECK(pixel_of(moving->image, 12, 6) == rgb);
    CHECK(pixel_of(moving->image, 3, 2) == black);
    CHECK(pixel_of(moving->image, 13, 6) == black);
    CHECK(pixel_of(moving->image, 19, 9) == black);
}

TEST_CASE("formats: WebP that is damaged or too large") {
    if (!reads_format("WebP")) return;
    const PixelColor color = {1, 2, 3, 255};
    const ByteVector good = webp_of({canvas_chunk(9, 5, 0), lossless_chunk(9, 5, color)});
    REQUIRE(decode_image(good));
    for (std::size_t n = 0; n < good.size(); ++n) {
        CAPTURE(n);
        CHECK_FALSE(refusal_of({good.begin(), good.begin() + static_cast<long>(n)}).empty());
    }
    CHECK(has_words(refusal_of(webp_of({canvas_chunk(9, 6, 0), lossless_chunk(9, 5, color)})),
                    "two sizes"));
    CHECK(has_words(refusal_of(webp_of({canvas_chunk(9, 5, 0)})), "no picture"));
    CHECK(has_words(refusal_of(webp_of({canvas_chunk(16, 8, 2),
                                        frame_chunk(10, 0, 9, 5, lossless_chunk(9, 5, color))})),
                    "two sizes"));
    CHECK(has_words(refusal_of(webp_of({canvas_chunk(1 << 24, 1 << 24, 0)})), "too large"));
    ImageLimits limits;
    limits.max_pixels = 9 * 5 - 1;
    CHECK(has_words(refusal_of(good, limits), "too large: 9 x 5"));
    const ByteVector bomb = webp_of({lossless_chunk(16383, 16383, color)});
    CHECK(has_words(refusal_of(bomb), "too large: 16383 x 16383"));
}

TEST_CASE("formats: TIFF") {
    ByteVector pixels;
    for (int i = 0; i < 6 * 4; ++i)
        for (const int c : {10 * i, 255 - i, 7, 0})  // RGB, and no opacity
            pixels.push_back(static_cast<std::uint8_t>(c));
    const ByteVector file = tiff_of(6, 4, 8, 4, pixels);
    if (!reads_format("TIFF")) {
        CHECK_FALSE(refusal_of(file).empty());
        return;
    }
    const auto simple = decode_image(file);
    REQUIRE(simple);
    CHECK(simple->note.empty());
    CHECK(simple->image.width == 6);
    CHECK(pixel_of(simple->image, 0, 0) == std::vector<int>{0, 255, 7});
    CHECK(pixel_of(simple->image, 5, 1) == std::vector<int>{110, 244, 7});
    // Every orientation, as apply_orientation() has it.
    for (int o = 1; o <= 8; ++o) {
        CAPTURE(o);
        const auto turned =
            decode_image(tiff_of(6, 4, 8, 4, pixels, {{274, 3, 1, static_cast<unsigned>(o)}}));
        auto again = decode_image(file);
        REQUIRE(turned);
        REQUIRE(again);
        const auto expected = apply_orientation(std::move(again->image), o);
        REQUIRE(expected);
        REQUIRE(turned->image.width == expected->width);
        CHECK(std::equal(turned->image.pixels.get(), turned->image.pixels.get() + 6 * 4 * 3,
                         expected->pixels.get()));
    }
    // 16 bits become 8; gray becomes RGB.
    ByteVector deep;
    for (const int value : {0, 0x1234, 0x80ff, 0xffff})
        put_number(deep, static_cast<unsigned>(value), 2);
    const auto gray = decode_image(tiff_of(2, 2, 16, 1, deep));
    REQUIRE(gray);
    CHECK(pixel_of(gray->image, 0, 0) == std::vector<int>{0, 0, 0});
    CHECK(std::abs(pixel_of(gray->image, 1, 0)[0] - 0x12) <= 1);
    CHECK(std::abs(pixel_of(gray->image, 0, 1)[1] - 0x80) <= 1);
    CHECK(pixel_of(gray->image, 1, 1) == std::vector<int>{255, 255, 255});
}

TEST_CASE("formats: TIFF that is damaged, too large or something else") {
    if (!reads_format("TIFF")) return;
    const ByteVector pixels(6 * 4 * 3, 90);
    const ByteVector good = tiff_of(6, 4, 8, 3, pixels);
    REQUIRE(decode_image(good));
    // All but the place of a next page, the last four bytes, is needed.
    for (std::size_t n = 8; n < good.size() - 4; ++n) {
        CAPTURE(n);
        const auto cut = decode_image(std::span(good).first(n));
        CHECK_FALSE(cut);
        if (!cut) CHECK(cut.error().text.find('\n') == std::string::npos);
    }
    // The pixels are not all there.
    CHECK_FALSE(
        refusal_of(tiff_of(6, 4, 8, 3, pixels, {{279, 4, 1, 50}, {273, 4, 1, 9999}})).empty());
    CHECK(has_words(refusal_of(tiff_of(40000, 4, 8, 3, pixels)), "too large"));
    CHECK(has_words(refusal_of(tiff_of(20000, 20000, 8, 3, pixels)), "too large"));
    // A tile larger than anything.
    CHECK_FALSE(
        refusal_of(
            tiff_of(
                6, 4, 8, 3, pixels,
                {{322, 4, 1, 1u << 30}, {323, 4, 1, 1u << 30}, {324, 4, 1, 8}, {325, 4, 1, 72}}))
            .empty());
    // Of a camera raw only a preview could be read.
    CHECK(has_words(refusal_of(tiff_of(6, 4, 8, 3, pixels, {{254, 4, 1, 1}})), "camera raw"));
    CHECK(has_words(refusal_of(tiff_of(6, 4, 8, 3, pixels, {{50706, 1, 4, 0x401}})), "camera raw"));
    CHECK(has_words(refusal_of(tiff_of(6, 4, 8, 3, pixels, {{259, 3, 1, 34712}})), "compression"));
    CHECK(has_words(refusal_of(tiff_of(2, 2, 32, 1, ByteVector(16))), "32 bits"));
    // Pages that lead to themselves.
    const auto pages = decode_image(tiff_of(6, 4, 8, 3, pixels, {}, true));
    REQUIRE(pages);
    CHECK(pages->note == "several pages: only its first is used");
}

TEST_CASE("formats: HEIC and AVIF that are none, and where they are not wanted") {
    ByteVector file = {0, 0, 0, 24, 'f', 't', 'y', 'p', 'h', 'e', 'i', 'c',
                       0, 0, 0, 0,  'm', 'i', 'f', '1', 'h', 'e', 'i', 'c'};
    for (const std::size_t more : {std::size_t{0}, std::size_t{100}}) {
        ByteVector longer = file;
        longer.insert(longer.end(), more, 'x');
        const std::string text = refusal_of(longer);
        CHECK(has_words(text, "HEIC"));
        CHECK(text.find('\n') == std::string::npos);
    }
    if (!reads_format("HEIC")) return;
    ImageLimits limits;
    limits.strict_memory = true;
    CHECK(has_words(refusal_of(file, limits), "HEIC and AVIF are not read here"));
}
