// SPDX-License-Identifier: MIT
#include "serve/compat.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

namespace mien::serve {
namespace {

using Json = nlohmann::ordered_json;
using host::EngineInfo;
using host::FaceReport;
using host::ImageReport;
using host::Reading;

constexpr std::size_t max_query_options = 32;
// CompreFace's number for an image without a face.
constexpr int code_no_face = 28;

std::string one_line(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

double rounded(double value, double parts) { return std::round(value * parts) / parts; }

std::optional<bool> truth_of(std::string_view text) {
    if (text == "true" || text == "True" || text == "1") return true;
    if (text == "false" || text == "False" || text == "0") return false;
    return {};
}

// "['age', 'gender']", "age,gender": the words, without what stands around them.
std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words(1);
    for (const char c : text) {
        if (c == ',')
            words.emplace_back();
        else if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_')
            words.back() += c;
    }
    std::erase(words, "");
    return words;
}

Refusal bad_option(const std::string& name, const char* wanted) {
    return {400, "An option is not understood.", name + " is " + wanted};
}

// "Woman", as deepface writes it.
std::string capitalized(std::string text) {
    if (!text.empty())
        text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    return text;
}

Json point_json(const Point& p) { return {std::lround(p.x), std::lround(p.y)}; }

// The score of a face by the detector network; Haar's has none.
Json score_json(const FaceReport& face) {
    return face.landmarks.empty() ? Json() : Json(rounded(static_cast<double>(face.score), 1e6));
}

Json percents(const Reading& reading, const std::vector<std::string>& labels, bool capitals) {
    Json json = Json::object();
    for (std::size_t i = 0; i < reading.probabilities.size() && i < labels.size(); ++i) {
        json[capitals ? capitalized(labels[i]) : labels[i]] =
            rounded(static_cast<double>(reading.probabilities[i]) * 100, 1e4);
    }
    return json;
}

// Faces that are wanted: the largest first.
std::vector<const FaceReport*> chosen(const ImageReport& report, const CompatOptions& options) {
    std::vector<const FaceReport*> faces;
    for (const FaceReport& face : report.faces) {
        if (face.landmarks.empty() || face.score >= options.min_score) faces.push_back(&face);
    }
    std::stable_sort(faces.begin(), faces.end(), [](const FaceReport* a, const FaceReport* b) {
        return std::int64_t{a->box.width} * a->box.height >
               std::int64_t{b->box.width} * b->box.height;
    });
    if (options.limit > 0 && faces.size() > options.limit) faces.resize(options.limit);
    return faces;
}

}  // namespace

CompatOptions::CompatOptions() {
    for (const Head head : named_heads) heads[head] = true;
}

std::optional<Refusal> CompatOptions::read_deepface(const TextOptions& options) {
    for (const auto& [name, value] : options) {
        if (name == "actions") {
            for (const Head head : named_heads) heads[head] = false;
            for (const std::string& word : words_of(value)) {
                const auto head = std::find_if(std::begin(named_heads), std::end(named_heads),
                                               [&](Head h) { return word == head_name(h); });
                if (head != std::end(named_heads))
                    heads[*head] = true;
                else if (word != "race")  // asked for by default, and never answered here
                    return bad_option(name, "a list of age, gender and emotion");
            }
        } else if (name == "enforce_detection") {
            const auto value_read = truth_of(value);
            if (!value_read) return bad_option(name, "true or false");
            enforce_detection = *value_read;
        }
    }
    return {};
}

std::optional<Refusal> CompatOptions::read_compreface(const TextOptions& options) {
    for (const auto& [name, value] : options) {
        if (name == "limit") {
            const auto [end, error] =
                std::from_chars(value.data(), value.data() + value.size(), limit);
            if (error != std::errc() || end != value.data() + value.size())
                return bad_option(name, "a number of faces, 0 for all");
        } else if (name == "det_prob_threshold" && !value.empty()) {
            char* end = nullptr;
            min_score = std::strtof(value.c_str(), &end);
            if (end != value.c_str() + value.size() || !(min_score >= 0 && min_score <= 1))
                return bad_option(name, "0 to 1");
        } else if (name == "face_plugins") {
            // Plugins that there are not here add nothing.
            const std::vector<std::string> plugins = words_of(value);
            const auto has = [&](std::string_view plugin) {
                return std::find(plugins.begin(), plugins.end(), plugin) != plugins.end();
            };
            for (const Head head : named_heads) heads[head] = has(head_name(head));
            landmarks = has("landmarks");
        }
    }
    return {};
}

std::optional<TextOptions> query_options(std::string_view query) {
    TextOptions options;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair.empty()) continue;
        if (options.size() == max_query_options) return {};
        const std::size_t equal = std::min(pair.find('='), pair.size());
        const std::string_view coded = pair.substr(std::min(equal + 1, pair.size()));
        std::string value;
        for (std::size_t i = 0; i < coded.size(); ++i) {
            if (coded[i] != '%') {
                value += coded[i] == '+' ? ' ' : coded[i];
                continue;
            }
            unsigned byte = 0;
            const char* const digits = coded.data() + i + 1;
            if (i + 2 >= coded.size()) return {};
            if (std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) return {};
            value += static_cast<char>(byte);
            i += 2;
        }
        options.emplace_back(std::string(pair.substr(0, equal)), std::move(value));
    }
    return options;
}

