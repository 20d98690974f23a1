// SPDX-License-Identifier: MIT
// Formulas: CascadeClassifier::detectMultiScale (objdetect) and resize with INTER_LINEAR_EXACT
// (imgproc) of OpenCV 4, found and checked by comparing results; tests/compare_opencv.py repeats
// the comparison. Rounding is to nearest, ties to even. This file must be built with
// -ffp-contract=off: a fused scale * (i + 0.5) - 0.5 gives other coordinates.
#include "detect/haar/pyramid.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/geometry.h"

namespace mien {
namespace {

constexpr int band_window_rows = 64;  // window positions (rows) that a full band serves

int round_even(double v) noexcept { return static_cast<int>(std::lrint(v)); }
int level_length(int length, float scale) noexcept {
    return round_even(static_cast<float>(length) / scale);
}
int ceil_div(int a, int b) noexcept { return (a + b - 1) / b; }

// A pitch that is a multiple of 4 KiB maps column x of every row to the same L1 set, where rows
// would evict each other.
int safe_pitch(int elements) noexcept {
    const int pitch = round_up(elements, 32);
    return pitch % 1024 == 0 ? pitch + 32 : pitch;
}

// Left source index and weight of its right neighbor, 0..256. At both borders the outermost pixel
// alone counts.
struct ExactTap {
    std::int32_t left;
    std::uint16_t right_weight;
};
ExactTap exact_tap(int i, double scale, int source) noexcept {
    const double v = scale * (i + 0.5) - 0.5;
    const double k = std::floor(v);
    if (k < 0) return {0, 0};
    if (k >= source - 1) return {source - 1, 0};
    return {static_cast<std::int32_t>(k), static_cast<std::uint16_t>(std::lrint((v - k) * 256.0))};
}

}  // namespace

// ------------------------------------------------------------------------ levels

Pyramid::Pyramid(int window_width, int window_height, int frame_width, int frame_height,
                 const DetectorOptions& options) noexcept
    : window_width_(window_width),
      window_height_(window_height),
      frame_width_(frame_width),
      frame_height_(frame_height),
      options_(options),
      min_height_(std::max(options.min_height == 0 ? options.min_size : options.min_height, 0)),
      max_width_(options.max_size > 0 ? options.max_size : frame_width),
      max_height_(options.max_height > 0 ? options.max_height
                  : options.max_size > 0 ? options.max_size
                                         : frame_height) {}

Level Pyramid::make(float scale) const noexcept {
    Level level = {};
    level.scale = scale;
    level.width = level_length(frame_width_, scale);
    level.height = level_length(frame_height_, scale);
    level.window_width = scaled_length(window_width_, scale);
    level.window_height = scaled_length(window_height_, scale);
    level.step = scale >= 2 ? 1 : 2;
    return level;
}

void Pyramid::count_rows(Level& level) noexcept {
    const int columns = level.width + 1 - window_width_, rows = level.height + 1 - window_height_;
    // The number of stripes comes from the width (not the height) of the first level that is
    // scanned.
    if (stripes_ == 0) stripes_ = std::max(ceil_div(columns, 32), 1);
    if (columns <= 0 || rows <= 0) return;
    // OpenCV cuts the rows into stripes of ((rows / step) + stripes - 1) / stripes * step for its
    // threads, in integers: with a step of 2 and an odd number of rows the last row may belong to
    // no stripe.
    const int stripe_rows = std::max((rows / level.step + stripes_ - 1) / stripes_, 1) * level.step;
    const int end =
        static_cast<int>(std::min(std::int64_t{stripes_} * stripe_rows, std::int64_t{rows}));
    level.columns = ceil_div(columns, level.step);
    level.rows = ceil_div(end, level.step);
}

bool Pyramid::next(Level& level) noexcept {
    while (!done_) {
        if (round_even(window_width_ * factor_) > frame_width_ ||
            round_even(window_height_ * factor_) > frame_height_)
            break;
        level = make(static_cast<float>(factor_));
        factor_ *= options_.scale_factor;
        const std::int64_t dx = options_.min_size - level.window_width,
                           dy = min_height_ - level.window_height;
        if (nearest_distance_ < 0 || dx * dx + dy * dy < nearest_distance_) {
            nearest_ = level;
            nearest_distance_ = dx * dx + dy * dy;
        }
        const bool too_large = level.window_width > max_width_ || level.window_height > max_height_;
        if (stripes_ != 0 && too_large) break;
        if (too_large || level.window_width < options_.min_size ||
            level.window_height < min_height_)
            continue;
        count_rows(level);
        return true;
    }
    if (done_ || stripes_ != 0 || nearest_distance_ < 0) {
        done_ = true;
        return false;
    }
    done_ = true;  // no size fits: OpenCV takes the one closest to min_size
    level = nearest_;
    count_rows(level);
    return true;
}

// --------------------------------------------------------------- integral images

void IntegralBand::place(Arena& arena, int max_width, int max_height, int window_height,
                         bool tilted, const Kernels& kernels) noexcept {
    kernels_ = &kernels.detect;
    window_height_ = window_height;
    tilted_ = tilted;
    // Levels at scale 2 and above use a step of 1, and are at most half as wide as the frame.
    half_pitch_ = safe_pitch(max_width / 2 + 3 + row_slack);
    pitch_ = safe_pitch(2 * half_pitch_);
    band_rows_ = std::min(max_height + 1, band_window_rows + window_height + 1);
    plane_elements_ =
        static_cast<std::size_t>(band_rows_) * static_cast<std::size_t>(pitch_) + row_slack;
    const std::size_t planes = tilted ? 3 : 2;
    planes_ = arena.take<std::uint32_t>(plane_elements_ * planes);
    low_ = arena.take<std::uint16_t>(plane_elements_);
    // Vector kernels read (and ignore) a few elements past each row's last window: let them be
    // defined.
    if (planes_ != nullptr && low_ != nullptr) {
        std::memset(planes_, 0, plane_elements_ * planes * sizeof *planes_);
        std::memset(low_, 0, plane_elements_ * sizeof *low_);
    }
    const auto width = static_cast<std::size_t>(max_width);
    for (auto& row : pixel_rows_) row = arena.take<std::uint8_t>(width);
    left_ = arena.take<std::int32_t>(width);
    right_weight_ = arena.take<std::uint16_t>(width);
    for (auto& row : interpolated_) row = arena.take<std::uint16_t>(width);
}

IntegralLayout IntegralBand::layout(int step) const noexcept {
    const auto tilted = static_cast<std::ptrdiff_t>(2 * plane_elements_);
    if (step == 1) return {.step = 1, .pitch = half_pitch_, .odd = 0, .tilted = tilted};
    return {.step = 2, .pitch = pitch_, .odd = half_pitch_, .tilted = tilted};
}

void IntegralBand::begin(const GrayFrame& frame, const Level& level, int first_row,
                         int end_row) noexcept {
    frame_ = frame;
    level_ = level;
    layout_ = layout(level.step);
    scale_y_ = inverse_scale(level.height, frame.height);
    const double scale_x = inverse_scale(level.width, frame.width);
    for (int x = 0; x < level.width; ++x) {
        const ExactTap tap = exact_tap(x, scale_x, frame.width);
        left_[x] = tap.left;
        right_weight_[x] = tap.right_weight;
    }
    cached_[0] = cached_[1] = -1;
    start_row_ = first_row_ = first_row;
    last_row_ = (end_row - level.step) + window_height_ + 1;
    // The row above the first pixel row is zero.
    const auto bytes = static_cast<std::size_t>(layout_.pitch);
    for (std::size_t plane = 0; plane < (tilted_ ? 3u : 2u); ++plane)
        std::memset(planes_ + plane * plane_elements_, 0, bytes * sizeof *planes_);
    std::memset(low_, 0, bytes * sizeof *low_);
    next_row_ = first_row + 1;
    pixels_above_ = nullptr;
}

HaarOrigin IntegralBand::row(int y) noexcept {
    if (y + window_height_ >= next_row_) fill(y);
    const std::ptrdiff_t at = std::ptrdiff_t{y - first_row_} * layout_.pitch;
    return {low_ + at, planes_ + at, planes_ + plane_elements_ + at};
}

// Slides the band: rows from y on move to the front of each plane, then the band is filled up.
void IntegralBand::fill(int y) noexcept {
    const std::ptrdiff_t pitch = layout_.pitch;
    const int keep = next_row_ - y;
    if (y > first_row_ && keep > 0) {
        const auto move = [&](auto* plane) {
            std::memmove(
                plane, plane + std::ptrdiff_t{y - first_row_} * pitch,
                static_cast<std::size_t>(keep) * static_cast<std::size_t>(pitch) * sizeof *plane);
        };
        for (std::size_t plane = 0; plane < (tilted_ ? 3u : 2u); ++plane)
            move(planes_ + plane * plane_elements_);
        move(low_);
    }
    first_row_ = y;
    const int last = std::min(first_row_ + band_rows_, last_row_);
    for (; next_row_ < last; ++next_row_) {
        const std::uint8_t* pixels = level_row(next_row_ - 1);
        const std::ptrdiff_t at = std::ptrdiff_t{next_row_ - first_row_} * pitch;
        std::uint32_t* const sum = planes_ + at;
        kernels_->integral_row({pixels, level_.width, layout_.step, layout_.odd, pitch, low_ + at,
                                sum, sum + plane_elements_});
        if (tilted_)
            integrate_tilted(pixels, pixels_above_, sum + 2 * plane_elements_,
                             next_row_ >= start_row_ + 2);
        pixels_above_ = pixels;
    }
}

// T(x, y) is the sum over the triangle above (x, y) that opens upwards; each comes from the two
// rows above it.
void IntegralBand::integrate_tilted(const std::uint8_t* pixels, const std::uint8_t* pixels_above,
                                    std::uint32_t* tilted, bool second_row_exists) const noexcept {
    const IntegralLayout layout = layout_;
    const auto at = [&](int x) { return layout.offset(x, 0); };
    const int width = level_.width;
    const std::uint32_t* const above = tilted - layout.pitch;
    tilted[0] = above[at(1)];
    for (int x = 1; x <= width; ++x) {
        std::uint32_t value = above[at(x - 1)] + pixels[x - 1];
        if (pixels_above != nullptr) value += pixels_above[x - 1];
        if (x < width) {
            value += above[at(x + 1)];
            if (second_row_exists) value -= (above - layout.pitch)[at(x)];
        }
        tilted[at(x)] = value;
    }
}

// ------------------------------------------------------------- pixels of a level

const std::uint16_t* IntegralBand::interpolated_row(int source_y) noexcept {
    for (int i = 0; i < 2; ++i)
        if (cached_[i] == source_y) return interpolated_[i];
    // rows come in ascending order: the smaller one is done with
    const int slot = cached_[0] < cached_[1] ? 0 : 1;
    cached_[slot] = source_y;
    kernels_->shrink_row(
        {frame_.data + source_y * frame_.stride, frame_.width, left_, right_weight_, level_.width},
        interpolated_[slot]);
    return interpolated_[slot];
}

const std::uint8_t* IntegralBand::level_row(int y) noexcept {
    if (level_.width == frame_.width && level_.height == frame_.height)
        return frame_.data + y * frame_.stride;
    const ExactTap tap = exact_tap(y, scale_y_, frame_.height);
    const std::uint16_t* top = interpolated_row(tap.left);
    const std::uint16_t* bottom = tap.right_weight == 0 ? top : interpolated_row(tap.left + 1);
    std::uint8_t* const out = pixel_rows_[y & 1];
    kernels_->blend_rows(top, bottom, tap.right_weight, level_.width, out);
    return out;
}

}  // namespace mien
