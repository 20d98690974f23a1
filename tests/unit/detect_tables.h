// SPDX-License-Identifier: MIT
// Which detector kernels are there to test? Those of every instruction set, and both portable ones,
// of which a processor uses only one.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/tables.h"
#include "unit/helpers.h"

namespace mien::test {

struct DetectTable {
    std::string name;
    Kernels kernels;
};

inline std::vector<DetectTable> detect_tables() {
    std::vector<DetectTable> all;
    for (const Isa isa : isas()) {
        const Kernels& kernels = kernels_for(isa);
        if (kernels.isa != Isa::scalar) {
            all.push_back({isa_name(isa), kernels});
            continue;
        }
        all.push_back({"scalar, eight windows", {isa, kernels.net, detect_scalar, kernels.image}});
        all.push_back({"scalar, single windows", {isa, kernels.net, detect_single, kernels.image}});
    }
    return all;
}

}  // namespace mien::test
