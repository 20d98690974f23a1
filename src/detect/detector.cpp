// SPDX-License-Identifier: MIT
// Formulas: CascadeClassifier::detectMultiScale of OpenCV 4 (objdetect), found and checked by comparing results; the script
// tests/compare_opencv.py repeats the comparison. Rounding is always to nearest, ties to even (std::lrint).
#include "detect/detector.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "detect/cascade.h"
#include "kernels/tables.h"

namespace mien {
namespace {

constexpr int max_unit_lanes = 64;   // how far past a row's last window a vector kernel may read
constexpr int band_window_rows = 64; // window positions (rows) that a full band serves

int round_even(double v) noexcept { return static_cast<int>(std::lrint(v)); }
// The products of OpenCV are of floats, rounded to float before they are rounded to an integer.
int scaled_length(int length, float scale) noexcept { return round_even(static_cast<float>(length) * scale); }
int level_length(int length, float scale) noexcept { return round_even(static_cast<float>(length) / scale); }
int ceil_div(int a, int b) noexcept { return (a + b - 1) / b; }

// Rows of equal phase in a cache set would evict each other: keep the pitch off multiples of 4 KiB.
int safe_pitch(int elements) noexcept {
    const int pitch = round_up(elements, 16);
    return pitch % 1024 == 0 ? pitch + 16 : pitch;
}

void rectangle_corners(const IntegralLayout& layout, const CascadeFeature::Rectangle& r, bool tilted, std::int32_t (&out)[4]) noexcept {
    const int w = r.width, h = r.height;
    const int x[4] = {r.x, tilted ? r.x - h : r.x + w, tilted ? r.x + w : r.x, tilted ? r.x + w - h : r.x + w};
    const int y[4] = {r.y, tilted ? r.y + h : r.y, tilted ? r.y + w : r.y + h, r.y + h + (tilted ? w : 0)};
    for (int i = 0; i < 4; ++i)
        out[i] = static_cast<std::int32_t>(layout.offset(x[i], y[i]) + (tilted ? layout.tilted : 0));
}

std::uint32_t rectangle_sum(const std::uint32_t* origin, const std::int32_t (&c)[4]) noexcept {
    return origin[c[0]] - origin[c[1]] - origin[c[2]] + origin[c[3]];
}

// Feature value before normalisation. Exact for integer weights; for others this is OpenCV's order of roundings.
float node_value(const HaarNode& node, const std::uint32_t* origin) noexcept {
    float value = 0;
    for (int r = 0; r < node.rects; ++r) {
        const float term = static_cast<float>(static_cast<std::int32_t>(rectangle_sum(origin, node.corner[r]))) * node.weight[r];
        value = r == 0 ? term : value + term;
    }
    return value;
}

std::int32_t saturate(double v) noexcept {
    return static_cast<std::int32_t>(std::clamp(v, static_cast<double>(INT_MIN), static_cast<double>(INT_MAX)));
}

}  // namespace

// ------------------------------------------------------------------------------------------------ set-up

void Detector::place(Arena& arena, const Cascade& cascade, int max_width, int max_height, int max_candidates,
                     const Kernels& kernels, bool reference) noexcept {
    cascade_ = cascade;
    kernels_ = &kernels;
    reference_ = reference;
    max_width_ = max_width;
    max_height_ = max_height;

    // Levels at scale 2 and above use a step of 1, and are at most half as wide as the frame.
    const int half_columns = safe_pitch(max_width / 2 + 3 + max_unit_lanes);
    steps_[0].layout = {.step = 1, .pitch = half_columns, .odd = 0, .tilted = 0};
    steps_[1].layout = {.step = 2, .pitch = safe_pitch(2 * half_columns), .odd = half_columns, .tilted = 0};
    band_rows_ = std::min(max_height + 1, band_window_rows + cascade.window_height() + 1);
    plane_elements_ = static_cast<std::size_t>(band_rows_) * static_cast<std::size_t>(steps_[1].layout.pitch) + max_unit_lanes;
    const std::size_t planes = cascade.has_tilted() ? 3 : 2;
    band_ = arena.take<std::uint32_t>(plane_elements_ * planes);
    // Vector kernels read (and ignore) a few elements past each row's last window: let them be defined.
    if (band_ != nullptr) std::memset(band_, 0, plane_elements_ * planes * sizeof *band_);

    const auto width = static_cast<std::size_t>(max_width);
    for (auto& row : pixel_rows_) row = arena.take<std::uint8_t>(width);
    resize_.taps = arena.take<LevelResizer::Tap>(width);
    for (auto& row : resize_.rows) row = arena.take<std::uint16_t>(width);
    hits_ = arena.take<std::int32_t>(width + max_unit_lanes);
    candidates_.place(arena, max_candidates);
    for (Step& step : steps_) {
        step.layout.tilted = static_cast<std::ptrdiff_t>(2 * plane_elements_);
        place_step(arena, step);
    }
}

void Detector::place_step(Arena& arena, Step& step) noexcept {
    const CascadeAccess access{cascade_};
    step.detector = this;
    step.nodes = nullptr;
    step.table = {};
    step.table.norm_area = static_cast<double>((cascade_.window_width() - 2) * (cascade_.window_height() - 2));
    rectangle_corners(step.layout, {1, 1, cascade_.window_width() - 2, cascade_.window_height() - 2, 0}, false, step.table.norm_corner);
    if (!access.stumps_only()) {
        step.nodes = arena.take<HaarNode>(static_cast<std::size_t>(cascade_.node_count()));
        for (int i = 0; step.nodes != nullptr && i < cascade_.node_count(); ++i)
            step.nodes[i] = make_node(step.layout, static_cast<std::uint32_t>(i));
        return;
    }
    std::size_t three_rects = 0;
    for (int i = 0; i < cascade_.node_count(); ++i)
        three_rects += access.feature(access.node(static_cast<std::uint32_t>(i)).feature).count == 3;
    auto* const stages = arena.take<HaarStage>(static_cast<std::size_t>(cascade_.stage_count()));
    auto* const stumps2 = arena.take<HaarStump<2>>(static_cast<std::size_t>(cascade_.node_count()) - three_rects);
    auto* const stumps3 = arena.take<HaarStump<3>>(three_rects);
    if (stages != nullptr && stumps2 != nullptr && stumps3 != nullptr) build_step(step, stages, stumps2, stumps3);
}

void Detector::build_step(Step& step, HaarStage* stages, HaarStump<2>* stumps2, HaarStump<3>* stumps3) noexcept {
    const CascadeAccess access{cascade_};
    step.table.stages = stages;
    step.table.stage_count = cascade_.stage_count();
    step.table.stumps2 = stumps2;
    step.table.stumps3 = stumps3;
    step.table.exact_context = &step;
    step.table.exact_stage = [](const HaarTable& table, int stage, const std::uint32_t* origin, float norm) noexcept {
        const auto& self = *static_cast<const Step*>(table.exact_context);
        return self.detector->exact_stage(self, stage, origin, norm);
    };
    std::int32_t next2 = 0, next3 = 0;
    for (int s = 0; s < cascade_.stage_count(); ++s) {
        const CascadeStage stage = access.stage(s);
        // The fixed point: as many fraction bits as keep the sum of all |gains| within 2^30.
        double total_gain = 0, base = 0, magnitude = 0;
        for (std::uint32_t t = 0; t < stage.tree_count; ++t) {
            const CascadeTree tree = access.tree(stage.first_tree + t);
            const double left = access.leaf(tree.first_leaf), right = access.leaf(tree.first_leaf + 1);
            total_gain += std::abs(left - right);
            base += right;
            magnitude += std::abs(left) + std::abs(right);
        }
        const int shift = total_gain > 0 ? 29 - std::ilogb(total_gain) : 0;
        HaarStage& out = stages[s];
        out.first2 = next2;
        out.first3 = next3;
        for (std::uint32_t t = 0; t < stage.tree_count; ++t) {
            const CascadeTree tree = access.tree(stage.first_tree + t);
            const HaarNode node = make_node(step.layout, tree.first_node);
            const double gain = static_cast<double>(access.leaf(tree.first_leaf)) - static_cast<double>(access.leaf(tree.first_leaf + 1));
            const auto fill = [&](auto& stump, int rects) {
                std::memcpy(stump.corner, node.corner, sizeof stump.corner);
                std::memcpy(stump.weight, node.weight, sizeof stump.weight);
                if (node.rects < rects) {  // one rectangle: a second one that weighs nothing
                    std::memcpy(stump.corner[1], stump.corner[0], sizeof stump.corner[0]);
                    stump.weight[1] = 0;
                }
                stump.threshold = node.threshold;
                stump.gain = static_cast<std::int32_t>(std::lrint(std::ldexp(gain, shift)));
            };
            if (node.rects == 3)
                fill(stumps3[next3++], 3);
            else
                fill(stumps2[next2++], 2);
        }
        out.count2 = next2 - out.first2;
        out.count3 = next3 - out.first3;
        // What fixed point and double can differ by: half a unit for each gain, and the roundings of double sums (ours of
        // `base`, the reference's of its own sum).
        const double count = stage.tree_count;
        const double slack = count / 2 + 2 + std::ldexp(magnitude * count, shift - 50);
        const double threshold = std::ldexp(static_cast<double>(stage.threshold) - base, shift);
        out.pass_from = saturate(std::ceil(threshold + slack));
        out.fail_below = saturate(std::floor(threshold - slack));
    }
}

HaarNode Detector::make_node(const IntegralLayout& layout, std::uint32_t index) const noexcept {
    const CascadeAccess access{cascade_};
    const CascadeNode record = access.node(index);
    const CascadeFeature feature = access.feature(record.feature);
    HaarNode node = {};
    node.threshold = record.threshold;
    node.rects = feature.count;
    node.left = record.left;
    node.right = record.right;
    for (int r = 0; r < feature.count; ++r) {
        rectangle_corners(layout, feature.rects[r], feature.tilted, node.corner[r]);
        node.weight[r] = feature.rects[r].weight;
    }
    return node;
}

// ------------------------------------------------------------------------------------------------ reference evaluation

// The stage as OpenCV computes it: trees in file order, leaves added in double.
bool Detector::exact_stage(const Step& step, int stage, const std::uint32_t* origin, float norm) const noexcept {
    const CascadeAccess access{cascade_};
    const CascadeStage record = access.stage(stage);
    double sum = 0;
    for (std::uint32_t t = 0; t < record.tree_count; ++t) {
        const CascadeTree tree = access.tree(record.first_tree + t);
        int at = 0;
        do {
            const std::uint32_t index = tree.first_node + static_cast<std::uint32_t>(at);
            const HaarNode node = step.nodes != nullptr ? step.nodes[index] : make_node(step.layout, index);
            at = node_value(node, origin) * norm < node.threshold ? node.left : node.right;
        } while (at > 0);
        sum += access.leaf(tree.first_leaf + static_cast<std::uint32_t>(-at));
    }
    return !(sum < static_cast<double>(record.threshold));
}

int Detector::reference_row(const Step& step, const HaarRow& row) const noexcept {
    int found = 0;
    for (int i = 0; i < row.count; ++i) {
        const std::uint32_t* origin = row.sum + i;
        float norm;
        const auto& corner = step.table.norm_corner;
        if (!haar_norm(rectangle_sum(origin, corner), rectangle_sum(row.square + i, corner), step.table.norm_area, norm)) continue;
        int stage = 0;
        while (stage < cascade_.stage_count() && exact_stage(step, stage, origin, norm)) ++stage;
        if (stage == cascade_.stage_count()) hits_[found++] = i;
        if (stage == 0) ++i;  // a window that fails in stage 0 takes its neighbour with it
    }
    return found;
}

// ------------------------------------------------------------------------------------------------ integral images

// Row y + 1 of the integral images from pixel row y; `sum` points at that row, the row above lies one pitch before it.
template <int step>
void Detector::integrate_row(const IntegralLayout& layout, const std::uint8_t* pixels, const std::uint8_t* pixels_above, int width,
                             std::uint32_t* sum, bool second_row_exists) noexcept {
    const auto at = [odd = layout.odd](int x) -> std::ptrdiff_t { return step == 1 ? x : (x >> 1) + (x & 1) * odd; };
    const std::ptrdiff_t pitch = layout.pitch;
    std::uint32_t* const square = sum + plane_elements_;
    std::uint32_t row_sum = 0, row_square = 0;
    sum[0] = square[0] = 0;
    for (int x = 0; x < width; ++x) {
        const std::uint32_t p = pixels[x];
        row_sum += p;
        row_square += p * p;
        const std::ptrdiff_t i = at(x + 1);
        sum[i] = sum[i - pitch] + row_sum;
        square[i] = square[i - pitch] + row_square;
    }
    if (!cascade_.has_tilted()) return;
    // T(x, y) is the sum over the triangle above (x, y) that opens upwards; each comes from the two rows above it.
    std::uint32_t* const tilted = sum + 2 * plane_elements_;
    const std::uint32_t* const above = tilted - pitch;
    tilted[0] = above[at(1)];
    for (int x = 1; x <= width; ++x) {
        std::uint32_t value = above[at(x - 1)] + pixels[x - 1];
        if (pixels_above != nullptr) value += pixels_above[x - 1];
        if (x < width) {
            value += above[at(x + 1)];
            if (second_row_exists) value -= (above - pitch)[at(x)];
        }
        tilted[at(x)] = value;
    }
}

// ------------------------------------------------------------------------------------------------ scanning

void Detector::scan_level(const std::uint8_t* gray, std::ptrdiff_t stride_bytes, int width, int height, const Level& level,
                          int stripes) noexcept {
    const int level_width = level_length(width, level.scale), level_height = level_length(height, level.scale);
    const int step_pixels = level.scale >= 2 ? 1 : 2;
    const Step& step = steps_[step_pixels - 1];
    const IntegralLayout& layout = step.layout;
    const int window_height = cascade_.window_height();
    const int columns = level_width + 1 - cascade_.window_width(), rows = level_height + 1 - window_height;
    if (columns <= 0 || rows <= 0) return;
    // OpenCV cuts the rows into stripes for its threads, and the division loses the last row now and then.
    const int stripe_rows = std::max((rows / step_pixels + stripes - 1) / stripes, 1) * step_pixels;
    const int end_row = static_cast<int>(std::min(std::int64_t{stripes} * stripe_rows, std::int64_t{rows}));
    const int windows = ceil_div(columns, step_pixels);

    LevelResizer resizer(gray, stride_bytes, width, height, level_width, level_height, resize_);
    int first_row = 0, next_row = 0;  // the band holds integral rows first_row .. next_row - 1
    const std::uint8_t* pixels_above = nullptr;
    for (int y = 0; y < end_row; y += step_pixels) {
        if (y + window_height >= next_row) {
            // Slide: rows from y on move to the front of each plane, then the band is filled up.
            const int planes = cascade_.has_tilted() ? 3 : 2;
            const int keep = std::max(next_row - y, 0);
            for (int plane = 0; plane < planes && y > first_row && keep > 0; ++plane) {
                std::uint32_t* base = band_ + static_cast<std::size_t>(plane) * plane_elements_;
                std::memmove(base, base + std::ptrdiff_t{y - first_row} * layout.pitch,
                             static_cast<std::size_t>(keep) * static_cast<std::size_t>(layout.pitch) * sizeof *base);
            }
            first_row = y;
            if (next_row == 0) {
                for (int plane = 0; plane < planes; ++plane)
                    std::memset(band_ + static_cast<std::size_t>(plane) * plane_elements_, 0,
                                static_cast<std::size_t>(layout.pitch) * sizeof *band_);
                next_row = 1;
            }
            const int last = std::min(first_row + band_rows_, std::min(end_row - 1 + window_height, level_height) + 1);
            for (; next_row < last; ++next_row) {
                const std::uint8_t* pixels = resizer.row(next_row - 1, pixel_rows_[next_row & 1]);
                std::uint32_t* out = band_ + std::ptrdiff_t{next_row - first_row} * layout.pitch;
                if (step_pixels == 1)
                    integrate_row<1>(layout, pixels, pixels_above, level_width, out, next_row >= 2);
                else
                    integrate_row<2>(layout, pixels, pixels_above, level_width, out, next_row >= 2);
                pixels_above = pixels;
            }
        }
        const std::uint32_t* origin = band_ + std::ptrdiff_t{y - first_row} * layout.pitch;
        const HaarRow row = {&step.table, origin, origin + plane_elements_, windows};
        const bool literal = reference_ || step.nodes != nullptr;
        const int found = literal ? reference_row(step, row) : kernels_->detect.haar_row(row, hits_);
        for (int i = 0; i < found; ++i)
            candidates_.add({scaled_length(hits_[i] * step_pixels, level.scale), scaled_length(y, level.scale),
                             level.window_width, level.window_height});
        stats_.windows += windows;
    }
    ++stats_.levels;
}

std::span<const Detection> Detector::detect(const std::uint8_t* gray, std::ptrdiff_t stride_bytes, int width, int height,
                                            const DetectorOptions& options) noexcept {
    candidates_.clear();
    stats_ = {};
    const int window_width = cascade_.window_width(), window_height = cascade_.window_height();
    if (width < window_width || height < window_height) return {};
    const int max_width = options.max_size > 0 ? options.max_size : width;
    const int max_height = options.max_size > 0 ? options.max_size : height;

    int stripes = 0;
    const auto scan = [&](const Level& level) {
        // The number of stripes comes from the width (not the height) of the first level that is scanned.
        if (stripes == 0)
            stripes = std::max(ceil_div(level_length(width, level.scale) + 1 - window_width, 32), 1);
        scan_level(gray, stride_bytes, width, height, level, stripes);
    };
    Level nearest = {};
    std::int64_t nearest_distance = -1;
    for (double factor = 1; round_even(window_width * factor) <= width && round_even(window_height * factor) <= height;
         factor *= options.scale_factor) {
        const float scale = static_cast<float>(factor);
        const Level level = {scale, scaled_length(window_width, scale), scaled_length(window_height, scale)};
        const std::int64_t dx = options.min_size - level.window_width, dy = options.min_size - level.window_height;
        if (nearest_distance < 0 || dx * dx + dy * dy < nearest_distance) {
            nearest = level;
            nearest_distance = dx * dx + dy * dy;
        }
        if (stripes != 0 && (level.window_width > max_width || level.window_height > max_height)) break;
        if (level.window_width > max_width || level.window_height > max_height) continue;  // for `nearest` only
        if (level.window_width < options.min_size || level.window_height < options.min_size) continue;
        scan(level);
    }
    if (stripes == 0 && nearest_distance >= 0) scan(nearest);  // no size fits: OpenCV takes the one closest to min_size
    stats_.candidates = candidates_.count();
    stats_.candidates_dropped = candidates_.dropped();
    return candidates_.group(options.min_neighbors, width, height);
}

}  // namespace mien
