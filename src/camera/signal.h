// SPDX-License-Identifier: MIT
// What arrives at the input of an HDMI bridge or an analog grabber.
#pragma once

#include <string>

#include "camera/device.h"
#include "host/files/result.h"

namespace mien::camera {

// An HDMI bridge does not take over by itself what its source sends: asks for it and sets it, once.
// The error says that there is no signal, or none that the bridge can take. Other devices are left
// alone.
host::Result<> adopt_timings(const Device& device);

// What is wrong with the signal; empty if nothing is known.
std::string signal_problem(const Device& device);

}  // namespace mien::camera
