// SPDX-License-Identifier: MIT
#include "pipeline/crop.h"

#include <algorithm>
#include <cmath>

namespace mien {

Rect crop_rect(const Rect& box, float margin_x, float margin_y, int frame_width,
               int frame_height) noexcept {
    // Coordinates are bounded before the arithmetic, so that a wild box from a caller cannot
    // overflow it.
    static constexpr int limit = 1 << 26;
    const auto bounded = [](int v) { return std::clamp(v, -limit, limit); };
    const int x = bounded(box.x), y = bounded(box.y), width = bounded(box.width),
              height = bounded(box.height);
    if (width <= 0 || height <= 0) return {};
    const int dx = static_cast<int>(std::lrint(static_cast<float>(width) * margin_x));
    const int dy = static_cast<int>(std::lrint(static_cast<float>(height) * margin_y));
    const int x0 = std::max(x - dx, 0), y0 = std::max(y - dy, 0);
    const int x1 = std::min(x + width + dx, frame_width),
              y1 = std::min(y + height + dy, frame_height);
    if (x1 <= x0 || y1 <= y0) return {};
    return {x0, y0, x1 - x0, y1 - y0};
}

Rect Model::crop_of(const Rect& face, int frame_width, int frame_height) const noexcept {
    return crop_rect(face, margin_x_, margin_y_, frame_width, frame_height);
}

void cut_crop(const Frame& frame, GrayView gray, const Rect& rect, const Model& model,
              const ImageKernels& kernels, const LinearScratch& scratch,
              std::uint8_t* pixels) noexcept {
    const int width = model.input_width(), height = model.input_height(),
              channels = model.input_channels();
    const Frame gray_frame = {gray.data, frame.width, frame.height, gray.stride_bytes,
                              PixelFormat::gray8};
    resize_linear(channels == 1 ? gray_frame : frame, rect, channels, width, height, kernels,
                  scratch, pixels);
}

}  // namespace mien
