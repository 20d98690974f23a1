// SPDX-License-Identifier: MIT
// Which formats of images does this build read? By name; what decodes them is host/codec.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mien::host {

// "JPEG, PNG, BMP, GIF, PNM, WebP, ...".
std::string image_format_names();
// Endings of the names of such files, in lower case and with the dot.
std::span<const std::string_view> image_endings();

}  // namespace mien::host
