// SPDX-License-Identifier: MIT
// The engine keeps its promises: no heap after create, memory exactly as announced, border faces
// read, bad calls refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>

#include "host/codec/image_file.h"
#include "image/gray.h"
#include "kernels/kernels.h"
#include "mien/mien.h"
#include "mien/owned.hpp"
#include "mien/thread_pool.hpp"
#include "mien/tracker.hpp"
#include "pipeline/crop.h"
#include "unit/file_builder.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
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

struct ShippedWeights {
    ByteVector cascade_file = read_file(weights_path("haarcascade_frontalface_default.mien"));
    ByteVector emotion_file = read_file(weights_path("emotion.mien"));
    ByteVector gender_file = read_file(weights_path("gender.mien"));
    ByteVector detector_file = read_file(weights_path("detector.mien"));
    Cascade cascade;
    Model emotion, gender, detector;

    ShippedWeights() {
        REQUIRE(Model::open(detector_file, detector) == Status::ok);
        REQUIRE(Cascade::open(cascade_file, cascade) == Status::ok);
        REQUIRE(Model::open(emotion_file, emotion) == Status::ok);
        REQUIRE(Model::open(gender_file, gender) == Status::ok);
    }
    [[nodiscard]] Weights views() const {
        return {.cascade = &cascade, .heads = {&emotion, &gender}};
    }
};

struct PlacedEngine {
    std::vector<std::byte> memory;
    Engine engine;

    PlacedEngine(const Config& config, const ShippedWeights& w)
        : memory(Engine::required_bytes(config, w.views())) {
        REQUIRE(Engine::create(config, w.views(), memory, engine) == Status::ok);
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
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    std::vector<float> first;
    for (const Isa isa : isas()) {
        Config config;
        config.isa = isa;
        config.class_maps = true;
        PlacedEngine owned(config, weights);
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
        CHECK(faces[0][Head::emotion].probabilities.size() == 7);
        CHECK(faces[0][Head::gender].probabilities.size() == 2);
        CHECK(sum(faces[0][Head::emotion].probabilities) == doctest::Approx(1));
        CHECK(sum(faces[0][Head::gender].probabilities) == doctest::Approx(1));
        std::vector<float> all(faces[0][Head::emotion].probabilities.begin(),
                               faces[0][Head::emotion].probabilities.end());
        all.insert(all.end(), faces[0][Head::gender].probabilities.begin(),
                   faces[0][Head::gender].probabilities.end());
        CHECK(faces[0][Head::emotion].map.size() == weights.emotion.class_map_size().count());
        all.insert(all.end(), faces[0][Head::emotion].map.begin(),
                   faces[0][Head::emotion].map.end());
        all.insert(all.end(), faces[0][Head::gender].map.begin(), faces[0][Head::gender].map.end());
        if (first.empty()) first = all;
        CHECK(first == all);
        CHECK(owned.engine.detector_stats().windows > 1000);
    }
}

#if MIEN_COUNT_HEAP
TEST_CASE("threads: no heap after create") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    ThreadPool pool(3);
    Config config;
    config.executor = pool.executor();
    Weights views = weights.views();
    for (const bool net : {false, true}) {
        CAPTURE(net);
        if (net) {
            views.cascade = nullptr;
            views.detector = &weights.detector;
        }
        std::vector<std::byte> memory(Engine::required_bytes(config, views));
        Engine engine;
        REQUIRE(Engine::create(config, views, memory, engine) == Status::ok);
        std::span<const Face> faces;
        const long before = heap_calls;
        Status status = Status::ok;
        for (int i = 0; i < 3 && status == Status::ok; ++i)
            status = engine.process(as_frame(photo), faces);
        const long calls = heap_calls - before;
        CHECK(calls == 0);
        CHECK(status == Status::ok);
        CHECK(faces.size() == 1);
    }
}
#endif

TEST_CASE("pixel formats and strides give the same faces") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    PlacedEngine owned({}, weights);
    std::span<const Face> faces;
    REQUIRE(owned.engine.process(as_frame(photo), faces) == Status::ok);
    REQUIRE(faces.size() == 1);
    const Rect box = faces[0].box;
    const std::vector<float> emotion(faces[0][Head::emotion].probabilities.begin(),
                                     faces[0][Head::emotion].probabilities.end());
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
        CHECK(std::equal(emotion.begin(), emotion.end(),
                         faces[0][Head::emotion].probabilities.begin()));
    };
    check(PixelFormat::bgr24, 3, 2, 1, 0);
    check(PixelFormat::rgba32, 4, 0, 1, 2);
    check(PixelFormat::bgra32, 4, 2, 1, 0);
}

