// SPDX-License-Identifier: MIT
// A camera's driver says anything: every answer of it that is possible, and some that are not, from
// a driver made here.
#include <doctest/doctest.h>
#include <linux/videodev2.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <utility>

#include "camera/controls.h"
#include "camera/device.h"
#include "camera/fields.h"
#include "camera/v4l2.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::camera;
using video::Next;
using video::PixelLayout;

namespace {

struct Size {
    std::uint32_t width, height;
    double fps;
};
struct FakeControl {
    std::uint32_t id;
    std::string label;
    std::uint32_t type = V4L2_CTRL_TYPE_INTEGER;
    std::int64_t min = 0, max = 255, step = 1, normal = 0, value = 0;
    std::uint32_t flags = 0;
    std::map<std::int64_t, std::string> menu = {};
    int refuses = 0;  // error of setting it
};
struct FakeDriver : DeviceCalls {
    // What it is.
    int open_error = 0, query_error = 0, format_error = 0, buffers_error = 0, start_error = 0;
    std::string driver = "fake", card = "Fake Camera";
    std::uint32_t caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    std::map<std::uint32_t, std::vector<Size>> formats = {{V4L2_PIX_FMT_YUYV, {{640, 480, 30}}}};
    std::function<void(v4l2_pix_format&)> adjust;      // what S_FMT makes of the wish
    std::uint32_t buffer_count = 4, buffer_bytes = 0;  // 0: the format's
    std::uint32_t planes = 1, data_offset = 0;         // of the multi-planar interface
    bool tells_changes = false;
    std::uint32_t changes = 0;                                 // the event that waits
    std::map<std::uint32_t, int> format_errors, start_errors;  // of one format
    std::uint32_t field = V4L2_FIELD_NONE;
    std::vector<FakeControl> controls;
    bool forgets_controls = false;  // when it starts
    bool old_controls = false;      // without the extended calls
    std::vector<std::string> set;   // in this order
    int timings_error = ENOTTY;     // of asking for the source's timings
    std::uint32_t source_width = 1920, input_status = 0;
    std::vector<std::uint32_t> timings_set;
    // What it does.
    struct Event {
        int error = 0;
        std::uint32_t bytes = ~0u, flags = 0, sequence = 0, index = ~0u;
        std::uint8_t fill = 0;
        bool jpeg = false;
        std::uint32_t field = V4L2_FIELD_NONE;
    };
    std::deque<Event> events;
    // What is open.
    int descriptors = 0, mapped = 0, opened = 0;
    bool streaming = false;
    std::vector<std::string> paths;
    v4l2_pix_format format{};
    std::vector<std::vector<std::uint8_t>> memory;
    std::deque<std::uint32_t> queued;
    double fps = 0;

