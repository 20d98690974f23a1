// SPDX-License-Identifier: MIT
#include "video/pixels.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

namespace mien::video {
namespace {

using Byte = std::uint8_t;

constexpr int least_gray_bits = 10, most_gray_bits = 16;  // of sensors: 10, 12, 14 and 16

std::size_t even(std::size_t value) { return (value + 1) & ~std::size_t{1}; }

struct Planes {
    const Byte* data;
    std::size_t width, height, stride;
    explicit Planes(const Packet& packet)
        : data(packet.bytes.data()),
          width(static_cast<std::size_t>(packet.width)),
          height(static_cast<std::size_t>(packet.height)),
          stride(packet.stride) {}
    [[nodiscard]] const Byte* row(std::size_t y) const { return data + y * stride; }
    [[nodiscard]] std::size_t half_height() const { return (height + 1) / 2; }
};

// YVYU to YUYV, VYUY to UYVY: the chroma bytes of each pair of pixels change places. `chroma` is the
// first one's place.
void swap_packed_chroma(const Planes& from, std::size_t chroma, Byte* to) {
    const std::size_t row = 2 * from.width;
    for (std::size_t y = 0; y < from.height; ++y, to += row) {
        const Byte* const line = from.row(y);
        for (std::size_t x = 0; x + 4 <= row; x += 4) {
            to[x + 1 - chroma] = line[x + 1 - chroma];
            to[x + 3 - chroma] = line[x + 3 - chroma];
            to[x + chroma] = line[x + chroma + 2];
            to[x + chroma + 2] = line[x + chroma];
        }
        if (from.width % 2 != 0) std::memcpy(to + row - 2, line + row - 2, 2);
    }
}

// One row of U and V pairs; `swapped`: V comes first.
void copy_pairs(const Byte* from, std::size_t bytes, bool swapped, Byte* to) {
    if (!swapped) return static_cast<void>(std::memcpy(to, from, bytes));
    for (std::size_t x = 0; x + 2 <= bytes; x += 2) {
        to[x] = from[x + 1];
        to[x + 1] = from[x];
    }
}

// NV21, NV16 and NV61 to NV12. Of twice as many rows of chroma, each second one is taken.
void to_nv12(const Planes& from, std::size_t rows_step, bool swapped, Byte* to) {
    const std::size_t pairs = even(from.width), stride = even(from.stride);
    for (std::size_t y = 0; y < from.height; ++y)
        std::memcpy(to + y * from.width, from.row(y), from.width);
    to += from.height * from.width;
    const Byte* const chroma = from.row(from.height);
    for (std::size_t y = 0; y < from.half_height(); ++y)
        copy_pairs(chroma + y * rows_step * stride, pairs, swapped, to + y * pairs);
}

// YV12 to YU12: the two planes of chroma change places.
void swap_planes(const Planes& from, Byte* to) {
    const std::size_t width = (from.width + 1) / 2, stride = (from.stride + 1) / 2;
    for (std::size_t y = 0; y < from.height; ++y)
        std::memcpy(to + y * from.width, from.row(y), from.width);
    to += from.height * from.width;
    const Byte* const v = from.row(from.height);
    const Byte* const u = v + stride * from.half_height();
    for (const Byte* const plane : {u, v})
        for (std::size_t y = 0; y < from.half_height(); ++y, to += width)
            std::memcpy(to, plane + y * stride, width);
}

unsigned word(const Byte* bytes) { return static_cast<unsigned>(bytes[0] | bytes[1] << 8); }

void rgb565_to_rgb24(const Planes& from, bool big_endian, Byte* to) {
    for (std::size_t y = 0; y < from.height; ++y) {
        const Byte* line = from.row(y);
        for (std::size_t x = 0; x < from.width; ++x, line += 2, to += 3) {
            const unsigned value =
                big_endian ? static_cast<unsigned>(line[0] << 8 | line[1]) : word(line);
            const unsigned r = value >> 11, g = value >> 5 & 63, b = value & 31;
            to[0] = static_cast<Byte>(r << 3 | r >> 2);
            to[1] = static_cast<Byte>(g << 2 | g >> 4);
            to[2] = static_cast<Byte>(b << 3 | b >> 2);
        }
    }
}

void drop_fourth_byte(const Planes& from, bool blue_first, Byte* to) {
    const std::size_t red = blue_first ? 2 : 0, blue = 2 - red;
    for (std::size_t y = 0; y < from.height; ++y) {
        const Byte* line = from.row(y);
        for (std::size_t x = 0; x < from.width; ++x, line += 4, to += 3) {
            to[0] = line[red];
            to[1] = line[1];
            to[2] = line[blue];
        }
    }
}

// Bits that the brightest pixel needs, rounded up to those of a sensor.
int gray_bits_of(const Planes& from) {
    unsigned all = 0;
    for (std::size_t y = 0; y < from.height; ++y) {
        const Byte* const line = from.row(y);
        for (std::size_t x = 0; x < from.width; ++x) all |= word(line + 2 * x);
    }
    const int bits = static_cast<int>(std::bit_width(all));
    return std::clamp((bits + 1) & ~1, least_gray_bits, most_gray_bits);
}

void gray_to_gray8(const Planes& from, int bits, Byte* to) {
    const int shift = bits - 8;
    for (std::size_t y = 0; y < from.height; ++y) {
        const Byte* const line = from.row(y);
        // Bits above those that the format names are a driver's fault: white, not wrapped around.
        for (std::size_t x = 0; x < from.width; ++x)
            *to++ = static_cast<Byte>(std::min(word(line + 2 * x) >> shift, 255u));
    }
}

// ---- Bayer patterns ----

struct BayerRows {
    const Byte *above, *here, *below;
};

// One row, bilinear: a color that a pixel lacks is the mean of its two or four neighbors that have
// it. `own` is the place in RGB of the color that this row has beside green, `green` the column of
// its first green pixel (0 or 1).
void demosaic_row(const BayerRows& rows, std::size_t width, std::size_t own, std::size_t green,
                  Byte* out) {
    const std::size_t other = 2 - own;
    const auto pixel = [&](std::size_t left, std::size_t x, std::size_t right) {
        const Byte *a = rows.above, *h = rows.here, *b = rows.below;
        Byte* const to = out + 3 * x;
        if (x % 2 == green) {
            to[own] = static_cast<Byte>((h[left] + h[right] + 1) >> 1);
            to[1] = h[x];
            to[other] = static_cast<Byte>((a[x] + b[x] + 1) >> 1);
        } else {
            to[own] = h[x];
            to[1] = static_cast<Byte>((h[left] + h[right] + a[x] + b[x] + 2) >> 2);
            to[other] = static_cast<Byte>((a[left] + a[right] + b[left] + b[right] + 2) >> 2);
        }
    };
    // Past the border is what is as far inside: it has the same color.
    pixel(1, 0, 1);
    for (std::size_t x = 1; x + 1 < width; ++x) pixel(x - 1, x, x + 1);
    pixel(width - 2, width - 1, width - 2);
}

void demosaic(const Planes& from, bool red_first_row, std::size_t green_of_first_row, Byte* to) {
    for (std::size_t y = 0; y < from.height; ++y, to += 3 * from.width) {
        const std::size_t odd = y % 2, above = y == 0 ? 1 : y - 1,
                          below = y + 1 == from.height ? from.height - 2 : y + 1;
        const bool red = red_first_row == (odd == 0);
        demosaic_row({from.row(above), from.row(y), from.row(below)}, from.width, red ? 0 : 2,
                     green_of_first_row ^ odd, to);
    }
}

}  // namespace

PixelLayout converted_layout(PixelLayout layout) {
    switch (layout) {
        case PixelLayout::yvyu: return PixelLayout::yuyv;
        case PixelLayout::vyuy: return PixelLayout::uyvy;
        case PixelLayout::nv21:
        case PixelLayout::nv16:
        case PixelLayout::nv61: return PixelLayout::nv12;
        case PixelLayout::yv12: return PixelLayout::yu12;
        case PixelLayout::y10:
        case PixelLayout::y12:
        case PixelLayout::y16: return PixelLayout::gray8;
        case PixelLayout::rgb565:
        case PixelLayout::rgb565be:
        case PixelLayout::rgb32:
        case PixelLayout::bgr32:
        case PixelLayout::bggr:
        case PixelLayout::gbrg:
        case PixelLayout::grbg:
        case PixelLayout::rggb: return PixelLayout::rgb24;
        default: return layout;
    }
}

bool differs_in_chroma(PixelLayout layout) {
    switch (layout) {
        case PixelLayout::yvyu:
        case PixelLayout::vyuy:
        case PixelLayout::nv21:
        case PixelLayout::nv16:
        case PixelLayout::nv61:
        case PixelLayout::yv12: return true;
        default: return false;
    }
}

Packet convert_pixels(const Packet& from, PixelMemory& memory) {
    Packet made = from;
    made.layout = converted_layout(from.layout);
    made.stride = row_bytes(made.layout, from.width);
    memory.bytes.resize(packet_bytes(made.layout, from.width, from.height, made.stride));
    made.bytes = memory.bytes;
    const Planes pixels(from);
    Byte* const to = memory.bytes.data();
    switch (from.layout) {
        case PixelLayout::yvyu: swap_packed_chroma(pixels, 1, to); break;
        case PixelLayout::vyuy: swap_packed_chroma(pixels, 0, to); break;
        case PixelLayout::nv21: to_nv12(pixels, 1, true, to); break;
        case PixelLayout::nv16: to_nv12(pixels, 2, false, to); break;
        case PixelLayout::nv61: to_nv12(pixels, 2, true, to); break;
        case PixelLayout::yv12: swap_planes(pixels, to); break;
        case PixelLayout::rgb565: rgb565_to_rgb24(pixels, false, to); break;
        case PixelLayout::rgb565be: rgb565_to_rgb24(pixels, true, to); break;
        case PixelLayout::rgb32: drop_fourth_byte(pixels, false, to); break;
        case PixelLayout::bgr32: drop_fourth_byte(pixels, true, to); break;
        case PixelLayout::y10: gray_to_gray8(pixels, 10, to); break;
        case PixelLayout::y12: gray_to_gray8(pixels, 12, to); break;
        case PixelLayout::y16:
            memory.gray_bits = std::max(memory.gray_bits, gray_bits_of(pixels));
            gray_to_gray8(pixels, memory.gray_bits, to);
            break;
        case PixelLayout::bggr: demosaic(pixels, false, 1, to); break;
        case PixelLayout::gbrg: demosaic(pixels, false, 0, to); break;
        case PixelLayout::grbg: demosaic(pixels, true, 0, to); break;
        case PixelLayout::rggb: demosaic(pixels, true, 1, to); break;
        default: break;
    }
    return made;
}

}  // namespace mien::video
