// SPDX-License-Identifier: MIT
// Routes and the work behind them (see service.h).
#include "serve/service.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/crc32.h"
#include "host/clock.h"
#include "host/codec/image_file.h"
#include "host/draw/draw.h"
#include "host/files/base64.h"
#include "host/results/json.h"
#include "host/weights/embedded_weights.h"
#include "serve/json_request.h"
#include "serve/multipart.h"
#include "serve/page/files.h"

namespace mien::serve {
namespace {

using Json = nlohmann::ordered_json;
using Bytes = std::span<const std::uint8_t>;

// The pages' own files come first. The weights among them are the program's own: they are in it
// once.
std::vector<Route> all_routes() {
    std::vector<Route> routes;
    const auto add_files = [&routes](std::span<const host::Resource> files, Site site) {
        for (const host::Resource& file : files) {
            const bool api = file.path == "openapi.json";
            const bool page = file.path == "page.html" || file.path == "live.html";
            routes.push_back({page ? "/" : "/" + std::string(file.path), "GET",
                              api ? Endpoint::openapi : Endpoint::page, true, false, &file,
                              site == Site::service, site == Site::live_view});
        }
    };
    add_files(page_files(), Site::service);
    add_files(host::embedded_weights(), Site::service);
    add_files(live_files(), Site::live_view);
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
    add("/analyze", "POST", Endpoint::deepface, false, true);
    add("/api/v1/detection/detect", "POST", Endpoint::compreface, false, true);
    add("/v1/events", "GET", Endpoint::events, false, false);
    add("/v1/changes", "GET", Endpoint::changes, false, false);
    const auto add_live = [&routes](const char* path, Endpoint endpoint, bool service) {
        routes.push_back({path, "GET", endpoint, false, false, nullptr, service, true});
    };
    add_live("/stream.mjpg", Endpoint::pictures, true);
    add_live("/snapshot.jpg", Endpoint::snapshot, true);
    add_live("/faces.json", Endpoint::faces, false);
    return routes;
}

constexpr const char* too_long = "The request takes too long.";
constexpr const char* no_memory = "The image needs more memory than is available.";
// the original's words
constexpr const char* bad_request_text = "We cannot process the file sent in the request.";
constexpr const char* not_found_text = "Resource not found.";

using host::now_ms;

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// True for the beginnings of supported formats; others are a type that the service does not accept.
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

// The part of the answer for one image that could not be read.
Json failed_picture(const std::string& source, const Refusal& refusal) {
    return {{"schema", host::json_schema},
            {"source", source},
            {"error", refusal.text},
            {"detail", refusal.detail},
            {"status", refusal.status}};
}

double rounded_ms(double ms) { return std::round(ms * 1e3) / 1e3; }

const char* allowed_methods(const Route& route) {
    return std::string_view(route.method) == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

// 0 to 1.
std::optional<float> confidence_of(std::string_view text) {
    const std::string number(text);
    char* end = nullptr;
    const float value = std::strtof(number.c_str(), &end);
    const bool whole = !text.empty() && end == number.c_str() + number.size() &&
                       text.find_first_not_of("0123456789.") == std::string_view::npos;
    return whole && value >= 0 && value <= 1 ? std::optional(value) : std::nullopt;
}

std::string_view query_of(std::string_view target) {
    const std::size_t question = target.find('?');
    return question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
}

// A client's words for an answer: the first of them, in small printable letters.
std::string printable(std::string_view text) {
    std::string out(text.substr(0, 60));
    for (char& c : out) {
        c = c > 31 && c < 127 ? c : '?';
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

// The options of a request, "annotate=1" and so on. False for anything else.
bool read_query(std::string_view query, Plan& plan) {
    const std::pair<std::string_view, bool*> switches[] = {
        {"annotate", &plan.annotate}, {"landmarks", &plan.landmarks}, {"explain", &plan.explain}};
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair.empty()) continue;
        const std::size_t equal = pair.find('=');
        const std::string_view name = pair.substr(0, equal);
        const std::string_view value = equal < pair.size() ? pair.substr(equal + 1) : "";
        if (name == "min_confidence") {
            plan.min_confidence = confidence_of(value);
            if (!plan.min_confidence) return false;
            continue;
        }
        const auto found = std::find_if(std::begin(switches), std::end(switches),
                                        [=](const auto& known) { return known.first == name; });
        const bool on = value == "1" || value == "true";
        if (found == std::end(switches) || !(on || value == "0" || value == "false")) return false;
        *found->second |= on;
    }
    return true;
}

}  // namespace

const Route* find_route(std::string_view path, Site site) {
    static const std::vector<Route> routes = all_routes();
    const auto found = std::find_if(routes.begin(), routes.end(), [=](const Route& route) {
        return path == route.path && (site == Site::service ? route.service : route.live_view);
    });
    return found == routes.end() ? nullptr : &*found;
}

Service::Service(const Options& options, const host::EngineOwner* weights, live::Feed* feed,
                 std::function<Gauges()> gauges)
    : options_(options), guard_(options), feed_(feed), gauges_(std::move(gauges)) {
    if (weights != nullptr) describe_models(*weights);
}

void Service::describe_models(const host::EngineOwner& weights) {
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
    if (const Model* detector = weights.detector())
        add(model_json("detector", *detector), Json::object());
    const auto add_network = [&](const char* role, const Model* model, const host::HeadInfo& head) {
        if (model == nullptr) return;
        add(model_json(role, *model), {{"labels", head.labels},
                                       {"unsure_below", head.unsure_below},
                                       {"input",
                                        {{"width", model->input_width()},
                                         {"height", model->input_height()},
                                         {"channels", model->input_channels()}}}});
    };
    for (const Head head : named_heads)
        add_network(head_name(head), weights.model(head), weights.info()[head]);
    models_ = std::move(short_list);
    models_answer_ = dump(
        {{"schema", host::json_schema}, {"mien", version()}, {"models", std::move(long_list)}});
}

Answer Service::answer_options(const RequestHead& head, const Route& route) const {
    Answer answer;
    answer.status = 204;
    answer.content_type.clear();
    answer.headers.emplace_back("Allow", allowed_methods(route));
    if (guard_.named_origin(head.origin)) {
        answer.headers.emplace_back("Access-Control-Allow-Methods", route.method);
        answer.headers.emplace_back("Access-Control-Allow-Headers",
                                    "Authorization, Content-Type, X-Api-Key");
        answer.headers.emplace_back("Access-Control-Max-Age", "600");
    }
    return answer;
}

std::optional<Answer> Service::find(std::string_view target, Plan& plan, Refusal& unknown) const {
    std::string_view path = target.substr(0, target.find('?'));
    const std::string_view query = query_of(target);
    // A proxy may take the prefix off or not.
    if (const std::string& prefix = options_.prefix; !prefix.empty() && path.starts_with(prefix)) {
        if (path.size() == prefix.size()) {  // links of the page are relative to the folder
            Answer answer = Refusal{308, "The address ends with a slash."};
            answer.headers.emplace_back("Location", prefix + "/");
            return answer;
        }
        if (path[prefix.size()] == '/') path.remove_prefix(prefix.size());
    }
    // The addresses of mjpg-streamer.
    constexpr std::string_view action = "action=";
    if (path == "/" && query.starts_with(action)) {
        const std::string_view wanted = query.substr(0, query.find('&')).substr(action.size());
        if (wanted == "stream" || wanted == "stream_0")
            path = "/stream.mjpg";
        else if (wanted == "snapshot" || wanted == "snapshot_0")
            path = "/snapshot.jpg";
        else
            path = {};
        if (path.empty()) unknown.detail = "there are action=stream and action=snapshot";
    } else if (options_.site == Site::live_view) {
        unknown.detail = "there are /, /stream.mjpg, /snapshot.jpg and /faces.json";
    }
    plan.route = find_route(path, options_.site);
    return {};
}

std::optional<Answer> Service::judge(const RequestHead& head, Plan& plan) {
    if (head.unknown_framing)
        return Refusal{400, "This is no HTTP request that can be read.",
                       "a body has a Content-Length, or Transfer-Encoding: chunked"};
    Refusal unknown{404, not_found_text};
    const std::optional<Answer> elsewhere = find(head.target, plan, unknown);
    const Route* const route = plan.route;
    if (auto refused = guard_.judge(head, elsewhere || (route != nullptr && route->open)))
        return refused;
    if (elsewhere) return elsewhere;
    if (route == nullptr) return Answer(unknown);
    if (head.method == "OPTIONS") return answer_options(head, *route);
    const std::string_view method = route->method;
    if (head.method != method && !(head.method == "HEAD" && method == "GET")) {
        Answer answer = Refusal{405, "This address takes " + std::string(method) + "."};
        answer.headers.emplace_back("Allow", allowed_methods(*route));
        return answer;
    }
    std::optional<Refusal> refused;
    const bool others =
        route->endpoint == Endpoint::deepface || route->endpoint == Endpoint::compreface;
    const std::string_view query = query_of(head.target);
    if (!route->works) {
        refused = judge_stream(head, *route);
    } else if (others) {
        if (auto options = query_options(query)) {
            plan.query = std::move(*options);
            refused = judge_body(head, *route);
        } else {
            refused = Refusal{400, "The query is not understood."};
        }
    } else if (!read_query(query, plan)) {
        refused = Refusal{400, "The query is not understood.",
                          "there are annotate=1, landmarks=1, explain=1 and min_confidence=0 to "
                          "1"};
    } else {
        refused = judge_body(head, *route);
    }
    if (refused) return Answer(*refused);
    return {};
}

std::optional<Refusal> Service::judge_stream(const RequestHead& head, const Route& route) const {
    if (head.has_body) return Refusal{400, "This request has no body."};
    if (route.endpoint != Endpoint::pictures && route.endpoint != Endpoint::events &&
        route.endpoint != Endpoint::changes && route.endpoint != Endpoint::snapshot)
        return {};
    if (feed_ == nullptr)
        return Refusal{404, not_found_text,
                       "the service has no camera; mien serve --camera gives it one"};
    if (feed_->latest().ended) return Refusal{503, "The camera's stream has ended."};
    return {};
}

std::optional<Refusal> Service::judge_body(const RequestHead& head, const Route& route) const {
    if (head.content_length > options_.limits.body_bytes) {
        return Refusal{413, "The body is too large.",
                       "the limit is " + std::to_string(options_.limits.body_bytes) + " bytes"};
    }
    if (!head.has_body) return Refusal{400, bad_request_text, "the request has no body"};
    const std::string coding = printable(head.content_encoding);
    if (!coding.empty() && coding != "identity") {
        return Refusal{415, "The body must be sent as it is.",
                       "its Content-Encoding is " + coding + "; none is read"};
    }
    const std::string type = media_type(head.content_type);
    const bool multipart = type == "multipart/form-data";
    // Without a type, and with the one of forms, which curl's --data-binary sends, the body is looked
    // at: decode() refuses what is no image.
    const bool raw = type.starts_with("image/") || type == "application/octet-stream" ||
                     type.empty() || type == "application/x-www-form-urlencoded";
    if (route.endpoint == Endpoint::classify_image) {
        if (multipart) return {};
        return Refusal{400, bad_request_text, "multipart/form-data with a field `image` is wanted"};
    }
    if (multipart || raw || is_json(type)) return {};
    return Refusal{415, "The body must be an image, multipart/form-data or JSON.",
                   "its Content-Type is " + printable(type)};
}

Answer Service::answer(const Plan& plan) const {
    Answer answer;
    switch (plan.route->endpoint) {
        case Endpoint::page:
        case Endpoint::openapi:
            if (plan.route->file->bytes.empty())
                return Refusal{
                    404, not_found_text,
                    "this program was built without the page's own engine (make wasm first)"};
            answer.content_type = plan.route->file->type;
            answer.body = plan.route->file->text();
            break;
        case Endpoint::health: answer.body = dump({{"status", "ok"}, {"mien", version()}}); break;
        case Endpoint::ready:
            if (!ready_) return Refusal{503, "The service is stopping."};
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
        case Endpoint::changes:
            answer.content_type = "text/event-stream";
            answer.stream = StreamKind::changes;
            break;
        case Endpoint::snapshot: {
            const live::Feed::Text image = feed_->snapshot();
            if (!image) return Refusal{503, "There is no image yet; ask again."};
            answer.content_type = "image/jpeg";
            answer.body = *image;
            break;
        }
        case Endpoint::faces: {
            const live::Feed::Text event = feed_->latest().event;
            answer.body = event ? *event + "\n" : "{}\n";
            break;
        }
        case Endpoint::analyze:
        case Endpoint::classify_image:
        case Endpoint::deepface:
        case Endpoint::compreface: break;
    }
    return answer;
}

void Service::add_text_image(host::ByteVector image, std::vector<Picture>& out) {
    Picture& picture = out.emplace_back();
    picture.source = "image " + std::to_string(out.size());
    picture.decoded = std::move(image);
    picture.bytes = picture.decoded;
}

std::optional<Refusal> Service::read_json(const Plan& plan, Bytes body, std::vector<Picture>& out,
                                          TextOptions& options) const {
    bool too_many = false;
    auto read = parse_json_images(body, static_cast<std::size_t>(options_.limits.images), too_many);
    if (!read)
        return Refusal{too_many ? 413 : 400, "The JSON body cannot be read.", read.error().text};
    if (read->images.empty())
        return Refusal{400, bad_request_text, "there is no image, as in {\"image\": \"BASE64\"}"};
    if (plan.route->endpoint == Endpoint::analyze && !read->options.empty()) {
        return Refusal{400, "The JSON body has an unknown key.",
                       printable(read->options.front().first) +
                           "; images are under image, images, img or file, and options are in the "
                           "query"};
    }
    options = std::move(read->options);
    for (host::ByteVector& image : read->images) add_text_image(std::move(image), out);
    return {};
}

std::optional<Refusal> Service::read_pictures(const Plan& plan, const RequestHead& head, Bytes body,
                                              std::vector<Picture>& out,
                                              TextOptions& options) const {
    const Endpoint endpoint = plan.route->endpoint;
    const bool original = endpoint == Endpoint::classify_image;
    const bool others = endpoint == Endpoint::deepface || endpoint == Endpoint::compreface;
    const std::string type = media_type(head.content_type);
    if (type != "multipart/form-data") {
        // curl -d '{...}' sends it as a form
        const bool untyped = type.empty() || type == "application/x-www-form-urlencoded";
        if (is_json(type) || (untyped && !body.empty() && body.front() == '{'))
            return read_json(plan, body, out, options);
        out.push_back({"body", body});
        return {};
    }
    bool too_many = false;
    const auto parts = parse_multipart(head.content_type, body,
                                       static_cast<std::size_t>(options_.limits.images), too_many);
    if (!parts)
        return Refusal{too_many ? 413 : 400,
                       original ? bad_request_text : "The multipart body cannot be read.",
                       parts.error().text};
    for (const Part& part : *parts) {
        const std::string_view text(reinterpret_cast<const char*>(part.bytes.data()),
                                    part.bytes.size());
        const bool wanted = original ? part.name == "image" : is_image_name(part.name);
        if (!wanted && others && text.size() <= 256) {
            options.emplace_back(part.name, text);
            continue;
        }
        if (!wanted) {
            if (original) continue;
            return Refusal{400, "A part has an unknown name.",
                           "images are in parts named image, images, img or file"};
        }
        // A field of a form with what a file field would hold: a data URL, an address or a path.
        if (others && part.file_name.empty() && !host::begins_as_image(part.bytes)) {
            auto image = image_of_text(text);
            if (!image)
                return Refusal{400, "The multipart body cannot be read.",
                               part.name + ": " + image.error().text};
            add_text_image(std::move(*image), out);
            continue;
        }
        if (original && !out.empty())
            return Refusal{400, bad_request_text,
                           "one image is expected; /v1/analyze takes several"};
        out.push_back(
            {part.file_name.empty() ? "image " + std::to_string(out.size() + 1) : part.file_name,
             part.bytes});
    }
    if (out.empty()) return Refusal{400, bad_request_text, "there is no part named `image`"};
    return {};
}

std::optional<Refusal> Service::decode(const Picture& picture, const host::EngineOwner& engine,
                                       host::DecodedImage& out) const {
    if (!host::begins_as_image(picture.bytes))
        return Refusal{415, "This is not an image in a known format.",
                       host::image_format_names() + " are read"};
    constexpr const char* damaged = "The image is damaged.";
    host::ImageLimits limits;
    limits.max_pixels = options_.limits.pixels;
    limits.stop = engine.stop();
    limits.strict_memory = true;
    if (const auto header = host::inspect_image(picture.bytes, limits); !header) {
        host::ImageLimits none;
        none.max_pixels = std::numeric_limits<std::uint64_t>::max();
        none.max_side = std::numeric_limits<int>::max();
        none.strict_memory = true;
        if (host::inspect_image(picture.bytes, none))
            return Refusal{413, "The image has too many pixels.", header.error().text};
        return Refusal{422, damaged, header.error().text};
    }
    auto decoded = host::decode_image(picture.bytes, limits);
    if (!decoded) {
        if (decoded.error().kind == host::Error::Kind::stopped) return Refusal{503, too_long};
        if (decoded.error().kind == host::Error::Kind::memory)
            return Refusal{503, no_memory, decoded.error().text};
        return Refusal{422, damaged, decoded.error().text};
    }
    out = std::move(*decoded);
    if (const Cascade* cascade = engine.cascade();
        cascade != nullptr && (out.image.width < cascade->window_width() ||
                               out.image.height < cascade->window_height())) {
        return Refusal{422, "The image is too small.",
                       "the detector's window is " + std::to_string(cascade->window_width()) +
                           " x " + std::to_string(cascade->window_height()) + " pixels"};
    }
    return {};
}

std::optional<Refusal> Service::analyze(const Picture& picture, host::EngineOwner& engine,
                                        const Plan& plan, Analysis& result) {
    if (engine.stop()()) return Refusal{503, too_long};
    const double start = now_ms();
    host::ImageReport& report = result.report;
    report.source = picture.source;
    host::DecodedImage decoded;
    if (auto refused = decode(picture, engine, decoded)) return refused;
    report.note = decoded.note;
    report.times.decode = now_ms() - start;
    if (const auto done = engine.process(decoded.image.frame(), report); !done)
        return Refusal{503, done.error().kind == host::Error::Kind::stopped ? too_long : no_memory};
    if (engine.stop()()) return Refusal{503, too_long};
    if (plan.min_confidence) engine.judge(*plan.min_confidence, report);
    if (plan.annotate) {
        const double drawing = now_ms();
        host::annotate(host::canvas_of(decoded.image), report.faces, engine.info(),
                       host::Style::gender, plan.landmarks);
        const double encoding = now_ms();
        auto png = host::encode_image(decoded.image.frame(), host::ImageFormat::png);
        if (!png) return Refusal{503, no_memory};
        result.png = std::move(*png);
        report.times.draw = encoding - drawing;
        report.times.encode = now_ms() - encoding;
    }
    report.times.total = now_ms() - start;
    metrics_.image(report);
    return {};
}

Answer Service::analyze_all(const Plan& plan, std::span<const Picture> pictures, double queue_ms,
                            host::EngineOwner& engine, const std::atomic<bool>& gone) {
    const double start = now_ms();
    Answer answer;
    Json images = Json::array();
    for (const Picture& picture : pictures) {
        if (gone) break;  // the answer will not be sent
        Analysis analysis;
        if (auto refused = analyze(picture, engine, plan, analysis)) {
            if (pictures.size() == 1) return *refused;
            images.push_back(failed_picture(picture.source, *refused));
            continue;
        }
        ++answer.record.images;
        answer.record.faces += static_cast<int>(analysis.report.faces.size());
        for (host::FaceReport& face : analysis.report.faces) {
            for (const Head head : named_heads) {
                if (!plan.explain) face[head].map = {};
            }
        }
        Json json = host::json_of(analysis.report, engine.info());
        if (plan.annotate)
            json["annotated"] = {{"media_type", "image/png"},
                                 {"base64", host::base64(analysis.png)}};
        images.push_back(std::move(json));
    }
    Json json = Json::object();
    // If all of several images failed, so does the request; each reports its reason.
    if (answer.record.images == 0) {
        answer.status = 422;
        json["error"] = "None of the images can be read.";
    }
    json["schema"] = host::json_schema;
    json["mien"] = version();
    json["models"] = models_;
    json["timing_ms"] = {{"queue", rounded_ms(queue_ms)}, {"total", rounded_ms(now_ms() - start)}};
    json["images"] = std::move(images);
    answer.body = dump(json);
    return answer;
}

// As in the original, for any fault of the file; only our own failures differ.
Answer Service::classify_image(const Picture& picture, host::EngineOwner& engine) {
    Analysis analysis;
    if (auto refused = analyze(picture, engine, {.annotate = true}, analysis)) {
        if (refused->status == 413 || refused->status == 503) return *refused;
        return Refusal{400, bad_request_text, refused->detail};
    }
    Answer answer;
    answer.content_type = "image/png";
    answer.body.assign(analysis.png.begin(), analysis.png.end());
    answer.record = {1, static_cast<int>(analysis.report.faces.size()), 0, 0};
    return answer;
}

Answer Service::answer_for_others(const Plan& plan, std::span<const Picture> pictures,
                                  const TextOptions& text, host::EngineOwner& engine) {
    const bool deepface = plan.route->endpoint == Endpoint::deepface;
    CompatOptions options;
    Analysis analysis;
    auto refused = deepface ? options.read_deepface(text) : options.read_compreface(text);
    if (!refused && pictures.size() > 1)
        refused = Refusal{400, "One image is expected.", "/v1/analyze takes several"};
    if (!refused) refused = analyze(pictures.front(), engine, {}, analysis);
    if (refused) return deepface ? Answer(*refused) : refuse_compreface(*refused);
    Answer answer = deepface ? answer_deepface(analysis.report, engine.info(), options)
                             : answer_compreface(analysis.report, engine.info(), options);
    answer.record = {1, static_cast<int>(analysis.report.faces.size()), 0, 0};
    return answer;
}

Answer Service::work(const Plan& plan, const RequestHead& head, Bytes body, double queue_ms,
                     host::EngineOwner& engine, const std::atomic<bool>& gone) {
    const double start = now_ms();
    Answer answer;
    if (gone) return answer;
    try {
        metrics_.queued(queue_ms / 1e3);
        engine.stop_when(&gone, options_.limits.work_seconds);
        std::vector<Picture> pictures;
        TextOptions options = plan.query;
        const Endpoint endpoint = plan.route->endpoint;
        if (auto refused = read_pictures(plan, head, body, pictures, options))
            answer = endpoint == Endpoint::compreface ? refuse_compreface(*refused) : *refused;
        else if (endpoint == Endpoint::analyze)
            answer = analyze_all(plan, pictures, queue_ms, engine, gone);
        else if (endpoint == Endpoint::classify_image)
            answer = classify_image(pictures.front(), engine);
        else
            answer = answer_for_others(plan, pictures, options, engine);
    } catch (const std::exception&) {  // std::bad_alloc is the only exception expected here
        answer = Refusal{503, "The request needs more memory than there is."};
    }
    engine.stop_when(nullptr, 0);
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
    const bool live_view = options_.site == Site::live_view;
    if (!live_view && !guard_.named_origin(head.origin))
        add("Cross-Origin-Resource-Policy", "same-origin");
    if (!options_.origins.empty()) add("Vary", "Origin");
    guard_.allow_origin(head, answer);
    if (answer.status == 415) add("Accept-Encoding", "identity");
    const bool page = plan.route != nullptr && plan.route->endpoint == Endpoint::page;
    add("Cache-Control", page ? "no-cache" : "no-store");
    add("Content-Security-Policy",
        live_view ? "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
                    "form-action 'none'"
        : page    ? "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
                    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
                    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                  : "default-src 'none'; frame-ancestors 'none'");
    if (!page || live_view) return;
    add("X-Frame-Options", "DENY");
    add("Cross-Origin-Opener-Policy", "same-origin");
    add("Permissions-Policy", "camera=(self), microphone=(), geolocation=()");
}

}  // namespace mien::serve
