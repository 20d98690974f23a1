// SPDX-License-Identifier: MIT
#include "harness.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <new>

#include "host/weights/embedded_weights.h"

namespace {
std::atomic<long> allocations{0};
}

// Counts what measured loops allocate; they must not.
void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
    std::fputs("mien-bench: not enough memory\n", stderr);
    std::abort();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace mien::bench {

void fail(const std::string& text) {
    std::fprintf(stderr, "mien-bench: %s\n", text.c_str());
    std::exit(1);
}

void need(Status status, const char* what) {
    if (status != Status::ok) fail(std::string(what) + ": " + message(status));
}

std::string format(const char* pattern, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return text;
}

double rounded(double value) { return std::strtod(format("%.6g", value).c_str(), nullptr); }

// ---- time ----

std::uint64_t now_ns() noexcept {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::steady_clock::now().time_since_epoch())
                                          .count());
}

double clock_cost_ns() {
    constexpr int reads = 1000;
    double best = 1e9;
    for (int repeat = 0; repeat < 5; ++repeat) {
        const std::uint64_t start = now_ns();
        for (int i = 1; i < reads; ++i) (void)now_ns();
        best = std::min(best, static_cast<double>(now_ns() - start) / reads);
    }
    return best;
}

double Series::minimum() const {
    return values_.empty() ? 0 : *std::min_element(values_.begin(), values_.end());
}

double Series::median() const {
    if (values_.empty()) return 0;
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t middle = sorted.size() / 2;
    return sorted.size() % 2 != 0 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

namespace {

int round_now = -1;

double time_calls(Case& c, int calls) {
    const std::uint64_t start = now_ns();
    for (int i = 0; i < calls; ++i) c.run();
    return static_cast<double>(now_ns() - start) / calls;
}

}  // namespace

int current_round() { return round_now; }

void measure(std::span<Case> cases, int rounds) {
    round_now = -1;
    for (Case& c : cases) {
        double once = time_calls(c, 1);
        if (c.calls == 0) {
            once = std::min(once, time_calls(c, 1));
            c.calls = static_cast<int>(std::clamp(1e6 / std::max(once, 1.0), 1.0, 1e5));
        }
        c.ns = Series(rounds);
    }
    const long before = allocations.load();
    for (round_now = 0; round_now < rounds; ++round_now)
        for (Case& c : cases) c.ns.add(time_calls(c, c.calls));
    round_now = -1;
    if (allocations.load() != before)
        fail(format("%ld allocations inside measured loops", allocations.load() - before));
}

namespace {

cpu_set_t allowed;
bool allowed_known = false;

}  // namespace

void unpin() {
    if (!allowed_known || ::sched_setaffinity(0, sizeof allowed, &allowed) != 0)
        std::fprintf(stderr, "mien-bench: still pinned to one core\n");
}

void pin(int core) {
    if (!allowed_known) allowed_known = ::sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    if (core < 0) core = ::sched_getcpu();
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(core), &set);
    if (core < 0 || ::sched_setaffinity(0, sizeof set, &set) != 0)
        std::fprintf(stderr, "mien-bench: not pinned to core %d\n", core);
}

// ---- where it ran ----

namespace {

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    std::string line, board;
    while (std::getline(file, line)) {
        const std::size_t colon = line.find(": ");
        if (colon == std::string::npos) continue;
        if (line.starts_with("model name")) return line.substr(colon + 2);
        if (line.starts_with("Model") || line.starts_with("Hardware"))
            board = line.substr(colon + 2);
    }
    return board.empty() ? "unknown processor" : board;
}

}  // namespace

Json environment(const Options& options) {
    Json isas = Json::array();
    for (const Isa isa : options.isas) isas.push_back(isa_name(isa));
#if defined(__clang__)
    const std::string compiler =
        format("clang %d.%d.%d", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    const std::string compiler =
        format("g++ %d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
    return {{"processor", processor_name()},
            {"compiler", compiler},
            {"version", version()},
            {"isas", std::move(isas)},
            {"best", isa_name(resolve_isa(Isa::best))},
            {"core", ::sched_getcpu()},
            {"rounds", options.round_count()},
            {"quick", options.quick}};
}

// ---- text ----

std::string Table::text() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string pad(widths[i] - row[i].size(), ' ');
            text += i == 0 ? row[i] + (row.size() > 1 ? pad : "") : "  " + pad + row[i];
        }
        text += '\n';
    }
    return text;
}

// ---- engines ----

OwnedEngine::OwnedEngine(const Config& config, const Cascade* cascade, const Model* emotion,
                         const Model* gender)
    : OwnedEngine(config, {.cascade = cascade, .heads = {emotion, gender}}) {}

OwnedEngine::OwnedEngine(const Config& config, const Weights& weights)
    : memory_(Engine::required_bytes(config, weights)) {
    need(Engine::create(config, weights, memory_, engine), "engine");
}

namespace {

template <class View>
View opened(std::span<const std::uint8_t> bytes, const char* what) {
    View view;
    need(View::open(bytes, view), what);
    return view;
}

}  // namespace

const Cascade& default_cascade() {
    static const Cascade cascade = opened<Cascade>(host::embedded_cascade(), "cascade");
    return cascade;
}
const Model& default_detector() {
    static const Model model = opened<Model>(host::embedded_detector(), "detector");
    return model;
}
const Model& default_emotion() {
    static const Model model = opened<Model>(host::embedded_network(Head::emotion), "emotion");
    return model;
}
const Model& default_gender() {
    static const Model model = opened<Model>(host::embedded_network(Head::gender), "gender");
    return model;
}

// ---- laws ----

Fit fit_line(std::span<const double> x, std::span<const double> y) {
    const auto n = static_cast<double>(x.size());
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0, yy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        mean_x += x[i] / n;
        mean_y += y[i] / n;
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
    }
    Fit fit;
    if (xx <= 0 || yy <= 0) return fit;
    fit.b = xy / xx;
    fit.a = mean_y - fit.b * mean_x;
    fit.r2 = xy * xy / (xx * yy);
    return fit;
}

}  // namespace mien::bench
