// SPDX-License-Identifier: MIT
// Processes images: a fixed number of threads with one engine each, and a bounded queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "host/weights/engine_owner.h"

namespace mien::serve {

class EnginePool {
public:
    using Job = std::function<void(host::EngineOwner&)>;  // throws nothing

    // The weights are loaded once; `waiting` jobs may wait in addition to each worker's own.
    static host::Result<std::unique_ptr<EnginePool>> create(const host::EngineSetup& setup,
                                                            int workers, int waiting);
    ~EnginePool() { stop(); }

    // Ends the threads after their current jobs; waiting jobs are dropped.
    void stop();

    // False, and `job` is dropped, if the queue is full.
    [[nodiscard]] bool submit(Job job);

    int workers() const { return static_cast<int>(threads_.size()); }
    int waiting() const;
    int busy() const { return busy_.load(std::memory_order_relaxed); }
    // For the weights' names and views; must not process.
    const host::EngineOwner& weights() const { return *engines_.front(); }

private:
    explicit EnginePool(int waiting) : room_(static_cast<std::size_t>(waiting)) {}
    void work(host::EngineOwner& engine);

    std::vector<std::unique_ptr<host::EngineOwner>> engines_;  // the first one owns the weights
    std::vector<std::thread> threads_;
    mutable std::mutex mutex_;
    std::condition_variable more_;
    std::deque<Job> jobs_;
    std::size_t room_;
    std::size_t idle_ = 0;
    bool ending_ = false;
    std::atomic<int> busy_{0};
};

}  // namespace mien::serve
