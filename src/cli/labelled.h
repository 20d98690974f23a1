// SPDX-License-Identifier: MIT
// What the verbs that measure a network on labeled faces share: options, the engine with one
// network, the run over the faces.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/options.h"
#include "host/eval/labelled_faces.h"
#include "host/files/file_io.h"
#include "host/weights/engine_owner.h"

namespace mien::cli {

struct LabelledOptions {
    std::string data, model, split = "all", isa = "best";
    float min_confidence = -1;  // Config::min_confidence
    bool gender = false, json = false, overwrite = false, quiet = false;

    Head head() const { return gender ? Head::gender : Head::emotion; }
    host::Overwrite overwriting() const {
        return overwrite ? host::Overwrite::yes : host::Overwrite::no;
    }
};
// --model, --gender and --split.
void add_network_options(CLI::App& app, LabelledOptions& options);

// An engine with that network alone; null after printing an error, with `exit_code` set.
std::unique_ptr<host::EngineOwner> open_network(const LabelledOptions& options, int& exit_code);
const host::HeadInfo& head_of(const LabelledOptions& options, const host::EngineOwner& engine);

// Calls `visit` with the number and probabilities of every readable face; the others are reported
// and counted.
int read_faces(const LabelledOptions& options, host::LabelledFaces& faces,
               host::EngineOwner& engine, std::size_t& unreadable,
               const std::function<void(std::size_t, const std::vector<float>&)>& visit);

// "NAME on DATA, SPLIT", the first line of what is printed.
std::string headline(const LabelledOptions& options, const host::HeadInfo& head);

}  // namespace mien::cli
