// SPDX-License-Identifier: MIT
// The container of WebP (RIFF) is read here; libwebp gets the one frame that is wanted, without its
// alpha, which is dropped in all formats.
#include "host/codec/webp.h"

#include <webp/decode.h>

#include <cstring>
#include <string_view>

#include "base/bytes.h"
#include "host/shared_library.h"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

struct LibWebp {
    SharedLibrary library{MIEN_WEBP_SONAME};
    decltype(&::WebPGetDecoderVersion) version = nullptr;
    decltype(&::WebPDecodeRGBInto) decode = nullptr;

    LibWebp() {
        library.find(version, "WebPGetDecoderVersion");
        library.find(decode, "WebPDecodeRGBInto");
    }
};
const LibWebp& libwebp() {
    static const LibWebp library;
    return library;
}

Error webp_cut() { return Error::input("cut short: the WebP data ends too early"); }
Error webp_corrupt(const char* what) {
    return Error::input(std::string("damaged WebP file (") + what + ")");
}

std::uint32_t u24(const std::uint8_t* p) {
    return static_cast<std::uint32_t>(p[0] | p[1] << 8 | p[2] << 16);
}

// A chunk of the file at `at`, of which all is there.
struct Chunk {
    std::string_view tag;
    Bytes data;
    std::size_t end = 0;  // the next one
};
Result<Chunk> chunk_at(Bytes bytes, std::size_t at) {
    if (bytes.size() - at < 8) return webp_cut();
    const std::size_t length = load_u32(&bytes[at + 4]);
    if (length > bytes.size() - at - 8) return webp_cut();
    const std::size_t end = at + 8 + length;
    return Chunk{{reinterpret_cast<const char*>(&bytes[at]), 4},
                 bytes.subspan(at + 8, length),
                 end + (end < bytes.size() ? length & 1 : 0)};
}

struct Size {
    int width = 0, height = 0;
};

// Of the pixels themselves. Nothing: no such chunk, or a damaged one.
Size frame_size(const Chunk& chunk) {
    const Bytes data = chunk.data;
    if (chunk.tag == "VP8 ") {
        if (data.size() < 10 || (data[0] & 1) != 0 || std::memcmp(&data[3], "\x9d\x01\x2a", 3) != 0)
            return {};
        return {load_u16(&data[6]) & 0x3fff, load_u16(&data[8]) & 0x3fff};
    }
    if (chunk.tag == "VP8L") {
        if (data.size() < 5 || data[0] != 0x2f) return {};
        const std::uint32_t bits = load_u32(&data[1]);
        return {static_cast<int>(bits & 0x3fff) + 1, static_cast<int>(bits >> 14 & 0x3fff) + 1};
    }
    return {};
}

bool has_pixels(const Chunk& chunk) { return chunk.tag == "VP8 " || chunk.tag == "VP8L"; }

class WebpReader {
public:
    WebpReader(Bytes bytes, const ImageLimits& limits) : bytes_(bytes), limits_(limits) {}
    Result<ImageHeader> read();

private:
    Result<> read_chunk(const Chunk& chunk, std::size_t at);
    Result<> read_canvas(Bytes data);
    Result<> read_animation_frame(Bytes data, std::size_t at);
    Result<> take_pixels(const Chunk& chunk, std::size_t at);

    Bytes bytes_;
    const ImageLimits& limits_;
    ImageHeader header_;
    int frames_ = 0;
};

Result<> WebpReader::read_canvas(Bytes data) {
    if (data.size() < 10 || header_.width != 0) return webp_corrupt("bad header");
    const std::uint32_t width = u24(&data[4]) + 1, height = u24(&data[7]) + 1;
    if (Result<> done = check_size(width, height, limits_, "WebP"); !done) return done;
    header_.width = static_cast<int>(width);
    header_.height = static_cast<int>(height);
    return {};
}

// `at` is where the chunk begins in the file.
Result<> WebpReader::take_pixels(const Chunk& chunk, std::size_t at) {
    const Size size = frame_size(chunk);
    if (Result<> done = check_size(static_cast<std::uint64_t>(size.width),
                                   static_cast<std::uint64_t>(size.height), limits_, "WebP");
        !done)
        return done;
    FramePlace& place = header_.frame;
    place.width = size.width;
    place.height = size.height;
    if (header_.width == 0) {
        header_.width = size.width;
        header_.height = size.height;
    }
    if (place.width > header_.width - place.x || place.height > header_.height - place.y ||
        (!header_.animated && (place.width != header_.width || place.height != header_.height)))
        return webp_corrupt("two sizes in it");
    header_.data_offset = at;
    header_.data_bytes = chunk.data.size() + 8;
    // The colors of lossless ones are held with their alpha until they are copied.
    const bool lossless = chunk.tag == "VP8L";
    header_.decode_bytes = lossless ? 8 : 4;
    return {};
}

