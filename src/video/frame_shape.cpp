// SPDX-License-Identifier: MIT
#include "video/frame_shape.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "video/source.h"

namespace mien::video {

int orientation_of_matrix(const std::int32_t (&matrix)[9]) {
    // x' = a x + c y, y' = b x + d y; the other five numbers move and scale.
    const std::int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    const auto size = [](std::int64_t v) { return v < 0 ? -v : v; };
    if (size(a) + size(d) >= size(b) + size(c)) {
        if (a < 0) return d < 0 ? 3 : 2;
        return d < 0 ? 4 : 1;
    }
    if (b > 0) return c > 0 ? 5 : 6;
    return c > 0 ? 8 : 7;
}

int square_width(int width, int height, PixelAspect aspect) {
    constexpr std::int64_t most = 8;
    const std::int64_t w = aspect.width, h = aspect.height;
    if (width < 1 || height < 1 || w < 1 || h < 1 || w > most * h || h > most * w) return width;
    const std::int64_t wanted = (2 * width * w + h) / (2 * h);
    if (wanted < 1 || wanted > max_side || static_cast<std::uint64_t>(wanted * height) > max_pixels)
        return width;
    return static_cast<int>(wanted);
}

namespace {

constexpr int weight_bits = 14;

template <std::size_t channels>
void stretch_row(const std::uint8_t* in, std::size_t width, const int* columns,
                 const std::int32_t* weights, int taps, std::uint8_t* out) {
    for (std::size_t x = 0; x < width; ++x) {
        std::int32_t sums[channels] = {};
        for (int t = 0; t < taps; ++t) {
            const std::uint8_t* pixel = in + static_cast<std::size_t>(*columns++) * channels;
            for (std::size_t c = 0; c < channels; ++c) sums[c] += *weights * pixel[c];
            ++weights;
        }
        for (std::size_t c = 0; c < channels; ++c)
            *out++ = static_cast<std::uint8_t>((sums[c] + (1 << (weight_bits - 1))) >> weight_bits);
    }
}

}  // namespace

// A triangle around the place of each new pixel, as wide as the distance of the sparser of both.
void RowStretcher::plan(int from, int to) {
    if (from == from_ && to == to_) return;
    from_ = from;
    to_ = to;
    const double scale = static_cast<double>(from) / to, reach = std::max(scale, 1.0);
    taps_ = static_cast<int>(std::ceil(2 * reach));
    const auto taps = static_cast<std::size_t>(taps_), wanted = static_cast<std::size_t>(to);
    columns_.resize(wanted * taps);
    weights_.resize(wanted * taps);
    std::vector<double> shares(taps);
    for (std::size_t x = 0; x < wanted; ++x) {
        int* const columns = columns_.data() + x * taps;
        std::int32_t* const weights = weights_.data() + x * taps;
        const double at = (static_cast<double>(x) + 0.5) * scale - 0.5;
        const int begin = static_cast<int>(std::floor(at - reach)) + 1;
        double sum = 0;
        for (int t = 0; t < taps_; ++t) {
            columns[t] = std::clamp(begin + t, 0, from - 1);
            sum += shares[static_cast<std::size_t>(t)] =
                std::max(0.0, 1 - std::abs(begin + t - at) / reach);
        }
        std::int32_t left = 1 << weight_bits;
        int largest = 0;
        for (int t = 0; t < taps_; ++t) {
            weights[t] = static_cast<std::int32_t>(
                std::lround(shares[static_cast<std::size_t>(t)] / sum * (1 << weight_bits)));
            left -= weights[t];
            if (weights[t] > weights[largest]) largest = t;
        }
        weights[largest] += left;  // an even area stays as bright as it is
    }
}

void RowStretcher::stretch(const host::PixelsToTurn& pixels, int width,
                           std::vector<std::uint8_t>& out) {
    plan(pixels.width, width);
    const auto wanted = static_cast<std::size_t>(width);
    const std::size_t row = wanted * static_cast<std::size_t>(pixels.channels);
    out.resize(row * static_cast<std::size_t>(pixels.height));
    for (int y = 0; y < pixels.height; ++y) {
        const std::uint8_t* in = pixels.data + y * pixels.stride;
        std::uint8_t* to = out.data() + static_cast<std::size_t>(y) * row;
        if (pixels.channels == 1)
            stretch_row<1>(in, wanted, columns_.data(), weights_.data(), taps_, to);
        else
            stretch_row<3>(in, wanted, columns_.data(), weights_.data(), taps_, to);
    }
}

}  // namespace mien::video