    bool planar() const { return (caps & V4L2_CAP_VIDEO_CAPTURE_MPLANE) != 0; }
    std::uint32_t type() const {
        return planar() ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    }
    int fail(int error) {
        errno = error;
        return -1;
    }
    int open(const char* path) override {
        paths.emplace_back(path);
        if (open_error != 0) return fail(open_error);
        ++descriptors;
        ++opened;
        return 7;
    }
    int close(int) override {
        --descriptors;
        queued.clear();
        memory.clear();
        return 0;
    }
    void* map(int, std::size_t, long offset) override {
        ++mapped;
        return memory.at(static_cast<std::size_t>(offset)).data();
    }
    void unmap(void*, std::size_t) override { --mapped; }
    int wait(int descriptor, int) override {
        return descriptor < 0 || (events.empty() && changes == 0) ? 0 : 1;
    }
    FakeControl* control(std::uint32_t id) {
        for (FakeControl& entry : controls)
            if (entry.id == id) return &entry;
        return nullptr;
    }
    // As UVC cameras do: manual exposure is switched off by automatic exposure.
    bool inactive(const FakeControl& entry) {
        const FakeControl* automatic = control(V4L2_CID_EXPOSURE_AUTO);
        return entry.id == V4L2_CID_EXPOSURE_ABSOLUTE && automatic != nullptr &&
               automatic->value != V4L2_EXPOSURE_MANUAL;
    }
    int write_control(FakeControl& entry, std::int64_t value) {
        if (entry.refuses != 0) return fail(entry.refuses);
        if (inactive(entry)) return fail(EACCES);
        entry.value = entry.min + (value - entry.min) / entry.step * entry.step;
        set.push_back(control_name(entry.label) + "=" + std::to_string(value));
        return 0;
    }
    template <class Query>
    FakeControl* next_control(Query& query) {
        for (FakeControl& entry : controls) {
            if (entry.id <= (query.id & ~std::uint32_t{V4L2_CTRL_FLAG_NEXT_CTRL})) continue;
            query.id = entry.id;
            query.type = entry.type;
            std::strncpy(reinterpret_cast<char*>(query.name), entry.label.c_str(),
                         sizeof query.name - 1);
            query.flags = entry.flags | (inactive(entry) ? V4L2_CTRL_FLAG_INACTIVE : 0);
            return &entry;
        }
        return nullptr;
    }
    int ioctl(int, unsigned long request, void* argument) override {
        switch (request) {
            case VIDIOC_QUERY_EXT_CTRL: {
                if (old_controls) return fail(ENOTTY);
                auto& query = *static_cast<v4l2_query_ext_ctrl*>(argument);
                const FakeControl* entry = next_control(query);
                if (entry == nullptr) return fail(EINVAL);
                query.minimum = entry->min;
                query.maximum = entry->max;
                query.step = static_cast<std::uint64_t>(entry->step);
                query.default_value = entry->normal;
                return 0;
            }
            case VIDIOC_QUERYCTRL: {
                auto& query = *static_cast<v4l2_queryctrl*>(argument);
                const FakeControl* entry = next_control(query);
                if (entry == nullptr) return fail(EINVAL);
                query.minimum = static_cast<std::int32_t>(entry->min);
                query.maximum = static_cast<std::int32_t>(entry->max);
                query.step = static_cast<std::int32_t>(entry->step);
                query.default_value = static_cast<std::int32_t>(entry->normal);
                return 0;
            }
            case VIDIOC_QUERYMENU: {
                auto& query = *static_cast<v4l2_querymenu*>(argument);
                const FakeControl* entry = control(query.id);
                if (entry == nullptr || entry->menu.count(query.index) == 0) return fail(EINVAL);
                std::strncpy(reinterpret_cast<char*>(query.name),
                             entry->menu.at(query.index).c_str(), sizeof query.name - 1);
                return 0;
            }
            case VIDIOC_G_EXT_CTRLS:
            case VIDIOC_S_EXT_CTRLS: {
                if (old_controls) return fail(ENOTTY);
                auto& all = *static_cast<v4l2_ext_controls*>(argument);
                REQUIRE(all.count == 1);
                FakeControl* entry = control(all.controls->id);
                if (entry == nullptr) return fail(EINVAL);
                const bool wide = entry->type == V4L2_CTRL_TYPE_INTEGER64;
                if (request == VIDIOC_S_EXT_CTRLS)
                    return write_control(*entry,
                                         wide ? all.controls->value64 : all.controls->value);
                if (wide)
                    all.controls->value64 = entry->value;
                else
                    all.controls->value = static_cast<std::int32_t>(entry->value);
                return 0;
            }
            case VIDIOC_G_CTRL:
            case VIDIOC_S_CTRL: {
                auto& one = *static_cast<v4l2_control*>(argument);
                FakeControl* entry = control(one.id);
                if (entry == nullptr) return fail(EINVAL);
                if (request == VIDIOC_S_CTRL) return write_control(*entry, one.value);
                one.value = static_cast<std::int32_t>(entry->value);
                return 0;
            }
            case VIDIOC_QUERY_DV_TIMINGS: {
                if (timings_error != 0) return fail(timings_error);
                auto& timings = *static_cast<v4l2_dv_timings*>(argument);
                timings.bt.width = source_width;
                timings.bt.height = source_width * 9 / 16;
                return 0;
            }
            case VIDIOC_S_DV_TIMINGS:
                timings_set.push_back(static_cast<v4l2_dv_timings*>(argument)->bt.width);
                return 0;
            case VIDIOC_G_INPUT: *static_cast<int*>(argument) = 0; return 0;
            case VIDIOC_ENUMINPUT:
                static_cast<v4l2_input*>(argument)->status = input_status;
                return 0;
            case VIDIOC_QUERYCAP: {
                if (query_error != 0) return fail(query_error);
                auto& c = *static_cast<v4l2_capability*>(argument);
                std::strncpy(reinterpret_cast<char*>(c.driver), driver.c_str(), sizeof c.driver);
                std::strncpy(reinterpret_cast<char*>(c.card), card.c_str(), sizeof c.card);
                c.capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_OUTPUT;
                c.device_caps = caps;
                return 0;
            }
            case VIDIOC_ENUM_FMT: {
                auto& f = *static_cast<v4l2_fmtdesc*>(argument);
                if (f.type != type()) return fail(EINVAL);
                if (f.index >= formats.size()) return fail(EINVAL);
                f.pixelformat = std::next(formats.begin(), f.index)->first;
                return 0;
            }
            case VIDIOC_ENUM_FRAMESIZES: {
                auto& s = *static_cast<v4l2_frmsizeenum*>(argument);
                const auto& sizes = formats[s.pixel_format];
                if (s.index >= sizes.size()) return fail(EINVAL);
                s.type = V4L2_FRMSIZE_TYPE_DISCRETE;
                s.discrete = {sizes[s.index].width, sizes[s.index].height};
                return 0;
            }
            case VIDIOC_ENUM_FRAMEINTERVALS: {
                auto& i = *static_cast<v4l2_frmivalenum*>(argument);
                for (const Size& size : formats[i.pixel_format]) {
                    if (size.width != i.width || size.height != i.height || i.index > 0) continue;
                    i.type = V4L2_FRMIVAL_TYPE_DISCRETE;
                    i.discrete = {10, static_cast<std::uint32_t>(size.fps * 10)};
                    return 0;
                }
                return fail(EINVAL);
            }
            case VIDIOC_S_FMT: {
                if (format_error != 0) return fail(format_error);
                auto& wish = *static_cast<v4l2_format*>(argument);
                if (wish.type != type()) return fail(EINVAL);
                v4l2_pix_format pix = wish.fmt.pix;
                const std::uint32_t code =
                    planar() ? wish.fmt.pix_mp.pixelformat : wish.fmt.pix.pixelformat;
                if (format_errors.count(code) != 0) return fail(format_errors.at(code));
                REQUIRE_FALSE(streaming);
                REQUIRE(memory.empty());  // drivers refuse a format while there are buffers
                if (planar()) {
                    pix.width = wish.fmt.pix_mp.width;
                    pix.height = wish.fmt.pix_mp.height;
                    pix.pixelformat = wish.fmt.pix_mp.pixelformat;
                }
                PixelLayout layout = PixelLayout::yuyv;
                static_cast<void>(layout_of(pix.pixelformat, layout));
                pix.field = field;
                const bool jpeg = pix.pixelformat == V4L2_PIX_FMT_MJPEG;
                pix.bytesperline = jpeg ? 0
                                        : static_cast<std::uint32_t>(video::row_bytes(
                                              layout, static_cast<int>(pix.width)));
                pix.sizeimage =
                    jpeg ? pix.width * pix.height
                         : static_cast<std::uint32_t>(video::packet_bytes(
                               layout, static_cast<int>(pix.width), static_cast<int>(pix.height)));
                if (adjust) adjust(pix);
                format = pix;
                if (!planar()) {
                    wish.fmt.pix = pix;
                    return 0;
                }
                wish.fmt.pix_mp.width = pix.width;
                wish.fmt.pix_mp.height = pix.height;
                wish.fmt.pix_mp.pixelformat = pix.pixelformat;
                wish.fmt.pix_mp.num_planes = static_cast<std::uint8_t>(planes);
                wish.fmt.pix_mp.plane_fmt[0] = {pix.sizeimage, pix.bytesperline, {}};
                return 0;
            }
            case VIDIOC_G_PARM: {
                auto& p = static_cast<v4l2_streamparm*>(argument)->parm.capture;
                p.capability = V4L2_CAP_TIMEPERFRAME;
                p.timeperframe = {1, 15};  // whatever was asked
                return 0;
            }
            case VIDIOC_S_PARM: {
                const auto& t = static_cast<v4l2_streamparm*>(argument)->parm.capture.timeperframe;
                fps = static_cast<double>(t.denominator) / t.numerator;
                return 0;
            }
            case VIDIOC_REQBUFS: {
                if (buffers_error != 0) return fail(buffers_error);
                auto& r = *static_cast<v4l2_requestbuffers*>(argument);
                if (r.type != type()) return fail(EINVAL);
                const std::uint32_t wanted = r.count;
                r.count = buffer_count;
                if (wanted == 0) {
                    memory.clear();
                    return 0;
                }
                memory.assign(
                    std::min(buffer_count, 64u),
                    std::vector<std::uint8_t>(
                        buffer_bytes != 0 ? buffer_bytes : std::min(format.sizeimage, 1u << 24)));
                return 0;
            }
            case VIDIOC_QUERYBUF: {
                auto& b = *static_cast<v4l2_buffer*>(argument);
                if (b.type != type()) return fail(EINVAL);
                const auto bytes = static_cast<std::uint32_t>(memory.at(b.index).size());
                if (planar()) {
                    REQUIRE(b.length >= 1);
                    b.length = 1;
                    b.m.planes[0].length = bytes;
                    b.m.planes[0].m.mem_offset = b.index;
                    return 0;
                }
                b.length = bytes;
                b.m.offset = b.index;
                return 0;
            }
            case VIDIOC_QBUF:
                if (static_cast<v4l2_buffer*>(argument)->type != type()) return fail(EINVAL);
                queued.push_back(static_cast<v4l2_buffer*>(argument)->index);
                return 0;
            case VIDIOC_SUBSCRIBE_EVENT: return tells_changes ? 0 : fail(ENOTTY);
            case VIDIOC_DQEVENT: {
                if (changes == 0) return fail(ENOENT);
                auto& event = *static_cast<v4l2_event*>(argument);
                event.type = V4L2_EVENT_SOURCE_CHANGE;
                event.u.src_change.changes = std::exchange(changes, 0);
                return 0;
            }
            case VIDIOC_STREAMON:
                if (start_error != 0) return fail(start_error);
                if (start_errors.count(format.pixelformat) != 0)
                    return fail(start_errors.at(format.pixelformat));
                streaming = true;
                if (forgets_controls)
                    for (FakeControl& entry : controls) entry.value = entry.normal;
                return 0;
            case VIDIOC_STREAMOFF:
                streaming = false;
                queued.clear();
                return 0;
            case VIDIOC_DQBUF: {
                if (events.empty()) return fail(EAGAIN);
                const Event event = events.front();
                events.pop_front();
                if (event.error != 0) return fail(event.error);
                REQUIRE_FALSE(queued.empty());
                auto& b = *static_cast<v4l2_buffer*>(argument);
                b.index = event.index != ~0u ? event.index : queued.front();
                queued.pop_front();
                const std::uint32_t bytes =
                    event.bytes != ~0u ? event.bytes : static_cast<std::uint32_t>(memory[0].size());
                b.bytesused = planar() ? 0 : bytes;
                if (planar())
                    b.m.planes[0].bytesused = bytes, b.m.planes[0].data_offset = data_offset;
                b.flags = event.flags;
                b.field = event.field;
                b.sequence = event.sequence;
                if (b.index < memory.size() && memory[b.index].size() > data_offset)
                    memory[b.index][data_offset] = event.fill;
                if (event.jpeg && b.index < memory.size()) {
                    constexpr std::uint8_t begin[] = {0xff, 0xd8, 0xff};
                    std::copy(std::begin(begin), std::end(begin), memory[b.index].begin());
                }
                return 0;
            }
            default: return fail(ENOTTY);
        }
    }
};

std::string open_error_of(FakeDriver& driver, Request request = {}) {
    auto camera = open_camera(request, driver);
    const std::string text = camera ? "opened" : camera.error().text;
    if (camera) (*camera).reset();
    CHECK(driver.descriptors == 0);
    CHECK(driver.mapped == 0);
    CHECK_FALSE(driver.streaming);
    CHECK(text.find('\n') == std::string::npos);
    return text;
}

Mode mode_of(FakeDriver& driver, const Request& request = {}) {
    auto camera = open_camera(request, driver);
    REQUIRE(camera);
    return (*camera)->mode();
}

}  // namespace

