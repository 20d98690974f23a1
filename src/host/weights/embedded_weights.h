// SPDX-License-Identifier: MIT
// The default weights, inside the program, so that it runs from any directory.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "host/files/resource.h"

namespace mien::host {

// The files of weights/ that CMakeLists.txt names.
std::span<const Resource> embedded_weights() noexcept;

inline std::span<const std::uint8_t> embedded_cascade() noexcept {
    return find_resource(embedded_weights(), "haarcascade_frontalface_default.mien")->bytes;
}
inline std::span<const std::uint8_t> embedded_emotion() noexcept {
    return find_resource(embedded_weights(), "emotion.mien")->bytes;
}
inline std::span<const std::uint8_t> embedded_gender() noexcept {
    return find_resource(embedded_weights(), "gender.mien")->bytes;
}

}  // namespace mien::host
