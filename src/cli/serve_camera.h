// SPDX-License-Identifier: MIT
// The camera of `mien serve --camera`: the loop of `mien camera` on a thread of its own, whose
// frames and results go to viewers.
#pragma once

#ifdef MIEN_HAS_SERVE

#include <atomic>
#include <string>
#include <thread>

#include "cli/camera_options.h"
#include "cli/engine_options.h"
#include "cli/live.h"
#include "cli/options.h"
#include "live/events.h"
#include "live/feed.h"
#include "live/loop.h"

namespace mien::cli {

struct ServeCameraOptions {
    std::string device;  // empty: none; "-": frames on standard input
    CameraWishes wishes;
    std::string style = "gender";
    double budget_ms = 0;
    Turning turning;
    live::EventOptions events = {.on_change = true};
};
void add_serve_camera_options(CLI::App& app, ServeCameraOptions& options);

class ServeCamera {
public:
    // `owner` has the weights and does not process. Both must outlive this.
    ServeCamera(const host::EngineOwner& owner, live::Feed& feed) : owner_(owner), feed_(feed) {}
    ~ServeCamera() { stop(); }
    ServeCamera(const ServeCamera&) = delete;
    ServeCamera& operator=(const ServeCamera&) = delete;

    // False after printing an error, with `code` set, for wrong options. Waits for a camera that is
    // missing or unplugged.
    bool start(const ServeCameraOptions& options, const EngineOptions& engine, int& code);
    void stop();

private:
    void run();
    std::unique_ptr<video::Source> open();
    void tell(bool connected, const std::string& text);

    const host::EngineOwner& owner_;
    live::Feed& feed_;
    ServeCameraOptions options_;
    std::string name_;
    camera::Request request_;
    live::LoopOptions loop_;
    std::atomic<bool> stop_{false}, connected_{false};
    std::thread thread_;
};

}  // namespace mien::cli

#endif
