// SPDX-License-Identifier: MIT
#include "cli/labelled.h"

#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "host/weights/named_networks.h"

namespace mien::cli {

void add_network_options(CLI::App& app, LabelledOptions& options) {
    app.add_option("--model", options.model,
                   "A .mien file, or one that comes with mien: " +
                       host::listed_names(Head::emotion) + "; default: the one inside the program")
        ->type_name("FILE");
    app.add_flag("--gender", options.gender,
                 "The gender network instead of the expression network");
    app.add_option("--split", options.split, "all, train, validation or test")
        ->check(CLI::IsMember({"all", "train", "validation", "test"}))
        ->type_name("NAME");
}

std::unique_ptr<host::EngineOwner> open_network(const LabelledOptions& options, int& exit_code) {
    EngineOptions engine_options;
    engine_options.isa = options.isa;
    engine_options.threads = 1;
    engine_options.setup.config.min_confidence = options.min_confidence;
    engine_options.setup.cascade.use = false;
    for (const Head head : named_heads)
        engine_options.setup.heads[head].use = head == options.head();
    engine_options.setup.heads[options.head()].path = options.model;
    return open_engine(engine_options, exit_code);
}

const host::HeadInfo& head_of(const LabelledOptions& options, const host::EngineOwner& engine) {
    return engine.info()[options.head()];
}

int read_faces(const LabelledOptions& options, host::LabelledFaces& faces,
               host::EngineOwner& engine, std::size_t& unreadable,
               const std::function<void(std::size_t, const std::vector<float>&)>& visit) {
    for (std::size_t i = 0; i < faces.size(); ++i) {
        if (interrupted()) return exit_interrupted;
        if (!options.quiet && i % 256 == 0)
            show_progress(format("image %zu of %zu", i, faces.size()));
        const auto frame = faces.picture(i);
        if (!frame) {
            complain(faces.name(i), frame.error().text);
            ++unreadable;
            continue;
        }
        host::ImageReport report;
        if (const host::Result<> done = engine.classify_crop(*frame, report); !done)
            return complain(faces.name(i), done.error());
        visit(i, report.faces[0][options.head()].probabilities);
    }
    show_progress("");
    return exit_done;
}

std::string headline(const LabelledOptions& options, const host::HeadInfo& head) {
    return printable(head.model_name + " on " + options.data) +
           (options.split == "all" ? "" : ", " + options.split);
}

}  // namespace mien::cli
