// SPDX-License-Identifier: MIT
// mien-bench: what is to be measured, and in which form? Tables for people, JSON for programs
// (bench/plot.py).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>

#include "harness.h"

namespace {

using namespace mien;
using bench::fail;

struct Verb {
    const char* name;
    bench::Report (*run)(const bench::Options&);
};
constexpr Verb verbs[] = {{"peak", bench::bench_peak},     {"net", bench::bench_net},
                          {"detect", bench::bench_detect}, {"frame", bench::bench_frame},
                          {"growth", bench::bench_growth}, {"threads", bench::bench_threads}};

std::vector<Isa> chosen_isas(const std::vector<std::string>& names) {
    std::vector<Isa> isas;
    for (const Isa isa : all_isas) {
        if (isa_available(isa) &&
            (names.empty() || std::find(names.begin(), names.end(), isa_name(isa)) != names.end()))
            isas.push_back(isa);
    }
    for (const std::string& name : names) {
        if (std::none_of(isas.begin(), isas.end(), [&](Isa isa) { return name == isa_name(isa); }))
            fail(name + ": not an instruction set of this build and processor");
    }
    return isas;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app(
        "Measures mien on this machine: the core's peak, networks by layer, the detector by stage, "
        "frames, how cost grows, and what threads bring.\n");
    bench::Options options;
    std::vector<std::string> names, isas;
    std::string out;
    bool json = false;
    app.add_option("WHAT", names, "peak, net, detect, frame, growth, threads; all of them without")
        ->type_name("");
    app.add_option("--isa", isas, "Instruction sets, comma separated; all that there are without")
        ->delimiter(',')
        ->type_name("NAME");
    app.add_option(
           "--photo", options.photos,
           "Images to measure beside the generated ones (growth: instead of them, the first)")
        ->type_name("FILE");
    app.add_option("--model", options.models, "Networks for `net` instead of emotion and gender")
        ->type_name("FILE.mien");
    app.add_option("--rounds", options.rounds, "Interleaved rounds")
        ->check(CLI::Range(1, 100000))
        ->capture_default_str()
        ->type_name("COUNT");
    app.add_option("--core", options.core, "Core to pin to; the one it runs on without")
        ->type_name("N");
    app.add_option("--out", out, "Write the JSON there as well")->type_name("FILE");
    app.add_flag("--json", json, "JSON instead of tables");
    app.add_flag("--quick", options.quick,
                 "Few rounds of small cases: to see that everything works, not to measure");
    CLI11_PARSE(app, argc, argv);
    options.isas = chosen_isas(isas);
    for (const std::string& name : names) {
        if (std::none_of(std::begin(verbs), std::end(verbs),
                         [&](const Verb& verb) { return name == verb.name; }))
            fail(name + ": no such measurement");
    }

    bench::pin(options.core);
    bench::Json all = {{"schema", 1}, {"environment", bench::environment(options)}};
    if (!json) {
        const bench::Json& e = all["environment"];
        std::printf("%s, %s, mien %s, pinned to core %d, %d rounds%s\n",
                    e["processor"].get<std::string>().c_str(),
                    e["compiler"].get<std::string>().c_str(), version(), e["core"].get<int>(),
                    options.round_count(),
                    options.quick ? " (quick: no figure here means anything)" : "");
    }
    for (const Verb& verb : verbs) {
        if (!names.empty() && std::find(names.begin(), names.end(), verb.name) == names.end())
            continue;
        bench::Report report = verb.run(options);
        if (!json) std::printf("\n%s", report.text.c_str());
        std::fflush(stdout);
        all[verb.name] = std::move(report.json);
    }
    const std::string text = all.dump(1, ' ', false, bench::Json::error_handler_t::replace) + "\n";
    if (json) std::fputs(text.c_str(), stdout);
    if (!out.empty() && !(std::ofstream(out) << text).flush()) fail(out + ": cannot be written");
    return 0;
}
