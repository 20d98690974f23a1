// SPDX-License-Identifier: MIT
#include "live/loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>

#include "host/clock.h"
#include "host/codec/jpeg.h"
#include "host/draw/heatmap.h"

namespace mien::live {
namespace {

constexpr int wait_ms = 100;
constexpr int damaged_in_a_row = 100;
constexpr int shown_missed = 5;  // frames that a face that is not found stays drawn
constexpr int jpeg_quality = 80;

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
          decoder_({owner.wants_color(),
                    outputs.recorder != nullptr || outputs.feed != nullptr ||
                        outputs.window != nullptr || !outputs.pictures.empty(),
                    options.jpeg_scale, options.orientation, options.as_stored}) {}

    LoopOutcome run() {
        statistics_.begin_ns = host::monotonic_ns();
        const double cpu_before = cpu_seconds_now();
        while (step()) {
        }
        statistics_.end_ns = host::monotonic_ns();
        statistics_.cpu_seconds = cpu_seconds_now() - cpu_before;
        statistics_.dropped = source_.dropped();
        statistics_.sample_memory();
        outcome_.damaged = statistics_.damaged > 0;
        return std::move(outcome_);
    }

private:
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
        switch (source_.next(packet, outputs_.window != nullptr ? 20 : wait_ms)) {
            case video::Next::packet: return use(packet);
            case video::Next::wait: outputs_.idle(); return true;
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
        takers_.clear();
        for (const Pictures& pictures : outputs_.pictures)
            if (pictures.wanted()) takers_.push_back(&pictures);
        const bool jpeg = outputs_.recorder != nullptr || !takers_.empty() ||
                          (outputs_.feed != nullptr && outputs_.feed->pictures_wanted());
        if (!jpeg && outputs_.window == nullptr) return;
        decoder_.picture(picture_);
        reports_.clear();
        for (const TrackedFace& face : result.faces) {
            if (face.missed <= shown_missed) reports_.push_back(drawn_face(face, options_.style));
        }
        const std::ptrdiff_t row = 3 * std::ptrdiff_t{result.width};
        const host::Canvas canvas{picture_.data(), result.width, result.height, row};
        for (const TrackedFace& face : result.faces) {
            if (options_.explain && face.missed == 0 && owner_.model(Head::emotion) != nullptr)
                draw_face_map(canvas, face, *owner_.model(Head::emotion), owner_.detector());
        }
        host::annotate(canvas, reports_, owner_.info(), options_.style, options_.landmarks);
        if (outputs_.window != nullptr)
            outputs_.window->show(picture_.data(), result.width, result.height);
        if (!jpeg) return;
        const Frame drawn{picture_.data(), result.width, result.height, row, PixelFormat::rgb24};
        const host::JpegSettings settings{
            .quality = jpeg_quality, .full_color = false, .fast = true};
        if (!host::encode_jpeg(drawn, settings, jpeg_)) return;
        for (const Pictures* pictures : takers_) pictures->take(jpeg_);
        if (outputs_.feed != nullptr) outputs_.feed->publish_picture({jpeg_.begin(), jpeg_.end()});
        if (outputs_.recorder != nullptr && !outcome_.recording_failed) {
            if (const host::Result<> done =
                    outputs_.recorder->add(jpeg_, result.width, result.height, result.time_ns);
                !done) {
                outputs_.tell("--record " + outputs_.recorder->path() + ": " + done.error().text);
                outcome_.recording_failed = true;
            }
        }
    }

    video::Source& source_;
    const host::EngineOwner& owner_;
    const LoopOptions& options_;
    const Outputs& outputs_;
    Statistics& statistics_;
    TrackerOwner tracking_;
    video::Decoder decoder_;
    LoopOutcome outcome_;
    std::vector<std::uint8_t> picture_, jpeg_;
    std::vector<host::FaceReport> reports_;
    std::vector<const Pictures*> takers_;  // of this frame
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

void draw_face_map(const host::Canvas& canvas, const TrackedFace& face, const Model& emotion,
                   const Model* detector) {
    if (face[Head::emotion].map.empty()) return;
    const MapSize size = emotion.class_map_size();
    const host::MapView map{face[Head::emotion].map, size.width, size.height};
    host::draw_map(canvas,
                   emotion.crop_of(face.box, face.landmarks, detector, canvas.width, canvas.height),
                   map, host::color_limit(map), true);
}

LoopOutcome run_loop(video::Source& source, const host::EngineOwner& owner,
                     const LoopOptions& options, const Outputs& outputs, Statistics& statistics) {
    return Loop(source, owner, options, outputs, statistics).run();
}

}  // namespace mien::live
