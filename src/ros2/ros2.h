// SPDX-License-Identifier: MIT
// mien among the nodes of ROS 2 without ROS 2: it speaks their wire (DDS, by Cyclone DDS). In builds
// that have the library; docs/ROS2.md says what is sent and read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "host/files/result.h"
#include "live/events.h"
#include "live/loop.h"
#include "video/source.h"

namespace mien::ros2 {

// "Cyclone DDS 0.10.2", or that it is not here.
std::string library_name();

// One per process; what is made of it keeps it. `tell` gets the first complaints of the library, on
// any thread, until the process ends.
class Participant;
host::Result<std::shared_ptr<Participant>> join(std::function<void(const std::string&)> tell);

struct PublisherOptions {
    std::string space = "/mien";  // namespace of the topics, an absolute name
    std::string frame_id = "camera";
    bool images = false;  // annotated ones, as JPEG
    live::EventOptions events;
    std::string source;  // its name, for people
};

// Sends results. A thread of its own writes, so that a slow network or reader delays no frame: it
// takes the newest result and the newest image, and up to 256 events that wait.
class Publisher {
public:
    // `info` outlives it.
    static host::Result<std::unique_ptr<Publisher>> start(std::shared_ptr<Participant> participant,
                                                          const PublisherOptions& options,
                                                          const host::EngineInfo& info);
    // Sends what waits, then waits for readers to have it, a second at most.
    virtual ~Publisher() = default;

    // For the loop's thread. `frame_id`: of the frame itself; empty: that of the options.
    virtual void add(const live::FrameResult& result, const std::string& frame_id) = 0;
    // Does somebody read images?
    [[nodiscard]] virtual bool picture_wanted() const = 0;
    // Of the frame added last.
    virtual void add_picture(std::span<const std::uint8_t> jpeg) = 0;
    // The source has ended: faces leave.
    virtual void finish() = 0;
};

// Images of a topic, sensor_msgs/Image or CompressedImage, whichever is published. The newest wins.
class ImageSource : public video::Source {
public:
    // frame_id of the last packet's header.
    [[nodiscard]] virtual const std::string& frame_id() const = 0;
};
// `topic` is an absolute name; `tell` says one line when a publisher is found.
std::unique_ptr<ImageSource> open_image_topic(std::shared_ptr<Participant> participant,
                                              const std::string& topic,
                                              std::function<void(const std::string&)> tell);

}  // namespace mien::ros2
