// SPDX-License-Identifier: MIT
// Options of the weights, the detector and the instruction set, the same in several verbs, and the
// engine made of them.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "cli/options.h"
#include "host/files/result.h"
#include "host/weights/engine_owner.h"
#include "mien/mien.hpp"
#include "mien/thread_pool.hpp"

namespace mien::cli {

struct EngineOptions {
    host::EngineSetup setup;
    std::string isa = "best";
    host::PerHead<bool> off;           // left out
    std::string detector;              // "net", "haar", or empty: by the options given
    int enlarge_to = 640;              // Config::enlarge_to, of the detector network
    bool landmarks = false;            // draw them
    int threads = 0;                   // 0: one for each processor
    std::unique_ptr<ThreadPool> pool;  // made by open_engine; must outlive the engine
};
void add_weights_options(CLI::App& app, EngineOptions& options, bool with_cascade);
// `times` of Model::open().
CLI::Option* add_network_limit_option(CLI::App& app, double& times);
void add_isa_option(CLI::App& app, std::string& isa);
// Config::min_confidence.
void add_confidence_option(CLI::App& app, float& min_confidence);
// Chooses the detector when the options are parsed.
void add_detector_options(CLI::App& app, EngineOptions& options);
// Which faces of a single image are wanted, and in which order.
void add_selection_options(CLI::App& app, EngineOptions& options);
// Whether drawings show the landmarks of the detector network.
void add_landmarks_option(CLI::App& app, EngineOptions& options);

// The instruction set of that name; false after printing an error if this build or processor lacks
// it.
bool find_isa(const std::string& name, Isa& out);
// Every one that runs here, the plain one first.
std::span<const Isa> available_isas();

// The engine of these options; null after printing an error, with `exit_code` set.
std::unique_ptr<host::EngineOwner> open_engine(EngineOptions& options, int& exit_code);

// Whether the engine's detector, if it has one, can search an image of that size.
host::Result<> check_size(const host::EngineOwner& engine, int width, int height);

}  // namespace mien::cli
