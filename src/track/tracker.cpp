// SPDX-License-Identifier: MIT
// Which face is which from frame to frame, and where is it worth looking? (see mien/tracker.hpp)
//
// A frame is searched in three ways. Near each known face: a few sizes around its own, in a square
// twice as wide; so cheap that it is done in every frame. In parts: the sizes and rows of a full
// search are dealt out over the frames of a cycle, and a part that has two overlapping candidates
// is a hint, whose surroundings are searched at all near sizes and judged as in a full search. (A
// face of a full search has more than min_neighbors candidates in three or so neighbouring sizes,
// so one of these has two.) And in full: the first frame, and every full_every-th.
#include "mien/tracker.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "base/arena.h"
#include "image/gray.h"
#include "kernels/kernels.h"

namespace mien {
namespace {

constexpr int head_count = 2;
constexpr int mode_results = 10;  // of the original demos
constexpr int max_parts = 96;
// about; more: evener frames, more rows searched twice
constexpr int parts_a_cycle = 12;
// a pause after which nothing is where it was
constexpr std::uint64_t jump_ns = 1'000'000'000;
// a known face that never has the neighbours of a new one was none
constexpr std::uint64_t doubt_ns = 1'000'000'000;
// overlap (intersection over union) of a face in two frames
constexpr double same_face = 0.2;
constexpr double duplicate = 0.45;  // overlap of two boxes of one face

struct Track {
    TrackedFace face;
    int slot;  // its room for scores
    std::uint64_t found_ns, strong_ns;
    // Impl::frames when the networks were last asked; 0: never
    std::uint64_t read_frame;
    float speed_x, speed_y;   // pixels a frame
    int results[head_count];  // given by the networks so far
};

// Windows of some sizes in some rows: a part of a full search.
struct Part {
    // window widths, in pixels of the picture that is searched
    int min_size, max_size;
    int top, bottom;  // rows of the frame
    std::int64_t windows;
};

double overlap(const Rect& a, const Rect& b) noexcept {
    const int w = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
    const int h = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
    if (w <= 0 || h <= 0) return 0;
    const double both = static_cast<double>(w) * h;
    return both / (static_cast<double>(a.width) * a.height +
                   static_cast<double>(b.width) * b.height - both);
}

bool middle_inside(const Rect& inner, const Rect& outer) noexcept {
    const int x = inner.x + inner.width / 2, y = inner.y + inner.height / 2;
    return x >= outer.x && x < outer.x + outer.width && y >= outer.y && y < outer.y + outer.height;
}
// The same face seen twice: much overlap, or a box inside of the other's middle that is not much
// smaller.
bool same_place(const Rect& a, const Rect& b) noexcept {
    const bool similar = a.width * 2 > b.width && b.width * 2 > a.width;
    return overlap(a, b) > duplicate || (similar && middle_inside(a, b) && middle_inside(b, a));
}

bool valid(const TrackerConfig& config) noexcept {
    return config.max_tracks >= 1 && config.max_tracks <= 4096 && config.full_every >= 0 &&
           config.keep_neighbors >= 0 && config.average_weight > 0 && config.average_weight <= 1 &&
           config.smoothing <= Smoothing::average;
}

int rounded(double v) noexcept { return static_cast<int>(std::lrint(v)); }

}  // namespace

struct Tracker::Impl {
    struct Head {
        int classes;            // 0: no model
        float *raw, *smoothed;  // [max_tracks][classes]
        std::int32_t* labels;   // [max_tracks][mode_results], a ring
        float* maps;            // [max_tracks][map_size], if asked for
        MapSize map_size;
    };

    TrackerConfig config;
    Cascade cascade;
    Engine engine;
    const Kernels* kernels;
    Head heads[head_count];
    bool gray_is_enough;  // no model wants colour
    std::uint8_t* gray;
    Track* tracks;
    TrackedFace* out;
    Rect* hints;
    bool* slot_used;
    int track_count;
    std::uint32_t next_id;
    TrackerStats stats;

    // Of the stream.
    int width, height;
    std::uint64_t last_ns, frames;
    bool begun;
    Part parts[max_parts];
    int part_count, next_part;
    double credit;  // windows of parts that are due
    double ns_a_window;

