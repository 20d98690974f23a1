// SPDX-License-Identifier: MIT
#include "mqtt/discovery.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mien/mien.hpp"
#include "mqtt/broker.h"

namespace mien::mqtt {
namespace {

using Json = nlohmann::ordered_json;

std::string device_name(std::string topic) {
    std::replace(topic.begin(), topic.end(), '/', ' ');
    return topic;
}

}  // namespace

bool is_prefix(const std::string& prefix) {
    return !prefix.empty() && prefix.size() <= 100 && prefix.front() != '/' &&
           prefix.back() != '/' && prefix.front() != '$' &&
           std::all_of(prefix.begin(), prefix.end(),
                       [](char c) { return c > ' ' && c <= '~' && c != '+' && c != '#'; });
}

std::string birth_topic(const std::string& prefix) { return prefix + "/status"; }

std::vector<std::pair<std::string, std::string>> discovery(const DeviceDescription& device) {
    const std::string id = identifier_of(device.topic);
    const Topics topics(device.topic);
    Json about = {{"identifiers", {id}},
                  {"name", device_name(device.topic)},
                  {"manufacturer", "mien"},
                  {"model", device.source},
                  {"sw_version", version()}};
    if (!device.page.empty()) about["configuration_url"] = device.page;
    const Json origin = {{"name", "mien"}, {"sw_version", version()}};

    std::vector<std::pair<std::string, std::string>> all;
    // `own` is what this kind of entity has besides.
    const auto add = [&](const char* kind, const char* key, const char* name, bool is_here,
                         const Json& own) {
        std::string payload;
        if (is_here) {
            Json json = {{"name", name},
                         {"unique_id", id + "_" + key},
                         {"availability_topic", topics.status},
                         {"qos", device.qos}};
            json.update(own);
            json["device"] = about;
            json["origin"] = origin;
            payload = json.dump(-1, ' ', false, Json::error_handler_t::replace);
        }
        all.emplace_back(device.prefix + "/" + kind + "/" + id + "/" + key + "/config",
                         std::move(payload));
    };
    add("sensor", "faces", "Faces", true,
        {{"state_topic", topics.summary},
         {"value_template", "{{ value_json.faces }}"},
         {"state_class", "measurement"},
         {"icon", "mdi:account-multiple"}});
    add("sensor", "expression", "Expression", device.has_expression,
        {{"state_topic", topics.summary},
         {"value_template", "{{ value_json.expression }}"},
         {"icon", "mdi:emoticon-outline"}});
    add("binary_sensor", "presence", "Presence", true,
        {{"state_topic", topics.summary},
         {"value_template", "{{ 'ON' if value_json.faces > 0 else 'OFF' }}"},
         {"device_class", "occupancy"}});
    add("sensor", "fps", "Frame rate", true,
        {{"state_topic", topics.summary},
         {"value_template", "{{ value_json.fps }}"},
         {"unit_of_measurement", "fps"},
         {"state_class", "measurement"},
         {"entity_category", "diagnostic"},
         {"icon", "mdi:speedometer"}});
    add("camera", "camera", "Camera", device.has_image, {{"topic", topics.image}});
    add("image", "image", "Image", device.has_image_url, {{"url_topic", topics.image_url}});
    return all;
}

}  // namespace mien::mqtt
