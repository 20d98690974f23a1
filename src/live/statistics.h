// SPDX-License-Identifier: MIT
// Statistics of a live run: rates, latencies, processor time and memory, in fixed memory however
// long it runs.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "video/decoder.h"

namespace mien::live {

// Milliseconds in buckets 2 % apart, so that percentiles of a day's frames cost 6 KB.
class Histogram {
public:
    void add(double ms);
    [[nodiscard]] std::uint64_t count() const { return count_; }
    // Middle of the bucket in which the share lies, at most the maximum; 0 without values.
    [[nodiscard]] double at(double share) const;
    [[nodiscard]] double maximum() const { return maximum_; }
    [[nodiscard]] double mean() const {
        return count_ > 0 ? sum_ / static_cast<double>(count_) : 0;
    }

private:
    static constexpr double smallest = 0.001, step = 1.02;
    std::array<std::uint64_t, 900> buckets_{};
    std::uint64_t count_ = 0;
    double sum_ = 0, maximum_ = 0;
};

struct MemorySample {
    std::uint64_t frame;
    double mib;
};

struct Statistics {
    std::uint64_t frames = 0, dropped = 0, damaged = 0, faces = 0, readings = 0, full_searches = 0;
    std::uint32_t people = 0;  // ids that were given
    std::int64_t windows = 0, full_windows = 0;
    // from the frame's time stamp to its result; live sources only
    Histogram latency;
    Histogram work;  // decoding, searching, reading
    Histogram decode, detect, per_face;
    Histogram interval;  // from result to result
    Histogram jitter;    // how far an interval is from the frames' own
    std::uint64_t begin_ns = 0, end_ns = 0;
    double cpu_seconds = 0;
    video::StoredShape stored;  // of the first frame that is shown in another shape than stored
    int shown_width = 0, shown_height = 0;  // of that frame
    std::vector<MemorySample> memory;       // at most 16, evenly over the run

    [[nodiscard]] double seconds() const { return static_cast<double>(end_ns - begin_ns) * 1e-9; }
    void sample_memory();
};

double resident_mib();
double cpu_seconds_now();

}  // namespace mien::live