    // Of the frame.
    Frame frame, view;  // as given; gray
    std::uint64_t now, start;

    static Impl* place(Arena& arena, const TrackerConfig& config, const Cascade& cascade,
                       const Model* emotion, const Model* gender,
                       std::span<std::byte>& engine_memory) noexcept;

    [[nodiscard]] std::uint64_t clock() const noexcept {
        return config.engine.clock_ns != nullptr ? config.engine.clock_ns() : 0;
    }
    [[nodiscard]] double shrink(int w) const noexcept {
        const int limit = config.engine.detect_width;
        return limit > 0 && w > limit ? static_cast<double>(limit) / w : 1;
    }
    [[nodiscard]] int neighbors_of_new() const noexcept {
        return std::max(config.engine.detector.min_neighbors, 1);
    }
    [[nodiscard]] bool over_budget(double more_ns) const noexcept {
        return config.budget_ns > 0 && static_cast<double>(clock() - start) + more_ns >
                                           static_cast<double>(config.budget_ns);
    }

    void begin_stream() noexcept;
    void plan_parts() noexcept;
    std::span<const Face> search(const Rect& area, double min_size, double max_size,
                                 int min_neighbors) noexcept;
    std::span<const Face> search_near(const Rect& box, double grow, double smaller, double larger,
                                      int min_neighbors) noexcept;
    void follow() noexcept;
    void search_full() noexcept;
    void search_parts() noexcept;
    void follow_hint(const Rect& hint) noexcept;
    void found(Track& track, const Face& face) noexcept;
    void add(const Face& face) noexcept;
    void remove(int i) noexcept;
    void forget() noexcept;
    void read_faces() noexcept;
    void read(Track& track) noexcept;
    void smooth(Track& track, int h, std::span<const float> result) noexcept;
    std::span<const TrackedFace> report() noexcept;
};

Tracker::Impl* Tracker::Impl::place(Arena& arena, const TrackerConfig& config,
                                    const Cascade& cascade, const Model* emotion,
                                    const Model* gender,
                                    std::span<std::byte>& engine_memory) noexcept {
    Impl* const memory = arena.take<Impl>(1);
    Impl measured{};
    Impl* const self = memory != nullptr ? new (memory) Impl{} : &measured;
    self->config = config;
    self->cascade = cascade;
    self->kernels = &kernels_for(config.engine.isa);
    const auto room = static_cast<std::size_t>(config.max_tracks);
    self->tracks = arena.take<Track>(room);
    self->out = arena.take<TrackedFace>(room);
    self->hints = arena.take<Rect>(room);
    self->slot_used = arena.take<bool>(room);
    self->gray = arena.take<std::uint8_t>(static_cast<std::size_t>(config.engine.max_width) *
                                          static_cast<std::size_t>(config.engine.max_height));
    self->gray_is_enough = true;
    const Model* const models[head_count] = {emotion, gender};
    for (int h = 0; h < head_count; ++h) {
        if (models[h] == nullptr) continue;
        Head& head = self->heads[h];
        head.classes = models[h]->class_count();
        if (models[h]->input_channels() != 1) self->gray_is_enough = false;
        const std::size_t scores = room * static_cast<std::size_t>(head.classes);
        head.raw = arena.take<float>(scores);
        head.smoothed = arena.take<float>(scores);
        head.labels = arena.take<std::int32_t>(room * mode_results);
        if (config.engine.class_maps) {
            head.map_size = models[h]->class_map_size();
            head.maps = head.map_size.count() > 0 ? arena.take<float>(room * head.map_size.count())
                                                  : nullptr;
        }
    }
    const std::size_t engine_bytes =
        Engine::required_bytes(config.engine, &cascade, emotion, gender);
    std::byte* const bytes = arena.take<std::byte>(engine_bytes);
    engine_memory = {bytes, bytes != nullptr ? engine_bytes : 0};
    self->next_id = 1;
    if (memory != nullptr) {
        std::fill_n(self->slot_used, room, false);
        for (std::size_t i = 0; i < room; ++i) new (self->tracks + i) Track{};
    }
    return memory;
}

std::size_t Tracker::required_bytes(const TrackerConfig& config, const Cascade* cascade,
                                    const Model* emotion, const Model* gender) noexcept {
    if (!valid(config) || cascade == nullptr ||
        Engine::required_bytes(config.engine, cascade, emotion, gender) == 0)
        return 0;
    Arena arena;
    std::span<std::byte> engine_memory;
    Impl::place(arena, config, *cascade, emotion, gender, engine_memory);
    return arena.required_bytes();
}

Status Tracker::create(const TrackerConfig& config, const Cascade* cascade, const Model* emotion,
                       const Model* gender, std::span<std::byte> memory, Tracker& out) noexcept {
    const std::size_t required = required_bytes(config, cascade, emotion, gender);
    if (required == 0 || memory.data() == nullptr) return Status::bad_argument;
    if (memory.size() < required) return Status::too_small;
    Arena arena(memory.data(), memory.size());
    std::span<std::byte> engine_memory;
    Impl* const impl = Impl::place(arena, config, *cascade, emotion, gender, engine_memory);
    if (impl == nullptr) return Status::too_small;
    const Status status =
        Engine::create(config.engine, cascade, emotion, gender, engine_memory, impl->engine);
    if (status == Status::ok) out.impl_ = impl;
    return status;
}

// ----------------------------------------------------------------- where to look

void Tracker::Impl::begin_stream() noexcept {
    forget();
    width = frame.width;
    height = frame.height;
    credit = 0;
    next_part = 0;
    frames = 0;
    plan_parts();
}

// Deals the windows of a full search out to parts of about the same number of windows.
void Tracker::Impl::plan_parts() noexcept {
    const DetectorOptions& options = config.engine.detector;
    const double scale = shrink(width);
    const int w = std::max(1, rounded(width * scale)), h = std::max(1, rounded(height * scale));
    part_count = 0;
    const auto windows_at = [&](double factor) {
        const std::int64_t columns = std::lrint(w / factor) + 1 - cascade.window_width(),
                           rows = std::lrint(h / factor) + 1 - cascade.window_height();
        const std::int64_t step = factor >= 2 ? 1 : 2;
        return columns <= 0 || rows <= 0
                   ? 0
                   : ((columns + step - 1) / step) * ((rows + step - 1) / step);
    };
    const auto each_size = [&](auto&& visit) {
        for (double factor = 1; rounded(cascade.window_width() * factor) <= w &&
                                rounded(cascade.window_height() * factor) <= h;
             factor *= options.scale_factor) {
            const int size = rounded(cascade.window_width() * factor);
            if (options.max_size > 0 &&
                std::max(size, rounded(cascade.window_height() * factor)) > options.max_size)
                break;
            if (std::min(size, rounded(cascade.window_height() * factor)) >= options.min_size)
                visit(factor, size);
        }
    };
    std::int64_t total = 0;
    each_size([&](double factor, int) { total += windows_at(factor); });
    stats.full_windows = total;
    const std::int64_t share = std::max<std::int64_t>(total / parts_a_cycle, 1);
    Part open = {0, 0, 0, height, 0};
    const auto close = [&] {
        if (open.windows > 0 && part_count < max_parts) parts[part_count++] = open;
        open = {0, 0, 0, height, 0};
    };
    each_size([&](double factor, int size) {
        const std::int64_t windows = windows_at(factor);
        const int bands =
            static_cast<int>(std::min<std::int64_t>((windows + share / 2) / share, 16));
        if (bands >= 2) {
            close();
            // Bands overlap by a window and a quarter, so that candidates that belong together are
            // together in one.
            const double window = cascade.window_height() * factor / scale,
                         rows = std::max(height - window, 1.0);
            for (int band = 0; band < bands && part_count < max_parts; ++band) {
                const int top = rounded(rows * band / bands),
                          bottom = std::min(height,
                                            rounded(rows * (band + 1) / bands + 1.25 * window) + 2);
                parts[part_count++] = {size, size, top, bottom, windows / bands};
            }
            return;
        }
        if (open.windows > 0 && open.windows + windows > share * 5 / 4) close();
        if (open.windows == 0) open.min_size = size;
        open.max_size = size;
        open.windows += windows;
    });
    close();
}

// Faces inside of `area` (which is cut to the frame); sizes are in pixels of the frame.
std::span<const Face> Tracker::Impl::search(const Rect& area, double min_size, double max_size,
                                            int min_neighbors) noexcept {
    const int left = std::clamp(area.x, 0, width), top = std::clamp(area.y, 0, height);
    const int right = std::clamp(area.x + area.width, left, width),
              bottom = std::clamp(area.y + area.height, top, height);
    if (right - left < 2 || bottom - top < 2) return {};
    const double scale = shrink(right - left);
    DetectorOptions options = config.engine.detector;
    const int smallest = std::max(options.min_size, 1),
              largest = options.max_size > 0 ? options.max_size : max_frame_side;
    options.min_size = std::max(smallest, rounded(min_size * scale));
    options.max_size = std::min(largest, std::max(rounded(max_size * scale), 1));
    if (options.max_size < options.min_size) return {};
    options.min_neighbors = min_neighbors;
    std::span<const Face> faces;
    const Frame part = {view.data + top * view.stride_bytes + left, right - left, bottom - top,
                        view.stride_bytes, PixelFormat::gray8};
    const std::uint64_t before = clock();
    if (engine.detect(part, options, faces) != Status::ok) return {};
    const std::int64_t windows = engine.detector_stats().windows;
    stats.windows += windows;
    // small searches are mostly preparation
    if (windows > 2000 && config.engine.clock_ns != nullptr) {
        const double measured =
            static_cast<double>(clock() - before) / static_cast<double>(windows);
        ns_a_window = ns_a_window > 0 ? 0.9 * ns_a_window + 0.1 * measured : measured;
    }
    // Boxes of the part as boxes of the frame: the span points into the engine, which is ours until
    // its next call.
    for (const Face& face : faces) {
        Rect& box = const_cast<Face&>(face).box;
        box.x += left;
        box.y += top;
    }
    return faces;
}

std::span<const Face> Tracker::Impl::search_near(const Rect& box, double grow, double smaller,
                                                 double larger, int min_neighbors) noexcept {
    const int dx = rounded(box.width * grow), dy = rounded(box.height * grow);
    return search({box.x - dx, box.y - dy, box.width + 2 * dx, box.height + 2 * dy},
                  box.width * smaller, box.width * larger, min_neighbors);
}

// ------------------------------------------------------------------------ tracks

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
    t.box = face.box;
    t.neighbors = face.neighbors;
    t.missed = 0;
    track.found_ns = now;
    if (face.neighbors > config.engine.detector.min_neighbors) track.strong_ns = now;
}

