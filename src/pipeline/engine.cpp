// SPDX-License-Identifier: MIT
// How does a frame become faces? Gray, detector, crop, networks, results: the steps of the engine
// in their order.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>

#include "base/arena.h"
#include "base/crc32.h"
#include "detect/haar/detector.h"
#include "image/gray.h"
#include "image/linear.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"
#include "nn/network.h"
#include "pipeline/crop.h"

namespace mien {
namespace {

constexpr int head_count = 2;

bool valid(const DetectorOptions& options) noexcept {
    // Below 1.001 a pyramid would have thousands of levels.
    return options.scale_factor >= 1.001 && options.scale_factor <= 1e6 &&
           options.min_neighbors >= 0 && options.min_size >= 0 && options.max_size >= 0;
}

bool valid(const Config& config) noexcept {
    return valid(config.detector) && config.max_width >= 1 && config.max_width <= max_frame_side &&
           config.max_height >= 1 && config.max_height <= max_frame_side &&
           config.detect_width >= 0 && config.max_faces >= 1 && config.max_faces <= 1 << 20 &&
           config.max_candidates >= 1 && config.max_candidates <= 1 << 24 &&
           config.executor.threads >= 1 && config.executor.threads <= Detector::max_threads;
}

}  // namespace

struct Engine::Impl {
    struct HeadState {
        Model model;
        Network network;
        LinearScratch scratch;
        std::uint8_t* pixels;  // the crop that the network was given last
        float* scores;         // [max_faces][classes]
        float* maps;           // [max_faces][map_size], if asked for
        MapSize map_size;      // 0 x 0: there are no maps
        bool read;             // the network has seen a face
    };

    Config config;
    bool has_detector;
    Detector detector;
    HeadState heads[head_count];
    std::uint8_t* gray;   // max_width * max_height
    std::uint8_t* small;  // the frame shrunk to detect_width, if asked for
    LinearScratch small_scratch;
    Face* faces;
    Timings timings;
    DetectorStats stats;
    int faces_dropped;
    const Kernels* kernels;

    // The one description of the engine's memory, run to measure and to build.
    static Impl* place(Arena& arena, const Config& config, const Cascade* cascade,
                       const Model* emotion, const Model* gender) noexcept;

