// SPDX-License-Identifier: MIT
#include "ros2/message.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace mien::ros2 {
namespace {

constexpr std::size_t longest_name = 200;  // DDS and ROS 2 allow a little more, with prefixes

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Encoding {
    std::string_view name;
    video::PixelLayout layout;
};
// ROS 2's names (sensor_msgs/image_encodings) for what mien reads.
constexpr Encoding encodings[] = {
    {"rgb8", video::PixelLayout::rgb24},       {"bgr8", video::PixelLayout::bgr24},
    {"8UC3", video::PixelLayout::bgr24},  // as OpenCV has its images
    {"mono8", video::PixelLayout::gray8},      {"8UC1", video::PixelLayout::gray8},
    {"rgba8", video::PixelLayout::rgb32},      {"bgra8", video::PixelLayout::bgr32},
    {"8UC4", video::PixelLayout::bgr32},       {"mono16", video::PixelLayout::y16},
    {"16UC1", video::PixelLayout::y16},        {"yuv422", video::PixelLayout::uyvy},
    {"uyvy", video::PixelLayout::uyvy},        {"yuv422_yuy2", video::PixelLayout::yuyv},
    {"yuyv", video::PixelLayout::yuyv},        {"bayer_rggb8", video::PixelLayout::rggb},
    {"bayer_bggr8", video::PixelLayout::bggr}, {"bayer_gbrg8", video::PixelLayout::gbrg},
    {"bayer_grbg8", video::PixelLayout::grbg},
};

// A text of somebody else in a message of ours.
std::string shown(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 40)) out += c >= ' ' && c <= '~' ? c : '?';
    return "\"" + out + (text.size() > 40 ? "...\"" : "\"");
}

// Of DDS's ports only so many are below 65536.
constexpr std::uint32_t last_domain = 232;

host::Result<std::string> peers_xml(std::string_view peers) {
    std::string xml;
    while (!peers.empty()) {
        const std::size_t end = std::min(peers.find(';'), peers.size());
        const std::string_view peer = peers.substr(0, end);
        peers.remove_prefix(std::min(end + 1, peers.size()));
        if (peer.empty()) continue;
        for (const char c : peer) {
            if (!is_letter(c) && !is_digit(c) && std::string_view(".:-[]%").find(c) > 5)
                return host::Error::usage("ROS_STATIC_PEERS: " + shown(peer) + " is no address");
        }
        xml += "<Peer address=\"" + std::string(peer) + "\"/>";
    }
    return xml;
}

