// SPDX-License-Identifier: MIT
// The heap of a test module: counts who asks for memory. tests/web/allocation.mjs reads the count
// while images are processed.
#include <cstddef>
#include <cstdlib>

namespace {

int count = 0;
alignas(64) unsigned char pool[1 << 16];
std::size_t used = 0;

void* take(std::size_t bytes) {
    ++count;
    const std::size_t from = used;
    if (bytes > sizeof pool - from) return nullptr;
    used = (from + bytes + 63) / 64 * 64;
    return pool + from;
}

}  // namespace

// Instead of the libraries'.
void* operator new(std::size_t bytes) { return take(bytes); }
void* operator new[](std::size_t bytes) { return take(bytes); }
void operator delete(void*) noexcept {}
void operator delete[](void*) noexcept {}
void operator delete(void*, std::size_t) noexcept {}
void operator delete[](void*, std::size_t) noexcept {}
extern "C" {
void* malloc(std::size_t bytes) { return take(bytes); }
// the pool is zero and nothing in it is used twice
void* calloc(std::size_t n, std::size_t bytes) { return take(n * bytes); }
void* realloc(void*, std::size_t bytes) { return take(bytes); }
void* aligned_alloc(std::size_t, std::size_t bytes) { return take(bytes); }
int posix_memalign(void** place, std::size_t, std::size_t bytes) {
    return (*place = take(bytes)) == nullptr ? 12 : 0;
}
void free(void*) {}

__attribute__((export_name("mien_test_allocations"))) int mien_test_allocations() { return count; }
// Both ways to ask, so that the test knows that they are seen.
__attribute__((export_name("mien_test_allocate"))) void mien_test_allocate() {
    void* volatile block = std::malloc(1);
    std::free(block);
    char* volatile other = new char[1];
    delete[] other;
}
}
