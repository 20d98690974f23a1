// SPDX-License-Identifier: MIT
// Sessions over Boost.Beast (see server.h). All of it runs on the thread that called run(), except
// the jobs of the pool, which post back. A deadline is for a whole step (header, body, answer), so
// sending a byte now and then gains a client nothing.
#include "serve/server.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/vector_body.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>

#include "serve/http_head.h"
#include "serve/service.h"

namespace mien::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using Clock = std::chrono::steady_clock;
using RequestParser = http::request_parser<http::vector_body<std::uint8_t>>;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Clients choose its content, so it is truncated and reduced to printable characters.
std::string for_log(const std::string& text) {
    std::string out = text.substr(0, std::min<std::size_t>(text.find('?'), 120));
    for (char& c : out) c = c > 32 && c < 127 ? c : '?';
    return out;
}

std::string utc_now() {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() %
        1000;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char day[32], text[48];
    std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text, sizeof text, "%s.%03dZ", day, static_cast<int>(ms));
    return text;
}

// The lines before an answer's body, with its length if it has one. Beast would write them, too, but
// its templates for that are 150 kB of the program.
std::string head_text(const Answer& answer, std::uint64_t id, bool closes,
                      std::optional<std::size_t> content_length) {
    const auto status = http::int_to_status(static_cast<unsigned>(answer.status));
    std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " ";
    text += std::string(http::obsolete_reason(status));
    text += "\r\n";
    const auto field = [&text](std::string_view name, std::string_view value) {
        text.append(name).append(": ").append(value).append("\r\n");
    };
    field("Server", "mien");
    if (!answer.content_type.empty()) field("Content-Type", answer.content_type);
    for (const auto& [name, value] : answer.headers) field(name, value);
    field("X-Request-Id", std::to_string(id));
    if (closes) field("Connection", "close");
    if (content_length) field("Content-Length", std::to_string(*content_length));
    return text + "\r\n";
}

// An IPv4 client of a socket that listens for both is ::ffff:192.0.2.1 there.
asio::ip::address plain_address(const asio::ip::address& address) {
    if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
}

// What one client has for itself, and so what shares and rates are counted by: an address of IPv4,
// but of IPv6 the network of 64 bits, in which everybody can take as many addresses as he wants.
std::string network_of(const asio::ip::address& remote) {
    const asio::ip::address address = plain_address(remote);
    if (!address.is_v6() || address.is_loopback()) return address.to_string();
    asio::ip::address_v6::bytes_type bytes = address.to_v6().to_bytes();
    std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
    return asio::ip::address_v6(bytes).to_string() + "/64";
}

class Session;

class BeastServer : public Server {
public:
    BeastServer(const Options& options, EnginePool* pool, live::Feed* feed)
        : options_(options),
          pool_(pool),
          feed_(feed),
          service_(options, pool != nullptr ? &pool->weights() : nullptr, feed,
                   [this] { return gauges(); }),
          acceptor_(io_),
          retry_(io_),
          grace_(io_),
          signals_(io_) {}

    host::Result<> bind();
    int port() const override { return port_; }
    void handle_signals();
    int run() override;
    void stop() override {
        asio::post(io_, [this] { begin_stop(); });
    }

    // For sessions.
    const Limits& limits() const { return options_.limits; }
    Service& service() { return service_; }
    EnginePool& pool() { return *pool_; }  // of the service; a live view has no work for it
    live::Feed* feed() { return feed_; }
    asio::io_context& io() { return io_; }
    bool stopping() const { return stopping_; }
    bool has_room(std::uint64_t bytes) const {
        return bytes <= limits().body_bytes_total - reserved_;
    }
    bool reserve(std::uint64_t bytes) {
        if (!has_room(bytes)) return false;
        reserved_ += bytes;
        return true;
    }
    void release(std::uint64_t bytes) { reserved_ -= bytes; }
    std::uint64_t next_id() { return ++last_id_; }
    void log(const std::string& line) const {
        if (!options_.log) return;
        const std::string whole = line + "\n";  // one write, so that lines stay whole
        [[maybe_unused]] const auto written = ::write(2, whole.data(), whole.size());
    }
    void enter(Session* session) { sessions_.insert(session); }
    void leave(Session* session) {
        sessions_.erase(session);
        if (stopping_ && sessions_.empty()) grace_.cancel();
    }
    int in_flight = 0, streams = 0;
    // For a newcomer of that address where all places (streams, or connections) are taken: ends one
    // that waits for its client, of the address which has the most of them. False if that would be no
    // better off than the newcomer's.
    bool make_room(const std::string& client, bool of_streams);

private:
    void accept();
    void begin_stop();
    Gauges gauges() const {
        Gauges gauges;
        gauges.connections = static_cast<int>(sessions_.size());
        gauges.in_flight = in_flight;
        gauges.body_bytes = reserved_;
        if (pool_ == nullptr) return gauges;
        gauges.waiting = pool_->waiting();
        gauges.busy = pool_->busy();
        gauges.workers = pool_->workers();
        return gauges;
    }

