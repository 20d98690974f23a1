// SPDX-License-Identifier: MIT
// Events instead of frames: what is told when, on faces made by hand.
#include <doctest/doctest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "live/events.h"

namespace {

using namespace mien;

host::EngineInfo two_heads() {
    host::EngineInfo info;
    info[Head::emotion] = {.model_name = "e", .labels = {"calm", "glad", "sad"}};
    info[Head::age] = {
        .model_name = "a", .labels = {"0", "100"}, .quantity = true, .unit = "years"};
    return info;
}

// A face of a frame: which label it shows (-1: not read), and for how many frames it is there.
struct Shown {
    std::uint32_t id = 1;
    int label = 0;
    bool unsure = false;
    int missed = 0;
};

// Ten frames a second.
class Watched {
public:
    explicit Watched(const live::EventOptions& options)
        : info_(two_heads()), finder_(options, info_) {}

    std::vector<std::string> frame(const std::vector<Shown>& faces) {
        std::vector<std::array<TrackedReading, max_heads>> readings(faces.size());
        std::vector<TrackedFace> tracked;
        for (std::size_t i = 0; i < faces.size(); ++i) {
            const Shown& shown = faces[i];
            for (const Head head : {Head::emotion, Head::age}) {
                TrackedReading& reading = readings[i][static_cast<std::size_t>(head)];
                if (shown.label < 0) continue;
                reading.probabilities = reading.smoothed = probabilities_;
                reading.label = head == Head::age ? 1 : shown.label;
                reading.unsure = head == Head::emotion && shown.unsure;
                reading.quantity = {.value = 34, .low = 27, .high = 42};
            }
            const auto seen = static_cast<std::size_t>(shown.id);
            if (seen >= frames_.size()) frames_.resize(seen + 1);
            TrackedFace face;
            face.id = shown.id;
            face.box = {10 * static_cast<int>(number_), 20, 30, 40};
            face.missed = shown.missed;
            face.frames = frames_[seen]++;
            face.readings = readings[i];
            tracked.push_back(face);
        }
        live::FrameResult result;
        result.number = number_;
        result.time_ns = number_++ * 100'000'000;
        result.width = 640;
        result.height = 480;
        result.faces = tracked;
        std::vector<std::string> told;
        CHECK(finder_.add(result, [&](const live::Event& event) {
            told.push_back(text(event));
            return true;
        }));
        return told;
    }
    std::vector<std::string> frames(int count, const std::vector<Shown>& faces) {
        std::vector<std::string> all;
        for (int i = 0; i < count; ++i)
            for (std::string& event : frame(faces))
                all.push_back(std::to_string(i) + " " + std::move(event));
        return all;
    }
    std::vector<std::string> finish() {
        std::vector<std::string> told;
        CHECK(finder_.finish([&](const live::Event& event) {
            told.push_back(text(event));
            return true;
        }));
        return told;
    }
    nlohmann::json last;

private:
    std::string text(const live::Event& event) {
        last = nlohmann::json::parse(live::event_json(event, "here", info_));
        std::string line = last["event"].get<std::string>();
        if (event.kind == live::Event::Kind::state)
            return line + " of " + std::to_string(last["faces"].size());
        line += " #" + std::to_string(last["face"]["id"].get<int>());
        if (event.kind == live::Event::Kind::change)
            line += " " + last["before"].dump() + " " + last["after"].dump();
        return line;
    }

