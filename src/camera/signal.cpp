// SPDX-License-Identifier: MIT
#include "camera/signal.h"

#include <cerrno>
#include <cstring>

namespace mien::camera {
namespace {

// Of VIDIOC_QUERY_DV_TIMINGS; null for a device without such timings.
const char* timings_problem(int error) {
    switch (error) {
        case ENOLINK: return "no signal: is the source on, and its cable plugged in?";
        case ENOLCK: return "the signal is unstable: try another cable or a lower mode";
        case ERANGE:
            return "the source sends a mode that this bridge cannot take; give the bridge an EDID "
                   "that names those it can (docs/CAMERA.md)";
        default: return nullptr;
    }
}

}  // namespace

host::Result<> adopt_timings(const Device& device) {
    v4l2_dv_timings timings{};
    if (const int error = device.call(VIDIOC_QUERY_DV_TIMINGS, &timings); error != 0) {
        if (const char* problem = timings_problem(error); problem != nullptr)
            return host::Error::input(problem);
        return {};
    }
    const std::string size =
        std::to_string(timings.bt.width) + " x " + std::to_string(timings.bt.height);
    switch (const int error = device.call(VIDIOC_S_DV_TIMINGS, &timings); error) {
        case 0:
        case ENOTTY: return {};
        case EBUSY: return host::Error::input("in use by another program");
        default:
            return host::Error::input("cannot be set to the " + size +
                                      " that its source sends: " + std::strerror(error));
    }
}

std::string signal_problem(const Device& device) {
    v4l2_dv_timings timings{};
    const int error = device.call(VIDIOC_QUERY_DV_TIMINGS, &timings);
    if (const char* problem = timings_problem(error); problem != nullptr) return problem;
    int index = 0;
    v4l2_input input{};
    if (device.call(VIDIOC_G_INPUT, &index) != 0 || index < 0) return {};
    input.index = static_cast<std::uint32_t>(index);
    if (device.call(VIDIOC_ENUMINPUT, &input) != 0) return {};
    if ((input.status & V4L2_IN_ST_NO_POWER) != 0) return "its input has no power";
    constexpr std::uint32_t unlocked =
        V4L2_IN_ST_NO_SIGNAL | V4L2_IN_ST_NO_SYNC | V4L2_IN_ST_NO_H_LOCK;
    return (input.status & unlocked) != 0 ? "no signal at its input" : "";
}

}  // namespace mien::camera