TEST_CASE("camera: a number is a device") {
    CHECK(camera::device_path("0") == "/dev/video0");
    CHECK(camera::device_path("12") == "/dev/video12");
    CHECK(camera::device_path("/dev/video3") == "/dev/video3");
    CHECK(camera::device_path("1a") == "1a");
    CHECK(camera::device_path("") == "");
}

TEST_CASE("camera: what cannot be a camera is named, and nothing stays open") {
    const auto text = [](auto&& change) {
        FakeDriver driver;
        change(driver);
        return open_error_of(driver);
    };
    CHECK(text([](FakeDriver&) {}) == "opened");
    CHECK(text([](FakeDriver& d) { d.open_error = ENOENT; }).find("--list") != std::string::npos);
    CHECK(text([](FakeDriver& d) { d.open_error = EACCES; }).find("usermod -aG video") !=
          std::string::npos);
    CHECK(text([](FakeDriver& d) { d.open_error = EBUSY; }) == "in use by another program");
    CHECK(text([](FakeDriver& d) { d.query_error = ENOTTY; }).find("is no camera") !=
          std::string::npos);
    CHECK(text([](FakeDriver& d) {
              d.caps = V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING;
          }).find("metadata") != std::string::npos);
    CHECK(text([](FakeDriver& d) {
              d.caps = V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_STREAMING;
          }).find("is an output") != std::string::npos);
    CHECK(text([](FakeDriver& d) {
              d.caps = V4L2_CAP_VIDEO_M2M | V4L2_CAP_STREAMING;
          }).find("codec") != std::string::npos);
    CHECK(text([](FakeDriver& d) { d.caps = V4L2_CAP_VIDEO_CAPTURE; }).find("does not stream") !=
          std::string::npos);
    CHECK(text([](FakeDriver& d) {
              d.formats = {{V4L2_PIX_FMT_SRGGB10, {}}, {V4L2_PIX_FMT_SBGGR10P, {}}};
          }).find("raw sensor data") != std::string::npos);
    CHECK(text([](FakeDriver& d) { d.formats = {{V4L2_PIX_FMT_H264, {}}}; }).find("H264") !=
          std::string::npos);
    CHECK(text([](FakeDriver& d) { d.formats.clear(); }).find("no image format") !=
          std::string::npos);
    CHECK(text([](FakeDriver& d) { d.format_error = EBUSY; }) == "in use by another program");
    CHECK(text([](FakeDriver& d) { d.buffers_error = ENOMEM; }).find("memory") !=
          std::string::npos);
    CHECK(text([](FakeDriver& d) { d.start_error = ENOSPC; }).find("USB bus") != std::string::npos);
}

TEST_CASE("camera: hostile answers to the negotiation") {
    const auto text = [](std::function<void(v4l2_pix_format&)> adjust) {
        FakeDriver driver;
        driver.adjust = std::move(adjust);
        return open_error_of(driver);
    };
    CHECK(text([](v4l2_pix_format& p) { p.width = 0; }).find("impossible size") !=
          std::string::npos);
    CHECK(text([](v4l2_pix_format& p) { p.height = 0xffffffff; }).find("impossible size") !=
          std::string::npos);
    CHECK(text([](v4l2_pix_format& p) { p.width = p.height = 32768; }).find("impossible size") !=
          std::string::npos);
    CHECK(text([](v4l2_pix_format& p) { p.bytesperline = 100; }).find("impossible rows") !=
          std::string::npos);
    CHECK(text([](v4l2_pix_format& p) { p.bytesperline = 0x7fffffff; }).find("impossible rows") !=
          std::string::npos);
    CHECK(text([](v4l2_pix_format& p) { p.sizeimage = 1000; }).find("too small") !=
          std::string::npos);
    CHECK(text([](v4l2_pix_format& p) {
              p.pixelformat = V4L2_PIX_FMT_H264;
          }).find("insists on H264") != std::string::npos);
    for (const std::uint32_t count : {0u, 33u, 0xffffffffu}) {
        FakeDriver driver;
        driver.buffer_count = count;
        CHECK(open_error_of(driver).find("buffers") != std::string::npos);
    }
}

TEST_CASE("camera: takes what costs least, and reads back what it was given") {
    FakeDriver driver;
    driver.formats = {{V4L2_PIX_FMT_MJPEG, {{640, 480, 30}, {1280, 720, 30}}},
                      {V4L2_PIX_FMT_YUYV, {{640, 480, 30}, {1280, 720, 10}}}};
    Request request;
    CHECK(mode_of(driver, request).layout == PixelLayout::yuyv);
    CHECK(driver.fps == doctest::Approx(30));
    CHECK(mode_of(driver, request).fps == doctest::Approx(15));  // not what was asked
    request.width = 1280;
    request.height = 720;
    CHECK(mode_of(driver, request).layout == PixelLayout::jpeg);  // uncompressed is too slow here
    request.fps = 10;
    CHECK(mode_of(driver, request).layout == PixelLayout::yuyv);
    driver.formats[V4L2_PIX_FMT_NV12] = {{640, 480, 30}};
    driver.formats[V4L2_PIX_FMT_GREY] = {{640, 480, 30}};
    request = {};
    CHECK(mode_of(driver, request).layout == PixelLayout::gray8);
    request.colour = true;
    CHECK(mode_of(driver, request).layout == PixelLayout::nv12);
    request.any_layout = false;
    request.layout = PixelLayout::jpeg;
    CHECK(mode_of(driver, request).layout == PixelLayout::jpeg);
    request.layout = PixelLayout::uyvy;
    CHECK(open_error_of(driver, request).find("does not offer uyvy") != std::string::npos);
    driver.adjust = [](v4l2_pix_format& p) {
        p.width = 320;
        p.height = 240;
        p.bytesperline = 704;
        p.sizeimage = 704 * 240;
    };
    request.layout = PixelLayout::yuyv;
    const Mode mode = mode_of(driver, request);
    CHECK(mode.width == 320);
    CHECK(mode.stride == 704);
}