    host::EngineInfo info_;
    live::EventFinder finder_;
    std::vector<float> probabilities_ = {0.2f, 0.5f, 0.3f};
    std::vector<std::uint32_t> frames_;
    std::uint64_t number_ = 0;
};

using Told = std::vector<std::string>;
const live::EventOptions on_change = {.on_change = true};

TEST_CASE("events: a face appears, changes for good, and leaves") {
    Watched watched(on_change);
    CHECK(watched.frames(5, {{}}) == Told{"2 appear #1"});  // found in three frames
    CHECK(watched.last["face"]["age"]["value"] == 34);
    CHECK(watched.last["count"] == 1);
    CHECK(watched.last["source"] == "here");
    CHECK(watched.last["schema"] == 2);
    CHECK_FALSE(watched.last.contains("utc"));  // of no live source
    // Another label for less than a second is no change, whatever comes in between.
    CHECK(watched.frames(9, {{.label = 1}}).empty());
    CHECK(watched.frames(3, {{.label = 0}}).empty());
    CHECK(watched.frames(9, {{.label = 1}}).empty());
    CHECK(watched.frame({{.label = 2}}).empty());
    CHECK(watched.frames(12, {{.label = 1}}) == Told{R"(10 change #1 "calm" "glad")"});
    CHECK(watched.last["head"] == "emotion");
    CHECK(watched.frames(12, {{.label = 1, .unsure = true}}) ==
          Told{R"(10 change #1 "glad" "unsure")"});
    // Missed frames are those of a face that is still there.
    CHECK(watched.frames(4, {{.label = 1, .unsure = true, .missed = 1}}).empty());
    CHECK(watched.frames(3, {}) == Told{"0 leave #1"});
    CHECK(watched.last["seconds"] == doctest::Approx(5.0));  // frames 0 to 50
    CHECK(watched.last["count"] == 0);
    CHECK(watched.last["face"]["emotion"]["label"] == "unsure");
    CHECK_FALSE(watched.last["face"].contains("age"));  // a quantity is no label
    CHECK(watched.last["face"]["box"]["x"] == 540);     // of the last frame that it was in
    CHECK(watched.finish().empty());
}

TEST_CASE("events: what is seen for a moment does not appear") {
    Watched watched(on_change);
    CHECK(watched.frames(2, {{}}).empty());
    CHECK(watched.frames(3, {{.missed = 1}}).empty());
    CHECK(watched.frames(3, {}).empty());
    // A face that cannot be read appears after a second, and its first answer is a change at once.
    CHECK(watched.frames(12, {{.id = 2, .label = -1}}) == Told{"10 appear #2"});
    CHECK(watched.frame({{.id = 2, .label = 1}}) == Told{R"(change #2 null "glad")"});
    CHECK(watched.finish() == Told{"leave #2"});
    CHECK(watched.finish().empty());
}

TEST_CASE("events: the state of all faces, every so often") {
    Watched watched({.every_s = 0.5});
    CHECK(watched.frames(11, {{}, {.id = 2}}) ==
          Told{"0 state of 2", "5 state of 2", "10 state of 2"});
    CHECK(watched.last["count"] == 2);
    CHECK(watched.last["faces"][1]["emotion"]["label"] == "calm");
    CHECK(watched.finish().empty());
}

TEST_CASE("events: the limit holds back, and tells how it is then") {
    Watched watched({.on_change = true, .settle_s = 0, .max_rate = 1});
    CHECK(watched.frames(3, {{}, {.id = 2}, {.id = 3}}) == Told{"2 appear #1"});
    // #2 and #3 wait, and #3 goes untold. What #1 was in between is not told either.
    CHECK(watched.frames(6, {{.label = 1}, {.id = 2}}).empty());
    CHECK(watched.frames(5, {{.label = 2}, {.id = 2}}) == Told{R"(3 change #1 "calm" "sad")"});
    CHECK(watched.frames(10, {{.label = 2}, {.id = 2}}) == Told{"8 appear #2"});
    // Who is gone is told first.
    CHECK(watched.frames(20, {{.label = 1}}) == Told{"8 leave #2", R"(18 change #1 "sad" "glad")"});
    Watched unlimited({.on_change = true, .settle_s = 0, .max_rate = 0});
    CHECK(unlimited.frames(3, {{}, {.id = 2}, {.id = 3}}).size() == 3);
}

TEST_CASE("events: nobody takes them anymore") {
    const host::EngineInfo info = two_heads();
    live::EventFinder finder({.every_s = 1}, info);
    live::FrameResult result;
    CHECK_FALSE(finder.add(result, [](const live::Event&) { return false; }));
}

}  // namespace
