// SPDX-License-Identifier: MIT
// How are many windows evaluated at once? The stump detector's inner loops, written once over the vector types V of the
// file that includes this one, inside an anonymous namespace. A unit is V::lanes neighbouring windows (8, 16 or 32), which
// live and die together; its 32-bit values take V::parts vectors of V::lanes / V::parts lanes. V provides:
//   U16: V::lanes 16-bit integers; load16(const uint16_t*); add16, sub16(U16, U16); times16(U16, int32_t)
//   I32, F32: one part; zero(); load(const uint32_t*); add, sub(I32, I32); to_float(I32); splat, mul, add(F32)
//   load_columns(windows, from): eight elements at windows[0] + from, and with 16 lanes eight at windows[8] + from
//   widen(U16, I32 (&)[parts]): with sign
//   choose(I32 sum, F32 value, float threshold, int32_t gain): sum + (value < threshold ? gain : 0)
//   at_least(I32, int32_t): one bit a lane; lane(F32, int); load_float(const float*), store(float*, F32)
//   normalise(sums, squares, area, F32& norm): one bit a lane whose variance is high enough; norm = 1 / deviation

constexpr int unit_lanes = V::lanes;
constexpr int parts = V::parts;
constexpr int part_lanes = unit_lanes / parts;

using Norms = V::F32[parts];
using Sums = V::I32[parts];

// Which windows does the scan visit? After a window that fails in stage 0 the next one is skipped, so within a run of
// failing windows every second one is visited. For each (skip the first?, 8 failure bits): visited bits, and the carry.
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

// The feature's value is known: add the gain where it is below the threshold.
[[gnu::always_inline]] inline void answer(Sums& sum, const Norms& norm, V::U16 value, float threshold, std::int32_t gain) noexcept {
    V::I32 wide[parts];
    V::widen(value, wide);
    for (int p = 0; p < parts; ++p) sum[p] = V::choose(sum[p], V::mul(V::to_float(wide[p]), norm[p]), threshold, gain);
}

[[gnu::always_inline]] inline void add_edges(Sums& sum, const Norms& norm, const EdgeStump* stump, int count, const std::uint16_t* low) noexcept {
    for (const EdgeStump* end = stump + count; stump != end; ++stump) {
        const std::int32_t* c = stump->corner;
        const auto at = [&](int i) { return V::load16(low + c[i]); };
        const V::U16 twice = V::sub16(at(4), at(5));
        const V::U16 once = V::sub16(V::add16(at(0), at(1)), V::add16(at(2), at(3)));
        answer(sum, norm, V::add16(once, V::add16(twice, twice)), stump->threshold, stump->gain);
    }
}

[[gnu::always_inline]] inline void add_lines(Sums& sum, const Norms& norm, const LineStump* stump, int count, const std::uint16_t* low) noexcept {
    for (const LineStump* end = stump + count; stump != end; ++stump) {
        const std::int32_t* c = stump->corner;
        const auto at = [&](int i) { return V::load16(low + c[i]); };
        const V::U16 inner = V::sub16(V::add16(at(4), at(5)), V::add16(at(6), at(7)));
        const V::U16 outer = V::sub16(V::add16(at(0), at(1)), V::add16(at(2), at(3)));
        answer(sum, norm, V::add16(outer, V::times16(inner, stump->weight)), stump->threshold, stump->gain);
    }
}

[[gnu::always_inline]] inline void add_diagonals(Sums& sum, const Norms& norm, const DiagonalStump* stump, int count, const std::uint16_t* low) noexcept {
    for (const DiagonalStump* end = stump + count; stump != end; ++stump) {
        const std::int32_t* c = stump->corner;
        const auto at = [&](int i) { return V::load16(low + c[i]); };
        const V::U16 centre = V::add16(at(8), at(8));
        const V::U16 twice = V::sub16(centre, V::add16(V::add16(at(4), at(5)), V::add16(at(6), at(7))));
        const V::U16 once = V::add16(V::add16(at(0), at(1)), V::add16(at(2), at(3)));
        answer(sum, norm, V::times16(V::add16(once, V::add16(twice, twice)), stump->sign), stump->threshold, stump->gain);
    }
}

[[gnu::always_inline]] inline void add_splits(Sums& sum, const Norms& norm, const SplitStump* stump, int count, const std::uint16_t* low) noexcept {
    for (const SplitStump* end = stump + count; stump != end; ++stump) {
        V::I32 total[parts], part[parts];
        for (int p = 0; p < parts; ++p) total[p] = V::zero();
        for (int i = 0; i < stump->parts; ++i) {
            const std::int32_t* c = stump->corner[i];
            const auto at = [&](int k) { return V::load16(low + c[k]); };
            const V::U16 inner = V::sub16(V::add16(at(4), at(5)), V::add16(at(6), at(7)));
            const V::U16 outer = V::sub16(V::add16(at(0), at(1)), V::add16(at(2), at(3)));
            V::widen(V::add16(outer, V::times16(inner, stump->weight)), part);
            for (int p = 0; p < parts; ++p) total[p] = V::add(total[p], part[p]);
        }
        for (int p = 0; p < parts; ++p)
            sum[p] = V::choose(sum[p], V::mul(V::to_float(total[p]), norm[p]), stump->threshold, stump->gain);
    }
}

