// SPDX-License-Identifier: MIT
// Painting by distance (how far is this pixel from the pen's line?) and the placing of labels (see
// draw.h).
#include "host/draw/draw.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/geometry.h"
#include "host/draw/font.h"

namespace mien::host {
namespace {

// ---- colors ----

struct NamedColor {
    std::string_view label;
    Color color;
};
constexpr NamedColor emotion_colors[] = {{"angry", {255, 0, 0}},
                                         {"sad", {0, 0, 255}},
                                         {"happy", {255, 255, 0}},
                                         {"surprise", {0, 255, 255}}};
constexpr Color other_emotion{0, 255, 0};
constexpr NamedColor gender_colors[] = {{"woman", {0, 0, 255}}, {"man", {255, 0, 0}}};
constexpr Color no_gender{0, 255, 0};

std::string_view best_label(const Reading& reading, const HeadInfo& head) {
    const std::size_t best = reading.best();
    return reading.known() && best < head.labels.size() ? std::string_view(head.labels[best])
                                                        : std::string_view();
}

Color color_of(std::string_view label, std::span<const NamedColor> table, Color otherwise) {
    for (const NamedColor& entry : table) {
        if (entry.label == label) return entry.color;
    }
    return otherwise;
}

float luma(Color c) { return 0.299f * c.r + 0.587f * c.g + 0.114f * c.b; }
// Black or white, whichever stands out: the edge of text and box is readable on any background.
Color contrast_of(Color c) { return luma(c) > 110 ? Color{0, 0, 0} : Color{255, 255, 255}; }

// ---- painting ----

void blend(const Canvas& canvas, int x, int y, Color color, float coverage) {
    std::uint8_t* const pixel = canvas.pixels + canvas.stride_bytes * y + x * 3;
    const std::uint8_t channels[3] = {color.r, color.g, color.b};
    if (coverage >= 1) {
        std::copy_n(channels, 3, pixel);
        return;
    }
    if (coverage <= 0) return;
    for (int c = 0; c < 3; ++c) {
        const auto old = static_cast<float>(pixel[c]);
        pixel[c] = static_cast<std::uint8_t>(
            old + (static_cast<float>(channels[c]) - old) * coverage + 0.5f);
    }
}

void fill_rect(const Canvas& canvas, int left, int top, int right, int bottom, Color color) {
    left = std::max(left, 0);
    top = std::max(top, 0);
    right = std::min(right, canvas.width);
    bottom = std::min(bottom, canvas.height);
    for (int y = top; y < bottom; ++y) {
        for (int x = left; x < right; ++x) blend(canvas, x, y, color, 1);
    }
}

// Ring between the rectangle grown by `outer` and the one grown by `inner` (negative: shrunk).
void fill_ring(const Canvas& canvas, const Rect& box, int outer, int inner, Color color) {
    const int x0 = box.x, y0 = box.y, x1 = box.x + box.width, y1 = box.y + box.height;
    fill_rect(canvas, x0 - outer, y0 - outer, x1 + outer, y0 - inner, color);
    fill_rect(canvas, x0 - outer, y1 + inner, x1 + outer, y1 + outer, color);
    fill_rect(canvas, x0 - outer, y0 - inner, x0 - inner, y1 + inner, color);
    fill_rect(canvas, x1 + inner, y0 - inner, x1 + outer, y1 + inner, color);
}

struct Pen {
    float scale;   // pixels per font unit
    float radius;  // of the ink
    float edge;    // width of the contrasting line around the ink
    float reach() const { return radius + edge; }
};

constexpr float letter_space = 4;  // font units; the edges of neighbors must not touch the ink

// The pen does not get thinner than a readable line, however small the letters.
Pen pen_of(float size) {
    const float scale = size / font_cap_height;
    const float radius = std::max(0.7f, font_pen_width / 2 * scale);
    return {scale, radius, std::max(1.0f, 0.1f * size)};
}

// Squared distance of each pixel of a w x h field to the nearest stroke so far.
class DistanceField {
public:
    DistanceField(int width, int height) : width_(width), height_(height) {
        squared_.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 1e9f);
    }

