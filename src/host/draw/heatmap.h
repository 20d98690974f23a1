// SPDX-License-Identifier: MIT
// Draws a map of numbers over a face, in colors whose steps look equally large.
//
// Both scales are computed, not copied: a path through OKLab (Ottosson 2020), walked at even speed,
// so that equal differences of a value are equal differences to the eye.
#pragma once

#include <span>
#include <vector>

#include "host/draw/draw.h"

namespace mien::host {

// Of 0 (dark violet) to 1 (light yellow): lightness rises evenly, so it also works in gray and
// without red or green.
Color sequential_color(float value);
// Of -1 (blue, against) over 0 (nearly white) to 1 (red, for), both ends equally dark.
Color diverging_color(float value);

// Values by position, line by line.
struct MapView {
    std::span<const float> values;
    int width = 0, height = 0;
};

// The value that gets the full color: the largest magnitude, or the 99th percentile of magnitudes
// of maps as fine as pixels, where a single one would leave the rest pale. Never 0.
float color_limit(const MapView& map);

// Lays the map over `area` of the image, interpolated between the middles of its positions, the
// more opaque the farther a value is from 0. `limit` as above.
void draw_map(const Canvas& canvas, const TurnedRect& area, const MapView& map, float limit,
              bool is_signed);
// The same without anything underneath.
void fill_map(const Canvas& canvas, const Rect& area, const MapView& map, float limit,
              bool is_signed);
// A bar of the scale's colors, from left to right.
void draw_scale(const Canvas& canvas, const Rect& area, bool is_signed);

}  // namespace mien::host
