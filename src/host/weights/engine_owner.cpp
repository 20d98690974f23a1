// SPDX-License-Identifier: MIT
// Loading of weights and the engine's memory on the heap (see engine_owner.h).
#include "host/weights/engine_owner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "host/clock.h"
#include "host/weights/embedded_weights.h"
#include "mien/cascade_xml.hpp"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

// Opens `view` (Cascade or Model) on the chosen weights; `storage` keeps the bytes of a file.
template <class View>
Result<> open_weights(const WeightsChoice& choice, Bytes embedded, double network_limit,
                      ByteVector& storage, View& view) {
    if (!choice.use) return {};
    Bytes bytes = embedded;
    if (!choice.path.empty()) {
        Result<ByteVector> file = read_file(choice.path, max_weights_bytes);
        if (!file) return Error::weights(choice.path + ": " + file.error().text);
        storage = std::move(*file);
        if constexpr (std::is_same_v<View, Cascade>) {
            if (is_xml(storage)) {
                std::string cause;
                storage = cascade_of_xml(storage, choice.path, cause);
                if (storage.empty()) return Error::weights(choice.path + ": " + cause);
            }
        }
        bytes = storage;
    }
    Status status = Status::ok;
    Error error = Error::weights("");
    if constexpr (std::is_same_v<View, Model>) {
        status = Model::open(bytes, view, network_limit);
        if (status == Status::too_costly) error = cost_error(view.cost());
    } else {
        status = View::open(bytes, view);
    }
    if (status == Status::ok) return {};
    if (error.text.empty()) error = weights_error(bytes, status);
    return Error::weights((choice.path.empty() ? "embedded weights" : choice.path) + ": " +
                          error.text);
}

// A text in the JSON of a weights file; empty if there is none.
std::string meta_word(std::string_view meta, const char* key) {
    const nlohmann::json json = nlohmann::json::parse(meta, nullptr, false);
    if (!json.is_object()) return {};
    const auto value = json.find(key);
    return value != json.end() && value->is_string() ? value->get<std::string>() : "";
}

HeadInfo head_info(const Model& model) {
    HeadInfo info;
    if (!model) return info;
    info.model_name = weights_name(model.meta());
    info.task = meta_word(model.meta(), "task");
    for (int i = 0; i < model.class_count(); ++i) info.labels.emplace_back(model.label(i));
    info.quantity = model.answers_quantity();
    info.unit = model.unit();
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
    if (is_xml(bytes))
        return Error::weights("is XML: only the cascade of --detector haar may be an XML file");
    if (!begins_with("MIEN")) return Error::weights("not a weights file (.mien)");
    return Error::weights(message(status));
}

