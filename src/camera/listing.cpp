// SPDX-License-Identifier: MIT
// The cameras of this machine, and what each offers.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "camera/advice.h"
#include "camera/device.h"
#include "camera/v4l2.h"

namespace mien::camera {

using video::PixelLayout;

namespace {

std::string by_id_of(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    for (fs::directory_iterator entry("/dev/v4l/by-id", error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code ignored;
        if (fs::canonical(entry->path(), ignored) == real) return entry->path().string();
    }
    return {};
}

}  // namespace

bool describe_camera(const std::string& path, DeviceCalls& calls, CameraInfo& info) {
    info = {};
    info.path = path;
    Device device(calls);
    if (const host::Result<> done = device.open(path); !done) {
        info.problem = done.error().text;
        return false;
    }
    info.card = device.card();
    info.driver = device.driver();
    info.bus = device.bus();
    const std::vector<std::uint32_t> formats = device.formats();
    for (const std::uint32_t format : formats) {
        PixelLayout layout{};
        FormatInfo entry = {fourcc_text(format), layout_of(format, layout), device.sizes(format)};
        for (SizeInfo& size : entry.sizes)
            size.rates = device.rates(format, size.width, size.height);
        info.formats.push_back(std::move(entry));
    }
    if (const host::Result<> done = check_kind(device, formats); !done)
        info.problem = done.error().text;
    return (device.caps() & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)) != 0;
}

std::vector<CameraInfo> list_cameras(DeviceCalls& calls) {
    namespace fs = std::filesystem;
    std::vector<std::pair<long, std::string>> paths;
    std::error_code error;
    for (fs::directory_iterator entry("/dev", error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.compare(0, 5, "video") == 0 && name.size() > 5 &&
            name.find_first_not_of("0123456789", 5) == std::string::npos)
            paths.emplace_back(std::strtol(name.c_str() + 5, nullptr, 10), entry->path().string());
    }
    std::sort(paths.begin(), paths.end());
    std::vector<CameraInfo> found;
    for (const auto& [number, path] : paths) {
        CameraInfo info;
        // Devices that cannot be opened are listed with the reason; those that do not capture are
        // left out.
        if (!describe_camera(path, calls, info) && (info.problem.empty() || !info.driver.empty()))
            continue;
        info.by_id = by_id_of(path);
        found.push_back(std::move(info));
    }
    return found;
}

}  // namespace mien::camera
