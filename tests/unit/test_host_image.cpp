// SPDX-License-Identifier: MIT
// Do images decode to the right pixels, the right way up, and do damaged ones fail with their
// cause?
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/crc32.h"
#include "host/codec/image_file.h"
#include "host/codec/jpeg.h"
#include "host/codec/jpeg_scans.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::host;
using mien::test::data_path;

namespace {

Image make_image(int width, int height) {
    Image image;
    image.width = width;
    image.height = height;
    image.pixels.reset(static_cast<std::uint8_t*>(
        std::malloc(image.row_bytes() * static_cast<std::size_t>(height))));
    for (int i = 0; i < width * height * 3; ++i)
        image.pixels[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i * 37 + i / 11);
    return image;
}

std::array<int, 3> pixel(const Image& image, int x, int y) {
    const std::uint8_t* p =
        image.pixels.get() + image.row_bytes() * static_cast<std::size_t>(y) + x * 3;
    return {p[0], p[1], p[2]};
}

// TIFF block with one entry, as in EXIF.
ByteVector tiff(int orientation, bool little) {
    if (little)
        return {'I',
                'I',
                42,
                0,
                8,
                0,
                0,
                0,
                1,
                0,
                0x12,
                1,
                3,
                0,
                1,
                0,
                0,
                0,
                static_cast<std::uint8_t>(orientation),
                0,
                0,
                0};
    return {'M', 'M',  0, 42, 0, 0, 0, 8, 0, 1,
            1,   0x12, 0, 3,  0, 0, 0, 1, 0, static_cast<std::uint8_t>(orientation),
            0,   0};
}

void append(ByteVector& to, const ByteVector& bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}
void append_big_u32(ByteVector& to, std::uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8)
        to.push_back(static_cast<std::uint8_t>(v >> shift));
}

ByteVector png_chunk(const char* tag, const ByteVector& data) {
    ByteVector body(tag, tag + 4), chunk;
    append(body, data);
    append_big_u32(chunk, static_cast<std::uint32_t>(data.size()));
    append(chunk, body);
    append_big_u32(chunk, crc32(body));
    return chunk;
}

// Puts `bytes` behind the PNG's signature and header chunk.
ByteVector with_png_chunk(ByteVector png, const ByteVector& chunk) {
    png.insert(png.begin() + 33, chunk.begin(), chunk.end());
    return png;
}

ByteVector with_jpeg_exif(ByteVector jpeg, const ByteVector& exif) {
    ByteVector segment = {0xff, 0xe1, 0, static_cast<std::uint8_t>(exif.size() + 8), 'E', 'x', 'i',
                          'f',  0,    0};
    append(segment, exif);
    jpeg.insert(jpeg.begin() + 2, segment.begin(), segment.end());
    return jpeg;
}

std::string error_of(const ByteVector& bytes, const ImageLimits& limits = {}) {
    const auto decoded = decode_image(bytes, limits);
    return decoded ? "" : decoded.error().text;
}

