// SPDX-License-Identifier: MIT
// Streams are cut into frames wherever the pipe cuts them, hostile ones end with a line; JPEGs of
// cameras decode; recordings are whole.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <tuple>

#include "base/bytes.h"
#include "host/codec/image_file.h"
#include "host/codec/jpeg.h"
#include "host/codec/orientation.h"
#include "host/files/file_io.h"
#include "live/statistics.h"
#include "unit/helpers.h"
#include "video/decoder.h"
#include "video/jpeg_splitter.h"
#include "video/recorder.h"
#include "video/retry.h"
#include "video/source.h"

using namespace mien;
using namespace mien::test;
using namespace mien::video;

namespace {

// A pipe into which a thread writes `bytes` in pieces of `piece`.
class Feeder {
public:
    Feeder(std::string bytes, std::size_t piece) {
        std::signal(SIGPIPE, SIG_IGN);  // a source that gives up closes its end
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        reader = ends[0];
        thread_ = std::thread([bytes = std::move(bytes), piece, out = ends[1]] {
            for (std::size_t at = 0; at < bytes.size(); at += piece) {
                if (::write(out, bytes.data() + at, std::min(piece, bytes.size() - at)) < 0) break;
            }
            ::close(out);
        });
    }
    ~Feeder() { thread_.join(); }
    int reader;

private:
    std::thread thread_;
};

struct Seen {
    std::vector<ByteVector> frames;
    std::vector<Packet> packets;
    std::string error;
};
Seen read_all(Source& source) {
    Seen seen;
    for (;;) {
        Packet packet;
        const Next next = source.next(packet, 1000);
        if (next == Next::packet) {
            seen.frames.emplace_back(packet.bytes.begin(), packet.bytes.end());
            seen.packets.push_back(packet);
        }
        if (next == Next::failed) seen.error = source.error();
        if (next == Next::end || next == Next::failed) return seen;
    }
}
Seen read_stream(const std::string& bytes, StreamOptions options = {}, std::size_t piece = 1000) {
    Feeder feeder(bytes, piece);
    auto source = open_stream(feeder.reader, options);
    if (!source) return {{}, {}, source.error().text};
    Seen seen = read_all(**source);
    return seen;
}

std::string pattern(std::size_t bytes, int seed) {
    std::string text(bytes, '\0');
    for (std::size_t i = 0; i < bytes; ++i)
        text[i] = static_cast<char>(i * 7 + static_cast<std::size_t>(seed) * 31);
    return text;
}

std::vector<std::uint8_t> camera_jpeg(int width = 48, int height = 32) {
    std::vector<std::uint8_t> rgb(static_cast<std::size_t>(3 * width * height)), jpeg;
    const Frame frame{rgb.data(), width, height, 3 * width, PixelFormat::rgb24};
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            rgb[static_cast<std::size_t>(3 * (y * width + x))] = static_cast<std::uint8_t>(x * 5);
            rgb[static_cast<std::size_t>(3 * (y * width + x)) + 1] =
                static_cast<std::uint8_t>(y * 7);
            rgb[static_cast<std::size_t>(3 * (y * width + x)) + 2] = 90;
        }
    REQUIRE(host::encode_jpeg(frame, {.quality = 80, .full_color = false}, jpeg));
    return jpeg;
}
}  // namespace

namespace {

PixelAspect seen_aspect(const std::string& field) {
    const Seen seen = read_stream("YUV4MPEG2 W2 H2 F1:1 " + field + " Cmono\nFRAME\nabcd");
    REQUIRE(seen.packets.size() == 1);
    return seen.packets[0].aspect;
}

}  // namespace

TEST_CASE("video: YUV4MPEG2 in pieces of any length") {
    const std::size_t bytes = packet_bytes(PixelLayout::yu12, 5, 3);
    CHECK(bytes == 5 * 3 + 2 * 3 * 2);
    std::string stream = "YUV4MPEG2 W5 H3 F25:2 Ip A1:1 C420jpeg XSOME\n";
    for (int i = 0; i < 3; ++i) stream += (i == 1 ? "FRAME Ip\n" : "FRAME\n") + pattern(bytes, i);
    for (const std::size_t piece : {1u, 7u, 1000u}) {
        const Seen seen = read_stream(stream, {}, piece);
        CHECK(seen.error == "");
        REQUIRE(seen.frames.size() == 3);
        for (int i = 0; i < 3; ++i) {
            const std::string want = pattern(bytes, i);
            CHECK(std::memcmp(seen.frames[static_cast<std::size_t>(i)].data(), want.data(),
                              bytes) == 0);
            CHECK(seen.packets[static_cast<std::size_t>(i)].number ==
                  static_cast<std::uint64_t>(i));
            CHECK(seen.packets[static_cast<std::size_t>(i)].time_ns ==
                  static_cast<std::uint64_t>(i) * 80'000'000u);
            CHECK(seen.packets[static_cast<std::size_t>(i)].width == 5);
        }
    }
    CHECK(read_stream(stream.substr(0, stream.size() - 1)).error ==
          "cut short in frame 2: 32 of 33 bytes");
    CHECK(read_stream(stream.substr(0, stream.size() - 1)).frames.size() == 2);
    CHECK(read_stream("YUV4MPEG2 W5 H3 F25:1 C444\nFRAME\n").error.find("colour type 444") !=
          std::string::npos);
    CHECK(read_stream("YUV4MPEG2 W5 H99999999999 F25:1\nFRAME\n").error.find("cannot be") !=
          std::string::npos);
    CHECK(read_stream("YUV4MPEG2 W-5 H3\nFRAME\n").error.find("cannot be") != std::string::npos);
    CHECK(read_stream("YUV4MPEG2 F1:1\nFRAME\n").error.find("cannot be") != std::string::npos);
    CHECK(read_stream("YUV4MPEG2 W5 H3 F0:0 C420\nFRAMX\n" + pattern(bytes, 0))
              .error.find("does not begin with FRAME") != std::string::npos);
    CHECK(read_stream("YUV4MPEG2 W5" + std::string(10000, ' ')).error.find("no end") !=
          std::string::npos);
    CHECK(read_stream("YUV4MPEG2 W5 H3").error.find("cut short") != std::string::npos);
    CHECK(seen_aspect("A64:45") == PixelAspect{64, 45});
    CHECK(seen_aspect("A0:0") == PixelAspect{0, 0});
    CHECK(seen_aspect("A") == PixelAspect{0, 0});
    CHECK(seen_aspect("Ax:y") == PixelAspect{0, 0});
    CHECK(seen_aspect("A4") == PixelAspect{4, 0});
    CHECK(seen_aspect("A99999999999999999999:-7") == PixelAspect{1 << 30, -1});
    CHECK(seen_aspect("") == PixelAspect{1, 1});
    CHECK(read_stream("").error == "is empty");
    CHECK(read_stream("hello, this is text").error.find("--raw") != std::string::npos);
}

