// SPDX-License-Identifier: MIT
// Delivers frames and results of a live camera to viewers over HTTP (serve/server.h). The camera's
// thread publishes the latest; each viewer is woken and takes whatever is then the latest, so a
// slow one skips frames and delays nobody.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace mien::live {

class Feed {
public:
    using Text = std::shared_ptr<const std::string>;
    struct Latest {
        // JPEG; JSON on one line, of a frame; the same, of the camera
        Text picture, event, state;
        std::uint64_t pictures = 0, events = 0, states = 0;
        bool ended = false;  // there will be no more
    };
    // For the counters.
    struct Figures {
        bool connected = false;
        std::uint64_t frames = 0, dropped = 0, faces = 0;
        // of all frames together, from the frame's stamp to its result
        double latency_seconds = 0;
        int watchers = 0;
    };

    // For the camera's threads.
    void publish_picture(std::string jpeg) {
        publish(std::move(jpeg), &Latest::picture, &Latest::pictures);
    }
    void publish_event(std::string json) {
        publish(std::move(json), &Latest::event, &Latest::events);
    }
    // Of these, a viewer skips none: the last `changes_kept` wait for it.
    void publish_change(std::string json) {
        const auto shared = std::make_shared<const std::string>(std::move(json));
        const std::lock_guard lock(mutex_);
        changes_.push_back(shared);
        if (changes_.size() > changes_kept) changes_.pop_front();
        ++change_number_;
        wake_all();
    }
    void publish_state(std::string json, bool connected) {
        {
            const std::lock_guard lock(mutex_);
            figures_.connected = connected;
        }
        publish(std::move(json), &Latest::state, &Latest::states);
    }
    void count(std::uint64_t dropped, std::uint64_t faces, double latency_seconds) {
        const std::lock_guard lock(mutex_);
        ++figures_.frames;
        figures_.dropped = dropped;
        figures_.faces += faces;
        figures_.latency_seconds += latency_seconds;
    }
    void end() {
        const std::lock_guard lock(mutex_);
        latest_.ended = true;
        wake_all();
    }
    // True if somebody watches frames or has just asked for one; otherwise none needs to be drawn.
    bool pictures_wanted() const {
        const std::lock_guard lock(mutex_);
        return wanted();
    }
    // The latest image for a client that asks for one at a time; null while there is none yet. Keeps
    // images coming for a while, so that the next request gets one.
    Text snapshot() {
        const std::lock_guard lock(mutex_);
        // The last frame dates from the last time that somebody looked.
        if (!wanted()) latest_.picture.reset();
        wanted_until_ = Clock::now() + std::chrono::seconds(3);
        return latest_.picture;
    }

    Latest latest() const {
        const std::lock_guard lock(mutex_);
        return latest_;
    }
    // The number of the last change: where a new viewer begins.
    std::uint64_t last_change() const {
        const std::lock_guard lock(mutex_);
        return change_number_;
    }
    // The next change after number `last`, which becomes its number; null: there is none yet. Where
    // more than changes_kept were published in between, the oldest of these.
    Text change_after(std::uint64_t& last) const {
        const std::lock_guard lock(mutex_);
        if (last >= change_number_) return nullptr;
        const std::uint64_t oldest = change_number_ - changes_.size() + 1;
        last = std::max(last + 1, oldest);
        return changes_[static_cast<std::size_t>(last - oldest)];
    }
    Figures figures() const {
        const std::lock_guard lock(mutex_);
        Figures figures = figures_;
        figures.watchers = static_cast<int>(watchers_.size());
        return figures;
    }

    // `wake` is called on a thread of the camera's, shortly, until forget().
    int watch(bool pictures, std::function<void()> wake) {
        const std::lock_guard lock(mutex_);
        if (pictures && !wanted()) latest_.picture.reset();
        picture_watchers_ += pictures;
        watchers_[++last_id_] = {pictures, std::move(wake)};
        return last_id_;
    }
    void forget(int id) {
        const std::lock_guard lock(mutex_);
        const auto found = watchers_.find(id);
        if (found == watchers_.end()) return;
        picture_watchers_ -= found->second.pictures;
        watchers_.erase(found);
    }

private:
    using Clock = std::chrono::steady_clock;
    struct Watcher {
        bool pictures = false;
        std::function<void()> wake;
    };

    bool wanted() const { return picture_watchers_ > 0 || Clock::now() < wanted_until_; }
    void wake_all() const {
        for (const auto& [id, watcher] : watchers_) watcher.wake();
    }
    void publish(std::string text, Text Latest::* slot, std::uint64_t Latest::* number) {
        const auto shared = std::make_shared<const std::string>(std::move(text));
        const std::lock_guard lock(mutex_);
        latest_.*slot = shared;
        ++(latest_.*number);
        wake_all();
    }

    static constexpr std::size_t changes_kept = 256;

    mutable std::mutex mutex_;
    Latest latest_;
    std::deque<Text> changes_;
    std::uint64_t change_number_ = 0;
    Figures figures_;
    std::map<int, Watcher> watchers_;
    Clock::time_point wanted_until_;
    int last_id_ = 0, picture_watchers_ = 0;
};

}  // namespace mien::live
