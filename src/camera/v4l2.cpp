// SPDX-License-Identifier: MIT
#include "camera/v4l2.h"

#include <linux/videodev2.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "host/clock.h"

namespace mien::camera {
namespace {

using video::PixelLayout;

constexpr unsigned wanted_buffers = 4, max_buffers = 32;
constexpr unsigned max_listed = 256;    // stops a driver that enumerates endlessly
constexpr int bad_frames_allowed = 60;  // one after the other

struct Fourcc {
    std::uint32_t code;
    PixelLayout layout;
};
constexpr Fourcc fourccs[] = {
    {V4L2_PIX_FMT_GREY, PixelLayout::gray8},       {V4L2_PIX_FMT_NV12, PixelLayout::nv12},
    {V4L2_PIX_FMT_NV21, PixelLayout::nv21},        {V4L2_PIX_FMT_NV16, PixelLayout::nv16},
    {V4L2_PIX_FMT_NV61, PixelLayout::nv61},        {V4L2_PIX_FMT_YUV420, PixelLayout::yu12},
    {V4L2_PIX_FMT_YVU420, PixelLayout::yv12},      {V4L2_PIX_FMT_YUYV, PixelLayout::yuyv},
    {V4L2_PIX_FMT_YVYU, PixelLayout::yvyu},        {V4L2_PIX_FMT_UYVY, PixelLayout::uyvy},
    {V4L2_PIX_FMT_VYUY, PixelLayout::vyuy},        {V4L2_PIX_FMT_RGB24, PixelLayout::rgb24},
    {V4L2_PIX_FMT_BGR24, PixelLayout::bgr24},      {V4L2_PIX_FMT_RGB565, PixelLayout::rgb565},
    {V4L2_PIX_FMT_RGB565X, PixelLayout::rgb565be}, {V4L2_PIX_FMT_RGBA32, PixelLayout::rgb32},
    {V4L2_PIX_FMT_RGBX32, PixelLayout::rgb32},     {V4L2_PIX_FMT_ABGR32, PixelLayout::bgr32},
    {V4L2_PIX_FMT_XBGR32, PixelLayout::bgr32},     {V4L2_PIX_FMT_BGR32, PixelLayout::bgr32},
    {V4L2_PIX_FMT_Y10, PixelLayout::y10},          {V4L2_PIX_FMT_Y12, PixelLayout::y12},
    {V4L2_PIX_FMT_Y16, PixelLayout::y16},          {V4L2_PIX_FMT_SBGGR8, PixelLayout::bggr},
    {V4L2_PIX_FMT_SGBRG8, PixelLayout::gbrg},      {V4L2_PIX_FMT_SGRBG8, PixelLayout::grbg},
    {V4L2_PIX_FMT_SRGGB8, PixelLayout::rggb},      {V4L2_PIX_FMT_MJPEG, PixelLayout::jpeg},
    {V4L2_PIX_FMT_JPEG, PixelLayout::jpeg}};

bool layout_of(std::uint32_t code, PixelLayout& layout) {
    for (const Fourcc& entry : fourccs) {
        if (entry.code == code) {
            layout = entry.layout;
            return true;
        }
    }
    return false;
}

std::string fourcc_text(std::uint32_t code) {
    std::string text;
    for (int i = 0; i < 4; ++i) {
        const auto c = static_cast<char>(code >> (8 * i) & 0x7f);
        text += c > 32 && c < 127 ? c : '?';
    }
    return text;
}

// What a frame costs before the engine sees gray: nothing for a plane, a pass for packed pixels,
// much more for a JPEG.
int cost_of(PixelLayout layout, bool colour) {
    switch (layout) {
        // no color at all: only if there is nothing else
        case PixelLayout::gray8: return colour ? 50 : 0;
        case PixelLayout::y10:
        case PixelLayout::y12:
        case PixelLayout::y16: return colour ? 51 : 3;
        case PixelLayout::nv12: return 1;
        case PixelLayout::nv21:
        case PixelLayout::nv16:
        case PixelLayout::nv61:
        case PixelLayout::yu12: return colour ? 3 : 1;
        case PixelLayout::yv12: return colour ? 4 : 1;
        case PixelLayout::yuyv:
        case PixelLayout::uyvy: return 2;
        case PixelLayout::yvyu:
        case PixelLayout::vyuy: return colour ? 5 : 2;
        case PixelLayout::rgb24:
        case PixelLayout::bgr24: return 4;
        case PixelLayout::rgb565:
        case PixelLayout::rgb565be:
        case PixelLayout::rgb32:
        case PixelLayout::bgr32: return 6;
        // raw data of a sensor: what a camera has processed shows faces better, even as a JPEG
        case PixelLayout::bggr:
        case PixelLayout::gbrg:
        case PixelLayout::grbg:
        case PixelLayout::rggb: return 30;
        default: return 20;
    }
}

std::string size_text(int width, int height) {
    return std::to_string(width) + " x " + std::to_string(height);
}
std::string rate_text(double fps) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4g", fps);
    return text;
}
template <std::size_t N>
std::string fixed_text(const __u8 (&field)[N]) {
    const auto* begin = reinterpret_cast<const char*>(field);
    return {begin, strnlen(begin, N)};
}

const char* const pi_camera_advice =
    "a Raspberry Pi's own camera is reached through libcamera; run: rpicam-vid -t 0 -n --codec "
    "mjpeg --width 640 --height 480 -o - | mien video - --live";

// A device with the calls that reach it.
class Device {
public:
    explicit Device(DeviceCalls& calls) : calls_(calls) {}
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    ~Device() { close(); }

