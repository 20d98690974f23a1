// SPDX-License-Identifier: MIT
// Draws results into an image: boxes and labels, anti-aliased, never outside the image. Layout
// (where a label goes) is separate from painting, so that it can be tested without pixels.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/codec/image_file.h"
#include "host/results/report.h"

namespace mien::host {

struct Color {
    std::uint8_t r = 0, g = 0, b = 0;
    friend bool operator==(const Color&, const Color&) = default;
};

// Borrowed RGB pixels to paint on.
struct Canvas {
    std::uint8_t* pixels = nullptr;
    int width = 0, height = 0;
    std::ptrdiff_t stride_bytes = 0;
};

inline Canvas canvas_of(Image& image) {
    return {image.pixels.get(), image.width, image.height,
            static_cast<std::ptrdiff_t>(image.row_bytes())};
}

// By gender: woman blue, man red. By emotion: probability times the color of the emotion. Green
// where the answer is unsure.
enum class Style { gender, emotion };
Color box_color(const FaceReport& face, const EngineInfo& info, Style style);

// Pixels that a text of capital height `size` needs, with its edge.
struct TextSize {
    int width = 0, height = 0;
};
TextSize text_size(std::string_view text, float size);

// Paints `text` so that its ink and edge fill the rectangle (left, top, text_size()). Clipped at
// the borders. Without the edge, which keeps its room, where the ground has contrast already.
enum class Edge { drawn, blank };
void draw_text(const Canvas& canvas, int left, int top, std::string_view text, float size,
               Color color, Edge edge = Edge::drawn);

// Frame around the pixels of `box`: `thickness` inwards, and a thin contrasting line outside.
// Clipped at the borders.
void draw_box(const Canvas& canvas, const Rect& box, int thickness, Color color);

// The lines of one box and their position: `area` holds all lines, top to bottom, left aligned.
struct Label {
    std::vector<std::string> lines;
    float size = 0;  // height of a capital, pixels
    Rect area;
    bool tag = false;  // of a crowd: on a ground of the box's color
    // A line joins a label that had to be put away from its box.
    bool led = false;
    Point from, to;  // of that line: at the label, at the box
};

// One label per face (no lines: nothing to write, or no room): inside the image, clear of other
// labels and of boxes as far as there is room. Labels have a line per head, as answer_line(); in a
// crowd, where those would not all be clear, they are tags with the number of the face, from 1 in
// the order of `faces`, and its expression, or the number alone.
std::vector<Label> place_labels(int width, int height, std::span<const FaceReport> faces,
                                const EngineInfo& info);

// A dot of that radius around a point, with a thin contrasting line. Clipped at the borders.
void draw_dot(const Canvas& canvas, Point center, float radius, Color color);

// A line with round ends and a thin contrasting edge. Clipped at the borders.
void draw_line(const Canvas& canvas, Point a, Point b, float width, Color color);

// Everything: boxes, then landmarks if asked for, then labels.
void annotate(const Canvas& canvas, std::span<const FaceReport> faces, const EngineInfo& info,
              Style style, bool landmarks = false);

}  // namespace mien::host
