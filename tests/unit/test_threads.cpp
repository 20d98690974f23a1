// SPDX-License-Identifier: MIT
// The pool calls every task once, many times over, from engines that take turns; a team makes every
// part of a step once, before the next step; networks and detectors compute the same with them.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "host/codec/image_file.h"
#include "mien/owned.hpp"
#include "mien/thread_pool.hpp"
#include "nn/network.h"
#include "unit/file_builder.h"
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

namespace {

// Executors that make their calls on one thread, as the contract allows.
void run_in_order(void*, int count, void (*task)(void*, int), void* argument) {
    for (int i = 0; i < count; ++i) task(argument, i);
}
void run_in_reverse(void*, int count, void (*task)(void*, int), void* argument) {
    while (count-- > 0) task(argument, count);
}
// All but one come late.
void run_late(void*, int count, void (*task)(void*, int), void* argument) {
    std::vector<std::thread> others;
    for (int i = 1; i < count; ++i)
        others.emplace_back([=] {
            std::this_thread::sleep_for(std::chrono::microseconds(200 * i));
            task(argument, i);
        });
    task(argument, 0);
    for (std::thread& other : others) other.join();
}

struct PlacedTeam {
    std::unique_ptr<std::byte[]> memory;
    Team team;
    PlacedTeam(const Executor& executor, int steps) {
        Arena measure;
        team.place(measure, executor, steps);
        memory = std::make_unique<std::byte[]>(measure.required_bytes());
        Arena arena(memory.get(), measure.required_bytes());
        team.place(arena, executor, steps);
    }
};

struct Steps {
    static constexpr int count = 40;
    std::atomic<int> made[count][40] = {};
    std::atomic<int> done{0}, wrong{0}, at_work[Team::most_threads] = {};
    int end = count;       // after that many it says no
    int slow_thread = -1;  // sleeps in its first part
    std::atomic<bool> slept{false};

    static int parts_of(int step) { return step % 5 == 0 ? 1 : 1 + step * 7 % 40; }
    Team::Work work() {
        return {this, count, [](void*, int step) { return parts_of(step); },
                [](void* context, int step, int part, int thread) {
                    auto& self = *static_cast<Steps*>(context);
                    if (self.done != step || ++self.at_work[thread] != 1) ++self.wrong;
                    if (thread == self.slow_thread && !self.slept.exchange(true))
                        std::this_thread::sleep_for(std::chrono::milliseconds(60));
                    ++self.made[step][part];
                    --self.at_work[thread];
                },
                [](void* context, int step) {
                    auto& self = *static_cast<Steps*>(context);
                    if (self.done++ != step) ++self.wrong;
                    return self.done < self.end;
                }};
    }
    void check(int steps) const {
        CHECK(wrong == 0);
        CHECK(done == steps);
        int made_wrong = 0;
        for (int step = 0; step < count; ++step)
            for (int part = 0; part < 40; ++part)
                made_wrong += made[step][part] != (step < steps && part < parts_of(step) ? 1 : 0);
        CHECK(made_wrong == 0);
    }
};

}  // namespace

TEST_CASE("a team makes every part once and one step after the other, on any executor") {
    const auto check = [](const Executor& executor) {
        PlacedTeam placed(executor, Steps::count);
        for (int repeat = 0; repeat < 20; ++repeat) {
            Steps all;
            CHECK(!placed.team.run(all.work()));  // what it said after the last one
            all.check(Steps::count);
            Steps some;
            some.end = 17;
            CHECK(!placed.team.run(some.work()));
            some.check(17);
            Steps more;
            more.end = Steps::count + 1;
            CHECK(placed.team.run(more.work()));
            more.check(Steps::count);
        }
    };
    check({});
    for (const int threads : {2, 3, 5, 64}) {
        CAPTURE(threads);
        ThreadPool pool(threads);
        check(pool.executor());
        for (auto* const run : {run_in_order, run_in_reverse, run_late})
            check({run, nullptr, threads});
    }
}

TEST_CASE("a team ends although one of its threads sleeps in the middle") {
    for (const int slow : {0, 1, 2}) {
        ThreadPool pool(3);
        PlacedTeam placed(pool.executor(), Steps::count);
        Steps all;
        all.end = Steps::count + 1;
        all.slow_thread = slow;
        CHECK(placed.team.run(all.work()));
        all.check(Steps::count);
    }
}

