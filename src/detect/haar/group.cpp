// SPDX-License-Identifier: MIT
// Formulas: cv::groupRectangles and cv::partition of OpenCV 4 (objdetect), as found by comparing
// results.
#include "detect/haar/group.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace mien {
namespace {

constexpr double eps = 0.2;

bool similar(const Rect& a, const Rect& b) noexcept {
    const double delta = eps * (std::min(a.width, b.width) + std::min(a.height, b.height)) * 0.5;
    return std::abs(a.x - b.x) <= delta && std::abs(a.y - b.y) <= delta &&
           std::abs(a.x + a.width - b.x - b.width) <= delta &&
           std::abs(a.y + a.height - b.y - b.height) <= delta;
}

// Is `a` (of `members_a` candidates) a weaker face inside `b`?
bool inside(const Rect& a, int members_a, const Rect& b, int members_b) noexcept {
    const int dx = static_cast<int>(std::lrint(b.width * eps)),
              dy = static_cast<int>(std::lrint(b.height * eps));
    return a.x >= b.x - dx && a.y >= b.y - dy && a.x + a.width <= b.x + b.width + dx &&
           a.y + a.height <= b.y + b.height + dy &&
           (members_b > std::max(3, members_a) || members_a < 3);
}

Rect clipped(const Rect& r, int width, int height) noexcept {
    const int x0 = std::max(r.x, 0), y0 = std::max(r.y, 0);
    return {x0, y0, std::min(r.x + r.width, width) - x0, std::min(r.y + r.height, height) - y0};
}

}  // namespace

void Candidates::place(Arena& arena, int capacity, bool weights) noexcept {
    const auto n = static_cast<std::size_t>(capacity);
    capacity_ = capacity;
    boxes_ = arena.take<Rect>(n);
    weights_ = weights ? arena.take<double>(n) : nullptr;
    parent_ = arena.take<std::int32_t>(n);
    classes_ = arena.take<Class>(n);
    detections_ = arena.take<Detection>(n);
}

std::int32_t Candidates::find_root(std::int32_t i) noexcept {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
}

// Classes in order of their first member. The smaller index is always the root, so it meets its
// class first.
int Candidates::form_classes() noexcept {
    for (int i = 0; i < count_; ++i) parent_[i] = i;
    for (int i = 0; i < count_; ++i)
        for (int k = 0; k < i; ++k) {
            if (!similar(boxes_[i], boxes_[k])) continue;
            const std::int32_t a = find_root(i), b = find_root(k);
            parent_[std::max(a, b)] = std::min(a, b);
        }
    int count = 0;
    for (int i = 0; i < count_; ++i) parent_[i] = find_root(i);
    for (int i = 0; i < count_; ++i) {
        // parent_ turns from "root" into "class" as we go: entries before i are classes already,
        // and a root is <= i.
        const bool is_root = parent_[i] == i;
        const std::int32_t index = is_root ? count++ : parent_[parent_[i]];
        if (is_root) classes_[index] = {0, 0, 0, 0, 0, i};
        parent_[i] = index;
        Class& c = classes_[index];
        const Rect& box = boxes_[i];
        c.x += box.x;
        c.y += box.y;
        c.width += box.width;
        c.height += box.height;
        ++c.members;
        if (weight(i) > weight(c.strongest)) c.strongest = i;
    }
    return count;
}

std::span<const Detection> Candidates::group(int min_neighbors, int frame_width,
                                             int frame_height) noexcept {
    int found = 0;
    const auto emit = [&](const Rect& box, int neighbors, int strongest) {
        const Rect inside_frame = clipped(box, frame_width, frame_height);
        if (inside_frame.width > 0 && inside_frame.height > 0)
            detections_[found++] = {inside_frame, neighbors, weight(strongest)};
    };
    if (min_neighbors <= 0) {
        for (int i = 0; i < count_; ++i) emit(boxes_[i], 1, i);
        return {detections_, static_cast<std::size_t>(found)};
    }
    const int class_count = form_classes();
    int kept = 0;
    for (int i = 0; i < class_count; ++i) {
        Class c = classes_[i];
        // so 5 neighbors means six candidates, as in OpenCV
        if (c.members <= min_neighbors) continue;
        const float inverse = 1.0f / static_cast<float>(c.members);
        for (std::int64_t* value : {&c.x, &c.y, &c.width, &c.height})
            *value = std::lrint(static_cast<float>(*value) * inverse);
        classes_[kept++] = c;
    }
    const auto box_of = [](const Class& c) {
        return Rect{static_cast<int>(c.x), static_cast<int>(c.y), static_cast<int>(c.width),
                    static_cast<int>(c.height)};
    };
    for (int i = 0; i < kept; ++i) {
        const Rect box = box_of(classes_[i]);
        bool weaker = false;
        for (int k = 0; k < kept && !weaker; ++k)
            weaker = k != i &&
                     inside(box, classes_[i].members, box_of(classes_[k]), classes_[k].members);
        if (!weaker) emit(box, classes_[i].members, classes_[i].strongest);
    }
    return {detections_, static_cast<std::size_t>(found)};
}

}  // namespace mien
