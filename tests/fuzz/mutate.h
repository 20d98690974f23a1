// SPDX-License-Identifier: MIT
// What mutators share: chance, and changes of bytes that know no structure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace mien::fuzz {

using File = std::vector<std::uint8_t>;

// xorshift64*: fast, and the same everywhere.
struct Dice {
    std::uint64_t state = 1;
    explicit Dice(std::uint64_t seed = 1) : state(seed * 0x9e3779b97f4a7c15u + 1) {}
    std::uint64_t operator()() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return (state * 0x2545f4914f6cdd1du) >> 16;
    }
    // 0 to n - 1; n >= 1
    std::size_t below(std::size_t n) { return static_cast<std::size_t>((*this)() % n); }
    bool one_in(std::size_t n) { return below(n) == 0; }
};

// A number at which programs err: near zero, a power of two, or the largest.
inline std::uint64_t special_number(Dice& dice) {
    switch (dice.below(4)) {
        case 0: return dice.below(4);
        case 1: return std::uint64_t{0} - 1 - dice.below(3);
        case 2: return (std::uint64_t{1} << dice.below(64)) - 1 + dice.below(3);
        default: return dice.below(300);
    }
}

// 1 to 8 changes; returns the new size, at least 1.
inline std::size_t change_bytes(Dice& dice, std::uint8_t* data, std::size_t size,
                                std::size_t max_size) {
    if (max_size == 0) return 0;
    if (size == 0) data[size++] = static_cast<std::uint8_t>(dice());
    for (std::size_t changes = 1 + dice.below(dice.one_in(4) ? 8 : 2); changes > 0; --changes) {
        const std::size_t at = dice.below(size);
        switch (dice.below(9)) {
            case 0: data[at] = static_cast<std::uint8_t>(data[at] ^ 1u << dice.below(8)); break;
            case 1: data[at] = static_cast<std::uint8_t>(dice()); break;
            case 2: data[at] = static_cast<std::uint8_t>(data[at] + dice.below(9) - 4); break;
            case 3:
            case 4: {  // a number of 1 to 8 bytes, of either order
                const std::size_t bytes = std::min(std::size_t{1} << dice.below(4), size - at);
                const std::uint64_t number = special_number(dice);
                const bool big = dice.one_in(2);
                for (std::size_t i = 0; i < bytes; ++i)
                    data[at + i] =
                        static_cast<std::uint8_t>(number >> 8 * (big ? bytes - 1 - i : i));
                break;
            }
            case 5: {  // a piece goes
                const std::size_t bytes =
                    std::min(1 + dice.below(dice.one_in(2) ? 4 : 64), size - at);
                if (bytes == size) break;
                std::memmove(data + at, data + at + bytes, size - at - bytes);
                size -= bytes;
                break;
            }
            case 6:
            case 7: {  // a piece comes in: from elsewhere in the file, or by chance
                const std::size_t bytes =
                    std::min({1 + dice.below(dice.one_in(2) ? 4 : 64), max_size - size, size});
                const std::size_t from = dice.below(size - bytes + 1);
                std::uint8_t piece[64];
                std::memcpy(piece, data + from, bytes);
                if (dice.one_in(3))
                    for (std::size_t i = 0; i < bytes; ++i)
                        piece[i] = static_cast<std::uint8_t>(dice());
                std::memmove(data + at + bytes, data + at, size - at);
                std::memcpy(data + at, piece, bytes);
                size += bytes;
                break;
            }
            default:  // cut short
                if (dice.one_in(8) && size > 1) size = 1 + at;
        }
    }
    return size;
}

// The same for a piece of a file, by the fuzzer that runs, which knows more (dictionaries, values
// that were compared).
inline void change_piece(File& piece, std::size_t max_growth) {
    const std::size_t size = piece.size();
    piece.resize(size + max_growth);
    piece.resize(LLVMFuzzerMutate(piece.data(), size, piece.size()));
}

// What a mutator made, where the fuzzer wants it; `size` bytes stay if it is too large.
inline std::size_t give(const File& made, std::uint8_t* data, std::size_t size,
                        std::size_t max_size) {
    if (made.empty() || made.size() > max_size) return size;
    std::memcpy(data, made.data(), made.size());
    return made.size();
}

}  // namespace mien::fuzz
