// SPDX-License-Identifier: MIT
// Cameras and their frames, by V4L2 with memory-mapped buffers. Drivers are not trusted: settings
// are read back, sizes are checked, and a frame that is short or marked as damaged is skipped and
// counted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "camera/device_calls.h"
#include "host/files/result.h"
#include "video/source.h"

namespace mien::camera {

// A control and the value that it is to have, as the user writes them (controls.h).
struct ControlWish {
    std::string name, value;
};

struct Request {
    std::string path = "/dev/video0";
    int width = 640, height = 480;
    double fps = 30;
    bool any_layout = true;  // the one that costs least
    video::PixelLayout layout = video::PixelLayout::yuyv;
    // a network or the drawing needs color; else a gray plane is preferred
    bool colour = false;
    // No frame for this long is a failure; 0: never. Without it three times what a frame takes at
    // the rate, and at least 3 s.
    std::optional<int> stall_ms;
    std::vector<ControlWish> controls;
    // One line for people, on the thread that reads: a format that does not work and what is tried
    // in its place, an interlaced picture, a control that was rounded.
    std::function<void(const std::string&)> tell;
};

// How long a camera may give no frame, 0: for ever. `given_fps` is 0 if the driver does not say.
std::uint64_t stall_limit_ns(const Request& request, double given_fps);

// The device that a user names: "2" and "/dev/video2" are the same one.
std::string device_path(const std::string& name);

// What the driver gave.
struct Mode {
    video::PixelLayout layout = video::PixelLayout::yuyv;
    int width = 0, height = 0;
    std::size_t stride = 0;
    double fps = 0;  // 0: unknown
    std::string card, driver;
};

class Camera : public video::Source {
public:
    [[nodiscard]] virtual const Mode& mode() const = 0;
};

// Tries the formats from the best to the worst, until one gives frames. The error gives advice: a
// group to join, a program to stop, another device, the pipe for the board's own camera.
host::Result<std::unique_ptr<Camera>> open_camera(const Request& request,
                                                  DeviceCalls& calls = system_calls());

// The same, but when the camera fails, it reports that by `tell` and retries the same path every
// 0.5 to 10 s until it is back, renegotiating the format. Also waits for a missing camera. Fails
// only if request.controls makes no sense.
std::unique_ptr<video::Source> reconnecting_camera(const Request& request,
                                                   std::function<void(const std::string&)> tell,
                                                   DeviceCalls& calls = system_calls());

// ---- listing ----

struct SizeInfo {
    int width = 0, height = 0;
    std::vector<double> rates;  // descending; empty: unknown
    bool stepwise = false;      // any size up to this one
};
struct FormatInfo {
    std::string name;  // V4L2's four letters
    bool usable = false;
    std::vector<SizeInfo> sizes;
};
struct CameraInfo {
    std::string path, card, driver, bus, by_id;
    std::vector<FormatInfo> formats;
    std::string problem;  // why it cannot be used; empty if it can
};
// Capture devices among /dev/video*; outputs, metadata nodes and codecs are left out.
std::vector<CameraInfo> list_cameras(DeviceCalls& calls = system_calls());
// One device; false if it does not capture or cannot be opened (problem has the reason).
bool describe_camera(const std::string& path, DeviceCalls& calls, CameraInfo& info);

}  // namespace mien::camera
