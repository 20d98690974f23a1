// SPDX-License-Identifier: MIT
// Faces over time: takes a frame, returns tracked faces. Its contract is the engine's: no
// exception, no heap after create, no file, clock or thread of its own; calls on one tracker must
// not overlap.
//
//   mien::TrackerConfig config;  // config.engine as for Engine
//   const mien::Weights weights = {.cascade = &cascade, .heads = {&emotion, &gender}};
//   std::vector<std::byte> memory(mien::Tracker::required_bytes(config, weights));
//   mien::Tracker tracker;
//   if (mien::Tracker::create(config, weights, memory, tracker) != mien::Status::ok) ...
//   std::span<const mien::TrackedFace> faces;
//   while (camera.read(frame, time_ns))
//       if (tracker.process(frame, time_ns, faces) == mien::Status::ok)
//           for (const mien::TrackedFace& face : faces)
//               use(face.id, face.box, face[mien::Head::emotion].label);
#pragma once

#include "mien/mien.hpp"

namespace mien {

// How `smoothed` of a reading is made:
//   none      the result of this frame
//   mode      the share of each label among the last 10 results (the original's mode, but one list
//             per face); of a quantity as `quality`
//   average   an exponential average: the newest result counts average_weight
//   quality   the same, in which each result also counts by q / best, at least 0.05: best is the
//             highest q of this face lately (it fades by 5 % with each result), and q the quality
//             of the face read, size x score x turn x sharpness, where
//               size       is the shorter side of the box over 64 pixels, at most 1
//               score      is the detector network's; 1 for Haar
//               turn       is 1 - 2 d, at least 0, and d the distance of the nose from the middle
//                          of the eyes along their line, in distances of the eyes; 1 for Haar
//               sharpness  is the mean squared difference of neighboring pixels over twice their
//                          variance, in what the first head saw
//             A result moves the average by average_weight x q / best, the first one entirely. The
//             label stays until another is more probable by 0.1; an unsure one stays so until its
//             probability is 0.05 above the threshold.
enum class Smoothing : std::uint8_t { none = 0, mode = 1, average = 2, quality = 3 };

struct TrackerConfig {
    Config engine;
    Smoothing smoothing = Smoothing::mode;
    // Weight of the newest result in an exponential average, 0 < w <= 1.
    float average_weight = 0.25f;
    int max_tracks = 32;
    // Search all of every n-th frame; 1: of each; 0: only of the first, then as cycle_ns says.
    int full_every = 0;
    // Time in which all sizes and positions are searched once, so that a new face is found. Haar: a
    // part in each frame. Network: in one frame, or in parts if there is a budget.
    std::uint64_t cycle_ns = 300'000'000;
    std::uint64_t lost_ns = 500'000'000;  // a face not found for so long is lost
    // Work to aim for per frame (needs engine.clock_ns); 0: no limit.
    std::uint64_t budget_ns = 0;
    // Haar: neighbors that a known face needs; a new one needs engine.detector.min_neighbors.
    int keep_neighbors = 2;
};

// Spans point into the tracker and are valid until its next call; they are empty without that
// network or before the first result.
struct TrackedReading {
    std::span<const float> probabilities;  // the last result itself
    std::span<const float> smoothed;
    // The most probable of `smoothed`; among equals the last seen; -1: none. With
    // Smoothing::quality perhaps that of before.
    int label = -1;
    // With engine.class_maps: the map of `label` in the frame read last (Engine::class_map).
    std::span<const float> map;
    // `label` is not probable enough to be named: its smoothed probability, or with Smoothing::mode
    // that of the last result, is below Engine::unsure_below(). Never of a quantity.
    bool unsure = false;
    // Of a network that answers_quantity(): Model::quantity(smoothed). Else all zero.
    Quantity quantity;
};

struct TrackedFace {
    std::uint32_t id = 0;  // from 1, never used again
    Rect box;              // where the detector found it last
    int neighbors = 0;
    int missed = 0;             // frames since then; 0: found in this one
    std::uint32_t frames = 0;   // since it was found first; 0: in this one
    std::uint64_t read_ns = 0;  // time stamp of the frame that the networks read last
    // By Head, as many as the engine has.
    std::span<const TrackedReading> readings;
    [[nodiscard]] TrackedReading operator[](Head head) const noexcept {
        const auto h = static_cast<std::size_t>(head);
        return h < readings.size() ? readings[h] : TrackedReading{};
    }
    // As those of Face, from where it was found last; the readings are of the face turned upright.
    // A known face may score 0.2 less than a new one must.
    float score = 0;
    std::span<const Point> landmarks;
};

// What the last call did; times by engine.clock_ns.
struct TrackerStats {
    // Looked at: windows (Haar), or pixels that the network was given.
    std::int64_t windows = 0;
    // that a full search of this frame would look at (Haar: an estimate, 2 % or so)
    std::int64_t full_windows = 0;
    bool full = false;  // all of the frame was searched
    int searches = 0;   // near known faces
    int parts = 0;      // of a full search
    // places that a part pointed out and that were looked at closely
    int hints = 0;
    int readings = 0;  // faces given to the networks
    std::uint64_t gray_ns = 0, detect_ns = 0, classify_ns = 0, total_ns = 0;
    std::uint64_t rows_ns = 0;  // in FrameRows::need; in none of those above
};

// Rows of a frame that are made when they are needed: those of a JPEG cost little above the part that
// is read, and nothing below it. Between full searches the network is given the surroundings of the
// known faces alone; Haar reads every frame whole.
struct FrameRows {
    // Makes rows `first` to `last` - 1 valid at the frame's pointer; they hold all that were asked
    // for before in this frame. 0: they cannot be had. Null: the frame is whole.
    int (*need)(void* context, int first, int last) = nullptr;
    void* context = nullptr;
};

class MIEN_CPP_API Tracker {
public:
    Tracker() noexcept = default;
    Tracker(Tracker&& other) noexcept : impl_(other.impl_) { other.impl_ = nullptr; }
    Tracker& operator=(Tracker&& other) noexcept {
        Impl* const moved = other.impl_;
        other.impl_ = nullptr;
        impl_ = moved;
        return *this;
    }
    Tracker(const Tracker&) = delete;
    Tracker& operator=(const Tracker&) = delete;

