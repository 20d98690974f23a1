// SPDX-License-Identifier: MIT
// How do results look in a terminal? The readable table, and the score list of the original label
// script.
#pragma once

#include <string>

#include "host/results/report.h"

namespace mien::cli {

// A line on the picture, then one aligned line a face; "no face found" if there is none. Ends with
// a newline.
std::string face_table(const host::ImageReport& report, const host::EngineInfo& info, bool color);

// "happy (score = 0.81896)" for each class in falling order and "The expression of the person is
// happy", for each face; `with_title` puts a line with picture and box in front of each, for more
// than one face.
std::string score_list(const host::ImageReport& report, const host::EngineInfo& info,
                       bool with_title);

}  // namespace mien::cli
