// SPDX-License-Identifier: MIT
#include "host/results/csv.h"

#include <cmath>
#include <cstdio>

namespace mien::host {
namespace {

// As Result.to_dict() and the JSON have it: a probability with six digits, a quantity with one.
std::string digits(float value, int count) {
    const double unit = std::pow(10.0, count);
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", count,
                  std::round(static_cast<double>(value) * unit) / unit);
    return text;
}

// Of a head: its answer, and how sure it is; then a column per class.
std::size_t answer_columns(const HeadInfo& head) { return head.quantity ? 3 : 2; }

std::size_t column_count(const EngineInfo& info, bool crops) {
    std::size_t count = info.detector_name.empty() ? 7 : 8;
    if (crops) ++count;
    for (const Head head : named_heads)
        if (!info[head].model_name.empty())
            count += answer_columns(info[head]) + info[head].labels.size();
    return count;
}

void put_row(std::string& out, const std::string& source, std::size_t number,
             const FaceReport& face, const EngineInfo& info, bool crops) {
    const auto add = [&out](const std::string& value) { out += "," + value; };
    out += source;
    add(std::to_string(number));
    for (const int value :
         {face.box.x, face.box.y, face.box.width, face.box.height, face.neighbors})
        add(std::to_string(value));
    if (!info.detector_name.empty()) add(digits(face.score, 6));
    for (const Head head : named_heads) {
        const HeadInfo& about = info[head];
        if (about.model_name.empty()) continue;
        const Reading& reading = face[head];
        if (!reading.known()) {
            out += std::string(answer_columns(about) + about.labels.size(), ',');
            continue;
        }
        if (about.quantity) {
            for (const float value :
                 {reading.quantity.value, reading.quantity.low, reading.quantity.high})
                add(digits(value, 1));
        } else {
            add(csv_value(about.labels[reading.named()]));
            add(reading.unsure ? "true" : "false");
        }
        for (const float p : reading.probabilities) add(digits(p, 6));
    }
    if (crops) add(csv_value(face.crop_file));
    out += '\n';
}

}  // namespace

std::string csv_value(std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + '"';
}

std::string csv_header(const EngineInfo& info, bool crops) {
    std::string text = "source,face,x,y,width,height,neighbors";
    if (!info.detector_name.empty()) text += ",score";
    for (const Head head : named_heads) {
        const HeadInfo& about = info[head];
        if (about.model_name.empty()) continue;
        const std::string name = head_name(head);
        text += "," + name;
        text += about.quantity ? "," + name + "_low," + name + "_high" : "," + name + "_unsure";
        for (const std::string& label : about.labels) text += "," + csv_value(name + "_" + label);
    }
    return text + (crops ? ",crop_file\n" : "\n");
}

std::string csv_rows(const ImageReport& report, const EngineInfo& info, bool crops) {
    const std::string source = csv_value(report.source);
    std::string text;
    if (report.faces.empty())
        text = source + std::string(column_count(info, crops) - 1, ',') + "\n";
    for (std::size_t i = 0; i < report.faces.size(); ++i)
        put_row(text, source, i, report.faces[i], info, crops);
    return text;
}

}  // namespace mien::host
