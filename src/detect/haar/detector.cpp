// SPDX-License-Identifier: MIT
#include "detect/haar/detector.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <new>

#include "base/bytes.h"

namespace mien {
namespace {

constexpr int rows_together = 8;  // rows of windows whose survivors may share a batch
// more jobs share the work more evenly; fewer repeat less of it, because every job starts by
// filling one window height of rows
constexpr int jobs_per_thread = 6;
constexpr int min_job_rows = 16;  // rows of windows

}  // namespace

void HaarDetector::place(Arena& arena, const Cascade& cascade, const Setup& setup,
                         const Kernels& kernels) noexcept {
    cascade_ = cascade;
    kernels_ = &kernels;
    literal_ = setup.literal;
    stage_weights_ = setup.stage_weights;
    executor_ = setup.executor;
    stop_ = setup.stop;
    threads_ = executor_.run != nullptr ? std::clamp(executor_.threads, 1, max_threads) : 1;
    max_candidates_ = setup.max_candidates;
    candidates_.place(arena, setup.max_candidates, setup.stage_weights);
    Worker* const workers = arena.take<Worker>(static_cast<std::size_t>(threads_));
    IntegralLayout layouts[2] = {};
    for (int i = 0; i < threads_; ++i) {
        Worker measured{};
        Worker& worker = workers != nullptr ? *new (workers + i) Worker{} : measured;
        worker.band.place(arena, setup.max_width, setup.max_height, cascade.window_height(),
                          cascade.has_tilted(), kernels);
        // A row has at most half as many windows as pixels, as levels with a step of 1 are at most
        // half as wide.
        const auto columns = static_cast<std::size_t>(setup.max_width / 2 + row_slack);
        const auto batch_columns =
            static_cast<std::size_t>(round_up(cascade.window_width() + 1, 16));
        worker.survivors = arena.take<HaarSurvivor>(columns);
        worker.copy = arena.take<std::uint16_t>(
            batch_columns *
            static_cast<std::size_t>((cascade.window_height() + 1) * kernels.detect.batch));
        worker.row_hits = arena.take<Position>(columns * rows_together);
        worker.hits = threads_ > 1 ? arena.take<Hit>(static_cast<std::size_t>(setup.max_candidates))
                                   : nullptr;
        worker.weights = threads_ > 1 && stage_weights_
                             ? arena.take<double>(static_cast<std::size_t>(setup.max_candidates))
                             : nullptr;
        for (int step = 1; step <= 2; ++step) layouts[step - 1] = worker.band.layout(step);
    }
    workers_ = workers;
    const bool batches = kernels.detect.batch > 0;
    for (int i = 0; i < 2; ++i)
        tables_[i].place(arena, cascade, layouts[i],
                         batches ? StumpTable::Use::rows : StumpTable::Use::all);
    IntegralLayout copy = {.step = 1,
                           .pitch = round_up(cascade.window_width() + 1, 16) * kernels.detect.batch,
                           .odd = 0,
                           .tilted = 0};
    copy.column = kernels.detect.batch;
    if (batches && tables_[0].vectorised())
        batch_table_.place(arena, cascade, copy, StumpTable::Use::batches);
}

// ---------------------------------------------------------------------- scanning

// What the threads of one call share.
struct HaarDetector::Scan {
    HaarDetector* detector;
    GrayFrame frame;
    DetectorOptions options;
    std::int64_t job_windows;  // windows that a job should have; 0: a level is one job
    std::atomic<std::int32_t> next_job{0};
    std::atomic<bool> stopped{false};
    DetectorStats stats;  // of the first worker, which sees every level
};

// Some rows of a level on one thread, and the batches that are being filled: of windows that passed
// the early stages, and of those that passed the middle ones too. A window's place in a batch
// ascends as its place in the level does.
struct HaarDetector::Run {
    struct Gathering {
        HaarBatch batch;
        Position positions[max_batch];
    };
    const Level& level;
    const StumpTable& table;
    Worker& worker;
    int job;
    Gathering gatherings[2];
};

// False: ended by the stop.
bool HaarDetector::scan_rows(const GrayFrame& frame, const Level& level, int first_row, int end_row,
                             int job, Worker& worker) noexcept {
    const CascadeAccess access{cascade_};
    const StumpTable& table = tables_[level.step - 1];
    worker.band.begin(frame, level, first_row * level.step, end_row * level.step);
    worker.row_hit_count = 0;
    Run run = {level, table, worker, job, {}};
    const int ends[] = {access.early_stages(), access.middle_stages(), cascade_.stage_count()};
    for (int g = 0; g < 2; ++g) {
        HaarBatch& batch = run.gatherings[g].batch;
        batch.table = &table.table();
        batch.batch_table = &batch_table_.table();
        batch.first_stage = ends[g];
        batch.end_stage = ends[g + 1];
        batch.rows = cascade_.window_height() + 1;
        batch.columns = cascade_.window_width() + 1;
        batch.step = level.step;
        batch.pitch = table.layout().pitch;
        batch.odd = table.layout().odd;
        batch.copy = worker.copy;
    }
    const auto finish = [&] {
        for (const int g : {0, 1}) finish_batch(run, g);
        report_hits(run);
    };
    for (int row = first_row, together = 0; row < end_row; ++row, ++together) {
        if (together == rows_together || worker.band.moves(row * level.step)) {
            finish();
            together = 0;
            if (stop_()) return false;
        }
        scan_row(run, row);
    }
    finish();
    return true;
}

void HaarDetector::scan_row(Run& run, int row) noexcept {
    Worker& worker = run.worker;
    const HaarOrigin origin = worker.band.row(row * run.level.step);
    const int early = kernels_->detect.batch > 0 ? CascadeAccess{cascade_}.early_stages()
                                                 : cascade_.stage_count();
    const HaarRow windows = {&run.table.table(), early, origin, run.level.columns};
    const bool literal = literal_ || !run.table.vectorised();
    const int found = literal ? run.table.literal_row(windows, worker.survivors)
                              : kernels_->detect.haar_row(windows, worker.survivors);
    const bool done = literal || early == cascade_.stage_count();
    for (int i = 0; i < found; ++i) {
        const HaarSurvivor& survivor = worker.survivors[i];
        const Position position = {row, survivor.window};
        if (done)
            worker.row_hits[worker.row_hit_count++] = position;
        else
            gather(run, 0, position, origin.low + survivor.window, origin.sum + survivor.window,
                   survivor.norm);
    }
}

// Into the g-th batch, which runs when it is full; past the last one are the hits.
void HaarDetector::gather(Run& run, int g, Position position, const std::uint16_t* low,
                          const std::uint32_t* sum, float norm) noexcept {
    if (g == 2) {
        run.worker.row_hits[run.worker.row_hit_count++] = position;
        return;
    }
    Run::Gathering& gathering = run.gatherings[g];
    HaarBatch& batch = gathering.batch;
    gathering.positions[batch.count] = position;
    batch.low[batch.count] = low;
    batch.sum[batch.count] = sum;
    batch.norm[batch.count++] = norm;
    if (batch.count == kernels_->detect.batch) finish_batch(run, g);
}

void HaarDetector::finish_batch(Run& run, int g) noexcept {
    Run::Gathering& gathering = run.gatherings[g];
    HaarBatch& batch = gathering.batch;
    if (batch.count == 0) return;
    std::uint32_t passed = kernels_->detect.haar_batch(batch);
    for (; passed != 0; passed &= passed - 1) {
        const int i = std::countr_zero(passed);
        gather(run, g + 1, gathering.positions[i], batch.low[i], batch.sum[i], batch.norm[i]);
    }
    batch.count = 0;
}

void HaarDetector::report_hits(Run& run) noexcept {
    Worker& worker = run.worker;
    const Level& level = run.level;
    for (int i = 0; i < worker.row_hit_count; ++i) {
        const Position hit = worker.row_hits[i];
        const Rect box = {scaled_length(hit.column * level.step, level.scale),
                          scaled_length(hit.row * level.step, level.scale), level.window_width,
                          level.window_height};
        double weight = 0;
        if (stage_weights_)
            weight = run.table.last_stage(worker.band.row(hit.row * level.step), hit.column);
        if (worker.hits == nullptr) {
            candidates_.add(box, weight);
        } else if (worker.hit_count < max_candidates_) {
            if (worker.weights != nullptr) worker.weights[worker.hit_count] = weight;
            worker.hits[worker.hit_count++] = {run.job, box};
        } else {
            ++worker.hits_dropped;
        }
    }
    worker.row_hit_count = 0;
}

// Walks all jobs in order and does those that no other thread has taken.
void HaarDetector::run_worker(Scan& scan, Worker& worker) noexcept {
    worker.hit_count = worker.hits_dropped = worker.merged = 0;
    Pyramid pyramid(cascade_.window_width(), cascade_.window_height(), scan.frame.width,
                    scan.frame.height, scan.options);
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
            rows = std::clamp(static_cast<int>(scan.job_windows / level.columns),
                              std::min(min_job_rows, level.rows), level.rows);
        const int jobs = (level.rows + rows - 1) / rows;
        for (; mine < job + jobs; mine = scan.next_job.fetch_add(1, std::memory_order_relaxed)) {
            const int part = mine - job;
            const int end = std::min((part + 1) * rows, level.rows);
            if (scan.stopped.load(std::memory_order_relaxed) || stop_() ||
                !scan_rows(scan.frame, level, part * rows, end, mine, worker)) {
                scan.stopped.store(true, std::memory_order_relaxed);
                return;
            }
        }
        job += jobs;
    }
}

