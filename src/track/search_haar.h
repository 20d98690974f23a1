// SPDX-License-Identifier: MIT
// Where the tracker looks for faces with the Haar detector, whose cost follows the number of windows.
//
// A frame is searched in three ways. Near each known face: a few sizes around its own, in a square
// twice as wide; so cheap that it is done in every frame. In parts: the sizes and rows of a full
// search are spread over the frames of a cycle, and a part that has two overlapping candidates is a
// hint, whose surroundings are searched at all near sizes and judged as in a full search. (A face
// of a full search has more than min_neighbors candidates in about three neighboring sizes, so one
// of these has two.) And in full: the first frame, and every full_every-th.
//
// Another detector brings a class with the same members (track/search.h).
#pragma once

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "kernels/kernels.h"
#include "mien/tracker.hpp"
#include "track/frame_timer.h"

namespace mien {

class HaarSearch {
public:
    // While the arena only measures, nothing is written. `engine` finds the faces, `stats` counts
    // the work; they and `timer` are the tracker's.
    void place(Arena& arena, const TrackerConfig& config, const Cascade& cascade,
               const Kernels& kernels, Engine& engine, const FrameTimer& timer,
               TrackerStats& stats) noexcept;

    // A new frame, valid until the next one.
    void begin_frame(const Frame& frame) noexcept;
    // Frames of another size or time follow: plans the parts anew.
    void begin_stream() noexcept;
    // The frame as gray, which networks that need no color are given, too.
    [[nodiscard]] const Frame& gray() const noexcept { return view_; }

    // All of the frame. As every span below: valid until the next call of the engine.
    [[nodiscard]] std::span<const Face> everywhere() noexcept;
    // A known face that should be at `expected`, after `missed` frames without it.
    [[nodiscard]] std::span<const Face> near_known(const Rect& expected, int missed) noexcept;
    template <class Take>
    void look_for_new(std::uint64_t elapsed_ns, std::span<const Rect> known, Take&& take) noexcept {
        for (const Rect& hint : hints(elapsed_ns, known))
            for (const Face& face : near_hint(hint)) take(face);
    }
    // True for a face as clear as a new one must be.
    [[nodiscard]] bool is_clear(const Face& face) const noexcept {
        return face.neighbors > config_.engine.detector.min_neighbors;
    }

private:
    static constexpr int max_parts = 96;
    // Windows of some sizes in some rows: a part of a full search.
    struct Part {
        int min_size, max_size;  // window widths, pixels of what is searched
        int top, bottom;         // rows of the frame
        std::int64_t windows;
    };

    void plan_parts() noexcept;
    // Searches as many parts as `elapsed_ns` since the last frame and the budget ask for; returns
    // places that are none of `known`, valid until the next call.
    [[nodiscard]] std::span<const Rect> hints(std::uint64_t elapsed_ns,
                                              std::span<const Rect> known) noexcept;
    // Around a hint, as strict as a search of the whole frame.
    [[nodiscard]] std::span<const Face> near_hint(const Rect& hint) noexcept;
    std::span<const Face> search(const Rect& area, double min_size, double max_size,
                                 int min_neighbors) noexcept;
    std::span<const Face> search_near(const Rect& box, double grow, double smaller, double larger,
                                      int min_neighbors) noexcept;
    [[nodiscard]] double shrink(int width) const noexcept {
        const int limit = config_.engine.detect_width;
        return limit > 0 && width > limit ? static_cast<double>(limit) / width : 1;
    }
    [[nodiscard]] int neighbors_of_new() const noexcept;

    TrackerConfig config_;
    Cascade cascade_;
    const Kernels* kernels_ = nullptr;
    Engine* engine_ = nullptr;
    const FrameTimer* timer_ = nullptr;
    TrackerStats* stats_ = nullptr;
    std::uint8_t* gray_ = nullptr;  // max_width * max_height
    Rect* hints_ = nullptr;         // [max_tracks]
    Frame view_;
    Part parts_[max_parts] = {};
    int part_count_ = 0, next_part_ = 0;
    double credit_ = 0;  // windows of parts that are due
    double ns_per_window_ = 0;
};

}  // namespace mien
