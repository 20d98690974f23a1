// SPDX-License-Identifier: MIT
#include "host/codec/tiff.h"

#include <tiffio.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "host/shared_library.h"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

struct LibTiff {
    SharedLibrary library{MIEN_TIFF_SONAME};
    decltype(&::TIFFGetVersion) version = nullptr;
    decltype(&::TIFFOpenOptionsAlloc) new_options = nullptr;
    decltype(&::TIFFOpenOptionsFree) free_options = nullptr;
    decltype(&::TIFFOpenOptionsSetMaxSingleMemAlloc) set_largest_block = nullptr;
    decltype(&::TIFFOpenOptionsSetErrorHandlerExtR) set_error_handler = nullptr;
    decltype(&::TIFFOpenOptionsSetWarningHandlerExtR) set_warning_handler = nullptr;
    decltype(&::TIFFClientOpenExt) open = nullptr;
    decltype(&::TIFFClose) close = nullptr;
    decltype(&::TIFFGetField) get = nullptr;
    decltype(&::TIFFGetFieldDefaulted) get_or_default = nullptr;
    decltype(&::TIFFSetField) set = nullptr;
    decltype(&::TIFFLastDirectory) is_last_page = nullptr;
    decltype(&::TIFFIsTiled) is_tiled = nullptr;
    decltype(&::TIFFTileSize64) tile_size = nullptr;
    decltype(&::TIFFStripSize64) strip_size = nullptr;
    decltype(&::TIFFReadRGBAImageOriented) read = nullptr;

    LibTiff() {
        library.find(version, "TIFFGetVersion");
        library.find(new_options, "TIFFOpenOptionsAlloc");
        library.find(free_options, "TIFFOpenOptionsFree");
        library.find(set_largest_block, "TIFFOpenOptionsSetMaxSingleMemAlloc");
        library.find(set_error_handler, "TIFFOpenOptionsSetErrorHandlerExtR");
        library.find(set_warning_handler, "TIFFOpenOptionsSetWarningHandlerExtR");
        library.find(open, "TIFFClientOpenExt");
        library.find(close, "TIFFClose");
        library.find(get, "TIFFGetField");
        library.find(get_or_default, "TIFFGetFieldDefaulted");
        library.find(set, "TIFFSetField");
        library.find(is_last_page, "TIFFLastDirectory");
        library.find(is_tiled, "TIFFIsTiled");
        library.find(tile_size, "TIFFTileSize64");
        library.find(strip_size, "TIFFStripSize64");
        library.find(read, "TIFFReadRGBAImageOriented");
    }
};
const LibTiff& libtiff() {
    static const LibTiff library;
    return library;
}

Error tiff_corrupt(const std::string& what) {
    return Error::input("damaged TIFF file (" + what + ")");
}

// The file in memory, as libtiff asks for it, and the first thing that it complains of.
struct TiffSource {
    Bytes bytes;
    std::uint64_t at = 0;
    char complaint[200] = "";
};

TiffSource& source_of(thandle_t handle) { return *static_cast<TiffSource*>(handle); }

tmsize_t read_tiff(thandle_t handle, void* out, tmsize_t wanted) {
    TiffSource& source = source_of(handle);
    if (wanted <= 0 || source.at >= source.bytes.size()) return 0;
    const std::size_t count = std::min(static_cast<std::size_t>(wanted),
                                       source.bytes.size() - static_cast<std::size_t>(source.at));
    std::memcpy(out, source.bytes.data() + source.at, count);
    source.at += count;
    return static_cast<tmsize_t>(count);
}
tmsize_t write_tiff(thandle_t, void*, tmsize_t) { return 0; }
toff_t seek_tiff(thandle_t handle, toff_t offset, int whence) {
    TiffSource& source = source_of(handle);
    const std::uint64_t base = whence == SEEK_CUR   ? source.at
                               : whence == SEEK_END ? source.bytes.size()
                                                    : 0;
    return source.at = base + offset;
}
int close_tiff(thandle_t) { return 0; }
toff_t size_of_tiff(thandle_t handle) { return source_of(handle).bytes.size(); }
int map_tiff(thandle_t handle, void** base, toff_t* size) {
    *base = const_cast<std::uint8_t*>(source_of(handle).bytes.data());
    *size = source_of(handle).bytes.size();
    return 1;
}
void unmap_tiff(thandle_t, void*, toff_t) {}