TEST_CASE("YUV frames give what their Y gives as a gray frame") {
    const ShippedWeights weights;
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
    PlacedEngine owned({}, weights);
    std::span<const Face> faces;
    REQUIRE(owned.engine.process({gray.data(), width, height, width, PixelFormat::gray8}, faces) ==
            Status::ok);
    REQUIRE(faces.size() == 1);
    const Rect box = faces[0].box;
    const std::vector<float> emotion(faces[0][Head::emotion].probabilities.begin(),
                                     faces[0][Head::emotion].probabilities.end());
    const auto check = [&](const ByteVector& data, int row_bytes, PixelFormat format) {
        REQUIRE(owned.engine.process({data.data(), width, height, row_bytes, format}, faces) ==
                Status::ok);
        REQUIRE(faces.size() == 1);
        CHECK(faces[0].box == box);
        CHECK(std::equal(emotion.begin(), emotion.end(),
                         faces[0][Head::emotion].probabilities.begin()));
    };
    check(yuyv, 2 * width, PixelFormat::yuyv);
    check(uyvy, 2 * width, PixelFormat::uyvy);
    check(nv12, width, PixelFormat::nv12);
}

TEST_CASE("detect_width shrinks for detection only") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    Config config;
    config.detector = {1.1, 5, 0, 0};
    PlacedEngine full(config, weights);
    config.detect_width = 280;
    PlacedEngine shrunk(config, weights);
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
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    PlacedEngine owned({}, weights);
    Face face;
    for (const Rect box : {Rect{-30, -20, 90, 90}, Rect{280, 290, 100, 100}, Rect{0, 0, 1, 1},
                           Rect{-5000, -5000, 20000, 20000}}) {
        CHECK(owned.engine.classify(as_frame(photo), box, face) == Status::ok);
        CHECK(face[Head::emotion].probabilities.size() == 7);
        CHECK(sum(face[Head::emotion].probabilities) == doctest::Approx(1));
    }
    CHECK(owned.engine.classify(as_frame(photo), {400, 0, 10, 10}, face) == Status::bad_argument);
    CHECK(owned.engine.classify(as_frame(photo), {0, 0, 0, 10}, face) == Status::bad_argument);
    CHECK(owned.engine.classify(as_frame(photo), {INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX},
                                face) == Status::bad_argument);
    CHECK(owned.engine.classify(as_frame(photo), {INT32_MIN, INT32_MAX, INT32_MAX, INT32_MIN},
                                face) == Status::bad_argument);
}

TEST_CASE("a face is read from as much gray as it needs") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    PlacedEngine color({}, weights), plain({}, weights);
    std::vector<std::uint8_t> gray(static_cast<std::size_t>(photo.width) *
                                   static_cast<std::size_t>(photo.height));
    to_gray(as_frame(photo), kernels_for(Isa::best).image, gray.data());
    const Frame gray_frame = {gray.data(), photo.width, photo.height, photo.width,
                              PixelFormat::gray8};
    for (const Rect box : {Rect{100, 60, 90, 90}, Rect{-30, -20, 90, 90}, Rect{251, 203, 9, 100},
                           Rect{0, 0, 1, 1}, Rect{101, 59, 33, 47}}) {
        Face read, expected;
        REQUIRE(color.engine.classify(as_frame(photo), box, read) == Status::ok);
        REQUIRE(plain.engine.classify(gray_frame, box, expected) == Status::ok);
        for (const Head head : {Head::emotion, Head::gender, Head::age})
            CHECK(std::ranges::equal(read[head].probabilities, expected[head].probabilities));
    }
}

TEST_CASE("margins are fractions of the box, clamped to the frame") {
    CHECK(crop_rect({100, 100, 50, 40}, 0.1f, 0.5f, 1000, 1000) == Rect{95, 80, 60, 80});
    CHECK(crop_rect({2, 3, 50, 40}, 0.1f, 0.5f, 1000, 1000) == Rect{0, 0, 57, 63});
    CHECK(crop_rect({960, 970, 50, 40}, 0.0f, 0.0f, 1000, 1000) == Rect{960, 970, 40, 30});
    CHECK(crop_rect({100, 100, 50, 40}, -0.2f, 0.0f, 1000, 1000) == Rect{110, 100, 30, 40});
    CHECK(crop_rect({1000, 0, 5, 5}, 0, 0, 1000, 1000) == Rect{});
}

