// SPDX-License-Identifier: MIT
// Finds faces with a network of maps: from pixels to boxes with a score and five landmarks, as
// docs/DETECTOR.md defines it.
#pragma once

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "image/linear.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"
#include "nn/network.h"

namespace mien {

class FaceNet {
public:
    // A size at which an image is searched, before it is padded.
    struct Size {
        int width, height;
    };
    static constexpr int landmark_count = ModelAccess::landmarks;

    // In pixels of the searched part; it may reach beyond it.
    struct Candidate {
        float score;
        std::uint32_t order;  // of all that were found; breaks ties
        float x, y, width, height;
        Point landmarks[landmark_count];
    };

    // How many times the image is searched at each size: as it is, or also turned clockwise by 90,
    // 180 and 270 degrees.
    enum class Turns : std::uint8_t { none = 1, all = 4 };

    // False when no network of that shape can be placed at `largest`.
    [[nodiscard]] static bool fits(const Model& model, Size largest, Turns turns) noexcept;

    // Takes its memory from the arena; while the arena only measures, nothing is written. The model
    // finds faces. No size of find() is wider or higher than `largest`, for which fits() holds.
    void place(Arena& arena, const Model& model, Size largest, Turns turns, int max_candidates,
               const Kernels& kernels, const Executor& executor = {},
               const Stop& stop = {}) noexcept;

    // Faces of `area`, which is not empty and lies inside of the valid frame, best first, whichever
    // way up they were found; nothing of them overlaps more than the model allows. `min_score` 0 is
    // ModelAccess::default_score(). Valid until the next call. unsupported: the layers of the network do not fit
    // together at one of the sizes. stopped: `stop` of place() asked for it.
    Status find(const Frame& frame, const Rect& area, std::span<const Size> sizes, float min_score,
                std::span<const Candidate>& found) noexcept;

    // Cells of the last call whose score sufficed, and how many of them found no room.
    [[nodiscard]] int candidates() const noexcept { return seen_; }
    [[nodiscard]] int candidates_dropped() const noexcept { return seen_ - kept_; }
    // That the network was given in the last call, at all sizes, with padding.
    [[nodiscard]] std::int64_t pixels() const noexcept { return pixels_; }

    // What the network is given for an image of that size.
    [[nodiscard]] static InputSize padded(const Model& model, Size size) noexcept;

private:
    // One look at the image: its size there, how many quarter turns clockwise, and the pixels of the
    // searched part per pixel of it.
    struct View {
        Size size;
        int turn;
        float scale_x, scale_y;
    };
    [[nodiscard]] static InputSize largest_input(const Model& model, Size largest,
                                                 Turns turns) noexcept;
    static void turn_back(const View& view, Candidate& candidate) noexcept;
    struct Look {
        FaceNet& net;
        const Frame& frame;
        const Rect& area;
        const View& view;
    };
    void fill(const Look& look, int first, int end, int thread) noexcept;
    void fill_turned(const View& view, int first, int end) noexcept;
    void decode(const Network::Result& map, int stride, const View& view, float min_score,
                float least) noexcept;
    void keep(const Candidate& candidate) noexcept;
    std::span<const Candidate> choose() noexcept;

    Network network_;
    LinearScratch scratch_[Team::most_threads];
    const Kernels* kernels_ = nullptr;
    Candidate* room_ = nullptr;
    int max_candidates_ = 0;
    Turns turns_ = Turns::none;
    std::uint8_t* upright_ = nullptr;  // the image before it is turned, packed; with Turns::all
    int seen_ = 0, kept_ = 0;
    std::int64_t pixels_ = 0;
};

}  // namespace mien
