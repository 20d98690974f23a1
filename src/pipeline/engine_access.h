// SPDX-License-Identifier: MIT
// What the tracker asks of an engine beyond its public functions.
#pragma once

#include <cstdint>
#include <span>

#include "mien/mien.hpp"

namespace mien {

struct EngineAccess {
    Engine& engine;

    // As Engine::detect() of an area. `side` > 0: the detector network searches it at one size only,
    // whose longer side is that, or the longest that the engine has room for; Haar ignores it.
    Status detect(const Frame& frame, const Rect& area, const DetectorOptions& options, int side,
                  std::span<const Face>& faces) noexcept;

    // How the detector network searches all of a frame: the first size, and the pixels that it is
    // given at all sizes. All zero without that network.
    struct FullSearch {
        int width = 0, height = 0;
        std::int64_t pixels = 0;
    };
    [[nodiscard]] FullSearch full_search(int frame_width, int frame_height) const noexcept;

    // Pixels that the detector network is given, padding and turned images included, when an image of
    // that size is searched. The engine has that network.
    [[nodiscard]] std::int64_t pixels_given(int width, int height) const noexcept;
};

}  // namespace mien
