// SPDX-License-Identifier: MIT
#include "cli/live.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/mjpeg_view.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "host/codec/orientation.h"

namespace mien::cli {

int Turning::orientation() const { return host::orientation_of(degrees, mirror, flip).value_or(1); }

void add_turning_options(CLI::App& app, Turning& turning, const std::string& group) {
    CLI::Option* const options[] = {
        app.add_option(
               "--rotate", turning.degrees,
               "Turn each frame clockwise by 90, 180 or 270 degrees, of a camera that hangs "
               "askew")
            ->check(CLI::IsMember({0, 90, 180, 270}))
            ->type_name("DEGREES"),
        app.add_flag("--mirror", turning.mirror, "Exchange left and right, after --rotate"),
        app.add_flag("--flip", turning.flip, "Exchange up and down, after --rotate")};
    for (CLI::Option* const option : options)
        if (!group.empty()) option->group(group);
}

void add_change_options(CLI::App& app, live::EventOptions& options, const std::string& group) {
    app.add_option("--settle", options.settle_s, "A label changes when it stays so for this long")
        ->check(CLI::Range(0.0, 3600.0))
        ->type_name("S")
        ->group(group);
    app.add_option("--max-rate", options.max_rate, "Changes per second, at most; 0: no limit")
        ->check(CLI::Range(0.0, 1e6))
        ->type_name("RATE")
        ->group(group);
}

namespace {

void add_event_options(CLI::App& app, live::EventOptions& options) {
    const char* group = "Events";
    app.add_option_function<std::string>(
           "--on", [&options](const std::string&) { options.on_change = true; },
           "change: print when a face appears, leaves or changes its label, in place of every "
           "frame")
        ->check(CLI::IsMember({"change"}))
        ->type_name("change")
        ->group(group);
    app.add_option("--every", options.every_s,
                   "Print all faces every so many seconds, in place of every frame")
        ->check(CLI::Range(0.0, 1e6))
        ->type_name("S")
        ->group(group);
    add_change_options(app, options, group);
}

}  // namespace

void add_live_options(CLI::App& app, LiveOptions& options) {
    app.add_flag("--json", options.json,
                 "Print one JSON object per frame, one per line; also if stdout is not a terminal");
    app.add_flag("--window", options.window, "Show a live view; q ends");
    app.add_option("--mjpeg", options.mjpeg,
                   "Serve a live view to browsers, without a password; behind a proxy PORT/PREFIX")
        ->type_name("[ADDRESS:]PORT");
    app.add_option("--record", options.record, "Record annotated frames as motion JPEG")
        ->type_name("FILE.avi");
    app.add_flag("-y,--yes", options.overwrite, "Overwrite an existing recording");
    app.add_option("--style", options.style,
                   "gender: both labels, boxes colored by gender; emotion: colored by expression;\n"
                   "explain: and which parts of the face support it (red) or oppose it (blue)")
        ->check(CLI::IsMember({"gender", "emotion", "explain"}))
        ->type_name("NAME");
    add_turning_options(app, options.turning);
    add_landmarks_option(app, options.engine);
    add_confidence_option(app, options.engine.setup.config.min_confidence);
    app.add_option("--frames", options.frames, "End after this many frames; 0: never")
        ->type_name("COUNT");
    app.add_option("--seconds", options.seconds, "End after this many seconds; 0: never")
        ->check(CLI::Range(0.0, 1e9))
        ->type_name("S");
    app.add_flag("-q,--quiet", options.quiet, "No summary at the end");
    add_event_options(app, options.events);
    add_ros2_options(app, options.ros2);
    add_mqtt_options(app, options.mqtt);
    const char* group = "Tracking";
    app.add_option("--smoothing", options.smoothing,
                   "How labels are smoothed: none, mode (of the last 10), average (exponential),\n"
                   "quality (average by size, sharpness and turn of the face; labels stay longer)")
        ->check(CLI::IsMember({"none", "mode", "average", "quality"}))
        ->type_name("NAME")
        ->group(group);
    app.add_option("--full-every", options.full_every,
                   "Search every Nth frame in full; 1: all, 0: only the first")
        ->check(CLI::Range(0, 1000000))
        ->type_name("FRAMES")
        ->group(group);
    app.add_option("--cycle-ms", options.cycle_ms,
                   "Time in which all sizes and positions are searched once")
        ->check(CLI::Range(1, 60000))
        ->type_name("MS")
        ->group(group);
    app.add_option("--budget-ms", options.budget_ms, "Target for the work per frame; 0: no limit")
        ->check(CLI::Range(0.0, 1e6))
        ->type_name("MS")
        ->group(group);
    app.add_option("--jpeg-scale", options.jpeg_scale,
                   "Decode motion JPEG at 1/2, 1/4 or 1/8 of its size")
        ->check(CLI::IsMember({1, 2, 4, 8}))
        ->type_name("N")
        ->group(group);
    add_weights_options(app, options.engine, true);
    options.engine.threads = 1;     // live use leaves the other processors to the robot
    options.engine.enlarge_to = 0;  // costs up to four times as much for each frame
    add_detector_options(app, options.engine);
}

bool parse_size(const std::string& text, int& width, int& height) {
    char* end = nullptr;
    const long w = std::strtol(text.c_str(), &end, 10);
    const bool separated = *end == 'x' || *end == 'X';
    const char* second = separated ? end + 1 : end;
    const long h = std::strtol(second, &end, 10);
    if (!separated || *end != '\0' || end == second || w < 1 || h < 1 || w > video::max_side ||
        h > video::max_side) {
        complain("--size " + text + " is no size such as 640x480");
        return false;
    }
    width = static_cast<int>(w);
    height = static_cast<int>(h);
    return true;
}

struct Notices::Impl {
    std::mutex mutex;
    std::vector<std::string> lines;
};
Notices::Notices() : impl_(std::make_unique<Impl>()) {}
Notices::~Notices() = default;
void Notices::add(const std::string& text) {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->lines.size() < 100) impl_->lines.push_back(text);
}
void Notices::show() {
    std::vector<std::string> lines;
    {
        const std::lock_guard lock(impl_->mutex);
        lines.swap(impl_->lines);
    }
    for (const std::string& line : lines) complain(line);
}

