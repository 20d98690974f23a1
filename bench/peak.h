// SPDX-License-Identifier: MIT
// How many int8 multiply-adds can this core do at best with an instruction set? Measured, not
// looked up.
#pragma once

#include "mien/mien.hpp"

namespace mien::bench {

// 10^9 multiply-adds a second of the best int8 sequence; 0 where there is none (scalar) or the
// processor lacks it.
double peak_gmacs(Isa isa, int rounds);

}  // namespace mien::bench
