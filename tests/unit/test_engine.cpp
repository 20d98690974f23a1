// SPDX-License-Identifier: MIT
// The engine keeps its promises: no heap after create, memory exactly as announced, border faces
// read, bad calls refused.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <memory>

#include "host/codec/image_file.h"
#include "mien/mien.h"
#include "mien/tracker.hpp"
#include "pipeline/crop.h"
#include "unit/file_builder.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define MIEN_COUNT_HEAP 1
// Every heap allocation of the test program goes through here, the engine's would too.
namespace {
std::atomic<long> heap_calls{0};
}
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* malloc(std::size_t n) {
    ++heap_calls;
    return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
    ++heap_calls;
    return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) {
    ++heap_calls;
    return __libc_realloc(p, n);
}
}
#endif

using namespace mien;
using namespace mien::test;

namespace {

struct Weights {
    ByteVector cascade_file = read_file(weights_path("haarcascade_frontalface_default.mien"));
    ByteVector emotion_file = read_file(weights_path("emotion.mien"));
    ByteVector gender_file = read_file(weights_path("gender.mien"));
    Cascade cascade;
    Model emotion, gender;

    Weights() {
        REQUIRE(Cascade::open(cascade_file, cascade) == Status::ok);
        REQUIRE(Model::open(emotion_file, emotion) == Status::ok);
        REQUIRE(Model::open(gender_file, gender) == Status::ok);
    }
};

struct OwnedEngine {
    std::vector<std::byte> memory;
    Engine engine;

    OwnedEngine(const Config& config, const Weights& w)
        : memory(Engine::required_bytes(config, &w.cascade, &w.emotion, &w.gender)) {
        REQUIRE(Engine::create(config, &w.cascade, &w.emotion, &w.gender, memory, engine) ==
                Status::ok);
    }
};

host::Image load_photo() {
    auto decoded = host::decode_image(read_file(data_path("photos/astronaut_320.png")));
    REQUIRE(decoded);
    return std::move(decoded->image);
}
Frame as_frame(const host::Image& image) { return image.frame(); }

float sum(std::span<const float> values) {
    float total = 0;
    for (const float v : values) total += v;
    return total;
}

}  // namespace

TEST_CASE(
    "a face is found and read, the same on every instruction set, without touching the heap") {
    const Weights weights;
    const host::Image photo = load_photo();
    std::vector<float> first;
    for (const Isa isa : isas()) {
        Config config;
        config.isa = isa;
        config.class_maps = true;
        OwnedEngine owned(config, weights);
        CHECK(owned.engine.isa() == isa);
        std::span<const Face> faces;
#if MIEN_COUNT_HEAP
        const long before = heap_calls;
#endif
        Status status = Status::ok;
        for (int i = 0; i < 3 && status == Status::ok; ++i)
            status = owned.engine.process(as_frame(photo), faces);
#if MIEN_COUNT_HEAP
        const long calls = heap_calls - before;
        CHECK(calls == 0);
        CHECK(before > 0);  // the counter counts
#endif
        CHECK(status == Status::ok);
        REQUIRE(faces.size() == 1);
        CHECK(faces[0].emotion.size() == 7);
        CHECK(faces[0].gender.size() == 2);
        CHECK(sum(faces[0].emotion) == doctest::Approx(1));
        CHECK(sum(faces[0].gender) == doctest::Approx(1));
        std::vector<float> all(faces[0].emotion.begin(), faces[0].emotion.end());
        all.insert(all.end(), faces[0].gender.begin(), faces[0].gender.end());
        CHECK(faces[0].emotion_map.size() == weights.emotion.class_map_size().count());
        all.insert(all.end(), faces[0].emotion_map.begin(), faces[0].emotion_map.end());
        all.insert(all.end(), faces[0].gender_map.begin(), faces[0].gender_map.end());
        if (first.empty()) first = all;
        CHECK(first == all);
        CHECK(owned.engine.detector_stats().windows > 1000);
    }
}