namespace {

std::size_t terminal_width() {
    struct winsize size{};
    return ::ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1 : 79;
}

// Writes to stdout without ever blocking forever: a reader that stops reading must not block
// Ctrl-C. A pipe that is ready takes PIPE_BUF bytes at once.
bool write_patiently(std::string_view text) {
    constexpr std::size_t at_once = 4096;
    while (!text.empty()) {
        struct pollfd out = {1, POLLOUT, 0};
        const int ready = ::poll(&out, 1, 100);
        // the rest of the line is lost with its reader
        if (interrupted() && ready <= 0) return true;
        if (ready <= 0) continue;
        if ((out.revents & POLLERR) != 0 || !print(text.substr(0, at_once))) {
            return print(text.substr(0, at_once)) && false;
        }
        text.remove_prefix(std::min(text.size(), at_once));
    }
    return true;
}

live::LoopOptions loop_options(const LiveOptions& options, const std::string& name) {
    live::LoopOptions loop;
    loop.source_name = name;
    loop.tracker.engine = options.engine.setup.config;
    loop.tracker.smoothing = options.smoothing == "none"      ? Smoothing::none
                             : options.smoothing == "mode"    ? Smoothing::mode
                             : options.smoothing == "average" ? Smoothing::average
                                                              : Smoothing::quality;
    loop.tracker.full_every = options.full_every;
    loop.tracker.cycle_ns = static_cast<std::uint64_t>(options.cycle_ms) * 1'000'000u;
    loop.tracker.budget_ns = static_cast<std::uint64_t>(options.budget_ms * 1e6);
    loop.style = options.style == "gender" ? host::Style::gender : host::Style::emotion;
    loop.explain = options.style == "explain";
    loop.landmarks = options.engine.landmarks;
    loop.jpeg_scale = options.jpeg_scale;
    loop.orientation = options.turning.orientation();
    loop.as_stored = options.as_stored;
    loop.max_frames = options.frames;
    loop.max_seconds = options.seconds;
    return loop;
}

host::Result<> check_style(const LiveOptions& options, const host::EngineOwner& engine) {
    const Model* const model = engine.model(Head::emotion);
    if (options.style != "explain" || (model != nullptr && model->class_map_size().count() > 0))
        return {};
    return host::Error::usage(
        "the expression network does not end in a mean over positions, so it has no class "
        "activation map");
}

// What a live run opens, in the order in which it is closed again from the bottom.
struct Opened {
    std::unique_ptr<live::Window> window;
    MjpegView view;
    Ros2Output ros2;
    MqttOutput mqtt;
    std::unique_ptr<video::Source> source;
    std::unique_ptr<video::Recorder> recorder;
};

// The source comes late: its frames would grow old. Returns the exit code; not exit_done after a
// complaint.
int open_all(LiveOptions& options, const std::string& name, const host::EngineOwner& engine,
             Notices& notices, const SourceOpener& open, Opened& out) {
    if (options.window) {
        auto window = live::Window::open("mien: " + name);
        if (!window) return complain("--window", window.error());
        out.window = std::move(*window);
    }
    if (!options.mjpeg.empty()) {
        if (const int code = out.view.start(options.mjpeg); code != exit_done) return code;
    }
    if (const int code = out.ros2.start(options.ros2, options.events, name, engine.info());
        code != exit_done)
        return code;
    if (!options.mqtt.address.empty()) {
        const int code =
            out.mqtt.start(options.mqtt, options.events, name, engine.info(), out.view.place(),
                           [&notices](const std::string& text) { notices.add(text); });
        notices.show();
        if (code != exit_done) return code;
    }
    auto source = open(engine.wants_color());
    if (!source && interrupted()) return exit_interrupted;
    if (!source) return complain(name == "-" ? "standard input" : name, source.error());
    out.source = std::move(*source);
    out.view.announce();
    if (!options.record.empty()) {
        auto recorder = video::Recorder::create(options.record, options.overwrite);
        if (!recorder) return complain(options.record, recorder.error());
        out.recorder = std::move(*recorder);
        out.recorder->keep_times(out.source->frame_rate());
    }
    return exit_done;
}

// Results on standard output: JSON Lines, or one line that is written over.
class Printer {
public:
    Printer(const LiveOptions& options, const std::string& name, const host::EngineInfo& info,
            const live::Statistics& statistics)
        : json_(options.json || !is_terminal(1)),
          events_(options.events.any()),
          name_(name),
          info_(info),
          statistics_(statistics),
          finder_(options.events, info) {}

