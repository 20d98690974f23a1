// SPDX-License-Identifier: MIT
// The detector finds OpenCV's rectangles (golden), every instruction set finds the same, and the
// fast path is the literal one.
#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <thread>

#include "base/crc32.h"
#include "detect/haar/detector.h"
#include "host/codec/image_file.h"
#include "image/gray.h"
#include "unit/detect_tables.h"
#include "unit/file_builder.h"
#include "unit/golden.h"
#include "unit/resize.h"

using namespace mien;
using namespace mien::test;

namespace {

struct Gray {
    int width = 0, height = 0;
    ByteVector pixels;
};

Gray load_gray(const std::string& path) {
    const ByteVector file = read_file(path);
    const auto decoded = host::decode_image(file);
    REQUIRE_MESSAGE(decoded, path);
    const host::Image& image = decoded->image;
    Gray gray{image.width, image.height,
              ByteVector(static_cast<std::size_t>(image.width * image.height))};
    to_gray(image.frame(), kernels_for(Isa::best).image, gray.pixels.data());
    return gray;
}

Gray shrink(const Gray& source, int width, int height) {
    const Frame frame = {source.pixels.data(), source.width, source.height, source.width,
                         PixelFormat::gray8};
    return {width, height, resized(frame, {0, 0, source.width, source.height}, 1, width, height)};
}

// Boxes with neighbor counts, in order.
std::vector<std::int32_t> detect(const ByteVector& file, const Gray& gray,
                                 const DetectorOptions& options, const Kernels& kernels,
                                 bool reference, DetectorStats* stats = nullptr,
                                 const Executor& executor = {}) {
    Cascade cascade;
    REQUIRE(Cascade::open(file, cascade) == Status::ok);
    const auto place = [&](Arena& arena, HaarDetector& detector) {
        detector.place(arena, cascade, {gray.width, gray.height, 20000, executor, {}, reference},
                       kernels);
    };
    Arena measure;
    HaarDetector measured, detector;
    place(measure, measured);
    // As memory really comes: what is not written is not zero.
    std::vector<std::byte> memory(measure.required_bytes(), std::byte{0xa5});
    Arena arena(memory.data(), memory.size());
    place(arena, detector);
    REQUIRE(arena.ok());
    std::vector<std::int32_t> out;
    for (const Detection& d :
         detector.detect(gray.pixels.data(), gray.width, gray.width, gray.height, options))
        for (const int v : {d.box.x, d.box.y, d.box.width, d.box.height, d.neighbors})
            out.push_back(v);
    if (stats != nullptr) *stats = detector.stats();
    return out;
}

// Blobs, edges and noise: texture at every scale, so that many windows get past the first stages.
Gray textured(std::uint32_t seed, int width, int height) {
    Random random(seed);
    Gray gray{width, height, ByteVector(static_cast<std::size_t>(width * height), 128)};
    for (int k = 0; k < 200; ++k) {
        const int w = random.between(2, 40), h = random.between(2, 40),
                  x0 = random.between(-10, width), y0 = random.between(-10, height);
        const int value = random.between(0, 255);
        for (int y = std::max(y0, 0); y < std::min(y0 + h, height); ++y)
            for (int x = std::max(x0, 0); x < std::min(x0 + w, width); ++x)
                gray.pixels[static_cast<std::size_t>(y * width + x)] =
                    static_cast<std::uint8_t>((value + random.between(0, 20)) & 255);
    }
    return gray;
}

}  // namespace

TEST_CASE("rectangles equal OpenCV's on shipped photos") {
    const ByteVector cascade = read_file(weights_path("haarcascade_frontalface_default.mien"));
    int rectangles = 0;
    for (const DetectGolden& golden : detect_golden) {
        const Gray full = load_gray(data_path(std::string("photos/") + golden.photo));
        const Gray gray = shrink(full, golden.width, golden.height);
        for (const DetectTable& table : detect_tables()) {
            const auto boxes =
                detect(cascade, gray, {golden.scale_factor, golden.min_neighbors, 0, 0},
                       table.kernels, false);
            CHECK(boxes.size() == static_cast<std::size_t>(golden.count) * 5);
            ByteVector bytes;
            for (const std::int32_t v : boxes)
                for (int i = 0; i < 4; ++i)
                    bytes.push_back(
                        static_cast<std::uint8_t>(static_cast<std::uint32_t>(v) >> (8 * i)));
            CHECK_MESSAGE(crc32(bytes) == golden.crc, golden.photo, " width ", golden.width, " ",
                          golden.scale_factor, " ", table.name);
            rectangles += golden.count;
        }
    }
    CHECK(rectangles > 20);
}

