// SPDX-License-Identifier: MIT
// TIFF by libtiff, where the build found it: the first page, with the compressions of scanners and
// editors. Camera raws, which look alike, are refused: what can be read of them is a small preview.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "host/codec/image.h"
#include "host/codec/image_header.h"
#include "host/files/result.h"

namespace mien::host {

// "libtiff 4.5.0"; empty if it is not on this machine.
std::string tiff_library();

bool is_tiff(std::span<const std::uint8_t> bytes);

Result<ImageHeader> inspect_tiff(std::span<const std::uint8_t> bytes, const ImageLimits& limits);

// Decodes what inspect_tiff() described into `image`, as it is stored, before its orientation.
Result<> decode_tiff(std::span<const std::uint8_t> bytes, const ImageHeader& header, Image& image);

}  // namespace mien::host
