// SPDX-License-Identifier: MIT
#include "camera/controls.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "camera/device.h"

namespace mien::camera {
namespace {

constexpr std::uint32_t max_controls = 1024, max_text = 1 << 16;
constexpr std::int64_t max_menu = 512;

// Names that Linux gave the same control in other years.
struct OtherName {
    std::uint32_t id;
    const char* name;
};
constexpr OtherName other_names[] = {
    {V4L2_CID_EXPOSURE_ABSOLUTE, "exposure_absolute"},
    {V4L2_CID_EXPOSURE_ABSOLUTE, "exposure_time_absolute"},
    {V4L2_CID_EXPOSURE_AUTO, "exposure_auto"},
    {V4L2_CID_EXPOSURE_AUTO, "auto_exposure"},
    {V4L2_CID_EXPOSURE_AUTO_PRIORITY, "exposure_auto_priority"},
    {V4L2_CID_EXPOSURE_AUTO_PRIORITY, "exposure_dynamic_framerate"},
    {V4L2_CID_FOCUS_AUTO, "focus_auto"},
    {V4L2_CID_FOCUS_AUTO, "focus_automatic_continuous"},
    {V4L2_CID_AUTO_WHITE_BALANCE, "white_balance_temperature_auto"},
    {V4L2_CID_AUTO_WHITE_BALANCE, "white_balance_automatic"},
    {V4L2_CID_AUTOGAIN, "autogain"},
    {V4L2_CID_AUTOGAIN, "gain_automatic"},
};

// A control counts only while its automatic mode is off.
struct Automatic {
    std::uint32_t id, mode;
    std::int64_t manual, also_manual;
};
constexpr Automatic automatics[] = {
    {V4L2_CID_EXPOSURE_ABSOLUTE, V4L2_CID_EXPOSURE_AUTO, V4L2_EXPOSURE_MANUAL,
     V4L2_EXPOSURE_SHUTTER_PRIORITY},
    {V4L2_CID_EXPOSURE, V4L2_CID_EXPOSURE_AUTO, V4L2_EXPOSURE_MANUAL,
     V4L2_EXPOSURE_SHUTTER_PRIORITY},
    {V4L2_CID_IRIS_ABSOLUTE, V4L2_CID_EXPOSURE_AUTO, V4L2_EXPOSURE_MANUAL,
     V4L2_EXPOSURE_APERTURE_PRIORITY},
    {V4L2_CID_GAIN, V4L2_CID_AUTOGAIN, 0, 0},
    {V4L2_CID_WHITE_BALANCE_TEMPERATURE, V4L2_CID_AUTO_WHITE_BALANCE, 0, 0},
    {V4L2_CID_RED_BALANCE, V4L2_CID_AUTO_WHITE_BALANCE, 0, 0},
    {V4L2_CID_BLUE_BALANCE, V4L2_CID_AUTO_WHITE_BALANCE, 0, 0},
    {V4L2_CID_FOCUS_ABSOLUTE, V4L2_CID_FOCUS_AUTO, 0, 0},
    {V4L2_CID_HUE, V4L2_CID_HUE_AUTO, 0, 0},
    {V4L2_CID_BRIGHTNESS, V4L2_CID_AUTOBRIGHTNESS, 0, 0},
};

bool is_mode(std::uint32_t id) {
    return std::any_of(std::begin(automatics), std::end(automatics),
                       [id](const Automatic& entry) { return entry.mode == id; });
}

bool kind_of(std::uint32_t type, ControlKind& kind) {
    switch (type) {
        case V4L2_CTRL_TYPE_INTEGER:
        case V4L2_CTRL_TYPE_INTEGER64: kind = ControlKind::integer; return true;
        case V4L2_CTRL_TYPE_BOOLEAN: kind = ControlKind::boolean; return true;
        case V4L2_CTRL_TYPE_MENU: kind = ControlKind::menu; return true;
        case V4L2_CTRL_TYPE_INTEGER_MENU: kind = ControlKind::integer_menu; return true;
        case V4L2_CTRL_TYPE_BUTTON: kind = ControlKind::button; return true;
        case V4L2_CTRL_TYPE_BITMASK: kind = ControlKind::bitmask; return true;
        case V4L2_CTRL_TYPE_STRING: kind = ControlKind::text; return true;
        default: return false;  // headings and arrays
    }
}

bool is_menu(ControlKind kind) {
    return kind == ControlKind::menu || kind == ControlKind::integer_menu;
}

// One control read or written by the extended calls, or by those of old drivers.
int transfer(const Device& device, const ControlInfo& control, bool write, std::int64_t& value,
             std::string& text) {
    std::vector<char> buffer;
    v4l2_ext_control one{};
    one.id = control.id;
    if (control.kind == ControlKind::text) {
        const auto room =
            static_cast<std::size_t>(std::clamp<std::int64_t>(control.max, 0, max_text)) + 1;
        buffer.assign(room, '\0');
        if (write) std::memcpy(buffer.data(), text.data(), std::min(text.size(), room - 1));
        one.size = static_cast<std::uint32_t>(room);
        one.string = buffer.data();
    } else if (control.wide) {
        one.value64 = value;
    } else {
        one.value = static_cast<std::int32_t>(value);
    }
    v4l2_ext_controls all{};
    all.which = V4L2_CTRL_WHICH_CUR_VAL;
    all.count = 1;
    all.controls = &one;
    int error = device.call(write ? VIDIOC_S_EXT_CTRLS : VIDIOC_G_EXT_CTRLS, &all);
    if (error == ENOTTY && control.kind != ControlKind::text) {
        v4l2_control old = {control.id, static_cast<std::int32_t>(value)};
        error = device.call(write ? VIDIOC_S_CTRL : VIDIOC_G_CTRL, &old);
        one.value = old.value;
    }
    if (error != 0 || write) return error;
    if (control.kind == ControlKind::text)
        text.assign(buffer.data(), strnlen(buffer.data(), buffer.size()));
    else if (control.wide)
        value = one.value64;
    else if (control.kind == ControlKind::bitmask)
        value = static_cast<std::uint32_t>(one.value);
    else
        value = one.value;
    return 0;
}

void read_menu(const Device& device, ControlInfo& control) {
    for (std::int64_t i = std::max<std::int64_t>(control.min, 0);
         i <= std::min(control.max, max_menu); ++i) {
        v4l2_querymenu item{};
        item.id = control.id;
        item.index = static_cast<std::uint32_t>(i);
        if (device.call(VIDIOC_QUERYMENU, &item) != 0) continue;
        const auto* name = reinterpret_cast<const char*>(item.name);
        control.menu.push_back({i, control.kind == ControlKind::menu
                                       ? std::string(name, strnlen(name, sizeof item.name))
                                       : std::to_string(item.value)});
    }
}

bool whole_number(const std::string& text, std::int64_t& value) {
    if (text.empty()) return false;
    char* end = nullptr;
    errno = 0;
    value = std::strtoll(text.c_str(), &end, 0);
    return *end == '\0' && errno == 0;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

std::string menu_text(const ControlInfo& control) {
    std::string text;
    for (const MenuEntry& entry : control.menu)
        text += (text.empty() ? "" : ", ") + std::to_string(entry.value) + " (" + entry.name + ")";
    return text;
}

// The number that `text` means for the control; an error names what would be right.
host::Result<std::int64_t> parse_value(const ControlInfo& control, const std::string& text) {
    const std::string wish = control.name + "=" + text, small = lower(text);
    std::int64_t value = 0;
    if (small == "default" && control.kind != ControlKind::button) return control.normal;
    const bool is_number = whole_number(text, value);
    switch (control.kind) {
        case ControlKind::button: return std::int64_t{1};
        case ControlKind::boolean:
            if (small == "on" || small == "true" || small == "yes") return std::int64_t{1};
            if (small == "off" || small == "false" || small == "no") return std::int64_t{0};
            if (is_number && (value == 0 || value == 1)) return value;
            return host::Error::usage(wish + " is not 0 or 1");
        case ControlKind::menu:
        case ControlKind::integer_menu:
            // Of a menu of numbers such as link frequencies, the number itself counts first.
            for (const MenuEntry& entry : control.menu) {
                if (lower(entry.name) == small ||
                    (control.kind == ControlKind::menu && !is_number &&
                     control_name(entry.name) == control_name(text)))
                    return entry.value;
            }
            for (const MenuEntry& entry : control.menu)
                if (is_number && entry.value == value) return value;
            return host::Error::usage(wish + " is none of " + menu_text(control));
        case ControlKind::bitmask:
            if (is_number && value >= 0 && (value & ~control.max) == 0) return value;
            return host::Error::usage(wish + " has other bits than " + std::to_string(control.max));
        case ControlKind::integer:
            if (is_number && value >= control.min && value <= control.max) return value;
            return host::Error::usage(wish + " is not within " + std::to_string(control.min) +
                                      " to " + std::to_string(control.max));
        case ControlKind::text: break;
    }
    const auto length = static_cast<std::int64_t>(text.size());
    if (length >= control.min && length <= control.max) return std::int64_t{0};
    return host::Error::usage(wish + " is not " + std::to_string(control.min) + " to " +
                              std::to_string(control.max) + " characters long");
}

const ControlInfo* control_with(const std::vector<ControlInfo>& controls, std::uint32_t id) {
    for (const ControlInfo& control : controls)
        if (control.id == id) return &control;
    return nullptr;
}

const ControlInfo* find_control(const std::vector<ControlInfo>& controls, const std::string& wish) {
    const std::string name = control_name(wish);
    for (const ControlInfo& control : controls)
        if (control.name == name) return &control;
    for (const OtherName& other : other_names)
        if (name == other.name)
            if (const ControlInfo* control = control_with(controls, other.id)) return control;
    return nullptr;
}

const char* refusal(int error) {
    switch (error) {
        case EACCES: return "another control switches it off, or it is read only";
        case EBUSY: return "it cannot be changed at present";
        case ERANGE: return "the driver takes another range";
        case EINVAL: return "the driver takes no such value";
        case EIO: return "the camera does not take it";
        case ENODEV: return "the device is gone";
        default: return std::strerror(error);
    }
}

}  // namespace

const char* kind_name(ControlKind kind) {
    switch (kind) {
        case ControlKind::integer: return "integer";
        case ControlKind::boolean: return "boolean";
        case ControlKind::menu: return "menu";
        case ControlKind::integer_menu: return "integer menu";
        case ControlKind::button: return "button";
        case ControlKind::bitmask: return "bitmask";
        case ControlKind::text: return "text";
    }
    return "unknown";
}

std::string control_name(std::string_view label) {
    std::string name;
    bool gap = false;
    for (const char c : label) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        const bool capital = c >= 'A' && c <= 'Z';
        if (!letter && !capital) {
            gap = !name.empty();
            continue;
        }
        if (gap) name += '_';
        gap = false;
        name += capital ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return name;
}

std::string value_text(const ControlInfo& control) {
    if (control.kind == ControlKind::text) return control.text;
    std::string text = std::to_string(control.value);
    if (is_menu(control.kind))
        for (const MenuEntry& entry : control.menu)
            if (entry.value == control.value) text += " (" + entry.name + ")";
    return text;
}

std::vector<ControlInfo> query_controls(const Device& device) {
    std::vector<ControlInfo> found;
    std::uint32_t id = 0;
    for (std::uint32_t i = 0; i < max_controls; ++i) {
        v4l2_query_ext_ctrl query{};
        query.id = id | V4L2_CTRL_FLAG_NEXT_CTRL;
        if (const int error = device.call(VIDIOC_QUERY_EXT_CTRL, &query); error == ENOTTY) {
            v4l2_queryctrl old{};
            old.id = id | V4L2_CTRL_FLAG_NEXT_CTRL;
            if (device.call(VIDIOC_QUERYCTRL, &old) != 0) break;
            query.id = old.id;
            query.type = old.type;
            std::memcpy(query.name, old.name, sizeof query.name);
            query.minimum = old.minimum;
            query.maximum = old.maximum;
            query.step = static_cast<std::uint64_t>(std::max(old.step, 0));
            query.default_value = old.default_value;
            query.flags = old.flags;
        } else if (error != 0) {
            break;
        }
        if (query.id <= id) break;  // the driver goes round in circles
        id = query.id;
        ControlInfo control;
        if ((query.flags & V4L2_CTRL_FLAG_DISABLED) != 0 || query.nr_of_dims != 0 ||
            !kind_of(query.type, control.kind))
            continue;
        control.id = id;
        control.wide = query.type == V4L2_CTRL_TYPE_INTEGER64;
        control.label.assign(query.name, strnlen(query.name, sizeof query.name));
        control.name = control_name(control.label);
        control.min = query.minimum;
        control.max = control.kind == ControlKind::bitmask
                          ? static_cast<std::uint32_t>(query.maximum)
                          : query.maximum;
        control.step = static_cast<std::int64_t>(query.step);
        control.normal = query.default_value;
        control.read_only = (query.flags & V4L2_CTRL_FLAG_READ_ONLY) != 0;
        control.inactive = (query.flags & V4L2_CTRL_FLAG_INACTIVE) != 0;
        if (is_menu(control.kind)) read_menu(device, control);
        control.has_value = control.kind != ControlKind::button &&
                            (query.flags & V4L2_CTRL_FLAG_WRITE_ONLY) == 0 &&
                            transfer(device, control, false, control.value, control.text) == 0;
        found.push_back(std::move(control));
    }
    return found;
}

host::Result<std::vector<ControlInfo>> list_controls(const std::string& path, DeviceCalls& calls) {
    Device device(calls);
    if (const host::Result<> done = device.open(path); !done) return done.error();
    return query_controls(device);
}

host::Result<> ControlSetter::plan(const std::vector<ControlWish>& wishes) {
    for (const ControlWish& wish : wishes) {
        const ControlInfo* control = find_control(controls_, wish.name);
        if (control == nullptr)
            return host::Error::usage("has no control " + wish.name +
                                      "; `mien camera --list-controls` shows those it has");
        if (control->read_only) return host::Error::usage(control->name + " is read only");
        for (const Setting& other : settings_)
            if (other.control.id == control->id)
                return host::Error::usage(control->name + " is set twice");
        const host::Result<std::int64_t> value = parse_value(*control, wish.value);
        if (!value) return value.error();
        settings_.push_back({*control, *value, wish.value, wish.value, 0});
    }
    return {};
}

// Exposure and the like have no effect while the camera chooses them itself.
host::Result<> ControlSetter::add_manual_modes() {
    const std::size_t count = settings_.size();
    for (std::size_t i = 0; i < count; ++i) {
        for (const Automatic& automatic : automatics) {
            if (settings_[i].control.id != automatic.id) continue;
            const ControlInfo* mode = control_with(controls_, automatic.mode);
            if (mode == nullptr) continue;
            const auto is_manual = [&](std::int64_t value) {
                return value == automatic.manual || value == automatic.also_manual;
            };
            const auto wished = std::find_if(
                settings_.begin(), settings_.end(),
                [&](const Setting& setting) { return setting.control.id == mode->id; });
            const std::string name = settings_[i].control.name;
            if (wished != settings_.end()) {
                if (!is_manual(wished->value))
                    return host::Error::usage(name + " has no effect with " + mode->name + "=" +
                                              wished->asked);
                continue;
            }
            if (!mode->has_value || is_manual(mode->value) || mode->read_only) continue;
            ControlInfo shown = *mode;
            shown.value = automatic.manual;
            tell_(mode->name + " is set to " + value_text(shown) + ", or " + name +
                  " had no effect");
            settings_.push_back({*mode, automatic.manual, {}, std::to_string(automatic.manual), 0});
        }
    }
    return {};
}

host::Result<> ControlSetter::apply(Setting& setting) {
    const ControlInfo& control = setting.control;
    std::int64_t value = setting.value;
    std::string text = setting.text;
    const std::string wish = control.name + "=" + setting.asked;
    if (const int error = transfer(device_, control, true, value, text); error != 0)
        return host::Error::input("refuses " + wish + ": " + refusal(error));
    setting.became = setting.value;
    if (!control.has_value || control.kind == ControlKind::text) return {};
    if (transfer(device_, control, false, value, text) != 0) return {};
    setting.became = value;
    if (value != setting.value)
        tell_(control.name + " is " + std::to_string(value) + " in place of " + setting.asked +
              ": the nearest that the camera has");
    return {};
}

// Gives the first `count` settings their old values back; what stays changed, for people.
std::string ControlSetter::undo(std::size_t count) {
    std::string left;
    for (std::size_t i = count; i-- > 0;) {
        ControlInfo& control = settings_[i].control;
        if (control.kind != ControlKind::button && control.has_value &&
            transfer(device_, control, true, control.value, control.text) == 0)
            continue;
        left += (left.empty() ? "" : ", ") + control.name + "=" + settings_[i].asked;
    }
    return left;
}

host::Result<> ControlSetter::set(const std::vector<ControlWish>& wishes) {
    settings_.clear();
    if (wishes.empty()) return {};
    controls_ = query_controls(device_);
    if (const host::Result<> done = plan(wishes); !done) return done.error();
    if (const host::Result<> done = add_manual_modes(); !done) return done.error();
    // Automatic modes first, for they decide what else can be set; buttons last, for what they do
    // cannot be taken back.
    const auto turn = [](const Setting& setting) {
        return setting.control.kind == ControlKind::button ? 2
               : is_mode(setting.control.id)               ? 0
                                                           : 1;
    };
    std::stable_sort(settings_.begin(), settings_.end(),
                     [&](const Setting& a, const Setting& b) { return turn(a) < turn(b); });
    for (std::size_t i = 0; i < settings_.size(); ++i) {
        const host::Result<> done = apply(settings_[i]);
        if (done) continue;
        const std::string left = undo(i);
        host::Error error = done.error();
        error.text += left.empty() ? "; no control is changed" : "; these stay set: " + left;
        settings_.clear();
        return error;
    }
    return {};
}

void ControlSetter::confirm() {
    for (Setting& setting : settings_) {
        const ControlInfo& control = setting.control;
        if (control.kind == ControlKind::button || control.kind == ControlKind::text ||
            !control.has_value)
            continue;
        std::int64_t value = 0, wanted = setting.became;
        std::string text;
        if (transfer(device_, control, false, value, text) != 0 || value == wanted) continue;
        static_cast<void>(transfer(device_, control, true, wanted, text));
        if (transfer(device_, control, false, value, text) == 0 && value != setting.became)
            tell_(control.name + " has become " + std::to_string(value) +
                  " again: the camera changes it when it starts");
    }
}

}  // namespace mien::camera
