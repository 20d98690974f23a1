// SPDX-License-Identifier: MIT
#include "host/results/face_json.h"

#include <cmath>
#include <utility>

namespace mien::host {
namespace {

double rounded_to(float value, double digits) {
    return std::round(static_cast<double>(value) * digits) / digits;
}

Json map_json(const FaceMap& map) {
    Json values = Json::array();
    for (const float v : map.values) values.push_back(rounded_to(v, 1e4));
    return {{"width", map.width},
            {"height", map.height},
            {"crop", crop_json(map.crop)},
            {"values", std::move(values)}};
}

Json reading_json(const Reading& reading, const HeadInfo& head) {
    Json json = Json::object();
    if (head.quantity) {
        const Quantity& q = reading.quantity;
        json["value"] = rounded_to(q.value, 10);
        json["range"] = {rounded_to(q.low, 10), rounded_to(q.high, 10)};
        json["unit"] = head.unit;
    } else {
        json["label"] = head.labels.at(reading.named());
        json["unsure"] = reading.unsure;
    }
    json["probabilities"] = probabilities_json(reading.probabilities, head);
    if (!reading.map.values.empty()) json["map"] = map_json(reading.map);
    return json;
}

}  // namespace

Json box_json(const Rect& box) {
    return {{"x", box.x}, {"y", box.y}, {"width", box.width}, {"height", box.height}};
}

Json crop_json(const TurnedRect& crop) {
    Json json = box_json(crop.rect);
    if (crop.degrees != 0) json["degrees"] = rounded_to(crop.degrees, 1e2);
    return json;
}

Json probabilities_json(std::span<const float> probabilities, const HeadInfo& head, bool rounded) {
    Json json = Json::object();
    for (std::size_t i = 0; i < probabilities.size() && i < head.labels.size(); ++i) {
        if (rounded)
            json[head.labels[i]] = rounded_to(probabilities[i], 1e6);
        else
            json[head.labels[i]] = probabilities[i];
    }
    return json;
}

void put_face(Json& json, const FaceReport& face, const EngineInfo& info) {
    json["box"] = box_json(face.box);
    json["neighbors"] = face.neighbors;
    if (!face.landmarks.empty()) {
        json["score"] = rounded_to(face.score, 1e6);
        Json& points = json["landmarks"] = Json::array();
        for (const Point& p : face.landmarks)
            points.push_back({rounded_to(p.x, 1e2), rounded_to(p.y, 1e2)});
    }
    if (!face.crop_file.empty()) json["crop_file"] = face.crop_file;
    for (const Head head : named_heads) {
        if (face[head].known()) json[head_name(head)] = reading_json(face[head], info[head]);
    }
}

}  // namespace mien::host
