// SPDX-License-Identifier: MIT
// Structure of JPEG, PNG, BMP, GIF and PNM files (see image_header.h). Every read is behind a check
// of what remains. The decoder behind this (stb_image) fills missing data with zeros in silence, so
// completeness is settled here.
#include "host/codec/image_header.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/crc32.h"
#include "host/codec/jpeg.h"
#include "host/codec/jpeg_markers.h"
#include "host/codec/optional_formats.h"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint32_t big_u16(const std::uint8_t* p) {
    return static_cast<std::uint32_t>(p[0] << 8 | p[1]);
}
constexpr std::uint32_t big_u32(const std::uint8_t* p) { return big_u16(p) << 16 | big_u16(p + 2); }

bool has_at(Bytes bytes, std::size_t offset, std::string_view text) {
    return bytes.size() >= offset && bytes.size() - offset >= text.size() &&
           std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

Error cut_short(const char* type) {
    return Error::input(std::string("cut short: the ") + type + " data ends too early");
}
Error corrupt(const char* type, const char* what) {
    return Error::input(std::string("damaged ") + type + " file (" + what + ")");
}
Error unsupported(std::string what) { return Error::input("cannot read " + std::move(what)); }

// ---- JPEG ----

// Sequential or progressive.
constexpr bool is_arithmetic(std::uint8_t marker) { return marker == 0xc9 || marker == 0xca; }

Result<> read_jpeg_frame(std::uint8_t marker, Bytes segment, const ImageLimits& limits,
                         ImageHeader& header) {
    if (segment.size() < 6) return corrupt("JPEG", "short frame header");
    const bool arithmetic = is_arithmetic(marker);
    if (arithmetic && !jpeg_is_read(JpegKind::arithmetic))
        return unsupported("JPEG with arithmetic coding; save it as an ordinary JPEG");
    if (marker > 0xc2 && !arithmetic)
        return unsupported("lossless or hierarchical JPEG; save it as an ordinary JPEG");
    if (segment[0] != 8) return unsupported("JPEG with 12 bits a channel; save it with 8");
    header.height = static_cast<int>(big_u16(&segment[1]));
    header.width = static_cast<int>(big_u16(&segment[3]));
    return check_size(static_cast<unsigned>(header.width), static_cast<unsigned>(header.height),
                      limits, "JPEG");
}

// Samples of all channels, for that many pixels.
struct JpegSamples {
    unsigned all = 0, pixels = 1;
};
JpegSamples samples_of(Bytes segment) {
    unsigned max_h = 1, max_v = 1, all = 0;
    for (std::size_t at = 7; at < segment.size(); at += 3) {
        const unsigned h = segment[at] >> 4u, v = segment[at] & 15u;
        max_h = std::max(max_h, h);
        max_v = std::max(max_v, v);
        all += h * v;
    }
    return {all, max_h * max_v};
}

// Of data in Huffman codes; the arithmetic ones may be as short as they like.
// A block has a code of a bit or more for its mean; but for a progressive file, whose blocks may
// share it, one for the end of the rest as well. Counted without what hangs over the edges.
std::uint64_t least_jpeg_bits(std::uint8_t marker, JpegSamples samples, const ImageHeader& header) {
    const std::uint64_t blocks = std::uint64_t{static_cast<unsigned>(header.width)} / 8 *
                                 (static_cast<unsigned>(header.height) / 8);
    return blocks * samples.all / samples.pixels * (marker == 0xc2 ? 1 : 2);
}

// Tables of Huffman codes. Their symbols are numbered by a byte, and the codes of each length must
// fit into it: the decoder trusts both.
Result<> check_huffman_tables(Bytes segment) {
    while (!segment.empty()) {
        if (segment.size() < 17) return corrupt("JPEG", "short Huffman table");
        std::size_t symbols = 0, room = 1;  // codes of this length that are free
        for (std::size_t length = 1; length <= 16; ++length) {
            const std::size_t used = segment[length];
            room *= 2;
            if (used > room) return corrupt("JPEG", "impossible Huffman table");
            room -= used;
            symbols += used;
        }
        if (symbols > 256 || segment.size() - 17 < symbols)
            return corrupt("JPEG", "impossible Huffman table");
        segment = segment.subspan(17 + symbols);
    }
    return {};
}

struct JpegState {
    int scans = 0;
    std::size_t scan_bytes = 0;
    JpegSamples samples;
    bool progressive = false;
    std::uint64_t least_bits = 0;  // that any data of that frame has
};

// Reads one segment after its marker and returns where the next marker is to be sought.
Result<std::size_t> read_jpeg_segment(Bytes bytes, std::size_t pos, std::uint8_t marker,
                                      const ImageLimits& limits, ImageHeader& header,
                                      JpegState& state) {
    // What lies behind the first scan is decoded as far as it is there.
    const auto ends = [&]() -> Result<std::size_t> {
        if (state.scans == 0) return cut_short("JPEG");
        return bytes.size();
    };
    if (bytes.size() - pos < 2) return ends();
    const std::size_t length = big_u16(&bytes[pos]);
    if (length < 2) return corrupt("JPEG", "bad segment length");
    if (length > bytes.size() - pos) return ends();
    const Bytes segment = bytes.subspan(pos + 2, length - 2);
    const bool is_frame = marker >= 0xc0 && marker <= 0xcf && marker != marker_dht &&
                          marker != 0xc8 && marker != 0xcc;
    if (is_frame) {
        if (const Result<> done = read_jpeg_frame(marker, segment, limits, header); !done)
            return done.error();
        state.samples = samples_of(segment);
        state.least_bits =
            is_arithmetic(marker) ? 0 : least_jpeg_bits(marker, state.samples, header);
        state.progressive = marker == 0xc2 || marker == 0xca;
    } else if (marker == marker_dht) {
        if (const Result<> done = check_huffman_tables(segment); !done) return done.error();
    } else if (marker == 0xe1 && !header.has_exif &&
               has_at(segment, 0, std::string_view("Exif\0\0", 6))) {
        // The first counts: it is the camera's. Editors may have added others.
        header.orientation = exif_orientation(segment.subspan(6));
        header.has_exif = true;
    } else if (marker == marker_sos) {
        if (header.width == 0) return corrupt("JPEG", "no size before the picture data");
        if (++state.scans > max_jpeg_scans(static_cast<std::uint64_t>(header.width),
                                           static_cast<std::uint64_t>(header.height),
                                           limits.max_pixels))
            return corrupt("JPEG", "too many scans");
        const std::size_t end = end_of_jpeg_scan(bytes, pos + length);
        state.scan_bytes += end - (pos + length);
        return end;
    }
    return pos + length;
}

Result<ImageHeader> inspect_jpeg(Bytes bytes, const ImageLimits& limits) {
    ImageHeader header;
    header.type = ImageType::jpeg;
    JpegState state;
    for (std::size_t pos = 2;;) {
        // some cameras pad between segments
        while (pos < bytes.size() && bytes[pos] != 0xff) ++pos;
        while (pos < bytes.size() && bytes[pos] == 0xff) ++pos;
        if (pos >= bytes.size()) {
            if (state.scans == 0) return cut_short("JPEG");
            header.cut = true;
            break;
        }
        const std::uint8_t marker = bytes[pos++];
        if (marker == marker_eoi) break;
        // markers without a segment
        if (marker == 0 || marker == marker_soi || stands_alone(marker)) continue;
        const Result<std::size_t> next =
            read_jpeg_segment(bytes, pos, marker, limits, header, state);
        if (!next) return next.error();
        pos = *next;
    }
    if (state.scans == 0) return corrupt("JPEG", "no picture in it");
    // Several scans: the coefficients of all samples, and of stb_image the samples as well.
    const unsigned each = state.progressive || state.scans > 1 ? 3 : 1;
    header.decode_bytes =
        3 + static_cast<int>((each * state.samples.all + state.samples.pixels - 1) /
                             state.samples.pixels);
    // Another size was written into the header, or nearly all is missing.
    if (state.scan_bytes < state.least_bits / 8)
        return Error::input("cut short: " + std::to_string(header.width) + " x " +
                            std::to_string(header.height) + " pixels have at least " +
                            std::to_string(state.least_bits / 8) +
                            " bytes of JPEG data, here are " + std::to_string(state.scan_bytes));
    return header;
}

// ---- PNG ----

Result<> read_png_chunk(std::string_view tag, Bytes data, const ImageLimits& limits,
                        ImageHeader& header) {
    if (tag == "IHDR") {
        if (data.size() != 13 || header.width != 0) return corrupt("PNG", "bad header chunk");
        const std::uint32_t width = big_u32(&data[0]), height = big_u32(&data[4]);
        if (const Result<> done = check_size(width, height, limits, "PNG"); !done)
            return done.error();
        header.width = static_cast<int>(width);
        header.height = static_cast<int>(height);
        // What is unpacked and what is made of it. Of an interlaced one, room for the first is twice
        // as large (see stb_settings.h), and the last of its passes is there as well.
        constexpr int channels[] = {1, 1, 3, 1, 2, 1, 4, 1};  // by type
        const bool deep = data[8] > 8;
        // of 16 bits: RGB may gain an alpha
        const int pixel =
            deep ? 2 * (data[9] == 2 ? 4 : channels[data[9] & 7]) : channels[data[9] & 7];
        header.decode_bytes = std::max(data[12] != 0 ? (7 * pixel + 1) / 2 : 2 * pixel, 7);
    } else if (header.width == 0) {
        return corrupt(
            "PNG", tag == "CgBI" ? "an iPhone application's private variant" : "no header chunk");
    } else if (tag == "eXIf" && !header.has_exif) {
        header.orientation = exif_orientation(data);
        header.has_exif = true;
    } else if (tag == "acTL") {
        header.animated = true;
    }
    return {};
}

Result<ImageHeader> inspect_png(Bytes bytes, const ImageLimits& limits) {
    ImageHeader header;
    header.type = ImageType::png;
    bool has_data = false, has_palette = false;
    for (std::size_t pos = 8;;) {
        if (bytes.size() - pos < 12) return cut_short("PNG");
        const std::size_t length = big_u32(&bytes[pos]);
        const std::string_view tag(reinterpret_cast<const char*>(&bytes[pos + 4]), 4);
        if (length > bytes.size() - pos - 12)
            return length >> 31 ? corrupt("PNG", "bad chunk length") : cut_short("PNG");
        const Bytes data = bytes.subspan(pos + 8, length);
        if (const Result<> done = read_png_chunk(tag, data, limits, header); !done)
            return done.error();
        // Readers take one or the other of two palettes.
        if (tag == "PLTE") {
            if (has_palette || has_data) return corrupt("PNG", "palette twice or too late");
            has_palette = true;
        }
        const bool critical = (tag[0] & 0x20) == 0;
        if (critical &&
            crc32(bytes.subspan(pos + 4, length + 4)) != big_u32(&bytes[pos + 8 + length])) {
            return corrupt("PNG", "wrong checksum");
        }
        has_data = has_data || tag == "IDAT";
        if (tag == "IEND") break;
        pos += length + 12;
    }
    if (!has_data) return corrupt("PNG", "no picture in it");
    return header;
}

// ---- BMP ----

Result<ImageHeader> inspect_bmp(Bytes bytes, const ImageLimits& limits) {
    ImageHeader header;
    header.type = ImageType::bmp;
    header.decode_bytes = 7;  // RGBA, then RGB
    if (bytes.size() < 26) return cut_short("BMP");
    const std::uint32_t data_offset = load_u32(&bytes[10]), info_bytes = load_u32(&bytes[14]);
    std::uint64_t bits = 0;
    std::uint32_t compression = 0;
    if (info_bytes == 12) {
        header.width = load_u16(&bytes[18]);
        header.height = load_u16(&bytes[20]);
        bits = load_u16(&bytes[24]);
    } else {
        if (info_bytes < 40 || info_bytes > 124) return corrupt("BMP", "unknown header");
        if (bytes.size() < 14 + std::size_t{info_bytes}) return cut_short("BMP");
        header.width = load_i32(&bytes[18]);
        const std::int64_t height = load_i32(&bytes[22]);  // negative: rows from the top
        if (height <= -(std::int64_t{1} << 31)) return corrupt("BMP", "bad height");
        header.height = static_cast<int>(height < 0 ? -height : height);
        bits = load_u16(&bytes[28]);
        compression = load_u32(&bytes[30]);
    }
    if (header.width < 0) return corrupt("BMP", "negative width");
    const auto width = static_cast<std::uint64_t>(header.width),
               height = static_cast<std::uint64_t>(header.height);
    if (const Result<> done = check_size(width, height, limits, "BMP"); !done) return done.error();
    if (compression != 0 && compression != 3 && compression != 6) {
        return unsupported("BMP with compression; save it as PNG");
    }
    if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
        return corrupt("BMP", "bad number of bits a pixel");
    }
    if (data_offset < 14 + info_bytes) return corrupt("BMP", "pixels within the header");
    const std::uint64_t row_bytes = (width * bits + 7) / 8;
    const std::uint64_t needed = round_up(row_bytes, std::uint64_t{4}) * (height - 1) + row_bytes;
    if (data_offset > bytes.size() || needed > bytes.size() - data_offset) return cut_short("BMP");
    return header;
}

