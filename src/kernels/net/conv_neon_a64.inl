// SPDX-License-Identifier: MIT
// The loops of conv_neon.inl for aarch64, in assembly. Compilers copy the four registers of ld4r
// about and mix loads with multiplications, which costs a Cortex-A53 half as much again.
//
// A tile is two pixels, `at0` and `at1`, of sixteen channels or eight. A step is four bytes of each
// pixel, a register from ld4r, times the weights of four channels a register.

// clang-format off: it has no eye for assembly

#define MIEN_PAIR(op, low, high, w, a)                                                             \
    op " " low ".8h, " w ".8b, " a ".8b\n\t"                                                       \
    op "2 " high ".8h, " w ".16b, " a ".16b\n\t"
// A step of sixteen channels: weights in w0 to w3, bytes in a and b, sums in v0 to v15.
#define MIEN_STEP16(op, w0, w1, w2, w3, a, b)                                                      \
    MIEN_PAIR(op, "v0", "v1", w0, a)                                                               \
    MIEN_PAIR(op, "v2", "v3", w1, a)                                                               \
    MIEN_PAIR(op, "v4", "v5", w2, a)                                                               \
    MIEN_PAIR(op, "v6", "v7", w3, a)                                                               \
    MIEN_PAIR(op, "v8", "v9", w0, b)                                                               \
    MIEN_PAIR(op, "v10", "v11", w1, b)                                                             \
    MIEN_PAIR(op, "v12", "v13", w2, b)                                                             \
    MIEN_PAIR(op, "v14", "v15", w3, b)
// Of eight: sums in a register of each pair.
#define MIEN_STEP8(op, s0, s1, s2, s3, s4, s5, s6, s7, w0, w1, a, b)                               \
    MIEN_PAIR(op, s0, s1, w0, a)                                                                   \
    MIEN_PAIR(op, s2, s3, w1, a)                                                                   \
    MIEN_PAIR(op, s4, s5, w0, b)                                                                   \
    MIEN_PAIR(op, s6, s7, w1, b)

#define MIEN_LOAD8(from)                                                                           \
    "ldp q24, q25, [%[w], " #from "]\n\t"                                                          \
    "ldp q26, q27, [%[w], " #from " + 32]\n\t"                                                     \
    "ldp q28, q29, [%[w], " #from " + 64]\n\t"                                                     \
    "ldp q30, q31, [%[w], " #from " + 96]\n\t"
#define MIEN_NEXT(bytes)                                                                           \
    "add %[at0], %[at0], " #bytes "\n\t"                                                           \
    "add %[at1], %[at1], " #bytes "\n\t"
#define MIEN_LOAD_FOUR                                                                             \
    "ld4r {v16.4s, v17.4s, v18.4s, v19.4s}, [%[at0]]\n\t"                                          \
    "ld4r {v20.4s, v21.4s, v22.4s, v23.4s}, [%[at1]]\n\t"                                          \
    MIEN_NEXT(16)
#define MIEN_LOAD_TWO                                                                              \
    "ld2r {v16.4s, v17.4s}, [%[at0]]\n\t"                                                          \
    "ld2r {v20.4s, v21.4s}, [%[at1]]\n\t"                                                          \
    MIEN_NEXT(8)
#define MIEN_LOAD_ONE                                                                              \
    "ld1r {v16.4s}, [%[at0]]\n\t"                                                                  \
    "ld1r {v20.4s}, [%[at1]]\n\t"                                                                  \
    MIEN_NEXT(4)

// All steps of all kernel rows, `size` at a time; of the first row `left` are still to be made.
#define MIEN_ROWS(size, some, two, one)                                                            \
    "1: subs %w[left], %w[left], " #size "\n\t"                                                    \
    "b.lt 3f\n\t"                                                                                  \
    "2:\n\t"                                                                                       \
    some                                                                                           \
    "subs %w[left], %w[left], " #size "\n\t"                                                       \
    "b.ge 2b\n\t"                                                                                  \
    "3:\n\t"                                                                                       \
    two                                                                                            \
    "tbz %w[left], 0, 5f\n\t"                                                                      \
    one                                                                                            \
    "5: subs %w[rows], %w[rows], 1\n\t"                                                            \
    "b.eq 6f\n\t"                                                                                  \
    "add %[field], %[field], %[row]\n\t"                                                           \
    "mov %[at0], %[field]\n\t"                                                                     \
    "add %[at1], %[field], %[pixel]\n\t"                                                           \
    "mov %w[left], %w[steps]\n\t"                                                                  \
    "b 1b\n\t"                                                                                     \
    "6:\n\t"