bool mentions(const std::string& text, const char* word) {
    return text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("a PNG comes back as it was written") {
    const Image image = make_image(7, 5);
    const auto png = encode_image(image.frame(), ImageFormat::png);
    REQUIRE(png);
    const auto decoded = decode_image(*png);
    REQUIRE(decoded);
    CHECK(decoded->image.width == 7);
    CHECK(decoded->image.height == 5);
    CHECK(decoded->note.empty());
    CHECK(std::memcmp(decoded->image.pixels.get(), image.pixels.get(), 7 * 5 * 3) == 0);
}

TEST_CASE("all eight orientations, both byte orders, in PNG") {
    const int w = 37, h = 70;  // larger than a tile of the turning loop in one direction
    const Image image = make_image(w, h);
    const auto png = encode_image(image.frame(), ImageFormat::png);
    REQUIRE(png);
    for (int o = 1; o <= 8; ++o) {
        for (const bool little : {true, false}) {
            CAPTURE(o);
            const auto decoded =
                decode_image(with_png_chunk(*png, png_chunk("eXIf", tiff(o, little))));
            REQUIRE(decoded);
            const Image& turned = decoded->image;
            CHECK(turned.width == (o >= 5 ? h : w));
            CHECK(turned.height == (o >= 5 ? w : h));
            // Where the standard says that row 0 and column 0 of the stored image are to be seen.
            bool equal = true;
            for (int y = 0; y < h; ++y) {
                for (int x = 0; x < w; ++x) {
                    const std::array<std::array<int, 2>, 8> seen = {{{x, y},
                                                                     {w - 1 - x, y},
                                                                     {w - 1 - x, h - 1 - y},
                                                                     {x, h - 1 - y},
                                                                     {y, x},
                                                                     {h - 1 - y, x},
                                                                     {h - 1 - y, w - 1 - x},
                                                                     {y, w - 1 - x}}};
                    const auto& at = seen[static_cast<std::size_t>(o - 1)];
                    equal = equal && pixel(turned, at[0], at[1]) == pixel(image, x, y);
                }
            }
            CHECK(equal);
        }
    }
}

TEST_CASE("orientation in JPEG") {
    const Image image = make_image(40, 24);
    const auto jpeg = encode_image(image.frame(), ImageFormat::jpeg);
    REQUIRE(jpeg);
    const auto plain = decode_image(*jpeg);
    const auto turned = decode_image(with_jpeg_exif(*jpeg, tiff(6, false)));
    REQUIRE(plain);
    REQUIRE(turned);
    CHECK(turned->image.width == 24);
    CHECK(turned->image.height == 40);
    CHECK(pixel(turned->image, 23, 0) == pixel(plain->image, 0, 0));
    CHECK(pixel(turned->image, 0, 39) == pixel(plain->image, 39, 23));
}

TEST_CASE("of several EXIF blocks the first counts, the camera's") {
    const Image image = make_image(40, 24);
    const auto jpeg = encode_image(image.frame(), ImageFormat::jpeg);
    REQUIRE(jpeg);
    // The block that is put in last comes first in the file.
    for (const int first : {6, 1}) {
        const auto edited = with_jpeg_exif(*jpeg, tiff(7 - first, true));
        const auto decoded = decode_image(with_jpeg_exif(edited, tiff(first, true)));
        REQUIRE(decoded);
        CHECK(decoded->image.width == (first == 6 ? 24 : 40));
    }
}

TEST_CASE("EXIF that makes no sense is upright") {
    const ByteVector good = tiff(6, true);
    CHECK(exif_orientation(good) == 6);
    for (std::size_t n = 0; n < good.size(); ++n) {
        const ByteVector cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n));
        CHECK(exif_orientation(cut) == 1);
    }
    CHECK(exif_orientation(tiff(0, true)) == 1);
    CHECK(exif_orientation(tiff(9, false)) == 1);
    ByteVector far = good;
    far[4] = far[5] = far[6] = far[7] = 0xff;  // directory far outside
    CHECK(exif_orientation(far) == 1);
    ByteVector many = good;
    many[8] = many[9] = 0xff;  // more entries than there are bytes
    CHECK(exif_orientation(many) == 6);
    for (std::size_t i = 0; i < good.size(); ++i) {
        for (int v = 0; v < 256; ++v) {
            ByteVector changed = good;
            changed[i] = static_cast<std::uint8_t>(v);
            const int o = exif_orientation(changed);
            CHECK_UNARY(o >= 1 && o <= 8);
        }
    }
}

