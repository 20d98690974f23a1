// SPDX-License-Identifier: MIT
// What do all verbs share? Exit codes, talk to stderr, data to stdout, Ctrl-C, options and their
// errors.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "host/codec/image_file.h"
#include "host/weights/engine_owner.h"
#include "mien/mien.hpp"
#include "mien/thread_pool.hpp"

namespace mien::cli {

enum ExitCode : int {
    exit_done = 0,    // also when there is no face
    exit_output = 1,  // a result could not be written, or something inside failed
    exit_usage = 2,   // the command line makes no sense
    exit_input = 3,   // an input could not be read; the others are done
    exit_model = 4,   // weights cannot be used, or do not verify
    exit_interrupted = 130,
    // the reader of stdout is gone (as a shell shows SIGPIPE); said without a word
    exit_closed_pipe = 141,
};

int exit_code_of(host::Error::Kind kind);

// The same text at the end of every --help.
extern const char* const exit_code_help;

// Verbs. argv[0] is the verb.
int run_image(int argc, char** argv);
int run_classify(int argc, char** argv);
int run_info(int argc, char** argv);
int run_verify(int argc, char** argv);
int run_eval(int argc, char** argv);
int run_bench(int argc, char** argv);
int run_camera(int argc, char** argv);
int run_video(int argc, char** argv);
int run_serve(int argc, char** argv);
int run_explain(int argc, char** argv);
int run_report(int argc, char** argv);

// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

// The compiler of this program, "g++ 12.2.0".
std::string compiler_name();

// Pads with spaces to `width` letters (UTF-8).
std::string padded(std::string_view text, std::size_t width);

// "mien: SUBJECT: TEXT" on stderr, always one line: control characters of file names become '?'.
void complain(std::string_view subject, std::string_view text);
// The same without a subject.
void complain(std::string_view text);
// The same with an error's text; returns the exit code that follows from its kind.
int complain(std::string_view subject, const host::Error& error);

// A line on stderr that the next one (or a complaint) writes over; empty removes it. Nothing if
// stderr is no terminal.
void show_progress(std::string_view text);

// Writes data to stdout at once; false when that is impossible, then output_exit_code() says how to
// end.
bool print(std::string_view text);
int output_exit_code();

// Milliseconds of a clock that never goes back.
double now_ms();

// The picture in a file; what the decoder had to note is said unless `quiet`.
host::Result<host::Image> load_picture(const std::string& path, bool quiet);
// Why the engine's detector cannot search a picture of that size; empty if it can, or if there is
// no detector.
std::string too_small_for(const host::EngineOwner& engine, int width, int height);

bool is_terminal(int descriptor);
// Colours only for eyes: a terminal, and no NO_COLOR in the environment.
bool use_color();

// After this, Ctrl-C (and SIGTERM) only sets a flag; a second one ends the program at once, without
// partial files.
void catch_interrupts();
bool interrupted();

// The word of `candidates` that is nearest to `word`, or empty when none is near.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// Parses the options of a verb. False when the program is to end with `exit_code`: help was
// printed, or an error with the nearest option named.
bool parse_options(CLI::App& app, int argc, char** argv, int& exit_code);

// A new verb's option parser in the house style.
void style_app(CLI::App& app, const std::string& verb);

// Options of the weights and the instruction set, the same in several verbs.
struct EngineOptions {
    host::EngineSetup setup;
    std::string isa = "best";
    bool no_gender = false;
    int threads = 0;                   // 0: one for each processor
    std::unique_ptr<ThreadPool> pool;  // made by open_engine; must outlive the engine
};
void add_weights_options(CLI::App& app, EngineOptions& options, bool with_cascade);
void add_isa_option(CLI::App& app, std::string& isa);
void add_detector_options(CLI::App& app, EngineOptions& options);

// Makes the folder and those above it where they are missing; false with a complaint.
bool make_folder(const std::string& folder);

// The instruction set of that name; false with a complaint when this build or processor does not
// have it.
bool find_isa(const std::string& name, Isa& out);
// Every one that runs here, the plain one first.
std::span<const Isa> available_isas();

// Engine of the options; null with a complaint and `exit_code` otherwise.
std::unique_ptr<host::EngineOwner> open_engine(EngineOptions& options, int& exit_code);

}  // namespace mien::cli
