// SPDX-License-Identifier: MIT
#include "mqtt/connection.h"

#include <arpa/inet.h>
#include <mosquitto.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "host/quiet_thread.h"
#include "host/shared_library.h"

namespace mien::mqtt {

// The functions of libmosquitto.
struct MosquittoCalls {
    host::SharedLibrary library{MIEN_MOSQUITTO_SONAME};
    decltype(&::mosquitto_lib_init) lib_init = nullptr;
    decltype(&::mosquitto_lib_version) lib_version = nullptr;
    decltype(&::mosquitto_new) create = nullptr;
    decltype(&::mosquitto_destroy) destroy = nullptr;
    decltype(&::mosquitto_username_pw_set) set_login = nullptr;
    decltype(&::mosquitto_will_set) set_will = nullptr;
    decltype(&::mosquitto_tls_set) set_tls = nullptr;
    decltype(&::mosquitto_int_option) set_int = nullptr;
    decltype(&::mosquitto_connect_bind_async) connect = nullptr;
    decltype(&::mosquitto_disconnect) disconnect = nullptr;
    decltype(&::mosquitto_publish) publish = nullptr;
    decltype(&::mosquitto_subscribe) subscribe = nullptr;
    decltype(&::mosquitto_socket) socket = nullptr;
    decltype(&::mosquitto_want_write) want_write = nullptr;
    decltype(&::mosquitto_loop_read) loop_read = nullptr;
    decltype(&::mosquitto_loop_write) loop_write = nullptr;
    decltype(&::mosquitto_loop_misc) loop_misc = nullptr;
    decltype(&::mosquitto_connect_callback_set) on_connect = nullptr;
    decltype(&::mosquitto_publish_callback_set) on_publish = nullptr;
    decltype(&::mosquitto_message_callback_set) on_message = nullptr;
    decltype(&::mosquitto_log_callback_set) on_log = nullptr;
    decltype(&::mosquitto_strerror) error_text = nullptr;

    MosquittoCalls() {
        library.find(lib_init, "mosquitto_lib_init");
        library.find(lib_version, "mosquitto_lib_version");
        library.find(create, "mosquitto_new");
        library.find(destroy, "mosquitto_destroy");
        library.find(set_login, "mosquitto_username_pw_set");
        library.find(set_will, "mosquitto_will_set");
        library.find(set_tls, "mosquitto_tls_set");
        library.find(set_int, "mosquitto_int_option");
        library.find(connect, "mosquitto_connect_bind_async");
        library.find(disconnect, "mosquitto_disconnect");
        library.find(publish, "mosquitto_publish");
        library.find(subscribe, "mosquitto_subscribe");
        library.find(socket, "mosquitto_socket");
        library.find(want_write, "mosquitto_want_write");
        library.find(loop_read, "mosquitto_loop_read");
        library.find(loop_write, "mosquitto_loop_write");
        library.find(loop_misc, "mosquitto_loop_misc");
        library.find(on_connect, "mosquitto_connect_callback_set");
        library.find(on_publish, "mosquitto_publish_callback_set");
        library.find(on_message, "mosquitto_message_callback_set");
        library.find(on_log, "mosquitto_log_callback_set");
        library.find(error_text, "mosquitto_strerror");
        if (library) lib_init();
    }
};
namespace {

const MosquittoCalls& mosquitto_calls() {
    static const MosquittoCalls library;
    return library;
}

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t most_waiting = 1000, most_waiting_bytes = 1 << 20;
constexpr std::size_t most_in_flight = 20;
constexpr int keep_alive_s = 30;
constexpr auto first_answer = seconds(5), connecting = seconds(10), closing = seconds(5);
constexpr auto shortest_pause = milliseconds(500), longest_pause = milliseconds(30'000);
constexpr auto between_answers = seconds(5);  // to who wants all that is kept
constexpr auto steady = seconds(10);          // a connection that held for so long was a good one
// Two clients of one name take each other's place, each after its pause: what holds longer than the
// longest pause ends that.
constexpr auto uncontested = seconds(60);
constexpr int most_short = 2;  // connections that are lost at once, one after the other

using Text = std::shared_ptr<const std::string>;

// An encrypted key would be asked for on the terminal.
int no_key_password(char*, int, int, void*) { return 0; }

// "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed" ends in what it says.
std::string tls_cause(std::string_view line) {
    const std::size_t colon = line.rfind(':');
    if (line.find("OpenSSL") != std::string_view::npos && colon != std::string_view::npos)
        line.remove_prefix(colon + 1);
    if (line.substr(0, 7) == "Error: ") line.remove_prefix(7);
    while (!line.empty() && (line.back() == '.' || line.back() == '\n')) line.remove_suffix(1);
    return std::string(line);
}

std::string address_of_socket(int descriptor) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    char text[INET6_ADDRSTRLEN] = {};
    if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    if (address.ss_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
        return ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text) != nullptr ? text : "";
    }
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    if (address.ss_family != AF_INET6 ||
        ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text) == nullptr)
        return {};
    return "[" + std::string(text) + "]";
}

