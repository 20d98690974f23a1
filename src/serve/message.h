// SPDX-License-Identifier: MIT
// A request and an answer as plain values, without sockets: what server.cpp exchanges with the
// rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mien::serve {

// Header fields that matter, as they came; empty: not sent.
struct RequestHead {
    std::string method, target;  // "POST", "/v1/analyze?annotate=1"
    std::string host, origin, authorization, content_type, fetch_site, fetch_mode;
    std::string api_key, content_encoding;
    std::string client;  // address without port; of IPv6 the network that a client has for itself
    bool has_body = false;
    bool http_1_0 = false;
    bool unknown_framing = false;      // nobody can know where its body ends
    std::uint64_t content_length = 0;  // 0 also when it comes in chunks
    // Last-Event-ID: the last event that a viewer had, who comes back
    std::optional<std::uint64_t> last_event = {};
};

// For the log and the counters.
struct WorkRecord {
    int images = 0, faces = 0;
    double queue_ms = 0, work_ms = 0;
};

enum class StreamKind { none, pictures, events, changes };

// Why a request gets no result. It stays a value until it becomes an answer, or a part of one.
struct Refusal {
    int status = 500;
    std::string text;         // what is wrong, a sentence for people
    std::string detail = {};  // more about it; empty: nothing
};

struct Answer {
    Answer() = default;
    // {"error": text}, with "detail" if there is one. 429 and 503 say when to try again.
    Answer(const Refusal& refusal);

    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    WorkRecord record;
    StreamKind stream = StreamKind::none;  // not one body but one after the other, as they come
};

}  // namespace mien::serve
