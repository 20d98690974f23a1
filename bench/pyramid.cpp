// SPDX-License-Identifier: MIT
#include "pyramid.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/bytes.h"
#include "base/crc32.h"
#include "detect/haar/cascade.h"
#include "detect/haar/pyramid.h"
#include "harness.h"

namespace mien::bench {
namespace {

int nearest(double v) { return static_cast<int>(std::lrint(v)); }

// Integral image, one row and one column larger than the image.
struct Integral {
    int pitch;
    std::vector<std::uint32_t> sum, square;

    [[nodiscard]] std::uint32_t box(const std::vector<std::uint32_t>& plane, int x, int y, int w,
                                    int h) const {
        const auto at = [&](int px, int py) {
            return plane[static_cast<std::size_t>(py) * static_cast<std::size_t>(pitch) +
                         static_cast<std::size_t>(px)];
        };
        return at(x, y) - at(x + w, y) - at(x, y + h) + at(x + w, y + h);
    }
};

Integral integrate(const std::uint8_t* gray, int width, int height, const PyramidLevel& level) {
    // The pixels of the level come from the engine; all else here is counted apart from it.
    IntegralBand band;
    Arena measured;
    band.place(measured, width, height, 1, false, kernels_for(Isa::best));
    std::vector<std::byte> memory(measured.required_bytes());
    Arena arena(memory.data(), memory.size());
    band.place(arena, width, height, 1, false, kernels_for(Isa::best));
    Level of_band = {};
    of_band.width = level.width;
    of_band.height = level.height;
    of_band.step = 1;
    band.begin({gray, width, width, height}, of_band, 0, 1);
    Integral out{level.width + 1, {}, {}};
    const auto pitch = static_cast<std::size_t>(out.pitch);
    out.sum.resize(pitch * static_cast<std::size_t>(level.height + 1));
    out.square.resize(out.sum.size());
    for (int y = 0; y < level.height; ++y) {
        const std::uint8_t* pixels = band.level_row(y);
        std::size_t i = pitch * static_cast<std::size_t>(y + 1);
        std::uint32_t sum = 0, square = 0;
        for (int x = 0; x < level.width; ++x) {
            sum += pixels[x];
            square += std::uint32_t{pixels[x]} * pixels[x];
            ++i;
            out.sum[i] = out.sum[i - pitch] + sum;
            out.square[i] = out.square[i - pitch] + square;
        }
    }
    return out;
}

class Evaluator {
public:
    explicit Evaluator(const Cascade& cascade) : access_{cascade} {
        for (int i = 0; i < cascade.node_count(); ++i) {
            nodes_.push_back(access_.node(static_cast<std::uint32_t>(i)));
            features_.push_back(access_.feature(nodes_.back().feature));
        }
    }

    bool stage(const Integral& integral, int x, int y, float norm, int index,
               StageCounts& counts) const {
        const CascadeStage record = access_.stage(index);
        double sum = 0;
        for (std::uint32_t t = record.first_tree; t < record.first_tree + record.tree_count; ++t) {
            const CascadeTree tree = access_.tree(t);
            int at = 0;
            do {
                const std::size_t node = tree.first_node + static_cast<std::size_t>(at);
                at = value(integral, x, y, features_[node]) * norm < nodes_[node].threshold
                         ? nodes_[node].left
                         : nodes_[node].right;
            } while (at > 0);
            sum += access_.leaf(tree.first_leaf + static_cast<std::uint32_t>(-at));
        }
        counts.stumps += record.tree_count;
        return !(sum < static_cast<double>(record.threshold));
    }

private:
    static float value(const Integral& integral, int x, int y, const CascadeFeature& feature) {
        float total = 0;
        for (int i = 0; i < feature.count; ++i) {
            const auto& r = feature.rects[i];
            const float term = static_cast<float>(static_cast<std::int32_t>(integral.box(
                                   integral.sum, x + r.x, y + r.y, r.width, r.height))) *
                               r.weight;
            total = i == 0 ? term : total + term;
        }
        return total;
    }