TEST_CASE("camera: frames come in order, lost ones are counted, bad ones are skipped") {
    FakeDriver driver;
    auto opened = open_camera({}, driver);
    REQUIRE(opened);
    Camera& camera = **opened;
    driver.events = {{.sequence = 5, .fill = 1},
                     {.sequence = 6, .fill = 2},
                     {.bytes = 100, .sequence = 7},
                     {.flags = V4L2_BUF_FLAG_ERROR, .sequence = 8},
                     {.sequence = 12, .fill = 3}};
    video::Packet packet;
    REQUIRE(camera.next(packet, 10) == Next::packet);
    CHECK(packet.number == 0);
    CHECK(packet.bytes[0] == 1);
    CHECK(packet.bytes.size() == 640 * 480 * 2);
    CHECK(packet.stride == 1280);
    REQUIRE(camera.next(packet, 10) == Next::packet);
    CHECK(packet.number == 1);
    CHECK(camera.next(packet, 10) == Next::wait);
    CHECK(camera.next(packet, 10) == Next::wait);
    REQUIRE(camera.next(packet, 10) == Next::packet);
    CHECK(packet.number == 7);
    CHECK(packet.bytes[0] == 3);
    CHECK(camera.dropped() == 2 + 3);
    CHECK(camera.next(packet, 10) == Next::wait);
    CHECK(driver.queued.size() == 4);  // every buffer is back
    opened->reset();
    CHECK(driver.descriptors == 0);
    CHECK(driver.mapped == 0);
}

TEST_CASE("camera: unplugged, stalled, ended, mad") {
    const auto end = [](std::deque<FakeDriver::Event> events, int stall_ms = 3000) {
        FakeDriver driver;
        Request request;
        request.stall_ms = stall_ms;
        auto opened = open_camera(request, driver);
        REQUIRE(opened);
        driver.events = std::move(events);
        video::Packet packet;
        for (int i = 0; i < 200; ++i) {
            if ((*opened)->next(packet, 1) == Next::failed) break;
            if (driver.events.empty()) ::usleep(2000);
        }
        CHECK((*opened)->next(packet, 1) == Next::failed);
        return (*opened)->error();
    };
    CHECK(end({{}, {.error = ENODEV}}) == "the camera was unplugged");
    CHECK(end({}, 30).find("stalled") != std::string::npos);
    CHECK(end({{.error = EPIPE}}).find("ended the stream") != std::string::npos);
    CHECK(end({{.index = 99}}).find("does not exist") != std::string::npos);
    std::deque<FakeDriver::Event> shorts(100, {.bytes = 10});
    CHECK(end(shorts).find("has the format changed?") != std::string::npos);
}

TEST_CASE("camera: reconnects to the same path, negotiates afresh, and goes on counting") {
    FakeDriver driver;
    driver.open_error = ENOENT;
    std::vector<std::string> told;
    Request request;
    request.path = "/dev/v4l/by-id/cam";
    auto source = reconnecting_camera(
        request, [&](const std::string& text) { told.push_back(text); }, driver);
    video::Packet packet;
    CHECK(source->next(packet, 1) == Next::wait);
    REQUIRE(told.size() == 1);
    CHECK(told[0].find("waiting for it") != std::string::npos);
    const auto until = [&](Next wanted) {
        for (int i = 0; i < 2000; ++i) {
            if (source->next(packet, 1) == wanted) return true;
            ::usleep(1000);
        }
        return false;
    };
    driver.open_error = 0;
    driver.events = {{.sequence = 0}, {.sequence = 1}};
    REQUIRE(until(Next::packet));
    REQUIRE(until(Next::packet));
    CHECK(packet.number == 1);
    driver.events = {{.error = ENODEV}};
    CHECK(source->next(packet, 1) == Next::wait);
    CHECK(driver.descriptors == 0);
    CHECK(driver.mapped == 0);
    driver.adjust = [](v4l2_pix_format& p) {
        p.width = 320;
        p.height = 240;
        p.bytesperline = 640;
        p.sizeimage = 640 * 240;
    };
    driver.events = {{.sequence = 0}};
    REQUIRE(until(Next::packet));
    CHECK(packet.number == 2);
    CHECK(packet.width == 320);
    for (const std::string& path : driver.paths) CHECK(path == "/dev/v4l/by-id/cam");
    source.reset();
    CHECK(driver.descriptors == 0);
    CHECK(driver.mapped == 0);
}

TEST_CASE(
    "camera: the multi-planar interface gives the same frames; frames in several buffers are "
    "refused") {
    FakeDriver driver;
    driver.caps = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
    driver.formats = {{V4L2_PIX_FMT_NV12, {{640, 480, 30}}}};
    driver.data_offset = 16;
    driver.buffer_bytes = 640 * 480 * 3 / 2 + 16;
    {
        auto opened = open_camera({}, driver);
        REQUIRE(opened);
        CHECK((*opened)->mode().layout == PixelLayout::nv12);
        driver.events = {
            {.sequence = 0, .fill = 7}, {.bytes = 8, .sequence = 1}, {.sequence = 2, .fill = 9}};
        video::Packet packet;
        REQUIRE((*opened)->next(packet, 10) == Next::packet);
        CHECK(packet.bytes.size() == 640 * 480 * 3 / 2);
        CHECK(packet.bytes[0] == 7);
        CHECK((*opened)->next(packet, 10) == Next::wait);
        REQUIRE((*opened)->next(packet, 10) == Next::packet);
        CHECK(packet.bytes[0] == 9);
        CHECK(packet.number == 2);
    }
    CHECK(driver.descriptors == 0);
    CHECK(driver.mapped == 0);
    driver.planes = 2;
    CHECK(open_error_of(driver).find("2 buffers for a frame") != std::string::npos);
}

TEST_CASE("camera: a source that changes its size is negotiated afresh") {
    FakeDriver driver;
    driver.tells_changes = true;
    std::vector<std::string> told;
    auto source =
        reconnecting_camera({}, [&](const std::string& text) { told.push_back(text); }, driver);
    driver.events = {{.sequence = 0}, {.sequence = 1}};
    video::Packet packet;
    REQUIRE(source->next(packet, 1) == Next::packet);
    driver.changes = 2;  // not the size
    REQUIRE(source->next(packet, 1) == Next::packet);
    driver.adjust = [](v4l2_pix_format& p) {
        p.width = 320;
        p.height = 240;
        p.bytesperline = 640;
        p.sizeimage = 640 * 240;
    };
    driver.changes = V4L2_EVENT_SRC_CH_RESOLUTION;
    CHECK(source->next(packet, 1) == Next::wait);
    REQUIRE(told.size() == 2);
    CHECK(told[1].find("changed its size") != std::string::npos);
    driver.events = {{.sequence = 0}};
    bool came = false;
    for (int i = 0; i < 2000 && !came; ++i) {
        came = source->next(packet, 1) == Next::packet;
        if (!came) ::usleep(1000);
    }
    REQUIRE(came);
    CHECK(packet.width == 320);
    CHECK(packet.number == 2);
    CHECK(driver.opened == 2);
}

