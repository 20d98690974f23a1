// SPDX-License-Identifier: MIT
// A TCP connection to a camera, whose every wait has an end.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/files/result.h"

namespace mien::video {

// Ends waits of another thread: when it is set, or when `also` says so.
struct StopFlag {
    std::atomic<bool> is_set{false};
    std::function<bool()> also;
    explicit operator bool() const { return is_set || (also && also()); }
};

class Socket {
public:
    Socket() = default;
    Socket(Socket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
    Socket& operator=(Socket&& other) noexcept;
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket();

    // To the first of the host's addresses that answers. Gives up at `deadline_ns` (of
    // host::monotonic_ns) or soon after `stop`.
    static host::Result<Socket> connect(const std::string& host, int port,
                                        std::uint64_t deadline_ns, const StopFlag& stop);
    host::Result<> write(std::string_view text, std::uint64_t deadline_ns, const StopFlag& stop);
    enum class State { more, wait, end, failed };
    // Replaces `out`.
    State read(std::vector<std::uint8_t>& out, int timeout_ms);
    [[nodiscard]] const std::string& error() const { return error_; }

private:
    int descriptor_ = -1;
    std::string error_;
};

}  // namespace mien::video
