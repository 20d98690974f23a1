// SPDX-License-Identifier: MIT
#include "live/mjpeg_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "video/source.h"

namespace mien::live {
namespace {

constexpr std::size_t max_clients = 16, max_request_bytes = 8192;
constexpr std::uint64_t request_limit_ns = 10'000'000'000, stuck_limit_ns = 30'000'000'000;
// a browser that reloads snapshots keeps the drawing going
constexpr std::uint64_t wanted_for_ns = 3'000'000'000;

constexpr std::string_view page =
    R"(<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>mien</title><style>body{margin:0;background:#111;color:#ddd;font:16px sans-serif;text-align:center}img{max-width:100%;max-height:95vh}</style>
<img src="/stream.mjpg" alt="live picture with faces marked"><p><a style="color:#9cf" href="/snapshot.jpg">picture</a> <a style="color:#9cf" href="/faces.json">faces</a>
)";

std::string answer(std::string_view status, std::string_view type, std::string_view body,
                   bool head_only) {
    return "HTTP/1.1 " + std::string(status) + "\r\nContent-Type: " + std::string(type) +
           "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: "
           "close\r\n\r\n" +
           std::string(head_only ? "" : body);
}

struct Client {
    int descriptor = -1;
    std::string request, out;
    std::size_t sent = 0;
    bool streaming = false, closing = false;
    std::uint64_t picture = 0;   // the last one that was queued
    std::uint64_t since_ns = 0;  // of the connection, then of the last progress
};

class Server : public MjpegServer {
public:
    ~Server() override {
        stop_ = true;
        wake();
        if (thread_.joinable()) thread_.join();
        for (const Client& client : clients_) ::close(client.descriptor);
        if (listener_ >= 0) ::close(listener_);
        if (wake_ >= 0) ::close(wake_);
    }