TEST_CASE("pixel formats and strides give the same faces") {
    const Weights weights;
    const host::Image photo = load_photo();
    OwnedEngine owned({}, weights);
    std::span<const Face> faces;
    REQUIRE(owned.engine.process(as_frame(photo), faces) == Status::ok);
    REQUIRE(faces.size() == 1);
    const Rect box = faces[0].box;
    const std::vector<float> emotion(faces[0].emotion.begin(), faces[0].emotion.end());
    const auto check = [&](PixelFormat format, int pixel, int red, int green, int blue) {
        const std::ptrdiff_t stride = std::ptrdiff_t{photo.width} * pixel + 13;
        ByteVector data(static_cast<std::size_t>(stride * photo.height), 9);
        for (int y = 0; y < photo.height; ++y)
            for (int x = 0; x < photo.width; ++x) {
                const std::uint8_t* in =
                    photo.pixels.get() + (static_cast<std::ptrdiff_t>(y) * photo.width + x) * 3;
                std::uint8_t* out = data.data() + y * stride + x * pixel;
                out[red] = in[0];
                out[green] = in[1];
                out[blue] = in[2];
            }
        REQUIRE(owned.engine.process({data.data(), photo.width, photo.height, stride, format},
                                     faces) == Status::ok);
        REQUIRE(faces.size() == 1);
        CHECK(faces[0].box == box);
        CHECK(std::equal(emotion.begin(), emotion.end(), faces[0].emotion.begin()));
    };
    check(PixelFormat::bgr24, 3, 2, 1, 0);
    check(PixelFormat::rgba32, 4, 0, 1, 2);
    check(PixelFormat::bgra32, 4, 2, 1, 0);
}

TEST_CASE("YUV frames give what their Y gives as a gray frame") {
    const Weights weights;
    const host::Image photo = load_photo();
    const int width = photo.width & ~1, height = photo.height & ~1;
    ByteVector gray(static_cast<std::size_t>(width * height));
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            gray[static_cast<std::size_t>(y * width + x)] =
                photo.pixels[static_cast<std::size_t>(y * photo.width + x) * 3 + 1];
    ByteVector yuyv(2 * gray.size(), 90), uyvy(2 * gray.size(), 90), nv12(gray);
    nv12.resize(gray.size() * 3 / 2, 90);
    for (std::size_t i = 0; i < gray.size(); ++i) yuyv[2 * i] = uyvy[2 * i + 1] = gray[i];
    OwnedEngine owned({}, weights);
    std::span<const Face> faces;
    REQUIRE(owned.engine.process({gray.data(), width, height, width, PixelFormat::gray8}, faces) ==
            Status::ok);
    REQUIRE(faces.size() == 1);
    const Rect box = faces[0].box;
    const std::vector<float> emotion(faces[0].emotion.begin(), faces[0].emotion.end());
    const auto check = [&](const ByteVector& data, int row_bytes, PixelFormat format) {
        REQUIRE(owned.engine.process({data.data(), width, height, row_bytes, format}, faces) ==
                Status::ok);
        REQUIRE(faces.size() == 1);
        CHECK(faces[0].box == box);
        CHECK(std::equal(emotion.begin(), emotion.end(), faces[0].emotion.begin()));
    };
    check(yuyv, 2 * width, PixelFormat::yuyv);
    check(uyvy, 2 * width, PixelFormat::uyvy);
    check(nv12, width, PixelFormat::nv12);
}

TEST_CASE("detect_width shrinks for detection only") {
    const Weights weights;
    const host::Image photo = load_photo();
    Config config;
    config.detector = {1.1, 5, 0, 0};
    OwnedEngine full(config, weights);
    config.detect_width = 280;
    OwnedEngine shrunk(config, weights);
    std::span<const Face> small_faces, faces;
    REQUIRE(shrunk.engine.process(as_frame(photo), small_faces) == Status::ok);
    REQUIRE(full.engine.process(as_frame(photo), faces) == Status::ok);
    REQUIRE(small_faces.size() == 1);
    REQUIRE(faces.size() == 1);
    CHECK(std::abs(small_faces[0].box.x - faces[0].box.x) <= 8);
    CHECK(std::abs(small_faces[0].box.width - faces[0].box.width) <= 12);
    CHECK(shrunk.engine.detector_stats().windows < full.engine.detector_stats().windows);
}

TEST_CASE("a face at the border is clamped and read") {
    const Weights weights;
    const host::Image photo = load_photo();
    OwnedEngine owned({}, weights);
    Face face;
    for (const Rect box : {Rect{-30, -20, 90, 90}, Rect{280, 290, 100, 100}, Rect{0, 0, 1, 1},
                           Rect{-5000, -5000, 20000, 20000}}) {
        CHECK(owned.engine.classify(as_frame(photo), box, face) == Status::ok);
        CHECK(face.emotion.size() == 7);
        CHECK(sum(face.emotion) == doctest::Approx(1));
    }
    CHECK(owned.engine.classify(as_frame(photo), {400, 0, 10, 10}, face) == Status::bad_argument);
    CHECK(owned.engine.classify(as_frame(photo), {0, 0, 0, 10}, face) == Status::bad_argument);
    CHECK(owned.engine.classify(as_frame(photo), {INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX},
                                face) == Status::bad_argument);
    CHECK(owned.engine.classify(as_frame(photo), {INT32_MIN, INT32_MAX, INT32_MAX, INT32_MIN},
                                face) == Status::bad_argument);
}

