// SPDX-License-Identifier: MIT
// ROS 2: names, settings, what becomes of faces, and images that somebody else made up.
#include <doctest/doctest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "ros2/message.h"
#include "video/decoder.h"

namespace {

using namespace mien;

std::string ros2_name(std::string_view name) {
    const host::Result<std::string> made = ros2::absolute_name(name);
    return made ? *made : made.error().text;
}

host::Result<ros2::Discovery> ros2_settings(const std::map<std::string, std::string>& variables) {
    static const std::string own[] = {"192.0.2.2"};
    return ros2::discovery_of(
        [&](const char* name) {
            const auto found = variables.find(name);
            return found == variables.end() ? nullptr : found->second.c_str();
        },
        own);
}

std::string ros2_complaint(const std::map<std::string, std::string>& variables) {
    const host::Result<ros2::Discovery> made = ros2_settings(variables);
    return made ? "" : made.error().text;
}

struct MadeImage {
    std::vector<std::uint8_t> data;
    ros2::ImageFields fields;

    MadeImage(std::string_view encoding, std::uint32_t width, std::uint32_t height,
              std::uint32_t step, std::size_t bytes) {
        data.resize(bytes);
        fields.width = width;
        fields.height = height;
        fields.step = step;
        fields.encoding = encoding;
        fields.data = data;
    }
    std::string complaint() const {
        video::Packet packet;
        const host::Result<> done = ros2::read_image(fields, packet);
        return done ? "" : done.error().text;
    }
};

}  // namespace

TEST_CASE("ros2: names of topics and namespaces") {
    CHECK(ros2_name("/camera/image_raw") == "/camera/image_raw");
    CHECK(ros2_name("camera") == "/camera");
    CHECK(ros2_name("_a/B9") == "/_a/B9");
    CHECK(ros2::dds_topic_name("/camera") == "rt/camera");
    CHECK(ros2_name("/a//b") == "\"/a//b\" is no name of ROS 2: a word between slashes is missing");
    CHECK(ros2_name("/a/") == "\"/a/\" is no name of ROS 2: it ends with a slash");
    CHECK(ros2_name("") == "\"\" is no name of ROS 2: it ends with a slash");
    CHECK(ros2_name("/1a") == "\"/1a\" is no name of ROS 2: a word begins with a digit");
    CHECK(ros2_name("a b") ==
          "\"a b\" is no name of ROS 2: letters, digits, underscores and slashes are allowed");
    CHECK(ros2_name(std::string(200, 'a')).find("it is too long") != std::string::npos);
    CHECK(ros2::ros_type_name("sensor_msgs::msg::dds_::Image_") == "sensor_msgs/msg/Image");
    CHECK(ros2::ros_type_name("Plain") == "Plain");
}

TEST_CASE("ros2: settings from the environment") {
    REQUIRE(ros2_settings({}));
    CHECK(ros2_settings({})->domain == 0);
    CHECK(ros2_settings({})->config.empty());
    CHECK(ros2_settings({{"ROS_DOMAIN_ID", "42"}})->domain == 42);
    CHECK(ros2_settings({{"ROS_DOMAIN_ID", ""}})->domain == 0);
    for (const char* wrong : {"233", "-1", "x", "7x", " 7"})
        CHECK(ros2_complaint({{"ROS_DOMAIN_ID", wrong}}).find("from 0 to 232") !=
              std::string::npos);

    const std::string here = ros2_settings({{"ROS_LOCALHOST_ONLY", "1"}})->config;
    CHECK(here.find("<AllowMulticast>false</AllowMulticast>") != std::string::npos);
    CHECK(here.find("<Peer address=\"localhost\"/><Peer address=\"192.0.2.2\"/>") !=
          std::string::npos);
    CHECK(ros2_settings({{"ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"}})->config == here);
    // The older variable wins.
    CHECK(ros2_settings({{"ROS_LOCALHOST_ONLY", "1"},
                         {"ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET"},
                         {"ROS_STATIC_PEERS", "10.0.0.7"}})
              ->config == here);
    CHECK(ros2_settings({{"ROS_LOCALHOST_ONLY", "0"}})->config.empty());
    CHECK(ros2_settings({{"ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF"}})->config.find("<Tag>mien_") !=
          std::string::npos);
    CHECK(ros2_settings(
              {{"ROS_AUTOMATIC_DISCOVERY_RANGE", "SYSTEM_DEFAULT"}, {"ROS_STATIC_PEERS", "a"}})
              ->config.empty());
    const std::string peers =
        ros2_settings({{"ROS_STATIC_PEERS", "10.0.0.7;;robot.local"}})->config;
    CHECK(
        peers.find("<Peers><Peer address=\"10.0.0.7\"/><Peer address=\"robot.local\"/></Peers>") !=
        std::string::npos);
    CHECK(peers.find("Multicast") == std::string::npos);

    CHECK(ros2_complaint({{"ROS_LOCALHOST_ONLY", "yes"}}) ==
          "ROS_LOCALHOST_ONLY: \"yes\" is neither 0 nor 1");
    CHECK(ros2_complaint({{"ROS_AUTOMATIC_DISCOVERY_RANGE", "NEAR"}}).find("none of SUBNET") !=
          std::string::npos);
    CHECK(ros2_complaint({{"ROS_STATIC_PEERS", "\"/><x"}}).find("is no address") !=
          std::string::npos);
}

