// SPDX-License-Identifier: MIT
// Answers the routes of the service: their checks, and the work on images. Uses no sockets
// (server.h) and no threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/codec/image_file.h"
#include "host/files/file_io.h"
#include "host/files/resource.h"
#include "host/results/report.h"
#include "host/weights/engine_owner.h"
#include "live/feed.h"
#include "serve/compat.h"
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
    deepface,
    compreface,
    pictures,
    events,
    changes,
    snapshot,  // these two of a live view only
    faces
};

struct Route {
    std::string path;
    const char* method;  // one; HEAD goes with GET
    Endpoint endpoint;
    bool open;                               // without token and rate
    bool works;                              // has a body and needs an engine
    const host::Resource* file;              // of a page or a description; else null
    bool service = true, live_view = false;  // the sites that have it
};
// Null for a path that the site does not have.
const Route* find_route(std::string_view path, Site site);

// Decided by the header.
struct Plan {
    const Route* route = nullptr;
    bool annotate = false;
    bool landmarks = false;
    bool explain = false;
    std::optional<float> min_confidence = {};  // Config::min_confidence of this request
    TextOptions query = {};                    // of deepface and CompreFace
};

class Service {
public:
    // `options`, `weights` and `feed` must outlive it. `weights` is null for a live view, `feed`
    // without a camera; `gauges` gives current values.
    Service(const Options& options, const host::EngineOwner* weights, live::Feed* feed,
            std::function<Gauges()> gauges);

    // By the header alone: an answer, or the plan with which work() or answer() continues.
    std::optional<Answer> judge(const RequestHead& head, Plan& plan);
    // Of a route without work.
    Answer answer(const Plan& plan) const;
    // Of a route with work; on any thread, one engine each. Throws nothing. Once `gone` is true
    // nobody waits for the answer, and no further image is read.
    Answer work(const Plan& plan, const RequestHead& head, std::span<const std::uint8_t> body,
                double queue_ms, host::EngineOwner& engine, const std::atomic<bool>& gone);
    // Headers that every answer has.
    void finish(const RequestHead& head, const Plan& plan, Answer& answer) const;

    void set_ready(bool ready) { ready_ = ready; }
    Metrics& metrics() { return metrics_; }

private:
    struct Picture {
        std::string source;
        std::span<const std::uint8_t> bytes;
        host::ByteVector decoded = {};  // where `bytes` are, if not in the body
    };
    struct Analysis {
        host::ImageReport report;
        host::ByteVector png;  // the annotated image
    };
    // An image that came as base64, and so has no name.
    static void add_text_image(host::ByteVector image, std::vector<Picture>& out);
    void describe_models(const host::EngineOwner& weights);
    // Sets the route; an answer for an address that leads to another one.
    std::optional<Answer> find(std::string_view target, Plan& plan, Refusal& unknown) const;
    // What is judged after the route: nothing, or why the request is refused.
    std::optional<Refusal> judge_stream(const RequestHead& head, const Route& route) const;
    std::optional<Refusal> judge_body(const RequestHead& head, const Route& route) const;
    Answer answer_options(const RequestHead& head, const Route& route) const;
    // `options` are those beside the images, where the endpoint has any.
    std::optional<Refusal> read_pictures(const Plan& plan, const RequestHead& head,
                                         std::span<const std::uint8_t> body,
                                         std::vector<Picture>& out, TextOptions& options) const;
    std::optional<Refusal> read_json(const Plan& plan, std::span<const std::uint8_t> body,
                                     std::vector<Picture>& out, TextOptions& options) const;
    std::optional<Refusal> decode(const Picture& picture, const host::EngineOwner& engine,
                                  host::DecodedImage& out) const;
    // Fills `result`, or says what is wrong with the image. With `plan.annotate`, the annotated
    // image.
    std::optional<Refusal> analyze(const Picture& picture, host::EngineOwner& engine,
                                   const Plan& plan, Analysis& result);
    Answer classify_image(const Picture& picture, host::EngineOwner& engine);
    // As deepface and CompreFace do.
    Answer answer_for_others(const Plan& plan, std::span<const Picture> pictures,
                             const TextOptions& text, host::EngineOwner& engine);
    Answer analyze_all(const Plan& plan, std::span<const Picture> pictures, double queue_ms,
                       host::EngineOwner& engine, const std::atomic<bool>& gone);

    const Options& options_;
    Guard guard_;
    Metrics metrics_;
    live::Feed* feed_;
    std::function<Gauges()> gauges_;
    nlohmann::ordered_json models_;  // an array: names and versions
    std::string models_answer_;
    std::atomic<bool> ready_{true};
};

}  // namespace mien::serve