// ---- GIF ----

// Position after a chain of data blocks, or 0 when the file ends inside it.
std::size_t skip_gif_blocks(Bytes bytes, std::size_t pos) {
    for (;;) {
        if (pos >= bytes.size()) return 0;
        const std::size_t length = bytes[pos++];
        if (length == 0) return pos;
        if (length > bytes.size() - pos) return 0;
        pos += length;
    }
}

constexpr std::size_t gif_palette_bytes(std::uint8_t flags) {
    return (flags & 0x80) ? std::size_t{3} << ((flags & 7) + 1) : 0;
}

Result<ImageHeader> inspect_gif(Bytes bytes, const ImageLimits& limits) {
    ImageHeader header;
    header.type = ImageType::gif;
    header.decode_bytes = 9;  // RGBA twice, and which pixels are drawn
    if (bytes.size() < 13) return cut_short("GIF");
    header.width = load_u16(&bytes[6]);
    header.height = load_u16(&bytes[8]);
    if (const Result<> done = check_size(load_u16(&bytes[6]), load_u16(&bytes[8]), limits, "GIF");
        !done)
        return done.error();
    std::size_t pos = 13 + gif_palette_bytes(bytes[10]);
    for (int frames = 0;;) {
        // What comes after the first frame is not decoded, so it may be missing or wrong.
        if (pos >= bytes.size()) return frames > 0 ? Result<ImageHeader>(header) : cut_short("GIF");
        const std::uint8_t kind = bytes[pos];
        if (kind == 0x2c) {
            if (++frames == 2) {
                header.animated = true;
                return header;
            }
            if (bytes.size() - pos < 11) return cut_short("GIF");
            pos += 11 + gif_palette_bytes(bytes[pos + 9]);
        } else if (kind == 0x21) {
            pos += 2;
        } else if (frames > 0) {
            return header;
        } else {
            return corrupt("GIF", kind == 0x3b ? "no picture in it" : "unknown block");
        }
        pos = skip_gif_blocks(bytes, pos);
        if (pos == 0)
            return kind == 0x21 && frames > 0 ? Result<ImageHeader>(header) : cut_short("GIF");
    }
}

