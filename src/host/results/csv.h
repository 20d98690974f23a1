// SPDX-License-Identifier: MIT
// Results as a table, comma-separated (RFC 4180, lines end with \n). Its columns are those of
// Result.rows() in Python.
#pragma once

#include <string>
#include <string_view>

#include "host/results/report.h"

namespace mien::host {

// A value of a table: in quotes where it holds a comma, a quote or a line's end.
std::string csv_value(std::string_view text);

// "source,face,x,y,width,height,neighbors,score,emotion,emotion_unsure,emotion_angry,...": for each
// head that is on its label, whether it is unsure, and the probability of each class; of a quantity
// its value and range in place of label and unsure. `score` only with the detector network.
// `crops`: the last column names FaceReport::crop_file.
std::string csv_header(const EngineInfo& info, bool crops = false);

// A line per face, numbered from 0; for an image without one a line with the source alone.
std::string csv_rows(const ImageReport& report, const EngineInfo& info, bool crops = false);

}  // namespace mien::host