TEST_CASE("video: raw pixels") {
    StreamOptions options;
    options.raw = true;
    options.layout = PixelLayout::yuyv;
    options.width = 4;
    options.height = 2;
    options.fps = 10;
    const Seen seen = read_stream(pattern(3 * 16, 5), options, 5);
    REQUIRE(seen.frames.size() == 3);
    CHECK(seen.packets[2].time_ns == 200'000'000u);
    CHECK(seen.error == "");
    CHECK(read_stream(pattern(17, 5), options).error == "cut short in frame 1: 1 of 16 bytes");
    options.height = 1 << 20;
    CHECK(read_stream("x", options).error.find("cannot be") != std::string::npos);
}

TEST_CASE("video: motion JPEG is split by markers, also around thumbnails and noise") {
    const std::vector<std::uint8_t> jpeg = camera_jpeg();
    // A picture with a thumbnail inside of an APP segment.
    std::vector<std::uint8_t> nested(jpeg.begin(), jpeg.begin() + 2);
    const std::size_t length = jpeg.size() + 2;
    nested.insert(nested.end(), {0xff, 0xe1, static_cast<std::uint8_t>(length >> 8),
                                 static_cast<std::uint8_t>(length)});
    nested.insert(nested.end(), jpeg.begin(), jpeg.end());
    nested.insert(nested.end(), jpeg.begin() + 2, jpeg.end());
    std::string stream;
    for (const std::vector<std::uint8_t>* picture :
         {&jpeg, static_cast<const std::vector<std::uint8_t>*>(&nested), &jpeg})
        stream.append(picture->begin(), picture->end()).append(5, '\0');
    for (const std::size_t piece : {1u, 13u, 100000u}) {
        const Seen seen = read_stream(stream + std::string(), {}, piece);
        REQUIRE(seen.frames.size() == 3);
        CHECK(seen.frames[0] == jpeg);
        CHECK(seen.frames[1] == nested);
    }
    const Seen cut = read_stream(std::string(jpeg.begin(), jpeg.end()) +
                                 std::string(jpeg.begin(), jpeg.begin() + 100));
    CHECK(cut.frames.size() == 1);
    CHECK(cut.error == "cut short in frame 1");
}

TEST_CASE("video: motion JPEG of a camera's web address, also joined in the middle") {
    const std::vector<std::uint8_t> jpeg = camera_jpeg();
    const std::string picture(jpeg.begin(), jpeg.end());
    std::string stream = "HTTP/1.0 200 OK\r\n\r\n";
    for (int i = 0; i < 3; ++i)
        stream += "--boundary\r\nContent-type: image/jpeg\r\nContent-Length: " +
                  std::to_string(picture.size()) + "\r\n\r\n" + picture + "\r\n";
    stream += "--boundary--\r\n";
    for (const std::size_t piece : {1u, 13u, 100000u}) {
        for (const std::size_t from : {0u, 19u, 120u}) {
            CAPTURE(piece);
            CAPTURE(from);
            const Seen seen = read_stream(stream.substr(from), {}, piece);
            CHECK(seen.error == "");
            REQUIRE(seen.frames.size() == (from == 120 ? 2 : 3));
            for (const auto& frame : seen.frames) CHECK(frame == jpeg);
        }
        const Seen bare = read_stream((picture + picture + picture).substr(200), {}, piece);
        REQUIRE(bare.frames.size() == 2);
        CHECK(bare.frames[1] == jpeg);
    }
    CHECK(picture.size() > 200);
}

TEST_CASE("video: what a pipe holds is named") {
    using namespace std::string_literals;
    const std::pair<std::string, const char*> others[] = {{"\0\0\0\1\x67\x64\0\x1f"s, "H.264"},
                                                          {"\x1a\x45\xdf\xa3"s, "Matroska"},
                                                          {"\0\0\0\x20"s + "ftypisom", "MP4"},
                                                          {"RIFF1234WAVE", "a RIFF file"},
                                                          {"\x89PNG\r\n\x1a\n"s, "PNG"},
                                                          {"GIF89a", "GIF"},
                                                          {"OggS", "Ogg"},
                                                          {"FLV\1"s, "Flash"}};
    for (const auto& other : others) {
        CAPTURE(other.second);
        const Seen seen = read_stream(other.first + std::string(100, 'x'));
        CHECK(seen.error.find("is "s + other.second) == 0);
        CHECK(seen.error.find("ffmpeg") != std::string::npos);
    }
    // Long and of no kind: the search ends.
    CHECK(read_stream(std::string(std::size_t{9} << 20, 'x'), {}, 1 << 20).error.find("--raw") !=
          std::string::npos);
}

