// SPDX-License-Identifier: MIT
// Does the face detector network find what the numpy reference finds, bit for bit, on every
// instruction set, from every pixel format, and are its limits kept?
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "base/crc32.h"
#include "detect/finder.h"
#include "detect/net/face_net.h"
#include "host/codec/image_file.h"
#include "image/gray.h"
#include "mien/mien.h"
#include "mien/owned.hpp"
#include "pipeline/crop.h"
#include "unit/file_builder.h"

using namespace mien;
using namespace mien::test;

namespace {

struct DetectorGolden {
    Rect part;
    bool gray;
    int size_count;
    FaceNet::Size sizes[2];
    float min_score;
    int first, count;
};
struct TurnedCropGolden {
    bool gray;
    int width, height;
    float margin_x, margin_y;
    std::uint32_t crc;
};
#include "golden/detector.inc"

struct Photo {
    host::Image image;
    ByteVector gray;

    Photo() {
        auto decoded = host::decode_image(read_file(data_path("photos/astronaut_320.png")));
        REQUIRE(decoded);
        image = std::move(decoded->image);
        gray.resize(static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height));
        to_gray(image.frame(), kernels_for(Isa::scalar).image, gray.data());
    }
    [[nodiscard]] Frame gray_frame() const {
        return {gray.data(), image.width, image.height, image.width, PixelFormat::gray8};
    }
};

struct PlacedNet {
    std::unique_ptr<std::byte[]> memory;
    FaceNet net;

    PlacedNet(const Model& model, Isa isa, FaceNet::Size largest, int max_candidates = 4096) {
        REQUIRE(FaceNet::fits(model, largest, FaceNet::Turns::none));
        Arena measure;
        net.place(measure, model, largest, FaceNet::Turns::none, max_candidates, kernels_for(isa));
        memory = std::make_unique<std::byte[]>(measure.required_bytes());
        Arena arena(memory.get(), measure.required_bytes());
        net = FaceNet{};
        net.place(arena, model, largest, FaceNet::Turns::none, max_candidates, kernels_for(isa));
        CHECK(arena.ok());
    }
};

struct DetectorFile {
    ByteVector bytes = read_file(weights_path("detector.mien"));
    Model model;
    DetectorFile() { REQUIRE(Model::open(bytes, model) == Status::ok); }
};

}  // namespace

TEST_CASE("the detector network finds what the numpy reference finds, bit for bit") {
    const Photo photo;
    const DetectorFile file;
    CHECK(file.model.finds_faces());
    for (const Isa isa : isas()) {
        PlacedNet placed(file.model, isa, {640, 640});
        for (const DetectorGolden& golden : detector_golden) {
            const Frame frame = golden.gray ? photo.gray_frame() : photo.image.frame();
            const FaceNet::Size own = {golden.part.width, golden.part.height};
            const std::span<const FaceNet::Size> sizes =
                golden.size_count == 0
                    ? std::span(&own, 1)
                    : std::span(golden.sizes).first(static_cast<std::size_t>(golden.size_count));
            std::span<const FaceNet::Candidate> found;
            REQUIRE(placed.net.find(frame, golden.part, sizes, golden.min_score, found) ==
                    Status::ok);
            REQUIRE(static_cast<int>(found.size()) == golden.count);
            for (int i = 0; i < golden.count; ++i) {
                const FaceNet::Candidate& c = found[static_cast<std::size_t>(i)];
                const float* const wanted = detector_golden_faces[golden.first + i];
                float got[15] = {c.score, c.x, c.y, c.width, c.height};
                for (int k = 0; k < FaceNet::landmark_count; ++k) {
                    got[5 + 2 * k] = c.landmarks[k].x;
                    got[6 + 2 * k] = c.landmarks[k].y;
                }
                CHECK_MESSAGE(std::equal(got, got + 15, wanted), isa_name(isa), " face ",
                              golden.first + i);
            }
        }
    }
}

