// SPDX-License-Identifier: MIT
#include "cli/exit_codes.h"

namespace mien::cli {

const char* const exit_code_help =
    "Exit code: 0 done (also with no face), 1 a result could not be written, 2 wrong usage,\n"
    "  3 an input could not be read (the others are processed), 4 weights unusable, 130 "
    "interrupted.\n"
    "Results go to standard output, messages to standard error.\n";

int exit_code_of(host::Error::Kind kind) {
    using Kind = host::Error::Kind;
    switch (kind) {
        case Kind::usage: return exit_usage;
        case Kind::input:
        case Kind::stopped:
        case Kind::memory: return exit_input;  // for this input: the next may be smaller
        case Kind::weights: return exit_model;
        case Kind::output:
        case Kind::internal: break;
    }
    return exit_output;
}

}  // namespace mien::cli