TEST_CASE(
    "video: the gray of a frame is the same with and without colour, and short frames are "
    "refused") {
    const std::vector<std::uint8_t> jpeg = camera_jpeg();
    Decoder gray({}), drawn({false, true, 1});
    const Packet packet = {PixelLayout::jpeg, jpeg, 0, 0, 0, 0, 0};
    Frame a, b;
    REQUIRE(gray.decode(packet, a));
    REQUIRE(drawn.decode(packet, b));
    if (host::jpeg_library() != std::string("stb_image")) CHECK(a.format == PixelFormat::gray8);
    REQUIRE(a.width == b.width);
    CHECK(std::memcmp(a.data, b.data, static_cast<std::size_t>(a.width * a.height)) == 0);
    // Each plain layout: a gray ramp without colour comes back as that gray, whatever the stride.
    for (const PixelLayout layout :
         {PixelLayout::gray8, PixelLayout::yuyv, PixelLayout::uyvy, PixelLayout::nv12,
          PixelLayout::yu12, PixelLayout::rgb24, PixelLayout::bgr24}) {
        CAPTURE(layout_name(layout));
        const std::size_t row = row_bytes(layout, 8), stride = row + 6;
        std::vector<std::uint8_t> bytes(packet_bytes(layout, 8, 4, stride), 128);
        for (std::size_t y = 0; y < 4; ++y)
            for (std::size_t x = 0; x < row; ++x) {
                const std::size_t pixel = x * 8 / row;
                const bool luma = (layout != PixelLayout::yuyv || x % 2 == 0) &&
                                  (layout != PixelLayout::uyvy || x % 2 == 1);
                if (luma) bytes[y * stride + x] = static_cast<std::uint8_t>(40 + 20 * pixel + y);
            }
        const Packet plain = {layout, bytes, 8, 4, stride, 0, 0};
        for (const bool colour : {false, true}) {
            Decoder decoder({colour, true, 1});
            Frame frame;
            REQUIRE(decoder.decode(plain, frame));
            CHECK(frame.width == 8);
            std::vector<std::uint8_t> rgb;
            decoder.picture(rgb);
            REQUIRE(rgb.size() == 3 * 8 * 4);
            const bool yuv = layout != PixelLayout::gray8 && layout != PixelLayout::rgb24 &&
                             layout != PixelLayout::bgr24;
            const int y = 40 + 20 * 3 + 2,
                      want = yuv ? static_cast<int>(std::lround((y - 16) * 255 / 219.0)) : y;
            for (std::size_t c = 0; c < 3; ++c)
                CHECK(std::abs(rgb[3 * (2 * 8 + 3) + c] - want) <= 1);
        }
        Packet cut = plain;
        cut.bytes = cut.bytes.first(bytes.size() - 7);
        Decoder decoder({});
        Frame frame;
        REQUIRE_FALSE(decoder.decode(cut, frame));
        CHECK(decoder.decode(cut, frame).error().text.find("short frame") != std::string::npos);
        cut = plain;
        cut.width = 1 << 20;
        CHECK_FALSE(decoder.decode(cut, frame));
    }
}

namespace {

// Pixel x, y of a frame by the definition of its format, written without a look at the decoder: as
// R, G, B, or as Y, U, V; gray has one number in all three.
struct DefinedPixel {
    int a = 0, b = 0, c = 0;
    [[nodiscard]] DefinedPixel with_luma(int luma) const { return {luma, b, c}; }
};
struct DefinedFrame {
    PixelLayout layout;
    int width, height, stride;
    const std::vector<std::uint8_t>& bytes;

