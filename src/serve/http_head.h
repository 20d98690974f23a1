// SPDX-License-Identifier: MIT
// Converts a header that Boost.Beast parsed to the service's own type, for the server and the
// fuzzer.
#pragma once

#include <boost/beast/http.hpp>
#include <charconv>
#include <string>
#include <system_error>

#include "serve/message.h"

namespace mien::serve {

template <class Parser>
RequestHead head_of(const Parser& parser, std::string client) {
    namespace http = boost::beast::http;
    const auto& message = parser.get();
    const auto field = [&](auto name) {
        const auto value = message[name];
        return std::string(value.data(), value.size());
    };
    RequestHead head;
    head.method = std::string(message.method_string().data(), message.method_string().size());
    head.target = std::string(message.target().data(), message.target().size());
    head.host = field(http::field::host);
    // With two different hosts, two readers could each take another one.
    if (message.count(http::field::host) > 1) head.host = "?";
    head.origin = field(http::field::origin);
    head.authorization = field(http::field::authorization);
    head.content_type = field(http::field::content_type);
    head.content_encoding = field(http::field::content_encoding);
    head.api_key = field("X-Api-Key");
    head.fetch_site = field("Sec-Fetch-Site");
    head.fetch_mode = field("Sec-Fetch-Mode");
    const std::string last = field("Last-Event-ID");
    std::uint64_t number = 0;
    if (const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), number);
        error == std::errc() && end == last.data() + last.size())
        head.last_event = number;
    head.client = std::move(client);
    const auto length = parser.content_length();
    head.content_length = length ? *length : 0;
    head.http_1_0 = message.version() < 11;
    // Where a body ends must be beyond doubt: a proxy in front that reads another coding would take
    // what we take for the next request as a part of this one. So it is "chunked" or nothing.
    const auto codings = message.count(http::field::transfer_encoding);
    head.unknown_framing =
        codings > 1 ||
        (codings == 1 &&
         (!boost::beast::iequals(message[http::field::transfer_encoding], "chunked") ||
          head.http_1_0 || message.count(http::field::content_length) > 0));
    head.has_body = head.content_length > 0 || parser.chunked() || head.unknown_framing;
    return head;
}

}  // namespace mien::serve