#define MIEN_IF_TWO(two)                                                                           \
    "tbz %w[left], 1, 4f\n\t"                                                                      \
    two                                                                                            \
    "4:\n\t"

#define MIEN_JOIN(to, low, high) "addp " to ".4s, " low ".4s, " high ".4s\n\t"
#define MIEN_JOIN16                                                                                \
    MIEN_JOIN("v0", "v0", "v1")                                                                    \
    MIEN_JOIN("v1", "v2", "v3")                                                                    \
    MIEN_JOIN("v2", "v4", "v5")                                                                    \
    MIEN_JOIN("v3", "v6", "v7")                                                                    \
    MIEN_JOIN("v4", "v8", "v9")                                                                    \
    MIEN_JOIN("v5", "v10", "v11")                                                                  \
    MIEN_JOIN("v6", "v12", "v13")                                                                  \
    MIEN_JOIN("v7", "v14", "v15")

// What the loops of sixteen channels have: their sums, and how they walk through the kernel rows.
#define MIEN_SUMS16                                                                                \
    register int32x4_t s0 asm("v0");                                                               \
    register int32x4_t s1 asm("v1");                                                               \
    register int32x4_t s2 asm("v2");                                                               \
    register int32x4_t s3 asm("v3");                                                               \
    register int32x4_t s4 asm("v4");                                                               \
    register int32x4_t s5 asm("v5");                                                               \
    register int32x4_t s6 asm("v6");                                                               \
    register int32x4_t s7 asm("v7");                                                               \
    const std::int8_t *at0 = field, *at1 = field + tile.pixel_step, *w = tile.weights;             \
    int left = tile.row_steps - lead, rows = args.kernel_h;
#define MIEN_OPERANDS16                                                                            \
    : [at0] "+&r"(at0), [at1] "+&r"(at1), [field] "+&r"(field), [w] "+&r"(w), [left] "+&r"(left),  \
      [rows] "+&r"(rows), "=w"(s0), "=w"(s1), "=w"(s2), "=w"(s3), "=w"(s4), "=w"(s5), "=w"(s6),    \
      "=w"(s7)                                                                                     \
    : [row] "r"(args.input_row), [pixel] "r"(tile.pixel_step), [steps] "r"(tile.row_steps)         \
    : "cc", "memory", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",   \
      "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"
#define MIEN_ADD_BIAS16                                                                            \
    const std::int32_t* const bias = args.bias + tile.channel;                                     \
    const int32x4_t made[2][4] = {{s0, s1, s2, s3}, {s4, s5, s6, s7}};                             \
    MIEN_UNROLL                                                                                    \
    for (int v = 0; v < 4; ++v) {                                                                  \
        const int32x4_t four = vld1q_s32(bias + 4 * v);                                            \
        MIEN_UNROLL                                                                                \
        for (int p = 0; p < 2; ++p) sums[p][v] = vaddq_s32(made[p][v], four);                      \
    }

// -------------------------------------------------------------------------- words

#define MIEN_FOUR16(first)                                                                         \
    MIEN_LOAD_FOUR                                                                                 \
    MIEN_LOAD8(0)                                                                                  \
    MIEN_STEP16(first, "v24", "v25", "v26", "v27", "v16", "v20")                                   \
    MIEN_STEP16("smlal", "v28", "v29", "v30", "v31", "v17", "v21")                                 \
    MIEN_LOAD8(128)                                                                                \
    "add %[w], %[w], 256\n\t"                                                                      \
    MIEN_STEP16("smlal", "v24", "v25", "v26", "v27", "v18", "v22")                                 \
    MIEN_STEP16("smlal", "v28", "v29", "v30", "v31", "v19", "v23")
