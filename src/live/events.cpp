// SPDX-License-Identifier: MIT
#include "live/events.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <nlohmann/json.hpp>

#include "host/results/json.h"
#include "live/face_json.h"

namespace mien::live {
namespace {

constexpr std::uint32_t frames_to_appear = 2;  // after the first
constexpr double unread_s = 1;                 // so long is a reading waited for

double seconds(std::uint64_t from_ns, std::uint64_t to_ns) {
    return to_ns > from_ns ? static_cast<double>(to_ns - from_ns) * 1e-9 : 0;
}

// Of a head that names classes; empty without a reading.
std::string label_of(const TrackedReading& reading, const host::HeadInfo& head) {
    const auto label = static_cast<std::size_t>(reading.label);
    if (reading.label < 0 || head.quantity || label >= head.labels.size()) return {};
    return reading.unsure ? "unsure" : head.labels[label];
}

bool all_read(const TrackedFace& face, const host::EngineInfo& info) {
    return std::all_of(std::begin(named_heads), std::end(named_heads), [&](Head head) {
        return info[head].model_name.empty() || face[head].label >= 0;
    });
}

constexpr const char* names[] = {"appear", "change", "leave", "state"};

// "2026-11-29T12:00:05.123Z"
std::string utc(std::int64_t ms) {
    const auto second = static_cast<std::time_t>(ms / 1000);
    struct tm parts{};
    char day[32], text[48];
    if (::gmtime_r(&second, &parts) == nullptr ||
        std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        return {};
    std::snprintf(text, sizeof text, "%s.%03dZ", day, static_cast<int>(ms % 1000));
    return text;
}

}  // namespace

EventFinder::EventFinder(const EventOptions& options, const host::EngineInfo& info)
    : options_(options), info_(info) {}

int EventFinder::count() const {
    return static_cast<int>(
        std::count_if(known_.begin(), known_.end(), [](const Known& k) { return k.told; }));
}

bool EventFinder::allowed() {
    if (options_.max_rate <= 0) return true;
    if (tokens_ < 1 - 1e-6) return false;  // ten tenths are a little less than one
    tokens_ -= 1;
    return true;
}

EventFinder::Known& EventFinder::known(const TrackedFace& face, std::uint64_t now) {
    for (Known& k : known_)
        if (k.id == face.id) return k;
    known_.push_back({.id = face.id, .first_ns = now});
    return known_.back();
}

bool EventFinder::look(const TrackedFace& face, const FrameResult& result, const Sink& sink) {
    const std::uint64_t now = result.time_ns;
    Known& k = known(face, now);
    k.box = face.box;
    if (face.missed == 0) k.last_ns = now;
    if (now < k.first_ns) k.first_ns = now;  // a clock that was set back
    for (const Head head : named_heads) {
        Label& label = k.labels[head];
        std::string seen = label_of(face[head], info_[head]);
        if (seen == label.seen && now >= label.since_ns) continue;
        label.seen = std::move(seen);
        label.since_ns = now;
    }
    Event event{.frame = &result, .id = face.id, .face = &face, .box = face.box};
    if (!k.told) {
        if (face.missed > 0 || face.frames < frames_to_appear) return true;
        if (!all_read(face, info_) && seconds(k.first_ns, now) < unread_s) return true;
        if (!allowed()) return true;
        k.told = true;
        for (const Head head : named_heads)
            event.labels[head] = k.labels[head].told = k.labels[head].seen;
        event.kind = Event::Kind::appear;
        event.count = count();
        return sink(event);
    }
    for (const Head head : named_heads) {
        Label& label = k.labels[head];
        if (label.seen.empty() || label.seen == label.told) continue;
        // The first reading of a face that appeared without one needs no second look.
        if (!label.told.empty() && seconds(label.since_ns, now) < options_.settle_s) continue;
        if (!allowed()) return true;
        event.kind = Event::Kind::change;
        event.count = count();
        event.head = head;
        event.before = label.told;
        event.after = label.told = label.seen;
        if (!sink(event)) return false;
    }
    return true;
}

bool EventFinder::leave(Known& face, const FrameResult& result, const Sink& sink) {
    face.told = false;
    Event event{.kind = Event::Kind::leave, .frame = &result, .id = face.id, .box = face.box};
    event.count = count();
    event.seconds = seconds(face.first_ns, face.last_ns);
    for (const Head head : named_heads) event.labels[head] = face.labels[head].told;
    return sink(event);
}

bool EventFinder::add(const FrameResult& result, const Sink& sink) {
    const std::uint64_t now = result.time_ns;
    const double most = std::max(options_.max_rate, 1.0);
    tokens_ =
        begun_ ? std::min(most, tokens_ + options_.max_rate * seconds(last_.time_ns, now)) : most;
    bool taken = true;
    if (options_.on_change) {
        for (Known& k : known_) {
            k.here = std::any_of(result.faces.begin(), result.faces.end(),
                                 [&](const TrackedFace& face) { return face.id == k.id; });
            if (!k.here && k.told && taken && allowed()) taken = leave(k, result, sink);
        }
        std::erase_if(known_, [](const Known& k) { return !k.here && !k.told; });
        for (const TrackedFace& face : result.faces) taken = taken && look(face, result, sink);
    }
    if (options_.every_s > 0 && taken &&
        (!begun_ || now < state_ns_ || seconds(state_ns_, now) >= options_.every_s)) {
        state_ns_ = now;
        Event event{.kind = Event::Kind::state, .frame = &result};
        event.count = static_cast<int>(result.faces.size());
        taken = sink(event);
    }
    begun_ = true;
    last_ = result;
    last_.faces = {};
    return taken;
}

bool EventFinder::finish(const Sink& sink) {
    bool taken = true;
    for (Known& k : known_)
        if (k.told && taken) taken = leave(k, last_, sink);
    known_.clear();
    return taken;
}

std::string event_json(const Event& event, const std::string& source,
                       const host::EngineInfo& info) {
    using host::Json;
    const FrameResult& frame = *event.frame;
    Json json = {{"schema", host::json_schema},
                 {"event", names[static_cast<std::size_t>(event.kind)]},
                 {"source", source},
                 {"time_s", seconds_of(frame.time_ns)},
                 {"frame", frame.number},
                 {"width", frame.width},
                 {"height", frame.height},
                 {"count", event.count}};
    if (frame.latency_ms >= 0) json["utc"] = utc(frame.utc_ms);
    switch (event.kind) {
        case Event::Kind::change:
            json["head"] = head_name(event.head);
            json["before"] = event.before.empty() ? Json(nullptr) : Json(event.before);
            json["after"] = event.after;
            [[fallthrough]];
        case Event::Kind::appear: json["face"] = tracked_face_json(*event.face, info); break;
        case Event::Kind::leave: {
            Json face = {{"id", event.id}, {"box", host::box_json(event.box)}};
            for (const Head head : named_heads)
                if (!event.labels[head].empty())
                    face[head_name(head)] = {{"label", event.labels[head]}};
            json["face"] = std::move(face);
            json["seconds"] = std::round(event.seconds * 1e3) / 1e3;
            break;
        }
        case Event::Kind::state: {
            Json faces = Json::array();
            for (const TrackedFace& face : frame.faces)
                faces.push_back(tracked_face_json(face, info));
            json["faces"] = std::move(faces);
            break;
        }
    }
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string event_line(const Event& event, const host::EngineInfo& info) {
    char when[48];
    std::snprintf(when, sizeof when, "%9.1f s  ", static_cast<double>(event.frame->time_ns) * 1e-9);
    const std::string number = "#" + std::to_string(event.id);
    std::string line = when;
    switch (event.kind) {
        case Event::Kind::appear:
            return line + number + " appears:" + answers_line(*event.face, info);
        case Event::Kind::change: return line + number + " " + event.before + " -> " + event.after;
        case Event::Kind::leave: {
            char stay[48];
            std::snprintf(stay, sizeof stay, " leaves after %.1f s", event.seconds);
            return line + number + stay;
        }
        case Event::Kind::state: break;
    }
    line += std::to_string(event.count) + (event.count == 1 ? " face" : " faces");
    const char* separator = ": ";
    for (const TrackedFace& face : event.frame->faces) {
        line += separator + ("#" + std::to_string(face.id)) + answers_line(face, info);
        separator = ", ";
    }
    return line;
}

}  // namespace mien::live
