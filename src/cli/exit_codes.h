// SPDX-License-Identifier: MIT
// What does the program tell the shell?
#pragma once

#include "host/files/result.h"

namespace mien::cli {

enum ExitCode : int {
    exit_done = 0,    // also if no face was found
    exit_output = 1,  // a result could not be written, or something inside failed
    exit_usage = 2,   // wrong command line
    exit_input = 3,   // an input could not be read; the others are processed
    exit_model = 4,   // weights cannot be used, or do not verify
    exit_interrupted = 130,
    exit_closed_pipe = 141,  // the reader of stdout is gone, as a shell shows SIGPIPE; silent
};

int exit_code_of(host::Error::Kind kind);

// The same text at the end of every --help.
extern const char* const exit_code_help;

}  // namespace mien::cli
