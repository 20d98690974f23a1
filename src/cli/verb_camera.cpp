// SPDX-License-Identifier: MIT
// mien camera: faces of a V4L2 camera until stopped; --list shows the cameras, --list-controls what
// can be set.
#include <nlohmann/json.hpp>

#include "camera/controls.h"
#include "camera/v4l2.h"
#include "cli/camera_options.h"
#include "cli/exit_codes.h"
#include "cli/live.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace mien::cli {
namespace {

using Json = nlohmann::ordered_json;

struct CameraOptions {
    LiveOptions live;
    CameraWishes wishes;
    std::string device;
    bool list = false, list_controls = false, reconnect = false;
};

std::string rates_text(const std::vector<double>& rates) {
    std::string text;
    for (std::size_t i = 0; i < rates.size() && i < 6; ++i)
        text += (i > 0 ? ", " : " at ") + format("%.4g", rates[i]);
    return text + (rates.size() > 6 ? ", ..." : "") + (rates.empty() ? "" : " frames per second");
}

Json camera_json(const camera::CameraInfo& info) {
    Json formats = Json::array();
    for (const camera::FormatInfo& entry : info.formats) {
        Json sizes = Json::array();
        for (const camera::SizeInfo& size : entry.sizes)
            sizes.push_back({{"width", size.width},
                             {"height", size.height},
                             {"up_to", size.stepwise},
                             {"fps", size.rates}});
        formats.push_back(
            {{"name", entry.name}, {"usable", entry.usable}, {"sizes", std::move(sizes)}});
    }
    Json json = {{"path", info.path},
                 {"name", info.card},
                 {"driver", info.driver},
                 {"bus", info.bus},
                 {"formats", std::move(formats)}};
    if (!info.by_id.empty()) json["by_id"] = info.by_id;
    if (!info.problem.empty()) json["problem"] = info.problem;
    return json;
}

int list(bool json) {
    const std::vector<camera::CameraInfo> cameras = camera::list_cameras();
    if (json) {
        Json all = Json::array();
        for (const camera::CameraInfo& info : cameras) all.push_back(camera_json(info));
        print(Json{{"schema", 1}, {"cameras", std::move(all)}}.dump(
                  -1, ' ', false, Json::error_handler_t::replace) +
              "\n");
        return output_exit_code();
    }
    std::string text;
    for (const camera::CameraInfo& info : cameras) {
        text +=
            info.path +
            (info.card.empty() ? ""
                               : ": " + info.card + " (" + info.driver + ", " + info.bus + ")") +
            "\n";
        if (!info.by_id.empty()) text += "    always at " + info.by_id + "\n";
        if (!info.problem.empty()) text += "    " + info.problem + "\n";
        for (const camera::FormatInfo& entry : info.formats) {
            for (const camera::SizeInfo& size : entry.sizes) {
                text += "    " + entry.name +
                        (size.stepwise ? format("  up to %d x %d", size.width, size.height)
                                       : format("  %d x %d", size.width, size.height)) +
                        rates_text(size.rates) + (entry.usable ? "" : "  (not supported)") + "\n";
            }
            if (entry.sizes.empty())
                text += "    " + entry.name + (entry.usable ? "" : "  (not supported)") + "\n";
        }
    }
    print(cameras.empty() ? "no camera found\n" : text);
    return output_exit_code();
}

Json control_json(const camera::ControlInfo& control) {
    Json json = {{"name", control.name},
                 {"label", control.label},
                 {"type", camera::kind_name(control.kind)}};
    const bool is_text = control.kind == camera::ControlKind::text;
    if (control.kind != camera::ControlKind::button) {
        json["min"] = control.min;
        json["max"] = control.max;
        json["step"] = control.step;
        if (!is_text) json["default"] = control.normal;
    }
    if (control.has_value) {
        if (is_text)
            json["value"] = control.text;
        else
            json["value"] = control.value;
    }
    if (!control.menu.empty()) {
        Json menu = Json::array();
        for (const camera::MenuEntry& entry : control.menu)
            menu.push_back({{"value", entry.value}, {"name", entry.name}});
        json["menu"] = std::move(menu);
    }
    json["read_only"] = control.read_only;
    json["inactive"] = control.inactive;
    return json;
}

// "exposure_time_absolute  3 to 2047, default 250, value 250, inactive"
std::string control_line(const camera::ControlInfo& control) {
    const auto number = [](std::int64_t value) { return std::to_string(value); };
    std::string text = format("  %-32s ", control.name.c_str());
    switch (control.kind) {
        case camera::ControlKind::integer:
            text += number(control.min) + " to " + number(control.max);
            if (control.step > 1) text += " in steps of " + number(control.step);
            break;
        case camera::ControlKind::bitmask: text += "bits of " + number(control.max); break;
        case camera::ControlKind::text:
            text += number(control.min) + " to " + number(control.max) + " characters";
            break;
        case camera::ControlKind::boolean: text += "0 or 1"; break;
        default: text += camera::kind_name(control.kind); break;
    }
    if (control.kind != camera::ControlKind::button && control.kind != camera::ControlKind::text)
        text += ", default " + number(control.normal);
    if (control.has_value) text += ", value " + printable(camera::value_text(control));
    if (control.read_only) text += ", read only";
    if (control.inactive) text += ", inactive";
    text += "\n";
    for (const camera::MenuEntry& entry : control.menu)
        text +=
            format("  %-32s   ", "") + number(entry.value) + ": " + printable(entry.name) + "\n";
    return text;
}

int list_controls(const std::string& device, bool json) {
    const std::string path = camera::device_path(device);
    const auto controls = camera::list_controls(path);
    if (!controls) return complain(path, controls.error());
    if (json) {
        Json all = Json::array();
        for (const camera::ControlInfo& control : *controls) all.push_back(control_json(control));
        print(Json{{"schema", 1}, {"source", path}, {"controls", std::move(all)}}.dump(
                  -1, ' ', false, Json::error_handler_t::replace) +
              "\n");
        return output_exit_code();
    }
    std::string text = path + (controls->empty() ? " has no controls\n" : "\n");
    for (const camera::ControlInfo& control : *controls) text += control_line(control);
    print(text);
    return output_exit_code();
}

int watch_topic(LiveOptions& live) {
    if (!check_ros2_image(live.ros2)) return exit_usage;
    Notices notices;
    const std::string name = live.ros2.image_topic;
    return run_live(live, name, notices, exit_done, Ending::results, [&](bool) {
        return open_ros2_image(live.ros2, [&notices, name](const std::string& text) {
            notices.add(name + ": " + text);
        });
    });
}

int watch(CameraOptions& options) {
    camera::Request request;
    if (!make_request(options.device, options.wishes, request)) return exit_usage;
    Notices notices;
    const LiveOptions& live = options.live;
    const bool drawn =
        live.window || !live.mjpeg.empty() || !live.record.empty() || live.mqtt.image_s > 0;
    return run_live(
        options.live, request.path, notices, exit_done, Ending::results,
        [&](bool color) -> host::Result<std::unique_ptr<video::Source>> {
            request.colour = color || drawn;
            const std::string path = request.path;
            request.tell = [&notices, path](const std::string& text) {
                notices.add(path + ": " + text);
            };
            if (options.reconnect)
                return video::newest_of(camera::reconnecting_camera(request, request.tell));
            auto opened = camera::open_camera(request);
            notices.show();
            if (!opened) return opened.error();
            complain(path, (*opened)->description());
            return video::newest_of(std::move(*opened));
        });
}

}  // namespace

