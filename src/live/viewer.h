// SPDX-License-Identifier: MIT
// Where live frames and results are shown besides this machine's screen: the server of --mjpeg, or
// the web service.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace mien::live {

class Viewer {
public:
    virtual ~Viewer() = default;
    // True if somebody waits for a frame; otherwise none needs to be drawn.
    [[nodiscard]] virtual bool wanted() const = 0;
    virtual void show(std::span<const std::uint8_t> jpeg) = 0;
    // One line, without newline, for every frame.
    virtual void set_result(const std::string& json) = 0;
};

}  // namespace mien::live