TEST_CASE("the turned crop of a face equals the numpy reference") {
    const Photo photo;
    const DetectorFile file;
    Point landmarks[FaceNet::landmark_count];
    for (int k = 0; k < FaceNet::landmark_count; ++k)
        landmarks[k] = {detector_golden_faces[0][5 + 2 * k], detector_golden_faces[0][6 + 2 * k]};
    Similarity square{};
    REQUIRE(fit_square(file.model, landmarks, square));
    for (const TurnedCropGolden& golden : turned_crop_golden) {
        NetworkBuilder b = NetworkBuilder::with_gap_head(1);
        b.height = static_cast<std::uint32_t>(golden.height);
        b.width = static_cast<std::uint32_t>(golden.width);
        b.channels = golden.gray ? 1 : 3;
        b.layers.resize(1);
        b.layers[0] = {.op = 8, .output = 1, .out_h = static_cast<std::uint16_t>(golden.height)};
        b.layers[0].out_w = static_cast<std::uint16_t>(golden.width);
        b.layers[0].out_c = 3;
        b.layers[0].quant = 0;
        const ByteVector bytes = b.build();
        Model model;
        REQUIRE(Model::open(bytes, model) == Status::ok);
        const auto size = static_cast<std::size_t>(golden.width * golden.height) * b.channels;
        GuardedBuffer pixels(size);
        cut_square(photo.image.frame(), {photo.gray.data(), photo.image.width}, square,
                   golden.margin_x, golden.margin_y, model, pixels.data());
        CHECK(crc32(std::span(pixels.data(), size)) == golden.crc);
    }
    // Five times the same point says nothing.
    const Point same[FaceNet::landmark_count] = {};
    CHECK(!fit_square(file.model, same, square));
    CHECK(!fit_square(file.model, std::span(landmarks).first(3), square));
}

TEST_CASE("candidates without room are those of the lowest scores") {
    const Photo photo;
    const DetectorFile file;
    const Frame frame = photo.image.frame();
    const FaceNet::Size own = {frame.width, frame.height};
    PlacedNet all(file.model, Isa::best, own), few(file.model, Isa::best, own, 7);
    std::span<const FaceNet::Candidate> found, best;
    REQUIRE(all.net.find(frame, bounds(frame), {&own, 1}, 0.02f, found) == Status::ok);
    REQUIRE(few.net.find(frame, bounds(frame), {&own, 1}, 0.02f, best) == Status::ok);
    CHECK(few.net.candidates() == all.net.candidates());
    CHECK(all.net.candidates_dropped() == 0);
    CHECK(few.net.candidates_dropped() == all.net.candidates() - 7);
    REQUIRE(best.size() >= 1);
    REQUIRE(best.size() <= 7);
    for (std::size_t i = 0; i < best.size(); ++i) CHECK(best[i].score == found[i].score);
}

TEST_CASE("gray frames have a lower default score than frames of the same pixels in color") {
    const Photo photo;
    const DetectorFile file;
    const ModelAccess access{file.model};
    const float color = access.default_score(PixelFormat::rgb24),
                gray = access.default_score(PixelFormat::gray8);
    CHECK(color == 0.7f);
    CHECK(gray == 0.7f - 0.1f);
    PlacedNet placed(file.model, Isa::best, {320, 320});
    const Frame frame = photo.gray_frame();
    ByteVector triple(3 * photo.gray.size());
    for (std::size_t i = 0; i < photo.gray.size(); ++i)
        std::fill_n(&triple[3 * i], 3, photo.gray[i]);
    const Frame same = {triple.data(), frame.width, frame.height, 3 * frame.width,
                        PixelFormat::rgb24};
    // Smaller and smaller, until the face's score lies between the two.
    bool between = false;
    for (int width = frame.width; width >= 32 && !between; --width) {
        const FaceNet::Size size = {width, width * frame.height / frame.width};
        std::span<const FaceNet::Candidate> found;
        const auto find = [&](const Frame& image, float score) {
            REQUIRE(placed.net.find(image, bounds(image), {&size, 1}, score, found) == Status::ok);
            return found.size();
        };
        between = find(frame, gray) == 1 && found[0].score < color;
        if (!between) continue;
        CHECK(find(frame, 0) == 1);
        CHECK(find(same, 0) == 0);
        CHECK(find(same, gray) == 1);
    }
    CHECK(between);
}

