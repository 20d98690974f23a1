// SPDX-License-Identifier: MIT
// The detector in portable C++ for processors without any vectors, where scalar.cpp's eight windows
// at a time would be eight times the work of one: window by window, and a window is left at the
// stage that it fails. No batches: they exist to fill vectors.
#include "kernels/tables.h"

namespace mien {
namespace {

struct V {
    static constexpr int lanes = 1, parts = 1;
    using U16 = std::uint32_t;  // of which only the low half counts
    using I32 = std::uint32_t;  // sums wrap
    using F32 = float;

    static U16 load16(const std::uint16_t* p) noexcept { return *p; }
    static U16 add16(U16 a, U16 b) noexcept { return a + b; }
    static U16 sub16(U16 a, U16 b) noexcept { return a - b; }
    static U16 times16(U16 a, std::int32_t b) noexcept { return a * static_cast<std::uint32_t>(b); }
    static void widen(U16 v, I32 (&out)[parts]) noexcept {
        out[0] = static_cast<std::uint32_t>(static_cast<std::int16_t>(v));
    }

    static I32 zero() noexcept { return 0; }
    static I32 load(const std::uint32_t* p) noexcept { return *p; }
    static I32 add(I32 a, I32 b) noexcept { return a + b; }
    static I32 sub(I32 a, I32 b) noexcept { return a - b; }
    static F32 to_float(I32 a) noexcept { return static_cast<float>(static_cast<std::int32_t>(a)); }
    static F32 splat(float v) noexcept { return v; }
    static F32 mul(F32 a, F32 b) noexcept { return a * b; }
    static F32 add(F32 a, F32 b) noexcept { return a + b; }
    static I32 choose(I32 sum, F32 value, float threshold, std::int32_t gain) noexcept {
        return sum + (value < threshold ? static_cast<std::uint32_t>(gain) : 0u);
    }
    static I32 constant(std::int32_t v) noexcept { return static_cast<std::uint32_t>(v); }
    static I32 select(F32 value, float threshold, I32 below, I32 other) noexcept {
        return value < threshold ? below : other;
    }
    static std::uint32_t at_least(I32 a, std::int32_t limit) noexcept {
        return static_cast<std::int32_t>(a) >= limit ? 1 : 0;
    }
    static float lane(F32 v, int) noexcept { return v; }
    static std::uint32_t normalise(I32 sum, I32 square, double area, F32& norm) noexcept {
        return haar_norm(sum, square, area, norm) ? 1 : 0;
    }
};

#include "kernels/detect/stage_body.inl"

int haar_row(const HaarRow& row, HaarSurvivor* survivors) noexcept {
    const HaarTable& table = *row.table;
    int found = 0;
    for (int i = 0; i < row.count; ++i) {
        const HaarOrigin origin = {row.origin.low + i, row.origin.sum + i, row.origin.square + i};
        Norms norm = {};
        if (normalise_unit(table, origin, norm) == 0) continue;
        int stage = 0;
        while (stage < row.stages && run_stage(table, stage, origin, norm, 1) != 0) ++stage;
        if (stage == row.stages) survivors[found++] = {i, norm[0]};
        // a window that fails in stage 0 makes the scan skip the next one, as OpenCV does
        if (stage == 0) ++i;
    }
    return found;
}

void shrink_row(const ShrinkRow& row, std::uint16_t* out) noexcept {
    for (int x = 0; x < row.width; ++x) {
        const int at = row.left[x], left = row.source[at];
        const int right = at + 1 < row.source_width ? row.source[at + 1] : left;
        out[x] = static_cast<std::uint16_t>(256 * left + row.right_weight[x] * (right - left));
    }
}

void blend_rows(const std::uint16_t* top, const std::uint16_t* bottom, int bottom_weight, int width,
                std::uint8_t* out) noexcept {
    const auto w1 = static_cast<std::uint32_t>(bottom_weight), w0 = 256 - w1;
    for (int x = 0; x < width; ++x)
        out[x] = static_cast<std::uint8_t>((w0 * top[x] + w1 * bottom[x] + 32768) >> 16);
}

void integral_row(const IntegralRow& row) noexcept {
    std::uint32_t sum = 0, square = 0;
    const auto put = [&](std::ptrdiff_t i) {
        row.low[i] = static_cast<std::uint16_t>(row.low[i - row.pitch] + sum);
        row.sum[i] = row.sum[i - row.pitch] + sum;
        row.square[i] = row.square[i - row.pitch] + square;
    };
    row.low[0] = 0;
    row.sum[0] = row.square[0] = 0;
    for (int x = 0; x < row.width; ++x) {
        const std::uint32_t p = row.pixels[x];
        sum += p;
        square += p * p;
        put(row.step == 1 ? x + 1 : ((x + 1) >> 1) + ((x + 1) & 1) * row.odd);
    }
}

}  // namespace

const DetectKernels detect_single = {
    .haar_row = haar_row,
    .haar_batch = nullptr,
    .batch = 0,
    .shrink_row = shrink_row,
    .blend_rows = blend_rows,
    .integral_row = integral_row,
};

}  // namespace mien
