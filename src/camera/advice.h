// SPDX-License-Identifier: MIT
// Whether a device is a camera that mien can read, and if not, what to do instead on the board that
// it is part of.
#pragma once

#include <cstdint>
#include <vector>

#include "camera/device.h"
#include "host/files/result.h"

namespace mien::camera {

// `formats` are those of device.formats(); `asked`: a processed format was asked for by name, so the
// user knows what is behind a receiver. The error says what the device is.
host::Result<> check_kind(const Device& device, const std::vector<std::uint32_t>& formats,
                          bool asked = false);

}  // namespace mien::camera