int keep_complaint(TIFF*, void* user, const char*, const char* text, va_list values) {
    TiffSource& source = source_of(user);
    if (source.complaint[0] != '\0') return 1;
    std::vsnprintf(source.complaint, sizeof source.complaint, text, values);
    for (char& c : source.complaint)
        if (c != '\0' && (c < ' ' || c > '~')) c = '?';
    return 1;
}
int ignore_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct TiffCloser {
    void operator()(TIFF* file) const { libtiff().close(file); }
};
using TiffFile = std::unique_ptr<TIFF, TiffCloser>;

TiffFile open_tiff(TiffSource& source, std::uint64_t largest_block) {
    TIFFOpenOptions* const options = libtiff().new_options();
    if (options == nullptr) return nullptr;
    libtiff().set_largest_block(options, static_cast<tmsize_t>(largest_block));
    libtiff().set_error_handler(options, keep_complaint, &source);
    libtiff().set_warning_handler(options, ignore_warning, nullptr);
    TIFF* const file = libtiff().open("", "r", &source, read_tiff, write_tiff, seek_tiff,
                                      close_tiff, size_of_tiff, map_tiff, unmap_tiff, options);
    libtiff().free_options(options);
    return TiffFile(file);
}

unsigned short_of(TIFF* file, std::uint32_t tag) {
    std::uint16_t value = 0;
    return libtiff().get_or_default(file, tag, &value) == 1 ? value : 0;
}

bool is_known_compression(unsigned compression) {
    constexpr std::array<unsigned, 7> known = {
        COMPRESSION_NONE,    COMPRESSION_LZW,      COMPRESSION_JPEG,     COMPRESSION_ADOBE_DEFLATE,
        COMPRESSION_DEFLATE, COMPRESSION_PACKBITS, COMPRESSION_CCITTFAX4};
    return std::find(known.begin(), known.end(), compression) != known.end();
}

bool is_camera_raw(TIFF* file, Bytes bytes) {
    std::uint32_t subfile = 0;
    if (libtiff().get(file, TIFFTAG_SUBFILETYPE, &subfile) == 1 &&
        (subfile & FILETYPE_REDUCEDIMAGE) != 0)
        return true;
    void* version = nullptr;
    return libtiff().get(file, TIFFTAG_DNGVERSION, &version) == 1 ||
           (bytes.size() > 10 && bytes[8] == 'C' && bytes[9] == 'R');  // of Canon
}

Result<ImageHeader> describe(TIFF* file, Bytes bytes, const ImageLimits& limits) {
    ImageHeader header;
    header.type = ImageType::tiff;
    std::uint32_t width = 0, height = 0;
    libtiff().get(file, TIFFTAG_IMAGEWIDTH, &width);
    libtiff().get(file, TIFFTAG_IMAGELENGTH, &height);
    if (const Result<> done = check_size(width, height, limits, "TIFF"); !done) return done.error();
    header.width = static_cast<int>(width);
    header.height = static_cast<int>(height);
    if (is_camera_raw(file, bytes))
        return Error::input("cannot read camera raws; save it as JPEG, PNG or TIFF");
    if (const unsigned kind = short_of(file, TIFFTAG_COMPRESSION); !is_known_compression(kind))
        return Error::input("cannot read TIFF with compression " + std::to_string(kind) +
                            "; save it with LZW, Deflate or none");
    const unsigned bits = short_of(file, TIFFTAG_BITSPERSAMPLE),
                   samples = std::max(short_of(file, TIFFTAG_SAMPLESPERPIXEL), 1u);
    // What a strip or a tile unpacks to, which may be more than the image.
    const std::uint64_t pixels = std::uint64_t{width} * height;
    const std::uint64_t part =
        libtiff().is_tiled(file) != 0 ? libtiff().tile_size(file) : libtiff().strip_size(file);
    if (part == 0 || samples > 32) return tiff_corrupt("its parts have no size");
    if (part / ImageLimits::decode_bytes > limits.max_pixels)
        return Error::input("too large: a part of it unpacks to " + std::to_string(part >> 20) +
                            " MiB");
    const bool apart = short_of(file, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
    const std::uint64_t unpacked = part * (apart ? samples : 1);
    // RGBA, then RGB, and what is unpacked.
    header.decode_bytes = 7 + static_cast<int>(std::min<std::uint64_t>(
                                  (unpacked + pixels - 1) / pixels, std::uint64_t{1} << 20));
    if (bits == 0 || bits > 16)
        return Error::input("cannot read TIFF with " + std::to_string(bits) +
                            " bits a channel; save it with 8");
    const unsigned orientation = short_of(file, TIFFTAG_ORIENTATION);
    header.orientation = orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
    header.frames = libtiff().is_last_page(file) != 0 ? 1 : 2;
    return header;
}

}  // namespace

