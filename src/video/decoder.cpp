// SPDX-License-Identifier: MIT
#include "video/decoder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "host/codec/orientation.h"
#include "image/yuv.h"

namespace mien::video {

using host::JpegPixels;

namespace {

// YCbCr of JPEG, where Y has all of 0 to 255; the bits that libjpeg gives.
void ycbcr_to_rgb(int y, int cb, int cr, std::uint8_t* out) {
    const int luma = (y << 16) + (1 << 15);
    cb -= 128;
    cr -= 128;
    const auto byte = [](int value) {
        return static_cast<std::uint8_t>(std::clamp(value >> 16, 0, 255));
    };
    out[0] = byte(luma + 91881 * cr);
    out[1] = byte(luma - 22554 * cb - 46802 * cr);
    out[2] = byte(luma + 116130 * cb);
}

bool is_bayer(PixelLayout layout) {
    return layout == PixelLayout::bggr || layout == PixelLayout::gbrg ||
           layout == PixelLayout::grbg || layout == PixelLayout::rggb;
}

// Is the size possible, and are all rows there?
host::Result<> check_plain(const Packet& packet, std::size_t row, std::size_t stride) {
    if (packet.width < 1 || packet.height < 1 || packet.width > max_side ||
        packet.height > max_side ||
        static_cast<std::uint64_t>(packet.width) * static_cast<std::uint64_t>(packet.height) >
            max_pixels) {
        return host::Error::input("a frame cannot be " + std::to_string(packet.width) + " x " +
                                  std::to_string(packet.height) + " pixels");
    }
    if (stride < row)
        return host::Error::input("rows of " + std::to_string(stride) +
                                  " bytes are too short for " + std::to_string(packet.width) +
                                  " pixels");
    const std::size_t needed =
        least_packet_bytes(packet.layout, packet.width, packet.height, stride);
    if (packet.bytes.size() < needed)
        return host::Error::input("short frame: " + std::to_string(packet.bytes.size()) + " of " +
                                  std::to_string(needed) + " bytes");
    return {};
}

// NV12 of the upper left width x height pixels (both even) of YU12, which has two chroma planes.
void interleave_chroma(const Packet& yu12, int width, int height, std::vector<std::uint8_t>& out) {
    const auto w = static_cast<std::size_t>(width), h = static_cast<std::size_t>(height),
               rows = static_cast<std::size_t>(yu12.height);
    const std::size_t stride = yu12.stride, chroma = (stride + 1) / 2;
    const std::uint8_t *luma = yu12.bytes.data(), *u = luma + stride * rows,
                       *v = u + chroma * ((rows + 1) / 2);
    out.resize(w * h * 3 / 2);
    for (std::size_t y = 0; y < h; ++y) std::memcpy(out.data() + y * w, luma + y * stride, w);
    std::uint8_t* to = out.data() + w * h;
    for (std::size_t y = 0; y < h / 2; ++y) {
        for (std::size_t x = 0; x < w / 2; ++x) {
            *to++ = u[y * chroma + x];
            *to++ = v[y * chroma + x];
        }
    }
}

}  // namespace

host::Result<> Decoder::decode(const Packet& packet, Frame& frame, bool whole) {
    packet_ = packet;
    whole_ = whole;
    rows_read_ = {};
    host::Result<> done;
    if (packet.layout == PixelLayout::jpeg || packet.layout == PixelLayout::picture)
        done = decode_picture(packet, frame);
    else
        done = decode_plain(packet, frame);
    frame_ = frame;
    if (!done) return done;
    stored_ = {frame.width, frame.height, packet.aspect, packet.orientation, false};
    shown_width_ =
        options_.as_stored ? frame.width : square_width(frame.width, frame.height, packet.aspect);
    const int of_file = options_.as_stored ? 1 : packet.orientation;
    orientation_ = host::combined_orientation(of_file, options_.orientation);
    stored_.is_changed = of_file != 1 || shown_width_ != frame.width;
    if (orientation_ == 1 && shown_width_ == frame.width) return done;
    if (!read_rows(0, frame.height)) return rows_read_;
    reshape(frame);
    return done;
}

FrameRows Decoder::rows() {
    if (packet_.layout != PixelLayout::jpeg || jpeg_rows_.is_whole()) return {};
    return {[](void* decoder, int first, int last) {
                return static_cast<int>(static_cast<Decoder*>(decoder)->read_rows(first, last));
            },
            this};
}

// Of a JPEG; of other packets all are there.
bool Decoder::read_rows(int first, int last) {
    if (packet_.layout != PixelLayout::jpeg || !rows_read_) return static_cast<bool>(rows_read_);
    rows_read_ = jpeg_rows_.read(first, last);
    if (rows_read_ && !jpeg_.damage.empty())
        rows_read_ = host::Error::input("damaged JPEG: " + jpeg_.damage);
    return static_cast<bool>(rows_read_);
}

// The frame as gray, or as RGB if the engine wants colors, with square pixels and upright.
void Decoder::reshape(Frame& frame) {
    host::PixelsToTurn pixels = {frame.data, frame.width, frame.height, frame.stride_bytes, 1};
    const auto w = static_cast<std::size_t>(frame.width);
    const bool is_packed_yuv =
        frame.format == PixelFormat::yuyv || frame.format == PixelFormat::uyvy;
    if (frame.format == PixelFormat::rgb24 || frame.format == PixelFormat::bgr24) {
        pixels.channels = 3;
    } else if (options_.engine_wants_color && frame.format != PixelFormat::gray8) {
        picture_as_it_came(before_turn_);
        pixels = {before_turn_.data(), frame.width, frame.height, 3 * std::ptrdiff_t{frame.width},
                  3};
        frame.format = PixelFormat::rgb24;
    } else if (is_packed_yuv) {
        before_turn_.resize(w * static_cast<std::size_t>(frame.height));
        std::uint8_t* to = before_turn_.data();
        for (int y = 0; y < frame.height; ++y) {
            const std::uint8_t* luma =
                frame.data + y * frame.stride_bytes + (frame.format == PixelFormat::uyvy ? 1 : 0);
            for (std::size_t x = 0; x < w; ++x) *to++ = luma[2 * x];
        }
        pixels.data = before_turn_.data();
        pixels.stride = frame.width;
        frame.format = PixelFormat::gray8;
    } else {  // gray, or NV12, which begins with it
        frame.format = PixelFormat::gray8;
    }
    if (shown_width_ != frame.width) {
        stretcher_.stretch(pixels, shown_width_, stretched_);
        pixels.data = stretched_.data();
        frame.width = pixels.width = shown_width_;
        pixels.stride = std::ptrdiff_t{shown_width_} * pixels.channels;
    }
    if (orientation_ != 1) {
        turned_.resize(static_cast<std::size_t>(pixels.width) *
                       static_cast<std::size_t>(pixels.height) *
                       static_cast<std::size_t>(pixels.channels));
        host::turn_pixels(pixels, orientation_, turned_.data());
        pixels.data = turned_.data();
        if (host::is_transposed(orientation_)) std::swap(frame.width, frame.height);
    }
    frame.data = pixels.data;
    frame.stride_bytes = std::ptrdiff_t{frame.width} * pixels.channels;
}

void Decoder::picture(std::vector<std::uint8_t>& out) {
    read_rows(0, frame_.height);  // what is damaged looks so
    const bool is_stretched = shown_width_ != frame_.width, is_turned = orientation_ != 1;
    if (!is_stretched && !is_turned) return picture_as_it_came(out);
    picture_as_it_came(before_turn_);
    host::PixelsToTurn pixels = {before_turn_.data(), frame_.width, frame_.height,
                                 3 * std::ptrdiff_t{frame_.width}, 3};
    if (is_stretched) {
        std::vector<std::uint8_t>& to = is_turned ? stretched_ : out;
        stretcher_.stretch(pixels, shown_width_, to);
        pixels.data = to.data();
        pixels.width = shown_width_;
        pixels.stride = 3 * std::ptrdiff_t{shown_width_};
    }
    if (!is_turned) return;
    out.resize(3 * static_cast<std::size_t>(pixels.width) *
               static_cast<std::size_t>(pixels.height));
    host::turn_pixels(pixels, orientation_, out.data());
}

host::Result<> Decoder::decode_picture(const Packet& packet, Frame& frame) {
    if (packet.layout == PixelLayout::picture) {
        host::ImageLimits limits;
        limits.max_pixels = max_pixels;
        auto decoded = host::decode_image(packet.bytes, limits);
        if (!decoded) return decoded.error();
        if (decoded->damage == host::Damage::certain) return host::Error::input(decoded->note);
        image_ = std::move(decoded->image);
        frame = image_.frame();
        return {};
    }
    return decode_jpeg(packet, frame);
}

host::Result<> Decoder::decode_jpeg(const Packet& packet, Frame& frame) {
    host::JpegRequest request;
    request.pixels = options_.engine_wants_color ? JpegPixels::rgb
                     : options_.picture_wanted   ? JpegPixels::ycbcr
                                                 : JpegPixels::gray;
    request.scale = options_.jpeg_scale;
    request.limits.max_pixels = max_pixels;
    request.limits.max_side = max_side;
    if (const host::Result<> done = jpeg_rows_.begin(packet.bytes, request, jpeg_); !done)
        return done.error();
    if ((whole_ || jpeg_.kind == JpegPixels::ycbcr) && !read_rows(0, jpeg_.height))
        return rows_read_;
    const auto width = static_cast<std::ptrdiff_t>(jpeg_.width);
    switch (jpeg_.kind) {
        case JpegPixels::gray:
            frame = {jpeg_.pixels.get(), jpeg_.width, jpeg_.height, width, PixelFormat::gray8};
            break;
        case JpegPixels::rgb:
            frame = {jpeg_.pixels.get(), jpeg_.width, jpeg_.height, 3 * width, PixelFormat::rgb24};
            break;
        case JpegPixels::ycbcr:
            plane_.resize(jpeg_.bytes() / 3);
            for (std::size_t i = 0; i < plane_.size(); ++i) plane_[i] = jpeg_.pixels[3 * i];
            frame = {plane_.data(), jpeg_.width, jpeg_.height, width, PixelFormat::gray8};
            break;
    }
    return {};
}

host::Result<> Decoder::decode_plain(const Packet& packet, Frame& frame) {
    const std::size_t row = row_bytes(packet.layout, packet.width);
    packet_.stride = packet.stride != 0 ? packet.stride : row;
    if (const host::Result<> done = check_plain(packet, row, packet_.stride); !done) return done;
    const int even_width = packet.width & ~1, even_height = packet.height & ~1;
    PixelLayout layout = converted_layout(packet.layout);
    if (is_bayer(packet.layout) && (packet.width < 2 || packet.height < 2))
        return host::Error::input("a frame cannot be one pixel wide or high in this format");
    if (layout != packet.layout &&
        (options_.engine_wants_color || !differs_in_chroma(packet.layout)))
        packet_ = convert_pixels(packet_, converted_);
    frame = {packet_.bytes.data(), packet.width, packet.height,
             static_cast<std::ptrdiff_t>(packet_.stride), PixelFormat::gray8};
    switch (layout) {
        case PixelLayout::yuyv:
        case PixelLayout::uyvy:
            if (even_width == 0)
                return host::Error::input("a frame cannot be one pixel wide in this format");
            frame.width = even_width;
            frame.format = layout == PixelLayout::yuyv ? PixelFormat::yuyv : PixelFormat::uyvy;
            break;
        case PixelLayout::rgb24: frame.format = PixelFormat::rgb24; break;
        case PixelLayout::bgr24: frame.format = PixelFormat::bgr24; break;
        case PixelLayout::nv12:
            // The engine's frames have chroma in rows as long as those of luma.
            if (options_.engine_wants_color && packet.height == even_height && even_width > 0 &&
                packet_.stride % 2 == 0) {
                frame.format = PixelFormat::nv12;
                frame.width = even_width;
            }
            break;
        case PixelLayout::yu12:
            if (options_.engine_wants_color && even_width > 0 && even_height > 0) {
                interleave_chroma(packet_, even_width, even_height, plane_);
                frame = {plane_.data(), even_width, even_height, even_width, PixelFormat::nv12};
            }
            break;
        default: break;
    }
    return {};
}

void Decoder::picture_as_it_came(std::vector<std::uint8_t>& out) {
    if (converted_layout(packet_.layout) != packet_.layout)  // only its gray was wanted so far
        packet_ = convert_pixels(packet_, converted_);
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
        const std::uint8_t* p = jpeg_.pixels.get();
        for (std::size_t i = 0; i < w * h; ++i, to += 3) {
            if (jpeg_.kind == JpegPixels::gray)
                to[0] = to[1] = to[2] = p[i];
            else
                ycbcr_to_rgb(p[3 * i], p[3 * i + 1], p[3 * i + 2], to);
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
                    yuv_to_rgb(line[2 * x], line[4 * (x / 2) + 1], line[4 * (x / 2) + 3], to);
                    break;
                case PixelLayout::uyvy:
                    yuv_to_rgb(line[2 * x + 1], line[4 * (x / 2)], line[4 * (x / 2) + 2], to);
                    break;
                case PixelLayout::nv12: {
                    const std::uint8_t* pair =
                        second + (y / 2) * (stride + stride % 2) + 2 * (x / 2);
                    yuv_to_rgb(line[x], pair[0], pair[1], to);
                    break;
                }
                case PixelLayout::yu12:
                    yuv_to_rgb(line[x], second[(y / 2) * chroma + x / 2],
                               third[(y / 2) * chroma + x / 2], to);
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
