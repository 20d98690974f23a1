// SPDX-License-Identifier: MIT
#include "video/network.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "video/retry.h"

namespace mien::video {
namespace {

SourceOrFailure open_once(const NetworkOptions& options, const StopFlag& stop) {
    return options.address.scheme == "http" ? open_http(options, stop)
                                            : open_network_film(options, stop);
}

// The source of an address, which may come and go.
class NetworkSource : public Source {
public:
    explicit NetworkSource(const NetworkOptions& options) : options_(options) {
        stop_.also = options.interrupted;
    }

    // False: it cannot be opened, and waiting will not help (or is not wanted).
    bool open(host::Error& error) {
        SourceOrFailure opened = open_once(options_, stop_);
        if (auto* const source = std::get_if<std::unique_ptr<Source>>(&opened)) {
            link_ = std::move(*source);
            is_fresh_ = true;
            description_ = link_->description();
            is_live_ = link_->is_live();
            if (options_.tell) options_.tell(description_);
            return true;
        }
        OpenFailure& failure = std::get<OpenFailure>(opened);
        if (failure.is_final || !options_.reconnect) {
            error = std::move(failure.error);
            return false;
        }
        wait_to_retry(failure.error.text);
        return true;
    }

    Next next(Packet& packet, int timeout_ms) override {
        if (!link_) {
            if (!retry_.is_due()) {
                std::this_thread::sleep_for(
                    std::chrono::nanoseconds(retry_.wait_ns(std::min(timeout_ms, 100))));
                return Next::wait;
            }
            host::Error error;
            if (!open(error)) return fail(std::move(error.text));
            return Next::wait;
        }
        const Next state = link_->next(packet, timeout_ms);
        if (state == Next::packet) {
            packet.number += first_number_;
            number_ = packet.number + 1;
            if (is_fresh_) retry_.worked();
            is_fresh_ = false;
            return state;
        }
        if (state == Next::wait) return state;
        if (!options_.reconnect) {
            if (state == Next::failed) error_ = link_->error();
            return state;
        }
        const std::string cause = state == Next::end ? "the stream has ended" : link_->error();
        dropped_ += link_->dropped();
        link_.reset();
        first_number_ = number_;
        wait_to_retry(cause);
        return Next::wait;
    }
    void stop() override { stop_.is_set = true; }
    const std::string& error() const override { return error_; }
    std::string description() const override { return description_; }
    std::uint64_t dropped() const override { return dropped_; }
    bool is_live() const override { return is_live_; }
    double frame_rate() const override { return link_ ? link_->frame_rate() : 0; }

private:
    void wait_to_retry(const std::string& cause) {
        if (options_.tell && cause != last_cause_) options_.tell(cause + "; waiting for it");
        last_cause_ = cause;
        // Longer each time until a frame comes: one that answers and sends nothing is not asked at
        // once.
        retry_.failed();
    }
    Next fail(std::string text) {
        error_ = std::move(text);
        return Next::failed;
    }

    NetworkOptions options_;
    StopFlag stop_;
    std::unique_ptr<Source> link_;
    std::string description_ = "waiting for it", error_, last_cause_;
    std::uint64_t number_ = 0, first_number_ = 0, dropped_ = 0;
    Retry retry_;
    bool is_live_ = true, is_fresh_ = false;
};

}  // namespace

host::Result<std::unique_ptr<Source>> open_network(const NetworkOptions& options) {
    auto source = std::make_unique<NetworkSource>(options);
    host::Error error;
    if (!source->open(error)) return error;
    if (!source->is_live()) return std::unique_ptr<Source>(std::move(source));
    return newest_of(std::move(source));
}

}  // namespace mien::video
