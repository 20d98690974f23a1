// SPDX-License-Identifier: MIT
// How stb_image is built into the files that include it: as functions of that file alone, on bytes
// in memory, with a bound on each allocation. The size of an image and whether it is whole has been
// judged before (image_header.h); the bound stops the rest, such as streams that inflate too far.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "host/codec/image.h"
#include "host/codec/image_header.h"

namespace mien::host {
namespace {

// Largest block that the decoder may ask for, set for each image from its size.
thread_local std::size_t allocation_limit = 0;
// There was no memory for a block within the limit. The decoder does not always say so.
thread_local bool out_of_memory = false;

// The largest of its blocks: half of what it takes at once, and with all layouts at most that for
// samples of the result (RGBA). The rest is for marks of rows and for tables.
void limit_allocations(const ImageHeader& header) {
    out_of_memory = false;
    const auto each = static_cast<std::size_t>(std::max((header.decode_bytes + 1) / 2, 6));
    allocation_limit =
        static_cast<std::size_t>(header.width) * static_cast<std::size_t>(header.height) * each +
        (std::size_t{1} << 20);
}

// Cleared: the decoder reads tables and coefficients that a hostile file never sets, and the image
// must neither depend on what was in memory before nor show it.
void* limited_malloc(std::size_t bytes) {
    if (bytes > allocation_limit) return nullptr;
    void* const block = std::calloc(bytes, 1);
    out_of_memory = out_of_memory || block == nullptr;
    return block;
}
[[maybe_unused]] void* limited_realloc(void* block, std::size_t bytes) {
    if (bytes > allocation_limit) return nullptr;
    void* const larger = std::realloc(block, bytes);
    out_of_memory = out_of_memory || larger == nullptr;
    return larger;
}

}  // namespace
}  // namespace mien::host

#define STBI_MALLOC(size) mien::host::limited_malloc(size)
#define STBI_REALLOC(block, size) mien::host::limited_realloc(block, size)
#define STBI_FREE(block) std::free(block)
// bad input is no reason to end the program
#define STBI_ASSERT(condition) static_cast<void>(sizeof(condition))
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_FAILURE_USERMSG
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
// Third-party headers with unused functions and old habits; their warnings are not ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace mien::host {
namespace {

// Null as stbi_load_from_memory() has it. `wanted` channels; 0: those of the file.
PixelBuffer load_by_stb(std::span<const std::uint8_t> bytes, const ImageHeader& header, int& width,
                        int& height, int& channels, int wanted) {
    limit_allocations(header);
    return PixelBuffer(stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width,
                                             &height, &channels, wanted));
}

// The decoder's own words, made to fit into a line of ours.
Error stb_error(const char* type) {
    if (out_of_memory) return no_memory();
    const char* reason = stbi_failure_reason();
    if (reason == nullptr) reason = "unknown reason";
    if (std::strcmp(reason, "Out of memory") == 0) reason = "unpacks to more than its pixels";
    return Error::input(std::string("damaged ") + type + " file (" + reason + ")");
}

}  // namespace
}  // namespace mien::host
