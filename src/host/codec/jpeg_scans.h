// SPDX-License-Identifier: MIT
// Is all of a JPEG's picture data there, and in step? For stb_image, which takes missing data for
// zeros, passes by lost restart marks and does not tell; libjpeg-turbo finds the same by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mien::host {

// What is wrong is said in libjpeg's words.
struct JpegScans {
    std::string missing;   // not empty: data ended before its blocks did
    std::string lost;      // not empty: a restart mark is another than the next one
    std::string leftover;  // not empty: bytes that no block needed
    struct Range {
        std::size_t begin, end;
    };
    std::vector<Range> strays;  // where in the file such bytes are, from first to last
};

// Walks the codes of all scans and decodes no pixel. The refining scans of a progressive file are not
// walked, but counted. The file is one that inspect_image() takes and that has its Huffman tables.
JpegScans check_jpeg_scans(std::span<const std::uint8_t> bytes);

}  // namespace mien::host
