// SPDX-License-Identifier: MIT
#include "pictures.h"

#include <algorithm>
#include <cmath>

#include "harness.h"
#include "host/codec/image_file.h"
#include "image/gray.h"

namespace mien::bench {
namespace {

class Random {
public:
    std::uint32_t next() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<std::uint32_t>(state_ >> 33);
    }
    int below(int n) { return static_cast<int>(next() % static_cast<std::uint32_t>(n)); }
    double unit() { return next() / 2147483648.0; }

private:
    std::uint64_t state_ = 42;
};

std::uint8_t byte(int v) { return static_cast<std::uint8_t>(std::clamp(v, 0, 255)); }

// A disc with a shade across it.
void draw_disc(Picture& picture, Random& random, double radius) {
    const int cx = random.below(picture.width), cy = random.below(picture.height),
              r = static_cast<int>(radius);
    const int colour[3] = {random.below(200) + 20, random.below(40) - 20, random.below(40) - 20};
    const int shade_x = random.below(61) - 30, shade_y = random.below(61) - 30;
    for (int y = std::max(cy - r, 0); y <= std::min(cy + r, picture.height - 1); ++y) {
        const int half =
            static_cast<int>(std::sqrt(radius * radius - static_cast<double>((y - cy) * (y - cy))));
        for (int x = std::max(cx - half, 0); x <= std::min(cx + half, picture.width - 1); ++x) {
            const int value = colour[0] + (shade_x * (x - cx) + shade_y * (y - cy)) / (r + 1);
            std::uint8_t* p =
                &picture
                     .rgb[(static_cast<std::size_t>(y) * static_cast<std::size_t>(picture.width) +
                           static_cast<std::size_t>(x)) *
                          3];
            p[0] = byte(value + colour[1]);
            p[1] = byte(value);
            p[2] = byte(value + colour[2]);
        }
    }
}

// Lens and sensor: every pixel with its right and lower neighbor averaged, and grain.
void soften(Picture& picture, Random& random) {
    const std::size_t row = static_cast<std::size_t>(picture.width) * 3;
    for (std::size_t y = 0; y < static_cast<std::size_t>(picture.height); ++y) {
        std::uint8_t* p = &picture.rgb[y * row];
        const std::size_t down = y + 1 < static_cast<std::size_t>(picture.height) ? row : 0;
        int grain = 0;
        for (std::size_t i = 0; i < row; ++i) {
            const std::size_t right = i + 3 < row ? 3 : 0;
            if (i % 3 == 0) grain = random.below(7) - 3;
            p[i] = byte((p[i] + p[i + right] + p[i + down] + p[i + down + right] + 2) / 4 + grain);
        }
    }
}

// A face with its surroundings.
Picture face_patch(const std::string& photo) {
    const Picture picture = read_picture(std::string(MIEN_BENCH_PHOTOS) + "/" + photo);
    Config config;
    config.max_width = picture.width;
    config.max_height = picture.height;
    OwnedEngine owned(config, &default_cascade(), nullptr, nullptr);
    std::span<const Face> faces;
    need(owned.engine.detect(picture.frame(), faces), "detect");
    if (faces.empty()) fail(photo + ": no face found");
    const Face& face =
        *std::max_element(faces.begin(), faces.end(),
                          [](const Face& a, const Face& b) { return a.neighbors < b.neighbors; });
    const int margin = face.box.width / 3;
    const int left = std::max(face.box.x - margin, 0), top = std::max(face.box.y - margin, 0);
    const int right = std::min(face.box.x + face.box.width + margin, picture.width);
    const int bottom = std::min(face.box.y + face.box.height + margin, picture.height);
    Picture out{right - left, bottom - top, {}, photo};
    for (int y = top; y < bottom; ++y) {
        const std::uint8_t* p =
            &picture.rgb[(static_cast<std::size_t>(y) * static_cast<std::size_t>(picture.width) +
                          static_cast<std::size_t>(left)) *
                         3];
        out.rgb.insert(out.rgb.end(), p, p + static_cast<std::ptrdiff_t>(out.width) * 3);
    }
    return out;
}

void paste(Picture& picture, const Picture& patch, int left, int top) {
    for (int y = 0; y < patch.height; ++y) {
        const auto* from =
            &patch.rgb[static_cast<std::size_t>(y) * static_cast<std::size_t>(patch.width) * 3];
        std::copy(
            from, from + static_cast<std::ptrdiff_t>(patch.width) * 3,
            &picture
                 .rgb[(static_cast<std::size_t>(top + y) * static_cast<std::size_t>(picture.width) +
                       static_cast<std::size_t>(left)) *
                      3]);
    }
}

}  // namespace

