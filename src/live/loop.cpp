// SPDX-License-Identifier: MIT
#include "live/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <thread>

#include "host/clock.h"
#include "live/annotator.h"

namespace mien::live {
namespace {

constexpr int wait_ms = 100, window_wait_ms = 20;
constexpr int picture_wait_ms = 5;  // while a picture is being made, which is then delivered
constexpr int damaged_in_a_row = 100;
constexpr int shown_missed = 5;  // frames that a face that is not found stays drawn

double ms(std::uint64_t ns) { return static_cast<double>(ns) * 1e-6; }

std::int64_t utc_ms_now() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

// The tracker in memory of its own; grows when frames do.
class TrackerOwner {
public:
    TrackerOwner(const TrackerConfig& config, const host::EngineOwner& weights, bool explain)
        : config_(config), weights_(weights) {
        config_.engine.clock_ns = host::monotonic_ns;
        config_.engine.class_maps = explain;
    }
    host::Result<> prepare(const Frame& frame) {
        if (tracker_ && frame.width <= config_.engine.max_width &&
            frame.height <= config_.engine.max_height)
            return {};
        config_.engine.max_width = frame.width;
        config_.engine.max_height = frame.height;
        const std::size_t bytes = Tracker::required_bytes(config_, weights_.weights());
        if (bytes == 0) return host::Error::usage("an engine option is out of range");
        tracker_ = Tracker();
        memory_.reset();
        memory_.reset(new (std::nothrow) std::byte[bytes]);
        if (!memory_)
            return host::Error::memory("not enough memory: " + std::to_string(bytes >> 20) +
                                       " MiB are needed");
        const Status status =
            Tracker::create(config_, weights_.weights(), {memory_.get(), bytes}, tracker_);
        if (status != Status::ok) return host::Error::internal(message(status));
        return {};
    }
    Tracker& tracker() { return tracker_; }

private:
    TrackerConfig config_;
    const host::EngineOwner& weights_;
    std::unique_ptr<std::byte[]> memory_;
    Tracker tracker_;
};

class Loop {
public:
    Loop(video::Source& source, const host::EngineOwner& owner, const LoopOptions& options,
         const Outputs& outputs, Statistics& statistics)
        : source_(source),
          owner_(owner),
          options_(options),
          outputs_(outputs),
          statistics_(statistics),
          tracking_(options.tracker, owner, options.explain),
          decoder_({owner.wants_color(), wants_pictures(outputs) || outputs.window != nullptr,
                    options.jpeg_scale, options.orientation, options.as_stored}),
          annotator_({&owner.info(), options.style, options.landmarks, outputs.feed,
                      wants_pictures(outputs) && std::thread::hardware_concurrency() > 1}) {}

    LoopOutcome run() {
        statistics_.begin_ns = host::monotonic_ns();
        const double cpu_before = cpu_seconds_now();
        while (step()) {
        }
        deliver();
        statistics_.end_ns = host::monotonic_ns();
        statistics_.cpu_seconds = cpu_seconds_now() - cpu_before;
        statistics_.dropped = source_.dropped();
        statistics_.sample_memory();
        outcome_.damaged = statistics_.damaged > 0;
        return std::move(outcome_);
    }

private:
    [[nodiscard]] static bool wants_pictures(const Outputs& outputs) {
        return outputs.recorder != nullptr || outputs.feed != nullptr || !outputs.pictures.empty();
    }

    bool end(LoopEnd why, std::string error = {}) {
        outcome_.end = why;
        outcome_.error = std::move(error);
        return false;
    }

    bool step() {
        if (outputs_.stop()) return end(LoopEnd::stopped);
        if (outputs_.window != nullptr && outputs_.window->closed())
            return end(LoopEnd::window_closed);
        if (options_.max_frames > 0 && statistics_.frames >= options_.max_frames)
            return end(LoopEnd::limit);
        if (options_.max_seconds > 0 &&
            ms(host::monotonic_ns() - statistics_.begin_ns) > options_.max_seconds * 1e3)
            return end(LoopEnd::limit);
        video::Packet packet;
        const int patience = annotator_.is_begun()        ? picture_wait_ms
                             : outputs_.window != nullptr ? window_wait_ms
                                                          : wait_ms;
        switch (source_.next(packet, patience)) {
            case video::Next::packet: return use(packet);
            case video::Next::wait:
                if (annotator_.is_ready()) deliver();
                outputs_.idle();
                return true;
            case video::Next::end: return end(LoopEnd::source_end);
            case video::Next::failed: return end(LoopEnd::source_failed, source_.error());
        }
        return true;
    }

