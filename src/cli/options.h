// SPDX-License-Identifier: MIT
// Options in the house style: CLI11 with a help text of our own and an answer to misspelt words.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>
#include <string_view>

#include "cli/manual.h"

namespace mien::cli {

// The word of `candidates` nearest to `word`, or empty if none is near.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// A new verb's option parser.
void style_app(CLI::App& app, const std::string& verb);

// What the verb's --help says, as data. `run` is called, and ends when it parses its options.
VerbText describe_verb(const char* name, const char* summary, int (*run)(int argc, char** argv));

// Lets an unknown option be answered with the verbs that have it. Before any verb runs.
void know_verbs(DescribeVerbs describe);

// A verb that this build lacks: says so, and `how` to build it, or tells describe_verb().
// Returns the exit code.
int run_left_out(const char* verb, const char* how);

// Parses the options of a verb. False if the program must end with `exit_code`: help was printed,
// or an error that names the nearest option.
bool parse_options(CLI::App& app, int argc, char** argv, int& exit_code);

// Who lists the processes of this machine should not read a password there: overwrites what stands
// before the at sign of addresses. After parse_options(), which copies the words.
void hide_credentials(int argc, char** argv);

}  // namespace mien::cli
