// SPDX-License-Identifier: MIT
// WebP by libwebp, where the build found it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "host/codec/image.h"
#include "host/codec/image_header.h"
#include "host/files/result.h"

namespace mien::host {

// "libwebp 1.2.4"; empty if it is not on this machine.
std::string webp_library();

bool is_webp(std::span<const std::uint8_t> bytes);

// Of an animation the first frame counts.
Result<ImageHeader> inspect_webp(std::span<const std::uint8_t> bytes, const ImageLimits& limits);

// Decodes what inspect_webp() described into `image`, which is as large as the header says. What a
// smaller first frame of an animation leaves free is black.
Result<> decode_webp(std::span<const std::uint8_t> bytes, const ImageHeader& header, Image& image);

}  // namespace mien::host
