// SPDX-License-Identifier: MIT
// --mqtt: events and states for a broker, in builds that have libmosquitto (docs/MQTT.md).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/mjpeg_view.h"
#include "cli/options.h"
#include "live/events.h"
#include "live/loop.h"

namespace mien::cli {

struct MqttOptions {
    std::string address;  // empty: no broker
    std::string login_file, authorities_file, certificate_file, key_file;
    std::string discovery_prefix;  // empty: no discovery
    double image_s = 0;
    int qos = 1;
};
void add_mqtt_options(CLI::App& app, MqttOptions& options);

// For --version: "libmosquitto 2.0.11", or why not.
std::string mqtt_library();

// Before start() nothing happens.
class MqttOutput {
public:
    MqttOutput();
    ~MqttOutput();
    MqttOutput(const MqttOutput&) = delete;
    MqttOutput& operator=(const MqttOutput&) = delete;

    // Connects. An exit code, after printing what is wrong if not 0. `tell` takes lines for people
    // from any thread; it and `info` outlive this.
    [[nodiscard]] int start(const MqttOptions& options, const live::EventOptions& events,
                            const std::string& source, const host::EngineInfo& info,
                            const MjpegView::Place& view,
                            std::function<void(const std::string&)> tell);
    // Adds what is to be published to what the loop does.
    void join(live::Outputs& outputs);
    // The source has ended: delivers what waits, and says what could not be delivered.
    void finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mien::cli
