// SPDX-License-Identifier: MIT
// The engine for programs with a heap and files: reads weights from a folder, owns them and the
// engine's memory, and grows with the frame. Header only; everything of mien.hpp applies to what it
// returns. It throws only what std::string and std::vector throw.
//
//   mien::OwnedEngine engine("weights");
//   for (const mien::Face& face : engine.process(frame))
//       std::printf("%d, %d: %s\n", face.box.x, face.box.y,
//                   engine.label(mien::Head::emotion, face).c_str());
//   if (engine.status() != mien::Status::ok) std::fprintf(stderr, "%s\n", engine.error().c_str());
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "mien/cascade_xml.hpp"
#include "mien/mien.hpp"

namespace mien {

// Everything of a file; false, with an error of one line, when it cannot be read.
inline bool read_file(const std::string& path, std::vector<std::uint8_t>& bytes,
                      std::string& error) {
    bytes.clear();
    std::FILE* const file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) {
        error = path + ": cannot be opened";
        return false;
    }
    std::uint8_t block[1 << 14];
    for (std::size_t n; (n = std::fread(block, 1, sizeof block, file)) > 0;)
        bytes.insert(bytes.end(), block, block + n);
    const bool broken = std::ferror(file) != 0;
    std::fclose(file);
    if (broken) error = path + ": cannot be read";
    return !broken;
}

// A cascade of a file, a .mien file or OpenCV's XML, with its bytes. Not movable: the view points
// into it.
class OwnedCascade {
public:
    OwnedCascade() = default;
    explicit OwnedCascade(const std::string& path) { load(path); }
    OwnedCascade(const OwnedCascade&) = delete;
    OwnedCascade& operator=(const OwnedCascade&) = delete;

    // False: error() says why, and there is no cascade.
    bool load(const std::string& path) {
        cascade_ = Cascade();
        error_.clear();
        if (!read_file(path, bytes_, error_)) return false;
        if (is_xml(bytes_)) {
            std::string cause;
            bytes_ = cascade_of_xml(bytes_, path, cause);
            if (bytes_.empty()) return fail(path + ": " + cause);
        }
        const Status status = Cascade::open(bytes_, cascade_);
        return status == Status::ok || fail(path + ": " + message(status));
    }
    [[nodiscard]] const std::string& error() const { return error_; }
    // Null before a file is loaded.
    [[nodiscard]] const Cascade* cascade() const { return cascade_ ? &cascade_ : nullptr; }

private:
    bool fail(const std::string& text) {
        error_ = text;
        return false;
    }
    std::vector<std::uint8_t> bytes_;
    Cascade cascade_;
    std::string error_;
};

// Which detector finds the faces: Weights::cascade or Weights::detector.
enum class Detector : std::uint8_t { haar, net };

// One per thread or stream, like Engine. Neither copyable nor movable: the engine points into it.
class OwnedEngine {
public:
    // Weights of a folder: detector.mien or haarcascade_frontalface_default.mien and, by
    // head_name(), emotion.mien and so on; what is not there is left out, but the detector is
    // needed. Look at status().
    explicit OwnedEngine(const std::string& folder, const Config& config = {},
                         Detector detector = Detector::net)
        : config_(config) {
        if (detector == Detector::net) {
            if (!load(folder + "/detector.mien", network_, true)) return;
            weights_.detector = &network_;
        } else {
            if (!load(folder + "/haarcascade_frontalface_default.mien", cascade_, true)) return;
            weights_.cascade = &cascade_;
        }
        for (const Head head : named_heads) {
            Model& model = models_[static_cast<int>(head)];
            if (!load(folder + "/" + head_name(head) + ".mien", model, false)) return;
            if (model) weights_.heads[static_cast<int>(head)] = &model;
        }
    }
    // Weights that the caller keeps alive. `config` is where sizes start.
    explicit OwnedEngine(const Weights& weights, const Config& config = {})
        : weights_(weights), config_(config) {}

    OwnedEngine(const OwnedEngine&) = delete;
    OwnedEngine& operator=(const OwnedEngine&) = delete;

    // Of the constructor, or of the last call: frame_too_large for a frame that no engine can have,
    // too_small when memory or room for candidates is exhausted, else the engine's. Once weights
    // could not be loaded, every call fails.
    [[nodiscard]] Status status() const { return status_; }
    // One line; empty when status() is ok.
    [[nodiscard]] const std::string& error() const { return error_; }

    // As the functions of Engine, for frames of any size, with none of the faces or candidates
    // dropped; nothing when they fail. Spans are valid until the next call.
    std::span<const Face> process(const Frame& frame) {
        return search(frame, [&](auto& faces) { return engine_.process(frame, faces); });
    }
    std::span<const Face> detect(const Frame& frame) {
        return search(frame, [&](auto& faces) { return engine_.detect(frame, faces); });
    }
    std::span<const Face> detect(const Frame& frame, const Rect& area,
                                 const DetectorOptions& options) {
        return search(frame,
                      [&](auto& faces) { return engine_.detect(frame, area, options, faces); });
    }
    Face classify(const Frame& frame, const Rect& box, std::span<const Point> landmarks = {}) {
        Face face;
        if (prepare(frame)) set(engine_.classify(frame, box, landmarks, face));
        return face;
    }
    Face classify_crop(const Frame& crop) {
        Face face;
        if (prepare(crop)) set(engine_.classify_crop(crop, face));
        return face;
    }

