// SPDX-License-Identifier: MIT
// Results of a live run as JSON and as text (see loop.h).
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "host/results/json.h"
#include "live/face_json.h"
#include "live/loop.h"

namespace mien::live {
namespace {

using host::Json;

double rounded(double v, double digits) { return std::round(v * digits) / digits; }
double milliseconds(double v) { return rounded(v, 1e3); }

Json percentiles(const Histogram& h) {
    return {{"mean", milliseconds(h.mean())},
            {"p50", milliseconds(h.at(0.5))},
            {"p95", milliseconds(h.at(0.95))},
            {"p99", milliseconds(h.at(0.99))},
            {"max", milliseconds(h.maximum())}};
}
std::string text(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

[[gnu::format(printf, 1, 2)]] std::string print(const char* pattern, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(line, sizeof line, pattern, arguments);
    va_end(arguments);
    return line;
}

Json stored_json(const video::StoredShape& stored) {
    return {{"width", stored.width},
            {"height", stored.height},
            {"pixel_aspect", {stored.aspect.width, stored.aspect.height}},
            {"orientation", stored.orientation}};
}

double rate(const Statistics& s) {
    return s.seconds() > 0 ? static_cast<double>(s.frames) / s.seconds() : 0;
}
double searched(const Statistics& s) {
    return s.full_windows > 0 ? static_cast<double>(s.windows) / static_cast<double>(s.full_windows)
                              : 0;
}

}  // namespace

host::FaceReport report_of(const TrackedFace& face) {
    host::FaceReport report;
    report.box = face.box;
    report.neighbors = face.neighbors;
    report.score = face.score;
    report.landmarks.assign(face.landmarks.begin(), face.landmarks.end());
    for (const Head head : named_heads) {
        const TrackedReading reading = face[head];
        if (reading.label < 0) continue;
        report[head].probabilities.assign(reading.probabilities.begin(),
                                          reading.probabilities.end());
        report[head].label = reading.label;
        report[head].unsure = reading.unsure;
        report[head].quantity = reading.quantity;
    }
    return report;
}

Json tracked_face_json(const TrackedFace& face, const host::EngineInfo& info) {
    Json json = {{"id", face.id}, {"missed", face.missed}, {"frames", face.frames}};
    host::put_face(json, report_of(face), info);
    for (const Head head : named_heads) {
        if (face[head].label >= 0)
            json[head_name(head)]["smoothed"] =
                host::probabilities_json(face[head].smoothed, info[head]);
    }
    return json;
}

std::string answers_line(const TrackedFace& face, const host::EngineInfo& info) {
    std::string line;
    const host::FaceReport report = report_of(face);
    for (const Head head : named_heads) {
        const host::Reading& reading = report[head];
        if (!reading.known()) continue;
        line += " " + (head == Head::emotion ? host::answer_line(reading, info[head])
                                             : host::answer_word(reading, info[head]));
    }
    return line;
}

double seconds_of(std::uint64_t time_ns) {
    return rounded(static_cast<double>(time_ns) * 1e-9, 1e6);
}

std::string frame_json(const FrameResult& result, const std::string& source,
                       const host::EngineInfo& info) {
    Json faces = Json::array();
    for (const TrackedFace& face : result.faces) faces.push_back(tracked_face_json(face, info));
    Json times = {{"decode", milliseconds(result.decode_ms)},
                  {"gray", milliseconds(result.gray_ms)},
                  {"detect", milliseconds(result.detect_ms)},
                  {"classify", milliseconds(result.classify_ms)}};
    if (result.latency_ms >= 0) times["latency"] = milliseconds(result.latency_ms);
    Json json = {{"schema", host::json_schema}, {"source", source},
                 {"frame", result.number},      {"time_s", seconds_of(result.time_ns)},
                 {"width", result.width},       {"height", result.height}};
    if (result.stored.is_changed) json["stored"] = stored_json(result.stored);
    json["dropped"] = result.dropped;
    json["full_search"] = result.full_search;
    json["timing_ms"] = std::move(times);
    json["faces"] = std::move(faces);
    return text(json);
}

std::string frame_line(const FrameResult& result, const host::EngineInfo& info, double fps,
                       std::size_t width) {
    std::string line = print("%5.1f fps  ", fps);
    line += result.latency_ms >= 0 ? print("%3.0f ms  ", result.latency_ms)
                                   : print("%5.1f ms  ", result.decode_ms + result.gray_ms +
                                                             result.detect_ms + result.classify_ms);
    if (result.dropped > 0)
        line += print("%llu dropped  ", static_cast<unsigned long long>(result.dropped));
    if (result.faces.empty()) line += "no face";
    bool first = true;
    for (const TrackedFace& face : result.faces) {
        line += first ? "" : ", ";
        first = false;
        line += print("#%u", face.id);
        if (face.missed > 0) line += " (not seen)";
        line += answers_line(face, info);
    }
    if (line.size() > width) line.resize(width);
    // half a letter
    while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xc0) == 0x80)
        line.pop_back();
    return line;
}

