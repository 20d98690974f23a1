// SPDX-License-Identifier: MIT
// Layout and painting of the contact sheet (see sheet.h).
#include "report/sheet.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "host/draw/turned.h"

namespace mien::report {
namespace {

constexpr host::Color ink{235, 235, 235}, paper{24, 24, 27};
constexpr int gap = 8;

host::Image blank(int width, int height, host::Color color) {
    host::Image image;
    const std::size_t pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    image.pixels.reset(
        static_cast<std::uint8_t*>(std::malloc(std::max<std::size_t>(pixels * 3, 1))));
    if (image.pixels == nullptr) throw std::bad_alloc();
    image.width = width;
    image.height = height;
    for (std::size_t i = 0; i < pixels; ++i) {
        image.pixels[3 * i] = color.r;
        image.pixels[3 * i + 1] = color.g;
        image.pixels[3 * i + 2] = color.b;
    }
    return image;
}

void paste(host::Image& sheet, const host::Image& tile, int left, int top) {
    for (int y = 0; y < tile.height; ++y)
        std::copy_n(tile.pixels.get() + static_cast<std::size_t>(y) * tile.row_bytes(),
                    tile.row_bytes(),
                    sheet.pixels.get() + static_cast<std::size_t>(top + y) * sheet.row_bytes() +
                        static_cast<std::size_t>(left) * 3);
}

// The largest size not above `wanted` at which the text fits; cut with dots below what is readable.
void write(host::Image& sheet, int left, int top, std::string text, float wanted, int width) {
    float size = wanted;
    while (size > 6.5f && host::text_size(text, size).width > width) size *= 0.95f;
    while (text.size() > 4 && host::text_size(text, size).width > width)
        text = text.substr(0, text.size() - 4) + "...";
    host::draw_text(host::canvas_of(sheet), left, top, text, size, ink);
}

// The pixels of a turned area, by bilinear interpolation.
host::Image upright(const Frame& frame, const TurnedRect& area) {
    const Rect& rect = area.rect;
    // a crop is larger than the image only in damaged results
    const int width = std::min(rect.width, 4 * std::max(frame.width, frame.height)),
              height = std::min(rect.height, 4 * std::max(frame.width, frame.height));
    host::Image out = blank(width, height, paper);
    const host::Turned turned(area);
    const double left_out = (rect.width - width) / 2.0, above = (rect.height - height) / 2.0;
    const int channels = bytes_per_pixel(frame.format);
    const auto sample = [&](int x, int y, std::size_t channel) {
        const std::ptrdiff_t at = std::clamp(y, 0, frame.height - 1) * frame.stride_bytes +
                                  std::ptrdiff_t{std::clamp(x, 0, frame.width - 1)} * channels;
        return static_cast<double>(
            frame.data[at + (channels == 3 ? static_cast<std::ptrdiff_t>(channel) : 0)]);
    };
    for (int j = 0; j < height; ++j)
        for (int i = 0; i < width; ++i) {
            const host::Turned::Place at = turned.to_image(left_out + i + 0.5, above + j + 0.5);
            const double x = at.x - 0.5, y = at.y - 0.5;
            const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
            const double right = x - left, down = y - top;
            for (std::size_t k = 0; k < 3; ++k) {
                const double upper =
                    sample(left, top, k) * (1 - right) + sample(left + 1, top, k) * right;
                const double lower =
                    sample(left, top + 1, k) * (1 - right) + sample(left + 1, top + 1, k) * right;
                out.pixels[static_cast<std::size_t>(j) * out.row_bytes() +
                           3 * static_cast<std::size_t>(i) + k] =
                    static_cast<std::uint8_t>(std::lround(upper * (1 - down) + lower * down));
            }
        }
    return out;
}

}  // namespace

host::Image tile_of(const Frame& frame, const TurnedRect& turned, int side) {
    if (turned.degrees != 0) return tile_of(upright(frame, turned).frame(), side);
    const Rect& area = turned.rect;
    host::Image tile = blank(side, side, paper);
    const int channels = bytes_per_pixel(frame.format);
    const auto sample = [&](int x, int y, int c) {
        return static_cast<double>(
            frame.data[y * frame.stride_bytes + std::ptrdiff_t{x} * channels +
                       (channels == 3 ? c : 0)]);
    };
    // Averages over at least one source pixel around each tile pixel's place: interpolates where it
    // grows, filters where it shrinks.
    const double step_x = static_cast<double>(area.width) / side,
                 step_y = static_cast<double>(area.height) / side;
    const auto weights = [](double middle, double reach, int low, int high,
                            std::vector<std::pair<int, double>>& out) {
        out.clear();
        double sum = 0;
        for (int i = static_cast<int>(std::floor(middle - reach));
             i <= static_cast<int>(std::ceil(middle + reach)); ++i) {
            const double w = 1 - std::fabs(static_cast<double>(i) + 0.5 - middle) / reach;
            if (w <= 0) continue;
            out.emplace_back(std::clamp(i, low, high), w);
            sum += w;
        }
        for (auto& [i, w] : out) w /= sum;
    };
    std::vector<std::vector<std::pair<int, double>>> columns(static_cast<std::size_t>(side));
    for (int x = 0; x < side; ++x)
        weights(area.x + (x + 0.5) * step_x, std::max(step_x, 1.0), area.x, area.x + area.width - 1,
                columns[static_cast<std::size_t>(x)]);
    std::vector<std::pair<int, double>> rows;
    for (int y = 0; y < side; ++y) {
        weights(area.y + (y + 0.5) * step_y, std::max(step_y, 1.0), area.y,
                area.y + area.height - 1, rows);
        for (int x = 0; x < side; ++x)
            for (int c = 0; c < 3; ++c) {
                double sum = 0;
                for (const auto& [sy, wy] : rows)
                    for (const auto& [sx, wx] : columns[static_cast<std::size_t>(x)])
                        sum += wy * wx * sample(sx, sy, c);
                tile.pixels[static_cast<std::size_t>(y) * tile.row_bytes() +
                            static_cast<std::size_t>(x) * 3 + static_cast<std::size_t>(c)] =
                    static_cast<std::uint8_t>(std::lround(std::clamp(sum, 0.0, 255.0)));
            }
    }
    return tile;
}

host::Image map_picture(const host::Image& face, const MapOfMethod& map) {
    host::Image out = blank(face.width, face.height, paper);
    for (std::size_t i = 0;
         i < static_cast<std::size_t>(face.width) * static_cast<std::size_t>(face.height); ++i) {
        const std::uint8_t* p = face.pixels.get() + 3 * i;
        const int gray = (p[0] * 77 + p[1] * 150 + p[2] * 29) >> 8;
        for (std::size_t c = 0; c < 3; ++c)
            out.pixels[3 * i + c] = static_cast<std::uint8_t>(40 + gray * 3 / 4);
    }
    const host::MapView view{map.map.values, map.map.width, map.map.height};
    host::draw_map(host::canvas_of(out), {{0, 0, out.width, out.height}}, view,
                   host::color_limit(view), explain::is_signed(map.method));
    return out;
}

int tile_side(std::size_t rows) { return rows <= 12 ? 192 : rows <= 48 ? 128 : 96; }

host::Image sheet(const std::vector<ExplainedFace>& all, int side) {
    const std::size_t count = std::min(all.size(), max_rows);
    std::size_t columns = 1;
    bool has_signed = false, has_plain = false;
    for (const ExplainedFace& row : all) {
        columns = std::max(columns, row.maps.size() + 1);
        for (const MapOfMethod& map : row.maps)
            (explain::is_signed(map.method) ? has_signed : has_plain) = true;
    }
    const float letters = std::max(9.0f, static_cast<float>(side) / 14);
    const int line = host::text_size("Ag", letters).height + 2, header = line + gap,
              row_height = line + side + gap, legend = 2 * line + gap;
    const int width = gap + static_cast<int>(columns) * (side + gap);
    host::Image out =
        blank(width, header + static_cast<int>(count) * row_height + legend + gap, paper);
    for (std::size_t i = 0; i < count; ++i) {
        const ExplainedFace& row = all[i];
        const int top = header + static_cast<int>(i) * row_height;
        write(out, gap, top, row.title + ": " + row.answer, letters, width - 2 * gap);
        paste(out, row.face, gap, top + line);
        for (std::size_t k = 0; k < row.maps.size(); ++k) {
            const int left = gap + static_cast<int>(k + 1) * (side + gap);
            if (i == 0)
                write(out, left, gap / 2, explain::method_name(row.maps[k].method), letters, side);
            paste(out, map_picture(row.face, row.maps[k]), left, top + line);
        }
    }
    write(out, gap, gap / 2, "face", letters, side);
    // The legend: the meaning of the colors, each scale with its ends.
    int left = gap;
    const int top = header + static_cast<int>(count) * row_height,
              bar = std::max(std::min(side, (width - 3 * gap) / 2), 40);
    for (const bool is_signed : {true, false}) {
        if (!(is_signed ? has_signed : has_plain)) continue;
        host::draw_scale(host::canvas_of(out), {left, top, bar, line - 2}, is_signed);
        write(out, left, top + line, is_signed ? "against ... 0 ... for" : "0 ... most for",
              letters, bar);
        left += bar + gap;
    }
    return out;
}

}  // namespace mien::report
