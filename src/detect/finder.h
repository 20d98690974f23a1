// SPDX-License-Identifier: MIT
// The seam between the engine and its detectors. A detector has a room of its own (detect/haar/,
// detect/net/); this class holds the one that an engine has and knows what it wants of a frame.
// Another detector adds a member here, a case in place() and find(), and its search for the tracker
// (track/).
#pragma once

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "detect/detection.h"
#include "detect/haar/detector.h"
#include "detect/net/face_net.h"
#include "image/gray.h"
#include "image/linear.h"
#include "kernels/kernels.h"
#include "mien/mien.hpp"

namespace mien {

class Finder {
public:
    // False when no frame of that size can be searched with these weights.
    [[nodiscard]] static bool fits(const Config& config, const Weights& weights) noexcept;
    // How the network searches each size.
    [[nodiscard]] static FaceNet::Turns turns_of(const Config& config) noexcept;
    // Takes its memory from the arena; while the arena only measures, nothing is written. fits()
    // holds.
    void place(Arena& arena, const Config& config, const Weights& weights,
               const Kernels& kernels) noexcept;

    explicit operator bool() const noexcept { return kind_ != Kind::none; }
    // True when find() reads GrayView and not the frame.
    [[nodiscard]] bool wants_gray() const noexcept { return kind_ == Kind::haar; }

    // Faces inside `area` of a valid frame no larger than Config::max_width x max_height; `area` is
    // not empty and lies inside. `gray` is the gray of that area, if wanted. Boxes are in pixels of
    // the frame. Valid until the next call. unsupported: see FaceNet::find().
    //
    // `side` > 0: the network searches the area at one size only, whose longer side is that, or the
    // longest that it has room for. 0: at the sizes that Config asks for.
    Status find(const Frame& frame, GrayView gray, const Rect& area, const DetectorOptions& options,
                int side, std::span<const FoundFace>& found) noexcept;

    // The sizes at which the network searches an area of that size; returns how many.
    static constexpr std::size_t max_sizes = 2;
    std::size_t net_sizes(int width, int height, FaceNet::Size (&sizes)[max_sizes]) const noexcept;

    // Faces of the last call beyond Config::max_faces.
    [[nodiscard]] int dropped() const noexcept { return dropped_; }
    [[nodiscard]] DetectorStats stats() const noexcept;

private:
    enum class Kind : std::uint8_t { none, haar, net };

    void find_haar(GrayView gray, const Rect& area, const DetectorOptions& options) noexcept;
    Status find_net(const Frame& frame, const Rect& area, const DetectorOptions& options,
                    int side) noexcept;
    // Takes a face, if there is room for it.
    void add(const FoundFace& face) noexcept;

    Kind kind_ = Kind::none;
    HaarDetector haar_;
    FaceNet net_;
    FaceNet::Size largest_ = {};             // that the network has room for
    int detect_width_ = 0, enlarge_to_ = 0;  // of Config
    std::uint8_t* shrunk_ = nullptr;
    LinearScratch shrink_scratch_;
    const Kernels* kernels_ = nullptr;
    FoundFace* found_ = nullptr;  // [max_faces] boxes in pixels of the frame
    Point* landmarks_ = nullptr;  // [max_faces][FaceNet::landmark_count]
    int max_faces_ = 0, count_ = 0, dropped_ = 0;
};

}  // namespace mien