void Tracker::Impl::add(const Face& face) noexcept {
    if (track_count == config.max_tracks) return;
    Track& track = tracks[track_count++] = {};
    while (slot_used[track.slot]) ++track.slot;
    slot_used[track.slot] = true;
    track.face.id = next_id++;
    track.face.box = face.box;
    track.face.neighbors = face.neighbors;
    track.found_ns = track.strong_ns = now;
}

void Tracker::Impl::remove(int i) noexcept {
    slot_used[tracks[i].slot] = false;
    std::copy(tracks + i + 1, tracks + track_count, tracks + i);
    --track_count;
}

void Tracker::Impl::forget() noexcept {
    while (track_count > 0) remove(track_count - 1);
}

// Looks for each known face where it should be now.
void Tracker::Impl::follow() noexcept {
    for (int i = 0; i < track_count; ++i) {
        Track& track = tracks[i];
        TrackedFace& face = track.face;
        Rect expected = face.box;
        const auto steps = static_cast<float>(std::min(face.missed, 3) + 1);
        expected.x += rounded(track.speed_x * steps);
        expected.y += rounded(track.speed_y * steps);
        ++stats.searches;
        const std::span<const Face> near = search_near(
            expected, 0.5 + 0.15 * std::min(face.missed, 4), 0.7, 1.45, config.keep_neighbors);
        const Face* best = nullptr;
        double best_overlap = same_face;
        for (const Face& candidate : near) {
            const double o =
                std::max(overlap(candidate.box, expected), overlap(candidate.box, face.box));
            bool taken = false;  // by one that is older: that is another face
            for (int k = 0; k < i; ++k)
                taken = taken || (tracks[k].face.missed == 0 &&
                                  same_place(candidate.box, tracks[k].face.box));
            if (o > best_overlap && !taken) {
                best_overlap = o;
                best = &candidate;
            }
        }
        ++face.age;
        if (best != nullptr)
            found(track, *best);
        else
            ++face.missed;
    }
}

