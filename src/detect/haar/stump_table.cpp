// SPDX-License-Identifier: MIT
#include "detect/haar/stump_table.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/tables.h"

namespace mien {
namespace {

using Rectangle = CascadeFeature::Rectangle;

void rectangle_corners(const IntegralLayout& layout, const Rectangle& r, bool tilted,
                       std::int32_t (&out)[4]) noexcept {
    const int w = r.width, h = r.height;
    const int x[4] = {r.x, tilted ? r.x - h : r.x + w, tilted ? r.x + w : r.x,
                      tilted ? r.x + w - h : r.x + w};
    const int y[4] = {r.y, tilted ? r.y + h : r.y, tilted ? r.y + w : r.y + h,
                      r.y + h + (tilted ? w : 0)};
    for (int i = 0; i < 4; ++i)
        out[i] =
            static_cast<std::int32_t>(layout.offset(x[i], y[i]) + (tilted ? layout.tilted : 0));
}

std::uint32_t rectangle_sum(const std::uint32_t* origin, const std::int32_t (&c)[4]) noexcept {
    return origin[c[0]] - origin[c[1]] - origin[c[2]] + origin[c[3]];
}

std::int32_t saturate(double v) noexcept {
    return static_cast<std::int32_t>(
        std::clamp(v, static_cast<double>(INT_MIN), static_cast<double>(INT_MAX)));
}

// A feature as a sum of corners of the integral image, corners of touching rectangles merged.
struct CornerSum {
    struct Corner {
        int x, y, weight;
    };
    Corner corners[12];
    int count = 0;

