// SPDX-License-Identifier: MIT
// How do the tests make weights files, right and wrong ones? Builds containers, networks and
// cascades in memory.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32.h"
#include "nn/model_file.h"
#include "unit/helpers.h"

namespace mien::test {

class ByteWriter {
public:
    template <class T>
    ByteWriter& put(T value) {
        using Unsigned = std::conditional_t<
            sizeof(T) == 1, std::uint8_t,
            std::conditional_t<sizeof(T) == 2, std::uint16_t,
                               std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>>;
        auto bits = std::bit_cast<Unsigned>(value);
        for (std::size_t i = 0; i < sizeof(T); ++i)
            data.push_back(static_cast<std::uint8_t>(std::uint64_t{bits} >> (8 * i)));
        return *this;
    }
    ByteWriter& text(const std::string& s) {
        data.insert(data.end(), s.begin(), s.end());
        data.push_back(0);
        return *this;
    }
    ByteWriter& zeros(std::size_t n) {
        data.resize(data.size() + n);
        return *this;
    }
    ByteVector data;
};

inline void fix_crc(ByteVector& file) {
    const std::span<const std::uint8_t> all = file;
    const std::uint32_t crc = crc32(all.subspan(28), crc32(all.first(24)));
    for (std::size_t i = 0; i < 4; ++i) file[24 + i] = static_cast<std::uint8_t>(crc >> (8 * i));
}

inline ByteVector make_container(const char* kind,
                                 const std::vector<std::pair<std::string, ByteVector>>& sections) {
    const auto align = [](std::size_t n) { return (n + 15) / 16 * 16; };
    ByteWriter table, body;
    std::size_t offset = align(32 + 16 * sections.size());
    for (const auto& [tag, data] : sections) {
        for (const char c : tag) table.put(c);
        table.put(static_cast<std::uint32_t>(offset))
            .put(static_cast<std::uint32_t>(data.size()))
            .put(std::uint32_t{0});
        body.data.insert(body.data.end(), data.begin(), data.end());
        body.zeros(align(data.size()) - data.size());
        offset += align(data.size());
    }
    ByteWriter file;
    for (const char c : {'M', 'I', 'E', 'N'}) file.put(c);
    file.put(std::uint16_t{1}).put(std::uint16_t{0});
    for (int i = 0; i < 4; ++i) file.put(kind[i]);
    file.put(static_cast<std::uint32_t>(sections.size()))
        .put(std::uint64_t{offset})
        .put(std::uint32_t{0})
        .put(std::uint32_t{0});
    file.data.insert(file.data.end(), table.data.begin(), table.data.end());
    file.zeros(align(file.data.size()) - file.data.size());
    file.data.insert(file.data.end(), body.data.begin(), body.data.end());
    fix_crc(file.data);
    return file.data;
}

// A network file, field by field; the defaults are valid, a test spoils one of them.
struct NetworkBuilder {
    struct Layer {
        std::uint8_t op = 1, activation = 0, output = 0;
        std::uint8_t kernel_h = 1, kernel_w = 1, stride_y = 1, stride_x = 1;
        std::uint8_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
        std::uint16_t input = 0, input2 = 0xffff, out_h = 1, out_w = 1, out_c = 1;
        std::uint32_t weight = 0, bias = 0, scale = 0;
        float quant = 1;
        std::uint32_t name = 0;
        std::uint32_t tables = 0;
    };
    std::uint32_t height = 8, width = 8, channels = 1, classes = 2, softmax = 1;
    std::uint32_t task = 0, input_multiple = 0;
    bool input_unsigned = false;
    ByteVector face;    // section FACE; none when empty
    ByteVector answer;  // section ANSW; none when empty
    float scale = 1.0f / 127.5f, offset = -1, quant = 1.0f / 127, margin_x = 0, margin_y = 0;
    std::vector<Layer> layers;
    std::vector<std::int8_t> weights;
    std::vector<std::int32_t> biases;
    std::vector<float> scales;
    std::vector<std::string> labels;  // of the first classes; "class0", ... if there are fewer
    ByteVector tests = ByteWriter{}.put(std::uint32_t{0}).data;

