// SPDX-License-Identifier: MIT
// Newest frame wins, for any source: a thread reads ahead and keeps one packet; older ones are
// dropped and counted. So a result is never older than one frame and the engine's own time, however
// slow the engine is.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "host/quiet_thread.h"
#include "video/source.h"

namespace mien::video {
namespace {

class NewestSource : public Source {
public:
    explicit NewestSource(std::unique_ptr<Source> source) : source_(std::move(source)) {
        thread_ = host::quiet_thread([this] { read(); });
    }
    ~NewestSource() override {
        stop_ = true;
        source_->stop();
        thread_.join();
    }

    Next next(Packet& packet, int timeout_ms) override {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                               [this] { return fresh_ || ended_ != Next::wait; }))
            return Next::wait;
        if (!fresh_) return ended_;
        std::swap(newest_, taken_);
        fresh_ = false;
        packet = taken_.packet;
        packet.bytes = taken_.bytes;
        return Next::packet;
    }
    const std::string& error() const override { return source_->error(); }
    std::string description() const override { return source_->description(); }
    std::uint64_t dropped() const override { return dropped_ + lost_; }
    bool is_live() const override { return source_->is_live(); }
    double frame_rate() const override { return source_->frame_rate(); }

private:
    struct Held {
        Packet packet;
        std::vector<std::uint8_t> bytes;
    };

    void read() {
        Held held;
        while (!stop_) {
            const Next state = source_->next(held.packet, 100);
            lost_ = source_->dropped();
            if (state == Next::wait) continue;
            if (state == Next::packet)
                held.bytes.assign(held.packet.bytes.begin(), held.packet.bytes.end());
            const std::lock_guard lock(mutex_);
            if (state == Next::packet) {
                if (fresh_) ++dropped_;
                std::swap(held, newest_);
                fresh_ = true;
            } else {
                ended_ = state;
            }
            changed_.notify_one();
            if (state != Next::packet) return;
        }
    }

    std::unique_ptr<Source> source_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Held newest_, taken_;
    bool fresh_ = false;
    Next ended_ = Next::wait;
    std::atomic<std::uint64_t> dropped_{0}, lost_{0};  // by us, by the source
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace

std::unique_ptr<Source> newest_of(std::unique_ptr<Source> source) {
    return std::make_unique<NewestSource>(std::move(source));
}

}  // namespace mien::video
