// SPDX-License-Identifier: MIT
// Can any bytes from a socket crash the service, hang it or get an answer without a known status?
// The input is a whole request, as it would be read, through the parser of HTTP, the checks of the
// header, multipart, the decoder and the engine.
#include <atomic>
#include <boost/beast/core.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "serve/http_head.h"
#include "serve/multipart.h"
#include "serve/service.h"

namespace {

using namespace mien;

struct World {
    serve::Options options;
    std::unique_ptr<host::EngineOwner> engine;
    std::unique_ptr<serve::Service> service;
    World() {
        options.limits.pixels = 1 << 15;
        options.limits.body_bytes = 1 << 18;
        options.limits.images = 3;
        options.origins = {"https://friend.example"};
        options.prefix = "/mien";
        auto made = host::EngineOwner::create({});
        if (!made) std::abort();
        engine = std::move(*made);
        service = std::make_unique<serve::Service>(options, engine.get(), nullptr,
                                                   [] { return serve::Gauges(); });
    }
};

void check(const serve::Answer& answer) {
    static const std::set<int> known = {200, 204, 308, 400, 401, 403, 404,
                                        405, 413, 415, 422, 429, 503};
    if (known.count(answer.status) == 0) std::abort();
    if (answer.content_type == "application/json" && !nlohmann::json::accept(answer.body))
        std::abort();
    // what a client sent must not become a header of its own
    for (const auto& [name, value] : answer.headers) {
        if ((name + value).find_first_of("\r\n") != std::string::npos) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace http = boost::beast::http;
    static World world;
    // Parts of a body that is not told apart by HTTP: the same bytes as multipart alone.
    bool too_many = false;
    if (const auto parts =
            serve::parse_multipart("multipart/form-data; boundary=x", {data, size}, 4, too_many)) {
        for (const serve::Part& part : *parts) {
            if (part.name.empty() ||
                (part.bytes.size() > 0 &&
                 (part.bytes.data() < data || part.bytes.data() + part.bytes.size() > data + size)))
                std::abort();
        }
    }
    http::request_parser<http::vector_body<std::uint8_t>> parser;
    parser.header_limit(static_cast<std::uint32_t>(world.options.limits.header_bytes));
    parser.body_limit(world.options.limits.body_bytes);
    parser.eager(true);
    boost::system::error_code error;
    std::size_t used = 0;
    while (used < size && !parser.is_done()) {
        const std::size_t step =
            parser.put(boost::asio::const_buffer(data + used, size - used), error);
        used += step;
        if (error || step == 0) break;
    }
    if (!parser.is_header_done()) return 0;
    const serve::RequestHead head = serve::head_of(parser, "192.0.2.1");
    serve::Plan plan;
    serve::Answer answer;
    const std::atomic<bool> stays{false};  // the client: it is not gone
    if (auto refused = world.service->judge(head, plan))
        answer = std::move(*refused);
    else if (plan.route->works)
        answer = world.service->work(plan, head, parser.get().body(), 0, *world.engine, stays);
    else
        answer = world.service->answer(plan);
    world.service->finish(head, plan, answer);
    check(answer);
    return 0;
}
