// SPDX-License-Identifier: MIT
#include "host/draw/cover.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace mien::host {
namespace {

constexpr int cells = 6;  // per side
constexpr std::uint8_t gray = 128;

struct Cells {
    std::array<std::array<std::array<float, 3>, cells>, cells> colors{};
    std::array<std::array<int, cells>, cells> counts{};
};

// Means over the parts of `area` that lie in the image; a part outside of it has the nearest color.
Cells cells_of(const Canvas& canvas, const Rect& area, const Rect& seen) {
    Cells result;
    for (int y = seen.y; y < seen.y + seen.height; ++y) {
        const std::uint8_t* row = canvas.pixels + y * canvas.stride_bytes;
        const auto v = static_cast<std::size_t>((y - area.y) * cells / area.height);
        for (int x = seen.x; x < seen.x + seen.width; ++x) {
            const auto u = static_cast<std::size_t>((x - area.x) * cells / area.width);
            for (std::size_t c = 0; c < 3; ++c)
                result.colors[v][u][c] += static_cast<float>(row[3 * x + static_cast<int>(c)]);
            ++result.counts[v][u];
        }
    }
    std::array<float, 3> mean{};
    int total = 0;
    for (std::size_t v = 0; v < cells; ++v)
        for (std::size_t u = 0; u < cells; ++u) {
            total += result.counts[v][u];
            for (std::size_t c = 0; c < 3; ++c) mean[c] += result.colors[v][u][c];
        }
    for (std::size_t v = 0; v < cells; ++v)
        for (std::size_t u = 0; u < cells; ++u)
            for (std::size_t c = 0; c < 3; ++c)
                result.colors[v][u][c] =
                    result.counts[v][u] > 0
                        ? result.colors[v][u][c] / static_cast<float>(result.counts[v][u])
                        : mean[c] / static_cast<float>(std::max(total, 1));
    return result;
}

// Between the middles of the cells, bilinear.
std::uint8_t color_at(const Cells& means, float u, float v, std::size_t c) {
    const auto place = [](float at, std::size_t& low, std::size_t& high) {
        at = std::clamp(at * cells - 0.5F, 0.0F, cells - 1.0F);
        low = static_cast<std::size_t>(at);
        high = std::min<std::size_t>(low + 1, cells - 1);
        return at - static_cast<float>(low);
    };
    std::size_t left = 0, right = 0, top = 0, bottom = 0;
    const float x = place(u, left, right), y = place(v, top, bottom);
    const float above = means.colors[top][left][c] * (1 - x) + means.colors[top][right][c] * x;
    const float below =
        means.colors[bottom][left][c] * (1 - x) + means.colors[bottom][right][c] * x;
    return static_cast<std::uint8_t>(std::lround(above * (1 - y) + below * y));
}

void cover_face(const Canvas& canvas, const Rect& area, Cover cover) {
    const int left = std::max(area.x, 0), top = std::max(area.y, 0);
    const Rect seen = {left, top, std::min(area.x + area.width, canvas.width) - left,
                       std::min(area.y + area.height, canvas.height) - top};
    if (seen.width <= 0 || seen.height <= 0) return;
    const Cells means = cover == Cover::blur ? cells_of(canvas, area, seen) : Cells{};
    for (int y = seen.y; y < seen.y + seen.height; ++y) {
        std::uint8_t* row = canvas.pixels + y * canvas.stride_bytes;
        const float v = (static_cast<float>(y - area.y) + 0.5F) / static_cast<float>(area.height);
        for (int x = seen.x; x < seen.x + seen.width; ++x) {
            const float u =
                (static_cast<float>(x - area.x) + 0.5F) / static_cast<float>(area.width);
            if ((u - 0.5F) * (u - 0.5F) + (v - 0.5F) * (v - 0.5F) > 0.25F) continue;
            for (std::size_t c = 0; c < 3; ++c)
                row[3 * x + static_cast<int>(c)] =
                    cover == Cover::blur ? color_at(means, u, v, c) : gray;
        }
    }
}

}  // namespace

Rect covered_area(const FaceReport& face) {
    float left = static_cast<float>(face.box.x), top = static_cast<float>(face.box.y);
    float right = left + static_cast<float>(face.box.width);
    float bottom = top + static_cast<float>(face.box.height);
    for (const Point& point : face.landmarks) {
        left = std::min(left, point.x);
        right = std::max(right, point.x);
        top = std::min(top, point.y);
        bottom = std::max(bottom, point.y);
    }
    const float wider = (right - left) / 4, higher = (bottom - top) / 4;
    const int x = static_cast<int>(std::floor(left - wider));
    const int y = static_cast<int>(std::floor(top - higher));
    return {x, y, std::max(static_cast<int>(std::ceil(right + wider)) - x, 1),
            std::max(static_cast<int>(std::ceil(bottom + higher)) - y, 1)};
}

void cover_faces(const Canvas& canvas, std::span<const FaceReport> faces, Cover cover) {
    for (const FaceReport& face : faces) cover_face(canvas, covered_area(face), cover);
}

}  // namespace mien::host
