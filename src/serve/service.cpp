// SPDX-License-Identifier: MIT
// Routes and the work behind them (see service.h).
#include "serve/service.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/crc32.h"
#include "host/codec/image_file.h"
#include "host/draw/draw.h"
#include "host/results/json.h"
#include "host/weights/embedded_weights.h"
#include "serve/multipart.h"
#include "serve/page/files.h"

namespace mien::serve {
namespace {

using Json = nlohmann::ordered_json;
using Bytes = std::span<const std::uint8_t>;

// The page's own files come first. The weights among them are the program's own: they are in it once.
std::vector<Route> all_routes() {
    std::vector<Route> routes;
    const auto add_files = [&routes](std::span<const host::Resource> files) {
        for (const host::Resource& file : files) {
            const bool api = file.path == "openapi.json";
            const std::string path = file.path == "page.html" ? "" : std::string(file.path);
            routes.push_back(
                {"/" + path, "GET", api ? Endpoint::openapi : Endpoint::page, true, false, &file});
        }
    };
    add_files(page_files());
    add_files(host::embedded_weights());
    const auto add = [&routes](const char* path, const char* method, Endpoint endpoint, bool open,
                               bool works) {
        routes.push_back({path, method, endpoint, open, works, nullptr});
    };
    add("/healthz", "GET", Endpoint::health, true, false);
    add("/readyz", "GET", Endpoint::ready, true, false);
    add("/metrics", "GET", Endpoint::metrics, false, false);
    add("/v1/models", "GET", Endpoint::models, false, false);
    add("/v1/analyze", "POST", Endpoint::analyze, false, true);
    add("/classifyImage", "POST", Endpoint::classify_image, false, true);
    add("/stream.mjpg", "GET", Endpoint::pictures, false, false);
    add("/v1/events", "GET", Endpoint::events, false, false);
    return routes;
}

// the original's words
constexpr const char* bad_request_text = "We cannot process the file sent in the request.";
constexpr const char* not_found_text = "Resource not found.";

double now_ms() {
    return std::chrono::duration<double, std::milli>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string base64(Bytes bytes) {
    constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
        const unsigned v = unsigned{bytes[i]} << 16 | (n > 1 ? unsigned{bytes[i + 1]} << 8 : 0u) |
                           (n > 2 ? unsigned{bytes[i + 2]} : 0u);
        out += letters[v >> 18];
        out += letters[v >> 12 & 63];
        out += n > 1 ? letters[v >> 6 & 63] : '=';
        out += n > 2 ? letters[v & 63] : '=';
    }
    return out;
}

// True for the beginnings of the formats that are read; the rest is of a type that the service does
// not take.
bool known_format(Bytes bytes) {
    const auto begins = [bytes](std::string_view magic) {
        return bytes.size() >= magic.size() &&
               std::equal(magic.begin(), magic.end(), bytes.begin(),
                          [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
    };
    return begins("\xff\xd8") || begins("\x89PNG") || begins("BM") || begins("GIF8") ||
           begins("P5") || begins("P6");
}

template <class View>
Json model_json(const char* role, const View& view) {
    char crc[16];
    std::snprintf(crc, sizeof crc, "%08x", crc32(view.bytes()));
    Json json = {{"role", role},
                 {"name", host::weights_name(view.meta())},
                 {"version", std::string("crc32:") + crc},
                 {"bytes", view.bytes().size()}};
    return json;
}

// The part of the answer for one picture that could not be read.
Json failed_picture(const std::string& source, const Answer& answer) {
    Json json = Json::parse(answer.body);
    return {{"schema", host::json_schema},
            {"source", source},
            {"error", json["error"]},
            {"detail", json.value("detail", "")},
            {"status", answer.status}};
}

// "annotate=1", "explain=1" and no other. False: not understood.
bool read_query(std::string_view query, Plan& plan) {
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair == "annotate=1" || pair == "annotate=true")
            plan.annotate = true;
        else if (pair == "explain=1" || pair == "explain=true")
            plan.explain = true;
        else if (pair != "annotate=0" && pair != "annotate=false" && pair != "explain=0" &&
                 pair != "explain=false" && !pair.empty())
            return false;
    }
    return true;
}

}  // namespace

Answer error_answer(int status, std::string_view text, std::string_view detail) {
    Json json = {{"error", text}};
    if (!detail.empty()) json["detail"] = detail;
    Answer answer;
    answer.status = status;
    answer.body = dump(json);
    return answer;
}

const Route* find_route(std::string_view path) {
    static const std::vector<Route> routes = all_routes();
    const auto found = std::find_if(routes.begin(), routes.end(),
                                    [path](const Route& route) { return path == route.path; });
    return found == routes.end() ? nullptr : &*found;
}

Service::Service(const Options& options, const host::EngineOwner& weights, const Feed* feed,
                 std::function<Gauges()> gauges)
    : options_(options), guard_(options), feed_(feed), gauges_(std::move(gauges)) {
    Json short_list = Json::array(), long_list = Json::array();
    const auto add = [&](Json json, Json more) {
        short_list.push_back(
            {{"role", json["role"]}, {"name", json["name"]}, {"version", json["version"]}});
        json.update(more);
        long_list.push_back(std::move(json));
    };
    if (const Cascade* cascade = weights.cascade()) {
        add(model_json("cascade", *cascade),
            {{"window",
              {{"width", cascade->window_width()}, {"height", cascade->window_height()}}}});
    }
    const auto add_network = [&](const char* role, const Model* model, const host::HeadInfo& head) {
        if (model == nullptr) return;
        add(model_json(role, *model), {{"labels", head.labels},
                                       {"input",
                                        {{"width", model->input_width()},
                                         {"height", model->input_height()},
                                         {"channels", model->input_channels()}}}});
    };
    add_network("emotion", weights.emotion(), weights.info().emotion);
    add_network("gender", weights.gender(), weights.info().gender);
    models_json_ = dump(short_list);
    models_answer_ = dump(
        {{"schema", host::json_schema}, {"mien", version()}, {"models", std::move(long_list)}});
}

Answer Service::busy(std::string_view what) {
    Answer answer = error_answer(503, what);
    answer.headers.emplace_back("Retry-After", "1");
    return answer;
}

std::optional<Answer> Service::judge(const RequestHead& head, Plan& plan) {
    const std::size_t question = std::min(head.target.find('?'), head.target.size());
    plan.route = find_route(std::string_view(head.target).substr(0, question));
    const bool open = plan.route != nullptr && plan.route->open;
    if (auto refused = guard_.judge(head, open)) return refused;
    if (plan.route == nullptr) return error_answer(404, not_found_text);
    const std::string method = plan.route->method;
    if (head.method == "OPTIONS") {
        Answer answer;
        answer.status = 204;
        answer.content_type.clear();
        answer.headers.emplace_back("Allow",
                                    method == "GET" ? "GET, HEAD, OPTIONS" : method + ", OPTIONS");
        if (guard_.named_origin(head.origin)) {
            answer.headers.emplace_back("Access-Control-Allow-Methods", method);
            answer.headers.emplace_back("Access-Control-Allow-Headers",
                                        "Authorization, Content-Type");
            answer.headers.emplace_back("Access-Control-Max-Age", "600");
        }
        return answer;
    }
    if (head.method != method && !(head.method == "HEAD" && method == "GET")) {
        Answer answer = error_answer(405, "This address takes " + method + ".");
        answer.headers.emplace_back("Allow",
                                    method == "GET" ? "GET, HEAD, OPTIONS" : method + ", OPTIONS");
        return answer;
    }
    if (!plan.route->works) {
        if (head.has_body) return error_answer(400, "This request has no body.");
        const bool live =
            plan.route->endpoint == Endpoint::pictures || plan.route->endpoint == Endpoint::events;
        if (live && feed_ == nullptr)
            return error_answer(404, not_found_text,
                                "the service has no camera; mien serve --camera gives it one");
        if (live && feed_->latest().ended) return busy("The camera's stream has ended.");
        return {};
    }
    if (question < head.target.size() &&
        !read_query(std::string_view(head.target).substr(question + 1), plan)) {
        return error_answer(400, "The query is not understood.",
                            "there are annotate=1 and explain=1");
    }
    if (head.content_length > options_.limits.body_bytes) {
        return error_answer(
            413, "The body is too large.",
            "the limit is " + std::to_string(options_.limits.body_bytes) + " bytes");
    }
    if (!head.has_body) return error_answer(400, bad_request_text, "the request has no body");
    const std::string type = media_type(head.content_type);
    const bool multipart = type == "multipart/form-data";
    const bool raw = type.starts_with("image/") || type == "application/octet-stream";
    if (plan.route->endpoint == Endpoint::analyze && !multipart && !raw) {
        return error_answer(415, "The body must be multipart/form-data or a picture.",
                            "Content-Type image/jpeg, image/png, ...");
    }
    if (plan.route->endpoint == Endpoint::classify_image && !multipart)
        return error_answer(400, bad_request_text,
                            "multipart/form-data with a field `image` is wanted");
    return {};
}

Answer Service::answer(const Plan& plan) const {
    Answer answer;
    switch (plan.route->endpoint) {
        case Endpoint::page:
        case Endpoint::openapi:
            if (plan.route->file->bytes.empty())
                return error_answer(
                    404, not_found_text,
                    "this program was built without the page's own engine (make wasm first)");
            answer.content_type = plan.route->file->type;
            answer.body = plan.route->file->text();
            break;
        case Endpoint::health: answer.body = dump({{"status", "ok"}, {"mien", version()}}); break;
        case Endpoint::ready:
            if (!ready_) return busy("The service is stopping.");
            answer.body = dump({{"status", "ready"},
                                {"camera", feed_ != nullptr},
                                {"token", !options_.token.empty()}});
            break;
        case Endpoint::metrics:
            answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
            answer.body = metrics_.text(gauges_(), feed_);
            break;
        case Endpoint::models: answer.body = models_answer_; break;
        case Endpoint::pictures:
            answer.content_type = "multipart/x-mixed-replace; boundary=frame";
            answer.stream = StreamKind::pictures;
            break;
        case Endpoint::events:
            answer.content_type = "text/event-stream";
            answer.stream = StreamKind::events;
            break;
        case Endpoint::analyze:
        case Endpoint::classify_image: break;
    }
    return answer;
}

std::optional<Answer> Service::read_pictures(const Plan& plan, const RequestHead& head, Bytes body,
                                             std::vector<Picture>& out) const {
    const bool original = plan.route->endpoint == Endpoint::classify_image;
    if (media_type(head.content_type) != "multipart/form-data") {
        out.push_back({"body", body});
        return {};
    }
    bool too_many = false;
    const auto parts = parse_multipart(head.content_type, body,
                                       static_cast<std::size_t>(options_.limits.images), too_many);
    if (!parts)
        return error_answer(too_many ? 413 : 400,
                            original ? bad_request_text : "The multipart body cannot be read.",
                            parts.error().text);
    for (const Part& part : *parts) {
        const bool wanted =
            part.name == "image" || (!original && (part.name == "images" ||
                                                   part.name == "images[]" || part.name == "file"));
        if (!wanted) {
            if (original) continue;
            return error_answer(400, "A part has an unknown name.",
                                "pictures are in parts named image, images or file");
        }
        if (original && !out.empty())
            return error_answer(400, bad_request_text,
                                "one picture is wanted; /v1/analyze takes several");
        out.push_back(
            {part.file_name.empty() ? "image " + std::to_string(out.size() + 1) : part.file_name,
             part.bytes});
    }
    if (out.empty()) return error_answer(400, bad_request_text, "there is no part named `image`");
    return {};
}

std::optional<Answer> Service::analyze(const Picture& picture, host::EngineOwner& engine,
                                       host::ImageReport& report, std::string& note,
                                       std::string* png) {
    const double start = now_ms();
    report.source = picture.source;
    if (!known_format(picture.bytes))
        return error_answer(415, "This is no picture of a known format.",
                            "JPEG, PNG, BMP, GIF and PNM are read");
    host::ImageLimits limits;
    limits.max_pixels = options_.limits.pixels;
    if (const auto header = host::inspect_image(picture.bytes, limits); !header) {
        host::ImageLimits none;
        none.max_pixels = std::numeric_limits<std::uint64_t>::max();
        none.max_side = std::numeric_limits<int>::max();
        const bool only_too_large = static_cast<bool>(host::inspect_image(picture.bytes, none));
        return error_answer(
            only_too_large ? 413 : 422,
            only_too_large ? "The picture has too many pixels." : "The picture is damaged.",
            header.error().text);
    }
    auto decoded = host::decode_image(picture.bytes, limits);
    if (!decoded) return error_answer(422, "The picture is damaged.", decoded.error().text);
    note = decoded->note;
    host::Image& image = decoded->image;
    report.times.decode = now_ms() - start;
    if (const Cascade* cascade = engine.cascade();
        cascade != nullptr &&
        (image.width < cascade->window_width() || image.height < cascade->window_height())) {
        return error_answer(422, "The picture is too small.",
                            "the detector's window is " + std::to_string(cascade->window_width()) +
                                " x " + std::to_string(cascade->window_height()) + " pixels");
    }
    if (const host::Result<> done = engine.process(image.frame(), report); !done)
        return busy("The picture needs more memory than there is.");
    if (png != nullptr) {
        const double drawing = now_ms();
        host::annotate(host::canvas_of(image), report.faces, engine.info(), host::Style::gender);
        const double encoding = now_ms();
        const auto bytes = host::encode_image(image.frame(), host::ImageFormat::png);
        if (!bytes) return busy("The picture needs more memory than there is.");
        png->assign(bytes->begin(), bytes->end());
        report.times.draw = encoding - drawing;
        report.times.encode = now_ms() - encoding;
    }
    report.times.total = now_ms() - start;
    metrics_.image(report);
    return {};
}

Answer Service::analyze_all(const Plan& plan, std::span<const Picture> pictures, double queue_ms,
                            host::EngineOwner& engine) {
    const double start = now_ms();
    Answer answer;
    int worked = 0;
    std::string list;
    for (const Picture& picture : pictures) {
        host::ImageReport report;
        std::string note, png;
        if (!list.empty()) list += ',';
        if (auto failed = analyze(picture, engine, report, note, plan.annotate ? &png : nullptr)) {
            if (pictures.size() == 1) return *failed;
            list += dump(failed_picture(picture.source, *failed));
            continue;
        }
        ++worked;
        answer.record.faces += static_cast<int>(report.faces.size());
        for (host::FaceReport& face : report.faces) {
            if (!plan.explain) face.emotion_map = {};
        }
        std::string json = host::to_json(report, engine.info());
        json.pop_back();  // its brace
        if (!note.empty()) json += ",\"note\":" + dump(note);
        if (plan.annotate) {
            json += R"(,"annotated":{"media_type":"image/png","base64":")" +
                    base64({reinterpret_cast<const std::uint8_t*>(png.data()), png.size()}) + "\"}";
        }
        list += json + "}";
    }
    answer.record.images = worked;
    // Several that all failed are no success; each says its own reason.
    if (worked == 0) answer.status = 422;
    char times[96];
    std::snprintf(times, sizeof times, R"({"queue":%.3f,"total":%.3f})", queue_ms,
                  now_ms() - start);
    answer.body = "{\"schema\":" + std::to_string(host::json_schema) + ",\"mien\":\"" + version() +
                  "\",\"models\":" + models_json_ + ",\"timing_ms\":" + times + ",\"images\":[" +
                  list + "]}";
    if (worked == 0) answer.body.insert(1, "\"error\":\"None of the pictures can be read.\",");
    return answer;
}