// A full search: its faces are given to the known ones, best overlap first; those left over are
// new.
void Tracker::Impl::search_full() noexcept {
    stats.full = true;
    std::span<const Face> faces;
    const std::uint64_t before = clock();
    DetectorOptions options = config.engine.detector;
    options.min_neighbors = neighbors_of_new();
    if (engine.detect(view, options, faces) != Status::ok) return;
    stats.windows += engine.detector_stats().windows;
    stats.full_windows = engine.detector_stats().windows;
    if (stats.windows > 0 && config.engine.clock_ns != nullptr)
        ns_a_window = static_cast<double>(clock() - before) / static_cast<double>(stats.windows);
    // nothing else has looked for the known ones in this frame
    const bool only = config.full_every == 1;
    if (only) {
        for (int i = 0; i < track_count; ++i) {
            ++tracks[i].face.age;
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
        if (best < 0)
            add(face);
        else if (only || tracks[best].face.missed > 0) {
            if (only) --tracks[best].face.missed;
            found(tracks[best], face);
        }
    }
}

void Tracker::Impl::search_parts() noexcept {
    int hint_count = 0;
    for (int done = 0; done < part_count; ++done) {
        const Part& part = parts[next_part];
        const bool due = credit > 0,
                   affordable = !over_budget(ns_a_window * static_cast<double>(part.windows));
        // one a frame at least, or nobody new would ever be found
        if (!due || (done > 0 && !affordable)) break;
        credit -= static_cast<double>(part.windows);
        next_part = (next_part + 1) % part_count;
        ++stats.parts;
        const double scale = shrink(width);
        const std::span<const Face> faces = search({0, part.top, width, part.bottom - part.top},
                                                   part.min_size / scale, part.max_size / scale, 1);
        for (const Face& face : faces) {
            bool known = false;
            for (int i = 0; i < track_count && !known; ++i)
                known = same_place(face.box, tracks[i].face.box);
            for (int i = 0; i < hint_count && !known; ++i) known = same_place(face.box, hints[i]);
            if (!known && hint_count < config.max_tracks) hints[hint_count++] = face.box;
        }
    }
    for (int i = 0; i < hint_count; ++i) follow_hint(hints[i]);
}

void Tracker::Impl::follow_hint(const Rect& hint) noexcept {
    ++stats.hints;
    for (const Face& face : search_near(hint, 0.6, 0.55, 1.8, neighbors_of_new())) {
        // A face that was missed has come back, perhaps not quite where it was expected; else it is
        // new.
        Track* back = nullptr;
        bool known = false;
        for (int i = 0; i < track_count; ++i) {
            const double o = overlap(face.box, tracks[i].face.box);
            if (tracks[i].face.missed == 0)
                known = known || o > duplicate || same_place(face.box, tracks[i].face.box);
            else if (o > same_face / 2 && back == nullptr)
                back = tracks + i;
        }
        if (known) continue;
        if (back != nullptr)
            found(*back, face);
        else
            add(face);
    }
}

// ---------------------------------------------------------------------- readings

// The stalest first, within the budget; one at least.
void Tracker::Impl::read_faces() noexcept {
    if (heads[0].classes == 0 && heads[1].classes == 0) return;
    const std::uint64_t before = clock();
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
            stats.readings > 0 ? static_cast<double>(clock() - before) / stats.readings : 0;
        if (stats.readings > 0 && over_budget(each)) break;
        read(*stalest);
        ++stats.readings;
    }
}

