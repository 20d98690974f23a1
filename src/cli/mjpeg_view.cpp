// SPDX-License-Identifier: MIT
#include "cli/mjpeg_view.h"

#include <utility>

#include "cli/exit_codes.h"
#include "cli/terminal.h"
#ifdef MIEN_HAS_SERVE
#include "serve/live_view.h"
#else
namespace mien::serve {
class LiveView {};
}  // namespace mien::serve
#endif

namespace mien::cli {

MjpegView::MjpegView() = default;
MjpegView::~MjpegView() = default;

#ifdef MIEN_HAS_SERVE

int MjpegView::start(const std::string& address) {
    auto started = serve::LiveView::start(address);
    if (!started) return complain("--mjpeg " + address, started.error());
    view_ = std::move(*started);
    return exit_done;
}

void MjpegView::announce() const {
    if (!view_) return;
    const bool everywhere = view_->on_every_network();
    complain(format(
        "the live image is at http://%s:%d%s/%s",
        everywhere ? "THIS-MACHINE" : view_->host().c_str(), view_->port(), view_->prefix().c_str(),
        everywhere ? ", for everybody in the network; --mjpeg 127.0.0.1:PORT keeps it here" : ""));
}

live::Feed* MjpegView::feed() { return view_ ? &view_->feed() : nullptr; }

MjpegView::Place MjpegView::place() const {
    if (!view_) return {};
    return {view_->on_every_network() ? "" : view_->host(), view_->port(), view_->prefix()};
}

#else

int MjpegView::start(const std::string&) {
    complain("--mjpeg [ADDRESS:]PORT",
             "this program was built without the web service; with the headers of Boost.Beast "
             "(Debian: libboost-dev) the build has it");
    return exit_usage;
}
void MjpegView::announce() const {}
live::Feed* MjpegView::feed() { return nullptr; }
MjpegView::Place MjpegView::place() const { return {}; }

#endif

}  // namespace mien::cli
