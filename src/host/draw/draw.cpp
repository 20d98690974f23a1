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

// An answer that names no class has the color of none.
Color color_of(const Reading& reading, const HeadInfo& head, std::span<const NamedColor> table,
               Color otherwise) {
    const std::string word = answer_word(reading, head);
    for (const NamedColor& entry : table) {
        if (entry.label == word) return entry.color;
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

std::vector<std::string> label_lines(const FaceReport& face, const EngineInfo& info) {
    std::vector<std::string> lines;
    for (const Head head : named_heads) {
        if (face[head].known()) lines.push_back(answer_line(face[head], info[head]));
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

// ---- where labels go ----

// A leader: the line from a label to its box.
struct Line {
    Point a, b;
};

struct Placing {
    int width, height;  // of the image
    std::span<const FaceReport> faces;
    std::vector<Rect> taken;    // labels placed so far
    std::vector<Line> leaders;  // of them
};

Rect grown(const Rect& r, int by) {
    return {r.x - by, r.y - by, r.width + 2 * by, r.height + 2 * by};
}

// Costs per pixel of label. Covering another label makes both unreadable, covering a face hides the
// subject; distance from its own box is the smallest harm.
double covering_cost(const Placing& placing, const Rect& area, const Rect& own) {
    const double pixels = static_cast<double>(area.width) * area.height;
    double cost = 0;
    for (const Rect& other : placing.taken) cost += 6 * common_area(area, other) / pixels;
    for (const FaceReport& face : placing.faces) {
        const double covered = common_area(area, face.box);
        // The first pixel is the worst: there a line of the box strikes through the text.
        if (covered > 0) cost += 0.3 + (face.box == own ? 0.9 : 1.4) * covered / pixels;
    }
    return cost;
}

struct Spot {
    int x, y;
};

// In order of preference: above, below, beside, inside; each with the shifts along that side.
std::array<Spot, 16> spots_at(const Rect& box, int w, int h, int gap) {
    const int above = box.y - h - gap, below = box.y + box.height + gap;
    const int right_end = box.x + box.width;
    return {{
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
    }};
}

// Keeps a label inside of the image; where there is room, not right at the border, since a box there
// would strike the text through.
Rect inside_image(const Placing& placing, Spot spot, int w, int h, int margin) {
    const int free_x = placing.width - w, free_y = placing.height - h;
    const int margin_x = std::min(margin, free_x / 2), margin_y = std::min(margin, free_y / 2);
    return {std::clamp(spot.x, margin_x, free_x - margin_x),
            std::clamp(spot.y, margin_y, free_y - margin_y), w, h};
}

Rect best_place(const Placing& placing, const Rect& box, int w, int h) {
    Rect best;
    double best_cost = 1e30;
    int preference = 0;
    const int margin = box_thickness(box, placing.width, placing.height) + 2;
    for (const Spot& spot : spots_at(box, w, h, 1)) {
        const Rect area = inside_image(placing, spot, w, h, margin);
        const double cost = covering_cost(placing, area, box) + 0.06 * preference++;
        if (cost < best_cost) {
            best_cost = cost;
            best = area;
        }
    }
    return best;
}

// ---- crowds ----

// Where a rectangle is nearest to a point.
Point nearest(const Rect& r, Point p) {
    return {std::clamp(p.x, static_cast<float>(r.x), static_cast<float>(r.x + r.width)),
            std::clamp(p.y, static_cast<float>(r.y), static_cast<float>(r.y + r.height))};
}
Point middle(const Rect& r) {
    return {static_cast<float>(r.x) + 0.5f * static_cast<float>(r.width),
            static_cast<float>(r.y) + 0.5f * static_cast<float>(r.height)};
}
float distance(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }

// Whether a line passes through a rectangle (Liang and Barsky).
bool crosses(const Line& line, const Rect& r) {
    const float dx = line.b.x - line.a.x, dy = line.b.y - line.a.y;
    const float p[4] = {-dx, dx, -dy, dy};
    const float q[4] = {
        line.a.x - static_cast<float>(r.x), static_cast<float>(r.x + r.width) - line.a.x,
        line.a.y - static_cast<float>(r.y), static_cast<float>(r.y + r.height) - line.a.y};
    float first = 0, last = 1;
    for (int i = 0; i < 4; ++i) {
        if (p[i] == 0) {
            if (q[i] <= 0) return false;
            continue;
        }
        const float t = q[i] / p[i];
        if (p[i] < 0)
            first = std::max(first, t);
        else
            last = std::min(last, t);
    }
    return first < last;
}

Line leader_of(const Rect& area, const Rect& box) {
    const Point to = nearest(box, middle(area));
    return {nearest(area, to), to};
}

struct TagPlace {
    Rect area;
    double cost = 1e30;
};

// Further than this, in heights of the tag, nobody follows a line.
constexpr int farthest_tag = 14;
// Among more faces than these, tags are numbers beside their boxes: nobody reads more, and the time
// to place them would grow with the third power.
constexpr std::size_t most_led = 200;
constexpr double away_cost = 0.12;  // per height of the tag
constexpr double covers = 4;        // costs from here on mean that something is covered

double tag_cost(const Placing& placing, const Rect& area, const Rect& box) {
    const Line leader = leader_of(area, box);
    const double away = static_cast<double>(distance(leader.a, leader.b)) / area.height;
    const bool led = away > 0.3;
    double cost = away_cost * away + (led ? 0.25 : 0);
    const double covered = covering_cost(placing, grown(area, 1), box);
    if (covered > 0) cost += covers + covered;
    for (const Line& other : placing.leaders)
        if (crosses(other, area)) cost += covers;
    for (const FaceReport& face : placing.faces) {
        if (face.box == box) continue;
        if (led && crosses(leader, face.box)) cost += 0.5;
        // Beside two boxes a tag could be either's.
        if (common_area(grown(area, area.height / 4), face.box) > 0) cost += 0.2;
    }
    if (led)
        for (const Rect& other : placing.taken)
            if (crosses(leader, other)) cost += covers;
    return cost;
}

TagPlace best_tag_place(const Placing& placing, const Rect& box, int w, int h) {
    TagPlace best;
    const int margin = box_thickness(box, placing.width, placing.height) + 2;
    const int rings = placing.faces.size() <= most_led ? farthest_tag : 0;
    const auto consider = [&](Spot spot, double preference) {
        const Rect area = inside_image(placing, spot, w, h, margin);
        const double cost = tag_cost(placing, area, box) + preference;
        if (cost < best.cost) best = {area, cost};
    };
    double preference = 0;
    for (const Spot& spot : spots_at(box, w, h, 2)) consider(spot, preference += 0.01);
    // Then along rectangles around the box, wider and wider; each costs at least its distance.
    for (int ring = 1; ring <= rings && best.cost > 0.25 + away_cost * ring; ++ring) {
        const int gap = 2 + ring * h;
        const int left = box.x - w - gap, right = box.x + box.width + gap;
        const int above = box.y - h - gap, below = box.y + box.height + gap;
        for (int x = left; x <= right; x += std::max(1, w / 2)) {
            consider({x, above}, 0);
            consider({x, below}, 0);
        }
        for (int y = above + h; y < below; y += h) {
            consider({left, y}, 0);
            consider({right, y}, 0);
        }
    }
    return best;
}

// The same size for all: a crowd's faces are of similar importance.
float tag_text_size(std::span<const FaceReport> faces, int width, int height) {
    std::vector<int> widths;
    for (const FaceReport& face : faces) widths.push_back(face.box.width);
    const auto middle_one = widths.begin() + static_cast<std::ptrdiff_t>(widths.size() / 2);
    std::nth_element(widths.begin(), middle_one, widths.end());
    const float picture = std::sqrt(static_cast<float>(width) * static_cast<float>(height)) / 1000;
    return std::clamp(0.2f * static_cast<float>(*middle_one), std::max(6.5f, 8 * picture),
                      std::max(9.0f, 16 * picture));
}

// Large faces choose first: viewers look at them, and their labels are the hardest to move.
std::vector<std::size_t> by_size(std::span<const FaceReport> faces) {
    std::vector<std::size_t> order(faces.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return faces[a].box.width > faces[b].box.width;
    });
    return order;
}

std::vector<Label> place_tags(int width, int height, std::span<const FaceReport> faces,
                              const EngineInfo& info) {
    std::vector<Label> labels(faces.size());
    Placing placing{width, height, faces, {}, {}};
    const float size = tag_text_size(faces, width, height);
    for (const std::size_t i : by_size(faces)) {
        Label& label = labels[i];
        const std::string number = std::to_string(faces[i].number != 0 ? faces[i].number : i + 1);
        std::string text = number;
        for (const Head head : named_heads) {
            if (!faces[i][head].known() || faces.size() > most_led) continue;
            text += " " + answer_word(faces[i][head], info[head]);
            break;
        }
        TagPlace best;
        for (const std::string& line : {text, number}) {
            const TextSize needed = text_size(line, size);
            if (needed.width > width || needed.height > height) continue;
            TagPlace place = best_tag_place(placing, faces[i].box, needed.width, needed.height);
            // The expression is worth some way, and a line of its own.
            if (line == number && text != number) place.cost += 0.4;
            if (place.cost >= best.cost) continue;
            best = place;
            label.lines = {line};
        }
        if (label.lines.empty()) continue;
        label.size = size;
        label.area = best.area;
        label.tag = true;
        const Line leader = leader_of(label.area, faces[i].box);
        label.from = leader.a;
        label.to = leader.b;
        label.led = distance(leader.a, leader.b) > 0.3f * static_cast<float>(label.area.height);
        placing.taken.push_back(grown(label.area, 1));
        if (label.led) placing.leaders.push_back(leader);
    }
    return labels;
}

// So few labels are shown in full, whatever they cover.
constexpr std::size_t few_faces = 4;

}  // namespace

Color box_color(const FaceReport& face, const EngineInfo& info, Style style) {
    const Reading& gender = face[Head::gender];
    if (style == Style::gender && gender.known())
        return color_of(gender, info[Head::gender], gender_colors, no_gender);
    const Reading& emotion = face[Head::emotion];
    if (!emotion.known()) return no_gender;
    const Color full = color_of(emotion, info[Head::emotion], emotion_colors, other_emotion);
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
               Color color, Edge drawn_edge) {
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
            if (ink < 1 && drawn_edge == Edge::drawn)
                blend(canvas, left + u, top + v, edge, outside);
            blend(canvas, left + u, top + v, color, ink);
        }
    }
}

