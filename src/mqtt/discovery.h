// SPDX-License-Identifier: MIT
// What Home Assistant is told, so that it shows a device by itself:
// https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mien::mqtt {

// Under Broker::topic. docs/MQTT.md shows each.
struct Topics {
    explicit Topics(const std::string& base)
        : status(base + "/status"),
          event(base + "/event"),
          state(base + "/state"),
          summary(base + "/summary"),
          image(base + "/image"),
          image_url(base + "/image_url") {}

    std::string status, event, state, summary, image, image_url;
};

struct DeviceDescription {
    std::string topic;   // Broker::topic
    std::string prefix;  // Home Assistant's: "homeassistant"
    std::string source;  // the camera
    std::string page;    // address of the live view; empty: none
    int qos = 1;
    bool has_expression = true, has_image = false, has_image_url = false;
};

// Can it be a prefix of topics?
bool is_prefix(const std::string& prefix);
// Says "online" when it has started, and then wants all of it again.
std::string birth_topic(const std::string& prefix);

// (topic, configuration) of each entity; empty where this run has none, which removes one of an
// earlier run.
std::vector<std::pair<std::string, std::string>> discovery(const DeviceDescription& device);

}  // namespace mien::mqtt
