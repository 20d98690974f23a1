// SPDX-License-Identifier: MIT
#include "video/decoder.h"

#include <algorithm>
#include <cstring>

namespace mien::video {
namespace {

std::uint8_t byte(int v) { return static_cast<std::uint8_t>(std::clamp(v, 0, 255)); }

// BT.601, 16 bits of fraction. Cameras use Y from 16 to 235, JPEG all of 0 to 255.
struct Yuv {
    int gain, offset, rv, gu, gv, bu;
};
constexpr Yuv video_range = {76309, 16, 104597, -25675, -53279, 132201};
constexpr Yuv full_range = {65536, 0, 91881, -22554, -46802, 116130};

void put(std::uint8_t* out, const Yuv& k, int y, int u, int v) {
    const int base = (y - k.offset) * k.gain + (1 << 15);
    u -= 128;
    v -= 128;
    out[0] = byte((base + k.rv * v) >> 16);
    out[1] = byte((base + k.gu * u + k.gv * v) >> 16);
    out[2] = byte((base + k.bu * u) >> 16);
}

}  // namespace

host::Result<> Decoder::decode(const Packet& packet, Frame& frame) {
    packet_ = packet;
    host::Result<> done;
    if (packet.layout == PixelLayout::jpeg || packet.layout == PixelLayout::picture)
        done = decode_picture(packet, frame);
    else
        done = decode_plain(packet, frame);
    frame_ = frame;
    return done;
}

host::Result<> Decoder::decode_picture(const Packet& packet, Frame& frame) {
    if (packet.layout == PixelLayout::picture) {
        host::ImageLimits limits;
        limits.max_pixels = max_pixels;
        auto decoded = host::decode_image(packet.bytes, limits);
        if (!decoded) return decoded.error();
        image_ = std::move(decoded->image);
        frame = image_.frame();
        return {};
    }
    const JpegPixels wanted = options_.engine_wants_color ? JpegPixels::rgb
                              : options_.picture_wanted   ? JpegPixels::ycbcr
                                                          : JpegPixels::gray;
    if (const host::Result<> done = decode_jpeg(packet.bytes, wanted, options_.jpeg_scale, jpeg_);
        !done)
        return done.error();
    const auto width = static_cast<std::ptrdiff_t>(jpeg_.width);
    switch (jpeg_.kind) {
        case JpegPixels::gray:
            frame = {jpeg_.pixels.data(), jpeg_.width, jpeg_.height, width, PixelFormat::gray8};
            break;
        case JpegPixels::rgb:
            frame = {jpeg_.pixels.data(), jpeg_.width, jpeg_.height, 3 * width, PixelFormat::rgb24};
            break;
        case JpegPixels::ycbcr:
            plane_.resize(jpeg_.pixels.size() / 3);
            for (std::size_t i = 0; i < plane_.size(); ++i) plane_[i] = jpeg_.pixels[3 * i];
            frame = {plane_.data(), jpeg_.width, jpeg_.height, width, PixelFormat::gray8};
            break;
    }
    return {};
}

host::Result<> Decoder::decode_plain(const Packet& packet, Frame& frame) {
    if (packet.width < 1 || packet.height < 1 || packet.width > max_side ||
        packet.height > max_side ||
        static_cast<std::uint64_t>(packet.width) * static_cast<std::uint64_t>(packet.height) >
            max_pixels) {
        return host::Error::input("a frame cannot be " + std::to_string(packet.width) + " x " +
                                  std::to_string(packet.height) + " pixels");
    }
    const std::size_t row = row_bytes(packet.layout, packet.width);
    const std::size_t stride = packet.stride != 0 ? packet.stride : row;
    const std::size_t needed = packet_bytes(packet.layout, packet.width, packet.height, stride);
    // The last row need not be padded.
    if (stride < row || packet.bytes.size() + (stride - row) < needed)
        return host::Error::input("short frame: " + std::to_string(packet.bytes.size()) + " of " +
                                  std::to_string(needed) + " bytes");
    packet_.stride = stride;
    const auto step = static_cast<std::ptrdiff_t>(stride);
    const int even_width = packet.width & ~1, even_height = packet.height & ~1;
    const std::uint8_t* data = packet.bytes.data();
    frame = {data, packet.width, packet.height, step, PixelFormat::gray8};
    switch (packet.layout) {
        case PixelLayout::yuyv:
        case PixelLayout::uyvy:
            if (even_width == 0)
                return host::Error::input("a frame cannot be one pixel wide in this format");
            frame.width = even_width;
            frame.format =
                packet.layout == PixelLayout::yuyv ? PixelFormat::yuyv : PixelFormat::uyvy;
            break;
        case PixelLayout::rgb24: frame.format = PixelFormat::rgb24; break;
        case PixelLayout::bgr24: frame.format = PixelFormat::bgr24; break;
        case PixelLayout::nv12:
            if (options_.engine_wants_color && packet.height == even_height && even_width > 0) {
                frame.format = PixelFormat::nv12;
                frame.width = even_width;
            }
            break;
        case PixelLayout::yu12: {
            if (!options_.engine_wants_color || even_width == 0 || even_height == 0) break;
            const auto w = static_cast<std::size_t>(even_width),
                       h = static_cast<std::size_t>(even_height);
            const std::size_t chroma = (stride + 1) / 2,
                              rows = (static_cast<std::size_t>(packet.height) + 1) / 2;
            const std::uint8_t *u = data + stride * static_cast<std::size_t>(packet.height),
                               *v = u + chroma * rows;
            plane_.resize(w * h * 3 / 2);
            for (std::size_t y = 0; y < h; ++y)
                std::memcpy(plane_.data() + y * w, data + y * stride, w);
            std::uint8_t* out = plane_.data() + w * h;
            for (std::size_t y = 0; y < h / 2; ++y) {
                for (std::size_t x = 0; x < w / 2; ++x) {
                    *out++ = u[y * chroma + x];
                    *out++ = v[y * chroma + x];
                }
            }
            frame = {plane_.data(), even_width, even_height, even_width, PixelFormat::nv12};
            break;
        }
        default: break;
    }
    return {};
}

void Decoder::picture(std::vector<std::uint8_t>& out) const {
    const auto w = static_cast<std::size_t>(frame_.width),
               h = static_cast<std::size_t>(frame_.height);
    out.resize(3 * w * h);
    std::uint8_t* to = out.data();
    if (packet_.layout == PixelLayout::picture ||
        (packet_.layout == PixelLayout::jpeg && jpeg_.kind == JpegPixels::rgb)) {
        for (std::size_t y = 0; y < h; ++y)
            std::memcpy(to + 3 * w * y,
                        frame_.data + static_cast<std::ptrdiff_t>(y) * frame_.stride_bytes, 3 * w);
        return;
    }
    if (packet_.layout == PixelLayout::jpeg) {
        const std::uint8_t* p = jpeg_.pixels.data();
        for (std::size_t i = 0; i < w * h; ++i, to += 3) {
            if (jpeg_.kind == JpegPixels::gray)
                to[0] = to[1] = to[2] = p[i];
            else
                put(to, full_range, p[3 * i], p[3 * i + 1], p[3 * i + 2]);
        }
        return;
    }
    const std::uint8_t* data = packet_.bytes.data();
    const std::size_t stride = packet_.stride, chroma = (stride + 1) / 2,
                      rows = (static_cast<std::size_t>(packet_.height) + 1) / 2;
    const std::uint8_t *second = data + stride * static_cast<std::size_t>(packet_.height),
                       *third = second + chroma * rows;
    for (std::size_t y = 0; y < h; ++y) {
        const std::uint8_t* line = data + y * stride;
        for (std::size_t x = 0; x < w; ++x, to += 3) {
            switch (packet_.layout) {
                case PixelLayout::yuyv:
                    put(to, video_range, line[2 * x], line[4 * (x / 2) + 1], line[4 * (x / 2) + 3]);
                    break;
                case PixelLayout::uyvy:
                    put(to, video_range, line[2 * x + 1], line[4 * (x / 2)], line[4 * (x / 2) + 2]);
                    break;
                case PixelLayout::nv12: {
                    const std::uint8_t* pair = second + (y / 2) * stride + 2 * (x / 2);
                    put(to, video_range, line[x], pair[0], pair[1]);
                    break;
                }
                case PixelLayout::yu12:
                    put(to, video_range, line[x], second[(y / 2) * chroma + x / 2],
                        third[(y / 2) * chroma + x / 2]);
                    break;
                case PixelLayout::rgb24: std::memcpy(to, line + 3 * x, 3); break;
                case PixelLayout::bgr24:
                    for (std::size_t c = 0; c < 3; ++c) to[c] = line[3 * x + 2 - c];
                    break;
                default: to[0] = to[1] = to[2] = line[x]; break;
            }
        }
    }
}

}  // namespace mien::video