#define MIEN_TWO16                                                                                 \
    MIEN_LOAD_TWO                                                                                  \
    MIEN_LOAD8(0)                                                                                  \
    "add %[w], %[w], 128\n\t"                                                                      \
    MIEN_STEP16("smlal", "v24", "v25", "v26", "v27", "v16", "v20")                                 \
    MIEN_STEP16("smlal", "v28", "v29", "v30", "v31", "v17", "v21")
#define MIEN_ONE16(op)                                                                             \
    MIEN_LOAD_ONE                                                                                  \
    "ldp q24, q25, [%[w]]\n\t"                                                                     \
    "ldp q26, q27, [%[w], 32]\n\t"                                                                 \
    "add %[w], %[w], 64\n\t"                                                                       \
    MIEN_STEP16(op, "v24", "v25", "v26", "v27", "v16", "v20")
#define MIEN_WORDS16 MIEN_ROWS(4, MIEN_FOUR16("smlal"), MIEN_IF_TWO(MIEN_TWO16), MIEN_ONE16("smlal"))
#define MIEN_WIDEN(a, b)                                                                           \
    "saddlp " a ".4s, " a ".8h\n\t"                                                                \
    "saddlp " b ".4s, " b ".8h\n\t"
#define MIEN_WIDEN16                                                                               \
    MIEN_WIDEN("v0", "v1")                                                                         \
    MIEN_WIDEN("v2", "v3")                                                                         \
    MIEN_WIDEN("v4", "v5")                                                                         \
    MIEN_WIDEN("v6", "v7")                                                                         \
    MIEN_WIDEN("v8", "v9")                                                                         \
    MIEN_WIDEN("v10", "v11")                                                                       \
    MIEN_WIDEN("v12", "v13")                                                                       \
    MIEN_WIDEN("v14", "v15")

// The sums of a tile of sixteen channels, all in 16 bits. `lead`: the steps that are made first, and
// of which a kernel row has as many at least: four or one.
template <int lead>
[[gnu::always_inline]] inline void conv_in_words(const ConvArgs& args, const ConvTile& tile,
                                                 const std::int8_t* field,
                                                 ConvSumsOf<conv_vectors>& sums) noexcept {
    MIEN_SUMS16
    if constexpr (lead == 4)
        asm volatile(MIEN_FOUR16("smull") MIEN_WORDS16 MIEN_WIDEN16 MIEN_JOIN16 MIEN_OPERANDS16);
    else
        asm volatile(MIEN_ONE16("smull") MIEN_WORDS16 MIEN_WIDEN16 MIEN_JOIN16 MIEN_OPERANDS16);
    MIEN_ADD_BIAS16
}

// -------------------------------------------------------------------------- pairs

// Sums of 32 bits in v0 to v15, products of half the channels in v24 to v31.
#define MIEN_HALF(op, w0, w1, a, b)                                                                \
    MIEN_STEP8(op, "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", w0, w1, a, b)
#define MIEN_ADD_WORDS(op, a0, a1, a2, a3, b0, b1, b2, b3)                                         \
    op " " a0 ".4s, v24.8h\n\t"                                                                    \
    op " " a1 ".4s, v25.8h\n\t"                                                                    \
    op " " a2 ".4s, v26.8h\n\t"                                                                    \
    op " " a3 ".4s, v27.8h\n\t"                                                                    \
    op " " b0 ".4s, v28.8h\n\t"                                                                    \
    op " " b1 ".4s, v29.8h\n\t"                                                                    \
    op " " b2 ".4s, v30.8h\n\t"                                                                    \
    op " " b3 ".4s, v31.8h\n\t"