// The hits of all threads in the order of their jobs, as one thread would have found them.
void HaarDetector::merge_hits() noexcept {
    for (;;) {
        Worker* first = nullptr;
        for (int i = 0; i < threads_; ++i) {
            Worker& worker = workers_[i];
            if (worker.merged < worker.hit_count &&
                (first == nullptr ||
                 worker.hits[worker.merged].job < first->hits[first->merged].job))
                first = &worker;
        }
        if (first == nullptr) break;
        const std::int32_t job = first->hits[first->merged].job;
        while (first->merged < first->hit_count && first->hits[first->merged].job == job) {
            const int i = first->merged++;
            candidates_.add(first->hits[i].box, first->weights != nullptr ? first->weights[i] : 0);
        }
    }
    // A thread drops hits only after as many as candidates_ holds, so candidates_ would have
    // dropped them too.
    for (int i = 0; i < threads_; ++i) candidates_.drop(workers_[i].hits_dropped);
}

std::span<const Detection> HaarDetector::detect(const std::uint8_t* gray,
                                                std::ptrdiff_t stride_bytes, int width, int height,
                                                const DetectorOptions& options) noexcept {
    candidates_.clear();
    stats_ = {};
    stopped_ = false;
    if (width < cascade_.window_width() || height < cascade_.window_height()) return {};
    Scan scan = {this, {gray, stride_bytes, width, height}, options, 0, {}, {}, {}};
    if (threads_ == 1) {
        run_worker(scan, workers_[0]);
    } else {
        Pyramid pyramid(cascade_.window_width(), cascade_.window_height(), width, height, options);
        Level level;
        while (pyramid.next(level)) scan.job_windows += std::int64_t{level.columns} * level.rows;
        scan.job_windows =
            std::max<std::int64_t>(scan.job_windows / (threads_ * jobs_per_thread), 1);
        executor_.run(
            executor_.context, threads_,
            [](void* argument, int index) {
                Scan& shared = *static_cast<Scan*>(argument);
                shared.detector->run_worker(shared, shared.detector->workers_[index]);
            },
            &scan);
        merge_hits();
    }
    stopped_ = scan.stopped.load(std::memory_order_relaxed);
    stats_ = scan.stats;
    stats_.candidates = candidates_.count();
    stats_.candidates_dropped = candidates_.dropped();
    return candidates_.group(options.min_neighbors, width, height);
}

}  // namespace mien