void add_readings(const TrackedFace& face, const host::EngineInfo& info,
                  std::vector<Hypothesis>& out) {
    for (const Head head : named_heads) {
        const TrackedReading reading = face[head];
        const host::HeadInfo& labels = info[head];
        const std::string prefix = std::string(head_name(head)) + ":";
        if (reading.label < 0) continue;
        if (labels.quantity) {
            out.push_back({prefix + std::to_string(std::lround(reading.quantity.value)), 1});
            continue;
        }
        const std::size_t begin = out.size(),
                          count = std::min(reading.smoothed.size(), labels.labels.size());
        for (std::size_t i = 0; i < count; ++i)
            out.push_back({prefix + labels.labels[i], static_cast<double>(reading.smoothed[i])});
        std::stable_sort(
            out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
            [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    }
}

}  // namespace

host::Result<std::string> absolute_name(std::string_view name) {
    const std::string absolute = (name.substr(0, 1) == "/" ? "" : "/") + std::string(name);
    const auto wrong = [&](const char* why) {
        return host::Error::usage(shown(name) + " is no name of ROS 2: " + why);
    };
    if (absolute.size() > longest_name) return wrong("it is too long");
    for (std::size_t i = 0; i < absolute.size(); ++i) {
        const char c = absolute[i], before = i > 0 ? absolute[i - 1] : '/';
        if (i > 0 && c == '/' && before == '/') return wrong("a word between slashes is missing");
        if (i > 0 && before == '/' && is_digit(c)) return wrong("a word begins with a digit");
        if (c != '/' && !is_letter(c) && !is_digit(c))
            return wrong("letters, digits, underscores and slashes are allowed");
    }
    if (absolute.back() == '/') return wrong("it ends with a slash");
    return absolute;
}

std::string ros_type_name(std::string_view dds_name) {
    std::string name(dds_name);
    const std::size_t at = name.find("::msg::dds_::");
    if (at == std::string::npos || name.back() != '_') return name;
    name.pop_back();
    return name.replace(at, 13, "/msg/");
}

host::Result<Discovery> discovery_of(const std::function<const char*(const char*)>& variable,
                                     std::span<const std::string> own) {
    const auto value = [&](const char* name) {
        const char* const text = variable(name);
        return std::string(text != nullptr ? text : "");
    };
    Discovery discovery;
    if (const std::string id = value("ROS_DOMAIN_ID"); !id.empty()) {
        char* end = nullptr;
        const unsigned long number = std::strtoul(id.c_str(), &end, 10);
        if (!is_digit(id[0]) || *end != '\0' || number > last_domain)
            return host::Error::usage("ROS_DOMAIN_ID: " + shown(id) +
                                      " is no number from 0 to 232");
        discovery.domain = static_cast<std::uint32_t>(number);
    }
    const std::string only = value("ROS_LOCALHOST_ONLY");
    std::string range = value("ROS_AUTOMATIC_DISCOVERY_RANGE");
    host::Result<std::string> peers = peers_xml(value("ROS_STATIC_PEERS"));
    if (!peers) return peers.error();
    if (!only.empty() && only != "0" && only != "1")
        return host::Error::usage("ROS_LOCALHOST_ONLY: " + shown(only) + " is neither 0 nor 1");
    if (only == "1") {  // the older variable wins, as in ROS 2
        range = "LOCALHOST";
        peers->clear();
    }
    // As ROS 2's own middleware configures the library (rmw_cyclonedds, Jazzy).
    std::string general, inside;
    if (range == "LOCALHOST") {
        // A later Cyclone DDS (11) hears nothing that comes by the loopback interface.
        std::string here = "<Peer address=\"localhost\"/>";
        for (const std::string& address : own) here += "<Peer address=\"" + address + "\"/>";
        *peers = here + *peers;
        general = "<General><AllowMulticast>false</AllowMulticast></General>";
    } else if (range == "OFF") {
        // Nobody has this tag, so nobody is found.
        general = "<General><AllowMulticast>false</AllowMulticast></General>";
        inside = "<ParticipantIndex>none</ParticipantIndex><Tag>mien_" +
                 std::to_string(::getpid()) + "</Tag>";
        peers->clear();
    } else if (range == "SYSTEM_DEFAULT") {
        return discovery;
    } else if (!range.empty() && range != "SUBNET") {
        return host::Error::usage("ROS_AUTOMATIC_DISCOVERY_RANGE: " + shown(range) +
                                  " is none of SUBNET, LOCALHOST, OFF, SYSTEM_DEFAULT");
    }
    if (!peers->empty())
        inside =
            "<ParticipantIndex>auto</ParticipantIndex>"
            "<MaxAutoParticipantIndex>32</MaxAutoParticipantIndex><Peers>" +
            *peers + "</Peers>";
    if (!inside.empty())
        discovery.config = "<CycloneDDS><Domain>" + general + "<Discovery>" + inside +
                           "</Discovery></Domain></CycloneDDS>";
    return discovery;
}

Stamp stamp_of(std::uint64_t ns) {
    return {static_cast<std::int32_t>(ns / 1'000'000'000u),
            static_cast<std::uint32_t>(ns % 1'000'000'000u)};
}

std::uint64_t nanoseconds_of(std::int32_t sec, std::uint32_t nanosec) {
    return sec < 0 ? 0 : static_cast<std::uint64_t>(sec) * 1'000'000'000u + nanosec;
}

std::vector<Detection> detections_of(const live::FrameResult& result,
                                     const host::EngineInfo& info) {
    std::vector<Detection> detections;
    for (const TrackedFace& face : result.faces) {
        if (face.missed > 0) continue;
        Detection detection;
        detection.width = face.box.width;
        detection.height = face.box.height;
        detection.x = face.box.x + detection.width / 2;
        detection.y = face.box.y + detection.height / 2;
        detection.id = std::to_string(face.id);
        // A cascade's faces have neighbors, a network's have a score.
        const double score = info.detector_name.empty() ? 1 : static_cast<double>(face.score);
        detection.hypotheses.push_back({"face", score});
        add_readings(face, info, detection.hypotheses);
        detections.push_back(std::move(detection));
    }
    return detections;
}

host::Result<> read_image(const ImageFields& image, video::Packet& packet) {
    const auto* const found =
        std::find_if(std::begin(encodings), std::end(encodings),
                     [&](const Encoding& entry) { return entry.name == image.encoding; });
    if (found == std::end(encodings)) {
        std::string names;
        for (const Encoding& entry : encodings)
            names += (names.empty() ? "" : ", ") + std::string(entry.name);
        return host::Error::input("images in the encoding " + shown(image.encoding) +
                                  " are not read; these are: " + names);
    }
    const video::PixelLayout layout = found->layout;
    if (layout == video::PixelLayout::y16 && image.is_big_endian)
        return host::Error::input("gray of 16 bits in big-endian order is not read");
    if (image.width == 0 || image.height == 0 || image.width > video::max_side ||
        image.height > video::max_side ||
        std::uint64_t{image.width} * image.height > video::max_pixels)
        return host::Error::input("an image of " + std::to_string(image.width) + " x " +
                                  std::to_string(image.height) + " pixels");
    const auto width = static_cast<int>(image.width), height = static_cast<int>(image.height);
    const std::size_t row = video::row_bytes(layout, width);
    if (image.step < row)
        return host::Error::input("rows of " + std::to_string(image.step) + " bytes for " +
                                  std::to_string(image.width) + " pixels");
    // Each of the encodings is one plane, whose last row need not be padded. A product of 64 bits,
    // for size_t may have fewer.
    const std::uint64_t least = std::uint64_t{image.step} * (image.height - 1) + row;
    if (image.data.size() < least)
        return host::Error::input("an image of " + std::to_string(image.data.size()) +
                                  " bytes instead of " + std::to_string(least));
    packet.layout = layout;
    packet.width = width;
    packet.height = height;
    packet.stride = image.step;
    packet.bytes = image.data;
    return {};
}

host::Result<> read_compressed(std::span<const std::uint8_t> data, video::Packet& packet) {
    if (data.size() < 4) return host::Error::input("an image without data");
    const bool is_jpeg = data[0] == 0xff && data[1] == 0xd8;
    packet.layout = is_jpeg ? video::PixelLayout::jpeg : video::PixelLayout::picture;
    packet.width = packet.height = 0;
    packet.stride = 0;
    packet.bytes = data;
    return {};
}

}  // namespace mien::ros2