Error cost_error(const NetworkCost& cost) {
    const auto million = [](std::uint64_t n) { return std::to_string((n + 999'999) / 1'000'000); };
    const auto mib = [](std::uint64_t n) { return std::to_string((n + (1 << 20) - 1) >> 20); };
    const auto share = [](std::uint64_t n, std::uint64_t limit) {
        return static_cast<double>(n) / static_cast<double>(limit);
    };
    const double times = std::ceil(std::max(share(cost.operations, network_limit.operations),
                                            share(cost.bytes, network_limit.bytes)));
    return Error::weights("too costly: a run takes " + million(cost.operations) +
                          " million operations and " + mib(cost.bytes) + " MiB; --network-limit " +
                          std::to_string(static_cast<std::uint64_t>(std::min(times, 1e18))) +
                          " (network_limit=) allows it");
}

std::string weights_name(std::string_view meta) {
    const std::string name = meta_word(meta, "name");
    return name.empty() ? "unnamed" : name;
}

Result<std::unique_ptr<EngineOwner>> EngineOwner::create(const EngineSetup& setup) {
    std::unique_ptr<EngineOwner> owner(new EngineOwner());
    if (const Result<> done = owner->load(setup); !done) return done.error();
    return owner;
}

std::unique_ptr<EngineOwner> EngineOwner::sharing_weights() const {
    std::unique_ptr<EngineOwner> other(new EngineOwner());
    other->cascade_ = cascade_;
    other->detector_ = detector_;
    other->models_ = models_;
    other->info_ = info_;
    other->selection_ = selection_;
    Config config = engine_->config();
    config.stop = other->stop();
    other->engine_ = std::make_unique<OwnedEngine>(other->weights(), config);
    return other;
}

Result<> EngineOwner::load(const EngineSetup& setup) {
    if (const Result<> done = open_weights(setup.cascade, embedded_cascade(), setup.network_limit,
                                           cascade_bytes_, cascade_);
        !done)
        return done.error();
    if (const Result<> done = open_weights(setup.detector, embedded_detector(), setup.network_limit,
                                           detector_bytes_, detector_);
        !done)
        return done.error();
    if (detector_ && !detector_.finds_faces())
        return Error::weights(setup.detector.path + ": is a network, but no face detector");
    for (const Head head : named_heads) {
        WeightsChoice choice = setup.heads[head];
        const Bytes embedded = embedded_network(head);
        if (choice.path.empty() && embedded.empty()) choice.use = false;
        Model& model = models_[head];
        if (const Result<> done =
                open_weights(choice, embedded, setup.network_limit, model_bytes_[head], model);
            !done)
            return done.error();
        if (model && model.task() != Task::classify)
            return Error::weights(choice.path + ": is a network that gives no classes");
        info_[head] = head_info(model);
    }
    if (cascade_) info_.cascade_name = weights_name(cascade_.meta());
    if (detector_) info_.detector_name = weights_name(detector_.meta());
    selection_ = setup.selection;
    Config config = setup.config;
    if (config.clock_ns == nullptr) config.clock_ns = monotonic_ns;
    config.stop = stop();
    // Checked now, so that a wrong option is reported before the first image is decoded.
    if (Engine::required_bytes(config, weights()) == 0)
        return Error::usage("an engine option is out of range");
    engine_ = std::make_unique<OwnedEngine>(weights(), config);
    for (const Head head : named_heads)
        info_[head].unsure_below = models_[head].unsure_below(config.min_confidence);
    return {};
}

void EngineOwner::stop_when(const std::atomic<bool>* gone, double seconds) {
    *stop_ = {gone, seconds > 0 ? monotonic_ns() + static_cast<std::uint64_t>(seconds * 1e9) : 0};
}

int EngineOwner::wants_stop(void* reasons) {
    const auto& [gone, deadline_ns] = *static_cast<const StopReasons*>(reasons);
    return (gone != nullptr && gone->load(std::memory_order_relaxed)) ||
                   (deadline_ns > 0 && monotonic_ns() >= deadline_ns)
               ? 1
               : 0;
}

Weights EngineOwner::weights() const {
    Weights weights;
    weights.cascade = cascade();
    weights.detector = detector();
    for (const Head head : named_heads) weights.heads[static_cast<int>(head)] = model(head);
    return weights;
}

bool EngineOwner::wants_color() const {
    return detector() != nullptr ||
           std::any_of(std::begin(named_heads), std::end(named_heads), [this](Head head) {
               return model(head) != nullptr && model(head)->input_channels() == 3;
           });
}

void EngineOwner::take(const Frame& frame, std::span<const Face> faces, ImageReport& report) const {
    report.width = frame.width;
    report.height = frame.height;
    report.faces_dropped = engine().faces_dropped();
    report.faces.clear();
    for (const Face& face : faces) {
        FaceReport& copy = report.faces.emplace_back();
        copy.box = face.box;
        copy.neighbors = face.neighbors;
        copy.score = face.score;
        copy.stage_weight = face.stage_weight;
        copy.landmarks.assign(face.landmarks.begin(), face.landmarks.end());
        for (const Head head : named_heads) {
            const mien::Reading reading = face[head];
            copy[head].probabilities.assign(reading.probabilities.begin(),
                                            reading.probabilities.end());
            copy[head].unsure = reading.unsure;
            copy[head].quantity = reading.quantity;
            if (reading.map.empty()) continue;
            const Model& model = models_[head];
            const MapSize size = model.class_map_size();
            copy[head].map = {
                size.width,
                size.height,
                model.crop_of(face.box, face.landmarks, detector(), frame.width, frame.height),
                {reading.map.begin(), reading.map.end()}};
        }
    }
    const Timings& t = engine().timings();
    report.times.gray = milliseconds(t.gray);
    report.times.detect = milliseconds(t.detect);
    report.times.crop = milliseconds(t.crop);
    for (const Head head : named_heads)
        report.times.heads[head] = milliseconds(t.heads[static_cast<int>(head)]);
}

Result<> EngineOwner::finish(const Frame& frame, std::span<const Face> faces,
                             ImageReport& report) const {
    switch (engine_->status()) {
        case Status::ok: take(frame, faces, report); return {};
        case Status::frame_too_large: return Error::input(engine_->error());
        case Status::too_small: return Error::memory(engine_->error());
        case Status::stopped: return Error::stopped();
        default: return Error::internal(engine_->error());
    }
}

Result<> EngineOwner::finish_search(const Frame& frame, std::span<const Face> faces,
                                    ImageReport& report) const {
    const Result<> done = finish(frame, faces, report);
    if (done) select_faces(selection_, detector() != nullptr, report.faces);
    return done;
}

Result<> EngineOwner::process(const Frame& frame, ImageReport& report) {
    const std::span<const Face> faces = engine_->process(frame);
    return finish_search(frame, faces, report);
}

Result<> EngineOwner::detect(const Frame& frame, ImageReport& report) {
    const std::span<const Face> faces = engine_->detect(frame);
    return finish_search(frame, faces, report);
}

Result<> EngineOwner::detect(const Frame& frame, const DetectorOptions& options,
                             ImageReport& report) {
    const std::span<const Face> faces = engine_->detect(frame, bounds(frame), options);
    return finish_search(frame, faces, report);
}

void EngineOwner::judge(float min_confidence, ImageReport& report) const {
    for (FaceReport& face : report.faces) {
        for (const Head head : named_heads)
            face[head].unsure =
                face[head].known() &&
                face[head].best_probability() < models_[head].unsure_below(min_confidence);
    }
}

Result<> EngineOwner::classify_crop(const Frame& frame, ImageReport& report) {
    const Face face = engine_->classify_crop(frame);
    return finish(frame, {&face, 1}, report);
}

Result<> EngineOwner::classify(const Frame& frame, const Rect& box, ImageReport& report,
                               std::span<const Point> landmarks) {
    const Face face = engine_->classify(frame, box, landmarks);
    return finish(frame, {&face, 1}, report);
}

}  // namespace mien::host
