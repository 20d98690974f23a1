// SPDX-License-Identifier: MIT
// Exposure, gain, focus and the other controls of a camera, by the names that v4l2-ctl prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "camera/device_calls.h"
#include "camera/v4l2.h"
#include "host/files/result.h"

namespace mien::camera {

class Device;

enum class ControlKind { integer, boolean, menu, integer_menu, button, bitmask, text };
const char* kind_name(ControlKind kind);

struct MenuEntry {
    std::int64_t value = 0;
    std::string name;
};
struct ControlInfo {
    std::uint32_t id = 0;
    std::string name, label;  // "exposure_time_absolute", "Exposure Time, Absolute"
    ControlKind kind = ControlKind::integer;
    std::int64_t min = 0, max = 0, step = 1, normal = 0, value = 0;
    std::string text;             // the value of a text
    std::vector<MenuEntry> menu;  // in a driver's menu numbers may be missing
    bool wide = false;            // of 64 bits
    bool has_value = false, read_only = false;
    bool inactive = false;  // another control switches it off at present
};

// "Exposure Time, Absolute" is exposure_time_absolute.
std::string control_name(std::string_view label);
// The value of a control as --set takes it, with the name of a menu's entry.
std::string value_text(const ControlInfo& control);

std::vector<ControlInfo> query_controls(const Device& device);
// Of a device by its path; also of one that another program uses.
host::Result<std::vector<ControlInfo>> list_controls(const std::string& path,
                                                     DeviceCalls& calls = system_calls());

// Sets controls of an open device, automatic modes first. All names and values are checked before
// the first is set; when one is refused later, those before it get their old values back. `tell`
// hears what else was changed, and what a driver rounded.
class ControlSetter {
public:
    ControlSetter(const Device& device, std::function<void(const std::string&)> tell)
        : device_(device), tell_(std::move(tell)) {}

    host::Result<> set(const std::vector<ControlWish>& wishes);
    // Some cameras forget their controls when they start: sets those again that changed, and says
    // which would not stay.
    void confirm();

private:
    struct Setting {
        ControlInfo control;
        std::int64_t value = 0;
        std::string text;   // of a text
        std::string asked;  // as the user wrote it
        std::int64_t became = 0;
    };

    host::Result<> plan(const std::vector<ControlWish>& wishes);
    host::Result<> add_manual_modes();
    host::Result<> apply(Setting& setting);
    std::string undo(std::size_t count);

    const Device& device_;
    std::function<void(const std::string&)> tell_;
    std::vector<ControlInfo> controls_;
    std::vector<Setting> settings_;  // in the order in which they are set
};

}  // namespace mien::camera
