// SPDX-License-Identifier: MIT
#include "camera/fields.h"

#include <algorithm>
#include <cstring>

namespace mien::camera {

using video::PixelLayout;

namespace {

struct Plane {
    std::size_t begin = 0, stride = 0, row = 0, rows = 0;
};
struct PlaneList {
    Plane planes[3];
    int count = 1;
};

PlaneList planes_of(PixelLayout layout, int width, int height, std::size_t stride) {
    const std::size_t row = video::row_bytes(layout, width), h = static_cast<std::size_t>(height),
                      luma = stride * h;
    const auto even = [](std::size_t value) { return value + value % 2; };
    const auto half = [](std::size_t value) { return (value + 1) / 2; };
    const Plane first = {0, stride, row, h};
    switch (layout) {
        case PixelLayout::nv12:
        case PixelLayout::nv21: return {{first, {luma, even(stride), even(row), half(h)}}, 2};
        case PixelLayout::nv16:
        case PixelLayout::nv61: return {{first, {luma, even(stride), even(row), h}}, 2};
        case PixelLayout::yu12:
        case PixelLayout::yv12: {
            const Plane second = {luma, half(stride), half(row), half(h)};
            Plane third = second;
            third.begin += half(stride) * half(h);
            return {{first, second, third}, 3};
        }
        default: return {{first}, 1};
    }
}

}  // namespace

void double_rows(PixelLayout layout, const std::uint8_t* data, int width, int rows,
                 std::size_t stride, int field_height, std::vector<std::uint8_t>& out) {
    const std::size_t row = video::row_bytes(layout, width);
    const int height = 2 * field_height;
    out.resize(video::packet_bytes(layout, width, height, row));
    const PlaneList from = planes_of(layout, width, rows, stride),
                    to = planes_of(layout, width, height, row);
    for (int i = 0; i < from.count; ++i) {
        const Plane &source = from.planes[i], &target = to.planes[i];
        for (std::size_t y = 0; y < target.rows; ++y)
            std::memcpy(out.data() + target.begin + y * target.stride,
                        data + source.begin + std::min(y / 2, source.rows - 1) * source.stride,
                        target.row);
    }
}

}  // namespace mien::camera