// ---- PNM ----

constexpr bool is_space(std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Next decimal number of a PNM header, comments skipped; -1 when there is none, capped far above
// any valid size.
std::int64_t pnm_number(Bytes bytes, std::size_t& pos) {
    while (pos < bytes.size() && (is_space(bytes[pos]) || bytes[pos] == '#')) {
        if (bytes[pos] == '#') {
            while (pos < bytes.size() && bytes[pos] != '\n') ++pos;
        } else {
            ++pos;
        }
    }
    if (pos >= bytes.size() || bytes[pos] < '0' || bytes[pos] > '9') return -1;
    std::int64_t value = 0;
    for (; pos < bytes.size() && bytes[pos] >= '0' && bytes[pos] <= '9'; ++pos) {
        value = std::min<std::int64_t>(value * 10 + (bytes[pos] - '0'), std::int64_t{1} << 40);
    }
    return value;
}

Result<ImageHeader> inspect_pnm(Bytes bytes, const ImageLimits& limits) {
    ImageHeader header;
    header.type = ImageType::pnm;
    if (bytes[1] != '5' && bytes[1] != '6')
        return unsupported("PNM as text or bitmap; save it as binary P5 or P6");
    header.channels = bytes[1] == '5' ? 1 : 3;
    std::size_t pos = 2;
    const std::int64_t width = pnm_number(bytes, pos), height = pnm_number(bytes, pos),
                       top = pnm_number(bytes, pos);
    if (pos >= bytes.size()) return cut_short("PNM");
    if (width < 0 || height < 0 || top < 1 || top > 65535 || !is_space(bytes[pos]))
        return corrupt("PNM", "bad header");
    if (const Result<> done = check_size(static_cast<std::uint64_t>(width),
                                         static_cast<std::uint64_t>(height), limits, "PNM");
        !done) {
        return done.error();
    }
    header.width = static_cast<int>(width);
    header.height = static_cast<int>(height);
    header.max_value = static_cast<int>(top);
    header.data_offset = pos + 1;
    // Divided, since with limits as wide as the service's second look the product would overflow.
    const std::uint64_t samples = (bytes.size() - header.data_offset) / (top > 255 ? 2 : 1) /
                                  static_cast<std::uint64_t>(header.channels);
    if (static_cast<std::uint64_t>(height) > samples / static_cast<std::uint64_t>(width))
        return cut_short("PNM");
    return header;
}

// ---- everything else ----

// What a file that is none of ours most likely is by its beginning, with a way out; the first match
// counts.
std::string described_by_magic(Bytes bytes) {
    struct Known {
        std::size_t offset;
        std::string_view magic;
        const char* text;
    };
    using namespace std::string_view_literals;
    static constexpr const char* heic =
        "HEIC picture (iPhone): save it as JPEG first, for example with heif-convert";
    static constexpr const char* avif = "AVIF picture: save it as JPEG or PNG first";
    static constexpr Known known[] = {
        {4, "ftypheic"sv, heic},
        {4, "ftypheix"sv, heic},
        {4, "ftypmif1"sv, heic},
        {4, "ftyphev"sv, heic},
        {4, "ftypavif"sv, avif},
        {4, "ftypavis"sv, avif},
        {4, "ftyp"sv, "video (MP4 or QuickTime)"},
        {8, "WEBP"sv, "WebP picture: save it as JPEG or PNG first, for example with dwebp"},
        {8, "AVI "sv, "video (AVI)"},
        {0, "II*\0"sv, "TIFF or camera raw picture: save it as JPEG or PNG first"},
        {0, "MM\0*"sv, "TIFF or camera raw picture: save it as JPEG or PNG first"},
        {0, "%PDF"sv, "PDF document: save its picture as JPEG or PNG first"},
        {4, "JXL "sv, "JPEG XL picture: save it as JPEG or PNG first"},
        {0, "\xff\x0a"sv, "JPEG XL picture: save it as JPEG or PNG first"},
        {4, "jP  "sv, "JPEG 2000 picture: save it as JPEG or PNG first"},
        {0, "8BPS"sv, "Photoshop picture: save it as JPEG or PNG first"},
        {0, "\x1a\x45\xdf\xa3"sv, "video (WebM or Matroska)"},
        {0, "\0\0\1\0"sv, "icon (ICO): save it as PNG first"},
        {0, "MIEN"sv, "mien weights file; `mien info` shows it"},
        {0, "\x89HDF"sv, "HDF5 file"},
        {0, "PK\3\4"sv, "ZIP archive: unpack it first"},
        {0, "\x1f\x8b"sv, "gzip archive: unpack it first"},
        {0, "Rar!"sv, "RAR archive: unpack it first"},
        {0,
         "\x7f"
         "ELF"sv,
         "program"},
        {0, "version https://git-lfs"sv, "Git LFS pointer: the picture itself was not fetched"},
        {0, "<svg"sv, "SVG drawing: save it as PNG first"},
        {0, "<?xml"sv, "XML or SVG document"},
        {0, "<!DOCTYPE"sv, "web page"},
        {0, "<!doctype"sv, "web page"},
        {0, "<html"sv, "web page"},
    };
    for (const Known& k : known) {
        if (has_at(bytes, k.offset, k.magic)) return k.text;
    }
    return "";
}

std::string describe_other(Bytes bytes) {
    if (std::string known = described_by_magic(bytes); !known.empty()) return known;
    const Bytes head = bytes.first(std::min<std::size_t>(bytes.size(), 512));
    const bool is_text = std::all_of(head.begin(), head.end(),
                                     [](std::uint8_t c) { return c >= 32 || is_space(c); });
    return is_text ? "text file" : "";
}

Error not_a_picture(Bytes bytes) {
    const std::string other = describe_other(bytes);
    if (!other.empty()) return Error::input("not a picture that mien reads, but a " + other);
    return Error::input("not a picture (" + image_format_names() + " are read)");
}

}  // namespace