    // Section ANSW: classes of which a probability below `unsure_below` is unsure, or values in a
    // unit.
    void answer_with(float unsure_below, std::string_view unit = {},
                     const std::vector<float>& values = {}) {
        ByteWriter answ;
        answ.put(std::uint32_t{values.empty() ? 0u : 1u}).put(unsure_below);
        for (std::size_t i = 0; i < 8; ++i) answ.put(i < unit.size() ? unit[i] : char{0});
        for (const float v : values) answ.put(v);
        answer = answ.data;
    }

    // Random weights for the last layer added, appended to the sections.
    void weigh(std::size_t weight_count, std::size_t per_channel, Random& random,
               float layer_scale) {
        Layer& layer = layers.back();
        layer.weight = static_cast<std::uint32_t>(weights.size());
        layer.bias = static_cast<std::uint32_t>(biases.size());
        layer.scale = static_cast<std::uint32_t>(scales.size());
        for (std::size_t i = 0; i < weight_count; ++i)
            weights.push_back(static_cast<std::int8_t>(random.between(-127, 127)));
        for (std::size_t i = 0; i < per_channel; ++i) {
            biases.push_back(random.between(-2000, 2000));
            scales.push_back(layer_scale * static_cast<float>(random.between(50, 150)) / 100.0f);
        }
    }

    // Tables for the last layer added, random between `low` and 127.
    void tabulate(std::uint32_t count, Random& random, int low) {
        layers.back().weight = static_cast<std::uint32_t>(weights.size());
        layers.back().tables = count;
        for (std::uint32_t i = 0; i < 256 * count; ++i)
            weights.push_back(static_cast<std::int8_t>(random.between(low, 127)));
    }

    [[nodiscard]] ByteVector build() const {
        ByteWriter inpt, layr, wght, bias, scal, name, labl;
        inpt.put(height)
            .put(width)
            .put(channels)
            .put(scale)
            .put(offset)
            .put(quant)
            .put(margin_x)
            .put(margin_y)
            .put(classes)
            .put(softmax)
            .put(static_cast<std::uint8_t>(task))
            .put(std::uint8_t{input_unsigned})
            .put(std::uint16_t{0})
            .put(input_multiple);
        for (const Layer& l : layers) {
            layr.put(l.op)
                .put(l.activation)
                .put(l.output)
                .put(std::uint8_t{0})
                .put(l.kernel_h)
                .put(l.kernel_w)
                .put(l.stride_y)
                .put(l.stride_x);
            layr.put(l.pad_top)
                .put(l.pad_left)
                .put(l.pad_bottom)
                .put(l.pad_right)
                .put(l.input)
                .put(l.input2)
                .put(l.out_h)
                .put(l.out_w)
                .put(l.out_c);
            layr.put(std::uint16_t{0})
                .put(l.weight)
                .put(l.bias)
                .put(l.scale)
                .put(l.quant)
                .put(l.name)
                .put(l.tables)
                .zeros(16);
        }
        for (const auto w : weights) wght.put(w);
        for (const auto b : biases) bias.put(b);
        for (const auto s : scales) scal.put(s);
        name.text("layer");
        for (std::uint32_t i = 0; i < classes; ++i)
            labl.text(i < labels.size() ? labels[i] : "class" + std::to_string(i));
        std::vector<std::pair<std::string, ByteVector>> sections = {
            {"INPT", inpt.data}, {"LAYR", layr.data},  {"WGHT", wght.data},
            {"BIAS", bias.data}, {"SCAL", scal.data},  {"NAME", name.data},
            {"LABL", labl.data}, {"META", {'{', '}'}}, {"TEST", tests}};
        if (!face.empty()) sections.emplace_back("FACE", face);
        if (!answer.empty()) sections.emplace_back("ANSW", answer);
        return make_container("NETW", sections);
    }

