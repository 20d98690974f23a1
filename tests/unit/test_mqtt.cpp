// SPDX-License-Identifier: MIT
// What is published when, without a broker; tests/e2e/test_mqtt.py has one.
#ifdef MIEN_HAS_MQTT
#include <doctest/doctest.h>

#include <array>
#include <cctype>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "mqtt/broker.h"
#include "mqtt/discovery.h"
#include "mqtt/publisher.h"

namespace {

using namespace mien;
using Messages = std::vector<std::pair<std::string, std::string>>;

class Sheet : public mqtt::Outbox {
public:
    void send(const std::string& topic, std::string payload) override {
        messages.emplace_back(topic, std::move(payload));
    }
    void keep(const std::string& topic, std::string payload) override {
        messages.emplace_back(topic, std::move(payload));
    }
    void keep_again(const std::string& topic) override { messages.emplace_back(topic, "again"); }
    bool is_connected() const override { return is_there; }

    std::string last(const std::string& topic) const {
        for (auto m = messages.rbegin(); m != messages.rend(); ++m)
            if (m->first == topic) return m->second;
        return "nothing";
    }
    std::size_t count(const std::string& topic) const {
        std::size_t n = 0;
        for (const auto& message : messages) n += message.first == topic;
        return n;
    }

    Messages messages;
    bool is_there = true;
};

host::EngineInfo one_head() {
    host::EngineInfo info;
    info[Head::emotion] = {.model_name = "e", .labels = {"calm", "glad"}};
    return info;
}

struct Square {
    std::uint32_t id;
    int label, side;
};

class Camera {
public:
    explicit Camera(mqtt::PublisherOptions options)
        : info(one_head()), publisher(std::move(options), info, sheet) {}

    void frame(const std::vector<Square>& squares, double seconds = 0.1) {
        now += static_cast<std::uint64_t>(seconds * 1e9);
        std::vector<std::array<TrackedReading, max_heads>> readings(squares.size());
        std::vector<TrackedFace> faces;
        for (std::size_t i = 0; i < squares.size(); ++i) {
            TrackedReading& reading = readings[i][static_cast<std::size_t>(Head::emotion)];
            reading.probabilities = reading.smoothed = probabilities;
            reading.label = squares[i].label;
            TrackedFace face;
            face.id = squares[i].id;
            face.box = {0, 0, squares[i].side, squares[i].side};
            face.frames = 10;
            face.readings = readings[i];
            faces.push_back(face);
        }
        live::FrameResult result;
        result.number = number++;
        result.time_ns = now;
        result.faces = faces;
        publisher.add(result, now);
    }
    nlohmann::json summary() const { return nlohmann::json::parse(sheet.last("t/summary")); }

