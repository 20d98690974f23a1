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

// Largest block that the decoder may ask for, and largest to which one may grow; set for each image
// from its size.
thread_local std::size_t allocation_limit = 0, growth_limit = 0;
// There was no memory for a block within the limit. The decoder does not always say so.
thread_local bool out_of_memory = false;

// The largest of its blocks: half of what it takes at once, and but for PNG at most that for samples
// of the result (RGBA). The rest is for marks of rows and for tables. Two blocks grow by doubling,
// both of PNG: the compressed data, which are put together from the file's chunks, and what comes
// out of them where the image is interlaced, for it has more rows than the decoder's first guess. Of
// the bytes that such an image takes (image_header.cpp) the second block has 4 of 7.
void limit_allocations(const ImageHeader& header, std::size_t file_bytes) {
    constexpr std::size_t rest = std::size_t{1} << 20;
    out_of_memory = false;
    const std::size_t pixels =
        static_cast<std::size_t>(header.width) * static_cast<std::size_t>(header.height);
    const auto all = static_cast<std::size_t>(header.decode_bytes);
    const std::size_t largest =
        std::max<std::size_t>((all + 1) / 2, header.type == ImageType::png ? 0 : 6);
    allocation_limit = pixels * largest + rest;
    growth_limit = std::max({allocation_limit, pixels * all / 7 * 4 + rest, 2 * file_bytes});
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
    if (bytes > growth_limit) return nullptr;
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
    limit_allocations(header, bytes.size());
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
