// SPDX-License-Identifier: MIT
// Decides whether a client may send requests, by the header alone, before any byte of the body is
// read: the name it used for us, the page it comes from, its token, and its rate.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "serve/message.h"
#include "serve/options.h"

namespace mien::serve {

class Guard {
public:
    explicit Guard(const Options& options) : options_(options) {}

    // `open`: for everybody, so without token and rate limit (the page, health).
    std::optional<Answer> judge(const RequestHead& head, bool open);

    // The Access-Control headers for a page that may ask; nothing for our own.
    void allow_origin(const RequestHead& head, Answer& answer) const;
    bool named_origin(std::string_view origin) const;

private:
    bool known_host(std::string_view host) const;
    bool within_rate(const std::string& client);

    struct Bucket {
        double tokens = 0;
        std::chrono::steady_clock::time_point last;
    };
    const Options& options_;
    std::unordered_map<std::string, Bucket> clients_;
};

}  // namespace mien::serve
