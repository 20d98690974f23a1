// SPDX-License-Identifier: MIT
// Results as JSON by nlohmann (see json.h).
#include "host/results/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace mien::host {
namespace {

using Json = nlohmann::ordered_json;

// Digits beyond those that mean something would be noise of the conversion from float to double.
double probability(float p) { return std::round(static_cast<double>(p) * 1e6) / 1e6; }
double milliseconds(double ms) { return std::round(ms * 1e3) / 1e3; }

Json reading_json(const Reading& reading, const HeadInfo& head) {
    Json probabilities = Json::object();
    for (std::size_t i = 0; i < reading.probabilities.size() && i < head.labels.size(); ++i) {
        probabilities[head.labels[i]] = probability(reading.probabilities[i]);
    }
    return {{"label", head.labels.at(reading.best())}, {"probabilities", std::move(probabilities)}};
}

Json face_json(const FaceReport& face, const EngineInfo& info) {
    Json json = {{"box",
                  {{"x", face.box.x},
                   {"y", face.box.y},
                   {"width", face.box.width},
                   {"height", face.box.height}}},
                 {"neighbors", face.neighbors}};
    if (face.emotion.known()) json["emotion"] = reading_json(face.emotion, info.emotion);
    if (const FaceMap& map = face.emotion_map; face.emotion.known() && !map.values.empty()) {
        Json values = Json::array();
        for (const float v : map.values)
            values.push_back(std::round(static_cast<double>(v) * 1e4) / 1e4);
        const Rect& crop = map.crop;
        json["emotion"]["map"] = {
            {"width", map.width},
            {"height", map.height},
            {"crop",
             {{"x", crop.x}, {"y", crop.y}, {"width", crop.width}, {"height", crop.height}}},
            {"values", std::move(values)}};
    }
    if (face.gender.known()) json["gender"] = reading_json(face.gender, info.gender);
    return json;
}

Json times_json(const StepTimes& t) {
    return {{"decode", milliseconds(t.decode)},   {"gray", milliseconds(t.gray)},
            {"detect", milliseconds(t.detect)},   {"crop", milliseconds(t.crop)},
            {"emotion", milliseconds(t.emotion)}, {"gender", milliseconds(t.gender)},
            {"draw", milliseconds(t.draw)},       {"encode", milliseconds(t.encode)},
            {"total", milliseconds(t.total)}};
}

Json models_json(const EngineInfo& info) {
    Json json = Json::object();
    if (!info.cascade_name.empty()) json["cascade"] = info.cascade_name;
    if (!info.emotion.model_name.empty()) json["emotion"] = info.emotion.model_name;
    if (!info.gender.model_name.empty()) json["gender"] = info.gender.model_name;
    return json;
}

// File names need not be UTF-8; JSON must be.
std::string text(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string to_json(const ImageReport& report, const EngineInfo& info) {
    return text(json_of(report, info));
}

Json json_of(const ImageReport& report, const EngineInfo& info) {
    Json faces = Json::array();
    for (const FaceReport& face : report.faces) faces.push_back(face_json(face, info));
    return {{"schema", json_schema},       {"source", report.source},
            {"width", report.width},       {"height", report.height},
            {"models", models_json(info)}, {"timing_ms", times_json(report.times)},
            {"faces", std::move(faces)}};
}

std::string error_to_json(std::string_view source, std::string_view error) {
    return text({{"schema", json_schema}, {"source", source}, {"error", error}});
}

}  // namespace mien::host
