// SPDX-License-Identifier: MIT
// The C interface: translates structures, adds nothing.
#include <algorithm>
#include <cstring>
#include <new>

#include "base/arena.h"
#include "mien/mien.h"
#include "mien/mien.hpp"
#include "mien/tracker.hpp"

using mien::Status;

static_assert(MIEN_MAX_HEADS == mien::max_heads);
static_assert(MIEN_STOPPED == static_cast<int>(Status::stopped));
static_assert(MIEN_NV12 == static_cast<int>(mien::PixelFormat::nv12));
static_assert(MIEN_ISA_RVV == static_cast<int>(mien::Isa::rvv));
static_assert(MIEN_AGE == static_cast<int>(mien::Head::age));
static_assert(MIEN_SMOOTHING_QUALITY == static_cast<int>(mien::Smoothing::quality));

struct mien_engine {
    mien::Engine engine;
    mien::Cascade cascade;
    mien::Model detector;
    mien::Model heads[mien::max_heads];
    std::span<const mien::Face> faces;  // of the last call
    mien::Face one;                     // of classify
};

struct mien_tracker {
    mien::Tracker tracker;
    mien::Cascade cascade;
    mien::Model detector;
    mien::Model heads[mien::max_heads];
    std::span<const mien::TrackedFace> faces;
};

