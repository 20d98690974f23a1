// SPDX-License-Identifier: MIT
#include "detect/finder.h"

#include <algorithm>
#include <cmath>

namespace mien {
namespace {

// detect_width means: shrink what is wider to it, keeping its shape.
struct SearchSize {
    int width, height;
    bool shrunk;
};
SearchSize search_size(int width, int height, int detect_width) noexcept {
    if (detect_width <= 0 || width <= detect_width) return {width, height, false};
    const double scaled = static_cast<double>(height) * detect_width / width;
    return {detect_width, std::max(static_cast<int>(std::lrint(scaled)), 1), true};
}

// enlarge_to means: enlarge what is smaller until its longer side has that length, at most twice,
// and never beyond detect_width.
FaceNet::Size net_size(int width, int height, int detect_width, int enlarge_to) noexcept {
    const SearchSize size = search_size(width, height, detect_width);
    const int longer = std::max(width, height), target = std::min(enlarge_to, 2 * longer);
    if (size.shrunk || target <= longer) return {size.width, size.height};
    const auto enlarged = [&](int side) {
        return static_cast<int>(std::floor(static_cast<double>(side) * target / longer + 0.5));
    };
    const FaceNet::Size larger = {enlarged(width), enlarged(height)};
    return detect_width > 0 && larger.width > detect_width ? FaceNet::Size{width, height} : larger;
}

// The area's shape with that longer side, or as large as `largest` allows.
FaceNet::Size size_with_side(int width, int height, int side, FaceNet::Size largest) noexcept {
    const double scale = std::min({static_cast<double>(side) / std::max(width, height),
                                   static_cast<double>(largest.width) / width,
                                   static_cast<double>(largest.height) / height});
    const auto scaled = [&](int length, int limit) {
        return std::clamp(static_cast<int>(std::floor(length * scale + 0.5)), 1, limit);
    };
    return {scaled(width, largest.width), scaled(height, largest.height)};
}

// Beyond this shorter side, a quarter of the image is searched as well: for faces that fill it.
constexpr int quarter_beyond = 400;
int quarter(int side) noexcept { return (side + 2) / 4; }

// Sides of what is searched at most, of any frame that the engine takes. A shrunk area is
// detect_width wide; a portrait one may then be as high as the limit allows.
FaceNet::Size largest_size(const Config& config, bool enlarges) noexcept {
    const bool shrinks = config.detect_width > 0 && config.detect_width < config.max_width;
    const int width = shrinks ? config.detect_width : config.max_width, height = config.max_height;
    if (!enlarges) return {width, height};
    const int longer = config.detect_width > 0 ? std::min(config.enlarge_to, config.detect_width)
                                               : config.enlarge_to;
    return {std::max(width, std::min(2 * width, longer)),
            std::max(height, std::min(2 * height, config.enlarge_to))};
}

int rescale(int v, int to, int from) noexcept {
    return static_cast<int>(std::lrint(static_cast<double>(v) * to / from));
}

}  // namespace

FaceNet::Turns Finder::turns_of(const Config& config) noexcept {
    return config.any_rotation ? FaceNet::Turns::all : FaceNet::Turns::none;
}

bool Finder::fits(const Config& config, const Weights& weights) noexcept {
    return weights.detector == nullptr ||
           FaceNet::fits(*weights.detector, largest_size(config, true), turns_of(config));
}

void Finder::place(Arena& arena, const Config& config, const Weights& weights,
                   const Kernels& kernels) noexcept {
    if (weights.cascade == nullptr && weights.detector == nullptr) return;
    kind_ = weights.detector != nullptr ? Kind::net : Kind::haar;
    kernels_ = &kernels;
    detect_width_ = config.detect_width;
    enlarge_to_ = config.enlarge_to;
    max_faces_ = config.max_faces;
    const auto faces = static_cast<std::size_t>(config.max_faces);
    found_ = arena.take<FoundFace>(faces);
    if (kind_ == Kind::net) {
        landmarks_ = arena.take<Point>(faces * FaceNet::landmark_count);
        largest_ = largest_size(config, true);
        net_.place(arena, *weights.detector, largest_, turns_of(config), config.max_candidates,
                   kernels, config.executor, config.stop);
        return;
    }
    const FaceNet::Size largest = largest_size(config, false);
    if (largest.width < config.max_width) {
        shrink_scratch_.place(arena, largest.width, 1);
        shrunk_ = arena.take<std::uint8_t>(static_cast<std::size_t>(largest.width) *
                                           static_cast<std::size_t>(largest.height));
    }
    haar_.place(arena, *weights.cascade,
                {.max_width = largest.width,
                 .max_height = largest.height,
                 .max_candidates = config.max_candidates,
                 .executor = config.executor,
                 .stop = config.stop,
                 .literal = false,
                 .stage_weights = config.stage_weights},
                kernels);
}

DetectorStats Finder::stats() const noexcept {
    if (kind_ != Kind::net) return haar_.stats();
    DetectorStats stats;
    stats.windows = net_.pixels();
    stats.candidates = net_.candidates();
    stats.candidates_dropped = net_.candidates_dropped();
    return stats;
}

Status Finder::find(const Frame& frame, GrayView gray, const Rect& area,
                    const DetectorOptions& options, int side,
                    std::span<const FoundFace>& found) noexcept {
    count_ = dropped_ = 0;
    found = {};
    if (kind_ == Kind::haar) {
        find_haar(gray, area, options);
        if (haar_.stopped()) return Status::stopped;
    }
    if (kind_ == Kind::net) {
        const Status status = find_net(frame, area, options, side);
        if (status != Status::ok) return status;
    }
    found = {found_, static_cast<std::size_t>(count_)};
    return Status::ok;
}

void Finder::add(const FoundFace& face) noexcept {
    if (count_ == max_faces_)
        ++dropped_;
    else
        found_[count_++] = face;
}

void Finder::find_haar(GrayView gray, const Rect& area, const DetectorOptions& options) noexcept {
    const SearchSize size = search_size(area.width, area.height, detect_width_);
    if (size.shrunk) {
        resize_linear({gray.data, area.width, area.height, gray.stride_bytes, PixelFormat::gray8},
                      {0, 0, area.width, area.height}, 1, size.width, size.height, kernels_->image,
                      shrink_scratch_, shrunk_);
        gray = {shrunk_, size.width};
    }
    for (const Detection& detection :
         haar_.detect(gray.data, gray.stride_bytes, size.width, size.height, options)) {
        Rect box = detection.box;
        if (size.shrunk) {
            const int right = rescale(box.x + box.width, area.width, size.width),
                      bottom = rescale(box.y + box.height, area.height, size.height);
            box.x = rescale(box.x, area.width, size.width);
            box.y = rescale(box.y, area.height, size.height);
            box.width = right - box.x;
            box.height = bottom - box.y;
        }
        box.x += area.x;
        box.y += area.y;
        add({box, detection.neighbors, 0, {}, detection.stage_weight});
    }
}

std::size_t Finder::net_sizes(int width, int height,
                              FaceNet::Size (&sizes)[max_sizes]) const noexcept {
    sizes[0] = net_size(width, height, detect_width_, enlarge_to_);
    if (std::min(sizes[0].width, sizes[0].height) <= quarter_beyond) return 1;
    sizes[1] = {quarter(sizes[0].width), quarter(sizes[0].height)};
    return 2;
}

Status Finder::find_net(const Frame& frame, const Rect& area, const DetectorOptions& options,
                        int side) noexcept {
    FaceNet::Size sizes[max_sizes] = {size_with_side(area.width, area.height, side, largest_)};
    const std::size_t count = side > 0 ? 1 : net_sizes(area.width, area.height, sizes);
    std::span<const FaceNet::Candidate> candidates;
    const Status status =
        net_.find(frame, area, std::span(sizes).first(count), options.min_score, candidates);
    if (status != Status::ok) return status;
    // Whole pixels inside the area; a box without any is no face of this area.
    const auto edge = [](float v, int end) {
        return static_cast<int>(std::clamp(std::floor(v + 0.5f), 0.0f, static_cast<float>(end)));
    };
    for (const FaceNet::Candidate& c : candidates) {
        const int left = edge(c.x, area.width), right = edge(c.x + c.width, area.width),
                  top = edge(c.y, area.height), bottom = edge(c.y + c.height, area.height);
        if (right <= left || bottom <= top) continue;
        const Rect box = {area.x + left, area.y + top, right - left, bottom - top};
        const int longer = std::max(box.width, box.height);
        if (longer < options.min_size || (options.max_size > 0 && longer > options.max_size))
            continue;
        Point* const points =
            landmarks_ + std::ptrdiff_t{std::min(count_, max_faces_ - 1)} * FaceNet::landmark_count;
        if (count_ < max_faces_)
            for (int k = 0; k < FaceNet::landmark_count; ++k)
                points[k] = {c.landmarks[k].x + static_cast<float>(area.x),
                             c.landmarks[k].y + static_cast<float>(area.y)};
        add({box, 0, c.score, {points, FaceNet::landmark_count}});
    }
    return Status::ok;
}

}  // namespace mien
