// SPDX-License-Identifier: MIT
// Places the engine's buffers in the caller's memory. One bump allocator, run twice over the same
// placement code: first without memory, to measure, then with it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mien {

class Arena {
public:
    static constexpr std::size_t alignment = 64;  // a cache line, and the widest vector

    Arena() noexcept = default;  // measures only
    Arena(std::byte* memory, std::size_t size) noexcept : base_(memory), size_(size) {
        // Skips to the first aligned byte, so that every later offset is aligned in memory too.
        const std::size_t misalignment = reinterpret_cast<std::uintptr_t>(memory) % alignment;
        const std::size_t skip = misalignment == 0 ? 0 : alignment - misalignment;
        base_ = skip <= size ? memory + skip : nullptr;
        size_ = skip <= size ? size - skip : 0;
    }

    // Room for `count` objects of T, aligned; null while measuring or when the memory is used up
    // (see ok()).
    template <class T>
    [[nodiscard]] T* take(std::size_t count) noexcept {
        const std::size_t offset = used_;
        if (count > (SIZE_MAX - alignment - used_) / sizeof(T)) {
            overflow_ = true;
            return nullptr;
        }
        used_ += (count * sizeof(T) + alignment - 1) / alignment * alignment;
        if (base_ == nullptr || used_ > size_) return nullptr;
        return reinterpret_cast<T*>(base_ + offset);
    }

    [[nodiscard]] bool ok() const noexcept {
        return !overflow_ && base_ != nullptr && used_ <= size_;
    }
    // Bytes that memory of any alignment needs for what was taken so far.
    [[nodiscard]] std::size_t required_bytes() const noexcept {
        return overflow_ ? 0 : used_ + alignment;
    }

private:
    std::byte* base_ = nullptr;
    std::size_t size_ = 0, used_ = 0;
    bool overflow_ = false;
};

}  // namespace mien
