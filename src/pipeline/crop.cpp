// SPDX-License-Identifier: MIT
#include "pipeline/crop.h"

#include <algorithm>
#include <cmath>

#include "image/gray.h"

namespace mien {

Rect crop_rect(const Rect& box, float margin_x, float margin_y, int frame_width, int frame_height) noexcept {
    // Coordinates are bounded before the arithmetic, so that a wild box from a caller cannot overflow it.
    static constexpr int limit = 1 << 26;
    const auto bounded = [](int v) { return std::clamp(v, -limit, limit); };
    const int x = bounded(box.x), y = bounded(box.y), width = bounded(box.width), height = bounded(box.height);
    if (width <= 0 || height <= 0) return {};
    const int dx = static_cast<int>(std::lrint(static_cast<float>(width) * margin_x));
    const int dy = static_cast<int>(std::lrint(static_cast<float>(height) * margin_y));
    const int x0 = std::max(x - dx, 0), y0 = std::max(y - dy, 0);
    const int x1 = std::min(x + width + dx, frame_width), y1 = std::min(y + height + dy, frame_height);
    if (x1 <= x0 || y1 <= y0) return {};
    return {x0, y0, x1 - x0, y1 - y0};
}

void cut_crop(const Frame& frame, const std::uint8_t* gray, std::ptrdiff_t gray_stride, const Rect& rect, const Model& model,
              LinearTap* taps, std::uint8_t* pixels) noexcept {
    const int width = model.input_width(), height = model.input_height();
    if (model.input_channels() == 1) {
        const int only[1] = {0};
        resize_linear({gray + rect.y * gray_stride + rect.x, gray_stride, rect.width, rect.height, 1}, only, 1, width, height, taps, pixels);
        return;
    }
    const int pixel_bytes = bytes_per_pixel(frame.format);
    const ChannelOrder order = channel_order(frame.format);
    const int rgb[3] = {order.red, order.green, order.blue};
    const std::uint8_t* data = frame.data + rect.y * frame.stride_bytes + std::ptrdiff_t{rect.x} * pixel_bytes;
    resize_linear({data, frame.stride_bytes, rect.width, rect.height, pixel_bytes}, rgb, 3, width, height, taps, pixels);
}

}  // namespace mien
