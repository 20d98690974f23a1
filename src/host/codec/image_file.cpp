// SPDX-License-Identifier: MIT
// Pixels from and to picture files by stb_image (see image_file.h). inspect_image() has judged size
// and completeness before any call of the decoder here; a bound on single allocations stops the
// rest (streams that inflate too far).
#include "host/codec/image_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "host/codec/png_writer.h"
#include "host/codec/inflate.h"

namespace {

// Largest block that the decoder may ask for, set for each picture from its size.
thread_local std::size_t allocation_limit = 0;

// Cleared: the decoder reads tables and coefficients that a hostile file never sets, and the
// picture must neither depend on what was in memory before nor show it.
void* limited_malloc(std::size_t bytes) {
    return bytes <= allocation_limit ? std::calloc(bytes, 1) : nullptr;
}
void* limited_realloc(void* block, std::size_t bytes) {
    return bytes <= allocation_limit ? std::realloc(block, bytes) : nullptr;
}

}  // namespace

#define STBI_MALLOC(size) limited_malloc(size)
#define STBI_REALLOC(block, size) limited_realloc(block, size)
#define STBI_FREE(block) std::free(block)
// bad input is no reason to end the program
#define STBI_ASSERT(condition) static_cast<void>(sizeof(condition))
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_FAILURE_USERMSG
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
// Third-party headers with unused functions and old habits; their warnings are not ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

// above 90 the writer keeps full colour resolution, which thin coloured lines need
constexpr int jpeg_quality = 92;

const char* type_name(ImageType type) {
    switch (type) {
        case ImageType::jpeg: return "JPEG";
        case ImageType::png: return "PNG";
        case ImageType::bmp: return "BMP";
        case ImageType::gif: return "GIF";
        case ImageType::pnm: return "PNM";
    }
    return "picture";
}

// Of the file's kind, not of memory: the next image may be smaller.
Error no_memory() { return Error::input("not enough memory for its pixels"); }

std::size_t pixel_count(int width, int height) {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
}

Result<Image> new_image(int width, int height) {
    Image image;
    image.pixels.reset(static_cast<std::uint8_t*>(std::malloc(pixel_count(width, height) * 3)));
    image.width = width;
    image.height = height;
    if (!image.pixels) return no_memory();
    return image;
}

Result<Image> decode_pnm(Bytes bytes, const ImageHeader& header) {
    Result<Image> image = new_image(header.width, header.height);
    if (!image) return image;
    const int step = header.max_value > 255 ? 2 : 1;
    const std::uint8_t* in = bytes.data() + header.data_offset;
    const auto sample = [&]() -> std::uint8_t {
        const int value = step == 2 ? in[0] << 8 | in[1] : in[0];
        in += step;
        if (header.max_value == 255) return static_cast<std::uint8_t>(value);
        return static_cast<std::uint8_t>(
            (std::min(value, header.max_value) * 255 + header.max_value / 2) / header.max_value);
    };
    std::uint8_t* out = image->pixels.get();
    for (std::size_t i = pixel_count(header.width, header.height); i > 0; --i, out += 3) {
        out[0] = sample();
        out[1] = header.channels == 3 ? sample() : out[0];
        out[2] = header.channels == 3 ? sample() : out[0];
    }
    return image;
}

// Makes RGB of 1 (gray), 2 (gray, alpha) or 4 (RGB, alpha) channels; alpha is laid over white.
Result<Image> to_rgb(const PixelBuffer& source, int width, int height, int channels) {
    Result<Image> image = new_image(width, height);
    if (!image) return image;
    const bool has_alpha = channels == 2 || channels == 4, is_gray = channels < 3;
    const std::uint8_t* in = source.get();
    std::uint8_t* out = image->pixels.get();
    for (std::size_t i = pixel_count(width, height); i > 0; --i, in += channels, out += 3) {
        const int alpha = has_alpha ? in[channels - 1] : 255;
        for (int c = 0; c < 3; ++c) {
            const int value = in[is_gray ? 0 : c];
            out[c] = static_cast<std::uint8_t>((value * alpha + 255 * (255 - alpha) + 127) / 255);
        }
    }
    return image;
}

// The decoder's own words, made to fit into a line of ours.
Error decoder_error(ImageType type) {
    const char* reason = stbi_failure_reason();
    if (reason == nullptr) reason = "unknown reason";
    if (std::strcmp(reason, "Out of memory") == 0) return no_memory();
    return Error::input(std::string("damaged ") + type_name(type) + " file (" + reason + ")");
}

Result<Image> decode_by_stb(Bytes bytes, const ImageHeader& header) {
    // 16 bytes a pixel hold any layout that the decoder goes through (16-bit RGBA is 8) with room
    // for doubling.
    allocation_limit = pixel_count(header.width, header.height) * 16 + (std::size_t{1} << 20);
    // A JPEG is asked for as RGB, which spares a pass; of the others the alpha must be seen.
    const int wanted = header.type == ImageType::jpeg ? 3 : 0;
    int width = 0, height = 0, channels = 0;
    PixelBuffer pixels(stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width,
                                             &height, &channels, wanted));
    if (!pixels) return decoder_error(header.type);
    if (width != header.width || height != header.height)
        return Error::input("damaged file (two sizes in it)");
    if (wanted == 0 && channels != 3) return to_rgb(pixels, width, height, channels);
    Image image;
    image.pixels = std::move(pixels);
    image.width = width;
    image.height = height;
    return image;
}

