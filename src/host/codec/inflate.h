// SPDX-License-Identifier: MIT
// Unpacks a raw deflate stream of known length with stb_image's decoder, which is present for PNG
// anyway.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mien::host {

// The decoder looks ahead: `packed` must go on for so many bytes, whatever they are, behind the
// stream's end.
constexpr std::size_t inflate_margin = 4;

// Fills `out` exactly; false if the stream is damaged or of another length. At most 2^31 - 1 bytes
// on each side.
bool inflate_raw(std::span<const std::uint8_t> packed, std::span<std::uint8_t> out);

}  // namespace mien::host