    // Two maps, at strides 2 and 4, of an RGB input whose sides are multiples of 4: a stem, a
    // depthwise result, a pool, and a 3x3 result.
    static NetworkBuilder of_maps(std::uint32_t seed) {
        Random random(seed);
        NetworkBuilder b;
        b.height = 8;
        b.width = 12;
        b.channels = 3;
        b.classes = b.softmax = 0;
        b.task = 1;
        b.input_multiple = 4;
        Layer stem{.op = 1, .activation = 1, .kernel_h = 3, .kernel_w = 3, .stride_y = 2};
        stem.stride_x = 2;
        stem.pad_top = stem.pad_left = 1;
        stem.out_h = 4;
        stem.out_w = 6;
        stem.out_c = 5;
        b.layers.push_back(stem);
        b.weigh(5 * 9 * 3, 5, random, 0.0015f);
        Layer fine{.op = 2, .output = 1, .kernel_h = 3, .kernel_w = 3};
        fine.pad_top = fine.pad_left = fine.pad_bottom = fine.pad_right = 1;
        fine.input = 1;
        fine.out_h = 4;
        fine.out_w = 6;
        fine.out_c = 5;
        fine.quant = 0;
        b.layers.push_back(fine);
        b.weigh(9 * 5, 5, random, 0.01f);
        Layer pool{.op = 3, .kernel_h = 2, .kernel_w = 2, .stride_y = 2, .stride_x = 2};
        pool.input = 1;
        pool.out_h = 2;
        pool.out_w = 3;
        pool.out_c = 5;
        b.layers.push_back(pool);
        Layer coarse{.op = 1, .output = 1, .kernel_h = 3, .kernel_w = 3};
        coarse.pad_top = coarse.pad_left = coarse.pad_bottom = coarse.pad_right = 1;
        coarse.input = 3;
        coarse.out_h = 2;
        coarse.out_w = 3;
        coarse.out_c = 2;
        coarse.quant = 0;
        b.layers.push_back(coarse);
        b.weigh(2 * 9 * 5, 2, random, 0.01f);
        return b;
    }

    // The same of unsigned bytes, with the coarse tensor added to the fine one for a third map.
    static NetworkBuilder of_unsigned_maps(std::uint32_t seed) {
        NetworkBuilder b = of_maps(seed);
        Random random(seed + 1);
        b.input_unsigned = true;
        b.scale = b.quant = 1;
        b.offset = 0;
        Layer up{.op = 9, .input = 3, .out_h = 4, .out_w = 6, .out_c = 5};
        b.layers.push_back(up);
        Layer sum{.op = 5, .input = 1, .input2 = 5, .out_h = 4, .out_w = 6, .out_c = 5};
        b.layers.push_back(sum);
        Layer map{.op = 1, .output = 1, .input = 6, .out_h = 4, .out_w = 6, .out_c = 3};
        map.quant = 0;
        b.layers.push_back(map);
        b.weigh(3 * 5, 3, random, 0.01f);
        return b;
    }

