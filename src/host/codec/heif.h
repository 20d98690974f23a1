// SPDX-License-Identifier: MIT
// HEIC and AVIF by libheif, where the build found it. The library decodes as many pixels as the data
// has, whatever the file's header says (measured in docs/lab/IMAGES.md), so it is for files that
// people choose, not for what strangers send: ImageLimits::strict_memory refuses them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "host/codec/image.h"
#include "host/codec/image_header.h"
#include "host/files/result.h"

namespace mien::host {

// "libheif 1.15.1"; empty if it is not on this machine.
std::string heif_library();

// By the file's brands.
bool is_heif(std::span<const std::uint8_t> bytes);

// The primary image, turned and cut as the file says.
Result<ImageHeader> inspect_heif(std::span<const std::uint8_t> bytes, const ImageLimits& limits);
Result<> decode_heif(std::span<const std::uint8_t> bytes, const ImageHeader& header, Image& image);

}  // namespace mien::host
