// SPDX-License-Identifier: MIT
// The one place that says how a face looks as JSON. `mien image`, `explain`, live runs and the
// service use it; Python's to_dict() and the browser's toJSON() give the same, and all are held to
// tests/golden/faces.json.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "host/results/report.h"

namespace mien::host {

using Json = nlohmann::ordered_json;

Json box_json(const Rect& box);
// The same, with "degrees" if it is turned.
Json crop_json(const TurnedRect& crop);

// {LABEL: PROBABILITY, ..}. `rounded` to six digits: more would be noise of the conversion from
// float to double.
Json probabilities_json(std::span<const float> probabilities, const HeadInfo& head,
                        bool rounded = true);

// Adds to `json` the members "box", "neighbors", of a detector network "score" and "landmarks"
// ([x, y] of the person's right eye, left eye, nose, right and left corner of the mouth), and, for
// every head that read the face, its name with {"label", "unsure", "probabilities"}, or of a
// quantity {"value", "range", "unit", "probabilities"}, and, if there is one, "map".
void put_face(Json& json, const FaceReport& face, const EngineInfo& info);

}  // namespace mien::host
