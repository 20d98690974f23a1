// SPDX-License-Identifier: MIT
// OpenCV's haarcascade_*.xml as weights of mien: what tools/convert_cascade.py writes, made in
// memory. Beside the core: it uses a heap, but no files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mien/mien.hpp"

namespace mien {

// A larger file is refused; OpenCV's largest has 2.7 MB.
inline constexpr std::size_t max_cascade_xml_bytes = std::size_t{1} << 26;

// Whether these bytes begin as XML does.
[[nodiscard]] MIEN_CPP_API bool is_xml(std::span<const std::uint8_t> bytes) noexcept;

// The bytes of a .mien file, which Cascade::open() takes; none when the XML is refused, and then
// `error` says why in one line: "line 12: <width> is missing in <cascade>". Both layouts are read,
// opencv-haar-classifier of OpenCV 1 and opencv-cascade-classifier; cascades of other features (LBP,
// HOG) are not. `name` is the file's, for the provenance in Cascade::meta(); folders are left out.
[[nodiscard]] MIEN_CPP_API std::vector<std::uint8_t> cascade_of_xml(
    std::span<const std::uint8_t> xml, std::string_view name, std::string& error);

}  // namespace mien
