// SPDX-License-Identifier: MIT
#include "detect/detector.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>

namespace mien {
namespace {

constexpr int row_hit_slack = 64;
constexpr int jobs_per_thread = 6;   // more: evener shares; fewer: less work twice, since every job begins with a window's height
constexpr int min_job_rows = 16;     // rows of windows

// The products of OpenCV are of floats, rounded to float before they are rounded (to nearest even) to an integer.
int scaled_length(int length, float scale) noexcept { return static_cast<int>(std::lrint(static_cast<float>(length) * scale)); }

}  // namespace

void Detector::place(Arena& arena, const Cascade& cascade, const Setup& setup, const Kernels& kernels) noexcept {
    cascade_ = cascade;
    kernels_ = &kernels;
    literal_ = setup.literal;
    executor_ = setup.executor;
    threads_ = executor_.run != nullptr ? std::clamp(executor_.threads, 1, max_threads) : 1;
    max_candidates_ = setup.max_candidates;
    candidates_.place(arena, setup.max_candidates);
    Worker* const workers = arena.take<Worker>(static_cast<std::size_t>(threads_));
    IntegralLayout layouts[2] = {};
    for (int i = 0; i < threads_; ++i) {
        Worker measured{};
        Worker& worker = workers != nullptr ? *new (workers + i) Worker{} : measured;
        worker.band.place(arena, setup.max_width, setup.max_height, cascade.window_height(), cascade.has_tilted(), kernels);
        worker.row_hits = arena.take<std::int32_t>(static_cast<std::size_t>(setup.max_width + row_hit_slack));
        worker.hits = threads_ > 1 ? arena.take<Hit>(static_cast<std::size_t>(setup.max_candidates)) : nullptr;
        for (int step = 1; step <= 2; ++step) layouts[step - 1] = worker.band.layout(step);
    }
    workers_ = workers;
    for (int i = 0; i < 2; ++i) tables_[i].place(arena, cascade, layouts[i]);
}

// ------------------------------------------------------------------------------------------------ scanning

// What the threads of one call share.
struct Detector::Scan {
    Detector* detector;
    GrayFrame frame;
    DetectorOptions options;
    std::int64_t job_windows;           // windows that a job should have; 0: a level is one job
    std::atomic<std::int32_t> next_job{0};
    DetectorStats stats;                // of the first worker, which sees every level
};

void Detector::scan_rows(const GrayFrame& frame, const Level& level, int first_row, int end_row, int job, Worker& worker) noexcept {
    const StumpTable& table = tables_[level.step - 1];
    worker.band.begin(frame, level, first_row * level.step, end_row * level.step);
    for (int r = first_row; r < end_row; ++r) {
        const int y = r * level.step;
        const HaarRow row = {&table.table(), worker.band.row(y), level.columns};
        const bool literal = literal_ || !table.vectorised();
        const int found = literal ? table.literal_row(row, worker.row_hits) : kernels_->detect.haar_row(row, worker.row_hits);
        for (int i = 0; i < found; ++i) {
            const Rect box = {scaled_length(worker.row_hits[i] * level.step, level.scale), scaled_length(y, level.scale),
                              level.window_width, level.window_height};
            if (worker.hits == nullptr)
                candidates_.add(box);
            else if (worker.hit_count < max_candidates_)
                worker.hits[worker.hit_count++] = {job, box};
            else
                ++worker.hits_dropped;
        }
    }
}

// Walks all jobs in order and does those that no other thread has taken.
void Detector::run_worker(Scan& scan, Worker& worker) noexcept {
    worker.hit_count = worker.hits_dropped = worker.merged = 0;
    Pyramid pyramid(cascade_.window_width(), cascade_.window_height(), scan.frame.width, scan.frame.height, scan.options);
    Level level;
    std::int32_t job = 0, mine = scan.next_job.fetch_add(1, std::memory_order_relaxed);
    while (pyramid.next(level)) {
        if (level.rows == 0) continue;
        const std::int64_t windows = std::int64_t{level.columns} * level.rows;
        if (&worker == workers_) {
            ++scan.stats.levels;
            scan.stats.windows += windows;
        }
        int rows = level.rows;
        if (scan.job_windows > 0)
            rows = std::clamp(static_cast<int>(scan.job_windows / level.columns), std::min(min_job_rows, level.rows), level.rows);
        const int jobs = (level.rows + rows - 1) / rows;
        for (; mine < job + jobs; mine = scan.next_job.fetch_add(1, std::memory_order_relaxed)) {
            const int part = mine - job;
            scan_rows(scan.frame, level, part * rows, std::min((part + 1) * rows, level.rows), mine, worker);
        }
        job += jobs;
    }
}

// The hits of all threads in the order of their jobs, as one thread would have found them.
void Detector::merge_hits() noexcept {
    for (;;) {
        Worker* first = nullptr;
        for (int i = 0; i < threads_; ++i) {
            Worker& worker = workers_[i];
            if (worker.merged < worker.hit_count && (first == nullptr || worker.hits[worker.merged].job < first->hits[first->merged].job))
                first = &worker;
        }
        if (first == nullptr) break;
        const std::int32_t job = first->hits[first->merged].job;
        while (first->merged < first->hit_count && first->hits[first->merged].job == job) candidates_.add(first->hits[first->merged++].box);
    }
    // A thread drops hits only after as many as candidates_ holds, so candidates_ would have dropped them too.
    for (int i = 0; i < threads_; ++i) candidates_.drop(workers_[i].hits_dropped);
}

std::span<const Detection> Detector::detect(const std::uint8_t* gray, std::ptrdiff_t stride_bytes, int width, int height,
                                            const DetectorOptions& options) noexcept {
    candidates_.clear();
    stats_ = {};
    if (width < cascade_.window_width() || height < cascade_.window_height()) return {};
    Scan scan = {this, {gray, stride_bytes, width, height}, options, 0, {}, {}};
    if (threads_ == 1) {
        run_worker(scan, workers_[0]);
    } else {
        Pyramid pyramid(cascade_.window_width(), cascade_.window_height(), width, height, options);
        Level level;
        while (pyramid.next(level)) scan.job_windows += std::int64_t{level.columns} * level.rows;
        scan.job_windows = std::max<std::int64_t>(scan.job_windows / (threads_ * jobs_per_thread), 1);
        executor_.run(executor_.context, threads_, [](void* argument, int index) {
            Scan& shared = *static_cast<Scan*>(argument);
            shared.detector->run_worker(shared, shared.detector->workers_[index]);
        }, &scan);
        merge_hits();
    }
    stats_ = scan.stats;
    stats_.candidates = candidates_.count();
    stats_.candidates_dropped = candidates_.dropped();
    return candidates_.group(options.min_neighbors, width, height);
}

}  // namespace mien
