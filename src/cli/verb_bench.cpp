// SPDX-License-Identifier: MIT
// mien bench: time and memory of each step on this machine. The engine alone: the image is decoded
// once.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "camera/v4l2.h"
#include "cli/compiler.h"
#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/files.h"
#include "cli/interrupt.h"
#include "cli/live.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "host/codec/image_file.h"
#include "nn/model_file.h"

namespace mien::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchOptions {
    EngineOptions engine;
    std::string photo;
    std::string live, size = "640x480";
    std::optional<double> seconds;  // none: 10, or as long as the frames take
    double fps = 30;
    std::uint64_t frames = 0;
    int repeat = 30;
    bool json = false;
};

// Milliseconds of one step, one entry per repetition.
struct Series {
    std::string name;
    std::vector<double> values;

    double at(double share) const {
        std::vector<double> sorted = values;
        std::sort(sorted.begin(), sorted.end());
        return sorted[static_cast<std::size_t>(
            std::lround(share * static_cast<double>(sorted.size() - 1)))];
    }
    double minimum() const { return at(0); }
    double median() const { return at(0.5); }
    double p95() const { return at(0.95); }
};

struct BenchResult {
    int width = 0, height = 0;
    bool generated = false;
    // found in the image; per-face steps are over max(faces, 1) faces
    int faces = 0;
    Series gray{"gray", {}}, detect{"detect", {}}, crop{"crop per face", {}},
        total{"whole image", {}};
    host::PerHead<Series> heads;
    std::int64_t windows = 0;
    std::size_t memory_bytes = 0;
    std::string isa;

    BenchResult() {
        for (const Head head : named_heads)
            heads[head].name = std::string(head_name(head)) + " per face";
    }
    // In the order in which they are printed.
    std::vector<Series*> series() {
        std::vector<Series*> list = {&gray, &detect, &crop};
        for (const Head head : named_heads) list.push_back(&heads[head]);
        list.push_back(&total);
        return list;
    }
};

std::uint64_t macs_of(const Model* model) {
    std::uint64_t macs = 0;
    for (int i = 0; model != nullptr && i < model->layer_count(); ++i)
        macs += ModelAccess{*model}.mac_count(layer_view(*model, i));
    return macs;
}

// A scene without photographs: soft shapes of many sizes with some grain, so that the detector's
// first stages pass about as often as on a photo. The same on every machine.
host::Result<host::Image> generated_picture(int width, int height) {
    host::Image image;
    image.width = width;
    image.height = height;
    image.pixels.reset(static_cast<std::uint8_t*>(
        std::malloc(image.row_bytes() * static_cast<std::size_t>(height))));
    if (!image.pixels) return host::Error::memory("not enough memory");
    std::uint32_t random = 1;
    std::uint8_t* out = image.pixels.get();
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            random = random * 1664525u + 1013904223u;
            const double u = x * 0.031, v = y * 0.043;
            const double wave = std::sin(u) * std::cos(v) + 0.6 * std::sin(2.7 * u + 1.3 * v) +
                                0.4 * std::cos(5.1 * v - 3.3 * u);
            const double value = 128 + 50 * wave + static_cast<double>(random >> 28);
            for (int c = 0; c < 3; ++c)
                *out++ = static_cast<std::uint8_t>(std::clamp(value + 12.0 * c, 0.0, 255.0));
        }
    }
    return image;
}

host::Result<host::Image> bench_picture(const BenchOptions& options) {
    if (options.photo.empty()) return generated_picture(640, 480);
    auto decoded = load_image(options.photo, true);
    if (!decoded) return decoded.error();
    return std::move(decoded->image);
}

host::Result<> run_once(host::EngineOwner& engine, const host::Image& image, BenchResult& result) {
    host::ImageReport report, face;
    const auto start = std::chrono::steady_clock::now();
    if (const host::Result<> done = engine.process(image.frame(), report); !done)
        return done.error();
    result.total.values.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
    result.faces = static_cast<int>(report.faces.size());
    result.windows = engine.engine().detector_stats().windows;
    result.gray.values.push_back(report.times.gray);
    result.detect.values.push_back(report.times.detect);
    const host::StepTimes* per_face = &report.times;
    if (report.faces.empty()) {
        // Without a face, a box in the middle is used instead.
        const int side = std::max(1, std::min(image.width, image.height) / 3);
        const Rect middle = {(image.width - side) / 2, (image.height - side) / 2, side, side};
        if (const host::Result<> done = engine.classify(image.frame(), middle, face); !done)
            return done.error();
        per_face = &face.times;
    }
    const double count = std::max(1, result.faces);
    result.crop.values.push_back(per_face->crop / count);
    for (const Head head : named_heads)
        result.heads[head].values.push_back(per_face->heads[head] / count);
    return {};
}

