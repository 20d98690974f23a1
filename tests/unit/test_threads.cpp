// SPDX-License-Identifier: MIT
// The pool calls every task once, many times over, from engines that take turns.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "mien/thread_pool.hpp"

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