Picture generated_picture(int width, int height, int faces, int face_size) {
    Picture picture{
        width, height,
        std::vector<std::uint8_t>(
            static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3, 128),
        format("generated %dx%d", width, height)};
    Random random;
    // Radii with density r^-3: the same number of edges at every scale. Discs cover the frame three
    // times over.
    const double smallest = 3, largest = std::max(4.0, std::min(width, height) / 3.0),
                 ratio = 1 - smallest * smallest / (largest * largest);
    const double total = 3.0 * width * height;
    for (double covered = 0; covered < total;) {
        const double radius = smallest / std::sqrt(1 - random.unit() * ratio);
        draw_disc(picture, random, radius);
        covered += 3.14159 * radius * radius;
    }
    soften(picture, random);
    if (faces > 0) {
        static const Picture patches[] = {face_patch("astronaut.jpg"),
                                          face_patch("grace_hopper.jpg")};
        const int cell = face_size * 5 / 3 + 4;
        const int columns = std::max(width / cell, 1), rows = std::max(height / cell, 1);
        const int count = std::min(faces, columns * rows);
        for (int i = 0; i < count; ++i) {
            const Picture& patch = patches[i % 2];
            const int w = face_size * 5 / 3, h = w * patch.height / patch.width;
            // spread over the grid
            const int place = static_cast<int>(std::int64_t{i} * columns * rows / count);
            const int left = place % columns * width / columns,
                      top = place / columns * height / rows;
            if (left + w <= width && top + h <= height)
                paste(picture, scaled(patch, w, h), left, top);
        }
    }
    return picture;
}

Picture read_picture(const std::string& path) {
    const host::ImageLimits limits;
    const auto bytes = host::read_file(path, limits.max_file_bytes);
    if (!bytes) fail(path + ": " + bytes.error().text);
    const auto decoded = host::decode_image(*bytes, limits);
    if (!decoded) fail(path + ": " + decoded.error().text);
    const host::Image& image = decoded->image;
    const std::size_t size = image.row_bytes() * static_cast<std::size_t>(image.height);
    return {image.width,
            image.height,
            {image.pixels.get(), image.pixels.get() + size},
            path.substr(path.find_last_of('/') + 1)};
}

// Shrinks by averaging boxes, enlarges by repeating: no filter of the library under test.
Picture scaled(const Picture& picture, int width, int height) {
    Picture out{width, height,
                std::vector<std::uint8_t>(static_cast<std::size_t>(width) *
                                          static_cast<std::size_t>(height) * 3),
                picture.name};
    const auto edge = [](int i, int from, int to) {
        return static_cast<int>(std::int64_t{i} * from / to);
    };
    std::uint8_t* q = out.rgb.data();
    for (int y = 0; y < height; ++y) {
        const int top = edge(y, picture.height, height),
                  bottom = std::max(edge(y + 1, picture.height, height), top + 1);
        for (int x = 0; x < width; ++x) {
            const int left = edge(x, picture.width, width),
                      right = std::max(edge(x + 1, picture.width, width), left + 1);
            for (int c = 0; c < 3; ++c) {
                int sum = 0;
                for (int v = top; v < bottom; ++v)
                    for (int u = left; u < right; ++u)
                        sum += picture.rgb[(static_cast<std::size_t>(v) *
                                                static_cast<std::size_t>(picture.width) +
                                            static_cast<std::size_t>(u)) *
                                               3 +
                                           static_cast<std::size_t>(c)];
                *q++ = static_cast<std::uint8_t>(sum / ((bottom - top) * (right - left)));
            }
        }
    }
    return out;
}

std::vector<std::uint8_t> gray_of(const Picture& picture) {
    return converted(picture, PixelFormat::gray8);
}

std::vector<std::uint8_t> converted(const Picture& picture, PixelFormat format) {
    const std::size_t pixels =
        static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height);
    std::vector<std::uint8_t> out(pixels * static_cast<std::size_t>(bytes_per_pixel(format)), 255);
    if (format == PixelFormat::gray8) {
        for (std::size_t i = 0; i < pixels; ++i) {
            const std::uint8_t* p = &picture.rgb[i * 3];
            out[i] =
                static_cast<std::uint8_t>((9798 * p[0] + 19235 * p[1] + 3735 * p[2] + 16384) >> 15);
        }
        return out;
    }
    const ChannelOrder order = channel_order(format);
    const int places[3] = {order.red, order.green, order.blue};
    for (std::size_t i = 0; i < pixels; ++i)
        for (std::size_t c = 0; c < 3; ++c)
            out[i * static_cast<std::size_t>(bytes_per_pixel(format)) +
                static_cast<std::size_t>(places[c])] = picture.rgb[i * 3 + c];
    return out;
}

}  // namespace mien::bench
