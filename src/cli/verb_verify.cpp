// SPDX-License-Identifier: MIT
// mien verify: replays the test vectors of a weights file on every instruction set of this machine.
#include <memory>
#include <new>

#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "host/weights/named_networks.h"

namespace mien::cli {
namespace {

// True if the file's vectors match bit by bit.
bool verify_on(const Model& model, Isa isa, std::span<std::byte> memory) {
    VerifyReport report;
    const Status status = verify(model, isa, memory, report);
    if (status == Status::ok) {
        print(format(
            "%-8s ok: %d vectors, every layer equal; largest distance to the float original %.4f\n",
            isa_name(isa), report.vectors, static_cast<double>(report.max_float_error)));
        return true;
    }
    if (status == Status::verify_failed) {
        const bool scores = report.failed_layer == model.layer_count();
        print(format("%-8s FAILED: vector %d differs first in %s\n", isa_name(isa),
                     report.failed_vector + 1,
                     scores ? "the scores" : format("layer %d", report.failed_layer + 1).c_str()));
    } else {
        print(format("%-8s FAILED: %s\n", isa_name(isa), message(status)));
    }
    return false;
}

int verify_file(const std::string& path, double network_limit) {
    const auto bytes = host::read_weights(path);
    if (!bytes) return complain(path, bytes.error());
    Model model;
    const Status status = Model::open(*bytes, model, network_limit);
    if (status == Status::wrong_kind) {
        complain(path, "holds a cascade, which has no test vectors; the file itself is intact");
        return exit_model;
    }
    if (status == Status::too_costly) return complain(path, host::cost_error(model.cost()));
    if (status != Status::ok) return complain(path, host::weights_error(*bytes, status));
    if (model.test_vector_count() == 0) {
        complain(path, "has no test vectors");
        return exit_model;
    }
    const std::size_t needed = verify_required_bytes(model);
    const std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[needed]);
    if (memory == nullptr) {
        complain(path, "not enough memory");
        return exit_output;
    }
    bool all_ok = true;
    for (const Isa isa : available_isas())
        all_ok = verify_on(model, isa, {memory.get(), needed}) && all_ok;
    if (const int code = output_exit_code(); code != exit_done) return code;
    if (!all_ok) complain(path, message(Status::verify_failed));
    return all_ok ? exit_done : exit_model;
}

}  // namespace

int run_verify(int argc, char** argv) {
    CLI::App app(
        "Replays the test vectors inside a network file, on every instruction set of this "
        "machine.\n");
    style_app(app, "verify");
    std::string path;
    double network_limit = 1;
    app.add_option(
           "FILE", path,
           "A .mien file with a network, or one that comes with mien: emotion, emotion-large, "
           "gender, detector, ...")
        ->required()
        ->type_name("");
    add_network_limit_option(app, network_limit);
    int exit_code = exit_done;
    return parse_options(app, argc, argv, exit_code) ? verify_file(path, network_limit) : exit_code;
}

}  // namespace mien::cli
