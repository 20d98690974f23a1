// SPDX-License-Identifier: MIT
// What every detector answers with.
#pragma once

#include "mien/mien.hpp"

namespace mien {

struct Detection {
    Rect box;
    int neighbors;  // Haar: merged windows
};

}  // namespace mien