    // As Engine::required_bytes and create; a detector is needed.
    [[nodiscard]] static std::size_t required_bytes(const TrackerConfig& config,
                                                    const Weights& weights) noexcept;
    static Status create(const TrackerConfig& config, const Weights& weights,
                         std::span<std::byte> memory, Tracker& out) noexcept;

    // `time_ns` is the frame's, by any clock; it ascends. Faces come in the order of their ids,
    // including those missed in this frame and not yet lost. A frame of another size than the last,
    // or a time that jumps, begins anew with a full search; ids go on.
    Status process(const Frame& frame, std::uint64_t time_ns,
                   std::span<const TrackedFace>& faces) noexcept {
        return process(frame, {}, time_ns, faces);
    }
    // The same with the same results, of a frame whose pixels may come later. stopped: rows could
    // not be had; what was found before stays with the faces, which are not reported.
    Status process(const Frame& frame, const FrameRows& rows, std::uint64_t time_ns,
                   std::span<const TrackedFace>& faces) noexcept;
    // Forgets every face.
    void reset() noexcept;

    [[nodiscard]] const TrackerStats& stats() const noexcept;
    // The engine that it works with, for labels, models and timings; null before create(). Calls
    // that read another face through it replace what Engine::class_map gives.
    [[nodiscard]] Engine* engine() noexcept;
    explicit operator bool() const noexcept { return impl_ != nullptr; }

private:
    struct Impl;
    Impl* impl_ = nullptr;
};

}  // namespace mien
