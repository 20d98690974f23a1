// SPDX-License-Identifier: MIT
// How does OpenCV make the levels of the detector's pyramid? INTER_LINEAR_EXACT for 8-bit pictures, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mien {

// INTER_LINEAR_EXACT of one gray channel, row by row, so that the caller needs only the rows it is working on.
class LevelResizer {
public:
    struct Tap {
        std::int32_t left;       // source column; left + 1 is read too
        std::uint16_t weights;   // weight of the right one, 0..256
    };
    struct Scratch {
        Tap* taps;                   // destination width
        std::uint16_t* rows[2];      // destination width each
    };

    LevelResizer(const std::uint8_t* source, std::ptrdiff_t stride, int source_width, int source_height,
                 int width, int height, const Scratch& scratch) noexcept;

    // Row y of the level; any order is right, ascending order is fast. The result is valid until the next call when it
    // points into the source (level of the same size); otherwise it is `out`, which must hold `width` bytes.
    const std::uint8_t* row(int y, std::uint8_t* out) noexcept;

private:
    const std::uint16_t* interpolated_row(int source_y) noexcept;

    const std::uint8_t* source_;
    std::ptrdiff_t stride_;
    int source_width_, source_height_, width_, height_;
    double scale_y_;
    Scratch scratch_;
    int cached_[2] = {-1, -1};  // the source row that scratch_.rows[i] holds
};

}  // namespace mien
