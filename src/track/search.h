// SPDX-License-Identifier: MIT
// Where the tracker looks for faces: the search of the detector that its engine has. Both searches
// have these members; the calls are resolved here, so that none is virtual.
#pragma once

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "kernels/kernels.h"
#include "mien/tracker.hpp"
#include "track/row_supply.h"
#include "track/search_haar.h"
#include "track/search_net.h"

namespace mien {

class Search {
public:
    // One of the two detectors is there. While the arena only measures, nothing is written. `engine`
    // finds the faces; it, `rows`, and `stats`, in which the work is counted, are the tracker's.
    void place(Arena& arena, const TrackerConfig& config, const Weights& weights,
               const Kernels& kernels, Engine& engine, const FrameTimer& timer, RowSupply& rows,
               TrackerStats& stats) noexcept {
        is_net_ = weights.detector != nullptr;
        if (is_net_)
            net_.place(arena, config, *weights.detector, kernels, engine, timer, rows, stats);
        else
            haar_.place(arena, config, *weights.cascade, kernels, engine, timer, stats);
    }

    // A new frame, valid until the next one. The network asks for the rows that it reads; Haar needs
    // all of them by now.
    [[nodiscard]] bool wants_all_rows() const noexcept { return !is_net_; }
    void begin_frame(const Frame& frame) noexcept {
        is_net_ ? net_.begin_frame(frame) : haar_.begin_frame(frame);
    }
    // Frames of another size or time follow.
    void begin_stream() noexcept { is_net_ ? net_.begin_stream() : haar_.begin_stream(); }
    // The frame as gray, for networks that need no color; rows `first` to `last` - 1 of it are valid.
    [[nodiscard]] const Frame& gray(int first, int last) noexcept {
        return is_net_ ? net_.gray(first, last) : haar_.gray();
    }

    // All of the frame. As every span below: valid until the next call of the engine.
    [[nodiscard]] std::span<const Face> everywhere() noexcept {
        return is_net_ ? net_.everywhere() : haar_.everywhere();
    }
    // A known face that should be at `expected`, after `missed` frames without it.
    [[nodiscard]] std::span<const Face> near_known(const Rect& expected, int missed) noexcept {
        return is_net_ ? net_.near_known(expected, missed) : haar_.near_known(expected, missed);
    }
    // Where near_known() looks.
    [[nodiscard]] Rect near_area(const Rect& expected, int missed) const noexcept {
        return is_net_ ? net_.near_area(expected, missed).area : Rect{};
    }
    // True when a face that was searched for at `before` is better searched for there again than at
    // `expected`.
    [[nodiscard]] bool keeps_place(const Rect& before, const Rect& expected) const noexcept {
        return is_net_ && NetSearch::keeps_place(before, expected);
    }
    // Searches as much of the frame as `elapsed_ns` since the last one and the budget ask for, and
    // calls take(face) for each face found that is none of `known`, perhaps also for one of them.
    // `take` does not call the engine.
    template <class Take>
    void look_for_new(std::uint64_t elapsed_ns, std::span<const Rect> known, Take&& take) noexcept {
        if (is_net_)
            net_.look_for_new(elapsed_ns, known, take);
        else
            haar_.look_for_new(elapsed_ns, known, take);
    }

    // True for a face as clear as a new one must be.
    [[nodiscard]] bool is_clear(const Face& face) const noexcept {
        return is_net_ ? net_.is_clear(face) : haar_.is_clear(face);
    }
    // True for a face of everywhere() that may be a new one.
    [[nodiscard]] bool may_begin(const Face& face) const noexcept {
        return !is_net_ || net_.is_clear(face);
    }
    // True when look_for_new() reports known faces, too, if they are clear: a face may look clearer
    // in the whole frame than in the search around it.
    [[nodiscard]] bool confirms_known() const noexcept { return is_net_; }
    // True when everywhere() costs less than near_known() for each of `known`.
    [[nodiscard]] bool prefers_all(std::span<const Rect> known) const noexcept {
        return is_net_ && net_.prefers_all(known);
    }

private:
    bool is_net_ = false;
    HaarSearch haar_;
    NetSearch net_;
};

}  // namespace mien