Answer answer_deepface(const ImageReport& report, const EngineInfo& info,
                       const CompatOptions& options) {
    if (report.faces.empty() && options.enforce_detection) {
        return Refusal{400, "No face is found in the image.",
                       "with enforce_detection false the list is empty instead"};
    }
    Json results = Json::array();
    for (const FaceReport& face : report.faces) {
        Json region = {{"x", face.box.x},      {"y", face.box.y},     {"w", face.box.width},
                       {"h", face.box.height}, {"left_eye", nullptr}, {"right_eye", nullptr}};
        if (face.landmarks.size() > 1) {
            region["left_eye"] = point_json(face.landmarks[1]);
            region["right_eye"] = point_json(face.landmarks[0]);
        }
        Json json = {{"region", std::move(region)}, {"face_confidence", score_json(face)}};
        Json unsure = Json::array();
        for (const Head head : named_heads) {
            const Reading& reading = face[head];
            if (!options.heads[head] || !reading.known()) continue;
            const std::string name = head_name(head);
            if (info[head].quantity) {
                json[name] = std::lround(reading.quantity.value);
                continue;
            }
            const std::vector<std::string>& labels = info[head].labels;
            const bool capitals = head == Head::gender;
            json[name] = percents(reading, labels, capitals);
            const std::string& label = labels[reading.named()];
            json["dominant_" + name] = capitals ? capitalized(label) : label;
            if (reading.unsure) unsure.push_back(name);
        }
        json["unsure"] = std::move(unsure);
        results.push_back(std::move(json));
    }
    Answer answer;
    answer.body = one_line({{"results", std::move(results)}});
    return answer;
}

Answer answer_compreface(const ImageReport& report, const EngineInfo& info,
                         const CompatOptions& options) {
    const std::vector<const FaceReport*> faces = chosen(report, options);
    if (faces.empty()) {
        Answer answer = refuse_compreface({400, "No face is found in the given image"});
        Json body = Json::parse(answer.body);
        body["code"] = code_no_face;
        answer.body = one_line(body);
        return answer;
    }
    Json result = Json::array();
    for (const FaceReport* face : faces) {
        const Rect& box = face->box;
        Json json = {{"box",
                      {{"probability", score_json(*face)},
                       {"x_max", box.x + box.width},
                       {"y_max", box.y + box.height},
                       {"x_min", box.x},
                       {"y_min", box.y}}}};
        for (const Head head : named_heads) {
            const Reading& reading = (*face)[head];
            if (!options.heads[head] || !reading.known()) continue;
            if (info[head].quantity) {
                // The range holds four of five cases.
                json[head_name(head)] = {{"probability", 0.8},
                                         {"low", std::lround(reading.quantity.low)},
                                         {"high", std::lround(reading.quantity.high)}};
                continue;
            }
            const std::string& label = info[head].labels[reading.named()];
            const bool gender = head == Head::gender;
            json[head_name(head)] = {
                {"probability", rounded(static_cast<double>(reading.best_probability()), 1e6)},
                {"value", gender && label == "man"     ? "male"
                          : gender && label == "woman" ? "female"
                                                       : label}};
        }
        if (options.landmarks && !face->landmarks.empty()) {
            Json points = Json::array();
            for (const Point& p : face->landmarks) points.push_back(point_json(p));
            json["landmarks"] = std::move(points);
        }
        result.push_back(std::move(json));
    }
    Json plugins = Json::object();
    if (!info.detector_name.empty() || !info.cascade_name.empty())
        plugins["detector"] = info.detector_name.empty() ? info.cascade_name : info.detector_name;
    for (const Head head : named_heads) {
        if (options.heads[head] && !info[head].model_name.empty())
            plugins[head_name(head)] = info[head].model_name;
    }
    Answer answer;
    answer.body =
        one_line({{"result", std::move(result)}, {"plugins_versions", std::move(plugins)}});
    return answer;
}

Answer refuse_compreface(const Refusal& refusal) {
    Answer answer(refusal);
    Json body = Json::parse(answer.body);
    body["message"] = refusal.detail.empty() ? refusal.text : refusal.text + " " + refusal.detail;
    answer.body = one_line(body);
    return answer;
}

}  // namespace mien::serve