    // False: nobody reads it anymore.
    bool show(const live::FrameResult& result) {
        if (events_) return finder_.add(result, [this](const live::Event& e) { return tell(e); });
        if (json_) return write_patiently(live::frame_json(result, name_, info_) + "\n");
        const double interval = statistics_.interval.mean();
        line_shown_ = true;
        return write_patiently("\r\033[K" + live::frame_line(result, info_,
                                                             interval > 0 ? 1000 / interval : 0,
                                                             terminal_width()));
    }
    // The source has ended.
    bool finish() {
        return !events_ || finder_.finish([this](const live::Event& e) { return tell(e); });
    }
    void clear_line() {
        if (line_shown_) print("\r\033[K");
        line_shown_ = false;
    }

private:
    bool tell(const live::Event& event) {
        return write_patiently(
            (json_ ? live::event_json(event, name_, info_) : live::event_line(event, info_)) +
            "\n");
    }

    bool json_, events_;
    bool line_shown_ = false;
    const std::string& name_;
    const host::EngineInfo& info_;
    const live::Statistics& statistics_;
    live::EventFinder finder_;
};

int code_of(const live::LoopOutcome& outcome, const std::string& name, int interrupt_code) {
    switch (outcome.end) {
        case live::LoopEnd::source_failed: complain(name, outcome.error); return exit_input;
        case live::LoopEnd::engine_failed: complain(name, outcome.error); return exit_output;
        case live::LoopEnd::reader_gone: return output_exit_code();
        case live::LoopEnd::stopped: return interrupt_code;
        default: return exit_done;
    }
}

// The exit code of a run, with complaints about what went wrong in it.
int end_code(const LiveOptions& options, const std::string& name, const Opened& opened,
             const live::LoopOutcome& outcome, int interrupt_code) {
    int code = code_of(outcome, name, interrupt_code);
    if (opened.recorder) {
        if (const host::Result<> done = opened.recorder->finish();
            !done && !outcome.recording_failed)
            code = complain(options.record, done.error());
        if (outcome.recording_failed && code == exit_done) code = exit_output;
    }
    if (outcome.damaged && code == exit_done && !opened.source->is_live()) code = exit_input;
    return code;
}

// The figures of a whole run.
void show_summary(const LiveOptions& options, const std::string& name,
                  const live::Statistics& statistics, Ending ending, bool reader_gone) {
    if (ending == Ending::bench) {
        print(options.json ? live::summary_json(statistics, name) + "\n"
                           : live::summary_text(statistics, printable(name)));
        return;
    }
    if (options.json && !reader_gone && !interrupted())
        write_patiently(live::summary_json(statistics, name) + "\n");
    if (options.quiet) return;
    // Several lines on stderr, not one, so not by complain().
    const std::string text = live::summary_text(statistics, printable(name));
    if (::write(2, text.data(), text.size()) < 0) return;
}

}  // namespace

