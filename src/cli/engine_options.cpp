// SPDX-License-Identifier: MIT
#include "cli/engine_options.h"

#include <cmath>
#include <initializer_list>
#include <utility>
#include <vector>

#include "cli/exit_codes.h"
#include "cli/terminal.h"
#include "host/weights/named_networks.h"

namespace mien::cli {

void add_weights_options(CLI::App& app, EngineOptions& options, bool with_cascade) {
    host::EngineSetup& setup = options.setup;
    setup.cascade.use = with_cascade;
    const char* group = "Weights (default: those inside the program)";
    for (const Head head : named_heads) {
        std::string title = host::head_title(head);
        title[0] = static_cast<char>(title[0] - 'a' + 'A');
        const std::string names = host::listed_names(head);
        app.add_option(std::string("--") + head_name(head), setup.heads[head].path,
                       title + " network, a .mien file" +
                           (names.empty() ? "" : ", or one that comes with mien: " + names))
            ->type_name("FILE")
            ->group(group);
    }
    if (with_cascade) {
        app.add_option("--cascade", setup.cascade.path,
                       "The cascade of --detector haar, a .mien file or OpenCV's haarcascade_*.xml")
            ->type_name("FILE")
            ->group(group);
    }
    for (const Head head : named_heads) {
        if (head == Head::emotion) continue;
        const std::string name = head_name(head);
        app.add_flag("--no-" + name, options.off[head], "Leave out the " + name)->group(group);
    }
    add_network_limit_option(app, setup.network_limit)->group(group);
    add_isa_option(app, options.isa);
}

CLI::Option* add_network_limit_option(CLI::App& app, double& times) {
    return app
        .add_option("--network-limit", times,
                    "A network may take that many times 10 billion operations a run and 256 MiB")
        ->check(CLI::Range(1e-6, 1e6))
        ->type_name("TIMES");
}

void add_confidence_option(CLI::App& app, float& min_confidence) {
    app.add_option("--min-confidence", min_confidence,
                   "An answer less probable than this is unsure, 0 to 1; 0: none is\n"
                   "(default: as the file of each network says)")
        ->check(CLI::Range(0.0, 1.0))
        ->default_str("")
        ->type_name("P");
}

void add_isa_option(CLI::App& app, std::string& isa) {
    app.add_option("--isa", isa,
                   "Instruction set (best, scalar, sse41, avx2, ..., neon, ...); also by MIEN_ISA")
        ->envname("MIEN_ISA")
        ->type_name("NAME");
}

namespace {

// The first of these options that was given, or null.
const char* given(const CLI::App& app, std::initializer_list<const char*> names) {
    for (const char* const name : names) {
        const CLI::Option* const option = app.get_option_no_throw(name);
        if (option != nullptr && option->count() > 0) return name;
    }
    return nullptr;
}

// The network, unless Haar or one of its options is asked for. An option of the other detector is
// an error.
void choose_detector(const CLI::App& app, EngineOptions& options) {
    const char* const of_haar = given(app, {"--cascade", "--min-neighbors", "--scale-factor"});
    const char* const of_net =
        given(app, {"--net", "--min-score", "--enlarge-to", "--any-rotation", "--landmarks"});
    const bool named = !options.detector.empty();
    const bool haar = named ? options.detector == "haar" : of_haar != nullptr;
    if (const char* const wrong = haar ? of_net : of_haar; wrong != nullptr) {
        std::string text = std::string(wrong) + " needs --detector " + (haar ? "net" : "haar");
        if (!named) text += std::string(", but ") + of_haar + " chooses haar";
        throw CLI::ValidationError(text);
    }
    options.setup.cascade.use = haar;
    options.setup.detector.use = !haar;
    if (!haar) options.setup.config.enlarge_to = options.enlarge_to;
}

}  // namespace

void add_detector_options(CLI::App& app, EngineOptions& options) {
    Config& config = options.setup.config;
    const char* group = "Detector";
    app.add_option("--threads", options.threads,
                   "Threads that search for faces and read them; 0: one per processor")
        ->check(CLI::Range(0, 64))
        ->type_name("COUNT")
        ->group(group);
    const int top = max_frame_side;
    app.add_option("--detector", options.detector,
                   "net: a network, finds more faces, and their landmarks (default); haar: "
                   "OpenCV's cascade, its exact rectangles (default with an option of Haar's)")
        ->check(CLI::IsMember({"net", "haar"}))
        ->type_name("NAME")
        ->group(group);
    app.add_option("--min-face", config.detector.min_size,
                   "Smallest face in pixels; 0: what the detector can find (Haar: 24)")
        ->check(CLI::Range(0, top))
        ->type_name("PIXELS")
        ->group(group);
    app.add_option("--max-face", config.detector.max_size, "Largest face in pixels; 0: no limit")
        ->check(CLI::Range(0, top))
        ->type_name("PIXELS")
        ->group(group);
    app.add_option("--max-width", config.detect_width,
                   "Search wider images at this width; 0: never")
        ->check(CLI::Range(0, top))
        ->type_name("PIXELS")
        ->group(group);
    app.add_option("--net", options.setup.detector.path,
                   "The network of --detector net, a .mien file")
        ->type_name("FILE")
        ->group(group);
    app.add_option("--min-score", config.detector.min_score,
                   "Network: lowest score of a face, 0 to 1; 0: the network's own, less for gray "
                   "images")
        ->check(CLI::Range(0.0, 1.0))
        ->type_name("SCORE")
        ->group(group);
    app.add_option("--enlarge-to", options.enlarge_to,
                   "Network: search smaller images at this size, at most doubled; 0: never")
        ->check(CLI::Range(0, top))
        ->type_name("PIXELS")
        ->group(group);
    app.add_flag("--any-rotation", config.any_rotation,
                 "Network: search images also turned by 90, 180 and 270 degrees; takes four times "
                 "as long")
        ->group(group);
    app.add_option("--min-neighbors", config.detector.min_neighbors,
                   "Haar: agreeing windows needed for a face; more give fewer false ones")
        ->check(CLI::Range(0, 1000000))
        ->type_name("COUNT")
        ->group(group);
    app.add_option("--scale-factor", config.detector.scale_factor,
                   "Haar: step from one face size to the next; smaller ones find more and take "
                   "longer")
        ->check(CLI::Range(1.001, 1e6))
        ->type_name("FACTOR")
        ->group(group);
    app.final_callback([&app, &options] { choose_detector(app, options); });
}

void add_selection_options(CLI::App& app, EngineOptions& options) {
    host::FaceSelection& selection = options.setup.selection;
    const char* group = "Detector";
    app.add_flag("--largest", selection.largest_first,
                 "List the largest face first, not in reading order (network) or OpenCV's (Haar)")
        ->group(group);
    app.add_option("--max-faces", selection.max_faces,
                   "Keep the largest faces only, at most that many; 0: all")
        ->check(CLI::Range(0, 1000000))
        ->type_name("COUNT")
        ->group(group);
}

void add_landmarks_option(CLI::App& app, EngineOptions& options) {
    app.add_flag("--landmarks", options.landmarks,
                 "Network: draw eyes, nose and corners of the mouth");
}

std::span<const Isa> available_isas() {
    static const std::vector<Isa> list = [] {
        std::vector<Isa> found;
        for (const Isa isa : all_isas) {
            if (isa_available(isa)) found.push_back(isa);
        }
        return found;
    }();
    return list;
}

bool find_isa(const std::string& name, Isa& out) {
    out = Isa::best;
    if (name == isa_name(Isa::best)) return true;
    std::string names = isa_name(Isa::best);
    for (const Isa isa : available_isas()) {
        out = isa;
        if (name == isa_name(isa)) return true;
        names += std::string(", ") + isa_name(isa);
    }
    complain("instruction set \"" + name + "\" is not available here; available: " + names);
    return false;
}

std::unique_ptr<host::EngineOwner> open_engine(EngineOptions& options, int& exit_code) {
    exit_code = exit_usage;
    const DetectorOptions& detector = options.setup.config.detector;
    if (detector.max_size > 0 && detector.max_size < detector.min_size) {
        complain("--max-face is smaller than --min-face");
        return nullptr;
    }
    if (!std::isfinite(detector.scale_factor)) {  // which the range check lets through
        complain("--scale-factor is not a number");
        return nullptr;
    }
    if (!find_isa(options.isa, options.setup.config.isa)) return nullptr;
    for (const Head head : named_heads) {
        if (options.off[head]) options.setup.heads[head].use = false;
        std::string& path = options.setup.heads[head].path;
        const host::Result<std::string> file = host::network_file(head, path);
        if (!file) {
            complain(file.error().text);
            exit_code = exit_code_of(file.error().kind);
            return nullptr;
        }
        path = *file;
    }
    if ((options.setup.cascade.use || options.setup.detector.use) && options.threads != 1) {
        options.pool = std::make_unique<ThreadPool>(options.threads);
        options.setup.config.executor = options.pool->executor();
    }
    auto owner = host::EngineOwner::create(options.setup);
    if (!owner) {
        complain(owner.error().text);
        exit_code = exit_code_of(owner.error().kind);
        return nullptr;
    }
    exit_code = exit_done;
    return std::move(*owner);
}

host::Result<> check_size(const host::EngineOwner& engine, int width, int height) {
    const Cascade* const cascade = engine.cascade();
    if (cascade == nullptr ||
        (width >= cascade->window_width() && height >= cascade->window_height()))
        return {};
    return host::Error::input(format("too small: %d x %d pixels, the detector's window is %d x %d",
                                     width, height, cascade->window_width(),
                                     cascade->window_height()));
}

}  // namespace mien::cli
