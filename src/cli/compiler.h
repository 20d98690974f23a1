// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace mien::cli {

// The compiler of this program, "g++ 12.2.0".
inline std::string compiler_name() {
#if defined(__clang__)
    return std::string("clang++ ") + __clang_version__;
#else
    return std::string("g++ ") + __VERSION__;
#endif
}

}  // namespace mien::cli
