// SPDX-License-Identifier: MIT
// A V4L2 device with the calls that reach it: what it is, and which formats, sizes and rates it offers.
#pragma once

#include <linux/videodev2.h>

#include <cstdint>
#include <string>
#include <vector>

#include "camera/device_calls.h"
#include "camera/v4l2.h"
#include "host/files/result.h"
#include "video/source.h"

namespace mien::camera {

constexpr unsigned max_listed = 256;  // stops a driver that enumerates endlessly

// The layout of V4L2's format; false if mien does not read it.
bool layout_of(std::uint32_t code, video::PixelLayout& layout);
bool is_raw_sensor(video::PixelLayout layout);  // a Bayer pattern
// V4L2's four letters.
std::string fourcc_text(std::uint32_t code);

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
    std::vector<std::uint32_t> formats() const;
    std::vector<SizeInfo> sizes(std::uint32_t format) const;
    std::vector<double> rates(std::uint32_t format, int width, int height) const;

private:
    DeviceCalls& calls_;
    int descriptor_ = -1;
    std::string card_, driver_, bus_;
    std::uint32_t caps_ = 0;
};

}  // namespace mien::camera
