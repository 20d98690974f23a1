// SPDX-License-Identifier: MIT
#include "mqtt/broker.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "base/crc32.h"
#include "video/address.h"

namespace mien::mqtt {
namespace {

constexpr std::size_t longest_topic = 200;  // what is appended fits into MQTT's 65535 anyway

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Without surrogates and without forms that are longer than they need to be.
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t at) {
            return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
        };
        const unsigned first = byte(i);
        const std::size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return false;
        unsigned code = more == 0 ? first : first & (0x3fu >> more);
        for (std::size_t k = 1; k <= more; ++k) {
            if ((byte(i + k) & 0xc0) != 0x80) return false;
            code = code << 6 | (byte(i + k) & 0x3f);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
            (more == 3 && (code < 0x10000 || code > 0x10ffff)))
            return false;
        i += more + 1;
    }
    return true;
}

// One word of a topic.
std::string topic_word(std::string_view text) {
    std::string word;
    for (const char c : text) word += is_plain(c) || c == '-' ? c : '_';
    return word;
}

host::Result<> check_topic(std::string_view topic) {
    if (topic.size() > longest_topic)
        return host::Error::usage("has a topic of more than " + std::to_string(longest_topic) +
                                  " bytes");
    if (topic.front() == '/' || topic.back() == '/' || topic.find("//") != std::string_view::npos)
        return host::Error::usage("has an empty word in its topic");
    if (topic.front() == '$')
        return host::Error::usage("has a topic that begins with $, as only the broker's own do");
    for (const char c : topic)
        if (static_cast<unsigned char>(c) < ' ' || c == '\x7f' || c == '+' || c == '#')
            return host::Error::usage("has a topic with +, # or a control character");
    if (!is_utf8(topic)) return host::Error::usage("has a topic that is no UTF-8");
    return {};
}

}  // namespace

host::Result<Broker> parse_broker(std::string_view address) {
    // A # would begin a fragment, which is cut off.
    if (address.find('#') != std::string_view::npos)
        return host::Error::usage("has a #, which no topic has; in a password it is written %23");
    const std::string example = "; write mqtt://HOST/TOPIC";
    const host::Error other_scheme =
        host::Error::usage("begins with neither mqtt:// nor mqtts://" + example);
    if (!video::is_address(address)) return other_scheme;
    const auto parsed = video::parse_address(address);
    if (!parsed) return host::Error::usage(parsed.error().text + example);
    Broker broker;
    if (parsed->scheme != "mqtt" && parsed->scheme != "mqtts") return other_scheme;
    broker.has_tls = parsed->scheme == "mqtts";
    broker.host = parsed->host;
    broker.port = parsed->port != 0 ? parsed->port : broker.has_tls ? 8883 : 1883;
    broker.user = parsed->user;
    broker.password = parsed->password;
    broker.has_user = parsed->has_user;
    if (parsed->target.find('?') != std::string::npos)
        return host::Error::usage("has a ?; in a topic it is written %3F");
    broker.topic = video::percent_decoded(parsed->target).substr(1);
    if (broker.topic.empty()) return broker;
    if (const host::Result<> done = check_topic(broker.topic); !done) return done.error();
    return broker;
}

std::string default_topic(std::string_view source) {
    constexpr std::size_t longest_word = 80;
    char machine[longest_word] = {};
    if (::gethostname(machine, sizeof machine - 1) != 0 || machine[0] == '\0')
        std::snprintf(machine, sizeof machine, "machine");
    if (const std::size_t at = source.find("://"); at != std::string_view::npos)
        source.remove_prefix(at + 3);
    if (source.substr(0, 5) == "/dev/") source.remove_prefix(5);
    while (!source.empty() && (source.front() == '/' || source.front() == '.'))
        source.remove_prefix(1);
    while (!source.empty() && source.back() == '/') source.remove_suffix(1);
    // The end of a long path says more.
    if (source.size() > longest_word) source.remove_prefix(source.size() - longest_word);
    if (source == "-") source = "stdin";
    if (source.empty()) source = "camera";
    return "mien/" + topic_word(machine) + "/" + topic_word(source);
}

std::string shown_broker(const Broker& broker) {
    video::Address address;
    address.scheme = broker.has_tls ? "mqtts" : "mqtt";
    address.host = broker.host;
    address.port = broker.port == (broker.has_tls ? 8883 : 1883) ? 0 : broker.port;
    return address.scheme + "://" + video::host_and_port(address) + "/" + broker.topic;
}

host::Result<> read_login(std::span<const std::uint8_t> bytes, Broker& broker) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::string lines[3];
    std::size_t count = 0, at = 0;
    while (at < text.size() && count < 3) {
        const std::size_t end = std::min(text.size(), text.find('\n', at));
        std::string_view line = text.substr(at, end - at);
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        lines[count++] = line;
        at = end + 1;
    }
    if (count == 3 && lines[2].empty()) --count;
    if (count == 0 || count == 3)
        return host::Error::usage(
            "is not one line, the password, or two, the user and the password");
    for (const std::string& line : lines)
        for (const char c : line)
            if (static_cast<unsigned char>(c) < ' ' || c == '\x7f')
                return host::Error::usage("has a control character");
    if (count == 2) {
        broker.user = lines[0];
        broker.has_user = true;
    }
    broker.password = lines[count - 1];
    return {};
}

std::string identifier_of(std::string_view topic) {
    std::string text;
    for (const char c : topic.substr(0, 64)) text += is_plain(c) ? c : '_';
    const std::uint32_t sum =
        crc32({reinterpret_cast<const std::uint8_t*>(topic.data()), topic.size()});
    char digits[16];
    std::snprintf(digits, sizeof digits, "_%08x", static_cast<unsigned>(sum));
    return text + digits;
}

}  // namespace mien::mqtt