TEST_CASE("an engine with the detector network: faces, landmarks, readings and limits") {
    const Photo photo;
    const DetectorFile file;
    const ByteVector emotion_bytes = read_file(weights_path("emotion.mien")),
                     cascade_bytes =
                         read_file(weights_path("haarcascade_frontalface_default.mien"));
    Model emotion;
    Cascade cascade;
    REQUIRE(Model::open(emotion_bytes, emotion) == Status::ok);
    REQUIRE(Cascade::open(cascade_bytes, cascade) == Status::ok);
    Config config;
    config.max_width = config.max_height = 640;
    const auto build = [&](const Weights& weights, std::vector<std::byte>& memory, Engine& out) {
        memory.resize(std::max<std::size_t>(Engine::required_bytes(config, weights), 1));
        return Engine::create(config, weights, memory, out);
    };
    std::vector<std::byte> memory;
    Engine engine;
    // What is no detector, and two at once.
    CHECK(build({.detector = &emotion}, memory, engine) == Status::wrong_kind);
    CHECK(build({.heads = {&file.model}}, memory, engine) == Status::wrong_kind);
    CHECK(build({.cascade = &cascade, .detector = &file.model}, memory, engine) ==
          Status::bad_argument);
    const Model none;
    CHECK(build({.detector = &none}, memory, engine) == Status::bad_argument);

    std::vector<float> first;
    for (const Isa isa : isas()) {
        config.isa = isa;
        REQUIRE(build({.detector = &file.model, .heads = {&emotion}}, memory, engine) ==
                Status::ok);
        std::span<const Face> faces;
        REQUIRE(engine.process(photo.image.frame(), faces) == Status::ok);
        REQUIRE(faces.size() == 1);
        const Face& face = faces[0];
        CHECK(face.score > 0.9f);
        CHECK(face.neighbors == 0);
        REQUIRE(face.landmarks.size() == 5);
        for (const Point& p : face.landmarks) {
            CHECK(p.x > static_cast<float>(face.box.x));
            CHECK(p.x < static_cast<float>(face.box.x + face.box.width));
        }
        const std::span<const float> scores = face[Head::emotion].probabilities;
        REQUIRE(scores.size() == static_cast<std::size_t>(emotion.class_count()));
        std::vector<float> all(scores.begin(), scores.end());
        for (const Point& p : face.landmarks) all.insert(all.end(), {p.x, p.y});
        all.push_back(face.score);
        if (first.empty()) first = all;
        CHECK_MESSAGE(first == all, isa_name(isa));

        // An area: what a frame of its own would give, moved.
        const Rect area = {100, 20, 96, 64};
        DetectorOptions options;
        options.min_score = 0.05f;
        REQUIRE(engine.detect(photo.image.frame(), area, options, faces) == Status::ok);
        std::vector<Rect> boxes;
        for (const Face& f : faces) boxes.push_back(f.box);
        REQUIRE(!boxes.empty());
        Frame part = photo.image.frame();
        part.data += area.y * part.stride_bytes + area.x * 3;
        part.width = area.width;
        part.height = area.height;
        REQUIRE(engine.detect(part, bounds(part), options, faces) == Status::ok);
        REQUIRE(faces.size() == boxes.size());
        for (std::size_t i = 0; i < boxes.size(); ++i)
            CHECK(boxes[i] == Rect{faces[i].box.x + area.x, faces[i].box.y + area.y,
                                   faces[i].box.width, faces[i].box.height});
        // Limits of size and score.
        options.min_size = 2000;
        REQUIRE(engine.detect(photo.image.frame(), bounds(photo.image.frame()), options, faces) ==
                Status::ok);
        CHECK(faces.empty());
        options = {};
        options.min_score = 1;
        REQUIRE(engine.detect(photo.image.frame(), bounds(photo.image.frame()), options, faces) ==
                Status::ok);
        CHECK(faces.empty());
        options.min_score = 1.5f;
        CHECK(engine.detect(photo.image.frame(), area, options, faces) == Status::bad_argument);
    }
    config.isa = Isa::best;
    config.max_faces = 2;
    config.detector.min_score = 0.02f;
    REQUIRE(build({.detector = &file.model}, memory, engine) == Status::ok);
    std::span<const Face> faces;
    REQUIRE(engine.detect(photo.image.frame(), faces) == Status::ok);
    CHECK(faces.size() == 2);
    CHECK(engine.faces_dropped() > 0);
    CHECK(faces[0].score >= faces[1].score);
    // Frames of any shape: one pixel, a line, one color.
    for (const auto& [w, h] : {std::pair{1, 1}, {640, 1}, {1, 640}, {33, 500}, {640, 640}}) {
        const ByteVector pixels(static_cast<std::size_t>(w * h), 90);
        const Frame flat = {pixels.data(), w, h, w, PixelFormat::gray8};
        CHECK(engine.detect(flat, faces) == Status::ok);
    }
    // The shape of the longest frames; and one whose tensors would be too large.
    config.max_width = 20000;
    config.max_height = 20;
    CHECK(Engine::required_bytes(config, {.detector = &file.model}) > 0);
    config.max_height = 20000;
    CHECK(Engine::required_bytes(config, {.detector = &file.model}) == 0);
}