    // Every op once: 9x9 RGB, conv, depthwise, pools, relu, add, and a head.
    static NetworkBuilder every_op(std::uint32_t seed) {
        Random random(seed);
        NetworkBuilder b;
        b.height = b.width = 9;
        b.channels = 3;
        b.classes = 5;
        const auto add = [&](Layer layer) { b.layers.push_back(layer); };
        add({.op = 1,
             .activation = 1,
             .kernel_h = 3,
             .kernel_w = 3,
             .pad_top = 1,
             .pad_left = 1,
             .pad_bottom = 1,
             .pad_right = 1,
             .out_h = 9,
             .out_w = 9,
             .out_c = 5});
        b.weigh(5 * 9 * 3, 5, random, 0.0015f);
        add({.op = 2,
             .kernel_h = 3,
             .kernel_w = 3,
             .pad_top = 1,
             .pad_left = 1,
             .pad_bottom = 1,
             .pad_right = 1,
             .input = 1,
             .out_h = 9,
             .out_w = 9,
             .out_c = 5});
        b.weigh(9 * 5, 5, random, 0.004f);
        add({.op = 1, .input = 2, .out_h = 9, .out_w = 9, .out_c = 10});
        b.weigh(10 * 5, 10, random, 0.005f);
        add({.op = 3,
             .kernel_h = 3,
             .kernel_w = 3,
             .stride_y = 2,
             .stride_x = 2,
             .pad_top = 1,
             .pad_left = 1,
             .pad_bottom = 1,
             .pad_right = 1,
             .input = 3,
             .out_h = 5,
             .out_w = 5,
             .out_c = 10});
        add({.op = 1,
             .stride_y = 2,
             .stride_x = 2,
             .input = 1,
             .out_h = 5,
             .out_w = 5,
             .out_c = 10});
        b.weigh(10 * 5, 10, random, 0.005f);
        add({.op = 5, .input = 4, .input2 = 5, .out_h = 5, .out_w = 5, .out_c = 10});
        add({.op = 6, .input = 6, .out_h = 5, .out_w = 5, .out_c = 10});
        add({.op = 4,
             .kernel_h = 2,
             .kernel_w = 2,
             .stride_y = 2,
             .stride_x = 2,
             .pad_bottom = 1,
             .pad_right = 1,
             .input = 7,
             .out_h = 3,
             .out_w = 3,
             .out_c = 10});
        add({.op = 7, .input = 8, .out_c = 10});
        b.weigh(0, 1, random, 0.1f);
        b.biases.pop_back();
        add({.op = 1, .output = 1, .input = 9, .out_c = 5, .quant = 0});
        b.weigh(5 * 10, 5, random, 0.001f);
        return b;
    }
    // Tables (one, one for each channel, none negative), concat of tensors that may be negative or
    // may not, products position by position and with one number for each channel.
    static NetworkBuilder with_tables(std::uint32_t seed) {
        Random random(seed);
        NetworkBuilder b;
        b.height = 7;
        b.width = 6;
        b.classes = 3;
        const auto add = [&](Layer layer) { b.layers.push_back(layer); };
        const auto map = [](std::uint8_t op, std::uint16_t from, std::uint16_t maps) {
            return Layer{.op = op, .input = from, .out_h = 7, .out_w = 6, .out_c = maps};
        };
        Layer stem = map(1, 0, 5);
        stem.kernel_h = stem.kernel_w = 3;
        stem.pad_top = stem.pad_left = stem.pad_bottom = stem.pad_right = 1;
        add(stem);
        b.weigh(5 * 9, 5, random, 0.004f);
        add(map(10, 1, 5));
        b.tabulate(5, random, -127);
        add(map(10, 2, 5));
        b.tabulate(1, random, 0);
        Layer joined = map(11, 2, 10);
        joined.input2 = 3;
        add(joined);
        Layer mixed = map(1, 4, 10);
        mixed.kernel_h = 3;
        mixed.pad_top = mixed.pad_bottom = 1;
        add(mixed);
        b.weigh(10 * 3 * 10, 10, random, 0.003f);
        Layer product = map(12, 4, 10);
        product.input2 = 5;
        add(product);
        b.weigh(0, 10, random, 0.01f);
        add({.op = 7, .input = 6, .out_c = 10});
        b.weigh(0, 1, random, 0.1f);
        Layer gated = map(12, 6, 10);
        gated.input2 = 7;
        add(gated);
        b.weigh(0, 10, random, 0.02f);
        Layer head = map(8, 8, 3);
        head.output = 1;
        head.quant = 0;
        add(head);
        b.weigh(3 * 10, 3, random, 0.0002f);
        return b;
    }
    // A convolution and conv_gap, with a stride and one-sided padding.
    static NetworkBuilder with_gap_head(std::uint32_t seed) {
        Random random(seed);
        NetworkBuilder b;
        b.height = 10;
        b.width = 13;
        b.classes = 3;
        b.layers.push_back({.op = 1,
                            .kernel_h = 5,
                            .kernel_w = 3,
                            .stride_y = 2,
                            .pad_bottom = 3,
                            .pad_right = 1,
                            .out_h = 5,
                            .out_w = 12,
                            .out_c = 9});
        b.weigh(9 * 15, 9, random, 0.002f);
        b.layers.push_back({.op = 8,
                            .output = 1,
                            .kernel_h = 3,
                            .kernel_w = 3,
                            .stride_x = 2,
                            .pad_top = 1,
                            .pad_left = 1,
                            .pad_bottom = 1,
                            .pad_right = 1,
                            .input = 1,
                            .out_h = 5,
                            .out_w = 6,
                            .out_c = 3,
                            .quant = 0});
        b.weigh(3 * 81, 3, random, 0.0001f);
        return b;
    }
};

// A made-up cascade: stumps (or trees of up to `most_nodes` nodes) whose features vary in place, with
// thresholds that keep some windows.
inline ByteVector make_cascade(std::uint32_t seed, int width, int height, bool trees, bool tilted,
                               bool fractional, int stages = 3, int most_nodes = 6) {
    Random random(seed);
    ByteWriter wind, stag, tree, node, leaf, feat, wght;
    std::vector<float> weights;
    const auto weight_index = [&](float weight) {
        std::size_t i = 0;
        while (i < weights.size() && weights[i] != weight) ++i;
        if (i == weights.size() && i < 256) weights.push_back(weight);
        return i % 256;  // when the table is full: another that is there
    };
    wind.put(static_cast<std::uint32_t>(width))
        .put(static_cast<std::uint32_t>(height))
        .put(std::uint32_t{trees ? 0u : 1u})
        .put(std::uint32_t{0});
    std::uint32_t trees_made = 0, nodes = 0, leaves = 0;
    for (int s = 0; s < stages; ++s) {
        const std::uint32_t count = static_cast<std::uint32_t>(3 + 4 * s);
        stag.put(trees_made).put(count).put(-0.35f);
        for (std::uint32_t t = 0; t < count; ++t, ++trees_made) {
            const auto tree_nodes =
                static_cast<std::uint32_t>(trees ? random.between(1, most_nodes) : 1);
            // Any later node of the tree, or any of its leaves.
            const auto child = [&](std::uint32_t n) {
                const int last = static_cast<int>(tree_nodes) - 1, next = static_cast<int>(n) + 1;
                return static_cast<std::int16_t>(next <= last && random.between(0, 2) > 0
                                                     ? random.between(next, last)
                                                     : -random.between(0, last + 1));
            };
            if (trees) tree.put(nodes).put(leaves).put(tree_nodes).put(std::uint32_t{0});
            for (std::uint32_t n = 0; n < tree_nodes; ++n, ++nodes) {
                if (trees)
                    node.put(child(n)).put(child(n)).put(nodes);
                else
                    node.put(static_cast<std::uint16_t>(nodes));
                node.put(static_cast<float>(random.between(-40, 40)) / 1000.0f);
                const bool tilt = tilted && random.between(0, 1) == 1;
                const int rects = random.between(1, 3);
                feat.put(static_cast<std::uint8_t>(rects + (tilt ? 0x80 : 0)));
                int outer[4] = {0, 0, width, height};
                for (int r = 0; r < 3; ++r) {
                    if (r >= rects) {
                        feat.zeros(5);
                        continue;
                    }
                    int w, h, x, y;
                    if (tilt) {
                        w = random.between(1, width / 3);
                        h = random.between(1, std::min(width, height) / 3);
                        x = random.between(h, width - w);
                        y = random.between(0, height - w - h);
                    } else {
                        // Those of trees lie in the first, as those of trained cascades do.
                        const bool inside = trees && r > 0;
                        w = random.between(1, inside ? outer[2] : width - 1);
                        h = random.between(1, inside ? outer[3] : height - 1);
                        x = inside ? outer[0] + random.between(0, outer[2] - w)
                                   : random.between(0, width - w);
                        y = inside ? outer[1] + random.between(0, outer[3] - h)
                                   : random.between(0, height - h);
                        if (r == 0) {
                            outer[0] = x;
                            outer[1] = y;
                            outer[2] = w;
                            outer[3] = h;
                        }
                    }
                    for (const int v : {x, y, w, h}) feat.put(static_cast<std::uint8_t>(v));
                    const float weight =
                        fractional ? static_cast<float>(random.between(-300, 300)) / 128.0f
                        : r == 0   ? -1.0f
                                   : static_cast<float>(random.between(2, 3));
                    feat.put(static_cast<std::uint8_t>(weight_index(weight)));
                }
            }
            for (std::uint32_t l = 0; l <= tree_nodes; ++l, ++leaves)
                leaf.put(static_cast<float>(random.between(-1000, 1000)) / 1024.0f);
        }
    }
    for (const float weight : weights) wght.put(weight);
    return make_container("CASC", {{"WIND", wind.data},
                                   {"STAG", stag.data},
                                   {"TREE", tree.data},
                                   {"NODE", node.data},
                                   {"LEAF", leaf.data},
                                   {"FEAT", feat.data},
                                   {"WGHT", wght.data},
                                   {"META", {'{', '}'}}});
}

}  // namespace mien::test