TEST_CASE("camera: a device is described with its formats, sizes and rates") {
    FakeDriver driver;
    driver.formats = {{V4L2_PIX_FMT_YUYV, {{640, 480, 30}, {1280, 720, 10}}},
                      {V4L2_PIX_FMT_H264, {{640, 480, 30}}}};
    CameraInfo info;
    REQUIRE(describe_camera("/dev/video3", driver, info));
    CHECK(info.card == "Fake Camera");
    REQUIRE(info.formats.size() == 2);
    const FormatInfo& yuyv = info.formats[0].name == "YUYV" ? info.formats[0] : info.formats[1];
    CHECK(yuyv.usable);
    CHECK(yuyv.sizes.size() == 2);
    CHECK(yuyv.sizes[1].rates.at(0) == doctest::Approx(10));
    CHECK(info.problem == "");
    driver.caps = V4L2_CAP_META_CAPTURE;
    CHECK_FALSE(describe_camera("/dev/video3", driver, info));
    CHECK(driver.descriptors == 0);
}

TEST_CASE("camera: advice is that of the board, and is given only there") {
    struct Case {
        const char* driver;
        std::vector<std::uint32_t> formats;
        std::uint32_t more_caps;
        const char* text;  // of the advice; "opened": it is a camera
    };
    const char *pi = "rpicam-vid", *intel = "libcamerasrc", *jetson = "nvarguscamerasrc";
    const std::vector<std::uint32_t> raw = {V4L2_PIX_FMT_SRGGB10P, V4L2_PIX_FMT_SRGGB8},
                                     ten_bits = {V4L2_PIX_FMT_SRGGB10, V4L2_PIX_FMT_SGRBG10P},
                                     color = {V4L2_PIX_FMT_UYVY};
    const Case cases[] = {
        {"unicam", raw, 0, pi},
        {"unicam", color, V4L2_CAP_IO_MC, pi},
        {"unicam", color, 0, "opened"},  // an HDMI bridge
        {"rp1-cfe", raw, V4L2_CAP_IO_MC, pi},
        {"bcm2835-isp", color, 0, pi},
        {"pispbe", color, 0, pi},
        {"isys", raw, V4L2_CAP_IO_MC, intel},
        {"intel-ipu6", color, 0, intel},
        {"ipu3-cio2", ten_bits, 0, intel},
        {"tegra-video", ten_bits, 0, jetson},
        {"tegra-video", color, 0, "opened"},
        {"uvcvideo", ten_bits, 0, "raw sensor data"},
        {"uvcvideo", {V4L2_PIX_FMT_H264}, 0, "offers none of"},
        {"fake", {V4L2_PIX_FMT_SRGGB8}, 0, "opened"},
    };
    for (const Case& one : cases) {
        FakeDriver driver;
        driver.driver = one.driver;
        driver.caps |= one.more_caps;
        driver.formats.clear();
        for (const std::uint32_t format : one.formats) driver.formats[format] = {};
        const std::string text = open_error_of(driver);
        CAPTURE(one.driver);
        CAPTURE(text);
        CHECK(text.find(one.text) != std::string::npos);
        for (const char* other : {pi, jetson})
            if (std::string(one.text) != other) CHECK(text.find(other) == std::string::npos);
    }
}

TEST_CASE("camera: a receiver that was set up by hand is read in the format that is asked for") {
    FakeDriver driver;
    driver.driver = "rp1-cfe";
    driver.caps |= V4L2_CAP_IO_MC;
    driver.formats = {{V4L2_PIX_FMT_UYVY, {}}, {V4L2_PIX_FMT_SRGGB8, {}}};
    Request request;
    request.any_layout = false;
    request.layout = PixelLayout::rggb;
    CHECK(open_error_of(driver, request).find("rpicam-vid") != std::string::npos);
    request.layout = PixelLayout::uyvy;
    CHECK(open_error_of(driver, request) == "opened");
    driver.start_errors[V4L2_PIX_FMT_UYVY] = EPIPE;
    CHECK(open_error_of(driver, request).find("media-ctl") != std::string::npos);
}

TEST_CASE("camera: how long nothing may come follows the rate") {
    Request request;
    const auto limit_ms = [&](double fps, double given) {
        request.fps = fps;
        return stall_limit_ns(request, given) / 1'000'000u;
    };
    CHECK(limit_ms(30, 30) == 3000);
    CHECK(limit_ms(0.2, 0) == 15000);
    CHECK(limit_ms(0.2, 15) == 15000);  // a driver that says what it does not do
    CHECK(limit_ms(30, 0.5) == 6000);
    CHECK(limit_ms(30, 1e-9) == 3600 * 1000);
    request.stall_ms = 700;
    CHECK(limit_ms(0.2, 0) == 700);
    request.stall_ms = 0;
    CHECK(limit_ms(30, 30) == 0);
    FakeDriver driver;
    auto opened = open_camera(request, driver);  // waits for ever
    REQUIRE(opened);
    video::Packet packet;
    for (int i = 0; i < 20; ++i) {
        CHECK((*opened)->next(packet, 1) == Next::wait);
        ::usleep(1000);
    }
}

namespace {

// A camera with what it said, opened or not.
struct Heard {
    FakeDriver driver;
    Request request;
    std::vector<std::string> told;
    host::Result<std::unique_ptr<Camera>> camera = host::Error::internal("not opened");

    Camera& open() {
        request.tell = [this](const std::string& text) {
            CHECK(text.find('\n') == std::string::npos);
            told.push_back(text);
        };
        camera = open_camera(request, driver);
        REQUIRE(camera);
        return **camera;
    }
    std::string open_error() {
        request.tell = [this](const std::string& text) { told.push_back(text); };
        return open_error_of(driver, request);
    }
    // Asks until there is a frame, or none for a while.
    bool has_frame(video::Packet& packet) {
        for (int i = 0; i < 200; ++i) {
            const Next state = (*camera)->next(packet, 1);
            if (state != Next::wait) return state == Next::packet;
            if (driver.events.empty()) ::usleep(1000);
        }
        return false;
    }
};

}  // namespace

TEST_CASE("camera: when the best format does not start, the next one is tried") {
    for (const bool at_start : {false, true}) {
        Heard heard;
        heard.driver.formats = {{V4L2_PIX_FMT_YUYV, {{640, 480, 30}}},
                                {V4L2_PIX_FMT_MJPEG, {{640, 480, 30}}}};
        auto& errors = at_start ? heard.driver.start_errors : heard.driver.format_errors;
        errors[V4L2_PIX_FMT_YUYV] = at_start ? ENOSPC : EINVAL;
        const Camera& camera = heard.open();
        CHECK(camera.mode().layout == PixelLayout::jpeg);
        REQUIRE(heard.told.size() == 1);
        CHECK(heard.told[0].find("YUYV does not work: ") == 0);
        heard.camera->reset();
        CHECK(heard.driver.mapped == 0);

        heard.told.clear();
        errors[V4L2_PIX_FMT_MJPEG] = EIO;
        const std::string error = heard.open_error();
        CHECK(heard.told.size() == 1);
        CHECK(error.find("MJPG does not work: ") == 0);
        CHECK(error.find("no format is left") != std::string::npos);

        // One that was asked for by name is the only one.
        heard.told.clear();
        heard.request.any_layout = false;
        heard.request.layout = PixelLayout::yuyv;
        CHECK(heard.open_error().find(at_start ? "USB bus" : "cannot start") != std::string::npos);
        CHECK(heard.told.empty());
        heard.request.any_layout = true;

        // Another program is in the way of every format.
        errors[V4L2_PIX_FMT_YUYV] = EBUSY;
        CHECK(heard.open_error() == "in use by another program");
        CHECK(heard.told.empty());
    }
}

