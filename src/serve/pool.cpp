// SPDX-License-Identifier: MIT
// Threads and their queue (see pool.h).
#include "serve/pool.h"

namespace mien::serve {

host::Result<std::unique_ptr<EnginePool>> EnginePool::create(const host::EngineSetup& setup,
                                                             int workers, int waiting) {
    std::unique_ptr<EnginePool> pool(new EnginePool(waiting));
    auto first = host::EngineOwner::create(setup);
    if (!first) return first.error();
    pool->engines_.push_back(std::move(*first));
    for (int i = 1; i < workers; ++i)
        pool->engines_.push_back(pool->engines_.front()->sharing_weights());
    pool->idle_ = pool->engines_.size();
    for (const auto& engine : pool->engines_)
        pool->threads_.emplace_back([&pool = *pool, &engine = *engine] { pool.work(engine); });
    return pool;
}

void EnginePool::stop() {
    std::deque<Job> given_up;
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
        given_up.swap(jobs_);
    }
    more_.notify_all();
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
}

bool EnginePool::submit(Job job) {
    {
        const std::lock_guard lock(mutex_);
        if (ending_ || jobs_.size() >= room_ + idle_) return false;
        jobs_.push_back(std::move(job));
    }
    more_.notify_one();
    return true;
}

int EnginePool::waiting() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(jobs_.size());
}

void EnginePool::work(host::EngineOwner& engine) {
    for (;;) {
        Job job;
        {
            std::unique_lock lock(mutex_);
            more_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
            if (jobs_.empty()) return;
            job = std::move(jobs_.front());
            jobs_.pop_front();
            --idle_;
        }
        busy_.fetch_add(1, std::memory_order_relaxed);
        job(engine);
        job = nullptr;  // with all that it holds, before the next is waited for
        busy_.fetch_sub(1, std::memory_order_relaxed);
        const std::lock_guard lock(mutex_);
        ++idle_;
    }
}

}  // namespace mien::serve
