// SPDX-License-Identifier: MIT
// Faces keep their ids, nobody that a full search finds is lost for long, little is searched,
// labels are smoothed per face.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <memory>
#include <thread>

#include "host/codec/image_file.h"
#include "mien/tracker.hpp"
#include "unit/file_builder.h"
#include "unit/helpers.h"
#include "unit/moving_faces.h"

using namespace mien;
using namespace mien::test;

namespace {

constexpr std::uint64_t frame_ns = 33'333'333;

struct Shipped {
    ByteVector cascade_file = read_file(weights_path("haarcascade_frontalface_default.mien"));
    ByteVector emotion_file = read_file(weights_path("emotion.mien"));
    ByteVector gender_file = read_file(weights_path("gender.mien"));
    Cascade cascade;
    Model emotion, gender;
    Shipped() {
        REQUIRE(Cascade::open(cascade_file, cascade) == Status::ok);
        REQUIRE(Model::open(emotion_file, emotion) == Status::ok);
        REQUIRE(Model::open(gender_file, gender) == Status::ok);
    }
};
Shipped& shipped() {
    static Shipped weights;
    return weights;
}

Patch face_patch(const char* name, Rect part) {
    const ByteVector bytes = read_file(data_path(std::string("photos/") + name));
    const auto decoded = host::decode_image(bytes);
    REQUIRE(decoded);
    Patch patch;
    patch.width = part.width;
    patch.height = part.height;
    for (int y = part.y; y < part.y + part.height; ++y) {
        for (int x = part.x; x < part.x + part.width; ++x) {
            const std::uint8_t* p = decoded->image.pixels.get() +
                                    static_cast<std::size_t>(y) * decoded->image.row_bytes() +
                                    3 * static_cast<std::size_t>(x);
            patch.pixels.push_back(
                static_cast<std::uint8_t>((p[0] * 77 + p[1] * 150 + p[2] * 29) >> 8));
        }
    }
    return patch;
}
const Patch& astronaut() {
    static const Patch patch = face_patch("astronaut.jpg", {150, 20, 150, 180});
    return patch;
}

struct Tracking {
    TrackerConfig config;
    std::vector<std::byte> memory;
    Tracker tracker;
    explicit Tracking(TrackerConfig wanted, bool networks = false) : config(wanted) {
        const Shipped& s = shipped();
        const Model *e = networks ? &s.emotion : nullptr, *g = networks ? &s.gender : nullptr;
        memory.resize(Tracker::required_bytes(config, {.cascade = &s.cascade, .heads = {e, g}}));
        REQUIRE(memory.size() > 0);
        REQUIRE(Tracker::create(config, {.cascade = &s.cascade, .heads = {e, g}}, memory,
                                tracker) == Status::ok);
    }
    std::span<const TrackedFace> step(const std::vector<std::uint8_t>& pixels, int width,
                                      int height, std::uint64_t time) {
        std::span<const TrackedFace> faces;
        REQUIRE(tracker.process({pixels.data(), width, height, width, PixelFormat::gray8}, time,
                                faces) == Status::ok);
        return faces;
    }
};

TrackerConfig small_config() {
    TrackerConfig config;
    config.engine.max_width = 320;
    config.engine.max_height = 240;
    return config;
}

double iou(const Rect& a, const Rect& b) {
    const int w = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x),
              h = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
    if (w <= 0 || h <= 0) return 0;
    const double both = static_cast<double>(w) * h;
    return both / (a.width * a.height + b.width * b.height - both);
}

// Three faces: one crosses, one comes near and goes, one appears after a while.
void film(std::vector<std::uint8_t>& frame, int number) {
    background(frame, 320, 240, number);
    paste(frame, 320, 240, astronaut(), {number * 2.1 - 20, 20 + 10 * std::sin(number * 0.1), 85});
    paste(frame, 320, 240, astronaut(),
          {190 - number * 0.3, 120 - number * 0.3, 70 + number * 0.9});
    if (number >= 20 && number < 60)
        paste(frame, 320, 240, astronaut(), {20.0 + number * 0.4, 130, 80});
}

}  // namespace