TEST_CASE("camera: when the first frames are of no use, the next format is tried") {
    const auto start = [](Heard& heard) -> Camera& {
        heard.driver.formats = {{V4L2_PIX_FMT_YUYV, {{640, 480, 30}}},
                                {V4L2_PIX_FMT_MJPEG, {{640, 480, 30}}}};
        heard.request.stall_ms = 30;
        return heard.open();
    };
    const FakeDriver::Event jpeg = {.bytes = 5000, .fill = 0xff, .jpeg = true};
    video::Packet packet;
    for (const FakeDriver::Event& bad :
         {FakeDriver::Event{.bytes = 1000}, FakeDriver::Event{.flags = V4L2_BUF_FLAG_ERROR}}) {
        Heard heard;
        const Camera& camera = start(heard);
        CHECK(camera.mode().layout == PixelLayout::yuyv);
        heard.driver.events.assign(16, bad);
        CHECK_FALSE(heard.has_frame(packet));  // silence: MJPG has not been tried long enough yet
        heard.driver.events = {jpeg};
        CHECK((heard.driver.format.pixelformat == V4L2_PIX_FMT_MJPEG));
        REQUIRE(heard.told.size() == 2);
        CHECK(heard.told[0].find("YUYV does not work: frames are ") == 0);
        CHECK(heard.told[1].find("now 640 x 480 mjpg") == 0);
    }
    {  // no frame at all
        Heard heard;
        const Camera& camera = start(heard);
        for (int i = 0; i < 100 && heard.told.empty(); ++i) {
            CHECK((*heard.camera)->next(packet, 1) == Next::wait);
            ::usleep(1000);
        }
        heard.driver.events = {jpeg};
        REQUIRE(heard.has_frame(packet));
        CHECK(packet.layout == PixelLayout::jpeg);
        CHECK(camera.error() == "");
        CHECK(heard.told.at(0) ==
              "YUYV does not work: no frame for 0.03 s; trying the next format");
    }
    {  // nothing in two of three: the camera gives nothing
        Heard heard;
        heard.driver.formats[V4L2_PIX_FMT_RGB24] = {{640, 480, 30}};
        heard.driver.formats[V4L2_PIX_FMT_MJPEG] = {{640, 480, 30}};
        heard.request.stall_ms = 30;
        const Camera& camera = heard.open();
        CHECK_FALSE(heard.has_frame(packet));
        CHECK(camera.error().find("no frame for 0.03 s: the driver has stalled") == 0);
        CHECK(heard.told.size() == 2);
    }
    {  // MJPG in name only
        Heard heard;
        heard.driver.formats = {{V4L2_PIX_FMT_MJPEG, {{640, 480, 30}}}};
        const Camera& camera = heard.open();
        heard.driver.events.assign(61, {.bytes = 5000, .fill = 0x11});
        CHECK_FALSE(heard.has_frame(packet));
        CHECK(camera.error() == "frames are no JPEG");
    }
    {  // a format that has worked is kept
        Heard heard;
        const Camera& camera = start(heard);
        heard.driver.events = {{.sequence = 0}};
        REQUIRE(heard.has_frame(packet));
        CHECK_FALSE(heard.has_frame(packet));
        CHECK(camera.error().find("stalled") != std::string::npos);
        CHECK(heard.told.empty());
    }
}

TEST_CASE("camera: one buffer is enough") {
    Heard heard;
    heard.driver.buffer_count = 1;
    heard.open();
    video::Packet packet;
    for (std::uint32_t i = 0; i < 5; ++i) {
        heard.driver.events = {{.sequence = i, .fill = static_cast<std::uint8_t>(i)}};
        REQUIRE(heard.has_frame(packet));
        CHECK(packet.bytes[0] == i);
    }
    CHECK((*heard.camera)->dropped() == 0);
}

TEST_CASE("camera: fields of an analog picture") {
    video::Packet packet;
    {
        Heard heard;
        heard.driver.field = V4L2_FIELD_INTERLACED;
        CHECK(heard.open().mode().height == 480);
        REQUIRE(heard.told.size() == 1);
        CHECK(heard.told[0].find("interlaced") != std::string::npos);
    }
    {  // both fields one after the other: the first, with each row twice
        Heard heard;
        heard.driver.field = V4L2_FIELD_SEQ_TB;
        CHECK(heard.open().mode().height == 480);
        heard.driver.events = {{.fill = 9}};
        for (std::size_t i = 0; i < heard.driver.memory[0].size(); ++i)
            heard.driver.memory[0][i] = static_cast<std::uint8_t>(i / 1280);
        REQUIRE(heard.has_frame(packet));
        CHECK(packet.height == 480);
        REQUIRE(packet.bytes.size() == 640 * 480 * 2);
        CHECK(packet.bytes[0] == 9);
        CHECK(packet.bytes[1] == 0);
        CHECK(packet.bytes[1280] == 9);
        CHECK(packet.bytes[2 * 1280] == 1);
        CHECK(packet.bytes[479 * 1280] == 239);
        CHECK(heard.told.empty());
    }
    {  // fields in turn: the frame is twice as high as each, and only the top ones are used
        Heard heard;
        heard.driver.field = V4L2_FIELD_ALTERNATE;
        CHECK(heard.open().mode().height == 960);
        heard.driver.events = {{.sequence = 0, .fill = 1, .field = V4L2_FIELD_TOP},
                               {.sequence = 0, .fill = 2, .field = V4L2_FIELD_BOTTOM},
                               {.sequence = 1, .fill = 3, .field = V4L2_FIELD_TOP},
                               {.sequence = 1, .fill = 4, .field = V4L2_FIELD_BOTTOM}};
        REQUIRE(heard.has_frame(packet));
        CHECK(packet.bytes[0] == 1);
        REQUIRE(heard.has_frame(packet));
        CHECK(packet.bytes[0] == 3);
        CHECK(packet.number == 1);
        CHECK_FALSE(heard.has_frame(packet));
        CHECK((*heard.camera)->dropped() == 0);
    }
    {  // a driver that calls all of them bottom ones
        Heard heard;
        heard.driver.field = V4L2_FIELD_ALTERNATE;
        heard.open();
        heard.driver.events = {{.sequence = 0, .field = V4L2_FIELD_BOTTOM},
                               {.sequence = 1, .field = V4L2_FIELD_BOTTOM}};
        CHECK(heard.has_frame(packet));
        CHECK(heard.has_frame(packet));
    }
}

