// SPDX-License-Identifier: MIT
// A camera that comes and goes.
#include <set>

#include "camera/v4l2.h"
#include "video/retry.h"

namespace mien::camera {
namespace {

class ReconnectingCamera : public video::Source {
public:
    ReconnectingCamera(const Request& request, std::function<void(const std::string&)> tell,
                       DeviceCalls& calls)
        : request_(request), tell_(std::move(tell)), calls_(calls) {
        // What is wrong with a format or a control is the same at each return.
        request_.tell = [this](const std::string& text) {
            if (told_.size() < most_told && told_.insert(text).second) tell_(text);
        };
    }

    video::Next next(video::Packet& packet, int timeout_ms) override {
        if (!error_.empty()) return video::Next::failed;
        if (!camera_ && !try_open(timeout_ms))
            return error_.empty() ? video::Next::wait : video::Next::failed;
        const video::Next state = camera_->next(packet, timeout_ms);
        if (state == video::Next::packet) {
            number_ = packet.number += first_number_;
            return state;
        }
        if (state == video::Next::wait) return state;
        tell_(camera_->error() + "; waiting for it to come back");
        dropped_ += camera_->dropped();
        first_number_ = number_ + 1;
        camera_.reset();
        retry_.worked();
        retry_.failed();
        last_text_ = "-";
        return video::Next::wait;
    }
    const std::string& error() const override { return error_; }
    std::string description() const override { return description_; }
    std::uint64_t dropped() const override { return dropped_ + (camera_ ? camera_->dropped() : 0); }
    bool is_live() const override { return true; }

private:
    static constexpr std::size_t most_told = 100;

    bool try_open(int timeout_ms) {
        if (!retry_.is_due()) {
            calls_.wait(-1, static_cast<int>((retry_.wait_ns(timeout_ms) + 999'999u) / 1'000'000u));
            return false;
        }
        auto opened = open_camera(request_, calls_);
        if (opened) {
            camera_ = std::move(*opened);
            description_ = camera_->description();
            tell_(description_);
            return true;
        }
        if (opened.error().kind == host::Error::Kind::usage) {  // no camera that comes back helps
            error_ = opened.error().text;
            return false;
        }
        if (opened.error().text != last_text_) {
            if (last_text_ != "-") tell_(opened.error().text + "; waiting for it");
            last_text_ = opened.error().text;
        }
        retry_.failed();
        return false;
    }

    Request request_;
    std::function<void(const std::string&)> tell_;
    DeviceCalls& calls_;
    std::unique_ptr<Camera> camera_;
    std::string description_ = "waiting", error_, last_text_;
    std::set<std::string> told_;
    std::uint64_t number_ = 0, first_number_ = 0, dropped_ = 0;
    video::Retry retry_;
};

}  // namespace

std::unique_ptr<video::Source> reconnecting_camera(const Request& request,
                                                   std::function<void(const std::string&)> tell,
                                                   DeviceCalls& calls) {
    return std::make_unique<ReconnectingCamera>(request, std::move(tell), calls);
}

}  // namespace mien::camera