void draw_line(const Canvas& canvas, Point a, Point b, float width, Color color) {
    // Landmarks can be anywhere, and an int cannot.
    for (const float v : {a.x, a.y, b.x, b.y})
        if (!(std::abs(v) < 1e6f)) return;
    const float radius = width / 2, edge = std::max(1.0f, radius / 3), reach = radius + edge + 1;
    const int left = std::max(0, static_cast<int>(std::floor(std::min(a.x, b.x) - reach))),
              top = std::max(0, static_cast<int>(std::floor(std::min(a.y, b.y) - reach)));
    const int right =
        std::min(canvas.width, static_cast<int>(std::ceil(std::max(a.x, b.x) + reach)));
    const int bottom =
        std::min(canvas.height, static_cast<int>(std::ceil(std::max(a.y, b.y) + reach)));
    const float dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    const Color around = contrast_of(color);
    for (int y = top; y < bottom; ++y) {
        for (int x = left; x < right; ++x) {
            const Point p = {static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f};
            const float along = length2 > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length2 : 0;
            const float t = std::clamp(along, 0.0f, 1.0f);
            const float away = distance(p, {a.x + t * dx, a.y + t * dy});
            blend(canvas, x, y, around, std::clamp(radius + edge - away + 0.5f, 0.0f, 1.0f));
            blend(canvas, x, y, color, std::clamp(radius - away + 0.5f, 0.0f, 1.0f));
        }
    }
}

