// SPDX-License-Identifier: MIT
// The pool calls every task once, many times over, from engines that take turns; the detectors find
// the same with it.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "host/codec/image_file.h"
#include "mien/owned.hpp"
#include "mien/thread_pool.hpp"
#include "unit/helpers.h"

using namespace mien;

namespace {

struct Calls {
    std::atomic<int> counts[100] = {};
};
void count_call(void* argument, int index) { ++static_cast<Calls*>(argument)->counts[index]; }

}  // namespace

TEST_CASE("a pool runs every call once") {
    for (const int threads : {2, 3, 8}) {
        ThreadPool pool(threads);
        CHECK(pool.threads() == threads);
        const Executor executor = pool.executor();
        CHECK(executor.threads == threads);
        for (const int count : {1, 2, 7, 100}) {
            Calls calls;
            for (int repeat = 0; repeat < 50; ++repeat)
                executor.run(executor.context, count, count_call, &calls);
            for (int i = 0; i < 100; ++i) CHECK(calls.counts[i] == (i < count ? 50 : 0));
        }
    }
}

TEST_CASE("engines that share a pool take turns") {
    ThreadPool pool(3);
    const Executor executor = pool.executor();
    std::vector<std::thread> users;
    std::atomic<int> wrong{0};
    for (int u = 0; u < 4; ++u)
        users.emplace_back([&] {
            for (int repeat = 0; repeat < 200; ++repeat) {
                Calls calls;
                executor.run(executor.context, 5, count_call, &calls);
                for (int i = 0; i < 5; ++i) wrong += calls.counts[i] != 1;
            }
        });
    for (std::thread& user : users) user.join();
    CHECK(wrong == 0);
}

TEST_CASE("a pool of one lends no thread") {
    ThreadPool pool(1);
    CHECK(pool.threads() == 1);
    const bool lends = pool.executor().run != nullptr;
    CHECK(!lends);
    CHECK(ThreadPool(0).threads() >= 1);
}

TEST_CASE("the faces do not depend on the number of threads") {
    const auto photo =
        host::decode_image(test::read_file(test::data_path("photos/astronaut_320.png")));
    REQUIRE(photo);
    const auto faces_of = [&](Detector detector, Isa isa, const Executor& executor) {
        Config config;
        config.isa = isa;
        config.executor = executor;
        OwnedEngine engine(MIEN_WEIGHTS, config, detector);
        std::vector<float> numbers;
        for (const Face& face : engine.process(photo->image.frame())) {
            for (const int value :
                 {face.box.x, face.box.y, face.box.width, face.box.height, face.neighbors})
                numbers.push_back(static_cast<float>(value));
            numbers.push_back(face.score);
            for (const Point& point : face.landmarks) {
                numbers.push_back(point.x);
                numbers.push_back(point.y);
            }
        }
        return numbers;
    };
    for (const Detector detector : {Detector::net, Detector::haar})
        for (const Isa isa : all_isas) {
            if (!isa_available(isa)) continue;
            CAPTURE(isa_name(isa));
            const std::vector<float> wanted = faces_of(detector, isa, {});
            CHECK(wanted.size() == (detector == Detector::net ? 16 : 6));
            for (const int threads : {2, 11}) {
                CAPTURE(threads);
                ThreadPool pool(threads);
                CHECK(faces_of(detector, isa, pool.executor()) == wanted);
            }
        }
}
