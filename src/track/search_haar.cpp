// SPDX-License-Identifier: MIT
#include "track/search_haar.h"

#include <algorithm>
#include <cmath>

#include "base/geometry.h"
#include "image/gray.h"

namespace mien {
namespace {

// More parts make frames evener, but every part begins with rows that were searched before.
constexpr int parts_per_cycle = 12;

// Around a known face: how much of the box is added on each side, more after frames without it, and
// which sizes are searched, as factors of its own.
constexpr double known_margin = 0.5, known_margin_per_miss = 0.15;
constexpr int known_misses = 4;
constexpr double known_smaller = 0.7, known_larger = 1.45;
// Around a hint, whose size is that of one window and so less certain.
constexpr double hint_margin = 0.6, hint_smaller = 0.55, hint_larger = 1.8;

int rounded(double v) noexcept { return static_cast<int>(std::lrint(v)); }

}  // namespace

void HaarSearch::place(Arena& arena, const TrackerConfig& config, const Cascade& cascade,
                       const Kernels& kernels, Engine& engine, const FrameTimer& timer,
                       TrackerStats& stats) noexcept {
    config_ = config;
    cascade_ = cascade;
    kernels_ = &kernels;
    engine_ = &engine;
    timer_ = &timer;
    stats_ = &stats;
    hints_ = arena.take<Rect>(static_cast<std::size_t>(config.max_tracks));
    gray_ = arena.take<std::uint8_t>(static_cast<std::size_t>(config.engine.max_width) *
                                     static_cast<std::size_t>(config.engine.max_height));
}

int HaarSearch::neighbors_of_new() const noexcept {
    return std::max(config_.engine.detector.min_neighbors, 1);
}

void HaarSearch::begin_frame(const Frame& frame) noexcept {
    const GrayView gray = gray_of(frame, bounds(frame), kernels_->image, gray_);
    view_ = {gray.data, frame.width, frame.height, gray.stride_bytes, PixelFormat::gray8};
}

void HaarSearch::begin_stream() noexcept {
    credit_ = 0;
    next_part_ = 0;
    plan_parts();
}

// Divides the windows of a full search into parts of about the same number of windows.
void HaarSearch::plan_parts() noexcept {
    const DetectorOptions& options = config_.engine.detector;
    const double scale = shrink(view_.width);
    const int w = std::max(1, rounded(view_.width * scale)),
              h = std::max(1, rounded(view_.height * scale));
    part_count_ = 0;
    const auto windows_at = [&](double factor) {
        const std::int64_t columns = std::lrint(w / factor) + 1 - cascade_.window_width(),
                           rows = std::lrint(h / factor) + 1 - cascade_.window_height();
        const std::int64_t step = factor >= 2 ? 1 : 2;
        return columns <= 0 || rows <= 0
                   ? 0
                   : ((columns + step - 1) / step) * ((rows + step - 1) / step);
    };
    const auto each_size = [&](auto&& visit) {
        for (double factor = 1; rounded(cascade_.window_width() * factor) <= w &&
                                rounded(cascade_.window_height() * factor) <= h;
             factor *= options.scale_factor) {
            const int size = rounded(cascade_.window_width() * factor);
            if (options.max_size > 0 &&
                std::max(size, rounded(cascade_.window_height() * factor)) > options.max_size)
                break;
            if (std::min(size, rounded(cascade_.window_height() * factor)) >= options.min_size)
                visit(factor, size);
        }
    };
    std::int64_t total = 0;
    each_size([&](double factor, int) { total += windows_at(factor); });
    stats_->full_windows = total;
    const std::int64_t share = std::max<std::int64_t>(total / parts_per_cycle, 1);
    Part open = {0, 0, 0, view_.height, 0};
    const auto close = [&] {
        if (open.windows > 0 && part_count_ < max_parts) parts_[part_count_++] = open;
        open = {0, 0, 0, view_.height, 0};
    };
    each_size([&](double factor, int size) {
        const std::int64_t windows = windows_at(factor);
        const int bands =
            static_cast<int>(std::min<std::int64_t>((windows + share / 2) / share, 16));
        if (bands >= 2) {
            close();
            // Bands overlap by a window and a quarter, so that candidates that belong together are
            // together in one.
            const double window = cascade_.window_height() * factor / scale,
                         rows = std::max(view_.height - window, 1.0);
            for (int band = 0; band < bands && part_count_ < max_parts; ++band) {
                const int top = rounded(rows * band / bands),
                          bottom = std::min(view_.height,
                                            rounded(rows * (band + 1) / bands + 1.25 * window) + 2);
                parts_[part_count_++] = {size, size, top, bottom, windows / bands};
            }
            return;
        }
        if (open.windows > 0 && open.windows + windows > share * 5 / 4) close();
        if (open.windows == 0) open.min_size = size;
        open.max_size = size;
        open.windows += windows;
    });
    close();
}

// Faces inside of `area` (which is cut to the frame); sizes are in pixels of the frame.
std::span<const Face> HaarSearch::search(const Rect& area, double min_size, double max_size,
                                         int min_neighbors) noexcept {
    const Rect inside = clamped(area, view_.width, view_.height);
    if (inside.width < 2 || inside.height < 2) return {};
    const double scale = shrink(inside.width);
    DetectorOptions options = config_.engine.detector;
    const int smallest = std::max(options.min_size, 1),
              largest = options.max_size > 0 ? options.max_size : max_frame_side;
    options.min_size = std::max(smallest, rounded(min_size * scale));
    options.max_size = std::min(largest, std::max(rounded(max_size * scale), 1));
    if (options.max_size < options.min_size) return {};
    options.min_neighbors = min_neighbors;
    std::span<const Face> faces;
    const std::uint64_t before = timer_->now();
    if (engine_->detect(view_, inside, options, faces) != Status::ok) return {};
    const std::int64_t windows = engine_->detector_stats().windows;
    stats_->windows += windows;
    // small searches consist mostly of set-up
    if (windows > 2000) timer_->learn(before, windows, ns_per_window_);
    return faces;
}

std::span<const Face> HaarSearch::search_near(const Rect& box, double grow, double smaller,
                                              double larger, int min_neighbors) noexcept {
    const int dx = rounded(box.width * grow), dy = rounded(box.height * grow);
    return search({box.x - dx, box.y - dy, box.width + 2 * dx, box.height + 2 * dy},
                  box.width * smaller, box.width * larger, min_neighbors);
}

std::span<const Face> HaarSearch::near_known(const Rect& expected, int missed) noexcept {
    ++stats_->searches;
    const double margin = known_margin + known_margin_per_miss * std::min(missed, known_misses);
    return search_near(expected, margin, known_smaller, known_larger, config_.keep_neighbors);
}

std::span<const Face> HaarSearch::near_hint(const Rect& hint) noexcept {
    ++stats_->hints;
    return search_near(hint, hint_margin, hint_smaller, hint_larger, neighbors_of_new());
}

std::span<const Face> HaarSearch::everywhere() noexcept {
    stats_->full = true;
    credit_ = 0;
    std::span<const Face> faces;
    const std::uint64_t before = timer_->now();
    DetectorOptions options = config_.engine.detector;
    options.min_neighbors = neighbors_of_new();
    if (engine_->detect(view_, bounds(view_), options, faces) != Status::ok) return {};
    const std::int64_t windows = engine_->detector_stats().windows;
    stats_->windows += windows;
    stats_->full_windows = windows;
    if (stats_->windows > 0 && config_.engine.clock_ns != nullptr)
        ns_per_window_ =
            static_cast<double>(timer_->now() - before) / static_cast<double>(stats_->windows);
    return faces;
}

std::span<const Rect> HaarSearch::hints(std::uint64_t elapsed_ns,
                                        std::span<const Rect> known) noexcept {
    const double cycle = static_cast<double>(std::max<std::uint64_t>(config_.cycle_ns, 1)),
                 all = static_cast<double>(stats_->full_windows);
    credit_ =
        std::min(credit_ + all * std::max(static_cast<double>(elapsed_ns) / cycle, 1e-3), all);
    std::size_t count = 0;
    for (int done = 0; done < part_count_; ++done) {
        const Part& part = parts_[next_part_];
        const auto windows = static_cast<double>(part.windows);
        // one per frame at least, or nobody new would ever be found
        if (credit_ <= 0 || (done > 0 && timer_->over_budget(ns_per_window_ * windows))) break;
        credit_ -= windows;
        next_part_ = (next_part_ + 1) % part_count_;
        ++stats_->parts;
        const double scale = shrink(view_.width);
        const std::span<const Face> faces =
            search({0, part.top, view_.width, part.bottom - part.top}, part.min_size / scale,
                   part.max_size / scale, 1);
        for (const Face& face : faces) {
            const auto is_here = [&](const Rect& r) { return same_place(face.box, r); };
            const bool seen = std::any_of(known.begin(), known.end(), is_here) ||
                              std::any_of(hints_, hints_ + count, is_here);
            if (!seen && count < static_cast<std::size_t>(config_.max_tracks))
                hints_[count++] = face.box;
        }
    }
    return {hints_, count};
}

}  // namespace mien
