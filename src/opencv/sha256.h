// SPDX-License-Identifier: MIT
// SHA-256 (FIPS 180-4): names the file that weights were made of.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace mien::opencv {

// 64 hexadecimal digits.
[[nodiscard]] std::string sha256(std::span<const std::uint8_t> bytes);

}  // namespace mien::opencv
