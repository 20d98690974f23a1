// SPDX-License-Identifier: MIT
// Can the fields of an image from ROS 2, or what its variables say, crash the reader, or make the
// decoder read beyond the message? The first byte says which.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "ros2/message.h"
#include "video/decoder.h"

namespace {

constexpr std::string_view fuzzed_encodings[] = {
    "rgb8",        "bgr8",        "mono8",       "mono16",      "rgba8",       "bgra8",
    "8UC1",        "8UC3",        "8UC4",        "16UC1",       "yuv422_yuy2", "yuv422",
    "bayer_rggb8", "bayer_gbrg8", "bayer_bggr8", "bayer_grbg8", "nv21",        ""};

void decode(const mien::video::Packet& packet, bool color) {
    mien::video::DecoderOptions options;
    options.engine_wants_color = color;
    options.picture_wanted = true;
    mien::video::Decoder decoder(options);
    mien::Frame frame;
    if (!decoder.decode(packet, frame)) return;
    std::vector<std::uint8_t> picture;
    decoder.picture(picture);
    if (picture.size() !=
        3 * static_cast<std::size_t>(frame.width) * static_cast<std::size_t>(frame.height))
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mien;
    if (size < 12) return 0;
    const std::uint8_t kind = data[0];
    // In memory of its own, so that reading one byte too many is seen.
    const std::vector<std::uint8_t> rest(data + 12, data + size);
    video::Packet packet;
    if (kind < 128) {
        ros2::ImageFields fields;
        std::uint16_t numbers[4];
        std::memcpy(numbers, data + 2, sizeof numbers);
        fields.encoding = fuzzed_encodings[kind % std::size(fuzzed_encodings)];
        // Mostly such that there are enough bytes.
        fields.width = (data[1] & 1) != 0 ? numbers[0] * std::uint32_t{65537} : numbers[0] % 80u;
        fields.height = (data[1] & 2) != 0 ? numbers[1] * std::uint32_t{65537} : numbers[1] % 80u;
        fields.step = (data[1] & 4) != 0 ? numbers[2] * std::uint32_t{65537} : numbers[2] % 400u;
        fields.is_big_endian = (data[1] & 8) != 0;
        fields.data = rest;
        if (const auto done = ros2::read_image(fields, packet); !done) {
            if (done.error().text.empty()) std::abort();
            return 0;
        }
        if (packet.width < 1 || packet.height < 1 || packet.bytes.size() != rest.size())
            std::abort();
        decode(packet, (data[1] & 16) != 0);
    } else if (kind < 200) {
        if (ros2::read_compressed(rest, packet)) decode(packet, (data[1] & 16) != 0);
    } else {
        const std::string text(rest.begin(), rest.end());
        if (const auto name = ros2::absolute_name(text); name && name->find("//") != text.npos)
            std::abort();
        (void)ros2::ros_type_name(text);
        const auto settings = ros2::discovery_of([&](const char*) { return text.c_str(); }, {});
        const auto peers = ros2::discovery_of(
            [&](const char* variable) {
                return std::string_view(variable) == "ROS_STATIC_PEERS" ? text.c_str() : nullptr;
            },
            {});
        if (settings && settings->domain > 232) std::abort();
        // A peer is no way into the configuration.
        const std::ptrdiff_t fixed = 12, most = 1 + std::count(text.begin(), text.end(), ';');
        if (peers && std::count(peers->config.begin(), peers->config.end(), '<') > fixed + most)
            std::abort();
    }
    return 0;
}
