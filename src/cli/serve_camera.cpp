// SPDX-License-Identifier: MIT
#include "cli/serve_camera.h"

#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "host/quiet_thread.h"
#include "host/results/json.h"

#ifdef MIEN_HAS_SERVE

#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "camera/v4l2.h"
#include "cli/live.h"

namespace mien::cli {
void add_serve_camera_options(CLI::App& app, ServeCameraOptions& options) {
    const char* group = "Camera";
    app.add_option(
           "--camera", options.device,
           "Watch this camera (/dev/videoN, N alone, a name under /dev/v4l), or frames on standard "
           "input (-: motion JPEG,\n"
           "YUV4MPEG2), at /stream.mjpg and /v1/events")
        ->type_name("DEVICE")
        ->group(group);
    add_camera_options(app, options.wishes, group);
    app.add_option("--style", options.style,
                   "gender: both labels, boxes colored by gender; emotion: colored by expression")
        ->check(CLI::IsMember({"gender", "emotion"}))
        ->type_name("NAME")
        ->group(group);
    add_turning_options(app, options.turning, group);
    add_change_options(app, options.events, group);
    app.add_option("--budget-ms", options.budget_ms, "Target for the work per frame; 0: no limit")
        ->check(CLI::Range(0.0, 1e6))
        ->type_name("MS")
        ->group(group);
}

bool ServeCamera::start(const ServeCameraOptions& options, const EngineOptions& engine, int& code) {
    options_ = options;
    code = exit_usage;
    if (!make_request(options.device, options.wishes, request_)) return false;
    name_ = options.device == "-" ? "standard input" : request_.path;
    request_.colour = true;  // to be drawn
    loop_.source_name = name_;
    loop_.tracker.engine = engine.setup.config;
    loop_.tracker.engine.enlarge_to = 0;  // --enlarge-to is for photos; see add_live_options()
    loop_.tracker.budget_ns = static_cast<std::uint64_t>(options.budget_ms * 1e6);
    loop_.landmarks = engine.landmarks;
    loop_.orientation = options.turning.orientation();
    loop_.style = options.style == "emotion" ? host::Style::emotion : host::Style::gender;
    code = exit_done;
    thread_ = host::quiet_thread([this] { run(); });
    return true;
}

void ServeCamera::stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
}

void ServeCamera::tell(bool connected, const std::string& text) {
    connected_ = connected;
    complain(name_, text);
    feed_.publish_state(nlohmann::ordered_json{{"schema", host::json_schema},
                                               {"source", name_},
                                               {"connected", connected},
                                               {"text", text}}
                            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                        connected);
}

std::unique_ptr<video::Source> ServeCamera::open() {
    if (options_.device == "-") {
        video::StreamOptions stream;
        stream.live = true;
        auto opened = video::open_stream(::dup(0), stream);
        if (opened) return video::newest_of(std::move(*opened));
        tell(false, opened.error().text);
        return nullptr;
    }
    return video::newest_of(camera::reconnecting_camera(
        request_, [this](const std::string& text) { tell(false, text); }));
}

void ServeCamera::run() {
    std::string last_end;  // not said again while nothing changes
    while (!stop_) {
        const std::unique_ptr<video::Source> source = open();
        live::LoopOutcome outcome;
        if (source) {
            live::EventFinder finder(options_.events, owner_.info());
            const live::EventFinder::Sink publish = [this](const live::Event& event) {
                feed_.publish_change(live::event_json(event, name_, owner_.info()));
                return true;
            };
            live::Outputs outputs;
            outputs.feed = &feed_;
            outputs.stop = [this] { return stop_.load(); };
            outputs.idle = [] {};
            outputs.tell = [this](const std::string& text) { complain(name_, text); };
            outputs.result = [&](const live::FrameResult& result) {
                if (!connected_)
                    tell(true, format("frames of %d x %d pixels", result.width, result.height));
                (void)finder.add(result, publish);
                std::uint64_t faces = 0;
                for (const TrackedFace& face : result.faces) faces += face.missed == 0;
                feed_.count(result.dropped, faces,
                            result.latency_ms > 0 ? result.latency_ms / 1e3 : 0);
                return true;
            };
            live::Statistics statistics;
            outcome = live::run_loop(*source, owner_, loop_, outputs, statistics);
            (void)finder.finish(publish);
        }
        if (stop_) return;
        const std::string text =
            outcome.end == live::LoopEnd::source_end ? "the stream has ended" : outcome.error;
        if (source && (connected_ || text != last_end)) tell(false, text);
        last_end = text;
        if (options_.device == "-" || outcome.end == live::LoopEnd::engine_failed)
            return feed_.end();
        for (int i = 0; i < 20 && !stop_; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

}  // namespace mien::cli

#endif
