// SPDX-License-Identifier: MIT
// The library checks a message's bytes before it makes fields of them; message.cpp checks what the
// fields say.
#include <algorithm>
#include <ctime>

#include "host/clock.h"
#include "messages.h"
#include "ros2/dds.h"
#include "ros2/ros2.h"

namespace mien::ros2 {
namespace {

constexpr int depth_of_images = 5;  // as ROS 2's sensor readers
constexpr int most_bad = 100;       // one after the other
constexpr int most_told = 10;       // of which is said what is wrong
constexpr std::uint64_t longest_age_ns = 10'000'000'000;

std::uint64_t wall_now_ns() {
    struct timespec now{};
    if (::clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
    return nanoseconds_of(static_cast<std::int32_t>(now.tv_sec),
                          static_cast<std::uint32_t>(now.tv_nsec));
}

// The memory of one message, which takes turns with the next.
template <class Message>
class Held {
public:
    explicit Held(const Type& type) : type_(type) {}
    ~Held() { dds().sample_free(&message_, type_.descriptor, DDS_FREE_CONTENTS); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    // How many messages there were; the last one is kept.
    int take_newest(dds_entity_t reader) {
        int count = 0;
        for (int i = 0; i < 2 * depth_of_images; ++i) {
            void* sample = &message_;
            dds_sample_info_t info{};
            if (dds().take(reader, &sample, &info, 1, 1) <= 0) break;
            count += info.valid_data;
        }
        return count;
    }
    const Message& operator*() const { return message_; }

private:
    const Type& type_;
    Message message_{};
};

class DdsImageSource : public ImageSource {
public:
    DdsImageSource(std::shared_ptr<Participant> participant, const std::string& topic,
                   std::function<void(const std::string&)> tell)
        : participant_(std::move(participant)), topic_(topic), tell_(std::move(tell)) {
        waitset_ = dds().create_waitset(participant_->entity());
        // Who publishes what, of all nodes.
        publications_ = dds().create_reader(participant_->entity(),
                                            DDS_BUILTIN_TOPIC_DCPSPUBLICATION, nullptr, nullptr);
        wait_for(publications_);
    }
    ~DdsImageSource() override {
        for (const dds_entity_t entity : {waitset_, reader_, publications_})
            if (entity > 0) dds().remove(entity);
    }

    video::Next next(video::Packet& packet, int timeout_ms) override {
        if (!error_.empty()) return video::Next::failed;
        if (waitset_ < 0 || publications_ < 0) return fail("DDS gives no readers");
        if (reader_ == 0 && !find_publisher()) return fail(error_);
        const int count = reader_ > 0 ? take(packet) : 0;
        if (!error_.empty()) return video::Next::failed;
        if (count > 0) return video::Next::packet;
        dds_attach_t triggered[1];
        (void)dds().waitset_wait(waitset_, triggered, 1, DDS_MSECS(std::max(timeout_ms, 0)));
        return video::Next::wait;
    }
    const std::string& error() const override { return error_; }
    std::string description() const override { return description_; }
    std::uint64_t dropped() const override { return dropped_ + lost_; }
    bool is_live() const override { return true; }
    const std::string& frame_id() const override { return frame_id_; }

private:
    video::Next fail(std::string text) {
        error_ = std::move(text);
        return error_.empty() ? video::Next::wait : video::Next::failed;
    }
    void wait_for(dds_entity_t reader) {
        const dds_entity_t condition = dds().create_readcondition(reader, DDS_ANY_STATE);
        if (condition > 0) (void)dds().waitset_attach(waitset_, condition, 0);
    }

    // False: there is a publisher of something else, and error_ says of what.
    bool find_publisher() {
        for (bool more = true; more && reader_ == 0 && error_.empty();) {
            void* samples[16] = {};
            dds_sample_info_t infos[16];
            const dds_return_t count = dds().take(publications_, samples, infos, 16, 16);
            for (dds_return_t i = 0; i < count; ++i) {
                const auto* const found = static_cast<dds_builtintopic_endpoint_t*>(samples[i]);
                if (infos[i].valid_data && infos[i].instance_state == DDS_IST_ALIVE &&
                    found->topic_name == dds_topic_name(topic_) && reader_ == 0)
                    open(found->type_name);
            }
            if (count > 0) (void)dds().return_loan(publications_, samples, count);
            more = count == 16;
        }
        if (reader_ > 0) {
            dds().remove(publications_);
            publications_ = 0;
        }
        return error_.empty();
    }
    void open(const std::string& type_name) {
        is_compressed_ = type_name == compressed_type.descriptor->m_typename;
        if (!is_compressed_ && type_name != image_type.descriptor->m_typename) {
            error_ = "has messages of the type " + ros_type_name(type_name) +
                     ", not sensor_msgs/msg/Image or CompressedImage";
            return;
        }
        const host::Result<dds_entity_t> made = participant_->reader(
            is_compressed_ ? compressed_type : image_type, topic_, depth_of_images);
        if (!made) {
            error_ = made.error().text;
            return;
        }
        reader_ = *made;
        wait_for(reader_);
        description_ = ros_type_name(type_name);
        tell_(description_);
    }

    // How many messages there were; the packet is the last one.
    int take(video::Packet& packet) {
        const int count =
            is_compressed_ ? compressed_.take_newest(reader_) : plain_.take_newest(reader_);
        if (count == 0) return 0;
        number_ += static_cast<std::uint64_t>(count);
        dropped_ += static_cast<std::uint64_t>(count - 1);
        dds_sample_lost_status_t lost{};
        if (dds().get_sample_lost_status(reader_, &lost) == DDS_RETCODE_OK)
            lost_ = lost.total_count;
        packet = {};
        const std_msgs_msg_dds__Header_& header =
            is_compressed_ ? (*compressed_).header : (*plain_).header;
        const host::Result<> done =
            is_compressed_ ? read(*compressed_, packet) : read(*plain_, packet);
        if (!done) {
            // One that is damaged ends nothing; a camera whose images mien cannot read does.
            if (told_ < most_told && done.error().text != last_told_) {
                ++told_;
                tell_(last_told_ = done.error().text);
            }
            if (++bad_ > most_bad) error_ = done.error().text;
            return 0;
        }
        bad_ = 0;
        frame_id_ = header.frame_id != nullptr ? header.frame_id : "";
        packet.number = number_ - 1;
        packet.stamp_ns = nanoseconds_of(header.stamp.sec, header.stamp.nanosec);
        packet.time_ns = time_of(packet.stamp_ns);
        return count;
    }
    static host::Result<> read(const sensor_msgs_msg_dds__CompressedImage_& message,
                               video::Packet& packet) {
        return read_compressed({message.data._buffer, message.data._length}, packet);
    }
    static host::Result<> read(const sensor_msgs_msg_dds__Image_& message, video::Packet& packet) {
        ImageFields fields;
        fields.width = message.width;
        fields.height = message.height;
        fields.step = message.step;
        if (message.encoding != nullptr) fields.encoding = message.encoding;
        fields.is_big_endian = message.is_bigendian != 0;
        fields.data = {message.data._buffer, message.data._length};
        return read_image(fields, packet);
    }
    // By the clock of frames. A stamp that is old or of the future, as of a simulation, tells
    // nothing about the age.
    std::uint64_t time_of(std::uint64_t stamp_ns) {
        const std::uint64_t wall = wall_now_ns(), now = host::monotonic_ns();
        const std::uint64_t age = wall >= stamp_ns ? wall - stamp_ns : longest_age_ns;
        const std::uint64_t time = age < std::min(longest_age_ns, now) ? now - age : now;
        last_time_ns_ = std::max(time, last_time_ns_ + 1);
        return last_time_ns_;
    }

    const std::shared_ptr<Participant> participant_;
    const std::string topic_;
    const std::function<void(const std::string&)> tell_;
    dds_entity_t waitset_ = 0, publications_ = 0, reader_ = 0;
    Held<sensor_msgs_msg_dds__Image_> plain_{image_type};
    Held<sensor_msgs_msg_dds__CompressedImage_> compressed_{compressed_type};
    bool is_compressed_ = false;
    int bad_ = 0, told_ = 0;
    std::string last_told_;
    std::uint64_t number_ = 0, dropped_ = 0, lost_ = 0, last_time_ns_ = 0;
    std::string description_ = "waiting for a publisher", error_, frame_id_;
};

}  // namespace

host::Result<std::shared_ptr<Participant>> join(std::function<void(const std::string&)> tell) {
    return Participant::create(std::move(tell));
}

std::unique_ptr<ImageSource> open_image_topic(std::shared_ptr<Participant> participant,
                                              const std::string& topic,
                                              std::function<void(const std::string&)> tell) {
    return std::make_unique<DdsImageSource>(std::move(participant), topic, std::move(tell));
}

}  // namespace mien::ros2
