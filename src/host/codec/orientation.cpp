// SPDX-License-Identifier: MIT
#include "host/codec/orientation.h"

#include <algorithm>
#include <array>

namespace mien::host {
namespace {

template <int channels>
void turn(const std::uint8_t* origin, std::ptrdiff_t along, std::ptrdiff_t down, int width,
          int height, std::uint8_t* out) {
    // In tiles, since one of the two sides is walked across its rows: a tile of either fits the
    // first cache.
    constexpr int tile = 32;
    for (int tile_y = 0; tile_y < height; tile_y += tile) {
        for (int tile_x = 0; tile_x < width; tile_x += tile) {
            const int end_y = std::min(tile_y + tile, height);
            const int end_x = std::min(tile_x + tile, width);
            for (int y = tile_y; y < end_y; ++y) {
                const std::uint8_t* in = origin + y * down + tile_x * along;
                std::uint8_t* to =
                    out + (static_cast<std::ptrdiff_t>(y) * width + tile_x) * channels;
                for (int x = tile_x; x < end_x; ++x, in += along, to += channels)
                    for (int c = 0; c < channels; ++c) to[c] = in[c];
            }
        }
    }
}

}  // namespace

std::optional<int> orientation_of(int degrees, bool mirror, bool flip) {
    int orientation = degrees == 0     ? 1
                      : degrees == 90  ? 6
                      : degrees == 180 ? 3
                      : degrees == 270 ? 8
                                       : 0;
    if (orientation == 0) return std::nullopt;
    constexpr std::array mirrored = {0, 2, 1, 4, 3, 6, 5, 8, 7};
    constexpr std::array flipped = {0, 4, 3, 2, 1, 8, 7, 6, 5};
    if (mirror) orientation = mirrored[static_cast<std::size_t>(orientation)];
    if (flip) orientation = flipped[static_cast<std::size_t>(orientation)];
    return orientation;
}

int combined_orientation(int first, int then) {
    // 2 x 2 matrices: where a step along x and one along y of the image as it lies go to.
    constexpr int steps[8][4] = {{1, 0, 0, 1}, {-1, 0, 0, 1}, {-1, 0, 0, -1}, {1, 0, 0, -1},
                                 {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, -1, 0}, {0, 1, -1, 0}};
    const auto known = [](int orientation) {
        return orientation >= 1 && orientation <= 8 ? orientation - 1 : 0;
    };
    const int(&a)[4] = steps[known(then)];
    const int(&b)[4] = steps[known(first)];
    const std::array product = {a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3],
                                a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3]};
    for (int orientation = 1; orientation < 8; ++orientation) {
        if (std::equal(product.begin(), product.end(), steps[orientation - 1])) return orientation;
    }
    return 8;
}

void turn_pixels(const PixelsToTurn& pixels, int orientation, std::uint8_t* out) {
    // Bits of the turn: exchange x and y of the source, then mirror its columns, then its rows.
    const bool transpose = is_transposed(orientation);
    const bool mirror_x =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool mirror_y =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const std::ptrdiff_t step_x = mirror_x ? -pixels.channels : pixels.channels;
    const std::ptrdiff_t step_y = mirror_y ? -pixels.stride : pixels.stride;
    const std::uint8_t* origin = pixels.data;
    if (mirror_x) origin += std::ptrdiff_t{pixels.width - 1} * pixels.channels;
    if (mirror_y) origin += std::ptrdiff_t{pixels.height - 1} * pixels.stride;
    const std::ptrdiff_t along = transpose ? step_y : step_x, down = transpose ? step_x : step_y;
    const int width = transpose ? pixels.height : pixels.width;
    const int height = transpose ? pixels.width : pixels.height;
    if (pixels.channels == 1)
        turn<1>(origin, along, down, width, height, out);
    else
        turn<3>(origin, along, down, width, height, out);
}

}  // namespace mien::host
