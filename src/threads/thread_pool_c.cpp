// SPDX-License-Identifier: MIT
// The pool of threads for callers in C.
#include <new>

#include "mien/mien.h"
#include "mien/thread_pool.hpp"

struct mien_pool {
    mien::ThreadPool pool;
};

mien_pool* mien_pool_create(int threads) {
    return new (std::nothrow) mien_pool{mien::ThreadPool(threads)};
}

void mien_pool_lend(mien_pool* pool, mien_config* config) {
    if (pool == nullptr || config == nullptr) return;
    const mien::Executor executor = pool->pool.executor();
    config->run = executor.run;
    config->run_context = executor.context;
    config->threads = executor.threads;
}

void mien_pool_destroy(mien_pool* pool) { delete pool; }