// ---- what it ran on ----

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    std::string line, board;
    while (std::getline(file, line)) {
        const std::size_t colon = line.find(": ");
        if (colon == std::string::npos) continue;
        if (line.compare(0, 10, "model name") == 0) return line.substr(colon + 2);
        if (line.compare(0, 5, "Model") == 0 || line.compare(0, 8, "Hardware") == 0)
            board = line.substr(colon + 2);
    }
    return board.empty() ? "unknown processor" : board;
}

long peak_memory_kib() {
    struct rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

double billions_a_second(std::uint64_t operations, const Series& series) {
    return series.median() > 0 ? static_cast<double>(operations) / series.median() * 1e-6 : 0;
}

double windows_a_second(const BenchResult& result) {
    return result.detect.median() > 0
               ? static_cast<double>(result.windows) / result.detect.median() * 1e3
               : 0;
}

// ---- output ----

std::string bench_text(BenchResult& result, const host::EngineOwner& engine,
                       const BenchOptions& options) {
    const int threads = options.engine.pool ? options.engine.pool->threads() : 1;
    std::string text = processor_name() + ", " + result.isa + ", " + compiler_name() + ", mien " +
                       version() + "\n";
    text +=
        format("%d x %d pixels%s, %d faces%s, %d repetitions, %s, milliseconds\n\n", result.width,
               result.height, result.generated ? " (generated)" : "", result.faces,
               result.faces == 0 ? " (a box in the middle stands in)" : "", options.repeat,
               threads == 1 ? "one thread" : format("%d threads", threads).c_str());
    text += "step              minimum    median   95th pct\n";
    for (const Series* series : result.series()) {
        text += format("%-15s %9.3f %9.3f %10.3f", series->name.c_str(), series->minimum(),
                       series->median(), series->p95());
        if (series == &result.detect)
            text += format("   %.1f million %s/s (%lld)", windows_a_second(result) * 1e-6,
                           engine.detector() != nullptr ? "pixels" : "windows",
                           static_cast<long long>(result.windows));
        for (const Head head : named_heads) {
            if (series == &result.heads[head] && engine.model(head) != nullptr)
                text += format("   %.2f GMAC/s",
                               billions_a_second(macs_of(engine.model(head)), *series));
        }
        text += '\n';
    }
    return text + format("\nengine memory %.2f MiB, peak of the process %.1f MiB\n",
                         static_cast<double>(result.memory_bytes) / (1 << 20),
                         static_cast<double>(peak_memory_kib()) / 1024);
}

double micro(double value) { return std::round(value * 1e4) / 1e4; }

Json bench_json(BenchResult& result, const host::EngineOwner& engine, const BenchOptions& options) {
    Json steps = Json::object();
    std::vector<std::string> keys = {"gray", "detect", "crop_per_face"};
    for (const Head head : named_heads) keys.push_back(std::string(head_name(head)) + "_per_face");
    keys.emplace_back("total");
    std::size_t i = 0;
    for (const Series* series : result.series()) {
        steps[keys[i++]] = {{"min", micro(series->minimum())},
                            {"median", micro(series->median())},
                            {"p95", micro(series->p95())}};
    }
    Json json = {{"schema", 1},
                 {"version", version()},
                 {"processor", processor_name()},
                 {"isa", result.isa},
                 {"compiler", compiler_name()},
                 {"picture", result.generated ? "generated" : options.photo},
                 {"width", result.width},
                 {"height", result.height},
                 {"faces", result.faces},
                 {"repeat", options.repeat},
                 {"threads", options.engine.pool ? options.engine.pool->threads() : 1},
                 {"ms", std::move(steps)},
                 {"windows", result.windows},
                 {"windows_per_second", std::round(windows_a_second(result))}};
    for (const Head head : named_heads)
        json[std::string(head_name(head)) + "_gmac_per_second"] =
            micro(billions_a_second(macs_of(engine.model(head)), result.heads[head]));
    json["engine_bytes"] = result.memory_bytes;
    json["peak_rss_bytes"] = static_cast<std::int64_t>(peak_memory_kib()) * 1024;
    return json;
}

int bench(BenchOptions& options) {
    int code = exit_done;
    const std::unique_ptr<host::EngineOwner> engine = open_engine(options.engine, code);
    if (!engine) return code;
    const auto image = bench_picture(options);
    if (!image) return complain(options.photo, image.error());
    catch_interrupts();
    BenchResult result;
    result.width = image->width;
    result.height = image->height;
    result.generated = options.photo.empty();
    constexpr int warm_up = 2;  // first touches of memory and caches are not measured
    for (int i = 0; i < options.repeat + warm_up; ++i) {
        if (interrupted()) return exit_interrupted;
        if (i == warm_up) {
            for (Series* series : result.series()) series->values.clear();
        }
        if (const host::Result<> done = run_once(*engine, *image, result); !done)
            return complain(options.photo.empty() ? "generated image" : options.photo,
                            done.error());
    }
    result.memory_bytes = engine->memory_bytes();
    result.isa = isa_name(engine->engine().isa());
    print(options.json ? bench_json(result, *engine, options)
                                 .dump(-1, ' ', false, Json::error_handler_t::replace) +
                             "\n"
                       : bench_text(result, *engine, options));
    return output_exit_code();
}

// A camera, or frames on stdin, read for a while; prints statistics, not faces.
int bench_live(BenchOptions& options) {
    camera::Request request;
    request.path = camera::device_path(options.live);
    request.fps = options.fps;
    if (!parse_size(options.size, request.width, request.height)) return exit_usage;
    LiveOptions live;
    live.engine = std::move(options.engine);
    live.json = options.json;
    live.quiet = true;
    live.frames = options.frames;
    live.seconds = options.seconds.value_or(options.frames > 0 ? 0 : 10);
    Notices notices;
    return run_live(live, options.live, notices, exit_done, Ending::bench,
                    [&](bool color) -> host::Result<std::unique_ptr<video::Source>> {
                        if (options.live == "-") {
                            video::StreamOptions stream;
                            stream.live = true;
                            auto opened = video::open_stream(::dup(0), stream);
                            if (!opened) return opened;
                            return video::newest_of(std::move(*opened));
                        }
                        request.colour = color;
                        auto opened = camera::open_camera(request);
                        if (!opened) return opened.error();
                        complain(options.live, (*opened)->description());
                        return video::newest_of(std::move(*opened));
                    });
}

}  // namespace

