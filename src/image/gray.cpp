// SPDX-License-Identifier: MIT
#include "image/gray.h"

#include <cstring>

namespace mien {

bool is_valid(const Frame& frame) noexcept {
    const int pixel_bytes = bytes_per_pixel(frame.format);
    if (frame.data == nullptr || frame.width <= 0 || frame.height <= 0 || pixel_bytes == 0)
        return false;
    if (frame.width > 1 << 24 || frame.height > 1 << 24) return false;
    if (has_even_width(frame.format) && frame.width % 2 != 0) return false;
    const std::ptrdiff_t row = std::ptrdiff_t{frame.width} * pixel_bytes;
    // The second plane follows the first, so rows cannot go upwards.
    if (frame.format == PixelFormat::nv12)
        return frame.height % 2 == 0 && frame.stride_bytes >= row;
    return frame.stride_bytes >= row || frame.stride_bytes <= -row || frame.height == 1;
}

void to_gray(const Frame& frame, const ImageKernels& kernels, std::uint8_t* gray) noexcept {
    const GrayRowFn convert = frame.format == PixelFormat::rgb24    ? kernels.gray_rgb24
                              : frame.format == PixelFormat::bgr24  ? kernels.gray_bgr24
                              : frame.format == PixelFormat::rgba32 ? kernels.gray_rgba32
                              : frame.format == PixelFormat::bgra32 ? kernels.gray_bgra32
                              : frame.format == PixelFormat::yuyv   ? kernels.gray_yuyv
                              : frame.format == PixelFormat::uyvy   ? kernels.gray_uyvy
                                                                    : nullptr;
    for (int y = 0; y < frame.height; ++y, gray += frame.width) {
        const std::uint8_t* row = frame.data + y * frame.stride_bytes;
        if (convert != nullptr)
            convert(row, frame.width, gray);
        else
            std::memcpy(gray, row, static_cast<std::size_t>(frame.width));
    }
}

GrayView gray_of(const Frame& frame, const Rect& area, const ImageKernels& kernels,
                 std::uint8_t* room) noexcept {
    Frame part = frame;
    part.data +=
        area.y * frame.stride_bytes + std::ptrdiff_t{area.x} * bytes_per_pixel(frame.format);
    part.width = area.width;
    part.height = area.height;
    if (has_gray_plane(frame.format)) return {part.data, frame.stride_bytes};
    // Y of yuyv and uyvy repeats every two bytes, so an odd column needs no other kernel.
    to_gray(part, kernels, room);
    return {room, area.width};
}

}  // namespace mien
