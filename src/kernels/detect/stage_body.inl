// SPDX-License-Identifier: MIT
// How does a unit of windows pass a stage? The stump detector's innermost loops, written once over
// the vector types V of the file that includes this one, inside an anonymous namespace. A unit is
// V::lanes neighbouring windows (1, 8, 16 or 32), which live and die together; its 32-bit values
// take V::parts vectors of V::lanes / V::parts lanes.

// U16: V::lanes 16-bit integers; I32, F32: one part.
template <class T>
concept StageVector =
    requires(const std::uint16_t* low, const std::uint32_t* sums, typename T::U16 value,
             typename T::I32 (&wide)[T::parts], typename T::I32 sum, typename T::F32 f,
             std::uint32_t lane_bits, float threshold, std::int32_t integer, double area) {
        value = T::sub16(T::add16(T::load16(low), value), T::times16(value, integer));
        T::widen(value, wide);  // with sign
        sum = T::sub(T::add(T::zero(), T::load(sums)), sum);
        f = T::add(T::mul(T::to_float(sum), T::splat(threshold)), f);
        sum = T::choose(sum, f, threshold, integer);  // sum + (f < threshold ? integer : 0)
        sum = T::select(f, threshold, sum, T::constant(integer));  // f < threshold ? sum : integer
        threshold = T::lane(f, 0);
        // Of sums and squares: which windows have enough variance; f = 1 / deviation.
        lane_bits = T::normalise(sum, sum, area, f);
    };
static_assert(StageVector<V>);

// The lanes of the parts are those of the windows, one part after the other, unless V knows an order
// in which a value is widened by fewer instructions: such as even windows and odd ones.
template <class T>
concept OrderedVector = requires(typename T::U16 value, typename T::I32 (&sums)[T::parts],
                                 typename T::F32 (&floats)[T::parts], std::int32_t integer,
                                 std::uint32_t window_bits, float scale) {
    scale = T::widened_scale;      // a power of two
    T::widen_scaled(value, sums);  // times 1 / widened_scale
    T::to_lanes(floats);           // from the order of windows
    T::to_windows(floats);         // and back
    window_bits = T::at_least(sums, integer);
};
template <class T, class Value>
[[gnu::always_inline]] inline void to_lanes(Value (&values)[T::parts]) noexcept {
    if constexpr (OrderedVector<T>) {
        typename T::F32 moved[T::parts];  // the same bits
        for (int p = 0; p < T::parts; ++p) moved[p] = (typename T::F32)values[p];
        T::to_lanes(moved);
        for (int p = 0; p < T::parts; ++p) values[p] = (Value)moved[p];
    }
}
template <class T, class Values>
[[gnu::always_inline]] inline void to_windows(Values& values) noexcept {
    if constexpr (OrderedVector<T>) T::to_windows(values);
}

constexpr int unit_lanes = V::lanes;
constexpr int parts = V::parts;
constexpr int part_lanes = unit_lanes / parts;

using Norms = V::F32[parts];
using Sums = V::I32[parts];

// What narrow values are multiplied by: the products are the same, for powers of two are exact.
template <class T>
[[gnu::always_inline]] inline void scale_norms(const Norms& norm, Norms& scaled) noexcept {
    for (int p = 0; p < parts; ++p) {
        scaled[p] = norm[p];
        if constexpr (OrderedVector<T>) scaled[p] = T::mul(norm[p], T::splat(T::widened_scale));
    }
}
template <class T>
[[gnu::always_inline]] inline void widen_scaled(V::U16 value, V::I32 (&wide)[parts]) noexcept {
    if constexpr (OrderedVector<T>)
        T::widen_scaled(value, wide);
    else
        T::widen(value, wide);
}

// The feature's value is known: add the gain where it is below the threshold. `norm` is of
// scale_norms().
[[gnu::always_inline]] inline void answer(Sums& sum, const Norms& norm, V::U16 value,
                                          float threshold, std::int32_t gain) noexcept {
    V::I32 wide[parts];
    widen_scaled<V>(value, wide);
    for (int p = 0; p < parts; ++p)
        sum[p] = V::choose(sum[p], V::mul(V::to_float(wide[p]), norm[p]), threshold, gain);
}

[[gnu::always_inline]] inline void add_edges(Sums& sum, const Norms& norm, const EdgeStump* stump,
                                             int count, const std::uint16_t* low) noexcept {
    for (const EdgeStump* end = stump + count; stump != end; ++stump) {
        const std::int32_t* c = stump->corner;
        const auto at = [&](int i) { return V::load16(low + c[i]); };
        const V::U16 twice = V::sub16(at(4), at(5));
        const V::U16 once = V::sub16(V::add16(at(0), at(1)), V::add16(at(2), at(3)));
        answer(sum, norm, V::add16(once, V::add16(twice, twice)), stump->threshold, stump->gain);
    }
}

