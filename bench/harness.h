// SPDX-License-Identifier: MIT
// How is a time measured here? In rounds: every round runs each case once, so that a slow minute of
// the machine hits all cases alike; the minimum says what the code costs, the median what this
// machine gave. Pinned, and without allocations.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mien/mien.hpp"

namespace mien::bench {

using Json = nlohmann::ordered_json;

struct Options {
    int rounds = 21;
    int core = -1;  // -1: the one that it runs on
    // fewer and smaller cases: to see that all works, not to measure
    bool quick = false;
    std::vector<Isa> isas;            // never empty, only available ones, slowest first
    std::vector<std::string> photos;  // images beside the generated ones
    // .mien networks; none: emotion and gender inside the program
    std::vector<std::string> models;

    [[nodiscard]] int round_count() const { return quick ? 3 : rounds; }
};

std::uint64_t now_ns() noexcept;  // steady; also for Config::clock_ns
double clock_cost_ns();           // of one now_ns(), for what is read around short things

// Values of one quantity, one a round.
class Series {
public:
    explicit Series(int capacity = 0) { values_.reserve(static_cast<std::size_t>(capacity)); }
    void add(double value) { values_.push_back(value); }
    [[nodiscard]] bool empty() const { return values_.empty(); }
    [[nodiscard]] double minimum() const;
    [[nodiscard]] double median() const;

private:
    std::vector<double> values_;
};

// One thing to measure. `run` is called `calls` times between two looks at the clock; measure()
// chooses `calls` such that this takes about a millisecond. Where `run` keeps times of its own
// (Engine::timings), `calls` must be 1.
struct Case {
    std::function<void()> run;
    int calls = 0;         // 0: choose
    Series ns = Series();  // of one call

    [[nodiscard]] double min_ms() const { return ns.minimum() * 1e-6; }
    [[nodiscard]] double median_ms() const { return ns.median() * 1e-6; }
};

// Interleaved rounds over the cases, after a call or two to warm up.
// Ends the program with a complaint when a case allocates: a measured loop must not.
void measure(std::span<Case> cases, int rounds);
inline void measure(std::vector<Case>& cases, int rounds) {
    measure(std::span<Case>(cases), rounds);
}
// -1 while warming up, else the round: for cases that keep times of their own.
int current_round();

[[noreturn]] void fail(const std::string& text);
void need(Status status, const char* what);
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);
double rounded(double value);  // six significant digits, for JSON

void pin(int core);
void unpin();  // to all processors that the program began with
Json environment(const Options& options);

// Text in columns: the first left, the others right.
class Table {
public:
    explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
    void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    [[nodiscard]] std::string text() const;

private:
    std::vector<std::vector<std::string>> rows_;
};

// What a verb says, twice.
struct Report {
    std::string text;
    Json json;
};
Report bench_peak(const Options& options);
Report bench_net(const Options& options);
Report bench_detect(const Options& options);
Report bench_frame(const Options& options);
Report bench_growth(const Options& options);
Report bench_threads(const Options& options);

// An engine in memory of its own.
class OwnedEngine {
public:
    OwnedEngine(const Config& config, const Cascade* cascade, const Model* emotion,
                const Model* gender);
    OwnedEngine(const Config& config, const Weights& weights);
    Engine engine;

private:
    std::vector<std::byte> memory_;
};

// The weights inside the program.
const Cascade& default_cascade();
const Model& default_detector();
const Model& default_emotion();
const Model& default_gender();

// y = a + b x by least squares; r2 is the share of the variance that it explains.
struct Fit {
    double a = 0, b = 0, r2 = 0;
};
Fit fit_line(std::span<const double> x, std::span<const double> y);

}  // namespace mien::bench
