// SPDX-License-Identifier: MIT
// How a tracked face is told, by frames as by events.
#pragma once

#include <string>

#include "host/results/face_json.h"
#include "mien/tracker.hpp"

namespace mien::live {

host::FaceReport report_of(const TrackedFace& face);
// As LiveFace in src/serve/page/openapi.json.
host::Json tracked_face_json(const TrackedFace& face, const host::EngineInfo& info);
// " happy 93 % woman 34 years"; empty before the first reading.
std::string answers_line(const TrackedFace& face, const host::EngineInfo& info);
// Seconds with six digits.
double seconds_of(std::uint64_t time_ns);

}  // namespace mien::live
