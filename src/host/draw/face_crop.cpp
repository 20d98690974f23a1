// SPDX-License-Identifier: MIT
#include "host/draw/face_crop.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "host/draw/turned.h"

namespace mien::host {
namespace {

Result<Image> image_of_area(const Rect& rect) {
    Image image;
    image.width = rect.width;
    image.height = rect.height;
    if (rect.width < 1 || rect.height < 1) return Error::internal("a face without pixels");
    image.pixels = new_pixels(image.row_bytes() * static_cast<std::size_t>(rect.height));
    if (!image.pixels) return Error::memory("not enough memory for a face");
    return image;
}

Rect around(double x, double y, double width, double height) {
    const int w = static_cast<int>(std::lround(width)), h = static_cast<int>(std::lround(height));
    return {static_cast<int>(std::lround(x - w / 2.0)), static_cast<int>(std::lround(y - h / 2.0)),
            w, h};
}

// At a place between pixels, whose first has its middle at (0.5, 0.5).
void sample(const Frame& frame, Turned::Place place, std::uint8_t* out) {
    const double x = std::clamp(place.x - 0.5, 0.0, frame.width - 1.0),
                 y = std::clamp(place.y - 0.5, 0.0, frame.height - 1.0);
    const int left = static_cast<int>(x), top = static_cast<int>(y);
    const int right = std::min(left + 1, frame.width - 1),
              bottom = std::min(top + 1, frame.height - 1);
    const double u = x - left, v = y - top;
    const std::uint8_t* const upper = frame.data + top * frame.stride_bytes;
    const std::uint8_t* const lower = frame.data + bottom * frame.stride_bytes;
    for (int c = 0; c < 3; ++c) {
        const double a = upper[3 * left + c] * (1 - u) + upper[3 * right + c] * u;
        const double b = lower[3 * left + c] * (1 - u) + lower[3 * right + c] * u;
        out[c] = static_cast<std::uint8_t>(std::lround(a * (1 - v) + b * v));
    }
}

}  // namespace

TurnedRect face_area(const FaceReport& face, const CropStyle& style, int width, int height) {
    const Rect& box = face.box;
    const double grown = 1 + 2.0 * static_cast<double>(style.margin);
    if (style.aligned && face.landmarks.size() == 5) {
        const auto& p = face.landmarks;
        const auto middle = [&p](std::size_t a, std::size_t b) {
            return Turned::Place{(static_cast<double>(p[a].x) + static_cast<double>(p[b].x)) / 2,
                                 (static_cast<double>(p[a].y) + static_cast<double>(p[b].y)) / 2};
        };
        const Turned::Place eyes = middle(0, 1), mouth = middle(3, 4);
        // Across the eyes, and from eyes to mouth turned by a quarter: both point to the right of an
        // upright face, and one makes up for the errors of the other.
        const double x = static_cast<double>(p[1].x) - static_cast<double>(p[0].x) +
                         (mouth.y - eyes.y),
                     y = static_cast<double>(p[1].y) - static_cast<double>(p[0].y) -
                         (mouth.x - eyes.x);
        const double side = std::max(box.width, box.height) * grown;
        return {around((eyes.x + mouth.x) / 2, (eyes.y + mouth.y) / 2, side, side),
                static_cast<float>(std::atan2(y, x) * 180 / std::numbers::pi)};
    }
    const Rect area = around(box.x + box.width / 2.0, box.y + box.height / 2.0, box.width * grown,
                             box.height * grown);
    const int left = std::max(area.x, 0), top = std::max(area.y, 0);
    return {{left, top, std::min(area.x + area.width, width) - left,
             std::min(area.y + area.height, height) - top},
            0};
}

Result<Image> crop_face(const Frame& frame, const FaceReport& face, const CropStyle& style) {
    const TurnedRect area = face_area(face, style, frame.width, frame.height);
    Result<Image> crop = image_of_area(area.rect);
    if (!crop) return crop;
    std::uint8_t* out = crop->pixels.get();
    const bool inside = area.rect.x >= 0 && area.rect.y >= 0 &&
                        area.rect.x + area.rect.width <= frame.width &&
                        area.rect.y + area.rect.height <= frame.height;
    if (area.degrees == 0 && inside) {
        for (int y = 0; y < crop->height; ++y, out += crop->row_bytes())
            std::memcpy(out,
                        frame.data + (area.rect.y + y) * frame.stride_bytes +
                            std::ptrdiff_t{3} * area.rect.x,
                        crop->row_bytes());
        return crop;
    }
    const Turned turned(area);
    for (int y = 0; y < crop->height; ++y)
        for (int x = 0; x < crop->width; ++x, out += 3)
            sample(frame, turned.to_image(x + 0.5, y + 0.5), out);
    return crop;
}

}  // namespace mien::host
