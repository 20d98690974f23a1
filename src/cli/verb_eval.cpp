// SPDX-License-Identifier: MIT
// mien eval: how often is a network right on labelled faces? Accuracy, per class figures, confusion matrix, calibration.
#include <memory>

#include "cli/common.h"
#include "host/labelled_faces.h"
#include "host/scores.h"

namespace mien::cli {
namespace {

struct EvalOptions {
    std::string data, model, split = "all", scores_file, isa = "best";
    bool gender = false, json = false, overwrite = false, quiet = false;
};

// A value of a CSV file.
std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    return out + "\"";
}

// What one run gathers.
struct Tally {
    host::Scores scores;
    std::string csv;
    std::size_t unreadable = 0;
};

int measure(const EvalOptions& options, host::LabelledFaces& faces, host::EngineOwner& engine, const std::vector<std::string>& labels, Tally& tally) {
    for (std::size_t i = 0; i < faces.size(); ++i) {
        if (interrupted()) return exit_interrupted;
        if (!options.quiet && i % 256 == 0) show_progress(format("picture %zu of %zu", i, faces.size()));
        const auto frame = faces.picture(i);
        if (!frame) {
            complain(faces.name(i), frame.error().text);
            ++tally.unreadable;
            continue;
        }
        host::ImageReport report;
        if (const host::Failure failure = engine.classify_crop(*frame, report)) {
            complain(faces.name(i), failure->text);
            return exit_output;
        }
        const host::FaceReport& face = report.faces[0];
        const std::vector<float>& probabilities = (options.gender ? face.gender : face.emotion).probabilities;
        tally.scores.add(faces.label(i), probabilities);
        if (!options.scores_file.empty()) {
            tally.csv += quoted(faces.name(i)) + "," + labels[static_cast<std::size_t>(faces.label(i))];
            for (std::size_t k = 0; k < labels.size(); ++k) tally.csv += format(",%.9g", static_cast<double>(probabilities[k]));
            tally.csv += '\n';
        }
    }
    show_progress("");
    return exit_done;
}

int run(EvalOptions& options) {
    EngineOptions engine_options;
    engine_options.isa = options.isa;
    engine_options.threads = 1;
    engine_options.setup.cascade.use = false;
    engine_options.setup.emotion.use = !options.gender;
    engine_options.setup.gender.use = options.gender;
    (options.gender ? engine_options.setup.gender : engine_options.setup.emotion).path = options.model;
    int code = exit_done;
    const auto engine = open_engine(engine_options, code);
    if (engine == nullptr) return code;
    const host::HeadInfo& head = options.gender ? engine->info().gender : engine->info().emotion;
    const std::vector<std::string>& labels = head.labels;
    if (!options.scores_file.empty() && !options.overwrite && host::would_overwrite(options.scores_file)) {
        complain(options.scores_file, "exists already (-y overwrites)");
        return exit_output;
    }
    catch_interrupts();
    auto faces = host::LabelledFaces::open(options.data, labels, options.split);
    if (!faces) {
        complain(options.data, faces.error().text);
        return exit_input;
    }
    Tally tally{host::Scores(labels), "picture,label", 0};
    for (const std::string& label : labels) tally.csv += "," + label;
    tally.csv += '\n';
    if (code = measure(options, *faces, *engine, labels, tally); code != exit_done) return code;
    for (const auto& [reason, count] : faces->rejected()) complain(options.data, format("%zu left out: %s", count, reason.c_str()));
    if (tally.scores.count() == 0) {
        complain(options.data, "no picture could be read");
        return exit_input;
    }
    if (!options.scores_file.empty()) {
        const auto overwrite = options.overwrite ? host::Overwrite::yes : host::Overwrite::no;
        const std::span bytes(reinterpret_cast<const std::uint8_t*>(tally.csv.data()), tally.csv.size());
        if (const host::Failure failure = host::write_file(options.scores_file, bytes, overwrite)) {
            complain(options.scores_file, failure->text);
            return exit_output;
        }
    }
    if (options.json) {
        print(tally.scores.json(options.data, head.model_name, tally.unreadable) + "\n");
    } else {
        print(head.model_name + " on " + options.data + (options.split == "all" ? "" : ", " + options.split) + "\n" + tally.scores.text());
    }
    if (const int output = output_exit_code(); output != exit_done) return output;
    return tally.unreadable == 0 ? exit_done : exit_input;
}

}  // namespace

int run_eval(int argc, char** argv) {
    EvalOptions options;
    CLI::App app("Measures a network on labelled faces: accuracy, precision, recall, F1, confusion matrix, calibration.\n"
                 "DATA is a folder with a sub-folder a class, or a NumPy .npz with `images` and `labels`.\n");
    style_app(app, "eval");
    app.add_option("DATA", options.data, "Folder or .npz")->required()->type_name("");
    app.add_option("--model", options.model, "A .mien file; without it the one inside the program")->type_name("FILE");
    app.add_flag("--gender", options.gender, "The gender network instead of the expression network");
    app.add_option("--split", options.split, "all, train, validation or test")
        ->check(CLI::IsMember({"all", "train", "validation", "test"}))->type_name("NAME");
    app.add_option("--scores", options.scores_file, "Write label and probabilities of each picture as CSV")->type_name("FILE");
    app.add_flag("--json", options.json, "One JSON object");
    app.add_flag("-y,--yes", options.overwrite, "Overwrite an existing file");
    app.add_flag("-q,--quiet", options.quiet, "No progress");
    add_isa_option(app, options.isa);
    int exit_code = exit_done;
    return parse_options(app, argc, argv, exit_code) ? run(options) : exit_code;
}

}  // namespace mien::cli
