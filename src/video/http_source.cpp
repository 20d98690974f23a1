// SPDX-License-Identifier: MIT
// Motion JPEG over plain HTTP: the request, redirections, and images as they come; or one image per
// request, again and again.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "host/clock.h"
#include "video/http_reader.h"
#include "video/network.h"
#include "video/socket.h"

namespace mien::video {

#ifdef MIEN_HAS_HTTP

bool has_http() { return true; }

namespace {

constexpr int http_port = 80;
constexpr int max_redirects = 5;
constexpr int busy_status = 503;  // of a camera without an image yet
constexpr std::uint64_t retry_ns = 300'000'000;
constexpr double default_polls = 5;  // per second

enum class BodyKind { stream, image, other };
BodyKind body_kind(const std::string& type) {
    const auto begins = [&type](const char* word) { return type.rfind(word, 0) == 0; };
    if (type == "image/jpeg" || type == "image/jpg" || type == "image/pjpeg")
        return BodyKind::image;
    if (type.empty() || begins("multipart/") || type == "application/octet-stream" ||
        type.find("jpeg") != std::string::npos || type.find("jpg") != std::string::npos ||
        type.find("mjpg") != std::string::npos)
        return BodyKind::stream;
    return BodyKind::other;
}

class HttpSource : public Source {
public:
    HttpSource(const NetworkOptions& options, const StopFlag& stop)
        : options_(options), stop_(stop), address_(options.address) {}

    // What is wrong, if anything. An answer that FFmpeg might read sets is_other().
    host::Result<> open(bool& is_final) {
        const std::uint64_t deadline = host::monotonic_ns() + timeout_ns();
        is_final = false;
        address_ = options_.address;
        for (int redirects = 0;; ++redirects) {
            if (const host::Result<> done = request(deadline); !done) return done;
            const HttpHead& head = reader_->head();
            if (head.status == busy_status && host::monotonic_ns() + retry_ns < deadline) {
                sleep_until(host::monotonic_ns() + retry_ns);
                --redirects;
                continue;
            }
            if (head.status < 300 || head.status >= 400 || head.location.empty()) break;
            auto to = redirected(address_, head.location);
            is_final = true;
            if (!to) return host::Error::input("sends us to an address that " + to.error().text);
            if (to->scheme != "http") {
                if (has_ffmpeg() && to->scheme == "https") {
                    is_other_ = true;
                    address_ = *to;
                    return {};
                }
                return host::Error::input("sends us to " + shown_address(*to) +
                                          ", which needs a build with FFmpeg");
            }
            if (redirects == max_redirects)
                return host::Error::input("sends us from one address to the next, more than " +
                                          std::to_string(max_redirects) + " times");
            is_final = false;
            address_ = *to;
        }
        return judge(is_final);
    }
    // Something else than JPEG, at address().
    [[nodiscard]] bool is_other() const { return is_other_; }
    [[nodiscard]] const Address& address() const { return address_; }

    Next next(Packet& packet, int timeout_ms) override {
        const std::uint64_t until =
            host::monotonic_ns() + static_cast<std::uint64_t>(std::max(timeout_ms, 0)) * 1'000'000u;
        for (;;) {
            const std::span<const std::uint8_t> picture = reader_->next_picture();
            const std::uint64_t now = host::monotonic_ns();
            if (!picture.empty()) {
                last_picture_ns_ = now;
                ++in_answer_;
                packet = {PixelLayout::jpeg, picture, 0, 0, 0, now, number_++};
                return Next::packet;
            }
            if (!is_missed_ && !reader_->error().empty()) return fail(reader_->error());
            if (is_missed_ || closed_ || reader_->is_done()) {
                if (!is_missed_ && in_answer_ == 0) return fail("has no whole JPEG");
                if (kind_ != BodyKind::image) return Next::end;
                const std::uint64_t again = asked_ns_ + poll_ns();
                if (now < again) {
                    if (now >= until) return Next::wait;
                    sleep_until(std::min(again, until));
                    continue;
                }
                bool is_final = false;
                const std::uint64_t last_picture_ns = last_picture_ns_;
                const host::Result<> done = open(is_final);
                last_picture_ns_ = last_picture_ns;
                if (done && is_other_) return fail("sends no JPEG any longer");
                // One that cannot be had is no reason to end, if the next one comes in time.
                if (!done && (is_final || stop_ || now - last_picture_ns > timeout_ns()))
                    return fail(done.error().text);
                is_missed_ = !done;
                continue;
            }
            if (now - last_picture_ns_ > timeout_ns())
                return fail("no image for " + std::to_string(static_cast<int>(options_.timeout_s)) +
                            " s");
            if (now >= until && timeout_ms > 0) return Next::wait;
            switch (socket_.read(bytes_,
                                 until > now ? static_cast<int>((until - now) / 1'000'000u) : 0)) {
                case Socket::State::more: reader_->add(bytes_); break;
                case Socket::State::wait: return Next::wait;
                case Socket::State::failed: return fail(socket_.error());
                case Socket::State::end:
                    closed_ = true;
                    if (!reader_->close()) return fail(reader_->error());
                    break;
            }
        }
    }
    const std::string& error() const override { return error_; }
    std::string description() const override {
        return kind_ == BodyKind::image ? "JPEG images, one by one" : "motion JPEG over HTTP";
    }
    bool is_live() const override { return true; }

private:
    std::uint64_t timeout_ns() const {
        return static_cast<std::uint64_t>(options_.timeout_s * 1e9);
    }
    std::uint64_t poll_ns() const {
        return static_cast<std::uint64_t>(1e9 / (options_.fps > 0 ? options_.fps : default_polls));
    }
    void sleep_until(std::uint64_t time_ns) const {
        constexpr std::uint64_t nap_ns = 20'000'000;
        for (std::uint64_t now; !stop_ && (now = host::monotonic_ns()) < time_ns;)
            std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(nap_ns, time_ns - now)));
    }
    Next fail(std::string text) {
        error_ = std::move(text);
        return Next::failed;
    }

