// SPDX-License-Identifier: MIT
// Can any sequence of writes, half closes and resets make the service crash, hang on to a
// connection, or send what is no HTTP? The real server listens on the loopback interface; its
// deadlines are never waited for: every sequence ends by a close, after which it has to let go.
//
// The input is what is sent, with the zero byte as escape: 0 0 a zero, 0 1 waits for an answer's
// beginning, 0 2 ends the client's half, 0 3 resets, 0 4 takes another connection (there are 3),
// 0 5 closes without reading. Any other byte after a zero is sent as it is.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "mutate.h"
#include "serve/server.h"

namespace {

using namespace mien;

constexpr int patience_ms = 20'000;  // far beyond anything but a hang

struct World {
    serve::Options options;
    std::unique_ptr<serve::EnginePool> pool;
    std::unique_ptr<serve::Server> server;
    World() {
        std::signal(SIGPIPE, SIG_IGN);
        options.port = 0;
        options.log = false;
        options.limits.pixels = 1 << 12;
        options.limits.header_bytes = 4 << 10;
        options.limits.body_bytes = 1 << 15;
        options.limits.body_bytes_total = 1 << 16;
        options.limits.images = 3;
        // No deadline comes into play: a connection that stays open is a hang.
        options.limits.header_seconds = options.limits.body_seconds = options.limits.write_seconds =
            100;
        host::EngineSetup setup;
        for (const Head head : named_heads) setup.heads[head].use = false;
        auto made = serve::EnginePool::create(setup, 1, 2);
        if (!made) std::abort();
        pool = std::move(*made);
        auto listening = serve::Server::listen(options, pool.get(), nullptr);
        if (!listening) std::abort();
        server = std::move(*listening);
        std::thread([this] { static_cast<void>(server->run()); }).detach();
    }
};

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "fuzz_connection: %s (errno %d)\n", what, errno);
    std::abort();
}