namespace {

// What the caller's structure says, over the defaults: as much as both sides know.
template <class T>
bool read(const T* given, const T& defaults, T& out) noexcept {
    out = defaults;
    if (given == nullptr || given->struct_size < sizeof given->struct_size) return false;
    std::memcpy(&out, given, std::min<std::size_t>(given->struct_size, sizeof(T)));
    return true;
}

// The same in the other direction; what the library does not know of a newer caller is zero.
template <class T>
bool write(T value, T* out, std::size_t bytes) noexcept {
    if (out == nullptr || bytes < sizeof value.struct_size || bytes > UINT32_MAX) return false;
    value.struct_size = static_cast<std::uint32_t>(bytes);
    std::memset(static_cast<void*>(out), 0, bytes);
    std::memcpy(static_cast<void*>(out), &value, std::min(bytes, sizeof(T)));
    return true;
}

mien_config default_config() noexcept {
    const mien::Config d;
    mien_config c = {};
    c.scale_factor = d.detector.scale_factor;
    c.min_neighbors = d.detector.min_neighbors;
    c.min_size = d.detector.min_size;
    c.max_size = d.detector.max_size;
    c.max_width = d.max_width;
    c.max_height = d.max_height;
    c.detect_width = d.detect_width;
    c.max_faces = d.max_faces;
    c.max_candidates = d.max_candidates;
    c.threads = 1;
    c.min_score = d.detector.min_score;
    c.enlarge_to = d.enlarge_to;
    c.any_rotation = d.any_rotation ? 1 : 0;
    c.min_confidence = d.min_confidence;
    return c;
}

mien_detector_options default_options() noexcept {
    const mien::DetectorOptions d;
    return {0, d.min_neighbors, d.scale_factor, d.min_size, d.max_size, d.min_score,
            0, d.min_height,    d.max_height};
}

mien_tracker_config default_tracking() noexcept {
    const mien::TrackerConfig d;
    mien_tracker_config c = {};
    c.smoothing = static_cast<std::uint32_t>(d.smoothing);
    c.average_weight = d.average_weight;
    c.max_tracks = d.max_tracks;
    c.full_every = d.full_every;
    c.keep_neighbors = d.keep_neighbors;
    c.cycle_ns = d.cycle_ns;
    c.lost_ns = d.lost_ns;
    c.budget_ns = d.budget_ns;
    return c;
}

Status translate(const mien_config* given, mien::Config& out) noexcept {
    mien_config c;
    if (!read(given, default_config(), c)) return Status::bad_argument;
    out = {};
    out.detector = {c.scale_factor, c.min_neighbors,   c.min_size,       c.max_size,
                    c.min_score,    c.min_face_height, c.max_face_height};
    out.stage_weights = c.stage_weights != 0;
    out.enlarge_to = c.enlarge_to;
    out.any_rotation = c.any_rotation != 0;
    out.min_confidence = c.min_confidence;
    out.max_width = c.max_width;
    out.max_height = c.max_height;
    out.detect_width = c.detect_width;
    out.max_faces = c.max_faces;
    out.max_candidates = c.max_candidates;
    out.class_maps = c.class_maps != 0;
    out.executor = {c.run, c.run_context, c.threads};
    out.isa = static_cast<mien::Isa>(std::min(c.isa, 255u));
    out.clock_ns = c.clock_ns;
    out.stop = {c.stop, c.stop_context};
    return Status::ok;
}

Status translate(const mien_config* config, const mien_tracker_config* given,
                 mien::TrackerConfig& out) noexcept {
    mien_tracker_config c;
    out = {};
    if (!read(given, default_tracking(), c) || c.smoothing > MIEN_SMOOTHING_QUALITY)
        return Status::bad_argument;
    out.smoothing = static_cast<mien::Smoothing>(c.smoothing);
    out.average_weight = c.average_weight;
    out.max_tracks = c.max_tracks;
    out.full_every = c.full_every;
    out.keep_neighbors = c.keep_neighbors;
    out.cycle_ns = c.cycle_ns;
    out.lost_ns = c.lost_ns;
    out.budget_ns = c.budget_ns;
    return translate(config, out.engine);
}

// The files of mien_weights, opened.
struct OpenedWeights {
    mien::Cascade cascade;
    mien::Model detector;
    mien::Model heads[mien::max_heads];
};

std::span<const std::uint8_t> bytes_of(const mien_file& file) noexcept {
    return {static_cast<const std::uint8_t*>(file.data), file.bytes};
}

Status open_network(const mien_file& file, double times, mien::Model& out) noexcept {
    return file.data == nullptr ? Status::ok : mien::Model::open(bytes_of(file), out, times);
}

Status open(const mien_weights* given, OpenedWeights& out) noexcept {
    mien_weights w;
    if (!read(given, mien_weights{}, w)) return Status::bad_argument;
    const double times = w.network_limit == 0 ? 1 : w.network_limit;
    if (!(times > 0)) return Status::bad_argument;
    Status status = w.cascade.data == nullptr
                        ? Status::ok
                        : mien::Cascade::open(bytes_of(w.cascade), out.cascade);
    if (status == Status::ok) status = open_network(w.detector, times, out.detector);
    for (int h = 0; h < mien::max_heads && status == Status::ok; ++h)
        status = open_network(w.heads[h], times, out.heads[h]);
    return status;
}

// The views as the C++ interface wants them; they point to where the handle keeps them.
template <class Owner>
mien::Weights weights_of(const Owner& owner) noexcept {
    mien::Weights weights;
    if (owner.cascade) weights.cascade = &owner.cascade;
    if (owner.detector) weights.detector = &owner.detector;
    for (int h = 0; h < mien::max_heads; ++h)
        if (owner.heads[h]) weights.heads[h] = &owner.heads[h];
    return weights;
}

// The handle comes first in the caller's memory, the rest is the engine's.
template <class Handle>
struct Layout {
    Handle* handle;
    std::byte* rest;
    Layout(mien::Arena& arena, std::size_t rest_bytes) noexcept
        : handle(arena.take<Handle>(1)), rest(arena.take<std::byte>(rest_bytes)) {}
};

template <class Handle>
std::size_t total_bytes(std::size_t rest_bytes) noexcept {
    if (rest_bytes == 0) return 0;
    mien::Arena arena;
    const Layout<Handle> layout(arena, rest_bytes);
    return arena.required_bytes();
}

// Places the handle, moves the opened weights into it and builds what it holds with `build`.
template <class Handle, class Build>
int create(const OpenedWeights& opened, std::size_t rest_bytes, void* memory, std::size_t bytes,
           Handle** out, Build build) noexcept {
    if (memory == nullptr) return MIEN_BAD_ARGUMENT;
    mien::Arena arena(static_cast<std::byte*>(memory), bytes);
    const Layout<Handle> layout(arena, rest_bytes);
    if (!arena.ok()) return MIEN_TOO_SMALL;
    auto* const handle = new (layout.handle) Handle{};
    handle->cascade = opened.cascade;
    handle->detector = opened.detector;
    std::copy_n(opened.heads, mien::max_heads, handle->heads);
    const Status status = build(*handle, std::span<std::byte>{layout.rest, rest_bytes});
    if (status == Status::ok) *out = handle;
    return static_cast<int>(status);
}

bool translate(const mien_frame* given, mien::Frame& out) noexcept {
    mien_frame f;
    if (!read(given, mien_frame{}, f) || f.format > MIEN_NV12) return false;
    out = {f.data, f.width, f.height, f.stride_bytes, static_cast<mien::PixelFormat>(f.format)};
    return true;
}

mien::Rect translate(const mien_rect& r) noexcept { return {r.x, r.y, r.width, r.height}; }

mien::Head head_of(int head) noexcept {
    return static_cast<mien::Head>(head < 0 || head >= mien::max_heads ? 255 : head);
}

std::size_t copy_text(std::string_view from, char* text, std::size_t bytes) noexcept {
    if (text != nullptr && bytes > 0) {
        const std::size_t copied = std::min(from.size(), bytes - 1);
        std::copy_n(from.data(), copied, text);
        text[copied] = 0;
    }
    return from.size();
}

std::size_t copy_label(const mien::Model* model, int i, char* text, std::size_t bytes) noexcept {
    return copy_text(model != nullptr ? model->label(i) : std::string_view(), text, bytes);
}

std::size_t copy_unit(const mien::Model* model, char* text, std::size_t bytes) noexcept {
    return copy_text(model != nullptr ? model->unit() : std::string_view(), text, bytes);
}

// The network of a head; null without.
const mien::Model* model_of(const mien_engine* engine, int head) noexcept {
    return engine != nullptr ? engine->engine.model(head_of(head)) : nullptr;
}
const mien::Model* model_of(const mien_tracker* tracker, int head) noexcept {
    const bool known = tracker != nullptr && head >= 0 && head < MIEN_MAX_HEADS;
    return known && tracker->heads[head] ? &tracker->heads[head] : nullptr;
}

// What both kinds of readings hold.
template <class From, class Out>
void put_reading(const From& reading, const mien::Model* model, Out& out) noexcept {
    const mien::MapSize size =
        model != nullptr && !reading.map.empty() ? model->class_map_size() : mien::MapSize{};
    out.count = static_cast<std::uint32_t>(reading.probabilities.size());
    out.probabilities = reading.probabilities.data();
    out.map = reading.map.data();
    out.map_width = static_cast<std::uint32_t>(size.width);
    out.map_height = static_cast<std::uint32_t>(size.height);
    out.unsure = reading.unsure ? 1 : 0;
    out.has_value = model != nullptr && model->answers_quantity() && out.count > 0 ? 1 : 0;
    out.value = reading.quantity.value;
    out.low = reading.quantity.low;
    out.high = reading.quantity.high;
}

int done(mien_engine* engine, Status status, std::size_t* count) noexcept {
    if (status != Status::ok) engine->faces = {};
    if (count != nullptr) *count = engine->faces.size();
    return static_cast<int>(status);
}

// `Out`: mien_face or mien_tracked_face.
template <class Out>
void put_landmarks(std::span<const mien::Point> landmarks, Out& out) noexcept {
    for (const mien::Point& p : landmarks) {
        out.landmarks[out.landmark_count][0] = p.x;
        out.landmarks[out.landmark_count++][1] = p.y;
    }
}

}  // namespace

