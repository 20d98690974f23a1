// SPDX-License-Identifier: MIT
// Options in the house style: CLI11 with a help text of our own and an answer to misspelt words.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>
#include <string_view>

namespace mien::cli {

// The word of `candidates` that is nearest to `word`, or empty when none is near.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// A new verb's option parser.
void style_app(CLI::App& app, const std::string& verb);

// Parses the options of a verb. False when the program is to end with `exit_code`: help was
// printed, or an error with the nearest option named.
bool parse_options(CLI::App& app, int argc, char** argv, int& exit_code);

}  // namespace mien::cli
