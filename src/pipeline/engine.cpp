// SPDX-License-Identifier: MIT
// The engine's steps in their order: gray, detector, crop, networks, results.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <type_traits>

#include "base/arena.h"
#include "base/geometry.h"
#include "detect/finder.h"
#include "image/gray.h"
#include "image/linear.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"
#include "nn/network.h"
#include "pipeline/crop.h"
#include "pipeline/engine_access.h"

namespace mien {
namespace {

// Each needs memory for a run of every network.
constexpr int most_readers = 8;

bool valid(const DetectorOptions& options) noexcept {
    // Below 1.001 a pyramid would have thousands of levels.
    return options.scale_factor >= 1.001 && options.scale_factor <= 1e6 &&
           options.min_neighbors >= 0 && options.min_size >= 0 && options.max_size >= 0 &&
           options.max_height >= 0 && options.min_score >= 0 && options.min_score <= 1;
}

bool valid(const Config& config) noexcept {
    return valid(config.detector) && config.max_width >= 1 && config.max_width <= max_frame_side &&
           config.max_height >= 1 && config.max_height <= max_frame_side &&
           config.detect_width >= 0 && config.enlarge_to >= 0 &&
           config.enlarge_to <= max_frame_side && config.max_faces >= 1 &&
           config.max_faces <= 1 << 20 && config.max_candidates >= 1 &&
           config.max_candidates <= 1 << 24 && config.executor.threads >= 1 &&
           config.executor.threads <= HaarDetector::max_threads && config.min_confidence <= 1;
}

Status check(const Weights& weights) noexcept {
    if (weights.cascade != nullptr && (!*weights.cascade || weights.detector != nullptr))
        return Status::bad_argument;
    if (weights.detector != nullptr) {
        if (!*weights.detector) return Status::bad_argument;
        if (!weights.detector->finds_faces()) return Status::wrong_kind;
    }
    for (const Model* model : weights.heads) {
        if (model == nullptr) continue;
        if (!*model) return Status::bad_argument;
        if (model->task() != Task::classify) return Status::wrong_kind;
    }
    return Status::ok;
}

}  // namespace

struct Engine::Impl {
    // What one thread reads faces with; the weights are those of the first one.
    struct Seat {
        Network network;
        LinearScratch scratch;
        std::uint8_t* pixels;  // the crop that the network was given last
        int face;              // whose crop that is, in this call; -1: of none
        bool read;             // the network has seen it
    };
    struct HeadState {
        Model model;
        Seat* seats;       // [threads]
        int last;          // the seat that saw the last face
        float* scores;     // [faces][classes]
        float* maps;       // [faces][map_size], if asked for
        MapSize map_size;  // 0 x 0: there are no maps
    };
    // What the threads of one call share: each face with each head is a job of its own.
    struct ReadingCall {
        Impl& impl;
        const Frame& frame;
        GrayView view;
        int first, count;  // faces
        bool margins;
        std::atomic<int> next{0};  // job
        std::atomic<bool> stopped{false};
    };

    Config config;
    Finder finder;
    Point spare_landmarks[ModelAccess::landmarks];  // of classify()
    Model detector;    // where landmarks lie in a crop; empty without network
    HeadState* heads;  // [head_count]; one without model is idle
    int head_count;
    int threads;          // that read faces
    Timings* of_threads;  // [threads] crop and heads
    std::uint8_t* gray;   // max_width * max_height
    // One more than Config::max_faces: the last is that of classify().
    Face* faces;
    Reading* readings;  // [faces][head_count]
    Timings timings;
    DetectorStats stats;
    int faces_dropped;
    const Kernels* kernels;

    // The one description of the engine's memory, run to measure and to build.
    static Impl* place(Arena& arena, const Config& config, const Weights& weights) noexcept;
    static void place_seats(Arena& arena, HeadState& head, const Kernels& kernels, const Stop& stop,
                            int threads) noexcept;

