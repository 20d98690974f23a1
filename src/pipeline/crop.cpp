// SPDX-License-Identifier: MIT
#include "pipeline/crop.h"

#include "base/geometry.h"

namespace mien {

Rect crop_rect(const Rect& box, float margin_x, float margin_y, int frame_width,
               int frame_height) noexcept {
    return clamped(box, frame_width, frame_height, margin_x, margin_y);
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