const char* mien_version(void) { return mien::version(); }
const char* mien_message(int status) { return mien::message(static_cast<Status>(status)); }
const char* mien_isa_name(uint32_t isa) {
    return isa <= MIEN_ISA_SIMD128 ? mien::isa_name(static_cast<mien::Isa>(isa)) : "";
}
const char* mien_head_name(int head) { return mien::head_name(head_of(head)); }
int mien_isa_available(uint32_t isa) {
    return isa <= MIEN_ISA_SIMD128 && mien::isa_available(static_cast<mien::Isa>(isa)) ? 1 : 0;
}

void mien_config_init_sized(mien_config* config, size_t bytes) {
    write(default_config(), config, bytes);
}
void mien_weights_init_sized(mien_weights* weights, size_t bytes) {
    write(mien_weights{}, weights, bytes);
}
void mien_frame_init_sized(mien_frame* frame, size_t bytes) { write(mien_frame{}, frame, bytes); }
void mien_detector_options_init_sized(mien_detector_options* options, size_t bytes) {
    write(default_options(), options, bytes);
}
void mien_tracker_config_init_sized(mien_tracker_config* config, size_t bytes) {
    write(default_tracking(), config, bytes);
}

size_t mien_required_bytes(const mien_config* config, const mien_weights* weights) {
    mien::Config c;
    OpenedWeights opened;
    if (translate(config, c) != Status::ok || open(weights, opened) != Status::ok) return 0;
    return total_bytes<mien_engine>(mien::Engine::required_bytes(c, weights_of(opened)));
}

