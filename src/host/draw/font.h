// SPDX-License-Identifier: MIT
// A stroke font of the project's own: printable ASCII as polylines for a round pen. Units: 100 is
// the height of a capital; y points up from the baseline; descenders reach -30.
#pragma once

#include <string_view>
#include <vector>

namespace mien::host {

struct FontPoint {
    float x, y;
};
// points joined in order; closed outlines repeat their first point
using Stroke = std::vector<FontPoint>;

struct Glyph {
    float advance = 0;  // to the next letter's origin
    std::vector<Stroke> strokes;
};

constexpr float font_cap_height = 100;
constexpr float font_ascent = 110;  // highest ink, without the pen
constexpr float font_descent = 30;  // lowest ink below the baseline
// semi-bold, so that color and edge both show in small letters
constexpr float font_pen_width = 16;

// Any character outside of 32..126 is a frame, so that a missing letter is visible.
const Glyph& glyph(char character);

// The letters of a UTF-8 text as the font sees them: one character per code point, '\x7f' for those
// without a glyph.
void to_font_text(std::string_view utf8, std::vector<char>& out);

}  // namespace mien::host