TEST_CASE("an image cut at any byte is refused, or told of") {
    const Image image = make_image(20, 12);
    for (const ImageFormat format : {ImageFormat::png, ImageFormat::jpeg}) {
        const auto bytes = encode_image(image.frame(), format);
        REQUIRE(bytes);
        for (std::size_t n = 0; n < bytes->size(); ++n) {
            CAPTURE(n);
            const auto cut = decode_image(std::span(*bytes).first(n));
            if (cut) {  // as far as it goes
                CHECK(format == ImageFormat::jpeg);
                CHECK(cut->damage != Damage::none);
                CHECK_FALSE(cut->note.empty());
            } else if (n >= 8) {
                CHECK_UNARY(mentions(cut.error().text, "cut short"));
            }
        }
    }
    ByteVector pgm = {'P',  '5', ' ', '4', ' ', '2', ' ', '2', '5', '5',
                      '\n', 1,   2,   3,   4,   5,   6,   7,   8};
    CHECK(error_of(pgm).empty());
    while (!pgm.empty()) {
        pgm.pop_back();
        CHECK_FALSE(error_of(pgm).empty());
    }
}

TEST_CASE("one changed byte of a PNG's pixels is noticed") {
    const Image image = make_image(20, 12);
    auto png = encode_image(image.frame(), ImageFormat::png);
    REQUIRE(png);
    (*png)[60] ^= 1;
    CHECK(mentions(error_of(*png), "checksum"));
}

// What an earlier call left on the stack, as a key or another client's image would be.
[[gnu::noinline]] void leave_on_the_stack(std::uint8_t value) {
    std::uint8_t room[24 << 10];
    std::memset(room, value, sizeof room);
    asm volatile("" : : "r"(room) : "memory");
}

TEST_CASE("a color that the palette does not have is black, not what was in memory before") {
    // 2 x 1 pixels, of colors 1 and 200; the palettes have two
    ByteVector png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    append(png, png_chunk("IHDR", {0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0}));
    append(png, png_chunk("PLTE", {1, 2, 3, 4, 5, 6}));
    append(png, png_chunk("IDAT", {0x78, 1, 1, 3, 0, 0xfc, 0xff, 0, 1, 200, 0, 0, 0, 0}));
    append(png, png_chunk("IEND", {}));
    const ByteVector bmp = {'B', 'M', 66, 0, 0, 0, 0, 0, 0, 0, 62, 0, 0,   0, 40, 0, 0,
                            0,   2,   0,  0, 0, 1, 0, 0, 0, 1, 0,  8, 0,   0, 0,  0, 0,
                            0,   0,   0,  0, 0, 0, 0, 0, 0, 0, 0,  0, 2,   0, 0,  0, 0,
                            0,   0,   0,  3, 2, 1, 0, 6, 5, 4, 0,  1, 200, 0, 0};
    // The old kind, without a palette that is too short, for stb_image counts four colors too few.
    ByteVector os2 = {'B', 'M', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0,
                      0,   0,   2, 0, 1, 0, 1, 0, 8, 0, 3, 2, 1, 6, 5,  4};
    os2.resize(26 + 256 * 3);
    os2[10] = (26 + 256 * 3) & 255;
    os2[11] = (26 + 256 * 3) >> 8;
    append(os2, {1, 200, 0, 0});
    {
        ByteVector last = os2;
        last[26 + 255 * 3] = 77;
        last[last.size() - 3] = 255;
        const auto decoded = decode_image(last);
        REQUIRE(decoded);
        CHECK(pixel(decoded->image, 1, 0) == std::array{0, 0, 77});
    }
    ByteVector within = bmp;
    within[10] = 20;
    CHECK(mentions(error_of(within), "pixels within the header"));
    for (const ByteVector& file : {png, bmp, os2}) {
        for (const auto before : {std::uint8_t{0x11}, std::uint8_t{0xee}}) {
            leave_on_the_stack(before);
            const auto decoded = decode_image(file);
            REQUIRE_MESSAGE(decoded, (decoded ? "" : decoded.error().text));
            CHECK(pixel(decoded->image, 0, 0) == std::array{4, 5, 6});
            CHECK(pixel(decoded->image, 1, 0) == std::array{0, 0, 0});
        }
    }
}

