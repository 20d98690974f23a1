// SPDX-License-Identifier: MIT
// What do threads bring that a caller lends? Both detectors and the reading of faces with one thread
// and with several. Needs that many processors with nothing else to do.
#include <memory>
#include <thread>

#include "harness.h"
#include "mien/thread_pool.hpp"
#include "pictures.h"

namespace mien::bench {
namespace {

struct Subject {
    Subject(const Picture& the_picture, bool net, Isa the_isa, int thread_count, int rounds)
        : picture(the_picture), isa(the_isa), pool(thread_count), read(rounds), searched(rounds) {
        Config config;
        config.max_width = picture.width;
        config.max_height = picture.height;
        config.isa = isa;
        config.executor = pool.executor();
        config.clock_ns = now_ns;
        Weights weights = {.heads = {&default_emotion(), &default_gender()}};
        if (net)
            weights.detector = &default_detector();
        else
            weights.cascade = &default_cascade();
        owned = std::make_unique<OwnedEngine>(config, weights);
    }
    void run() {
        std::span<const Face> faces;
        need(owned->engine.process(picture.frame(), faces), "process");
        found = static_cast<int>(faces.size());
        if (current_round() < 0) return;
        const Timings& t = owned->engine.timings();
        searched.add(static_cast<double>(t.detect));
        read.add(static_cast<double>(t.total - t.detect - t.gray));
    }

    const Picture& picture;
    Isa isa;
    ThreadPool pool;
    int found = 0;
    Series read, searched;
    std::unique_ptr<OwnedEngine> owned;
};

}  // namespace

Report bench_threads(const Options& options) {
    Report report{
        "Threads: search of a frame and reading of its faces, ms and times as fast as one\n",
        Json::array()};
    unpin();
    const int processors = static_cast<int>(std::thread::hardware_concurrency());
    std::vector<int> counts = {1, 2};
    for (int more = 4; more <= std::min(processors, 8); more *= 2) counts.push_back(more);
    const Picture picture =
        options.quick ? generated_picture(320, 240, 2, 80) : generated_picture(640, 480, 6, 100);
    // Those that are short take more looks: whole frames with all threads undisturbed are rare.
    const int rounds = options.round_count() * (options.quick ? 1 : 10);
    Table table({"what", "set", "threads", "min ms", "median", "ratio of minima"});
    for (const bool net : {true, false}) {
        for (const Isa isa : options.isas) {
            std::vector<std::unique_ptr<Subject>> subjects;
            std::vector<Case> cases;
            for (const int threads : counts) {
                Subject& subject = *subjects.emplace_back(
                    std::make_unique<Subject>(picture, net, isa, threads, rounds));
                cases.push_back({.run = [&subject] { subject.run(); }, .calls = 1});
            }
            measure(cases, isa == Isa::scalar ? options.round_count() : rounds);
            const auto add = [&](const std::string& what, Series Subject::* series) {
                for (std::size_t i = 0; i < subjects.size(); ++i) {
                    const Series& own = (*subjects[i]).*series;
                    const double ratio =
                        ((*subjects[0]).*series).minimum() / std::max(own.minimum(), 1.0);
                    table.row({what, isa_name(isa), format("%d", counts[i]),
                               format("%.3f", own.minimum() * 1e-6),
                               format("%.3f", own.median() * 1e-6), format("%.2f", ratio)});
                    report.json.push_back({{"what", what},
                                           {"isa", isa_name(isa)},
                                           {"threads", counts[i]},
                                           {"min_ms", rounded(own.minimum() * 1e-6)},
                                           {"median_ms", rounded(own.median() * 1e-6)},
                                           {"ratio", rounded(ratio)}});
                }
            };
            add(net ? "network, search" : "Haar, search", &Subject::searched);
            if (net) add(format("reading %d faces", subjects[0]->found), &Subject::read);
        }
    }
    report.text += format("%s, %d processors\n", picture.name.c_str(), processors) + table.text();
    pin(options.core);
    return report;
}

}  // namespace mien::bench
