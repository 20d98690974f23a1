// SPDX-License-Identifier: MIT
// The checksum of the file format and of the test vectors: CRC-32 of IEEE 802.3 (polynomial
// 0xedb88320 reflected), as in zlib.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mien {

// Continues from `crc` (0 to begin), so crc32(b, crc32(a)) is the checksum of a followed by b.
[[nodiscard]] std::uint32_t crc32(std::span<const std::uint8_t> bytes,
                                  std::uint32_t crc = 0) noexcept;

}  // namespace mien