TEST_CASE("a PNG with a second palette, or one behind the pixels, is refused") {
    // 2 x 1 pixels of a palette; readers differ in which of two palettes they take
    const ByteVector first = png_chunk("PLTE", {1, 2, 3, 4, 5, 6});
    const ByteVector second = png_chunk("PLTE", {9, 9, 9, 7, 7, 7});
    const ByteVector data = png_chunk("IDAT", {0x78, 1, 1, 3, 0, 0xfc, 0xff, 0, 0, 1, 0, 4, 0, 2});
    const auto png = [&](std::initializer_list<ByteVector> chunks) {
        ByteVector file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
        append(file, png_chunk("IHDR", {0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0}));
        for (const ByteVector& chunk : chunks) append(file, chunk);
        append(file, png_chunk("IEND", {}));
        return file;
    };
    CHECK(error_of(png({first, data})).empty());
    CHECK(mentions(error_of(png({first, second, data})), "palette twice or too late"));
    CHECK(mentions(error_of(png({first, data, second})), "palette twice or too late"));
}

TEST_CASE("bytes behind the end do not disturb") {
    const Image image = make_image(20, 12);
    for (const ImageFormat format : {ImageFormat::png, ImageFormat::jpeg}) {
        auto bytes = encode_image(image.frame(), format);
        REQUIRE(bytes);
        bytes->insert(bytes->end(), 100, 0x55);
        CHECK(error_of(*bytes).empty());
    }
}

TEST_CASE("size limits hold before decoding") {
    ByteVector header = {0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20, 8, 2, 0, 0, 0};  // 20000 x 20000, RGB
    ByteVector png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    append(png, png_chunk("IHDR", header));
    append(png, png_chunk("IDAT", {0x78, 0x9c, 3, 0, 0, 0, 0, 1}));
    append(png, png_chunk("IEND", {}));
    CHECK(mentions(error_of(png), "too large: 20000 x 20000"));
    ImageLimits limits;
    limits.max_pixels = 10;
    const std::string pgm = "P5 4 3 255\n123456789012";
    CHECK(mentions(error_of({pgm.begin(), pgm.end()}, limits), "too large"));
    const std::string wide = "P5 99999999999999999999 1 255\n1";
    CHECK(mentions(error_of({wide.begin(), wide.end()}), "too large"));
    // Sides whose product of samples no integer holds, with limits that let them through.
    limits.max_pixels = std::numeric_limits<std::uint64_t>::max();
    limits.max_side = std::numeric_limits<int>::max();
    const std::string huge = "P6 2147483647 2147483647 65535\n1";
    CHECK(mentions(error_of({huge.begin(), huge.end()}, limits), "cut short"));
}

TEST_CASE("the scans of a JPEG are limited by its pixels") {
    const ByteVector pixels(40 * 30 * 3, 90);
    const Frame frame = {pixels.data(), 40, 30, 120, PixelFormat::rgb24};
    JpegSettings settings;
    settings.full_color = false;  // whose scans take no more memory than is allowed
    ByteVector jpeg;
    REQUIRE(encode_jpeg(frame, settings, jpeg));
    const ByteVector mark = {0xff, 0xda};
    const auto scan = std::search(jpeg.begin(), jpeg.end(), mark.begin(), mark.end());
    const auto with_scans = [&](int count) {
        ByteVector file(jpeg.begin(), scan);
        for (int i = 0; i < count; ++i) file.insert(file.end(), scan, jpeg.end() - 2);
        file.insert(file.end(), jpeg.end() - 2, jpeg.end());
        return file;
    };
    ImageLimits limits;
    CHECK(inspect_image(with_scans(300), limits));
    CHECK_FALSE(inspect_image(with_scans(301), limits));
    limits.max_pixels = 40 * 30;  // the largest image there is
    CHECK(inspect_image(with_scans(20), limits));
    CHECK_FALSE(inspect_image(with_scans(21), limits));
    limits.max_pixels = 2 * 40 * 30;
    CHECK(inspect_image(with_scans(40), limits));
    CHECK_FALSE(inspect_image(with_scans(41), limits));
}