    [[nodiscard]] std::uint64_t now() const noexcept {
        return config.clock_ns != nullptr ? config.clock_ns() : 0;
    }
    [[nodiscard]] Status check(const Frame& frame) const noexcept;
    void begin() noexcept { timings = {}; }
    // The frame as gray, without a copy where it is gray already.
    struct GrayView {
        const std::uint8_t* data;
        std::ptrdiff_t stride;
    };
    GrayView gray_of(const Frame& frame) noexcept;
    std::span<const Face> find(const Frame& frame, GrayView view,
                               const DetectorOptions& options) noexcept;
    void read_face(const Frame& frame, GrayView view, int index, bool margins) noexcept;
};

namespace {

// detect_width means: shrink wider frames to it, keeping their shape.
struct DetectSize {
    int width, height;
    bool shrunk;
};
DetectSize detect_size(int width, int height, int detect_width) noexcept {
    if (detect_width <= 0 || width <= detect_width) return {width, height, false};
    const auto scaled =
        static_cast<int>(std::lrint(static_cast<double>(height) * detect_width / width));
    return {detect_width, std::max(scaled, 1), true};
}

}  // namespace

Engine::Impl* Engine::Impl::place(Arena& arena, const Config& config, const Cascade* cascade,
                                  const Model* emotion, const Model* gender) noexcept {
    Impl* const memory = arena.take<Impl>(1);
    // While measuring, a throw-away Impl stands in: members compute their needs, nothing is written
    // through them.
    Impl measured{};
    Impl* const self = memory != nullptr ? new (memory) Impl{} : &measured;
    const Kernels& kernels = kernels_for(config.isa);
    self->config = config;
    self->kernels = &kernels;
    const auto pixels =
        static_cast<std::size_t>(config.max_width) * static_cast<std::size_t>(config.max_height);
    self->gray = arena.take<std::uint8_t>(pixels);
    self->faces = arena.take<Face>(static_cast<std::size_t>(config.max_faces));
    self->has_detector = cascade != nullptr;
    if (cascade != nullptr) {
        // A shrunk frame is detect_width wide; a portrait one may then be as high as the limit
        // allows.
        const bool may_shrink = config.detect_width > 0 && config.detect_width < config.max_width;
        const int width = may_shrink ? config.detect_width : config.max_width;
        if (may_shrink) {
            self->small_scratch.place(arena, width, 1);
            self->small = arena.take<std::uint8_t>(static_cast<std::size_t>(width) *
                                                   static_cast<std::size_t>(config.max_height));
        }
        self->detector.place(
            arena, *cascade,
            {width, config.max_height, config.max_candidates, config.executor, false}, kernels);
    }
    const Model* const models[head_count] = {emotion, gender};
    for (int h = 0; h < head_count; ++h) {
        if (models[h] == nullptr) continue;
        HeadState& head = self->heads[h];
        head.model = *models[h];
        head.network.place(arena, head.model, kernels);
        head.scratch.place(arena, head.model.input_width(), head.model.input_channels());
        head.pixels = arena.take<std::uint8_t>(ModelAccess{head.model}.tensor_shape(0).elements());
        head.scores = arena.take<float>(static_cast<std::size_t>(head.model.class_count()) *
                                        static_cast<std::size_t>(config.max_faces));
        head.map_size = head.model.class_map_size();
        if (config.class_maps)
            head.maps = arena.take<float>(head.map_size.count() *
                                          static_cast<std::size_t>(config.max_faces));
        if (head.pixels != nullptr)
            std::memset(head.pixels, 0, ModelAccess{head.model}.tensor_shape(0).elements());
    }
    return memory;
}

std::size_t Engine::required_bytes(const Config& config, const Cascade* cascade,
                                   const Model* emotion, const Model* gender) noexcept {
    if (!valid(config) || (cascade != nullptr && !*cascade) || (emotion != nullptr && !*emotion) ||
        (gender != nullptr && !*gender))
        return 0;
    Arena arena;
    Impl::place(arena, config, cascade, emotion, gender);
    return arena.required_bytes();
}

Status Engine::create(const Config& config, const Cascade* cascade, const Model* emotion,
                      const Model* gender, std::span<std::byte> memory, Engine& out) noexcept {
    const std::size_t required = required_bytes(config, cascade, emotion, gender);
    if (required == 0 || memory.data() == nullptr) return Status::bad_argument;
    if (memory.size() < required) return Status::too_small;
    Arena arena(memory.data(), memory.size());
    out.impl_ = Impl::place(arena, config, cascade, emotion, gender);
    return Status::ok;
}

// ------------------------------------------------------------------------- steps

Status Engine::Impl::check(const Frame& frame) const noexcept {
    if (!is_valid(frame)) return Status::bad_argument;
    if (frame.width > config.max_width || frame.height > config.max_height)
        return Status::frame_too_large;
    return Status::ok;
}

Engine::Impl::GrayView Engine::Impl::gray_of(const Frame& frame) noexcept {
    if (has_gray_plane(frame.format)) return {frame.data, frame.stride_bytes};
    const std::uint64_t start = now();
    to_gray(frame, kernels->image, gray);
    timings.gray += now() - start;
    return {gray, frame.width};
}

std::span<const Face> Engine::Impl::find(const Frame& frame, GrayView view,
                                         const DetectorOptions& options) noexcept {
    const std::uint64_t start = now();
    const DetectSize size = detect_size(frame.width, frame.height, config.detect_width);
    if (size.shrunk) {
        resize_linear({view.data, frame.width, frame.height, view.stride, PixelFormat::gray8},
                      {0, 0, frame.width, frame.height}, 1, size.width, size.height, kernels->image,
                      small_scratch, small);
        view = {small, size.width};
    }
    const std::span<const Detection> found =
        detector.detect(view.data, view.stride, size.width, size.height, options);
    stats = detector.stats();
    const auto kept = std::min(found.size(), static_cast<std::size_t>(config.max_faces));
    faces_dropped = static_cast<int>(found.size() - kept);
    const auto rescale = [](int v, int to, int from) {
        return static_cast<int>(std::lrint(static_cast<double>(v) * to / from));
    };
    for (std::size_t i = 0; i < kept; ++i) {
        Rect box = found[i].box;
        if (size.shrunk) {
            const int right = rescale(box.x + box.width, frame.width, size.width),
                      bottom = rescale(box.y + box.height, frame.height, size.height);
            box.x = rescale(box.x, frame.width, size.width);
            box.y = rescale(box.y, frame.height, size.height);
            box.width = right - box.x;
            box.height = bottom - box.y;
        }
        faces[i] = {box, found[i].neighbors, {}, {}, {}, {}};
    }
    timings.detect += now() - start;
    return {faces, kept};
}

void Engine::Impl::read_face(const Frame& frame, GrayView view, int index, bool margins) noexcept {
    Face& face = faces[index];
    for (int h = 0; h < head_count; ++h) {
        HeadState& head = heads[h];
        std::span<const float>& result = h == 0 ? face.emotion : face.gender;
        std::span<const float>& map = h == 0 ? face.emotion_map : face.gender_map;
        result = map = {};
        if (!head.model) continue;
        const std::uint64_t start = now();
        const Rect rect = crop_rect(face.box, margins ? head.model.margin_x() : 0,
                                    margins ? head.model.margin_y() : 0, frame.width, frame.height);
        // margins below zero can leave nothing of a box at the frame's edge
        if (rect.width == 0) continue;
        cut_crop(frame, view.data, view.stride, rect, head.model, kernels->image, head.scratch,
                 head.pixels);
        const std::uint64_t cut = now();
        const auto classes = static_cast<std::size_t>(head.model.class_count());
        float* const scores = head.scores + static_cast<std::size_t>(index) * classes;
        head.network.run(head.pixels, scores);
        result = {scores, classes};
        head.read = true;
        if (config.class_maps && head.map_size.count() > 0) {
            float* const values =
                head.maps + static_cast<std::size_t>(index) * head.map_size.count();
            head.network.class_map(
                static_cast<int>(std::max_element(scores, scores + classes) - scores), values);
            map = {values, head.map_size.count()};
        }
        timings.crop += cut - start;
        (h == 0 ? timings.emotion : timings.gender) += now() - cut;
    }
}

// ------------------------------------------------------------------------- verbs

Status Engine::detect(const Frame& frame, std::span<const Face>& faces) noexcept {
    faces = {};
    return impl_ != nullptr ? detect(frame, impl_->config.detector, faces) : Status::bad_argument;
}

Status Engine::detect(const Frame& frame, const DetectorOptions& options,
                      std::span<const Face>& faces) noexcept {
    faces = {};
    if (impl_ == nullptr || !impl_->has_detector || !valid(options)) return Status::bad_argument;
    if (const Status status = impl_->check(frame); status != Status::ok) return status;
    impl_->begin();
    const std::uint64_t start = impl_->now();
    faces = impl_->find(frame, impl_->gray_of(frame), options);
    impl_->timings.total = impl_->now() - start;
    return Status::ok;
}

Status Engine::process(const Frame& frame, std::span<const Face>& faces) noexcept {
    faces = {};
    if (impl_ == nullptr || !impl_->has_detector) return Status::bad_argument;
    if (const Status status = impl_->check(frame); status != Status::ok) return status;
    impl_->begin();
    const std::uint64_t start = impl_->now();
    const Impl::GrayView view = impl_->gray_of(frame);
    faces = impl_->find(frame, view, impl_->config.detector);
    for (std::size_t i = 0; i < faces.size(); ++i)
        impl_->read_face(frame, view, static_cast<int>(i), true);
    impl_->timings.total = impl_->now() - start;
    return Status::ok;
}

Status Engine::classify(const Frame& frame, const Rect& box, Face& face) noexcept {
    face = {};
    if (impl_ == nullptr) return Status::bad_argument;
    if (const Status status = impl_->check(frame); status != Status::ok) return status;
    const Rect inside = crop_rect(box, 0, 0, frame.width, frame.height);
    if (inside.width == 0) return Status::bad_argument;
    impl_->begin();
    const std::uint64_t start = impl_->now();
    impl_->faces[0] = {inside, 0, {}, {}, {}, {}};
    impl_->read_face(frame, impl_->gray_of(frame), 0, true);
    face = impl_->faces[0];
    impl_->timings.total = impl_->now() - start;
    return Status::ok;
}

Status Engine::classify_crop(const Frame& crop, Face& face) noexcept {
    face = {};
    if (impl_ == nullptr) return Status::bad_argument;
    if (const Status status = impl_->check(crop); status != Status::ok) return status;
    impl_->begin();
    const std::uint64_t start = impl_->now();
    impl_->faces[0] = {{0, 0, crop.width, crop.height}, 0, {}, {}, {}, {}};
    impl_->read_face(crop, impl_->gray_of(crop), 0, false);
    face = impl_->faces[0];
    impl_->timings.total = impl_->now() - start;
    return Status::ok;
}

Frame Engine::last_crop(Head head) const noexcept {
    if (impl_ == nullptr) return {};
    const Impl::HeadState& state = impl_->heads[head == Head::emotion ? 0 : 1];
    if (!state.model) return {};
    const int channels = state.model.input_channels();
    return {state.pixels, state.model.input_width(), state.model.input_height(),
            std::ptrdiff_t{state.model.input_width()} * channels,
            channels == 1 ? PixelFormat::gray8 : PixelFormat::rgb24};
}

Status Engine::class_map(Head head, int class_index, std::span<float> out) const noexcept {
    if (impl_ == nullptr) return Status::bad_argument;
    const Impl::HeadState& state = impl_->heads[head == Head::emotion ? 0 : 1];
    if (!state.read || state.map_size.count() == 0 || class_index < 0 ||
        class_index >= state.model.class_count())
        return Status::bad_argument;
    if (out.size() < state.map_size.count()) return Status::too_small;
    state.network.class_map(class_index, out.data());
    return Status::ok;
}

const Timings& Engine::timings() const noexcept {
    static constexpr Timings none{};
    return impl_ != nullptr ? impl_->timings : none;
}

const DetectorStats& Engine::detector_stats() const noexcept {
    static constexpr DetectorStats none{};
    return impl_ != nullptr ? impl_->stats : none;
}

int Engine::faces_dropped() const noexcept { return impl_ != nullptr ? impl_->faces_dropped : 0; }

Isa Engine::isa() const noexcept { return impl_ != nullptr ? impl_->kernels->isa : Isa::best; }

// ------------------------------------------------------------------------ verify

namespace {

struct VerifyMemory {
    Network* network;
    float* scores;
};

VerifyMemory place_verify(Arena& arena, const Model& model, Isa isa) noexcept {
    VerifyMemory memory = {arena.take<Network>(1),
                           arena.take<float>(static_cast<std::size_t>(model.class_count()))};
    Network measured;
    Network* const network = memory.network != nullptr ? new (memory.network) Network{} : &measured;
    network->place(arena, model, kernels_for(isa));
    return memory;
}

// Compares each layer's bytes with the checksum in the file.
struct LayerCheck {
    const std::uint8_t* crcs;
    int failed_layer = -1;