std::string summary_text(const Statistics& s, const std::string& source) {
    const auto row = [](const char* name, const Histogram& h) {
        return print("  %-28s %8.2f %8.2f %8.2f %8.2f %8.2f\n", name, h.mean(), h.at(0.5),
                     h.at(0.95), h.at(0.99), h.maximum());
    };
    std::string text =
        source + print(": %llu %s in %.1f s, %.1f a second; %llu dropped, %llu damaged\n",
                       static_cast<unsigned long long>(s.frames),
                       s.frames == 1 ? "frame" : "frames", s.seconds(), rate(s),
                       static_cast<unsigned long long>(s.dropped),
                       static_cast<unsigned long long>(s.damaged));
    text += print(
        "faces: %llu in all frames, %u ids, read %llu times; searched %.0f %% of all windows; "
        "frames in full: %llu\n",
        static_cast<unsigned long long>(s.faces), s.people,
        static_cast<unsigned long long>(s.readings), 100 * searched(s),
        static_cast<unsigned long long>(s.full_searches));
    if (s.frames == 0) return text;
    if (s.stored.is_changed)
        text += print("frames of %d x %d are shown as %d x %d, as the file says (--as-stored)\n",
                      s.stored.width, s.stored.height, s.shown_width, s.shown_height);
    text += "  milliseconds                     mean      50%      95%      99%      max\n";
    if (s.latency.count() > 0) text += row("latency, stamp to result", s.latency);
    text +=
        row("work a frame", s.work) + row("  decoding", s.decode) + row("  searching", s.detect);
    if (s.per_face.count() > 0) text += row("  reading a face", s.per_face);
    text += row("between results", s.interval);
    if (s.jitter.count() > 0 && s.latency.count() > 0) text += row("jitter", s.jitter);
    text += print("processor: %.0f %% of one core; memory:",
                  s.seconds() > 0 ? 100 * s.cpu_seconds / s.seconds() : 0);
    for (std::size_t i = 0; i < s.memory.size();
         i += std::max<std::size_t>(1, s.memory.size() / 4)) {
        text += print(" %.1f MiB at frame %llu,", s.memory[i].mib,
                      static_cast<unsigned long long>(s.memory[i].frame));
    }
    return text + print(" %.1f MiB at the end\n", s.memory.empty() ? 0.0 : s.memory.back().mib);
}

std::string summary_json(const Statistics& s, const std::string& source) {
    Json memory = Json::array();
    for (const MemorySample& sample : s.memory)
        memory.push_back({{"frame", sample.frame}, {"mib", rounded(sample.mib, 100)}});
    Json ms = {{"work", percentiles(s.work)},         {"decode", percentiles(s.decode)},
               {"search", percentiles(s.detect)},     {"per_face", percentiles(s.per_face)},
               {"interval", percentiles(s.interval)}, {"jitter", percentiles(s.jitter)}};
    if (s.latency.count() > 0) ms["latency"] = percentiles(s.latency);
    Json summary = {
        {"frames", s.frames},
        {"seconds", milliseconds(s.seconds())},
        {"fps", rounded(rate(s), 100)},
        {"dropped", s.dropped},
        {"damaged", s.damaged},
        {"faces", s.faces},
        {"ids", s.people},
        {"readings", s.readings},
        {"full_searches", s.full_searches},
        {"searched_share", rounded(searched(s), 1e4)},
        {"ms", std::move(ms)},
        {"cpu_percent", rounded(s.seconds() > 0 ? 100 * s.cpu_seconds / s.seconds() : 0, 10)},
        {"memory", std::move(memory)}};
    if (s.stored.is_changed) summary["stored"] = stored_json(s.stored);
    return text(
        {{"schema", host::json_schema}, {"source", source}, {"summary", std::move(summary)}});
}

}  // namespace mien::live