    // Asks at address_ and reads the head of the answer.
    host::Result<> request(std::uint64_t deadline) {
        closed_ = false;
        in_answer_ = 0;
        reader_ = std::make_unique<HttpReader>();
        asked_ns_ = last_picture_ns_ = host::monotonic_ns();
        auto socket = Socket::connect(address_.host, address_.port != 0 ? address_.port : http_port,
                                      deadline, stop_);
        if (!socket) return socket.error();
        socket_ = std::move(*socket);
        std::string text = "GET " + address_.target +
                           " HTTP/1.1\r\nHost: " + host_and_port(address_) +
                           "\r\nUser-Agent: mien\r\nAccept: multipart/x-mixed-replace, image/jpeg, "
                           "*/*;q=0.5\r\nConnection: close\r\n";
        if (address_.has_user) text += "Authorization: " + basic_credentials(address_) + "\r\n";
        if (const host::Result<> done = socket_.write(text + "\r\n", deadline, stop_); !done)
            return done;
        while (!reader_->has_head()) {
            if (stop_) return host::Error::stopped();
            if (host::monotonic_ns() >= deadline) return host::Error::input("no answer in time");
            const Socket::State state = socket_.read(bytes_, 100);
            if (state == Socket::State::failed) return host::Error::input(socket_.error());
            const bool good = state == Socket::State::end    ? reader_->close()
                              : state == Socket::State::more ? reader_->add(bytes_)
                                                             : true;
            if (!good) return host::Error::input(reader_->error());
        }
        return {};
    }

    host::Result<> judge(bool& is_final) {
        const HttpHead& head = reader_->head();
        if (head.status == 401 || head.status == 403) {
            is_final = true;
            if (address_.has_user && head.authenticate != "digest")
                return host::Error::input("refuses the user or the password");
            if (head.authenticate == "digest")
                return host::Error::input(
                    "asks for a password by Digest, which this reader lacks; run: curl --digest "
                    "-sN -u USER ADDRESS | mien video - --live");
            return host::Error::input(
                head.status == 401
                    ? "asks for a user and a password: USER:PASSWORD and an at sign before the host"
                    : "forbids it (403)");
        }
        if (head.status != 200)
            return host::Error::input("answers with status " + std::to_string(head.status));
        kind_ = body_kind(head.content_type);
        if (kind_ != BodyKind::other) return {};
        is_final = true;
        const bool is_page = head.content_type.rfind("text/", 0) == 0 &&
                             head.content_type.find("mpegurl") == std::string::npos;
        if (has_ffmpeg() && !is_page && head.content_type.rfind("image/", 0) != 0) {
            is_other_ = true;
            return {};
        }
        return host::Error::input(
            is_page ? "is a page (" + head.content_type + "), not its stream of images"
                    : "is " + head.content_type + ", not motion JPEG; run: ffmpeg -v error -i " +
                          "ADDRESS -f yuv4mpegpipe -pix_fmt yuv420p - | mien video -");
    }

    NetworkOptions options_;
    const StopFlag& stop_;
    Address address_;
    Socket socket_;
    std::unique_ptr<HttpReader> reader_;
    BodyKind kind_ = BodyKind::stream;
    bool closed_ = false, is_other_ = false;
    bool is_missed_ = false;       // the answer to the last of many requests
    std::uint64_t in_answer_ = 0;  // images
    std::uint64_t number_ = 0, asked_ns_ = 0, last_picture_ns_ = 0;
    std::vector<std::uint8_t> bytes_;
    std::string error_;
};

}  // namespace

SourceOrFailure open_http(const NetworkOptions& options, const StopFlag& stop) {
    auto source = std::make_unique<HttpSource>(options, stop);
    bool is_final = false;
    if (const host::Result<> done = source->open(is_final); !done)
        return OpenFailure{done.error(), is_final};
    if (!source->is_other()) return SourceOrFailure(std::unique_ptr<Source>(std::move(source)));
    NetworkOptions other = options;
    other.address = source->address();
    source.reset();
    return open_network_film(other, stop);
}

#else

bool has_http() { return false; }

SourceOrFailure open_http(const NetworkOptions& options, const StopFlag& stop) {
    if (has_ffmpeg()) return open_network_film(options, stop);
    return OpenFailure{
        host::Error::input("this mien was built without the web service, which brings HTTP; run: "
                           "curl -sN ADDRESS | mien video - --live"),
        true};
}

#endif

}  // namespace mien::video