int mien_create(const mien_config* config, const mien_weights* weights, void* memory, size_t bytes,
                mien_engine** engine) {
    if (engine == nullptr) return MIEN_BAD_ARGUMENT;
    *engine = nullptr;
    mien::Config c;
    OpenedWeights opened;
    if (const Status s = translate(config, c); s != Status::ok) return static_cast<int>(s);
    if (const Status s = open(weights, opened); s != Status::ok) return static_cast<int>(s);
    const std::size_t rest = mien::Engine::required_bytes(c, weights_of(opened));
    if (rest == 0) {
        mien::Engine none;  // says what is wrong
        return static_cast<int>(mien::Engine::create(c, weights_of(opened), {}, none));
    }
    return create(opened, rest, memory, bytes, engine,
                  [&](mien_engine& handle, std::span<std::byte> place) {
                      return mien::Engine::create(c, weights_of(handle), place, handle.engine);
                  });
}

int mien_process(mien_engine* engine, const mien_frame* frame, size_t* count) {
    mien::Frame view;
    if (count != nullptr) *count = 0;
    if (engine == nullptr || !translate(frame, view)) return MIEN_BAD_ARGUMENT;
    return done(engine, engine->engine.process(view, engine->faces), count);
}

int mien_detect(mien_engine* engine, const mien_frame* frame, const mien_rect* area,
                const mien_detector_options* options, size_t* count) {
    mien::Frame view;
    if (count != nullptr) *count = 0;
    if (engine == nullptr || !translate(frame, view)) return MIEN_BAD_ARGUMENT;
    if (options == nullptr && area == nullptr)
        return done(engine, engine->engine.detect(view, engine->faces), count);
    mien::DetectorOptions search = engine->engine.detector_options();
    if (options != nullptr) {
        mien_detector_options o;
        if (!read(options, default_options(), o)) return MIEN_BAD_ARGUMENT;
        search = {o.scale_factor, o.min_neighbors, o.min_size,  o.max_size,
                  o.min_score,    o.min_height,    o.max_height};
    }
    const mien::Rect part = area != nullptr ? translate(*area) : bounds(view);
    return done(engine, engine->engine.detect(view, part, search, engine->faces), count);
}

int mien_classify(mien_engine* engine, const mien_frame* frame, const mien_rect* box) {
    mien::Frame view;
    if (engine == nullptr || box == nullptr || !translate(frame, view)) return MIEN_BAD_ARGUMENT;
    const Status status = engine->engine.classify(view, translate(*box), engine->one);
    engine->faces = {&engine->one, 1};
    return done(engine, status, nullptr);
}