    [[nodiscard]] std::uint64_t now() const noexcept {
        return config.clock_ns != nullptr ? config.clock_ns() : 0;
    }
    [[nodiscard]] Status check(const Frame& frame) const noexcept;
    GrayView gray_part(const Frame& frame, const Rect& area) noexcept;
    GrayView gray_of_box(const Frame& frame, const Rect& box, bool margins) noexcept;
    Status find(const Frame& frame, GrayView view, const Rect& area, const DetectorOptions& options,
                int side, std::span<const Face>& found) noexcept;
    bool cut(const ReadingCall& call, const Face& face, const HeadState& head, Seat& seat) noexcept;
    // False: Config::stop ended it.
    bool read_face(const ReadingCall& call, int index, int head, int thread) noexcept;
    void read_some(ReadingCall& call, int thread) noexcept;
    void share_out(std::uint64_t passed) noexcept;
    bool read_faces(const Frame& frame, GrayView view, int first, int count, bool margins) noexcept;
    Status classify(const Frame& frame, const Rect& box, std::span<const Point> landmarks,
                    bool margins, Face& face) noexcept;
};

Engine::Impl* Engine::Impl::place(Arena& arena, const Config& config,
                                  const Weights& weights) noexcept {
    static_assert(std::is_trivially_destructible_v<Impl>, "nobody calls its destructor");
    Impl* const memory = arena.take<Impl>(1);
    // While measuring, a throw-away Impl stands in: members compute their needs, nothing is written
    // through them.
    Impl measured{};
    Impl* const self = memory != nullptr ? new (memory) Impl{} : &measured;
    const Kernels& kernels = kernels_for(config.isa);
    self->config = config;
    self->kernels = &kernels;
    self->head_count = weights.head_count();
    const auto pixels =
        static_cast<std::size_t>(config.max_width) * static_cast<std::size_t>(config.max_height);
    const auto faces = static_cast<std::size_t>(config.max_faces) + 1;
    self->gray = arena.take<std::uint8_t>(pixels);
    self->faces = arena.take<Face>(faces);
    self->readings = arena.take<Reading>(faces * static_cast<std::size_t>(self->head_count));
    self->finder.place(arena, config, weights, kernels);
    if (weights.detector != nullptr) self->detector = *weights.detector;
    const Executor& executor = config.executor;
    self->threads = executor.run != nullptr ? std::min(executor.threads, most_readers) : 1;
    self->of_threads = arena.take<Timings>(static_cast<std::size_t>(self->threads));
    self->heads = arena.take<HeadState>(static_cast<std::size_t>(self->head_count));
    for (int h = 0; h < self->head_count; ++h) {
        HeadState measured_head{};
        HeadState& head =
            self->heads != nullptr ? *new (self->heads + h) HeadState{} : measured_head;
        if (weights.heads[h] == nullptr) continue;
        head.model = *weights.heads[h];
        place_seats(arena, head, kernels, config.stop, self->threads);
        head.scores = arena.take<float>(static_cast<std::size_t>(head.model.class_count()) * faces);
        head.map_size = head.model.class_map_size();
        if (config.class_maps) head.maps = arena.take<float>(head.map_size.count() * faces);
    }
    return memory;
}

void Engine::Impl::place_seats(Arena& arena, HeadState& head, const Kernels& kernels,
                               const Stop& stop, int threads) noexcept {
    head.seats = arena.take<Seat>(static_cast<std::size_t>(threads));
    Seat measured_first{};
    const Seat& first = head.seats != nullptr ? *head.seats : measured_first;
    for (int t = 0; t < threads; ++t) {
        Seat measured{};
        Seat& seat = head.seats != nullptr ? *new (head.seats + t) Seat{}
                     : t == 0              ? measured_first
                                           : measured;
        seat.face = -1;
        if (t == 0)
            seat.network.place(arena, head.model, kernels, {}, {}, stop);
        else
            seat.network.place_twin(arena, first.network);
        seat.scratch.place(arena, head.model.input_width(), head.model.input_channels());
        const std::size_t crop_bytes = ModelAccess{head.model}.tensor_shape(0).elements();
        seat.pixels = arena.take<std::uint8_t>(crop_bytes);
        if (seat.pixels != nullptr) std::memset(seat.pixels, 0, crop_bytes);
    }
}

std::size_t Engine::required_bytes(const Config& config, const Weights& weights) noexcept {
    if (!valid(config) || mien::check(weights) != Status::ok || !Finder::fits(config, weights))
        return 0;
    Arena arena;
    Impl::place(arena, config, weights);
    return arena.required_bytes();
}

Status Engine::create(const Config& config, const Weights& weights, std::span<std::byte> memory,
                      Engine& out) noexcept {
    if (const Status status = mien::check(weights); status != Status::ok) return status;
    const std::size_t required = required_bytes(config, weights);
    if (required == 0 || memory.data() == nullptr) return Status::bad_argument;
    if (memory.size() < required) return Status::too_small;
    Arena arena(memory.data(), memory.size());
    out.impl_ = Impl::place(arena, config, weights);
    return Status::ok;
}

// ------------------------------------------------------------------------- steps

Status Engine::Impl::check(const Frame& frame) const noexcept {
    if (!is_valid(frame)) return Status::bad_argument;
    if (frame.width > config.max_width || frame.height > config.max_height)
        return Status::frame_too_large;
    return Status::ok;
}

GrayView Engine::Impl::gray_part(const Frame& frame, const Rect& area) noexcept {
    if (has_gray_plane(frame.format)) return gray_of(frame, area, kernels->image, gray);
    const std::uint64_t start = now();
    const GrayView view = gray_of(frame, area, kernels->image, gray);
    timings.gray += now() - start;
    return view;
}

// The frame's gray, made where the heads see a face whose box alone says where it is.
GrayView Engine::Impl::gray_of_box(const Frame& frame, const Rect& box, bool margins) noexcept {
    int left = frame.width, top = frame.height, right = 0, bottom = 0;
    for (int h = 0; h < head_count; ++h) {
        const Model& model = heads[h].model;
        if (!model || model.input_channels() != 1) continue;
        const Rect rect = crop_rect(box, margins ? model.margin_x() : 0,
                                    margins ? model.margin_y() : 0, frame.width, frame.height);
        if (rect.width == 0) continue;
        left = std::min(left, rect.x);
        top = std::min(top, rect.y);
        right = std::max(right, rect.x + rect.width);
        bottom = std::max(bottom, rect.y + rect.height);
    }
    if (has_gray_plane(frame.format) || right == 0) return gray_part(frame, bounds(frame));
    const std::uint64_t start = now();
    for (int y = top; y < bottom; ++y)
        static_cast<void>(gray_of(frame, {left, y, right - left, 1}, kernels->image,
                                  gray + std::ptrdiff_t{y} * frame.width + left));
    timings.gray += now() - start;
    return {gray, frame.width};
}

Status Engine::Impl::find(const Frame& frame, GrayView view, const Rect& area,
                          const DetectorOptions& options, int side,
                          std::span<const Face>& out) noexcept {
    const std::uint64_t start = now();
    std::span<const FoundFace> found;
    const Status status = finder.find(frame, view, area, options, side, found);
    stats = finder.stats();
    faces_dropped = finder.dropped();
    for (std::size_t i = 0; i < found.size(); ++i)
        faces[i] = {found[i].box,   found[i].neighbors, {},
                    found[i].score, found[i].landmarks, found[i].stage_weight};
    timings.detect += now() - start;
    out = {faces, found.size()};
    return status;
}

// What the network of a head sees of a face, into seat.pixels; false when nothing of it is there.
bool Engine::Impl::cut(const ReadingCall& call, const Face& face, const HeadState& head,
                       Seat& seat) noexcept {
    const Frame& frame = call.frame;
    const float margin_x = call.margins ? head.model.margin_x() : 0,
                margin_y = call.margins ? head.model.margin_y() : 0;
    Similarity square;
    if (!face.landmarks.empty() && fit_square(detector, face.landmarks, square)) {
        cut_square(frame, call.view, square, margin_x, margin_y, head.model, seat.pixels);
        return true;
    }
    const Rect rect = crop_rect(face.box, margin_x, margin_y, frame.width, frame.height);
    // margins below zero can leave nothing of a box at the frame's edge
    if (rect.width == 0) return false;
    cut_crop(frame, call.view, rect, head.model, kernels->image, seat.scratch, seat.pixels);
    return true;
}

bool Engine::Impl::read_face(const ReadingCall& call, int index, int h, int thread) noexcept {
    HeadState& head = heads[h];
    Reading& result = *new (readings + std::ptrdiff_t{index} * head_count + h) Reading{};
    if (!head.model) return true;
    Seat& seat = head.seats[thread];
    const std::uint64_t start = now();
    if (!cut(call, faces[index], head, seat)) return true;
    seat.face = index;
    const std::uint64_t cut = now();
    const auto classes = static_cast<std::size_t>(head.model.class_count());
    float* const scores = head.scores + static_cast<std::size_t>(index) * classes;
    seat.read = seat.network.run(seat.pixels, scores);
    if (!seat.read) return false;  // what class_map() needs is gone
    const float* const best = std::max_element(scores, scores + classes);
    result.probabilities = {scores, classes};
    result.unsure = *best < head.model.unsure_below(config.min_confidence);
    result.quantity = head.model.quantity(result.probabilities);
    if (config.class_maps && head.map_size.count() > 0) {
        float* const values = head.maps + static_cast<std::size_t>(index) * head.map_size.count();
        seat.network.class_map(static_cast<int>(best - scores), values);
        result.map = {values, head.map_size.count()};
    }
    of_threads[thread].crop += cut - start;
    of_threads[thread].heads[h] += now() - cut;
    return true;
}

// One head after the other, so that its weights stay in the caches.
void Engine::Impl::read_some(ReadingCall& call, int thread) noexcept {
    const int jobs = call.count * head_count;
    for (int job; !call.stopped.load(std::memory_order_relaxed) &&
                  (job = call.next.fetch_add(1, std::memory_order_relaxed)) < jobs;)
        if (!read_face(call, call.first + job % call.count, job / call.count, thread))
            call.stopped.store(true, std::memory_order_relaxed);
}

// The time that passed, as the threads spent theirs.
void Engine::Impl::share_out(std::uint64_t passed) noexcept {
    Timings& sum = of_threads[0];
    std::uint64_t all = 0;
    for (int t = 1; t < threads; ++t) {
        sum.crop += of_threads[t].crop;
        for (int h = 0; h < head_count; ++h) sum.heads[h] += of_threads[t].heads[h];
    }
    all += sum.crop;
    for (int h = 0; h < head_count; ++h) all += sum.heads[h];
    const double share = all > passed ? static_cast<double>(passed) / static_cast<double>(all) : 1;
    const auto part = [share](std::uint64_t ns) {
        return static_cast<std::uint64_t>(static_cast<double>(ns) * share);
    };
    timings.crop += part(sum.crop);
    for (int h = 0; h < head_count; ++h) timings.heads[h] += part(sum.heads[h]);
}

bool Engine::Impl::read_faces(const Frame& frame, GrayView view, int first, int count,
                              bool margins) noexcept {
    const std::uint64_t start = now();
    ReadingCall call = {*this, frame, view, first, count, margins};
    for (int t = 0; t < threads; ++t) of_threads[t] = {};
    for (int h = 0; h < head_count; ++h)
        for (int t = 0; heads[h].model && t < threads; ++t) heads[h].seats[t].face = -1;
    if (threads == 1 || count * head_count <= 1)
        read_some(call, 0);
    else
        config.executor.run(
            config.executor.context, threads,
            [](void* argument, int thread) {
                auto& shared = *static_cast<ReadingCall*>(argument);
                shared.impl.read_some(shared, thread);
            },
            &call);
    for (int h = 0; h < head_count; ++h) {
        HeadState& head = heads[h];
        int last_face = -1;
        for (int t = 0; head.model && t < threads; ++t)
            if (head.seats[t].face > last_face) {
                last_face = head.seats[t].face;
                head.last = t;
            }
    }
    share_out(now() - start);
    if (call.stopped.load(std::memory_order_relaxed)) {
        for (int h = 0; h < head_count; ++h)
            for (int t = 0; heads[h].model && t < threads; ++t) heads[h].seats[t].read = false;
        return false;
    }
    for (int i = first; i < first + count; ++i)
        faces[i].readings = {readings + std::ptrdiff_t{i} * head_count,
                             static_cast<std::size_t>(head_count)};
    return true;
}

// ------------------------------------------------------------------------- verbs

Status Engine::detect(const Frame& frame, std::span<const Face>& faces) noexcept {
    faces = {};
    if (impl_ == nullptr) return Status::bad_argument;
    return detect(frame, bounds(frame), impl_->config.detector, faces);
}

Status Engine::detect(const Frame& frame, const Rect& area, const DetectorOptions& options,
                      std::span<const Face>& faces) noexcept {
    return EngineAccess{*this}.detect(frame, area, options, 0, faces);
}

Status EngineAccess::detect(const Frame& frame, const Rect& area, const DetectorOptions& options,
                            int side, std::span<const Face>& faces) noexcept {
    faces = {};
    Engine::Impl* const impl = engine.impl_;
    if (impl == nullptr || !impl->finder || !valid(options)) return Status::bad_argument;
    if (const Status status = impl->check(frame); status != Status::ok) return status;
    const Rect inside = clamped(area, frame.width, frame.height);
    if (inside.width == 0) return Status::bad_argument;
    impl->timings = {};
    const std::uint64_t start = impl->now();
    const GrayView view = impl->finder.wants_gray() ? impl->gray_part(frame, inside) : GrayView{};
    const Status status = impl->find(frame, view, inside, options, side, faces);
    impl->timings.total = impl->now() - start;
    return status;
}

EngineAccess::FullSearch EngineAccess::full_search(int frame_width,
                                                   int frame_height) const noexcept {
    const Engine::Impl* const impl = engine.impl_;
    if (impl == nullptr || !impl->detector) return {};
    FaceNet::Size sizes[Finder::max_sizes];
    const std::size_t count = impl->finder.net_sizes(frame_width, frame_height, sizes);
    FullSearch full = {sizes[0].width, sizes[0].height, 0};
    for (const FaceNet::Size& size : std::span(sizes).first(count))
        full.pixels += pixels_given(size.width, size.height);
    return full;
}

std::int64_t EngineAccess::pixels_given(int width, int height) const noexcept {
    const Engine::Impl& impl = *engine.impl_;
    const InputSize input = FaceNet::padded(impl.detector, {width, height});
    return std::int64_t{input.width} * input.height *
           static_cast<int>(Finder::turns_of(impl.config));
}

Status Engine::process(const Frame& frame, std::span<const Face>& faces) noexcept {
    faces = {};
    if (impl_ == nullptr || !impl_->finder) return Status::bad_argument;
    if (const Status status = impl_->check(frame); status != Status::ok) return status;
    impl_->timings = {};
    const std::uint64_t start = impl_->now();
    const bool gray_first = impl_->finder.wants_gray();
    GrayView view = gray_first ? impl_->gray_part(frame, bounds(frame)) : GrayView{};
    const Status status = impl_->find(frame, view, bounds(frame), impl_->config.detector, 0, faces);
    if (status != Status::ok) return status;
    if (!gray_first && !faces.empty()) view = impl_->gray_part(frame, bounds(frame));
    if (!impl_->read_faces(frame, view, 0, static_cast<int>(faces.size()), true)) {
        faces = {};
        return Status::stopped;
    }
    impl_->timings.total = impl_->now() - start;
    return Status::ok;
}

Status Engine::Impl::classify(const Frame& frame, const Rect& box, std::span<const Point> landmarks,
                              bool margins, Face& face) noexcept {
    timings = {};
    const std::uint64_t start = now();
    const int spare = config.max_faces;
    std::copy(landmarks.begin(), landmarks.end(), spare_landmarks);
    faces[spare] = {box, 0, {}, 0, {spare_landmarks, landmarks.size()}};
    const GrayView view =
        landmarks.empty() ? gray_of_box(frame, box, margins) : gray_part(frame, bounds(frame));
    if (!read_faces(frame, view, spare, 1, margins)) return Status::stopped;
    face = faces[spare];
    timings.total = now() - start;
    return Status::ok;
}

Status Engine::classify(const Frame& frame, const Rect& box, Face& face) noexcept {
    return classify(frame, box, {}, face);
}

Status Engine::classify(const Frame& frame, const Rect& box, std::span<const Point> landmarks,
                        Face& face) noexcept {
    face = {};
    if (impl_ == nullptr) return Status::bad_argument;
    if (!landmarks.empty() && (!impl_->detector || landmarks.size() != ModelAccess::landmarks))
        return Status::bad_argument;
    if (const Status status = impl_->check(frame); status != Status::ok) return status;
    const Rect inside = clamped(box, frame.width, frame.height);
    if (inside.width == 0) return Status::bad_argument;
    return impl_->classify(frame, inside, landmarks, true, face);
}

Status Engine::classify_crop(const Frame& crop, Face& face) noexcept {
    face = {};
    if (impl_ == nullptr) return Status::bad_argument;
    if (const Status status = impl_->check(crop); status != Status::ok) return status;
    return impl_->classify(crop, bounds(crop), {}, false, face);
}

DetectorOptions Engine::detector_options() const noexcept {
    return impl_ != nullptr ? impl_->config.detector : DetectorOptions{};
}

const Model* Engine::model(Head head) const noexcept {
    const int h = static_cast<int>(head);
    if (impl_ == nullptr || h >= impl_->head_count || !impl_->heads[h].model) return nullptr;
    return &impl_->heads[h].model;
}

float Engine::unsure_below(Head head) const noexcept {
    const Model* const network = model(head);
    return network != nullptr ? network->unsure_below(impl_->config.min_confidence) : 0;
}

Frame Engine::last_crop(Head head) const noexcept {
    const Model* const network = model(head);
    if (network == nullptr) return {};
    const int channels = network->input_channels();
    const Impl::HeadState& state = impl_->heads[static_cast<int>(head)];
    return {state.seats[state.last].pixels, network->input_width(), network->input_height(),
            std::ptrdiff_t{network->input_width()} * channels,
            channels == 1 ? PixelFormat::gray8 : PixelFormat::rgb24};
}

Status Engine::class_map(Head head, int class_index, std::span<float> out) const noexcept {
    if (model(head) == nullptr) return Status::bad_argument;
    const Impl::HeadState& state = impl_->heads[static_cast<int>(head)];
    const Impl::Seat& seat = state.seats[state.last];
    if (!seat.read || state.map_size.count() == 0 || class_index < 0 ||
        class_index >= state.model.class_count())
        return Status::bad_argument;
    if (out.size() < state.map_size.count()) return Status::too_small;
    seat.network.class_map(class_index, out.data());
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

}  // namespace mien
