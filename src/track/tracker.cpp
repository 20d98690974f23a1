// SPDX-License-Identifier: MIT
// Which face is which from frame to frame, and what its readings are over time (mien/tracker.hpp).
// Where faces are looked for is the search's business (track/search.h).
#include "mien/tracker.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <numbers>
#include <type_traits>

#include "base/arena.h"
#include "base/geometry.h"
#include "image/gray.h"
#include "kernels/kernels.h"
#include "nn/model_file.h"
#include "track/frame_timer.h"
#include "track/row_supply.h"
#include "track/search.h"
#include "track/smoothing.h"

namespace mien {
namespace {

constexpr int mode_results = 10;  // of the original demos
// After a pause that long nothing is where it was.
constexpr std::uint64_t jump_ns = 1'000'000'000;
// Drop a track that for so long was never as clear as a new face must be: a false positive.
constexpr std::uint64_t doubt_ns = 1'000'000'000;
// Overlap (intersection over union) of a face in two frames, and of two boxes of one face.
constexpr double same_face = 0.2, duplicate = 0.45;

struct Track {
    TrackedFace face;
    int slot;  // its room for readings
    std::uint64_t found_ns, clear_ns;
    // Impl::frames when the networks were last asked; 0: never
    std::uint64_t read_frame;
    float speed_x, speed_y;  // pixels per frame
    Rect searched;           // what near_known() was last asked for
    float best_quality;      // of the faces read lately
};

bool valid(const TrackerConfig& config) noexcept {
    return config.max_tracks >= 1 && config.max_tracks <= 4096 && config.full_every >= 0 &&
           config.keep_neighbors >= 0 && config.average_weight > 0 && config.average_weight <= 1 &&
           config.smoothing <= Smoothing::quality;
}

int rounded(double v) noexcept { return static_cast<int>(std::lrint(v)); }

}  // namespace

struct Tracker::Impl {
    struct HeadState {
        int classes;            // 0: no model
        bool quantity;          // Model::answers_quantity()
        float *raw, *smoothed;  // [max_tracks][classes]
        std::int32_t* labels;   // [max_tracks][mode_results], a ring
        int* results;           // [max_tracks] given by the network so far
        float* weights;         // [max_tracks] of the results in `smoothed`
        float* maps;            // [max_tracks][map_size], if asked for
        MapSize map_size;
    };

    TrackerConfig config;
    Engine engine;
    FrameTimer timer;
    RowSupply rows;
    Search search;
    HeadState* heads;  // [head_count]
    int head_count;
    const Model* detector;  // whose landmarks those of faces are; null for Haar
    bool gray_is_enough;    // no model wants color
    bool weighs;            // the quality of faces counts
    Track* tracks;
    TrackedFace* out;
    TrackedReading* readings;  // [max_tracks][head_count], by slot
    Rect* known_boxes;         // [max_tracks] scratch
    Point* landmarks;          // [max_tracks][landmark_count], by slot; null without network
    bool* slot_used;
    int track_count;
    std::uint32_t next_id;
    TrackerStats stats;

    // Of the stream.
    int width, height;
    std::uint64_t last_ns, frames;
    bool begun;

    // Of the frame.
    Frame frame;
    std::uint64_t now;

    static Impl* place(Arena& arena, const TrackerConfig& config, const Weights& weights,
                       std::span<std::byte>& engine_memory) noexcept;

    [[nodiscard]] TrackedReading* readings_of(const Track& track) const noexcept {
        return readings +
               static_cast<std::size_t>(track.slot) * static_cast<std::size_t>(head_count);
    }

