// SPDX-License-Identifier: MIT
// Finds the processor's instruction sets and chooses the kernels of each. No other file looks at
// the processor.
#include <algorithm>
#include <iterator>

#include "kernels/kernels.h"
#include "kernels/tables.h"

#if MIEN_SCALAR_ONLY
#elif defined(__x86_64__) || defined(__i386__)
#define MIEN_X86 1
#include <cpuid.h>
#elif defined(__aarch64__)
#define MIEN_ARM64 1
#elif defined(__arm__)
#define MIEN_ARM32 1
#elif defined(__wasm_simd128__)
#define MIEN_WASM_SIMD 1
#endif  // MIEN_RVV: from cmake/core.cmake, where the compiler has RISC-V's vectors
#if (MIEN_ARM64 || MIEN_ARM32 || MIEN_RVV) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace mien {
namespace {

// Best first; the scalar table is last and always there. Read a line as: this instruction set takes
// its network kernels, its detector kernels and its pixel kernels from these files.
constinit const Kernels tables[] = {
#if MIEN_X86
    {Isa::avx512, net_avx512, detect_avx512, image_avx2},
    {Isa::avxvnni, net_avxvnni, detect_avx2, image_avx2},
    {Isa::avx2, net_avx2, detect_avx2, image_avx2},
    {Isa::sse41, net_sse41, detect_sse41, image_sse41},
#elif MIEN_ARM64
    {Isa::i8mm, net_i8mm, detect_neon, image_neon},
    {Isa::dotprod, net_dotprod, detect_neon, image_neon},
    {Isa::neon, net_neon, detect_neon, image_neon},
#elif MIEN_ARM32
    {Isa::neon, net_neon, detect_neon, image_neon},
#elif MIEN_WASM_SIMD
    {Isa::simd128, net_simd128, detect_simd128, image_simd128},
#elif MIEN_RVV
    {Isa::rvv, net_rvv, detect_rvv, image_rvv},
#endif
// a module with vectors needs no code for machines without them
#if !MIEN_WITHOUT_SCALAR
#if defined(__SSE2__) || defined(__ARM_NEON)
    {Isa::scalar, net_scalar, detect_scalar, image_scalar},
#else  // the compiler's own vectors pay only where the processor has vectors
    {Isa::scalar, net_scalar, detect_single, image_scalar},
#endif
#endif
};

#if MIEN_X86
bool has_avxvnni() noexcept {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}
#endif

bool processor_has(Isa isa) noexcept {
    switch (isa) {
        case Isa::best:
        case Isa::scalar: return true;
#if MIEN_X86
        case Isa::sse41: return __builtin_cpu_supports("sse4.1") != 0;
        case Isa::avx2: return __builtin_cpu_supports("avx2") != 0;
        case Isa::avxvnni: return __builtin_cpu_supports("avx2") != 0 && has_avxvnni();
        case Isa::avx512:
            return __builtin_cpu_supports("avx512f") != 0 &&
                   __builtin_cpu_supports("avx512bw") != 0 &&
                   __builtin_cpu_supports("avx512dq") != 0 &&
                   __builtin_cpu_supports("avx512vl") != 0 &&
                   __builtin_cpu_supports("avx512vnni") != 0;
#elif MIEN_ARM64
        case Isa::neon: return true;
#if defined(__linux__)  // bits as in the kernel's hwcap.h
        case Isa::dotprod: return (getauxval(AT_HWCAP) >> 20 & 1) != 0;
        case Isa::i8mm:
            return (getauxval(AT_HWCAP) >> 20 & 1) != 0 && (getauxval(AT_HWCAP2) >> 13 & 1) != 0;
#endif
#elif MIEN_ARM32 && defined(__linux__)
        case Isa::neon: return (getauxval(AT_HWCAP) >> 12 & 1) != 0;
#elif MIEN_WASM_SIMD  // a module with these instructions is not even loaded without them
        case Isa::simd128: return true;
#elif MIEN_RVV && defined(__linux__)  // a bit for each letter
        case Isa::rvv: return (getauxval(AT_HWCAP) >> ('V' - 'A') & 1) != 0 && rvv_works();
#endif
        default: return false;
    }
}

}  // namespace

const char* isa_name(Isa isa) noexcept {
    switch (isa) {
        case Isa::best: return "best";
        case Isa::scalar: return "scalar";
        case Isa::sse41: return "sse41";
        case Isa::avx2: return "avx2";
        case Isa::avxvnni: return "avxvnni";
        case Isa::avx512: return "avx512";
        case Isa::neon: return "neon";
        case Isa::dotprod: return "dotprod";
        case Isa::i8mm: return "i8mm";
        case Isa::simd128: return "simd128";
        case Isa::rvv: return "rvv";
    }
    return "unknown";
}

const Kernels& kernels_for(Isa isa) noexcept {
    const Kernels* const found =
        std::find_if(std::begin(tables), std::end(tables), [isa](const Kernels& table) {
            return (isa == Isa::best || table.isa == isa) && processor_has(table.isa);
        });
    return found != std::end(tables) ? *found : *std::rbegin(tables);
}

Isa resolve_isa(Isa wanted) noexcept { return kernels_for(wanted).isa; }

bool isa_available(Isa isa) noexcept { return isa == Isa::best || kernels_for(isa).isa == isa; }

}  // namespace mien
