// SPDX-License-Identifier: MIT
#include "host/files/image_kinds.h"

namespace mien::host {
namespace {

constexpr std::string_view known_endings[] = {
    ".jpg",  ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".pnm",
#ifdef MIEN_WEBP_SONAME
    ".webp",
#endif
#ifdef MIEN_TIFF_SONAME
    ".tif",  ".tiff",
#endif
#ifdef MIEN_HEIF_SONAME
    ".heic", ".heif", ".hif", ".avif",
#endif
};

}  // namespace

std::string image_format_names() {
    return "JPEG, PNG, BMP, GIF, PNM"
#ifdef MIEN_WEBP_SONAME
           ", WebP"
#endif
#ifdef MIEN_TIFF_SONAME
           ", TIFF"
#endif
#ifdef MIEN_HEIF_SONAME
           ", HEIC, AVIF"
#endif
        ;
}

std::span<const std::string_view> image_endings() { return known_endings; }

}  // namespace mien::host