// c0 + c1 - c2 - c3 + weight (c4 + c5 - c6 - c7)
[[gnu::always_inline]] inline V::U16 line_value(const std::int32_t* c, std::int32_t weight,
                                                const std::uint16_t* low) noexcept {
    const auto at = [&](int i) { return V::load16(low + c[i]); };
    const V::U16 inner = V::sub16(V::add16(at(4), at(5)), V::add16(at(6), at(7)));
    const V::U16 outer = V::sub16(V::add16(at(0), at(1)), V::add16(at(2), at(3)));
    return V::add16(outer, V::times16(inner, weight));
}

[[gnu::always_inline]] inline void add_lines(Sums& sum, const Norms& norm, const LineStump* stump,
                                             int count, const std::uint16_t* low) noexcept {
    for (const LineStump* end = stump + count; stump != end; ++stump) {
        answer(sum, norm, line_value(stump->corner, stump->weight, low), stump->threshold,
               stump->gain);
    }
}

[[gnu::always_inline]] inline void add_diagonals(Sums& sum, const Norms& norm,
                                                 const DiagonalStump* stump, int count,
                                                 const std::uint16_t* low) noexcept {
    for (const DiagonalStump* end = stump + count; stump != end; ++stump) {
        const std::int32_t* c = stump->corner;
        const auto at = [&](int i) { return V::load16(low + c[i]); };
        const V::U16 centre = V::add16(at(8), at(8));
        const V::U16 twice =
            V::sub16(centre, V::add16(V::add16(at(4), at(5)), V::add16(at(6), at(7))));
        const V::U16 once = V::add16(V::add16(at(0), at(1)), V::add16(at(2), at(3)));
        answer(sum, norm, V::times16(V::add16(once, V::add16(twice, twice)), stump->sign),
               stump->threshold, stump->gain);
    }
}

// The value of a feature that is in parts, whose corners `c` are eight each.
[[gnu::always_inline]] inline void parts_value(const std::int32_t* c, int count,
                                               std::int32_t weight, const std::uint16_t* low,
                                               Norms& value) noexcept {
    V::I32 total[parts], part[parts];
    for (int p = 0; p < parts; ++p) total[p] = V::zero();
    for (int i = 0; i < count; ++i) {
        V::widen(line_value(c + 8 * i, weight, low), part);
        for (int p = 0; p < parts; ++p) total[p] = V::add(total[p], part[p]);
    }
    for (int p = 0; p < parts; ++p) value[p] = V::to_float(total[p]);
}

[[gnu::always_inline]] inline void add_splits(Sums& sum, const Norms& norm, const SplitStump* stump,
                                              int count, const std::uint16_t* low) noexcept {
    for (const SplitStump* end = stump + count; stump != end; ++stump) {
        Norms value = {};
        parts_value(stump->corner[0], stump->parts, stump->weight, low, value);
        for (int p = 0; p < parts; ++p)
            sum[p] = V::choose(sum[p], V::mul(value[p], norm[p]), stump->threshold, stump->gain);
    }
}

[[gnu::always_inline]] inline V::I32 rectangle_sums(const std::uint32_t* at,
                                                    const std::int32_t* c) noexcept {
    return V::add(V::sub(V::sub(V::load(at + c[0]), V::load(at + c[1])), V::load(at + c[2])),
                  V::load(at + c[3]));
}

// The value of a wide feature, whose corners `c` are four a rectangle: the operations of the
// reference in its order, f32(f32(w0 s0 + w1 s1) [+ w2 s2]).
[[gnu::always_inline]] inline V::F32 wide_value(const std::int32_t* c, const float* weights,
                                                int rects, const std::uint32_t* at) noexcept {
    V::F32 value{};
    for (int r = 0; r < rects; ++r) {
        const V::F32 term =
            V::mul(V::to_float(rectangle_sums(at, c + 4 * r)), V::splat(weights[r]));
        value = r == 0 ? term : V::add(value, term);
    }
    return value;
}

// In the order of windows.
template <int rects>
[[gnu::always_inline]] inline void add_wide(Sums& sum, const Norms& norm,
                                            const WideStump<rects>* stump, int count,
                                            const std::uint32_t* integral) noexcept {
    for (const WideStump<rects>* end = stump + count; stump != end; ++stump)
        for (int p = 0; p < parts; ++p) {
            const V::F32 value =
                wide_value(stump->corner[0], stump->weight, rects, integral + p * part_lanes);
            sum[p] = V::choose(sum[p], V::mul(value, norm[p]), stump->threshold, stump->gain);
        }
}

[[gnu::always_inline]] inline void add_narrow(Sums& sum, const Norms& norm, const HaarTable& table,
                                              const HaarStage& stage,
                                              const std::uint16_t* low) noexcept {
    Norms scaled;
    scale_norms<V>(norm, scaled);
    add_edges(sum, scaled, table.edges + stage.edges.first, stage.edges.count, low);
    add_lines(sum, scaled, table.lines + stage.lines.first, stage.lines.count, low);
    add_diagonals(sum, scaled, table.diagonals + stage.diagonals.first, stage.diagonals.count, low);
    add_splits(sum, norm, table.splits + stage.splits.first, stage.splits.count, low);
}