int mien_classify_crop(mien_engine* engine, const mien_frame* crop) {
    mien::Frame view;
    if (engine == nullptr || !translate(crop, view)) return MIEN_BAD_ARGUMENT;
    const Status status = engine->engine.classify_crop(view, engine->one);
    engine->faces = {&engine->one, 1};
    return done(engine, status, nullptr);
}

int mien_face_at_sized(const mien_engine* engine, size_t i, mien_face* face, size_t bytes) {
    if (engine == nullptr || i >= engine->faces.size()) return MIEN_BAD_ARGUMENT;
    const mien::Face& f = engine->faces[i];
    mien_face value = {0,           f.box.x, f.box.y, f.box.width, f.box.height,
                       f.neighbors, f.score, 0,       {},          f.stage_weight};
    put_landmarks(f.landmarks, value);
    return write(value, face, bytes) ? MIEN_OK : MIEN_BAD_ARGUMENT;
}

int mien_reading_at_sized(const mien_engine* engine, size_t i, int head, mien_reading* reading,
                          size_t bytes) {
    if (engine == nullptr || i >= engine->faces.size() || head < 0 || head >= MIEN_MAX_HEADS)
        return MIEN_BAD_ARGUMENT;
    const mien::Reading r = engine->faces[i][head_of(head)];
    mien_reading value = {};
    put_reading(r, model_of(engine, head), value);
    return write(value, reading, bytes) ? MIEN_OK : MIEN_BAD_ARGUMENT;
}

size_t mien_label(const mien_engine* engine, int head, int i, char* text, size_t bytes) {
    return copy_label(model_of(engine, head), i, text, bytes);
}

int mien_class_count(const mien_engine* engine, int head) {
    const mien::Model* const model = model_of(engine, head);
    return model != nullptr ? model->class_count() : 0;
}

size_t mien_unit(const mien_engine* engine, int head, char* text, size_t bytes) {
    return copy_unit(model_of(engine, head), text, bytes);
}

float mien_unsure_below(const mien_engine* engine, int head) {
    return engine != nullptr ? engine->engine.unsure_below(head_of(head)) : 0;
}

int mien_class_map(const mien_engine* engine, int head, int class_index, float* out, size_t count,
                   int32_t* width, int32_t* height) {
    const mien::Model* const model = model_of(engine, head);
    if (model == nullptr) return MIEN_BAD_ARGUMENT;
    const mien::MapSize size = model->class_map_size();
    if (width != nullptr) *width = size.width;
    if (height != nullptr) *height = size.height;
    if (out == nullptr) return size.count() > 0 ? MIEN_OK : MIEN_BAD_ARGUMENT;
    return static_cast<int>(engine->engine.class_map(head_of(head), class_index, {out, count}));
}

void mien_timings_of_sized(const mien_engine* engine, mien_timings* timings, size_t bytes) {
    mien_timings value = {};
    if (engine != nullptr) {
        const mien::Timings& t = engine->engine.timings();
        value.gray = t.gray;
        value.detect = t.detect;
        value.crop = t.crop;
        value.total = t.total;
        std::copy_n(t.heads, mien::max_heads, value.heads);
    }
    write(value, timings, bytes);
}

int mien_verify(const void* file, size_t file_bytes, uint32_t isa, void* memory,
                size_t memory_bytes, size_t* bytes_needed) {
    mien::Model model;
    if (bytes_needed != nullptr) *bytes_needed = 0;
    if (file == nullptr) return MIEN_BAD_ARGUMENT;
    if (const Status s = open_network(mien_file{file, file_bytes}, 1, model); s != Status::ok)
        return static_cast<int>(s);
    if (bytes_needed != nullptr) *bytes_needed = mien::verify_required_bytes(model);
    if (memory == nullptr) return bytes_needed != nullptr ? MIEN_OK : MIEN_BAD_ARGUMENT;
    mien::VerifyReport report;
    return static_cast<int>(mien::verify(model, static_cast<mien::Isa>(std::min(isa, 255u)),
                                         {static_cast<std::byte*>(memory), memory_bytes}, report));
}

