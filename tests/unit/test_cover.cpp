// SPDX-License-Identifier: MIT
// Covered faces: nothing of them is left but a few means, and nothing else changes.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <set>
#include <vector>

#include "host/draw/cover.h"

namespace mien::host {
namespace {

constexpr int canvas_width = 90, canvas_height = 70, canvas_stride = 3 * canvas_width + 7;

std::vector<std::uint8_t> noise_to_cover() {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(canvas_stride) * canvas_height);
    std::uint32_t state = 1;
    for (std::uint8_t& v : pixels) {
        state = state * 1664525 + 1013904223;
        v = static_cast<std::uint8_t>(state >> 24);
    }
    return pixels;
}

std::vector<std::uint8_t> noise_covered(std::vector<std::uint8_t> pixels, const Rect& box,
                                        Cover cover) {
    FaceReport face;
    face.box = box;
    cover_faces({pixels.data(), canvas_width, canvas_height, canvas_stride}, {&face, 1}, cover);
    return pixels;
}

// Is a pixel inside the ellipse by its middle?
bool inside_ellipse(const Rect& area, int x, int y) {
    const double u = (x + 0.5 - area.x) / area.width - 0.5;
    const double v = (y + 0.5 - area.y) / area.height - 0.5;
    return u * u + v * v < 0.2499;
}

TEST_CASE("a covered area is around box and landmarks") {
    FaceReport face;
    face.box = {20, 10, 40, 60};
    Rect area = covered_area(face);
    CHECK(area.x == 10);
    CHECK(area.y == -5);
    CHECK(area.width == 60);
    CHECK(area.height == 90);
    face.landmarks = {{8.0F, 30}, {70, 30}, {40, 40}, {30, 60}, {50, 60}};
    area = covered_area(face);
    CHECK(area.x < 8);
    CHECK(area.x + area.width > 70);
}

TEST_CASE("covering changes the ellipse and nothing else") {
    const std::vector<std::uint8_t> before = noise_to_cover();
    for (const Rect& box : {Rect{30, 20, 24, 30}, Rect{-10, -10, 30, 30}, Rect{70, 50, 40, 40},
                            Rect{5, 5, 1, 1}, Rect{0, 0, canvas_width, canvas_height}}) {
        FaceReport face;
        face.box = box;
        const Rect area = covered_area(face);
        for (const Cover cover : {Cover::blur, Cover::fill}) {
            const std::vector<std::uint8_t> after = noise_covered(before, box, cover);
            bool outside_is_same = true, inside_is_gray = true;
            for (int y = 0; y < canvas_height; ++y) {
                for (int x = 0; x < canvas_stride; ++x) {
                    const auto at = static_cast<std::size_t>(y * canvas_stride + x);
                    const bool in_row = x < 3 * canvas_width;
                    const int column = x / 3;
                    const bool near = in_row && column >= area.x && column < area.x + area.width &&
                                      y >= area.y && y < area.y + area.height;
                    if (!near && after[at] != before[at]) outside_is_same = false;
                    if (near && inside_ellipse(area, column, y) && cover == Cover::fill &&
                        after[at] != 128)
                        inside_is_gray = false;
                }
            }
            CHECK(outside_is_same);
            CHECK(inside_is_gray);
        }
    }
}

TEST_CASE("a blurred face keeps its colors and nothing of its detail") {
    const Rect box = {30, 20, 24, 30};
    FaceReport face;
    face.box = box;
    const Rect area = covered_area(face);
    // Noise has much detail: neighbors differ by 85 on average. What is left changes slowly.
    const std::vector<std::uint8_t> after = noise_covered(noise_to_cover(), box, Cover::blur);
    for (int y = area.y; y < area.y + area.height; ++y)
        for (int x = area.x; x + 1 < area.x + area.width; ++x) {
            if (!inside_ellipse(area, x, y) || !inside_ellipse(area, x + 1, y)) continue;
            const auto at = static_cast<std::size_t>(y * canvas_stride + 3 * x);
            CHECK(std::abs(after[at] - after[at + 3]) < 25);
        }
    // Two faces that differ in one pixel only, inside, differ by a share of it.
    std::vector<std::uint8_t> other = noise_to_cover();
    const auto middle = static_cast<std::size_t>((box.y + 15) * canvas_stride + 3 * (box.x + 12));
    other[middle] = static_cast<std::uint8_t>(other[middle] ^ 0x80);
    const std::vector<std::uint8_t> changed = noise_covered(other, box, Cover::blur);
    for (int y = area.y; y < area.y + area.height; ++y)
        for (int x = area.x; x < area.x + area.width; ++x) {
            const auto at = static_cast<std::size_t>(y * canvas_stride + 3 * x);
            if (inside_ellipse(area, x, y)) CHECK(std::abs(after[at] - changed[at]) <= 5);
        }
    // A plain face stays as it is.
    const std::vector<std::uint8_t> plain(noise_to_cover().size(), 77);
    CHECK(noise_covered(plain, box, Cover::blur) == plain);
}

}  // namespace
}  // namespace mien::host