TEST_CASE("ros2: stamps") {
    CHECK(ros2::stamp_of(1'700'000'000'123'456'789).sec == 1'700'000'000);
    CHECK(ros2::stamp_of(1'700'000'000'123'456'789).nanosec == 123'456'789);
    CHECK(ros2::nanoseconds_of(1'700'000'000, 123'456'789) == 1'700'000'000'123'456'789);
    CHECK(ros2::nanoseconds_of(-1, 5) == 0);
}

TEST_CASE("ros2: faces as detections") {
    host::EngineInfo info;
    info.detector_name = "net";
    info[Head::emotion] = {.model_name = "e", .labels = {"calm", "glad", "sad"}};
    info[Head::age] = {
        .model_name = "a", .labels = {"0", "100"}, .quantity = true, .unit = "years"};
    const std::vector<float> smoothed = {0.25f, 0.125f, 0.625f};
    std::array<TrackedReading, max_heads> readings;
    readings[static_cast<std::size_t>(Head::emotion)].smoothed = smoothed;
    readings[static_cast<std::size_t>(Head::emotion)].label = 2;
    readings[static_cast<std::size_t>(Head::age)].label = 1;
    readings[static_cast<std::size_t>(Head::age)].quantity.value = 33.6f;
    std::array<TrackedFace, 3> faces;
    faces[0].id = 7;
    faces[0].box = {10, 20, 31, 40};
    faces[0].score = 0.5f;
    faces[0].readings = readings;
    faces[1].id = 8;
    faces[1].missed = 1;  // not in this frame
    faces[2].id = 9;      // not read yet
    live::FrameResult result;
    result.faces = faces;

    const std::vector<ros2::Detection> found = ros2::detections_of(result, info);
    REQUIRE(found.size() == 2);
    CHECK(found[0].id == "7");
    CHECK(found[0].x == 25.5);
    CHECK(found[0].y == 40);
    CHECK(found[0].width == 31);
    CHECK(found[0].height == 40);
    REQUIRE(found[0].hypotheses.size() == 5);
    const std::pair<const char*, double> wanted[] = {{"face", 0.5},
                                                     {"emotion:sad", 0.625},
                                                     {"emotion:calm", 0.25},
                                                     {"emotion:glad", 0.125},
                                                     {"age:34", 1}};
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(found[0].hypotheses[i].class_id == wanted[i].first);
        CHECK(found[0].hypotheses[i].score == wanted[i].second);
    }
    CHECK(found[1].id == "9");
    CHECK(found[1].hypotheses.size() == 1);
    info.detector_name.clear();  // a cascade
    CHECK(ros2::detections_of(result, info)[0].hypotheses[0].score == 1);
}

TEST_CASE("ros2: images") {
    video::Packet packet;
    MadeImage rgb("rgb8", 4, 3, 14, 14 * 3 - 2);  // the last row need not be padded
    REQUIRE(ros2::read_image(rgb.fields, packet));
    CHECK(packet.layout == video::PixelLayout::rgb24);
    CHECK(packet.stride == 14);
    CHECK(packet.width == 4);
    CHECK(packet.height == 3);
    CHECK(packet.bytes.data() == rgb.data.data());
    for (const char* encoding : {"bgr8", "8UC3"}) {
        CHECK(ros2::read_image(MadeImage(encoding, 2, 2, 6, 12).fields, packet));
        CHECK(packet.layout == video::PixelLayout::bgr24);
    }
    CHECK(ros2::read_image(MadeImage("yuv422_yuy2", 2, 2, 4, 8).fields, packet));
    CHECK(packet.layout == video::PixelLayout::yuyv);
    CHECK(ros2::read_image(MadeImage("yuv422", 2, 2, 4, 8).fields, packet));
    CHECK(packet.layout == video::PixelLayout::uyvy);
    CHECK(ros2::read_image(MadeImage("mono16", 2, 2, 4, 8).fields, packet));
    CHECK(packet.layout == video::PixelLayout::y16);

    CHECK(MadeImage("rgb8", 4, 3, 14, 14 * 3 - 3).complaint() ==
          "an image of 39 bytes instead of 40");
    CHECK(MadeImage("rgb8", 4, 3, 11, 99).complaint() == "rows of 11 bytes for 4 pixels");
    CHECK(MadeImage("rgb8", 0, 3, 0, 99).complaint() == "an image of 0 x 3 pixels");
    CHECK(MadeImage("mono8", 0xffffffff, 1, 0xffffffff, 99).complaint() ==
          "an image of 4294967295 x 1 pixels");
    CHECK(MadeImage("mono8", 4, 32768, 0xffffffff, 99).complaint().find("instead of") !=
          std::string::npos);
    CHECK(MadeImage("32FC1\n", 4, 3, 16, 48)
              .complaint()
              .find("images in the encoding \"32FC1?\" are not read; these are: rgb8, bgr8") == 0);
    MadeImage big("mono16", 2, 2, 4, 8);
    big.fields.is_big_endian = true;
    CHECK(big.complaint() == "gray of 16 bits in big-endian order is not read");

    const std::vector<std::uint8_t> jpeg = {0xff, 0xd8, 0xff, 0xe0}, png = {0x89, 'P', 'N', 'G'};
    CHECK(ros2::read_compressed(jpeg, packet));
    CHECK(packet.layout == video::PixelLayout::jpeg);
    CHECK(ros2::read_compressed(png, packet));
    CHECK(packet.layout == video::PixelLayout::picture);
    CHECK_FALSE(ros2::read_compressed(std::span(jpeg).first(3), packet));
}
