// SPDX-License-Identifier: MIT
#include "cli/camera_options.h"

#include <cmath>

#include "cli/live.h"
#include "cli/terminal.h"

namespace mien::cli {

std::string layouts_in_lines() {
    constexpr std::size_t width = 70;
    std::string text = video::layout_names;
    for (std::size_t at = text.find(' ', width); at != std::string::npos;
         at = text.find(' ', at + width))
        text[at] = '\n';
    return text;
}

void add_camera_options(CLI::App& app, CameraWishes& wishes, const std::string& group) {
    CLI::Option* const options[] = {
        app.add_option("--size", wishes.size, "Size to request")->type_name("WxH"),
        app.add_option("--fps", wishes.fps, "Frames per second to request")
            ->check(CLI::Range(0.01, 1000.0))
            ->type_name("RATE"),
        app.add_option("--format", wishes.format,
                       "best (what costs least), or one of\n" + layouts_in_lines())
            ->type_name("NAME"),
        app.add_option("--stall", wishes.stall,
                       "A camera without a frame for so long has failed; 0: wait for ever, for a "
                       "camera with a trigger;\n"
                       "else three times what a frame takes, at least 3")
            ->check(CLI::Range(0.0, 86400.0))
            ->type_name("SECONDS"),
        app.add_option("--set", wishes.controls,
                       "Set a control, such as exposure_time_absolute=200; once for each; it stays "
                       "set in the camera")
            ->type_name("NAME=VALUE")
            ->default_str("")
            ->allow_extra_args(false)};
    for (CLI::Option* const option : options)
        if (!group.empty()) option->group(group);
}

bool make_request(const std::string& device, const CameraWishes& wishes, camera::Request& request) {
    request.path = camera::device_path(device);
    request.fps = wishes.fps;
    if (!parse_size(wishes.size, request.width, request.height)) return false;
    request.any_layout = wishes.format == "best";
    if (!request.any_layout && !video::find_layout(wishes.format, request.layout)) {
        complain("--format " + wishes.format + " is none of " + video::layout_names);
        return false;
    }
    if (wishes.stall) {
        // 0 is for ever, so what is above 0 stays above.
        const double ms = std::ceil(*wishes.stall * 1e3);
        request.stall_ms = static_cast<int>(ms);
    }
    for (const std::string& control : wishes.controls) {
        const std::size_t at = control.find('=');
        if (at == std::string::npos || at == 0) {
            complain("--set " + control + " is not of the form NAME=VALUE");
            return false;
        }
        request.controls.push_back({control.substr(0, at), control.substr(at + 1)});
    }
    return true;
}

}  // namespace mien::cli