struct TreeSums {
    Sums of;
};
// The sum of a stage's trees. All nodes are evaluated, the last first, so that the answer of each
// is known before its parent chooses. wide_of(index, value) has those of wide features.
template <class WideOf>
[[gnu::noinline]] TreeSums tree_sums(const HaarTable& table, const HaarStage& stage,
                                     const Norms& norm, const std::uint16_t* low,
                                     const WideOf& wide_of) noexcept {
    TreeSums sum;
    for (int p = 0; p < parts; ++p) sum.of[p] = V::zero();
    const HaarTree* const end = table.trees + stage.trees.first + stage.trees.count;
    for (const HaarTree* tree = end - stage.trees.count; tree != end; ++tree) {
        V::I32 answers[HaarTree::max_nodes][parts];
        for (int n = tree->node_count - 1; n >= 0; --n) {
            const TreeNode& node = table.tree_nodes[tree->first_node + n];
            Norms value = {};
            if (node.parts > 0)
                parts_value(table.tree_corners + node.corner, node.parts, node.weight, low, value);
            else
                wide_of(tree->first_node + n, value);
            for (int p = 0; p < parts; ++p) {
                const auto follow = [&](int side) {
                    return node.child[side] > 0 ? answers[node.child[side]][p]
                                                : V::constant(node.answer[side]);
                };
                answers[n][p] =
                    V::select(V::mul(value[p], norm[p]), node.threshold, follow(0), follow(1));
            }
        }
        for (int p = 0; p < parts; ++p) sum.of[p] = V::add(sum.of[p], answers[0][p]);
    }
    return sum;
}

// The windows whose sums are at least `limit`, a bit each.
template <class T>
[[gnu::always_inline]] inline std::uint32_t passing(const Sums& sum, std::int32_t limit) noexcept {
    if constexpr (OrderedVector<T>) {
        return T::at_least(sum, limit);
    } else {
        std::uint32_t bits = 0;
        for (int p = 0; p < parts; ++p) bits |= T::at_least(sum[p], limit) << (p * part_lanes);
        return bits;
    }
}

// The windows of `alive` whose sums pass the stage; `exact` decides where fixed point cannot.
template <class Exact>
inline std::uint32_t decide(const HaarStage& stage, const Sums& sum, std::uint32_t alive,
                            const Exact& exact) noexcept {
    std::uint32_t passed = passing<V>(sum, stage.pass_from);
    const std::uint32_t possible = passing<V>(sum, stage.fail_below);
    for (std::uint32_t unsure = possible & ~passed & alive; unsure != 0; unsure &= unsure - 1) {
        const int i = __builtin_ctz(unsure);
        if (exact(i)) passed |= 1u << i;
    }
    return passed & alive;
}

inline std::uint32_t run_stage(const HaarTable& table, int index, const HaarOrigin& origin,
                               const Norms& norm, std::uint32_t alive) noexcept {
    const HaarStage& stage = table.stages[index];
    Sums sum;
    for (int p = 0; p < parts; ++p) sum[p] = V::zero();
    const auto norm_in_order = [&norm](Norms& out) {
        for (int p = 0; p < parts; ++p) out[p] = norm[p];
        to_windows<V>(out);
    };
    if (stage.wide2.count + stage.wide3.count > 0) {
        Norms in_order;
        norm_in_order(in_order);
        add_wide<2>(sum, in_order, table.wide2 + stage.wide2.first, stage.wide2.count, origin.sum);
        add_wide<3>(sum, in_order, table.wide3 + stage.wide3.first, stage.wide3.count, origin.sum);
        to_lanes<V>(sum);
    }
    add_narrow(sum, norm, table, stage, origin.low);
    if (stage.trees.count > 0) {
        const TreeSums trees =
            tree_sums(table, stage, norm, origin.low, [&](int node_index, Norms& value) {
                const TreeNode& node = table.tree_nodes[node_index];
                for (int p = 0; p < parts; ++p)
                    value[p] = wide_value(table.tree_corners + node.corner, node.weights,
                                          node.rects, origin.sum + p * part_lanes);
                to_lanes<V>(value);
            });
        for (int p = 0; p < parts; ++p) sum[p] = V::add(sum[p], trees.of[p]);
    }
    return decide(stage, sum, alive, [&](int i) {
        Norms in_order;
        norm_in_order(in_order);
        return table.exact_stage(table, index, origin.sum + i,
                                 V::lane(in_order[i / part_lanes], i % part_lanes));
    });
}

// The windows of the unit that are not flat, and their 1 / deviation.
[[gnu::always_inline]] inline std::uint32_t normalise_unit(const HaarTable& table,
                                                           const HaarOrigin& origin,
                                                           Norms& norm) noexcept {
    std::uint32_t textured = 0;
    for (int p = 0; p < parts; ++p) {
        const auto window = [&](const std::uint32_t* plane) {
            return rectangle_sums(plane + p * part_lanes, table.norm_corner);
        };
        textured |=
            V::normalise(window(origin.sum), window(origin.square), table.norm_area, norm[p])
            << (p * part_lanes);
    }
    to_lanes<V>(norm);
    return textured;
}