TEST_CASE("margins are fractions of the box, clamped to the frame") {
    CHECK(crop_rect({100, 100, 50, 40}, 0.1f, 0.5f, 1000, 1000) == Rect{95, 80, 60, 80});
    CHECK(crop_rect({2, 3, 50, 40}, 0.1f, 0.5f, 1000, 1000) == Rect{0, 0, 57, 63});
    CHECK(crop_rect({960, 970, 50, 40}, 0.0f, 0.0f, 1000, 1000) == Rect{960, 970, 40, 30});
    CHECK(crop_rect({100, 100, 50, 40}, -0.2f, 0.0f, 1000, 1000) == Rect{110, 100, 30, 40});
    CHECK(crop_rect({1000, 0, 5, 5}, 0, 0, 1000, 1000) == Rect{});
}

TEST_CASE("the crop that the network saw can be looked at") {
    const Weights weights;
    OwnedEngine owned({}, weights);
    const ByteVector picture = test_picture(
        3,
        static_cast<std::size_t>(weights.emotion.input_width() * weights.emotion.input_height()));
    const int width = weights.emotion.input_width(), height = weights.emotion.input_height();
    Face face;
    REQUIRE(owned.engine.classify_crop({picture.data(), width, height, width, PixelFormat::gray8},
                                       face) == Status::ok);
    const Frame crop = owned.engine.last_crop(Head::emotion);
    REQUIRE(crop.width == width);
    CHECK(std::memcmp(crop.data, picture.data(), picture.size()) == 0);
}

// The engine's maps of a crop for every class; the mean of each is the logit, so their softmax is
// what the engine answered.
TEST_CASE("class activation maps add up to the answer, on every instruction set alike") {
    std::vector<ByteVector> files = {
        read_file(weights_path("emotion.mien")), read_file(weights_path("emotion-large.mien")),
        read_file(weights_path("gender.mien")), NetworkBuilder::with_gap_head(2).build(),
        NetworkBuilder::every_op(1).build()};
    for (const char* name :
         {"mini_xception", "tiny_xception", "simple_cnn", "simpler_cnn", "dense_head"})
        files.push_back(read_file(data_path(std::string("models/") + name + ".mien")));
    int with_maps = 0;
    for (const ByteVector& file : files) {
        Model model;
        REQUIRE(Model::open(file, model) == Status::ok);
        CAPTURE(model.meta());
        const int channels = model.input_channels();
        const ByteVector pixels =
            test_picture(7, static_cast<std::size_t>(model.input_width()) *
                                static_cast<std::size_t>(model.input_height()) *
                                static_cast<std::size_t>(channels));
        std::vector<float> first;
        for (const Isa isa : isas()) {
            Config config;
            config.isa = isa;
            config.max_width = model.input_width();
            config.max_height = model.input_height();
            std::vector<std::byte> memory(Engine::required_bytes(config, nullptr, &model, nullptr));
            Engine engine;
            REQUIRE(Engine::create(config, nullptr, &model, nullptr, memory, engine) == Status::ok);
            std::vector<float> map(model.class_map_size().count());
            // nothing was read yet
            CHECK(engine.class_map(Head::emotion, 0, map) == Status::bad_argument);
            Face face;
            REQUIRE(engine.classify_crop({pixels.data(), model.input_width(), model.input_height(),
                                          std::ptrdiff_t{model.input_width()} * channels,
                                          channels == 3 ? PixelFormat::rgb24 : PixelFormat::gray8},
                                         face) == Status::ok);
            CHECK(face.emotion_map.empty());
            if (map.empty()) {
                CHECK(engine.class_map(Head::emotion, 0, map) == Status::bad_argument);
                break;
            }
            with_maps += first.empty();
            std::vector<float> all;
            std::vector<double> logits;
            for (int k = 0; k < model.class_count(); ++k) {
                REQUIRE(engine.class_map(Head::emotion, k, map) == Status::ok);
                all.insert(all.end(), map.begin(), map.end());
                double sum_of_map = 0;
                for (const float v : map) sum_of_map += static_cast<double>(v);
                logits.push_back(sum_of_map / static_cast<double>(map.size()));
            }
            CHECK(engine.class_map(Head::emotion, -1, map) == Status::bad_argument);
            CHECK(engine.class_map(Head::emotion, model.class_count(), map) ==
                  Status::bad_argument);
            CHECK(engine.class_map(Head::gender, 0, map) == Status::bad_argument);
            CHECK(engine.class_map(Head::emotion, 0, std::span(map).first(map.size() - 1)) ==
                  Status::too_small);
            double total = 0;
            for (const double v : logits) total += std::exp(v - logits[0]);
            for (std::size_t k = 0; k < logits.size(); ++k)
                CHECK(std::exp(logits[k] - logits[0]) / total ==
                      doctest::Approx(static_cast<double>(face.emotion[k])).epsilon(0.03));
            if (first.empty()) first = all;
            CHECK(first == all);
        }
    }
    CHECK(with_maps >= 5);
}

