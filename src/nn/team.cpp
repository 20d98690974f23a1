// SPDX-License-Identifier: MIT
#include "nn/team.h"

#include <algorithm>
#include <climits>
#include <new>

#include "base/relax.h"

namespace mien {
namespace {

constexpr int ended = INT_MAX;

// Looks at a number, some milliseconds' worth, before a thread gives up: as long as a scheduler
// gives a processor to another program.
constexpr int patience = 1 << 16;

}  // namespace

void Team::place(Arena& arena, const Executor& executor, int steps) noexcept {
    executor_ = executor;
    threads_ = executor.run != nullptr ? std::clamp(executor.threads, 1, most_threads) : 1;
    if (threads_ == 1) return;
    steps_ = arena.take<Step>(static_cast<std::size_t>(steps));
    shared_ = arena.take<Shared>(1);
    if (steps_ == nullptr || shared_ == nullptr) return;  // only measured
    for (int i = 0; i < steps; ++i) new (steps_ + i) Step{};
    new (shared_) Shared{};
}

bool Team::run(const Work& work) noexcept {
    if (threads_ == 1) {
        for (int step = 0; step < work.steps; ++step) {
            const int parts = work.parts(work.context, step);
            for (int part = 0; part < parts; ++part) work.make(work.context, step, part, 0);
            if (!work.finished(work.context, step)) return false;
        }
        return true;
    }
    for (int i = 0; i < work.steps; ++i) {
        for (int t = 0; t < threads_; ++t) steps_[i].taken[t].store(0, std::memory_order_relaxed);
        steps_[i].made.store(0, std::memory_order_relaxed);
    }
    shared_->done.store(0, std::memory_order_relaxed);
    shared_->present.store(0, std::memory_order_relaxed);
    struct Call {
        Team& team;
        const Work& work;
    } call = {*this, work};
    executor_.run(
        executor_.context, threads_,
        [](void* argument, int thread) {
            const auto& [team, all] = *static_cast<const Call*>(argument);
            team.take_part(all, thread);
        },
        &call);
    return shared_->done.load(std::memory_order_relaxed) == work.steps;
}

void Team::take_part(const Work& work, int thread) noexcept {
    shared_->present.fetch_add(1, std::memory_order_relaxed);
    for (int step = 0; step < work.steps; ++step) {
        const int parts = work.parts(work.context, step),
                  mine = make_parts(work, step, parts, thread);
        if (mine > 0 &&
            steps_[step].made.fetch_add(mine, std::memory_order_acq_rel) + mine == parts) {
            const bool go_on = work.finished(work.context, step);
            shared_->done.store(go_on ? step + 1 : ended, std::memory_order_release);
        }
        if (!wait_for(step)) return;
    }
}

// Those that it could take.
int Team::make_parts(const Work& work, int step, int parts, int thread) noexcept {
    int made = 0;
    for (int i = 0; i < threads_; ++i) {
        const int range = (thread + i) % threads_, first = parts * range / threads_,
                  count = parts * (range + 1) / threads_ - first;
        std::atomic<int>& taken = steps_[step].taken[range];
        while (taken.load(std::memory_order_relaxed) < count) {
            const int part = taken.fetch_add(1, std::memory_order_relaxed);
            if (part >= count) break;
            work.make(work.context, step, first + part, thread);
            ++made;
        }
    }
    return made;
}

// Until the step is done; all its parts are taken. False: this thread has nothing more to do.
bool Team::wait_for(int step) noexcept {
    for (int looks = 0;; ++looks) {
        const int done = shared_->done.load(std::memory_order_acquire);
        if (done == ended) return false;
        if (done > step) return true;
        if (looks >= patience && leave()) return false;
        relax();
    }
}

// A thread that others wait for in vain may have lost its processor, perhaps to the one that waits.
// The last one stays: nobody else has a part, so it waits for nothing.
bool Team::leave() noexcept {
    int present = shared_->present.load(std::memory_order_relaxed);
    while (present > 1)
        if (shared_->present.compare_exchange_weak(present, present - 1, std::memory_order_relaxed))
            return true;
    return false;
}

}  // namespace mien