TEST_CASE("the crop that the network saw can be looked at") {
    const ShippedWeights weights;
    PlacedEngine owned({}, weights);
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
            std::vector<std::byte> memory(Engine::required_bytes(config, {.heads = {&model}}));
            Engine engine;
            REQUIRE(Engine::create(config, {.heads = {&model}}, memory, engine) == Status::ok);
            std::vector<float> map(model.class_map_size().count());
            // nothing was read yet
            CHECK(engine.class_map(Head::emotion, 0, map) == Status::bad_argument);
            Face face;
            REQUIRE(engine.classify_crop({pixels.data(), model.input_width(), model.input_height(),
                                          std::ptrdiff_t{model.input_width()} * channels,
                                          channels == 3 ? PixelFormat::rgb24 : PixelFormat::gray8},
                                         face) == Status::ok);
            CHECK(face[Head::emotion].map.empty());
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
                      doctest::Approx(static_cast<double>(face[Head::emotion].probabilities[k]))
                          .epsilon(0.03));
            if (first.empty()) first = all;
            CHECK(first == all);
        }
    }
    CHECK(with_maps >= 5);
}

TEST_CASE("memory is exactly what was announced") {
    const ShippedWeights weights;
    struct Case {
        Isa isa;
        int threads;
        bool net;
    };
    std::vector<Case> cases;
    for (const Isa isa : isas())
        for (const int threads : {1, 3})
            for (const bool net : {false, true}) cases.push_back({isa, threads, net});
    for (const auto& [isa, threads, net] : cases) {
        Config config;
        config.isa = isa;
        config.max_width = 333;
        config.max_height = 211;
        config.detect_width = 150;
        ThreadPool pool(threads);
        config.executor = pool.executor();
        Weights views = weights.views();
        if (net) {
            views.cascade = nullptr;
            views.detector = &weights.detector;
        }
        const std::size_t bytes = Engine::required_bytes(config, views);
        std::vector<std::byte> memory(bytes + 128, std::byte{0x5a});
        for (const std::size_t misalignment : {std::size_t{0}, std::size_t{1}, std::size_t{37}}) {
            Engine engine;
            const std::span<std::byte> given(memory.data() + misalignment, bytes);
            REQUIRE(Engine::create(config, views, given, engine) == Status::ok);
            const ByteVector picture = test_picture(1, 333 * 211 * 3);
            std::span<const Face> faces;
            CHECK(engine.process({picture.data(), 333, 211, 999, PixelFormat::rgb24}, faces) ==
                  Status::ok);
            CHECK(memory[misalignment + bytes] == std::byte{0x5a});
            CHECK(Engine::create(config, views, given.first(bytes - 1), engine) ==
                  Status::too_small);
        }
    }
}

TEST_CASE("bad calls are refused, none crashes") {
    const ShippedWeights weights;
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
        return Engine::required_bytes(config, {.cascade = &weights.cascade}) == 0;
    };
    CHECK(!invalid([](Config&) {}));
    CHECK(invalid([](Config& c) { c.max_width = 0; }));
    CHECK(invalid([](Config& c) { c.max_height = -3; }));
    CHECK(invalid([](Config& c) { c.max_faces = 0; }));
    CHECK(invalid([](Config& c) { c.detector.scale_factor = 1.0; }));
    CHECK(invalid([](Config& c) { c.detector.scale_factor = std::nan(""); }));
    CHECK(invalid([](Config& c) { c.detector.min_neighbors = -1; }));
    const Model empty;
    CHECK(Engine::required_bytes({}, {.cascade = &weights.cascade, .heads = {&empty}}) == 0);

    PlacedEngine owned({}, weights);
    CHECK(owned.engine.process(dot, faces) == Status::ok);  // smaller than a window: no face
    CHECK(faces.empty());
    const ByteVector wide(641, 0);
    CHECK(owned.engine.process({wide.data(), 641, 1, 641, PixelFormat::gray8}, faces) ==
          Status::frame_too_large);
    CHECK(owned.engine.process({nullptr, 10, 10, 10, PixelFormat::gray8}, faces) ==
          Status::bad_argument);
    // Without a cascade only classify works.
    Config config;
    std::vector<std::byte> memory(Engine::required_bytes(config, {.heads = {&weights.emotion}}));
    Engine reader;
    REQUIRE(Engine::create(config, {.heads = {&weights.emotion}}, memory, reader) == Status::ok);
    CHECK(reader.process(dot, faces) == Status::bad_argument);
    CHECK(reader.classify_crop(dot, face) == Status::ok);
    CHECK(face[Head::gender].probabilities.empty());
}