TEST_CASE("every pixel format gives the faces of its RGB") {
    const Photo photo;
    const DetectorFile file;
    const int width = photo.image.width, height = photo.image.height;
    PlacedNet placed(file.model, Isa::best, {width, height});
    const std::uint8_t* const rgb = photo.image.pixels.get();
    const FaceNet::Size own = {width, height};
    const auto scores = [&](const Frame& frame) {
        std::span<const FaceNet::Candidate> found;
        REQUIRE(placed.net.find(frame, bounds(frame), {&own, 1}, 0.3f, found) == Status::ok);
        std::vector<float> all;
        for (const auto& c : found) all.insert(all.end(), {c.score, c.x, c.y, c.width, c.height});
        REQUIRE(!all.empty());
        return all;
    };
    const std::vector<float> wanted = scores(photo.image.frame());
    const auto pixels = static_cast<std::size_t>(width * height);
    ByteVector bgr(3 * pixels), bgra(4 * pixels), rgba(4 * pixels);
    for (std::size_t i = 0; i < pixels; ++i)
        for (std::size_t c = 0; c < 3; ++c) {
            bgr[3 * i + 2 - c] = bgra[4 * i + 2 - c] = rgba[4 * i + c] = rgb[3 * i + c];
        }
    CHECK(scores({bgr.data(), width, height, 3 * width, PixelFormat::bgr24}) == wanted);
    CHECK(scores({bgra.data(), width, height, 4 * width, PixelFormat::bgra32}) == wanted);
    CHECK(scores({rgba.data(), width, height, 4 * width, PixelFormat::rgba32}) == wanted);
    // Rows upwards.
    CHECK(scores({bgr.data() +
                      3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height - 1),
                  width, height, -3 * width, PixelFormat::bgr24}) != wanted);
}

TEST_CASE("a photo on its side or upside down gives the faces of the upright one") {
    const Photo photo;
    Config config;
    OwnedEngine upright(MIEN_WEIGHTS, config, Detector::net);
    config.any_rotation = true;
    OwnedEngine any(MIEN_WEIGHTS, config, Detector::net);
    // A part whose sides differ.
    Frame part = photo.image.frame();
    part.width = 251;
    part.height = 203;
    const std::span<const Face> wanted = upright.process(part);
    REQUIRE(wanted.size() == 1);
    const Rect box = wanted[0].box;
    const std::span<const float> scores = wanted[0][Head::emotion].probabilities;
    const int w = part.width, h = part.height;
    for (int turn = 0; turn < 4; ++turn) {
        CAPTURE(turn);
        // The part turned counterclockwise; where its pixel (x, y) then is.
        const bool sideways = turn % 2 != 0;
        const int width = sideways ? h : w, height = sideways ? w : h;
        const auto moved = [&](float x, float y) -> Point {
            const auto fw = static_cast<float>(w), fh = static_cast<float>(h);
            return turn == 0   ? Point{x, y}
                   : turn == 1 ? Point{y, fw - x}
                   : turn == 2 ? Point{fw - x, fh - y}
                               : Point{fh - y, x};
        };
        ByteVector pixels(static_cast<std::size_t>(3 * w * h));
        for (int y = 0; y < h; ++y)
            for (int x = 0; x < w; ++x) {
                const Point center =
                    moved(static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f);
                std::copy_n(part.data + y * part.stride_bytes + 3 * x, 3,
                            pixels.data() + 3 * (static_cast<int>(center.y) * width +
                                                 static_cast<int>(center.x)));
            }
        const Frame turned = {pixels.data(), width, height, 3 * width, PixelFormat::rgb24};
        const std::span<const Face> faces = any.process(turned);
        REQUIRE_MESSAGE(any.status() == Status::ok, any.error());
        REQUIRE(faces.size() == 1);
        CHECK(faces[0].score == wanted[0].score);
        const Point a = moved(static_cast<float>(box.x), static_cast<float>(box.y)),
                    b = moved(static_cast<float>(box.x + box.width),
                              static_cast<float>(box.y + box.height));
        CHECK(std::abs(static_cast<float>(faces[0].box.x) - std::min(a.x, b.x)) <= 1);
        CHECK(std::abs(static_cast<float>(faces[0].box.y) - std::min(a.y, b.y)) <= 1);
        CHECK(std::abs(faces[0].box.width - (sideways ? box.height : box.width)) <= 1);
        CHECK(std::abs(faces[0].box.height - (sideways ? box.width : box.height)) <= 1);
        for (std::size_t k = 0; k < 5; ++k) {
            const Point at = moved(wanted[0].landmarks[k].x, wanted[0].landmarks[k].y);
            CHECK(faces[0].landmarks[k].x == doctest::Approx(at.x).epsilon(1e-5));
            CHECK(faces[0].landmarks[k].y == doctest::Approx(at.y).epsilon(1e-5));
        }
        // The crop is upright: the face is read as before, up to the rounding of the landmarks.
        const std::span<const float> got = faces[0][Head::emotion].probabilities;
        REQUIRE(got.size() == scores.size());
        for (std::size_t i = 0; i < scores.size(); ++i) CHECK(std::abs(got[i] - scores[i]) < 0.05f);
    }
    // Memory is that of a square; a long frame may then be too large.
    CHECK(any.memory_bytes() > upright.memory_bytes());
    config.max_width = 20000;
    config.max_height = 20;
    CHECK(Engine::required_bytes(config, any.weights()) == 0);
}