Result<> check_size(std::uint64_t width, std::uint64_t height, const ImageLimits& limits,
                    const char* type) {
    if (width == 0 || height == 0) return corrupt(type, "a side is zero");
    const auto max_side = static_cast<std::uint64_t>(limits.max_side);
    const bool side_ok = width <= max_side && height <= max_side;
    if (side_ok && width <= limits.max_pixels / height) return {};
    const std::string size = std::to_string(width) + " x " + std::to_string(height) + " pixels";
    if (!side_ok)
        return Error::input("too large: " + size + ", the limit is " + std::to_string(max_side) +
                            " a side");
    return Error::input("too large: " + size + ", the limit is " +
                        std::to_string(limits.max_pixels / 1000000) + " million");
}

Error no_memory() { return Error::memory("not enough memory for its pixels"); }

namespace {

constexpr std::string_view png_magic = "\x89PNG\r\n\x1a\n";

// The optional format that the bytes begin as; null: none that is here.
const OptionalFormat* optional_format(Bytes bytes) {
    for (const OptionalFormat& format : optional_formats())
        if (format.begins(bytes)) return &format;
    return nullptr;
}

bool is_pnm(Bytes bytes) {
    return bytes.size() > 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' &&
           is_space(bytes[2]);
}

// By what it begins with.
bool is_image(Bytes bytes) {
    for (const std::string_view magic :
         {std::string_view("\xff\xd8"), png_magic, std::string_view("GIF87a"),
          std::string_view("GIF89a"), std::string_view("BM")})
        if (has_at(bytes, 0, magic)) return true;
    return is_pnm(bytes) || optional_format(bytes) != nullptr;
}

Result<ImageHeader> inspect_any(Bytes bytes, const ImageLimits& limits) {
    using namespace std::string_view_literals;
    if (bytes.empty()) return Error::input("file is empty");
    if (has_at(bytes, 0, "\xff\xd8"sv)) return inspect_jpeg(bytes, limits);
    if (has_at(bytes, 0, png_magic)) return inspect_png(bytes, limits);
    if (has_at(bytes, 0, "GIF87a"sv) || has_at(bytes, 0, "GIF89a"sv))
        return inspect_gif(bytes, limits);
    if (has_at(bytes, 0, "BM"sv)) return inspect_bmp(bytes, limits);
    if (is_pnm(bytes)) return inspect_pnm(bytes, limits);
    if (const OptionalFormat* const format = optional_format(bytes); format != nullptr)
        return format->inspect(bytes, limits);
    if (bytes.size() < 8)
        return Error::input("only " + std::to_string(bytes.size()) +
                            " bytes: cut short, or not a picture");
    return not_a_picture(bytes);
}

// Bytes of something else before a JPEG or PNG: the rest of a protocol, marks of a lost frame.
std::size_t junk_before_image(Bytes bytes) {
    using namespace std::string_view_literals;
    // Start marks in a row: the first ones are of images that are gone.
    std::size_t lost = 0;
    while (has_at(bytes, lost, "\xff\xd8\xff\xd8"sv)) lost += 2;
    if (lost > 0) return lost;
    if (is_image(bytes) || !described_by_magic(bytes).empty()) return 0;
    const std::size_t most = std::min(bytes.size(), std::size_t{4096});
    for (std::size_t at = 1; at < most; ++at) {
        if (has_at(bytes, at, "\xff\xd8\xff"sv) || has_at(bytes, at, png_magic)) return at;
    }
    return 0;
}

}  // namespace