template <int rects>
[[gnu::always_inline]] inline void add_wide(Sums& sum, const Norms& norm, const WideStump<rects>* stump, int count, const std::uint32_t* integral) noexcept {
    for (const WideStump<rects>* end = stump + count; stump != end; ++stump)
        for (int p = 0; p < parts; ++p) {
            const std::uint32_t* origin = integral + p * part_lanes;
            // Same operations in the same order as the reference: f32(f32(w0 s0 + w1 s1) [+ w2 s2]) * norm.
            V::F32 value{};
            for (int r = 0; r < rects; ++r) {
                const std::int32_t* c = stump->corner[r];
                const V::I32 area = V::add(V::sub(V::sub(V::load(origin + c[0]), V::load(origin + c[1])), V::load(origin + c[2])),
                                           V::load(origin + c[3]));
                const V::F32 term = V::mul(V::to_float(area), V::splat(stump->weight[r]));
                value = r == 0 ? term : V::add(value, term);
            }
            sum[p] = V::choose(sum[p], V::mul(value, norm[p]), stump->threshold, stump->gain);
        }
}

[[gnu::always_inline]] inline void add_narrow(Sums& sum, const Norms& norm, const HaarTable& table, const HaarStage& stage, const std::uint16_t* low) noexcept {
    add_edges(sum, norm, table.edges + stage.edges.first, stage.edges.count, low);
    add_lines(sum, norm, table.lines + stage.lines.first, stage.lines.count, low);
    add_diagonals(sum, norm, table.diagonals + stage.diagonals.first, stage.diagonals.count, low);
    add_splits(sum, norm, table.splits + stage.splits.first, stage.splits.count, low);
}

// The windows of `alive` whose sums pass the stage; `exact` decides where fixed point cannot.
template <class Exact>
inline std::uint32_t decide(const HaarStage& stage, const Sums& sum, std::uint32_t alive, const Exact& exact) noexcept {
    std::uint32_t passed = 0, possible = 0;
    for (int p = 0; p < parts; ++p) {
        passed |= V::at_least(sum[p], stage.pass_from) << (p * part_lanes);
        possible |= V::at_least(sum[p], stage.fail_below) << (p * part_lanes);
    }
    for (std::uint32_t unsure = possible & ~passed & alive; unsure != 0; unsure &= unsure - 1) {
        const int i = __builtin_ctz(unsure);
        if (exact(i)) passed |= 1u << i;
    }
    return passed & alive;
}

inline std::uint32_t run_stage(const HaarTable& table, int index, const HaarOrigin& origin, const Norms& norm, std::uint32_t alive) noexcept {
    const HaarStage& stage = table.stages[index];
    Sums sum;
    for (int p = 0; p < parts; ++p) sum[p] = V::zero();
    add_narrow(sum, norm, table, stage, origin.low);
    add_wide<2>(sum, norm, table.wide2 + stage.wide2.first, stage.wide2.count, origin.sum);
    add_wide<3>(sum, norm, table.wide3 + stage.wide3.first, stage.wide3.count, origin.sum);
    return decide(stage, sum, alive, [&](int i) {
        return table.exact_stage(table, index, origin.sum + i, V::lane(norm[i / part_lanes], i % part_lanes));
    });
}

int haar_row(const HaarRow& row, HaarSurvivor* survivors) noexcept {
    const HaarTable& table = *row.table;
    int found = 0;
    bool skip = false;
    for (int first = 0; first < row.count; first += unit_lanes) {
        const HaarOrigin origin = {row.origin.low + first, row.origin.sum + first, row.origin.square + first};
        const int left = row.count - first;
        const std::uint32_t inside = left >= unit_lanes ? ~0u >> (32 - unit_lanes) : (1u << left) - 1;
        Norms norm;
        std::uint32_t textured = 0;
        for (int p = 0; p < parts; ++p) {
            const auto window = [&](const std::uint32_t* plane) {
                const std::uint32_t* from = plane + p * part_lanes;
                const std::int32_t* c = table.norm_corner;
                return V::add(V::sub(V::sub(V::load(from + c[0]), V::load(from + c[1])), V::load(from + c[2])), V::load(from + c[3]));
            };
            textured |= V::normalise(window(origin.sum), window(origin.square), table.norm_area, norm[p]) << (p * part_lanes);
        }
        textured &= inside;
        // A flat window (variance too low) is not found but does not make the scan skip its neighbour.
        std::uint32_t alive = textured == 0 ? 0 : run_stage(table, 0, origin, norm, textured);
        alive &= visit(textured & ~alive, skip);
        for (int stage = 1; alive != 0 && stage < row.stages; ++stage) alive = run_stage(table, stage, origin, norm, alive);
        if (alive == 0) continue;
        alignas(64) float norms[unit_lanes];
        for (int p = 0; p < parts; ++p) V::store(norms + p * part_lanes, norm[p]);
        for (; alive != 0; alive &= alive - 1) {
            const int i = __builtin_ctz(alive);
            survivors[found++] = {first + i, norms[i]};
        }
    }
    return found;
}