    void add(int x, int y, int weight) noexcept {
        for (int i = 0; i < count; ++i)
            if (corners[i].x == x && corners[i].y == y) {
                corners[i].weight += weight;
                return;
            }
        corners[count++] = {x, y, weight};
    }
    // Writes the corners of that weight, returns how many.
    int take(int weight, const IntegralLayout& layout, std::int32_t* out) const noexcept {
        int taken = 0;
        for (int i = 0; i < count; ++i)
            if (corners[i].weight == weight)
                out[taken++] = static_cast<std::int32_t>(layout.offset(corners[i].x, corners[i].y));
        return taken;
    }
};

// By insertion. Not std::sort: g++ 14 warns that its part for more than 16 elements overruns arrays
// of six.
void sort_few(int* values, int count) noexcept {
    for (int i = 1; i < count; ++i)
        for (int k = i; k > 0 && values[k - 1] > values[k]; --k)
            std::swap(values[k - 1], values[k]);
}

// True if the feature's value fits in signed 16 bits for all pixels, and every step of OpenCV's
// float arithmetic on it is exact. The value is largest where pixels are 255 in cells of positive
// total weight and 0 elsewhere.
bool fits_16_bits(const CascadeFeature& feature) noexcept {
    if (feature.tilted) return false;
    int xs[6], ys[6], edges = 0;
    double total = 0;
    for (int r = 0; r < feature.count; ++r) {
        const Rectangle& rect = feature.rects[r];
        if (rect.weight != std::floor(rect.weight) || std::abs(rect.weight) > 100) return false;
        total += std::abs(static_cast<double>(rect.weight)) * rect.width * rect.height * 255;
        xs[edges] = rect.x;
        ys[edges++] = rect.y;
        xs[edges] = rect.x + rect.width;
        ys[edges++] = rect.y + rect.height;
    }
    if (total >= 1 << 24) return false;
    if (total <= INT16_MAX) return true;  // even if all of it had one sign
    sort_few(xs, edges);
    sort_few(ys, edges);
    int highest = 0, lowest = 0;
    for (int j = 0; j + 1 < edges; ++j)
        for (int i = 0; i + 1 < edges; ++i) {
            int weight = 0;
            for (int r = 0; r < feature.count; ++r) {
                const Rectangle& rect = feature.rects[r];
                const bool covers = xs[i] >= rect.x && xs[i] < rect.x + rect.width &&
                                    ys[j] >= rect.y && ys[j] < rect.y + rect.height;
                if (covers) weight += static_cast<int>(rect.weight);
            }
            const int value = weight * (xs[i + 1] - xs[i]) * (ys[j + 1] - ys[j]) * 255;
            (value > 0 ? highest : lowest) += value;
        }
    return highest <= INT16_MAX && lowest >= INT16_MIN;
}

}  // namespace

// ---------------------------------------------------------------------- building

// One stump of whichever kind its feature allows; kinds in the order of HaarStage's ranges.
struct StumpTable::Stump {
    enum Kind { edge, line, diagonal, split, wide2, wide3 };
    Kind kind;
    std::int32_t corner[8 * SplitStump::max_parts];
    std::int32_t weight;  // of LineStump and SplitStump, or DiagonalStump::sign
    std::int32_t parts;   // of SplitStump
};

bool StumpTable::split_feature(const CascadeFeature& feature, int min_parts,
                               Stump& stump) const noexcept {
    const Rectangle& outer = feature.rects[0];
    const float k = feature.rects[1].weight;
    if (feature.tilted || feature.count < 2 || outer.weight != -1 || k < 1 || k > 100 ||
        k != std::floor(k))
        return false;
    for (int r = 1; r < feature.count; ++r) {
        const Rectangle& inner = feature.rects[r];
        if (inner.weight != k || inner.x < outer.x || inner.y < outer.y ||
            inner.x + inner.width > outer.x + outer.width ||
            inner.y + inner.height > outer.y + outer.height)
            return false;
    }
    const auto cut = [](const Rectangle& r, int x0, int y0, int x1, int y1) {
        const int left = std::max(r.x, x0), top = std::max(r.y, y0);
        const int right = std::max(std::min(r.x + r.width, x1), left),
                  bottom = std::max(std::min(r.y + r.height, y1), top);
        return Rectangle{left, top, right - left, bottom - top, r.weight};
    };
    const auto area = [](const Rectangle& r) { return r.width * r.height; };
    const auto weight = static_cast<int>(k);
    // cuts[0] is 0, cuts[parts] the whole length
    const auto try_cuts = [&](bool across, const int* cuts, int parts) {
        Rectangle outers[SplitStump::max_parts], inners[SplitStump::max_parts];
        for (int p = 0; p < parts; ++p) {
            const int x0 = across ? outer.x : outer.x + cuts[p],
                      x1 = across ? outer.x + outer.width : outer.x + cuts[p + 1];
            const int y0 = across ? outer.y + cuts[p] : outer.y,
                      y1 = across ? outer.y + cuts[p + 1] : outer.y + outer.height;
            outers[p] = cut(outer, x0, y0, x1, y1);
            inners[p] = {x0, y0, 0, 0, k};
            for (int r = 1; r < feature.count; ++r) {
                const Rectangle inner = cut(feature.rects[r], x0, y0, x1, y1);
                if (area(inner) == 0) continue;
                // one rectangle per part is all there is room for
                if (area(inners[p]) != 0) return false;
                inners[p] = inner;
            }
            if (255 * (weight - 1) * area(inners[p]) > INT16_MAX ||
                255 * (area(outers[p]) - area(inners[p])) > -INT16_MIN)
                return false;
        }
        stump.kind = Stump::split;
        stump.weight = weight;
        stump.parts = parts;
        for (int p = 0; p < parts; ++p) {
            std::int32_t a[4], b[4], *out = stump.corner + 8 * p;
            rectangle_corners(layout_, outers[p], false, a);
            rectangle_corners(layout_, inners[p], false, b);
            for (const std::int32_t v : {a[1], a[2], a[0], a[3], b[0], b[3], b[1], b[2]})
                *out++ = v;
        }
        return true;
    };
    const int whole[] = {0, outer.height};
    if (min_parts == 1 && try_cuts(true, whole, 1)) return true;
    for (const bool across : {true, false}) {
        const int length = across ? outer.height : outer.width;
        for (int at = 1; at < length; ++at) {
            const int cuts[] = {0, at, length};
            if (try_cuts(across, cuts, 2)) return true;
        }
    }
    for (int parts = 3; parts <= SplitStump::max_parts; ++parts)
        for (const bool across : {true, false}) {
            const int length = across ? outer.height : outer.width;
            int cuts[SplitStump::max_parts + 1];
            for (int p = 0; p <= parts; ++p) cuts[p] = length * p / parts;
            if (length >= parts && try_cuts(across, cuts, parts)) return true;
        }
    return false;
}

StumpTable::Stump StumpTable::make_stump(const CascadeNode& node) const noexcept {
    const CascadeFeature feature = CascadeAccess{cascade_}.feature(node.feature);
    Stump stump = {};
    stump.kind = feature.count == 3 ? Stump::wide3 : Stump::wide2;
    if (!fits_16_bits(feature)) {
        (void)split_feature(feature, 2, stump);  // or it stays wide
        return stump;
    }
    CornerSum sum;
    for (int r = 0; r < feature.count; ++r) {
        const Rectangle& rect = feature.rects[r];
        const int weight = static_cast<int>(rect.weight), right = rect.x + rect.width,
                  bottom = rect.y + rect.height;
        sum.add(rect.x, rect.y, weight);
        sum.add(right, rect.y, -weight);
        sum.add(rect.x, bottom, -weight);
        sum.add(right, bottom, weight);
    }
    int used = 0, largest = 0;
    for (int i = 0; i < sum.count; ++i) {
        used += sum.corners[i].weight != 0;
        largest = std::max(largest, std::abs(sum.corners[i].weight));
    }
    const auto take = [&](int weight, int at, int wanted) {
        return sum.take(weight, layout_, stump.corner + at) == wanted;
    };
    std::int32_t spare[12];
    const auto has = [&](int weight, int wanted) {
        return sum.take(weight, layout_, spare) == wanted;
    };
    if (used == 6 && has(1, 2) && has(-1, 2) && has(2, 1) && has(-2, 1)) {
        if (take(1, 0, 2) && take(-1, 2, 2) && take(2, 4, 1) && take(-2, 5, 1))
            stump.kind = Stump::edge;
    } else if (used == 8 && largest > 1 && has(1, 2) && has(-1, 2) && has(largest, 2) &&
               has(-largest, 2)) {
        stump.weight = largest;
        if (take(1, 0, 2) && take(-1, 2, 2) && take(largest, 4, 2) && take(-largest, 6, 2))
            stump.kind = Stump::line;
    } else if (used == 9) {
        for (const int sign : {1, -1}) {
            if (!has(sign, 4) || !has(-2 * sign, 4) || !has(4 * sign, 1)) continue;
            stump.weight = sign;
            if (take(sign, 0, 4) && take(-2 * sign, 4, 4) && take(4 * sign, 8, 1))
                stump.kind = Stump::diagonal;
        }
    }
    return stump;
}

StumpTable::Node StumpTable::make_node(std::uint32_t index) const noexcept {
    const CascadeAccess access{cascade_};
    const CascadeNode record = access.node(index);
    const CascadeFeature feature = access.feature(record.feature);
    Node node = {};
    node.threshold = record.threshold;
    node.rects = feature.count;
    node.left = record.left;
    node.right = record.right;
    for (int r = 0; r < feature.count; ++r) {
        rectangle_corners(layout_, feature.rects[r], feature.tilted, node.corner[r]);
        node.weight[r] = feature.rects[r].weight;
    }
    return node;
}

// Where the stumps of each kind go; the same object while measuring and while building.
struct StumpTable::Builder {
    EdgeStump* edges;
    LineStump* lines;
    DiagonalStump* diagonals;
    SplitStump* splits;
    WideStump<2>* wide2;
    WideStump<3>* wide3;
    std::int32_t next[kinds];

