// SPDX-License-Identifier: MIT
// Does drawing stay inside of the image, and do labels stay readable: whole, inside, apart from
// each other?
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "host/draw/draw.h"
#include "host/draw/font.h"

using namespace mien;
using namespace mien::host;

namespace {

EngineInfo info_of_two_heads() {
    EngineInfo info;
    info[Head::emotion] = {"e",
                           {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"}};
    info[Head::gender] = {"g", {"woman", "man"}};
    return info;
}

FaceReport face_at(int x, int y, int side, std::size_t emotion, std::size_t gender) {
    FaceReport face;
    face.box = {x, y, side, side};
    face[Head::emotion].probabilities.assign(7, 0.02f);
    face[Head::emotion].probabilities[emotion] = 0.88f;
    face[Head::gender].probabilities.assign(2, 0.1f);
    face[Head::gender].probabilities[gender] = 0.9f;
    return face;
}

// A canvas in the middle of a larger field of a known value.
struct Guarded {
    static constexpr int border = 40;
    static constexpr std::uint8_t canary = 0xa5;
    int width, height;
    std::vector<std::uint8_t> field;

    Guarded(int w, int h)
        : width(w),
          height(h),
          field(static_cast<std::size_t>((w + 2 * border) * (h + 2 * border) * 3), canary) {}
    std::ptrdiff_t stride() const { return (width + 2 * border) * 3; }
    Canvas canvas() {
        return {field.data() + border * stride() + border * 3, width, height, stride()};
    }
    bool border_untouched() const {
        for (int y = 0; y < height + 2 * border; ++y) {
            for (int x = 0; x < width + 2 * border; ++x) {
                const bool inside =
                    x >= border && x < border + width && y >= border && y < border + height;
                if (inside) continue;
                for (int c = 0; c < 3; ++c) {
                    if (field[static_cast<std::size_t>(y * stride() + x * 3 + c)] != canary)
                        return false;
                }
            }
        }
        return true;
    }
};

bool overlap(const Rect& a, const Rect& b) {
    return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height &&
           b.y < a.y + a.height;
}

}  // namespace

TEST_CASE("nothing is written outside of the canvas") {
    const EngineInfo info = info_of_two_heads();
    for (const auto& size : {std::pair{1, 1}, {5, 90}, {90, 5}, {48, 48}, {200, 120}, {640, 64}}) {
        const int w = size.first, h = size.second;
        CAPTURE(w);
        CAPTURE(h);
        Guarded field(w, h);
        std::vector<FaceReport> faces;
        for (const int side : {1, 10, 24, 60, 300}) {
            for (const auto& [x, y] : {std::pair{0, 0},
                                       {w - 1, h - 1},
                                       {w - side, 0},
                                       {0, h - side},
                                       {-20, -20},
                                       {w / 2, h / 2}}) {
                faces.push_back(face_at(x, y, side, 5, 1));
                faces.back().landmarks = {{static_cast<float>(x), static_cast<float>(y)},
                                          {1e30f, std::nanf("")}};
            }
        }
        for (const Style style : {Style::gender, Style::emotion})
            annotate(field.canvas(), faces, info, style, true);
        draw_text(field.canvas(), -15, -15, "cut at the left top", 20, {255, 255, 0});
        draw_text(field.canvas(), w - 10, h - 10, "cut at the right bottom", 20, {0, 0, 255});
        CHECK(field.border_untouched());
    }
}

TEST_CASE("the ink of a text keeps inside of its size") {
    for (const float size : {5.5f, 8.0f, 12.3f, 31.0f}) {
        for (const char* text : {"surprise 100 %", "gjpqy|()[]{}@", "W", "\xc3\xbc"}) {
            CAPTURE(text);
            const TextSize needed = text_size(text, size);
            Guarded field(needed.width, needed.height);
            draw_text(field.canvas(), 0, 0, text, size, {255, 0, 0});
            CHECK(field.border_untouched());
            // On a much larger canvas exactly the same number of pixels changes: nothing was cut
            // off.
            Guarded large(needed.width + 60, needed.height + 60);
            draw_text(large.canvas(), 30, 30, text, size, {255, 0, 0});
            const auto changed = [](const Guarded& g) {
                return std::count_if(g.field.begin(), g.field.end(),
                                     [](std::uint8_t v) { return v != Guarded::canary; });
            };
            CHECK(changed(field) == changed(large));
            CHECK(changed(field) > 0);
        }
    }
}

TEST_CASE("every printable letter has ink and an advance") {
    for (int c = 33; c < 127; ++c) {
        CHECK_FALSE(glyph(static_cast<char>(c)).strokes.empty());
        CHECK(glyph(static_cast<char>(c)).advance > 10);
    }
    CHECK(glyph(' ').strokes.empty());
    CHECK_FALSE(glyph('\x7f').strokes.empty());
    CHECK_FALSE(glyph('\n').strokes.empty());
}

TEST_CASE("labels lie inside of the image, wherever the box is") {
    const EngineInfo info = info_of_two_heads();
    for (int y = 0; y <= 180; y += 30) {
        for (int x = 0; x <= 260; x += 20) {
            const std::vector<FaceReport> faces = {face_at(x, y, 60, 5, 0)};
            const std::vector<Label> labels = place_labels(320, 240, faces, info);
            REQUIRE(labels.size() == 1);
            REQUIRE(labels[0].lines.size() == 2);
            CHECK(labels[0].lines[0] == "surprise 88 %");
            CHECK(labels[0].lines[1] == "woman 90 %");
            const Rect& a = labels[0].area;
            CHECK(a.x >= 0);
            CHECK(a.y >= 0);
            CHECK(a.x + a.width <= 320);
            CHECK(a.y + a.height <= 240);
            CHECK_FALSE(overlap(a, faces[0].box));
            for (const std::string& line : labels[0].lines)
                CHECK(text_size(line, labels[0].size).width <= a.width);
        }
    }
}

TEST_CASE("labels stand above where there is room") {
    const std::vector<FaceReport> faces = {face_at(100, 120, 60, 3, 1)};
    const std::vector<Label> labels = place_labels(320, 240, faces, info_of_two_heads());
    CHECK(labels[0].area.x == 100);
    CHECK(labels[0].area.y + labels[0].area.height <= 120);
    CHECK(labels[0].area.y + labels[0].area.height > 110);
}

TEST_CASE("labels of neighbors do not cover each other") {
    std::vector<FaceReport> faces;
    for (int i = 0; i < 6; ++i)
        faces.push_back(face_at(20 + i * 42, 80 + i % 3, 40, static_cast<std::size_t>(i), 0));
    const std::vector<Label> labels = place_labels(320, 240, faces, info_of_two_heads());
    for (std::size_t i = 0; i < labels.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(overlap(labels[i].area, labels[j].area));
    }
}

TEST_CASE("in a crowd, tags with numbers cover nothing, and lines join them to their faces") {
    const EngineInfo info = info_of_two_heads();
    // Ten rows that leave room beside and between, but not for two lines at each face.
    std::vector<FaceReport> faces;
    for (int row = 0; row < 6; ++row)
        for (int column = 0; column < 10; ++column)
            faces.push_back(face_at(30 + column * 58 + row % 2 * 20, 40 + row * 70, 26,
                                    static_cast<std::size_t>(column % 7), 0));
    // Two that touch.
    faces.push_back(face_at(560, 440, 26, 1, 1));
    faces.push_back(face_at(586, 440, 26, 6, 1));
    const std::vector<Label> labels = place_labels(640, 480, faces, info);
    int words = 0;
    for (std::size_t i = 0; i < faces.size(); ++i) {
        const Label& label = labels[i];
        CAPTURE(i);
        REQUIRE(label.lines.size() == 1);
        CHECK(label.tag);
        const std::string number = std::to_string(i + 1);
        CHECK(label.lines[0].substr(0, number.size()) == number);
        words += label.lines[0] != number;
        CHECK(label.area.x >= 0);
        CHECK(label.area.y >= 0);
        CHECK(label.area.x + label.area.width <= 640);
        CHECK(label.area.y + label.area.height <= 480);
        for (std::size_t j = 0; j < faces.size(); ++j) {
            CHECK_FALSE(overlap(label.area, faces[j].box));
            if (j != i) CHECK_FALSE(overlap(label.area, labels[j].area));
        }
        const int gap_x = std::max({faces[i].box.x - (label.area.x + label.area.width),
                                    label.area.x - (faces[i].box.x + faces[i].box.width), 0}),
                  gap_y = std::max({faces[i].box.y - (label.area.y + label.area.height),
                                    label.area.y - (faces[i].box.y + faces[i].box.height), 0});
        CHECK(label.led == (std::hypot(gap_x, gap_y) > 0.3 * label.area.height));
    }
    CHECK(words > 40);
    // Tracked faces are tagged with their own numbers.
    for (FaceReport& face : faces) face.number = 900;
    for (const Label& label : place_labels(640, 480, faces, info))
        CHECK(label.lines.at(0).substr(0, 3) == "900");
}

TEST_CASE("a face in a full corner gets its tag elsewhere, with a line to it") {
    const EngineInfo info = info_of_two_heads();
    std::vector<FaceReport> faces;
    for (int row = 0; row < 5; ++row)
        for (int column = 0; column < 5; ++column)
            faces.push_back(face_at(column * 30, row * 30, 30, 3, 1));
    const std::vector<Label> labels = place_labels(400, 300, faces, info);
    int led = 0;
    for (std::size_t i = 0; i < faces.size(); ++i) {
        led += labels[i].led;
        for (const FaceReport& face : faces) CHECK_FALSE(overlap(labels[i].area, face.box));
        if (!labels[i].led) continue;
        const Rect& box = faces[i].box;
        CHECK(labels[i].to.x >= static_cast<float>(box.x));
        CHECK(labels[i].to.x <= static_cast<float>(box.x + box.width));
        CHECK(labels[i].to.y >= static_cast<float>(box.y));
        CHECK(labels[i].to.y <= static_cast<float>(box.y + box.height));
    }
    CHECK(led > 9);
}

TEST_CASE("an image without room for letters has no label") {
    const std::vector<FaceReport> faces = {face_at(2, 2, 26, 5, 0)};
    CHECK(place_labels(30, 30, faces, info_of_two_heads())[0].lines.empty());
}

TEST_CASE("landmarks are drawn where they are, on request") {
    const EngineInfo info = info_of_two_heads();
    FaceReport face = face_at(50, 50, 100, 3, 0);
    face[Head::emotion].probabilities.clear();
    face[Head::gender].probabilities.clear();
    face.landmarks = {{80.5f, 90.5f}, {120.5f, 90.5f}};
    Guarded plain(200, 200), dotted(200, 200);
    annotate(plain.canvas(), {&face, 1}, info, Style::gender);
    annotate(dotted.canvas(), {&face, 1}, info, Style::gender, true);
    const auto green = [](Guarded& g, int x, int y) {
        const Canvas c = g.canvas();
        const std::uint8_t* const p = c.pixels + y * c.stride_bytes + 3 * x;
        return p[0] == 0 && p[1] == 255 && p[2] == 0;
    };
    for (const int x : {80, 120}) {
        CHECK(green(dotted, x, 90));
        CHECK_FALSE(green(plain, x, 90));
    }
    CHECK_FALSE(green(dotted, 100, 90));
}

TEST_CASE("an unsure answer and a quantity in a label") {
    EngineInfo info = info_of_two_heads();
    info[Head::age] = {"a", {"child", "adult"}, true, "years"};
    FaceReport face = face_at(200, 100, 150, 3, 0);
    face[Head::age].probabilities = {0.5f, 0.5f};
    face[Head::age].quantity = {34.2f, 27, 42};
    face[Head::emotion].unsure = true;
    using Lines = std::vector<std::string>;
    const auto lines = [&] { return place_labels(640, 480, {&face, 1}, info)[0].lines; };
    CHECK(lines() == Lines{"unsure 88 %", "woman 90 %", "34 years"});
    // Neither color claims what the answer does not.
    CHECK(box_color(face, info, Style::emotion) == Color{0, 224, 0});
    face[Head::gender].unsure = true;
    CHECK(box_color(face, info, Style::gender) == Color{0, 255, 0});
    CHECK(lines() == Lines{"unsure 88 %", "unsure 90 %", "34 years"});
}

TEST_CASE("colors of the boxes") {
    const EngineInfo info = info_of_two_heads();
    CHECK(box_color(face_at(0, 0, 9, 3, 0), info, Style::gender) == Color{0, 0, 255});
    CHECK(box_color(face_at(0, 0, 9, 3, 1), info, Style::gender) == Color{255, 0, 0});
    // happy, 0.88
    CHECK(box_color(face_at(0, 0, 9, 3, 1), info, Style::emotion) == Color{224, 224, 0});
    CHECK(box_color(face_at(0, 0, 9, 6, 1), info, Style::emotion) == Color{0, 224, 0});
    FaceReport no_gender_head = face_at(0, 0, 9, 0, 0);
    no_gender_head[Head::gender].probabilities.clear();
    CHECK(box_color(no_gender_head, info, Style::gender) == Color{224, 0, 0});
}
