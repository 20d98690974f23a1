// SPDX-License-Identifier: MIT
// How do pictures and results of a live camera reach those who watch? The camera's thread publishes the latest; each watcher is woken and
// takes what is then the latest, so a slow one misses pictures and holds nobody up.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace mien::serve {

class Feed {
public:
    using Text = std::shared_ptr<const std::string>;
    struct Latest {
        Text picture, event;           // JPEG; JSON on one line
        std::uint64_t pictures = 0, events = 0;
    };

    void publish_picture(std::string jpeg) { publish(std::move(jpeg), &Latest::picture, &Latest::pictures); }
    void publish_event(std::string json) { publish(std::move(json), &Latest::event, &Latest::events); }
    // True when somebody watches: without, nothing need be drawn.
    bool watched() const {
        const std::lock_guard lock(mutex_);
        return !watchers_.empty();
    }
    Latest latest() const {
        const std::lock_guard lock(mutex_);
        return latest_;
    }

    // `wake` is called on the camera's thread, shortly, until forget().
    int watch(std::function<void()> wake) {
        const std::lock_guard lock(mutex_);
        watchers_[++last_id_] = std::move(wake);
        return last_id_;
    }
    void forget(int id) {
        const std::lock_guard lock(mutex_);
        watchers_.erase(id);
    }

private:
    void publish(std::string text, Text Latest::*slot, std::uint64_t Latest::*number) {
        const auto shared = std::make_shared<const std::string>(std::move(text));
        const std::lock_guard lock(mutex_);
        latest_.*slot = shared;
        ++(latest_.*number);
        for (const auto& [id, wake] : watchers_) wake();
    }

    mutable std::mutex mutex_;
    Latest latest_;
    std::map<int, std::function<void()>> watchers_;
    int last_id_ = 0;
};

}  // namespace mien::serve