    const Options& options_;
    EnginePool* pool_;
    live::Feed* feed_;
    asio::io_context io_{1};
    Service service_;
    tcp::acceptor acceptor_;
    asio::steady_timer retry_, grace_;
    asio::signal_set signals_;
    std::set<Session*> sessions_;
    int port_ = 0;
    bool stopping_ = false;
    std::uint64_t reserved_ = 0, last_id_ = 0;
};

// One connection: header, checks, body, work, answer; and again.
class Session : public std::enable_shared_from_this<Session> {
public:
    Session(BeastServer& server, tcp::socket socket) : server_(server), stream_(std::move(socket)) {
        ErrorCode ignored;
        const auto remote = stream_.socket().remote_endpoint(ignored);
        address_ = ignored ? "unknown" : plain_address(remote.address()).to_string();
        client_ = ignored ? address_ : network_of(remote.address());
        stream_.socket().set_option(tcp::no_delay(true), ignored);
        server_.enter(this);
    }
    ~Session() {
        end_request();
        if (watch_ != 0) {
            server_.feed()->forget(watch_);
            --server_.streams;
        }
        server_.leave(this);
    }

    const std::string& client() const { return client_; }
    bool is_stream() const { return watch_ != 0; }
    // For the next request, or for the rest of one that has begun.
    bool waits_for_client() const { return !working_ && (idle_ || body_unread_); }

    void start() { read_header(); }
    // A connection beyond the limit: gets an error and is closed.
    void refuse() {
        begin_request();
        closing_ = true;
        send(Refusal{503, "Too many connections."});
    }
    // The service stops: what has begun is finished.
    void stop() {
        closing_ = true;
        const auto self = shared_from_this();
        if (watch_ > 0)
            stop_watching();
        else if (idle_)
            close();
    }
    void close() {
        ErrorCode ignored;
        stream_.socket().close(ignored);
    }
    void abandon() {
        const auto self = shared_from_this();
        closing_ = true;
        watch_ != 0 ? stop_watching() : close();
    }

private:
    inline static const Refusal no_room{503, "Too many bodies are on their way."};
    inline static const Refusal all_busy{503, "All engines are busy."};

    template <class Method>
    auto then(Method method) {
        return [self = shared_from_this(), method](auto... arguments) {
            (self.get()->*method)(arguments...);
        };
    }
    void within(int seconds) { stream_.expires_after(std::chrono::seconds(seconds)); }
    // All that leaves goes through here: templates for one kind of buffers and one kind of handler.
    void write(std::string first, std::string second,
               void (Session::*next)(ErrorCode, std::size_t)) {
        first_ = std::move(first);
        second_ = std::move(second);
        asio::async_write(
            stream_, std::array<asio::const_buffer, 2>{asio::buffer(first_), asio::buffer(second_)},
            then(next));
    }
    void begin_request() {
        idle_ = false;
        began_ = Clock::now();
        in_request_ = true;
        ++server_.in_flight;
    }
    void end_request() {
        if (!in_request_) return;
        in_request_ = false;
        --server_.in_flight;
        server_.release(reserved_);
        reserved_ = 0;
    }

    void read_header() {
        parser_.emplace();
        parser_->header_limit(static_cast<std::uint32_t>(server_.limits().header_bytes));
        // checked after the client's permission
        parser_->body_limit(std::numeric_limits<std::uint64_t>::max());
        head_ = {};
        plan_ = {};
        idle_ = buffer_.size() == 0;
        within(server_.limits().header_seconds);
        http::async_read_header(stream_, buffer_, *parser_, then(&Session::on_header));
    }