    // The file's own word for the most probable class; "" without that reading.
    [[nodiscard]] std::string label(Head head, const Face& face) const {
        const std::span<const float> scores = face[head].probabilities;
        const Model* const model = weights_.head(head);
        if (scores.empty() || model == nullptr) return {};
        const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
        return std::string(model->label(static_cast<int>(best)));
    }

    // The engine as it is now, for class maps, timings and crops; null before the first frame.
    [[nodiscard]] const Engine& engine() const { return engine_; }
    [[nodiscard]] const Weights& weights() const { return weights_; }
    [[nodiscard]] const Config& config() const { return config_; }
    [[nodiscard]] std::size_t memory_bytes() const { return memory_bytes_; }

private:
    bool fail(Status status, const std::string& text) {
        status_ = status;
        error_ = text;
        return false;
    }
    bool set(Status status) {
        if (status != Status::ok) return fail(status, message(status));
        status_ = Status::ok;
        error_.clear();
        return true;
    }

    template <class View>
    bool load(const std::string& path, View& view, bool needed) {
        if (std::FILE* const file = std::fopen(path.c_str(), "rb"); file != nullptr)
            std::fclose(file);
        else if (!needed)
            return true;
        std::vector<std::uint8_t> bytes;
        std::string cause;
        if (!read_file(path, bytes, cause)) return loaded_ = fail(Status::bad_file, cause);
        files_.push_back(std::move(bytes));
        const Status status = View::open(files_.back(), view);
        if (status != Status::ok) return loaded_ = fail(status, path + ": " + message(status));
        return true;
    }

    // Room for the frame: grows, or changes its shape.
    bool prepare(const Frame& frame) {
        if (!loaded_) return false;
        const int width = frame.width, height = frame.height;
        if (engine_ && width <= config_.max_width && height <= config_.max_height) return true;
        const auto pixels = [](int w, int h) { return static_cast<double>(w) * h; };
        const int union_width = engine_ ? std::max(config_.max_width, width) : width;
        const int union_height = engine_ ? std::max(config_.max_height, height) : height;
        // Room for portrait and landscape alike, unless that would mean memory for an image much
        // larger than either.
        const bool keep_both = pixels(union_width, union_height) <= 2 * pixels(width, height);
        config_.max_width = keep_both ? union_width : width;
        config_.max_height = keep_both ? union_height : height;
        return rebuild();
    }

    bool rebuild() {
        const std::size_t needed = Engine::required_bytes(config_, weights_);
        if (needed == 0) return fail(Status::frame_too_large, "too large for the engine");
        engine_ = Engine();
        if (needed > memory_bytes_) {
            memory_.reset();  // before the new block, so that both are never held at once
            memory_bytes_ = 0;
            memory_.reset(new (std::nothrow) std::byte[needed]);
            if (memory_ == nullptr)
                return fail(Status::too_small, "not enough memory: the engine needs " +
                                                   std::to_string(needed >> 20) + " MiB for it");
            memory_bytes_ = needed;
        }
        return set(Engine::create(config_, weights_, {memory_.get(), memory_bytes_}, engine_));
    }

    template <class Find>
    std::span<const Face> search(const Frame& frame, Find find) {
        if (!prepare(frame)) return {};
        for (;;) {
            std::span<const Face> faces;
            if (!set(find(faces))) return {};
            const int faces_more = engine_.faces_dropped(),
                      candidates_more = engine_.detector_stats().candidates_dropped;
            if (faces_more == 0 && candidates_more == 0) return faces;
            // The counts may themselves be cut, hence the doubling; the engine's limits end it.
            const auto grown = [](int room, int more) { return std::max(room * 2, room + more); };
            if (faces_more > 0) config_.max_faces = grown(config_.max_faces, faces_more);
            if (candidates_more > 0)
                config_.max_candidates = grown(config_.max_candidates, candidates_more);
            if (!rebuild()) {
                fail(Status::too_small,
                     "too many candidates for faces; more neighbors, a larger step or a higher "
                     "score "
                     "give fewer");
                return {};
            }
        }
    }

    std::vector<std::vector<std::uint8_t>> files_;
    Cascade cascade_;
    Model network_;
    Model models_[max_heads];
    Weights weights_;
    Config config_;
    bool loaded_ = true;
    Status status_ = Status::ok;
    std::string error_;
    std::unique_ptr<std::byte[]> memory_;
    std::size_t memory_bytes_ = 0;
    Engine engine_;
};

}  // namespace mien
