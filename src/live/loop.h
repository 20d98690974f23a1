// SPDX-License-Identifier: MIT
// The loop for cameras, pipes and films: decode, track, draw if somebody watches, deliver results.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/draw/draw.h"
#include "host/results/report.h"
#include "host/weights/engine_owner.h"
#include "live/feed.h"
#include "live/statistics.h"
#include "live/window.h"
#include "mien/tracker.hpp"
#include "video/decoder.h"
#include "video/recorder.h"
#include "video/source.h"

namespace mien::live {

struct LoopOptions {
    std::string source_name;
    TrackerConfig tracker;
    host::Style style = host::Style::gender;
    // lay the class activation map of the expression over each face
    bool explain = false;
    bool landmarks = false;  // drawn, too
    int jpeg_scale = 1;
    int orientation = 1;           // in which frames come (host/codec/orientation.h)
    bool as_stored = false;        // films are neither turned nor stretched as they say
    std::uint64_t max_frames = 0;  // 0: until the source ends
    double max_seconds = 0;
};

// A frame's result; spans are valid until the next.
struct FrameResult {
    std::uint64_t number = 0, time_ns = 0, dropped = 0;
    std::uint64_t stamp_ns = 0;  // the source's own, as in video::Packet
    int width = 0, height = 0;
    video::StoredShape stored;
    double latency_ms = -1;  // from the time stamp to here; -1: not of a live source
    // of live sources: the time stamp by the clock on the wall, since 1970
    std::int64_t utc_ms = 0;
    double decode_ms = 0, gray_ms = 0, detect_ms = 0, classify_ms = 0;
    bool full_search = false;
    std::span<const TrackedFace> faces;
};

// Somebody who takes annotated frames as JPEG while they are wanted, each after its result and before
// the next one.
struct Pictures {
    std::function<bool()> wanted;
    std::function<void(std::span<const std::uint8_t>)> take;
};

struct Outputs {
    std::function<bool(const FrameResult&)> result;  // false: nobody reads it anymore
    std::function<void(const std::string&)> tell;    // one line for people
    std::function<bool()> stop;
    std::function<void()> idle;  // while there is no frame
    std::vector<Pictures> pictures = {};
    video::Recorder* recorder = nullptr;
    Feed* feed = nullptr;
    Window* window = nullptr;
};

enum class LoopEnd {
    source_end,
    limit,
    stopped,
    window_closed,
    reader_gone,
    source_failed,
    engine_failed
};

struct LoopOutcome {
    LoopEnd end = LoopEnd::source_end;
    std::string error;     // of the last two
    bool damaged = false;  // frames were skipped
    bool recording_failed = false;
};

// `owner` has the weights; the tracker made of them lives in here.
LoopOutcome run_loop(video::Source& source, const host::EngineOwner& owner,
                     const LoopOptions& options, const Outputs& outputs, Statistics& statistics);

// {"schema":2,"source":..,"frame":..,"time_s":..,"width":..,"height":..,["stored":{..},]"dropped":..,
// "full_search":..,"timing_ms":{..},"faces":[{"id":..,"missed":..,"frames":..,"box":{..},
// "neighbors":..,"score":..,"landmarks":[..],
// HEAD:{"label":..,"unsure":..,"probabilities":{..},"smoothed":{..}},..}]}, one line without
// newline.
std::string frame_json(const FrameResult& result, const std::string& source,
                       const host::EngineInfo& info);
// "12.3 fps  14 ms  #1 happy 93 % woman 34 years, #2 neutral 80 % man 52 years", cut to `width` letters.
std::string frame_line(const FrameResult& result, const host::EngineInfo& info, double fps,
                       std::size_t width);
// One screen for people; one object for programs.
std::string summary_text(const Statistics& statistics, const std::string& source);
std::string summary_json(const Statistics& statistics, const std::string& source);

// What is drawn for a face: its smoothed label with that label's probability in the last result.
host::FaceReport drawn_face(const TrackedFace& face, host::Style style);

}  // namespace mien::live
