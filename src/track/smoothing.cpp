// SPDX-License-Identifier: MIT
#include "track/smoothing.h"

#include <algorithm>
#include <cmath>

namespace mien {
namespace {

// A face of that many pixels is as large as the networks want it.
constexpr float full_size = 64;
// The worst face still counts for something beside the best.
constexpr float least_quality = 0.05f;
// The nose is that far beside the middle of the eyes, in distances of the eyes, when nothing of the
// face can be read anymore.
constexpr float full_turn = 0.5f;
// What is left of the best quality with each further result.
constexpr float best_fades = 0.95f;
constexpr float clearly = 0.1f, clearly_sure = 0.05f;

// How far the nose is beside the middle of the eyes, along their line.
float turn_of(std::span<const Point> landmarks) noexcept {
    const Point &right = landmarks[0], &left = landmarks[1], &nose = landmarks[2];
    const float x = left.x - right.x, y = left.y - right.y, squared = x * x + y * y;
    if (!(squared > 0)) return full_turn;
    const float along =
        (nose.x - (left.x + right.x) / 2) * x + (nose.y - (left.y + right.y) / 2) * y;
    return std::fabs(along) / squared;
}

}  // namespace

float sharpness_of(const Frame& crop) noexcept {
    const int channels = bytes_per_pixel(crop.format), middle = channels / 2;
    double sum = 0, squares = 0, differences = 0;
    for (int y = 0; y < crop.height; ++y) {
        const std::uint8_t* const row = crop.data + y * crop.stride_bytes + middle;
        for (int x = 0; x < crop.width; ++x) {
            const int v = row[x * channels];
            sum += v;
            squares += v * v;
            if (x > 0) {
                const int d = v - row[(x - 1) * channels];
                differences += d * d;
            }
            if (y > 0) {
                const int d = v - row[x * channels - crop.stride_bytes];
                differences += d * d;
            }
        }
    }
    const double pixels = static_cast<double>(crop.width) * crop.height;
    const double pairs = 2 * pixels - crop.width - crop.height;
    if (pixels < 2 || pairs < 1) return 0;
    const double variance = squares / pixels - sum / pixels * (sum / pixels);
    return variance < 1 ? 0 : static_cast<float>(differences / pairs / (2 * variance));
}

float quality_of(const Rect& box, float score, std::span<const Point> landmarks,
                 float sharpness) noexcept {
    const auto side = static_cast<float>(std::min(box.width, box.height));
    const float quality = std::min(1.0f, side / full_size) * sharpness;
    if (landmarks.size() < 3) return quality;
    return quality * std::clamp(score, 0.0f, 1.0f) *
           (1 - std::min(turn_of(landmarks) / full_turn, 1.0f));
}

float relative_quality(float quality, float& best) noexcept {
    best = std::max(quality, best_fades * best);
    return best > 0 ? std::max(quality / best, least_quality) : 1;
}

void add_weighted(std::span<const float> result, float share, std::span<float> average,
                  float& weight) noexcept {
    const bool first = weight == 0;
    weight += share * (1 - weight);
    const float step = share / weight;
    for (std::size_t c = 0; c < result.size(); ++c)
        average[c] = first ? result[c] : average[c] + step * (result[c] - average[c]);
}

int steady_label(std::span<const float> average, int current) noexcept {
    const auto best =
        static_cast<int>(std::max_element(average.begin(), average.end()) - average.begin());
    if (current < 0) return best;
    const float gain =
        average[static_cast<std::size_t>(best)] - average[static_cast<std::size_t>(current)];
    return gain > clearly ? best : current;
}

bool steady_unsure(float probability, float unsure_below, bool before) noexcept {
    if (probability < unsure_below) return true;
    // At the top there is no room for more.
    return before && probability < std::min(unsure_below + clearly_sure, (1 + unsure_below) / 2);
}

}  // namespace mien
