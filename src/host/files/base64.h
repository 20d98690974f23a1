// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "host/files/file_io.h"

namespace mien::host {

// RFC 4648, padded, in one line.
inline std::string base64(std::span<const std::uint8_t> bytes) {
    constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = bytes.size() - i;
        const unsigned group = unsigned{bytes[i]} << 16 |
                               (left > 1 ? unsigned{bytes[i + 1]} << 8 : 0u) |
                               (left > 2 ? unsigned{bytes[i + 2]} : 0u);
        out += letters[group >> 18];
        out += letters[group >> 12 & 63];
        out += left > 1 ? letters[group >> 6 & 63] : '=';
        out += left > 2 ? letters[group & 63] : '=';
    }
    return out;
}

// The bytes of such a text, also with the letters - and _ for URLs, with line ends and spaces in it,
// and without its padding, as programs send it. Nothing for any other text. The result is at most
// three quarters as long as the text.
std::optional<ByteVector> from_base64(std::string_view text);

}  // namespace mien::host
