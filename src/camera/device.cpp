// SPDX-License-Identifier: MIT
#include "camera/device.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mien::camera {

using video::PixelLayout;

namespace {

struct Fourcc {
    std::uint32_t code;
    PixelLayout layout;
};
constexpr Fourcc fourccs[] = {
    {V4L2_PIX_FMT_GREY, PixelLayout::gray8},       {V4L2_PIX_FMT_NV12, PixelLayout::nv12},
    {V4L2_PIX_FMT_NV21, PixelLayout::nv21},        {V4L2_PIX_FMT_NV16, PixelLayout::nv16},
    {V4L2_PIX_FMT_NV61, PixelLayout::nv61},        {V4L2_PIX_FMT_YUV420, PixelLayout::yu12},
    {V4L2_PIX_FMT_YVU420, PixelLayout::yv12},      {V4L2_PIX_FMT_YUYV, PixelLayout::yuyv},
    {V4L2_PIX_FMT_YVYU, PixelLayout::yvyu},        {V4L2_PIX_FMT_UYVY, PixelLayout::uyvy},
    {V4L2_PIX_FMT_VYUY, PixelLayout::vyuy},        {V4L2_PIX_FMT_RGB24, PixelLayout::rgb24},
    {V4L2_PIX_FMT_BGR24, PixelLayout::bgr24},      {V4L2_PIX_FMT_RGB565, PixelLayout::rgb565},
    {V4L2_PIX_FMT_RGB565X, PixelLayout::rgb565be}, {V4L2_PIX_FMT_RGBA32, PixelLayout::rgb32},
    {V4L2_PIX_FMT_RGBX32, PixelLayout::rgb32},     {V4L2_PIX_FMT_ABGR32, PixelLayout::bgr32},
    {V4L2_PIX_FMT_XBGR32, PixelLayout::bgr32},     {V4L2_PIX_FMT_BGR32, PixelLayout::bgr32},
    {V4L2_PIX_FMT_Y10, PixelLayout::y10},          {V4L2_PIX_FMT_Y12, PixelLayout::y12},
    {V4L2_PIX_FMT_Y16, PixelLayout::y16},          {V4L2_PIX_FMT_SBGGR8, PixelLayout::bggr},
    {V4L2_PIX_FMT_SGBRG8, PixelLayout::gbrg},      {V4L2_PIX_FMT_SGRBG8, PixelLayout::grbg},
    {V4L2_PIX_FMT_SRGGB8, PixelLayout::rggb},      {V4L2_PIX_FMT_MJPEG, PixelLayout::jpeg},
    {V4L2_PIX_FMT_JPEG, PixelLayout::jpeg}};

template <std::size_t N>
std::string fixed_text(const __u8 (&field)[N]) {
    const auto* begin = reinterpret_cast<const char*>(field);
    return {begin, strnlen(begin, N)};
}

}  // namespace

bool layout_of(std::uint32_t code, PixelLayout& layout) {
    for (const Fourcc& entry : fourccs) {
        if (entry.code == code) {
            layout = entry.layout;
            return true;
        }
    }
    return false;
}

std::string fourcc_text(std::uint32_t code) {
    std::string text;
    for (int i = 0; i < 4; ++i) {
        const auto c = static_cast<char>(code >> (8 * i) & 0x7f);
        text += c > 32 && c < 127 ? c : '?';
    }
    return text;
}

bool is_raw_sensor(PixelLayout layout) {
    return layout == PixelLayout::bggr || layout == PixelLayout::gbrg ||
           layout == PixelLayout::grbg || layout == PixelLayout::rggb;
}

host::Result<> Device::open(const std::string& path) {
    descriptor_ = calls_.open(path.c_str());
    if (descriptor_ < 0) {
        switch (errno) {
            case ENOENT:
                return host::Error::input("no such device; `mien camera --list` shows the cameras");
            case EACCES:
            case EPERM:
                return host::Error::input(
                    "no permission; join the group: sudo usermod -aG video $USER, then log in "
                    "again");
            case EBUSY: return host::Error::input("in use by another program");
            case ENODEV:
            case ENXIO: return host::Error::input("the device is gone");
            case ENOTTY:
                return host::Error::input(
                    "is no device; `mien camera --list` shows the cameras, `mien video FILE` reads "
                    "files");
            default: return host::Error::input(std::strerror(errno));
        }
    }
    v4l2_capability capability{};
    if (const int error = call(VIDIOC_QUERYCAP, &capability); error != 0)
        return host::Error::input(
            error == ENODEV
                ? "the device is gone"
                : "is no camera (not a V4L2 device); `mien camera --list` shows the cameras");
    card_ = fixed_text(capability.card);
    driver_ = fixed_text(capability.driver);
    bus_ = fixed_text(capability.bus_info);
    caps_ = (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? capability.device_caps
                                                                  : capability.capabilities;
    return {};
}

std::vector<SizeInfo> Device::sizes(std::uint32_t format) const {
    std::vector<SizeInfo> found;
    for (unsigned i = 0; i < max_listed; ++i) {
        v4l2_frmsizeenum size{};
        size.index = i;
        size.pixel_format = format;
        if (call(VIDIOC_ENUM_FRAMESIZES, &size) != 0) break;
        const bool discrete = size.type == V4L2_FRMSIZE_TYPE_DISCRETE;
        const std::uint32_t w = discrete ? size.discrete.width : size.stepwise.max_width,
                            h = discrete ? size.discrete.height : size.stepwise.max_height;
        if (w >= 1 && h >= 1 && w <= static_cast<std::uint32_t>(video::max_side) &&
            h <= static_cast<std::uint32_t>(video::max_side))
            found.push_back({static_cast<int>(w), static_cast<int>(h), {}, !discrete});
        if (!discrete) break;
    }
    return found;
}

std::vector<double> Device::rates(std::uint32_t format, int width, int height) const {
    std::vector<double> found;
    for (unsigned i = 0; i < max_listed; ++i) {
        v4l2_frmivalenum interval{};
        interval.index = i;
        interval.pixel_format = format;
        interval.width = static_cast<std::uint32_t>(width);
        interval.height = static_cast<std::uint32_t>(height);
        if (call(VIDIOC_ENUM_FRAMEINTERVALS, &interval) != 0) break;
        const bool discrete = interval.type == V4L2_FRMIVAL_TYPE_DISCRETE;
        const v4l2_fract shortest = discrete ? interval.discrete : interval.stepwise.min;
        if (shortest.numerator != 0 && shortest.denominator != 0)
            found.push_back(static_cast<double>(shortest.denominator) / shortest.numerator);
        if (!discrete) break;
    }
    std::sort(found.rbegin(), found.rend());
    return found;
}

std::vector<std::uint32_t> Device::formats() const {
    std::vector<std::uint32_t> found;
    for (unsigned i = 0; i < max_listed; ++i) {
        v4l2_fmtdesc description{};
        description.index = i;
        description.type = buffer_type();
        if (call(VIDIOC_ENUM_FMT, &description) != 0) break;
        found.push_back(description.pixelformat);
    }
    return found;
}

}  // namespace mien::camera
