// SPDX-License-Identifier: MIT

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "host/clock.h"
#include "host/quiet_thread.h"
#include "messages.h"
#include "ros2/dds.h"
#include "ros2/ros2.h"

namespace mien::ros2 {
namespace {

using namespace std::chrono_literals;

constexpr int depth = 10;         // of ROS 2's default
constexpr int event_depth = 256;  // for a reader that is busy for a while
constexpr std::size_t events_kept = 256;
constexpr auto look_every = 100ms;  // for readers that come and go
constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t silent_ns = 3 * second_ns;  // a source without a frame for so long is ill

std::uint64_t wall_ns() {
    struct timespec now{};
    if (::clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
    return static_cast<std::uint64_t>(now.tv_sec) * second_ns +
           static_cast<std::uint64_t>(now.tv_nsec);
}

// The library's structures have char*, and do not write there.
char* text_of(const std::string& text) { return const_cast<char*>(text.c_str()); }

std_msgs_msg_dds__Header_ header_of(std::uint64_t stamp_ns, const std::string& frame_id) {
    const Stamp stamp = stamp_of(stamp_ns);
    return {{stamp.sec, stamp.nanosec}, text_of(frame_id)};
}

template <class Sequence, class T>
void set_sequence(Sequence& sequence, std::vector<T>& items) {
    sequence._length = sequence._maximum = static_cast<std::uint32_t>(items.size());
    sequence._buffer = items.data();
    sequence._release = false;
}

std::string decimal(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.3f", value);
    return text;
}

struct Results {
    std::uint64_t stamp_ns = 0;
    std::string frame_id;
    std::vector<Detection> detections;
};
struct Picture {
    std::uint64_t stamp_ns = 0;
    std::string frame_id;
    std::vector<std::uint8_t> jpeg;
};
// Of the frames since the last report.
struct Figures {
    std::uint64_t frames = 0, dropped = 0;
    int faces = 0, width = 0, height = 0;
    double latency_ms = 0;      // sum
    std::uint64_t last_ns = 0;  // when a frame came last, or since when none has
};

class DdsPublisher : public Publisher {
public:
    DdsPublisher(std::shared_ptr<Participant> participant, const PublisherOptions& options,
                 const host::EngineInfo& info)
        : participant_(std::move(participant)),
          options_(options),
          info_(info),
          finder_(options_.events, info) {
        figures_.last_ns = host::monotonic_ns();
    }
    ~DdsPublisher() override {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        changed_.notify_one();
        if (thread_.joinable()) thread_.join();
    }

    host::Result<> open() {
        const struct {
            dds_entity_t* entity;
            const Type& type;
            std::string name;
            int depth;
        } wanted[] = {{&faces_, detections_type, options_.space + "/faces", depth},
                      {&events_, text_type, options_.space + "/events", event_depth},
                      {&diagnostics_, diagnostics_type, "/diagnostics", depth},
                      {&images_, compressed_type, options_.space + "/annotated/compressed", 1}};
        for (const auto& one : wanted) {
            if (one.entity == &images_ && !options_.images) continue;
            const host::Result<dds_entity_t> made =
                participant_->writer(one.type, one.name, one.depth);
            if (!made) return made.error();
            *one.entity = *made;
        }
        thread_ = host::quiet_thread([this] { run(); });
        return {};
    }

    void add(const live::FrameResult& result, const std::string& frame_id) override {
        const std::uint64_t wall = wall_ns(), now = host::monotonic_ns();
        frame_id_ = frame_id.empty() ? options_.frame_id : frame_id;
        // A file's frames have no time of day; they are stamped as they pass.
        const bool has_age = result.latency_ms >= 0 && now >= result.time_ns;
        stamp_ns_ = result.stamp_ns != 0 ? result.stamp_ns
                    : has_age            ? wall - (now - result.time_ns)
                                         : wall;
        Results results{stamp_ns_, frame_id_, detections_of(result, info_)};
        {
            const std::lock_guard lock(mutex_);
            if (fresh_) ++unsent_;
            std::swap(results, results_);
            fresh_ = true;
            ++figures_.frames;
            figures_.dropped = result.dropped;
            figures_.faces = static_cast<int>(results_.detections.size());
            figures_.width = result.width;
            figures_.height = result.height;
            if (result.latency_ms > 0) figures_.latency_ms += result.latency_ms;
            figures_.last_ns = now;
        }
        changed_.notify_one();
        (void)finder_.add(result, [this](const live::Event& event) { return keep(event); });
    }
    void finish() override {
        (void)finder_.finish([this](const live::Event& event) { return keep(event); });
    }
    bool picture_wanted() const override { return picture_wanted_; }
    void add_picture(std::span<const std::uint8_t> jpeg) override {
        if (!picture_wanted_) return;
        {
            const std::lock_guard lock(mutex_);
            picture_.jpeg.assign(jpeg.begin(), jpeg.end());
            picture_.stamp_ns = stamp_ns_;
            picture_.frame_id = frame_id_;
        }
        changed_.notify_one();
    }

private:
    bool keep(const live::Event& event) {
        std::string json = live::event_json(event, options_.source, info_);
        {
            const std::lock_guard lock(mutex_);
            if (waiting_.size() == events_kept) {
                waiting_.pop_front();
                ++lost_;
            }
            waiting_.push_back(std::move(json));
        }
        changed_.notify_one();
        return true;
    }

    void run() {
        Results results;
        Picture picture;
        std::deque<std::string> events;
        std::uint64_t report_ns = host::monotonic_ns() + second_ns;
        bool ending = false;
        while (!ending) {
            bool fresh = false;
            {
                std::unique_lock lock(mutex_);
                changed_.wait_for(lock, look_every, [this] {
                    return fresh_ || ending_ || !waiting_.empty() || !picture_.jpeg.empty();
                });
                ending = ending_;
                fresh = fresh_;
                if (fresh_) std::swap(results, results_);
                fresh_ = false;
                events.swap(waiting_);
                picture.jpeg.clear();
                std::swap(picture, picture_);
            }
            if (fresh) send(results);
            for (const std::string& json : events) send(json);
            events.clear();
            if (!picture.jpeg.empty()) send(picture);
            look_for_readers();
            if (const std::uint64_t now = host::monotonic_ns(); now >= report_ns || ending) {
                report(now, ending);
                report_ns = now + second_ns;
            }
        }
        for (const dds_entity_t writer : {faces_, events_, diagnostics_})
            (void)dds().wait_for_acks(writer, DDS_MSECS(300));
    }

    void look_for_readers() {
        if (images_ == 0) return;
        dds_publication_matched_status_t status{};
        picture_wanted_ =
            dds().get_publication_matched_status(images_, &status) == DDS_RETCODE_OK &&
            status.current_count > 0;
    }

    void write(dds_entity_t writer, const void* message) {
        if (dds().write(writer, message) >= 0) return;
        const std::lock_guard lock(mutex_);
        ++unsent_;
    }
    void send(const std::string& json) {
        const std_msgs_msg_dds__String_ message{text_of(json)};
        write(events_, &message);
    }
    void send(Picture& picture) {
        static const std::string jpeg = "jpeg";
        sensor_msgs_msg_dds__CompressedImage_ message{};
        message.header = header_of(picture.stamp_ns, picture.frame_id);
        message.format = text_of(jpeg);
        set_sequence(message.data, picture.jpeg);
        write(images_, &message);
    }
    void send(const Results& results) {
        const std_msgs_msg_dds__Header_ header = header_of(results.stamp_ns, results.frame_id);
        std::vector<std::vector<vision_msgs_msg_dds__ObjectHypothesisWithPose_>> hypotheses;
        std::vector<vision_msgs_msg_dds__Detection2D_> faces;
        for (const Detection& from : results.detections) {
            hypotheses.emplace_back();
            for (const Hypothesis& hypothesis : from.hypotheses) {
                vision_msgs_msg_dds__ObjectHypothesisWithPose_ to{};
                to.hypothesis = {text_of(hypothesis.class_id), hypothesis.score};
                to.pose.pose.orientation.w = 1;  // not turned; the pose is not known
                hypotheses.back().push_back(to);
            }
            vision_msgs_msg_dds__Detection2D_ face{};
            face.header = header;
            set_sequence(face.results, hypotheses.back());
            face.bbox = {{{from.x, from.y}, 0}, from.width, from.height};
            face.id = text_of(from.id);
            faces.push_back(face);
        }
        vision_msgs_msg_dds__Detection2DArray_ message{};
        message.header = header;
        set_sequence(message.detections, faces);
        write(faces_, &message);
    }

    void report(std::uint64_t now, bool ended) {
        Figures figures;
        std::uint64_t unsent = 0, lost = 0;
        {
            const std::lock_guard lock(mutex_);
            figures = figures_;
            figures_.frames = 0;
            figures_.latency_ms = 0;
            unsent = unsent_;
            lost = lost_;
        }
        const double seconds = static_cast<double>(now - reported_ns_) * 1e-9;
        reported_ns_ = now;
        const bool silent = now > figures.last_ns + silent_ns;
        constexpr std::uint8_t good = 0, bad = 2, stale = 3;  // of DiagnosticStatus
        const std::string name = "mien: " + options_.source,
                          text = ended ? "ended"
                                 : silent
                                     ? "no frame for " +
                                           std::to_string((now - figures.last_ns) / second_ns) +
                                           " s"
                                     : "running";
        const auto frames = static_cast<double>(figures.frames);
        std::vector<std::pair<std::string, std::string>> pairs = {
            {"frames_per_second", decimal(seconds > 0 ? frames / seconds : 0)},
            {"latency_ms", decimal(figures.frames > 0 ? figures.latency_ms / frames : 0)},
            {"faces", std::to_string(figures.faces)},
            {"width", std::to_string(figures.width)},
            {"height", std::to_string(figures.height)},
            {"frames_dropped", std::to_string(figures.dropped)},
            {"messages_not_sent", std::to_string(unsent)},
            {"events_lost", std::to_string(lost)}};
        std::vector<diagnostic_msgs_msg_dds__KeyValue_> values;
        values.reserve(pairs.size());
        for (const auto& [key, value] : pairs) values.push_back({text_of(key), text_of(value)});
        std::vector<diagnostic_msgs_msg_dds__DiagnosticStatus_> statuses(1);
        statuses[0].level = ended ? stale : silent ? bad : good;
        statuses[0].name = text_of(name);
        statuses[0].message = text_of(text);
        statuses[0].hardware_id = text_of(options_.source);
        set_sequence(statuses[0].values, values);
        diagnostic_msgs_msg_dds__DiagnosticArray_ message{};
        static const std::string nowhere;
        message.header = header_of(wall_ns(), nowhere);
        set_sequence(message.status, statuses);
        write(diagnostics_, &message);
    }

    const std::shared_ptr<Participant> participant_;
    const PublisherOptions options_;
    const host::EngineInfo& info_;
    dds_entity_t faces_ = 0, events_ = 0, diagnostics_ = 0, images_ = 0;
    // Of the loop's thread.
    live::EventFinder finder_;
    std::uint64_t stamp_ns_ = 0;
    std::string frame_id_;
    // Of the writing thread.
    std::uint64_t reported_ns_ = host::monotonic_ns();

    std::atomic<bool> picture_wanted_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
    Results results_;
    Picture picture_;
    std::deque<std::string> waiting_;
    Figures figures_;
    std::uint64_t unsent_ = 0, lost_ = 0;
    bool fresh_ = false, ending_ = false;
    std::thread thread_;
};

}  // namespace

host::Result<std::unique_ptr<Publisher>> Publisher::start(std::shared_ptr<Participant> participant,
                                                          const PublisherOptions& options,
                                                          const host::EngineInfo& info) {
    auto publisher = std::make_unique<DdsPublisher>(std::move(participant), options, info);
    if (const host::Result<> done = publisher->open(); !done) return done.error();
    return std::unique_ptr<Publisher>(std::move(publisher));
}

}  // namespace mien::ros2
