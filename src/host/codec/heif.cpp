// SPDX-License-Identifier: MIT
#include "host/codec/heif.h"

#include <libheif/heif.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "host/shared_library.h"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

struct LibHeif {
    SharedLibrary library{MIEN_HEIF_SONAME};
    decltype(&::heif_get_version) version = nullptr;
    decltype(&::heif_context_alloc) new_context = nullptr;
    decltype(&::heif_context_free) free_context = nullptr;
    decltype(&::heif_context_read_from_memory_without_copy) read = nullptr;
    decltype(&::heif_context_set_maximum_image_size_limit) set_largest_side = nullptr;
    decltype(&::heif_context_get_primary_image_handle) primary = nullptr;
    decltype(&::heif_image_handle_release) release_handle = nullptr;
    decltype(&::heif_image_handle_get_width) handle_width = nullptr;
    decltype(&::heif_image_handle_get_height) handle_height = nullptr;
    decltype(&::heif_decode_image) decode = nullptr;
    decltype(&::heif_decoding_options_alloc) new_options = nullptr;
    decltype(&::heif_decoding_options_free) free_options = nullptr;
    decltype(&::heif_image_get_width) width = nullptr;
    decltype(&::heif_image_get_height) height = nullptr;
    decltype(&::heif_image_get_plane_readonly) plane = nullptr;
    decltype(&::heif_image_release) release_image = nullptr;

    LibHeif() {
        library.find(version, "heif_get_version");
        library.find(new_context, "heif_context_alloc");
        library.find(free_context, "heif_context_free");
        library.find(read, "heif_context_read_from_memory_without_copy");
        library.find(set_largest_side, "heif_context_set_maximum_image_size_limit");
        library.find(primary, "heif_context_get_primary_image_handle");
        library.find(release_handle, "heif_image_handle_release");
        library.find(handle_width, "heif_image_handle_get_width");
        library.find(handle_height, "heif_image_handle_get_height");
        library.find(decode, "heif_decode_image");
        library.find(new_options, "heif_decoding_options_alloc");
        library.find(free_options, "heif_decoding_options_free");
        library.find(width, "heif_image_get_width");
        library.find(height, "heif_image_get_height");
        library.find(plane, "heif_image_get_plane_readonly");
        library.find(release_image, "heif_image_release");
    }
};
const LibHeif& libheif() {
    static const LibHeif library;
    return library;
}

// Its words are of its own making, but may quote the file.
Error heif_refused(const heif_error& error) {
    std::string text = error.message != nullptr ? error.message : "unknown reason";
    for (char& c : text)
        if (c < ' ' || c > '~') c = '?';
    return Error::input("damaged HEIC or AVIF file (" + text + ")");
}

// A file with its primary image.
class HeifFile {
public:
    HeifFile() = default;
    HeifFile(const HeifFile&) = delete;
    HeifFile& operator=(const HeifFile&) = delete;
    ~HeifFile() {
        if (image_ != nullptr) libheif().release_image(image_);
        if (handle_ != nullptr) libheif().release_handle(handle_);
        if (context_ != nullptr) libheif().free_context(context_);
    }

    Result<> open(Bytes bytes, int max_side) {
        context_ = libheif().new_context();
        if (context_ == nullptr) return no_memory();
        libheif().set_largest_side(context_, max_side);
        heif_error error = libheif().read(context_, bytes.data(), bytes.size(), nullptr);
        if (error.code != heif_error_Ok) return heif_refused(error);
        error = libheif().primary(context_, &handle_);
        if (error.code != heif_error_Ok) return heif_refused(error);
        return {};
    }
    Result<> decode() {
        heif_decoding_options* const options = libheif().new_options();
        if (options == nullptr) return no_memory();
        options->convert_hdr_to_8bit = 1;
        const heif_error error = libheif().decode(handle_, &image_, heif_colorspace_RGB,
                                                  heif_chroma_interleaved_RGB, options);
        libheif().free_options(options);
        if (error.code != heif_error_Ok) return heif_refused(error);
        return {};
    }
    const heif_image_handle* handle() const { return handle_; }
    const heif_image* image() const { return image_; }

private:
    heif_context* context_ = nullptr;
    heif_image_handle* handle_ = nullptr;
    heif_image* image_ = nullptr;
};

}  // namespace

std::string heif_library() {
    return libheif().library ? std::string("libheif ") + libheif().version() : "";
}

bool is_heif(Bytes bytes) {
    constexpr std::string_view brands[] = {"heic", "heix", "heim", "heis", "hevc",
                                           "hevx", "mif1", "msf1", "avif", "avis"};
    if (bytes.size() < 12 || std::memcmp(&bytes[4], "ftyp", 4) != 0) return false;
    const std::string_view brand(reinterpret_cast<const char*>(&bytes[8]), 4);
    return std::find(std::begin(brands), std::end(brands), brand) != std::end(brands);
}

Result<ImageHeader> inspect_heif(Bytes bytes, const ImageLimits& limits) {
    if (limits.strict_memory)
        return Error::input(
            "HEIC and AVIF are not read here, as their size is known too late;"
            " send JPEG, PNG or WebP");
    if (!libheif().library)
        return Error::input("cannot read HEIC and AVIF: " MIEN_HEIF_SONAME
                            " is not on this machine");
    HeifFile file;
    if (const Result<> done = file.open(bytes, limits.max_side); !done) return done.error();
    ImageHeader header;
    header.type = ImageType::heif;
    header.width = libheif().handle_width(file.handle());
    header.height = libheif().handle_height(file.handle());
    if (header.width < 0 || header.height < 0)
        return Error::input("damaged HEIC or AVIF file (a negative side)");
    if (const Result<> done =
            check_size(static_cast<std::uint64_t>(header.width),
                       static_cast<std::uint64_t>(header.height), limits, "HEIC or AVIF");
        !done)
        return done.error();
    // The decoder's planes (16 bits a channel at most), RGB of the library's, and ours.
    header.decode_bytes = 12;
    return header;
}

Result<> decode_heif(Bytes bytes, const ImageHeader& header, Image& image) {
    HeifFile file;
    if (Result<> done = file.open(bytes, std::max(header.width, header.height)); !done) return done;
    if (Result<> done = file.decode(); !done) return done;
    int stride = 0;
    const std::uint8_t* const pixels =
        libheif().plane(file.image(), heif_channel_interleaved, &stride);
    if (pixels == nullptr ||
        libheif().width(file.image(), heif_channel_interleaved) != image.width ||
        libheif().height(file.image(), heif_channel_interleaved) != image.height)
        return Error::input("damaged HEIC or AVIF file (two sizes in it)");
    for (int y = 0; y < image.height; ++y)
        std::memcpy(image.pixels.get() + image.row_bytes() * static_cast<std::size_t>(y),
                    pixels + static_cast<std::ptrdiff_t>(stride) * y, image.row_bytes());
    return {};
}

}  // namespace mien::host
