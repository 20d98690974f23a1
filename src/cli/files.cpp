// SPDX-License-Identifier: MIT
#include "cli/files.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "host/files/batch.h"
#include "host/files/file_io.h"
#include "host/results/json.h"

namespace mien::cli {

bool make_folder(const std::string& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (!error || host::is_folder(folder)) return true;
    complain(folder, "cannot make this folder: " + error.message());
    return false;
}

host::Result<host::DecodedImage> load_image(const std::string& path, bool quiet, bool strict) {
    const host::ImageLimits limits;
    const auto bytes = host::read_file(path == "-" ? "/dev/stdin" : path, limits.max_file_bytes);
    if (!bytes) return bytes.error();
    auto decoded = host::decode_image(*bytes, limits);
    if (!decoded) return decoded.error();
    if (strict && decoded->damage != host::Damage::none) return host::Error::input(decoded->note);
    if (!decoded->note.empty() && !quiet && !interrupted()) complain(path, decoded->note);
    return decoded;
}

bool report_inputs(const host::InputList& inputs, bool json, bool quiet, int& worst) {
    for (const host::InputProblem& problem : inputs.problems) {
        complain(problem.path, problem.cause);
        if (json && !print(host::error_to_json(problem.path, problem.cause) + "\n")) return false;
        worst = exit_input;
    }
    if (quiet) return true;
    for (const host::InputProblem& note : inputs.notes) complain(note.path, note.cause);
    return true;
}

}  // namespace mien::cli