void Tracker::Impl::read(Track& track) noexcept {
    Face face;
    track.read_frame = frames;
    if (engine.classify(gray_is_enough ? view : frame, track.face.box, face) != Status::ok) return;
    track.face.read_ns = now;
    smooth(track, 0, face.emotion);
    smooth(track, 1, face.gender);
}

void Tracker::Impl::smooth(Track& track, int h, std::span<const float> result) noexcept {
    Head& head = heads[h];
    TrackedReading& reading = h == 0 ? track.face.emotion : track.face.gender;
    if (head.classes == 0 || result.empty()) return;
    const auto classes = static_cast<std::size_t>(head.classes);
    float* const raw = head.raw + static_cast<std::size_t>(track.slot) * classes;
    float* const smoothed = head.smoothed + static_cast<std::size_t>(track.slot) * classes;
    std::int32_t* const labels = head.labels + static_cast<std::size_t>(track.slot) * mode_results;
    std::copy(result.begin(), result.end(), raw);
    const auto label = static_cast<std::int32_t>(std::max_element(raw, raw + classes) - raw);
    const bool first = track.results[h] == 0;
    labels[track.results[h] % mode_results] = label;
    ++track.results[h];
    const int kept = std::min(track.results[h], mode_results);
    switch (config.smoothing) {
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
    }
    // Among equals the one that was seen last.
    const float top = *std::max_element(smoothed, smoothed + classes);
    int best = static_cast<int>(std::max_element(smoothed, smoothed + classes) - smoothed);
    for (int i = 0; i < kept; ++i) {
        const int recent = labels[(track.results[h] - 1 - i) % mode_results];
        if (smoothed[recent] >= top) {
            best = recent;
            break;
        }
    }
    reading = {{raw, classes}, {smoothed, classes}, best, {}};
    if (head.maps == nullptr) return;
    const std::span<float> map(
        head.maps + static_cast<std::size_t>(track.slot) * head.map_size.count(),
        head.map_size.count());
    if (engine.class_map(h == 0 ? mien::Head::emotion : mien::Head::gender, best, map) ==
        Status::ok)
        reading.map = map;
}