    void add_segment(FontPoint a, FontPoint b, float reach) {
        const int left = std::max(0, static_cast<int>(std::floor(std::min(a.x, b.x) - reach - 1)));
        const int right =
            std::min(width_ - 1, static_cast<int>(std::ceil(std::max(a.x, b.x) + reach + 1)));
        const int top = std::max(0, static_cast<int>(std::floor(std::min(a.y, b.y) - reach - 1)));
        const int bottom =
            std::min(height_ - 1, static_cast<int>(std::ceil(std::max(a.y, b.y) + reach + 1)));
        const float dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
        const float inverse = length2 > 0 ? 1 / length2 : 0;
        for (int y = top; y <= bottom; ++y) {
            const float py = static_cast<float>(y) + 0.5f - a.y;
            float* const row = squared_.data() + index(0, y);
            for (int x = left; x <= right; ++x) {
                const float px = static_cast<float>(x) + 0.5f - a.x;
                const float along = (px * dx + py * dy) * inverse;
                // clamped to 0..1, in vectors
                const float t = (std::abs(along) - std::abs(along - 1) + 1) * 0.5f;
                const float ex = px - t * dx, ey = py - t * dy;
                row[x] = std::min(row[x], ex * ex + ey * ey);
            }
        }
    }

    float squared(int x, int y) const { return squared_[index(x, y)]; }

private:
    std::size_t index(int x, int y) const {
        return static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
               static_cast<std::size_t>(x);
    }
    int width_, height_;
    std::vector<float> squared_;
};

float text_advance(std::string_view text) {
    std::vector<char> characters;
    to_font_text(text, characters);
    float advance = 0;
    for (const char c : characters) advance += glyph(c).advance + letter_space;
    return advance;
}

// ---- labels ----

constexpr float line_gap = 0.12f;      // between two lines of a label, in capital heights
constexpr float smallest_text = 5.5f;  // below this, letters are illegible

std::string with_percent(std::string_view label, float probability) {
    char number[16];
    std::snprintf(number, sizeof number, " %d %%",
                  static_cast<int>(std::lround(probability * 100)));
    return std::string(label) + number;
}

std::vector<std::string> label_lines(const FaceReport& face, const EngineInfo& info) {
    std::vector<std::string> lines;
    for (const Head head : named_heads) {
        const Reading& reading = face[head];
        if (reading.known())
            lines.push_back(
                with_percent(best_label(reading, info[head]), reading.best_probability()));
    }
    return lines;
}

TextSize label_size(const std::vector<std::string>& lines, float size) {
    TextSize all;
    for (const std::string& line : lines) {
        const TextSize one = text_size(line, size);
        all.width = std::max(all.width, one.width);
        all.height += one.height;
    }
    const int gaps = static_cast<int>(lines.size()) - 1;
    all.height += gaps * static_cast<int>(std::lround(line_gap * size));
    return all;
}

// Grows with the face, within bounds that grow with the image, since a large image is looked at
// from farther.
float label_text_size(const Rect& box, int width, int height) {
    const float picture = std::sqrt(static_cast<float>(width) * static_cast<float>(height)) / 1000;
    const float smallest = std::max(8.0f, 9 * picture), largest = std::max(12.0f, 24 * picture);
    return std::clamp(0.115f * static_cast<float>(box.width), smallest, largest);
}

// Chooses the size so that the label fits into the image; without room even for small letters there
// is no label.
Label sized_label(std::vector<std::string> lines, const Rect& box, int width, int height) {
    Label label;
    for (float size = label_text_size(box, width, height); size >= smallest_text; size *= 0.93f) {
        const TextSize needed = label_size(lines, size);
        if (needed.width > width || needed.height > height) continue;
        label.lines = std::move(lines);
        label.size = size;
        label.area = {0, 0, needed.width, needed.height};
        break;
    }
    return label;
}

int box_thickness(const Rect& box, int width, int height) {
    const int for_picture = std::max(2, std::max(width, height) / 450),
              for_face = std::max(1, box.width / 20);
    return std::min(for_picture, for_face);
}

struct Placing {
    int width, height;  // of the image
    std::span<const FaceReport> faces;
    std::vector<Rect> taken;  // labels placed so far
};

// Costs per pixel of label. Covering another label makes both unreadable, covering a face hides the
// subject; distance from its own box is the smallest harm.
double placing_cost(const Placing& placing, const Rect& area, const Rect& own, int preference) {
    const double pixels = static_cast<double>(area.width) * area.height;
    double cost = 0.06 * preference;
    for (const Rect& other : placing.taken) cost += 6 * common_area(area, other) / pixels;
    for (const FaceReport& face : placing.faces) {
        const double covered = common_area(area, face.box);
        // The first pixel is the worst: there a line of the box strikes through the text.
        if (covered > 0) cost += 0.3 + (face.box == own ? 0.9 : 1.4) * covered / pixels;
    }
    return cost;
}

Rect best_place(const Placing& placing, const Rect& box, int label_width, int label_height) {
    const int w = label_width, h = label_height, gap = 1;
    const int above = box.y - h - gap, below = box.y + box.height + gap;
    const int right_end = box.x + box.width;
    struct Spot {
        int x, y;
    };
    // In order of preference: above, below, beside, inside; each with the shifts along that side.
    const Spot spots[] = {
        {box.x, above},
        {right_end - w, above},
        {box.x + (box.width - w) / 2, above},
        {box.x - w / 2, above},
        {right_end - w / 2, above},
        {box.x, below},
        {right_end - w, below},
        {box.x + (box.width - w) / 2, below},
        {right_end + gap, box.y},
        {box.x - w - gap, box.y},
        {right_end + gap, box.y + box.height - h},
        {box.x - w - gap, box.y + box.height - h},
        {box.x, above - h / 2},
        {right_end - w, above - h / 2},
        {box.x + gap, box.y + gap},
        {box.x + gap, box.y + box.height - h - gap},
    };
    Rect best;
    double best_cost = 1e30;
    int preference = 0;
    // Where there is room, not right at the image's border, since a box there would strike the text
    // through.
    const int margin = box_thickness(box, placing.width, placing.height) + 2;
    const int free_x = placing.width - w, free_y = placing.height - h;
    const int margin_x = std::min(margin, free_x / 2), margin_y = std::min(margin, free_y / 2);
    for (const Spot& spot : spots) {
        const Rect area = {std::clamp(spot.x, margin_x, free_x - margin_x),
                           std::clamp(spot.y, margin_y, free_y - margin_y), w, h};
        const double cost = placing_cost(placing, area, box, preference++);
        if (cost < best_cost) {
            best_cost = cost;
            best = area;
        }
    }
    return best;
}

}  // namespace

