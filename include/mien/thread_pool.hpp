// SPDX-License-Identifier: MIT
// A small pool of threads for Config::executor. Part of the library, apart from the engine, which
// starts no thread itself.
//
//   mien::ThreadPool pool(2);                    // this thread and one more
//   config.executor = pool.executor();           // the pool must outlive the engine
#pragma once

#include "mien/mien.hpp"

namespace mien {

class MIEN_CPP_API ThreadPool {
public:
    // `threads` in all, the caller's own included: 1 starts none; 0 means one for each processor.
    // Threads that the system refuses are done without: threads() says how many there are. Nothing
    // is allocated after construction.
    explicit ThreadPool(int threads) noexcept;
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    [[nodiscard]] int threads() const noexcept;
    // One call at a time: engines that share a pool take turns.
    [[nodiscard]] Executor executor() noexcept;

private:
    struct Impl;
    Impl* impl_;
};

}  // namespace mien
