// SPDX-License-Identifier: MIT
// The system calls that a camera needs, as a table of functions, so that tests can put a simulated
// driver behind them.
#pragma once

#include <cstddef>
#include <memory>

namespace mien::camera {

class DeviceCalls {
public:
    virtual ~DeviceCalls() = default;
    // Return values and errno as of the system calls of these names.
    virtual int open(const char* path) = 0;
    virtual int close(int descriptor) = 0;
    virtual int ioctl(int descriptor, unsigned long request, void* argument) = 0;
    virtual void* map(int descriptor, std::size_t bytes, long offset) = 0;  // null on failure
    virtual void unmap(void* memory, std::size_t bytes) = 0;
    // Waits for a frame: > 0 there is something (a frame or an error), 0 time is up, < 0 errno.
    virtual int wait(int descriptor, int timeout_ms) = 0;
};

DeviceCalls& system_calls();

}  // namespace mien::camera
