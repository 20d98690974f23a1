// SPDX-License-Identifier: MIT
// A fast PNG encoder. Every row takes the filter that leaves the smallest numbers; these are
// Huffman-coded, runs of one value as runs. Matches farther back, on which other encoders spend
// most of their time, are rare in filtered photos and are not searched.
#pragma once

#include "host/files/file_io.h"
#include "mien/mien.hpp"

namespace mien::host {

// Frames of gray8 or rgb24, any stride.
ByteVector write_png(const Frame& frame);

}  // namespace mien::host