void draw_dot(const Canvas& canvas, Point center, float radius, Color color) {
    draw_line(canvas, center, center, 2 * radius, color);
}

void draw_box(const Canvas& canvas, const Rect& box, int thickness, Color color) {
    const int edge = std::max(1, thickness / 3);
    fill_ring(canvas, box, edge, 0, contrast_of(color));
    fill_ring(canvas, box, 0, -thickness, color);
}

std::vector<Label> place_labels(int width, int height, std::span<const FaceReport> faces,
                                const EngineInfo& info) {
    std::vector<Label> labels(faces.size());
    Placing placing{width, height, faces, {}, {}};
    bool clear = true;
    for (const std::size_t i : by_size(faces)) {
        labels[i] = sized_label(label_lines(faces[i], info), faces[i].box, width, height);
        if (labels[i].lines.empty()) continue;
        labels[i].area =
            best_place(placing, faces[i].box, labels[i].area.width, labels[i].area.height);
        clear = clear && covering_cost(placing, labels[i].area, faces[i].box) == 0;
        if (!clear && faces.size() > few_faces) return place_tags(width, height, faces, info);
        placing.taken.push_back(labels[i].area);
    }
    return labels;
}

void annotate(const Canvas& canvas, std::span<const FaceReport> faces, const EngineInfo& info,
              Style style, bool landmarks) {
    for (const FaceReport& face : faces) {
        const Color color = box_color(face, info, style);
        draw_box(canvas, face.box, box_thickness(face.box, canvas.width, canvas.height), color);
        if (!landmarks) continue;
        const float radius = std::max(1.0f, 0.02f * static_cast<float>(face.box.width));
        for (const Point& point : face.landmarks) draw_dot(canvas, point, radius, color);
    }
    const std::vector<Label> labels = place_labels(canvas.width, canvas.height, faces, info);
    for (std::size_t i = 0; i < faces.size(); ++i) {
        if (!labels[i].led) continue;
        draw_line(canvas, labels[i].from, labels[i].to, std::max(1.0f, labels[i].size / 8),
                  box_color(faces[i], info, style));
    }
    for (std::size_t i = 0; i < faces.size(); ++i) {
        const Label& label = labels[i];
        const Color color = box_color(faces[i], info, style);
        if (label.tag) {
            const Color ink = contrast_of(color);
            const Rect& r = label.area;
            fill_rect(canvas, r.x, r.y, r.x + r.width, r.y + r.height, color);
            fill_ring(canvas, r, 1, 0, ink);
            for (const std::string& line : label.lines)
                draw_text(canvas, r.x, r.y, line, label.size, ink, Edge::blank);
            continue;
        }
        int top = label.area.y;
        for (const std::string& line : label.lines) {
            draw_text(canvas, label.area.x, top, line, label.size, color);
            top += text_size(line, label.size).height +
                   static_cast<int>(std::lround(line_gap * label.size));
        }
    }
}

}  // namespace mien::host
