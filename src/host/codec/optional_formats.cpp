// SPDX-License-Identifier: MIT
#include "host/codec/optional_formats.h"

#ifdef MIEN_HEIF_SONAME
#include "host/codec/heif.h"
#endif
#ifdef MIEN_TIFF_SONAME
#include "host/codec/tiff.h"
#endif
#ifdef MIEN_WEBP_SONAME
#include "host/codec/webp.h"
#endif

namespace mien::host {

const std::vector<OptionalFormat>& optional_formats() {
    static const std::vector<OptionalFormat> formats = {
#ifdef MIEN_WEBP_SONAME
        {ImageType::webp,
         {"WebP"},
         MIEN_WEBP_SONAME,
         true,
         webp_library,
         is_webp,
         inspect_webp,
         decode_webp},
#endif
#ifdef MIEN_TIFF_SONAME
        {ImageType::tiff,
         {"TIFF"},
         MIEN_TIFF_SONAME,
         true,
         tiff_library,
         is_tiff,
         inspect_tiff,
         decode_tiff},
#endif
#ifdef MIEN_HEIF_SONAME
        {ImageType::heif,
         {"HEIC", "AVIF"},
         MIEN_HEIF_SONAME,
         false,
         heif_library,
         is_heif,
         inspect_heif,
         decode_heif},
#endif
    };
    return formats;
}

}  // namespace mien::host