    void begin_stream() noexcept;
    // Where a face should be in this frame.
    [[nodiscard]] static Rect expected(const Track& track) noexcept;
    // Rows first to last - 1.
    struct Rows {
        int first, last;
        void include(const Rows& other) noexcept {
            first = std::min(first, other.first);
            last = std::max(last, other.last);
        }
    };
    // That the networks read of a face.
    [[nodiscard]] Rows rows_of(const TrackedFace& face) const noexcept;
    bool need_known() noexcept;
    void follow() noexcept;
    // `only`: nothing else searches for the known ones in this frame.
    void search_everywhere(bool only) noexcept;
    // Boxes of the known faces, in known_boxes.
    std::span<const Rect> known(bool with_missed) noexcept;
    void look_for_new(std::uint64_t elapsed_ns) noexcept;
    void take_new(const Face& face) noexcept;
    void place_face(Track& track, const Face& face) noexcept;
    void found(Track& track, const Face& face) noexcept;
    void confirm(Track& track, const Face& face) noexcept;
    void add(const Face& face) noexcept;
    void remove(int i) noexcept;
    void remove_lost() noexcept;
    void forget() noexcept;
    void read_faces() noexcept;
    void read(Track& track) noexcept;
    void smooth(const Track& track, int h, std::span<const float> result, float quality) noexcept;
    void judge(Head head, bool before, TrackedReading& reading) const noexcept;
    float quality_of(Track& track) const noexcept;
    std::span<const TrackedFace> report() noexcept;
};

Tracker::Impl* Tracker::Impl::place(Arena& arena, const TrackerConfig& config,
                                    const Weights& weights,
                                    std::span<std::byte>& engine_memory) noexcept {
    static_assert(std::is_trivially_destructible_v<Impl>, "nobody calls its destructor");
    Impl* const memory = arena.take<Impl>(1);
    Impl measured{};
    Impl* const self = memory != nullptr ? new (memory) Impl{} : &measured;
    self->config = config;
    self->head_count = weights.head_count();
    const auto room = static_cast<std::size_t>(config.max_tracks);
    const auto head_room = static_cast<std::size_t>(self->head_count);
    self->tracks = arena.take<Track>(room);
    self->out = arena.take<TrackedFace>(room);
    self->readings = arena.take<TrackedReading>(room * head_room);
    self->known_boxes = arena.take<Rect>(room);
    self->slot_used = arena.take<bool>(room);
    self->landmarks =
        weights.detector != nullptr ? arena.take<Point>(room * ModelAccess::landmarks) : nullptr;
    self->timer = FrameTimer(config);
    self->search.place(arena, config, weights, kernels_for(config.engine.isa), self->engine,
                       self->timer, self->rows, self->stats);
    self->detector = weights.detector;
    self->gray_is_enough = true;
    self->weighs = config.smoothing == Smoothing::quality;
    self->heads = arena.take<HeadState>(head_room);
    for (int h = 0; h < self->head_count; ++h) {
        HeadState measured_head{};
        HeadState& head =
            self->heads != nullptr ? *new (self->heads + h) HeadState{} : measured_head;
        const Model* const model = weights.heads[h];
        if (model == nullptr) continue;
        head.classes = model->class_count();
        head.quantity = model->answers_quantity();
        if (head.quantity && config.smoothing == Smoothing::mode) self->weighs = true;
        if (model->input_channels() != 1) self->gray_is_enough = false;
        const std::size_t scores = room * static_cast<std::size_t>(head.classes);
        head.raw = arena.take<float>(scores);
        head.smoothed = arena.take<float>(scores);
        head.labels = arena.take<std::int32_t>(room * mode_results);
        head.results = arena.take<int>(room);
        head.weights = arena.take<float>(room);
        if (!config.engine.class_maps) continue;
        head.map_size = model->class_map_size();
        const std::size_t values = room * head.map_size.count();
        head.maps = values > 0 ? arena.take<float>(values) : nullptr;
    }
    const std::size_t engine_bytes = Engine::required_bytes(config.engine, weights);
    std::byte* const bytes = arena.take<std::byte>(engine_bytes);
    engine_memory = {bytes, bytes != nullptr ? engine_bytes : 0};
    self->next_id = 1;
    if (memory != nullptr) {
        std::fill_n(self->slot_used, room, false);
        for (std::size_t i = 0; i < room; ++i) new (self->tracks + i) Track{};
    }
    return memory;
}

std::size_t Tracker::required_bytes(const TrackerConfig& config, const Weights& weights) noexcept {
    if (!valid(config) || (weights.cascade == nullptr && weights.detector == nullptr) ||
        Engine::required_bytes(config.engine, weights) == 0)
        return 0;
    Arena arena;
    std::span<std::byte> engine_memory;
    Impl::place(arena, config, weights, engine_memory);
    return arena.required_bytes();
}

Status Tracker::create(const TrackerConfig& config, const Weights& weights,
                       std::span<std::byte> memory, Tracker& out) noexcept {
    const std::size_t required = required_bytes(config, weights);
    if (required == 0 || memory.data() == nullptr) return Status::bad_argument;
    if (memory.size() < required) return Status::too_small;
    Arena arena(memory.data(), memory.size());
    std::span<std::byte> engine_memory;
    Impl* const impl = Impl::place(arena, config, weights, engine_memory);
    if (impl == nullptr) return Status::too_small;
    Config engine = config.engine;
    engine.stop = {};  // a frame has a budget instead
    const Status status = Engine::create(engine, weights, engine_memory, impl->engine);
    if (status == Status::ok) out.impl_ = impl;
    return status;
}

void Tracker::Impl::begin_stream() noexcept {
    forget();
    width = frame.width;
    height = frame.height;
    frames = 0;
    search.begin_stream();
}

// ------------------------------------------------------------------------ tracks

void Tracker::Impl::place_face(Track& track, const Face& face) noexcept {
    TrackedFace& t = track.face;
    t.box = face.box;
    t.neighbors = face.neighbors;
    t.score = face.score;
    t.landmarks = {};
    if (landmarks == nullptr || face.landmarks.empty()) return;
    Point* const own = landmarks + std::ptrdiff_t{track.slot} * ModelAccess::landmarks;
    std::copy(face.landmarks.begin(), face.landmarks.end(), own);
    t.landmarks = {own, face.landmarks.size()};
}

void Tracker::Impl::found(Track& track, const Face& face) noexcept {
    TrackedFace& t = track.face;
    const auto frames_since = static_cast<float>(t.missed + 1);
    const auto moved = [&](int to, int to_size, int from, int from_size) {
        return (static_cast<float>(to - from) + 0.5f * static_cast<float>(to_size - from_size)) /
               frames_since;
    };
    track.speed_x =
        0.5f * track.speed_x + 0.5f * moved(face.box.x, face.box.width, t.box.x, t.box.width);
    track.speed_y =
        0.5f * track.speed_y + 0.5f * moved(face.box.y, face.box.height, t.box.y, t.box.height);
    place_face(track, face);
    t.missed = 0;
    track.found_ns = now;
    if (search.is_clear(face)) track.clear_ns = now;
}

// Another search of the same frame has found a known face again.
void Tracker::Impl::confirm(Track& track, const Face& face) noexcept {
    if (search.confirms_known() && search.is_clear(face)) track.clear_ns = now;
}

void Tracker::Impl::add(const Face& face) noexcept {
    if (track_count == config.max_tracks) return;
    Track& track = tracks[track_count++] = {};
    while (slot_used[track.slot]) ++track.slot;
    slot_used[track.slot] = true;
    track.face.id = next_id++;
    place_face(track, face);
    track.found_ns = track.clear_ns = now;
    std::fill_n(readings_of(track), head_count, TrackedReading{});
    track.face.readings = {readings_of(track), static_cast<std::size_t>(head_count)};
    for (int h = 0; h < head_count; ++h)
        if (heads[h].classes > 0)
            heads[h].results[track.slot] = 0, heads[h].weights[track.slot] = 0;
}

void Tracker::Impl::remove(int i) noexcept {
    slot_used[tracks[i].slot] = false;
    std::copy(tracks + i + 1, tracks + track_count, tracks + i);
    --track_count;
}

// Lost: not found for long, never as clear as a new face, or a second box of an older one.
void Tracker::Impl::remove_lost() noexcept {
    const std::uint64_t doubt =
        search.confirms_known() ? std::max(doubt_ns, 2 * config.cycle_ns) : doubt_ns;
    for (int i = track_count - 1; i >= 0; --i) {
        const Track& track = tracks[i];
        bool gone = now - track.found_ns > config.lost_ns || now - track.clear_ns > doubt;
        for (int k = 0; k < i && !gone; ++k)
            gone = overlap(track.face.box, tracks[k].face.box) > duplicate;
        if (gone) remove(i);
    }
}

void Tracker::Impl::forget() noexcept {
    while (track_count > 0) remove(track_count - 1);
}

Rect Tracker::Impl::expected(const Track& track) noexcept {
    Rect box = track.face.box;
    const auto steps = static_cast<float>(std::min(track.face.missed, 3) + 1);
    box.x += rounded(track.speed_x * steps);
    box.y += rounded(track.speed_y * steps);
    return box;
}

Tracker::Impl::Rows Tracker::Impl::rows_of(const TrackedFace& face) const noexcept {
    Rows read = {frame.height, 0};
    for (int h = 0; h < head_count; ++h) {
        const Model* const model = engine.model(static_cast<Head>(h));
        if (model == nullptr) continue;
        const TurnedRect crop =
            model->crop_of(face.box, face.landmarks, detector, frame.width, frame.height);
        const double angle = static_cast<double>(crop.degrees) * (std::numbers::pi / 180),
                     half = (crop.rect.height * std::abs(std::cos(angle)) +
                             crop.rect.width * std::abs(std::sin(angle))) /
                            2,
                     middle = crop.rect.y + crop.rect.height / 2.0;
        // A pixel for rounding of the square, one for the lower of two rows that are mixed. Beyond
        // the frame its edge is repeated.
        const auto inside = [&](double row) {
            return static_cast<int>(std::clamp(row, 0.0, static_cast<double>(frame.height - 1)));
        };
        read.include({inside(middle - half - 2), inside(middle + half + 3) + 1});
    }
    return read;
}

// All rows that the known faces will need, in one piece: where they are searched for, and what the
// networks read if they have moved as expected and a little more.
bool Tracker::Impl::need_known() noexcept {
    if (!rows.come_late()) return true;
    Rows wanted = {frame.height, 0};
    for (int i = 0; i < track_count; ++i) {
        Track& track = tracks[i];
        const Rect box = expected(track);
        if (!search.keeps_place(track.searched, box)) track.searched = box;
        const Rect area = search.near_area(track.searched, track.face.missed);
        if (area.height > 0) wanted.include({area.y, area.y + area.height});
        const int moved = std::abs(box.y - track.face.box.y), slack = moved + box.height / 16;
        const Rows read = rows_of(track.face);
        wanted.include({read.first - slack, read.last + slack});
    }
    return rows.need(wanted.first, wanted.last);
}

// Searches for each known face where it should be now.
void Tracker::Impl::follow() noexcept {
    for (int i = 0; i < track_count; ++i) {
        Track& track = tracks[i];
        TrackedFace& face = track.face;
        const Rect expected = Impl::expected(track);
        if (!search.keeps_place(track.searched, expected)) track.searched = expected;
        const std::span<const Face> near = search.near_known(track.searched, face.missed);
        const Face* best = nullptr;
        double best_overlap = same_face;
        for (const Face& candidate : near) {
            const double o =
                std::max(overlap(candidate.box, expected), overlap(candidate.box, face.box));
            bool taken = false;  // by an older one: that is another face
            for (int k = 0; k < i; ++k)
                taken = taken || (tracks[k].face.missed == 0 &&
                                  same_place(candidate.box, tracks[k].face.box));
            if (o > best_overlap && !taken) {
                best_overlap = o;
                best = &candidate;
            }
        }
        ++face.frames;
        if (best != nullptr)
            found(track, *best);
        else
            ++face.missed;
    }
}

// A full search: its faces are given to the known ones, best overlap first; those left over are
// new.
void Tracker::Impl::search_everywhere(bool only) noexcept {
    const std::span<const Face> faces = search.everywhere();
    if (only) {
        for (int i = 0; i < track_count; ++i) {
            ++tracks[i].face.frames;
            ++tracks[i].face.missed;
        }
    }
    const int known = track_count;
    for (const Face& face : faces) {
        int best = -1;
        double best_overlap = same_face;
        for (int i = 0; i < known; ++i) {
            const TrackedFace& t = tracks[i].face;
            const double o = overlap(face.box, t.box);
            if (o > best_overlap && !(only && t.missed == 0)) {
                best_overlap = o;
                best = i;
            }
        }
        if (best < 0) {
            if (search.may_begin(face)) add(face);
        } else if (only || tracks[best].face.missed > 0) {
            if (only) --tracks[best].face.missed;
            found(tracks[best], face);
        } else {
            confirm(tracks[best], face);
        }
    }
}

std::span<const Rect> Tracker::Impl::known(bool with_missed) noexcept {
    std::size_t count = 0;
    for (int i = 0; i < track_count; ++i)
        if (with_missed || tracks[i].face.missed == 0) known_boxes[count++] = tracks[i].face.box;
    return {known_boxes, count};
}

void Tracker::Impl::look_for_new(std::uint64_t elapsed_ns) noexcept {
    search.look_for_new(elapsed_ns, known(!search.confirms_known()),
                        [this](const Face& face) { take_new(face); });
}

// A missed face that has come back, possibly not where it was expected; otherwise a new one.
void Tracker::Impl::take_new(const Face& face) noexcept {
    Track* back = nullptr;
    bool is_known = false;
    for (int i = 0; i < track_count; ++i) {
        const double o = overlap(face.box, tracks[i].face.box);
        if (tracks[i].face.missed == 0) {
            const bool same = o > duplicate || same_place(face.box, tracks[i].face.box);
            if (same) confirm(tracks[i], face);
            is_known = is_known || same;
        } else if (o > same_face / 2 && back == nullptr)
            back = tracks + i;
    }
    if (is_known) return;
    if (back != nullptr)
        found(*back, face);
    else
        add(face);
}

// ---------------------------------------------------------------------- readings

// Oldest readings first, within the budget; at least one.
void Tracker::Impl::read_faces() noexcept {
    const auto reads = [](const HeadState& head) { return head.classes > 0; };
    if (std::none_of(heads, heads + head_count, reads)) return;
    const std::uint64_t before = timer.now();
    for (;;) {
        Track* stalest = nullptr;
        for (int i = 0; i < track_count; ++i) {
            Track& track = tracks[i];
            const bool due = track.face.missed == 0 && track.read_frame != frames;
            if (due && (stalest == nullptr || track.read_frame < stalest->read_frame))
                stalest = &track;
        }
        if (stalest == nullptr) break;
        const double each =
            stats.readings > 0 ? static_cast<double>(timer.now() - before) / stats.readings : 0;
        if (stats.readings > 0 && timer.over_budget(each)) break;
        read(*stalest);
        ++stats.readings;
    }
}

void Tracker::Impl::read(Track& track) noexcept {
    Face face;
    track.read_frame = frames;
    const Rows read = rows_of(track.face);
    if (!rows.need(read.first, read.last)) return;
    if (engine.classify(gray_is_enough ? search.gray(read.first, read.last) : frame, track.face.box,
                        track.face.landmarks, face) != Status::ok)
        return;
    track.face.read_ns = now;
    const float quality = weighs ? quality_of(track) : 1;
    for (int h = 0; h < head_count; ++h)
        smooth(track, h, face[static_cast<Head>(h)].probabilities, quality);
}

// Of the face read just now, beside the best lately.
float Tracker::Impl::quality_of(Track& track) const noexcept {
    const TrackedFace& face = track.face;
    Frame crop;
    for (int h = 0; h < head_count && crop.data == nullptr; ++h)
        crop = engine.last_crop(static_cast<Head>(h));
    const float sharpness = crop.data != nullptr ? sharpness_of(crop) : 1;
    return relative_quality(mien::quality_of(face.box, face.score, face.landmarks, sharpness),
                            track.best_quality);
}

void Tracker::Impl::smooth(const Track& track, int h, std::span<const float> result,
                           float quality) noexcept {
    const HeadState& head = heads[h];
    TrackedReading& reading = readings_of(track)[h];
    if (head.classes == 0 || result.empty()) return;
    const auto classes = static_cast<std::size_t>(head.classes);
    float* const raw = head.raw + static_cast<std::size_t>(track.slot) * classes;
    float* const smoothed = head.smoothed + static_cast<std::size_t>(track.slot) * classes;
    std::int32_t* const labels = head.labels + static_cast<std::size_t>(track.slot) * mode_results;
    std::copy(result.begin(), result.end(), raw);
    const auto label = static_cast<std::int32_t>(std::max_element(raw, raw + classes) - raw);
    int& results = head.results[track.slot];
    const bool first = results == 0;
    const int before = first ? -1 : reading.label;
    const bool unsure_before = !first && reading.unsure;
    labels[results % mode_results] = label;
    ++results;
    const int kept = std::min(results, mode_results);
    // The most frequent of many values says little of a quantity: its distribution is averaged.
    const Smoothing smoothing = config.smoothing == Smoothing::mode && head.quantity
                                    ? Smoothing::quality
                                    : config.smoothing;
    switch (smoothing) {
        case Smoothing::none: std::copy(raw, raw + classes, smoothed); break;
        case Smoothing::mode:
            std::fill_n(smoothed, classes, 0.0f);
            for (int i = 0; i < kept; ++i) smoothed[labels[i]] += 1;
            for (std::size_t c = 0; c < classes; ++c) smoothed[c] /= static_cast<float>(kept);
            break;
        case Smoothing::average:
            for (std::size_t c = 0; c < classes; ++c) {
                smoothed[c] =
                    first ? raw[c] : smoothed[c] + config.average_weight * (raw[c] - smoothed[c]);
            }
            break;
        case Smoothing::quality:
            add_weighted(result, config.average_weight * quality, {smoothed, classes},
                         head.weights[track.slot]);
            break;
    }
    // Among equals the most recent one.
    const float top = *std::max_element(smoothed, smoothed + classes);
    int best = static_cast<int>(std::max_element(smoothed, smoothed + classes) - smoothed);
    for (int i = 0; i < kept; ++i) {
        const int recent = labels[(results - 1 - i) % mode_results];
        if (smoothed[recent] >= top) {
            best = recent;
            break;
        }
    }
    if (smoothing == Smoothing::quality) best = steady_label({smoothed, classes}, before);
    reading = {};
    reading.probabilities = {raw, classes};
    reading.smoothed = {smoothed, classes};
    reading.label = best;
    judge(static_cast<Head>(h), unsure_before, reading);
    if (head.maps == nullptr) return;
    const std::span<float> map(
        head.maps + static_cast<std::size_t>(track.slot) * head.map_size.count(),
        head.map_size.count());
    if (engine.class_map(static_cast<Head>(h), best, map) == Status::ok) reading.map = map;
}

// What the reading says of itself. Shares of labels are no probabilities, so with them the last
// result decides.
void Tracker::Impl::judge(Head head, bool before, TrackedReading& reading) const noexcept {
    const bool shares = config.smoothing == Smoothing::mode,
               steady = config.smoothing == Smoothing::quality;
    const std::span<const float> p = shares ? reading.probabilities : reading.smoothed;
    const float probability = p[static_cast<std::size_t>(reading.label)],
                unsure_below = engine.unsure_below(head);
    reading.unsure = steady_unsure(probability, unsure_below, steady && before);
    reading.quantity = engine.model(head)->quantity(reading.smoothed);
}

std::span<const TrackedFace> Tracker::Impl::report() noexcept {
    for (int i = 0; i < track_count; ++i) out[i] = tracks[i].face;
    return {out, static_cast<std::size_t>(track_count)};
}

// ----------------------------------------------------------------------- a frame

Status Tracker::process(const Frame& given, const FrameRows& rows, std::uint64_t time_ns,
                        std::span<const TrackedFace>& faces) noexcept {
    faces = {};
    if (impl_ == nullptr) return Status::bad_argument;
    Impl& t = *impl_;
    if (!is_valid(given)) return Status::bad_argument;
    if (given.width > t.config.engine.max_width || given.height > t.config.engine.max_height)
        return Status::frame_too_large;
    const std::int64_t full_windows = t.stats.full_windows;
    t.stats = {};
    t.stats.full_windows = full_windows;
    t.timer.begin();
    t.frame = given;
    t.now = time_ns;
    t.rows.begin(given.height, rows, t.timer);
    if (t.search.wants_all_rows() && !t.rows.need_all()) return Status::stopped;
    t.search.begin_frame(given);
    const std::uint64_t searching = t.timer.now();
    t.stats.gray_ns = searching - t.timer.start();
    const bool jumped = !t.begun || given.width != t.width || given.height != t.height ||
                        time_ns < t.last_ns || time_ns - t.last_ns > jump_ns;
    if (jumped) t.begin_stream();
    const std::uint64_t elapsed = jumped ? 0 : time_ns - t.last_ns;
    t.begun = true;
    t.last_ns = time_ns;

    const int every = t.config.full_every;
    const bool full = every > 0 ? t.frames % static_cast<std::uint64_t>(every) == 0
                                : t.frames == 0 && t.config.budget_ns == 0;
    ++t.frames;
    const bool only = every == 1 || t.search.prefers_all(t.known(true));
    if (full || only ? !t.rows.need_all() : !t.need_known()) return Status::stopped;
    if (!only) t.follow();
    if (full || only)
        t.search_everywhere(only);
    else
        t.look_for_new(elapsed);
    t.remove_lost();
    const std::uint64_t reading = t.timer.now();
    t.stats.detect_ns = reading - searching;
    t.read_faces();
    const std::uint64_t end = t.timer.now();
    t.stats.classify_ns = end - reading;
    t.stats.total_ns = end - t.timer.start();
    t.stats.rows_ns = t.timer.left_out();
    if (t.rows.failed()) return Status::stopped;
    faces = t.report();
    return Status::ok;
}

void Tracker::reset() noexcept {
    if (impl_ == nullptr) return;
    impl_->forget();
    impl_->begun = false;
}

const TrackerStats& Tracker::stats() const noexcept {
    static constexpr TrackerStats none{};
    return impl_ != nullptr ? impl_->stats : none;
}

Engine* Tracker::engine() noexcept { return impl_ != nullptr ? &impl_->engine : nullptr; }

}  // namespace mien
