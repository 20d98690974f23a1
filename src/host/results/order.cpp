// SPDX-License-Identifier: MIT
#include "host/results/order.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>

namespace mien::host {
namespace {

std::int64_t area(const FaceReport& face) { return std::int64_t{face.box.width} * face.box.height; }
bool larger(const FaceReport& a, const FaceReport& b) { return area(a) > area(b); }

// Twice the center, in whole pixels.
int center_y(const FaceReport& face) { return 2 * face.box.y + face.box.height; }
int center_x(const FaceReport& face) { return 2 * face.box.x + face.box.width; }

// A row begins with the highest face that is left, and takes the faces whose centers are less than
// half of that face's height below its center.
void order_by_reading(std::vector<FaceReport>& faces) {
    std::stable_sort(faces.begin(), faces.end(), [](const FaceReport& a, const FaceReport& b) {
        return center_y(a) < center_y(b);
    });
    for (auto row = faces.begin(); row != faces.end();) {
        const int end = center_y(*row) + row->box.height;
        const auto next = std::find_if(
            row, faces.end(), [end](const FaceReport& face) { return center_y(face) >= end; });
        std::stable_sort(row, next, [](const FaceReport& a, const FaceReport& b) {
            return center_x(a) < center_x(b);
        });
        row = next;
    }
}

// Leaves the `most` largest, in the order that they had.
void keep_largest(std::size_t most, std::vector<FaceReport>& faces) {
    std::vector<std::size_t> kept(faces.size());
    std::iota(kept.begin(), kept.end(), std::size_t{0});
    std::stable_sort(kept.begin(), kept.end(),
                     [&faces](std::size_t a, std::size_t b) { return larger(faces[a], faces[b]); });
    kept.resize(most);
    std::sort(kept.begin(), kept.end());
    std::vector<FaceReport> left;
    left.reserve(most);
    for (const std::size_t i : kept) left.push_back(std::move(faces[i]));
    faces = std::move(left);
}

}  // namespace

void select_faces(const FaceSelection& selection, bool by_reading, std::vector<FaceReport>& faces) {
    const auto most = static_cast<std::size_t>(std::max(selection.max_faces, 0));
    if (most > 0 && faces.size() > most) keep_largest(most, faces);
    if (selection.largest_first)
        std::stable_sort(faces.begin(), faces.end(), larger);
    else if (by_reading)
        order_by_reading(faces);
}

}  // namespace mien::host
