// SPDX-License-Identifier: MIT
// The contact sheet: one row per face and question, with the face, then each map over it in gray,
// with names and a legend.
#pragma once

#include <string>
#include <vector>

#include "explain/explain.h"
#include "host/codec/image_file.h"
#include "host/draw/heatmap.h"

namespace mien::report {

struct MapOfMethod {
    explain::Method method{};
    explain::Heatmap map = {};
    double ms = 0;  // to make it, beyond the forward pass
    // rank correlation with the map of shuffled weights; 2: not asked for
    double sanity = 2;
};

struct ExplainedFace {
    std::string title;   // "photo.jpg, face 1"
    std::string answer;  // "happy 98 %", and the question if it is another class
    host::Image face;    // what the network was shown, as large as a tile
    std::vector<MapOfMethod> maps;
};

// The part of the image at a tile's size; box-filtered when it shrinks, interpolated when it grows.
// A turned area is shown upright; where it reaches beyond the image, the edge is repeated.
host::Image tile_of(const Frame& frame, const TurnedRect& area, int side);
// The network's own input (gray8 or rgb24) as a tile.
inline host::Image tile_of(const Frame& crop, int side) {
    return tile_of(crop, {bounds(crop)}, side);
}

// One map over the face in gray, nothing else.
host::Image map_picture(const host::Image& face, const MapOfMethod& map);

// Tiles are smaller where there are many rows.
int tile_side(std::size_t rows);
inline constexpr std::size_t max_rows = 400;  // of one sheet
host::Image sheet(const std::vector<ExplainedFace>& rows, int side);

}  // namespace mien::report
