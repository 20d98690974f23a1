// SPDX-License-Identifier: MIT
// JPEG by stb_image (see jpeg.h), for builds without libjpeg-turbo.
#include <algorithm>
#include <utility>
#include <vector>

#include "host/codec/jpeg.h"
#include "host/codec/jpeg_markers.h"
#include "host/codec/jpeg_scans.h"
#include "host/codec/jpeg_tables.h"

#define STBI_ONLY_JPEG
#include "host/codec/stb_settings.h"

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace mien::host {
namespace {

// The mean of scale x scale pixels, as a scaling decoder gives it.
void shrink(const std::uint8_t* pixels, int width, int height, int scale, const JpegPicture& out) {
    std::uint8_t* to = out.pixels.get();
    for (int y = 0; y < out.height; ++y) {
        for (int x = 0; x < out.width; ++x) {
            unsigned sum[3] = {}, count = 0;
            for (int v = y * scale; v < std::min((y + 1) * scale, height); ++v) {
                for (int u = x * scale; u < std::min((x + 1) * scale, width); ++u, ++count) {
                    const std::uint8_t* p =
                        pixels + 3 * (std::ptrdiff_t{v} * width + std::ptrdiff_t{u});
                    for (int c = 0; c < 3; ++c) sum[c] += p[c];
                }
            }
            for (const unsigned s : sum) *to++ = static_cast<std::uint8_t>((s + count / 2) / count);
        }
    }
}

// The file without `strays`, and with an end mark.
ByteVector mended(std::span<const std::uint8_t> bytes, std::span<const JpegScans::Range> strays) {
    ByteVector out;
    out.reserve(bytes.size() + 2);
    std::size_t at = 0;
    for (const JpegScans::Range& stray : strays) {
        out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                   bytes.begin() + static_cast<std::ptrdiff_t>(stray.begin));
        at = stray.end;
    }
    out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end());
    out.insert(out.end(), {0xff, marker_eoi});
    return out;
}

void append_bytes(void* context, void* data, int size) {
    const auto* first = static_cast<const std::uint8_t*>(data);
    auto* out = static_cast<ByteVector*>(context);
    if (size == 1) return out->push_back(*first);  // as the JPEG writer gives nearly all of them
    out->insert(out->end(), first, first + size);
}

}  // namespace

bool jpeg_is_read(JpegKind kind) { return kind == JpegKind::huffman; }

const char* jpeg_library() { return "stb_image"; }

Result<> decode_jpeg(std::span<const std::uint8_t> bytes, const JpegRequest& request,
                     JpegPicture& out) {
    const std::vector<std::uint8_t> complete = with_huffman_tables(bytes);
    if (!complete.empty()) bytes = complete;
    const Result<ImageHeader> header = inspect_image(bytes, request.limits);
    if (!header) return header.error();
    if (header->type != ImageType::jpeg) return Error::input("not a JPEG");
    const JpegScans scans = check_jpeg_scans(bytes);
    if (!scans.lost.empty()) return Error::input("damaged JPEG file (" + scans.lost + ")");
    ByteVector whole;
    if (header->cut || !scans.strays.empty()) {
        whole = mended(bytes, scans.strays);
        bytes = whole;
    }
    int width = 0, height = 0, channels = 0;
    // RGB is asked for, which spares a pass.
    PixelBuffer pixels = load_by_stb(bytes, *header, width, height, channels, 3);
    if (!pixels) return stb_error("JPEG");
    if (width != header->width || height != header->height)
        return Error::input("damaged file (two sizes in it)");
    out.kind = JpegPixels::rgb;
    out.damage = scans.missing;
    out.leftover = scans.leftover;
    if (out.leftover.empty() && header->cut) out.leftover = no_end_mark;
    out.width = (width + request.scale - 1) / request.scale;
    out.height = (height + request.scale - 1) / request.scale;
    if (request.scale == 1) {
        out.pixels = std::move(pixels);
        out.capacity = out.bytes();
        return {};
    }
    if (out.bytes() > out.capacity) {
        out.pixels = new_pixels(out.bytes());
        out.capacity = out.pixels ? out.bytes() : 0;
        if (!out.pixels) return no_memory();
    }
    shrink(pixels.get(), width, height, request.scale, out);
    return {};
}

struct JpegRows::Impl {};
JpegRows::JpegRows() = default;
JpegRows::~JpegRows() = default;
Result<> JpegRows::begin(std::span<const std::uint8_t> bytes, const JpegRequest& request,
                         JpegPicture& out) {
    return decode_jpeg(bytes, request, out);
}
Result<> JpegRows::read(int, int) { return {}; }
bool JpegRows::is_whole() const { return true; }

Result<> encode_jpeg(const Frame& frame, const JpegSettings& settings, ByteVector& out) {
    const int channels = frame.format == PixelFormat::gray8 ? 1 : 3;
    const auto row = static_cast<std::size_t>(frame.width) * static_cast<std::size_t>(channels);
    const std::uint8_t* pixels = frame.data;
    ByteVector packed;
    if (frame.stride_bytes != static_cast<std::ptrdiff_t>(row)) {  // the writer knows no strides
        packed.resize(row * static_cast<std::size_t>(frame.height));
        for (int y = 0; y < frame.height; ++y)
            std::memcpy(packed.data() + row * static_cast<std::size_t>(y),
                        frame.data + y * frame.stride_bytes, row);
        pixels = packed.data();
    }
    out.clear();
    if (stbi_write_jpg_to_func(append_bytes, &out, frame.width, frame.height, channels, pixels,
                               settings.quality) == 0)
        return no_memory();
    return {};
}

}  // namespace mien::host
