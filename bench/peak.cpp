// SPDX-License-Identifier: MIT
// Loops of nothing but the instructions in question, on registers: independent sums enough to hide
// the latency, no loads, no compiler in between. What a kernel reaches of this is its share of the
// peak.
#include "peak.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "harness.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) || defined(__arm__)
#include <sys/auxv.h>
#endif

namespace mien::bench {
namespace {

constexpr std::size_t load_bytes = 16 << 10;  // half of the smallest L1 around

struct Loop {
    Isa isa;  // the instruction set that it is the peak of
    const char* what;
    const char* unit;  // GMAC/s or GB/s
    bool headline;     // the int8 peak of the instruction set
    double work;       // multiply-adds or bytes of one iteration
    bool (*available)();
    void (*run)(long iterations, const std::uint8_t* data);
};

#if defined(__x86_64__)

bool has_sse41() { return __builtin_cpu_supports("sse4.1") != 0; }
bool has_avx2() { return __builtin_cpu_supports("avx2") != 0; }
// g++ 11 and clang 14 do not know its name.
bool has_avxvnni() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}
bool has_vnni512() { return __builtin_cpu_supports("avx512vnni") != 0; }

#define MIEN_SUMS "0,1,2,3,4,5,6,7,8,9,10,11"
#define MIEN_CLOBBERS                                                                        \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
constexpr int sums = 12;

// `load` fills the operand registers 14 and 15, `step` does one sum, whose number is \r; register
// 12 is 16-bit ones or free.
#define MIEN_X86_LOOP(name, load, step, leave)                                                  \
    void name(long iterations, const std::uint8_t* data) {                                      \
        asm volatile(load "1:\n.irp r," MIEN_SUMS "\n" step "\n.endr\n dec %0\n jnz 1b\n" leave \
                     : "+r"(iterations)                                                         \
                     : "r"(data)                                                                \
                     : MIEN_CLOBBERS, "memory", "cc");                                          \
    }

MIEN_X86_LOOP(
    sse_int8,
    "movdqu (%1),%%xmm14\n movdqu 16(%1),%%xmm15\n pcmpeqw %%xmm12,%%xmm12\n psrlw $15,%%xmm12\n",
    "movdqa %%xmm14,%%xmm13\n pmaddubsw %%xmm15,%%xmm13\n pmaddwd %%xmm12,%%xmm13\n paddd "
    "%%xmm13,%%xmm\\r",
    "")
MIEN_X86_LOOP(sse_int16, "movdqu (%1),%%xmm14\n movdqu 16(%1),%%xmm15\n",
              "movdqa %%xmm14,%%xmm13\n pmaddwd %%xmm15,%%xmm13\n paddd %%xmm13,%%xmm\\r", "")
MIEN_X86_LOOP(avx2_int8,
              "vmovdqu (%1),%%ymm14\n vmovdqu 32(%1),%%ymm15\n vpcmpeqw %%ymm12,%%ymm12,%%ymm12\n "
              "vpsrlw $15,%%ymm12,%%ymm12\n",
              "vpmaddubsw %%ymm15,%%ymm14,%%ymm13\n vpmaddwd %%ymm12,%%ymm13,%%ymm13\n vpaddd "
              "%%ymm13,%%ymm\\r,%%ymm\\r",
              "vzeroupper\n")
MIEN_X86_LOOP(avx2_int16, "vmovdqu (%1),%%ymm14\n vmovdqu 32(%1),%%ymm15\n",
              "vpmaddwd %%ymm15,%%ymm14,%%ymm13\n vpaddd %%ymm13,%%ymm\\r,%%ymm\\r", "vzeroupper\n")
MIEN_X86_LOOP(avxvnni_int8, "vmovdqu (%1),%%ymm14\n vmovdqu 32(%1),%%ymm15\n",
              "%{vex%} vpdpbusd %%ymm15,%%ymm14,%%ymm\\r", "vzeroupper\n")
MIEN_X86_LOOP(avx512_int8, "vmovdqu64 (%1),%%zmm14\n vmovdqu64 64(%1),%%zmm15\n",
              "vpdpbusd %%zmm15,%%zmm14,%%zmm\\r", "vzeroupper\n")
MIEN_X86_LOOP(avx512_int16, "vmovdqu64 (%1),%%zmm14\n vmovdqu64 64(%1),%%zmm15\n",
              "vpdpwssd %%zmm15,%%zmm14,%%zmm\\r", "vzeroupper\n")

// One iteration reads all of `data` once.
#define MIEN_X86_LOADS(name, instruction, size, registers, leave)                  \
    void name(long iterations, const std::uint8_t* data) {                         \
        for (long i = 0; i < iterations; ++i)                                      \
            for (const std::uint8_t *p = data, *end = data + load_bytes; p != end; \
                 p += 8 * (size))                                                  \
                asm volatile(".irp r,0,1,2,3,4,5,6,7\n " instruction " \\r*" #size \
                             "(%0),%%" registers "\\r\n.endr\n" ::"r"(p)           \
                             : MIEN_CLOBBERS, "memory");                           \
        asm volatile(leave ::: "memory");                                          \
    }
MIEN_X86_LOADS(sse_loads, "movdqu", 16, "xmm", "")
MIEN_X86_LOADS(avx2_loads, "vmovdqu", 32, "ymm", "vzeroupper")
MIEN_X86_LOADS(avx512_loads, "vmovdqu64", 64, "zmm", "vzeroupper")

constexpr Loop loops[] = {
    {Isa::sse41, "pmaddubsw + pmaddwd + paddd, int8", "GMAC/s", true, sums * 16, has_sse41,
     sse_int8},
    {Isa::sse41, "pmaddwd + paddd, int16", "GMAC/s", false, sums * 8, has_sse41, sse_int16},
    {Isa::sse41, "L1 loads, 16 bytes", "GB/s", false, load_bytes, has_sse41, sse_loads},
    {Isa::avx2, "vpmaddubsw + vpmaddwd + vpaddd, int8", "GMAC/s", true, sums * 32, has_avx2,
     avx2_int8},
    {Isa::avx2, "vpmaddwd + vpaddd, int16", "GMAC/s", false, sums * 16, has_avx2, avx2_int16},
    {Isa::avx2, "L1 loads, 32 bytes", "GB/s", false, load_bytes, has_avx2, avx2_loads},
    {Isa::avxvnni, "vpdpbusd of 32 bytes, int8", "GMAC/s", true, sums * 32, has_avxvnni,
     avxvnni_int8},
    {Isa::avx512, "vpdpbusd of 64 bytes, int8", "GMAC/s", true, sums * 64, has_vnni512,
     avx512_int8},
    {Isa::avx512, "vpdpwssd of 64 bytes, int16", "GMAC/s", false, sums * 32, has_vnni512,
     avx512_int16},
    {Isa::avx512, "L1 loads, 64 bytes", "GB/s", false, load_bytes, has_vnni512, avx512_loads},
};

#elif defined(__aarch64__)

bool has_neon() { return true; }
bool has_dotprod() { return (::getauxval(AT_HWCAP) & (1ul << 20)) != 0; }
bool has_i8mm() { return (::getauxval(AT_HWCAP2) & (1ul << 13)) != 0; }

#define MIEN_SUMS "0,1,2,3,4,5,6,7,8,9,10,11"
#define MIEN_CLOBBERS                                                                              \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v28", "v29", "v30", \
        "v31"
constexpr int sums = 12;
#define MIEN_ARM_LOOP(name, extension, step)                                                      \
    void name(long iterations, const std::uint8_t* data) {                                        \
        asm volatile(extension "ldr q30,[%1]\n ldr q31,[%1,#16]\n1:\n.irp r," MIEN_SUMS "\n" step \
                               "\n.endr\n subs %0,%0,#1\n b.ne 1b\n"                              \
                     : "+r"(iterations)                                                           \
                     : "r"(data)                                                                  \
                     : MIEN_CLOBBERS, "memory", "cc");                                            \
    }
MIEN_ARM_LOOP(
    neon_int8, "",
    "smull v28.8h,v30.8b,v31.8b\n smlal2 v28.8h,v30.16b,v31.16b\n sadalp v\\r\\().4s,v28.8h")
MIEN_ARM_LOOP(neon_int16, "", "smlal v\\r\\().4s,v30.4h,v31.4h")
MIEN_ARM_LOOP(dotprod_int8, ".arch armv8.2-a+dotprod\n", "sdot v\\r\\().4s,v30.16b,v31.16b")
MIEN_ARM_LOOP(i8mm_int8, ".arch armv8.2-a+i8mm\n", "smmla v\\r\\().4s,v30.16b,v31.16b")
void neon_loads(long iterations, const std::uint8_t* data) {
    for (long i = 0; i < iterations; ++i)
        for (const std::uint8_t *p = data, *end = data + load_bytes; p != end; p += 64)
            asm volatile("ldp q0,q1,[%0]\n ldp q2,q3,[%0,#32]" ::"r"(p) : MIEN_CLOBBERS, "memory");
}
constexpr Loop loops[] = {
    {Isa::neon, "smull + smlal2 + sadalp, int8", "GMAC/s", true, sums * 16, has_neon, neon_int8},
    {Isa::neon, "smlal, int16", "GMAC/s", false, sums * 4, has_neon, neon_int16},
    {Isa::neon, "L1 loads, 32 bytes", "GB/s", false, load_bytes, has_neon, neon_loads},
    {Isa::dotprod, "sdot, int8", "GMAC/s", true, sums * 16, has_dotprod, dotprod_int8},
    {Isa::i8mm, "smmla, int8", "GMAC/s", true, sums * 32, has_i8mm, i8mm_int8},
};

#elif defined(__arm__) && defined(__ARM_NEON)

bool has_neon() { return true; }
#define MIEN_CLOBBERS "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q12", "q13", "q14", "q15"
constexpr int sums = 8;
#define MIEN_ARM_LOOP(name, step)                                               \
    void name(long iterations, const std::uint8_t* data) {                      \
        asm volatile("vld1.8 {d28-d31},[%1]\n1:\n.irp r,0,1,2,3,4,5,6,7\n" step \
                     "\n.endr\n subs %0,%0,#1\n bne 1b\n"                       \
                     : "+r"(iterations)                                         \
                     : "r"(data)                                                \
                     : MIEN_CLOBBERS, "memory", "cc");                          \
    }
MIEN_ARM_LOOP(neon_int8, "vmull.s8 q12,d28,d30\n vmlal.s8 q12,d29,d31\n vpadal.s16 q\\r\\(),q12")
MIEN_ARM_LOOP(neon_int16, "vmlal.s16 q\\r\\(),d28,d30")
void neon_loads(long iterations, const std::uint8_t* data) {
    for (long i = 0; i < iterations; ++i)
        for (const std::uint8_t *p = data, *end = data + load_bytes; p != end; p += 32)
            asm volatile("vldm %0,{d0-d3}" ::"r"(p) : MIEN_CLOBBERS, "memory");
}
constexpr Loop loops[] = {
    {Isa::neon, "vmull + vmlal + vpadal, int8", "GMAC/s", true, sums * 16, has_neon, neon_int8},
    {Isa::neon, "vmlal.s16, int16", "GMAC/s", false, sums * 4, has_neon, neon_int16},
    {Isa::neon, "L1 loads, 32 bytes", "GB/s", false, load_bytes, has_neon, neon_loads},
};

#else

constexpr std::span<const Loop> loops;

#endif

const std::uint8_t* operands() {
    alignas(64) static std::uint8_t data[load_bytes];
    for (std::size_t i = 0; i < load_bytes; ++i) data[i] = static_cast<std::uint8_t>(i * 37 % 127);
    return data;
}

// 10^9 units a second for each of the loops, at best and as a rule.
struct Rate {
    const Loop* loop;
    double best, median;
};
std::vector<Rate> rates_of(const std::vector<const Loop*>& chosen, int rounds) {
    const std::uint8_t* data = operands();
    std::vector<Case> cases;
    for (const Loop* loop : chosen) {
        const long iterations = loop->unit[1] == 'B' ? 400 : 100000;
        cases.push_back(
            {.run = [loop, data, iterations] { loop->run(iterations, data); }, .calls = 1});
    }
    measure(cases, rounds);
    std::vector<Rate> rates;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        const double work = chosen[i]->work * (chosen[i]->unit[1] == 'B' ? 400 : 100000);
        rates.push_back({chosen[i], work / cases[i].ns.minimum(), work / cases[i].ns.median()});
    }
    return rates;
}

}  // namespace

double peak_gmacs(Isa isa, int rounds) {
    for (const Loop& loop : loops) {
        if (loop.isa == isa && loop.headline && loop.available())
            return rates_of({&loop}, rounds)[0].best;
    }
    return 0;
}

Report bench_peak(const Options& options) {
    std::vector<const Loop*> chosen;
    for (const Loop& loop : loops) {
        if (loop.available()) chosen.push_back(&loop);
    }
    Table table({"instructions", "set", "best", "median", "unit"});
    Json rows = Json::array();
    for (const Rate& rate : rates_of(chosen, options.round_count())) {
        table.row({rate.loop->what, isa_name(rate.loop->isa), format("%.1f", rate.best),
                   format("%.1f", rate.median), rate.loop->unit});
        rows.push_back({{"isa", isa_name(rate.loop->isa)},
                        {"instructions", rate.loop->what},
                        {"headline", rate.loop->headline},
                        {"unit", rate.loop->unit},
                        {"best", rounded(rate.best)},
                        {"median", rounded(rate.median)}});
    }
    return {"What this core can do, one thread\n" + table.text(), {{"loops", std::move(rows)}}};
}

}  // namespace mien::bench