std::span<const TrackedFace> Tracker::Impl::report() noexcept {
    for (int i = 0; i < track_count; ++i) out[i] = tracks[i].face;
    return {out, static_cast<std::size_t>(track_count)};
}

// ----------------------------------------------------------------------- a frame

Status Tracker::process(const Frame& given, std::uint64_t time_ns,
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
    t.start = t.clock();
    t.frame = given;
    t.now = time_ns;
    t.view = {given.data, given.width, given.height, given.stride_bytes, PixelFormat::gray8};
    if (!has_gray_plane(given.format)) {
        to_gray(given, t.kernels->image, t.gray);
        t.view.data = t.gray;
        t.view.stride_bytes = given.width;
    }
    const std::uint64_t searching = t.clock();
    t.stats.gray_ns = searching - t.start;
    const bool jumped = !t.begun || given.width != t.width || given.height != t.height ||
                        time_ns < t.last_ns || time_ns - t.last_ns > jump_ns;
    if (jumped) t.begin_stream();
    const std::uint64_t passed = jumped ? 0 : time_ns - t.last_ns;
    t.begun = true;
    t.last_ns = time_ns;

    const int every = t.config.full_every;
    const bool full = every > 0 ? t.frames % static_cast<std::uint64_t>(every) == 0
                                : t.frames == 0 && t.config.budget_ns == 0;
    ++t.frames;
    if (every != 1) t.follow();
    if (full) {
        t.search_full();
        t.credit = 0;
    } else {
        const double cycle = static_cast<double>(std::max<std::uint64_t>(t.config.cycle_ns, 1)),
                     all = static_cast<double>(t.stats.full_windows);
        t.credit =
            std::min(t.credit + all * std::max(static_cast<double>(passed) / cycle, 1e-3), all);
        t.search_parts();
    }
    // Lost: not found for long, never as clear as a new face, or a second box of an older one.
    for (int i = t.track_count - 1; i >= 0; --i) {
        const Track& track = t.tracks[i];
        bool gone =
            time_ns - track.found_ns > t.config.lost_ns || time_ns - track.strong_ns > doubt_ns;
        for (int k = 0; k < i && !gone; ++k)
            gone = overlap(track.face.box, t.tracks[k].face.box) > duplicate;
        if (gone) t.remove(i);
    }
    const std::uint64_t reading = t.clock();
    t.stats.detect_ns = reading - searching;
    t.read_faces();
    const std::uint64_t end = t.clock();
    t.stats.classify_ns = end - reading;
    t.stats.total_ns = end - t.start;
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
