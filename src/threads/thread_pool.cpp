// SPDX-License-Identifier: MIT
// Runs the engine's tasks on several processors.
#include "mien/thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <new>
#include <thread>

#include "base/relax.h"

namespace mien {
namespace {

constexpr int max_threads = 64;
// Before a thread sleeps it looks around for some tens of microseconds: waking it takes longer than
// most gaps between two runs of a frame.
constexpr int looks_before_sleep = 1000;

}  // namespace

struct ThreadPool::Impl {
    std::mutex turn;   // held for the whole of a run()
    std::mutex mutex;  // for sleeping and waking
    std::condition_variable wake, finished;
    // Number of the run in the upper half, of its next call in the lower one. Who counts it up
    // makes that call, so that a helper that wakes late takes none, and nobody waits for it.
    std::atomic<std::uint64_t> ticket{0};
    // Of that run. The ticket is closed before they change: who has read one of the next run, with
    // an old ticket, does not get that.
    std::atomic<void (*)(void*, int)> task{nullptr};
    std::atomic<void*> argument{nullptr};
    std::atomic<std::uint32_t> count{0};
    std::atomic<std::uint32_t> made{0};  // calls that have returned
    std::atomic<bool> stop{false};
    std::thread helpers[max_threads - 1];
    int helper_count = 0;

    static std::uint32_t run_of(std::uint64_t ticket_number) noexcept {
        return static_cast<std::uint32_t>(ticket_number >> 32);
    }

    void take_calls() noexcept {
        for (std::uint64_t mine = ticket.load(std::memory_order_acquire);;) {
            const auto call = static_cast<std::uint32_t>(mine);
            const std::uint32_t all = count.load(std::memory_order_acquire);
            auto* const its_task = task.load(std::memory_order_acquire);
            void* const its_argument = argument.load(std::memory_order_acquire);
            if (call >= all) return;
            if (!ticket.compare_exchange_weak(mine, mine + 1, std::memory_order_acq_rel,
                                              std::memory_order_acquire))
                continue;
            its_task(its_argument, static_cast<int>(call));
            if (made.fetch_add(1, std::memory_order_acq_rel) + 1 == all) {
                const std::lock_guard lock(mutex);
                finished.notify_one();
            }
            ++mine;
        }
    }

    template <class Condition>
    void wait(std::condition_variable& signal, const Condition& met) noexcept {
        for (int i = 0; i < looks_before_sleep; ++i) {
            if (met()) return;
            relax();
        }
        std::unique_lock lock(mutex);
        signal.wait(lock, met);
    }

    void help() noexcept {
        for (std::uint32_t seen = 0;;) {
            wait(wake, [&] { return stop || run_of(ticket) != seen; });
            if (stop) return;
            seen = run_of(ticket);
            take_calls();
        }
    }

    void run(int calls, void (*new_task)(void*, int), void* new_argument) noexcept {
        if (calls <= 0) return;
        const std::lock_guard my_turn(turn);
        {
            const std::lock_guard lock(mutex);
            const std::uint64_t old = ticket.load(std::memory_order_relaxed);
            ticket.store(old | UINT32_MAX, std::memory_order_relaxed);
            task.store(new_task, std::memory_order_release);
            argument.store(new_argument, std::memory_order_release);
            count.store(static_cast<std::uint32_t>(calls), std::memory_order_release);
            made.store(0, std::memory_order_relaxed);
            ticket.store(std::uint64_t{run_of(old) + 1} << 32, std::memory_order_release);
        }
        wake.notify_all();
        take_calls();
        wait(finished, [&] { return made == static_cast<std::uint32_t>(calls); });
    }
};

ThreadPool::ThreadPool(int threads) noexcept : impl_(new(std::nothrow) Impl) {
    if (impl_ == nullptr) return;
    const int wanted =
        std::clamp(threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency()), 1,
                   max_threads);
    try {
        for (; impl_->helper_count < wanted - 1; ++impl_->helper_count)
            impl_->helpers[impl_->helper_count] = std::thread([impl = impl_] { impl->help(); });
    } catch (...) {
        // No thread or no memory for it: as many as there are.
    }
}

ThreadPool::~ThreadPool() {
    if (impl_ == nullptr) return;
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->stop = true;
    }
    impl_->wake.notify_all();
    for (int i = 0; i < impl_->helper_count; ++i) impl_->helpers[i].join();
    delete impl_;
}

int ThreadPool::threads() const noexcept { return impl_ != nullptr ? impl_->helper_count + 1 : 1; }

Executor ThreadPool::executor() noexcept {
    if (threads() == 1) return {};
    return {[](void* context, int count, void (*task)(void*, int), void* argument) {
                static_cast<Impl*>(context)->run(count, task, argument);
            },
            impl_, threads()};
}

}  // namespace mien