TEST_CASE("faces beyond the room for them are counted") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    Config config;
    config.max_faces = 2;
    config.detector = {1.1, 0, 0, 0};
    PlacedEngine owned(config, weights);
    std::span<const Face> faces;
    REQUIRE(owned.engine.process(as_frame(photo), faces) == Status::ok);
    CHECK(faces.size() == 2);
    CHECK(owned.engine.faces_dropped() > 0);
}

TEST_CASE("a call ends when it is asked to stop, with either detector and any number of threads") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    ThreadPool pool(3);
    // Asked `left` times, it says no.
    struct Countdown {
        std::atomic<int> asked{0};
        int left = 0;
    } countdown;
    for (const bool net : {false, true}) {
        for (const bool threads : {false, true}) {
            CAPTURE(net);
            CAPTURE(threads);
            Weights views = weights.views();
            if (net) {
                views.cascade = nullptr;
                views.detector = &weights.detector;
            }
            Config config;
            if (threads) config.executor = pool.executor();
            config.stop = {[](void* context) {
                               auto& count = *static_cast<Countdown*>(context);
                               return ++count.asked > count.left ? 1 : 0;
                           },
                           &countdown};
            std::vector<std::byte> memory(Engine::required_bytes(config, views));
            Engine engine;
            REQUIRE(Engine::create(config, views, memory, engine) == Status::ok);
            std::span<const Face> faces;
            countdown.asked = 0;
            countdown.left = 1 << 30;
            REQUIRE(engine.process(as_frame(photo), faces) == Status::ok);
            REQUIRE(faces.size() == 1);
            const Rect box = faces[0].box;
            const int all = countdown.asked;
            CHECK(all > 40);
            // at the beginning, in the search, and in the last network
            for (const int left : {0, 1, all / 2, all - 1}) {
                CAPTURE(left);
                countdown.asked = 0;
                countdown.left = left;
                CHECK(engine.process(as_frame(photo), faces) == Status::stopped);
                CHECK(faces.empty());
                CHECK(countdown.asked <= left + 1 + 3);  // each thread asks once more at most
            }
            Face face;
            countdown.asked = countdown.left = 0;
            CHECK(engine.classify(as_frame(photo), box, face) == Status::stopped);
            CHECK(face.readings.empty());
            CHECK(engine.detect(as_frame(photo), faces) == Status::stopped);
            // and works again
            countdown.left = 1 << 30;
            CHECK(engine.process(as_frame(photo), faces) == Status::ok);
            CHECK(faces.size() == 1);
        }
    }
}

TEST_CASE("an engine can be moved") {
    const ShippedWeights weights;
    PlacedEngine owned({}, weights);
    Engine moved(std::move(owned.engine));
    CHECK(moved);
    CHECK(!owned.engine);
    const std::uint8_t pixel = 0;
    Face face;
    CHECK(moved.classify_crop({&pixel, 1, 1, 1, PixelFormat::gray8}, face) == Status::ok);
}

namespace {

// An engine through the C interface.
struct CEngine {
    mien_weights files;
    std::vector<std::byte> memory;
    mien_engine* engine = nullptr;

