// SPDX-License-Identifier: MIT
// Merges candidate windows of the same face: OpenCV's groupRectangles(eps = 0.2).
#pragma once

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "detect/detection.h"
#include "mien/mien.hpp"

namespace mien {

// Raw candidates of one frame and the scratch to group them.
class Candidates {
public:
    // weights: candidates have one, and faces the highest of theirs.
    void place(Arena& arena, int capacity, bool weights) noexcept;

    void clear() noexcept { count_ = dropped_ = 0; }
    void add(const Rect& box, double weight) noexcept {
        if (count_ == capacity_) {
            ++dropped_;
            return;
        }
        if (weights_ != nullptr) weights_[count_] = weight;
        boxes_[count_++] = box;
    }
    [[nodiscard]] int count() const noexcept { return count_; }
    void drop(int count) noexcept { dropped_ += count; }
    // Candidates dropped for lack of room; results may then differ from OpenCV's.
    [[nodiscard]] int dropped() const noexcept { return dropped_; }

    // Classes of similar candidates with more than `min_neighbors` members, averaged and clipped to
    // the frame, in order of their first candidate; with min_neighbors 0 every candidate. Valid
    // until the next call.
    [[nodiscard]] std::span<const Detection> group(int min_neighbors, int frame_width,
                                                   int frame_height) noexcept;

private:
    struct Class {
        std::int64_t x, y, width, height;  // sums, then averages
        std::int32_t members;
        std::int32_t strongest;  // member of the highest weight
    };
    [[nodiscard]] double weight(int i) const noexcept {
        return weights_ != nullptr ? weights_[i] : 0;
    }
    std::int32_t find_root(std::int32_t i) noexcept;
    int form_classes() noexcept;

    Rect* boxes_ = nullptr;
    double* weights_ = nullptr;
    std::int32_t* parent_ = nullptr;  // union-find over candidates; then the class of each root
    Class* classes_ = nullptr;
    Detection* detections_ = nullptr;
    int capacity_ = 0, count_ = 0, dropped_ = 0;
};

}  // namespace mien
