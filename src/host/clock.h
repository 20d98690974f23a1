// SPDX-License-Identifier: MIT
// The one clock for durations: it never goes back, whatever happens to the time of day. On Linux it
// is CLOCK_MONOTONIC, by which drivers stamp the frames of cameras.
#pragma once

#include <chrono>
#include <cstdint>

namespace mien::host {

inline std::uint64_t monotonic_ns() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

inline double now_ms() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::milli>(since).count();
}

}  // namespace mien::host
