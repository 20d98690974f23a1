// SPDX-License-Identifier: MIT
// Finds faces: a Haar cascade over an image pyramid, with the same rectangles as OpenCV 4's
// detectMultiScale.
#pragma once

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "detect/haar/group.h"
#include "detect/haar/pyramid.h"
#include "detect/haar/stump_table.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"

namespace mien {

class HaarDetector {
public:
    struct Setup {
        int max_width, max_height;
        int max_candidates;
        Executor executor;
        Stop stop;                   // asked every few rows of windows
        bool literal;                // evaluate window by window, exactly as specified (for tests)
        bool stage_weights = false;  // fill Detection::stage_weight
    };
    static constexpr int max_threads = 64;

    // Takes its memory from the arena and builds the tables; while the arena only measures, nothing
    // is written.
    void place(Arena& arena, const Cascade& cascade, const Setup& setup,
               const Kernels& kernels) noexcept;

    // Faces of a gray image no larger than place() was given; valid until the next call.
    [[nodiscard]] std::span<const Detection> detect(const std::uint8_t* gray,
                                                    std::ptrdiff_t stride_bytes, int width,
                                                    int height,
                                                    const DetectorOptions& options) noexcept;

    // The last call was ended by Setup::stop, so that faces may be missing.
    [[nodiscard]] bool stopped() const noexcept { return stopped_; }
    [[nodiscard]] const DetectorStats& stats() const noexcept { return stats_; }

private:
    // A level, or with several threads per part of one, is a job; jobs are numbered in the order of
    // their windows.
    struct Hit {
        std::int32_t job;
        Rect box;
    };
    // A window by its place in the level's grid of windows.
    struct Position {
        std::int32_t row, column;
    };
    // What one thread needs. The first one's hits go straight to candidates_ when it is alone.
    struct Worker {
        IntegralBand band;
        HaarSurvivor* survivors;  // of a row
        std::uint16_t* copy;      // HaarBatch::copy
        Position* row_hits;       // of the last few rows
        int row_hit_count;
        Hit* hits;
        double* weights;  // of hits; null without Setup::stage_weights
        int hit_count, hits_dropped, merged;
    };
    struct Scan;
    struct Run;

    void run_worker(Scan& scan, Worker& worker) noexcept;
    bool scan_rows(const GrayFrame& frame, const Level& level, int first_row, int end_row, int job,
                   Worker& worker) noexcept;
    void scan_row(Run& run, int row) noexcept;
    void gather(Run& run, int g, Position position, const std::uint16_t* low,
                const std::uint32_t* sum, float norm) noexcept;
    void finish_batch(Run& run, int g) noexcept;
    void report_hits(Run& run) noexcept;
    void merge_hits() noexcept;

    Cascade cascade_;
    const Kernels* kernels_ = nullptr;
    Executor executor_;
    Stop stop_;
    bool stopped_ = false;
    bool literal_ = false, stage_weights_ = false;
    int max_candidates_ = 0;
    StumpTable tables_[2];  // for a step of 1 and of 2
    StumpTable batch_table_;
    Worker* workers_ = nullptr;
    int threads_ = 1;
    Candidates candidates_;
    DetectorStats stats_ = {};
};

}  // namespace mien