    bool use(const video::Packet& packet) {
        const std::uint64_t begin = host::monotonic_ns();
        Frame frame;
        if (const host::Result<> done = decoder_.decode(packet, frame, picture_wanted()); !done)
            return leave_out(packet, done.error());
        const std::uint64_t decoded = host::monotonic_ns();
        if (const host::Result<> done = tracking_.prepare(frame); !done)
            return end(LoopEnd::engine_failed, done.error().text);
        FrameResult result;
        const Status status =
            tracking_.tracker().process(frame, decoder_.rows(), packet.time_ns, result.faces);
        if (!decoder_.rows_read()) return leave_out(packet, decoder_.rows_read().error());
        if (status != Status::ok) return end(LoopEnd::engine_failed, message(status));
        damaged_ = 0;
        const std::uint64_t now = host::monotonic_ns();
        const TrackerStats& stats = tracking_.tracker().stats();
        result.number = packet.number;
        result.time_ns = packet.time_ns;
        result.stamp_ns = packet.stamp_ns;
        result.dropped = source_.dropped();
        result.width = frame.width;
        result.height = frame.height;
        result.stored = decoder_.stored();
        result.decode_ms = ms(decoded - begin + stats.rows_ns);
        result.gray_ms = ms(stats.gray_ns);
        result.detect_ms = ms(stats.detect_ns);
        result.classify_ms = ms(stats.classify_ns);
        result.full_search = stats.full;
        if (source_.is_live() && now >= packet.time_ns) {
            result.latency_ms = ms(now - packet.time_ns);
            result.utc_ms = utc_ms_now() - std::llround(result.latency_ms);
        }
        count(result, stats, now - begin, now);
        // The picture before it comes first; one that is for viewers alone delays nobody.
        if (annotator_.is_ready() || outputs_.recorder != nullptr || outputs_.window != nullptr ||
            !takers_.empty())
            deliver();
        const bool read = outputs_.result(result);
        show(result);
        return read ? true : end(LoopEnd::reader_gone);
    }

    [[nodiscard]] bool picture_wanted() const {
        return outputs_.recorder != nullptr || outputs_.window != nullptr ||
               (outputs_.feed != nullptr && outputs_.feed->pictures_wanted()) ||
               std::any_of(outputs_.pictures.begin(), outputs_.pictures.end(),
                           [](const Pictures& pictures) { return pictures.wanted(); });
    }

    // A damaged frame.
    bool leave_out(const video::Packet& packet, const host::Error& why) {
        // Says it once, counts the rest: a loose cable would fill a log otherwise.
        if (statistics_.damaged++ == 0 || !source_.is_live())
            outputs_.tell("frame " + std::to_string(packet.number) + ": " + why.text);
        if (++damaged_ <= damaged_in_a_row) return true;
        return end(LoopEnd::source_failed,
                   std::to_string(damaged_) + " damaged frames one after the other");
    }

    void count(const FrameResult& result, const TrackerStats& stats, std::uint64_t work_ns,
               std::uint64_t now) {
        Statistics& s = statistics_;
        // At the 2nd frame everything is allocated; then ever more rarely.
        if (s.frames == 2 || s.frames >= next_sample_) {
            s.sample_memory();
            next_sample_ = std::max<std::uint64_t>(next_sample_ + next_sample_ / 8, 64);
        }
        ++s.frames;
        if (result.stored.is_changed && !s.stored.is_changed) {
            s.stored = result.stored;
            s.shown_width = result.width;
            s.shown_height = result.height;
        }
        for (const TrackedFace& face : result.faces) {
            s.faces += face.missed == 0;
            s.people = std::max(s.people, face.id);
        }
        s.readings += static_cast<std::uint64_t>(stats.readings);
        s.full_searches += stats.full;
        s.windows += stats.windows;
        s.full_windows += stats.full_windows;
        if (result.latency_ms >= 0) s.latency.add(result.latency_ms);
        s.work.add(ms(work_ns));
        s.decode.add(result.decode_ms);
        s.detect.add(result.detect_ms + result.gray_ms);
        if (stats.readings > 0) s.per_face.add(result.classify_ms / stats.readings);
        if (last_result_ns_ != 0) {
            const double interval = ms(now - last_result_ns_);
            s.interval.add(interval);
            if (result.time_ns > last_time_ns_)
                s.jitter.add(std::abs(interval - ms(result.time_ns - last_time_ns_)));
        }
        last_result_ns_ = now;
        last_time_ns_ = result.time_ns;
    }