    CascadeAccess access_;
    std::vector<CascadeNode> nodes_;
    std::vector<CascadeFeature> features_;
};

}  // namespace

std::vector<PyramidLevel> pyramid(const Cascade& cascade, int width, int height,
                                  const DetectorOptions& options) {
    std::vector<PyramidLevel> levels;
    const int window_width = cascade.window_width(), window_height = cascade.window_height();
    for (double factor = 1;
         nearest(window_width * factor) <= width && nearest(window_height * factor) <= height;
         factor *= options.scale_factor) {
        const auto scale = static_cast<float>(factor);
        const int face_width = nearest(static_cast<float>(window_width) * scale),
                  face_height = nearest(static_cast<float>(window_height) * scale);
        if (options.max_size > 0 &&
            (face_width > options.max_size || face_height > options.max_size))
            break;
        if (face_width < options.min_size || face_height < options.min_size) continue;
        PyramidLevel level = {scale,
                              nearest(static_cast<float>(width) / scale),
                              nearest(static_cast<float>(height) / scale),
                              scale >= 2 ? 1 : 2,
                              0,
                              0};
        level.columns = level.width + 1 - window_width;
        level.rows = level.height + 1 - window_height;
        if (level.columns > 0 && level.rows > 0) levels.push_back(level);
    }
    return levels;
}

double pyramid_pixels(const std::vector<PyramidLevel>& levels) {
    double pixels = 0;
    for (const PyramidLevel& level : levels)
        pixels += static_cast<double>(level.width) * level.height;
    return pixels;
}

StageCounts count_stages(const Cascade& cascade, const std::uint8_t* gray, int width, int height,
                         const DetectorOptions& options) {
    StageCounts counts;
    if (cascade.has_tilted()) return counts;
    counts.alive.resize(static_cast<std::size_t>(cascade.stage_count()) + 1);
    const Evaluator evaluator(cascade);
    const std::vector<PyramidLevel> levels = pyramid(cascade, width, height, options);
    // OpenCV's stripes, whose division loses the last row now and then.
    const int stripes = levels.empty() ? 1 : std::max((levels[0].columns + 31) / 32, 1);
    const int inner_width = cascade.window_width() - 2, inner_height = cascade.window_height() - 2;
    const double area = inner_width * inner_height;
    for (const PyramidLevel& level : levels) {
        const Integral integral = integrate(gray, width, height, level);
        const int stripe_rows =
            std::max((level.rows / level.step + stripes - 1) / stripes, 1) * level.step;
        const int end = std::min(stripes * stripe_rows, level.rows);
        for (int y = 0; y < end; y += level.step) {
            counts.positions += (level.columns + level.step - 1) / level.step;
            for (int x = 0; x < level.columns; x += level.step) {
                const double sum =
                    integral.box(integral.sum, x + 1, y + 1, inner_width, inner_height);
                const double deviation =
                    area * integral.box(integral.square, x + 1, y + 1, inner_width, inner_height) -
                    sum * sum;
                const float norm = deviation > 0 ? static_cast<float>(1 / std::sqrt(deviation)) : 0;
                if (!(deviation > 0) || !(area * static_cast<double>(norm) < 0.1)) {
                    ++counts.flat;
                    continue;
                }
                int stage = 0;
                ++counts.alive[0];
                while (stage < cascade.stage_count() &&
                       evaluator.stage(integral, x, y, norm, stage, counts))
                    ++counts.alive[static_cast<std::size_t>(++stage)];
                if (stage == 0) {
                    x += level.step;
                    counts.skipped += x < level.columns;
                }
            }
        }
    }
    return counts;
}

std::vector<std::uint8_t> cut_cascade(const Cascade& cascade, int stage) {
    std::vector<std::uint8_t> bytes(cascade.bytes().begin(), cascade.bytes().end());
    const auto put = [&](std::size_t offset, std::uint32_t value) {
        for (std::size_t i = 0; i < 4; ++i)
            bytes[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
    };
    const std::uint32_t sections = load_u32(bytes.data() + 12);
    for (std::uint32_t i = 0; i < sections; ++i) {
        const std::uint8_t* entry = bytes.data() + 32 + i * 16;
        if (std::string_view(reinterpret_cast<const char*>(entry), 4) != "STAG") continue;
        put(load_u32(entry + 4) + static_cast<std::size_t>(stage) * CascadeAccess::stage_bytes + 8,
            std::bit_cast<std::uint32_t>(1e6f));
    }
    const std::span<const std::uint8_t> all(bytes);
    put(24, crc32(all.subspan(28), crc32(all.first(24))));
    return bytes;
}

}  // namespace mien::bench
