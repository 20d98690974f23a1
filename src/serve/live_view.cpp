// SPDX-License-Identifier: MIT
#include "serve/live_view.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "host/quiet_thread.h"

namespace mien::serve {

host::Result<std::unique_ptr<LiveView>> LiveView::start(const std::string& address) {
    std::unique_ptr<LiveView> view(new LiveView);
    Options& options = view->options_;
    options.site = Site::live_view;
    options.address = "0.0.0.0";
    options.log = false;
    options.limits.connections = 64;
    options.limits.grace_seconds = 1;
    const std::size_t slash = std::min(address.find('/'), address.size());
    bool has_port = false;
    if (!parse_address(std::string_view(address).substr(0, slash), options, has_port) || !has_port)
        return host::Error::usage(
            "is neither PORT nor ADDRESS:PORT; an address of IPv6 has brackets, as in [::]:8090");
    const auto prefix = parse_prefix(std::string_view(address).substr(slash));
    if (!prefix) return host::Error::usage("has a prefix that is no path, such as /camera");
    options.prefix = *prefix;
    auto server = Server::listen(options, nullptr, &view->feed_);
    if (!server) return server.error();
    view->server_ = std::move(*server);
    view->thread_ = host::quiet_thread([served = view->server_.get()] { (void)served->run(); });
    return view;
}

LiveView::~LiveView() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
}

}  // namespace mien::serve
