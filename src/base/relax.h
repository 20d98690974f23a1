// SPDX-License-Identifier: MIT
// What a thread does between two looks at a number that another thread will change.
#pragma once

namespace mien {

// Tens of nanoseconds in which the processor saves power.
inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");  // yield is no pause on most cores
#endif
}

}  // namespace mien