TEST_CASE("a face is read again from its landmarks as it was read first") {
    const Photo photo;
    const DetectorFile file;
    Config config;
    config.enlarge_to = 640;
    OwnedEngine engine(MIEN_WEIGHTS, config, Detector::net);
    REQUIRE_MESSAGE(engine.status() == Status::ok, engine.error());
    const std::span<const Face> faces = engine.process(photo.image.frame());
    REQUIRE(faces.size() == 1);
    const Rect box = faces[0].box;
    const std::vector<Point> landmarks(faces[0].landmarks.begin(), faces[0].landmarks.end());
    const std::span<const float> scores = faces[0][Head::emotion].probabilities;
    const std::vector<float> first(scores.begin(), scores.end());
    REQUIRE(!first.empty());
    const Face again = engine.classify(photo.image.frame(), box, landmarks);
    CHECK(std::ranges::equal(again[Head::emotion].probabilities, first));
    CHECK(again.landmarks.size() == 5);
    // By its box alone it is another crop.
    const Face plain = engine.classify(photo.image.frame(), box);
    CHECK(!std::ranges::equal(plain[Head::emotion].probabilities, first));
    CHECK(plain.landmarks.empty());
    (void)engine.classify(photo.image.frame(), box, std::span(landmarks).first(2));
    CHECK(engine.status() == Status::bad_argument);
    OwnedEngine haar(MIEN_WEIGHTS, {}, Detector::haar);
    (void)haar.classify(photo.image.frame(), box, landmarks);
    CHECK(haar.status() == Status::bad_argument);
}

TEST_CASE("the crop of a face turns with its landmarks") {
    const DetectorFile file;
    const ByteVector bytes = read_file(weights_path("emotion.mien"));
    Model emotion;
    REQUIRE(Model::open(bytes, emotion) == Status::ok);
    const Rect box = {100, 80, 60, 70};
    const Point upright[5] = {{118, 105}, {143, 105}, {130, 120}, {120, 135}, {141, 135}};
    const TurnedRect straight = emotion.crop_of(box, upright, &file.model, 320, 240);
    CHECK(std::abs(straight.degrees) < 1);
    CHECK(straight.rect.width == straight.rect.height);
    CHECK(straight.rect.x < 118);
    CHECK(straight.rect.x + straight.rect.width > 143);
    for (const double degrees : {30.0, -75.0, 170.0}) {
        const double c = std::cos(degrees / 57.29577951308232),
                     s = std::sin(degrees / 57.29577951308232);
        const auto turn = [&](double x, double y) {
            return Point{static_cast<float>(c * x - s * y), static_cast<float>(s * x + c * y)};
        };
        Point turned[5];
        for (int k = 0; k < 5; ++k)
            turned[k] = turn(static_cast<double>(upright[k].x), static_cast<double>(upright[k].y));
        const TurnedRect crop = emotion.crop_of(box, turned, &file.model, 320, 240);
        CHECK(static_cast<double>(crop.degrees - straight.degrees) ==
              doctest::Approx(degrees).epsilon(0.001));
        CHECK(crop.rect.width == straight.rect.width);
        const Point middle = turn(straight.rect.x + straight.rect.width / 2.0,
                                  straight.rect.y + straight.rect.height / 2.0);
        CHECK(std::abs(crop.rect.x + crop.rect.width / 2.0 - static_cast<double>(middle.x)) < 1.5);
        CHECK(std::abs(crop.rect.y + crop.rect.height / 2.0 - static_cast<double>(middle.y)) < 1.5);
    }
    // Without landmarks, without detector, or where they say nothing: the box.
    const Point same[5] = {};
    for (const TurnedRect& plain : {emotion.crop_of(box, {}, &file.model, 320, 240),
                                    emotion.crop_of(box, upright, nullptr, 320, 240),
                                    emotion.crop_of(box, upright, &emotion, 320, 240),
                                    emotion.crop_of(box, same, &file.model, 320, 240)}) {
        CHECK(plain.rect == emotion.crop_of(box, 320, 240));
        CHECK(plain.degrees == 0);
    }
}