// ------------------------------------------------------------------------------------------------ batches

using Words = std::uint16_t __attribute__((vector_size(2 * unit_lanes)));
static_assert(unit_lanes == 8 || unit_lanes == 16);

// The lower and the upper halves of every eight lanes of a and b, in turn.
template <class W>
inline W zip_low(W a, W b) noexcept {
    if constexpr (sizeof(W) == 16)
        return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    else
        return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 8, 24, 9, 25, 10, 26, 11, 27);
}
template <class W>
inline W zip_high(W a, W b) noexcept {
    if constexpr (sizeof(W) == 16)
        return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    else
        return __builtin_shufflevector(a, b, 4, 20, 5, 21, 6, 22, 7, 23, 12, 28, 13, 29, 14, 30, 15, 31);
}

// Eight columns of every window, one window a lane: vectors of eight columns of window i (and of window i + 8 in the upper
// half) are turned by three rounds of zipping.
[[gnu::always_inline]] inline void copy_columns(const std::uint16_t* const* windows, std::ptrdiff_t from, std::uint16_t* to,
                                                std::ptrdiff_t column_elements) noexcept {
    Words a[8], b[8];
    MIEN_UNROLL
    for (int i = 0; i < 8; ++i) a[i] = (Words)V::load_columns(windows + i, from);
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
    for (int i = 0; i < 8; ++i) __builtin_memcpy(to + i * column_elements, &a[i], sizeof a[i]);
}

// Columns come in runs of eight; the copy has room for the last run's surplus at the end of each row.
inline void copy_windows(const HaarBatch& batch, const std::uint16_t* const* low) noexcept {
    const std::ptrdiff_t row_elements = std::ptrdiff_t{(batch.columns + 15) / 16 * 16} * unit_lanes;
    for (int y = 0; y < batch.rows; ++y) {
        std::uint16_t* const to = batch.copy + y * row_elements;
        const std::ptrdiff_t from = y * batch.pitch;
        if (batch.step == 1) {
            for (int x = 0; x < batch.columns; x += 8) copy_columns(low, from + x, to + x * unit_lanes, unit_lanes);
        } else {
            for (int x = 0; x < batch.columns; x += 16) copy_columns(low, from + x / 2, to + x * unit_lanes, 2 * unit_lanes);
            for (int x = 1; x < batch.columns; x += 16) copy_columns(low, from + batch.odd + x / 2, to + x * unit_lanes, 2 * unit_lanes);
        }
    }
}

// Wide stumps of a batch, window by window: few features need them.
template <int rects>
inline void add_wide_lanes(const HaarBatch& batch, const WideStump<rects>* stump, int count, std::int32_t* sums) noexcept {
    for (const WideStump<rects>* end = stump + count; stump != end; ++stump)
        for (int i = 0; i < batch.count; ++i) {
            const std::uint32_t* p = batch.sum[i];
            float value = 0;
            for (int r = 0; r < rects; ++r) {
                const std::int32_t* c = stump->corner[r];
                const float term = static_cast<float>(static_cast<std::int32_t>(p[c[0]] - p[c[1]] - p[c[2]] + p[c[3]])) * stump->weight[r];
                value = r == 0 ? term : value + term;
            }
            if (value * batch.norm[i] < stump->threshold) sums[i] += stump->gain;
        }
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
    const HaarTable& table = *batch.table;
    std::uint32_t alive = ~0u >> (32 - batch.count);
    for (int index = batch.first_stage; alive != 0 && index < batch.end_stage; ++index) {
        const HaarStage &stage = batch.batch_table->stages[index], &wide = table.stages[index];
        alignas(64) std::int32_t sums[unit_lanes] = {};
        add_wide_lanes<2>(batch, table.wide2 + wide.wide2.first, wide.wide2.count, sums);
        add_wide_lanes<3>(batch, table.wide3 + wide.wide3.first, wide.wide3.count, sums);
        Sums sum;
        for (int p = 0; p < parts; ++p) sum[p] = V::load(reinterpret_cast<const std::uint32_t*>(sums) + p * part_lanes);
        add_narrow(sum, norm, *batch.batch_table, stage, batch.copy);
        alive = decide(stage, sum, alive, [&](int i) { return table.exact_stage(table, index, batch.sum[i], batch.norm[i]); });
    }
    return alive;
}