int run_camera(int argc, char** argv) {
    CLI::App app(
        "Reads the faces in front of a camera until Ctrl-C, SIGTERM or q, which end with exit code "
        "0.\n");
    style_app(app, "camera");
    CameraOptions options;
    app.add_option("DEVICE", options.device,
                   "/dev/videoN, N alone, or a name under /dev/v4l; default /dev/video0")
        ->type_name("");
    app.add_flag("--list", options.list, "List the cameras with their formats, sizes and rates");
    app.add_flag("--list-controls", options.list_controls,
                 "List the controls of DEVICE with their ranges and values");
    add_camera_options(app, options.wishes);
    app.add_flag("--reconnect", options.reconnect,
                 "Wait for a camera that is missing or unplugged");
    add_live_options(app, options.live);
    add_ros2_image_option(app, options.live.ros2);
    int code = exit_done;
    if (!parse_options(app, argc, argv, code)) return code;
    hide_credentials(argc, argv);
    if (options.list) return list(options.live.json);
    if (!options.live.ros2.image_topic.empty()) {
        if (options.device.empty()) return watch_topic(options.live);
        complain("--ros2-image takes the place of DEVICE; only one of them can be read");
        return exit_usage;
    }
    if (options.device.empty()) options.device = "0";
    if (options.list_controls) return list_controls(options.device, options.live.json);
    return watch(options);
}

}  // namespace mien::cli
