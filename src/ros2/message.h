// SPDX-License-Identifier: MIT
// What is sent as ROS 2 messages and what is read from them, as plain values: names, settings,
// detections, images. Knows no middleware, so every build has it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/files/result.h"
#include "live/loop.h"
#include "video/source.h"

namespace mien::ros2 {

// ---- names -------------------------------------------------------------------------------------

// The absolute form of a topic's or namespace's name by ROS 2's rules: words of letters, digits and
// underscores that begin with no digit, joined by slashes. "camera/image" is "/camera/image".
host::Result<std::string> absolute_name(std::string_view name);
// As DDS calls a topic of this absolute name.
inline std::string dds_topic_name(const std::string& name) { return "rt" + name; }
// "sensor_msgs/msg/Image" of "sensor_msgs::msg::dds_::Image_"; other names as they are.
std::string ros_type_name(std::string_view dds_name);

// ---- settings ----------------------------------------------------------------------------------

// What ROS 2's variables ask for: ROS_DOMAIN_ID, ROS_LOCALHOST_ONLY, ROS_AUTOMATIC_DISCOVERY_RANGE,
// ROS_STATIC_PEERS.
struct Discovery {
    std::uint32_t domain = 0;
    std::string config;  // Cyclone DDS's XML; empty: as the library does by itself
};
// `variable` gives the value of one; null: it is not set. `own` are this machine's addresses, at
// which nodes of this machine are looked for, besides localhost.
host::Result<Discovery> discovery_of(const std::function<const char*(const char*)>& variable,
                                     std::span<const std::string> own);

// ---- messages that are sent --------------------------------------------------------------------

struct Stamp {
    std::int32_t sec = 0;
    std::uint32_t nanosec = 0;
};
// Of nanoseconds since 1970.
Stamp stamp_of(std::uint64_t ns);
std::uint64_t nanoseconds_of(std::int32_t sec, std::uint32_t nanosec);  // 0 before 1970

struct Hypothesis {
    std::string class_id;
    double score = 0;
};
struct Detection {
    double x = 0, y = 0;  // the box's center
    double width = 0, height = 0;
    std::string id;
    std::vector<Hypothesis> hypotheses;
};
// The faces that were found in this frame, each as "face" with the detector's score (1 of a
// cascade, which gives none), then each class of each network as "emotion:happy" with its smoothed
// probability, the most probable first; of a quantity "age:34", 1 again.
std::vector<Detection> detections_of(const live::FrameResult& result, const host::EngineInfo& info);

// ---- messages that are read --------------------------------------------------------------------

// sensor_msgs/Image; nothing in it is trusted.
struct ImageFields {
    std::uint32_t width = 0, height = 0, step = 0;
    std::string_view encoding;
    bool is_big_endian = false;
    std::span<const std::uint8_t> data;
};
// Sets the pixels of `packet`, which point into the message. The error names what is wrong.
host::Result<> read_image(const ImageFields& image, video::Packet& packet);
// The data of a sensor_msgs/CompressedImage: JPEG, PNG, or whatever else mien reads.
host::Result<> read_compressed(std::span<const std::uint8_t> data, video::Packet& packet);

}  // namespace mien::ros2
