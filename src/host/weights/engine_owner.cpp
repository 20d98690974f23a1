// SPDX-License-Identifier: MIT
// Loading of weights and the engine's memory on the heap (see engine_owner.h).
#include "host/weights/engine_owner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <nlohmann/json.hpp>

#include "host/weights/embedded_weights.h"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::uint64_t clock_ns() {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::steady_clock::now().time_since_epoch())
                                          .count());
}

// Opens `view` (Cascade or Model) on the chosen weights; `storage` keeps the bytes of a file.
template <class View>
Result<> open_weights(const WeightsChoice& choice, Bytes embedded, ByteVector& storage,
                      View& view) {
    if (!choice.use) return {};
    Bytes bytes = embedded;
    if (!choice.path.empty()) {
        Result<ByteVector> file = read_file(choice.path, max_weights_bytes);
        if (!file) return Error::weights(choice.path + ": " + file.error().text);
        storage = std::move(*file);
        bytes = storage;
    }
    const Status status = View::open(bytes, view);
    if (status == Status::ok) return {};
    return Error::weights((choice.path.empty() ? "embedded weights" : choice.path) + ": " +
                          weights_error(bytes, status).text);
}

HeadInfo head_info(const Model& model) {
    HeadInfo info;
    if (!model) return info;
    info.model_name = weights_name(model.meta());
    for (int i = 0; i < model.class_count(); ++i) info.labels.emplace_back(model.label(i));
    return info;
}

double milliseconds(std::uint64_t ns) { return static_cast<double>(ns) * 1e-6; }

}  // namespace

Error weights_error(Bytes bytes, Status status) {
    const auto begins_with = [bytes](std::string_view text) {
        return bytes.size() >= text.size() &&
               std::memcmp(bytes.data(), text.data(), text.size()) == 0;
    };
    if (bytes.empty()) return Error::weights("file is empty");
    if (begins_with("\x89HDF") || begins_with("PK"))
        return Error::weights("is a Keras file: tools/convert_keras.py makes weights of it");
    if (begins_with("<?xml"))
        return Error::weights("is an OpenCV cascade: tools/convert_cascade.py makes weights of it");
    if (!begins_with("MIEN")) return Error::weights("not a weights file (.mien)");
    return Error::weights(message(status));
}

std::string weights_name(std::string_view meta) {
    const nlohmann::json json = nlohmann::json::parse(meta, nullptr, false);
    if (!json.is_object()) return "unnamed";
    const auto name = json.find("name");
    return name != json.end() && name->is_string() ? name->get<std::string>() : "unnamed";
}

Result<std::unique_ptr<EngineOwner>> EngineOwner::create(const EngineSetup& setup) {
    std::unique_ptr<EngineOwner> owner(new EngineOwner());
    if (const Result<> done = owner->load(setup); !done) return done.error();
    return owner;
}

std::unique_ptr<EngineOwner> EngineOwner::sharing_weights() const {
    std::unique_ptr<EngineOwner> other(new EngineOwner());
    other->cascade_ = cascade_;
    other->emotion_ = emotion_;
    other->gender_ = gender_;
    other->info_ = info_;
    other->config_ = config_;
    return other;
}

Result<> EngineOwner::load(const EngineSetup& setup) {
    if (const Result<> done =
            open_weights(setup.cascade, embedded_cascade(), cascade_bytes_, cascade_);
        !done)
        return done.error();
    if (const Result<> done =
            open_weights(setup.emotion, embedded_emotion(), emotion_bytes_, emotion_);
        !done)
        return done.error();
    if (const Result<> done = open_weights(setup.gender, embedded_gender(), gender_bytes_, gender_);
        !done)
        return done.error();
    if (cascade_) info_.cascade_name = weights_name(cascade_.meta());
    info_.emotion = head_info(emotion_);
    info_.gender = head_info(gender_);
    config_ = setup.config;
    if (config_.clock_ns == nullptr) config_.clock_ns = clock_ns;
    // Checked now, so that a wrong option is reported before the first image is decoded.
    if (Engine::required_bytes(config_, weights()) == 0)
        return Error::usage("an engine option is out of range");
    return {};
}