    host::Result<> listen(const std::string& address) {
        const std::size_t colon = address.rfind(':');
        const std::string host = colon == std::string::npos ? "" : address.substr(0, colon),
                          port = colon == std::string::npos ? address : address.substr(colon + 1);
        char* end = nullptr;
        const long number = std::strtol(port.c_str(), &end, 10);
        if (port.empty() || *end != '\0' || number < 0 || number > 65535)
            return host::Error::usage("is no PORT and no ADDRESS:PORT");
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = htons(static_cast<std::uint16_t>(number));
        name.sin_addr.s_addr = htonl(INADDR_ANY);
        if (!host.empty() && ::inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host.c_str(),
                                         &name.sin_addr) != 1)
            return host::Error::usage("is no PORT and no ADDRESS:PORT");
        every_network_ = name.sin_addr.s_addr == htonl(INADDR_ANY);
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (listener_ < 0 || wake_ < 0) return host::Error::output(std::strerror(errno));
        const int yes = 1;
        ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (::bind(listener_, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
            ::listen(listener_, 8) != 0)
            return host::Error::output(errno == EADDRINUSE ? "this port is taken by another program"
                                       : errno == EACCES
                                           ? "no permission for this port; take one above 1023"
                                           : std::strerror(errno));
        socklen_t length = sizeof name;
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&name), &length);
        port_ = ntohs(name.sin_port);
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::thread([this] { serve(); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return {};
    }

    bool wanted() const override { return streams_ > 0 || video::monotonic_ns() < wanted_until_; }
    void show(std::span<const std::uint8_t> jpeg) override {
        {
            const std::lock_guard lock(mutex_);
            picture_.assign(reinterpret_cast<const char*>(jpeg.data()), jpeg.size());
            ++picture_number_;
        }
        wake();
    }
    void set_result(const std::string& json) override {
        const std::lock_guard lock(mutex_);
        result_ = json + "\n";
    }
    int port() const override { return port_; }
    bool on_every_network() const override { return every_network_; }

private:
    void wake() const {
        const std::uint64_t one = 1;
        if (::write(wake_, &one, sizeof one) < 0) return;  // full: it is awake anyway
    }

    void serve() {
        std::vector<pollfd> wanted;
        while (!stop_) {
            wanted = {
                {listener_, static_cast<short>(clients_.size() < max_clients ? POLLIN : 0), 0},
                {wake_, POLLIN, 0}};
            for (const Client& client : clients_)
                wanted.push_back(
                    {client.descriptor,
                     static_cast<short>(POLLIN | (client.sent < client.out.size() ? POLLOUT : 0)),
                     0});
            ::poll(wanted.data(), wanted.size(), 1000);
            std::uint64_t ignored = 0;
            while (::read(wake_, &ignored, sizeof ignored) > 0) {
            }
            for (std::size_t i = 0; i + 2 < wanted.size(); ++i) {
                if (wanted[i + 2].revents != 0) receive(clients_[i]);
            }
            for (Client& client : clients_) {
                queue_picture(client);
                send(client);
            }
            drop_finished();
            accept_clients();
        }
    }

    void accept_clients() {
        while (clients_.size() < max_clients) {
            const int descriptor =
                ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (descriptor < 0) return;
            const int yes = 1;
            ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            Client client;
            client.descriptor = descriptor;
            client.since_ns = video::monotonic_ns();
            clients_.push_back(std::move(client));
        }
    }

    void receive(Client& client) {
        char bytes[2048];
        const ssize_t got = ::recv(client.descriptor, bytes, sizeof bytes, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            // A reader that has closed its side may still read an answer; a stream ends when
            // sending fails or here.
            if (got < 0 || client.streaming || client.out.empty())
                client.closing = true, client.out.clear(), client.sent = 0;
            return;
        }
        if (got < 0 || client.streaming || !client.out.empty()) return;
        client.request.append(bytes, static_cast<std::size_t>(got));
        if (client.request.find("\r\n\r\n") != std::string::npos ||
            client.request.find("\n\n") != std::string::npos)
            respond(client);
        else if (client.request.size() > max_request_bytes)
            finish(client, answer("431 Request Header Fields Too Large", "text/plain", "too long\n",
                                  false));
    }
    void finish(Client& client, std::string text) {
        client.out = std::move(text);
        client.sent = 0;
        client.closing = true;
    }

    void respond(Client& client) {
        const std::string_view line =
            std::string_view(client.request).substr(0, client.request.find_first_of("\r\n"));
        const bool head = line.substr(0, 5) == "HEAD ";
        if (!head && line.substr(0, 4) != "GET ")
            return finish(client,
                          answer("405 Method Not Allowed", "text/plain", "GET only\n", false));
        std::string_view path = line.substr(head ? 5 : 4);
        path = path.substr(0, path.find_first_of(" ?"));
        if (path == "/")
            return finish(client, answer("200 OK", "text/html; charset=utf-8", page, head));
        if (path == "/faces.json") {
            const std::lock_guard lock(mutex_);
            return finish(client, answer("200 OK", "application/json",
                                         result_.empty() ? "{}\n" : result_, head));
        }
        if (path == "/snapshot.jpg") {
            wanted_until_ = video::monotonic_ns() + wanted_for_ns;
            const std::lock_guard lock(mutex_);
            if (!picture_.empty())
                return finish(client, answer("200 OK", "image/jpeg", picture_, head));
            return finish(client, answer("503 Service Unavailable", "text/plain",
                                         "no picture yet; ask again\n", head));
        }
        if (path == "/stream.mjpg") {
            client.out =
                "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; "
                "boundary=frame\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";
            client.sent = 0;
            client.streaming = !head;
            client.closing = head;
            if (client.streaming) ++streams_;
            return;
        }
        finish(client, answer("404 Not Found", "text/plain",
                              "there is /, /stream.mjpg, /snapshot.jpg and /faces.json\n", head));
    }

    // The newest picture, when the last one is out: frames are dropped for who reads slowly.
    void queue_picture(Client& client) {
        if (!client.streaming || client.sent < client.out.size()) return;
        const std::lock_guard lock(mutex_);
        if (client.picture == picture_number_ || picture_.empty()) {
            client.since_ns = video::monotonic_ns();
            return;
        }
        client.picture = picture_number_;
        client.out = "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: " +
                     std::to_string(picture_.size()) + "\r\n\r\n" + picture_ + "\r\n";
        client.sent = 0;
    }

    void send(Client& client) {
        while (client.sent < client.out.size()) {
            const ssize_t n = ::send(client.descriptor, client.out.data() + client.sent,
                                     client.out.size() - client.sent, MSG_NOSIGNAL);
            if (n <= 0) {
                if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
                client.closing = true;
                client.out.clear();
                client.sent = 0;
                return;
            }
            client.sent += static_cast<std::size_t>(n);
            client.since_ns = video::monotonic_ns();
        }
    }

    void drop_finished() {
        const std::uint64_t now = video::monotonic_ns();
        for (std::size_t i = 0; i < clients_.size();) {
            Client& client = clients_[i];
            const bool out_empty = client.sent >= client.out.size();
            const std::uint64_t limit =
                client.streaming || !client.out.empty() ? stuck_limit_ns : request_limit_ns;
            if ((client.closing && out_empty) || now - client.since_ns > limit) {
                if (client.streaming) --streams_;
                ::close(client.descriptor);
                clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(i));
            } else {
                ++i;
            }
        }
    }

    int listener_ = -1, wake_ = -1, port_ = 0;
    bool every_network_ = false;
    std::vector<Client> clients_;  // of the server's thread
    std::atomic<int> streams_{0};
    std::atomic<std::uint64_t> wanted_until_{0};
    std::atomic<bool> stop_{false};
    std::mutex mutex_;  // of what follows
    std::string picture_, result_;
    std::uint64_t picture_number_ = 0;
    std::thread thread_;
};

}  // namespace

host::Result<std::unique_ptr<MjpegServer>> MjpegServer::start(const std::string& address) {
    auto server = std::make_unique<Server>();
    if (const host::Result<> done = server->listen(address); !done) return done.error();
    return std::unique_ptr<MjpegServer>(std::move(server));
}

}  // namespace mien::live