TEST_CASE("memory is exactly what was announced") {
    const Weights weights;
    for (const Isa isa : isas()) {
        Config config;
        config.isa = isa;
        config.max_width = 333;
        config.max_height = 211;
        config.detect_width = 150;
        const std::size_t bytes =
            Engine::required_bytes(config, &weights.cascade, &weights.emotion, &weights.gender);
        std::vector<std::byte> memory(bytes + 128, std::byte{0x5a});
        for (const std::size_t misalignment : {std::size_t{0}, std::size_t{1}, std::size_t{37}}) {
            Engine engine;
            const std::span<std::byte> given(memory.data() + misalignment, bytes);
            REQUIRE(Engine::create(config, &weights.cascade, &weights.emotion, &weights.gender,
                                   given, engine) == Status::ok);
            const ByteVector picture = test_picture(1, 333 * 211 * 3);
            std::span<const Face> faces;
            CHECK(engine.process({picture.data(), 333, 211, 999, PixelFormat::rgb24}, faces) ==
                  Status::ok);
            CHECK(memory[misalignment + bytes] == std::byte{0x5a});
            CHECK(Engine::create(config, &weights.cascade, &weights.emotion, &weights.gender,
                                 given.first(bytes - 1), engine) == Status::too_small);
        }
    }
}

TEST_CASE("bad calls are refused, none crashes") {
    const Weights weights;
    Engine none;
    Face face;
    std::span<const Face> faces;
    const std::uint8_t pixel = 0;
    const Frame dot = {&pixel, 1, 1, 1, PixelFormat::gray8};
    CHECK(none.process(dot, faces) == Status::bad_argument);
    CHECK(none.classify_crop(dot, face) == Status::bad_argument);
    CHECK(none.last_crop(Head::gender).data == nullptr);
    const auto invalid = [&](auto change) {
        Config config;
        change(config);
        return Engine::required_bytes(config, &weights.cascade, nullptr, nullptr) == 0;
    };
    CHECK(!invalid([](Config&) {}));
    CHECK(invalid([](Config& c) { c.max_width = 0; }));
    CHECK(invalid([](Config& c) { c.max_height = -3; }));
    CHECK(invalid([](Config& c) { c.max_faces = 0; }));
    CHECK(invalid([](Config& c) { c.detector.scale_factor = 1.0; }));
    CHECK(invalid([](Config& c) { c.detector.scale_factor = std::nan(""); }));
    CHECK(invalid([](Config& c) { c.detector.min_neighbors = -1; }));
    const Model empty;
    CHECK(Engine::required_bytes({}, &weights.cascade, &empty, nullptr) == 0);

    OwnedEngine owned({}, weights);
    CHECK(owned.engine.process(dot, faces) == Status::ok);  // smaller than a window: no face
    CHECK(faces.empty());
    const ByteVector wide(641, 0);
    CHECK(owned.engine.process({wide.data(), 641, 1, 641, PixelFormat::gray8}, faces) ==
          Status::frame_too_large);
    CHECK(owned.engine.process({nullptr, 10, 10, 10, PixelFormat::gray8}, faces) ==
          Status::bad_argument);
    // Without a cascade only classify works.
    Config config;
    std::vector<std::byte> memory(
        Engine::required_bytes(config, nullptr, &weights.emotion, nullptr));
    Engine reader;
    REQUIRE(Engine::create(config, nullptr, &weights.emotion, nullptr, memory, reader) ==
            Status::ok);
    CHECK(reader.process(dot, faces) == Status::bad_argument);
    CHECK(reader.classify_crop(dot, face) == Status::ok);
    CHECK(face.gender.empty());
}