Result<> WebpReader::read_animation_frame(Bytes data, std::size_t at) {
    if (frames_++ > 0) return {};
    if (data.size() < 16) return webp_corrupt("short frame");
    const std::uint32_t x = 2 * u24(&data[0]), y = 2 * u24(&data[3]);
    if (x >= static_cast<unsigned>(header_.width) || y >= static_cast<unsigned>(header_.height))
        return webp_corrupt("a frame outside of the image");
    header_.frame = {static_cast<int>(x), static_cast<int>(y), 0, 0};
    for (std::size_t inside = 16; inside < data.size();) {
        const Result<Chunk> chunk = chunk_at(data, inside);
        if (!chunk) return chunk.error();
        if (has_pixels(*chunk)) return take_pixels(*chunk, at + inside);
        inside = chunk->end;
    }
    return webp_corrupt("no picture in it");
}

Result<> WebpReader::read_chunk(const Chunk& chunk, std::size_t at) {
    if (chunk.tag == "VP8X") {
        if (at != 12) return webp_corrupt("bad header");
        if (Result<> done = read_canvas(chunk.data); !done) return done;
        header_.animated = (chunk.data[0] & 2) != 0;
    } else if (chunk.tag == "ANMF" && header_.animated) {
        return read_animation_frame(chunk.data, at + 8);
    } else if (has_pixels(chunk) && header_.data_bytes == 0 && !header_.animated) {
        return take_pixels(chunk, at);
    } else if (chunk.tag == "EXIF" && !header_.has_exif) {
        constexpr std::string_view prefix("Exif\0\0", 6);  // of some writers
        const bool prefixed = chunk.data.size() >= prefix.size() &&
                              std::memcmp(chunk.data.data(), prefix.data(), prefix.size()) == 0;
        header_.orientation = exif_orientation(chunk.data.subspan(prefixed ? prefix.size() : 0));
        header_.has_exif = true;
    }
    return {};
}

Result<ImageHeader> WebpReader::read() {
    header_.type = ImageType::webp;
    const std::size_t size = std::size_t{load_u32(&bytes_[4])} + 8;
    if (size > bytes_.size()) return webp_cut();
    bytes_ = bytes_.first(size);
    for (std::size_t at = 12; at < bytes_.size();) {
        const Result<Chunk> chunk = chunk_at(bytes_, at);
        if (!chunk) return chunk.error();
        if (const Result<> done = read_chunk(*chunk, at); !done) return done.error();
        at = chunk->end;
    }
    if (header_.data_bytes == 0) return webp_corrupt("no picture in it");
    header_.animated = frames_ > 1;
    return header_;
}

}  // namespace

std::string webp_library() {
    if (!libwebp().library) return "";
    const int version = libwebp().version();
    return "libwebp " + std::to_string(version >> 16) + "." + std::to_string(version >> 8 & 255) +
           "." + std::to_string(version & 255);
}

bool is_webp(Bytes bytes) {
    return bytes.size() >= 12 && std::memcmp(&bytes[0], "RIFF", 4) == 0 &&
           std::memcmp(&bytes[8], "WEBP", 4) == 0;
}

Result<ImageHeader> inspect_webp(Bytes bytes, const ImageLimits& limits) {
    if (!libwebp().library)
        return Error::input("cannot read WebP: " MIEN_WEBP_SONAME " is not on this machine");
    return WebpReader(bytes, limits).read();
}

Result<> decode_webp(Bytes bytes, const ImageHeader& header, Image& image) {
    const FramePlace& place = header.frame;
    std::uint8_t* const out = image.pixels.get();
    const std::size_t size = image.row_bytes() * static_cast<std::size_t>(image.height);
    if (place.width != image.width || place.height != image.height) std::memset(out, 0, size);
    const std::size_t begin = image.row_bytes() * static_cast<std::size_t>(place.y) +
                              3 * static_cast<std::size_t>(place.x);
    if (libwebp().decode(&bytes[header.data_offset], header.data_bytes, out + begin, size - begin,
                         static_cast<int>(image.row_bytes())) == nullptr)
        return webp_corrupt("its data makes no sense, or there is no memory");
    return {};
}

}  // namespace mien::host