TEST_CASE("a JPEG that claims more pixels than its data can hold is refused") {
    const Image image = make_image(160, 160);
    auto jpeg = encode_image(image.frame(), ImageFormat::jpeg);
    REQUIRE(jpeg);
    const ByteVector mark = {0xff, 0xc0};
    const auto frame = std::search(jpeg->begin(), jpeg->end(), mark.begin(), mark.end());
    REQUIRE(frame != jpeg->end());
    const auto patched = [&](int side) {
        ByteVector file = *jpeg;
        const auto at = frame - jpeg->begin() + 5;
        for (const int i : {0, 2}) {
            file[static_cast<std::size_t>(at + i)] = static_cast<std::uint8_t>(side >> 8);
            file[static_cast<std::size_t>(at + i + 1)] = static_cast<std::uint8_t>(side);
        }
        return file;
    };
    CHECK(error_of(*jpeg).empty());
    CHECK(mentions(error_of(patched(7000)), "cut short: 7000 x 7000 pixels have at least"));
    CHECK_FALSE(inspect_image(patched(7000), {}));
    CHECK(inspect_image(patched(200), {}));  // may be
    // As few bits as there can be: one color.
    Image plain = make_image(2000, 1999);
    std::fill_n(plain.pixels.get(), 2000 * 1999 * 3, std::uint8_t{200});
    const auto small = encode_image(plain.frame(), ImageFormat::jpeg);
    REQUIRE(small);
    CHECK(inspect_image(*small, {}));
}

TEST_CASE("a JPEG that ends properly but too early is told of, whichever library decodes it") {
    const ByteVector photo = mien::test::read_file(data_path("photos/astronaut.jpg"));
    CHECK(check_jpeg_scans(photo).missing.empty());
    const Image noise = make_image(301, 203);
    const auto own = encode_image(noise.frame(), ImageFormat::jpeg);
    REQUIRE(own);
    for (const ByteVector& whole : {photo, *own}) {
        REQUIRE(decode_image(whole));
        CHECK(decode_image(whole)->note.empty());
        CHECK(check_jpeg_scans(whole).missing.empty());
        for (const std::size_t percent : {30u, 50u, 80u, 90u, 97u}) {
            CAPTURE(percent);
            ByteVector cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(
                                                              whole.size() * percent / 100));
            cut.push_back(0xff);
            cut.push_back(0xd9);
            CHECK(check_jpeg_scans(cut).missing == "premature end of data segment");
            const auto decoded = decode_image(cut);
            if (decoded) CHECK(mentions(decoded->note, "premature end of data segment"));
        }
    }
}

TEST_CASE("memory is bounded by pixels and by what each of them takes") {
    const auto png_of = [](std::uint32_t side, std::uint8_t depth, std::uint8_t type,
                           std::uint8_t interlaced) {
        ByteVector header;
        append_big_u32(header, side);
        append_big_u32(header, side);
        for (const std::uint8_t byte : {depth, type, std::uint8_t{0}, std::uint8_t{0}, interlaced})
            header.push_back(byte);
        ByteVector png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
        append(png, png_chunk("IHDR", header));
        append(png, png_chunk("IDAT", {0x78, 0x9c, 3, 0, 0, 0, 0, 1}));
        append(png, png_chunk("IEND", {}));
        return png;
    };
    ImageLimits limits;
    limits.max_pixels = 50'000'000;
    // 49 million pixels of 8 bits; then of 16, of which half as many fit
    CHECK(inspect_image(png_of(7000, 8, 6, 0), limits));
    CHECK(inspect_image(png_of(6000, 8, 2, 1), limits));
    CHECK(mentions(error_of(png_of(7000, 8, 6, 1), limits), "each of which takes 14 bytes"));
    CHECK(mentions(error_of(png_of(7000, 16, 6, 0), limits),
                   "too large: 7000 x 7000 pixels, each of which takes 16 bytes to read, the limit "
                   "is 25 million"));
    CHECK(inspect_image(png_of(4999, 16, 6, 0), limits));
    CHECK_FALSE(inspect_image(png_of(4999, 16, 6, 1), limits));
    const ByteVector gif = {'G', 'I', 'F', '8', '9', 'a', 0x58, 0x1b, 0x58, 0x1b, 0x80, 0,
                            0,   0,   0,   0,   255, 255, 255,  0x2c, 0,    0,    0,    0,
                            1,   0,   1,   0,   0,   2,   2,    0x44, 1,    0,    0x3b};
    REQUIRE(gif.size() == 35);
    CHECK(mentions(error_of(gif, limits), "each of which takes 9 bytes"));
    CHECK(inspect_image(gif, {}));  // 134 million pixels are allowed
}

