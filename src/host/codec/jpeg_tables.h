// SPDX-License-Identifier: MIT
// Huffman tables for the JPEGs of cameras, which leave out the standard's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mien::host {

// The same JPEG with the standard's tables (ITU-T T.81, annex K.3) if it has none; else empty.
std::vector<std::uint8_t> with_huffman_tables(std::span<const std::uint8_t> bytes);

}  // namespace mien::host
