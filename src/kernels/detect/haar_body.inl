// SPDX-License-Identifier: MIT
// How are many windows evaluated at once? Rows of neighbouring windows, and batches of gathered
// ones, written once over the vector types V of the file that includes this one, inside an
// anonymous namespace.

#include "kernels/detect/stage_body.inl"

template <class T>
concept BatchVector =
    requires(const std::uint16_t* const* windows, std::ptrdiff_t from, typename T::U16 columns,
             const float* norms, float* out, typename T::F32 f) {
#if !MIEN_OWN_COPY  // defined where the file has a copy_columns() of its own
        // Eight elements at windows[0] + from, and with 16 lanes eight at windows[8] + from.
        columns = T::load_columns(windows, from);
#endif
        f = T::load_float(norms);
        T::store(out, f);
    };
static_assert(BatchVector<V>);
static_assert(unit_lanes == 8 || unit_lanes == 16);

// Which windows does the scan visit? After a window that fails in stage 0 the next one is skipped,
// so within a run of failing windows every second one is visited. For each (skip the first?, 8
// failure bits): visited bits, and the carry.
struct VisitTable {
    std::uint8_t visited[2][256];
    std::uint8_t skip_next[2][256];
};
constexpr VisitTable make_visit_table() noexcept {
    VisitTable table{};
    for (int skip_first = 0; skip_first < 2; ++skip_first)
        for (int fails = 0; fails < 256; ++fails) {
            bool skip = skip_first != 0;
            int visited = 0;
            for (int i = 0; i < 8; ++i) {
                if (!skip) visited |= 1 << i;
                skip = !skip && (fails >> i & 1) != 0;
            }
            table.visited[skip_first][fails] = static_cast<std::uint8_t>(visited);
            table.skip_next[skip_first][fails] = skip ? 1 : 0;
        }
    return table;
}
constexpr VisitTable visit_table = make_visit_table();

inline std::uint32_t visit(std::uint32_t fails, bool& skip) noexcept {
    std::uint32_t visited = 0;
    for (int shift = 0; shift < unit_lanes; shift += 8) {
        const std::uint32_t byte = fails >> shift & 255u;
        visited |= static_cast<std::uint32_t>(visit_table.visited[skip][byte]) << shift;
        skip = visit_table.skip_next[skip][byte] != 0;
    }
    return visited;
}

int haar_row(const HaarRow& row, HaarSurvivor* survivors) noexcept {
    const HaarTable& table = *row.table;
    int found = 0;
    bool skip = false;
    for (int first = 0; first < row.count; first += unit_lanes) {
        const HaarOrigin origin = {row.origin.low + first, row.origin.sum + first,
                                   row.origin.square + first};
        const int left = row.count - first;
        const std::uint32_t inside =
            left >= unit_lanes ? ~0u >> (32 - unit_lanes) : (1u << left) - 1;
        Norms norm;
        const std::uint32_t textured = normalise_unit(table, origin, norm) & inside;
        // A flat window (variance too low) is not found but does not make the scan skip its
        // neighbour.
        std::uint32_t alive = textured == 0 ? 0 : run_stage(table, 0, origin, norm, textured);
        alive &= visit(textured & ~alive, skip);
        for (int stage = 1; alive != 0 && stage < row.stages; ++stage)
            alive = run_stage(table, stage, origin, norm, alive);
        if (alive == 0) continue;
        alignas(64) float norms[unit_lanes];
        to_windows<V>(norm);
        for (int p = 0; p < parts; ++p) V::store(norms + p * part_lanes, norm[p]);
        for (; alive != 0; alive &= alive - 1) {
            const int i = __builtin_ctz(alive);
            survivors[found++] = {first + i, norms[i]};
        }
    }
    return found;
}

// ----------------------------------------------------------------------- batches

#if !MIEN_OWN_COPY
using U16xN = std::uint16_t __attribute__((vector_size(2 * unit_lanes)));  // a lane a window

// The lower and the upper halves of every eight lanes of a and b, in turn.
template <class W>
inline W zip_low(W a, W b) noexcept {
    if constexpr (sizeof(W) == 16)
        return shuffle<0, 8, 1, 9, 2, 10, 3, 11>(a, b);
    else
        return shuffle<0, 16, 1, 17, 2, 18, 3, 19, 8, 24, 9, 25, 10, 26, 11, 27>(a, b);
}
template <class W>
inline W zip_high(W a, W b) noexcept {
    if constexpr (sizeof(W) == 16)
        return shuffle<4, 12, 5, 13, 6, 14, 7, 15>(a, b);
    else
        return shuffle<4, 20, 5, 21, 6, 22, 7, 23, 12, 28, 13, 29, 14, 30, 15, 31>(a, b);
}

// Eight columns of every window, one window a lane: vectors of eight columns of window i (and of
// window i + 8 in the upper half) are turned by three rounds of zipping.
[[gnu::always_inline]] inline void copy_eight(const std::uint16_t* const* windows,
                                              std::ptrdiff_t from, std::uint16_t* to,
                                              std::ptrdiff_t column_elements) noexcept {
    U16xN a[8], b[8];
    MIEN_UNROLL
    for (int i = 0; i < 8; ++i) a[i] = (U16xN)V::load_columns(windows + i, from);
    MIEN_UNROLL
    for (int round = 0; round < 3; ++round) {
        MIEN_UNROLL
        for (int i = 0; i < 4; ++i) {
            b[2 * i] = zip_low(a[i], a[i + 4]);
            b[2 * i + 1] = zip_high(a[i], a[i + 4]);
        }
        MIEN_UNROLL
        for (int i = 0; i < 8; ++i) a[i] = b[i];
    }
    MIEN_UNROLL
    for (int i = 0; i < 8; ++i) store_vector(to + i * column_elements, a[i]);
}

