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
SearchSize search_size(const Rect& area, int detect_width) noexcept {
    if (detect_width <= 0 || area.width <= detect_width) return {area.width, area.height, false};
    const double scaled = static_cast<double>(area.height) * detect_width / area.width;
    return {detect_width, std::max(static_cast<int>(std::lrint(scaled)), 1), true};
}

int rescale(int v, int to, int from) noexcept {
    return static_cast<int>(std::lrint(static_cast<double>(v) * to / from));
}

}  // namespace

void Finder::place(Arena& arena, const Config& config, const Weights& weights,
                   const Kernels& kernels) noexcept {
    if (weights.cascade == nullptr) return;
    kind_ = Kind::haar;
    kernels_ = &kernels;
    detect_width_ = config.detect_width;
    max_faces_ = config.max_faces;
    moved_ = arena.take<Detection>(static_cast<std::size_t>(config.max_faces));
    // A shrunk area is detect_width wide; a portrait one may then be as high as the limit allows.
    const bool may_shrink = config.detect_width > 0 && config.detect_width < config.max_width;
    const int width = may_shrink ? config.detect_width : config.max_width;
    if (may_shrink) {
        shrink_scratch_.place(arena, width, 1);
        shrunk_ = arena.take<std::uint8_t>(static_cast<std::size_t>(width) *
                                           static_cast<std::size_t>(config.max_height));
    }
    haar_.place(arena, *weights.cascade,
                {width, config.max_height, config.max_candidates, config.executor, false}, kernels);
}

std::span<const Detection> Finder::find(const Frame&, GrayView gray, const Rect& area,
                                        const DetectorOptions& options) noexcept {
    dropped_ = 0;
    if (kind_ == Kind::none) return {};
    return find_haar(gray, area, options);
}

std::span<const Detection> Finder::find_haar(GrayView gray, const Rect& area,
                                             const DetectorOptions& options) noexcept {
    const SearchSize size = search_size(area, detect_width_);
    if (size.shrunk) {
        resize_linear({gray.data, area.width, area.height, gray.stride_bytes, PixelFormat::gray8},
                      {0, 0, area.width, area.height}, 1, size.width, size.height, kernels_->image,
                      shrink_scratch_, shrunk_);
        gray = {shrunk_, size.width};
    }
    const std::span<const Detection> found =
        haar_.detect(gray.data, gray.stride_bytes, size.width, size.height, options);
    const auto kept = std::min(found.size(), static_cast<std::size_t>(max_faces_));
    dropped_ = static_cast<int>(found.size() - kept);
    for (std::size_t i = 0; i < kept; ++i) {
        Rect box = found[i].box;
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
        moved_[i] = {box, found[i].neighbors};
    }
    return {moved_, kept};
}

}  // namespace mien
