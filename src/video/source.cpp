// SPDX-License-Identifier: MIT
#include "video/source.h"

#include <array>

namespace mien::video {
namespace {

struct Name {
    std::string_view name;
    PixelLayout layout;
};
// The first name of a layout is its own.
constexpr Name names[] = {
    {"grey", PixelLayout::gray8},   {"gray", PixelLayout::gray8},
    {"gray8", PixelLayout::gray8},  {"y8", PixelLayout::gray8},
    {"yuyv", PixelLayout::yuyv},    {"yuyv422", PixelLayout::yuyv},
    {"yuy2", PixelLayout::yuyv},    {"uyvy", PixelLayout::uyvy},
    {"uyvy422", PixelLayout::uyvy}, {"nv12", PixelLayout::nv12},
    {"yu12", PixelLayout::yu12},    {"yuv420", PixelLayout::yu12},
    {"yuv420p", PixelLayout::yu12}, {"i420", PixelLayout::yu12},
    {"rgb24", PixelLayout::rgb24},  {"rgb3", PixelLayout::rgb24},
    {"bgr24", PixelLayout::bgr24},  {"bgr3", PixelLayout::bgr24},
    {"mjpg", PixelLayout::jpeg},    {"mjpeg", PixelLayout::jpeg},
    {"jpeg", PixelLayout::jpeg},    {"picture", PixelLayout::picture},
};

}  // namespace

const char* layout_name(PixelLayout layout) {
    for (const Name& entry : names) {
        if (entry.layout == layout) return entry.name.data();
    }
    return "unknown";
}

bool find_layout(std::string_view name, PixelLayout& out) {
    std::string small(name);
    for (char& c : small) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    for (const Name& entry : names) {
        if (entry.name == small && entry.layout != PixelLayout::picture) {
            out = entry.layout;
            return true;
        }
    }
    return false;
}

std::size_t row_bytes(PixelLayout layout, int width) {
    const auto w = static_cast<std::size_t>(width);
    switch (layout) {
        case PixelLayout::gray8:
        case PixelLayout::nv12:
        case PixelLayout::yu12: return w;
        case PixelLayout::yuyv:
        case PixelLayout::uyvy: return 2 * w;
        case PixelLayout::rgb24:
        case PixelLayout::bgr24: return 3 * w;
        case PixelLayout::jpeg:
        case PixelLayout::picture: return 0;
    }
    return 0;
}

std::size_t packet_bytes(PixelLayout layout, int width, int height, std::size_t stride) {
    const std::size_t row = stride != 0 ? stride : row_bytes(layout, width),
                      h = static_cast<std::size_t>(height);
    if (layout == PixelLayout::nv12) return row * h + row * ((h + 1) / 2);
    if (layout == PixelLayout::yu12) return row * h + 2 * ((row + 1) / 2) * ((h + 1) / 2);
    return row * h;
}

}  // namespace mien::video
