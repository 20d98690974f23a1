// SPDX-License-Identifier: MIT
// mien eval: measures a network on labeled faces: accuracy, per class figures, confusion matrix,
// calibration.
#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/labelled.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "host/eval/scores.h"
#include "host/results/csv.h"

namespace mien::cli {
namespace {

struct EvalOptions : LabelledOptions {
    std::string scores_file;
};

int run(EvalOptions& options) {
    int code = exit_done;
    const auto engine = open_network(options, code);
    if (engine == nullptr) return code;
    const host::HeadInfo& head = head_of(options, *engine);
    const std::vector<std::string>& labels = head.labels;
    catch_interrupts();
    auto faces = host::LabelledFaces::open(options.data, labels, options.split);
    if (!faces) return complain(options.data, faces.error());
    if (!options.scores_file.empty()) {
        const auto free = host::check_output(options.scores_file, options.overwriting());
        if (!free) return complain(options.scores_file, free.error());
    }
    host::Scores scores(labels, head.unsure_below);
    std::size_t unreadable = 0;
    std::string csv = "picture,label";
    for (const std::string& label : labels) csv += "," + host::csv_value(label);
    csv += '\n';
    code = read_faces(options, *faces, *engine, unreadable,
                      [&](std::size_t i, const std::vector<float>& probabilities) {
                          scores.add(faces->label(i), probabilities);
                          if (options.scores_file.empty()) return;
                          csv += host::csv_value(faces->name(i)) + "," +
                                 host::csv_value(labels[static_cast<std::size_t>(faces->label(i))]);
                          for (std::size_t k = 0; k < labels.size(); ++k)
                              csv += format(",%.9g", static_cast<double>(probabilities[k]));
                          csv += '\n';
                      });
    if (code != exit_done) return code;
    for (const auto& [reason, count] : faces->rejected())
        complain(options.data, format("%zu left out: %s", count, reason.c_str()));
    if (scores.count() == 0) {
        complain(options.data, "no image could be read");
        return exit_input;
    }
    if (!options.scores_file.empty()) {
        const std::span bytes(reinterpret_cast<const std::uint8_t*>(csv.data()), csv.size());
        const auto done = host::write_file(options.scores_file, bytes, options.overwriting());
        if (!done) return complain(options.scores_file, done.error());
    }
    if (options.json) {
        print(scores.json(options.data, head.model_name, unreadable) + "\n");
    } else {
        print(headline(options, head) + "\n" + scores.text());
    }
    if (const int output = output_exit_code(); output != exit_done) return output;
    return unreadable == 0 ? exit_done : exit_input;
}

}  // namespace

int run_eval(int argc, char** argv) {
    EvalOptions options;
    CLI::App app(
        "Measures a network on labeled faces: accuracy, precision, recall, F1, confusion matrix, "
        "calibration; with a threshold of confidence also the coverage. The most probable class is "
        "the answer, even where it is unsure.\n"
        "DATA is a folder with one sub-folder per class, or a NumPy .npz with `images` and "
        "`labels`.\n");
    style_app(app, "eval");
    app.add_option("DATA", options.data, "Folder or .npz")->required()->type_name("");
    add_network_options(app, options);
    add_confidence_option(app, options.min_confidence);
    app.add_option("--scores", options.scores_file,
                   "Write label and probabilities of each image as CSV")
        ->type_name("FILE");
    app.add_flag("--json", options.json, "One JSON object");
    app.add_flag("-y,--yes", options.overwrite, "Overwrite an existing file");
    app.add_flag("-q,--quiet", options.quiet, "No progress");
    add_isa_option(app, options.isa);
    int exit_code = exit_done;
    return parse_options(app, argc, argv, exit_code) ? run(options) : exit_code;
}

}  // namespace mien::cli