int run_bench(int argc, char** argv) {
    CLI::App app("Measures each step of the engine on this machine, decoding excluded.\n");
    style_app(app, "bench");
    BenchOptions options;
    app.add_option("PHOTO", options.photo,
                   "An image with faces; by default a generated one of 640 x 480")
        ->type_name("");
    app.add_option("--repeat", options.repeat, "Measurements, after two for warm-up")
        ->check(CLI::Range(1, 100000))
        ->type_name("COUNT");
    app.add_option("--live", options.live,
                   "Measure a camera, or frames on standard input (-), from time stamp to result")
        ->type_name("DEVICE");
    app.add_option("--seconds", options.seconds,
                   "End --live after this time (default: 10, or none with --frames)")
        ->check(CLI::Range(0.1, 1e9))
        ->type_name("S");
    app.add_option("--frames", options.frames,
                   "End --live after this many, or after --seconds if that is sooner")
        ->type_name("COUNT");
    app.add_option("--size", options.size, "Requested from the camera of --live")->type_name("WxH");
    app.add_option("--fps", options.fps, "Requested from the camera of --live")
        ->check(CLI::Range(0.1, 1000.0))
        ->type_name("RATE");
    app.add_flag("--json", options.json, "As one JSON object");
    add_weights_options(app, options.engine, true);
    options.engine.threads = 1;  // figures are of one thread unless asked otherwise
    add_detector_options(app, options.engine);
    int exit_code = exit_done;
    return parse_options(app, argc, argv, exit_code)
               ? (options.live.empty() ? bench(options) : bench_live(options))
               : exit_code;
}

}  // namespace mien::cli
