// SPDX-License-Identifier: MIT
// The arithmetic is that of docs/DETECTOR.md: single floats unless it says otherwise, each
// operation rounded on its own.
#include "detect/net/face_net.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/bytes.h"

namespace mien {
namespace {

using Candidate = FaceNet::Candidate;

// Channels of a cell.
enum Channel { of_class = 0, of_object = 1, center = 2, side = 4, landmark = 6 };
constexpr float largest_exponent = 8;  // of a box's side: e^8 cells

double sigmoid(double x) noexcept {
    const double e = portable_exp(-std::abs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

// No class or object value below this gives a score that rounds to `min_score` or more.
float least_value(float min_score) noexcept {
    const double m = static_cast<double>(min_score) * (1 - 0x1p-23), square = m * m;
    return static_cast<float>(std::log(square / (1 - square)) - 0.01);
}

bool before(const Candidate& a, const Candidate& b) noexcept {
    return a.score != b.score ? a.score > b.score : a.order < b.order;
}

bool suppresses(const Candidate& a, const Candidate& b, float overlap) noexcept {
    const float w = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x),
                h = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
    const float common = std::max(w, 0.0f) * std::max(h, 0.0f);
    return common > overlap * ((a.width * a.height + b.width * b.height) - common);
}

}  // namespace

InputSize FaceNet::padded(const Model& model, Size size) noexcept {
    return {round_up(size.width, model.input_multiple()),
            round_up(size.height, model.input_multiple())};
}

// Turned, a wide image is a high one.
InputSize FaceNet::largest_input(const Model& model, Size largest, Turns turns) noexcept {
    const int longer = std::max(largest.width, largest.height);
    return padded(model, turns == Turns::all ? Size{longer, longer} : largest);
}

bool FaceNet::fits(const Model& model, Size largest, Turns turns) noexcept {
    return model.finds_faces() && largest.width >= 1 && largest.height >= 1 &&
           largest.width <= max_frame_side && largest.height <= max_frame_side &&
           ModelAccess{model}.accepts(largest_input(model, largest, turns));
}

void FaceNet::place(Arena& arena, const Model& model, Size largest, Turns turns, int max_candidates,
                    const Kernels& kernels, const Executor& executor, const Stop& stop) noexcept {
    kernels_ = &kernels;
    const InputSize input = largest_input(model, largest, turns);
    network_.place(arena, model, kernels, input, executor, stop);
    for (int t = 0; t < network_.threads(); ++t) scratch_[t].place(arena, input.width, 3);
    max_candidates_ = max_candidates;
    room_ = arena.take<Candidate>(static_cast<std::size_t>(max_candidates));
    turns_ = turns;
    if (turns == Turns::all)
        upright_ = arena.take<std::uint8_t>(3 * static_cast<std::size_t>(largest.width) *
                                            static_cast<std::size_t>(largest.height));
}

Status FaceNet::find(const Frame& frame, const Rect& area, std::span<const Size> sizes,
                     float min_score, std::span<const Candidate>& found) noexcept {
    found = {};
    seen_ = kept_ = 0;
    pixels_ = 0;
    const Model& model = network_.model();
    const ModelAccess access{model};
    if (min_score == 0) min_score = access.default_score(frame.format);
    const float least = least_value(min_score);
    for (const Size size : sizes) {
        View view = {size, 0, static_cast<float>(area.width) / static_cast<float>(size.width),
                     static_cast<float>(area.height) / static_cast<float>(size.height)};
        if (turns_ == Turns::all)
            resize_linear(frame, area, 3, size.width, size.height, kernels_->image, scratch_[0],
                          upright_);
        for (; view.turn < static_cast<int>(turns_); ++view.turn) {
            const Size seen = view.turn % 2 != 0 ? Size{size.height, size.width} : size;
            const InputSize input = padded(model, seen);
            if (!access.accepts(input)) return Status::unsupported;
            pixels_ += std::int64_t{input.width} * input.height;
            network_.resize(input);
            Look look = {*this, frame, area, view};
            const Network::Filler filler = {[](void* context, int first, int end, int thread) {
                                                const Look& at = *static_cast<const Look*>(context);
                                                at.net.fill(at, first, end, thread);
                                            },
                                            &look};
            if (!network_.run_filled(seen.width, seen.height, filler, nullptr))
                return Status::stopped;
            for (int i = 0; i < access.level_count(); ++i) {
                const ModelAccess::FaceLevel level = access.level(i);
                decode(network_.result(level.layer), level.stride, view, min_score, least);
            }
        }
    }
    found = choose();
    return Status::ok;
}

// Rows of what the network is given.
void FaceNet::fill(const Look& look, int first, int end, int thread) noexcept {
    if (turns_ == Turns::all) return fill_turned(look.view, first, end);
    const Network::InputRoom room = network_.input_room();
    resize_linear_rows(look.frame, look.area, 3, look.view.size.width, look.view.size.height, first,
                       end, kernels_->image, scratch_[thread], room.data, room.stride);
}

// Writes the upright image, turned, where the network reads its input.
void FaceNet::fill_turned(const View& view, int first, int end) noexcept {
    const int w = view.size.width, h = view.size.height;
    const std::ptrdiff_t row = std::ptrdiff_t{3} * w, last_row = (h - 1) * row, last = row - 3;
    // Where the turned image begins; the steps along one of its rows, and from row to row.
    struct Walk {
        std::ptrdiff_t begin, along, down;
        int width;
    };
    const Walk walks[] = {
        {0, 3, row, w}, {last_row, -row, 3, h}, {last_row + last, -3, -row, w}, {last, row, -3, h}};
    const Walk& walk = walks[view.turn];
    const Network::InputRoom room = network_.input_room();
    for (int y = first; y < end; ++y) {
        std::ptrdiff_t from = walk.begin + y * walk.down;
        std::uint8_t* to = room.data + y * room.stride;
        for (int x = 0; x < walk.width; ++x, from += walk.along, to += 3)
            std::copy_n(upright_ + from, 3, to);
    }
}

// From pixels of the turned image to those of the upright one.
void FaceNet::turn_back(const View& view, Candidate& c) noexcept {
    if (view.turn == 0) return;
    const auto w = static_cast<float>(view.size.width), h = static_cast<float>(view.size.height);
    const auto back = [&](Point p) -> Point {
        switch (view.turn) {
            case 1: return {p.y, h - p.x};
            case 2: return {w - p.x, h - p.y};
            default: return {w - p.y, p.x};
        }
    };
    const Point a = back({c.x, c.y}), b = back({c.x + c.width, c.y + c.height});
    c.x = std::min(a.x, b.x);
    c.y = std::min(a.y, b.y);
    if (view.turn != 2) std::swap(c.width, c.height);
    for (Point& p : c.landmarks) p = back(p);
}

void FaceNet::decode(const Network::Result& map, int stride, const View& view, float min_score,
                     float least) noexcept {
    const float* v = map.values;
    const auto s = static_cast<float>(stride);
    for (int row = 0; row < map.shape.height; ++row)
        for (int column = 0; column < map.shape.width; ++column, v += map.shape.channels) {
            if (v[of_class] < least || v[of_object] < least) continue;
            Candidate c;
            c.score = static_cast<float>(std::sqrt(sigmoid(static_cast<double>(v[of_class])) *
                                                   sigmoid(static_cast<double>(v[of_object]))));
            if (!(c.score >= min_score)) continue;
            const auto x = static_cast<float>(column), y = static_cast<float>(row);
            const auto length = [&](float logarithm) {
                const float bounded = std::clamp(logarithm, -largest_exponent, largest_exponent);
                return static_cast<float>(portable_exp(static_cast<double>(bounded))) * s;
            };
            c.width = length(v[side]);
            c.height = length(v[side + 1]);
            c.x = (x + v[center]) * s - c.width * 0.5f;
            c.y = (y + v[center + 1]) * s - c.height * 0.5f;
            for (int k = 0; k < landmark_count; ++k)
                c.landmarks[k] = {(x + v[landmark + 2 * k]) * s, (y + v[landmark + 2 * k + 1]) * s};
            turn_back(view, c);
            c.x *= view.scale_x;
            c.y *= view.scale_y;
            c.width *= view.scale_x;
            c.height *= view.scale_y;
            for (Point& p : c.landmarks) p = {p.x * view.scale_x, p.y * view.scale_y};
            c.order = static_cast<std::uint32_t>(seen_++);
            keep(c);
        }
}

// The best that there is room for: once that is full, a heap with the worst on top.
void FaceNet::keep(const Candidate& candidate) noexcept {
    if (kept_ < max_candidates_) {
        room_[kept_++] = candidate;
        if (kept_ == max_candidates_) std::make_heap(room_, room_ + kept_, before);
        return;
    }
    if (!before(candidate, room_[0])) return;
    std::pop_heap(room_, room_ + kept_, before);
    room_[kept_ - 1] = candidate;
    std::push_heap(room_, room_ + kept_, before);
}

// Best first; a box stays unless one that stays overlaps it too much.
std::span<const Candidate> FaceNet::choose() noexcept {
    const float overlap = ModelAccess{network_.model()}.overlap();
    std::sort(room_, room_ + kept_, before);
    int chosen = 0;
    for (int i = 0; i < kept_; ++i) {
        const bool goes = std::any_of(room_, room_ + chosen, [&](const Candidate& better) {
            return suppresses(better, room_[i], overlap);
        });
        if (!goes) room_[chosen++] = room_[i];
    }
    return {room_, static_cast<std::size_t>(chosen)};
}

}  // namespace mien
