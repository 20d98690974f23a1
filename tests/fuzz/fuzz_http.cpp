// SPDX-License-Identifier: MIT
// Can any answer of a network camera crash the reader, or give images that depend on how its bytes
// arrived? The first byte is the size of the pieces; whole, the same images must come.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/crc32.h"
#include "video/http_reader.h"

namespace {

struct Got {
    std::uint32_t images = 0, crc = 0;
    int status = 0;
    bool good = true, done = false;
    friend bool operator==(const Got&, const Got&) = default;
};

Got read(std::span<const std::uint8_t> bytes, std::size_t step) {
    mien::video::HttpReader reader;
    Got got;
    while (!bytes.empty() && got.good) {
        const std::size_t part = std::min(step, bytes.size());
        got.good = reader.add(bytes.first(part));
        bytes = bytes.subspan(part);
        for (auto image = reader.next_picture(); !image.empty(); image = reader.next_picture()) {
            if (image.size() < 4 || image[0] != 0xff || image[1] != 0xd8) std::abort();
            ++got.images;
            got.crc = mien::crc32(image, got.crc);
        }
    }
    got.good = reader.close() && got.good;
    if (!got.good && reader.error().empty()) std::abort();
    got.done = reader.is_done();
    if (reader.has_head()) got.status = reader.head().status;
    if (reader.head().content_type.size() > 64 || reader.head().authenticate.size() > 64)
        std::abort();
    return got;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 || size > 30000) return 0;  // of longer lines, how they arrive may matter
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);
    if (!(read(bytes, bytes.size()) == read(bytes, std::size_t{1} + data[0]))) std::abort();
    return 0;
}