    [[nodiscard]] int at(int offset) const { return bytes.at(static_cast<std::size_t>(offset)); }
    [[nodiscard]] int half(int value) const { return (value + 1) / 2; }
    [[nodiscard]] DefinedPixel packed(int x, int y, const char* order) const {
        const std::string text(order);
        const int pair = y * stride + x / 2 * 4;
        const std::size_t luma = text.find('Y', x % 2 == 0 ? 0 : text.find('Y') + 1);
        return {at(pair + static_cast<int>(luma)), at(pair + static_cast<int>(text.find('U'))),
                at(pair + static_cast<int>(text.find('V')))};
    }
    [[nodiscard]] DefinedPixel pairs(int x, int y, bool v_first, int rows_per_chroma) const {
        const int chroma = height * stride + y / rows_per_chroma * (2 * half(stride)) + x / 2 * 2;
        const int first = at(chroma), second = at(chroma + 1);
        return {at(y * stride + x), v_first ? second : first, v_first ? first : second};
    }
    [[nodiscard]] int word(int x, int y) const {
        return at(y * stride + 2 * x) + 256 * at(y * stride + 2 * x + 1);
    }
    // Mean, rounded to nearest, of the neighbors (and the pixel) that have color `wanted`; the
    // border mirrors.
    [[nodiscard]] int bayer(const char* pattern, int x, int y, char wanted) const {
        const auto color = [&](int u, int v) { return pattern[(v & 1) * 2 + (u & 1)]; };
        const auto value = [&](int u, int v) {
            u = u < 0 ? -u : u >= width ? 2 * (width - 1) - u : u;
            v = v < 0 ? -v : v >= height ? 2 * (height - 1) - v : v;
            return at(v * stride + u);
        };
        if (color(x, y) == wanted) return value(x, y);
        int sum = 0, count = 0;
        for (int v = y - 1; v <= y + 1; ++v)
            for (int u = x - 1; u <= x + 1; ++u) {
                if (color(u, v) != wanted) continue;
                sum += value(u, v);
                ++count;
            }
        return (2 * sum + count) / (2 * count);
    }
    [[nodiscard]] DefinedPixel demosaiced(int x, int y, const char* pattern) const {
        return {bayer(pattern, x, y, 'R'), bayer(pattern, x, y, 'G'), bayer(pattern, x, y, 'B')};
    }
    [[nodiscard]] DefinedPixel pixel(int x, int y) const {
        const auto gray = [](int value) { return DefinedPixel{value, value, value}; };
        switch (layout) {
            case PixelLayout::yuyv: return packed(x, y, "YUYV");
            case PixelLayout::yvyu: return packed(x, y, "YVYU");
            case PixelLayout::uyvy: return packed(x, y, "UYVY");
            case PixelLayout::vyuy: return packed(x, y, "VYUY");
            case PixelLayout::nv12: return pairs(x, y, false, 2);
            case PixelLayout::nv21: return pairs(x, y, true, 2);
            case PixelLayout::nv16:
                return pairs(x, y / 2 * 2, false, 1).with_luma(at(y * stride + x));
            case PixelLayout::nv61:
                return pairs(x, y / 2 * 2, true, 1).with_luma(at(y * stride + x));
            case PixelLayout::yu12:
            case PixelLayout::yv12: {
                const int first = height * stride + y / 2 * half(stride) + x / 2,
                          second = first + half(stride) * half(height);
                const bool u_first = layout == PixelLayout::yu12;
                return {at(y * stride + x), at(u_first ? first : second),
                        at(u_first ? second : first)};
            }
            case PixelLayout::y10: return gray(word(x, y) / 4);
            case PixelLayout::y12: return gray(word(x, y) / 16);
            case PixelLayout::y16: return gray(word(x, y) / 256);
            case PixelLayout::rgb565:
            case PixelLayout::rgb565be: {
                const int little = word(x, y), value = layout == PixelLayout::rgb565
                                                           ? little
                                                           : little % 256 * 256 + little / 256;
                const int r = value / 2048, g = value / 32 % 64, b = value % 32;
                // The highest bits are repeated below, so that 0 and all ones are black and white.
                return {r * 8 + r / 4, g * 4 + g / 16, b * 8 + b / 4};
            }
            case PixelLayout::rgb32:
            case PixelLayout::bgr32: {
                const int first = y * stride + 4 * x;
                const bool red_first = layout == PixelLayout::rgb32;
                return {at(first + (red_first ? 0 : 2)), at(first + 1),
                        at(first + (red_first ? 2 : 0))};
            }
            case PixelLayout::bggr: return demosaiced(x, y, "BGGR");
            case PixelLayout::gbrg: return demosaiced(x, y, "GBRG");
            case PixelLayout::grbg: return demosaiced(x, y, "GRBG");
            case PixelLayout::rggb: return demosaiced(x, y, "RGGB");
            default: return gray(at(y * stride + x));
        }
    }
    [[nodiscard]] bool is_yuv() const {
        switch (layout) {
            case PixelLayout::yuyv:
            case PixelLayout::yvyu:
            case PixelLayout::uyvy:
            case PixelLayout::vyuy:
            case PixelLayout::nv12:
            case PixelLayout::nv21:
            case PixelLayout::nv16:
            case PixelLayout::nv61:
            case PixelLayout::yu12:
            case PixelLayout::yv12: return true;
            default: return false;
        }
    }
    [[nodiscard]] bool is_gray() const {
        return layout == PixelLayout::gray8 || layout == PixelLayout::y10 ||
               layout == PixelLayout::y12 || layout == PixelLayout::y16;
    }
    // R, G, B in floating point, of ITU-R BT.601 with Y from 16 to 235.
    [[nodiscard]] DefinedPixel rgb(int x, int y) const {
        const DefinedPixel p = pixel(x, y);
        if (!is_yuv()) return p;
        const double l = 255.0 / 219 * std::max(p.a - 16, 0), u = 255.0 / 224 * (p.b - 128),
                     v = 255.0 / 224 * (p.c - 128);
        const auto byte = [](double value) {
            return static_cast<int>(std::lround(std::clamp(value, 0.0, 255.0)));
        };
        return {byte(l + 1.402 * v), byte(l - 0.344136 * u - 0.714136 * v), byte(l + 1.772 * u)};
    }
};

}  // namespace

