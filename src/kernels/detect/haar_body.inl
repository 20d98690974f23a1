// SPDX-License-Identifier: MIT
// How are many windows evaluated at once? The stump detector's inner loops, written once over the vector type V of the
// file that includes this one, inside an anonymous namespace. V provides:
//   lanes, unit_vectors (lanes * unit_vectors is a multiple of 8, at most 32); I32, F32, Mask;
//   zero_i32(); load(const uint32_t*); add, sub(I32, I32); to_float(I32); splat(float), splat(int32_t);
//   mul, add(F32, F32); less(F32, F32) -> Mask; masked(Mask, I32);
//   at_least(I32, int32_t) -> unsigned bits; extract(F32, lane);
//   normalise(origin pointers, corners, area, F32& norm) -> unsigned bits of the lanes whose variance is high enough.
//
// A unit is V::unit_vectors vectors of neighbouring windows that live and die together: more share the reads of offsets and
// weights, fewer stop earlier.

constexpr int unit_vectors = V::unit_vectors;
constexpr int unit_lanes = unit_vectors * V::lanes;

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

inline unsigned visit(unsigned fails, bool& skip) noexcept {
    unsigned visited = 0;
    for (int shift = 0; shift < unit_lanes; shift += 8) {
        const unsigned byte = fails >> shift & 255u;
        visited |= static_cast<unsigned>(visit_table.visited[skip][byte]) << shift;
        skip = visit_table.skip_next[skip][byte] != 0;
    }
    return visited;
}

template <int rects>
inline void add_stumps(const HaarStump<rects>* stump, int count, const std::uint32_t* origin,
                       const V::F32 (&norm)[unit_vectors], V::I32 (&sum)[unit_vectors]) noexcept {
    for (const HaarStump<rects>* end = stump + count; stump != end; ++stump) {
        for (int u = 0; u < unit_vectors; ++u) {
            const std::uint32_t* p = origin + u * V::lanes;
            // Same operations in the same order as the reference: f32(f32(w0 s0 + w1 s1) [+ w2 s2]) * norm.
            V::F32 value{};
            for (int r = 0; r < rects; ++r) {
                const std::int32_t* c = stump->corner[r];
                const V::I32 area = V::add(V::sub(V::sub(V::load(p + c[0]), V::load(p + c[1])), V::load(p + c[2])),
                                           V::load(p + c[3]));
                const V::F32 term = V::mul(V::to_float(area), V::splat(stump->weight[r]));
                value = r == 0 ? term : V::add(value, term);
            }
            const V::Mask left = V::less(V::mul(value, norm[u]), V::splat(stump->threshold));
            sum[u] = V::add(sum[u], V::masked(left, V::splat(stump->gain)));
        }
    }
}

// The windows of `alive` that pass the stage.
inline unsigned run_stage(const HaarTable& table, int index, const std::uint32_t* origin,
                          const V::F32 (&norm)[unit_vectors], unsigned alive) noexcept {
    const HaarStage& stage = table.stages[index];
    V::I32 sum[unit_vectors];
    for (int u = 0; u < unit_vectors; ++u) sum[u] = V::zero_i32();
    add_stumps<2>(table.stumps2 + stage.first2, stage.count2, origin, norm, sum);
    add_stumps<3>(table.stumps3 + stage.first3, stage.count3, origin, norm, sum);
    unsigned passed = 0, possible = 0;
    for (int u = 0; u < unit_vectors; ++u) {
        passed |= V::at_least(sum[u], stage.pass_from) << (u * V::lanes);
        possible |= V::at_least(sum[u], stage.fail_below) << (u * V::lanes);
    }
    for (unsigned unsure = possible & ~passed & alive; unsure != 0; unsure &= unsure - 1) {
        const int i = __builtin_ctz(unsure);
        const float window_norm = V::extract(norm[i / V::lanes], i % V::lanes);
        if (table.exact_stage(table, index, origin + i, window_norm)) passed |= 1u << i;
    }
    return passed & alive;
}

int haar_row(const HaarRow& row, std::int32_t* hits) noexcept {
    const HaarTable& table = *row.table;
    int found = 0;
    bool skip = false;
    for (int first = 0; first < row.count; first += unit_lanes) {
        const std::uint32_t* origin = row.sum + first;
        const int left = row.count - first;
        const unsigned inside = left >= unit_lanes ? ~0u >> (32 - unit_lanes) : (1u << left) - 1;
        V::F32 norm[unit_vectors];
        unsigned textured = 0;
        for (int u = 0; u < unit_vectors; ++u)
            textured |= V::normalise(origin + u * V::lanes, row.square + first + u * V::lanes, table.norm_corner,
                                     table.norm_area, norm[u])
                        << (u * V::lanes);
        textured &= inside;
        // A flat window (variance too low) is not found but does not make the scan skip its neighbour.
        unsigned alive = textured == 0 ? 0 : run_stage(table, 0, origin, norm, textured);
        alive &= visit(textured & ~alive, skip);
        for (int stage = 1; alive != 0 && stage < table.stage_count; ++stage)
            alive = run_stage(table, stage, origin, norm, alive);
        for (; alive != 0; alive &= alive - 1) hits[found++] = first + __builtin_ctz(alive);
    }
    return found;
}
