// SPDX-License-Identifier: MIT
// The windows of a frame: the levels of the image pyramid and, for a part of a level, its integral
// images.
//
// A level is made row by row: pixels (cv2.resize with INTER_LINEAR_EXACT, bit for bit), integral
// image, integral of squares. Only a band of rows is kept, as many as stay in the cache, and
// windows are evaluated as soon as their rows exist.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/arena.h"
#include "detect/haar/stump_table.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"

namespace mien {

// Elements past a row's last window that a vector kernel may read.
inline constexpr int row_slack = 64;

// A length of a level in frame pixels. The products of OpenCV are of floats, rounded to float before
// they are rounded (to nearest even) to an integer.
[[nodiscard]] inline int scaled_length(int length, float scale) noexcept {
    return static_cast<int>(std::lrint(static_cast<float>(length) * scale));
}

struct GrayFrame {
    const std::uint8_t* data;
    std::ptrdiff_t stride;
    int width, height;
};

// One size of the image, over which the cascade's window slides.
struct Level {
    float scale;                      // frame pixels per level pixel
    int width, height;                // of the level
    int window_width, window_height;  // in frame pixels
    int step;                         // pixels from window to window, both ways
    int columns, rows;                // of windows; 0 when none fits
};

class Pyramid {
public:
    Pyramid(int window_width, int window_height, int frame_width, int frame_height,
            const DetectorOptions& options) noexcept;

    // The next level to scan, largest first; false after the last.
    [[nodiscard]] bool next(Level& level) noexcept;

private:
    [[nodiscard]] Level make(float scale) const noexcept;
    void count_rows(Level& level) noexcept;

    int window_width_, window_height_, frame_width_, frame_height_;
    DetectorOptions options_;
    int min_height_, max_width_, max_height_;
    double factor_ = 1;
    int stripes_ = 0;  // 0 until a level was scanned
    Level nearest_ = {};
    std::int64_t nearest_distance_ = -1;
    bool done_ = false;
};

// Rows of integral images of one level. Begin a run anywhere, then ask for rows of windows from
// there downwards.
class IntegralBand {
public:
    // Frames up to max_width x max_height; the layouts for a step of 1 and of 2 follow from them.
    void place(Arena& arena, int max_width, int max_height, int window_height, bool tilted,
               const Kernels& kernels) noexcept;
    [[nodiscard]] IntegralLayout layout(int step) const noexcept;

    void begin(const GrayFrame& frame, const Level& level, int first_row, int end_row) noexcept;
    // True if asking for row y moves the rows in the band: origins of earlier rows are then void.
    [[nodiscard]] bool moves(int y) const noexcept { return y + window_height_ >= next_row_; }
    // Integral images at the first window of row y (level pixels); y ascends from the run's first
    // row.
    [[nodiscard]] HaarOrigin row(int y) noexcept;
    // Pixels of row y of the level, valid until the row after next is asked for. Ascending order is
    // fast.
    [[nodiscard]] const std::uint8_t* level_row(int y) noexcept;

private:
    void fill(int y) noexcept;
    const std::uint16_t* interpolated_row(int source_y) noexcept;
    void integrate_tilted(const std::uint8_t* pixels, const std::uint8_t* pixels_above,
                          std::uint32_t* out, bool second_row_exists) const noexcept;

    const DetectKernels* kernels_ = nullptr;
    int window_height_ = 0, band_rows_ = 0, half_pitch_ = 0, pitch_ = 0;
    bool tilted_ = false;
    std::size_t plane_elements_ = 0;
    std::uint32_t* planes_ = nullptr;  // sum, square, tilted (if any)
    std::uint16_t* low_ = nullptr;
    std::uint8_t* pixel_rows_[2] = {};
    std::int32_t* left_ = nullptr;  // taps of the level's columns
    std::uint16_t* right_weight_ = nullptr;
    std::uint16_t* interpolated_[2] = {};
    int cached_[2] = {-1, -1};  // the source row that interpolated_[i] holds

    GrayFrame frame_ = {};
    Level level_ = {};
    IntegralLayout layout_ = {};
    double scale_y_ = 1;
    int last_row_ = 0;  // integral rows of this run end here
    // the band holds integral rows first_row_ .. next_row_ - 1
    int first_row_ = 0, next_row_ = 0;
    int start_row_ = 0;
    const std::uint8_t* pixels_above_ = nullptr;
};

}  // namespace mien
