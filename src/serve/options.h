// SPDX-License-Identifier: MIT
// Options and limits of the service with their defaults; docs/SERVICE.md lists the answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/codec/image_header.h"

namespace mien::serve {

struct Limits {
    std::size_t header_bytes = 16 << 10;       // 431 beyond
    std::size_t body_bytes = 16 << 20;         // of one request: 413 beyond
    std::size_t body_bytes_total = 128 << 20;  // of all requests at once: 503 beyond
    // of one image, known before its decoding: 413 beyond
    std::uint64_t pixels = 50'000'000;
    int images = 16;        // of one request: 413 beyond
    int connections = 256;  // further ones get 503
    int streams = 16;       // of them with a live stream
    // from the first chance to send to the header's end, also for idle connections
    int header_seconds = 15;
    int body_seconds = 30;   // for the whole body
    int work_seconds = 60;   // of an engine, for one request: 503 beyond
    int write_seconds = 30;  // for the whole answer
    // for requests in flight when the service stops; the rest is cut off
    int grace_seconds = 10;
};

// Which of the routes there are: those of the service, or those of a live view without engines.
enum class Site { service, live_view };

struct Options {
    Site site = Site::service;
    std::string address = "127.0.0.1";
    std::uint16_t port = 8084;
    std::string prefix;  // of all paths, behind a proxy: "/mien"; empty: none
    Limits limits;
    int workers = 1;  // engines
    int waiting = 8;  // requests that may wait for one: 503 beyond
    // requests per second of one address: 429 beyond; 0: no such limit
    double rate = 0;
    std::string token;  // empty: none is asked for
    std::vector<std::string>
        hosts;  // names besides addresses and localhost that `Host` may hold; "*": any
    std::vector<std::string>
        origins;  // pages of other origins that may ask ("https://example.org")
    bool log = true;
};

// Takes address and port from "127.0.0.1:8084", "[::1]:8084", "8084", which leaves the address as it
// is, or an address alone ("::", "[::1]", "0.0.0.0"), which leaves the port. False for any other
// text; `has_port` tells whether there was one.
bool parse_address(std::string_view text, Options& options, bool& has_port);
// "/mien" of "mien", "/mien" or "/mien/"; empty of "" and "/". Nothing for what cannot be in a path.
std::optional<std::string> parse_prefix(std::string_view text);
// "[::1]" of "::1", as in a URL; other addresses as they are.
std::string host_of_url(const std::string& address);
bool is_every_network(const std::string& address);
bool is_loopback(const std::string& address);

}  // namespace mien::serve
