// SPDX-License-Identifier: MIT
// Faces over time: a frame in, tracked faces out. Beside the engine, with its contract: no
// exception, no heap after create, no file, clock or thread of its own.
//
//   mien::TrackerConfig config;                                       // config.engine as for
//                                                                     Engine
//   std::vector<std::byte> memory(mien::Tracker::required_bytes(config, &cascade, &emotion,
//   &gender));
//   mien::Tracker tracker;
//   if (mien::Tracker::create(config, &cascade, &emotion, &gender, memory, tracker) !=
//   mien::Status::ok) ...
//   std::span<const mien::TrackedFace> faces;
//   while (camera.read(pixels, time_ns))
//       if (tracker.process({pixels, 640, 480, 1280, mien::PixelFormat::yuyv}, time_ns, faces) ==
//       mien::Status::ok)
//           for (const mien::TrackedFace& face : faces) use(face.id, face.box, face.emotion.label);
#pragma once

#include "mien/mien.hpp"

namespace mien {

// What `smoothed` of a reading is: the result of this frame; the share of each label among the last
// 10 results (the original's mode, but one list a face); or an exponential average.
enum class Smoothing : std::uint8_t { none, mode, average };

struct TrackerConfig {
    Config engine;
    Smoothing smoothing = Smoothing::mode;
    // of the newest result in an exponential average, 0 < w <= 1
    float average_weight = 0.25f;
    int max_tracks = 32;
    // every so many frames all of the frame is searched; 1: in each; 0: only in the first
    int full_every = 0;
    // in this time all sizes and places are searched once, a part in each frame
    std::uint64_t cycle_ns = 300'000'000;
    std::uint64_t lost_ns = 500'000'000;  // a face not found for so long is lost
    // aim for this much work a frame (needs engine.clock_ns); 0: no limit
    std::uint64_t budget_ns = 0;
    // for a face that is known; a new one needs engine.detector.min_neighbors
    int keep_neighbors = 2;
};

// Spans point into the tracker and are valid until its next call; they are empty without model or
// before the first result.
struct TrackedReading {
    std::span<const float> probabilities;  // the last result itself
    std::span<const float> smoothed;
    // the most probable of `smoothed`; among equals the last seen; -1: none
    int label = -1;
    // of `label` in the frame read last (Engine::class_map), with engine.class_maps; else empty
    std::span<const float> map;
};

struct TrackedFace {
    std::uint32_t id = 0;  // from 1, never used again
    Rect box;              // where the detector found it last
    int neighbors = 0;
    int missed = 0;             // frames since then; 0: found in this one
    std::uint32_t age = 0;      // frames since it was found first
    std::uint64_t read_ns = 0;  // time stamp of the frame that the networks read last
    TrackedReading emotion, gender;
};

// What the last call did; times by engine.clock_ns.
struct TrackerStats {
    std::int64_t windows = 0;  // looked at
    // that a full search of this frame would look at (an estimate, 2 % or so)
    std::int64_t full_windows = 0;
    bool full = false;  // all of the frame was searched
    int searches = 0;   // near known faces
    int parts = 0;      // of the pyramid
    // places that a part pointed out and that were looked at closely
    int hints = 0;
    int readings = 0;  // faces given to the networks
    std::uint64_t gray_ns = 0, detect_ns = 0, classify_ns = 0, total_ns = 0;
};

class MIEN_CPP_API Tracker {
public:
    Tracker() noexcept = default;
    Tracker(Tracker&& other) noexcept : impl_(other.impl_) { other.impl_ = nullptr; }
    Tracker& operator=(Tracker&& other) noexcept {
        impl_ = other.impl_;
        other.impl_ = nullptr;
        return *this;
    }
    Tracker(const Tracker&) = delete;
    Tracker& operator=(const Tracker&) = delete;

    // As Engine::required_bytes and create; a cascade is needed, each model may be null.
    [[nodiscard]] static std::size_t required_bytes(const TrackerConfig& config,
                                                    const Cascade* cascade, const Model* emotion,
                                                    const Model* gender) noexcept;
    [[nodiscard]] static Status create(const TrackerConfig& config, const Cascade* cascade,
                                       const Model* emotion, const Model* gender,
                                       std::span<std::byte> memory, Tracker& out) noexcept;

    // `time_ns` is the frame's, by any clock; it ascends. Faces come in the order of their ids,
    // also those that were missed in this frame and are not yet lost. A frame of another size than
    // the last, or a time that jumps, begins anew with a full search; ids go on.
    [[nodiscard]] Status process(const Frame& frame, std::uint64_t time_ns,
                                 std::span<const TrackedFace>& faces) noexcept;
    // Forgets every face.
    void reset() noexcept;

    [[nodiscard]] const TrackerStats& stats() const noexcept;
    // The engine that it works with: labels, timings of its last call, classify().
    [[nodiscard]] Engine* engine() noexcept;
    explicit operator bool() const noexcept { return impl_ != nullptr; }

private:
    struct Impl;
    Impl* impl_ = nullptr;
};

}  // namespace mien
