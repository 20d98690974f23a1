// SPDX-License-Identifier: MIT
// --mjpeg: the live image for browsers, in builds that have the web service's server.
#pragma once

#include <memory>
#include <string>

#include "live/feed.h"

namespace mien::serve {
class LiveView;
}

namespace mien::cli {

class MjpegView {
public:
    MjpegView();
    ~MjpegView();
    MjpegView(const MjpegView&) = delete;
    MjpegView& operator=(const MjpegView&) = delete;

    // Listens at `address`, [ADDRESS:]PORT. An exit code, after printing what is wrong if not 0.
    [[nodiscard]] int start(const std::string& address);
    // Prints where the image is. Nothing before start().
    void announce() const;
    // Null before start().
    live::Feed* feed();
    // Where it is, for addresses.
    struct Place {
        std::string host;  // empty: on every network of this machine
        int port = 0;      // 0: before start()
        std::string prefix;
    };
    Place place() const;

private:
    std::unique_ptr<serve::LiveView> view_;
};

}  // namespace mien::cli