#define MIEN_ADD_FIRST(op) MIEN_ADD_WORDS(op, "v0", "v1", "v2", "v3", "v8", "v9", "v10", "v11")
#define MIEN_ADD_SECOND(op) MIEN_ADD_WORDS(op, "v4", "v5", "v6", "v7", "v12", "v13", "v14", "v15")
// `add`: to the sums, or saddlp for the first of them.
#define MIEN_PAIR16(add)                                                                           \
    "ld2r {v16.4s, v17.4s}, [%[at0]]\n\t"                                                          \
    "ld2r {v18.4s, v19.4s}, [%[at1]]\n\t"                                                          \
    "ldp q20, q21, [%[w]]\n\t"                                                                     \
    "ldp q22, q23, [%[w], 32]\n\t"                                                                 \
    MIEN_NEXT(8)                                                                                   \
    MIEN_HALF("smull", "v20", "v21", "v16", "v18")                                                 \
    MIEN_HALF("smlal", "v22", "v23", "v17", "v19")                                                 \
    MIEN_ADD_FIRST(add)                                                                            \
    "ldp q20, q21, [%[w], 64]\n\t"                                                                 \
    "ldp q22, q23, [%[w], 96]\n\t"                                                                 \
    "add %[w], %[w], 128\n\t"                                                                      \
    MIEN_HALF("smull", "v20", "v21", "v16", "v18")                                                 \
    MIEN_HALF("smlal", "v22", "v23", "v17", "v19")                                                 \
    MIEN_ADD_SECOND(add)
#define MIEN_SINGLE16(add)                                                                         \
    MIEN_LOAD_ONE                                                                                  \
    "ldp q18, q19, [%[w]]\n\t"                                                                     \
    "ldp q22, q23, [%[w], 32]\n\t"                                                                 \
    "add %[w], %[w], 64\n\t"                                                                       \
    MIEN_HALF("smull", "v18", "v19", "v16", "v20")                                                 \
    MIEN_ADD_FIRST(add)                                                                            \
    MIEN_HALF("smull", "v22", "v23", "v16", "v20")                                                 \
    MIEN_ADD_SECOND(add)
#define MIEN_PAIRS16 MIEN_ROWS(2, MIEN_PAIR16("sadalp"), "", MIEN_SINGLE16("sadalp"))

// The same in pairs, with a lead of two or one.
template <int lead>
[[gnu::always_inline]] inline void conv_in_pairs(const ConvArgs& args, const ConvTile& tile,
                                                 const std::int8_t* field,
                                                 ConvSumsOf<conv_vectors>& sums) noexcept {
    MIEN_SUMS16
    if constexpr (lead == 2)
        asm volatile(MIEN_PAIR16("saddlp") MIEN_PAIRS16 MIEN_JOIN16 MIEN_OPERANDS16);
    else
        asm volatile(MIEN_SINGLE16("saddlp") MIEN_PAIRS16 MIEN_JOIN16 MIEN_OPERANDS16);
    MIEN_ADD_BIAS16
}

// -------------------------------------------------------------------------- groups

// Sums of 32 bits in v0 to v7, products in v8 to v15.
#define MIEN_EIGHT(op, w0, w1, a, b)                                                               \
    MIEN_STEP8(op, "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", w0, w1, a, b)
#define MIEN_ADD_EIGHT                                                                             \
    "sadalp v0.4s, v8.8h\n\t"                                                                      \
    "sadalp v1.4s, v9.8h\n\t"                                                                      \
    "sadalp v2.4s, v10.8h\n\t"                                                                     \
    "sadalp v3.4s, v11.8h\n\t"                                                                     \
    "sadalp v4.4s, v12.8h\n\t"                                                                     \
    "sadalp v5.4s, v13.8h\n\t"                                                                     \
    "sadalp v6.4s, v14.8h\n\t"                                                                     \
    "sadalp v7.4s, v15.8h\n\t"
