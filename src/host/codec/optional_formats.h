// SPDX-License-Identifier: MIT
// Formats that a library reads which a build may lack: one entry each, and nothing elsewhere asks
// which of them are here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/codec/image.h"
#include "host/codec/image_header.h"
#include "host/files/result.h"

namespace mien::host {

struct OptionalFormat {
    ImageType type;
    std::vector<const char*> names;
    const char* soname;        // of the library
    bool is_strict;            // read with ImageLimits::strict_memory, too
    std::string (*library)();  // its name and version; empty if it is not on this machine
    bool (*begins)(std::span<const std::uint8_t> bytes);  // do these begin as such a file?
    Result<ImageHeader> (*inspect)(std::span<const std::uint8_t> bytes, const ImageLimits& limits);
    // Into an image as large as the header says.
    Result<> (*decode)(std::span<const std::uint8_t> bytes, const ImageHeader& header,
                       Image& image);
};

// Those of this build.
const std::vector<OptionalFormat>& optional_formats();

}  // namespace mien::host