    CEngine(const ShippedWeights& weights, const mien_config& config) {
        mien_weights_init(&files);
        files.cascade = {weights.cascade_file.data(), weights.cascade_file.size()};
        files.heads[MIEN_EMOTION] = {weights.emotion_file.data(), weights.emotion_file.size()};
        files.heads[MIEN_GENDER] = {weights.gender_file.data(), weights.gender_file.size()};
        memory.resize(mien_required_bytes(&config, &files));
        REQUIRE(mien_create(&config, &files, memory.data(), memory.size(), &engine) == MIEN_OK);
    }
};

mien_frame c_frame(const host::Image& photo) {
    mien_frame frame;
    mien_frame_init(&frame);
    frame.data = photo.pixels.get();
    frame.width = photo.width;
    frame.height = photo.height;
    frame.stride_bytes = std::ptrdiff_t{photo.width} * 3;
    frame.format = MIEN_RGB24;
    return frame;
}

// A caller's structure as another version of the headers has it: `extra` bytes more or less, with
// a guard behind it.
template <class T, int extra>
struct Other {
    alignas(8) std::uint8_t bytes[sizeof(T) + 16];
    static constexpr auto size = static_cast<std::size_t>(static_cast<int>(sizeof(T)) + extra);
    Other() { std::memset(bytes, 0xa5, sizeof bytes); }
    T* get() { return reinterpret_cast<T*>(bytes); }
    std::uint32_t struct_size() const {
        std::uint32_t value;
        std::memcpy(&value, bytes, 4);
        return value;
    }
    bool guard_is_whole() const {
        return std::all_of(bytes + size, bytes + sizeof bytes, [](int b) { return b == 0xa5; });
    }
};

template <int extra>
void check_other_sizes(const ShippedWeights& weights, const mien_config& config,
                       const mien_frame& frame, std::size_t expected) {
    CAPTURE(extra);
    Other<mien_config, extra> other;
    mien_config_init_sized(other.get(), other.size);
    CHECK(other.struct_size() == other.size);
    CHECK(other.guard_is_whole());
    other.get()->max_width = config.max_width;
    other.get()->max_height = config.max_height;
    Other<mien_weights, extra> files;
    mien_weights_init_sized(files.get(), files.size);
    CHECK(files.guard_is_whole());
    files.get()->cascade = {weights.cascade_file.data(), weights.cascade_file.size()};
    files.get()->heads[0] = {weights.emotion_file.data(), weights.emotion_file.size()};
    std::vector<std::byte> memory(mien_required_bytes(other.get(), files.get()));
    mien_engine* engine = nullptr;
    REQUIRE(mien_create(other.get(), files.get(), memory.data(), memory.size(), &engine) ==
            MIEN_OK);
    Other<mien_frame, extra> view;
    mien_frame_init_sized(view.get(), view.size);
    CHECK(view.guard_is_whole());
    std::memcpy(view.bytes + 4, reinterpret_cast<const std::uint8_t*>(&frame) + 4,
                std::min(view.size, sizeof frame) - 4);
    std::size_t count = 0;
    if (extra < 0) {  // the last field of a frame is its stride: without it no frame is valid
        CHECK(mien_process(engine, view.get(), &count) == MIEN_BAD_ARGUMENT);
        REQUIRE(mien_process(engine, &frame, &count) == MIEN_OK);
    } else {
        REQUIRE(mien_process(engine, view.get(), &count) == MIEN_OK);
    }
    REQUIRE(count == expected);
    Other<mien_face, extra> face;
    REQUIRE(mien_face_at_sized(engine, 0, face.get(), face.size) == MIEN_OK);
    CHECK(face.struct_size() == face.size);
    CHECK(face.guard_is_whole());
    CHECK(face.get()->x > 0);
    Other<mien_reading, extra> reading;
    REQUIRE(mien_reading_at_sized(engine, 0, MIEN_EMOTION, reading.get(), reading.size) == MIEN_OK);
    CHECK(reading.get()->count == 7);
    CHECK(reading.guard_is_whole());
    Other<mien_timings, extra> timings;
    mien_timings_of_sized(engine, timings.get(), timings.size);
    CHECK(timings.guard_is_whole());
    Other<mien_tracker_config, extra> tracking;
    mien_tracker_config_init_sized(tracking.get(), tracking.size);
    CHECK(tracking.guard_is_whole());
    CHECK(mien_tracker_required_bytes(other.get(), tracking.get(), files.get()) > memory.size());
}

}  // namespace

