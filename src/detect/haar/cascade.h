// SPDX-License-Identifier: MIT
// Typed access to the records of an opened (hence valid) Cascade; docs/FILE_FORMAT.md, CASC.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "mien/mien.hpp"

namespace mien {

struct CascadeStage {
    std::uint32_t first_tree, tree_count;
    float threshold;
};
struct CascadeTree {
    std::uint32_t first_node, first_leaf, node_count;
};
// A child > 0 is a node of the same tree, otherwise it is leaf -child.
struct CascadeNode {
    int left, right;
    std::uint32_t feature;
    float threshold;
};
struct CascadeFeature {
    struct Rectangle {
        int x, y, width, height;
        float weight;
    };
    int count;
    bool tilted;
    Rectangle rects[3];
};

struct CascadeAccess {
    static constexpr std::size_t stage_bytes = 12, tree_bytes = 16, node_bytes = 12,
                                 stump_bytes = 6, leaf_bytes = 4, feature_bytes = 16,
                                 weight_bytes = 4;

    const Cascade& cascade;

    [[nodiscard]] CascadeStage stage(int i) const noexcept {
        const std::uint8_t* p = cascade.stages_.data() + static_cast<std::size_t>(i) * stage_bytes;
        return {load_u32(p), load_u32(p + 4), load_f32(p + 8)};
    }
    [[nodiscard]] CascadeTree tree(std::uint32_t i) const noexcept {
        if (cascade.stumps_only_) return {i, 2 * i, 1};
        const std::uint8_t* p = cascade.trees_.data() + i * tree_bytes;
        return {load_u32(p), load_u32(p + 4), load_u32(p + 8)};
    }
    [[nodiscard]] CascadeNode node(std::uint32_t i) const noexcept {
        if (cascade.stumps_only_) {
            const std::uint8_t* p = cascade.nodes_.data() + i * stump_bytes;
            return {0, -1, load_u16(p), load_f32(p + 2)};
        }
        const std::uint8_t* p = cascade.nodes_.data() + i * node_bytes;
        return {load_i16(p), load_i16(p + 2), load_u32(p + 4), load_f32(p + 8)};
    }
    [[nodiscard]] float leaf(std::uint32_t i) const noexcept {
        return load_f32(cascade.leaves_.data() + i * leaf_bytes);
    }
    [[nodiscard]] CascadeFeature feature(std::uint32_t i) const noexcept;
    // Every tree is one node.
    [[nodiscard]] bool stumps_only() const noexcept { return cascade.stumps_only_; }
    // A tree has more nodes than the vector kernels handle.
    [[nodiscard]] bool has_large_trees() const noexcept { return cascade.has_large_trees_; }

    // What StumpTable::prepare() found.
    [[nodiscard]] int table_count(bool late, int kind) const noexcept {
        return cascade.table_counts_[late ? 1 : 0][kind];
    }
    [[nodiscard]] int early_stages() const noexcept { return cascade.early_stages_; }
    [[nodiscard]] int middle_stages() const noexcept { return cascade.middle_stages_; }

    static Status open(std::span<const std::uint8_t> file, Cascade& out) noexcept;

private:
    // The rules of docs/FILE_FORMAT.md for a cascade whose sections have the right sizes.
    static bool valid_features(const Cascade& cascade, int weight_count) noexcept;
    static bool valid_stages(const Cascade& cascade) noexcept;
    static bool valid_trees(const Cascade& cascade) noexcept;
};

}  // namespace mien
