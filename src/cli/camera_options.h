// SPDX-License-Identifier: MIT
// What a user asks of a camera, for every verb that opens one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "camera/v4l2.h"
#include "cli/options.h"

namespace mien::cli {

struct CameraWishes {
    std::string size = "640x480", format = "best";
    double fps = 30;
    std::optional<double> stall;        // seconds
    std::vector<std::string> controls;  // NAME=VALUE
};
// In the options' `group`; in the first one if it is empty.
void add_camera_options(CLI::App& app, CameraWishes& wishes, const std::string& group = {});

// The names of formats of pixels, on several lines for --help.
std::string layouts_in_lines();

// False after printing an error.
bool make_request(const std::string& device, const CameraWishes& wishes, camera::Request& request);

}  // namespace mien::cli
