// SPDX-License-Identifier: MIT
// Reads little-endian numbers from file bytes of any alignment on any machine.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace mien {

constexpr std::uint16_t load_u16(const std::uint8_t* p) noexcept {
    return static_cast<std::uint16_t>(p[0] | p[1] << 8);
}
constexpr std::uint32_t load_u32(const std::uint8_t* p) noexcept {
    return std::uint32_t{p[0]} | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 |
           std::uint32_t{p[3]} << 24;
}
constexpr std::uint64_t load_u64(const std::uint8_t* p) noexcept {
    return std::uint64_t{load_u32(p)} | std::uint64_t{load_u32(p + 4)} << 32;
}
constexpr std::int32_t load_i32(const std::uint8_t* p) noexcept {
    return static_cast<std::int32_t>(load_u32(p));
}
constexpr std::int16_t load_i16(const std::uint8_t* p) noexcept {
    return static_cast<std::int16_t>(load_u16(p));
}
constexpr float load_f32(const std::uint8_t* p) noexcept {
    return std::bit_cast<float>(load_u32(p));
}

constexpr bool is_finite(float v) noexcept {
    return (std::bit_cast<std::uint32_t>(v) & 0x7f800000u) != 0x7f800000u;
}

template <class T>
constexpr T round_up(T value, T multiple) noexcept {
    return (value + multiple - 1) / multiple * multiple;
}

}  // namespace mien
