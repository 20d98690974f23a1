// SPDX-License-Identifier: MIT
// Where are the default weights? Inside the program (embedded_weights.S), so that it runs from any
// directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" {
extern const std::uint8_t mien_embedded_cascade_begin[], mien_embedded_cascade_end[];
extern const std::uint8_t mien_embedded_emotion_begin[], mien_embedded_emotion_end[];
extern const std::uint8_t mien_embedded_gender_begin[], mien_embedded_gender_end[];
}

namespace mien::host {

inline std::span<const std::uint8_t> embedded_cascade() noexcept {
    return {mien_embedded_cascade_begin, mien_embedded_cascade_end};
}
inline std::span<const std::uint8_t> embedded_emotion() noexcept {
    return {mien_embedded_emotion_begin, mien_embedded_emotion_end};
}
inline std::span<const std::uint8_t> embedded_gender() noexcept {
    return {mien_embedded_gender_begin, mien_embedded_gender_end};
}

}  // namespace mien::host
