// SPDX-License-Identifier: MIT
// Where the tracker looks for faces with the detector network, whose cost follows the number of
// pixels that it is given.
//
// Each known face is searched for in every frame: in a square around it, whose scale is chosen so
// that the face has a size that suits the network and what is searched stays small. New
// faces are looked for once in each cycle. Without a budget that is a search of the whole frame as
// the engine does it, in one frame. With a budget it is divided into parts for several frames:
// bands of rows, which find small faces, and the whole frame at smaller sizes, which finds larger
// ones. What a part finds may be cut off at its edge, so it is searched for once more like a known
// face.
//
// A known face needs a lower score than a new one: else a face near the limit would come and go.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/arena.h"
#include "base/geometry.h"
#include "kernels/kernels.h"
#include "mien/tracker.hpp"
#include "track/frame_timer.h"
#include "track/row_supply.h"

namespace mien {

// The members are described in track/search.h.
class NetSearch {
public:
    void place(Arena& arena, const TrackerConfig& config, const Model& detector,
               const Kernels& kernels, Engine& engine, const FrameTimer& timer, RowSupply& rows,
               TrackerStats& stats) noexcept;

    void begin_frame(const Frame& frame) noexcept;
    void begin_stream() noexcept;
    [[nodiscard]] const Frame& gray(int first, int last) noexcept;

    [[nodiscard]] std::span<const Face> everywhere() noexcept;
    [[nodiscard]] std::span<const Face> near_known(const Rect& expected, int missed) noexcept;
    template <class Take>
    void look_for_new(std::uint64_t elapsed_ns, std::span<const Rect> known, Take&& take) noexcept {
        earn(elapsed_ns);
        if (part_count_ == 1) {
            if (due())
                for (const Face& face : whole(new_score_)) take(face);
            return;
        }
        for (const Rect& hint : hints(known, take))
            for (const Face& face : near(hint, 0))
                if (is_clear(face) || same_place(face.box, hint)) take(face);
    }
    [[nodiscard]] bool is_clear(const Face& face) const noexcept {
        return face.score >= new_score_;
    }
    // For almost the same place: the same pixels at the same scale give the same box, so that a face
    // that does not move stays still.
    [[nodiscard]] static bool keeps_place(const Rect& before, const Rect& expected) noexcept;
    [[nodiscard]] bool prefers_all(std::span<const Rect> known) const noexcept;

    // The surroundings of a face, empty if they lie outside of the frame, and the longer side as
    // they are searched.
    struct Near {
        Rect area;
        int side;
    };
    [[nodiscard]] Near near_area(const Rect& expected, int missed) const noexcept;

private:
    static constexpr int max_parts = 32;
    // A part of a full search.
    struct Part {
        Rect area;            // of the frame
        int side;             // its longer side as it is searched
        std::int64_t pixels;  // given to the network
    };

    void plan_parts() noexcept;
    void add_part(const Rect& area, double scale) noexcept;
    // Time has passed: more of the cycle's work is due.
    void earn(std::uint64_t elapsed_ns) noexcept;
    // True when a part would come too late in the next frame.
    [[nodiscard]] bool due() const noexcept { return credit_ + income_ > 0; }
    std::span<const Face> whole(float min_score) noexcept;
    std::span<const Face> near(const Rect& expected, int missed) noexcept;
    // Places that are none of `known`, by as many parts as are due and the budget allows.
    template <class Take>
    std::span<const Rect> hints(std::span<const Rect> known, Take&& take) noexcept {
        std::size_t count = 0;
        for (int done = 0; done < part_count_ && due() && (done == 0 || fits_next()); ++done)
            for (const Face& face : next_part()) {
                const auto is_here = [&](const Rect& r) { return same_place(face.box, r); };
                if (std::any_of(known.begin(), known.end(), is_here))
                    take(face);
                else if (count < static_cast<std::size_t>(config_.max_tracks) &&
                         std::none_of(hints_, hints_ + count, is_here))
                    hints_[count++] = face.box;
            }
        stats_->hints += static_cast<int>(count);
        return {hints_, count};
    }
    std::span<const Face> next_part() noexcept;
    // True when the budget has room for the next part. One is searched in any case, or nobody new
    // would ever be found.
    [[nodiscard]] bool fits_next() const noexcept;
    // `side`: see EngineAccess::detect().
    std::span<const Face> search(const Rect& area, int side,
                                 const DetectorOptions& options) noexcept;

    TrackerConfig config_;
    const Kernels* kernels_ = nullptr;
    const Model* detector_ = nullptr;
    Engine* engine_ = nullptr;
    const FrameTimer* timer_ = nullptr;
    RowSupply* rows_ = nullptr;
    TrackerStats* stats_ = nullptr;
    std::uint8_t* gray_ = nullptr;  // max_width * max_height
    Rect* hints_ = nullptr;         // [max_tracks]
    Frame view_, gray_view_;
    int gray_first_ = 0, gray_last_ = 0;  // rows of gray_view_ that are there; none at first
    float new_score_ = 0, known_score_ = 0;
    int multiple_ = 1;  // of the sides that the network takes
    Part parts_[max_parts] = {};
    int part_count_ = 0, next_part_ = 0;
    double all_pixels_ = 0;           // of all parts
    double credit_ = 0, income_ = 0;  // pixels that are due, and those of this frame
    double ns_per_pixel_ = 0;
};

}  // namespace mien
