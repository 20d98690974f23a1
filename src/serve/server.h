// SPDX-License-Identifier: MIT
// Turns connections into requests, within limits of bytes, numbers and seconds. One thread for all
// sockets, by Boost.Beast.
#pragma once

#include <memory>
#include <string>

#include "host/files/result.h"
#include "live/feed.h"
#include "serve/options.h"
#include "serve/pool.h"

namespace mien::serve {

class Server {
public:
    // Binds and listens. `pool` is null for a live view, `feed` without a camera. All arguments must
    // outlive the server. An address that is none is a usage error.
    static host::Result<std::unique_ptr<Server>> listen(const Options& options, EnginePool* pool,
                                                        live::Feed* feed);
    virtual ~Server() = default;

    [[nodiscard]] virtual int port() const = 0;
    // Serves until stop(), or a service until SIGINT or SIGTERM, then finishes what is in flight
    // within Limits::grace_seconds. A second signal ends the process at once. Returns how many requests were not finished; if
    // there are any, an engine may still be at work, and only the process's end stops it.
    [[nodiscard]] virtual int run() = 0;
    // From any thread, also before run().
    virtual void stop() = 0;
};

}  // namespace mien::serve