    void on_header(ErrorCode error, std::size_t) {
        if (error == http::error::end_of_stream || error == asio::error::operation_aborted ||
            error == asio::error::connection_reset)
            return;
        const bool slow = error == beast::error::timeout;
        // the stream has closed the socket; a client that was silent for this long gets no answer
        if (slow) return;
        begin_request();
        body_unread_ = true;
        if (error) {
            closing_ = true;
            if (error == http::error::header_limit || error == http::error::buffer_overflow)
                return send(Refusal{431, "The header is too large."});
            // the connection is gone
            if (error.category() != http::make_error_code(http::error::bad_method).category())
                return;
            return send(Refusal{400, "This is no HTTP request that can be read.", error.message()});
        }
        head_ = head_of(*parser_, client_);
        if (!parser_->get().keep_alive()) closing_ = true;
        if (auto answer = server_.service().judge(head_, plan_))
            return send_early(std::move(*answer));
        if (!plan_.route->works) {
            body_unread_ = false;
            if (plan_.route->endpoint == Endpoint::snapshot)
                return send_snapshot(Clock::now() + std::chrono::seconds(3));
            return send(server_.service().answer(plan_));
        }
        if (server_.stopping()) return send_early(Refusal{503, "The service is stopping."});
        // What is announced takes no room: a client that sends nothing would keep it from others.
        if (!server_.has_room(head_.content_length)) return send_early(no_room);
        parser_->body_limit(server_.limits().body_bytes);
        within(server_.limits().body_seconds);
        if (beast::iequals(parser_->get()[http::field::expect], "100-continue"))
            return write("HTTP/1.1 100 Continue\r\n\r\n", {}, &Session::on_go_on);
        read_body();
    }

    void on_go_on(ErrorCode error, std::size_t) {
        if (!error) read_body();
    }

    void read_body() {
        parser_->eager(true);
        http::async_read_some(stream_, buffer_, *parser_, then(&Session::on_body_bytes));
    }
    // A part of the body came.
    void on_body_bytes(ErrorCode error, std::size_t bytes) {
        const std::uint64_t came = parser_->get().body().size();
        if (came > reserved_ && !error) {
            if (!server_.reserve(came - reserved_)) return send_early(no_room);
            reserved_ = came;
        }
        if (error || parser_->is_done())
            on_body(error, bytes);
        else
            read_body();
    }

    void on_body(ErrorCode error, std::size_t) {
        if (error) {
            closing_ = true;
            if (error == http::error::body_limit) {
                return send(Refusal{
                    413, "The body is too large.",
                    "the limit is " + std::to_string(server_.limits().body_bytes) + " bytes"});
            }
            // the stream has closed the socket
            if (error == beast::error::timeout) return log(408, 0, {});
            if (error.category() == http::make_error_code(http::error::bad_chunk).category() &&
                error != http::error::partial_message) {
                return send(
                    Refusal{400, "This is no HTTP request that can be read.", error.message()});
            }
            return log(499, 0, {});  // the client went away
        }
        body_unread_ = false;
        head_.content_length = parser_->get().body().size();
        stream_.expires_never();
        auto self = shared_from_this();
        auto job = [self, body = std::move(parser_->get().body()),
                    queued = Clock::now()](host::EngineOwner& engine) mutable {
            Answer answer = self->server_.service().work(self->plan_, self->head_, body,
                                                         ms_since(queued), engine, self->gone_);
            body = {};
            asio::io_context& io = self->server_.io();
            asio::post(io, [self = std::move(self), answer = std::move(answer)]() mutable {
                self->on_work(std::move(answer));
            });
        };
        working_ = true;
        const bool taken =
            server_.pool().submit(client_, std::move(job), [self] { self->on_work(all_busy); });
        if (!taken) return on_work(all_busy);
        watch_while_working();
    }

