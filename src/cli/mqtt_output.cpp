// SPDX-License-Identifier: MIT
#include "cli/mqtt_output.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "cli/exit_codes.h"
#include "cli/terminal.h"
#ifdef MIEN_HAS_MQTT
#include "host/clock.h"
#include "host/files/file_io.h"
#include "mqtt/broker.h"
#include "mqtt/connection.h"
#include "mqtt/publisher.h"
#endif

namespace mien::cli {

void add_mqtt_options(CLI::App& app, MqttOptions& options) {
    const char* group = "MQTT";
    CLI::Option* const address =
        app.add_option(
               "--mqtt", options.address,
               "Publish events and states at mqtt://USER@HOST:PORT/TOPIC, with TLS mqtts://;\n"
               "the password comes from --mqtt-login or MIEN_MQTT_PASSWORD")
            ->check([](const std::string& text) {
                return std::string(text.empty() ? "the address is empty" : "");
            })
            ->type_name("ADDRESS")
            ->group(group);
    CLI::Option* const others[] = {
        app.add_option(
               "--mqtt-login", options.login_file,
               "A file with the user and, on its second line, the password; or the password")
            ->type_name("FILE"),
        app.add_option("--mqtt-ca", options.authorities_file,
                       "Whose certificate signed the broker's; else whom the system trusts")
            ->type_name("FILE"),
        app.add_option("--mqtt-cert", options.certificate_file, "This client's certificate, PEM")
            ->type_name("FILE"),
        app.add_option("--mqtt-key", options.key_file, "Its key, PEM without a password")
            ->type_name("FILE"),
        app.add_option("--mqtt-qos", options.qos,
                       "How often each message arrives, 0: at most once; 1: at least once; 2: once")
            ->check(CLI::IsMember({0, 1, 2}))
            ->type_name("N"),
        app.add_flag("--mqtt-discovery{homeassistant}", options.discovery_prefix,
                     "Home Assistant shows the camera by itself; where it does not look under\n"
                     "homeassistant, =NAME is its prefix"),
        app.add_option("--mqtt-image", options.image_s,
                       "Publish the annotated image, too, so often; 0: never")
            ->check(CLI::Range(0.0, 1e6))
            ->type_name("S")};
    for (CLI::Option* const option : others) option->group(group)->needs(address);
}

#ifdef MIEN_HAS_MQTT

namespace {

constexpr std::size_t most_login_bytes = 4096;

// False after printing an error, with `code` set.
bool read_login_file(const std::string& path, mqtt::Broker& broker, int& code) {
    const auto file = host::read_file(path, most_login_bytes);
    if (!file) {
        code = complain(path, file.error());
        return false;
    }
    if (const host::Result<> done = mqtt::read_login(*file, broker); !done) {
        code = complain(path, done.error());
        return false;
    }
    return true;
}

// A file that the library could not open would be an error without a name.
bool can_read(const std::string& path, int& code) {
    if (path.empty()) return true;
    const auto file = host::read_file(path, std::size_t{1} << 24);
    if (file) return true;
    code = complain(path, file.error());
    return false;
}

bool make_broker(const MqttOptions& options, const std::string& source, mqtt::Broker& broker,
                 int& code) {
    code = exit_usage;
    auto parsed = mqtt::parse_broker(options.address);
    if (!parsed) {
        complain("--mqtt: the address " + parsed.error().text);
        return false;
    }
    broker = std::move(*parsed);
    if (broker.topic.empty()) broker.topic = mqtt::default_topic(source);
    // From the least explicit to the most.
    if (const char* user = std::getenv("MIEN_MQTT_USER"); user != nullptr && !broker.has_user) {
        broker.user = user;
        broker.has_user = true;
    }
    if (const char* password = std::getenv("MIEN_MQTT_PASSWORD");
        password != nullptr && broker.password.empty())
        broker.password = password;
    if (!options.login_file.empty() && !read_login_file(options.login_file, broker, code))
        return false;
    if (!broker.password.empty() && !broker.has_user) {
        complain("--mqtt: there is a password, but no user");
        return false;
    }
    broker.authorities_file = options.authorities_file;
    broker.certificate_file = options.certificate_file;
    broker.key_file = options.key_file;
    broker.qos = options.qos;
    const bool has_files = !options.authorities_file.empty() || !options.certificate_file.empty() ||
                           !options.key_file.empty();
    if (has_files && !broker.has_tls) {
        complain("--mqtt-ca, --mqtt-cert and --mqtt-key are for mqtts://");
        return false;
    }
    if (options.certificate_file.empty() != options.key_file.empty()) {
        complain("--mqtt-cert and --mqtt-key belong together");
        return false;
    }
    for (const std::string* path :
         {&options.authorities_file, &options.certificate_file, &options.key_file})
        if (!can_read(*path, code)) return false;
    if (!options.discovery_prefix.empty() && !mqtt::is_prefix(options.discovery_prefix)) {
        complain("--mqtt-discovery=" + options.discovery_prefix + " is no prefix of topics");
        return false;
    }
    return true;
}

}  // namespace

std::string mqtt_library() {
    const std::string library = mqtt::mosquitto_library();
    return library.empty() ? "no: libmosquitto is not installed here" : library;
}

struct MqttOutput::Impl {
    std::unique_ptr<mqtt::Publisher> publisher;
    std::unique_ptr<mqtt::Connection> connection;  // ends first: its thread calls the publisher
};

int MqttOutput::start(const MqttOptions& options, const live::EventOptions& events,
                      const std::string& source, const host::EngineInfo& info,
                      const MjpegView::Place& view, std::function<void(const std::string&)> tell) {
    int code = exit_done;
    mqtt::Broker broker;
    if (!make_broker(options, source, broker, code)) return code;
    const std::string name = mqtt::shown_broker(broker);
    const mqtt::Topics topics(broker.topic);
    mqtt::PublisherOptions publishing;
    publishing.topic = broker.topic;
    publishing.source = source;
    publishing.qos = broker.qos;
    publishing.events = events;
    publishing.discovery_prefix = options.discovery_prefix;
    publishing.image_s = options.image_s;
    publishing.view = {view.host, view.port, view.prefix};
    mqtt::ConnectionOptions connecting;
    connecting.broker = std::move(broker);
    connecting.will_topic = topics.status;
    if (!publishing.discovery_prefix.empty())
        connecting.birth_topic = mqtt::birth_topic(publishing.discovery_prefix);
    connecting.tell = [tell = std::move(tell), name](const std::string& text) {
        tell(name + ": " + text);
    };
    auto impl = std::make_unique<Impl>();
    auto opened = mqtt::Connection::open(std::move(connecting));
    if (!opened) return complain(name, opened.error());
    impl->connection = std::move(*opened);
    impl->publisher =
        std::make_unique<mqtt::Publisher>(std::move(publishing), info, *impl->connection);
    const host::Result<> started =
        impl->connection->start([publisher = impl->publisher.get()](const std::string& address) {
            publisher->connected(address);
        });
    if (!started) return complain(name, started.error());
    impl_ = std::move(impl);
    return exit_done;
}

void MqttOutput::join(live::Outputs& outputs) {
    if (!impl_) return;
    outputs.result = [this, before = outputs.result](const live::FrameResult& result) {
        impl_->publisher->add(result, host::monotonic_ns());
        return before(result);
    };
    outputs.idle = [this, before = outputs.idle] {
        impl_->publisher->idle(host::monotonic_ns());
        before();
    };
    if (!impl_->publisher->has_images()) return;
    outputs.pictures.push_back(
        {[this] { return impl_->publisher->wants_image(host::monotonic_ns()); },
         [this](std::span<const std::uint8_t> jpeg) {
             impl_->publisher->add_image(jpeg, host::monotonic_ns());
         }});
}

void MqttOutput::finish() {
    if (!impl_) return;
    impl_->publisher->finish();
    impl_->connection->close();
}

#else

std::string mqtt_library() { return "no: built without libmosquitto"; }

struct MqttOutput::Impl {};
int MqttOutput::start(const MqttOptions&, const live::EventOptions&, const std::string&,
                      const host::EngineInfo&, const MjpegView::Place&,
                      std::function<void(const std::string&)>) {
    complain(
        "--mqtt",
        "this program was built without MQTT; with libmosquitto (Debian: libmosquitto-dev) the "
        "build has it");
    return exit_usage;
}
void MqttOutput::join(live::Outputs&) {}
void MqttOutput::finish() {}

#endif

MqttOutput::MqttOutput() = default;
MqttOutput::~MqttOutput() = default;

}  // namespace mien::cli
