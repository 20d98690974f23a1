// SPDX-License-Identifier: MIT
// Results as JSON by nlohmann (see json.h).
#include "host/results/json.h"

#include <cmath>

#include "host/results/face_json.h"

namespace mien::host {
namespace {

double milliseconds(double ms) { return std::round(ms * 1e3) / 1e3; }

Json times_json(const StepTimes& t) {
    Json json = {{"decode", milliseconds(t.decode)},
                 {"gray", milliseconds(t.gray)},
                 {"detect", milliseconds(t.detect)},
                 {"crop", milliseconds(t.crop)}};
    for (const Head head : named_heads) json[head_name(head)] = milliseconds(t.heads[head]);
    json["draw"] = milliseconds(t.draw);
    json["encode"] = milliseconds(t.encode);
    json["total"] = milliseconds(t.total);
    return json;
}

Json models_json(const EngineInfo& info) {
    Json json = Json::object();
    if (!info.cascade_name.empty()) json["cascade"] = info.cascade_name;
    if (!info.detector_name.empty()) json["detector"] = info.detector_name;
    for (const Head head : named_heads) {
        if (!info[head].model_name.empty()) json[head_name(head)] = info[head].model_name;
    }
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
    for (const FaceReport& face : report.faces) {
        Json json;
        put_face(json, face, info);
        faces.push_back(std::move(json));
    }
    Json json = {{"schema", json_schema},       {"source", report.source},
                 {"width", report.width},       {"height", report.height},
                 {"models", models_json(info)}, {"timing_ms", times_json(report.times)},
                 {"faces", std::move(faces)}};
    if (!report.note.empty()) json["note"] = report.note;
    return json;
}

std::string error_to_json(std::string_view source, std::string_view error) {
    return text({{"schema", json_schema}, {"source", source}, {"error", error}});
}

}  // namespace mien::host
