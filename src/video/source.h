// SPDX-License-Identifier: MIT
// Sources of frames. A source gives packets (pixels or a JPEG, as the camera or the file has them);
// decoder.h decodes those that are used, so that a dropped packet costs no decoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "host/files/result.h"
#include "video/frame_shape.h"

namespace mien::video {

// Pixels of cameras and of raw streams; jpeg is one picture of a motion JPEG; picture is a file of
// any kind that decode_image() reads.
enum class PixelLayout : std::uint8_t {
    gray8,
    yuyv,
    uyvy,
    nv12,
    yu12,
    rgb24,
    bgr24,
    jpeg,
    picture,
    // Converted to one of those above when a frame is used (pixels.h).
    yvyu,
    vyuy,
    nv21,
    nv16,  // chroma in as many rows as luma
    nv61,
    yv12,
    rgb565,
    rgb565be,
    rgb32,  // R, G, B and a byte that is not used
    bgr32,
    y10,  // gray in 16 bits, of which 10 are used
    y12,
    y16,   // gray in 16 bits, of which a sensor may use fewer
    bggr,  // Bayer patterns: the colors of the first two pixels of the first two rows
    gbrg,
    grbg,
    rggb
};

// "yuyv", "nv12", "mjpg", ...; and back, also with the names of ffmpeg and V4L2. False for an
// unknown name.
const char* layout_name(PixelLayout layout);
bool find_layout(std::string_view name, PixelLayout& out);
constexpr const char* layout_names =
    "yuyv, yvyu, uyvy, vyuy, nv12, nv21, nv16, nv61, yu12, yv12, grey, y10, y12, y16, rgb24, "
    "bgr24, "
    "rgb32, bgr32, rgb565, rgb565be, bggr, gbrg, grbg, rggb, mjpg";

// Bytes of a packed row of the first plane; 0 for jpeg and picture.
std::size_t row_bytes(PixelLayout layout, int width);
// Bytes of a frame of plain pixels with rows of `stride` bytes (0: packed); 0 for jpeg and picture.
std::size_t packet_bytes(PixelLayout layout, int width, int height, std::size_t stride = 0);
// The same without what is behind the last pixel, for the last row need not be padded.
std::size_t least_packet_bytes(PixelLayout layout, int width, int height, std::size_t stride);

struct Packet {
    PixelLayout layout = PixelLayout::gray8;
    std::span<const std::uint8_t> bytes;  // valid until the source is asked again
    int width = 0, height = 0;            // of plain pixels
    // Bytes from row to row of the first plane. The chroma of yu12 and yv12 has half of it, that of
    // nv12 and its like the next even number.
    std::size_t stride = 0;
    // of the frame: a camera's driver (CLOCK_MONOTONIC), or number / rate of a file
    std::uint64_t time_ns = 0;
    std::uint64_t number = 0;  // from 0, counts dropped ones too
    // The source's own stamp, which goes on with the results: ns since 1970; 0: it has none
    std::uint64_t stamp_ns = 0;
    // How the file wants the frame shown: stretched to square pixels, then turned.
    PixelAspect aspect;
    int orientation = 1;

    Packet() = default;
    Packet(PixelLayout of_layout, std::span<const std::uint8_t> of_bytes, int of_width,
           int of_height, std::size_t of_stride, std::uint64_t of_time_ns, std::uint64_t of_number)
        : layout(of_layout),
          bytes(of_bytes),
          width(of_width),
          height(of_height),
          stride(of_stride),
          time_ns(of_time_ns),
          number(of_number) {}
};

enum class Next {
    packet,  // there is one
    wait,    // none yet: time is up, or a signal arrived
    end,     // there will be no more
    failed,  // there will be no more, and error() says why
};

class Source {
public:
    virtual ~Source() = default;
    [[nodiscard]] virtual Next next(Packet& packet, int timeout_ms) = 0;
    // One line, without the source's name.
    [[nodiscard]] virtual const std::string& error() const = 0;
    // From another thread: a next() that waits ends soon.
    virtual void stop() {}
    // A description: "640 x 480 yuyv, 30 frames per second".
    [[nodiscard]] virtual std::string description() const = 0;
    // Frames that were never given: old ones replaced by a newer one, and those that a driver
    // counted as lost.
    [[nodiscard]] virtual std::uint64_t dropped() const { return 0; }
    // True if time_ns is CLOCK_MONOTONIC, so that the age of a result is known.
    [[nodiscard]] virtual bool is_live() const { return false; }
    // Of a file: the rate in whose steps its time stamps come; frames may be missing. 0: unknown.
    [[nodiscard]] virtual double frame_rate() const { return 0; }
};

constexpr int max_side = 1 << 15;  // of the engine's frames
// of a frame of a film: 8192 x 8192
constexpr std::uint64_t max_pixels = std::uint64_t{1} << 26;

// ---- streams: raw pixels, motion JPEG, YUV4MPEG2 ----

struct StreamOptions {
    bool raw = false;  // else the first bytes tell
    PixelLayout layout = PixelLayout::yu12;
    int width = 0, height = 0;  // of raw
    std::size_t stride = 0;     // bytes from row to row of raw (see Packet); 0: packed
    std::function<void(const std::string&)> tell;  // a hint that rows may be padded
    double fps = 0;                                // 0: the stream's own, or 30
    bool live = false;                             // time stamps are of arrival
};
// Rows that are likely padded to: the stride at which rows of `bytes`, the begin of a frame, resemble
// each other far more than at `stride`; 0 if there is none.
std::size_t stride_by_look(std::span<const std::uint8_t> bytes, const StreamOptions& options);
// The one with which `total` bytes are whole frames; 0 if there is none.
std::size_t stride_by_length(std::uint64_t total, const StreamOptions& options);
// Takes over `descriptor`. Fails if the beginning is of an unknown kind; the error text gives
// advice.
host::Result<std::unique_ptr<Source>> open_stream(int descriptor, const StreamOptions& options);

// ---- images: a folder, or names with a number as in frame_%04d.png ----

bool is_sequence_pattern(const std::string& path);
host::Result<std::unique_ptr<Source>> open_sequence(const std::string& path, double fps);

// ---- films, by FFmpeg's libraries; without them the error gives an alternative ----

bool has_ffmpeg();
host::Result<std::unique_ptr<Source>> open_film(const std::string& path);

// ---- newest frame wins ----

// Reads `source` on a thread of its own and gives the newest packet; older ones are dropped and
// counted.
std::unique_ptr<Source> newest_of(std::unique_ptr<Source> source);

}  // namespace mien::video