// ------------------------------------------------------------------------ tracker

size_t mien_tracker_required_bytes(const mien_config* config, const mien_tracker_config* tracking,
                                   const mien_weights* weights) {
    mien::TrackerConfig c;
    OpenedWeights opened;
    if (translate(config, tracking, c) != Status::ok || open(weights, opened) != Status::ok)
        return 0;
    return total_bytes<mien_tracker>(mien::Tracker::required_bytes(c, weights_of(opened)));
}

int mien_tracker_create(const mien_config* config, const mien_tracker_config* tracking,
                        const mien_weights* weights, void* memory, size_t bytes,
                        mien_tracker** tracker) {
    if (tracker == nullptr) return MIEN_BAD_ARGUMENT;
    *tracker = nullptr;
    mien::TrackerConfig c;
    OpenedWeights opened;
    if (const Status s = translate(config, tracking, c); s != Status::ok)
        return static_cast<int>(s);
    if (const Status s = open(weights, opened); s != Status::ok) return static_cast<int>(s);
    const std::size_t rest = mien::Tracker::required_bytes(c, weights_of(opened));
    if (rest == 0) return MIEN_BAD_ARGUMENT;
    return create(opened, rest, memory, bytes, tracker,
                  [&](mien_tracker& handle, std::span<std::byte> place) {
                      return mien::Tracker::create(c, weights_of(handle), place, handle.tracker);
                  });
}

int mien_tracker_process(mien_tracker* tracker, const mien_frame* frame, uint64_t time_ns,
                         size_t* count) {
    mien::Frame view;
    if (count != nullptr) *count = 0;
    if (tracker == nullptr || !translate(frame, view)) return MIEN_BAD_ARGUMENT;
    const Status status = tracker->tracker.process(view, time_ns, tracker->faces);
    if (count != nullptr) *count = tracker->faces.size();
    return static_cast<int>(status);
}

int mien_tracked_face_at_sized(const mien_tracker* tracker, size_t i, mien_tracked_face* face,
                               size_t bytes) {
    if (tracker == nullptr || i >= tracker->faces.size()) return MIEN_BAD_ARGUMENT;
    const mien::TrackedFace& f = tracker->faces[i];
    mien_tracked_face value = {0,           f.id,     f.box.x,  f.box.y, f.box.width, f.box.height,
                               f.neighbors, f.missed, f.frames, 0,       f.read_ns,   f.score,
                               0,           {}};
    put_landmarks(f.landmarks, value);
    return write(value, face, bytes) ? MIEN_OK : MIEN_BAD_ARGUMENT;
}

int mien_tracked_reading_at_sized(const mien_tracker* tracker, size_t i, int head,
                                  mien_tracked_reading* reading, size_t bytes) {
    if (tracker == nullptr || i >= tracker->faces.size() || head < 0 || head >= MIEN_MAX_HEADS)
        return MIEN_BAD_ARGUMENT;
    const mien::TrackedReading r = tracker->faces[i][head_of(head)];
    mien_tracked_reading value = {};
    value.smoothed = r.smoothed.data();
    value.label = r.label;
    put_reading(r, model_of(tracker, head), value);
    return write(value, reading, bytes) ? MIEN_OK : MIEN_BAD_ARGUMENT;
}

void mien_tracker_reset(mien_tracker* tracker) {
    if (tracker == nullptr) return;
    tracker->tracker.reset();
    tracker->faces = {};
}

size_t mien_tracker_label(const mien_tracker* tracker, int head, int i, char* text, size_t bytes) {
    return copy_label(model_of(tracker, head), i, text, bytes);
}

size_t mien_tracker_unit(const mien_tracker* tracker, int head, char* text, size_t bytes) {
    return copy_unit(model_of(tracker, head), text, bytes);
}
