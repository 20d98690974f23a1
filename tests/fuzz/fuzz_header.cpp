// SPDX-License-Identifier: MIT
// Can any bytes make the reader of image headers crash, or take a size beyond the limits? Without
// decoding, so that it runs millions of times a second; the same bytes as EXIF.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "host/codec/image_header.h"
#include "picture_mutator.h"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    return mien::fuzz::mutate_picture(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mien::host;
    ImageLimits wide;  // as the service's second look has them
    wide.max_side = 1 << 30;
    wide.max_pixels = std::uint64_t{1} << 60;
    for (const ImageLimits& limits : {ImageLimits(), wide}) {
        const auto header = inspect_image({data, size}, limits);
        if (!header) {
            if (header.error().text.empty()) std::abort();
            continue;
        }
        if (header->width < 1 || header->height < 1 || header->width > limits.max_side ||
            header->height > limits.max_side ||
            static_cast<std::uint64_t>(header->width) * static_cast<std::uint64_t>(header->height) >
                limits.max_pixels ||
            header->orientation < 1 || header->orientation > 8 || header->data_offset > size)
            std::abort();
    }
    const int orientation = exif_orientation({data, size});
    if (orientation < 1 || orientation > 8) std::abort();
    return 0;
}