Result<> EngineOwner::rebuild() {
    const std::size_t needed = Engine::required_bytes(config_, weights());
    if (needed == 0) return Error::input("too large for the engine");
    engine_ = Engine();
    if (needed > memory_bytes_) {
        memory_.reset();  // before the new block, so that both are never held at once
        memory_bytes_ = 0;
        memory_.reset(new (std::nothrow) std::byte[needed]);
        if (memory_ == nullptr)
            return Error::memory("not enough memory: the engine needs " +
                                 std::to_string(needed >> 20) + " MiB for it");
        memory_bytes_ = needed;
    }
    const Status status =
        Engine::create(config_, weights(), {memory_.get(), memory_bytes_}, engine_);
    if (status != Status::ok) return Error::internal(message(status));
    return {};
}

Result<> EngineOwner::prepare(int width, int height) {
    if (engine_ && width <= config_.max_width && height <= config_.max_height) return {};
    const auto pixels = [](int w, int h) { return static_cast<double>(w) * h; };
    const int union_width = engine_ ? std::max(config_.max_width, width) : width;
    const int union_height = engine_ ? std::max(config_.max_height, height) : height;
    // Room for portrait and landscape alike, unless that would mean memory for an image much larger
    // than either.
    const bool keep_both = pixels(union_width, union_height) <= 2 * pixels(width, height);
    config_.max_width = keep_both ? union_width : width;
    config_.max_height = keep_both ? union_height : height;
    return rebuild();
}

void EngineOwner::take(const Frame& frame, std::span<const Face> faces, ImageReport& report) const {
    report.width = frame.width;
    report.height = frame.height;
    report.faces_dropped = engine_.faces_dropped();
    report.faces.clear();
    for (const Face& face : faces) {
        const auto copy = [&face](Head head) {
            const std::span<const float> scores = face[head].probabilities;
            return Reading{{scores.begin(), scores.end()}};
        };
        report.faces.push_back(
            {face.box, face.neighbors, copy(Head::emotion), copy(Head::gender), {}});
        if (face[Head::emotion].map.empty()) continue;
        const MapSize size = emotion_.class_map_size();
        report.faces.back().emotion_map = {
            size.width,
            size.height,
            emotion_.crop_of(face.box, frame.width, frame.height),
            {face[Head::emotion].map.begin(), face[Head::emotion].map.end()}};
    }
    const Timings& t = engine_.timings();
    report.times.gray = milliseconds(t.gray);
    report.times.detect = milliseconds(t.detect);
    report.times.crop = milliseconds(t.crop);
    report.times.emotion = milliseconds(t.heads[0]);
    report.times.gender = milliseconds(t.heads[1]);
}

Result<> EngineOwner::search(const Frame& frame, bool read, ImageReport& report) {
    if (const Result<> done = prepare(frame.width, frame.height); !done) return done.error();
    for (;;) {
        std::span<const Face> faces;
        const Status status = read ? engine_.process(frame, faces) : engine_.detect(frame, faces);
        if (status != Status::ok) return Error::internal(message(status));
        const int more_faces = engine_.faces_dropped(),
                  more_candidates = engine_.detector_stats().candidates_dropped;
        if (more_faces == 0 && more_candidates == 0) {
            take(frame, faces, report);
            return {};
        }
        // The counts may themselves be cut, hence the doubling; the engine's limits end it.
        if (more_faces > 0)
            config_.max_faces = std::max(config_.max_faces * 2, config_.max_faces + more_faces);
        if (more_candidates > 0)
            config_.max_candidates =
                std::max(config_.max_candidates * 2, config_.max_candidates + more_candidates);
        if (const Result<> done = rebuild(); !done)
            return Error::memory(
                "too many candidates for faces; more neighbors or a larger step give fewer");
    }
}

Result<> EngineOwner::process(const Frame& frame, ImageReport& report) {
    return search(frame, true, report);
}

Result<> EngineOwner::detect(const Frame& frame, ImageReport& report) {
    return search(frame, false, report);
}

Result<> EngineOwner::classify_crop(const Frame& frame, ImageReport& report) {
    if (const Result<> done = prepare(frame.width, frame.height); !done) return done.error();
    Face face;
    const Status status = engine_.classify_crop(frame, face);
    if (status != Status::ok) return Error::internal(message(status));
    take(frame, {&face, 1}, report);
    return {};
}

Result<> EngineOwner::classify(const Frame& frame, const Rect& box, ImageReport& report) {
    if (const Result<> done = prepare(frame.width, frame.height); !done) return done.error();
    Face face;
    const Status status = engine_.classify(frame, box, face);
    if (status != Status::ok) return Error::internal(message(status));
    take(frame, {&face, 1}, report);
    return {};
}

}  // namespace mien::host
