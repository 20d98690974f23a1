// SPDX-License-Identifier: MIT
// Does the tracker keep its promises with the detector network: steady ids for little work, new
// faces in time, the engine's own scores, landmarks and crops, frames of any size?
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "base/geometry.h"
#include "host/codec/image_file.h"
#include "mien/mien.h"
#include "mien/tracker.hpp"
#include "unit/helpers.h"
#include "unit/moving_faces.h"

using namespace mien;
using namespace mien::test;

namespace {

constexpr std::uint64_t net_frame_ns = 33'333'333;

struct Files {
    ByteVector detector_file = read_file(weights_path("detector.mien"));
    ByteVector emotion_file = read_file(weights_path("emotion.mien"));
    Model detector, emotion;
    Files() {
        REQUIRE(Model::open(detector_file, detector) == Status::ok);
        REQUIRE(Model::open(emotion_file, emotion) == Status::ok);
    }
    [[nodiscard]] Weights views(bool networks) const {
        return {
            .cascade = nullptr, .detector = &detector, .heads = {networks ? &emotion : nullptr}};
    }
};
const Files& files() {
    static const Files opened;
    return opened;
}

host::Image photo(const char* name) {
    auto decoded = host::decode_image(read_file(data_path(std::string("photos/") + name)));
    REQUIRE(decoded);
    return std::move(decoded->image);
}

// A face and its surroundings, gray.
const Patch& face_patch() {
    static const Patch patch = [] {
        const host::Image image = photo("astronaut.jpg");
        const Rect part = {130, 0, 190, 210};
        Patch cut;
        cut.width = part.width;
        cut.height = part.height;
        for (int y = part.y; y < part.y + part.height; ++y)
            for (int x = part.x; x < part.x + part.width; ++x) {
                const std::uint8_t* p = image.pixels.get() +
                                        static_cast<std::size_t>(y) * image.row_bytes() +
                                        3 * static_cast<std::size_t>(x);
                cut.pixels.push_back(
                    static_cast<std::uint8_t>((p[0] * 77 + p[1] * 150 + p[2] * 29) >> 8));
            }
        return cut;
    }();
    return patch;
}

struct NetTracking {
    TrackerConfig config;
    std::vector<std::byte> memory;
    Tracker tracker;
    explicit NetTracking(const TrackerConfig& wanted, bool networks = false) : config(wanted) {
        const Weights weights = files().views(networks);
        memory.resize(Tracker::required_bytes(config, weights));
        REQUIRE(memory.size() > 0);
        REQUIRE(Tracker::create(config, weights, memory, tracker) == Status::ok);
    }
    std::span<const TrackedFace> step(const Frame& frame, std::uint64_t time) {
        std::span<const TrackedFace> faces;
        REQUIRE(tracker.process(frame, time, faces) == Status::ok);
        return faces;
    }
    std::span<const TrackedFace> step(const std::vector<std::uint8_t>& gray, int number) {
        const int width = config.engine.max_width, height = config.engine.max_height;
        return step({gray.data(), width, height, width, PixelFormat::gray8},
                    static_cast<std::uint64_t>(number) * net_frame_ns);
    }
};

TrackerConfig config_for(int width, int height) {
    TrackerConfig config;
    config.engine.max_width = width;
    config.engine.max_height = height;
    // the films are gray, whose scores are lower
    config.engine.detector.min_score = 0.6f;
    return config;
}

int rounded(double v) { return static_cast<int>(std::lround(v)); }

std::uint64_t even_now = 0, uneven_now = 0;
std::uint64_t even_clock() { return even_now += 50'000; }
std::uint64_t uneven_clock() { return uneven_now += 10'000 + (uneven_now / 1000 * 7919) % 400'000; }

}  // namespace

TEST_CASE("net tracker: a moving face keeps its id, for a quarter of the pixels") {
    NetTracking tracking(config_for(640, 480));
    std::vector<std::uint8_t> frame;
    std::int64_t pixels = 0, full_pixels = 0;
    int full = 0;
    for (int n = 0; n < 60; ++n) {
        background(frame, 640, 480, n);
        paste(frame, 640, 480, face_patch(),
              {20 + n * 5.0, 60 + 30 * std::sin(n * 0.2), 150 + n * 2.0});
        const auto faces = tracking.step(frame, n);
        CAPTURE(n);
        REQUIRE(faces.size() == 1);
        CHECK(faces[0].id == 1);
        CHECK(faces[0].missed == 0);
        CHECK(faces[0].frames == static_cast<std::uint32_t>(n));
        CHECK(faces[0].landmarks.size() == 5);
        const TrackerStats& stats = tracking.tracker.stats();
        CHECK(stats.searches == (n > 0 ? 1 : 0));
        CHECK(stats.windows > 0);
        pixels += stats.windows;
        full_pixels += stats.full_windows;
        full += stats.full;
    }
    CHECK(full_pixels == std::int64_t{60} * (640 * 480 + 160 * 128));
    CHECK(pixels * 4 < full_pixels);
    CHECK(full >= 60 * 33 / 300);
}

TEST_CASE("net tracker: a new face is found within 0.3 s, one that leaves is lost") {
    // how the frames of the film fall on the cycle must not matter
    for (const int appears : {1, 5, 9, 10}) {
        NetTracking tracking(config_for(320, 240));
        std::vector<std::uint8_t> frame;
        int found = -1, lost = -1;
        for (int n = 0; n < 60; ++n) {
            background(frame, 320, 240, n);
            if (n >= appears && n < 40) paste(frame, 320, 240, face_patch(), {60.0 + n, 40, 130});
            const auto faces = tracking.step(frame, n);
            if (found < 0 && !faces.empty()) found = n;
            if (found >= 0 && lost < 0 && faces.empty()) lost = n;
            if (n >= 40 && !faces.empty()) CHECK(faces[0].missed == n - 39);
        }
        CAPTURE(appears);
        CHECK(found >= appears);
        CHECK(static_cast<std::uint64_t>(found - appears) * net_frame_ns <= 300'000'000u);
        CHECK(lost > 50);
        CHECK(lost <= 40 + 16);
    }
}

TEST_CASE("net tracker: a face that does not move has a box that does not move") {
    NetTracking tracking(config_for(320, 240));
    std::vector<std::uint8_t> frame;
    background(frame, 320, 240, 1);
    paste(frame, 320, 240, face_patch(), {60, 40, 130});
    Rect box;
    for (int n = 0; n < 30; ++n) {
        const auto faces = tracking.step(frame, n);
        REQUIRE(faces.size() == 1);
        if (n > 6) CHECK(faces[0].box == box);
        box = faces[0].box;
    }
}

TEST_CASE("net tracker: a face hidden for a moment comes back with its id") {
    NetTracking tracking(config_for(320, 240));
    std::vector<std::uint8_t> frame;
    for (int n = 0; n < 30; ++n) {
        background(frame, 320, 240, n);
        const bool hidden = n >= 12 && n < 18;
        if (!hidden) paste(frame, 320, 240, face_patch(), {40 + n * 2.0, 40, 130});
        const auto faces = tracking.step(frame, n);
        CAPTURE(n);
        REQUIRE(faces.size() == 1);
        CHECK(faces[0].id == 1);
        CHECK((faces[0].missed > 0) == hidden);
    }
}

TEST_CASE("net tracker: full_every = 1 gives the engine's faces, scores and landmarks") {
    const host::Image image = photo("montage.jpg");
    TrackerConfig config;
    config.engine.max_width = image.width;
    config.engine.max_height = image.height;
    config.full_every = 1;
    NetTracking tracking(config);
    const Weights weights = files().views(false);
    std::vector<std::byte> memory(Engine::required_bytes(config.engine, weights));
    Engine engine;
    REQUIRE(Engine::create(config.engine, weights, memory, engine) == Status::ok);
    for (int n = 0; n < 2; ++n) {
        std::span<const Face> truth;
        REQUIRE(engine.detect(image.frame(), truth) == Status::ok);
        REQUIRE(truth.size() >= 4);
        const auto faces =
            tracking.step(image.frame(), static_cast<std::uint64_t>(n) * net_frame_ns);
        CHECK(tracking.tracker.stats().full);
        REQUIRE(faces.size() == truth.size());
        for (std::size_t i = 0; i < faces.size(); ++i) {
            CHECK(faces[i].box == truth[i].box);
            CHECK(faces[i].score == truth[i].score);
            CHECK(std::equal(faces[i].landmarks.begin(), faces[i].landmarks.end(),
                             truth[i].landmarks.begin(), truth[i].landmarks.end()));
        }
    }
}

TEST_CASE("net tracker: heads see the face turned upright, from the first frame on") {
    // A face of 150 pixels, turned by 25 degrees. Landmarks of small faces hardly turn.
    const host::Image image = photo("astronaut.jpg");
    constexpr int side = 320;
    std::vector<std::uint8_t> turned;
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
            const double dx = (x - side / 2) * 0.6, dy = (y - side / 2) * 0.6, c = 0.906, s = 0.423;
            const int u = std::clamp(rounded(225 + c * dx + s * dy), 0, image.width - 1),
                      v = std::clamp(rounded(115 + c * dy - s * dx), 0, image.height - 1);
            const std::uint8_t* const p =
                image.frame().data + v * image.frame().stride_bytes + 3 * u;
            turned.insert(turned.end(), p, p + 3);
        }
    const Frame frame = {turned.data(), side, side, 3 * side, PixelFormat::rgb24};
    TrackerConfig config;
    config.engine.max_width = frame.width;
    config.engine.max_height = frame.height;
    NetTracking tracking(config, true);
    const Weights weights = files().views(true);
    std::vector<std::byte> memory(Engine::required_bytes(config.engine, weights));
    Engine engine;
    REQUIRE(Engine::create(config.engine, weights, memory, engine) == Status::ok);
    for (int n = 0; n < 4; ++n) {
        const auto faces = tracking.step(frame, static_cast<std::uint64_t>(n) * net_frame_ns);
        REQUIRE(faces.size() == 1);
        REQUIRE(faces[0].landmarks.size() == 5);
        const Point right = faces[0].landmarks[0], left = faces[0].landmarks[1];
        CHECK(std::atan2(left.y - right.y, left.x - right.x) > 0.12f);  // 7 degrees
        Face again;
        REQUIRE(engine.classify(frame, faces[0].box, faces[0].landmarks, again) == Status::ok);
        const Frame mine = tracking.tracker.engine()->last_crop(Head::emotion),
                    wanted = engine.last_crop(Head::emotion);
        REQUIRE(mine.width == wanted.width);
        CHECK(std::memcmp(mine.data, wanted.data,
                          static_cast<std::size_t>(mine.stride_bytes * mine.height)) == 0);
        const auto own = faces[0][Head::emotion].probabilities;
        CHECK(std::equal(own.begin(), own.end(), again[Head::emotion].probabilities.begin()));
        REQUIRE(engine.classify(frame, faces[0].box, again) == Status::ok);  // not turned
        CHECK_FALSE(std::equal(own.begin(), own.end(), again[Head::emotion].probabilities.begin()));
    }
}