TEST_CASE("C: a detector network gives score and landmarks, to old callers what they know") {
    const Photo photo;
    const DetectorFile file;
    const ByteVector emotion = read_file(weights_path("emotion.mien"));
    mien_config config;
    mien_weights weights;
    mien_config_init(&config);
    mien_weights_init(&weights);
    config.max_width = config.max_height = 320;
    weights.detector = {file.bytes.data(), file.bytes.size()};
    weights.heads[MIEN_EMOTION] = {emotion.data(), emotion.size()};
    std::vector<std::byte> memory(mien_required_bytes(&config, &weights));
    mien_engine* engine = nullptr;
    REQUIRE(mien_create(&config, &weights, memory.data(), memory.size(), &engine) == MIEN_OK);
    mien_frame frame;
    mien_frame_init(&frame);
    frame.data = photo.image.pixels.get();
    frame.width = photo.image.width;
    frame.height = photo.image.height;
    frame.stride_bytes = 3 * photo.image.width;
    frame.format = MIEN_RGB24;
    std::size_t count = 0;
    REQUIRE(mien_process(engine, &frame, &count) == MIEN_OK);
    REQUIRE(count == 1);
    mien_face face;
    REQUIRE(mien_face_at(engine, 0, &face) == MIEN_OK);
    CHECK(face.score == detector_golden_faces[0][0]);
    REQUIRE(face.landmark_count == 5);
    for (int k = 0; k < 5; ++k)
        for (int i = 0; i < 2; ++i)
            CHECK(face.landmarks[k][i] == detector_golden_faces[0][5 + 2 * k + i]);
    // The structure as it was before scores: nothing is written past its end.
    mien_face old;
    std::memset(&old, 0x55, sizeof old);
    REQUIRE(mien_face_at_sized(engine, 0, &old, offsetof(mien_face, score)) == MIEN_OK);
    CHECK(old.width == face.width);
    std::uint32_t untouched = 0;
    std::memcpy(&untouched, &old.score, sizeof untouched);
    CHECK(untouched == 0x55555555u);
    // A score that only the options ask for; both detectors at once; a classifier as detector.
    mien_detector_options options;
    mien_detector_options_init(&options);
    options.min_score = 0.99f;
    REQUIRE(mien_detect(engine, &frame, nullptr, &options, &count) == MIEN_OK);
    CHECK(count == 0);
    const ByteVector cascade = read_file(weights_path("haarcascade_frontalface_default.mien"));
    weights.cascade = {cascade.data(), cascade.size()};
    CHECK(mien_required_bytes(&config, &weights) == 0);
    CHECK(mien_create(&config, &weights, memory.data(), memory.size(), &engine) ==
          MIEN_BAD_ARGUMENT);
    weights.cascade = {nullptr, 0};
    weights.detector = {emotion.data(), emotion.size()};
    CHECK(mien_create(&config, &weights, memory.data(), memory.size(), &engine) == MIEN_WRONG_KIND);
}

namespace {

// A detector file of made-up weights with two levels; a test spoils one of its fields.
struct FaceBuilder {
    NetworkBuilder network = NetworkBuilder::of_unsigned_maps(7);
    std::uint32_t levels = 2, zero = 0, layer[2] = {1, 3}, stride[2] = {2, 4};
    float min_score = 0.5f, overlap = 0.4f;
    float crop[10] = {-0.2f, 0, 0.2f, 0, 0, 0.1f, -0.1f, 0.3f, 0.1f, 0.3f};

