// SPDX-License-Identifier: MIT
#include "cli/ros2_output.h"

#include <utility>

#include "cli/exit_codes.h"
#include "cli/terminal.h"
#include "ros2/message.h"
#ifdef MIEN_HAS_ROS2
#include "ros2/ros2.h"
#else
namespace mien::ros2 {
class ImageSource {};
class Participant {};
class Publisher {};
}  // namespace mien::ros2
#endif

namespace mien::cli {

void add_ros2_options(CLI::App& app, Ros2Options& options) {
    const char* group = "ROS 2";
    CLI::Option* const nodes =
        app.add_flag("--ros2{/mien}", options.space,
                     "Send faces, events and diagnostics to the nodes of ROS 2, under /mien or\n"
                     "the namespace NAME, as with --ros2=/robot1")
            ->group(group);
    app.add_flag("--ros2-images", options.images,
                 "With --ros2: annotated images, too, while somebody reads them")
        ->needs(nodes)
        ->group(group);
    app.add_option("--ros2-frame-id", options.frame_id,
                   "frame_id of what is sent; default that of the images read, or camera")
        ->type_name("ID")
        ->group(group);
}

void add_ros2_image_option(CLI::App& app, Ros2Options& options) {
    app.add_option("--ros2-image", options.image_topic,
                   "Read images of this topic, such as /camera/image_raw, in place of a camera:\n"
                   "sensor_msgs/Image or CompressedImage")
        ->type_name("TOPIC")
        ->group("ROS 2");
}

Ros2Output::Ros2Output() = default;
Ros2Output::~Ros2Output() = default;

bool check_ros2_image(Ros2Options& options) {
    const host::Result<std::string> name = ros2::absolute_name(options.image_topic);
    if (name) options.image_topic = *name;
    if (!name) complain("--ros2-image", name.error());
    return static_cast<bool>(name);
}

#ifdef MIEN_HAS_ROS2

std::string ros2_library() { return ros2::library_name(); }

namespace {

host::Result<> join_once(Ros2Options& options) {
    if (options.participant) return {};
    auto joined = ros2::join([](const std::string& text) { complain("DDS", text); });
    if (!joined) return joined.error();
    options.participant = std::move(*joined);
    return {};
}

}  // namespace

host::Result<std::unique_ptr<video::Source>> open_ros2_image(
    Ros2Options& options, std::function<void(const std::string&)> tell) {
    if (const host::Result<> done = join_once(options); !done) return done.error();
    std::unique_ptr<ros2::ImageSource> source =
        ros2::open_image_topic(options.participant, options.image_topic, std::move(tell));
    options.source = source.get();
    return std::unique_ptr<video::Source>(std::move(source));
}

int Ros2Output::start(Ros2Options& options, const live::EventOptions& events,
                      const std::string& source, const host::EngineInfo& info) {
    if (options.space.empty()) return exit_done;
    const host::Result<std::string> space = ros2::absolute_name(options.space);
    if (!space) return complain("--ros2", space.error());
    if (const host::Result<> done = join_once(options); !done)
        return complain("--ros2", done.error());
    ros2::PublisherOptions wanted;
    wanted.space = *space;
    if (!options.frame_id.empty()) wanted.frame_id = options.frame_id;
    wanted.images = options.images;
    wanted.events = events;
    wanted.events.on_change = true;
    wanted.source = source;
    auto started = ros2::Publisher::start(options.participant, wanted, info);
    if (!started) return complain("--ros2", started.error());
    publisher_ = std::move(*started);
    options_ = &options;
    return exit_done;
}

void Ros2Output::join(live::Outputs& outputs) {
    if (!publisher_) return;
    outputs.result = [this, before = outputs.result](const live::FrameResult& result) {
        static const std::string none;
        const bool from_header = options_->source != nullptr && options_->frame_id.empty();
        publisher_->add(result, from_header ? options_->source->frame_id() : none);
        return before(result);
    };
    if (!options_->images) return;
    outputs.pictures.push_back(
        {[this] { return publisher_->picture_wanted(); },
         [this](std::span<const std::uint8_t> jpeg) { publisher_->add_picture(jpeg); }});
}

void Ros2Output::finish() {
    if (publisher_) publisher_->finish();
}

#else

namespace {
constexpr const char* lacking =
    "this program was built without ROS 2; with Cyclone DDS (Debian: cyclonedds-dev and "
    "cyclonedds-tools) the build has it";
}  // namespace

std::string ros2_library() { return "no: built without Cyclone DDS"; }

host::Result<std::unique_ptr<video::Source>> open_ros2_image(
    Ros2Options&, std::function<void(const std::string&)>) {
    return host::Error::usage(lacking);
}

int Ros2Output::start(Ros2Options& options, const live::EventOptions&, const std::string&,
                      const host::EngineInfo&) {
    if (options.space.empty()) return exit_done;
    complain("--ros2", lacking);
    return exit_usage;
}
void Ros2Output::join(live::Outputs&) {}
void Ros2Output::finish() {}

#endif

}  // namespace mien::cli
