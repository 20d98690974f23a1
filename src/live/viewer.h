// SPDX-License-Identifier: MIT
// Who is shown the live picture and its results, elsewhere than on this machine's screen? The
// server of --mjpeg, or the web service.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace mien::live {

class Viewer {
public:
    virtual ~Viewer() = default;
    // True when somebody waits for a picture: without, none need be drawn.
    [[nodiscard]] virtual bool wanted() const = 0;
    virtual void show(std::span<const std::uint8_t> jpeg) = 0;
    // One line, without newline, for every frame.
    virtual void set_result(const std::string& json) = 0;
};

}  // namespace mien::live
