// SPDX-License-Identifier: MIT
// Answers the routes of the service: their checks, and the work on images. Uses no sockets
// (server.h) and no threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "host/files/resource.h"
#include "host/weights/engine_owner.h"
#include "serve/feed.h"
#include "serve/guard.h"
#include "serve/message.h"
#include "serve/metrics.h"
#include "serve/options.h"

namespace mien::serve {

enum class Endpoint {
    page,  // with all files that it loads
    openapi,
    health,
    ready,
    metrics,
    models,
    analyze,
    classify_image,
    pictures,
    events
};

struct Route {
    std::string path;
    const char* method;  // one; HEAD goes with GET
    Endpoint endpoint;
    bool open;                   // without token and rate
    bool works;                  // has a body and needs an engine
    const host::Resource* file;  // of a page or a description; else null
};
// Null for an unknown path.
const Route* find_route(std::string_view path);

// Decided by the header.
struct Plan {
    const Route* route = nullptr;
    bool annotate = false;
    bool explain = false;
};

class Service {
public:
    // `weights` and `options` must outlive it, as must `feed`, which is null without a camera;
    // `gauges` gives current values.
    Service(const Options& options, const host::EngineOwner& weights, const Feed* feed,
            std::function<Gauges()> gauges);

    // By the header alone: an answer, or the plan with which work() or answer() continues.
    std::optional<Answer> judge(const RequestHead& head, Plan& plan);
    // Of a route without work.
    Answer answer(const Plan& plan) const;
    // Of a route with work; on any thread, one engine each. Throws nothing.
    Answer work(const Plan& plan, const RequestHead& head, std::span<const std::uint8_t> body,
                double queue_ms, host::EngineOwner& engine);
    // Headers that every answer has.
    void finish(const RequestHead& head, const Plan& plan, Answer& answer) const;

    static Answer busy(std::string_view what);
    void set_ready(bool ready) { ready_ = ready; }
    Metrics& metrics() { return metrics_; }

private:
    struct Picture {
        std::string source;
        std::span<const std::uint8_t> bytes;
    };
    std::optional<Answer> read_pictures(const Plan& plan, const RequestHead& head,
                                        std::span<const std::uint8_t> body,
                                        std::vector<Picture>& out) const;
    // The report, or the fault of the image. With `png`, the annotated image.
    std::optional<Answer> analyze(const Picture& picture, host::EngineOwner& engine,
                                  host::ImageReport& report, std::string& note, std::string* png);
    Answer analyze_all(const Plan& plan, std::span<const Picture> pictures, double queue_ms,
                       host::EngineOwner& engine);

    const Options& options_;
    Guard guard_;
    Metrics metrics_;
    const Feed* feed_;
    std::function<Gauges()> gauges_;
    std::string models_json_;  // an array
    std::string models_answer_;
    std::atomic<bool> ready_{true};
};

}  // namespace mien::serve