    host::Result<> open(const std::string& path);
    void close() {
        if (descriptor_ >= 0) calls_.close(descriptor_);
        descriptor_ = -1;
    }
    // 0 or errno. Interrupted calls are repeated, as drivers return early on signals.
    int call(unsigned long request, void* argument) const {
        for (int i = 0; i < 100; ++i) {
            if (calls_.ioctl(descriptor_, request, argument) == 0) return 0;
            if (errno != EINTR) return errno;
        }
        return EINTR;
    }
    DeviceCalls& calls() const { return calls_; }
    int descriptor() const { return descriptor_; }
    const std::string& card() const { return card_; }
    const std::string& driver() const { return driver_; }
    const std::string& bus() const { return bus_; }
    std::uint32_t caps() const { return caps_; }
    // Drivers of SoC cameras have V4L2's multi-planar interface only; formats whose planes share
    // one buffer are the same in it.
    bool planar() const {
        return (caps_ & V4L2_CAP_VIDEO_CAPTURE) == 0 &&
               (caps_ & V4L2_CAP_VIDEO_CAPTURE_MPLANE) != 0;
    }
    std::uint32_t buffer_type() const {
        return planar() ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    }

    // Formats of the capture side, in the driver's order.
    std::vector<std::uint32_t> formats() const {
        std::vector<std::uint32_t> found;
        for (unsigned i = 0; i < max_listed; ++i) {
            v4l2_fmtdesc description{};
            description.index = i;
            description.type = buffer_type();
            if (call(VIDIOC_ENUM_FMT, &description) != 0) break;
            found.push_back(description.pixelformat);
        }
        return found;
    }
    std::vector<SizeInfo> sizes(std::uint32_t format) const;
    std::vector<double> rates(std::uint32_t format, int width, int height) const;

private:
    DeviceCalls& calls_;
    int descriptor_ = -1;
    std::string card_, driver_, bus_;
    std::uint32_t caps_ = 0;
};

host::Result<> Device::open(const std::string& path) {
    descriptor_ = calls_.open(path.c_str());
    if (descriptor_ < 0) {
        switch (errno) {
            case ENOENT:
                return host::Error::input("no such device; `mien camera --list` shows the cameras");
            case EACCES:
            case EPERM:
                return host::Error::input(
                    "no permission; join the group: sudo usermod -aG video $USER, then log in "
                    "again");
            case EBUSY: return host::Error::input("in use by another program");
            case ENODEV:
            case ENXIO: return host::Error::input("the device is gone");
            case ENOTTY:
                return host::Error::input(
                    "is no device; `mien camera --list` shows the cameras, `mien video FILE` reads "
                    "files");
            default: return host::Error::input(std::strerror(errno));
        }
    }
    v4l2_capability capability{};
    if (const int error = call(VIDIOC_QUERYCAP, &capability); error != 0)
        return host::Error::input(
            error == ENODEV
                ? "the device is gone"
                : "is no camera (not a V4L2 device); `mien camera --list` shows the cameras");
    card_ = fixed_text(capability.card);
    driver_ = fixed_text(capability.driver);
    bus_ = fixed_text(capability.bus_info);
    caps_ = (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? capability.device_caps
                                                                  : capability.capabilities;
    return {};
}

std::vector<SizeInfo> Device::sizes(std::uint32_t format) const {
    std::vector<SizeInfo> found;
    for (unsigned i = 0; i < max_listed; ++i) {
        v4l2_frmsizeenum size{};
        size.index = i;
        size.pixel_format = format;
        if (call(VIDIOC_ENUM_FRAMESIZES, &size) != 0) break;
        const bool discrete = size.type == V4L2_FRMSIZE_TYPE_DISCRETE;
        const std::uint32_t w = discrete ? size.discrete.width : size.stepwise.max_width,
                            h = discrete ? size.discrete.height : size.stepwise.max_height;
        if (w >= 1 && h >= 1 && w <= static_cast<std::uint32_t>(video::max_side) &&
            h <= static_cast<std::uint32_t>(video::max_side))
            found.push_back({static_cast<int>(w), static_cast<int>(h), {}, !discrete});
        if (!discrete) break;
    }
    return found;
}

std::vector<double> Device::rates(std::uint32_t format, int width, int height) const {
    std::vector<double> found;
    for (unsigned i = 0; i < max_listed; ++i) {
        v4l2_frmivalenum interval{};
        interval.index = i;
        interval.pixel_format = format;
        interval.width = static_cast<std::uint32_t>(width);
        interval.height = static_cast<std::uint32_t>(height);
        if (call(VIDIOC_ENUM_FRAMEINTERVALS, &interval) != 0) break;
        const bool discrete = interval.type == V4L2_FRMIVAL_TYPE_DISCRETE;
        const v4l2_fract shortest = discrete ? interval.discrete : interval.stepwise.min;
        if (shortest.numerator != 0 && shortest.denominator != 0)
            found.push_back(static_cast<double>(shortest.denominator) / shortest.numerator);
        if (!discrete) break;
    }
    std::sort(found.rbegin(), found.rend());
    return found;
}

host::Result<> check_kind(const Device& device, const std::vector<std::uint32_t>& formats) {
    const std::uint32_t caps = device.caps();
    const auto has = [caps](std::uint32_t flags) { return (caps & flags) != 0; };
    if (device.driver() == "unicam" || device.driver() == "rp1-cfe" ||
        device.driver() == "bcm2835-isp")
        return host::Error::input(pi_camera_advice);
    if (has(V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE))
        return host::Error::input(
            "is a codec, not a camera; `mien camera --list` shows the cameras");
    if (!has(V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)) {
        if (has(V4L2_CAP_META_CAPTURE))
            return host::Error::input(
                "carries a camera's metadata, not its images; `mien camera --list` shows the "
                "cameras");
        if (has(V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_VIDEO_OUTPUT_MPLANE))
            return host::Error::input(
                "is an output: images can only be written to it; if a program is to feed it, "
                "start that first");
        return host::Error::input("is not a camera; `mien camera --list` shows the cameras");
    }
    if (!has(V4L2_CAP_STREAMING)) return host::Error::input("does not stream into memory");
    if (formats.empty()) return host::Error::input("offers no image format");
    PixelLayout layout{};
    if (std::any_of(formats.begin(), formats.end(),
                    [&](std::uint32_t f) { return layout_of(f, layout); }))
        return {};
    std::string names;
    bool bayer = true;
    for (const std::uint32_t format : formats) {
        const std::string name = fourcc_text(format);
        names += (names.empty() ? "" : ", ") + name;
        const bool raw = name == "BA81" || name == "GBRG" || name == "GRBG" || name == "RGGB" ||
                         name[0] == 'p' || name.compare(0, 2, "BG") == 0 ||
                         name.compare(0, 2, "GB") == 0 || name.compare(0, 2, "BA") == 0 ||
                         name.compare(0, 2, "RG") == 0 || name.compare(0, 2, "BY") == 0;
        bayer = bayer && raw && name.compare(0, 3, "RGB") != 0 && name.compare(0, 3, "BGR") != 0;
    }
    if (bayer)
        return host::Error::input("offers only raw sensor data (" + names.substr(0, 60) + "); " +
                                  pi_camera_advice);
    return host::Error::input("offers none of " + std::string(video::layout_names) + ", but " +
                              names.substr(0, 100));
}

// Fastest rate of a format at about the wanted size; 0: unknown.
double rate_at(const Device& device, std::uint32_t format, const Request& request) {
    const std::vector<double> rates = device.rates(format, request.width, request.height);
    return rates.empty() ? 0 : rates.front();
}
bool offers_size(const Device& device, std::uint32_t format, const Request& request) {
    const std::vector<SizeInfo> sizes = device.sizes(format);
    return sizes.empty() || std::any_of(sizes.begin(), sizes.end(), [&](const SizeInfo& s) {
               return s.stepwise ? request.width <= s.width && request.height <= s.height
                                 : s.width == request.width && s.height == request.height;
           });
}

// Formats from the best to the worst for the request.
std::vector<std::uint32_t> ranked_formats(const Device& device,
                                          const std::vector<std::uint32_t>& formats,
                                          const Request& request) {
    struct Choice {
        std::uint32_t format;
        int cost;
    };
    std::vector<Choice> choices;
    for (const std::uint32_t format : formats) {
        PixelLayout layout{};
        if (!layout_of(format, layout) || (!request.any_layout && layout != request.layout))
            continue;
        int cost = cost_of(layout, request.colour);
        if (!offers_size(device, format, request)) cost += 1000;
        const double rate = rate_at(device, format, request);
        // large uncompressed frames are slow over USB 2
        if (rate > 0 && rate < 0.8 * request.fps) cost += 100;
        choices.push_back({format, cost});
    }
    std::stable_sort(choices.begin(), choices.end(),
                     [](const Choice& a, const Choice& b) { return a.cost < b.cost; });
    std::vector<std::uint32_t> ranked;
    for (const Choice& choice : choices) ranked.push_back(choice.format);
    return ranked;
}

// A buffer's description in either interface: of the multi-planar one, the first and only plane.
struct Buffer {
    v4l2_buffer info{};
    v4l2_plane planes[VIDEO_MAX_PLANES] = {};
    bool planar = false;

    int call(const Device& device, unsigned long request, std::uint32_t index = 0) {
        planar = device.planar();
        info.type = device.buffer_type();
        info.memory = V4L2_MEMORY_MMAP;
        if (request != VIDIOC_DQBUF) info.index = index;
        if (planar) {
            info.m.planes = planes;
            info.length = VIDEO_MAX_PLANES;
        }
        return device.call(request, &info);
    }
    std::size_t length() const { return planar ? planes[0].length : info.length; }
    long offset() const {
        return static_cast<long>(planar ? planes[0].m.mem_offset : info.m.offset);
    }
    std::size_t begin() const { return planar ? planes[0].data_offset : 0; }
    // from the buffer's beginning
    std::size_t used() const { return planar ? planes[0].bytesused : info.bytesused; }
};

class V4l2Camera : public Camera {
public:
    V4l2Camera(const Request& request, DeviceCalls& calls) : request_(request), device_(calls) {}
    ~V4l2Camera() override {
        int type = static_cast<int>(device_.buffer_type());
        if (streaming_) static_cast<void>(device_.call(VIDIOC_STREAMOFF, &type));
        for (const Mapping& mapping : mappings_)
            device_.calls().unmap(mapping.memory, mapping.bytes);
    }

    host::Result<> open() {
        if (const host::Result<> done = device_.open(request_.path); !done) return done.error();
        const std::vector<std::uint32_t> formats = device_.formats();
        if (const host::Result<> done = check_kind(device_, formats); !done) return done.error();
        const std::vector<std::uint32_t> ranked = ranked_formats(device_, formats, request_);
        if (ranked.empty()) {
            std::string names;
            for (const std::uint32_t format : formats) names += " " + fourcc_text(format);
            return host::Error::input(std::string("does not offer ") +
                                      video::layout_name(request_.layout) + ", but" +
                                      names.substr(0, 100));
        }
        if (const host::Result<> done = negotiate(ranked.front()); !done) return done.error();
        if (const host::Result<> done = map_buffers(); !done) return done.error();
        // Of HDMI adapters and the like, whose source may change its size at any time; most cameras
        // have no such event.
        v4l2_event_subscription changes{};
        changes.type = V4L2_EVENT_SOURCE_CHANGE;
        tells_changes_ = device_.call(VIDIOC_SUBSCRIBE_EVENT, &changes) == 0;
        int type = static_cast<int>(device_.buffer_type());
        if (const int error = device_.call(VIDIOC_STREAMON, &type); error != 0)
            return start_error(error);
        streaming_ = true;
        last_frame_ns_ = host::monotonic_ns();
        return {};
    }

    video::Next next(video::Packet& packet, int timeout_ms) override {
        if (!error_.empty()) return video::Next::failed;
        give_back();
        const int ready = device_.calls().wait(device_.descriptor(), timeout_ms);
        if (ready < 0 && errno != EINTR) return fail(std::strerror(errno));
        if (ready <= 0) return stalled() ? fail(stall_text()) : video::Next::wait;
        if (tells_changes_ && source_changed()) return fail("the source has changed its size");
        Buffer buffer;
        if (const int error = buffer.call(device_, VIDIOC_DQBUF); error != 0) {
            if (error == EAGAIN || error == EINTR)
                return stalled() ? fail(stall_text()) : video::Next::wait;
            if (error == ENODEV || error == ENXIO) return fail("the camera was unplugged");
            if (error == EIO && !stalled()) return skip_bad("the driver reports an input error");
            return fail(error == EPIPE ? "the driver has ended the stream" : std::strerror(error));
        }
        const std::uint32_t index = buffer.info.index;
        if (index >= mappings_.size()) return fail("the driver gave a buffer that does not exist");
        held_ = index;
        holding_ = true;
        count_lost(buffer.info.sequence);
        const std::size_t end = std::min(buffer.used(), mappings_[index].bytes),
                          begin = std::min(buffer.begin(), end), used = end - begin;
        const bool jpeg = mode_.layout == PixelLayout::jpeg;
        const bool damaged = (buffer.info.flags & V4L2_BUF_FLAG_ERROR) != 0;
        if (damaged || used < (jpeg ? 64
                                    : needed_ - (mode_.stride -
                                                 video::row_bytes(mode_.layout, mode_.width)))) {
            return skip_bad(damaged
                                ? "frames are marked as damaged"
                                : "frames are short (" + std::to_string(used) + " of " +
                                      std::to_string(needed_) + " bytes): has the format changed?");
        }
        bad_frames_ = 0;
        last_frame_ns_ = host::monotonic_ns();
        const auto* data = static_cast<const std::uint8_t*>(mappings_[index].memory) + begin;
        packet = {mode_.layout, {data, used},       mode_.width, mode_.height,
                  mode_.stride, stamp(buffer.info), number_};
        return video::Next::packet;
    }

    const std::string& error() const override { return error_; }
    std::string description() const override {
        return size_text(mode_.width, mode_.height) + " " + video::layout_name(mode_.layout) +
               (mode_.fps > 0 ? ", " + rate_text(mode_.fps) + " frames per second" : "") + " (" +
               mode_.card + ", " + mode_.driver + ")";
    }
    std::uint64_t dropped() const override { return lost_; }
    bool is_live() const override { return true; }
    const Mode& mode() const override { return mode_; }

private:
    struct Mapping {
        void* memory;
        std::size_t bytes;
    };

    static host::Error start_error(int error) {
        switch (error) {
            case EBUSY: return host::Error::input("in use by another program");
            case ENOSPC:
                return host::Error::input(
                    "the USB bus has no room for this mode; a smaller size, a lower rate or "
                    "--format mjpg needs less");
            case ENODEV: return host::Error::input("the device is gone");
            case ENOMEM:
                return host::Error::input("the driver has not enough memory for its buffers");
            default:
                return host::Error::input(std::string("cannot start: ") + std::strerror(error));
        }
    }

    host::Result<> negotiate(std::uint32_t code) {
        v4l2_format format{};
        format.type = device_.buffer_type();
        const auto wish = [&](auto& pix) {
            pix.width = static_cast<std::uint32_t>(request_.width);
            pix.height = static_cast<std::uint32_t>(request_.height);
            pix.pixelformat = code;
            pix.field = V4L2_FIELD_NONE;
        };
        if (device_.planar())
            wish(format.fmt.pix_mp);
        else
            wish(format.fmt.pix);
        if (const int error = device_.call(VIDIOC_S_FMT, &format); error != 0)
            return start_error(error);
        v4l2_pix_format given{};
        if (device_.planar()) {
            const v4l2_pix_format_mplane& planes = format.fmt.pix_mp;
            if (planes.num_planes != 1)
                return host::Error::input("the driver gave " + std::to_string(planes.num_planes) +
                                          " buffers for a frame");
            given.width = planes.width;
            given.height = planes.height;
            given.pixelformat = planes.pixelformat;
            given.bytesperline = planes.plane_fmt[0].bytesperline;
        } else {
            given = format.fmt.pix;
        }
        PixelLayout layout{};
        if (!layout_of(given.pixelformat, layout))
            return host::Error::input("the driver insists on " + fourcc_text(given.pixelformat));
        if (given.width < 1 || given.height < 1 ||
            given.width > static_cast<std::uint32_t>(video::max_side) ||
            given.height > static_cast<std::uint32_t>(video::max_side) ||
            std::uint64_t{given.width} * given.height > video::max_pixels) {
            return host::Error::input(
                "the driver gave an impossible size: " + std::to_string(given.width) + " x " +
                std::to_string(given.height));
        }
        mode_.layout = layout;
        mode_.width = static_cast<int>(given.width);
        mode_.height = static_cast<int>(given.height);
        mode_.card = device_.card();
        mode_.driver = device_.driver();
        const std::size_t row = video::row_bytes(layout, mode_.width);
        mode_.stride = layout == PixelLayout::jpeg ? 0
                       : given.bytesperline == 0   ? row
                                                   : given.bytesperline;
        if (mode_.stride < row || mode_.stride > (std::size_t{1} << 20))
            return host::Error::input(
                "the driver gave impossible rows: " + std::to_string(given.bytesperline) +
                " bytes for " + std::to_string(mode_.width) + " pixels");
        needed_ = layout == PixelLayout::jpeg
                      ? 0
                      : video::packet_bytes(layout, mode_.width, mode_.height, mode_.stride);
        v4l2_streamparm rate{};
        rate.type = device_.buffer_type();
        if (device_.call(VIDIOC_G_PARM, &rate) == 0 &&
            (rate.parm.capture.capability & V4L2_CAP_TIMEPERFRAME) != 0) {
            rate.parm.capture.timeperframe = {
                1000, static_cast<std::uint32_t>(std::lround(request_.fps * 1000))};
            static_cast<void>(device_.call(VIDIOC_S_PARM, &rate));
        }
        rate = {};
        rate.type = device_.buffer_type();
        const v4l2_fract& period = rate.parm.capture.timeperframe;
        if (device_.call(VIDIOC_G_PARM, &rate) == 0 && period.numerator > 0)
            mode_.fps = static_cast<double>(period.denominator) / period.numerator;
        return {};
    }

    host::Result<> map_buffers() {
        v4l2_requestbuffers request{};
        request.count = wanted_buffers;
        request.type = device_.buffer_type();
        request.memory = V4L2_MEMORY_MMAP;
        if (const int error = device_.call(VIDIOC_REQBUFS, &request); error != 0)
            return start_error(error);
        if (request.count < 2 || request.count > max_buffers)
            return host::Error::input("the driver gave " + std::to_string(request.count) +
                                      " buffers");
        for (unsigned i = 0; i < request.count; ++i) {
            Buffer buffer;
            if (const int error = buffer.call(device_, VIDIOC_QUERYBUF, i); error != 0)
                return start_error(error);
            if (buffer.length() <
                std::max<std::size_t>(
                    needed_ - (needed_ != 0
                                   ? mode_.stride - video::row_bytes(mode_.layout, mode_.width)
                                   : 0),
                    1))
                return host::Error::input(
                    "the driver's buffers are too small: " + std::to_string(buffer.length()) +
                    " of " + std::to_string(needed_) + " bytes");
            void* memory =
                device_.calls().map(device_.descriptor(), buffer.length(), buffer.offset());
            if (memory == nullptr)
                return host::Error::input("the driver's buffers cannot be mapped");
            mappings_.push_back({memory, buffer.length()});
            Buffer empty;
            if (const int error = empty.call(device_, VIDIOC_QBUF, i); error != 0)
                return start_error(error);
        }
        return {};
    }

    void give_back() {
        if (!holding_) return;
        holding_ = false;
        Buffer buffer;
        if (const int error = buffer.call(device_, VIDIOC_QBUF, held_); error != 0)
            error_ = error == ENODEV ? "the camera was unplugged" : std::strerror(error);
    }
    bool source_changed() const {
        v4l2_event event{};
        while (device_.call(VIDIOC_DQEVENT, &event) == 0) {
            if (event.type == V4L2_EVENT_SOURCE_CHANGE &&
                (event.u.src_change.changes & V4L2_EVENT_SRC_CH_RESOLUTION) != 0)
                return true;
            if (event.pending == 0) break;
        }
        return false;
    }
    video::Next fail(std::string text) {
        error_ = std::move(text);
        return video::Next::failed;
    }
    video::Next skip_bad(const std::string& text) {
        ++lost_;
        if (++bad_frames_ > bad_frames_allowed) return fail(text);
        return video::Next::wait;
    }
    bool stalled() const {
        return host::monotonic_ns() - last_frame_ns_ >
               static_cast<std::uint64_t>(request_.stall_ms) * 1'000'000u;
    }
    std::string stall_text() const {
        return "no frame for " + rate_text(request_.stall_ms / 1000.0) +
               " s: the driver has stalled";
    }

    // Drivers count frames that they could not deliver; our numbers start at 0 and continue where a
    // driver restarts.
    void count_lost(std::uint32_t sequence) {
        const std::uint32_t step = sequence - last_sequence_;
        const bool plausible = begun_ && step >= 1 && step < 100000;
        if (plausible) lost_ += step - 1;
        if (begun_) number_ += plausible ? step : 1;
        begun_ = true;
        last_sequence_ = sequence;
    }
    // The driver's time stamp if it is of our clock and plausible, else now.
    static std::uint64_t stamp(const v4l2_buffer& buffer) {
        const std::uint64_t now = host::monotonic_ns();
        const bool monotonic =
            (buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        const std::uint64_t given =
            static_cast<std::uint64_t>(buffer.timestamp.tv_sec) * 1'000'000'000u +
            static_cast<std::uint64_t>(buffer.timestamp.tv_usec) * 1000u;
        return monotonic && given <= now && now - given < 2'000'000'000u ? given : now;
    }

    Request request_;
    Device device_;
    Mode mode_;
    std::size_t needed_ = 0;
    std::vector<Mapping> mappings_;
    bool streaming_ = false, holding_ = false, begun_ = false, tells_changes_ = false;
    std::uint32_t held_ = 0;
    std::uint32_t last_sequence_ = 0;
    std::uint64_t number_ = 0, lost_ = 0, last_frame_ns_ = 0;
    int bad_frames_ = 0;
    std::string error_;
};

class ReconnectingCamera : public video::Source {
public:
    ReconnectingCamera(const Request& request, std::function<void(const std::string&)> tell,
                       DeviceCalls& calls)
        : request_(request), tell_(std::move(tell)), calls_(calls) {}

    video::Next next(video::Packet& packet, int timeout_ms) override {
        if (!camera_ && !try_open(timeout_ms)) return video::Next::wait;
        const video::Next state = camera_->next(packet, timeout_ms);
        if (state == video::Next::packet) {
            number_ = packet.number += first_number_;
            return state;
        }
        if (state == video::Next::wait) return state;
        tell_(camera_->error() + "; waiting for it to come back");
        dropped_ += camera_->dropped();
        first_number_ = number_ + 1;
        camera_.reset();
        wait_ms_ = first_wait_ms;
        retry_ns_ = host::monotonic_ns() + static_cast<std::uint64_t>(wait_ms_) * 1'000'000u;
        last_text_ = "-";
        return video::Next::wait;
    }
    const std::string& error() const override { return error_; }
    std::string description() const override { return description_; }
    std::uint64_t dropped() const override { return dropped_ + (camera_ ? camera_->dropped() : 0); }
    bool is_live() const override { return true; }

private:
    static constexpr int first_wait_ms = 500, last_wait_ms = 10000;

    bool try_open(int timeout_ms) {
        const std::uint64_t now = host::monotonic_ns();
        if (now < retry_ns_) {
            calls_.wait(
                -1, static_cast<int>(std::min<std::uint64_t>(static_cast<std::uint64_t>(timeout_ms),
                                                             (retry_ns_ - now) / 1'000'000u + 1)));
            return false;
        }
        auto opened = open_camera(request_, calls_);
        if (opened) {
            camera_ = std::move(*opened);
            description_ = camera_->description();
            tell_(description_);
            return true;
        }
        if (opened.error().text != last_text_) {
            if (last_text_ != "-") tell_(opened.error().text + "; waiting for it");
            last_text_ = opened.error().text;
        }
        retry_ns_ = now + static_cast<std::uint64_t>(wait_ms_) * 1'000'000u;
        wait_ms_ = std::min(wait_ms_ * 2, last_wait_ms);
        return false;
    }

    Request request_;
    std::function<void(const std::string&)> tell_;
    DeviceCalls& calls_;
    std::unique_ptr<Camera> camera_;
    std::string description_ = "waiting", error_, last_text_;
    std::uint64_t retry_ns_ = 0, number_ = 0, first_number_ = 0, dropped_ = 0;
    int wait_ms_ = first_wait_ms;
};

std::string by_id_of(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    for (fs::directory_iterator entry("/dev/v4l/by-id", error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code ignored;
        if (fs::canonical(entry->path(), ignored) == real) return entry->path().string();
    }
    return {};
}

}  // namespace

std::string device_path(const std::string& name) {
    const bool is_number =
        !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    return is_number ? "/dev/video" + name : name;
}

host::Result<std::unique_ptr<Camera>> open_camera(const Request& request, DeviceCalls& calls) {
    auto camera = std::make_unique<V4l2Camera>(request, calls);
    if (const host::Result<> done = camera->open(); !done) return done.error();
    return std::unique_ptr<Camera>(std::move(camera));
}

std::unique_ptr<video::Source> reconnecting_camera(const Request& request,
                                                   std::function<void(const std::string&)> tell,
                                                   DeviceCalls& calls) {
    return std::make_unique<ReconnectingCamera>(request, std::move(tell), calls);
}

bool describe_camera(const std::string& path, DeviceCalls& calls, CameraInfo& info) {
    info = {};
    info.path = path;
    Device device(calls);
    if (const host::Result<> done = device.open(path); !done) {
        info.problem = done.error().text;
        return false;
    }
    info.card = device.card();
    info.driver = device.driver();
    info.bus = device.bus();
    const std::vector<std::uint32_t> formats = device.formats();
    for (const std::uint32_t format : formats) {
        PixelLayout layout{};
        FormatInfo entry = {fourcc_text(format), layout_of(format, layout), device.sizes(format)};
        for (SizeInfo& size : entry.sizes)
            size.rates = device.rates(format, size.width, size.height);
        info.formats.push_back(std::move(entry));
    }
    if (const host::Result<> done = check_kind(device, formats); !done)
        info.problem = done.error().text;
    return (device.caps() & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)) != 0;
}

std::vector<CameraInfo> list_cameras(DeviceCalls& calls) {
    namespace fs = std::filesystem;
    std::vector<std::pair<long, std::string>> paths;
    std::error_code error;
    for (fs::directory_iterator entry("/dev", error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.compare(0, 5, "video") == 0 && name.size() > 5 &&
            name.find_first_not_of("0123456789", 5) == std::string::npos)
            paths.emplace_back(std::strtol(name.c_str() + 5, nullptr, 10), entry->path().string());
    }
    std::sort(paths.begin(), paths.end());
    std::vector<CameraInfo> found;
    for (const auto& [number, path] : paths) {
        CameraInfo info;
        // Devices that cannot be opened are listed with the reason; those that do not capture are
        // left out.
        if (!describe_camera(path, calls, info) && (info.problem.empty() || !info.driver.empty()))
            continue;
        info.by_id = by_id_of(path);
        found.push_back(std::move(info));
    }
    return found;
}

}  // namespace mien::camera
