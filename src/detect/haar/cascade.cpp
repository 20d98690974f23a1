// SPDX-License-Identifier: MIT
// Validates the untrusted bytes of a cascade once, so that it can run without further checks.
#include "detect/haar/cascade.h"

#include "base/container.h"
#include "detect/haar/stump_table.h"

namespace mien {
namespace {

constexpr std::uint32_t stump_flag = 1;
constexpr int tilted_flag = 0x80;

template <std::size_t record_bytes>
bool count_records(Bytes section, int& count) noexcept {
    count = static_cast<int>(section.size() / record_bytes);
    return section.size() % record_bytes == 0 && count > 0;
}

bool valid_rectangle(const CascadeFeature::Rectangle& r, bool tilted, int window_width,
                     int window_height) noexcept {
    if (r.width < 1 || r.height < 1 || !is_finite(r.weight)) return false;
    if (!tilted) return r.x + r.width <= window_width && r.y + r.height <= window_height;
    // A tilted rectangle hangs from its top corner: width to the lower right, height to the lower
    // left.
    return r.x - r.height >= 0 && r.x + r.width <= window_width &&
           r.y + r.width + r.height <= window_height;
}

bool valid_tree(const CascadeAccess& access, const CascadeTree& tree,
                std::uint32_t feature_count) noexcept {
    const int nodes = static_cast<int>(tree.node_count);
    for (int n = 0; n < nodes; ++n) {
        const CascadeNode node = access.node(tree.first_node + static_cast<std::uint32_t>(n));
        if (node.feature >= feature_count || !is_finite(node.threshold)) return false;
        for (const int child : {node.left, node.right}) {
            // A child comes after its parent, so evaluation always ends.
            if (child > 0 ? child <= n || child >= nodes : -child > nodes) return false;
        }
    }
    return true;
}

}  // namespace

CascadeFeature CascadeAccess::feature(std::uint32_t i) const noexcept {
    const std::uint8_t* p = cascade.features_.data() + i * feature_bytes;
    CascadeFeature feature{p[0] & ~tilted_flag, (p[0] & tilted_flag) != 0, {}};
    for (int r = 0; r < feature.count; ++r) {
        const std::uint8_t* q = p + 1 + r * 5;
        feature.rects[r] = {q[0], q[1], q[2], q[3],
                            load_f32(cascade.weights_.data() + q[4] * weight_bytes)};
    }
    return feature;
}

bool CascadeAccess::valid_features(const Cascade& c, int weight_count) noexcept {
    const CascadeAccess access{c};
    for (int i = 0; i < c.feature_count_; ++i) {
        const std::uint8_t* p = c.features_.data() + static_cast<std::size_t>(i) * feature_bytes;
        const int count = p[0] & ~tilted_flag;
        if (count < 1 || count > 3) return false;
        for (int r = 0; r < count; ++r)
            if (p[5 + r * 5] >= weight_count) return false;
        const CascadeFeature feature = access.feature(static_cast<std::uint32_t>(i));
        for (int r = 0; r < feature.count; ++r)
            if (!valid_rectangle(feature.rects[r], feature.tilted, c.window_width_,
                                 c.window_height_))
                return false;
    }
    return true;
}

bool CascadeAccess::valid_stages(const Cascade& c) noexcept {
    const auto tree_count = static_cast<std::uint32_t>(c.tree_count_);
    std::uint32_t next_tree = 0;
    for (int s = 0; s < c.stage_count_; ++s) {
        const CascadeStage stage = CascadeAccess{c}.stage(s);
        if (stage.first_tree != next_tree || stage.tree_count == 0 ||
            stage.tree_count > tree_count - next_tree || !is_finite(stage.threshold))
            return false;
        next_tree += stage.tree_count;
    }
    return next_tree == tree_count;
}

bool CascadeAccess::valid_trees(const Cascade& c) noexcept {
    const CascadeAccess access{c};
    const auto node_count = static_cast<std::uint32_t>(c.node_count_),
               leaf_count = static_cast<std::uint32_t>(c.leaf_count_);
    std::uint32_t next_node = 0, next_leaf = 0;
    for (std::uint32_t t = 0; t < static_cast<std::uint32_t>(c.tree_count_); ++t) {
        const CascadeTree tree = access.tree(t);
        if (tree.first_node != next_node || tree.first_leaf != next_leaf || tree.node_count == 0 ||
            tree.node_count > 32767 || tree.node_count > node_count - next_node ||
            tree.node_count + 1 > leaf_count - next_leaf ||
            (!c.stumps_only_ && load_u32(c.trees_.data() + t * tree_bytes + 12) != 0))
            return false;
        if (!valid_tree(access, tree, static_cast<std::uint32_t>(c.feature_count_))) return false;
        next_node += tree.node_count;
        next_leaf += tree.node_count + 1;
    }
    for (std::uint32_t i = 0; i < leaf_count; ++i)
        if (!is_finite(access.leaf(i))) return false;
    return next_node == node_count && next_leaf == leaf_count;
}

Status CascadeAccess::open(std::span<const std::uint8_t> file, Cascade& out) noexcept {
    Container container;
    if (const Status status = Container::open(file, "CASC", container); status != Status::ok)
        return status;
    Cascade c;
    c.bytes_ = file;
    Bytes window, meta;
    if (!container.find("WIND", window) || !container.find("STAG", c.stages_) ||
        !container.find("TREE", c.trees_) || !container.find("NODE", c.nodes_) ||
        !container.find("LEAF", c.leaves_) || !container.find("FEAT", c.features_) ||
        !container.find("WGHT", c.weights_) || !container.find("META", meta) || window.size() != 16)
        return Status::bad_file;
    c.meta_ = {reinterpret_cast<const char*>(meta.data()), meta.size()};
    const std::uint32_t width = load_u32(window.data()), height = load_u32(window.data() + 4),
                        flags = load_u32(window.data() + 8);
    if (width < 4 || width > 255 || height < 4 || height > 255 || flags > stump_flag ||
        load_u32(window.data() + 12) != 0)
        return Status::bad_file;
    c.window_width_ = static_cast<int>(width);
    c.window_height_ = static_cast<int>(height);
    c.stumps_only_ = flags == stump_flag;
    int weight_count = 0;
    if (!count_records<stage_bytes>(c.stages_, c.stage_count_) ||
        !count_records<leaf_bytes>(c.leaves_, c.leaf_count_) ||
        !count_records<feature_bytes>(c.features_, c.feature_count_) ||
        !count_records<weight_bytes>(c.weights_, weight_count))
        return Status::bad_file;
    if (c.stumps_only_ ? !c.trees_.empty() || !count_records<stump_bytes>(c.nodes_, c.node_count_)
                       : !count_records<tree_bytes>(c.trees_, c.tree_count_) ||
                             !count_records<node_bytes>(c.nodes_, c.node_count_))
        return Status::bad_file;
    if (c.stumps_only_) c.tree_count_ = c.node_count_;

    const CascadeAccess access{c};
    if (!valid_features(c, weight_count) || !valid_stages(c) || !valid_trees(c))
        return Status::bad_file;
    for (int i = 0; i < c.feature_count_; ++i)
        c.has_tilted_ = c.has_tilted_ || access.feature(static_cast<std::uint32_t>(i)).tilted;
    for (int t = 0; t < c.tree_count_; ++t)
        c.has_large_trees_ =
            c.has_large_trees_ || access.tree(static_cast<std::uint32_t>(t)).node_count >
                                      static_cast<std::uint32_t>(HaarTree::max_nodes);
    if (!c.has_large_trees_)
        StumpTable::prepare(c, c.early_stages_, c.middle_stages_, c.table_counts_);
    out = c;
    return Status::ok;
}

Status Cascade::open(std::span<const std::uint8_t> bytes, Cascade& out) noexcept {
    return CascadeAccess::open(bytes, out);
}

}  // namespace mien
