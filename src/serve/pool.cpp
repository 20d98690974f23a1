// SPDX-License-Identifier: MIT
// Threads and their queue (see pool.h).
#include "serve/pool.h"

#include <algorithm>
#include <utility>

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
    return pool;
}

void EnginePool::start() {
    for (const auto& engine : engines_)
        threads_.emplace_back([this, &engine = *engine] { work(engine); });
}

void EnginePool::stop() {
    std::deque<Waiting> given_up;
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

std::deque<EnginePool::Waiting>::iterator EnginePool::next() {
    const auto engines_of = [this](const Waiting& waiting) {
        const auto found = running_.find(waiting.client);
        return found == running_.end() ? 0 : found->second;
    };
    return std::min_element(jobs_.begin(), jobs_.end(), [&](const auto& a, const auto& b) {
        return engines_of(a) < engines_of(b);
    });
}

std::deque<EnginePool::Waiting>::iterator EnginePool::to_give_way(const std::string& client) {
    std::map<std::string, int> waiting;
    for (const Waiting& each : jobs_) ++waiting[each.client];
    int most = waiting[client] + 1;  // with one more, `client` would be no better off
    auto found = jobs_.end();
    for (auto each = jobs_.begin(); each != jobs_.end(); ++each) {
        const int count = waiting[each->client];
        const bool same = found != jobs_.end() && each->client == found->client;
        if (count <= most && !same) continue;
        most = count;
        found = each;
    }
    return found;
}

bool EnginePool::submit(const std::string& client, Job job, std::function<void()> refused) {
    std::function<void()> tell;
    {
        const std::lock_guard lock(mutex_);
        if (ending_) return false;
        if (jobs_.size() >= room_ + idle_) {
            const auto gives_way = to_give_way(client);
            if (gives_way == jobs_.end()) return false;
            tell = std::move(gives_way->refused);
            jobs_.erase(gives_way);
        }
        jobs_.push_back({client, std::move(job), std::move(refused)});
    }
    if (tell) tell();
    more_.notify_one();
    return true;
}

int EnginePool::waiting() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(jobs_.size());
}

void EnginePool::work(host::EngineOwner& engine) {
    for (;;) {
        Waiting taken;
        {
            std::unique_lock lock(mutex_);
            more_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
            if (jobs_.empty()) return;
            const auto first = next();
            taken = std::move(*first);
            jobs_.erase(first);
            ++running_[taken.client];
            --idle_;
        }
        busy_.fetch_add(1, std::memory_order_relaxed);
        // Before the job, which hands what both hold back to the thread it belongs to: the last to
        // let go of a connection must be that one.
        taken.refused = nullptr;
        taken.job(engine);
        taken.job = nullptr;
        busy_.fetch_sub(1, std::memory_order_relaxed);
        const std::lock_guard lock(mutex_);
        if (--running_[taken.client] == 0) running_.erase(taken.client);
        ++idle_;
    }
}

}  // namespace mien::serve