    // Nobody waits for the answer of a client that has closed its end: its images are not read. (One
    // that only ended its own half and waits gets no answer either; browsers and curl do not.)
    void watch_while_working() {
        stream_.socket().async_wait(
            tcp::socket::wait_read, [self = shared_from_this()](ErrorCode error) {
                if (!self->working_) return;
                char byte = 0;
                ErrorCode ended;
                // Bytes are the next request, which has to wait.
                if (!error) {
                    self->stream_.socket().non_blocking(true, ended);
                    const std::size_t more = self->stream_.socket().receive(
                        asio::buffer(&byte, 1), tcp::socket::message_peek, ended);
                    if (more > 0 || ended == asio::error::would_block) return;
                }
                self->gone_ = true;
            });
    }
    void on_work(Answer answer) {
        if (!working_) return;
        working_ = false;
        ErrorCode ignored;
        stream_.socket().cancel(ignored);
        if (!gone_) return send(std::move(answer));
        closing_ = true;
        log(499, 0, answer.record);
        end_request();
        close();
    }

    // Frames are drawn only while somebody looks, so the first one that asks waits for one.
    void send_snapshot(Clock::time_point end) {
        Answer answer = server_.service().answer(plan_);
        if (answer.status == 200 || Clock::now() >= end || server_.stopping())
            return send(std::move(answer));
        pause_.expires_after(std::chrono::milliseconds(20));
        pause_.async_wait(
            [self = shared_from_this(), end](ErrorCode) { self->send_snapshot(end); });
    }

    // An answer before the whole body has arrived: the rest is not awaited, so the connection ends.
    void send_early(Answer answer) {
        if (head_.has_body)
            closing_ = true;
        else
            body_unread_ = false;
        send(std::move(answer));
    }

    void send(Answer answer) {
        server_.service().finish(head_, plan_, answer);
        const bool watch = answer.stream != StreamKind::none && head_.method != "HEAD";
        if (watch && server_.streams >= server_.limits().streams &&
            !server_.make_room(client_, true))
            return send(Refusal{503, "Too many streams."});
        if (server_.stopping() || answer.stream != StreamKind::none) closing_ = true;
        const std::uint64_t id = server_.next_id();
        const std::size_t bytes = answer.body.size();
        std::optional<std::size_t> length;
        if (!watch && answer.status != 204) length = bytes;
        std::string head = head_text(answer, id, closing_, length);
        record(id, answer.status, bytes, answer.record);
        within(server_.limits().write_seconds);
        if (watch) {
            stream_kind_ = answer.stream;
            ++server_.streams;
            watch_ = -1;
            return write(std::move(head), {}, &Session::on_stream_header);
        }
        if (head_.method == "HEAD") answer.body.clear();
        write(std::move(head), std::move(answer.body), &Session::on_written);
    }

    void record(std::uint64_t id, int status, std::size_t bytes, const WorkRecord& work) {
        const double ms = ms_since(began_);
        server_.service().metrics().request(
            plan_.route != nullptr ? plan_.route->path.c_str() : "other", status, ms / 1e3);
        char numbers[256];
        std::snprintf(
            numbers, sizeof numbers,
            R"("status":%d,"bytes_in":%llu,"bytes_out":%zu,"images":%d,"faces":%d,"queue_ms":%.3f,"work_ms":%.3f,"ms":%.3f})",
            status, static_cast<unsigned long long>(head_.content_length), bytes, work.images,
            work.faces, work.queue_ms, work.work_ms, ms);
        server_.log("{\"time\":\"" + utc_now() + "\",\"id\":" + std::to_string(id) +
                    ",\"client\":\"" + address_ +
                    "\",\"method\":" + nlohmann::json(for_log(head_.method)).dump() +
                    ",\"path\":" + nlohmann::json(for_log(head_.target)).dump() + "," + numbers);
    }
    // For a request that gets no answer.
    void log(int status, std::size_t bytes, const WorkRecord& work) {
        record(server_.next_id(), status, bytes, work);
    }

    void on_written(ErrorCode error, std::size_t) {
        const bool unread = body_unread_;
        end_request();
        if (error) return;
        second_ = std::string();  // an answer can be large
        parser_.reset();
        if (!closing_) return read_header();
        stream_.socket().shutdown(tcp::socket::shutdown_send, error);
        // A close with bytes unread would be a reset, which can take the answer from a client that
        // is still sending.
        if (!unread || error) return;
        drained_ = 0;
        within(2);
        drain();
    }
    void drain() {
        buffer_.clear();
        stream_.async_read_some(buffer_.prepare(std::size_t{16} << 10), then(&Session::on_drained));
    }
    void on_drained(ErrorCode error, std::size_t bytes) {
        drained_ += bytes;
        if (!error && drained_ < (std::size_t{4} << 20)) drain();
    }

