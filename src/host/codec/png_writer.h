// SPDX-License-Identifier: MIT
// How do pixels become a PNG file quickly? Every row takes the filter that leaves the smallest
// numbers; these are coded by Huffman's method, runs of one value as runs. Matches farther back,
// which cost other writers most of their time, are rare in filtered photos and are not looked for.
#pragma once

#include "host/files/file_io.h"
#include "mien/mien.hpp"

namespace mien::host {

// Frames of gray8 or rgb24, any stride.
ByteVector write_png(const Frame& frame);

}  // namespace mien::host
