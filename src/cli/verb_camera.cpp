// SPDX-License-Identifier: MIT
// mien camera: faces of a V4L2 camera until stopped; --list shows the cameras.
#include <nlohmann/json.hpp>

#include "camera/v4l2.h"
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
    std::string device, size = "640x480", format = "best";
    double fps = 30;
    bool list = false, reconnect = false;
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

int watch(CameraOptions& options) {
    camera::Request request;
    request.path = camera::device_path(options.device.empty() ? "0" : options.device);
    request.fps = options.fps;
    if (!parse_size(options.size, request.width, request.height)) return exit_usage;
    if (options.format != "best") {
        request.any_layout = false;
        if (!video::find_layout(options.format, request.layout)) {
            complain("--format " + options.format + " is none of " + video::layout_names);
            return exit_usage;
        }
    }
    Notices notices;
    const LiveOptions& live = options.live;
    const bool drawn = live.window || !live.mjpeg.empty() || !live.record.empty();
    return run_live(options.live, request.path, notices, exit_done, Ending::results,
                    [&](bool color) -> host::Result<std::unique_ptr<video::Source>> {
                        request.colour = color || drawn;
                        const std::string path = request.path;
                        if (options.reconnect)
                            return video::newest_of(camera::reconnecting_camera(
                                request, [&notices, path](const std::string& text) {
                                    notices.add(path + ": " + text);
                                }));
                        auto opened = camera::open_camera(request);
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
    app.add_option("--size", options.size, "Size to request")->type_name("WxH");
    app.add_option("--fps", options.fps, "Frames per second to request")
        ->check(CLI::Range(0.1, 1000.0))
        ->type_name("RATE");
    app.add_option("--format", options.format,
                   std::string("best (what costs least), ") + video::layout_names)
        ->type_name("NAME");
    app.add_flag("--reconnect", options.reconnect,
                 "Wait for a camera that is missing or unplugged");
    add_live_options(app, options.live);
    int code = exit_done;
    if (!parse_options(app, argc, argv, code)) return code;
    return options.list ? list(options.live.json) : watch(options);
}

}  // namespace mien::cli