// Columns come in runs of eight; the copy has room for the last run's surplus at the end of each
// row.
inline void copy_columns(const std::uint16_t* const* windows, std::ptrdiff_t from, int count,
                         std::uint16_t* to, std::ptrdiff_t column_elements) noexcept {
    for (int i = 0; i < count; i += 8)
        copy_eight(windows, from + i, to + i * column_elements, column_elements);
}
#endif

inline void copy_windows(const HaarBatch& batch, const std::uint16_t* const* low) noexcept {
    const std::ptrdiff_t row_elements = std::ptrdiff_t{(batch.columns + 15) / 16 * 16} * unit_lanes;
    for (int y = 0; y < batch.rows; ++y) {
        std::uint16_t* const to = batch.copy + y * row_elements;
        const std::ptrdiff_t from = y * batch.pitch;
        if (batch.step == 1) {
            copy_columns(low, from, batch.columns, to, unit_lanes);
        } else {
            copy_columns(low, from, (batch.columns + 1) / 2, to, 2 * unit_lanes);
            copy_columns(low, from + batch.odd, batch.columns / 2, to + unit_lanes, 2 * unit_lanes);
        }
    }
}

// wide_value() of one window: batches take it window by window, as few features need it.
inline float wide_value_of_one(const std::int32_t* c, const float* weights, int rects,
                               const std::uint32_t* at) noexcept {
    float value = 0;
    for (int r = 0; r < rects; ++r, c += 4) {
        const float term = static_cast<float>(static_cast<std::int32_t>(at[c[0]] - at[c[1]] -
                                                                        at[c[2]] + at[c[3]])) *
                           weights[r];
        value = r == 0 ? term : value + term;
    }
    return value;
}

template <int rects>
inline void add_wide_lanes(const HaarBatch& batch, const WideStump<rects>* stump, int count,
                           std::int32_t* sums) noexcept {
    for (const WideStump<rects>* end = stump + count; stump != end; ++stump)
        for (int i = 0; i < batch.count; ++i) {
            const float value =
                wide_value_of_one(stump->corner[0], stump->weight, rects, batch.sum[i]);
            if (value * batch.norm[i] < stump->threshold) sums[i] += stump->gain;
        }
}

inline void wide_tree_lanes(const HaarBatch& batch, int index, Norms& value) noexcept {
    const TreeNode& node = batch.table->tree_nodes[index];
    alignas(64) float values[unit_lanes] = {};
    for (int i = 0; i < batch.count; ++i)
        values[i] = wide_value_of_one(batch.table->tree_corners + node.corner, node.weights,
                                      node.rects, batch.sum[i]);
    for (int p = 0; p < parts; ++p) value[p] = V::load_float(values + p * part_lanes);
    to_lanes<V>(value);
}

std::uint32_t haar_batch(const HaarBatch& batch) noexcept {
    const std::uint16_t* low[unit_lanes];
    alignas(64) float norms[unit_lanes];
    for (int i = 0; i < unit_lanes; ++i) {  // lanes without a window repeat the first
        low[i] = batch.low[i < batch.count ? i : 0];
        norms[i] = batch.norm[i < batch.count ? i : 0];
    }
    copy_windows(batch, low);
    Norms norm;
    for (int p = 0; p < parts; ++p) norm[p] = V::load_float(norms + p * part_lanes);
    to_lanes<V>(norm);
    const HaarTable& table = *batch.table;
    std::uint32_t alive = ~0u >> (32 - batch.count);
    for (int index = batch.first_stage; alive != 0 && index < batch.end_stage; ++index) {
        const HaarStage &stage = batch.batch_table->stages[index], &wide = table.stages[index];
        alignas(64) std::int32_t sums[unit_lanes] = {};
        add_wide_lanes<2>(batch, table.wide2 + wide.wide2.first, wide.wide2.count, sums);
        add_wide_lanes<3>(batch, table.wide3 + wide.wide3.first, wide.wide3.count, sums);
        Sums sum;
        for (int p = 0; p < parts; ++p)
            sum[p] = V::load(reinterpret_cast<const std::uint32_t*>(sums) + p * part_lanes);
        to_lanes<V>(sum);
        add_narrow(sum, norm, *batch.batch_table, stage, batch.copy);
        if (stage.trees.count > 0) {
            const TreeSums trees =
                tree_sums(*batch.batch_table, stage, norm, batch.copy,
                          [&](int node, Norms& value) { wide_tree_lanes(batch, node, value); });
            for (int p = 0; p < parts; ++p) sum[p] = V::add(sum[p], trees.of[p]);
        }
        alive = decide(stage, sum, alive, [&](int i) {
            return table.exact_stage(table, index, batch.sum[i], batch.norm[i]);
        });
    }
    return alive;
}