    void add(const Stump& stump, const Node& node, std::int32_t gain) noexcept {
        const std::int32_t at = next[stump.kind]++;
        switch (stump.kind) {
            case Stump::edge:
                std::memcpy(edges[at].corner, stump.corner, sizeof edges->corner);
                edges[at].threshold = node.threshold;
                edges[at].gain = gain;
                break;
            case Stump::line:
                std::memcpy(lines[at].corner, stump.corner, sizeof lines->corner);
                lines[at].weight = stump.weight;
                lines[at].threshold = node.threshold;
                lines[at].gain = gain;
                break;
            case Stump::diagonal:
                std::memcpy(diagonals[at].corner, stump.corner, sizeof diagonals->corner);
                diagonals[at].sign = stump.weight;
                diagonals[at].threshold = node.threshold;
                diagonals[at].gain = gain;
                break;
            case Stump::split:
                std::memcpy(splits[at].corner, stump.corner, sizeof splits->corner);
                splits[at].weight = stump.weight;
                splits[at].parts = stump.parts;
                splits[at].threshold = node.threshold;
                splits[at].gain = gain;
                break;
            case Stump::wide2: fill(wide2[at], node, gain); break;
            case Stump::wide3: fill(wide3[at], node, gain); break;
        }
    }
    template <int rects>
    static void fill(WideStump<rects>& stump, const Node& node, std::int32_t gain) noexcept {
        std::memcpy(stump.corner, node.corner, sizeof stump.corner);
        std::memcpy(stump.weight, node.weight, sizeof stump.weight);
        if (node.rects < rects) {  // one rectangle: add a second one of weight 0
            std::memcpy(stump.corner[1], stump.corner[0], sizeof stump.corner[0]);
            stump.weight[1] = 0;
        }
        stump.threshold = node.threshold;
        stump.gain = gain;
    }
};

void StumpTable::count_stumps(int early_stages, int (&counts)[2][kinds]) const noexcept {
    const CascadeAccess access{cascade_};
    for (int s = 0; s < cascade_.stage_count(); ++s) {
        const CascadeStage stage = access.stage(s);
        for (std::uint32_t t = 0; t < stage.tree_count; ++t)
            ++counts[s >= early_stages ? 1 : 0]
                    [make_stump(access.node(access.tree(stage.first_tree + t).first_node)).kind];
    }
}

void StumpTable::count_corners(int early_stages, int (&counts)[2][kinds]) const noexcept {
    const CascadeAccess access{cascade_};
    for (int s = 0; s < cascade_.stage_count(); ++s) {
        const CascadeStage stage = access.stage(s);
        int(&of)[kinds] = counts[s >= early_stages ? 1 : 0];
        for (std::uint32_t t = 0; t < stage.tree_count; ++t) {
            const CascadeTree tree = access.tree(stage.first_tree + t);
            for (std::uint32_t n = 0; n < tree.node_count; ++n) {
                const CascadeFeature feature =
                    access.feature(access.node(tree.first_node + n).feature);
                Stump stump = {};
                if (split_feature(feature, 1, stump))
                    of[narrow_corners] += 8 * stump.parts;
                else
                    of[wide_corners] += 4 * feature.count;
            }
        }
    }
}

void StumpTable::prepare(const Cascade& cascade, int& early_stages, int& middle_stages,
                         int (&counts)[2][kinds]) noexcept {
    // Measured (docs/PERFORMANCE.md); the optimum is flat.
    constexpr std::uint32_t early_nodes = 80, middle_nodes = 240;
    const CascadeAccess access{cascade};
    StumpTable table;
    table.cascade_ = cascade;
    const auto count = [&] {
        std::memset(counts, 0, sizeof counts);
        if (access.stumps_only())
            table.count_stumps(early_stages, counts);
        else
            table.count_corners(early_stages, counts);
    };
    std::uint32_t nodes = 0;
    const auto stages_of = [&](int first, std::uint32_t most) {
        int s = first;
        for (; s < cascade.stage_count() && nodes < most; ++s) {
            const CascadeStage stage = access.stage(s);
            for (std::uint32_t t = 0; t < stage.tree_count; ++t)
                nodes += access.tree(stage.first_tree + t).node_count;
        }
        return s;
    };
    early_stages = stages_of(0, early_nodes);
    middle_stages = stages_of(early_stages, middle_nodes);
    count();
    int late = 0;
    for (const int kind : counts[1]) late += kind;
    const int wide = access.stumps_only() ? counts[1][Stump::wide2] + counts[1][Stump::wide3]
                                          : counts[1][wide_corners];
    // Wide features run window by window in a batch: with many of them it gains nothing.
    if (wide > late / 20) {
        early_stages = middle_stages = cascade.stage_count();
        count();
    }
}

namespace {

// What a stage's sum in fixed point, with 2^shift for 1, says surely; `base` was left out of it.
// The error bound on which exactness rests: |fixed-point sum - double sum| <= n / 2 (each gain or
// answer is rounded by at most half a unit) + the rounding of two double sums (of `base` here, and
// the reference's own), together below magnitude * n * 2^-50; 2 covers the rounding of the
// threshold.
void set_limits(HaarStage& out, const CascadeStage& stage, int shift, double base,
                double magnitude) noexcept {
    const double count = stage.tree_count;
    const double slack = count / 2 + 2 + std::ldexp(magnitude * count, shift - 50);
    const double threshold = std::ldexp(static_cast<double>(stage.threshold) - base, shift);
    out.pass_from = saturate(std::ceil(threshold + slack));
    out.fail_below = saturate(std::floor(threshold - slack));
}

// The most fraction bits with which a sum of magnitudes stays below 2^30: with total <
// 2^(ilogb(total) + 1), total * 2^(29 - ilogb(total)) < 2^30.
int fraction_bits(double total) noexcept { return total > 0 ? 29 - std::ilogb(total) : 0; }

std::int32_t fixed_point(double value, int shift) noexcept {
    return static_cast<std::int32_t>(std::lrint(std::ldexp(value, shift)));
}

}  // namespace

void StumpTable::place(Arena& arena, const Cascade& cascade, const IntegralLayout& layout,
                       Use use) noexcept {
    cascade_ = cascade;
    layout_ = layout;
    nodes_ = nullptr;
    table_ = {};
    table_.norm_area =
        static_cast<double>((cascade.window_width() - 2) * (cascade.window_height() - 2));
    rectangle_corners(layout, {1, 1, cascade.window_width() - 2, cascade.window_height() - 2, 0},
                      false, table_.norm_corner);
    table_.stage_count = cascade.stage_count();
    table_.exact_context = this;
    table_.exact_stage = [](const HaarTable& table, int stage, const std::uint32_t* origin,
                            float norm) noexcept {
        return static_cast<const StumpTable*>(table.exact_context)
            ->exact_stage(stage, origin, norm);
    };
    const CascadeAccess access{cascade_};
    if (access.has_large_trees()) {
        const auto node_count = static_cast<std::size_t>(cascade.node_count());
        nodes_ = arena.take<Node>(node_count);
        for (std::size_t i = 0; nodes_ != nullptr && i < node_count; ++i)
            nodes_[i] = make_node(static_cast<std::uint32_t>(i));
    } else if (access.stumps_only()) {
        place_stumps(arena, use);
    } else {
        place_trees(arena, use);
    }
}

// Narrow features of the early stages go into the table of rows, of the late ones into that of
// batches; wide ones always need the whole integral image. Without batches there is one table.
bool StumpTable::is_in(Use use, bool wide, bool late_stage) noexcept {
    const bool late = use == Use::batches;
    return use == Use::all || (wide ? !late : late_stage == late);
}

void StumpTable::place_stumps(Arena& arena, Use use) noexcept {
    const CascadeAccess access{cascade_};
    const auto belongs = [&](int kind, bool late_stage) {
        return is_in(use, kind == Stump::wide2 || kind == Stump::wide3, late_stage);
    };
    const auto stumps = [&](Stump::Kind kind) {
        int count = 0;
        for (const bool late_stage : {false, true})
            count += belongs(kind, late_stage) ? access.table_count(late_stage, kind) : 0;
        return static_cast<std::size_t>(count);
    };
    auto* const stages = arena.take<HaarStage>(static_cast<std::size_t>(cascade_.stage_count()));
    Builder builder = {arena.take<EdgeStump>(stumps(Stump::edge)),
                       arena.take<LineStump>(stumps(Stump::line)),
                       arena.take<DiagonalStump>(stumps(Stump::diagonal)),
                       arena.take<SplitStump>(stumps(Stump::split)),
                       arena.take<WideStump<2>>(stumps(Stump::wide2)),
                       arena.take<WideStump<3>>(stumps(Stump::wide3)),
                       {}};
    if (builder.wide3 == nullptr) return;  // the arena measures, or is used up
    table_.stages = stages;
    table_.edges = builder.edges;
    table_.lines = builder.lines;
    table_.diagonals = builder.diagonals;
    table_.splits = builder.splits;
    table_.wide2 = builder.wide2;
    table_.wide3 = builder.wide3;
    for (int s = 0; s < cascade_.stage_count(); ++s) {
        const CascadeStage stage = access.stage(s);
        double total_gain = 0, base = 0, magnitude = 0;
        for (std::uint32_t t = 0; t < stage.tree_count; ++t) {
            const CascadeTree tree = access.tree(stage.first_tree + t);
            const double left = access.leaf(tree.first_leaf),
                         right = access.leaf(tree.first_leaf + 1);
            total_gain += std::abs(left - right);
            base += right;
            magnitude += std::abs(left) + std::abs(right);
        }
        const int shift = fraction_bits(total_gain);
        HaarStage& out = stages[s];
        out = {};
        HaarStage::Range* const ranges[kinds] = {&out.edges,  &out.lines, &out.diagonals,
                                                 &out.splits, &out.wide2, &out.wide3};
        for (int k = 0; k < kinds; ++k) ranges[k]->first = builder.next[k];
        for (std::uint32_t t = 0; t < stage.tree_count; ++t) {
            const CascadeTree tree = access.tree(stage.first_tree + t);
            const double gain = static_cast<double>(access.leaf(tree.first_leaf)) -
                                static_cast<double>(access.leaf(tree.first_leaf + 1));
            const Stump stump = make_stump(access.node(tree.first_node));
            if (belongs(stump.kind, s >= access.early_stages()))
                builder.add(stump, make_node(tree.first_node), fixed_point(gain, shift));
        }
        for (int k = 0; k < kinds; ++k) ranges[k]->count = builder.next[k] - ranges[k]->first;
        set_limits(out, stage, shift, base, magnitude);
    }
}

// As with stumps, but all nodes are in each table; it is the corners that are only where they are
// needed.
void StumpTable::place_trees(Arena& arena, Use use) noexcept {
    const CascadeAccess access{cascade_};
    std::size_t corner_count = 0;
    for (const bool late : {false, true})
        for (const TreeCorners kind : {narrow_corners, wide_corners})
            if (is_in(use, kind == wide_corners, late))
                corner_count += static_cast<std::size_t>(access.table_count(late, kind));
    auto* const stages = arena.take<HaarStage>(static_cast<std::size_t>(cascade_.stage_count()));
    auto* const trees = arena.take<HaarTree>(static_cast<std::size_t>(cascade_.tree_count()));
    auto* const nodes = arena.take<TreeNode>(static_cast<std::size_t>(cascade_.node_count()));
    auto* const corners = arena.take<std::int32_t>(corner_count);
    if (stages == nullptr || trees == nullptr || nodes == nullptr || corners == nullptr) return;
    table_.stages = stages;
    table_.trees = trees;
    table_.tree_nodes = nodes;
    table_.tree_corners = corners;
    std::int32_t next_corner = 0;
    for (int s = 0; s < cascade_.stage_count(); ++s) {
        const CascadeStage stage = access.stage(s);
        double magnitude = 0;
        for (std::uint32_t t = 0; t < stage.tree_count; ++t) {
            const CascadeTree tree = access.tree(stage.first_tree + t);
            double largest = 0;
            for (std::uint32_t n = 0; n <= tree.node_count; ++n)
                largest = std::max(largest,
                                   std::abs(static_cast<double>(access.leaf(tree.first_leaf + n))));
            magnitude += largest;
        }
        const int shift = fraction_bits(magnitude);
        stages[s] = {};
        stages[s].trees = {static_cast<std::int32_t>(stage.first_tree),
                           static_cast<std::int32_t>(stage.tree_count)};
        set_limits(stages[s], stage, shift, 0, magnitude);
        for (std::uint32_t t = stage.first_tree; t < stage.first_tree + stage.tree_count; ++t) {
            const CascadeTree tree = access.tree(t);
            trees[t] = {static_cast<std::int32_t>(tree.first_node),
                        static_cast<std::int32_t>(tree.node_count)};
            for (std::uint32_t n = tree.first_node; n < tree.first_node + tree.node_count; ++n) {
                const Node node = make_node(n);
                TreeNode& out = nodes[n];
                out = {};
                out.threshold = node.threshold;
                const int children[2] = {node.left, node.right};
                for (int side = 0; side < 2; ++side) {
                    const int child = children[side];
                    out.child[side] = std::max(child, 0);
                    if (child <= 0)
                        out.answer[side] = fixed_point(
                            access.leaf(tree.first_leaf + static_cast<std::uint32_t>(-child)),
                            shift);
                }
                Stump stump = {};
                const bool narrow = split_feature(access.feature(access.node(n).feature), 1, stump);
                out.corner = next_corner;
                out.parts = narrow ? stump.parts : 0;
                out.weight = stump.weight;
                out.rects = node.rects;
                std::memcpy(out.weights, node.weight, sizeof out.weights);
                if (!is_in(use, !narrow, s >= access.early_stages())) continue;
                const int count = narrow ? 8 * stump.parts : 4 * node.rects;
                std::memcpy(corners + next_corner, narrow ? stump.corner : node.corner[0],
                            static_cast<std::size_t>(count) * sizeof *corners);
                next_corner += count;
            }
        }
    }
}

// ------------------------------------------------------------ literal evaluation

// Feature value before normalization. Exact for integer weights; for others this is OpenCV's order
// of roundings.
float StumpTable::node_value(const Node& node, const std::uint32_t* origin) const noexcept {
    float value = 0;
    for (int r = 0; r < node.rects; ++r) {
        const float term =
            static_cast<float>(static_cast<std::int32_t>(rectangle_sum(origin, node.corner[r]))) *
            node.weight[r];
        value = r == 0 ? term : value + term;
    }
    return value;
}

// The stage as OpenCV computes it: trees in file order, leaves added in double.
double StumpTable::stage_sum(int stage, const std::uint32_t* origin, float norm) const noexcept {
    const CascadeAccess access{cascade_};
    const CascadeStage record = access.stage(stage);
    double sum = 0;
    for (std::uint32_t t = 0; t < record.tree_count; ++t) {
        const CascadeTree tree = access.tree(record.first_tree + t);
        int at = 0;
        do {
            const std::uint32_t index = tree.first_node + static_cast<std::uint32_t>(at);
            const Node node = nodes_ != nullptr ? nodes_[index] : make_node(index);
            at = node_value(node, origin) * norm < node.threshold ? node.left : node.right;
        } while (at > 0);
        sum += access.leaf(tree.first_leaf + static_cast<std::uint32_t>(-at));
    }
    return sum;
}

bool StumpTable::exact_stage(int stage, const std::uint32_t* origin, float norm) const noexcept {
    const auto threshold = static_cast<double>(CascadeAccess{cascade_}.stage(stage).threshold);
    return !(stage_sum(stage, origin, norm) < threshold);
}

bool StumpTable::norm_of(const HaarOrigin& origin, int window, float& norm) const noexcept {
    return haar_norm(rectangle_sum(origin.sum + window, table_.norm_corner),
                     rectangle_sum(origin.square + window, table_.norm_corner), table_.norm_area,
                     norm);
}

double StumpTable::last_stage(const HaarOrigin& origin, int window) const noexcept {
    float norm = 0;
    if (!norm_of(origin, window, norm)) return 0;
    return stage_sum(cascade_.stage_count() - 1, origin.sum + window, norm);
}

int StumpTable::literal_row(const HaarRow& row, HaarSurvivor* hits) const noexcept {
    int found = 0;
    for (int i = 0; i < row.count; ++i) {
        const std::uint32_t* origin = row.origin.sum + i;
        float norm;
        if (!norm_of(row.origin, i, norm)) continue;
        int stage = 0;
        while (stage < cascade_.stage_count() && exact_stage(stage, origin, norm)) ++stage;
        if (stage == cascade_.stage_count()) hits[found++] = {i, norm};
        // a window that fails in stage 0 makes the scan skip the next one, as OpenCV does
        if (stage == 0) ++i;
    }
    return found;
}

}  // namespace mien
