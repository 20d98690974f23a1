// SPDX-License-Identifier: MIT
// How much a reading is worth, and labels over time that neither flicker nor follow bad frames.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "track/smoothing.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::test;

namespace {

using ThreeScores = std::array<float, 3>;

Frame gray_crop(const std::vector<std::uint8_t>& pixels, int side) {
    return {pixels.data(), side, side, side, PixelFormat::gray8};
}

// Each pixel the mean of its neighborhood.
std::vector<std::uint8_t> box_blurred(const std::vector<std::uint8_t>& pixels, int side) {
    std::vector<std::uint8_t> out(pixels.size());
    for (int y = 0; y < side; ++y) {
        for (int x = 0; x < side; ++x) {
            int sum = 0, count = 0;
            for (int v = std::max(0, y - 1); v <= std::min(side - 1, y + 1); ++v) {
                for (int u = std::max(0, x - 1); u <= std::min(side - 1, x + 1); ++u, ++count)
                    sum += pixels[static_cast<std::size_t>(v * side + u)];
            }
            out[static_cast<std::size_t>(y * side + x)] = static_cast<std::uint8_t>(sum / count);
        }
    }
    return out;
}

// A series of results of one face whose class is 0: mostly right, at times a run of four poor
// frames that are sure of class 1.
struct SeriesSample {
    ThreeScores scores;
    float quality;
};
std::vector<SeriesSample> face_series(std::uint32_t seed) {
    Random random(seed);
    std::vector<SeriesSample> samples;
    for (int n = 0; n < 400; ++n) {
        const bool poor = n % 20 >= 12 && n % 20 < 16;
        const float noise = static_cast<float>(random.between(-250, 250)) / 1000;
        const ThreeScores good = {0.5f + noise, 0.35f - noise, 0.15f};
        samples.push_back(poor ? SeriesSample{{0.1f, 0.85f, 0.05f}, 0.1f}
                               : SeriesSample{good, 0.9f});
    }
    return samples;
}

struct Errors {
    int wrong = 0, changes = 0;
    void add(int label, int before) {
        wrong += label != 0 ? 1 : 0;
        changes += before >= 0 && label != before ? 1 : 0;
    }
};

int most_probable(const ThreeScores& scores) {
    return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

Errors by_mode(const std::vector<SeriesSample>& samples) {
    Errors errors;
    std::vector<int> last;
    int before = -1;
    for (const SeriesSample& sample : samples) {
        last.push_back(most_probable(sample.scores));
        if (last.size() > 10) last.erase(last.begin());
        ThreeScores votes{};
        for (const int label : last) votes[static_cast<std::size_t>(label)] += 1;
        const int label = most_probable(votes);
        errors.add(label, before);
        before = label;
    }
    return errors;
}

Errors by_quality(const std::vector<SeriesSample>& samples) {
    Errors errors;
    ThreeScores average{};
    float weight = 0, best = 0;
    int before = -1;
    for (const SeriesSample& sample : samples) {
        add_weighted(sample.scores, 0.25f * relative_quality(sample.quality, best), average,
                     weight);
        const int label = steady_label(average, before);
        errors.add(label, before);
        before = label;
    }
    return errors;
}

}  // namespace

TEST_CASE("smoothing: the quality of a face falls with its size, score, turn and blur") {
    const Point frontal[] = {{10, 10}, {30, 10}, {20, 22}, {12, 30}, {28, 30}};
    const Rect box{0, 0, 64, 80}, half{0, 0, 32, 80};
    CHECK(quality_of(box, 1, frontal, 1) == 1);
    CHECK(quality_of({0, 0, 640, 800}, 1, frontal, 1) == 1);
    CHECK(quality_of(half, 1, frontal, 1) == 0.5f);
    CHECK(quality_of(box, 0.5f, frontal, 0.5f) == 0.25f);
    Point turned[5];
    std::copy(std::begin(frontal), std::end(frontal), turned);
    turned[2].x = 25;  // a quarter of the distance of the eyes
    CHECK(quality_of(box, 1, turned, 1) == 0.5f);
    turned[2].x = 5;
    CHECK(quality_of(box, 1, turned, 1) == 0);
    // A head on its side is as good: the turn is along the line of the eyes.
    const Point lying[] = {{10, 10}, {10, 30}, {-2, 20}, {-8, 12}, {-8, 28}};
    CHECK(quality_of(box, 1, lying, 1) == 1);
    const Point nowhere[5] = {};
    CHECK(quality_of(box, 1, nowhere, 1) == 0);
    // Haar gives neither score nor landmarks.
    CHECK(quality_of(half, 0, {}, 0.5f) == 0.25f);

    constexpr int side = 48;
    std::vector<std::uint8_t> pixels(side * side);
    Random random(3);
    for (std::uint8_t& p : pixels) p = static_cast<std::uint8_t>(random.between(0, 255));
    const std::vector<std::uint8_t> soft = box_blurred(pixels, side),
                                    softer = box_blurred(soft, side);
    const float sharp = sharpness_of(gray_crop(pixels, side));
    CHECK(sharp ==
          doctest::Approx(1).epsilon(0.05));  // noise: neighbors know nothing of each other
    const float less = sharpness_of(gray_crop(soft, side));
    CHECK(less < 0.5f * sharp);
    CHECK(sharpness_of(gray_crop(softer, side)) < 0.7f * less);
    CHECK(sharpness_of(gray_crop(std::vector<std::uint8_t>(side * side, 77), side)) == 0);
    // Light does not count.
    std::vector<std::uint8_t> dark = pixels;
    for (std::uint8_t& p : dark) p = static_cast<std::uint8_t>(p / 2);
    CHECK(sharpness_of(gray_crop(dark, side)) == doctest::Approx(sharp).epsilon(0.05));
    // In color the middle channel speaks.
    std::vector<std::uint8_t> rgb;
    for (const std::uint8_t p : pixels)
        rgb.insert(rgb.end(), {std::uint8_t{0}, p, std::uint8_t{0}});
    CHECK(sharpness_of({rgb.data(), side, side, 3 * side, PixelFormat::rgb24}) == sharp);

    float best = 0;
    CHECK(relative_quality(0.2f, best) == 1);
    CHECK(relative_quality(0.095f, best) == doctest::Approx(0.5f));
    CHECK(best == doctest::Approx(0.19f));  // fades
    CHECK(relative_quality(0.4f, best) == 1);
    CHECK(best == 0.4f);
    CHECK(relative_quality(0, best) == 0.05f);
    float nothing = 0;
    CHECK(relative_quality(0, nothing) == 1);
}

TEST_CASE("smoothing: with equal weights it is the exponential average, without its slow start") {
    ThreeScores average{};
    float weight = 0, sum = 0, weights = 0;
    Random random(5);
    for (int n = 0; n < 30; ++n) {
        const float p = static_cast<float>(random.between(0, 1000)) / 1000;
        add_weighted(ThreeScores{p, 1 - p, 0}, 0.25f, average, weight);
        sum = 0.75f * sum + p;
        weights = 0.75f * weights + 1;
        CHECK(average[0] == doctest::Approx(sum / weights).epsilon(1e-5));
        CHECK(average[0] + average[1] == doctest::Approx(1).epsilon(1e-5));
    }
}

TEST_CASE("smoothing: labels stay until another is clearly more probable") {
    CHECK(steady_label(ThreeScores{0.3f, 0.4f, 0.3f}, -1) == 1);
    CHECK(steady_label(ThreeScores{0.35f, 0.4f, 0.25f}, 0) == 0);
    CHECK(steady_label(ThreeScores{0.3f, 0.45f, 0.25f}, 0) == 1);
    CHECK(steady_unsure(0.49f, 0.5f, false));
    CHECK_FALSE(steady_unsure(0.5f, 0.5f, false));
    CHECK(steady_unsure(0.54f, 0.5f, true));
    CHECK_FALSE(steady_unsure(0.56f, 0.5f, true));
    CHECK_FALSE(steady_unsure(0.3f, 0, true));
    // Near the top the way back is shorter, or nobody would ever be sure again.
    CHECK_FALSE(steady_unsure(0.995f, 0.98f, true));
    CHECK(steady_unsure(0.985f, 0.98f, true));
}

TEST_CASE("smoothing: poor frames do not change the label, and labels do not flicker") {
    for (const std::uint32_t seed : {1u, 2u, 3u}) {
        const std::vector<SeriesSample> samples = face_series(seed);
        const Errors mode = by_mode(samples), quality = by_quality(samples);
        CAPTURE(mode.wrong);
        CAPTURE(mode.changes);
        CHECK(mode.wrong > 40);
        CHECK(quality.wrong < mode.wrong / 3);
        CHECK(quality.changes < mode.changes / 2);
    }
    // A real change is followed within a third of a second at 30 frames a second.
    ThreeScores average{};
    float weight = 0;
    int label = -1, frames = 0;
    for (int n = 0; n < 60; ++n) {
        const ThreeScores result =
            n < 30 ? ThreeScores{0.8f, 0.1f, 0.1f} : ThreeScores{0.1f, 0.8f, 0.1f};
        add_weighted(result, 0.25f, average, weight);
        label = steady_label(average, label);
        if (n >= 30 && label != 1) ++frames;
    }
    CHECK(label == 1);
    CHECK(frames < 10);
}
