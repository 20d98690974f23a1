// SPDX-License-Identifier: MIT
#include "video/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>

#include "host/clock.h"
#include "host/quiet_thread.h"

namespace mien::video {
namespace {

constexpr int look_ms = 100;  // how often a wait looks whether it is to stop

struct FreeAddresses {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

int resolve(const std::string& host, int port, int flags, Addresses& out) {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &list);
    if (code == 0) out.reset(list);
    return code;
}

// The system's look-up of names knows no deadline, so a thread waits for it, and is left to itself
// when it takes too long.
struct Lookup {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    int code = 0;
    Addresses addresses;
};

host::Result<Addresses> addresses_of(const std::string& host, int port, std::uint64_t deadline_ns,
                                     const StopFlag& stop) {
    Addresses numeric;
    if (resolve(host, port, AI_NUMERICHOST, numeric) == 0) return numeric;
    const auto lookup = std::make_shared<Lookup>();
    host::quiet_thread([lookup, host, port] {
        Addresses found;
        const int code = resolve(host, port, 0, found);
        const std::lock_guard lock(lookup->mutex);
        lookup->code = code;
        lookup->addresses = std::move(found);
        lookup->done = true;
        lookup->changed.notify_all();
    }).detach();
    std::unique_lock lock(lookup->mutex);
    while (!lookup->done && !stop && host::monotonic_ns() < deadline_ns)
        lookup->changed.wait_for(lock, std::chrono::milliseconds(look_ms));
    if (stop) return host::Error::stopped();
    if (!lookup->done) return host::Error::input("no answer to who that host is, in time");
    if (lookup->code != 0)
        return host::Error::input(std::string("the host is not found: ") +
                                  ::gai_strerror(lookup->code));
    return std::move(lookup->addresses);
}

// Until `events`, an error, the deadline or `stop`; the last two give 0.
int wait_for(int descriptor, short events, std::uint64_t deadline_ns, const StopFlag& stop) {
    for (;;) {
        const std::uint64_t now = host::monotonic_ns();
        if (stop || now >= deadline_ns) return 0;
        const auto left = static_cast<int>(
            std::min<std::uint64_t>((deadline_ns - now) / 1'000'000u + 1, look_ms));
        pollfd wanted = {descriptor, events, 0};
        const int ready = ::poll(&wanted, 1, left);
        if (ready > 0 || (ready < 0 && errno != EINTR)) return ready;
    }
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    error_ = std::move(other.error_);
    return *this;
}
Socket::~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

host::Result<Socket> Socket::connect(const std::string& host, int port, std::uint64_t deadline_ns,
                                     const StopFlag& stop) {
    const auto addresses = addresses_of(host, port, deadline_ns, stop);
    if (!addresses) return addresses.error();
    int number = EADDRNOTAVAIL;
    for (const addrinfo* to = addresses->get(); to != nullptr; to = to->ai_next) {
        Socket socket;
        socket.descriptor_ = ::socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (socket.descriptor_ < 0) {
            number = errno;
            continue;
        }
        if (::connect(socket.descriptor_, to->ai_addr, to->ai_addrlen) != 0 &&
            errno != EINPROGRESS) {
            number = errno;
            continue;
        }
        // A silent address leaves half of the time to the next one.
        const std::uint64_t now = host::monotonic_ns();
        const std::uint64_t until = to->ai_next == nullptr || now >= deadline_ns
                                        ? deadline_ns
                                        : now + (deadline_ns - now) / 2;
        if (wait_for(socket.descriptor_, POLLOUT, until, stop) <= 0) {
            if (stop) return host::Error::stopped();
            number = ETIMEDOUT;
            continue;
        }
        int failure = 0;
        socklen_t size = sizeof failure;
        ::getsockopt(socket.descriptor_, SOL_SOCKET, SO_ERROR, &failure, &size);
        if (failure != 0) {
            number = failure;
            continue;
        }
        const int on = 1;
        ::setsockopt(socket.descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(socket.descriptor_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        return socket;
    }
    return host::Error::input(std::string("cannot connect: ") + std::strerror(number));
}

host::Result<> Socket::write(std::string_view text, std::uint64_t deadline_ns,
                             const StopFlag& stop) {
    while (!text.empty()) {
        const ssize_t sent = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            text.remove_prefix(static_cast<std::size_t>(sent));
            continue;
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return host::Error::input(std::strerror(errno));
        if (wait_for(descriptor_, POLLOUT, deadline_ns, stop) <= 0) {
            if (stop) return host::Error::stopped();
            return host::Error::input("takes no request in time");
        }
    }
    return {};
}

Socket::State Socket::read(std::vector<std::uint8_t>& out, int timeout_ms) {
    constexpr std::size_t room = 1 << 16;
    out.clear();
    pollfd wanted = {descriptor_, POLLIN, 0};
    const int ready = ::poll(&wanted, 1, timeout_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) return State::wait;
    out.resize(room);
    const ssize_t got = ::recv(descriptor_, out.data(), room, 0);
    out.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) return State::more;
    if (got == 0) return State::end;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return State::wait;
    error_ = std::strerror(errno);
    return State::failed;
}

}  // namespace mien::video
