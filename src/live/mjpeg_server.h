// SPDX-License-Identifier: MIT
// How does a browser see what a board without display sees? A server for one purpose: a page, a
// motion JPEG, the last image and the last result. By hand, because the HTTP library of the
// distributions is a shared library of the host's architecture, which a static program for a board
// cannot have, and because a stream that drops frames for slow readers is not what such libraries
// do. GET and four paths; no more.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "host/files/result.h"
#include "live/viewer.h"

namespace mien::live {

class MjpegServer : public Viewer {
public:
    // `address` is PORT or ADDRESS:PORT; without an address it listens on every network of the
    // machine. Port 0: any free one.
    static host::Result<std::unique_ptr<MjpegServer>> start(const std::string& address);
    [[nodiscard]] virtual int port() const = 0;
    [[nodiscard]] virtual bool on_every_network() const = 0;
};

}  // namespace mien::live
