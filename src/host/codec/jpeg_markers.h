// SPDX-License-Identifier: MIT
// The second byte of a JPEG's markers (ITU-T T.81, table B.1), for all that walks from one to the
// next.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace mien::host {

inline constexpr std::uint8_t marker_dht = 0xc4, marker_soi = 0xd8, marker_eoi = 0xd9,
                              marker_sos = 0xda;

constexpr bool is_restart(std::uint8_t marker) { return marker >= 0xd0 && marker <= 0xd7; }
// Neither a length nor a segment follows.
constexpr bool stands_alone(std::uint8_t marker) { return is_restart(marker) || marker == 0x01; }

// First marker at or after `pos` inside the compressed data of a scan, or the end.
inline std::size_t end_of_jpeg_scan(std::span<const std::uint8_t> bytes, std::size_t pos) {
    while (pos < bytes.size()) {
        const void* found = std::memchr(bytes.data() + pos, 0xff, bytes.size() - pos);
        if (found == nullptr) return bytes.size();
        pos = static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - bytes.data());
        if (pos + 1 >= bytes.size()) return bytes.size();
        const std::uint8_t next = bytes[pos + 1];
        // a stuffed 0xff, or a restart mark
        const bool is_data = next == 0 || is_restart(next);
        if (!is_data && next != 0xff) return pos;
        pos += next == 0xff ? 1 : 2;
    }
    return bytes.size();
}

// How many scans a JPEG may have. A progressive one has about ten and at most a few hundred useful
// ones, and each costs a pass over all pixels. So a small image may have 300, and all scans together
// may cover as much as 20 of the largest images.
constexpr int max_jpeg_scans(std::uint64_t width, std::uint64_t height, std::uint64_t max_pixels) {
    constexpr std::uint64_t most = 300, passes = 20;
    const std::uint64_t pixels = width * height;
    if (pixels == 0 || max_pixels / pixels >= most / passes) return int{most};
    return static_cast<int>(max_pixels * passes / pixels);
}

}  // namespace mien::host