    // ---- live streams ----

    void on_stream_header(ErrorCode error, std::size_t) {
        if (error || server_.stopping()) return stop_watching();
        end_request();
        ErrorCode ignored;
        // also a viewer that left while the camera was gone
        stream_.socket().set_option(asio::socket_base::keep_alive(true), ignored);
        std::weak_ptr<Session> weak = weak_from_this();
        auto& io = server_.io();
        keep_ = shared_from_this();
        if (stream_kind_ == StreamKind::changes) {
            const std::uint64_t last = server_.feed()->last_change();
            sent_ = std::min(head_.last_event.value_or(last), last);
        }
        watch_ = server_.feed()->watch(stream_kind_ == StreamKind::pictures, [weak, &io] {
            asio::post(io, [weak] {
                if (const auto self = weak.lock()) self->send_frame();
            });
        });
        stream_.expires_never();
        watch_for_end();
        send_frame();
    }
    // A viewer sends nothing; a read ends when it disconnects.
    void watch_for_end() {
        stream_.socket().async_read_some(asio::buffer(&scrap_, 1),
                                         [self = shared_from_this()](ErrorCode error, std::size_t) {
                                             if (error)
                                                 self->stop_watching();
                                             else
                                                 self->watch_for_end();
                                         });
    }
    void send_frame() {
        if (writing_ || watch_ <= 0) return;
        const live::Feed::Latest latest = server_.feed()->latest();
        const bool pictures = stream_kind_ == StreamKind::pictures;
        const bool changes = stream_kind_ == StreamKind::changes;
        std::string frame;
        // before the frames that come after it
        if (!pictures && latest.state && latest.states != sent_state_) {
            sent_state_ = latest.states;
            frame = "event: camera\ndata: " + *latest.state + "\n\n";
        } else if (changes) {
            const live::Feed::Text text = server_.feed()->change_after(sent_);
            if (!text) return latest.ended ? stop_watching() : void();
            frame = "id: " + std::to_string(sent_) + "\ndata: " + *text + "\n\n";
        } else {
            const live::Feed::Text& text = pictures ? latest.picture : latest.event;
            const std::uint64_t number = pictures ? latest.pictures : latest.events;
            if (!text || number == sent_) return latest.ended ? stop_watching() : void();
            sent_ = number;
            frame = pictures ? "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: " +
                                   std::to_string(text->size()) + "\r\n\r\n" + *text + "\r\n"
                             : "id: " + std::to_string(number) + "\ndata: " + *text + "\n\n";
        }
        writing_ = true;
        within(10);
        write(std::move(frame), {}, &Session::on_frame);
    }
    void on_frame(ErrorCode error, std::size_t) {
        writing_ = false;
        if (error) return stop_watching();
        stream_.expires_never();
        send_frame();
    }
    void stop_watching() {
        if (watch_ != 0) {
            if (watch_ > 0) server_.feed()->forget(watch_);
            --server_.streams;
            watch_ = 0;
        }
        close();
        keep_.reset();
    }

    BeastServer& server_;
    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{std::size_t{1} << 20};  // its limit; it grows as needed
    std::optional<RequestParser> parser_;
    std::string first_, second_;  // on their way to the client
    RequestHead head_;
    Plan plan_;
    std::string client_, address_;  // network_of() it; the address itself, for the log
    Clock::time_point began_;
    asio::steady_timer pause_{server_.io()};
    std::uint64_t reserved_ = 0, sent_ = 0, sent_state_ = 0;
    std::size_t drained_ = 0;
    std::shared_ptr<Session> keep_;
    int watch_ = 0;  // 0: no stream, -1: its header is being sent
    StreamKind stream_kind_ = StreamKind::none;
    char scrap_ = 0;
    bool idle_ = false, in_request_ = false, closing_ = false, body_unread_ = false,
         writing_ = false, working_ = false;
    std::atomic<bool> gone_{false};  // the client, while its request is worked on
};

