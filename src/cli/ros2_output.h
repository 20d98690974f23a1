// SPDX-License-Identifier: MIT
// --ros2 and --ros2-image, in builds that have Cyclone DDS; the others say what they lack.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cli/options.h"
#include "live/events.h"
#include "live/loop.h"
#include "video/source.h"

namespace mien::ros2 {
class ImageSource;
class Participant;
class Publisher;
}  // namespace mien::ros2

namespace mien::cli {

struct Ros2Options {
    std::string space;     // namespace of what is sent; empty: nothing is
    std::string frame_id;  // empty: that of the images that are read, else "camera"
    bool images = false;
    std::string image_topic;  // read in place of a camera
    // Both directions share it.
    std::shared_ptr<ros2::Participant> participant = nullptr;
    // Of the running loop; null: another source.
    const ros2::ImageSource* source = nullptr;
};
void add_ros2_options(CLI::App& app, Ros2Options& options);
void add_ros2_image_option(CLI::App& app, Ros2Options& options);

// For --version: "Cyclone DDS 0.10.2", or why not.
std::string ros2_library();

// False after printing an error.
bool check_ros2_image(Ros2Options& options);
host::Result<std::unique_ptr<video::Source>> open_ros2_image(
    Ros2Options& options, std::function<void(const std::string&)> tell);

class Ros2Output {
public:
    Ros2Output();
    ~Ros2Output();
    Ros2Output(const Ros2Output&) = delete;
    Ros2Output& operator=(const Ros2Output&) = delete;

    // Nothing without --ros2. An exit code, after printing what is wrong if not 0. `options` and
    // `info` outlive it.
    [[nodiscard]] int start(Ros2Options& options, const live::EventOptions& events,
                            const std::string& source, const host::EngineInfo& info);
    // Adds what is to be sent to what the loop does.
    void join(live::Outputs& outputs);
    // The source has ended.
    void finish();

private:
    [[maybe_unused]] const Ros2Options* options_ = nullptr;
    std::unique_ptr<ros2::Publisher> publisher_;
};

}  // namespace mien::cli
