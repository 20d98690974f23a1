// SPDX-License-Identifier: MIT
// How much work is in a frame? The detector's levels and windows, counted by plain code of the
// bench's own.
#pragma once

#include <cstdint>
#include <vector>

#include "mien/mien.hpp"

namespace mien::bench {

struct PyramidLevel {
    float scale;
    int width, height;  // of the level
    int step;           // pixels from window to window
    int columns, rows;  // window positions, before the step
};
std::vector<PyramidLevel> pyramid(const Cascade& cascade, int width, int height,
                                  const DetectorOptions& options);
double pyramid_pixels(const std::vector<PyramidLevel>& levels);

// What became of the windows: alive[k] reached stage k (alive[stage_count] passed all).
struct StageCounts {
    std::int64_t positions = 0;  // all windows
    std::int64_t flat = 0;       // skipped for their deviation
    std::int64_t skipped = 0;    // neighbors that a failure in stage 0 takes along
    std::int64_t stumps = 0;     // trees evaluated, window by window
    std::vector<std::int64_t> alive;
};
// Empty `alive` for cascades with tilted features.
StageCounts count_stages(const Cascade& cascade, const std::uint8_t* gray, int width, int height,
                         const DetectorOptions& options);

// The bytes of a cascade whose stage `stage` lets no window pass: the detector's time with it is
// the time up to there.
std::vector<std::uint8_t> cut_cascade(const Cascade& cascade, int stage);

}  // namespace mien::bench