std::vector<ImageFormatInfo> image_formats() {
    std::vector<ImageFormatInfo> formats = {
        {"JPEG", jpeg_library()}, {"PNG", ""}, {"BMP", ""}, {"GIF", ""}, {"PNM", ""}};
    for (const OptionalFormat& format : optional_formats()) {
        const std::string library = format.library();
        for (const char* const name : format.names)
            formats.push_back(
                {name, library.empty() ? std::string(format.soname) + " is missing" : library});
    }
    return formats;
}

void load_image_libraries() {
    for (const OptionalFormat& format : optional_formats())
        if (format.is_strict) format.library();
}

bool begins_as_image(Bytes bytes) { return is_image(bytes) || junk_before_image(bytes) > 0; }

Result<ImageHeader> inspect_image(Bytes bytes, const ImageLimits& limits) {
    const std::size_t junk = junk_before_image(bytes);
    Result<ImageHeader> header = inspect_any(bytes.subspan(junk), limits);
    if (!header) return header;
    header->junk_bytes = junk;
    const auto pixels =
        static_cast<std::uint64_t>(header->width) * static_cast<std::uint64_t>(header->height);
    const auto each = static_cast<std::uint64_t>(header->decode_bytes);
    if (pixels > limits.max_pixels / each * ImageLimits::decode_bytes &&
        header->decode_bytes > ImageLimits::decode_bytes)
        return Error::input(
            "too large: " + std::to_string(header->width) + " x " + std::to_string(header->height) +
            " pixels, each of which takes " + std::to_string(each) +
            " bytes to read, the limit is " +
            std::to_string(limits.max_pixels / each * ImageLimits::decode_bytes / 1000000) +
            " million of them");
    return header;
}

int exif_orientation(Bytes tiff) {
    if (tiff.size() < 8) return 1;
    const bool little = tiff[0] == 'I' && tiff[1] == 'I';
    if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
    const auto u16 = [&](std::size_t at) {
        return little ? load_u16(&tiff[at]) : big_u16(&tiff[at]);
    };
    const auto u32 = [&](std::size_t at) {
        return little ? load_u32(&tiff[at]) : big_u32(&tiff[at]);
    };
    const std::size_t directory = u32(4);
    if (u16(2) != 42 || directory > tiff.size() - 2) return 1;
    const std::size_t entries =
        std::min<std::size_t>(u16(directory), (tiff.size() - directory - 2) / 12);
    for (std::size_t i = 0; i < entries; ++i) {
        // tag, type, count, value: 2 + 2 + 4 + 4 bytes
        const std::size_t entry = directory + 2 + i * 12;
        if (u16(entry) != 0x0112) continue;
        const std::uint32_t type = u16(entry + 2),
                            value = type == 4 ? u32(entry + 8) : u16(entry + 8);
        return (type == 3 || type == 4) && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
    }
    return 1;
}

}  // namespace mien::host