TEST_CASE("camera: rows of every plane are doubled") {
    constexpr PixelLayout layouts[] = {PixelLayout::gray8, PixelLayout::yuyv, PixelLayout::nv12,
                                       PixelLayout::nv16,  PixelLayout::yu12, PixelLayout::rggb};
    for (const PixelLayout layout : layouts)
        for (const std::size_t padding : {std::size_t{0}, std::size_t{6}}) {
            CAPTURE(video::layout_name(layout));
            constexpr int width = 6, rows = 8;
            const std::size_t row = video::row_bytes(layout, width), stride = row + padding;
            std::vector<std::uint8_t> from(video::packet_bytes(layout, width, rows, stride)), out;
            for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::uint8_t>(i);
            double_rows(layout, from.data(), width, rows, stride, rows, out);
            REQUIRE(out.size() == video::packet_bytes(layout, width, 2 * rows, row));
            // Each row of bytes that belongs to a plane, by walking through it.
            std::size_t in_at = 0, out_at = 0;
            int planes = 1;
            if (layout == PixelLayout::nv12 || layout == PixelLayout::nv16) planes = 2;
            if (layout == PixelLayout::yu12) planes = 3;
            for (int plane = 0; plane < planes; ++plane) {
                const bool halved = plane > 0 && layout != PixelLayout::nv16;
                const std::size_t narrow = plane > 0 && layout == PixelLayout::yu12 ? 2 : 1;
                for (int y = 0; y < (halved ? rows / 2 : rows); ++y) {
                    for (int twice = 0; twice < 2; ++twice, out_at += row / narrow)
                        CHECK(std::memcmp(out.data() + out_at, from.data() + in_at, row / narrow) ==
                              0);
                    in_at += stride / narrow;
                }
            }
            CHECK(out_at == out.size());
        }
}

TEST_CASE("camera: frames that always end early are used as far as they go") {
    constexpr std::uint32_t row = 1280, whole = row * 480;
    video::Packet packet;
    const auto run = [&](Heard& heard, const FakeDriver::Event& event, int count) {
        for (int i = 0; i < count; ++i) heard.driver.events.push_back(event);
        return heard.has_frame(packet);
    };
    {
        Heard heard;
        heard.open();
        CHECK_FALSE(run(heard, {.bytes = whole - 3 * row - 1}, 9));
        REQUIRE(run(heard, {.bytes = whole - 3 * row - 1}, 1));
        CHECK(packet.height == 476);  // an even number of the 476.99 rows that are there
        CHECK(packet.bytes.size() == whole - 3 * row - 1);
        REQUIRE(heard.told.size() == 1);
        CHECK(heard.told[0].find("end early") != std::string::npos);
        REQUIRE(run(heard, {}, 1));
        CHECK(packet.height == 476);
        CHECK_FALSE(run(heard, {.bytes = whole / 2}, 1));
        CHECK(heard.told.size() == 1);
    }
    {  // marked as damaged, as drivers do: only if all are alike
        Heard same, different;
        same.open();
        different.open();
        REQUIRE(run(same, {.bytes = whole - row, .flags = V4L2_BUF_FLAG_ERROR}, 10));
        CHECK(packet.height == 478);
        REQUIRE(run(same, {.bytes = whole - row, .flags = V4L2_BUF_FLAG_ERROR}, 1));
        CHECK_FALSE(run(same, {.bytes = whole - 2 * row, .flags = V4L2_BUF_FLAG_ERROR}, 1));
        CHECK_FALSE(run(same, {.flags = V4L2_BUF_FLAG_ERROR}, 1));
        for (std::uint32_t i = 0; i < 30; ++i)
            different.driver.events.push_back(
                {.bytes = whole - i * 100 - 2, .flags = V4L2_BUF_FLAG_ERROR});
        CHECK_FALSE(different.has_frame(packet));
        CHECK(different.told.empty());
    }
    {  // 3/4 of a frame may be another format
        Heard heard;
        heard.open();
        CHECK_FALSE(run(heard, {.bytes = whole / 4 * 3}, 61));
        CHECK((*heard.camera)->error().find("has the format changed?") != std::string::npos);
    }
    {  // a whole frame has come: later ones are damaged
        Heard heard;
        heard.open();
        REQUIRE(run(heard, {}, 1));
        CHECK_FALSE(run(heard, {.bytes = whole - row}, 20));
        CHECK(heard.told.empty());
    }
    {  // the last rows of color are missing: gray is whole
        Heard heard;
        heard.driver.formats = {{V4L2_PIX_FMT_NV12, {{640, 480, 30}}}};
        heard.open();
        REQUIRE(run(heard, {.bytes = 640 * 480 / 2 * 3 - 640}, 10));
        CHECK(packet.layout == PixelLayout::gray8);
        CHECK(packet.height == 480);
    }
}

TEST_CASE("camera: an HDMI bridge is set to what its source sends, once") {
    Heard heard;
    heard.driver.timings_error = 0;
    heard.open();
    CHECK(heard.driver.timings_set == std::vector<std::uint32_t>{1920});
    CHECK(heard.told.empty());
    const auto error = [](int code) {
        Heard other;
        other.driver.timings_error = code;
        return other.open_error();
    };
    CHECK(error(ENOLINK).find("no signal") == 0);
    CHECK(error(ENOLCK).find("unstable") != std::string::npos);
    CHECK(error(ERANGE).find("EDID") != std::string::npos);
    for (const int code : {ENOTTY, EINVAL, ENODATA}) CHECK(error(code) == "opened");
    // The signal goes away while it is read, of a bridge and of an analog grabber.
    for (const bool bridge : {true, false}) {
        Heard other;
        other.request.stall_ms = 20;
        other.open();
        if (bridge)
            other.driver.timings_error = ENOLINK;
        else
            other.driver.input_status = V4L2_IN_ST_NO_SIGNAL;
        video::Packet packet;
        CHECK_FALSE(other.has_frame(packet));
        CHECK((*other.camera)->error().find("no frame for 0.02 s: no signal") == 0);
    }
}

namespace {

// As a webcam has them.
std::vector<FakeControl> webcam_controls() {
    return {
        {V4L2_CID_BRIGHTNESS, "Brightness", V4L2_CTRL_TYPE_INTEGER, -64, 64, 1, 0, 3},
        {V4L2_CID_AUTO_WHITE_BALANCE, "White Balance, Automatic", V4L2_CTRL_TYPE_BOOLEAN, 0, 1, 1,
         1, 1},
        {V4L2_CID_GAIN, "Gain", V4L2_CTRL_TYPE_INTEGER, 0, 100, 10, 0, 20},
        {V4L2_CID_EXPOSURE_AUTO,
         "Auto Exposure",
         V4L2_CTRL_TYPE_MENU,
         0,
         3,
         1,
         3,
         3,
         0,
         {{1, "Manual Mode"}, {3, "Aperture Priority Mode"}}},
        {V4L2_CID_EXPOSURE_ABSOLUTE, "Exposure Time, Absolute", V4L2_CTRL_TYPE_INTEGER, 3, 2047, 1,
         250, 250},
        {V4L2_CID_FOCUS_ABSOLUTE, "Focus, Absolute", V4L2_CTRL_TYPE_INTEGER, 0, 250, 5, 0, 0},
        {V4L2_CID_FOCUS_AUTO, "Focus, Automatic Continuous", V4L2_CTRL_TYPE_BOOLEAN, 0, 1, 1, 1, 0},
    };
}

}  // namespace

