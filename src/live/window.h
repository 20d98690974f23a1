// SPDX-License-Identifier: MIT
// The live view on this machine's screen, by SDL2 (build with -DMIEN_SDL2=ON). On one thread, the
// program's first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "host/files/result.h"

namespace mien::live {

class Window {
public:
    // An error names what is missing: SDL2 in this build, or a display.
    static host::Result<std::unique_ptr<Window>> open(const std::string& title);
    virtual ~Window() = default;
    virtual void show(const std::uint8_t* rgb, int width, int height) = 0;
    // True when q, Escape or the closing cross was pressed.
    [[nodiscard]] virtual bool closed() = 0;
};

}  // namespace mien::live
