// SPDX-License-Identifier: MIT
#include "mqtt/publisher.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace mien::mqtt {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t first_rate_ns = second_ns, rate_ns = 10 * second_ns;
// So long without a frame, or five times the longest pause so far, is a camera that is gone.
constexpr std::uint64_t quiet_ns = 10 * second_ns;
constexpr int quiet_pauses = 5;
// Of two faces of much the same size the largest does not change with each frame.
constexpr double clearly_larger = 1.2;

live::EventOptions with_changes(live::EventOptions options) {
    options.on_change = true;
    return options;
}

}  // namespace

Publisher::Publisher(PublisherOptions options, const host::EngineInfo& info, Outbox& outbox)
    : options_(std::move(options)),
      topics_(options_.topic),
      info_(info),
      outbox_(outbox),
      finder_(with_changes(options_.events), info) {
    outbox_.keep(topics_.status, "offline");  // until the first frame
}

void Publisher::connected(const std::string& address) {
    const PublisherOptions::View& view = options_.view;
    // What only this machine can reach is of use to nobody behind the network.
    const auto is_own = [](const std::string& host) {
        return host.substr(0, 4) == "127." || host == "[::1]" || host == "localhost";
    };
    std::string page;
    if (view.port != 0 && !address.empty() && (!is_own(view.host) || is_own(address)))
        page = "http://" + (view.host.empty() ? address : view.host) + ":" +
               std::to_string(view.port) + view.prefix + "/";
    if (!page.empty()) outbox_.keep(topics_.image_url, page + "snapshot.jpg");
    if (options_.discovery_prefix.empty()) return;
    DeviceDescription device;
    device.topic = options_.topic;
    device.prefix = options_.discovery_prefix;
    device.source = options_.source;
    device.page = page;
    device.qos = options_.qos;
    device.has_expression = !info_[Head::emotion].model_name.empty();
    device.has_image = options_.image_s > 0;
    device.has_image_url = !page.empty();
    for (auto& [topic, payload] : discovery(device)) outbox_.keep(topic, std::move(payload));
}

void Publisher::set_status(bool is_online) {
    if (is_online != is_online_) outbox_.keep(topics_.status, is_online ? "online" : "offline");
    is_online_ = is_online;
}

void Publisher::take(const live::Event& event) {
    const std::string json = live::event_json(event, options_.source, info_);
    if (event.kind == live::Event::Kind::state) {
        outbox_.keep(topics_.state, json);
        is_state_told_ = true;
        return;
    }
    outbox_.send(topics_.event, json);
    is_changed_ = true;
    switch (event.kind) {
        case live::Event::Kind::appear:
            shown_[event.id].expression = event.labels[Head::emotion];
            break;
        case live::Event::Kind::change:
            if (event.head == Head::emotion) shown_[event.id].expression = event.after;
            break;
        case live::Event::Kind::leave: shown_.erase(event.id); break;
        case live::Event::Kind::state: break;
    }
}

void Publisher::tell_state(const live::FrameResult& result) {
    live::Event event{.kind = live::Event::Kind::state, .frame = &result};
    event.count = static_cast<int>(result.faces.size());
    outbox_.keep(topics_.state, live::event_json(event, options_.source, info_));
}

void Publisher::measure(std::uint64_t now_ns) {
    const std::uint64_t since = now_ns - measured_ns_;
    if (since < (fps_ < 0 ? first_rate_ns : rate_ns)) return;
    fps_ = std::round(1e10 * static_cast<double>(frames_) / static_cast<double>(since)) / 10;
    frames_ = 0;
    measured_ns_ = now_ns;
}

void Publisher::tell_summary() {
    const auto before = shown_.find(largest_);
    const auto largest = std::max_element(
        shown_.begin(), shown_.end(),
        [](const auto& a, const auto& b) { return a.second.area < b.second.area; });
    if (largest == shown_.end())
        largest_ = 0;
    else if (before == shown_.end() ||
             static_cast<double>(largest->second.area) >
                 clearly_larger * static_cast<double>(before->second.area))
        largest_ = largest->first;
    Json json = {{"faces", shown_.size()}, {"expression", nullptr}, {"fps", nullptr}};
    if (largest_ != 0 && !shown_[largest_].expression.empty())
        json["expression"] = shown_[largest_].expression;
    if (fps_ >= 0) json["fps"] = fps_;
    std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text == summary_) return;
    outbox_.keep(topics_.summary, text);
    summary_ = std::move(text);
}

void Publisher::add(const live::FrameResult& result, std::uint64_t now_ns) {
    if (last_ns_ != 0) longest_ns_ = std::max(longest_ns_, now_ns - last_ns_);
    if (last_ns_ == 0)
        measured_ns_ = now_ns;
    else
        ++frames_;
    last_ns_ = now_ns;
    last_ = result;
    last_.faces = {};
    is_state_told_ = false;
    (void)finder_.add(result, [this](const live::Event& event) {
        take(event);
        return true;
    });
    for (const TrackedFace& face : result.faces)
        if (const auto found = shown_.find(face.id); found != shown_.end())
            found->second.area = std::int64_t{face.box.width} * face.box.height;
    if (is_changed_ && !is_state_told_) tell_state(result);
    if (is_changed_ && options_.view.port != 0) outbox_.keep_again(topics_.image_url);
    is_changed_ = false;
    measure(now_ns);
    tell_summary();
    set_status(true);
}

void Publisher::idle(std::uint64_t now_ns) {
    if (!is_online_ || now_ns - last_ns_ < std::max(quiet_ns, quiet_pauses * longest_ns_)) return;
    measure(now_ns);
    tell_summary();
    set_status(false);
}

void Publisher::finish() {
    (void)finder_.finish([this](const live::Event& event) {
        take(event);
        return true;
    });
    if (last_ns_ == 0) return;  // there was no frame
    tell_state(last_);
    fps_ = 0;
    tell_summary();
    set_status(false);
}

bool Publisher::wants_image(std::uint64_t now_ns) const {
    return options_.image_s > 0 && outbox_.is_connected() &&
           (image_ns_ == 0 || static_cast<double>(now_ns - image_ns_) >= options_.image_s * 1e9);
}

void Publisher::add_image(std::span<const std::uint8_t> jpeg, std::uint64_t now_ns) {
    image_ns_ = now_ns;
    outbox_.keep(topics_.image, {jpeg.begin(), jpeg.end()});
}

}  // namespace mien::mqtt