#define MIEN_FOUR8                                                                                 \
    MIEN_LOAD_FOUR                                                                                 \
    MIEN_LOAD8(0)                                                                                  \
    "ldrb %w[fits], [%[flags]]\n\t"                                                                \
    "add %[flags], %[flags], 1\n\t"                                                                \
    "add %[w], %[w], 128\n\t"                                                                      \
    MIEN_EIGHT("smull", "v24", "v25", "v16", "v20")                                                \
    MIEN_EIGHT("smlal", "v26", "v27", "v17", "v21")                                                \
    "cbnz %w[fits], 7f\n\t"                                                                        \
    MIEN_ADD_EIGHT                                                                                 \
    MIEN_EIGHT("smull", "v28", "v29", "v18", "v22")                                                \
    "b 8f\n\t"                                                                                     \
    "7:\n\t"                                                                                       \
    MIEN_EIGHT("smlal", "v28", "v29", "v18", "v22")                                                \
    "8:\n\t"                                                                                       \
    MIEN_EIGHT("smlal", "v30", "v31", "v19", "v23")                                                \
    MIEN_ADD_EIGHT
#define MIEN_TWO8                                                                                  \
    MIEN_LOAD_TWO                                                                                  \
    "ldp q24, q25, [%[w]]\n\t"                                                                     \
    "ldp q26, q27, [%[w], 32]\n\t"                                                                 \
    "add %[w], %[w], 64\n\t"                                                                       \
    MIEN_EIGHT("smull", "v24", "v25", "v16", "v20")                                                \
    MIEN_EIGHT("smlal", "v26", "v27", "v17", "v21")                                                \
    MIEN_ADD_EIGHT
#define MIEN_ONE8                                                                                  \
    MIEN_LOAD_ONE                                                                                  \
    "ldp q24, q25, [%[w]]\n\t"                                                                     \
    "add %[w], %[w], 32\n\t"                                                                       \
    MIEN_EIGHT("smull", "v24", "v25", "v16", "v20")                                                \
    MIEN_ADD_EIGHT

// The same of eight channels, vectors `first` and the next, in groups of four steps or two. Returns
// where the next weights are.
template <int first, int all>
[[gnu::always_inline]] inline const std::int8_t* conv_in_groups(const ConvArgs& args,
                                                                const ConvTile& tile,
                                                                const std::int8_t* field,
                                                                const std::int8_t* w,
                                                                ConvSumsOf<all>& sums) noexcept {
    register int32x4_t s0 asm("v0");
    register int32x4_t s1 asm("v1");
    register int32x4_t s2 asm("v2");
    register int32x4_t s3 asm("v3");
    const std::int8_t *at0 = field, *at1 = field + tile.pixel_step, *flags = tile.flags;
    int left = tile.row_steps, rows = args.kernel_h, fits;
    asm volatile(
        "ldp q8, q9, [%[bias]]\n\t"
        "movi v10.4s, 0\n\t"
        "zip1 v0.4s, v8.4s, v10.4s\n\t"
        "zip2 v1.4s, v8.4s, v10.4s\n\t"
        "zip1 v2.4s, v9.4s, v10.4s\n\t"
        "zip2 v3.4s, v9.4s, v10.4s\n\t"
        "mov v4.16b, v0.16b\n\t"
        "mov v5.16b, v1.16b\n\t"
        "mov v6.16b, v2.16b\n\t"
        "mov v7.16b, v3.16b\n\t"
        MIEN_ROWS(4, MIEN_FOUR8, MIEN_IF_TWO(MIEN_TWO8), MIEN_ONE8)
        MIEN_JOIN("v0", "v0", "v1")
        MIEN_JOIN("v1", "v2", "v3")
        MIEN_JOIN("v2", "v4", "v5")
        MIEN_JOIN("v3", "v6", "v7")
        : [at0] "+&r"(at0), [at1] "+&r"(at1), [field] "+&r"(field), [w] "+&r"(w),
          [left] "+&r"(left), [rows] "+&r"(rows), [flags] "+&r"(flags), [fits] "=&r"(fits),
          "=w"(s0), "=w"(s1), "=w"(s2), "=w"(s3)
        : [row] "r"(args.input_row), [pixel] "r"(tile.pixel_step), [steps] "r"(tile.row_steps),
          [bias] "r"(args.bias + tile.channel + 4 * first)
        : "cc", "memory", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
          "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
          "v27", "v28", "v29", "v30", "v31");
    sums[0][first] = s0;
    sums[0][first + 1] = s1;
    sums[1][first] = s2;
    sums[1][first + 1] = s3;
    return w;
}