int dial(int port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (socket < 0 || ::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        fail("no connection");
    // The end of each is a reset, so that no ports are kept for it.
    const linger none{1, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return socket;
}

// Aborts if what came is not a row of whole answers, the last of which may be cut where the
// client's own reset or close could do that.
void check_answers(std::string_view came, bool may_be_cut) {
    static const std::set<int> known = {100, 200, 204, 400, 401, 403, 404, 405, 413,
                                        415, 421, 422, 429, 431, 500, 501, 503, 505};
    while (!came.empty()) {
        const std::size_t end = came.find("\r\n\r\n");
        if (end == std::string_view::npos) {
            if (!may_be_cut) fail("a head is cut");
            return;
        }
        const std::string head(came.substr(0, end + 2));
        came.remove_prefix(end + 4);
        if (!head.starts_with("HTTP/1.1 ")) fail("no head");
        const int status = std::atoi(head.c_str() + 9);
        if (known.count(status) == 0) fail("an unknown status");
        const std::size_t at = head.find("\r\nContent-Length: ");
        if (at == std::string::npos) {
            if (status != 100 && status != 204) fail("no length");
            continue;
        }
        const auto length = static_cast<std::size_t>(std::atoll(head.c_str() + at + 18));
        // An answer to HEAD has a length and no body: then the next answer, or the end, follows.
        if (came.empty() || came.starts_with("HTTP/1.1 ")) continue;
        if (came.size() < length) {
            if (!may_be_cut) fail("a body is cut");
            return;
        }
        const std::string_view body = came.substr(0, length);
        if (head.find("\r\nContent-Type: application/json\r\n") != std::string::npos &&
            !nlohmann::json::accept(body))
            fail("no JSON");
        came.remove_prefix(length);
    }
}

class Client {
public:
    explicit Client(int port) : socket_(dial(port)) {}
    ~Client() { ::close(socket_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void send(std::string_view bytes) {
        while (!bytes.empty() && !over_) {
            const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) {
                over_ = true;  // the server has refused the rest
                return;
            }
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }
    // Waits until something came, but not for long: perhaps there is nothing to answer yet.
    void wait() {
        if (!over_) take(2);
    }
    void end_half() {
        if (ended_ || over_) return;
        ::shutdown(socket_, SHUT_WR);
        ended_ = true;
    }
    // Everything until the server's end of it.
    void finish() {
        end_half();
        while (!over_) {
            if (!take(patience_ms)) fail("the server hangs on to a connection");
        }
        check_answers(came_, reset_);
    }

private:
    bool take(int timeout_ms) {
        // The alarm of replay.cpp or libFuzzer interrupts a wait, and says nothing of the server.
        const auto now = [] { return std::chrono::steady_clock::now(); };
        const auto end = now() + std::chrono::milliseconds(timeout_ms);
        pollfd wanted{socket_, POLLIN, 0};
        int ready = -1;
        for (errno = EINTR; ready < 0 && errno == EINTR;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now()).count();
            ready = ::poll(&wanted, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
        }
        if (ready <= 0) return false;
        char bytes[4096];
        const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
        if (got > 0) {
            came_.append(bytes, static_cast<std::size_t>(got));
        } else {
            over_ = true;
            reset_ = got < 0;
        }
        return true;
    }

    int socket_;
    std::string came_;
    bool over_ = false, ended_ = false, reset_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static World* const world = new World;  // its thread serves until the process ends
    const int port = world->server->port();
    std::unique_ptr<Client> clients[3];
    std::size_t current = 0;
    std::string pending;
    const auto client = [&]() -> Client& {
        if (!clients[current]) clients[current] = std::make_unique<Client>(port);
        return *clients[current];
    };
    const auto flush = [&] {
        if (!pending.empty()) client().send(pending);
        pending.clear();
    };
    int pauses = 0;
    for (std::size_t i = 0; i < size; ++i) {
        if (data[i] != 0 || i + 1 == size) {
            pending.push_back(static_cast<char>(data[i]));
            continue;
        }
        const std::uint8_t step = data[++i];
        if (step == 0 || step > 5) {
            pending.push_back(static_cast<char>(step));
            continue;
        }
        flush();
        switch (step) {
            case 1:
                if (++pauses <= 4) client().wait();
                break;
            case 2: client().end_half(); break;
            case 3:
            case 5: clients[current].reset(); break;
            default: current = (current + 1) % std::size(clients);
        }
    }
    flush();
    for (auto& open : clients)
        if (open) open->finish();
    // It still serves others.
    static unsigned runs = 0;
    if (++runs % 64 == 0) {
        Client other(port);
        other.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        other.finish();
    }
    return 0;
}

// Cuts the input into its steps and requests, of which some move, double or go.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    using mien::fuzz::File;
    mien::fuzz::Dice dice(seed);
    if (dice.one_in(3)) return LLVMFuzzerMutate(data, size, max_size);
    std::vector<File> pieces(1);
    for (std::size_t i = 0; i < size; ++i) {
        const bool step = data[i] == 0 && i + 1 < size && data[i + 1] >= 1 && data[i + 1] <= 5;
        const bool line = i > 0 && data[i - 1] == '\n';
        if (step || line) pieces.emplace_back();
        pieces.back().push_back(data[i]);
        if (step) {
            pieces.back().push_back(data[++i]);
            pieces.emplace_back();
        }
    }
    for (std::size_t changes = 1 + dice.below(3); changes > 0; --changes) {
        File& piece = pieces[dice.below(pieces.size())];
        const auto place = [&] {
            return pieces.begin() + static_cast<std::ptrdiff_t>(dice.below(pieces.size() + 1));
        };
        switch (dice.below(6)) {
            case 0: std::swap(piece, pieces[dice.below(pieces.size())]); break;
            case 1: {
                const File copy = piece;
                pieces.insert(place(), copy);
                break;
            }
            case 2: piece.clear(); break;
            case 3:
            case 4:
                pieces.insert(place(), File{0, static_cast<std::uint8_t>(1 + dice.below(5))});
                break;
            default: mien::fuzz::change_piece(piece, 32);
        }
    }
    File made;
    for (const File& piece : pieces) made.insert(made.end(), piece.begin(), piece.end());
    return mien::fuzz::give(made, data, size, max_size);
}