TEST_CASE("the vector kernels find what the literal evaluation finds") {
    const ByteVector face = read_file(weights_path("haarcascade_frontalface_default.mien"));
    std::int64_t candidates = 0;
    for (const auto& [width, height] :
         {std::pair{24, 24}, {25, 31}, {97, 61}, {161, 120}, {320, 50}}) {
        const Gray gray = textured(static_cast<std::uint32_t>(width), width, height);
        std::vector<ByteVector> files = {face};
        for (const bool tilted : {false, true})
            for (const bool fractional : {false, true}) {
                files.push_back(make_cascade(static_cast<std::uint32_t>(width), 20, 16, false,
                                             tilted, fractional));
                files.push_back(make_cascade(static_cast<std::uint32_t>(height), 7, 13, false,
                                             tilted, fractional, 1));
                files.push_back(make_cascade(static_cast<std::uint32_t>(width), 20, 16, true,
                                             tilted, fractional));
            }
        // Trees with late stages, which take whole batches; and larger trees than the kernels take.
        files.push_back(
            make_cascade(static_cast<std::uint32_t>(width), 20, 20, true, false, false, 7));
        files.push_back(
            make_cascade(static_cast<std::uint32_t>(width), 20, 20, true, false, false, 2, 30));
        for (const ByteVector& file : files)
            for (const double factor : {1.1, 1.37}) {
                DetectorStats stats;
                const auto literal =
                    detect(file, gray, {factor, 0, 0, 0}, kernels_for(Isa::scalar), true, &stats);
                candidates += stats.candidates;
                for (const DetectTable& table : detect_tables())
                    CHECK_MESSAGE(
                        detect(file, gray, {factor, 0, 0, 0}, table.kernels, false) == literal,
                        table.name);
            }
    }
    CHECK(candidates > 1000);  // or the comparison would prove little
}

TEST_CASE("threads do not change the result") {
    // A pool that really runs the calls at once, and one that runs them in a wrong order on one
    // thread.
    const auto threaded = [](void*, int count, void (*task)(void*, int), void* argument) {
        std::vector<std::thread> threads;
        for (int i = 1; i < count; ++i) threads.emplace_back([=] { task(argument, i); });
        task(argument, 0);
        for (std::thread& thread : threads) thread.join();
    };
    const auto backwards = [](void*, int count, void (*task)(void*, int), void* argument) {
        for (int i = count; i-- > 0;) task(argument, i);
    };
    const ByteVector face = read_file(weights_path("haarcascade_frontalface_default.mien"));
    for (const ByteVector& file : {face, make_cascade(3, 20, 16, false, true, false),
                                   make_cascade(4, 7, 13, false, false, false, 1)})
        for (const auto& [width, height] : {std::pair{24, 24}, {97, 61}, {320, 240}}) {
            const Gray gray = textured(static_cast<std::uint32_t>(width), width, height);
            DetectorStats one, many;
            const auto alone =
                detect(file, gray, {1.2, 0, 0, 0}, kernels_for(Isa::best), false, &one);
            for (const int count : {2, 3, 7}) {
                CHECK(detect(file, gray, {1.2, 0, 0, 0}, kernels_for(Isa::best), false, &many,
                             {threaded, nullptr, count}) == alone);
                CHECK(detect(file, gray, {1.2, 0, 0, 0}, kernels_for(Isa::best), false, &many,
                             {backwards, nullptr, count}) == alone);
                CHECK(many.windows == one.windows);
                CHECK(many.levels == one.levels);
                CHECK(many.candidates == one.candidates);
            }
        }
}

TEST_CASE("trees are evaluated") {
    const Gray gray = textured(9, 90, 70);
    DetectorStats stats;
    detect(make_cascade(5, 20, 20, true, true, false), gray, {1.2, 0, 0, 0}, kernels_for(Isa::best),
           false, &stats);
    CHECK(stats.candidates > 0);
    CHECK(stats.windows > stats.candidates);
}

TEST_CASE("sizes are limited, and too small a frame has no face") {
    const ByteVector cascade = make_cascade(3, 20, 16, false, false, false, 1);
    const Gray gray = textured(4, 120, 100);
    const auto sizes = [&](int min_size, int max_size) {
        std::set<int> widths;
        const auto boxes =
            detect(cascade, gray, {1.2, 0, min_size, max_size}, kernels_for(Isa::best), false);
        for (std::size_t i = 2; i < boxes.size(); i += 5) widths.insert(boxes[i]);
        return widths;
    };
    for (const int w : sizes(30, 60)) {
        CHECK(w >= 30);
        CHECK(w <= 60);
    }
    CHECK(!sizes(30, 60).empty());
    // Windows of 20 x 16 and steps of 1.2: none has both sides between the limits. OpenCV takes the
    // one nearest to the minimum, by the sum of both sides' squared distances: 72 x 58, not 60 x 48.
    CHECK(sizes(61, 62) == std::set{72});
    CHECK(sizes(44, 44) == std::set{50});
    Gray small{19, 100, ByteVector(1900, 7)};
    CHECK(detect(cascade, small, {}, kernels_for(Isa::best), false).empty());
}

TEST_CASE("candidates beyond the room for them are counted") {
    Candidates candidates;
    Arena measure;
    candidates.place(measure, 3, false);
    std::vector<std::byte> memory(measure.required_bytes());
    Arena arena(memory.data(), memory.size());
    candidates.place(arena, 3, false);
    candidates.clear();
    for (int i = 0; i < 5; ++i) candidates.add({i, i, 10, 10}, 0);
    CHECK(candidates.count() == 3);
    CHECK(candidates.dropped() == 2);
    CHECK(candidates.group(2, 100, 100).size() == 1);  // three similar ones are more than two
    CHECK(candidates.group(3, 100, 100).empty());
    CHECK(candidates.group(0, 100, 100).size() == 3);
    CHECK(candidates.group(0, 5, 5)[0].box == Rect{0, 0, 5, 5});  // clipped to the frame
}
