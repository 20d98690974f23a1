// SPDX-License-Identifier: MIT
// Threads that no signal reaches: one thread of the program handles signals, and sees them at once.
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace mien::host {

// Threads that are started during its life, also by a library, have all signals blocked.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_;
};

template <class Function>
[[nodiscard]] std::thread quiet_thread(Function&& function) {
    const SignalsBlocked blocked;
    return std::thread(std::forward<Function>(function));
}

}  // namespace mien::host