TEST_CASE(
    "tracker: whoever a full search finds is found within half a second, for a fraction of the "
    "windows") {
    Tracking tracking(small_config());
    Tracking full([] {
        TrackerConfig c = small_config();
        c.full_every = 1;
        return c;
    }());
    std::vector<std::uint8_t> frame;
    std::int64_t windows = 0, full_windows = 0;
    int found = 0, expected = 0;
    struct Miss {
        Rect box;
        int frames;
    };
    std::vector<Miss> missing;
    int longest = 0;
    for (int n = 0; n < 75; ++n) {
        film(frame, n);
        const std::uint64_t time = 5'000'000'000 + static_cast<std::uint64_t>(n) * frame_ns;
        const auto faces = tracking.step(frame, 320, 240, time);
        std::vector<TrackedFace> mine(faces.begin(), faces.end());
        windows += tracking.tracker.stats().windows;
        std::vector<Miss> still;
        for (const TrackedFace& face : full.step(frame, 320, 240, time)) {
            if (face.missed > 0) continue;
            ++expected;
            const bool seen = std::any_of(mine.begin(), mine.end(), [&](const TrackedFace& m) {
                return m.missed == 0 && iou(m.box, face.box) > 0.3;
            });
            found += seen;
            if (seen) continue;
            int before = 0;
            for (const Miss& miss : missing)
                before = std::max(before, iou(miss.box, face.box) > 0.2 ? miss.frames : 0);
            still.push_back({face.box, before + 1});
            longest = std::max(longest, before + 1);
        }
        missing = still;
        full_windows += full.tracker.stats().windows;
    }
    MESSAGE("faces " << found << " of " << expected << ", longest gap " << longest
                     << " frames, windows 1 of "
                     << static_cast<double>(full_windows) / static_cast<double>(windows));
    CHECK(expected > 120);
    CHECK(longest <= 15);
    CHECK(found >= expected * 93 / 100);
    CHECK(windows * 4 < full_windows);
}

TEST_CASE(
    "tracker: a face keeps its id while it moves, and while it is hidden for a moment; then it is "
    "lost") {
    Tracking tracking(small_config());
    std::vector<std::uint8_t> frame;
    std::uint32_t id = 0;
    for (int n = 0; n < 60; ++n) {
        background(frame, 320, 240, n);
        const bool hidden = n >= 20 && n < 26, gone = n >= 40;
        if (!hidden && !gone) paste(frame, 320, 240, astronaut(), {60 + n * 1.5, 50, 110});
        const auto faces = tracking.step(frame, 320, 240, static_cast<std::uint64_t>(n) * frame_ns);
        CAPTURE(n);
        if (n < 40) REQUIRE(faces.size() == 1);
        if (n == 0) id = faces[0].id;
        if (n < 40) CHECK(faces[0].id == id);
        if (n < 40) CHECK((faces[0].missed > 0) == hidden);
        if (n >= 40 + 16) CHECK(faces.empty());
    }
    CHECK(id == 1);
}

TEST_CASE("tracker: full_every = 1 gives the engine's own boxes") {
    TrackerConfig config = small_config();
    config.full_every = 1;
    Tracking tracking(config);
    const Shipped& s = shipped();
    std::vector<std::byte> memory(Engine::required_bytes(config.engine, {.cascade = &s.cascade}));
    Engine engine;
    REQUIRE(Engine::create(config.engine, {.cascade = &s.cascade}, memory, engine) == Status::ok);
    std::vector<std::uint8_t> frame;
    for (int n = 20; n < 30; ++n) {
        film(frame, n);
        std::span<const Face> truth;
        REQUIRE(engine.detect({frame.data(), 320, 240, 320, PixelFormat::gray8}, truth) ==
                Status::ok);
        int seen = 0;
        for (const TrackedFace& face :
             tracking.step(frame, 320, 240, static_cast<std::uint64_t>(n) * frame_ns)) {
            if (face.missed > 0) continue;
            ++seen;
            CHECK(std::any_of(truth.begin(), truth.end(),
                              [&](const Face& t) { return t.box == face.box; }));
        }
        CHECK(seen == static_cast<int>(truth.size()));
        CHECK(tracking.tracker.stats().full);
    }
}

