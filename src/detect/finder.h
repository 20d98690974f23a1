// SPDX-License-Identifier: MIT
// The seam between the engine and its detectors. A detector has a room of its own (detect/haar/);
// this class holds the one that an engine has and knows what it wants of a frame. Another detector
// adds a member here, a case in place() and find(), and its search for the tracker (track/).
#pragma once

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "detect/detection.h"
#include "detect/haar/detector.h"
#include "image/gray.h"
#include "image/linear.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"

namespace mien {

class Finder {
public:
    // Takes its memory from the arena; while the arena only measures, nothing is written.
    void place(Arena& arena, const Config& config, const Weights& weights,
               const Kernels& kernels) noexcept;

    explicit operator bool() const noexcept { return kind_ != Kind::none; }
    // True when find() reads GrayView and not the frame.
    [[nodiscard]] bool wants_gray() const noexcept { return kind_ == Kind::haar; }

    // Faces inside `area` of a valid frame no larger than Config::max_width x max_height; `area` is
    // not empty and lies inside. `gray` is the gray of that area. Boxes are in pixels of the frame.
    // Valid until the next call.
    [[nodiscard]] std::span<const Detection> find(const Frame& frame, GrayView gray,
                                                  const Rect& area,
                                                  const DetectorOptions& options) noexcept;

    // Faces of the last call beyond Config::max_faces.
    [[nodiscard]] int dropped() const noexcept { return dropped_; }
    [[nodiscard]] const DetectorStats& stats() const noexcept { return haar_.stats(); }

private:
    enum class Kind : std::uint8_t { none, haar };

    std::span<const Detection> find_haar(GrayView gray, const Rect& area,
                                         const DetectorOptions& options) noexcept;

    Kind kind_ = Kind::none;
    HaarDetector haar_;
    // Config::detect_width: a wider area is shrunk to it before the search.
    int detect_width_ = 0;
    std::uint8_t* shrunk_ = nullptr;
    LinearScratch shrink_scratch_;
    const Kernels* kernels_ = nullptr;
    Detection* moved_ = nullptr;  // [max_faces] boxes in pixels of the frame
    int max_faces_ = 0;
    int dropped_ = 0;
};

}  // namespace mien
