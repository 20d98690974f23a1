// SPDX-License-Identifier: MIT
// Processes images: a fixed number of threads with one engine each, and a bounded queue in which no
// client can take the places of the others.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "host/weights/engine_owner.h"

namespace mien::serve {

class EnginePool {
public:
    using Job = std::function<void(host::EngineOwner&)>;  // throws nothing

    // The weights are loaded once; `waiting` jobs may wait in addition to each worker's own. There are
    // no threads until start().
    static host::Result<std::unique_ptr<EnginePool>> create(const host::EngineSetup& setup,
                                                            int workers, int waiting);
    ~EnginePool() { stop(); }

    // Once, by the server when it runs.
    void start();
    // Ends the threads after their current jobs; waiting jobs are dropped.
    void stop();

    // Engines go to the client (an address) that has the fewest of them, then to who came first. If
    // the queue is full, the newest job of the client with the most waiting ones gives way: its
    // `refused` is called, on the thread of the caller. False, and `job` is dropped, if that is
    // `client` itself.
    [[nodiscard]] bool submit(const std::string& client, Job job, std::function<void()> refused);

    int workers() const { return static_cast<int>(engines_.size()); }
    int waiting() const;
    int busy() const { return busy_.load(std::memory_order_relaxed); }
    // For the weights' names and views; must not process.
    const host::EngineOwner& weights() const { return *engines_.front(); }

private:
    explicit EnginePool(int waiting) : room_(static_cast<std::size_t>(waiting)) {}
    void work(host::EngineOwner& engine);

    struct Waiting {
        std::string client;
        Job job;
        std::function<void()> refused;
    };
    std::deque<Waiting>::iterator next();                                  // not of an empty queue
    std::deque<Waiting>::iterator to_give_way(const std::string& client);  // or the end

    std::vector<std::unique_ptr<host::EngineOwner>> engines_;  // the first one owns the weights
    std::vector<std::thread> threads_;
    mutable std::mutex mutex_;
    std::condition_variable more_;
    std::deque<Waiting> jobs_;
    std::map<std::string, int> running_;  // jobs of a client
    std::size_t room_;
    std::size_t idle_ = 0;
    bool ending_ = false;
    std::atomic<int> busy_{0};
};

}  // namespace mien::serve