void append_bytes(void* context, void* data, int size) {
    const auto* first = static_cast<const std::uint8_t*>(data);
    auto* out = static_cast<ByteVector*>(context);
    if (size == 1) return out->push_back(*first);  // as the JPEG writer gives nearly all of them
    out->insert(out->end(), first, first + size);
}

}  // namespace

Result<DecodedImage> decode_image(Bytes bytes, const ImageLimits& limits) {
    if (bytes.size() > limits.max_file_bytes || bytes.size() > std::size_t{0x7fffffff}) {
        return Error::input("file is larger than " + std::to_string(limits.max_file_bytes >> 20) +
                            " MiB");
    }
    const Result<ImageHeader> header = inspect_image(bytes, limits);
    if (!header) return header.error();
    Result<Image> image =
        header->type == ImageType::pnm ? decode_pnm(bytes, *header) : decode_by_stb(bytes, *header);
    if (image) image = apply_orientation(std::move(*image), header->orientation);
    if (!image) return image.error();
    DecodedImage result;
    result.image = std::move(*image);
    if (header->animated) result.note = "animation: only its first frame is used";
    return result;
}

Result<Image> apply_orientation(Image image, int orientation) {
    if (orientation < 2 || orientation > 8) return image;
    // Bits of the turn: exchange x and y of the source, then mirror its columns, then its rows.
    const bool transpose = orientation >= 5;
    const bool mirror_x =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool mirror_y =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    Result<Image> turned =
        transpose ? new_image(image.height, image.width) : new_image(image.width, image.height);
    if (!turned) return turned;

    const auto row = static_cast<std::ptrdiff_t>(image.row_bytes());
    const std::ptrdiff_t step_x = mirror_x ? -3 : 3, step_y = mirror_y ? -row : row;
    const std::uint8_t* origin = image.pixels.get();
    if (mirror_x) origin += row - 3;
    if (mirror_y) origin += row * (image.height - 1);
    const std::ptrdiff_t along = transpose ? step_y : step_x, down = transpose ? step_x : step_y;
    // In tiles, since one of the two sides is walked across its rows: a tile of either fits the
    // first cache.
    constexpr int tile = 32;
    for (int tile_y = 0; tile_y < turned->height; tile_y += tile) {
        for (int tile_x = 0; tile_x < turned->width; tile_x += tile) {
            const int end_y = std::min(tile_y + tile, turned->height),
                      end_x = std::min(tile_x + tile, turned->width);
            for (int y = tile_y; y < end_y; ++y) {
                const std::uint8_t* in = origin + y * down + tile_x * along;
                std::uint8_t* out = turned->pixels.get() +
                                    static_cast<std::ptrdiff_t>(turned->row_bytes()) * y +
                                    tile_x * 3;
                for (int x = tile_x; x < end_x; ++x, in += along, out += 3) {
                    out[0] = in[0];
                    out[1] = in[1];
                    out[2] = in[2];
                }
            }
        }
    }
    return turned;
}

Result<ImageFormat> format_of_name(const std::string& path) {
    const std::size_t dot = path.rfind('.');
    std::string ending = dot == std::string::npos ? "" : path.substr(dot);
    for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (ending == ".png") return ImageFormat::png;
    if (ending == ".jpg" || ending == ".jpeg") return ImageFormat::jpeg;
    return Error::usage("the name of a picture to write must end in .png, .jpg or .jpeg");
}

Result<ByteVector> encode_image(const Frame& frame, ImageFormat format) {
    const int channels = frame.format == PixelFormat::gray8 ? 1 : 3;
    if (frame.format != PixelFormat::gray8 && frame.format != PixelFormat::rgb24)
        return Error::output("cannot write this pixel format");
    if (frame.width > 65535 || frame.height > 65535) {
        if (format == ImageFormat::jpeg)
            return Error::output("too large for a JPEG file; write PNG");
    }
    if (format == ImageFormat::png) return write_png(frame);
    if (frame.stride_bytes != std::ptrdiff_t{frame.width} * channels)
        return Error::output("cannot write rows with gaps as JPEG");
    ByteVector bytes;
    if (stbi_write_jpg_to_func(append_bytes, &bytes, frame.width, frame.height, channels,
                               frame.data, jpeg_quality) == 0)
        return Error::memory("not enough memory for the JPEG file");
    return bytes;
}

bool inflate_raw(Bytes packed, std::span<std::uint8_t> out) {
    constexpr std::size_t largest = 0x7fffffff;
    if (packed.size() > largest || out.size() > largest) return false;
    const int count = stbi_zlib_decode_noheader_buffer(
        reinterpret_cast<char*>(out.data()), static_cast<int>(out.size()),
        reinterpret_cast<const char*>(packed.data()), static_cast<int>(packed.size()));
    return count >= 0 && static_cast<std::size_t>(count) == out.size();
}

}  // namespace mien::host
