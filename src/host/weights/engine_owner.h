// SPDX-License-Identifier: MIT
// The engine of the programs: weights from files or from inside the program, on top of OwnedEngine,
// whose memory grows so that nothing is ever dropped.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "host/files/file_io.h"
#include "host/files/result.h"
#include "host/results/order.h"
#include "host/results/report.h"
#include "mien/owned.hpp"

namespace mien::host {

// One set of weights: from a file if `path` is not empty, else those inside the program.
struct WeightsChoice {
    bool use = true;
    std::string path;
};

struct EngineSetup {
    // One of the detectors, or neither.
    WeightsChoice cascade;
    WeightsChoice detector = {.use = false, .path = {}};
    PerHead<WeightsChoice> heads;
    FaceSelection selection;
    double network_limit = 1;  // `times` of Model::open()
    Config config;  // max_width, max_height, max_faces and max_candidates are where it starts
};

// Largest weights file that is read; the format ends at 2^30.
constexpr std::size_t max_weights_bytes = std::size_t{1} << 30;

// Why these bytes are not weights of the wanted kind, as text for the user (a Keras file, an XML
// cascade, ...).
Error weights_error(std::span<const std::uint8_t> bytes, Status status);
// Of Status::too_costly: the cost, and the option of the program and of the Python module that
// allows it.
Error cost_error(const NetworkCost& cost);

// "name" in the JSON of a weights file; "unnamed" if there is none.
std::string weights_name(std::string_view meta);

class EngineOwner {
public:
    // Errors name the file, since there are three of them.
    static Result<std::unique_ptr<EngineOwner>> create(const EngineSetup& setup);

    // Another engine on the same weights, for another thread; this owner must outlive it.
    std::unique_ptr<EngineOwner> sharing_weights() const;

    EngineOwner(const EngineOwner&) = delete;  // the engine points into this object
    EngineOwner& operator=(const EngineOwner&) = delete;

    // Ends calls, and decoding by ImageLimits::stop, with Error::Kind::stopped: once `gone` is true,
    // or `seconds` from now. Null and 0: neither. Not while a call runs.
    void stop_when(const std::atomic<bool>* gone, double seconds);
    Stop stop() const { return {&EngineOwner::wants_stop, stop_.get()}; }

    // Finds and reads every face. Fills size, faces and the engine's times of `report`, and leaves
    // the rest unchanged. Faces are those of EngineSetup::selection, the network's in reading order.
    Result<> process(const Frame& frame, ImageReport& report);
    // Finds every face, reads none.
    Result<> detect(const Frame& frame, ImageReport& report);
    // The same with options of this call.
    Result<> detect(const Frame& frame, const DetectorOptions& options, ImageReport& report);
    // Reads the whole image as one face.
    Result<> classify_crop(const Frame& frame, ImageReport& report);
    // Says which readings of `report` are unsure by another Config::min_confidence.
    void judge(float min_confidence, ImageReport& report) const;
    // Reads one box again; afterwards engine().last_crop() is the networks' input for it.
    // `landmarks` are those of the face, if it has any.
    Result<> classify(const Frame& frame, const Rect& box, ImageReport& report,
                      std::span<const Point> landmarks = {});

    const EngineInfo& info() const { return info_; }
    const Engine& engine() const { return engine_->engine(); }
    const Cascade* cascade() const { return cascade_ ? &cascade_ : nullptr; }
    const Model* detector() const { return detector_ ? &detector_ : nullptr; }
    // Null for a head that is off.
    const Model* model(Head head) const { return models_[head] ? &models_[head] : nullptr; }
    // All of them, as engines and trackers take them.
    Weights weights() const;
    // Whether a network reads colors; else gray frames do.
    bool wants_color() const;
    std::size_t memory_bytes() const { return engine_->memory_bytes(); }

private:
    struct StopReasons {
        const std::atomic<bool>* gone = nullptr;
        std::uint64_t deadline_ns = 0;  // 0: none
    };
    static int wants_stop(void* reasons);

    EngineOwner() = default;
    Result<> load(const EngineSetup& setup);
    // Copies the result of the engine's last call, or gives its error a kind.
    Result<> finish(const Frame& frame, std::span<const Face> faces, ImageReport& report) const;
    // The same for a search, of which some faces may be wanted, in some order.
    Result<> finish_search(const Frame& frame, std::span<const Face> faces,
                           ImageReport& report) const;
    void take(const Frame& frame, std::span<const Face> faces, ImageReport& report) const;

    FaceSelection selection_;
    ByteVector cascade_bytes_, detector_bytes_;
    PerHead<ByteVector> model_bytes_;  // empty for embedded weights
    Cascade cascade_;
    Model detector_;
    PerHead<Model> models_;
    EngineInfo info_;
    std::unique_ptr<StopReasons> stop_ = std::make_unique<StopReasons>();
    std::unique_ptr<OwnedEngine> engine_;
};

}  // namespace mien::host