Color box_color(const FaceReport& face, const EngineInfo& info, Style style) {
    const Reading& gender = face[Head::gender];
    if (style == Style::gender && gender.known())
        return color_of(best_label(gender, info[Head::gender]), gender_colors, no_gender);
    const Reading& emotion = face[Head::emotion];
    if (!emotion.known()) return no_gender;
    const Color full =
        color_of(best_label(emotion, info[Head::emotion]), emotion_colors, other_emotion);
    const float p = std::clamp(emotion.best_probability(), 0.0f, 1.0f);
    const auto scaled = [p](std::uint8_t v) {
        return static_cast<std::uint8_t>(std::lround(p * static_cast<float>(v)));
    };
    return {scaled(full.r), scaled(full.g), scaled(full.b)};
}

TextSize text_size(std::string_view text, float size) {
    const Pen pen = pen_of(size);
    const float width = text_advance(text) * pen.scale + 2 * pen.edge;
    const float height = (font_ascent + font_descent) * pen.scale + 2 * pen.reach();
    return {static_cast<int>(std::ceil(width)), static_cast<int>(std::ceil(height))};
}

void draw_text(const Canvas& canvas, int left, int top, std::string_view text, float size,
               Color color) {
    const Pen pen = pen_of(size);
    const TextSize area = text_size(text, size);
    DistanceField field(area.width, area.height);
    std::vector<char> characters;
    to_font_text(text, characters);
    float x = pen.edge;
    const float baseline = pen.reach() + font_ascent * pen.scale;
    for (const char c : characters) {
        const Glyph& letter = glyph(c);
        const auto place = [&](FontPoint p) {
            return FontPoint{x + p.x * pen.scale, baseline - p.y * pen.scale};
        };
        for (const Stroke& stroke : letter.strokes) {
            for (std::size_t i = 1; i < stroke.size(); ++i)
                field.add_segment(place(stroke[i - 1]), place(stroke[i]), pen.reach());
        }
        x += (letter.advance + letter_space) * pen.scale;
    }
    const Color edge = contrast_of(color);
    for (int v = std::max(0, -top); v < area.height && top + v < canvas.height; ++v) {
        for (int u = std::max(0, -left); u < area.width && left + u < canvas.width; ++u) {
            const float squared = field.squared(u, v);
            // most pixels, and a root is slow
            if (squared >= (pen.reach() + 0.5f) * (pen.reach() + 0.5f)) continue;
            const float distance = std::sqrt(squared);
            const float outside = std::clamp(pen.reach() - distance + 0.5f, 0.0f, 1.0f);
            if (outside <= 0) continue;
            const float ink = std::clamp(pen.radius - distance + 0.5f, 0.0f, 1.0f);
            if (ink < 1) blend(canvas, left + u, top + v, edge, outside);
            blend(canvas, left + u, top + v, color, ink);
        }
    }
}

