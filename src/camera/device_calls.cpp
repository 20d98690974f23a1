// SPDX-License-Identifier: MIT
#include "camera/device_calls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace mien::camera {
namespace {

class SystemCalls : public DeviceCalls {
public:
    int open(const char* path) override {
        // A FIFO or an ordinary file is not opened at all: opening alone can block or have effects.
        struct stat status{};
        if (::stat(path, &status) == 0 && !S_ISCHR(status.st_mode)) {
            errno = ENOTTY;
            return -1;
        }
        return ::open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    int close(int descriptor) override { return ::close(descriptor); }
    int ioctl(int descriptor, unsigned long request, void* argument) override {
        return ::ioctl(descriptor, request, argument);
    }
    void* map(int descriptor, std::size_t bytes, long offset) override {
        void* memory =
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, offset);
        return memory == MAP_FAILED ? nullptr : memory;
    }
    void unmap(void* memory, std::size_t bytes) override { ::munmap(memory, bytes); }
    int wait(int descriptor, int timeout_ms) override {
        struct pollfd wanted = {descriptor, POLLIN | POLLPRI, 0};
        return ::poll(&wanted, 1, timeout_ms);
    }
};

}  // namespace

DeviceCalls& system_calls() {
    static SystemCalls calls;
    return calls;
}

}  // namespace mien::camera
