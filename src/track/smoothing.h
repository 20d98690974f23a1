// SPDX-License-Identifier: MIT
// Readings of one face over time: how much each is worth, their average, and labels that do not
// flicker. The formulas are those of mien/tracker.hpp.
#pragma once

#include <span>

#include "mien/mien.hpp"

namespace mien {

// How sharp the pixels are that a network saw: the mean squared difference of neighbors over twice
// their variance, about 0 (blurred) to 1 (noise). 0 for a crop without contrast.
[[nodiscard]] float sharpness_of(const Frame& crop) noexcept;

// 0 to 1: of the size in the frame, the detector's score and the turn by the landmarks, if there
// are such, and the sharpness. `box` and `landmarks` in pixels.
[[nodiscard]] float quality_of(const Rect& box, float score, std::span<const Point> landmarks,
                               float sharpness) noexcept;

// That quality beside the best of the face lately, which `best` keeps (0: none yet); 0.05 to 1.
[[nodiscard]] float relative_quality(float quality, float& best) noexcept;

// Moves `average` towards `result` (equally many probabilities) by `share`, the first one entirely.
// `weight`: what the shares add up to, 0 before the first result, near 1 after many.
void add_weighted(std::span<const float> result, float share, std::span<float> average,
                  float& weight) noexcept;

// The label to name after `current` (-1: none yet): another one only when it is clearly more
// probable.
[[nodiscard]] int steady_label(std::span<const float> average, int current) noexcept;

// Whether `probability` is unsure, when the answer before was or was not.
[[nodiscard]] bool steady_unsure(float probability, float unsure_below, bool before) noexcept;

}  // namespace mien
