// SPDX-License-Identifier: MIT
// The second byte of a JPEG's markers (ITU-T T.81, table B.1), for all that walks from one to the
// next.
#pragma once

#include <cstdint>

namespace mien::host {

inline constexpr std::uint8_t marker_dht = 0xc4, marker_soi = 0xd8, marker_eoi = 0xd9,
                              marker_sos = 0xda;

constexpr bool is_restart(std::uint8_t marker) { return marker >= 0xd0 && marker <= 0xd7; }
// Neither a length nor a segment follows.
constexpr bool stands_alone(std::uint8_t marker) { return is_restart(marker) || marker == 0x01; }

}  // namespace mien::host
