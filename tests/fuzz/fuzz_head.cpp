// SPDX-License-Identifier: MIT
// Can the beginning of a request crash the service, or get it past a check? The parser of HTTP, what
// is taken from the header, its judgment, and the same bytes as multipart; no image is decoded, so
// this is much faster than fuzz_request.
#include <boost/beast/core.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "serve/http_head.h"
#include "serve/multipart.h"
#include "serve/service.h"

namespace {

using namespace mien;

struct World {
    serve::Options options;
    std::unique_ptr<serve::Service> service;
    World() {
        options.token = "secret";
        options.hosts = {"camera.example"};
        options.origins = {"https://friend.example"};
        options.prefix = "/mien";
        service = std::make_unique<serve::Service>(options, nullptr, nullptr,
                                                   [] { return serve::Gauges(); });
    }
};

void parse_parts(std::span<const std::uint8_t> body) {
    bool too_many = false;
    const auto parts = serve::parse_multipart("multipart/form-data; boundary=x", body, 4, too_many);
    if (!parts) return;
    if (parts->size() > 4) std::abort();
    for (const serve::Part& part : *parts) {
        if (part.name.empty() || (!part.bytes.empty() && (part.bytes.data() < body.data() ||
                                                          part.bytes.data() + part.bytes.size() >
                                                              body.data() + body.size())))
            std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace http = boost::beast::http;
    static World world;
    if (size > 0 && data[0] == '-') {
        parse_parts({data, size});
        return 0;
    }
    http::request_parser<http::vector_body<std::uint8_t>> parser;
    parser.header_limit(static_cast<std::uint32_t>(world.options.limits.header_bytes));
    boost::system::error_code error;
    parser.put(boost::asio::const_buffer(data, size), error);
    if (error || !parser.is_header_done()) return 0;
    const serve::RequestHead head = serve::head_of(parser, "192.0.2.1");
    if (parser.chunked() && head.content_length > 0) std::abort();
    serve::Plan plan;
    serve::Answer answer;
    if (auto refused = world.service->judge(head, plan)) {
        answer = std::move(*refused);
        if (answer.status < 200 || answer.status > 599) std::abort();
    } else {
        // What has a body comes only from who knows the token, by a name of ours, whose end is clear.
        if (plan.route == nullptr) std::abort();
        if (!plan.route->open && head.authorization.find("secret") == std::string::npos)
            std::abort();
        if (head.unknown_framing) std::abort();
    }
    world.service->finish(head, plan, answer);
    for (const auto& [name, value] : answer.headers) {
        if ((name + value).find_first_of("\r\n") != std::string::npos) std::abort();
    }
    return 0;
}