    static void after_layer(void* context, const Network& network, int layer) {
        auto& self = *static_cast<LayerCheck*>(context);
        if (self.failed_layer >= 0) return;
        std::uint32_t crc = 0;
        if (layer + 1 == network.model().layer_count()) {
            for (int c = 0; c < network.model().class_count(); ++c) {
                const auto bits = std::bit_cast<std::uint32_t>(network.logits()[c]);
                const std::uint8_t bytes[4] = {
                    static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(bits >> 8),
                    static_cast<std::uint8_t>(bits >> 16), static_cast<std::uint8_t>(bits >> 24)};
                crc = crc32(bytes, crc);
            }
        } else {
            const Tensor& t = network.output(layer);
            for (int y = 0; y < t.shape.height; ++y)
                for (int x = 0; x < t.shape.width; ++x) {
                    const std::int8_t* pixel =
                        t.data + y * t.row_bytes + std::ptrdiff_t{x} * t.pixel_bytes;
                    crc = crc32({reinterpret_cast<const std::uint8_t*>(pixel),
                                 static_cast<std::size_t>(t.shape.channels)},
                                crc);
                }
        }
        if (crc != load_u32(self.crcs + 4 * static_cast<std::size_t>(layer)))
            self.failed_layer = layer;
    }
};

}  // namespace

std::size_t verify_required_bytes(const Model& model) noexcept {
    if (!model) return 0;
    std::size_t bytes = 0;
    for (const Isa isa : {Isa::scalar, Isa::best}) {
        Arena arena;
        place_verify(arena, model, isa);
        bytes = std::max(bytes, arena.required_bytes());
    }
    return bytes;
}

Status verify(const Model& model, Isa isa, std::span<std::byte> memory,
              VerifyReport& report) noexcept {
    report = {};
    if (!model || memory.data() == nullptr) return Status::bad_argument;
    if (memory.size() < verify_required_bytes(model)) return Status::too_small;
    Arena arena(memory.data(), memory.size());
    const VerifyMemory placed = place_verify(arena, model, isa);
    const ModelAccess access{model};
    for (int v = 0; v < model.test_vector_count(); ++v) {
        const ModelAccess::TestVector vector = access.test_vector(v);
        LayerCheck check{vector.layer_crcs};
        const Network::Observer observer = {LayerCheck::after_layer, &check};
        placed.network->run(vector.pixels, placed.scores, &observer);
        ++report.vectors;
        for (int c = 0; c < model.class_count(); ++c) {
            const std::size_t at = 4 * static_cast<std::size_t>(c);
            report.max_float_error =
                std::max(report.max_float_error,
                         std::abs(placed.scores[c] - load_f32(vector.probabilities + at)));
            if (check.failed_layer < 0 &&
                placed.network->logits()[c] != load_f32(vector.logits + at))
                check.failed_layer = model.layer_count();
        }
        if (check.failed_layer >= 0) {
            report.failed_vector = v;
            report.failed_layer = check.failed_layer;
            return Status::verify_failed;
        }
    }
    return Status::ok;
}

}  // namespace mien
