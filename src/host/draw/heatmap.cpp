// SPDX-License-Identifier: MIT
// Color scales and their blending (see heatmap.h).
#include "host/draw/heatmap.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "host/draw/turned.h"

namespace mien::host {
namespace {

constexpr int steps = 256;
using Table = std::array<Color, steps>;

struct Lab {
    double l, a, b;
};

// OKLab to linear light of sRGB, by the matrices that define it (Ottosson, "A perceptual color
// space for image processing", 2020).
std::array<double, 3> linear_rgb(const Lab& c) {
    const double l = std::pow(c.l + 0.3963377774 * c.a + 0.2158037573 * c.b, 3);
    const double m = std::pow(c.l - 0.1055613458 * c.a - 0.0638541728 * c.b, 3);
    const double s = std::pow(c.l - 0.0894841775 * c.a - 1.2914855480 * c.b, 3);
    return {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
            -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
            -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
}

bool displayable(const Lab& c) {
    const auto rgb = linear_rgb(c);
    return std::all_of(rgb.begin(), rgb.end(),
                       [](double v) { return v >= -1e-6 && v <= 1 + 1e-6; });
}

std::uint8_t encoded(double linear) {  // the transfer function of sRGB
    const double v = std::clamp(linear, 0.0, 1.0);
    const double e = v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1 / 2.4) - 0.055;
    return static_cast<std::uint8_t>(std::lround(e * 255));
}

// Lightness, hue in degrees and wanted chroma; the chroma is lowered to what a screen can show.
Lab color_at(double lightness, double hue, double chroma) {
    const double angle = hue * 3.14159265358979323846 / 180;
    Lab lab{lightness, chroma * std::cos(angle), chroma * std::sin(angle)};
    for (double share = 0.99; !displayable(lab) && share > 0; share -= 0.01)
        lab = {lightness, share * chroma * std::cos(angle), share * chroma * std::sin(angle)};
    return lab;
}

// `path` maps 0..1 to a color; the table walks it at even speed.
template <class Path>
void walk(Path path, Color* out, int count) {
    constexpr int fine = 2048;
    std::vector<Lab> points(fine + 1);
    std::vector<double> length(fine + 1);
    for (int i = 0; i <= fine; ++i) {
        points[static_cast<std::size_t>(i)] = path(static_cast<double>(i) / fine);
        if (i == 0) continue;
        const Lab& p = points[static_cast<std::size_t>(i) - 1];
        const Lab& q = points[static_cast<std::size_t>(i)];
        length[static_cast<std::size_t>(i)] =
            length[static_cast<std::size_t>(i) - 1] + std::hypot(q.l - p.l, q.a - p.a, q.b - p.b);
    }
    for (int k = 0; k < count; ++k) {
        const double wanted = length.back() * k / (count - 1);
        const auto at = std::min<std::size_t>(
            static_cast<std::size_t>(std::lower_bound(length.begin(), length.end(), wanted) -
                                     length.begin()),
            fine);
        const auto rgb = linear_rgb(points[at]);
        out[k] = {encoded(rgb[0]), encoded(rgb[1]), encoded(rgb[2])};
    }
}

const Table& sequential_table() {
    static const Table table = [] {
        Table colors;
        // From violet over magenta and orange to a light yellow.
        walk(
            [](double t) {
                return color_at(
                    0.16 + 0.80 * t, 290 + 170 * t,
                    0.06 + 0.13 * std::sin(3.14159265 * std::min(1.0, 1.06 * t)) + 0.03 * t);
            },
            colors.data(), steps);
        return colors;
    }();
    return table;
}

const Table& diverging_table() {
    static const Table table = [] {
        Table colors;
        Color half[steps / 2];
        walk([](double t) { return color_at(0.96 - 0.50 * t, 255, 0.17 * t); }, half, steps / 2);
        std::reverse_copy(std::begin(half), std::end(half), colors.begin());
        walk([](double t) { return color_at(0.96 - 0.50 * t, 32, 0.17 * t); }, half, steps / 2);
        std::copy(std::begin(half), std::end(half), colors.begin() + steps / 2);
        return colors;
    }();
    return table;
}

Color at(const Table& table, float share) {
    const float inside = share > 0 ? std::min(share, 1.0f) : 0.0f;  // also for NaN
    return table[static_cast<std::size_t>(std::lround(inside * (steps - 1)))];
}

// Where between the middles of a map's positions a pixel lies.
struct Place {
    int low, high;
    float share;
};
Place place(float pixel, int pixels, int positions) {
    const float position = std::clamp(
        (pixel + 0.5f) * static_cast<float>(positions) / static_cast<float>(pixels) - 0.5f, 0.0f,
        static_cast<float>(positions - 1));
    const int low = static_cast<int>(position);
    return {low, std::min(low + 1, positions - 1), position - static_cast<float>(low)};
}

bool can_be_drawn(const Rect& area, const MapView& map) {
    return map.width >= 1 && map.height >= 1 && area.width >= 1 && area.height >= 1 &&
           map.values.size() >=
               static_cast<std::size_t>(map.width) * static_cast<std::size_t>(map.height);
}

float value_at(const MapView& map, const Place& column, const Place& row, float inverse) {
    const float* const upper = map.values.data() + static_cast<std::ptrdiff_t>(row.low) * map.width;
    const float* const lower =
        map.values.data() + static_cast<std::ptrdiff_t>(row.high) * map.width;
    const float top = upper[column.low] + (upper[column.high] - upper[column.low]) * column.share;
    const float bottom =
        lower[column.low] + (lower[column.high] - lower[column.low]) * column.share;
    const float value = (top + (bottom - top) * row.share) * inverse;
    return std::isnan(value) ? 0.0f : std::clamp(value, -1.0f, 1.0f);
}

// paint(pixel, value / limit) for every pixel of the area that is in the image.
template <class Paint>
void for_pixels(const Canvas& canvas, const Rect& area, const MapView& map, float limit,
                Paint paint) {
    if (!can_be_drawn(area, map)) return;
    const int left = std::max(area.x, 0), right = std::min(area.x + area.width, canvas.width);
    std::vector<Place> columns;
    for (int x = left; x < right; ++x)
        columns.push_back(place(static_cast<float>(x - area.x), area.width, map.width));
    const float inverse = 1 / limit;
    for (int y = std::max(area.y, 0); y < std::min(area.y + area.height, canvas.height); ++y) {
        const Place row = place(static_cast<float>(y - area.y), area.height, map.height);
        std::uint8_t* pixel = canvas.pixels + canvas.stride_bytes * y + std::ptrdiff_t{left} * 3;
        for (const Place& column : columns) {
            paint(pixel, value_at(map, column, row, inverse));
            pixel += 3;
        }
    }
}

// The same of a turned area: every pixel of the image whose middle lies in it.
template <class Paint>
void for_turned_pixels(const Canvas& canvas, const TurnedRect& area, const MapView& map,
                       float limit, Paint paint) {
    const Rect& rect = area.rect;
    if (!can_be_drawn(rect, map)) return;
    const Turned turned(area);
    const Turned::Place middle = turned.middle();
    const double reach = turned.reach();
    const auto bounded = [](double v, int end) {
        return static_cast<int>(std::clamp(v, 0.0, static_cast<double>(end)));
    };
    const float inverse = 1 / limit;
    for (int y = bounded(middle.y - reach, canvas.height);
         y < bounded(middle.y + reach + 1, canvas.height); ++y)
        for (int x = bounded(middle.x - reach, canvas.width);
             x < bounded(middle.x + reach + 1, canvas.width); ++x) {
            const auto [u, v] = turned.to_copy(x + 0.5, y + 0.5);
            if (u < 0 || v < 0 || u >= rect.width || v >= rect.height) continue;
            paint(canvas.pixels + canvas.stride_bytes * y + std::ptrdiff_t{x} * 3,
                  value_at(map, place(static_cast<float>(u - 0.5), rect.width, map.width),
                           place(static_cast<float>(v - 0.5), rect.height, map.height), inverse));
        }
}

Color color_of(float value, bool is_signed) {
    return is_signed ? diverging_color(value) : sequential_color(value);
}

}  // namespace

Color sequential_color(float value) { return at(sequential_table(), value); }
Color diverging_color(float value) {
    return at(diverging_table(),
              std::isnan(value) ? 0.5f : (std::clamp(value, -1.0f, 1.0f) + 1) / 2);
}

float color_limit(const MapView& map) {
    std::vector<float> sizes(map.values.begin(), map.values.end());
    for (float& v : sizes) v = std::isfinite(v) ? std::fabs(v) : 0.0f;
    if (sizes.empty()) return 1;
    const std::size_t rank = sizes.size() > 1000 ? sizes.size() * 99 / 100 : sizes.size() - 1;
    std::nth_element(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(rank), sizes.end());
    float limit = sizes[rank];
    if (!(limit > 0)) limit = *std::max_element(sizes.begin(), sizes.end());
    return limit > 0 && std::isfinite(limit) ? limit : 1.0f;
}

void draw_map(const Canvas& canvas, const TurnedRect& area, const MapView& map, float limit,
              bool is_signed) {
    const auto paint = [&](std::uint8_t* pixel, float value) {
        const Color color = color_of(value, is_signed);
        // Of 256. Rises gently from 0: a steep rise would leave the face bare along the line
        // between for and against, as a dark thread.
        const int opacity =
            static_cast<int>(216 * (is_signed ? std::fabs(value) * (2 - std::fabs(value))
                                              : 0.25f + 0.75f * std::max(value, 0.0f)));
        const int channels[3] = {color.r, color.g, color.b};
        for (int c = 0; c < 3; ++c)
            pixel[c] = static_cast<std::uint8_t>(
                (pixel[c] * (256 - opacity) + channels[c] * opacity) >> 8);
    };
    if (area.degrees != 0)
        for_turned_pixels(canvas, area, map, limit, paint);
    else
        for_pixels(canvas, area.rect, map, limit, paint);
}

void fill_map(const Canvas& canvas, const Rect& area, const MapView& map, float limit,
              bool is_signed) {
    for_pixels(canvas, area, map, limit, [&](std::uint8_t* pixel, float value) {
        const Color color = color_of(value, is_signed);
        pixel[0] = color.r;
        pixel[1] = color.g;
        pixel[2] = color.b;
    });
}

void draw_scale(const Canvas& canvas, const Rect& area, bool is_signed) {
    std::vector<float> ramp(static_cast<std::size_t>(std::max(area.width, 1)));
    for (std::size_t i = 0; i < ramp.size(); ++i) {
        const float share =
            static_cast<float>(i) / static_cast<float>(std::max<std::size_t>(ramp.size() - 1, 1));
        ramp[i] = is_signed ? 2 * share - 1 : share;
    }
    fill_map(canvas, area, {ramp, static_cast<int>(ramp.size()), 1}, 1, is_signed);
}

}  // namespace mien::host
