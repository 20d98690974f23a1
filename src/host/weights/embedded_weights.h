// SPDX-License-Identifier: MIT
// The default weights, inside the program, so that it runs from any directory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "host/files/resource.h"
#include "mien/mien.hpp"

namespace mien::host {

// The files of weights/ that cmake/host.cmake chooses.
std::span<const Resource> embedded_weights() noexcept;

inline std::span<const std::uint8_t> embedded_cascade() noexcept {
    return find_resource(embedded_weights(), "haarcascade_frontalface_default.mien")->bytes;
}
inline std::span<const std::uint8_t> embedded_detector() noexcept {
    return find_resource(embedded_weights(), "detector.mien")->bytes;
}
// The network of a head: weights/HEAD.mien. Empty if the program has none.
inline std::span<const std::uint8_t> embedded_network(Head head) noexcept {
    const Resource* const file =
        find_resource(embedded_weights(), std::string(head_name(head)) + ".mien");
    return file != nullptr ? file->bytes : std::span<const std::uint8_t>();
}

}  // namespace mien::host
