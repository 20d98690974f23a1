// SPDX-License-Identifier: MIT
// Reads and writes whole files: with a size limit, a one-line cause for each failure, and never a
// half-written file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/files/result.h"

namespace mien::host {

using ByteVector = std::vector<std::uint8_t>;

// Reads all of `path` (also a pipe); more than `max_bytes` is an error.
Result<ByteVector> read_file(const std::string& path, std::size_t max_bytes);

enum class Overwrite { no, yes };

// True when writing to `path` without permission to overwrite would be refused.
bool would_overwrite(const std::string& path);

// Writes to a temporary file in the same folder, then gives it its name: the file appears
// completely or not at all. Devices and pipes (/dev/null) are written to directly. A symbolic link
// is followed, not replaced.
Result<> write_file(const std::string& path, std::span<const std::uint8_t> bytes,
                    Overwrite overwrite);

// Removes the temporary file that write_file() is busy with, if any. Safe to call from a signal
// handler.
void remove_partial_file() noexcept;

}  // namespace mien::host
