// SPDX-License-Identifier: MIT
// Makes the messages of docs/MQTT.md of the results of a loop. Its calls come from the loop's thread,
// except connected().
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "live/events.h"
#include "mqtt/discovery.h"
#include "mqtt/outbox.h"

namespace mien::mqtt {

struct PublisherOptions {
    std::string topic;             // Broker::topic
    std::string source;            // as in the events' JSON
    int qos = 1;                   // what Home Assistant subscribes with
    live::EventOptions events;     // changes are published in any case
    std::string discovery_prefix;  // empty: no discovery
    double image_s = 0;            // > 0: an image, so often
    // The live view of --mjpeg; port 0: there is none.
    struct View {
        std::string host;  // empty: it can be reached by every address of this machine
        int port = 0;
        std::string prefix;
    } view;
};

class Publisher {
public:
    // Both outlive it.
    Publisher(PublisherOptions options, const host::EngineInfo& info, Outbox& outbox);

    // "online" with the first frame; "offline" when none has come for a while, and at the end.
    void add(const live::FrameResult& result, std::uint64_t now_ns);
    // While there is no frame.
    void idle(std::uint64_t now_ns);
    // The source has ended.
    void finish();

    bool has_images() const { return options_.image_s > 0; }
    bool wants_image(std::uint64_t now_ns) const;
    void add_image(std::span<const std::uint8_t> jpeg, std::uint64_t now_ns);

    // The broker sees this machine as `address`: the live view's address follows from it.
    void connected(const std::string& address);

private:
    struct Shown {
        std::string expression;
        std::int64_t area = 0;
    };

    void take(const live::Event& event);
    void tell_state(const live::FrameResult& result);
    void tell_summary();
    void measure(std::uint64_t now_ns);
    void set_status(bool is_online);

    const PublisherOptions options_;
    const Topics topics_;
    const host::EngineInfo& info_;
    Outbox& outbox_;
    live::EventFinder finder_;
    std::map<std::uint32_t, Shown> shown_;  // that have appeared and not left
    std::uint32_t largest_ = 0;
    bool is_changed_ = true;      // since the last state
    bool is_state_told_ = false;  // in this frame
    bool is_online_ = false;
    live::FrameResult last_;  // without its faces
    std::uint64_t frames_ = 0, measured_ns_ = 0, last_ns_ = 0, longest_ns_ = 0, image_ns_ = 0;
    double fps_ = -1;
    std::string summary_;
};

}  // namespace mien::mqtt
