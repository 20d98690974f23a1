// SPDX-License-Identifier: MIT
// Is all of a JPEG's picture data there? For stb_image, which takes missing data for zeros and does
// not tell; libjpeg-turbo finds the same by itself.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace mien::host {

// Walks the codes of all scans and decodes no pixel. What is missing, in libjpeg's words; empty when
// nothing is. The refining scans of a progressive file are not walked, but counted. The file is one
// that inspect_image() takes and that has its Huffman tables.
std::string missing_jpeg_data(std::span<const std::uint8_t> bytes);

}  // namespace mien::host