TEST_CASE("net tracker: a budget divides the search, whatever the clock says, and nobody is lost") {
    struct Outcome {
        int found = -1;
        std::set<std::uint32_t> ids;
        Rect last;
    };
    const auto run = [](std::uint64_t budget, std::uint64_t (*clock)()) {
        TrackerConfig config = config_for(640, 480);
        config.budget_ns = budget;
        config.engine.clock_ns = clock;
        NetTracking tracking(config);
        std::vector<std::uint8_t> frame;
        Outcome outcome;
        for (int n = 0; n < 40; ++n) {
            background(frame, 640, 480, n);
            paste(frame, 640, 480, face_patch(), {100 + n * 2.0, 90, 60});
            paste(frame, 640, 480, face_patch(), {330, 20.0 + n, 290});
            const auto faces = tracking.step(frame, n);
            const TrackerStats& stats = tracking.tracker.stats();
            CHECK(stats.full == (budget == 0 && stats.parts == 0 && stats.full));
            if (budget > 0) CHECK(stats.windows < stats.full_windows);
            for (const TrackedFace& face : faces) outcome.ids.insert(face.id);
            if (outcome.found < 0 && faces.size() == 2) outcome.found = n;
            if (n == 39) {
                REQUIRE(faces.size() == 2);
                outcome.last =
                    faces[0].box.width < faces[1].box.width ? faces[0].box : faces[1].box;
            }
        }
        return outcome;
    };
    // Without a budget the clock changes nothing.
    const Outcome plain = run(0, nullptr), timed = run(0, uneven_clock);
    CHECK(plain.found == 0);
    CHECK(timed.found == 0);
    CHECK(plain.last == timed.last);
    for (const auto clock : {even_clock, uneven_clock}) {
        const Outcome small = run(300'000, clock), large = run(20'000'000, clock);
        CHECK(small.found >= 0);
        CHECK(small.found <= 10);
        CHECK(large.found >= 0);
        CHECK(large.found <= small.found);
        CHECK(small.ids.size() == 2);
        CHECK(large.ids.size() == 2);
        CHECK(overlap(small.last, plain.last) > 0.8);
        CHECK(overlap(large.last, plain.last) > 0.8);
    }
}

TEST_CASE("net tracker: where a full search is cheaper than one around each face, it is made") {
    TrackerConfig config = config_for(320, 240);
    NetTracking tracking(config);
    std::vector<std::uint8_t> frame;
    std::vector<std::uint32_t> ids;
    for (int n = 0; n < 12; ++n) {
        background(frame, 320, 240, 1);
        for (int i = 0; i < 12; ++i)
            paste(frame, 320, 240, face_patch(), {4.0 + i % 4 * 78 + n, 2.0 + i / 4 * 78, 70});
        const auto faces = tracking.step(frame, n);
        const TrackerStats& stats = tracking.tracker.stats();
        CHECK(stats.full);
        CHECK(stats.windows == stats.full_windows);
        CHECK(stats.searches == 0);
        REQUIRE(faces.size() >= 10);
        std::vector<std::uint32_t> now;
        for (const TrackedFace& face : faces) now.push_back(face.id);
        if (n > 0) CHECK(now == ids);
        ids = now;
    }
}

TEST_CASE("net tracker: frames of any size and format, also smaller than the network's step") {
    for (const std::pair<int, int>& size :
         {std::pair{1, 1}, {20, 20}, {31, 400}, {333, 251}, {97, 65}}) {
        const int width = size.first, height = size.second;
        CAPTURE(width);
        NetTracking tracking(config_for(width, height));
        std::vector<std::uint8_t> frame;
        for (int n = 0; n < 14; ++n) {
            background(frame, width, height, n);
            paste(frame, width, height, face_patch(),
                  {width * 0.1, height * 0.1, std::min(width, height) * 0.7});
            const auto faces = tracking.step(frame, n);
            for (const TrackedFace& face : faces)
                CHECK(clamped(face.box, width, height) == face.box);
            if (width >= 200 && height >= 200) CHECK(faces.size() == 1);
        }
    }
    const host::Image image = photo("astronaut_320.png");
    TrackerConfig config;
    config.engine.max_width = config.engine.max_height = 320;
    NetTracking tracking(config);
    std::vector<std::uint8_t> yuyv(static_cast<std::size_t>(image.width * image.height * 2), 128);
    for (int i = 0; i < image.width * image.height; ++i)
        yuyv[static_cast<std::size_t>(2 * i)] = image.pixels.get()[3 * i + 1];
    const Frame frame = {yuyv.data(), image.width, image.height, 2 * std::ptrdiff_t{image.width},
                         PixelFormat::yuyv};
    for (int n = 0; n < 3; ++n)
        CHECK(tracking.step(frame, static_cast<std::uint64_t>(n) * net_frame_ns).size() == 1);

    Tracker none;
    CHECK(Tracker::required_bytes(config, {}) == 0);
    std::vector<std::byte> memory(Tracker::required_bytes(config, files().views(false)) - 1);
    CHECK(Tracker::create(config, files().views(false), memory, none) == Status::too_small);
}

TEST_CASE("C: tracked faces have score and landmarks, old callers get what they know") {
    const host::Image image = photo("astronaut_320.png");
    mien_config config;
    mien_weights weights;
    mien_tracker_config tracking;
    mien_frame frame;
    mien_config_init(&config);
    mien_weights_init(&weights);
    mien_tracker_config_init(&tracking);
    mien_frame_init(&frame);
    config.max_width = config.max_height = 320;
    weights.detector = {files().detector_file.data(), files().detector_file.size()};
    std::vector<std::byte> memory(mien_tracker_required_bytes(&config, &tracking, &weights));
    REQUIRE(!memory.empty());
    mien_tracker* tracker = nullptr;
    REQUIRE(mien_tracker_create(&config, &tracking, &weights, memory.data(), memory.size(),
                                &tracker) == MIEN_OK);
    frame.data = image.pixels.get();
    frame.width = image.width;
    frame.height = image.height;
    frame.stride_bytes = 3 * std::ptrdiff_t{image.width};
    frame.format = MIEN_RGB24;
    std::size_t count = 0;
    REQUIRE(mien_tracker_process(tracker, &frame, 0, &count) == MIEN_OK);
    REQUIRE(count == 1);
    mien_tracked_face face;
    REQUIRE(mien_tracked_face_at(tracker, 0, &face) == MIEN_OK);
    CHECK(face.score > 0.7f);
    REQUIRE(face.landmark_count == 5);
    CHECK(face.landmarks[0][0] > static_cast<float>(face.x));
    CHECK(face.landmarks[0][0] < face.landmarks[1][0]);  // the person's right eye is on the left
    CHECK(face.landmarks[0][1] < face.landmarks[4][1]);
    mien_tracked_face old;
    std::memset(&old, 0x55, sizeof old);
    REQUIRE(mien_tracked_face_at_sized(tracker, 0, &old, offsetof(mien_tracked_face, score)) ==
            MIEN_OK);
    CHECK(old.width == face.width);
    std::uint32_t untouched = 0;
    std::memcpy(&untouched, &old.score, sizeof untouched);
    CHECK(untouched == 0x55555555u);
}

namespace {

// A frame of which only those rows are right that were asked for.
struct LateRows {
    const std::vector<std::uint8_t>* whole = nullptr;
    std::vector<std::uint8_t> there;
    int width = 0, height = 0, rows = 0, asked = 0;
    int refuse_beyond = 1 << 20;  // rows from there on cannot be had

    void begin(const std::vector<std::uint8_t>& frame, int w, int h) {
        whole = &frame;
        width = w;
        height = h;
        rows = asked = 0;
        there.resize(frame.size());
        for (std::size_t i = 0; i < there.size(); ++i)
            there[i] = static_cast<std::uint8_t>(i * 7919 >> 3);
    }
    int need(int first, int last) {
        CHECK((first >= 0 && first < last && last <= height));
        ++asked;
        if (last > refuse_beyond) return 0;
        const auto begin = static_cast<std::ptrdiff_t>(first) * width,
                   end = static_cast<std::ptrdiff_t>(last) * width;
        std::copy(whole->begin() + begin, whole->begin() + end, there.begin() + begin);
        rows = std::max(rows, last - first);
        even_now += 5'000'000;  // takes its time
        return 1;
    }
    FrameRows source() {
        return {[](void* self, int first, int last) {
                    return static_cast<LateRows*>(self)->need(first, last);
                },
                this};
    }
    [[nodiscard]] Frame frame() const {
        return {there.data(), width, height, width, PixelFormat::gray8};
    }
};

void draw_two(std::vector<std::uint8_t>& frame, int n) {
    background(frame, 640, 480, n);
    paste(frame, 640, 480, face_patch(), {20 + n * 5.0, 60 + 30 * std::sin(n * 0.2), 150});
    paste(frame, 640, 480, face_patch(), {420 - n * 2.0, 150 + 40 * std::sin(n * 0.15), 120});
}

}  // namespace

TEST_CASE("net tracker: only rows that were asked for are read, with the same results") {
    for (const std::uint64_t budget : {std::uint64_t{0}, std::uint64_t{20'000'000}}) {
        CAPTURE(budget);
        TrackerConfig config = config_for(640, 480);
        config.budget_ns = budget;
        config.engine.clock_ns = even_clock;
        NetTracking whole(config, true), late(config, true);
        LateRows rows;
        std::vector<std::uint8_t> frame;
        int part = 0, restarted = 0;
        for (int n = 0; n < 60; ++n) {
            CAPTURE(n);
            draw_two(frame, n);
            const auto expected = whole.step(frame, n);
            rows.begin(frame, 640, 480);
            std::span<const TrackedFace> faces;
            REQUIRE(late.tracker.process(rows.frame(), rows.source(),
                                         static_cast<std::uint64_t>(n) * net_frame_ns,
                                         faces) == Status::ok);
            const TrackerStats &stats = late.tracker.stats(), &other = whole.tracker.stats();
            part += rows.rows < 400;
            restarted += rows.asked > 1;
            CHECK(stats.full == other.full);
            CHECK(stats.windows == other.windows);
            CHECK(other.rows_ns == 0);
            // What the rows take is not the tracker's: neither in its times nor in its budget.
            CHECK(stats.rows_ns >= static_cast<std::uint64_t>(rows.asked) * 5'000'000);
            CHECK(stats.total_ns < 20'000'000);
            REQUIRE(faces.size() == expected.size());
            for (std::size_t i = 0; i < faces.size(); ++i) {
                CHECK(faces[i].id == expected[i].id);
                CHECK(faces[i].box == expected[i].box);
                CHECK(faces[i].missed == expected[i].missed);
                CHECK(faces[i].score == expected[i].score);
                CHECK(std::ranges::equal(faces[i].landmarks, expected[i].landmarks));
                CHECK(std::ranges::equal(faces[i][Head::emotion].probabilities,
                                         expected[i][Head::emotion].probabilities));
            }
        }
        if (budget == 0) CHECK(part >= 40);
        if (budget == 0) CHECK(restarted < 10);
    }
}

TEST_CASE("net tracker: rows that cannot be had end the frame, and the next one goes on") {
    TrackerConfig config = config_for(640, 480);
    NetTracking tracking(config, true);
    LateRows rows;
    std::vector<std::uint8_t> frame;
    for (int n = 0; n < 30; ++n) {
        CAPTURE(n);
        draw_two(frame, n);
        rows.begin(frame, 640, 480);
        const bool is_cut = n % 5 == 3;
        rows.refuse_beyond = is_cut ? 100 : 480;
        std::span<const TrackedFace> faces;
        const Status status = tracking.tracker.process(
            rows.frame(), rows.source(), static_cast<std::uint64_t>(n) * net_frame_ns, faces);
        CHECK(status == (is_cut ? Status::stopped : Status::ok));
        CHECK(faces.size() == (is_cut ? 0u : 2u));
        for (const TrackedFace& face : faces) CHECK(face.id <= 2);
    }
}

TEST_CASE("tracker: Haar asks for all rows of each frame") {
    static const ByteVector file = read_file(weights_path("haarcascade_frontalface_default.mien"));
    Cascade cascade;
    REQUIRE(Cascade::open(file, cascade) == Status::ok);
    const TrackerConfig config = config_for(640, 480);
    const Weights weights = {.cascade = &cascade};
    std::vector<std::byte> memory(Tracker::required_bytes(config, weights));
    Tracker tracker;
    REQUIRE(Tracker::create(config, weights, memory, tracker) == Status::ok);
    LateRows rows;
    std::vector<std::uint8_t> frame;
    std::span<const TrackedFace> faces;
    for (int n = 0; n < 3; ++n) {
        draw_two(frame, n);
        rows.begin(frame, 640, 480);
        rows.refuse_beyond = n == 1 ? 479 : 480;
        CHECK(tracker.process(rows.frame(), rows.source(),
                              static_cast<std::uint64_t>(n) * net_frame_ns,
                              faces) == (n == 1 ? Status::stopped : Status::ok));
        CHECK(rows.asked == 1);
        CHECK(faces.empty() == (n == 1));
    }
}
