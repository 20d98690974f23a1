// SPDX-License-Identifier: MIT
// What do the tests share? Repeatable images, files, the instruction sets to try, memory with a
// guard page behind it.
#pragma once

#if !defined(__wasm__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "mien/mien.hpp"

namespace mien::test {

using ByteVector = std::vector<std::uint8_t>;

// The 32-bit LCG of Numerical Recipes: the same images in C++ and in tests/make_opencv_golden.py.
class Random {
public:
    explicit Random(std::uint32_t seed) : state_(seed) {}
    std::uint32_t next() { return state_ = state_ * 1664525u + 1013904223u; }
    // In low..high, both included.
    int between(int low, int high) {
        return low + static_cast<int>((next() >> 8) % static_cast<std::uint32_t>(high - low + 1));
    }

private:
    std::uint32_t state_;
};

// Noise with a quarter of the bytes at 0 or 255, so that extreme values meet.
inline ByteVector test_picture(std::uint32_t seed, std::size_t bytes) {
    Random random(seed);
    ByteVector out(bytes);
    for (std::uint8_t& b : out) {
        const std::uint32_t value = random.next(), mode = value >> 20 & 15;
        b = mode == 0 || mode == 2   ? std::uint8_t{0}
            : mode == 1 || mode == 3 ? std::uint8_t{255}
                                     : static_cast<std::uint8_t>(value >> 24);
    }
    return out;
}

inline ByteVector read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}
inline std::string data_path(const std::string& name) {
    return std::string(MIEN_TEST_DATA "/") + name;
}
inline std::string weights_path(const std::string& name) {
    return std::string(MIEN_WEIGHTS "/") + name;
}

// Every instruction set that this processor has; MIEN_ISA=name,name leaves only those. Never empty:
// a sweep over nothing would pass.
inline std::vector<Isa> isas() {
    std::vector<Isa> found;
    const char* only = std::getenv("MIEN_ISA");
    const auto chosen = [only](const char* name) {
        return only == nullptr ||
               ("," + std::string(only) + ",").find("," + std::string(name) + ",") !=
                   std::string::npos;
    };
    for (const Isa isa : all_isas)
        if (isa_available(isa) && chosen(isa_name(isa))) found.push_back(isa);
    REQUIRE_MESSAGE(!found.empty(), "MIEN_ISA names no instruction set of this processor");
    return found;
}

#if defined(__wasm__)
// WebAssembly has no pages to guard: what stands behind the buffer must still be there at the end,
// so writes past it are seen.
class GuardedBuffer {
public:
    explicit GuardedBuffer(std::size_t bytes) : bytes_(bytes), memory_(bytes + guard) {
        std::memset(memory_.data() + bytes, 0xa5, guard);
    }
    ~GuardedBuffer() {
        for (std::size_t i = bytes_; i < memory_.size(); ++i)
            if (memory_[i] != 0xa5) std::abort();
    }
    GuardedBuffer(const GuardedBuffer&) = delete;
    GuardedBuffer& operator=(const GuardedBuffer&) = delete;

    [[nodiscard]] std::uint8_t* data() const { return const_cast<std::uint8_t*>(memory_.data()); }
    [[nodiscard]] std::int8_t* bytes() const { return reinterpret_cast<std::int8_t*>(data()); }
    [[nodiscard]] std::size_t size() const { return bytes_; }

private:
    static constexpr std::size_t guard = 256;
    std::size_t bytes_;
    ByteVector memory_;
};
#else
// `bytes` of memory that end at a page which must not be touched: reading or writing past the end
// kills the test.
class GuardedBuffer {
public:
    explicit GuardedBuffer(std::size_t bytes) : bytes_(bytes) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        mapped_ = (bytes + page - 1) / page * page + page;
        base_ = static_cast<std::uint8_t*>(
            mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (base_ == MAP_FAILED || mprotect(base_ + mapped_ - page, page, PROT_NONE) != 0)
            std::abort();
        data_ = base_ + mapped_ - page - bytes;
    }
    ~GuardedBuffer() { munmap(base_, mapped_); }
    GuardedBuffer(const GuardedBuffer&) = delete;
    GuardedBuffer& operator=(const GuardedBuffer&) = delete;

    [[nodiscard]] std::uint8_t* data() const { return data_; }
    [[nodiscard]] std::int8_t* bytes() const { return reinterpret_cast<std::int8_t*>(data_); }
    [[nodiscard]] std::size_t size() const { return bytes_; }

private:
    std::size_t bytes_, mapped_ = 0;
    std::uint8_t *base_ = nullptr, *data_ = nullptr;
};
#endif

}  // namespace mien::test
