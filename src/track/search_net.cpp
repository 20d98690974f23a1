// SPDX-License-Identifier: MIT
#include "track/search_net.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/bytes.h"
#include "image/gray.h"
#include "nn/model_file.h"
#include "pipeline/engine_access.h"

namespace mien {
namespace {

// How far the score of a known face may lie below that of a new one.
constexpr float known_allowance = 0.2f;
// The sizes, in pixels, between which a known face is given to the network; one in between keeps its
// own. Smaller ones are found less surely. From 128 on the landmarks of a turned face are turned, too.
constexpr double known_smallest = 48, known_largest = 128;
// How much of the box is added on each side, more after frames without it.
constexpr double known_margin = 0.25, known_margin_per_miss = 0.2;
constexpr int known_misses = 4;
// Limits of size are those of new faces: a known one may be so much smaller or larger.
constexpr double size_allowance = 1.25;

// Bands of a frame: rows of each at least, without the overlap, and rows that two of them share,
// both as they are searched. A face must be whole in one band, and larger ones in the whole frame at
// half the size.
constexpr int band_rows = 96, band_overlap = 64, max_bands = 16;
// The whole frame is searched at halves of the size as long as its shorter side is not below this.
constexpr double smallest_side = 64;

int rounded(double v) noexcept { return static_cast<int>(std::lrint(v)); }

}  // namespace

void NetSearch::place(Arena& arena, const TrackerConfig& config, const Model& detector,
                      const Kernels& kernels, Engine& engine, const FrameTimer& timer,
                      RowSupply& rows, TrackerStats& stats) noexcept {
    config_ = config;
    kernels_ = &kernels;
    engine_ = &engine;
    timer_ = &timer;
    rows_ = &rows;
    stats_ = &stats;
    detector_ = &detector;
    multiple_ = std::max(detector.input_multiple(), 1);
    hints_ = arena.take<Rect>(static_cast<std::size_t>(config.max_tracks));
    gray_ = arena.take<std::uint8_t>(static_cast<std::size_t>(config.engine.max_width) *
                                     static_cast<std::size_t>(config.engine.max_height));
}

void NetSearch::begin_frame(const Frame& frame) noexcept {
    view_ = frame;
    gray_view_ = {gray_, frame.width, frame.height, frame.width, PixelFormat::gray8};
    if (has_gray_plane(frame.format))
        gray_view_ = {frame.data, frame.width, frame.height, frame.stride_bytes,
                      PixelFormat::gray8};
    gray_first_ = gray_last_ = 0;
    const float wanted = config_.engine.detector.min_score;
    new_score_ = wanted > 0 ? wanted : ModelAccess{*detector_}.default_score(frame.format);
    known_score_ = std::max(new_score_ - known_allowance, std::min(new_score_, 0.1f));
}

void NetSearch::begin_stream() noexcept {
    credit_ = 0;
    next_part_ = 0;
    plan_parts();
}

// Makes no more of it than is asked for, and what lies between two parts.
const Frame& NetSearch::gray(int first, int last) noexcept {
    const bool is_lent = gray_view_.data != gray_;
    first = std::max(first, 0);
    last = std::min(last, view_.height);
    if (is_lent || first >= last) return gray_view_;
    const auto make = [&](int from, int to) {
        Frame part = view_;
        part.data += from * view_.stride_bytes;
        part.height = to - from;
        to_gray(part, kernels_->image, gray_ + std::ptrdiff_t{from} * view_.width);
    };
    if (gray_last_ == 0) gray_first_ = gray_last_ = first;
    make(first, gray_first_);
    make(gray_last_, last);
    gray_first_ = std::min(gray_first_, first);
    gray_last_ = std::max(gray_last_, last);
    return gray_view_;
}

// --------------------------------------------------------------------- new faces

void NetSearch::add_part(const Rect& area, double scale) noexcept {
    if (part_count_ == max_parts) return;
    const int w = std::max(rounded(area.width * scale), 1),
              h = std::max(rounded(area.height * scale), 1);
    const std::int64_t pixels = EngineAccess{*engine_}.pixels_given(w, h);
    parts_[part_count_++] = {area, std::max(w, h), pixels};
    all_pixels_ += static_cast<double>(pixels);
}

void NetSearch::plan_parts() noexcept {
    const EngineAccess::FullSearch full =
        EngineAccess{*engine_}.full_search(view_.width, view_.height);
    stats_->full_windows = full.pixels;
    part_count_ = 0;
    all_pixels_ = 0;
    const int bands = std::min((full.height - band_overlap) / band_rows, max_bands);
    if (config_.budget_ns == 0 || bands < 2) {
        part_count_ = 1;
        all_pixels_ = static_cast<double>(full.pixels);
        return;
    }
    const double scale = static_cast<double>(full.height) / view_.height,
                 shared = band_overlap / scale, rows = view_.height - shared;
    for (int band = 0; band < bands; ++band) {
        const int top = rounded(rows * band / bands),
                  bottom = std::min(rounded(rows * (band + 1) / bands + shared), view_.height);
        add_part({0, top, view_.width, bottom - top}, scale);
    }
    for (double part = 0.5; part * std::min(full.width, full.height) >= smallest_side; part /= 2)
        add_part(bounds(view_), part * scale);
}

void NetSearch::earn(std::uint64_t elapsed_ns) noexcept {
    const double cycle = static_cast<double>(std::max<std::uint64_t>(config_.cycle_ns, 1));
    income_ = all_pixels_ * std::max(static_cast<double>(elapsed_ns) / cycle, 1e-3);
    credit_ = std::min(credit_ + income_, all_pixels_);
}

std::span<const Face> NetSearch::whole(float min_score) noexcept {
    stats_->full = true;
    credit_ = -all_pixels_;
    DetectorOptions options = config_.engine.detector;
    options.min_score = min_score;
    return search(bounds(view_), 0, options);
}

bool NetSearch::fits_next() const noexcept {
    return !timer_->over_budget(ns_per_pixel_ * static_cast<double>(parts_[next_part_].pixels));
}

std::span<const Face> NetSearch::next_part() noexcept {
    const Part& part = parts_[next_part_];
    next_part_ = (next_part_ + 1) % part_count_;
    credit_ -= static_cast<double>(part.pixels);
    ++stats_->parts;
    DetectorOptions options = config_.engine.detector;
    options.min_score = new_score_;
    return search(part.area, part.side, options);
}

// ------------------------------------------------------------------- known faces

// With the score that known faces need, since nothing else searches for them in this frame.
std::span<const Face> NetSearch::everywhere() noexcept { return whole(known_score_); }

std::span<const Face> NetSearch::near_known(const Rect& expected, int missed) noexcept {
    ++stats_->searches;
    return near(expected, missed);
}

NetSearch::Near NetSearch::near_area(const Rect& expected, int missed) const noexcept {
    const double longer = std::max({expected.width, expected.height, 1}),
                 given = std::clamp(longer, known_smallest, known_largest),
                 margin = known_margin + known_margin_per_miss * std::min(missed, known_misses),
                 // what is padded anyway is filled with surroundings
        side = static_cast<double>(round_up(rounded(given * (1 + 2 * margin)), multiple_)),
                 scale = given / longer;
    const int square = std::max(rounded(side / scale), 1);
    const Rect area = clamped({expected.x + (expected.width - square) / 2,
                               expected.y + (expected.height - square) / 2, square, square},
                              view_.width, view_.height);
    return {area, std::max(rounded(std::max(area.width, area.height) * scale), 1)};
}

bool NetSearch::keeps_place(const Rect& before, const Rect& expected) noexcept {
    const int a = std::max(before.width, before.height),
              b = std::max(expected.width, expected.height);
    const auto middle = [](int at, int length) { return 2 * at + length; };  // twice
    const int dx = middle(before.x, before.width) - middle(expected.x, expected.width),
              dy = middle(before.y, before.height) - middle(expected.y, expected.height);
    return std::abs(a - b) * 8 <= a && std::max(std::abs(dx), std::abs(dy)) * 6 <= a;
}

bool NetSearch::prefers_all(std::span<const Rect> known) const noexcept {
    const EngineAccess engine{*engine_};
    double pixels = 0;
    for (const Rect& box : known) {
        const Near near = near_area(box, 0);
        pixels += static_cast<double>(engine.pixels_given(near.side, near.side));
    }
    return pixels > static_cast<double>(stats_->full_windows);
}

std::span<const Face> NetSearch::near(const Rect& expected, int missed) noexcept {
    const Near near = near_area(expected, missed);
    if (near.area.width == 0) return {};
    DetectorOptions options = config_.engine.detector;
    options.min_score = known_score_;
    options.min_size = rounded(options.min_size / size_allowance);
    options.max_size = rounded(std::min(options.max_size * size_allowance, 0x1p30));
    return search(near.area, near.side, options);
}

std::span<const Face> NetSearch::search(const Rect& area, int side,
                                        const DetectorOptions& options) noexcept {
    std::span<const Face> faces;
    if (!rows_->need(area.y, area.y + area.height)) return {};
    const std::uint64_t before = timer_->now();
    if (EngineAccess{*engine_}.detect(view_, area, options, side, faces) != Status::ok) return {};
    const std::int64_t pixels = engine_->detector_stats().windows;
    stats_->windows += pixels;
    timer_->learn(before, pixels, ns_per_pixel_);
    return faces;
}

}  // namespace mien
