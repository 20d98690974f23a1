// SPDX-License-Identifier: MIT
// Events instead of frames: a face appears, leaves, or its label changes for good; and, now and
// then, all faces. docs/EVENTS.md shows each as JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "live/loop.h"

namespace mien::live {

struct EventOptions {
    bool on_change = false;
    double every_s = 0;    // > 0: all faces, so often
    double settle_s = 1;   // so long must a label be another one, without a break, to have changed
    double max_rate = 10;  // changes per second at most; 0: no limit

    bool any() const { return on_change || every_s > 0; }
};

struct Event {
    enum class Kind : std::uint8_t { appear, change, leave, state };

    Kind kind = Kind::state;
    const FrameResult* frame = nullptr;  // in which it was seen
    int count = 0;                       // faces that have appeared and not left, after this event
    std::uint32_t id = 0;                // of the face
    const TrackedFace* face = nullptr;   // appear and change
    Rect box = {};                       // where it was seen last
    double seconds = 0;                  // leave: from the first frame to the last that it was in
    // change: from one label to the other. appear, leave: the last label of each head.
    Head head = Head::emotion;
    std::string before = {}, after = {};
    host::PerHead<std::string> labels = {};
};

// Finds the events in one frame after the other, by the frames' time stamps.
//   - A face appears when it was found in three frames and the networks have read it, or after a
//     second without.
//   - It changes when its label, "unsure" among them, has been another one for settle_s. Quantities
//     do not change.
//   - It leaves when the tracker has lost it.
// What the limit holds back is no queue: a face's next event tells how it is then, and a face that
// came and went in between is never told. Leaving goes first.
class EventFinder {
public:
    // False: nobody takes events anymore.
    using Sink = std::function<bool(const Event&)>;

    // `info` outlives it.
    EventFinder(const EventOptions& options, const host::EngineInfo& info);

    bool add(const FrameResult& result, const Sink& sink);
    // The source has ended: the faces that are there leave.
    bool finish(const Sink& sink);

private:
    struct Label {
        std::string told, seen;
        std::uint64_t since_ns = 0;  // that `seen` is seen
    };
    struct Known {
        std::uint32_t id = 0;
        bool told = false, here = false;
        std::uint64_t first_ns = 0, last_ns = 0;
        Rect box = {};
        host::PerHead<Label> labels = {};
    };

    bool allowed();
    Known& known(const TrackedFace& face, std::uint64_t now);
    bool look(const TrackedFace& face, const FrameResult& result, const Sink& sink);
    bool leave(Known& face, const FrameResult& result, const Sink& sink);
    int count() const;

    EventOptions options_;
    const host::EngineInfo& info_;
    std::vector<Known> known_;
    double tokens_ = 0;  // events that may be told at once, at most a second's
    std::uint64_t state_ns_ = 0;
    bool begun_ = false;
    FrameResult last_;
};

// {"schema":2,"event":"change","source":..,"time_s":..,"frame":..,"width":..,"height":..,"count":..,
// ..}, one line without newline. Of a live source also "utc", the time of the frame by the clock on
// the wall.
std::string event_json(const Event& event, const std::string& source, const host::EngineInfo& info);
// "  12.3 s  #1 appears: happy 93 % woman 34 years"
std::string event_line(const Event& event, const host::EngineInfo& info);

}  // namespace mien::live