TEST_CASE("video: pixels of every format are those of its definition, whatever size and padding") {
    constexpr PixelLayout layouts[] = {
        PixelLayout::gray8, PixelLayout::yuyv,  PixelLayout::yvyu,   PixelLayout::uyvy,
        PixelLayout::vyuy,  PixelLayout::nv12,  PixelLayout::nv21,   PixelLayout::nv16,
        PixelLayout::nv61,  PixelLayout::yu12,  PixelLayout::yv12,   PixelLayout::y10,
        PixelLayout::y12,   PixelLayout::y16,   PixelLayout::rgb565, PixelLayout::rgb565be,
        PixelLayout::rgb32, PixelLayout::bgr32, PixelLayout::bggr,   PixelLayout::gbrg,
        PixelLayout::grbg,  PixelLayout::rggb};
    constexpr int sizes[][2] = {{8, 6}, {7, 5}, {2, 2}, {3, 2}, {9, 8}, {16, 3}};
    constexpr int paddings[] = {0, 1, 2, 6, 13};
    std::uint32_t state = 1;
    for (const PixelLayout layout : layouts)
        for (const auto& size : sizes)
            for (const int padding : paddings) {
                const int width = size[0], height = size[1];
                CAPTURE(layout_name(layout));
                CAPTURE(width);
                CAPTURE(height);
                CAPTURE(padding);
                const std::size_t stride =
                    row_bytes(layout, width) + static_cast<std::size_t>(padding);
                // Not one byte more than the pixels need: a sanitizer sees who reads further.
                std::vector<std::uint8_t> bytes(least_packet_bytes(layout, width, height, stride));
                for (std::uint8_t& byte : bytes)
                    byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
                const bool wide = layout == PixelLayout::y10 || layout == PixelLayout::y12;
                if (wide)
                    for (std::size_t i = 1; i < bytes.size(); i += 2)
                        bytes[i] &= layout == PixelLayout::y10 ? 3 : 15;
                if (wide && stride % 2 != 0) continue;  // the bits above 10 would not be 0
                if (layout == PixelLayout::y16) bytes[1] |= 0x80;
                const DefinedFrame defined = {layout, width, height, static_cast<int>(stride),
                                              bytes};
                const Packet packet = {layout, bytes, width, height, stride, 0, 0};
                for (const bool color : {false, true}) {
                    Decoder decoder({color, true, 1});
                    Frame frame;
                    REQUIRE(decoder.decode(packet, frame));
                    REQUIRE(frame.width >= (width & ~1));
                    REQUIRE(frame.height >= (height & ~1));
                    std::vector<std::uint8_t> rgb;
                    int wrong = 0;
                    const auto differs = [&wrong](int got, int want, int by) {
                        wrong += std::abs(got - want) > by;
                    };
                    // What the engine sees: luma as it is, or R, G, B.
                    for (int y = 0; y < frame.height; ++y)
                        for (int x = 0; x < frame.width; ++x) {
                            const std::uint8_t* row = frame.data + y * frame.stride_bytes;
                            const DefinedPixel want = defined.pixel(x, y);
                            switch (frame.format) {
                                case PixelFormat::gray8: differs(row[x], want.a, 0); break;
                                case PixelFormat::yuyv:
                                    differs(row[2 * x], want.a, 0);
                                    if (!color) break;
                                    differs(row[x / 2 * 4 + 1], want.b, 0);
                                    differs(row[x / 2 * 4 + 3], want.c, 0);
                                    break;
                                case PixelFormat::uyvy:
                                    differs(row[2 * x + 1], want.a, 0);
                                    if (!color) break;
                                    differs(row[x / 2 * 4], want.b, 0);
                                    differs(row[x / 2 * 4 + 2], want.c, 0);
                                    break;
                                case PixelFormat::nv12: {
                                    const std::uint8_t* pair =
                                        frame.data + (frame.height + y / 2) * frame.stride_bytes +
                                        x / 2 * 2;
                                    differs(row[x], want.a, 0);
                                    differs(pair[0], want.b, 0);
                                    differs(pair[1], want.c, 0);
                                    break;
                                }
                                case PixelFormat::rgb24:
                                    differs(row[3 * x], want.a, 0);
                                    differs(row[3 * x + 1], want.b, 0);
                                    differs(row[3 * x + 2], want.c, 0);
                                    break;
                                default: ++wrong;
                            }
                        }
                    CHECK(wrong == 0);
                    // And what people see.
                    decoder.picture(rgb);
                    REQUIRE(rgb.size() == 3 * static_cast<std::size_t>(frame.width * frame.height));
                    for (int y = 0; y < frame.height; ++y)
                        for (int x = 0; x < frame.width; ++x) {
                            const DefinedPixel want = defined.rgb(x, y);
                            const std::uint8_t* got =
                                rgb.data() + 3 * static_cast<std::size_t>(y * frame.width + x);
                            differs(got[0], want.a, 1);
                            differs(got[1], want.b, 1);
                            differs(got[2], want.c, 1);
                        }
                    CHECK(wrong == 0);
                }
                // One byte less is a frame that ends early.
                Packet cut = packet;
                cut.bytes = cut.bytes.first(bytes.size() - 1);
                Decoder decoder({});
                Frame frame;
                CHECK_FALSE(decoder.decode(cut, frame));
            }
}

TEST_CASE("video: gray of 16 bits is as bright as the sensor's bits allow, and does not flicker") {
    Decoder decoder({});
    const auto first_pixel = [&](int value, int brightest) {
        const std::vector<std::uint8_t> bytes = {
            static_cast<std::uint8_t>(value & 255), static_cast<std::uint8_t>(value >> 8),
            static_cast<std::uint8_t>(brightest & 255), static_cast<std::uint8_t>(brightest >> 8)};
        Frame frame;
        REQUIRE(decoder.decode({PixelLayout::y16, bytes, 2, 1, 4, 0, 0}, frame));
        return static_cast<int>(frame.data[0]);
    };
    CHECK(first_pixel(400, 900) == 100);      // 10 bits so far
    CHECK(first_pixel(400, 3000) == 25);      // 12
    CHECK(first_pixel(400, 900) == 25);       // as before, though this frame is dark
    CHECK(first_pixel(400, 9000) == 6);       // 14
    CHECK(first_pixel(51200, 65535) == 200);  // 16
    CHECK(first_pixel(0, 0) == 0);
}

TEST_CASE("video: names of formats lead to a format and back") {
    std::string_view names = layout_names;
    int count = 0;
    while (!names.empty()) {
        const std::string_view name = names.substr(0, names.find(','));
        PixelLayout layout{};
        CAPTURE(name);
        REQUIRE(find_layout(name, layout));
        CHECK(layout_name(layout) == name);
        ++count;
        names.remove_prefix(std::min(names.size(), name.size() + 2));
    }
    CHECK(count == 25);
}

