// SPDX-License-Identifier: MIT
// What reaches the terminal: results on stdout, messages on stderr. Output goes by write(2): no
// stream objects to set up at each start.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "host/files/result.h"

namespace mien::cli {

// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

// Pads with spaces to `width` letters (UTF-8).
std::string padded(std::string_view text, std::size_t width);

// Names come from anybody, and a terminal obeys what is in them: control characters become '?', also
// those of two bytes (U+0080 to U+009F).
std::string printable(std::string_view text);

// "mien: SUBJECT: TEXT" on stderr, always one line: control characters of file names become '?'.
void complain(std::string_view subject, std::string_view text);
// The same without a subject.
void complain(std::string_view text);
// The same with the text of an error; returns the exit code that follows from its kind.
int complain(std::string_view subject, const host::Error& error);

// A line on stderr that the next one (or an error) overwrites; empty removes it. If stderr is not a
// terminal, a line of its own every 30 s (MIEN_PROGRESS_SECONDS).
void show_progress(std::string_view text);

// Writes data to stdout at once; false on failure, for which output_exit_code() is the exit code.
bool print(std::string_view text);
int output_exit_code();

bool is_terminal(int descriptor);
// Colors only for eyes: a terminal, and no NO_COLOR in the environment.
bool use_color();

}  // namespace mien::cli