TEST_CASE("tracker: readings are smoothed face by face") {
    std::vector<std::uint8_t> frame;
    background(frame, 320, 240, 1);
    paste(frame, 320, 240, astronaut(), {80, 30, 150});
    for (const Smoothing smoothing : {Smoothing::none, Smoothing::mode, Smoothing::average}) {
        TrackerConfig config = small_config();
        config.smoothing = smoothing;
        Tracking tracking(config, true);
        std::vector<float> average;
        std::map<int, int> last_labels;
        std::vector<int> history;
        for (int n = 0; n < 14; ++n) {
            // darker and brighter, so that the results differ
            std::vector<std::uint8_t> changed = frame;
            for (std::uint8_t& p : changed) p = static_cast<std::uint8_t>(p * (10 - n % 6) / 10);
            const auto faces =
                tracking.step(changed, 320, 240, static_cast<std::uint64_t>(n) * frame_ns);
            REQUIRE(faces.size() == 1);
            const TrackedReading& emotion = faces[0][Head::emotion];
            REQUIRE(emotion.probabilities.size() == 7);
            REQUIRE(emotion.smoothed.size() == 7);
            CHECK(faces[0][Head::gender].probabilities.size() == 2);
            float sum = 0;
            for (const float p : emotion.smoothed) sum += p;
            CHECK(sum == doctest::Approx(1).epsilon(1e-4));
            const std::span<const float> raw = emotion.probabilities;
            history.push_back(
                static_cast<int>(std::max_element(raw.begin(), raw.end()) - raw.begin()));
            if (history.size() > 10) history.erase(history.begin());
            if (n == 0) average.assign(raw.begin(), raw.end());
            for (std::size_t c = 0; c < 7; ++c) {
                average[c] += n == 0 ? 0 : 0.25f * (raw[c] - average[c]);
                const auto votes = static_cast<float>(
                    std::count(history.begin(), history.end(), static_cast<int>(c)));
                const float expected = smoothing == Smoothing::none ? raw[c]
                                       : smoothing == Smoothing::mode
                                           ? votes / static_cast<float>(history.size())
                                           : average[c];
                CHECK(emotion.smoothed[c] == doctest::Approx(expected).epsilon(1e-5));
            }
            CHECK(emotion.smoothed[static_cast<std::size_t>(emotion.label)] ==
                  *std::max_element(emotion.smoothed.begin(), emotion.smoothed.end()));
        }
    }
}

TEST_CASE("tracker: quantities are averaged, and unsure labels are told") {
    NetworkBuilder ages = NetworkBuilder::every_op(4), shy = NetworkBuilder::every_op(5);
    for (NetworkBuilder* b : {&ages, &shy})
        for (std::size_t i = b->scales.size() - 5; i < b->scales.size(); ++i) b->scales[i] *= 0.1f;
    ages.answer_with(0, "years", {2, 7, 12, 20, 40});
    shy.answer_with(1);
    const ByteVector age_file = ages.build(), shy_file = shy.build();
    Model age, unsure;
    REQUIRE(Model::open(age_file, age) == Status::ok);
    REQUIRE(Model::open(shy_file, unsure) == Status::ok);
    Weights weights{.cascade = &shipped().cascade};
    weights.heads[static_cast<int>(Head::age)] = &age;
    weights.heads[static_cast<int>(Head::emotion)] = &unsure;
    std::vector<std::uint8_t> frame;
    background(frame, 320, 240, 1);
    paste(frame, 320, 240, astronaut(), {80, 30, 150});
    for (const Smoothing smoothing :
         {Smoothing::none, Smoothing::mode, Smoothing::average, Smoothing::quality}) {
        TrackerConfig config = small_config();
        config.smoothing = smoothing;
        std::vector<std::byte> memory(Tracker::required_bytes(config, weights));
        Tracker tracker;
        REQUIRE(Tracker::create(config, weights, memory, tracker) == Status::ok);
        std::vector<Quantity> last, smoothed;
        for (int n = 0; n < 8; ++n) {
            std::vector<std::uint8_t> changed = frame;
            for (std::uint8_t& p : changed) p = static_cast<std::uint8_t>(p * (10 - n % 6) / 10);
            std::span<const TrackedFace> faces;
            REQUIRE(tracker.process({changed.data(), 320, 240, 320, PixelFormat::gray8},
                                    static_cast<std::uint64_t>(n) * frame_ns, faces) == Status::ok);
            REQUIRE(faces.size() == 1);
            const TrackedReading reading = faces[0][Head::age];
            CHECK(reading.quantity == age.quantity(reading.smoothed));
            CHECK_FALSE(reading.unsure);
            CHECK(faces[0][Head::emotion].unsure);
            CHECK(faces[0][Head::emotion].quantity == Quantity{});
            last.push_back(age.quantity(reading.probabilities));
            smoothed.push_back(reading.quantity);
        }
        CHECK((last == smoothed) == (smoothing == Smoothing::none));
        const auto spread = [](const std::vector<Quantity>& all) {
            const auto [low, high] = std::minmax_element(
                all.begin(), all.end(),
                [](const Quantity& a, const Quantity& b) { return a.value < b.value; });
            return high->value - low->value;
        };
        REQUIRE(spread(last) > 0);
        if (smoothing != Smoothing::none) CHECK(spread(smoothed) < spread(last));
    }
}

