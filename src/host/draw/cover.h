// SPDX-License-Identifier: MIT
// Makes faces unrecognizable.
#pragma once

#include <cstdint>
#include <span>

#include "host/draw/draw.h"

namespace mien::host {

// blur: what is left of a face is 6 x 6 colors, with smooth transitions; fill: one gray.
enum class Cover : std::uint8_t { blur, fill };

// The ellipse that cover_faces() covers: around the box and its landmarks, a quarter larger on each
// side, since boxes end at the hairline and chin. Not clipped at the image's borders.
Rect covered_area(const FaceReport& face);

// Covers every face. Pixels outside of the ellipses stay as they are, and none of those inside
// counts by itself: each of the 36 colors is a mean over its part of the area.
void cover_faces(const Canvas& canvas, std::span<const FaceReport> faces, Cover cover);

}  // namespace mien::host
