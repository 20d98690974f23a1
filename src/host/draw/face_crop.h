// SPDX-License-Identifier: MIT
// A face cut out of its image, as large as it is there.
#pragma once

#include "host/codec/image.h"
#include "host/files/result.h"
#include "host/results/report.h"
#include "mien/mien.hpp"

namespace mien::host {

struct CropStyle {
    // By the landmarks: a square about the middle of eyes and mouth, turned so that the eyes are level.
    // A face without landmarks is not turned.
    bool aligned = false;
    float margin = 0;  // on each side, as a share of the box
};

// Which part of an image of that size: clipped if it is not aligned.
TurnedRect face_area(const FaceReport& face, const CropStyle& style, int width, int height);

// `frame` is rgb24. What an aligned area has outside of the image repeats its border. Fails without
// memory, and on areas without pixels.
Result<Image> crop_face(const Frame& frame, const FaceReport& face, const CropStyle& style);

}  // namespace mien::host