TEST_CASE("video: frames of a camera that hangs askew are set upright, in every format") {
    // Left to right dark to light, with a light bar at the top: each orientation is told apart.
    constexpr int width = 8, height = 6;
    const auto luma = [](int x, int y) { return y == 0 ? 235 : 20 + 20 * x; };
    std::string yuyv, nv12, gray;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            gray += static_cast<char>(luma(x, y));
            yuyv += static_cast<char>(luma(x, y));
            yuyv += '\x80';
        }
    nv12 = gray + std::string(width * height / 2, '\x80');
    std::string rgb;
    for (const char c : gray) rgb += std::string(3, c);
    const std::tuple<PixelLayout, const std::string*> formats[] = {
        {PixelLayout::gray8, &gray}, {PixelLayout::yuyv, &yuyv}, {PixelLayout::yvyu, &yuyv},
        {PixelLayout::nv12, &nv12},  {PixelLayout::nv21, &nv12}, {PixelLayout::yu12, &nv12},
        {PixelLayout::yv12, &nv12},  {PixelLayout::rgb24, &rgb}};
    for (int degrees = 0; degrees < 360; degrees += 90)
        for (int turns = 0; turns < 4; ++turns) {
            const bool mirror = (turns & 1) != 0, flip = (turns & 2) != 0;
            const auto orientation = host::orientation_of(degrees, mirror, flip);
            REQUIRE(orientation);
            if (*orientation == 1) continue;  // frames stay where and as they are
            for (const auto& format : formats)
                for (const bool color : {false, true}) {
                    const std::string& bytes = *std::get<1>(format);
                    Packet packet;
                    packet.layout = std::get<0>(format);
                    packet.bytes = {reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                    bytes.size()};
                    packet.width = width;
                    packet.height = height;
                    Decoder decoder({color, true, 1, *orientation});
                    Frame frame;
                    REQUIRE(decoder.decode(packet, frame));
                    const bool lies = degrees == 90 || degrees == 270;
                    REQUIRE(frame.width == (lies ? height : width));
                    REQUIRE(frame.height == (lies ? width : height));
                    std::vector<std::uint8_t> picture;
                    decoder.picture(picture);
                    REQUIRE(picture.size() == 3 * width * height);
                    const std::ptrdiff_t step = frame.format == PixelFormat::gray8 ? 1 : 3;
                    int wrong = 0;
                    for (int y = 0; y < frame.height; ++y)
                        for (int x = 0; x < frame.width; ++x) {
                            // Back: what was done last is undone first.
                            int u = mirror ? frame.width - 1 - x : x;
                            int v = flip ? frame.height - 1 - y : y;
                            if (degrees == 90) std::tie(u, v) = std::tuple(v, height - 1 - u);
                            if (degrees == 180)
                                std::tie(u, v) = std::tuple(width - 1 - u, height - 1 - v);
                            if (degrees == 270) std::tie(u, v) = std::tuple(width - 1 - v, u);
                            const bool is_yuv = packet.layout != PixelLayout::rgb24 &&
                                                packet.layout != PixelLayout::gray8;
                            // RGB of video's luma has more contrast; the order is what counts.
                            const int want = luma(u, v);
                            const int made =
                                is_yuv ? std::clamp((want - 16) * 255 / 219, 0, 255) : want;
                            const int got = frame.data[y * frame.stride_bytes + x * step];
                            const int shown =
                                picture[static_cast<std::size_t>(3 * (y * frame.width + x))];
                            wrong += std::abs(got - (step == 3 ? made : want)) > 2;
                            wrong += std::abs(shown - made) > 2;
                        }
                    CAPTURE(degrees);
                    CAPTURE(turns);
                    CAPTURE(color);
                    CHECK(wrong == 0);
                }
        }
    CHECK_FALSE(host::orientation_of(45, false, false));
}

