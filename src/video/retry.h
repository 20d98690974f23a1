// SPDX-License-Identifier: MIT
// When to try a camera or an address again that is not there: after half a second, then after twice
// as long each time, at most ten seconds.
#pragma once

#include <algorithm>
#include <cstdint>

#include "host/clock.h"

namespace mien::video {

class Retry {
public:
    // It was not there, or has gone.
    void failed() {
        until_ns_ = host::monotonic_ns() + pause_ns_;
        pause_ns_ = std::min(2 * pause_ns_, longest_ns);
    }
    // It works: the next pause is a short one.
    void worked() { pause_ns_ = shortest_ns; }
    // Nanoseconds until the next try, at most `most_ms`; 0: now.
    std::uint64_t wait_ns(int most_ms) const {
        const std::uint64_t now = host::monotonic_ns();
        if (now >= until_ns_) return 0;
        return std::min(until_ns_ - now,
                        static_cast<std::uint64_t>(std::max(most_ms, 0)) * 1'000'000u);
    }
    bool is_due() const { return host::monotonic_ns() >= until_ns_; }

private:
    static constexpr std::uint64_t shortest_ns = 500'000'000u, longest_ns = 10'000'000'000u;
    std::uint64_t until_ns_ = 0, pause_ns_ = shortest_ns;
};

}  // namespace mien::video