TEST_CASE("camera: controls have the names of v4l2-ctl") {
    CHECK(control_name("Exposure Time, Absolute") == "exposure_time_absolute");
    CHECK(control_name("Exposure (Absolute)") == "exposure_absolute");
    CHECK(control_name("  White Balance -- 2nd!") == "white_balance_2nd");
    for (const bool old : {false, true}) {
        FakeDriver driver;
        driver.controls = webcam_controls();
        driver.old_controls = old;
        const auto controls = list_controls("/dev/video0", driver);
        REQUIRE(controls);
        REQUIRE(controls->size() == 7);
        const ControlInfo& brightness = (*controls)[0];
        CHECK(brightness.name == "brightness");
        CHECK(brightness.min == -64);
        CHECK(brightness.value == 3);
        const ControlInfo& mode = (*controls)[3];
        CHECK(mode.kind == ControlKind::menu);
        REQUIRE(mode.menu.size() == 2);
        CHECK(mode.menu[1].value == 3);
        CHECK(value_text(mode) == "3 (Aperture Priority Mode)");
        CHECK((*controls)[4].inactive);
        CHECK_FALSE((*controls)[2].inactive);
        CHECK(driver.descriptors == 0);
    }
    FakeDriver driver;
    driver.open_error = ENOENT;
    CHECK_FALSE(list_controls("/dev/video9", driver));
}

TEST_CASE("camera: controls are set by name, automatic modes first") {
    const auto set = [](Heard& heard, std::vector<ControlWish> wishes) {
        heard.driver.controls = webcam_controls();
        heard.request.controls = std::move(wishes);
        heard.open();
        return heard.driver.set;
    };
    using Names = std::vector<std::string>;
    {
        Heard heard;  // the user's order would be refused
        CHECK(set(heard, {{"exposure_time_absolute", "200"}, {"auto_exposure", "manual mode"}}) ==
              Names{"auto_exposure=1", "exposure_time_absolute=200"});
        CHECK(heard.told.empty());
    }
    {
        Heard heard;  // by the name of older versions of Linux, with the mode left out
        CHECK(set(heard, {{"exposure_absolute", "0xc8"}, {"brightness", "-5"}}) ==
              Names{"auto_exposure=1", "exposure_time_absolute=200", "brightness=-5"});
        REQUIRE(heard.told.size() == 1);
        CHECK(heard.told[0] ==
              "auto_exposure is set to 1 (Manual Mode), or exposure_time_absolute "
              "had no effect");
    }
    {
        Heard heard;
        CHECK(set(heard, {{"gain", "47"}, {"white_balance_automatic", "off"}}) ==
              Names{"white_balance_automatic=0", "gain=47"});
        REQUIRE(heard.told.size() == 1);
        CHECK(heard.told[0].find("gain is 40 in place of 47") == 0);
    }
    {
        Heard heard;  // the mode is manual already
        CHECK(set(heard, {{"focus_absolute", "50"}, {"brightness", "default"}}) ==
              Names{"focus_absolute=50", "brightness=0"});
    }
    {
        Heard heard;  // through the calls of old drivers
        heard.driver.old_controls = true;
        CHECK(set(heard, {{"Gain", "50"}}) == Names{"gain=50"});
    }
    {
        Heard heard;  // a camera that forgets when it starts
        heard.driver.forgets_controls = true;
        CHECK(set(heard, {{"gain", "30"}}) == Names{"gain=30", "gain=30"});
        CHECK(heard.driver.control(V4L2_CID_GAIN)->value == 30);
        CHECK(heard.told.empty());
    }
}

TEST_CASE("camera: a control that cannot be set is named, and nothing else is changed") {
    const auto error = [](std::vector<ControlWish> wishes, int refuses = 0,
                          std::uint32_t refused = V4L2_CID_GAIN) {
        Heard heard;
        heard.driver.controls = webcam_controls();
        heard.driver.control(refused)->refuses = refuses;
        heard.request.controls = std::move(wishes);
        const std::string text = heard.open_error();
        const std::vector<FakeControl> before = webcam_controls();
        for (std::size_t i = 0; i < before.size(); ++i)
            CHECK(heard.driver.controls[i].value == before[i].value);
        return text;
    };
    CHECK(error({{"exposure_absolute", "9000"}}) ==
          "exposure_time_absolute=9000 is not within 3 to 2047");
    CHECK(error({{"brightness", "1"}, {"gain", "-1"}}) == "gain=-1 is not within 0 to 100");
    CHECK(error({{"gain", "1e9"}}) == "gain=1e9 is not within 0 to 100");
    CHECK(error({{"gain", ""}}) == "gain= is not within 0 to 100");
    CHECK(error({{"gain", "99999999999999999999"}}).find("is not within") != std::string::npos);
    CHECK(error({{"auto_exposure", "2"}}) ==
          "auto_exposure=2 is none of 1 (Manual Mode), 3 (Aperture Priority Mode)");
    CHECK(error({{"focus_auto", "2"}}) == "focus_automatic_continuous=2 is not 0 or 1");
    CHECK(error({{"zoom", "2"}}).find("has no control zoom") == 0);
    CHECK(error({{"gain", "1"}, {"gain", "2"}}) == "gain is set twice");
    CHECK(error({{"auto_exposure", "3"}, {"exposure_absolute", "9"}}) ==
          "exposure_time_absolute has no effect with auto_exposure=3");
    const std::string refused =
        error({{"exposure_absolute", "99"}, {"brightness", "7"}, {"gain", "50"}}, EIO);
    CHECK(refused == "refuses gain=50: the camera does not take it; no control is changed");

    // What cannot be undone is said.
    Heard heard;
    heard.driver.controls = webcam_controls();
    heard.driver.controls.push_back({V4L2_CID_FOCUS_AUTO + 1, "Calibrate", V4L2_CTRL_TYPE_BUTTON});
    heard.driver.controls.push_back(
        {V4L2_CID_FOCUS_AUTO + 2, "Second", V4L2_CTRL_TYPE_BUTTON, 0, 0, 1, 0, 0, 0, {}, EBUSY});
    heard.request.controls = {{"calibrate", "1"}, {"second", "1"}};
    CHECK(heard.open_error() ==
          "refuses second=1: it cannot be changed at present; these stay set: calibrate=1");
}

TEST_CASE("camera: hostile lists of controls end") {
    struct Endless : FakeDriver {
        int ioctl(int descriptor, unsigned long request, void* argument) override {
            if (request != VIDIOC_QUERY_EXT_CTRL)
                return FakeDriver::ioctl(descriptor, request, argument);
            auto& query = *static_cast<v4l2_query_ext_ctrl*>(argument);
            query.id = circle ? 7 : (query.id & ~std::uint32_t{V4L2_CTRL_FLAG_NEXT_CTRL}) + 1;
            query.type = V4L2_CTRL_TYPE_MENU;
            query.minimum = INT64_MIN;
            query.maximum = INT64_MAX;
            std::memset(query.name, 'x', sizeof query.name);
            return 0;
        }
        bool circle = false;
    };
    Endless driver;
    const auto many = list_controls("/dev/video0", driver);
    REQUIRE(many);
    CHECK(many->size() <= 1024);
    CHECK((*many)[0].label.size() == 32);
    driver.circle = true;
    const auto one = list_controls("/dev/video0", driver);
    REQUIRE(one);
    CHECK(one->size() == 1);
}

TEST_CASE("camera: a wish that no camera can fulfil ends even a camera that is waited for") {
    FakeDriver driver;
    driver.controls = webcam_controls();
    Request request;
    request.controls = {{"gain", "1000"}};
    std::vector<std::string> told;
    auto source = reconnecting_camera(
        request, [&](const std::string& text) { told.push_back(text); }, driver);
    video::Packet packet;
    CHECK(source->next(packet, 1) == Next::failed);
    CHECK(source->error() == "gain=1000 is not within 0 to 100");
    CHECK(source->next(packet, 1) == Next::failed);
    CHECK(told.empty());
}
