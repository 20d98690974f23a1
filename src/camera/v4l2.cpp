// SPDX-License-Identifier: MIT
#include "camera/v4l2.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "camera/advice.h"
#include "camera/controls.h"
#include "camera/device.h"
#include "camera/fields.h"
#include "camera/signal.h"
#include "host/clock.h"

namespace mien::camera {

using video::PixelLayout;

namespace {

constexpr unsigned wanted_buffers = 4, max_buffers = 32;
// Bad frames one after the other before a camera fails, or before the next format is tried while
// this one has given no good frame yet.
constexpr int bad_frames_allowed = 60, bad_first_frames_allowed = 15;
// Some cameras always leave out the last rows. They are believed after so many frames, if 7/8 of a
// frame are there: less may be another format (of 12 bits in place of 16 there are 3/4).
constexpr int early_frames_needed = 10;
constexpr std::size_t early_share_of = 8;
constexpr std::uint64_t second_ns = 1'000'000'000u, least_stall_ns = 3 * second_ns,
                        most_stall_ns = 3600 * second_ns;
constexpr double periods_until_stall = 3;

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

bool begins_jpeg(const std::uint8_t* data, std::size_t bytes) {
    constexpr std::uint8_t begin[] = {0xff, 0xd8, 0xff};
    constexpr std::size_t junk_allowed = 4096;
    const std::uint8_t* const end = data + std::min(bytes, junk_allowed);
    return std::search(data, end, std::begin(begin), std::end(begin)) != end;
}

bool has_chroma_planes(PixelLayout layout) {
    switch (layout) {
        case PixelLayout::nv12:
        case PixelLayout::nv21:
        case PixelLayout::nv16:
        case PixelLayout::nv61:
        case PixelLayout::yu12:
        case PixelLayout::yv12: return true;
        default: return false;
    }
}

class V4l2Camera : public Camera {
public:
    V4l2Camera(const Request& request, DeviceCalls& calls)
        : request_(request),
          device_(calls),
          controls_(device_, [this](const std::string& text) { tell(text); }) {}
    ~V4l2Camera() override { end_streaming(); }

    host::Result<> open() {
        if (const host::Result<> done = device_.open(request_.path); !done) return done.error();
        const std::vector<std::uint32_t> formats = device_.formats();
        const bool asked = !request_.any_layout && !is_raw_sensor(request_.layout);
        if (const host::Result<> done = check_kind(device_, formats, asked); !done)
            return done.error();
        ranked_ = ranked_formats(device_, formats, request_);
        if (ranked_.empty()) {
            std::string names;
            for (const std::uint32_t format : formats) names += " " + fourcc_text(format);
            return host::Error::input(std::string("does not offer ") +
                                      video::layout_name(request_.layout) + ", but" +
                                      names.substr(0, 100));
        }
        if (const host::Result<> done = adopt_timings(device_); !done) return done.error();
        if (const host::Result<> done = controls_.set(request_.controls); !done)
            return done.error();
        // Of HDMI adapters and the like, whose source may change its size at any time; most cameras
        // have no such event.
        v4l2_event_subscription changes{};
        changes.type = V4L2_EVENT_SOURCE_CHANGE;
        tells_changes_ = device_.call(VIDIOC_SUBSCRIBE_EVENT, &changes) == 0;
        return start_best();
    }

