// SPDX-License-Identifier: MIT
// Formulas: resize of OpenCV 4 (imgproc), checked on thousands of sizes; tests/compare_opencv.py
// repeats the check. This file must be built with -ffp-contract=off: a fused scale * (i + 0.5) -
// 0.5 gives other coordinates.
#include "image/linear.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/geometry.h"
#include "image/readers.h"

namespace mien {
namespace {

// ---- coordinates

struct Position {
    int index;
    float fraction;
};
// floor() and lrint() without calls: the values are small, and rounding is to nearest even
// everywhere.
Position linear_position(int i, double scale) noexcept {
    const float f = static_cast<float>((i + 0.5) * scale - 0.5);
    int k = static_cast<int>(f);
    k -= static_cast<float>(k) > f ? 1 : 0;
    return {k, f - static_cast<float>(k)};
}
std::int16_t weight_2048(float w) noexcept {
    constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves no room for a fraction
    return static_cast<std::int16_t>(w * 2048.0f + round - round);
}

// At both borders the outermost pixel alone counts. At the right one it is the second tap of the
// pixel before it, so that both taps lie in the source; in a source of one column they are the
// same.
void make_taps(int width, int source_width, int channels, const LinearScratch& scratch) noexcept {
    const double scale = inverse_scale(width, source_width);
    std::int16_t* weights = scratch.weights;
    for (int x = 0; x < width; ++x) {
        const Position at = linear_position(x, scale);
        std::int16_t left = weight_2048(1.0f - at.fraction), right = weight_2048(at.fraction);
        if (at.index < 0) {
            left = 2048;
            right = 0;
        } else if (at.index >= source_width - 1) {
            left = 0;
            right = 2048;
        }
        scratch.left[x] = std::clamp(at.index, 0, std::max(source_width - 2, 0));
        for (int c = 0; c < channels; ++c, weights += 2) {
            weights[0] = left;
            weights[1] = right;
        }
    }
}

// ---- the resize: rows from `first` to `end` of the result, of which `out` is the first one

struct Rows {
    int first, end;
};

template <class Reader>
void copy(const Reader& reader, int width, const Rows& rows, std::uint8_t* out,
          std::ptrdiff_t row_bytes) noexcept {
    for (int y = rows.first; y < rows.end; ++y, out += row_bytes) {
        const auto row = reader.row(y);
        for (int x = 0; x < width; ++x) row.read(x, out + std::ptrdiff_t{x} * Reader::channels);
    }
}

void copy(const PackedReader<3>& reader, int width, const Rows& rows, std::uint8_t* out,
          std::ptrdiff_t row_bytes) noexcept {
    for (int y = rows.first; y < rows.end; ++y, out += row_bytes) {
        const std::uint8_t* p = reader.row(y).pixels;
        if (reader.order.red == 0) {
            std::memcpy(out, p, 3 * static_cast<std::size_t>(width));
            continue;
        }
        for (std::ptrdiff_t i = 0; i < 3 * std::ptrdiff_t{width}; i += 3) {
            out[i] = p[i + 2];
            out[i + 1] = p[i + 1];
            out[i + 2] = p[i];
        }
    }
}

// Where both sides are halved, OpenCV takes the mean of four.
template <class Reader>
void halve(const Reader& reader, int width, const Rows& rows, std::uint8_t* first,
           std::ptrdiff_t row_bytes) noexcept {
    for (int y = rows.first; y < rows.end; ++y, first += row_bytes) {
        const auto top = reader.row(2 * y), bottom = reader.row(2 * y + 1);
        std::uint8_t* out = first;
        for (int x = 0; x < width; ++x, out += Reader::channels) {
            std::uint8_t four[4][Reader::channels];
            top.read(2 * x, four[0]);
            top.read(2 * x + 1, four[1]);
            bottom.read(2 * x, four[2]);
            bottom.read(2 * x + 1, four[3]);
            for (int c = 0; c < Reader::channels; ++c)
                out[c] = static_cast<std::uint8_t>(
                    (four[0][c] + four[1][c] + four[2][c] + four[3][c] + 2) >> 2);
        }
    }
}

// The values under the taps of a row, side by side.
template <class Row>
void gather(const Row& row, int channels, int width, int right_step, const std::int32_t* left,
            std::uint8_t* pairs) noexcept {
    for (int x = 0; x < width; ++x) {
        std::uint8_t a[3], b[3];
        row.read(left[x], a);
        row.read(left[x] + right_step, b);
        for (int c = 0; c < channels; ++c, pairs += 2) {
            pairs[0] = a[c];
            pairs[1] = b[c];
        }
    }
}
void gather(const GrayReader::Row& row, int, int width, int right_step, const std::int32_t* left,
            std::uint8_t* pairs) noexcept {
    if (right_step == 0) {
        std::memset(pairs, row.pixels[0], 2 * static_cast<std::size_t>(width));
        return;
    }
    for (int x = 0; x < width; ++x) std::memcpy(pairs + 2 * x, row.pixels + left[x], 2);
}

template <class Reader>
void resize(const Reader& reader, int source_width, int source_height, int width, int height,
            const Rows& rows, const ImageKernels& kernels, const LinearScratch& scratch,
            std::uint8_t* out, std::ptrdiff_t row_bytes) noexcept {
    if (source_width == width && source_height == height)
        return copy(reader, width, rows, out, row_bytes);
    if (source_width == 2 * width && source_height == 2 * height)
        return halve(reader, width, rows, out, row_bytes);
    make_taps(width, source_width, Reader::channels, scratch);
    const double scale = inverse_scale(height, source_height);
    const int right_step = source_width > 1 ? 1 : 0, values = width * Reader::channels;
    int held[2] = {-1, -1};  // the source row that scratch.rows[i] holds
    const auto columns_of = [&](int y) {
        for (int i = 0; i < 2; ++i)
            if (held[i] == y) return scratch.rows[i];
        // rows come in ascending order: the smaller one is done with
        const int slot = held[0] < held[1] ? 0 : 1;
        held[slot] = y;
        gather(reader.row(y), Reader::channels, width, right_step, scratch.left, scratch.pairs);
        kernels.linear_columns(scratch.pairs, scratch.weights, values, scratch.rows[slot]);
        return scratch.rows[slot];
    };
    for (int y = rows.first; y < rows.end; ++y, out += row_bytes) {
        const Position at = linear_position(y, scale);
        // Unlike columns, border rows keep their two weights; only the row numbers are clamped.
        const std::int16_t* const top = columns_of(std::clamp(at.index, 0, source_height - 1));
        const std::int16_t* const bottom =
            columns_of(std::clamp(at.index + 1, 0, source_height - 1));
        kernels.linear_rows(top, bottom, weight_2048(1.0f - at.fraction), weight_2048(at.fraction),
                            values, out);
    }
}

}  // namespace

void LinearScratch::place(Arena& arena, int width, int channels) noexcept {
    const auto columns = static_cast<std::size_t>(width),
               values = columns * static_cast<std::size_t>(channels);
    left = arena.take<std::int32_t>(columns);
    weights = arena.take<std::int16_t>(2 * values);
    pairs = arena.take<std::uint8_t>(2 * values);
    for (std::int16_t*& row : rows) row = arena.take<std::int16_t>(values);
}

void resize_linear(const Frame& frame, const Rect& part, int channels, int width, int height,
                   const ImageKernels& kernels, const LinearScratch& scratch, std::uint8_t* out,
                   std::ptrdiff_t row_bytes) noexcept {
    if (row_bytes == 0) row_bytes = std::ptrdiff_t{width} * channels;
    resize_linear_rows(frame, part, channels, width, height, 0, height, kernels, scratch, out,
                       row_bytes);
}

void resize_linear_rows(const Frame& frame, const Rect& part, int channels, int width, int height,
                        int first, int end, const ImageKernels& kernels,
                        const LinearScratch& scratch, std::uint8_t* out,
                        std::ptrdiff_t row_bytes) noexcept {
    with_reader(frame, part, channels, [&](const auto& reader) {
        resize(reader, part.width, part.height, width, height, {first, end}, kernels, scratch,
               out + first * row_bytes, row_bytes);
    });
}

}  // namespace mien