void draw_box(const Canvas& canvas, const Rect& box, int thickness, Color color) {
    const int edge = std::max(1, thickness / 3);
    fill_ring(canvas, box, edge, 0, contrast_of(color));
    fill_ring(canvas, box, 0, -thickness, color);
}

std::vector<Label> place_labels(int width, int height, std::span<const FaceReport> faces,
                                const EngineInfo& info) {
    std::vector<Label> labels(faces.size());
    // Large faces choose first: viewers look at them, and their labels are the hardest to move.
    std::vector<std::size_t> order(faces.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return faces[a].box.width > faces[b].box.width;
    });
    Placing placing{width, height, faces, {}};
    for (const std::size_t i : order) {
        labels[i] = sized_label(label_lines(faces[i], info), faces[i].box, width, height);
        if (labels[i].lines.empty()) continue;
        labels[i].area =
            best_place(placing, faces[i].box, labels[i].area.width, labels[i].area.height);
        placing.taken.push_back(labels[i].area);
    }
    return labels;
}

void annotate(const Canvas& canvas, std::span<const FaceReport> faces, const EngineInfo& info,
              Style style) {
    for (const FaceReport& face : faces) {
        draw_box(canvas, face.box, box_thickness(face.box, canvas.width, canvas.height),
                 box_color(face, info, style));
    }
    const std::vector<Label> labels = place_labels(canvas.width, canvas.height, faces, info);
    for (std::size_t i = 0; i < faces.size(); ++i) {
        int top = labels[i].area.y;
        for (const std::string& line : labels[i].lines) {
            draw_text(canvas, labels[i].area.x, top, line, labels[i].size,
                      box_color(faces[i], info, style));
            top += text_size(line, labels[i].size).height +
                   static_cast<int>(std::lround(line_gap * labels[i].size));
        }
    }
}

}  // namespace mien::host