std::string count_of(std::uint64_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

// What the caller's threads and the connection's share. The thread owns a part in it, so that a call
// that hangs in the system's look-up of a name needs nobody to wait for it.
struct Connection::Shared {
    struct Message {
        std::string topic;
        Text payload;
        bool is_kept = false;
    };
    struct Kept {
        std::string topic;
        Text payload;
        bool is_due = true, is_in_flight = false;
    };
    struct FirstAnswer {
        bool is_refusal = false;
        std::string text;
    };

    explicit Shared(ConnectionOptions o)
        : options(std::move(o)), wake_descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~Shared() {
        if (wake_descriptor >= 0) ::close(wake_descriptor);
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

    void wake() const {
        const std::uint64_t one = 1;
        if (::write(wake_descriptor, &one, sizeof one) < 0) return;  // it is awake
    }
    // Not after close(): who asked for it may be gone.
    void tell(const std::string& text) {
        const std::lock_guard lock(mutex);
        if (!is_left && options.tell) options.tell(text);
    }
    void tell_connected(const std::string& address) {
        std::function<void(const std::string&)> call;
        {
            const std::lock_guard lock(mutex);
            if (is_left) return;
            is_calling = true;
            call = connected;
        }
        if (call) call(address);
        const std::lock_guard lock(mutex);
        is_calling = false;
        changed.notify_all();
    }
    // The limits hold for what waits; the mutex is held.
    void shorten() {
        while (waiting.size() > most_waiting || waiting_bytes > most_waiting_bytes) {
            waiting_bytes -= waiting.front().payload->size();
            waiting.pop_front();
            ++dropped;
        }
    }
    bool take(Message& out) {
        const std::lock_guard lock(mutex);
        if (!waiting.empty()) {
            out = std::move(waiting.front());
            waiting.pop_front();
            waiting_bytes -= out.payload->size();
            return true;
        }
        for (Kept& entry : kept) {
            if (!entry.is_due || entry.is_in_flight) continue;
            entry.is_due = false;
            entry.is_in_flight = true;
            out = {entry.topic, entry.payload, true};
            return true;
        }
        return false;
    }
    void delivered(const Message& message) {
        const std::lock_guard lock(mutex);
        if (!message.is_kept) return;
        for (Kept& entry : kept)
            if (entry.topic == message.topic) entry.is_in_flight = false;
    }
    // These were not delivered; the oldest first.
    void take_back(std::vector<Message>& messages) {
        const std::lock_guard lock(mutex);
        for (auto m = messages.rbegin(); m != messages.rend(); ++m) {
            if (m->is_kept) continue;
            waiting_bytes += m->payload->size();
            waiting.push_front(std::move(*m));
        }
        messages.clear();
        shorten();
        for (Kept& entry : kept) entry.is_in_flight = false;
    }
    void all_due() {
        const std::lock_guard lock(mutex);
        for (Kept& entry : kept) entry.is_due = true;
    }
    bool has_waiting() const {
        const std::lock_guard lock(mutex);
        return !waiting.empty() || std::any_of(kept.begin(), kept.end(), [](const Kept& entry) {
            return entry.is_due || entry.is_in_flight;
        });
    }
    bool has_to_close() const {
        const std::lock_guard lock(mutex);
        return is_closing;
    }
    // False: that was the first answer, and start() is not to go on after it.
    bool answer(bool is_refusal, std::string text) {
        const std::lock_guard lock(mutex);
        if (first || is_started) return true;
        first = FirstAnswer{is_refusal, std::move(text)};
        changed.notify_all();
        return !is_refusal;
    }

    const ConnectionOptions options;
    const int wake_descriptor;
    std::function<void(const std::string&)> connected;  // set before the thread starts

    mutable std::mutex mutex;
    std::condition_variable changed;
    std::deque<Message> waiting;
    std::size_t waiting_bytes = 0;
    std::vector<Kept> kept;  // the one that changed last comes last
    std::uint64_t dropped = 0;
    std::optional<FirstAnswer> first;
    bool is_started = false;  // start() waits no longer
    bool is_connected = false;
    bool is_closing = false;        // deliver, and end
    Clock::time_point closing_end;  // then in any case
    bool is_ended = false;          // the thread
    bool is_left = false;           // nobody listens anymore
    bool is_calling = false;        // `connected` is running
    std::thread thread;
};

// The connection's thread.
class Connection::Client {
public:
    explicit Client(std::shared_ptr<Shared> shared)
        : shared_(std::move(shared)), options_(shared_->options), lib_(mosquitto_calls()) {}
    ~Client() { close_client(); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void run() {
        auto pause = shortest_pause;
        std::string told;  // is not said again while nothing changes
        int short_ones = 0;
        while (!shared_->has_to_close()) {
            begin_ = Clock::now();
            if (open()) {
                wait_for_answer();
                if (is_up_) {
                    {
                        const std::lock_guard lock(shared_->mutex);
                        shared_->is_connected = true;
                    }
                    if (!is_contested_) {
                        tell_connected();
                        told.clear();
                    }
                    greet();
                    (void)shared_->answer(false, {});
                    work();
                    const std::lock_guard lock(shared_->mutex);
                    shared_->is_connected = false;
                }
            }
            const auto held = Clock::now() - begin_;
            const bool was_good = is_up_ && held >= (is_contested_ ? uncontested : steady);
            const bool is_done = is_up_ && cause_.empty();
            close_client();
            shared_->take_back(in_flight_);
            if (is_done) break;
            if (!shared_->answer(is_refusal_, cause_) || shared_->has_to_close()) break;
            // A broker that went away takes no new connection; one that hangs up has another reason.
            short_ones = is_up_ && held < steady ? short_ones + 1 : 0;
            is_contested_ = is_up_ && (is_contested_ || short_ones >= most_short);
            if (is_contested_)
                cause_ =
                    "the connection is lost each time; another client may use this topic: give "
                    "each camera its own";
            if (cause_ != told) shared_->tell(cause_ + "; trying again");
            told = cause_;
            if (was_good) pause = shortest_pause;
            rest(pause);
            pause = std::min(longest_pause, 2 * pause);
        }
        close_client();
    }

private:
    void tell_connected() {
        std::uint64_t dropped = 0;
        {
            const std::lock_guard lock(shared_->mutex);
            dropped = std::exchange(shared_->dropped, 0);
        }
        shared_->tell(dropped == 0 ? "connected"
                                   : "connected; " + count_of(dropped, "message") +
                                         " dropped while it was away");
    }

    // A library of C calls these on this thread.
    static void connected(mosquitto*, void* self, int code) {
        static_cast<Client*>(self)->answered(code);
    }
    static void published(mosquitto*, void* self, int number) {
        static_cast<Client*>(self)->delivered(number);
    }
    static void received(mosquitto*, void* self, const mosquitto_message* message) {
        const std::string_view text(static_cast<const char*>(message->payload),
                                    static_cast<std::size_t>(std::max(0, message->payloadlen)));
        // A retained one is older than what was just sent.
        if (!message->retain && text == "online") static_cast<Client*>(self)->is_asked_ = true;
    }
    static void logged(mosquitto*, void* self, int level, const char* line) {
        if (level != MOSQ_LOG_ERR) return;
        std::string& cause = static_cast<Client*>(self)->log_;
        if (cause.empty()) cause = tls_cause(line);
    }

    std::string login_refused() const {
        const Broker& broker = options_.broker;
        if (!broker.has_user) return "the broker asks for a user: --mqtt-login FILE";
        if (broker.password.empty())
            return "the broker refuses this user without a password: --mqtt-login FILE";
        return "the broker refuses this user and password";
    }

    void answered(int code) {
        is_up_ = code == 0;
        is_refusal_ = code != 0 && code != 3;
        switch (code) {
            case 0: cause_.clear(); break;
            case 1: cause_ = "the broker does not speak MQTT 3.1.1"; break;
            case 2: cause_ = "the broker refuses the name of this client"; break;
            case 3: cause_ = "the broker is not available"; break;
            case 4:
            case 5: cause_ = login_refused(); break;
            default: cause_ = "the broker refuses the connection (" + std::to_string(code) + ")";
        }
    }

    void delivered(int number) {
        const auto found = std::find(numbers_.begin(), numbers_.end(), number);
        if (found == numbers_.end()) {
            is_sent_at_once_ = true;  // from within publish(), of the message that it was given
            return;
        }
        const auto at = found - numbers_.begin();
        shared_->delivered(in_flight_[static_cast<std::size_t>(at)]);
        in_flight_.erase(in_flight_.begin() + at);
        numbers_.erase(found);
    }

    void fail(int code) {
        const int number = errno;
        is_refusal_ = false;
        if (!log_.empty()) {
            cause_ = "TLS: " + log_;
            is_refusal_ = true;
        } else if (code == MOSQ_ERR_ERRNO && number == EPROTO && options_.broker.has_tls) {
            cause_ = "TLS: the broker refuses the connection";
            is_refusal_ = true;
        } else if (code == MOSQ_ERR_ERRNO) {
            cause_ = std::strerror(number);
        } else if (code == MOSQ_ERR_EAI) {
            cause_ = ::gai_strerror(number);
        } else if (code == MOSQ_ERR_CONN_LOST || code == MOSQ_ERR_NO_CONN) {
            cause_ = "the connection is lost";
        } else if (code == MOSQ_ERR_KEEPALIVE) {
            cause_ = "the broker does not answer";
        } else {
            cause_ = lib_.error_text(code);
            if (!cause_.empty() && cause_.back() == '.') cause_.pop_back();
        }
        // A broker that wants one hangs up after the greeting; its reason may be lost on the way.
        const bool is_hung_up = code == MOSQ_ERR_CONN_LOST ||
                                (code == MOSQ_ERR_ERRNO &&
                                 (number == EPROTO || number == ECONNRESET || number == EPIPE));
        if (log_.empty() && is_hung_up && !is_up_ && options_.broker.has_tls &&
            options_.broker.certificate_file.empty())
            cause_ += "; the broker may want a certificate";
    }

    bool open() {
        const Broker& broker = options_.broker;
        is_up_ = is_refusal_ = false;
        cause_.clear();
        log_.clear();
        const std::string name = identifier_of(broker.topic);
        // The same name in each run: a broker that has not noticed yet that the last one is gone
        // ends its connection now, and does not say "offline" in the middle of this one.
        const std::string client = "mien" + name.substr(name.size() - 8);
        client_ = lib_.create(client.c_str(), true, this);
        if (client_ == nullptr) {
            fail(MOSQ_ERR_NOMEM);
            return false;
        }
        lib_.on_connect(client_, connected);
        lib_.on_publish(client_, published);
        lib_.on_message(client_, received);
        lib_.on_log(client_, logged);
        const char* const password = broker.password.empty() ? nullptr : broker.password.c_str();
        if (broker.has_user && lib_.set_login(client_, broker.user.c_str(), password) != 0) {
            cause_ = "the user is no UTF-8";
            is_refusal_ = true;
            return false;
        }
        constexpr std::string_view will = "offline";
        lib_.set_will(client_, options_.will_topic.c_str(), static_cast<int>(will.size()),
                      will.data(), broker.qos, true);
        lib_.set_int(client_, MOSQ_OPT_TCP_NODELAY, 1);
        if (broker.has_tls && !set_tls(broker)) return false;
        const int code =
            lib_.connect(client_, broker.host.c_str(), broker.port, keep_alive_s, nullptr);
        if (code == MOSQ_ERR_SUCCESS) return true;
        fail(code);
        return false;
    }

    bool set_tls(const Broker& broker) {
        const auto name = [](const std::string& text) {
            return text.empty() ? nullptr : text.c_str();
        };
        const bool is_own = !broker.authorities_file.empty();
        int code = is_own ? MOSQ_ERR_SUCCESS : lib_.set_int(client_, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
        if (code == MOSQ_ERR_SUCCESS && (is_own || !broker.certificate_file.empty()))
            code = lib_.set_tls(client_, name(broker.authorities_file),
                                is_own ? nullptr : "/etc/ssl/certs", name(broker.certificate_file),
                                name(broker.key_file), no_key_password);
        if (code == MOSQ_ERR_SUCCESS) return true;
        fail(code);
        is_refusal_ = true;
        return false;
    }

    // False: the connection has ended, for `cause_`.
    bool step(int wait_ms) {
        pollfd both[2] = {{lib_.socket(client_), POLLIN, 0}, {shared_->wake_descriptor, POLLIN, 0}};
        if (both[0].fd < 0) {
            fail(MOSQ_ERR_NO_CONN);
            return false;
        }
        // In the middle of TLS's greeting there is something to write, but not yet.
        const bool is_greeting = !is_up_ && is_begun_;
        if (!is_greeting && (!is_up_ || lib_.want_write(client_))) both[0].events |= POLLOUT;
        ::poll(both, 2, is_greeting ? std::min(wait_ms, 50) : wait_ms);
        int error = 0;
        socklen_t size = sizeof error;
        if (!is_up_ && (both[0].revents & POLLERR) != 0 &&
            ::getsockopt(both[0].fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
            errno = error;
            fail(MOSQ_ERR_ERRNO);
            return false;
        }
        if ((both[1].revents & POLLIN) != 0) {
            std::uint64_t count = 0;
            if (::read(shared_->wake_descriptor, &count, sizeof count) < 0) count = 0;
        }
        int code = MOSQ_ERR_SUCCESS;
        errno = 0;
        if ((both[0].revents & POLLOUT) != 0) is_begun_ = true;
        if (is_greeting || (both[0].revents & POLLOUT) != 0) code = lib_.loop_write(client_, 1);
        // Without asking poll(): TLS may hold what it has read.
        if (code == MOSQ_ERR_SUCCESS) code = lib_.loop_read(client_, 1);
        if (code == MOSQ_ERR_SUCCESS) code = lib_.loop_misc(client_);
        if (code == MOSQ_ERR_SUCCESS) return true;
        if (cause_.empty()) fail(code);  // else the broker has said why
        return false;
    }

    void wait_for_answer() {
        const Clock::time_point end = Clock::now() + connecting;
        is_begun_ = false;
        while (!is_up_) {
            if (!step(200) || shared_->has_to_close()) return;
            if (Clock::now() > end) {
                if (cause_.empty()) cause_ = "the broker does not answer";
                return;
            }
        }
    }

    void greet() {
        if (!options_.birth_topic.empty())
            lib_.subscribe(client_, nullptr, options_.birth_topic.c_str(), 0);
        shared_->all_due();
        shared_->tell_connected(address_of_socket(lib_.socket(client_)));
    }

    bool is_over() const {
        const std::lock_guard lock(shared_->mutex);
        return shared_->is_closing && Clock::now() >= shared_->closing_end;
    }

    // Until the connection ends; without a cause if it was closed.
    void work() {
        while (true) {
            if (is_asked_ && Clock::now() >= next_answer_) {
                is_asked_ = false;
                next_answer_ = Clock::now() + between_answers;
                shared_->all_due();
            }
            if (is_contested_ && Clock::now() - begin_ >= uncontested) {
                is_contested_ = false;
                tell_connected();
            }
            if (!fill()) return;
            if (shared_->has_to_close() && in_flight_.empty() && !shared_->has_waiting()) break;
            if (is_over()) break;
            if (!step(1000)) return;
        }
        lib_.disconnect(client_);
        const Clock::time_point end = Clock::now() + seconds(1);
        while (lib_.socket(client_) >= 0 && lib_.want_write(client_) && Clock::now() < end)
            if (lib_.loop_write(client_, 1) != MOSQ_ERR_SUCCESS) break;
        cause_.clear();
    }

    bool fill() {
        Shared::Message message;
        while (in_flight_.size() < most_in_flight && shared_->take(message)) {
            int number = 0;
            is_sent_at_once_ = false;
            errno = 0;
            const int code = lib_.publish(
                client_, &number, message.topic.c_str(), static_cast<int>(message.payload->size()),
                message.payload->data(), options_.broker.qos, message.is_kept);
            if (code == MOSQ_ERR_SUCCESS && is_sent_at_once_) {
                shared_->delivered(message);
                continue;
            }
            if (code == MOSQ_ERR_PAYLOAD_SIZE || code == MOSQ_ERR_OVERSIZE_PACKET ||
                code == MOSQ_ERR_INVAL || code == MOSQ_ERR_MALFORMED_UTF8) {
                shared_->delivered(message);
                const std::lock_guard lock(shared_->mutex);
                ++shared_->dropped;
                continue;
            }
            in_flight_.push_back(std::move(message));
            numbers_.push_back(number);
            if (code == MOSQ_ERR_SUCCESS) continue;
            fail(code);
            return false;
        }
        return true;
    }

    void close_client() {
        if (client_ != nullptr) lib_.destroy(client_);
        client_ = nullptr;
        numbers_.clear();
    }

    // A little more or less, so that not all clients of a broker come back at once.
    void rest(milliseconds pause) {
        const auto most = static_cast<unsigned>(pause.count() / 4);
        pause += milliseconds(static_cast<int>(random_() % (most + 1)));
        std::unique_lock lock(shared_->mutex);
        shared_->changed.wait_for(lock, pause, [this] { return shared_->is_closing; });
    }

    const std::shared_ptr<Shared> shared_;
    const ConnectionOptions& options_;
    const MosquittoCalls& lib_;
    mosquitto* client_ = nullptr;
    std::vector<Shared::Message> in_flight_;  // handed over, not confirmed
    std::vector<int> numbers_;                // of these
    bool is_up_ = false, is_begun_ = false, is_refusal_ = false, is_sent_at_once_ = false;
    bool is_contested_ = false;  // another client may have this name: losses are not told again
    bool is_asked_ = false;      // for all that is kept
    Clock::time_point begin_;    // of this connection
    Clock::time_point next_answer_;
    std::string cause_, log_;
    std::minstd_rand random_{std::random_device{}()};
};

std::string mosquitto_library() {
    const MosquittoCalls& library = mosquitto_calls();
    if (!library.library) return {};
    int major = 0, minor = 0, revision = 0;
    library.lib_version(&major, &minor, &revision);
    return "libmosquitto " + std::to_string(major) + "." + std::to_string(minor) + "." +
           std::to_string(revision);
}

Connection::Connection(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
Connection::~Connection() { close(); }

host::Result<std::unique_ptr<Connection>> Connection::open(ConnectionOptions options) {
    const MosquittoCalls& library = mosquitto_calls();
    if (!library.library)
        return host::Error::usage("needs libmosquitto (Debian: libmosquitto1), which is not here");
    auto shared = std::make_shared<Shared>(std::move(options));
    if (shared->wake_descriptor < 0) return host::Error::internal(std::strerror(errno));
    return std::unique_ptr<Connection>(new Connection(std::move(shared)));
}

host::Result<> Connection::start(std::function<void(const std::string&)> connected) {
    shared_->connected = std::move(connected);
    shared_->thread = host::quiet_thread([shared = shared_] {
        Client(shared).run();
        const std::lock_guard lock(shared->mutex);
        shared->is_ended = true;
        shared->changed.notify_all();
    });
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait_for(lock, first_answer, [this] { return shared_->first.has_value(); });
    shared_->is_started = true;
    if (shared_->first && shared_->first->is_refusal)
        return host::Error::output(shared_->first->text);
    return {};
}

void Connection::send(const std::string& topic, std::string payload) {
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->waiting_bytes += payload.size();
        shared_->waiting.push_back(
            {topic, std::make_shared<const std::string>(std::move(payload)), false});
        shared_->shorten();
    }
    shared_->wake();
}

void Connection::keep(const std::string& topic, std::string payload) {
    Shared::Kept entry{topic, std::make_shared<const std::string>(std::move(payload))};
    {
        const std::lock_guard lock(shared_->mutex);
        auto& kept = shared_->kept;
        const auto found = std::find_if(
            kept.begin(), kept.end(), [&](const Shared::Kept& old) { return old.topic == topic; });
        if (found != kept.end()) {
            entry.is_in_flight = found->is_in_flight;
            kept.erase(found);
        }
        kept.push_back(std::move(entry));
    }
    shared_->wake();
}

void Connection::keep_again(const std::string& topic) {
    {
        const std::lock_guard lock(shared_->mutex);
        for (Shared::Kept& entry : shared_->kept)
            if (entry.topic == topic) entry.is_due = true;
    }
    shared_->wake();
}

bool Connection::is_connected() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->is_connected;
}

void Connection::close() {
    std::unique_lock lock(shared_->mutex);
    if (shared_->is_left || !shared_->thread.joinable()) return;
    shared_->is_closing = true;
    shared_->closing_end = Clock::now() + closing;
    shared_->changed.notify_all();
    shared_->wake();
    // What hangs in a look-up or such is left to the end of the process.
    const auto end = (shared_->is_connected ? shared_->closing_end : Clock::now()) + seconds(1);
    shared_->changed.wait_until(lock, end, [this] { return shared_->is_ended; });
    shared_->changed.wait(lock, [this] { return !shared_->is_calling; });
    const std::uint64_t lost = shared_->waiting.size() + shared_->dropped;
    if (lost > 0 && shared_->options.tell)
        shared_->options.tell(count_of(lost, "message") + " not delivered");
    shared_->is_left = true;
    const bool is_ended = shared_->is_ended;
    lock.unlock();
    if (is_ended)
        shared_->thread.join();
    else
        shared_->thread.detach();
}

}  // namespace mien::mqtt
