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
    {"grey", PixelLayout::gray8},       {"gray", PixelLayout::gray8},
    {"gray8", PixelLayout::gray8},      {"y8", PixelLayout::gray8},
    {"yuyv", PixelLayout::yuyv},        {"yuyv422", PixelLayout::yuyv},
    {"yuy2", PixelLayout::yuyv},        {"uyvy", PixelLayout::uyvy},
    {"uyvy422", PixelLayout::uyvy},     {"nv12", PixelLayout::nv12},
    {"yu12", PixelLayout::yu12},        {"yuv420", PixelLayout::yu12},
    {"yuv420p", PixelLayout::yu12},     {"i420", PixelLayout::yu12},
    {"rgb24", PixelLayout::rgb24},      {"rgb3", PixelLayout::rgb24},
    {"bgr24", PixelLayout::bgr24},      {"bgr3", PixelLayout::bgr24},
    {"mjpg", PixelLayout::jpeg},        {"mjpeg", PixelLayout::jpeg},
    {"jpeg", PixelLayout::jpeg},        {"picture", PixelLayout::picture},
    {"yvyu", PixelLayout::yvyu},        {"yvyu422", PixelLayout::yvyu},
    {"vyuy", PixelLayout::vyuy},        {"vyuy422", PixelLayout::vyuy},
    {"nv21", PixelLayout::nv21},        {"nv16", PixelLayout::nv16},
    {"nv61", PixelLayout::nv61},        {"yv12", PixelLayout::yv12},
    {"rgb565", PixelLayout::rgb565},    {"rgb565le", PixelLayout::rgb565},
    {"rgbp", PixelLayout::rgb565},      {"rgb565be", PixelLayout::rgb565be},
    {"rgb565x", PixelLayout::rgb565be}, {"rgbr", PixelLayout::rgb565be},
    {"rgb32", PixelLayout::rgb32},      {"rgba", PixelLayout::rgb32},
    {"rgb0", PixelLayout::rgb32},       {"xb24", PixelLayout::rgb32},
    {"ab24", PixelLayout::rgb32},       {"bgr32", PixelLayout::bgr32},
    {"bgra", PixelLayout::bgr32},       {"bgr0", PixelLayout::bgr32},
    {"bgr4", PixelLayout::bgr32},       {"xr24", PixelLayout::bgr32},
    {"ar24", PixelLayout::bgr32},       {"y10", PixelLayout::y10},
    {"gray10le", PixelLayout::y10},     {"y12", PixelLayout::y12},
    {"gray12le", PixelLayout::y12},     {"y16", PixelLayout::y16},
    {"gray16le", PixelLayout::y16},     {"gray16", PixelLayout::y16},
    {"bggr", PixelLayout::bggr},        {"bayer_bggr8", PixelLayout::bggr},
    {"ba81", PixelLayout::bggr},        {"sbggr8", PixelLayout::bggr},
    {"gbrg", PixelLayout::gbrg},        {"bayer_gbrg8", PixelLayout::gbrg},
    {"sgbrg8", PixelLayout::gbrg},      {"grbg", PixelLayout::grbg},
    {"bayer_grbg8", PixelLayout::grbg}, {"sgrbg8", PixelLayout::grbg},
    {"rggb", PixelLayout::rggb},        {"bayer_rggb8", PixelLayout::rggb},
    {"srggb8", PixelLayout::rggb},
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
        case PixelLayout::nv21:
        case PixelLayout::nv16:
        case PixelLayout::nv61:
        case PixelLayout::yu12:
        case PixelLayout::yv12:
        case PixelLayout::bggr:
        case PixelLayout::gbrg:
        case PixelLayout::grbg:
        case PixelLayout::rggb: return w;
        case PixelLayout::yuyv:
        case PixelLayout::yvyu:
        case PixelLayout::uyvy:
        case PixelLayout::vyuy:
        case PixelLayout::rgb565:
        case PixelLayout::rgb565be:
        case PixelLayout::y10:
        case PixelLayout::y12:
        case PixelLayout::y16: return 2 * w;
        case PixelLayout::rgb24:
        case PixelLayout::bgr24: return 3 * w;
        case PixelLayout::rgb32:
        case PixelLayout::bgr32: return 4 * w;
        case PixelLayout::jpeg:
        case PixelLayout::picture: return 0;
    }
    return 0;
}

std::size_t packet_bytes(PixelLayout layout, int width, int height, std::size_t stride) {
    const std::size_t row = stride != 0 ? stride : row_bytes(layout, width),
                      h = static_cast<std::size_t>(height), luma = row * h,
                      pairs = (row + 1) & ~std::size_t{1};
    switch (layout) {
        case PixelLayout::nv12:
        case PixelLayout::nv21: return luma + pairs * ((h + 1) / 2);
        case PixelLayout::nv16:
        case PixelLayout::nv61: return luma + pairs * h;
        case PixelLayout::yu12:
        case PixelLayout::yv12: return luma + 2 * ((row + 1) / 2) * ((h + 1) / 2);
        default: return luma;
    }
}

std::size_t least_packet_bytes(PixelLayout layout, int width, int height, std::size_t stride) {
    const std::size_t row = row_bytes(layout, width);
    std::size_t padding = stride - row;
    switch (layout) {
        case PixelLayout::nv12:
        case PixelLayout::nv21:
        case PixelLayout::nv16:
        case PixelLayout::nv61: padding = (stride + stride % 2) - (row + row % 2); break;
        case PixelLayout::yu12:
        case PixelLayout::yv12: padding = (stride + 1) / 2 - (row + 1) / 2; break;
        default: break;
    }
    return packet_bytes(layout, width, height, stride) - padding;
}

}  // namespace mien::video