    std::array<float, 2> probabilities{0.5f, 0.5f};
    host::EngineInfo info;
    Sheet sheet;
    mqtt::Publisher publisher;
    std::uint64_t now = 1'000'000'000, number = 0;
};

mqtt::PublisherOptions door() {
    mqtt::PublisherOptions options;
    options.topic = "t";
    options.source = "/dev/video0";
    options.events.settle_s = 0.3;
    return options;
}

TEST_CASE("mqtt: addresses of brokers") {
    const auto plain = mqtt::parse_broker("mqtt://broker");
    REQUIRE(plain);
    CHECK(plain->host == "broker");
    CHECK(plain->port == 1883);
    CHECK_FALSE(plain->has_tls);
    CHECK_FALSE(plain->has_user);
    CHECK(plain->topic.empty());

    const auto full = mqtt::parse_broker("mqtts://us%40er:pa%3Ass@[fe80::1%25eth0]:77/a/b%20c");
    REQUIRE(full);
    CHECK(full->host == "fe80::1%eth0");
    CHECK(full->port == 77);
    CHECK(full->has_tls);
    CHECK(full->user == "us@er");
    CHECK(full->password == "pa:ss");
    CHECK(full->topic == "a/b c");
    CHECK(mqtt::shown_broker(*full) == "mqtts://[fe80::1%25eth0]:77/a/b c");
    CHECK(mqtt::parse_broker("MQTTS://h/k\xc3\xbc"
                             "che")
              ->topic ==
          "k\xc3\xbc"
          "che");
    CHECK(mqtt::parse_broker("mqtts://h")->port == 8883);

    for (const char* wrong :
         {"", "broker", "http://h/t", "mqtt://", "mqtt:///t", "mqtt://h/t/", "mqtt://h//t",
          "mqtt://h/a//b", "mqtt://h/+", "mqtt://h/a#", "mqtt://h/a?b", "mqtt://h/$SYS",
          "mqtt://h/%00", "mqtt://h/%ff", "mqtt://h/%c0%80", "mqtt://h/%ed%a0%80",
          "mqtt://h/%f4%90%80%80", "mqtt://h/%e2%82", "mqtt://h:99999/t"}) {
        CAPTURE(wrong);
        const auto broker = mqtt::parse_broker(wrong);
        REQUIRE_FALSE(broker);
        CHECK_FALSE(broker.error().text.empty());
    }
    for (const char* no_address : {"localhost", "192.168.1.5:1883", "mqtt:/localhost/x",
                                   "http://h/t", "mqtt:///t", "mqtt://h:99999/t", "mqtt://h:x/t"}) {
        CAPTURE(no_address);
        const auto broker = mqtt::parse_broker(no_address);
        REQUIRE_FALSE(broker);
        CHECK(broker.error().text.find("; write mqtt://HOST/TOPIC") != std::string::npos);
    }
}

TEST_CASE("mqtt: each camera of a machine has a topic of its own") {
    const auto word = [](std::string_view source) {
        const std::string topic = mqtt::default_topic(source);
        CHECK(topic.substr(0, 5) == "mien/");
        CHECK(mqtt::parse_broker("mqtt://h/" + topic)->topic == topic);
        const std::size_t slash = topic.rfind('/');
        CHECK(slash > 5);
        return topic.substr(slash + 1);
    };
    CHECK(word("/dev/video0") == "video0");
    CHECK(word("/dev/video12") == "video12");
    CHECK(word("/dev/v4l/by-id/usb-A_B.1") == "v4l_by-id_usb-A_B_1");
    CHECK(word("/left/image_raw") == "left_image_raw");
    CHECK(word("http://10.0.0.7:81/stream?...") == "10_0_0_7_81_stream____");
    CHECK(word("films/#1/") == "films__1");
    CHECK(word("-") == "stdin");
    CHECK(word("") == "camera");
    CHECK(word(std::string(300, 'a') + "/b") == std::string(78, 'a') + "_b");
}

TEST_CASE("mqtt: files with a login") {
    const auto read = [](std::string_view text, mqtt::Broker& broker) {
        return static_cast<bool>(mqtt::read_login(
            {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, broker));
    };
    mqtt::Broker broker;
    broker.user = "me";
    CHECK(read("secret", broker));
    CHECK(broker.user == "me");
    CHECK(broker.password == "secret");
    CHECK(read("you\r\nwith space \r\n", broker));
    CHECK(broker.user == "you");
    CHECK(broker.password == "with space ");
    for (const char* wrong : {"", "a\nb\nc", "a\tb"}) CHECK_FALSE(read(wrong, broker));
    CHECK(broker.user == "you");
}

TEST_CASE("mqtt: each topic has an identifier of its own, for good") {
    CHECK(mqtt::identifier_of("mien/door") == "mien_door_87c1f741");
    CHECK(mqtt::identifier_of("mien_door") != mqtt::identifier_of("mien/door"));
    CHECK(mqtt::identifier_of(std::string(200, 'x')) != mqtt::identifier_of(std::string(199, 'x')));
    for (const char c : mqtt::identifier_of("k\xc3\xbc"
                                            "che/\"1\""))
        CHECK((std::isalnum(static_cast<unsigned char>(c)) || c == '_'));
}

TEST_CASE("mqtt: events, states and a summary") {
    Camera camera(door());
    CHECK(camera.sheet.messages == Messages{{"t/status", "offline"}});
    camera.frame({});
    CHECK(camera.sheet.count("t/state") == 1);
    CHECK(camera.sheet.last("t/summary") == R"({"faces":0,"expression":null,"fps":null})");
    CHECK(camera.sheet.messages.back() == Messages::value_type{"t/status", "online"});
    for (int i = 0; i < 3; ++i) camera.frame({{1, 0, 10}});
    CHECK(nlohmann::json::parse(camera.sheet.last("t/event"))["event"] == "appear");
    CHECK(nlohmann::json::parse(camera.sheet.last("t/state"))["faces"].size() == 1);
    CHECK(camera.summary()["faces"] == 1);
    CHECK(camera.summary()["expression"] == "calm");
    const std::size_t before = camera.sheet.messages.size();
    for (int i = 0; i < 3; ++i) camera.frame({{1, 0, 10}});
    CHECK(camera.sheet.messages.size() == before);  // nothing has changed
    for (int i = 0; i < 5; ++i) camera.frame({{1, 1, 10}});
    CHECK(nlohmann::json::parse(camera.sheet.last("t/event"))["event"] == "change");
    CHECK(camera.summary()["expression"] == "glad");
    camera.publisher.finish();
    CHECK(nlohmann::json::parse(camera.sheet.last("t/event"))["event"] == "leave");
    CHECK(nlohmann::json::parse(camera.sheet.last("t/state"))["faces"].empty());
    CHECK(camera.sheet.last("t/summary") == R"({"faces":0,"expression":null,"fps":0.0})");
    CHECK(camera.sheet.messages.back() == Messages::value_type{"t/status", "offline"});
}

TEST_CASE("mqtt: the largest face does not change with each frame") {
    Camera camera(door());
    camera.frame({{1, 0, 100}, {2, 1, 50}});
    CHECK(camera.summary()["faces"] == 2);
    CHECK(camera.summary()["expression"] == "calm");
    camera.frame({{1, 0, 100}, {2, 1, 105}});
    CHECK(camera.summary()["expression"] == "calm");
    camera.frame({{1, 0, 100}, {2, 1, 120}});
    CHECK(camera.summary()["expression"] == "glad");
    camera.frame({{1, 0, 100}, {2, 1, 95}});
    CHECK(camera.summary()["expression"] == "glad");
    camera.frame({{1, 0, 100}});  // it left
    CHECK(camera.summary()["faces"] == 1);
    CHECK(camera.summary()["expression"] == "calm");
}

TEST_CASE("mqtt: frames per second, and a camera that goes quiet") {
    Camera camera(door());
    for (int i = 0; i < 11; ++i) camera.frame({});
    CHECK(camera.summary()["fps"] == 10.0);
    for (int i = 0; i < 201; ++i) camera.frame({}, 0.05);
    CHECK(camera.summary()["fps"] == 20.0);
    CHECK(camera.sheet.count("t/summary") == 3);
    camera.publisher.idle(camera.now + 9'000'000'000);
    CHECK(camera.sheet.last("t/status") == "online");
    camera.publisher.idle(camera.now + 10'000'000'000);
    CHECK(camera.sheet.last("t/status") == "offline");
    CHECK(camera.summary()["fps"] < 1);
    camera.frame({}, 20);
    CHECK(camera.sheet.last("t/status") == "online");
    // It has been known to take 20 s for a frame.
    camera.publisher.idle(camera.now + 99'000'000'000);
    CHECK(camera.sheet.last("t/status") == "online");
    camera.publisher.idle(camera.now + 100'000'000'000);
    CHECK(camera.sheet.last("t/status") == "offline");
}

TEST_CASE("mqtt: images only so often, and only for a broker that is there") {
    mqtt::PublisherOptions options = door();
    options.image_s = 2;
    Camera camera(options);
    CHECK(camera.publisher.wants_image(1));
    camera.sheet.is_there = false;
    CHECK_FALSE(camera.publisher.wants_image(1));
    camera.sheet.is_there = true;
    constexpr std::uint8_t jpeg[] = {'a', 0, 'b'};
    camera.publisher.add_image(jpeg, 1'000'000'000);
    CHECK(camera.sheet.last("t/image") == std::string("a\0b", 3));
    CHECK_FALSE(camera.publisher.wants_image(2'900'000'000));
    CHECK(camera.publisher.wants_image(3'000'000'000));
}

TEST_CASE("mqtt: Home Assistant finds the live view where it can reach it") {
    const auto url = [](const char* host, int port, const char* seen) {
        mqtt::PublisherOptions options = door();
        options.view = {host, port, "/cam"};
        options.discovery_prefix = "homeassistant";
        Camera camera(options);
        camera.publisher.connected(seen);
        const std::string id = mqtt::identifier_of("t");
        const std::string entity = camera.sheet.last("homeassistant/image/" + id + "/image/config");
        const std::string address = camera.sheet.last("t/image_url");
        CHECK(entity.empty() == (address == "nothing"));
        if (!entity.empty())
            CHECK(nlohmann::json::parse(entity)["device"]["configuration_url"].get<std::string>() +
                      "snapshot.jpg" ==
                  address);
        return address;
    };
    CHECK(url("", 8090, "192.168.1.7") == "http://192.168.1.7:8090/cam/snapshot.jpg");
    CHECK(url("", 8090, "[fe80::1]") == "http://[fe80::1]:8090/cam/snapshot.jpg");
    CHECK(url("10.0.0.2", 8090, "192.168.1.7") == "http://10.0.0.2:8090/cam/snapshot.jpg");
    CHECK(url("127.0.0.1", 8090, "127.0.0.1") == "http://127.0.0.1:8090/cam/snapshot.jpg");
    CHECK(url("127.0.0.1", 8090, "192.168.1.7") == "nothing");
    CHECK(url("", 0, "192.168.1.7") == "nothing");
}

TEST_CASE("mqtt: prefixes of topics") {
    for (const char* good : {"homeassistant", "home/ha", "x"}) CHECK(mqtt::is_prefix(good));
    for (const char* wrong : {"", "/x", "x/", "a b", "a/+", "#", "$SYS", "k\xc3\xbc"})
        CHECK_FALSE(mqtt::is_prefix(wrong));
}

}  // namespace
#endif
