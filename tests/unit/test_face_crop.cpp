// SPDX-License-Identifier: MIT
// Are faces cut out where they are, as large as they are, and upright where that is asked for?
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "host/draw/face_crop.h"

using namespace mien;
using namespace mien::host;

namespace {

// Red grows to the right, green downwards.
std::vector<std::uint8_t> slope_image(int width, int height) {
    std::vector<std::uint8_t> rgb;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (const int value : {2 * x, 2 * y, 9})
                rgb.push_back(static_cast<std::uint8_t>(value));
    return rgb;
}

int crop_value(const Image& image, int x, int y, int c) {
    return image.pixels[image.row_bytes() * static_cast<std::size_t>(y) +
                        static_cast<std::size_t>(3 * x + c)];
}

}  // namespace

TEST_CASE("face crops: the box with a margin, clipped") {
    const auto rgb = slope_image(100, 80);
    const Frame frame = {rgb.data(), 100, 80, 300, PixelFormat::rgb24};
    FaceReport face;
    face.box = {10, 20, 30, 40};
    const auto plain = crop_face(frame, face, {});
    REQUIRE(plain);
    CHECK(plain->width == 30);
    CHECK(plain->height == 40);
    for (const int x : {0, 7, 29}) {
        CHECK(crop_value(*plain, x, 39, 0) == 2 * (10 + x));
        CHECK(crop_value(*plain, x, 39, 1) == 2 * 59);
    }
    const auto wide = crop_face(frame, face, {.margin = 0.5f});
    REQUIRE(wide);
    CHECK(wide->width == 55);   // from -5, which is outside, to 55
    CHECK(wide->height == 80);  // from 0 to 80
    CHECK(crop_value(*wide, 0, 0, 0) == 0);
    // Without landmarks nothing is turned.
    const auto same = crop_face(frame, face, {.aligned = true});
    REQUIRE(same);
    CHECK(same->width == 30);
    face.box = {200, 20, 30, 40};
    CHECK_FALSE(crop_face(frame, face, {}));
}

TEST_CASE("face crops: aligned by the landmarks") {
    const auto rgb = slope_image(100, 100);
    const Frame frame = {rgb.data(), 100, 100, 300, PixelFormat::rgb24};
    for (const double degrees : {0.0, 30.0, -90.0, 180.0}) {
        CAPTURE(degrees);
        const double r = degrees / 180 * std::numbers::pi;
        // Of an upright face about (50, 50): eyes, nose, corners of the mouth.
        FaceReport face;
        face.box = {35, 30, 30, 40};
        for (const auto& [x, y] :
             {std::pair{-10.0, -10.0}, {10.0, -10.0}, {0.0, 0.0}, {-8.0, 10.0}, {8.0, 10.0}})
            face.landmarks.push_back({static_cast<float>(50 + x * std::cos(r) - y * std::sin(r)),
                                      static_cast<float>(50 + x * std::sin(r) + y * std::cos(r))});
        const TurnedRect area = face_area(face, {.aligned = true}, 100, 100);
        CHECK(area.rect == Rect{30, 30, 40, 40});
        CHECK(std::abs(std::remainder(static_cast<double>(area.degrees) - degrees, 360)) < 0.01);
        const auto crop = crop_face(frame, face, {.aligned = true});
        REQUIRE(crop);
        CHECK(crop->width == 40);
        // The place of the eye on the left is at (10, 10) of the crop.
        CHECK(std::abs(crop_value(*crop, 10, 10, 0) -
                       2 * static_cast<double>(face.landmarks[0].x)) < 3);
        CHECK(std::abs(crop_value(*crop, 10, 10, 1) -
                       2 * static_cast<double>(face.landmarks[0].y)) < 3);
    }
    // Beyond the image its border is repeated.
    FaceReport face;
    face.box = {-10, -10, 30, 30};
    face.landmarks = {{2, 2}, {8, 2}, {5, 5}, {2, 8}, {8, 8}};
    const auto edge = crop_face(frame, face, {.aligned = true, .margin = 0.5f});
    REQUIRE(edge);
    CHECK(edge->width == 60);
    CHECK(crop_value(*edge, 0, 0, 0) == 0);
    CHECK(crop_value(*edge, 0, 0, 2) == 9);
}