    video::Next next(video::Packet& packet, int timeout_ms) override {
        if (!error_.empty()) return video::Next::failed;
        give_back();
        const int ready = device_.calls().wait(device_.descriptor(), timeout_ms);
        if (ready < 0 && errno != EINTR) return fail(std::strerror(errno));
        if (ready <= 0) return stalled() ? no_frames() : video::Next::wait;
        if (tells_changes_ && source_changed()) return fail("the source has changed its size");
        Buffer buffer;
        if (const int error = buffer.call(device_, VIDIOC_DQBUF); error != 0) {
            if (error == EAGAIN || error == EINTR)
                return stalled() ? no_frames() : video::Next::wait;
            if (error == ENODEV || error == ENXIO) return fail("the camera was unplugged");
            if (error == EIO && !stalled()) return skip_bad("the driver reports an input error");
            return fail(error == EPIPE ? "the driver has ended the stream" : std::strerror(error));
        }
        const std::uint32_t index = buffer.info.index;
        if (index >= mappings_.size()) return fail("the driver gave a buffer that does not exist");
        held_ = index;
        holding_ = true;
        if (is_second_field(buffer.info.field)) return video::Next::wait;
        count_lost(buffer.info.sequence);
        const std::size_t end = std::min(buffer.used(), mappings_[index].bytes),
                          begin = std::min(buffer.begin(), end), used = end - begin;
        const auto* data = static_cast<const std::uint8_t*>(mappings_[index].memory) + begin;
        const bool damaged = (buffer.info.flags & V4L2_BUF_FLAG_ERROR) != 0;
        if (std::string problem = problem_of(data, used, damaged); !problem.empty())
            return skip_bad(problem);
        ++good_frames_;
        bad_frames_ = 0;
        last_frame_ns_ = host::monotonic_ns();
        packet = {mode_.layout, {data, used},       mode_.width, mode_.height,
                  mode_.stride, stamp(buffer.info), number_};
        if (one_field_) {
            double_rows(mode_.layout, data, mode_.width, buffer_rows_, mode_.stride,
                        mode_.height / 2, doubled_);
            packet.bytes = doubled_;
            packet.stride = video::row_bytes(mode_.layout, mode_.width);
        }
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

    void tell(const std::string& text) const {
        if (request_.tell) request_.tell(text);
    }

    // ---- start and stop ----

    // Starts the best of the formats that have not been tried yet.
    host::Result<> start_best() {
        while (next_format_ < ranked_.size()) {
            const std::uint32_t format = ranked_[next_format_++];
            hopeless_ = false;
            const host::Result<> done = start(format);
            if (done) {
                controls_.confirm();
                return {};
            }
            end_streaming();
            if (hopeless_ || ranked_.size() == 1) return done.error();
            const std::string text = fourcc_text(format) + " does not work: " + done.error().text;
            if (next_format_ == ranked_.size())
                return host::Error::input(text + "; no format is left");
            tell(text + "; trying the next format");
        }
        return host::Error::input("no format is left");
    }

    // In place of a format that starts, but gives no frame that can be used.
    video::Next give_up_format(const std::string& text) {
        if (good_frames_ > 0 || next_format_ >= ranked_.size()) return fail(text);
        const std::string failed = fourcc_text(ranked_[next_format_ - 1]);
        end_streaming();
        tell(failed + " does not work: " + text + "; trying the next format");
        if (const host::Result<> done = start_best(); !done) return fail(done.error().text);
        tell("now " + description());
        return video::Next::wait;
    }

    host::Result<> start(std::uint32_t format) {
        if (const host::Result<> done = negotiate(format); !done) return done.error();
        if (const host::Result<> done = map_buffers(); !done) return done.error();
        int type = static_cast<int>(device_.buffer_type());
        if (const int error = device_.call(VIDIOC_STREAMON, &type); error != 0)
            return start_error(error);
        streaming_ = true;
        good_frames_ = 0;
        bad_frames_ = 0;
        early_frames_ = 0;
        accepted_bytes_ = 0;
        last_field_ = V4L2_FIELD_NONE;
        begun_ = false;
        last_frame_ns_ = host::monotonic_ns();
        return {};
    }

    void end_streaming() {
        int type = static_cast<int>(device_.buffer_type());
        if (streaming_) static_cast<void>(device_.call(VIDIOC_STREAMOFF, &type));
        for (const Mapping& mapping : mappings_)
            device_.calls().unmap(mapping.memory, mapping.bytes);
        mappings_.clear();
        if (has_buffers_) {  // or the next format is refused
            v4l2_requestbuffers none{};
            none.type = device_.buffer_type();
            none.memory = V4L2_MEMORY_MMAP;
            static_cast<void>(device_.call(VIDIOC_REQBUFS, &none));
        }
        streaming_ = holding_ = has_buffers_ = false;
    }

    // What no other format would change is hopeless.
    host::Error start_error(int error) {
        hopeless_ = error == EBUSY || error == ENODEV || error == ENOLINK;
        switch (error) {
            case EBUSY: return host::Error::input("in use by another program");
            case ENOSPC:
                return host::Error::input(
                    "the USB bus has no room for this mode; a smaller size, a lower rate or "
                    "--format mjpg needs less");
            case ENODEV: return host::Error::input("the device is gone");
            case ENOMEM:
                return host::Error::input("the driver has not enough memory for its buffers");
            case ENOLINK: return host::Error::input("no signal");
            case EPIPE:
                return host::Error::input(
                    "cannot start: the parts of the camera do not fit together; `media-ctl` or "
                    "libcamera has to set them up first");
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
            given.field = planes.field;
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
        mode_.height = buffer_rows_ = static_cast<int>(given.height);
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
                      ? jpeg_bytes
                      : video::least_packet_bytes(layout, mode_.width, mode_.height, mode_.stride);
        if (const host::Result<> done = use_field(given.field); !done) return done.error();
        negotiate_rate();
        return {};
    }

    void negotiate_rate() {
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
        mode_.fps = 0;
        if (device_.call(VIDIOC_G_PARM, &rate) == 0 && period.numerator > 0)
            mode_.fps = static_cast<double>(period.denominator) / period.numerator;
    }

    host::Result<> map_buffers() {
        v4l2_requestbuffers request{};
        request.count = wanted_buffers;
        request.type = device_.buffer_type();
        request.memory = V4L2_MEMORY_MMAP;
        if (const int error = device_.call(VIDIOC_REQBUFS, &request); error != 0)
            return start_error(error);
        has_buffers_ = true;
        // One is enough: a frame is copied before the next is asked for.
        if (request.count < 1 || request.count > max_buffers)
            return host::Error::input("the driver gave " + std::to_string(request.count) +
                                      " buffers");
        for (unsigned i = 0; i < request.count; ++i) {
            Buffer buffer;
            if (const int error = buffer.call(device_, VIDIOC_QUERYBUF, i); error != 0)
                return start_error(error);
            if (buffer.length() < needed_)
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

    // ---- fields ----

    // Analog grabbers give two fields, taken one after the other, in a frame, or one.
    host::Result<> use_field(std::uint32_t field) {
        one_field_ = alternate_ = false;
        if (mode_.layout == PixelLayout::jpeg) return {};
        switch (field) {
            case V4L2_FIELD_INTERLACED:
            case V4L2_FIELD_INTERLACED_TB:
            case V4L2_FIELD_INTERLACED_BT:
                tell(
                    "the picture is interlaced: what moves has combs; a --size of half the "
                    "height may give one field");
                return {};
            case V4L2_FIELD_SEQ_TB:
            case V4L2_FIELD_SEQ_BT:  // the first of both
                if (mode_.height < 2) return host::Error::input("the driver gave half a row");
                one_field_ = true;
                mode_.height &= ~1;
                return {};
            case V4L2_FIELD_TOP:
            case V4L2_FIELD_BOTTOM:
            case V4L2_FIELD_ALTERNATE:
                one_field_ = true;
                alternate_ = field == V4L2_FIELD_ALTERNATE;
                if (mode_.height > video::max_side / 2)
                    return host::Error::input("the driver gave an impossible size of fields");
                mode_.height *= 2;
                return {};
            default: return {};
        }
    }

    // Of alternating fields those that follow the top one are left out, or the picture would jump.
    bool is_second_field(std::uint32_t field) {
        const bool second =
            alternate_ && field == V4L2_FIELD_BOTTOM && last_field_ == V4L2_FIELD_TOP;
        last_field_ = field;
        return second;
    }

    // ---- frames ----

    // Empty: the frame can be used.
    std::string problem_of(const std::uint8_t* data, std::size_t used, bool damaged) {
        const bool jpeg = mode_.layout == PixelLayout::jpeg;
        if (accepted_bytes_ != 0 && used == accepted_bytes_) return "";
        if (damaged && used >= needed_) return "frames are marked as damaged";
        if (jpeg) {
            if (damaged || used < needed_) return "frames are marked as damaged or empty";
            return begins_jpeg(data, used) ? "" : "frames are no JPEG";
        }
        if (used >= needed_) return "";
        if (ends_early(used, damaged)) return "";
        return damaged ? "frames are marked as damaged"
                       : "frames are short (" + std::to_string(used) + " of " +
                             std::to_string(needed_) + " bytes): has the format changed?";
    }

    // A camera all of whose frames lack the same last rows has no better ones: from then on the
    // frame is as high as what is there. Drivers mark such frames as damaged.
    bool ends_early(std::size_t used, bool damaged) {
        const bool same = early_frames_ == 0 || (used == early_bytes_);
        if (good_frames_ > 0 || one_field_ ||
            used * early_share_of < needed_ * (early_share_of - 1) || (damaged && !same)) {
            early_frames_ = 0;
            return false;
        }
        early_bytes_ = early_frames_ == 0 ? used : std::min(used, early_bytes_);
        if (++early_frames_ < early_frames_needed) return false;
        const std::size_t row = video::row_bytes(mode_.layout, mode_.width);
        const auto rows =
            static_cast<int>(std::min((early_bytes_ + mode_.stride - row) / mode_.stride,
                                      static_cast<std::size_t>(mode_.height)));
        const int before = mode_.height;
        std::string what;
        if (has_chroma_planes(mode_.layout)) {  // what is missing is color
            if (rows < mode_.height) return false;
            mode_.layout = PixelLayout::gray8;
            what = "without their colors";
        } else {
            mode_.height = buffer_rows_ = rows & ~1;
            what = "as " + size_text(mode_.width, mode_.height) + " pixels";
        }
        if (damaged) accepted_bytes_ = early_bytes_;
        needed_ = video::least_packet_bytes(mode_.layout, mode_.width, mode_.height, mode_.stride);
        tell("all frames end early, after " + std::to_string(early_bytes_) + " bytes of " +
             std::to_string(before) + " rows; they are read " + what);
        return true;
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
        const bool may_change = good_frames_ == 0 && next_format_ < ranked_.size();
        if (++bad_frames_ > (may_change ? bad_first_frames_allowed : bad_frames_allowed))
            return give_up_format(text);
        return video::Next::wait;
    }

    // ---- time ----

    bool stalled() const {
        const std::uint64_t limit = stall_limit_ns(request_, mode_.fps);
        return limit != 0 && host::monotonic_ns() - last_frame_ns_ > limit;
    }
    // A camera that gives nothing in two formats gives nothing.
    video::Next no_frames() {
        const std::string seconds =
            rate_text(static_cast<double>(stall_limit_ns(request_, mode_.fps)) /
                      static_cast<double>(second_ns));
        const std::string problem = signal_problem(device_);
        const std::string text = "no frame for " + seconds + " s: ";
        if (!problem.empty()) return fail(text + problem);
        if (good_frames_ == 0 && silent_formats_++ == 0 && next_format_ < ranked_.size())
            return give_up_format("no frame for " + seconds + " s");
        return fail(text + (good_frames_ > 0 ? "the driver has stalled"
                                             : "the driver has stalled, or waits for a trigger "
                                               "(--stall 0 does, too)"));
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

    static constexpr std::size_t jpeg_bytes = 64;  // no JPEG is smaller

    Request request_;
    Device device_;
    ControlSetter controls_;
    Mode mode_;
    std::vector<std::uint32_t> ranked_;
    std::size_t next_format_ = 0;
    int silent_formats_ = 0;
    bool hopeless_ = false;
    std::size_t needed_ = 0;  // bytes of a whole frame, without padding behind its last pixel
    std::vector<Mapping> mappings_;
    bool streaming_ = false, holding_ = false, has_buffers_ = false, begun_ = false,
         tells_changes_ = false;
    bool one_field_ = false, alternate_ = false;
    int buffer_rows_ = 0;  // rows in a buffer, of a field or a frame
    std::uint32_t last_field_ = V4L2_FIELD_NONE;
    std::vector<std::uint8_t> doubled_;
    std::uint32_t held_ = 0;
    std::uint32_t last_sequence_ = 0;
    std::uint64_t number_ = 0, lost_ = 0, last_frame_ns_ = 0, good_frames_ = 0;
    int bad_frames_ = 0, early_frames_ = 0;
    std::size_t early_bytes_ = 0, accepted_bytes_ = 0;
    std::string error_;
};

}  // namespace

// The rate that was asked or given, whichever is slower, decides how long a frame may take.
std::uint64_t stall_limit_ns(const Request& request, double given_fps) {
    if (request.stall_ms) return static_cast<std::uint64_t>(*request.stall_ms) * 1'000'000u;
    const double fps = given_fps > 0 ? std::min(request.fps, given_fps) : request.fps,
                 limit = periods_until_stall * static_cast<double>(second_ns) / fps;
    return limit < static_cast<double>(most_stall_ns)
               ? std::max(static_cast<std::uint64_t>(limit), least_stall_ns)
               : most_stall_ns;
}

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

}  // namespace mien::camera
