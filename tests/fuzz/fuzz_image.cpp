// SPDX-License-Identifier: MIT
// Can any bytes make the image decoder crash, hang or fill the memory? Small limits keep a run
// short; an image that decodes must be consistent, since everything behind trusts its size.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "host/codec/image_file.h"
#include "picture_mutator.h"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    return mien::fuzz::mutate_picture(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    mien::host::ImageLimits limits;
    limits.max_pixels = 1 << 18;
    limits.max_file_bytes = 1 << 20;
    limits.strict_memory = true;  // without HEIC and AVIF, whose library keeps to no limit
    const auto decoded = mien::host::decode_image({data, size}, limits);
    if (!decoded) {
        if (decoded.error().text.empty()) std::abort();
        return 0;
    }
    const mien::host::Image& image = decoded->image;
    if (image.width < 1 || image.height < 1) std::abort();
    std::uint32_t sum = 0;  // touches the last byte, so that a short buffer is seen
    const std::size_t bytes = image.row_bytes() * static_cast<std::size_t>(image.height);
    for (std::size_t i = 0; i < bytes; i += 997) sum += image.pixels[i];
    sum += image.pixels[bytes - 1];
    [[maybe_unused]] volatile std::uint32_t sink = sum;
    return 0;
}
