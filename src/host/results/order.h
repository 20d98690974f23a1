// SPDX-License-Identifier: MIT
// In which order the faces of an image are listed and numbered, and which are left out on request.
#pragma once

#include <vector>

#include "host/results/report.h"

namespace mien::host {

struct FaceSelection {
    bool largest_first = false;
    int max_faces = 0;  // > 0: only that many are kept, the largest
};

// `by_reading`: without largest_first, rows from the top, each from left to right; else the order
// of the detector stays. Of equally large faces the earlier one counts as the larger.
void select_faces(const FaceSelection& selection, bool by_reading, std::vector<FaceReport>& faces);

}  // namespace mien::host
