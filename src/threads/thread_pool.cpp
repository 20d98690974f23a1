// SPDX-License-Identifier: MIT
// Runs the engine's tasks on several processors.
#include "mien/thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

namespace mien {
namespace {

constexpr int max_threads = 64;

}  // namespace

struct ThreadPool::Impl {
    std::mutex turn;   // held for the whole of a run()
    std::mutex mutex;  // guards what follows
    std::condition_variable wake, finished;
    void (*task)(void*, int) = nullptr;
    void* argument = nullptr;
    int count = 0;  // calls of this run
    unsigned run_number = 0;
    int working = 0;  // helpers that have not finished this run
    bool stop = false;
    std::atomic<int> next{0};
    std::thread helpers[max_threads - 1];
    int helper_count = 0;

    void take_calls() noexcept {
        for (int i; (i = next.fetch_add(1)) < count;) task(argument, i);
    }

    void help() noexcept {
        for (unsigned seen = 0;;) {
            {
                std::unique_lock lock(mutex);
                wake.wait(lock, [&] { return stop || run_number != seen; });
                if (stop) return;
                seen = run_number;
            }
            take_calls();
            const std::lock_guard lock(mutex);
            if (--working == 0) finished.notify_one();
        }
    }

    void run(int calls, void (*new_task)(void*, int), void* new_argument) noexcept {
        const std::lock_guard my_turn(turn);
        {
            const std::lock_guard lock(mutex);
            task = new_task;
            argument = new_argument;
            count = calls;
            next = 0;
            working = helper_count;
            ++run_number;
        }
        wake.notify_all();
        take_calls();
        std::unique_lock lock(mutex);
        finished.wait(lock, [&] { return working == 0; });
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
