// SPDX-License-Identifier: MIT
// The kernels of an instruction set: one table of functions per instruction set. The contracts of
// the functions are in net.h (int8 networks), detect.h (cascade) and image.h (pixels).
//
// Each family has a folder: scalar.cpp defines what is computed, in portable C++; the other files
// do the same with an instruction set's vectors. dispatch.cpp puts the tables together: an
// instruction set takes what is best in each family. Every entry gives the same bits on every
// instruction set; tests/unit/test_kernels*.cpp sweep shapes to prove it.
//
// Memory: kernels may read up to `read_slack` bytes past the last byte that they use (the planner
// leaves room), and write nothing but the outputs named. Nothing here allocates or checks: shapes
// were validated when the file was opened.
#pragma once

#include "kernels/detect.h"
#include "kernels/image.h"
#include "kernels/net.h"
#include "mien/mien.hpp"

namespace mien {

constexpr std::size_t read_slack = 64;

struct Kernels {
    Isa isa;
    const NetKernels& net;
    const DetectKernels& detect;
    const ImageKernels& image;
};

// The table of an instruction set that is available (see isa_available); Isa::best and unavailable
// ones are resolved.
[[nodiscard]] const Kernels& kernels_for(Isa isa) noexcept;

}  // namespace mien
