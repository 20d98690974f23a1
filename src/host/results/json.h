// SPDX-License-Identifier: MIT
// How do results look as data? One JSON object a picture, on one line (so several are JSON Lines).
// `schema` rises when the meaning of a key changes; new keys may come without that.
#pragma once

#include <string>
#include <string_view>

#include "host/results/report.h"

namespace mien::host {

constexpr int json_schema = 1;

// {"schema":1,"source":..,"width":..,"height":..,"models":{..},"timing_ms":{..},"faces":[{"box":{..},"neighbors":..,
//  "emotion":{"label":..,"probabilities":{..},"map":{..}},"gender":{..}}]}. A head that is off has
//  no key, nor has a map that was not made. No newline at the end.
std::string to_json(const ImageReport& report, const EngineInfo& info);

// {"schema":1,"source":..,"error":..}
std::string error_to_json(std::string_view source, std::string_view error);

}  // namespace mien::host
