// SPDX-License-Identifier: MIT
// Results in a terminal: the readable table, and the score list of the original label script.
#pragma once

#include <string>

#include "host/results/report.h"

namespace mien::cli {

// One line about the image, then one aligned line per face, or "no face found". Ends with a
// newline.
std::string face_table(const host::ImageReport& report, const host::EngineInfo& info, bool color);

// "happy (score = 0.81896)" for each class in falling order and "The expression of the person is
// happy", for each face; `with_title` puts a line with image and box in front of each, for more
// than one face.
std::string score_list(const host::ImageReport& report, const host::EngineInfo& info,
                       bool with_title);

}  // namespace mien::cli
