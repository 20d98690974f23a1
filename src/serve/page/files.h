// SPDX-License-Identifier: MIT
// The files of the service's page and the description of its interface, inside the program.
#pragma once

#include <span>

#include "host/files/resource.h"

namespace mien::serve {

// Those that CMakeLists.txt names. The WebAssembly modules are empty where they were not built.
std::span<const host::Resource> page_files() noexcept;
// The page of a live view.
std::span<const host::Resource> live_files() noexcept;

}  // namespace mien::serve