Answer Service::work(const Plan& plan, const RequestHead& head, Bytes body, double queue_ms,
                     host::EngineOwner& engine) {
    const double start = now_ms();
    Answer answer;
    try {
        metrics_.queued(queue_ms / 1e3);
        std::vector<Picture> pictures;
        if (auto refused = read_pictures(plan, head, body, pictures)) {
            answer = std::move(*refused);
        } else if (plan.route->endpoint == Endpoint::analyze) {
            answer = analyze_all(plan, pictures, queue_ms, engine);
        } else {
            host::ImageReport report;
            std::string note;
            if (auto failed = analyze(pictures.front(), engine, report, note, &answer.body)) {
                const std::string detail = Json::parse(failed->body).value("detail", "");
                // As in the original, whatever is wrong with the file; only what is our own lack is
                // told apart.
                answer = failed->status == 413 || failed->status == 503
                             ? std::move(*failed)
                             : error_answer(400, bad_request_text, detail);
            } else {
                answer.content_type = "image/png";
                answer.record = {1, static_cast<int>(report.faces.size()), 0, 0};
            }
        }
    } catch (const std::exception&) {  // out of memory is the one that is thinkable
        answer = busy("The request needs more memory than there is.");
    }
    answer.record.queue_ms = queue_ms;
    answer.record.work_ms = now_ms() - start;
    return answer;
}

void Service::finish(const RequestHead& head, const Plan& plan, Answer& answer) const {
    const auto add = [&answer](const char* name, const char* value) {
        answer.headers.emplace_back(name, value);
    };
    add("X-Content-Type-Options", "nosniff");
    add("Referrer-Policy", "no-referrer");
    if (!guard_.named_origin(head.origin)) add("Cross-Origin-Resource-Policy", "same-origin");
    if (!options_.origins.empty()) add("Vary", "Origin");
    guard_.allow_origin(head, answer);
    const bool page = plan.route != nullptr && plan.route->endpoint == Endpoint::page;
    add("Cache-Control", page ? "no-cache" : "no-store");
    add("Content-Security-Policy",
        page ? "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
               "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
             : "default-src 'none'; frame-ancestors 'none'");
    if (!page) return;
    add("X-Frame-Options", "DENY");
    add("Cross-Origin-Opener-Policy", "same-origin");
    add("Permissions-Policy", "camera=(self), microphone=(), geolocation=()");
}

}  // namespace mien::serve
