// SPDX-License-Identifier: MIT
// The pixels that a network sees of a face: the box, the model's margins, the frame's edge, and the
// resize.
#pragma once

#include <cstdint>
#include <span>

#include "image/gray.h"
#include "image/linear.h"
#include "mien/mien.hpp"

namespace mien {

// The box grown by the model's margins and clamped to the frame; never empty for a box that touches
// the frame. A box wholly outside gives an empty rectangle.
[[nodiscard]] Rect crop_rect(const Rect& box, float margin_x, float margin_y, int frame_width,
                             int frame_height) noexcept;

// Writes input_height x input_width x input_channels bytes. For a gray network `gray` is the whole
// frame's gray; for an RGB network pixels come from the frame (a gray frame gives R = G = B).
void cut_crop(const Frame& frame, GrayView gray, const Rect& rect, const Model& model,
              const ImageKernels& kernels, const LinearScratch& scratch,
              std::uint8_t* pixels) noexcept;

// A square of a frame: its point (u, v), each from -0.5 to 0.5, lies at (x + a u - b v, y + b u + a
// v).
struct Similarity {
    double a, b, x, y;
};

// Where the crop of a face lies, by its landmarks; false when they do not say.
[[nodiscard]] bool fit_square(const Model& detector, std::span<const Point> landmarks,
                              Similarity& square) noexcept;

// As cut_crop(), of a turned square grown by the margins. Beyond the frame its edge is repeated.
void cut_square(const Frame& frame, GrayView gray, const Similarity& square, float margin_x,
                float margin_y, const Model& model, std::uint8_t* pixels) noexcept;

}  // namespace mien
