// SPDX-License-Identifier: MIT
// mien serve: the web service and its page (docs/SERVICE.md). A build without Boost.Beast reports
// so.
#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#ifdef MIEN_HAS_SERVE

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "cli/serve_camera.h"
#include "host/codec/image_header.h"
#include "host/files/file_io.h"
#include "serve/sandbox.h"
#include "serve/server.h"

namespace mien::cli {
namespace {

struct ServeSetup {
    EngineOptions engine;
    serve::Options service;
    std::string listen = "127.0.0.1:8084", token_file, prefix;
    double body_mib = 16, megapixels = 50;
    int workers = 0;
    ServeCameraOptions camera;
    bool quiet = false, no_sandbox = false;
};

// Never from the command line, which every user of the machine can read.
bool read_token(const ServeSetup& setup, std::string& token, int& code) {
    if (const char* variable = std::getenv("MIEN_TOKEN")) token = variable;
    if (!setup.token_file.empty()) {
        const auto file = host::read_file(setup.token_file, 4096);
        if (!file) {
            code = complain(setup.token_file, file.error());
            return false;
        }
        token.assign(file->begin(), file->end());
        while (!token.empty() &&
               (token.back() == '\n' || token.back() == '\r' || token.back() == ' '))
            token.pop_back();
    }
    const bool given = !setup.token_file.empty() || std::getenv("MIEN_TOKEN") != nullptr;
    const bool plain =
        std::all_of(token.begin(), token.end(), [](char c) { return c > 32 && c < 127; });
    if (given && (token.size() < 16 || !plain)) {
        complain(setup.token_file.empty() ? "MIEN_TOKEN" : setup.token_file,
                 "a token is at least 16 printable letters without spaces");
        code = exit_usage;
        return false;
    }
    return true;
}

void add_limit_options(CLI::App& app, ServeSetup& setup) {
    const char* group = "Limits";
    serve::Limits& limits = setup.service.limits;
    app.add_option("--max-body", setup.body_mib, "Largest request, MiB")
        ->check(CLI::Range(0.001, 256.0))
        ->type_name("MIB")
        ->group(group);
    app.add_option("--max-pixels", setup.megapixels, "Largest image, millions of pixels")
        ->check(CLI::Range(0.001, 134.0))
        ->type_name("COUNT")
        ->group(group);
    app.add_option("--max-images", limits.images, "Images in one request")
        ->check(CLI::Range(1, 256))
        ->type_name("COUNT")
        ->group(group);
    app.add_option("--max-connections", limits.connections, "Connections at once")
        ->check(CLI::Range(1, 10000))
        ->type_name("COUNT")
        ->group(group);
    app.add_option("--header-timeout", limits.header_seconds,
                   "Seconds for a header, and until an idle connection is closed")
        ->check(CLI::Range(1, 3600))
        ->type_name("SECONDS")
        ->group(group);
    app.add_option("--body-timeout", limits.body_seconds, "Seconds for a body")
        ->check(CLI::Range(1, 3600))
        ->type_name("SECONDS")
        ->group(group);
    app.add_option("--work-timeout", limits.work_seconds, "Seconds of work on one request")
        ->check(CLI::Range(1, 3600))
        ->type_name("SECONDS")
        ->group(group);
    app.add_option("--grace", limits.grace_seconds,
                   "Seconds to finish requests when stopping; then they are cut off")
        ->check(CLI::Range(0, 3600))
        ->type_name("SECONDS")
        ->group(group);
}

bool parse(int argc, char** argv, ServeSetup& setup, int& code) {
    CLI::App app(
        "Finds faces over HTTP, with a page at /, until Ctrl-C or SIGTERM. Only this "
        "machine can reach it unless --listen sets another address.\n"
        "curl -F image=@photo.jpg http://127.0.0.1:8084/v1/analyze; the API is described at "
        "/openapi.json.\n");
    style_app(app, "serve");
    serve::Options& service = setup.service;
    app.add_option("--listen", setup.listen,
                   "Address and port; 0.0.0.0:8084 listens on every network, [::]:8084 also on "
                   "those of IPv6")
        ->type_name("ADDRESS:PORT");
    app.add_option(
           "--prefix", setup.prefix,
           "Where a proxy in front has put the service, such as /mien; it may pass paths on\n"
           "with this prefix or without it")
        ->type_name("PATH");
    app.add_option("--token-file", setup.token_file,
                   "Require the bearer token in this file; also by MIEN_TOKEN")
        ->type_name("FILE");
    app.add_option("--allow-host", service.hosts,
                   "Name under which clients reach the service, besides addresses and "
                   "localhost;\nmay be repeated; '*': any")
        ->type_name("NAME");
    app.add_option("--cors", service.origins,
                   "Allow pages of this origin, such as https://example.org; may be repeated")
        ->type_name("ORIGIN");
    app.add_option("--workers", setup.workers, "Engines, each with a thread; 0: one per processor")
        ->check(CLI::Range(0, 64))
        ->type_name("COUNT");
    app.add_option("--waiting", service.waiting,
                   "Requests that may wait for an engine; further ones get 503")
        ->check(CLI::Range(0, 1000))
        ->type_name("COUNT");
    app.add_option("--rate", service.rate, "Requests per second from one address; 0: no limit")
        ->check(CLI::Range(0.0, 1e6))
        ->type_name("RATE");
    add_serve_camera_options(app, setup.camera);
    add_limit_options(app, setup);
    app.add_flag("-q,--quiet", setup.quiet, "Do not log requests");
    app.add_flag(
        "--no-sandbox", setup.no_sandbox,
        "Keep the right to open files, run programs and connect, which the service gives up "
        "after\nits start where the kernel lets it");
    add_confidence_option(app, setup.engine.setup.config.min_confidence);
    add_weights_options(app, setup.engine, true);
    add_detector_options(app, setup.engine);
    add_landmarks_option(app, setup.engine);
    app.remove_option(app.get_option("--threads"));  // the engines are what runs in parallel
    return parse_options(app, argc, argv, code);
}

}  // namespace

int run_serve(int argc, char** argv) {
    ServeSetup setup;
    int code = exit_done;
    if (!parse(argc, argv, setup, code)) return code;
    serve::Options& service = setup.service;
    bool has_port = false;
    if (!serve::parse_address(setup.listen, service, has_port)) {
        complain(
            "--listen " + setup.listen,
            "ADDRESS:PORT is wanted, as in 127.0.0.1:8084 or [::1]:8084; port 0 takes any free "
            "one");
        return exit_usage;
    }
    const auto prefix = serve::parse_prefix(setup.prefix);
    if (!prefix) {
        complain("--prefix " + setup.prefix, "is no path, such as /mien");
        return exit_usage;
    }
    service.prefix = *prefix;
    if (!read_token(setup, service.token, code)) return code;
    service.limits.body_bytes = static_cast<std::size_t>(setup.body_mib * (1 << 20));
    service.limits.body_bytes_total =
        std::max(service.limits.body_bytes_total, 2 * service.limits.body_bytes);
    service.limits.pixels = static_cast<std::uint64_t>(setup.megapixels * 1e6);
    service.log = !setup.quiet;
    setup.engine.threads = 1;
    // microseconds per face; the answer holds them if the client asks
    setup.engine.setup.config.class_maps = true;
    // reports faults of options and weights
    if (!open_engine(setup.engine, code)) return code;
    service.workers =
        setup.workers > 0
            ? setup.workers
            : std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 64);
    auto pool = serve::EnginePool::create(setup.engine.setup, service.workers, service.waiting);
    if (!pool) {
        complain(pool.error().text);
        return exit_code_of(pool.error().kind);
    }
    const bool watches = !setup.camera.device.empty();
    live::Feed feed;
    auto server = serve::Server::listen(service, pool->get(), watches ? &feed : nullptr);
    if (!server) return complain("--listen " + setup.listen, server.error());
    complain(format("listening on http://%s:%d%s/, %d engine%s",
                    serve::host_of_url(service.address).c_str(), (*server)->port(),
                    service.prefix.c_str(), service.workers, service.workers == 1 ? "" : "s"));
    if (!serve::is_loopback(service.address) && service.token.empty())
        complain(
            "everybody on this network can use the service; --token-file asks for a token, a proxy "
            "in front adds TLS");
    // A camera that is plugged in again is opened again; standard input is not.
    const bool may_open = watches && setup.camera.device != "-";
    if (!setup.no_sandbox) host::load_image_libraries();
    // There is no other thread yet: the camera's and the engines' come with this.
    const bool confined = !setup.no_sandbox && serve::confine_new_threads(may_open);
    ServeCamera camera((*pool)->weights(), feed);
    if (watches && !camera.start(setup.camera, setup.engine, code)) return code;
    if (!setup.no_sandbox) {
        const serve::Sandbox sandbox = serve::enter_sandbox(may_open, confined);
        if (!setup.quiet) complain(sandbox.text);
    }
    if (const int unfinished = (*server)->run(); unfinished > 0) {
        complain(format("stopped with %d request%s unfinished after --grace %d s", unfinished,
                        unfinished == 1 ? "" : "s", service.limits.grace_seconds));
        std::_Exit(exit_done);  // nothing to save; destructors would wait for the engines
    }
    camera.stop();
    return exit_done;
}

}  // namespace mien::cli

#else

namespace mien::cli {

int run_serve(int, char**) {
    complain(
        "this program was built without the web service; with the headers of Boost.Beast (Debian: "
        "libboost-dev) the build has it");
    return exit_usage;
}

}  // namespace mien::cli

#endif