std::string tiff_library() {
    if (!libtiff().library) return "";
    // "LIBTIFF, Version 4.5.0\nCopyright ..."
    const std::string text = libtiff().version();
    const std::size_t begin = text.find_first_of("0123456789");
    if (begin == std::string::npos) return "libtiff";
    return "libtiff " + text.substr(begin, text.find('\n') - begin);
}

bool is_tiff(Bytes bytes) {
    return bytes.size() >= 4 &&
           (std::memcmp(&bytes[0], "II*\0", 4) == 0 || std::memcmp(&bytes[0], "MM\0*", 4) == 0);
}

Result<ImageHeader> inspect_tiff(Bytes bytes, const ImageLimits& limits) {
    if (!libtiff().library)
        return Error::input("cannot read TIFF: " MIEN_TIFF_SONAME " is not on this machine");
    TiffSource source{.bytes = bytes};
    const TiffFile file = open_tiff(source, bytes.size() + (std::uint64_t{1} << 20));
    if (!file) return tiff_corrupt(source.complaint);
    return describe(file.get(), bytes, limits);
}

Result<> decode_tiff(Bytes bytes, const ImageHeader& header, Image& image) {
    const std::uint64_t pixels =
        static_cast<std::uint64_t>(image.width) * static_cast<std::uint64_t>(image.height);
    TiffSource source{.bytes = bytes};
    const std::uint64_t block = pixels * static_cast<std::uint64_t>(header.decode_bytes);
    const TiffFile file =
        open_tiff(source, std::max<std::uint64_t>(block, bytes.size()) + (std::uint64_t{1} << 20));
    if (!file) return tiff_corrupt(source.complaint);
    // Colors as they are stored: called premultiplied, they are left alone, and so is the alpha.
    std::uint16_t extra = 0;
    std::uint16_t* kinds = nullptr;
    if (libtiff().get(file.get(), TIFFTAG_EXTRASAMPLES, &extra, &kinds) == 1 && extra > 0) {
        std::vector<std::uint16_t> dropped(extra, EXTRASAMPLE_ASSOCALPHA);
        libtiff().set(file.get(), TIFFTAG_EXTRASAMPLES, int{extra}, dropped.data());
    }
    // Turned later, as all images are.
    libtiff().set(file.get(), TIFFTAG_ORIENTATION, int{ORIENTATION_TOPLEFT});
    const PixelBuffer rgba = new_pixels(pixels * 4);
    if (!rgba) return no_memory();
    // What a damaged file leaves out is not what was in memory before.
    std::memset(rgba.get(), 0, pixels * 4);
    const auto packed = reinterpret_cast<std::uint32_t*>(rgba.get());
    if (libtiff().read(file.get(), static_cast<std::uint32_t>(image.width),
                       static_cast<std::uint32_t>(image.height), packed, ORIENTATION_TOPLEFT,
                       1) != 1 ||
        source.complaint[0] != '\0')
        return tiff_corrupt(source.complaint[0] != '\0' ? source.complaint : "unknown reason");
    std::uint8_t* out = image.pixels.get();
    for (std::uint64_t i = 0; i < pixels; ++i, out += 3) {
        out[0] = static_cast<std::uint8_t>(TIFFGetR(packed[i]));
        out[1] = static_cast<std::uint8_t>(TIFFGetG(packed[i]));
        out[2] = static_cast<std::uint8_t>(TIFFGetB(packed[i]));
    }
    return {};
}

}  // namespace mien::host
