// SPDX-License-Identifier: MIT
// Which instruction set does this processor have? The only file that asks.
#include <algorithm>

#include "kernels/tables.h"

namespace mien {
namespace {

// Best first; the scalar table is last and always there.
const Kernels* const all_kernels[] = {
#if MIEN_HAS_AVX2
    &avx2_kernels,
#endif
    &scalar_kernels,
};

bool processor_has(Isa isa) noexcept {
    switch (isa) {
        case Isa::best:
        case Isa::scalar: return true;
        case Isa::avx2:
#if MIEN_HAS_AVX2
            return __builtin_cpu_supports("avx2") != 0;
#else
            return false;
#endif
    }
    return false;
}

}  // namespace

const char* isa_name(Isa isa) noexcept {
    switch (isa) {
        case Isa::best: return "best";
        case Isa::scalar: return "scalar";
        case Isa::avx2: return "avx2";
    }
    return "unknown";
}

const Kernels& kernels_for(Isa isa) noexcept {
    const auto* const found = std::find_if(std::begin(all_kernels), std::end(all_kernels), [isa](const Kernels* table) {
        return (isa == Isa::best || table->isa == isa) && processor_has(table->isa);
    });
    return found != std::end(all_kernels) ? **found : scalar_kernels;
}

Isa resolve_isa(Isa wanted) noexcept { return kernels_for(wanted).isa; }

bool isa_available(Isa isa) noexcept { return isa == Isa::best || kernels_for(isa).isa == isa; }

}  // namespace mien
