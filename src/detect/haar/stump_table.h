// SPDX-License-Identifier: MIT
// The tables of a cascade, made for evaluating many windows at once.
#pragma once

#include <cstdint>

#include "base/arena.h"
#include "detect/haar/cascade.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"

namespace mien {

// How an integral image lies in memory for windows `step` pixels apart: with a step of 2 the even
// and the odd columns of a row are apart, so that the corners of neighboring windows are neighbors.
struct IntegralLayout {
    int step;               // 1 or 2
    int pitch;              // elements from row to row
    int odd;                // step 2: element at which the odd columns of a row begin
    std::ptrdiff_t tilted;  // elements from the integral image to the tilted one
    // elements from column to column, when a batch has copied windows side by side
    int column = 1;

    [[nodiscard]] std::ptrdiff_t offset(int x, int y) const noexcept {
        return std::ptrdiff_t{y} * pitch + (step == 1 ? x * column : (x >> 1) + (x & 1) * odd);
    }
};

class StumpTable {
public:
    StumpTable() = default;
    StumpTable(const StumpTable&) = delete;  // its table points to it
    StumpTable& operator=(const StumpTable&) = delete;

    // Stages before early_stages run on rows of neighboring windows, those before middle_stages on
    // batches of gathered ones, the rest on batches of what is left then (detect.h); and how many
    // stumps of each kind the early and the other stages have, or how many corners of each kind the
    // nodes of their trees. Asked once, when a cascade without large trees is opened: a table is
    // measured several times before it is built, and sorting the features into kinds is most of the
    // work.
    static constexpr int kinds = 6;
    static void prepare(const Cascade& cascade, int& early_stages, int& middle_stages,
                        int (&counts)[2][kinds]) noexcept;

    // Takes its memory from the arena and builds the tables; while the arena only measures, nothing
    // is written. rows: what HaarRow::table and HaarBatch::table need; batches:
    // HaarBatch::batch_table; all: HaarRow::table without batches.
    enum class Use { rows, batches, all };
    void place(Arena& arena, const Cascade& cascade, const IntegralLayout& layout,
               Use use) noexcept;

    [[nodiscard]] const IntegralLayout& layout() const noexcept { return layout_; }
    [[nodiscard]] const HaarTable& table() const noexcept { return table_; }
    // False for cascades with large trees: those run window by window.
    [[nodiscard]] bool vectorised() const noexcept {
        return !CascadeAccess{cascade_}.has_large_trees();
    }
    // HaarRowFn exactly as specified, for any cascade.
    int literal_row(const HaarRow& row, HaarSurvivor* hits) const noexcept;
    // The sum of the last stage for a window of that row, as OpenCV computes it.
    double last_stage(const HaarOrigin& origin, int window) const noexcept;

private:
    // A tree node ready to run: corner offsets and weights of its feature.
    struct Node {
        std::int32_t corner[3][4];
        float weight[3];
        float threshold;
        std::int32_t rects, left, right;
    };
    struct Stump;
    struct Builder;
    enum TreeCorners { narrow_corners, wide_corners };  // kinds of a cascade with trees

    [[nodiscard]] Stump make_stump(const CascadeNode& node) const noexcept;
    // Cuts a feature of weights -1 and k (and k) across so that each of at least `min_parts` parts
    // fits in 16 bits; false if that needs too many.
    [[nodiscard]] bool split_feature(const CascadeFeature& feature, int min_parts,
                                     Stump& stump) const noexcept;
    void count_stumps(int early_stages, int (&counts)[2][kinds]) const noexcept;
    void count_corners(int early_stages, int (&counts)[2][kinds]) const noexcept;
    static bool is_in(Use use, bool wide, bool late_stage) noexcept;
    void place_stumps(Arena& arena, Use use) noexcept;
    void place_trees(Arena& arena, Use use) noexcept;
    [[nodiscard]] Node make_node(std::uint32_t index) const noexcept;
    [[nodiscard]] double stage_sum(int stage, const std::uint32_t* origin,
                                   float norm) const noexcept;
    [[nodiscard]] bool exact_stage(int stage, const std::uint32_t* origin,
                                   float norm) const noexcept;
    [[nodiscard]] bool norm_of(const HaarOrigin& origin, int window, float& norm) const noexcept;
    [[nodiscard]] float node_value(const Node& node, const std::uint32_t* origin) const noexcept;

    Cascade cascade_;
    IntegralLayout layout_ = {};
    HaarTable table_ = {};
    Node* nodes_ = nullptr;  // by node, when the cascade has large trees; else null
};

}  // namespace mien
