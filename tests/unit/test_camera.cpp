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
    std::uint32_t changes = 0;  // the event that waits
    // What it does.
    struct Event {
        int error = 0;
        std::uint32_t bytes = ~0u, flags = 0, sequence = 0, index = ~0u;
        std::uint8_t fill = 0;
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
    int ioctl(int, unsigned long request, void* argument) override {
        switch (request) {
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
                if (planar()) {
                    pix.width = wish.fmt.pix_mp.width;
                    pix.height = wish.fmt.pix_mp.height;
                    pix.pixelformat = wish.fmt.pix_mp.pixelformat;
                }
                PixelLayout layout = PixelLayout::yuyv;
                if (pix.pixelformat == V4L2_PIX_FMT_GREY) layout = PixelLayout::gray8;
                if (pix.pixelformat == V4L2_PIX_FMT_NV12) layout = PixelLayout::nv12;
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
                r.count = buffer_count;
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
                streaming = true;
                return 0;
            case VIDIOC_STREAMOFF: streaming = false; return 0;
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
                b.sequence = event.sequence;
                if (b.index < memory.size() && memory[b.index].size() > data_offset)
                    memory[b.index][data_offset] = event.fill;
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
    CHECK(text([](FakeDriver& d) { d.driver = "unicam"; }).find("rpicam-vid") != std::string::npos);
    CHECK(text([](FakeDriver& d) { d.driver = "rp1-cfe"; }).find("| mien video -") !=
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
    for (const std::uint32_t count : {0u, 1u, 33u, 0xffffffffu}) {
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
