// SPDX-License-Identifier: MIT
// Pixels of a part of a frame of any format, for loops that are compiled once per format.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image/gray.h"
#include "image/yuv.h"
#include "mien/mien.hpp"

namespace mien {

// A reader gives pixel x of row y of the part as `channels` bytes, R, G, B or gray.

struct GrayReader {
    static constexpr int channels = 1;
    const std::uint8_t* data;
    std::ptrdiff_t stride;

    struct Row {
        const std::uint8_t* pixels;
        void read(int x, std::uint8_t* out) const noexcept { *out = pixels[x]; }
    };
    [[nodiscard]] Row row(int y) const noexcept { return {data + y * stride}; }
};

template <int pixel_bytes>
struct PackedReader {
    static constexpr int channels = 3;
    const std::uint8_t* data;
    std::ptrdiff_t stride;
    ChannelOrder order;

    struct Row {
        const std::uint8_t* pixels;
        ChannelOrder order;
        void read(int x, std::uint8_t* out) const noexcept {
            const std::uint8_t* const p = pixels + std::ptrdiff_t{x} * pixel_bytes;
            out[0] = p[order.red];
            out[1] = p[order.green];
            out[2] = p[order.blue];
        }
    };
    [[nodiscard]] Row row(int y) const noexcept { return {data + y * stride, order}; }
};

// YUYV and UYVY: two pixels in four bytes. A part may start at an odd column, so columns are those
// of the frame.
template <int luma, int chroma>
struct Yuv422Reader {
    static constexpr int channels = 3;
    const std::uint8_t* data;  // of the frame's first column
    std::ptrdiff_t stride;
    int first;  // column of the part

    struct Row {
        const std::uint8_t* pixels;
        int first;
        void read(int x, std::uint8_t* out) const noexcept {
            const std::ptrdiff_t column = first + x;
            const std::uint8_t* const uv = pixels + column / 2 * 4 + chroma;
            yuv_to_rgb(pixels[2 * column + luma], uv[0], uv[2], out);
        }
    };
    [[nodiscard]] Row row(int y) const noexcept { return {data + y * stride, first}; }
};

struct Nv12Reader {
    static constexpr int channels = 3;
    const std::uint8_t *luma, *chroma;  // of the frame
    std::ptrdiff_t stride;
    int first, top;  // column and row of the part

    struct Row {
        const std::uint8_t *luma, *chroma;
        int first;
        void read(int x, std::uint8_t* out) const noexcept {
            const std::ptrdiff_t column = first + x;
            const std::uint8_t* const uv = chroma + column / 2 * 2;
            yuv_to_rgb(luma[column], uv[0], uv[1], out);
        }
    };
    [[nodiscard]] Row row(int y) const noexcept {
        return {luma + (top + y) * stride, chroma + (top + y) / 2 * stride, first};
    }
};

// Calls run(reader) with the reader of `part`, which lies inside of the valid frame. `channels` is
// 1 (the frame is gray8) or 3: gray gives R = G = B, YUV what COLOR_YUV2RGB_* gives.
template <class Run>
void with_reader(const Frame& frame, const Rect& part, int channels, const Run& run) noexcept {
    const std::ptrdiff_t stride = frame.stride_bytes;
    const std::uint8_t* const row = frame.data + part.y * stride;
    const std::uint8_t* const first = row + std::ptrdiff_t{part.x} * bytes_per_pixel(frame.format);
    const ChannelOrder order = channel_order(frame.format);
    switch (frame.format) {
        case PixelFormat::gray8:
            if (channels == 1) return run(GrayReader{first, stride});
            return run(PackedReader<1>{first, stride, order});
        case PixelFormat::rgb24:
        case PixelFormat::bgr24: return run(PackedReader<3>{first, stride, order});
        case PixelFormat::rgba32:
        case PixelFormat::bgra32: return run(PackedReader<4>{first, stride, order});
        case PixelFormat::yuyv: return run(Yuv422Reader<0, 1>{row, stride, part.x});
        case PixelFormat::uyvy: return run(Yuv422Reader<1, 0>{row, stride, part.x});
        case PixelFormat::nv12:
            return run(
                Nv12Reader{frame.data, frame.data + frame.height * stride, stride, part.x, part.y});
    }
}

}  // namespace mien
