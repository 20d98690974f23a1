// SPDX-License-Identifier: MIT
// Can any bytes make the splitter of a motion JPEG crash, or give images that depend on how the
// bytes arrived? The first byte is the size of the pieces; whole, the same images must come.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/crc32.h"
#include "video/jpeg_splitter.h"

namespace {

struct Found {
    std::uint32_t images = 0, crc = 0;
};

Found split(std::span<const std::uint8_t> bytes, std::size_t step) {
    mien::video::JpegSplitter splitter;
    Found found;
    while (!bytes.empty()) {
        const std::size_t part = std::min(step, bytes.size());
        splitter.add(bytes.first(part));
        bytes = bytes.subspan(part);
        for (;;) {
            const auto image = splitter.next();
            if (image.empty()) break;
            if (image.size() < 4 || image[0] != 0xff || image[1] != 0xd8) std::abort();
            ++found.images;
            found.crc = mien::crc32(image, found.crc);
        }
    }
    return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);
    const Found whole = split(bytes, bytes.size());
    const Found pieces = split(bytes, 1 + std::size_t{data[0]} % 64);
    if (whole.images != pieces.images || whole.crc != pieces.crc) std::abort();
    return 0;
}