namespace {

// All of them take minutes under ThreadSanitizer, which looks at what they share.
std::vector<Isa> isas_for_threads() {
#if defined(__SANITIZE_THREAD__)
    return {test::isas().back()};
#else
    return test::isas();
#endif
}

// All that the layers of a network make, in their order.
std::vector<float> layers_of(const Model& model, Isa isa, InputSize size,
                             const Executor& executor) {
    Network network;
    Arena measure;
    network.place(measure, model, kernels_for(isa), size, executor);
    const auto memory = std::make_unique<std::byte[]>(measure.required_bytes());
    Arena arena(memory.get(), measure.required_bytes());
    network.place(arena, model, kernels_for(isa), size, executor);
    REQUIRE(arena.ok());
    std::vector<float> all, scores(static_cast<std::size_t>(model.class_count()));
    const Network::Observer observer = {
        [](void* context, const Network& at, int layer) {
            auto& numbers = *static_cast<std::vector<float>*>(context);
            if (ModelAccess{at.model()}.layer(layer).output == LayerOutput::floats) return;
            const Tensor& t = at.output(layer);
            // With the border, which the next layer reads.
            const std::ptrdiff_t rows = t.border_top + t.shape.height + t.border_bottom;
            const std::uint8_t border = t.lift;
            for (std::ptrdiff_t y = 0; y < rows; ++y) {
                const std::int8_t* const row = t.memory + y * t.row_bytes;
                const bool inside = y >= t.border_top && y < t.border_top + t.shape.height;
                for (std::ptrdiff_t i = 0; i < t.row_bytes; ++i) {
                    const std::ptrdiff_t pixel = i / t.pixel_bytes - t.border_left;
                    if (inside && pixel >= 0 && pixel < t.shape.width)
                        numbers.push_back(row[i]);
                    else if (static_cast<std::uint8_t>(row[i]) != border)
                        numbers.push_back(1e9f);
                }
            }
        },
        &all};
    const test::ByteVector image = test::test_picture(5, Shapes(model, size).of[0].elements());
    for (int repeat = 0; repeat < 2; ++repeat) {
        all.clear();
        REQUIRE(network.run(image.data(), scores.data(), &observer));
    }
    for (int layer = 0; layer < model.layer_count(); ++layer) {
        const Network::Result result = network.result(layer);
        all.insert(all.end(), result.values,
                   result.values + (result.values != nullptr ? result.shape.elements() : 0));
    }
    all.insert(all.end(), scores.begin(), scores.end());
    return all;
}

void check_layers(const test::ByteVector& file, InputSize size) {
    Model model;
    REQUIRE(Model::open(file, model) == Status::ok);
    for (const Isa isa : isas_for_threads()) {
        CAPTURE(isa_name(isa));
        CAPTURE(size.width);
        const std::vector<float> wanted = layers_of(model, isa, size, {});
        CHECK(std::find(wanted.begin(), wanted.end(), 1e9f) == wanted.end());
        for (const int threads : {2, 3, 5}) {
            CAPTURE(threads);
            ThreadPool pool(threads);
            CHECK(layers_of(model, isa, size, pool.executor()) == wanted);
        }
        CHECK(layers_of(model, isa, size, {run_in_reverse, nullptr, 4}) == wanted);
    }
}

}  // namespace

TEST_CASE("a network computes the same with any number of threads") {
    using test::NetworkBuilder;
    check_layers(NetworkBuilder::every_op(1).build(), {});
    check_layers(NetworkBuilder::with_gap_head(1).build(), {});
    check_layers(NetworkBuilder::with_tables(1).build(), {});
    // Layers of many parts and of few, rows that do not divide evenly, a row that is a part.
    for (const InputSize size : {InputSize{124, 204}, {44, 4}, {4500, 12}}) {
        check_layers(NetworkBuilder::of_maps(7).build(), size);
        check_layers(NetworkBuilder::of_unsigned_maps(7).build(), size);
    }
}

TEST_CASE("the faces do not depend on the number of threads") {
    const auto photo =
        host::decode_image(test::read_file(test::data_path("photos/astronaut_320.png")));
    REQUIRE(photo);
    // Twice, side by side.
    const Frame one = photo->image.frame();
    test::ByteVector pixels;
    for (int y = 0; y < one.height; ++y)
        for (int i = 0; i < 2; ++i)
            pixels.insert(pixels.end(), one.data + y * one.stride_bytes,
                          one.data + y * one.stride_bytes + 3 * one.width);
    const Frame frame = {pixels.data(), 2 * one.width, one.height, std::ptrdiff_t{6} * one.width,
                         one.format};
    const auto faces_of = [&](Detector detector, bool turned, Isa isa, const Executor& executor) {
        Config config;
        config.isa = isa;
        config.executor = executor;
        config.class_maps = true;
        config.any_rotation = turned;
        OwnedEngine engine(MIEN_WEIGHTS, config, detector);
        std::vector<float> numbers;
        const auto append = [&](const auto& values) {
            numbers.insert(numbers.end(), values.begin(), values.end());
        };
        for (const Face& face : engine.process(frame)) {
            for (const int value :
                 {face.box.x, face.box.y, face.box.width, face.box.height, face.neighbors})
                numbers.push_back(static_cast<float>(value));
            numbers.push_back(face.score);
            for (const Point& point : face.landmarks) {
                numbers.push_back(point.x);
                numbers.push_back(point.y);
            }
            for (const Reading& reading : face.readings) {
                append(reading.probabilities);
                append(reading.map);
            }
        }
        // What is left of the last face is the last one's.
        for (const Head head : named_heads) {
            if (engine.engine().model(head) == nullptr) continue;
            const Frame crop = engine.engine().last_crop(head);
            append(std::span(crop.data, static_cast<std::size_t>(crop.stride_bytes) *
                                            static_cast<std::size_t>(crop.height)));
            std::vector<float> map(engine.engine().model(head)->class_map_size().count());
            CHECK(engine.engine().class_map(head, 1, map) == Status::ok);
            append(map);
        }
        return numbers;
    };
    for (const Isa isa : isas_for_threads()) {
        CAPTURE(isa_name(isa));
        for (const auto& [detector, turned] :
             {std::pair{Detector::net, false}, {Detector::net, true}, {Detector::haar, false}}) {
            if (turned && isa != test::isas().back()) continue;
            const std::vector<float> wanted = faces_of(detector, turned, isa, {});
            CHECK(wanted.size() > 2 * 100);
            for (const int threads : {2, 11}) {
                CAPTURE(threads);
                ThreadPool pool(threads);
                CHECK(faces_of(detector, turned, isa, pool.executor()) == wanted);
            }
        }
    }
}
