// SPDX-License-Identifier: MIT
// Lets the threads of an Executor go through the steps of a network together, in one call of
// run().
//
// A step is split into parts, which whoever is free takes; the next step begins when all of them
// are done. Threads wait for each other by looking at a number, since the layers of a frame take
// tens of microseconds, and waking a thread takes as long. No step waits for a thread that has not
// come yet, so that it works with any executor, also one that makes its calls one after the other.
#pragma once

#include <atomic>

#include "base/arena.h"
#include "mien/mien.hpp"

namespace mien {

class Team {
public:
    static constexpr int most_threads = 8;  // more do not pay: each step waits for all of them

    struct Work {
        void* context;
        int steps;
        // Parts of a step, 1 or more: the same number whenever it is asked.
        int (*parts)(void* context, int step);
        // Makes one part; calls on one `thread` follow each other.
        void (*make)(void* context, int step, int part, int thread);
        // After each step, once, by the thread that finished it. False: the steps that follow are
        // left out.
        bool (*finished)(void* context, int step);
    };

    // `steps` at most in each run.
    void place(Arena& arena, const Executor& executor, int steps) noexcept;
    // Threads at most, this one included.
    [[nodiscard]] int threads() const noexcept { return threads_; }
    // False: Work::finished ended it.
    bool run(const Work& work) noexcept;

private:
    // One cache line each, as threads write to it.
    struct alignas(Arena::alignment) Step {
        // Neighboring parts are neighboring rows. Each thread has a range of its own, which it
        // takes first, in each step the same part of the map: its rows are in its cache.
        std::atomic<int> taken[most_threads];  // of each range
        std::atomic<int> made;                 // of all
    };
    struct alignas(Arena::alignment) Shared {
        std::atomic<int> done;                               // steps; `ended` if no more will be
        alignas(Arena::alignment) std::atomic<int> present;  // threads
    };

    void take_part(const Work& work, int thread) noexcept;
    int make_parts(const Work& work, int step, int parts, int thread) noexcept;
    bool wait_for(int step) noexcept;
    bool leave() noexcept;

    Executor executor_;
    int threads_ = 1;
    Step* steps_ = nullptr;
    Shared* shared_ = nullptr;
};

}  // namespace mien