TEST_CASE("the C interface gives the same faces") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    PlacedEngine owned({}, weights);
    std::span<const Face> expected;
    REQUIRE(owned.engine.process(as_frame(photo), expected) == Status::ok);

    mien_config config;
    mien_config_init(&config);
    CEngine c(weights, config);
    mien_engine* engine = nullptr;
    CHECK(mien_create(&config, &c.files, c.memory.data(), c.memory.size() / 2, &engine) ==
          MIEN_TOO_SMALL);
    const mien_frame frame = c_frame(photo);
    std::size_t count = 0;
    REQUIRE(mien_process(c.engine, &frame, &count) == MIEN_OK);
    REQUIRE(count == expected.size());
    mien_face face;
    mien_reading reading;
    REQUIRE(mien_face_at(c.engine, 0, &face) == MIEN_OK);
    REQUIRE(mien_reading_at(c.engine, 0, MIEN_EMOTION, &reading) == MIEN_OK);
    CHECK(face.x == expected[0].box.x);
    CHECK(face.neighbors == expected[0].neighbors);
    REQUIRE(reading.count == 7);
    const std::span<const float> scores = expected[0][Head::emotion].probabilities;
    CHECK(std::equal(scores.begin(), scores.end(), reading.probabilities));
    CHECK(mien_reading_at(c.engine, 0, 5, &reading) == MIEN_OK);
    CHECK(reading.count == 0);
    CHECK(mien_reading_at(c.engine, 0, MIEN_MAX_HEADS, &reading) == MIEN_BAD_ARGUMENT);
    CHECK(mien_face_at(c.engine, count, &face) == MIEN_BAD_ARGUMENT);

    const mien_rect area = {face.x - 40, face.y - 40, face.width + 80, face.height + 80};
    mien_detector_options options;
    mien_detector_options_init(&options);
    CHECK(options.min_neighbors == 5);
    options.min_neighbors = 1;
    REQUIRE(mien_detect(c.engine, &frame, &area, &options, &count) == MIEN_OK);
    REQUIRE(count >= 1);
    REQUIRE(mien_face_at(c.engine, 0, &face) == MIEN_OK);
    CHECK(face.x >= area.x);
    const mien_rect box = {face.x, face.y, face.width, face.height};
    REQUIRE(mien_classify(c.engine, &frame, &box) == MIEN_OK);
    REQUIRE(mien_reading_at(c.engine, 0, MIEN_GENDER, &reading) == MIEN_OK);
    CHECK(reading.count == 2);
    int32_t map_width = 0, map_height = 0;
    REQUIRE(mien_class_map(c.engine, MIEN_EMOTION, 0, nullptr, 0, &map_width, &map_height) ==
            MIEN_OK);
    std::vector<float> map(static_cast<std::size_t>(map_width * map_height));
    CHECK(mien_class_map(c.engine, MIEN_EMOTION, 0, map.data(), map.size() - 1, nullptr, nullptr) ==
          MIEN_TOO_SMALL);
    CHECK(mien_class_map(c.engine, MIEN_EMOTION, 0, map.data(), map.size(), nullptr, nullptr) ==
          MIEN_OK);

    char text[4];
    CHECK(mien_label(c.engine, MIEN_EMOTION, 0, text, sizeof text) == 5);  // "angry", cut
    CHECK(std::string_view(text) == "ang");
    CHECK(mien_label(c.engine, MIEN_GENDER, 2, text, sizeof text) == 0);
    CHECK(mien_class_count(c.engine, MIEN_EMOTION) == 7);
    CHECK(mien_process(nullptr, &frame, &count) == MIEN_BAD_ARGUMENT);
    CHECK(std::string_view(mien_isa_name(MIEN_ISA_AVX2)) == "avx2");
    CHECK(std::string_view(mien_head_name(MIEN_GENDER)) == "gender");
    CHECK(std::string_view(mien_head_name(7)).empty());
    config.struct_size = 2;
    CHECK(mien_required_bytes(&config, &c.files) == 0);
    mien_config_init(&config);
    mien_weights exchanged = c.files;
    exchanged.cascade = c.files.heads[MIEN_EMOTION];
    CHECK(mien_create(&config, &exchanged, c.memory.data(), c.memory.size(), &engine) ==
          MIEN_WRONG_KIND);
    CHECK(std::string_view(mien_message(MIEN_WRONG_KIND)).size() > 10);
    std::size_t needed = 0;
    const mien_file emotion = c.files.heads[MIEN_EMOTION];
    REQUIRE(mien_verify(emotion.data, emotion.bytes, MIEN_ISA_BEST, nullptr, 0, &needed) ==
            MIEN_OK);
    std::vector<std::byte> room(needed);
    CHECK(mien_verify(emotion.data, emotion.bytes, MIEN_ISA_BEST, room.data(), needed, nullptr) ==
          MIEN_OK);
}

TEST_CASE("the C interface limits networks and can be stopped") {
    const ShippedWeights w;
    mien_weights files;
    mien_weights_init(&files);
    files.heads[MIEN_EMOTION] = {w.emotion_file.data(), w.emotion_file.size()};
    mien_config config;
    mien_config_init(&config);
    config.stop = [](void* context) { return *static_cast<int*>(context); };
    int stop = 0;
    config.stop_context = &stop;
    std::vector<std::byte> memory(mien_required_bytes(&config, &files));
    mien_engine* engine = nullptr;
    files.network_limit = 1e-6;
    CHECK(mien_required_bytes(&config, &files) == 0);
    CHECK(mien_create(&config, &files, memory.data(), memory.size(), &engine) == MIEN_TOO_COSTLY);
    files.network_limit = -1;
    CHECK(mien_create(&config, &files, memory.data(), memory.size(), &engine) == MIEN_BAD_ARGUMENT);
    files.network_limit = 0.5;
    REQUIRE(mien_create(&config, &files, memory.data(), memory.size(), &engine) == MIEN_OK);
    const ByteVector pixels = test_picture(1, 48 * 48);
    mien_frame crop;
    mien_frame_init(&crop);
    crop.data = pixels.data();
    crop.width = crop.height = 48;
    crop.stride_bytes = 48;
    CHECK(mien_classify_crop(engine, &crop) == MIEN_OK);
    stop = 1;
    CHECK(mien_classify_crop(engine, &crop) == MIEN_STOPPED);
    CHECK(std::string(mien_message(MIEN_STOPPED)) == "stopped by the program before it was done");
}

