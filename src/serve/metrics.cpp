// SPDX-License-Identifier: MIT
// Counting and printing (see metrics.h).
#include "serve/metrics.h"

#include <cstdio>

namespace mien::serve {
namespace {

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", value);
    return text;
}

void head(std::string& out, const char* name, const char* kind, const char* help) {
    out += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + kind + "\n";
}

void single(std::string& out, const char* name, const char* kind, const char* help,
            std::uint64_t value) {
    head(out, name, kind, help);
    out += std::string(name) + " " + std::to_string(value) + "\n";
}

}  // namespace

void Metrics::Histogram::add(double seconds) {
    std::size_t i = 0;
    while (i < bounds.size() && seconds > bounds[i]) ++i;
    ++counts[i];
    sum += seconds;
}

void Metrics::request(const char* route, int status, double seconds) {
    const std::lock_guard lock(mutex_);
    ++requests_[{route, status}];
    durations_[route].add(seconds);
}

void Metrics::image(const host::ImageReport& report) {
    const host::StepTimes& t = report.times;
    const std::lock_guard lock(mutex_);
    ++images_;
    faces_ += report.faces.size();
    const auto count = [this](const char* name, double ms) {
        if (ms > 0) steps_[name].add(ms / 1e3);
    };
    count("decode", t.decode);
    count("gray", t.gray);
    count("detect", t.detect);
    count("crop", t.crop);
    for (const Head head : named_heads) count(head_name(head), t.heads[head]);
    count("draw", t.draw);
    count("encode", t.encode);
}

void Metrics::queued(double seconds) {
    const std::lock_guard lock(mutex_);
    steps_["queue"].add(seconds);
}

void Metrics::refused_connection() {
    const std::lock_guard lock(mutex_);
    ++refused_;
}

void Metrics::print(std::string& out, const char* name, const std::string& labels,
                    const Histogram& histogram) {
    std::uint64_t below = 0;
    for (std::size_t i = 0; i <= bounds.size(); ++i) {
        below += histogram.counts[i];
        out += std::string(name) + "_bucket{" + labels + ",le=\"" +
               (i < bounds.size() ? number(bounds[i]) : "+Inf") + "\"} " + std::to_string(below) +
               "\n";
    }
    out += std::string(name) + "_sum{" + labels + "} " + number(histogram.sum) + "\n";
    out += std::string(name) + "_count{" + labels + "} " + std::to_string(below) + "\n";
}

std::string Metrics::text(const Gauges& gauges, const live::Feed* feed) const {
    std::string out;
    const std::lock_guard lock(mutex_);
    head(out, "mien_requests_total", "counter", "Requests answered, by route and status.");
    std::uint64_t errors = 0;
    for (const auto& [key, count] : requests_) {
        out += "mien_requests_total{route=\"" + key.first + "\",status=\"" +
               std::to_string(key.second) + "\"} " + std::to_string(count) + "\n";
        if (key.second >= 400) errors += count;
    }
    single(out, "mien_errors_total", "counter", "Requests answered with a status from 400 on.",
           errors);
    single(out, "mien_connections_refused_total", "counter", "Connections beyond the limit.",
           refused_);
    single(out, "mien_images_total", "counter", "Images analyzed.", images_);
    single(out, "mien_faces_total", "counter", "Faces found in them.", faces_);
    const auto gauge = [&out](const char* name, const char* help, std::uint64_t value) {
        single(out, name, "gauge", help, value);
    };
    gauge("mien_connections", "Open connections.", static_cast<std::uint64_t>(gauges.connections));
    gauge("mien_requests_in_flight", "Requests begun and not yet answered, this one among them.",
          static_cast<std::uint64_t>(gauges.in_flight));
    gauge("mien_requests_waiting", "Requests that wait for an engine.",
          static_cast<std::uint64_t>(gauges.waiting));
    gauge("mien_engines", "Engines.", static_cast<std::uint64_t>(gauges.workers));
    gauge("mien_engines_busy", "Engines at work.", static_cast<std::uint64_t>(gauges.busy));
    gauge("mien_body_bytes", "Bytes of request bodies that have come.", gauges.body_bytes);
    if (feed != nullptr) {
        const live::Feed::Figures camera = feed->figures();
        gauge("mien_camera_connected", "1 while the camera gives frames.", camera.connected);
        gauge("mien_camera_watchers", "Open live streams.",
              static_cast<std::uint64_t>(camera.watchers));
        single(out, "mien_camera_frames_total", "counter", "Frames of the camera analyzed.",
               camera.frames);
        single(out, "mien_camera_frames_dropped_total", "counter",
               "Frames of the camera left out for newer ones, or lost by its driver.",
               camera.dropped);
        single(out, "mien_camera_faces_total", "counter", "Faces found in the camera's frames.",
               camera.faces);
        head(out, "mien_camera_latency_seconds", "summary",
             "From a frame's time stamp to its result.");
        out += "mien_camera_latency_seconds_sum " + number(camera.latency_seconds) +
               "\nmien_camera_latency_seconds_count " + std::to_string(camera.frames) + "\n";
    }
    head(out, "mien_request_duration_seconds", "histogram",
         "From a request's header to its answer being ready, by route.");
    for (const auto& [route, histogram] : durations_)
        print(out, "mien_request_duration_seconds", "route=\"" + route + "\"", histogram);
    head(out, "mien_step_duration_seconds", "histogram",
         "Time of each step of the work on an image.");
    for (const auto& [step, histogram] : steps_)
        print(out, "mien_step_duration_seconds", "step=\"" + step + "\"", histogram);
    return out;
}

}  // namespace mien::serve