namespace {
std::uint64_t fake_now = 0;
std::uint64_t fake_clock() { return fake_now += 50'000; }  // every look at the clock costs 50 us
}  // namespace

TEST_CASE("tracker: a budget spreads the work, and new faces are found all the same") {
    TrackerConfig config = small_config();
    config.budget_ns = 300'000;
    config.engine.clock_ns = fake_clock;
    Tracking tracking(config, true);
    std::vector<std::uint8_t> frame;
    int first_seen = -1;
    for (int n = 0; n < 40; ++n) {
        background(frame, 320, 240, n);
        paste(frame, 320, 240, astronaut(), {100, 50, 110});
        const auto faces = tracking.step(frame, 320, 240, static_cast<std::uint64_t>(n) * frame_ns);
        CHECK_FALSE(tracking.tracker.stats().full);
        CHECK(tracking.tracker.stats().windows < tracking.tracker.stats().full_windows);
        if (first_seen < 0 && !faces.empty()) first_seen = n;
    }
    CHECK(first_seen >= 0);
    CHECK(first_seen < 30);
}

TEST_CASE("tracker: two streams with one set of weights do not disturb each other") {
    constexpr int frames = 12;  // a full search, and the share of one in each frame after it
    std::vector<std::uint8_t> left, right;
    const auto text_of = [](std::span<const TrackedFace> faces) {
        std::string text;
        for (const TrackedFace& face : faces) {
            text += std::to_string(face.id) + ":" + std::to_string(face.box.x) + "," +
                    std::to_string(face.box.y) + "," + std::to_string(face.box.width);
            for (const float p : face[Head::emotion].probabilities) text += " " + std::to_string(p);
            text += ";";
        }
        return text;
    };
    const auto draw = [&](int n) {
        background(left, 320, 240, n);
        paste(left, 320, 240, astronaut(), {40.0 + 2 * n, 50, 110});
        background(right, 320, 240, 100 + n);
        if (n >= 3) paste(right, 320, 240, astronaut(), {150.0 - n, 30, 140});
    };
    // Each alone, then both on one set of weights, frame by frame in turn, then on two threads at
    // once.
    std::vector<std::string> alone[2], together[2], threads[2];
    for (int side = 0; side < 2; ++side) {
        Tracking tracking(small_config(), true);
        for (int n = 0; n < frames; ++n) {
            draw(n);
            alone[side].push_back(text_of(tracking.step(side == 0 ? left : right, 320, 240,
                                                        static_cast<std::uint64_t>(n) * frame_ns)));
        }
    }
    {
        Tracking a(small_config(), true), b(small_config(), true);
        for (int n = 0; n < frames; ++n) {
            draw(n);
            together[0].push_back(
                text_of(a.step(left, 320, 240, static_cast<std::uint64_t>(n) * frame_ns)));
            together[1].push_back(
                text_of(b.step(right, 320, 240, static_cast<std::uint64_t>(n) * frame_ns)));
        }
    }
    std::vector<std::vector<std::uint8_t>> lefts, rights;
    for (int n = 0; n < frames; ++n) {
        draw(n);
        lefts.push_back(left);
        rights.push_back(right);
    }
    Tracking a(small_config(), true), b(small_config(), true);
    const auto run = [&](Tracking& tracking, const std::vector<std::vector<std::uint8_t>>& film,
                         std::vector<std::string>& out) {
        for (std::size_t n = 0; n < film.size(); ++n) {
            std::span<const TrackedFace> faces;
            if (tracking.tracker.process({film[n].data(), 320, 240, 320, PixelFormat::gray8},
                                         n * frame_ns, faces) != Status::ok)
                return;
            out.push_back(text_of(faces));
        }
    };
    std::thread other([&] { run(b, rights, threads[1]); });
    run(a, lefts, threads[0]);
    other.join();
    for (int side = 0; side < 2; ++side) {
        CHECK(alone[side].back() != "");
        CHECK(together[side] == alone[side]);
        CHECK(threads[side] == alone[side]);
    }
}

TEST_CASE("tracker: every pixel format gives the same faces, also with detect_width") {
    std::vector<std::uint8_t> gray;
    background(gray, 320, 240, 3);
    paste(gray, 320, 240, astronaut(), {90, 30, 150});
    std::vector<std::uint8_t> yuyv(gray.size() * 2, 128), nv12(gray.size() * 3 / 2, 128);
    for (std::size_t i = 0; i < gray.size(); ++i) yuyv[2 * i] = nv12[i] = gray[i];
    for (const int detect_width : {0, 200}) {
        TrackerConfig config = small_config();
        config.engine.detect_width = detect_width;
        Rect boxes[3];
        int i = 0;
        for (const Frame& frame : {Frame{gray.data(), 320, 240, 320, PixelFormat::gray8},
                                   Frame{yuyv.data(), 320, 240, 640, PixelFormat::yuyv},
                                   Frame{nv12.data(), 320, 240, 320, PixelFormat::nv12}}) {
            Tracking tracking(config);
            std::span<const TrackedFace> faces;
            for (int n = 0; n < 20; ++n)
                REQUIRE(tracking.tracker.process(frame, static_cast<std::uint64_t>(n) * frame_ns,
                                                 faces) == Status::ok);
            REQUIRE(faces.size() == 1);
            CHECK(faces[0].missed == 0);
            boxes[i++] = faces[0].box;
        }
        CHECK(boxes[0] == boxes[1]);
        CHECK(boxes[0] == boxes[2]);
    }
}

TEST_CASE("tracker: a jump in time, another size or reset begin anew; bad calls are refused") {
    Tracking tracking(small_config());
    std::vector<std::uint8_t> frame;
    background(frame, 320, 240, 1);
    paste(frame, 320, 240, astronaut(), {90, 30, 150});
    CHECK(tracking.step(frame, 320, 240, 0)[0].id == 1);
    CHECK(tracking.step(frame, 320, 240, frame_ns)[0].id == 1);
    CHECK(tracking.step(frame, 320, 240, 10'000'000'000)[0].id == 2);
    CHECK(tracking.tracker.stats().full);
    CHECK(tracking.step(frame, 320, 240, 0)[0].id == 3);  // time runs backwards
    CHECK(tracking.step(frame, 320, 200, frame_ns)[0].id == 4);
    tracking.tracker.reset();
    CHECK(tracking.step(frame, 320, 200, 2 * frame_ns)[0].id == 5);

    std::span<const TrackedFace> faces;
    CHECK(tracking.tracker.process({frame.data(), 321, 240, 321, PixelFormat::gray8}, 0, faces) ==
          Status::frame_too_large);
    CHECK(tracking.tracker.process({nullptr, 320, 240, 320, PixelFormat::gray8}, 0, faces) ==
          Status::bad_argument);
    CHECK(tracking.tracker.process({frame.data(), 1, 1, 1, PixelFormat::gray8}, 0, faces) ==
          Status::ok);
    CHECK(faces.empty());
    Tracker none;
    CHECK(none.process({frame.data(), 320, 240, 320, PixelFormat::gray8}, 0, faces) ==
          Status::bad_argument);
    const Shipped& s = shipped();
    TrackerConfig config = small_config();
    CHECK(Tracker::required_bytes(config, {}) == 0);
    config.max_tracks = 0;
    CHECK(Tracker::required_bytes(config, {.cascade = &s.cascade}) == 0);
    config = small_config();
    std::vector<std::byte> memory(Tracker::required_bytes(config, {.cascade = &s.cascade}));
    CHECK(Tracker::create(config, {.cascade = &s.cascade},
                          std::span(memory).first(memory.size() - 1), none) == Status::too_small);
}
