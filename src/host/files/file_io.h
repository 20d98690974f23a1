// SPDX-License-Identifier: MIT
// Reads and writes whole files: with a size limit, a one-line cause for each failure, never a
// half-written file, and never over a file that the same process reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/files/result.h"

namespace mien::host {

using ByteVector = std::vector<std::uint8_t>;

// Every regular file that this process reads is known by device and inode, whatever its path, so
// that no output replaces it. read_file() notes its file itself; who reads by other means, or reads
// only after an output is written, calls note_input(). What does not exist or is no regular file
// counts as nothing. Any thread may call.
void note_input(const std::string& path);
void note_input(int descriptor);
bool is_input(const std::string& path);
// Another run begins in the same process: nothing counts as read.
void forget_inputs();

// Reads all of `path` (also a pipe); more than `max_bytes` is an error.
Result<ByteVector> read_file(const std::string& path, std::size_t max_bytes);

enum class Overwrite { no, yes };

// Why an output must not be written to `path`, if that is known already: it is a folder, or an
// input, or it exists and may not be overwritten. For verbs that work long before they write.
Result<> check_output(const std::string& path, Overwrite overwrite);

// Where the symbolic link `path` leads, or `path` if it is none.
std::string followed_link(const std::string& path);

// Writes to a temporary file in the same folder, then gives it its name: the file appears
// completely or not at all, and with the mode of the one that it replaces. Devices and pipes
// (/dev/null) are written to directly. A symbolic link is followed, not replaced. Refuses what
// check_output() refuses.
Result<> write_file(const std::string& path, std::span<const std::uint8_t> bytes,
                    Overwrite overwrite);

// From now on read_file() of a pipe ends within a moment, with "interrupted", when no bytes come.
// Safe to call from a signal handler.
void stop_reading() noexcept;

// Removes the temporary file that write_file() is busy with, if any. Safe to call from a signal
// handler.
void remove_partial_file() noexcept;

}  // namespace mien::host
