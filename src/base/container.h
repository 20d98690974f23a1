// SPDX-License-Identifier: MIT
// The part that both kinds of `.mien` files share: header, checksum, section table
// (docs/FILE_FORMAT.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mien/mien.hpp"

namespace mien {

using Bytes = std::span<const std::uint8_t>;

struct Section {
    char tag[4];
    Bytes bytes;
};

class Container {
public:
    static constexpr std::uint32_t max_sections = 32;

    // Checks the whole header, the checksum and that the sections fill the file; `kind` is "NETW"
    // or "CASC".
    [[nodiscard]] static Status open(Bytes file, const char (&kind)[5], Container& out) noexcept;

    // False if the section is missing.
    [[nodiscard]] bool find(const char (&tag)[5], Bytes& out) const noexcept;

private:
    Section sections_[max_sections];
    std::uint32_t count_ = 0;
};

}  // namespace mien
