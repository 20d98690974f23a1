// SPDX-License-Identifier: MIT
#include "serve/live_view.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace mien::serve {

host::Result<std::unique_ptr<LiveView>> LiveView::start(const std::string& address) {
    std::unique_ptr<LiveView> view(new LiveView);
    Options& options = view->options_;
    options.site = Site::live_view;
    options.address = "0.0.0.0";
    options.log = false;
    options.limits.connections = 64;
    options.limits.grace_seconds = 1;
    if (!parse_address(address, options))
        return host::Error::usage("is neither PORT nor ADDRESS:PORT");
    auto server = Server::listen(options, nullptr, &view->feed_);
    if (!server) return server.error();
    view->server_ = std::move(*server);
    // The program's main thread handles signals.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    view->thread_ = std::thread([served = view->server_.get()] { (void)served->run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return view;
}

LiveView::~LiveView() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
}

}  // namespace mien::serve