host::Result<> BeastServer::bind() {
    ErrorCode error;
    const auto address = asio::ip::make_address(options_.address, error);
    if (error)
        return host::Error::usage(
            "\"" + options_.address +
            "\" is no address; 127.0.0.1 is this machine only, 0.0.0.0 every network, [::] also "
            "those of IPv6");
    const tcp::endpoint endpoint(address, options_.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    // "::" is every network, whatever the system's default.
    if (!error && address.is_v6() && address.is_unspecified())
        acceptor_.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use)
        return host::Error::output("this port is in use by another program");
    if (error == asio::error::access_denied)
        return host::Error::output("no permission for this port; take one above 1023");
    if (error == asio::error::address_family_not_supported ||
        error == boost::system::errc::address_not_available)
        return host::Error::output("this machine has no such address");
    if (error) return host::Error::output(error.message());
    port_ = acceptor_.local_endpoint(error).port();
    return {};
}

void BeastServer::accept() {
    acceptor_.async_accept(io_, [this](ErrorCode error, tcp::socket socket) {
        if (stopping_) return;
        if (error) {  // probably no descriptors left: wait for some to be closed
            retry_.expires_after(std::chrono::milliseconds(100));
            retry_.async_wait([this](ErrorCode) {
                if (!stopping_) accept();
            });
            return;
        }
        const int open = static_cast<int>(sessions_.size());
        const auto session = std::make_shared<Session>(*this, std::move(socket));
        if (open < limits().connections || make_room(session->client(), false)) {
            session->start();
        } else {
            service_.metrics().refused_connection();
            // This many more get an error; the rest is just closed.
            if (open < limits().connections + 32) session->refuse();
        }
        accept();
    });
}

bool BeastServer::make_room(const std::string& client, bool of_streams) {
    std::map<std::string_view, int> count;
    for (const Session* session : sessions_)
        count[session->client()] += !of_streams || session->is_stream();
    // The newcomer counts as well; so does, as a connection, what it has already.
    int most = count[client] + (of_streams ? 1 : 0);
    Session* found = nullptr;
    for (Session* session : sessions_) {
        const bool can_end = of_streams ? session->is_stream() : session->waits_for_client();
        if (!can_end || count[session->client()] <= most) continue;
        most = count[session->client()];
        found = session;
    }
    if (found == nullptr) return false;
    found->abandon();
    return true;
}

void BeastServer::begin_stop() {
    if (stopping_) return;
    stopping_ = true;
    service_.set_ready(false);
    ErrorCode ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    const std::set<Session*> sessions = sessions_;  // closing one may end it
    for (Session* session : sessions) {
        if (sessions_.count(session) != 0) session->stop();
    }
    const auto give_up = [this](ErrorCode) {
        signals_.cancel();
        io_.stop();
    };
    grace_.expires_after(std::chrono::seconds(sessions_.empty() ? 0 : limits().grace_seconds));
    grace_.async_wait(give_up);
}

void BeastServer::handle_signals() {
    ErrorCode ignored;
    signals_.add(SIGINT, ignored);
    signals_.add(SIGTERM, ignored);
    signals_.async_wait([this](ErrorCode error, int) {
        if (error) return;
        signals_.async_wait([](ErrorCode again, int) {
            if (!again) ::_exit(130);
        });
        begin_stop();
    });
}

int BeastServer::run() {
    if (pool_ != nullptr) pool_->start();
    accept();
    io_.run();
    // the grace period is over; do not wait for the engines
    if (in_flight > 0) return in_flight;
    if (pool_ != nullptr) pool_->stop();
    // Only now are all sessions this thread's own; each ends with its last handler.
    const std::set<Session*> sessions = sessions_;
    for (Session* session : sessions) session->abandon();
    io_.restart();
    io_.poll();
    return 0;
}

}  // namespace

host::Result<std::unique_ptr<Server>> Server::listen(const Options& options, EnginePool* pool,
                                                     live::Feed* feed) {
    auto server = std::make_unique<BeastServer>(options, pool, feed);
    if (const host::Result<> done = server->bind(); !done) return done.error();
    // Before anybody knows that it listens: who starts a service may stop it at once. A live view is
    // part of a program that handles signals itself.
    if (options.site == Site::service) server->handle_signals();
    return std::unique_ptr<Server>(std::move(server));
}

}  // namespace mien::serve
