// SPDX-License-Identifier: MIT
// Frames from an address: motion JPEG and single images over plain HTTP in builds with Boost.Beast;
// RTSP, HTTPS and films in builds with FFmpeg.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "host/files/result.h"
#include "video/address.h"
#include "video/socket.h"
#include "video/source.h"

namespace mien::video {

struct NetworkOptions {
    Address address;
    double fps = 0;          // of images that are fetched one by one; 0: 5
    double timeout_s = 10;   // without an answer or an image
    bool reconnect = false;  // wait for what is not there, and for what has gone
    bool udp = false;        // RTSP's images by UDP instead of TCP
    bool insecure = false;   // HTTPS and RTSPS: whoever answers
    std::function<void(const std::string&)> tell;  // what happens to the connection
    std::function<bool()> interrupted;             // gives up
};

bool has_http();

// Without `reconnect` it fails if the address cannot be opened; with it, only for what waiting does
// not mend. Waits end soon after the source's stop().
host::Result<std::unique_ptr<Source>> open_network(const NetworkOptions& options);

// ---- what it is made of

// A fault that waiting does not mend, such as a wrong password.
struct OpenFailure {
    host::Error error;
    bool is_final = false;
};
using SourceOrFailure = std::variant<std::unique_ptr<Source>, OpenFailure>;

// `stop` must live as long as the source.
SourceOrFailure open_http(const NetworkOptions& options, const StopFlag& stop);
SourceOrFailure open_network_film(const NetworkOptions& options, const StopFlag& stop);

}  // namespace mien::video