TEST_CASE("faces beyond the room for them are counted") {
    const Weights weights;
    const host::Image photo = load_photo();
    Config config;
    config.max_faces = 2;
    config.detector = {1.1, 0, 0, 0};
    OwnedEngine owned(config, weights);
    std::span<const Face> faces;
    REQUIRE(owned.engine.process(as_frame(photo), faces) == Status::ok);
    CHECK(faces.size() == 2);
    CHECK(owned.engine.faces_dropped() > 0);
}

TEST_CASE("an engine can be moved") {
    const Weights weights;
    OwnedEngine owned({}, weights);
    Engine moved(std::move(owned.engine));
    CHECK(moved);
    CHECK(!owned.engine);
    const std::uint8_t pixel = 0;
    Face face;
    CHECK(moved.classify_crop({&pixel, 1, 1, 1, PixelFormat::gray8}, face) == Status::ok);
}

TEST_CASE("the C interface gives the same faces") {
    const Weights weights;
    const host::Image photo = load_photo();
    OwnedEngine owned({}, weights);
    std::span<const Face> expected;
    REQUIRE(owned.engine.process(as_frame(photo), expected) == Status::ok);

    mien_config config;
    mien_config_init(&config);
    const mien_weights files = {weights.cascade_file.data(), weights.cascade_file.size(),
                                weights.emotion_file.data(), weights.emotion_file.size(),
                                weights.gender_file.data(),  weights.gender_file.size()};
    const std::size_t bytes = mien_required_bytes(&config, &files);
    REQUIRE(bytes > 0);
    std::vector<std::byte> memory(bytes);
    mien_engine* engine = nullptr;
    CHECK(mien_create(&config, &files, memory.data(), bytes / 2, &engine) == MIEN_TOO_SMALL);
    REQUIRE(mien_create(&config, &files, memory.data(), bytes, &engine) == MIEN_OK);
    const mien_frame frame = {photo.pixels.get(), photo.width, photo.height,
                              std::ptrdiff_t{photo.width} * 3, MIEN_RGB24};
    const mien_face* faces = nullptr;
    std::size_t count = 0;
    REQUIRE(mien_process(engine, &frame, &faces, &count) == MIEN_OK);
    REQUIRE(count == expected.size());
    CHECK(faces[0].x == expected[0].box.x);
    CHECK(faces[0].emotion_count == 7);
    CHECK(std::equal(expected[0].emotion.begin(), expected[0].emotion.end(), faces[0].emotion));
    char text[4];
    CHECK(mien_label(engine, MIEN_EMOTION, 0, text, sizeof text) ==
          5);  // "angry", cut to the buffer
    CHECK(std::string_view(text) == "ang");
    CHECK(mien_label(engine, MIEN_GENDER, 2, text, sizeof text) == 0);
    CHECK(mien_process(nullptr, &frame, &faces, &count) == MIEN_BAD_ARGUMENT);
    config.struct_size = 4;
    CHECK(mien_required_bytes(&config, &files) == 0);
    mien_config_init(&config);
    mien_weights exchanged = files;
    exchanged.cascade = files.emotion;
    exchanged.cascade_bytes = files.emotion_bytes;
    CHECK(mien_create(&config, &exchanged, memory.data(), bytes, &engine) == MIEN_WRONG_KIND);
    CHECK(std::string_view(mien_message(MIEN_WRONG_KIND)).size() > 10);
}

TEST_CASE("tracker: no heap after create") {
#if MIEN_COUNT_HEAP
    Weights weights;
    TrackerConfig config;
    config.engine.class_maps = true;
    std::vector<std::byte> memory(
        Tracker::required_bytes(config, &weights.cascade, &weights.emotion, &weights.gender));
    Tracker tracker;
    REQUIRE(Tracker::create(config, &weights.cascade, &weights.emotion, &weights.gender, memory,
                            tracker) == Status::ok);
    const auto decoded = host::decode_image(read_file(data_path("photos/astronaut_320.png")));
    REQUIRE(decoded);
    std::span<const TrackedFace> faces;
    const long before = heap_calls;
    for (int n = 0; n < 30; ++n) {
        if (tracker.process(decoded->image.frame(), static_cast<std::uint64_t>(n) * 33'000'000u,
                            faces) != Status::ok)
            break;
    }
    const long calls = heap_calls - before;
    CHECK(calls == 0);
    CHECK(faces.size() == 1);
    CHECK(faces[0].age == 29);
    std::vector<float> map(faces[0].emotion.map.size());
    REQUIRE(map.size() == weights.emotion.class_map_size().count());
    REQUIRE(tracker.engine()->class_map(Head::emotion, faces[0].emotion.label, map) == Status::ok);
    CHECK(std::equal(map.begin(), map.end(), faces[0].emotion.map.begin()));
#endif
}