    void show(const FrameResult& result) {
        if (outputs_.feed != nullptr)
            outputs_.feed->publish_event(frame_json(result, options_.source_name, owner_.info()));
        if (annotator_.is_begun()) return;  // viewers take the next one
        for (const Pictures& pictures : outputs_.pictures)
            if (pictures.wanted()) takers_.push_back(&pictures);
        Annotated& picture = annotator_.picture();
        picture.to_feed = outputs_.feed != nullptr && outputs_.feed->pictures_wanted();
        const bool jpeg = outputs_.recorder != nullptr || !takers_.empty() || picture.to_feed;
        if (!jpeg && outputs_.window == nullptr) return;
        fill(result, picture);
        if (outputs_.window != nullptr) {
            annotator_.draw();
            outputs_.window->show(picture.pixels.data(), result.width, result.height);
        }
        if (jpeg) annotator_.begin(outputs_.window != nullptr);
        if (annotator_.is_ready()) deliver();
    }

    void fill(const FrameResult& result, Annotated& picture) {
        decoder_.picture(picture.pixels);
        picture.width = result.width;
        picture.height = result.height;
        picture.time_ns = result.time_ns;
        picture.faces.clear();
        picture.maps.clear();
        for (const TrackedFace& face : result.faces) {
            if (face.missed <= shown_missed)
                picture.faces.push_back(drawn_face(face, options_.style));
            if (!options_.explain || face.missed > 0 || face[Head::emotion].map.empty()) continue;
            const Model& emotion = *owner_.model(Head::emotion);
            const std::span<const float> map = face[Head::emotion].map;
            picture.maps.push_back({emotion.crop_of(face.box, face.landmarks, owner_.detector(),
                                                    result.width, result.height),
                                    {map.begin(), map.end()},
                                    emotion.class_map_size()});
        }
    }

    // Gives the picture that was begun to those who take it; waits until it is complete.
    void deliver() {
        if (!annotator_.is_begun()) return;
        annotator_.finish();
        const Annotated& picture = annotator_.picture();
        if (!picture.jpeg.empty()) {
            for (const Pictures* pictures : takers_) pictures->take(picture.jpeg);
            record(picture);
        }
        takers_.clear();
    }

    void record(const Annotated& picture) {
        if (outputs_.recorder == nullptr || outcome_.recording_failed) return;
        const host::Result<> done =
            outputs_.recorder->add(picture.jpeg, picture.width, picture.height, picture.time_ns);
        if (done) return;
        outputs_.tell("--record " + outputs_.recorder->path() + ": " + done.error().text);
        outcome_.recording_failed = true;
    }

    video::Source& source_;
    const host::EngineOwner& owner_;
    const LoopOptions& options_;
    const Outputs& outputs_;
    Statistics& statistics_;
    TrackerOwner tracking_;
    video::Decoder decoder_;
    LoopOutcome outcome_;
    Annotator annotator_;
    std::vector<const Pictures*> takers_;  // of the picture that was begun
    int damaged_ = 0;
    std::uint64_t next_sample_ = 64, last_result_ns_ = 0, last_time_ns_ = 0;
};

host::Reading drawn_reading(const TrackedReading& reading) {
    host::Reading drawn;
    if (reading.label < 0) return drawn;
    drawn.probabilities.assign(reading.probabilities.size(), 0.0f);
    drawn.probabilities[static_cast<std::size_t>(reading.label)] =
        reading.probabilities[static_cast<std::size_t>(reading.label)];
    drawn.unsure = reading.unsure;
    drawn.quantity = reading.quantity;
    return drawn;
}

}  // namespace

host::FaceReport drawn_face(const TrackedFace& face, host::Style style) {
    host::FaceReport report;
    report.number = face.id;
    report.box = face.box;
    report.neighbors = face.neighbors;
    report.score = face.score;
    report.landmarks.assign(face.landmarks.begin(), face.landmarks.end());
    for (const Head head : named_heads) {
        if (head == Head::emotion || style == host::Style::gender)
            report[head] = drawn_reading(face[head]);
    }
    return report;
}

LoopOutcome run_loop(video::Source& source, const host::EngineOwner& owner,
                     const LoopOptions& options, const Outputs& outputs, Statistics& statistics) {
    return Loop(source, owner, options, outputs, statistics).run();
}

}  // namespace mien::live
