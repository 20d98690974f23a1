// SPDX-License-Identifier: MIT
// Where are the faces? A Haar cascade over an image pyramid; the same rectangles as OpenCV 4's detectMultiScale.
//
// Each level of the pyramid is made row by row: pixels, integral image, integral of squares. Only a band of rows is kept, as
// many as stay in the cache, and windows are evaluated as soon as their rows exist.
#pragma once

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "detect/group.h"
#include "image/resize.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"

namespace mien {

// How an integral image lies in memory for windows `step` pixels apart.
struct IntegralLayout {
    int step;                 // 1 or 2
    int pitch;                // elements from row to row
    int odd;                  // step 2: element at which the odd columns of a row begin
    std::ptrdiff_t tilted;    // elements from the integral image to the tilted one

    [[nodiscard]] std::ptrdiff_t offset(int x, int y) const noexcept {
        return std::ptrdiff_t{y} * pitch + (step == 1 ? x : (x >> 1) + (x & 1) * odd);
    }
};

// A tree node ready to run: corner offsets and weights of its feature.
struct HaarNode {
    std::int32_t corner[3][4];
    float weight[3];
    float threshold;
    std::int32_t rects, left, right;
};

class Detector {
public:
    // Takes its memory from the arena and builds the tables; while the arena only measures, nothing is written.
    // `reference`: evaluate window by window, literally as the specification says (for tests).
    void place(Arena& arena, const Cascade& cascade, int max_width, int max_height, int max_candidates, const Kernels& kernels,
               bool reference) noexcept;

    // Faces of a gray picture no larger than place() was told; valid until the next call.
    [[nodiscard]] std::span<const Detection> detect(const std::uint8_t* gray, std::ptrdiff_t stride_bytes, int width, int height,
                                                    const DetectorOptions& options) noexcept;

    [[nodiscard]] const DetectorStats& stats() const noexcept { return stats_; }

private:
    // What running windows of one step needs: stump tables for the vector kernels, or nodes for trees.
    struct Step {
        IntegralLayout layout;
        HaarTable table;
        const Detector* detector;
        HaarNode* nodes;           // by node, when the cascade has trees; else null
    };
    struct Level {
        float scale;
        int window_width, window_height;
    };

    void place_step(Arena& arena, Step& step) noexcept;
    void build_step(Step& step, HaarStage* stages, HaarStump<2>* stumps2, HaarStump<3>* stumps3) noexcept;
    [[nodiscard]] HaarNode make_node(const IntegralLayout& layout, std::uint32_t index) const noexcept;
    [[nodiscard]] bool exact_stage(const Step& step, int stage, const std::uint32_t* origin, float norm) const noexcept;
    [[nodiscard]] int reference_row(const Step& step, const HaarRow& row) const noexcept;

    void scan_level(const std::uint8_t* gray, std::ptrdiff_t stride_bytes, int width, int height, const Level& level,
                    int stripes) noexcept;
    template <int step>
    void integrate_row(const IntegralLayout& layout, const std::uint8_t* pixels, const std::uint8_t* pixels_above, int width,
                       std::uint32_t* sum, bool second_row_exists) noexcept;

    Cascade cascade_;
    const Kernels* kernels_ = nullptr;
    bool reference_ = false;
    int max_width_ = 0, max_height_ = 0;
    Step steps_[2] = {};               // for a step of 1 and of 2
    int band_rows_ = 0;                // integral rows that the band buffer holds
    std::size_t plane_elements_ = 0;   // elements of one plane of the band buffer
    std::uint32_t* band_ = nullptr;    // planes: sum, square, tilted (if any)
    std::uint8_t* pixel_rows_[2] = {};
    LevelResizer::Scratch resize_ = {};
    std::int32_t* hits_ = nullptr;
    Candidates candidates_;
    DetectorStats stats_ = {};
};

}  // namespace mien
