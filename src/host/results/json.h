// SPDX-License-Identifier: MIT
// Results as data: one JSON object per image, on one line (several make JSON Lines). `schema`
// increases when the meaning of a key changes; new keys may be added without that.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "host/results/report.h"

namespace mien::host {

constexpr int json_schema = 2;

// {"schema":2,"source":..,"width":..,"height":..,"models":{..},"timing_ms":{..},"faces":[..]}, each
// face as put_face() writes it (face_json.h). No newline at the end.
std::string to_json(const ImageReport& report, const EngineInfo& info);
// The same as a value, to be part of a larger one.
nlohmann::ordered_json json_of(const ImageReport& report, const EngineInfo& info);

// {"schema":2,"source":..,"error":..}
std::string error_to_json(std::string_view source, std::string_view error);

}  // namespace mien::host
