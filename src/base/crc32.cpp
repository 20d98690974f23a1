// SPDX-License-Identifier: MIT
#include "base/crc32.h"

#include <array>

#include "base/bytes.h"

namespace mien {
namespace {

// table[k][b]: the effect of byte b followed by k zero bytes, so that eight bytes are taken in one
// step.
constexpr auto make_tables() noexcept {
    std::array<std::array<std::uint32_t, 256>, 8> table{};
    for (std::uint32_t b = 0; b < 256; ++b) {
        std::uint32_t crc = b;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
        table[0][b] = crc;
    }
    for (std::size_t k = 1; k < 8; ++k)
        for (std::size_t b = 0; b < 256; ++b)
            table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
    return table;
}
// in WebAssembly, where size matters and each file is checked once: one table of the eight
#if defined(__wasm__)
constexpr auto table = make_tables()[0];
#else
constexpr auto tables = make_tables();
#endif

}  // namespace

std::uint32_t crc32(std::span<const std::uint8_t> bytes, std::uint32_t crc) noexcept {
    crc = ~crc;
    const std::uint8_t* p = bytes.data();
    std::size_t left = bytes.size();
#if defined(__wasm__)
    for (; left > 0; --left) crc = crc >> 8 ^ table[(crc ^ *p++) & 255];
#else
    for (; left >= 8; left -= 8, p += 8) {
        const std::uint32_t a = load_u32(p) ^ crc, b = load_u32(p + 4);
        crc = tables[7][a & 255] ^ tables[6][a >> 8 & 255] ^ tables[5][a >> 16 & 255] ^
              tables[4][a >> 24] ^ tables[3][b & 255] ^ tables[2][b >> 8 & 255] ^
              tables[1][b >> 16 & 255] ^ tables[0][b >> 24];
    }
    for (; left > 0; --left) crc = crc >> 8 ^ tables[0][(crc ^ *p++) & 255];
#endif
    return ~crc;
}

}  // namespace mien
