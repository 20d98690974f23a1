// SPDX-License-Identifier: MIT
#include "camera/advice.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace mien::camera {

using video::PixelLayout;

namespace {

const char* const pi_advice =
    "a Raspberry Pi's own camera is reached through libcamera; run: rpicam-vid -t 0 -n --codec "
    "mjpeg --width 640 --height 480 -o - | mien video - --live";
const char* const intel_advice =
    "a laptop's Intel IPU camera gives raw sensor data here; libcamera processes it; run: "
    "gst-launch-1.0 -q libcamerasrc ! videoconvert ! jpegenc ! fdsink | mien video - --live";
const char* const jetson_advice =
    "a Jetson's sensor gives raw data here; Argus processes it; run: gst-launch-1.0 -q "
    "nvarguscamerasrc ! nvjpegenc ! fdsink | mien video - --live";

enum class Use {
    never,         // a part of a pipeline that libcamera puts together
    if_processed,  // with a sensor or a bridge that needs no such pipeline
    if_readable,
};
struct Board {
    const char* advice;
    Use use;
};

// Drivers name themselves. The receiver of a Raspberry Pi may have an HDMI bridge or a sensor with
// its own processing behind it; then it is a camera like others.
const Board* board_of(const Device& device) {
    static constexpr std::string_view receivers[] = {"unicam", "rp1-cfe"};
    static constexpr std::string_view processors[] = {"bcm2835-isp", "pispbe"};
    static const Board pi_receiver = {pi_advice, Use::if_processed},
                       pi_processor = {pi_advice, Use::never}, intel = {intel_advice, Use::never},
                       jetson = {jetson_advice, Use::if_readable};
    const auto is_one_of = [&device](const auto& names) {
        return std::find(std::begin(names), std::end(names), device.driver()) != std::end(names);
    };
    if (is_one_of(receivers)) return &pi_receiver;
    if (is_one_of(processors)) return &pi_processor;
    for (const char* const name : {"ipu3", "ipu6", "ipu7"}) {
        if (device.driver().find(name) != std::string::npos || device.card().rfind(name, 0) == 0)
            return &intel;
    }
    if (device.driver() == "isys") return &intel;  // the IPU6's receiver in Linux itself
    if (device.driver() == "tegra-video") return &jetson;
    return nullptr;
}

bool is_bayer_name(const std::string& name) {
    if (name.compare(0, 3, "RGB") == 0 || name.compare(0, 3, "BGR") == 0) return false;
    static constexpr std::string_view begins[] = {"BG", "GB", "BA", "RG", "BY", "GR"};
    return name == "BA81" || name[0] == 'p' ||
           (name != "GREY" && std::any_of(std::begin(begins), std::end(begins), [&](auto begin) {
                return name.compare(0, begin.size(), begin) == 0;
            }));
}

}  // namespace

host::Result<> check_kind(const Device& device, const std::vector<std::uint32_t>& formats,
                          bool asked) {
    const std::uint32_t caps = device.caps();
    const auto has = [caps](std::uint32_t flags) { return (caps & flags) != 0; };
    bool readable = false, processed = false;
    for (const std::uint32_t format : formats) {
        PixelLayout layout{};
        if (!layout_of(format, layout)) continue;
        readable = true;
        processed = processed || !is_raw_sensor(layout);
    }
    if (const Board* board = board_of(device); board != nullptr) {
        // A receiver that leaves its pipeline to others lists every format that there is.
        const bool usable = board->use == Use::if_readable ? readable
                            : board->use == Use::if_processed
                                ? processed && (asked || !has(V4L2_CAP_IO_MC))
                                : false;
        if (!usable) return host::Error::input(board->advice);
    }
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
    if (readable) return {};
    std::string names;
    bool bayer = true;
    for (const std::uint32_t format : formats) {
        const std::string name = fourcc_text(format);
        names += (names.empty() ? "" : ", ") + name;
        bayer = bayer && is_bayer_name(name);
    }
    if (bayer)
        return host::Error::input(
            "offers only raw sensor data (" + names.substr(0, 60) +
            "); if libcamera knows the sensor (`cam -l`), run: gst-launch-1.0 -q libcamerasrc ! "
            "videoconvert ! jpegenc ! fdsink | mien video - --live");
    return host::Error::input("offers none of the formats that mien reads, but " +
                              names.substr(0, 100));
}

}  // namespace mien::camera