TEST_CASE("video: newest frame wins, and what is dropped is counted") {
    class Fast : public Source {
    public:
        Next next(Packet& packet, int) override {
            if (number_ == 50) return Next::end;
            byte_ = static_cast<std::uint8_t>(number_);
            packet = {PixelLayout::gray8, {&byte_, 1}, 1, 1, 0, number_, number_};
            ++number_;
            return Next::packet;
        }
        const std::string& error() const override { return none_; }
        std::string description() const override { return ""; }

    private:
        std::uint64_t number_ = 0;
        std::uint8_t byte_ = 0;
        std::string none_;
    };
    const std::unique_ptr<Source> source = newest_of(std::make_unique<Fast>());
    for (int i = 0; i < 2000 && source->dropped() < 49; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    Packet packet;
    REQUIRE(source->next(packet, 1000) == Next::packet);
    CHECK(packet.number == 49);
    CHECK(packet.bytes[0] == 49);
    CHECK(source->dropped() == 49);
    CHECK(source->next(packet, 1000) == Next::end);
}

TEST_CASE(
    "video: a recording is an AVI with every frame, and goes on in a second file when the first is "
    "full") {
    const std::string path = "/tmp/mien-test-" + std::to_string(::getpid()) + ".avi",
                      second = path.substr(0, path.size() - 4) + "-2.avi";
    const std::vector<std::uint8_t> jpeg = camera_jpeg();
    CHECK_FALSE(Recorder::create("film.mp4", true));
    CHECK_FALSE(Recorder::create("/no/such/folder/film.avi", true));
    {
        auto recorder = Recorder::create(path, true, 6 * jpeg.size());
        REQUIRE(recorder);
        for (int i = 0; i < 7; ++i)
            REQUIRE((*recorder)->add(jpeg, 48, 32, static_cast<std::uint64_t>(i) * 50'000'000u));
        REQUIRE((*recorder)->finish());
        CHECK((*recorder)->frames() == 7);
        CHECK_FALSE(Recorder::create(path, false));
    }
    std::size_t frames = 0;
    for (const std::string& name : {path, second}) {
        const ByteVector file = test::read_file(name);
        REQUIRE(file.size() > 300);
        const auto u32 = [&](std::size_t at) { return load_u32(file.data() + at); };
        CHECK(std::memcmp(file.data(), "RIFF", 4) == 0);
        CHECK(u32(4) + 8 == file.size());
        CHECK(u32(32) == 50'000);  // microseconds a frame, by the time stamps
        frames += u32(48);
        JpegSplitter splitter;
        splitter.add(file);
        std::size_t found = 0;
        for (auto picture = splitter.next(); !picture.empty(); picture = splitter.next())
            found += ByteVector(picture.begin(), picture.end()) == jpeg;
        CHECK(found == u32(48));
        ::unlink(name.c_str());
    }
    CHECK(frames == 7);
    // not a file that can be made in there by everybody
    auto full = Recorder::create("/dev/full.avi", true);
    if (full) ::unlink("/dev/full.avi");
}

TEST_CASE("video: rows of raw pixels may be padded, and a hint says so") {
    constexpr int width = 72, height = 40;  // rows of 128 bytes at a unit of 64
    constexpr std::size_t stride = 128;
    // Smooth, as pictures are; a frame is luma and two planes of chroma with half the stride.
    const auto frame = [](std::size_t row_step) {
        std::string bytes(packet_bytes(PixelLayout::yu12, width, height, row_step), '\0');
        for (std::size_t y = 0; y < height; ++y)
            for (std::size_t x = 0; x < width; ++x)
                bytes[y * row_step + x] =
                    static_cast<char>(20 + 90 * (1 + std::sin(static_cast<double>(x) / 9)) +
                                      static_cast<double>(y) / 4);
        return bytes;
    };
    StreamOptions options;
    options.raw = true;
    options.layout = PixelLayout::yu12;
    options.width = width;
    options.height = height;
    std::string told;
    options.tell = [&told](const std::string& text) { told += text; };
    const std::string padded = frame(stride) + frame(stride);

    Seen seen = read_stream(padded, options);
    CHECK(seen.frames.size() == 3);
    CHECK(told.find("try --stride 128") != std::string::npos);
    CHECK(seen.error.find("cut short in frame 3") != std::string::npos);
    CHECK(seen.error.find("try --stride 128") != std::string::npos);
    told.clear();

    options.stride = stride;
    seen = read_stream(padded, options);
    CHECK(seen.error == "");
    REQUIRE(seen.frames.size() == 2);
    CHECK(seen.packets[1].stride == stride);
    CHECK(told == "");
    // The last row's padding may be missing.
    seen = read_stream(padded.substr(0, padded.size() - (stride - width) / 2), options);
    CHECK(seen.error == "");
    CHECK(seen.frames.size() == 2);
    seen = read_stream(padded.substr(0, padded.size() - stride / 2), options);
    CHECK(seen.frames.size() == 1);
    CHECK(seen.error.find("cut short") != std::string::npos);
    // A wrong value: the right one is named.
    options.stride = 80;
    seen = read_stream(padded, options);
    CHECK(told.find("try --stride 128") != std::string::npos);
    told.clear();

    options.stride = 0;
    seen = read_stream(frame(width) + frame(width), options);
    CHECK(seen.error == "");
    CHECK(told == "");
    CHECK(read_stream(frame(width) + "rest", options).error ==
          "cut short in frame 1: 4 of 4320 bytes");
    std::string noise = pattern(4 * 4320, 3);
    std::uint32_t state = 1;
    for (char& c : noise) c = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
    CHECK(read_stream(noise, options).error == "");
    CHECK(told == "");
    CHECK(read_stream(std::string(4320, 'x'), options).frames.size() == 1);
    CHECK(told == "");  // one color says nothing

    options.stride = 71;
    CHECK(read_stream(padded, options).error.find("less than a row, which has 72") !=
          std::string::npos);
    options.height = 32768;
    options.stride = 1 << 20;
    CHECK(read_stream(padded, options).error.find("too large") != std::string::npos);
    // In every format.
    for (const char* name : {"yuyv", "nv12", "grey", "rgb24", "y16", "rgb32"}) {
        StreamOptions other;
        other.raw = true;
        REQUIRE(find_layout(name, other.layout));
        other.width = 30;
        other.height = 20;
        const std::size_t wanted = (row_bytes(other.layout, 30) + 63) / 64 * 64,
                          bytes = packet_bytes(other.layout, 30, 20, wanted);
        other.stride = wanted;
        const Seen whole = read_stream(pattern(3 * bytes, 1), other);
        CHECK(whole.frames.size() == 3);
        CHECK(whole.error == "");
        other.stride = 0;
        CHECK(stride_by_length(3 * bytes, other) != 0);
    }
}

TEST_CASE("video: a recording keeps gaps of a film by empty chunks, and bounds them") {
    const std::string path = "/tmp/mien-test-" + std::to_string(::getpid()) + "-gaps.avi";
    const std::vector<std::uint8_t> jpeg = camera_jpeg();
    const auto recorded = [&](const std::vector<double>& seconds, double rate) {
        {
            auto recorder = Recorder::create(path, true);
            REQUIRE(recorder);
            (*recorder)->keep_times(rate);
            for (const double at : seconds)
                REQUIRE((*recorder)->add(jpeg, 48, 32,
                                         static_cast<std::uint64_t>(std::llround(at * 1e9))));
            REQUIRE((*recorder)->finish());
        }
        const ByteVector file = test::read_file(path);
        ::unlink(path.c_str());
        const auto u32 = [&](std::size_t at) { return load_u32(file.data() + at); };
        CHECK(u32(4) + 8 == file.size());
        const std::size_t index = u32(216) + 220;
        REQUIRE(std::memcmp(file.data() + index, "idx1", 4) == 0);
        std::string shape;  // of the index: a frame, or a step without one
        for (std::size_t at = index + 8; at < file.size(); at += 16) {
            const std::size_t chunk = 220 + u32(at + 8) - 4 + 4;
            REQUIRE(chunk + 8 <= file.size());
            CHECK(std::memcmp(file.data() + chunk, "00dc", 4) == 0);
            CHECK(u32(chunk + 4) == u32(at + 12));
            shape += u32(at + 12) > 0 ? 'f' : '.';
        }
        CHECK(u32(48) == shape.size());
        return shape;
    };
    CHECK(recorded({0, 0.1, 0.2, 0.3}, 10) == "ffff");
    CHECK(recorded({5, 5.1, 5.4, 5.5, 6.0}, 10) == "ff..ff....f");
    CHECK(recorded({0, 0.04, 0.13, 0.21}, 10) == "ffff");  // jitter is no gap
    CHECK(recorded({0, 0.1, 0.05, 0.3}, 10) == "ffff");    // time that runs back
    CHECK(recorded({0, 1.0, 3.0}, 0) == "fff");            // no rate: the mean
    const std::string bounded = recorded({0, 1e8, 1e8 + 0.2}, 10);
    CHECK(bounded == "f" + std::string(600, '.') + "f.f");
}

TEST_CASE("video: AVI of motion JPEG is read in pieces of any length, and whether whole or cut") {
    const std::string path = "/tmp/mien-test-" + std::to_string(::getpid()) + "-read.avi";
    const std::vector<std::uint8_t> jpeg = camera_jpeg();
    const double times[] = {0, 0.1, 0.4, 0.5};
    {
        auto recorder = Recorder::create(path, true);
        REQUIRE(recorder);
        (*recorder)->keep_times(10);
        for (const double at : times)
            REQUIRE(
                (*recorder)->add(jpeg, 48, 32, static_cast<std::uint64_t>(std::llround(at * 1e9))));
        REQUIRE((*recorder)->finish());
    }
    const ByteVector file = test::read_file(path);
    ::unlink(path.c_str());
    const std::string film(file.begin(), file.end());
    for (const std::size_t piece : {1u, 7u, 1000u, 1u << 20}) {
        CAPTURE(piece);
        const Seen seen = read_stream(film, {}, piece);
        CHECK(seen.error == "");
        REQUIRE(seen.frames.size() == 4);
        for (std::size_t i = 0; i < 4; ++i) {
            CHECK(seen.frames[i] == jpeg);
            CHECK(seen.packets[i].number == i);
            CHECK(seen.packets[i].time_ns == static_cast<std::uint64_t>(times[i] * 1e9));
        }
    }
    // --fps has the last word.
    StreamOptions twice_as_fast;
    twice_as_fast.fps = 20;
    CHECK(read_stream(film, twice_as_fast).packets[3].time_ns == 250'000'000u);
    const std::size_t movie = film.find("movi"), second = film.find("00dc", movie + 12);
    REQUIRE(second != std::string::npos);
    // Killed while it was written: the frames before are there.
    for (const std::size_t cut : {second, second + 3, second + 8, second + 20}) {
        const Seen seen = read_stream(film.substr(0, cut));
        CHECK(seen.frames.size() == 1);
        CHECK(seen.error == (cut == second ? "" : "cut short in frame 1"));
    }
    // Sound beside it, of odd length, and an unknown list.
    using namespace std::string_literals;
    std::string with_sound = film;
    with_sound.insert(second, "01wb\3\0\0\0abc\0LIST\6\0\0\0whatab"s);
    CHECK(read_stream(with_sound).frames.size() == 4);
    const auto changed = [&](const char* from, const char* to) {
        std::string other = film;
        for (std::size_t at = 0; (at = other.find(from)) < movie; at += 4) other.replace(at, 4, to);
        return read_stream(other).error;
    };
    CHECK(
        changed("MJPG", "XVID").find("is AVI with the codec XVID, not motion JPEG; run: ffmpeg") ==
        0);
    CHECK(changed("vids", "auds").find("is AVI without a film") == 0);
    CHECK(read_stream(film.substr(0, movie)).error == "cut short in the header of AVI");
}

TEST_CASE("video: a recording is a whole film after each frame, and keeps the old one until then") {
    const std::string path = "/tmp/mien-test-" + std::to_string(::getpid()) + "-kept.avi",
                      fresh = path.substr(0, path.size() - 4) + ".part.avi",
                      again = path.substr(0, path.size() - 4) + ".part-2.avi";
    const std::vector<std::uint8_t> jpeg = camera_jpeg();
    const ByteVector old = {'o', 'l', 'd'}, killed = {'k'};
    host::forget_inputs();
    REQUIRE(host::write_file(path, old, host::Overwrite::yes));
    REQUIRE(host::write_file(fresh, killed, host::Overwrite::yes));  // of a run before
    REQUIRE(::chmod(path.c_str(), 0640) == 0);
    {
        auto recorder = Recorder::create(path, true);
        REQUIRE(recorder);
        for (std::uint32_t i = 1; i <= 3; ++i) {
            REQUIRE((*recorder)->add(jpeg, 48, 32, i * 50'000'000u));
            const ByteVector file = test::read_file(again);
            const auto u32 = [&](std::size_t at) { return load_u32(file.data() + at); };
            CHECK(u32(4) + 8 == file.size());
            CHECK(u32(44) == 0);  // no index yet
            CHECK(u32(48) == i);
            CHECK(u32(216) + 220 == file.size());  // the list of frames
        }
        CHECK(test::read_file(path) == old);
        REQUIRE((*recorder)->finish());
    }
    CHECK(test::read_file(path).size() > 3 * jpeg.size());
    CHECK(test::read_file(fresh) == killed);
    CHECK(::access(again.c_str(), F_OK) != 0);
    struct stat info{};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0640);
    // A failure keeps both.
    const ByteVector before = test::read_file(path);
    {
        auto recorder = Recorder::create(path, true);
        REQUIRE(recorder);
        REQUIRE((*recorder)->add(jpeg, 48, 32, 1));
        const host::Result<> done = (*recorder)->add(jpeg, 32, 32, 2);
        REQUIRE_FALSE(done);
        CHECK(done.error().text.find(again) != std::string::npos);
    }
    CHECK(test::read_file(path) == before);
    CHECK(test::read_file(again).size() > jpeg.size());
    // What is read is not recorded to, under its name or another.
    REQUIRE(host::read_file(path, 1 << 20));
    CHECK_FALSE(Recorder::create(path, true));
    CHECK(test::read_file(path) == before);
    for (const std::string& name : {path, fresh, again}) ::unlink(name.c_str());
}

TEST_CASE("live: percentiles of a histogram") {
    live::Histogram h;
    CHECK(h.at(0.5) == 0);
    for (int i = 1; i <= 1000; ++i) h.add(i * 0.1);
    CHECK(h.at(0.5) == doctest::Approx(50).epsilon(0.03));
    CHECK(h.at(0.99) == doctest::Approx(99).epsilon(0.03));
    CHECK(h.maximum() == doctest::Approx(100));
    CHECK(h.mean() == doctest::Approx(50.05));
    h.add(1e9);
    h.add(0);
    h.add(-1);
    CHECK(h.count() == 1003);
}

TEST_CASE("what is not there is tried again after a longer pause each time") {
    video::Retry retry;
    CHECK(retry.is_due());
    const auto pause_ms = [&retry] {
        retry.failed();
        return static_cast<double>(retry.wait_ns(1'000'000)) * 1e-6;
    };
    for (const double expected : {500., 1000., 2000., 4000., 8000., 10000., 10000.}) {
        const double pause = pause_ms();
        CHECK(pause <= expected);
        CHECK(pause > expected - 400);
        CHECK_FALSE(retry.is_due());
    }
    CHECK(retry.wait_ns(100) == 100'000'000);
    CHECK(retry.wait_ns(-1) == 0);
    retry.worked();
    CHECK(pause_ms() <= 500);
}