TEST_CASE("the C interface takes structures of older and newer headers") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    mien_config config;
    mien_config_init(&config);
    CEngine c(weights, config);
    const mien_frame frame = c_frame(photo);
    std::size_t count = 0;
    REQUIRE(mien_process(c.engine, &frame, &count) == MIEN_OK);
    check_other_sizes<0>(weights, config, frame, count);
    check_other_sizes<8>(weights, config, frame, count);
    check_other_sizes<-8>(weights, config, frame, count);
}

TEST_CASE("the C interface follows faces") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    mien_config config;
    mien_config_init(&config);
    CEngine c(weights, config);
    mien_tracker_config tracking;
    mien_tracker_config_init(&tracking);
    std::vector<std::byte> memory(mien_tracker_required_bytes(&config, &tracking, &c.files));
    mien_tracker* tracker = nullptr;
    REQUIRE(mien_tracker_create(&config, &tracking, &c.files, memory.data(), memory.size(),
                                &tracker) == MIEN_OK);
    const mien_frame frame = c_frame(photo);
    for (std::uint64_t i = 0; i < 3; ++i) {
        std::size_t count = 0;
        REQUIRE(mien_tracker_process(tracker, &frame, i * 33'000'000, &count) == MIEN_OK);
        REQUIRE(count == 1);
        mien_tracked_face face;
        mien_tracked_reading reading;
        REQUIRE(mien_tracked_face_at(tracker, 0, &face) == MIEN_OK);
        CHECK(face.id == 1);
        CHECK(face.frames == i);
        REQUIRE(mien_tracked_reading_at(tracker, 0, MIEN_EMOTION, &reading) == MIEN_OK);
        REQUIRE(reading.label >= 0);
        char text[16];
        CHECK(mien_tracker_label(tracker, MIEN_EMOTION, reading.label, text, sizeof text) > 0);
        CHECK(std::string_view(text) == "happy");
    }
    mien_tracker_reset(tracker);
    mien_tracked_face face;
    CHECK(mien_tracked_face_at(tracker, 0, &face) == MIEN_BAD_ARGUMENT);
}

TEST_CASE("a third head is one more network, and nothing else") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    constexpr auto third = static_cast<Head>(2), eighth = static_cast<Head>(max_heads - 1);
    Weights views = {.cascade = &weights.cascade, .heads = {&weights.emotion, &weights.gender}};
    views.heads[2] = &weights.emotion;
    views.heads[max_heads - 1] = &weights.gender;
    std::vector<std::byte> memory(Engine::required_bytes({}, views));
    Engine engine;
    REQUIRE(Engine::create({}, views, memory, engine) == Status::ok);
    std::span<const Face> faces;
    REQUIRE(engine.process(as_frame(photo), faces) == Status::ok);
    REQUIRE(faces.size() == 1);
    REQUIRE(faces[0].readings.size() == max_heads);
    const auto same = [](std::span<const float> a, std::span<const float> b) {
        return !a.empty() && std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    CHECK(same(faces[0][third].probabilities, faces[0][Head::emotion].probabilities));
    CHECK(same(faces[0][eighth].probabilities, faces[0][Head::gender].probabilities));
    CHECK(faces[0][static_cast<Head>(3)].probabilities.empty());
    CHECK(engine.model(third)->label(0) == "angry");
    CHECK(engine.model(static_cast<Head>(3)) == nullptr);
    std::vector<std::byte> tracker_memory(Tracker::required_bytes({}, views));
    Tracker tracker;
    REQUIRE(Tracker::create({}, views, tracker_memory, tracker) == Status::ok);
    std::span<const TrackedFace> tracked;
    REQUIRE(tracker.process(as_frame(photo), 0, tracked) == Status::ok);
    REQUIRE(tracked.size() == 1);
    CHECK(tracked[0][third].label == tracked[0][Head::emotion].label);
}

TEST_CASE("classify leaves the faces of the last frame alone") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    PlacedEngine owned({}, weights);
    std::span<const Face> faces;
    REQUIRE(owned.engine.process(as_frame(photo), faces) == Status::ok);
    const Rect box = faces[0].box;
    Face other;
    REQUIRE(owned.engine.classify(as_frame(photo), {0, 0, 50, 50}, other) == Status::ok);
    CHECK(faces[0].box == box);
}

