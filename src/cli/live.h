// SPDX-License-Identifier: MIT
// What `camera`, `video` and `bench --live` share: the loop's options, and running it with a
// terminal or a pipe.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/engine_options.h"
#include "cli/mqtt_output.h"
#include "cli/options.h"
#include "cli/ros2_output.h"
#include "live/events.h"
#include "live/loop.h"

namespace mien::cli {

// How a camera hangs.
struct Turning {
    int degrees = 0;
    bool mirror = false, flip = false;

    int orientation() const;  // host/codec/orientation.h
};
void add_turning_options(CLI::App& app, Turning& turning, const std::string& group = "");

struct LiveOptions {
    EngineOptions engine;
    std::string style = "gender", smoothing = "mode", record, mjpeg;
    bool json = false, window = false, overwrite = false, quiet = false, as_stored = false;
    int full_every = 0, cycle_ms = 300, jpeg_scale = 1;
    Turning turning;
    live::EventOptions events;
    Ros2Options ros2;
    MqttOptions mqtt;
    double budget_ms = 0, seconds = 0;
    std::uint64_t frames = 0;
};

void add_live_options(CLI::App& app, LiveOptions& options);
// --settle and --max-rate.
void add_change_options(CLI::App& app, live::EventOptions& options, const std::string& group);

// "640x480"; false after printing an error.
bool parse_size(const std::string& text, int& width, int& height);

// A message from any thread; the loop prints it when its own line is not in the way.
class Notices {
public:
    Notices();
    ~Notices();
    void add(const std::string& text);
    void show();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// what goes to standard output: results of every frame; or only the figures at the end
enum class Ending { results, bench };

// Opens a source; `color`: the networks need it.
using SourceOpener = std::function<host::Result<std::unique_ptr<video::Source>>(bool color)>;

// Runs the loop and returns the exit code. `interrupt_code` is the exit code after Ctrl-C, which is
// the normal end for a camera. `open` is called once the engine, the window and the server are
// ready.
int run_live(LiveOptions& options, const std::string& name, Notices& notices, int interrupt_code,
             Ending ending, const SourceOpener& open);

}  // namespace mien::cli
