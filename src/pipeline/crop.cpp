// SPDX-License-Identifier: MIT
#include "pipeline/crop.h"

#include <algorithm>
#include <cmath>

#include "base/geometry.h"
#include "image/readers.h"
#include "nn/model_file.h"

namespace mien {

Rect crop_rect(const Rect& box, float margin_x, float margin_y, int frame_width,
               int frame_height) noexcept {
    return clamped(box, frame_width, frame_height, margin_x, margin_y);
}

Rect Model::crop_of(const Rect& face, int frame_width, int frame_height) const noexcept {
    return crop_rect(face, margin_x_, margin_y_, frame_width, frame_height);
}

TurnedRect Model::crop_of(const Rect& face, std::span<const Point> landmarks, const Model* detector,
                          int frame_width, int frame_height) const noexcept {
    Similarity square;
    if (detector == nullptr || !detector->finds_faces() ||
        !fit_square(*detector, landmarks, square))
        return {crop_of(face, frame_width, frame_height), 0};
    const auto pixel = [](double v) {
        return static_cast<int>(std::floor(std::clamp(v, -0x1p26, 0x1p26) + 0.5));
    };
    const double side = std::hypot(square.a, square.b),
                 width = side * (1 + 2 * static_cast<double>(margin_x_)),
                 height = side * (1 + 2 * static_cast<double>(margin_y_));
    constexpr double degrees_per_radian = 57.29577951308232;
    return {{pixel(square.x - width / 2), pixel(square.y - height / 2), std::max(pixel(width), 1),
             std::max(pixel(height), 1)},
            static_cast<float>(std::atan2(square.b, square.a) * degrees_per_radian)};
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

// The similarity of least squared error, as docs/DETECTOR.md writes it.
bool fit_square(const Model& detector, std::span<const Point> landmarks,
                Similarity& square) noexcept {
    constexpr int count = ModelAccess::landmarks;
    if (landmarks.size() != count) return false;
    const ModelAccess access{detector};
    double tx = 0, ty = 0, lx = 0, ly = 0;
    for (int k = 0; k < count; ++k) {
        const Point t = access.crop_landmark(k), l = landmarks[static_cast<std::size_t>(k)];
        tx += static_cast<double>(t.x);
        ty += static_cast<double>(t.y);
        lx += static_cast<double>(l.x);
        ly += static_cast<double>(l.y);
    }
    tx /= count;
    ty /= count;
    lx /= count;
    ly /= count;
    double n = 0, a = 0, b = 0;
    for (int k = 0; k < count; ++k) {
        const Point from = access.crop_landmark(k), to = landmarks[static_cast<std::size_t>(k)];
        const double dx = static_cast<double>(from.x) - tx, dy = static_cast<double>(from.y) - ty,
                     ex = static_cast<double>(to.x) - lx, ey = static_cast<double>(to.y) - ly;
        n += dx * dx + dy * dy;
        a += dx * ex + dy * ey;
        b += dx * ey - dy * ex;
    }
    a /= n;
    b /= n;
    square = {a, b, lx - (a * tx - b * ty), ly - (b * tx + a * ty)};
    return (a != 0 || b != 0) && std::isfinite(a) && std::isfinite(b) && std::isfinite(square.x) &&
           std::isfinite(square.y);
}

namespace {

// A coordinate in pixels, in 16.16 fixed point.
std::int64_t fixed(double pixel) noexcept {
    return static_cast<std::int64_t>(
        std::floor(std::clamp(pixel, -0x1p30, 0x1p30) * 65536.0 + 0.5));
}

// Pixels at k and k + 1, inside of a side, and the weight of the second out of 2048.
struct Taps {
    int first, second, weight;
    Taps(std::int64_t at, int side) noexcept {
        const std::int64_t k = at >> 16, last = side - 1;
        first = static_cast<int>(std::clamp<std::int64_t>(k, 0, last));
        second = static_cast<int>(std::clamp<std::int64_t>(k + 1, 0, last));
        weight = static_cast<int>((at & 65535) >> 5);
    }
};

}  // namespace

void cut_square(const Frame& frame, GrayView gray, const Similarity& square, float margin_x,
                float margin_y, const Model& model, std::uint8_t* pixels) noexcept {
    const int width = model.input_width(), height = model.input_height();
    const double wide = 1.0 + 2.0 * static_cast<double>(margin_x),
                 high = 1.0 + 2.0 * static_cast<double>(margin_y), step_u = wide / width,
                 step_v = high / height, u = (0.5 / width - 0.5) * wide,
                 v = (0.5 / height - 0.5) * high, a = square.a, b = square.b;
    const std::int64_t x0 = fixed(square.x + (a * u - b * v) - 0.5),
                       y0 = fixed(square.y + (b * u + a * v) - 0.5), x_of_i = fixed(a * step_u),
                       y_of_i = fixed(b * step_u), x_of_j = fixed(-(b * step_v)),
                       y_of_j = fixed(a * step_v);
    const bool in_gray = model.input_channels() == 1;
    const Frame gray_frame = {gray.data, frame.width, frame.height, gray.stride_bytes,
                              PixelFormat::gray8};
    with_reader(
        in_gray ? gray_frame : frame, bounds(frame), model.input_channels(),
        [&](const auto& reader) {
            constexpr int channels = std::remove_cvref_t<decltype(reader)>::channels;
            for (int j = 0; j < height; ++j)
                for (int i = 0; i < width; ++i) {
                    const Taps x(x0 + i * x_of_i + j * x_of_j, frame.width),
                        y(y0 + i * y_of_i + j * y_of_j, frame.height);
                    const auto upper = reader.row(y.first), lower = reader.row(y.second);
                    std::uint8_t p[4][channels];
                    upper.read(x.first, p[0]);
                    upper.read(x.second, p[1]);
                    lower.read(x.first, p[2]);
                    lower.read(x.second, p[3]);
                    for (int c = 0; c < channels; ++c) {
                        const int top = p[0][c] * (2048 - x.weight) + p[1][c] * x.weight,
                                  bottom = p[2][c] * (2048 - x.weight) + p[3][c] * x.weight;
                        *pixels++ = static_cast<std::uint8_t>(
                            (top * (2048 - y.weight) + bottom * y.weight + (1 << 21)) >> 22);
                    }
                }
        });
}

}  // namespace mien