namespace {

// RGBA whose samples are (x + 3y + 50c) % 251, with their high byte first if there are 16 bits;
// nothing is compressed, and the data come in chunks as encoders write them.
ByteVector uncompressed_png(std::uint32_t side, std::size_t sample_bytes, bool interlaced) {
    struct Pass {
        std::uint32_t x, y, dx, dy;
    };
    const std::vector<Pass> passes =
        interlaced ? std::vector<Pass>{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                       {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
                   : std::vector<Pass>{{0, 0, 1, 1}};
    ByteVector rows;
    for (const Pass& pass : passes) {
        for (std::uint32_t y = pass.y; y < side; y += pass.dy) {
            rows.push_back(0);  // no filter
            for (std::uint32_t x = pass.x; x < side; x += pass.dx)
                for (std::uint32_t c = 0; c < 4; ++c)
                    rows.insert(rows.end(), sample_bytes,
                                static_cast<std::uint8_t>((x + 3 * y + 50 * c) % 251));
        }
    }
    ByteVector packed = {0x78, 1};
    for (std::size_t at = 0; at < rows.size(); at += 65535) {
        const std::size_t count = std::min<std::size_t>(rows.size() - at, 65535);
        packed.push_back(at + count == rows.size() ? 1 : 0);
        for (const std::size_t number : {count, ~count}) {
            packed.push_back(static_cast<std::uint8_t>(number));
            packed.push_back(static_cast<std::uint8_t>(number >> 8));
        }
        const auto from = rows.begin() + static_cast<std::ptrdiff_t>(at);
        packed.insert(packed.end(), from, from + static_cast<std::ptrdiff_t>(count));
    }
    packed.insert(packed.end(), 4, 0);  // a checksum that the decoder does not look at
    ByteVector header;
    append_big_u32(header, side);
    append_big_u32(header, side);
    for (const std::size_t byte : {8 * sample_bytes, std::size_t{6}, std::size_t{0}, std::size_t{0},
                                   std::size_t{interlaced}})
        header.push_back(static_cast<std::uint8_t>(byte));
    ByteVector png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    append(png, png_chunk("IHDR", header));
    for (std::size_t at = 0; at < packed.size(); at += 8192) {
        const auto from = packed.begin() + static_cast<std::ptrdiff_t>(at);
        const std::size_t count = std::min<std::size_t>(packed.size() - at, 8192);
        append(png, png_chunk("IDAT", ByteVector(from, from + static_cast<std::ptrdiff_t>(count))));
    }
    append(png, png_chunk("IEND", {}));
    return png;
}

}  // namespace

TEST_CASE("large PNGs that hardly compress, and interlaced ones, are within what they may take") {
    struct Case {
        std::uint32_t side;
        std::size_t sample_bytes;
        bool interlaced;
    };
    // Sizes of which a block that grows by doubling is almost twice as large as it has to be.
    for (const Case& each :
         {Case{725, 2, false}, Case{1025, 1, false}, Case{750, 1, true}, Case{725, 2, true}}) {
        CAPTURE(each.side);
        CAPTURE(each.interlaced);
        const auto decoded =
            decode_image(uncompressed_png(each.side, each.sample_bytes, each.interlaced));
        REQUIRE(decoded);
        bool same = true;
        for (std::uint32_t y = 0; y < each.side; y += 7) {
            for (std::uint32_t x = 0; x < each.side; x += 5) {
                const auto sample = [&](std::uint32_t c) {
                    return static_cast<int>((x + 3 * y + 50 * c) % 251);
                };
                same = same && pixel(decoded->image, static_cast<int>(x), static_cast<int>(y)) ==
                                   std::array{sample(0), sample(1), sample(2)};
            }
        }
        CHECK(same);
    }
}

TEST_CASE("PNM with other maxima is scaled") {
    const ByteVector gray = {'P', '5', '\n', '#', 'x',  '\n', '3', ' ', '1',
                             ' ', '1', '0',  '0', '\n', 0,    50,  100};
    const auto small = decode_image(gray);
    REQUIRE(small);
    CHECK(pixel(small->image, 0, 0) == std::array{0, 0, 0});
    CHECK(pixel(small->image, 1, 0) == std::array{128, 128, 128});
    CHECK(pixel(small->image, 2, 0) == std::array{255, 255, 255});
    const ByteVector deep = {'P', '6', ' ',  '1',  ' ',  '1',  ' ',  '6', '5', '5',
                             '3', '5', '\n', 0xff, 0xff, 0x80, 0x00, 0,   0};
    const auto wide = decode_image(deep);
    REQUIRE(wide);
    CHECK(pixel(wide->image, 0, 0) == std::array{255, 128, 0});
}

TEST_CASE("alpha is dropped") {
    // A BMP of 32 bits would do, but PNG is what has alpha in practice: 2 x 1, RGBA, stored block
    // of deflate.
    const ByteVector rows = {0, 200, 100, 0, 0, 200, 100, 0, 255};
    ByteVector deflate = {0x78, 1, 1, 9, 0, 0xf6, 0xff};
    append(deflate, rows);
    std::uint32_t a = 1, b = 0;  // Adler-32
    for (const std::uint8_t v : rows) {
        a = (a + v) % 65521;
        b = (b + a) % 65521;
    }
    append_big_u32(deflate, b << 16 | a);
    ByteVector png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    append(png, png_chunk("IHDR", {0, 0, 0, 2, 0, 0, 0, 1, 8, 6, 0, 0, 0}));
    append(png, png_chunk("IDAT", deflate));
    append(png, png_chunk("IEND", {}));
    const auto decoded = decode_image(png);
    REQUIRE(decoded);
    CHECK(pixel(decoded->image, 0, 0) == std::array{200, 100, 0});
    CHECK(pixel(decoded->image, 1, 0) == std::array{200, 100, 0});
}

TEST_CASE("other files are called by their name") {
    const auto named = [](std::string head, const char* word) {
        head.resize(64, '\1');
        const std::string error = error_of({head.begin(), head.end()});
        CAPTURE(error);
        CHECK_UNARY(mentions(error, word));
    };
    named(std::string("\0\0\0\x18"
                      "ftypheic",
                      12),
          "HEIC");
    named(std::string("\0\0\0\x18"
                      "ftypavif",
                      12),
          "AVIF");
    named("RIFF1234WEBPVP8 ", "WebP");
    named(std::string("II*\0", 4), "TIFF");
    named("%PDF-1.4", "PDF");
    named("MIEN", "weights");
    named("P3 1 1 255\n0 0 0", "PNM as text");
    CHECK(mentions(error_of({}), "empty"));
    const std::string text = "hello, this is a text\n";
    CHECK(mentions(error_of({text.begin(), text.end()}), "text file"));
}