int run_live(LiveOptions& options, const std::string& name, Notices& notices, int interrupt_code,
             Ending ending, const SourceOpener& open) {
    int code = exit_done;
    const std::unique_ptr<host::EngineOwner> engine = open_engine(options.engine, code);
    if (!engine) return code;
    const live::LoopOptions loop = loop_options(options, name);
    if (const host::Result<> done = check_style(options, *engine); !done)
        return complain("--style explain", done.error());
    catch_interrupts();
    Opened opened;
    if (code = open_all(options, name, *engine, notices, open, opened); code != exit_done) {
        notices.show();
        return interrupted() ? interrupt_code : code;
    }

    live::Statistics statistics;
    Printer printer(options, name, engine->info(), statistics);
    live::Outputs outputs;
    outputs.window = opened.window.get();
    outputs.feed = opened.view.feed();
    outputs.recorder = opened.recorder.get();
    outputs.stop = [&] {
        notices.show();
        return interrupted();
    };
    outputs.idle = [] {};
    outputs.tell = [&](const std::string& text) {
        printer.clear_line();
        complain(name, text);
    };
    outputs.result = [&](const live::FrameResult& result) {
        return ending == Ending::bench || printer.show(result);
    };
    opened.ros2.join(outputs);
    opened.mqtt.join(outputs);
    const live::LoopOutcome outcome =
        live::run_loop(*opened.source, *engine, loop, outputs, statistics);
    printer.clear_line();
    opened.ros2.finish();
    opened.mqtt.finish();
    const bool reader_gone = outcome.end == live::LoopEnd::reader_gone || !printer.finish();
    notices.show();
    code = end_code(options, name, opened, outcome, interrupt_code);
    show_summary(options, name, statistics, ending, reader_gone);
    return code != exit_done ? code : output_exit_code();
}

}  // namespace mien::cli
