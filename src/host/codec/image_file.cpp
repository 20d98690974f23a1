// SPDX-License-Identifier: MIT
// Which decoder or writer does an image file go to (see image_file.h)? inspect_image() has judged
// size and completeness before any of them is called. PNG, BMP and GIF are decoded by stb_image.
#include "host/codec/image_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "host/codec/inflate.h"
#include "host/codec/jpeg.h"
#include "host/codec/optional_formats.h"
#include "host/codec/orientation.h"
#include "host/codec/png_writer.h"

#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#include "host/codec/stb_settings.h"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

const char* type_name(ImageType type) {
    switch (type) {
        case ImageType::jpeg: return "JPEG";
        case ImageType::png: return "PNG";
        case ImageType::bmp: return "BMP";
        case ImageType::gif: return "GIF";
        case ImageType::pnm: return "PNM";
        case ImageType::webp: return "WebP";
        case ImageType::tiff: return "TIFF";
        case ImageType::heif: return "HEIC or AVIF";
    }
    return "picture";
}

std::size_t pixel_count(int width, int height) {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
}

Result<Image> new_image(int width, int height) {
    Image image;
    image.pixels = new_pixels(pixel_count(width, height) * 3);
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

// Makes RGB of 1 (gray), 2 (gray, alpha) or 4 (RGB, alpha) channels; alpha is dropped.
Result<Image> to_rgb(const PixelBuffer& source, int width, int height, int channels) {
    Result<Image> image = new_image(width, height);
    if (!image) return image;
    const int green = channels < 3 ? 0 : 1, blue = channels < 3 ? 0 : 2;
    const std::uint8_t* in = source.get();
    std::uint8_t* out = image->pixels.get();
    for (std::size_t i = pixel_count(width, height); i > 0; --i, in += channels, out += 3) {
        out[0] = in[0];
        out[1] = in[green];
        out[2] = in[blue];
    }
    return image;
}

std::uint32_t png_number(const std::uint8_t* p) {
    return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

// Black colors to insert into a file, and the new value of the number of 4 bytes that counts them.
struct Filling {
    std::size_t at = 0, bytes = 0;
    std::size_t number_at = 0, number = 0;
    bool big_endian = false;
};

Filling filling_of_bmp(Bytes bytes) {
    const std::size_t offset = load_u32(&bytes[10]), info_bytes = load_u32(&bytes[14]);
    const bool old = info_bytes == 12;
    const unsigned bits = load_u16(&bytes[old ? 24 : 28]);
    // Of the old kind with entries of 3 bytes, stb_image counts four too few.
    const std::size_t begin = old ? 38 : 14 + info_bytes;
    const std::size_t needed = begin + (std::size_t{old ? 3u : 4u} << bits);
    if (bits > 8 || offset >= needed) return {};
    return {offset, needed - offset, 10, needed, false};
}

Filling filling_of_png(Bytes bytes) {
    if (bytes.size() < 33 || bytes[25] != 3 || bytes[24] > 8) return {};
    const std::size_t needed = std::size_t{3} << bytes[24];
    // Chunks are whole, which inspect_image() has settled.
    for (std::size_t pos = 8; bytes.size() - pos >= 12;
         pos += std::size_t{12} + png_number(&bytes[pos])) {
        const std::size_t length = png_number(&bytes[pos]);
        if (std::memcmp(&bytes[pos + 4], "IEND", 4) == 0) break;
        if (std::memcmp(&bytes[pos + 4], "PLTE", 4) != 0) continue;
        if (length >= needed || length % 3 != 0) break;
        return {pos + 8 + length, needed - length, pos, needed, true};
    }
    return {};
}

// stb_image keeps palettes on the stack and sets of them what the file has. An image must not show
// what was there before, so a palette that is shorter than the pixels' numbers go is filled up with
// black: the file with it, or nothing if the palette is long enough.
ByteVector with_whole_palette(Bytes bytes, const ImageHeader& header) {
    Filling filling;
    if (header.type == ImageType::bmp) filling = filling_of_bmp(bytes);
    if (header.type == ImageType::png) filling = filling_of_png(bytes);
    ByteVector file;
    if (filling.bytes == 0) return file;
    file.reserve(bytes.size() + filling.bytes);
    file.assign(bytes.begin(), bytes.end());
    for (std::size_t i = 0; i < 4; ++i) {
        const std::size_t shift = 8 * (filling.big_endian ? 3 - i : i);
        file[filling.number_at + i] = static_cast<std::uint8_t>(filling.number >> shift);
    }
    file.insert(file.begin() + static_cast<std::ptrdiff_t>(filling.at), filling.bytes, 0);
    return file;
}

Result<Image> decode_by_stb(Bytes bytes, const ImageHeader& header) {
    int width = 0, height = 0, channels = 0;
    const ByteVector filled = with_whole_palette(bytes, header);
    if (!filled.empty()) bytes = filled;
    PixelBuffer pixels = load_by_stb(bytes, header, width, height, channels, 0);
    if (!pixels) return stb_error(type_name(header.type));
    if (width != header.width || height != header.height)
        return Error::input("damaged file (two sizes in it)");
    if (channels != 3) return to_rgb(pixels, width, height, channels);
    Image image;
    image.pixels = std::move(pixels);
    image.width = width;
    image.height = height;
    return image;
}

Result<Image> decode_photo(Bytes bytes, const ImageHeader& header, const ImageLimits& limits,
                           DecodedImage& result) {
    JpegPicture picture;
    JpegRequest request;
    request.limits = limits;
    if (const Result<> done = decode_jpeg(bytes, request, picture); !done) return done.error();
    if (picture.width != header.width || picture.height != header.height)
        return Error::input("damaged file (two sizes in it)");
    if (!picture.damage.empty()) {
        result.damage = Damage::certain;
        result.note = "damaged, part of it is guessed (" + picture.damage + ")";
    } else if (!picture.leftover.empty()) {
        result.damage = Damage::possible;
        result.note = "may be damaged (" + picture.leftover + ")";
    }
    Image image;
    image.pixels = std::move(picture.pixels);
    image.width = picture.width;
    image.height = picture.height;
    return image;
}

Result<Image> decode_by_type(Bytes bytes, const ImageHeader& header, const ImageLimits& limits,
                             DecodedImage& result) {
    if (header.type == ImageType::jpeg) return decode_photo(bytes, header, limits, result);
    if (header.type == ImageType::pnm) return decode_pnm(bytes, header);
    for (const OptionalFormat& format : optional_formats()) {
        if (format.type != header.type) continue;
        Result<Image> image = new_image(header.width, header.height);
        if (!image) return image;
        if (const Result<> done = format.decode(bytes, header, *image); !done) return done.error();
        return image;
    }
    return decode_by_stb(bytes, header);
}

}  // namespace

Result<DecodedImage> decode_image(Bytes bytes, const ImageLimits& limits) {
    if (bytes.size() > limits.max_file_bytes || bytes.size() > std::size_t{0x7fffffff}) {
        return Error::input("file is larger than " + std::to_string(limits.max_file_bytes >> 20) +
                            " MiB");
    }
    const Result<ImageHeader> header = inspect_image(bytes, limits);
    if (!header) return header.error();
    bytes = bytes.subspan(header->junk_bytes);
    DecodedImage result;
    if (header->junk_bytes > 0) {
        result.damage = Damage::possible;
        result.note =
            "may be damaged (bytes before the image: " + std::to_string(header->junk_bytes) + ")";
    }
    Result<Image> image = decode_by_type(bytes, *header, limits, result);
    if (image) image = apply_orientation(std::move(*image), header->orientation);
    if (!image) return image.error();
    result.image = std::move(*image);
    if (header->animated) result.note = "animation: only its first frame is used";
    if (header->type == ImageType::tiff && header->frames > 1)
        result.note = "several pages: only its first is used";
    return result;
}

Result<Image> apply_orientation(Image image, int orientation) {
    if (orientation < 2 || orientation > 8) return image;
    Result<Image> turned = is_transposed(orientation) ? new_image(image.height, image.width)
                                                      : new_image(image.width, image.height);
    if (!turned) return turned;
    turn_pixels({image.pixels.get(), image.width, image.height,
                 static_cast<std::ptrdiff_t>(image.row_bytes()), 3},
                orientation, turned->pixels.get());
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
    if (frame.format != PixelFormat::gray8 && frame.format != PixelFormat::rgb24)
        return Error::output("cannot write this pixel format");
    if (frame.width > 65535 || frame.height > 65535) {
        if (format == ImageFormat::jpeg)
            return Error::output("too large for a JPEG file; write PNG");
    }
    if (format == ImageFormat::png) return write_png(frame);
    ByteVector bytes;
    if (const Result<> done = encode_jpeg(frame, {}, bytes); !done) return done.error();
    return bytes;
}

bool inflate_raw(Bytes packed, std::span<std::uint8_t> out) {
    constexpr std::size_t largest = 0x7fffffff;
    if (packed.size() > largest || out.size() > largest) return false;
    std::uint8_t none = 0;  // the decoder copies to where there is no room, too, if 0 bytes
    std::uint8_t* const to = out.empty() ? &none : out.data();
    const int count = stbi_zlib_decode_noheader_buffer(
        reinterpret_cast<char*>(to), static_cast<int>(out.size()),
        reinterpret_cast<const char*>(packed.data()), static_cast<int>(packed.size()));
    return count >= 0 && static_cast<std::size_t>(count) == out.size();
}

}  // namespace mien::host