TEST_CASE("a part of a frame is searched as a frame of its own, in every pixel format") {
    const ShippedWeights weights;
    const host::Image photo = load_photo();
    PlacedEngine owned({}, weights);
    std::span<const Face> faces;
    REQUIRE(owned.engine.detect(as_frame(photo), faces) == Status::ok);
    REQUIRE(!faces.empty());
    const Rect face = faces[0].box;
    const Rect area = {face.x - 31, face.y - 17, face.width + 60, face.height + 50};
    Frame part = as_frame(photo);
    part.data += area.y * part.stride_bytes + area.x * 3;
    part.width = area.width;
    part.height = area.height;
    REQUIRE(owned.engine.detect(part, faces) == Status::ok);
    std::vector<Rect> expected;
    for (const Face& f : faces)
        expected.push_back({f.box.x + area.x, f.box.y + area.y, f.box.width, f.box.height});
    REQUIRE(!expected.empty());
    const auto boxes = [&](const Frame& frame, const Rect& where) {
        std::vector<Rect> found;
        REQUIRE(owned.engine.detect(frame, where, {}, faces) == Status::ok);
        for (const Face& f : faces) found.push_back(f.box);
        return found;
    };
    CHECK(boxes(as_frame(photo), area) == expected);

    // The same gray as a plane, and as the Y of camera formats.
    std::vector<std::uint8_t> gray(static_cast<std::size_t>(photo.width * photo.height)),
        yuyv(gray.size() * 2, 128), nv12(gray.size() * 3 / 2, 128);
    to_gray(as_frame(photo), kernels_for(Isa::best).image, gray.data());
    for (std::size_t i = 0; i < gray.size(); ++i) yuyv[2 * i] = nv12[i] = gray[i];
    CHECK(boxes({gray.data(), photo.width, photo.height, photo.width, PixelFormat::gray8}, area) ==
          expected);
    CHECK(boxes({yuyv.data(), photo.width, photo.height, photo.width * 2, PixelFormat::yuyv},
                area) == expected);
    CHECK(boxes({nv12.data(), photo.width, photo.height, photo.width, PixelFormat::nv12}, area) ==
          expected);

    CHECK(owned.engine.detect(as_frame(photo), {-5, -5, 5, 5}, {}, faces) == Status::bad_argument);
    CHECK(owned.engine.detect(as_frame(photo), {0, 0, INT32_MAX, INT32_MAX}, {}, faces) ==
          Status::ok);
}

TEST_CASE("the owned engine reads files, grows, and names labels") {
    const host::Image photo = load_photo();
    Config small;
    small.max_width = small.max_height = 16;
    mien::OwnedEngine engine(MIEN_WEIGHTS, small);
    REQUIRE(engine.status() == Status::ok);
    const std::span<const Face> faces = engine.process(as_frame(photo));
    REQUIRE(engine.status() == Status::ok);
    REQUIRE(faces.size() == 1);
    CHECK(engine.label(Head::emotion, faces[0]) == "happy");
    CHECK(engine.label(static_cast<Head>(5), faces[0]).empty());
    CHECK(engine.process({}).empty());
    CHECK(engine.status() == Status::bad_argument);
    CHECK(!engine.error().empty());
    mien::OwnedEngine missing("no/such/folder");
    CHECK(missing.process(as_frame(photo)).empty());
    CHECK(missing.error() == "no/such/folder/detector.mien: cannot be opened");
    mien::OwnedEngine no_cascade("no/such/folder", {}, mien::Detector::haar);
    CHECK(no_cascade.error() ==
          "no/such/folder/haarcascade_frontalface_default.mien: cannot be opened");
}

TEST_CASE("tracker: no heap after create") {
#if MIEN_COUNT_HEAP
    const ShippedWeights weights;
    Weights net = weights.views();
    net.cascade = nullptr;
    net.detector = &weights.detector;
    for (const Weights& views : {weights.views(), net}) {
        TrackerConfig config;
        config.engine.class_maps = true;
        std::vector<std::byte> memory(Tracker::required_bytes(config, views));
        Tracker tracker;
        REQUIRE(Tracker::create(config, views, memory, tracker) == Status::ok);
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
        CHECK(faces[0].frames == 29);
        std::vector<float> map(faces[0][Head::emotion].map.size());
        REQUIRE(map.size() == weights.emotion.class_map_size().count());
        REQUIRE(tracker.engine()->class_map(Head::emotion, faces[0][Head::emotion].label, map) ==
                Status::ok);
        CHECK(std::equal(map.begin(), map.end(), faces[0][Head::emotion].map.begin()));
    }
#else
    MESSAGE("skipped: this build cannot count calls of the heap");
#endif
}
