// SPDX-License-Identifier: MIT
// The live image of a camera for browsers, served beside the program's own work: a page, a motion
// JPEG, the last image and the last result. The same server as the service's, without engines and
// without password.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "host/files/result.h"
#include "live/feed.h"
#include "serve/options.h"
#include "serve/server.h"

namespace mien::serve {

class LiveView {
public:
    // Listens, and serves on a thread of its own until destroyed. `address` is PORT or
    // ADDRESS:PORT, and perhaps a /PREFIX of its paths; without an address it listens on every
    // network of the machine. Port 0: any free one.
    static host::Result<std::unique_ptr<LiveView>> start(const std::string& address);
    ~LiveView();
    LiveView(const LiveView&) = delete;
    LiveView& operator=(const LiveView&) = delete;

    // What the camera's thread publishes to.
    live::Feed& feed() { return feed_; }
    int port() const { return server_->port(); }
    // As in a URL, so an IPv6 address has brackets.
    std::string host() const { return host_of_url(options_.address); }
    const std::string& prefix() const { return options_.prefix; }
    bool on_every_network() const { return is_every_network(options_.address); }

private:
    LiveView() = default;

    Options options_;
    live::Feed feed_;
    std::unique_ptr<Server> server_;
    std::thread thread_;
};

}  // namespace mien::serve