    FaceBuilder() {
        Random random(5);
        for (const std::size_t i : {std::size_t{1}, std::size_t{3}}) {
            NetworkBuilder::Layer& l = network.layers[i];
            l.op = 1;
            l.out_c = 16;
            l.weight = static_cast<std::uint32_t>(network.weights.size());
            l.bias = static_cast<std::uint32_t>(network.biases.size());
            l.scale = static_cast<std::uint32_t>(network.scales.size());
            for (int k = 0; k < 16 * 9 * 5; ++k)
                network.weights.push_back(static_cast<std::int8_t>(random.between(-127, 127)));
            for (int n = 0; n < 16; ++n) {
                network.biases.push_back(random.between(-2000, 2000));
                network.scales.push_back(0.0003f);
            }
        }
    }
    [[nodiscard]] ByteVector build() {
        ByteWriter face;
        face.put(levels).put(zero).put(min_score).put(overlap);
        for (const float v : crop) face.put(v);
        for (int i = 0; i < 2; ++i) face.put(layer[i]).put(stride[i]);
        network.face = face.data;
        return network.build();
    }
};

}  // namespace

TEST_CASE("a detector file that contradicts itself is refused, the rest runs at any size") {
    const auto status = [](auto&& spoil) {
        FaceBuilder b;
        spoil(b);
        const ByteVector bytes = b.build();
        Model model;
        return Model::open(bytes, model);
    };
    const auto refused = [&](auto&& spoil) { return status(spoil) == Status::bad_file; };
    CHECK(status([](FaceBuilder&) {}) == Status::ok);
    CHECK(refused([](FaceBuilder& b) { b.levels = 0; }));
    CHECK(refused([](FaceBuilder& b) { b.levels = 3; }));  // longer than the section
    CHECK(refused([](FaceBuilder& b) { b.zero = 1; }));
    CHECK(refused([](FaceBuilder& b) { b.min_score = 0; }));
    CHECK(refused([](FaceBuilder& b) { b.min_score = 1.5f; }));
    CHECK(refused([](FaceBuilder& b) { b.min_score = std::nanf(""); }));
    CHECK(refused([](FaceBuilder& b) { b.overlap = -1; }));
    CHECK(refused([](FaceBuilder& b) { b.crop[3] = 5; }));
    CHECK(refused([](FaceBuilder& b) { b.crop[3] = std::nanf(""); }));
    CHECK(refused([](FaceBuilder& b) { std::fill_n(b.crop, 10, 0.25f); }));
    CHECK(refused([](FaceBuilder& b) { b.stride[0] = 4; }));
    CHECK(refused([](FaceBuilder& b) { b.stride[1] = 0; }));
    CHECK(refused([](FaceBuilder& b) { b.layer[0] = 0; }));    // makes bytes
    CHECK(refused([](FaceBuilder& b) { b.layer[0] = 6; }));    // three channels
    CHECK(refused([](FaceBuilder& b) { b.layer[1] = 100; }));  // not there
    CHECK(refused([](FaceBuilder& b) { b.network.input_multiple = 0; }));

    FaceBuilder b;
    const ByteVector bytes = b.build();
    Model model;
    REQUIRE(Model::open(bytes, model) == Status::ok);
    // Random scores: many candidates, at every size the same on every instruction set.
    std::vector<float> first;
    for (const Isa isa : isas()) {
        PlacedNet placed(model, isa, {61, 47});
        std::vector<float> all;
        for (const FaceNet::Size size : {FaceNet::Size{61, 47}, {1, 1}, {12, 40}, {33, 2}}) {
            const ByteVector pixels = test_picture(9, 61 * 47 * 3);
            const Frame frame = {pixels.data(), size.width, size.height, 61 * 3,
                                 PixelFormat::rgb24};
            std::span<const FaceNet::Candidate> found;
            REQUIRE(placed.net.find(frame, bounds(frame), {&size, 1}, 0.01f, found) == Status::ok);
            for (const auto& c : found) all.insert(all.end(), {c.score, c.x, c.y, c.width});
        }
        CHECK(!all.empty());
        if (first.empty()) first = all;
        CHECK_MESSAGE(first == all, isa_name(isa));
    }
}
