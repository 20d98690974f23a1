// SPDX-License-Identifier: MIT
#include "host/files/base64.h"

#include <array>

namespace mien::host {
namespace {

constexpr std::uint8_t no_digit = 255, blank = 254;

constexpr std::array<std::uint8_t, 256> base64_values() {
    std::array<std::uint8_t, 256> values{};
    values.fill(no_digit);
    for (std::uint8_t i = 0; i < 26; ++i) {
        values['A' + std::size_t{i}] = i;
        values['a' + std::size_t{i}] = static_cast<std::uint8_t>(26 + i);
    }
    for (std::uint8_t i = 0; i < 10; ++i)
        values['0' + std::size_t{i}] = static_cast<std::uint8_t>(52 + i);
    values['+'] = values['-'] = 62;
    values['/'] = values['_'] = 63;
    values[' '] = values['\t'] = values['\r'] = values['\n'] = blank;
    return values;
}

}  // namespace

std::optional<ByteVector> from_base64(std::string_view text) {
    static constexpr auto values = base64_values();
    ByteVector out;
    out.reserve(text.size() / 4 * 3 + 3);
    std::uint32_t group = 0;
    int digits = 0, padding = 0;
    for (const char c : text) {
        const std::uint8_t value = values[static_cast<unsigned char>(c)];
        if (value == blank) continue;
        if (c == '=') {
            ++padding;
            continue;
        }
        if (value == no_digit || padding > 0) return {};
        group = group << 6 | value;
        if (++digits < 4) continue;
        out.push_back(static_cast<std::uint8_t>(group >> 16));
        out.push_back(static_cast<std::uint8_t>(group >> 8 & 255));
        out.push_back(static_cast<std::uint8_t>(group & 255));
        group = 0;
        digits = 0;
    }
    // A single digit is no byte; padding fills its group or is not there.
    if (digits == 1 || (padding > 0 && digits + padding != 4)) return {};
    if (digits == 2) {
        out.push_back(static_cast<std::uint8_t>(group >> 4));
    } else if (digits == 3) {
        out.push_back(static_cast<std::uint8_t>(group >> 10));
        out.push_back(static_cast<std::uint8_t>(group >> 2 & 255));
    }
    return out;
}

}  // namespace mien::host
