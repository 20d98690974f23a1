// SPDX-License-Identifier: MIT
// Can any text crash the reader of addresses, say something else after being written again, or leave
// a user or a password in what is shown? The text, and after a newline where an answer redirects to.
// The same of a broker's, and of the file with its login.
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "video/address.h"
#ifdef MIEN_HAS_MQTT
#include "mqtt/broker.h"
#endif

namespace {

using mien::video::Address;

void check(const Address& address) {
    if (address.host.empty() || address.target.empty() || address.target[0] != '/') std::abort();
    for (const std::string* const text : {&address.host, &address.target}) {
        for (const char c : *text)
            if (c <= ' ' || c > '~') std::abort();
    }
    const auto again = mien::video::parse_address(mien::video::full_address(address));
    // Each byte of a target may take three, and only a server may send an at sign in it.
    const bool may_fail = address.target.find('@') != std::string::npos;
    if (!again ? !may_fail && address.target.size() < 1000 &&
                     address.user.size() + address.password.size() < 500
               : !(*again == address))
        std::abort();
    Address nameless = address;
    nameless.user.clear();
    nameless.password.clear();
    nameless.has_user = false;
    if (mien::video::shown_address(address) != mien::video::shown_address(nameless)) std::abort();
    if (mien::video::basic_credentials(address).size() !=
        6 + 4 * ((address.user.size() + address.password.size() + 3) / 3))
        std::abort();
}

#ifdef MIEN_HAS_MQTT
void check_broker(std::string_view text, std::string_view login) {
    auto broker = mien::mqtt::parse_broker(text);
    if (!broker) {
        if (broker.error().text.empty()) std::abort();
        return;
    }
    if (broker->topic.empty()) broker->topic = mien::mqtt::default_topic(login);
    if (broker->topic.empty() || broker->topic.size() > 200 || broker->host.empty() ||
        broker->port < 1 || broker->port > 65535)
        std::abort();
    for (const char c : broker->topic)
        if (c == '+' || c == '#' || c == '\0' || c == '\n') std::abort();
    const std::string shown = mien::mqtt::shown_broker(*broker);
    broker->user = broker->password = "";
    if (shown != mien::mqtt::shown_broker(*broker)) std::abort();
    for (const char c : mien::mqtt::identifier_of(broker->topic))
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') std::abort();
    const bool is_read = static_cast<bool>(mien::mqtt::read_login(
        {reinterpret_cast<const std::uint8_t*>(login.data()), login.size()}, *broker));
    if (is_read && (broker->user + broker->password).find('\n') != std::string::npos) std::abort();
}
#endif

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 10000) return 0;
    const std::string_view all(reinterpret_cast<const char*>(data), size),
        text = all.substr(0, all.find('\n')),
        location = text.size() < all.size() ? all.substr(text.size() + 1) : "";
    const std::string hidden = mien::video::without_credentials(all);
    if (const std::size_t at = all.find("://"); at != std::string_view::npos && at > 0) {
        // What is shown up to an at sign is dots, if anything is taken for an address.
        const std::size_t shown = hidden.find('@', at);
        if (hidden.substr(0, at) == all.substr(0, at) && shown != std::string::npos &&
            mien::video::is_address(all) && hidden.substr(at, 7) != "://...@")
            std::abort();
    }
#ifdef MIEN_HAS_MQTT
    check_broker(text, location);
#endif
    const auto parsed = mien::video::parse_address(text);
    if (!parsed) {
        if (parsed.error().text.empty()) std::abort();
        return 0;
    }
    check(*parsed);
    const auto to = mien::video::redirected(*parsed, location);
    if (!to) return 0;
    check(*to);
    const bool is_same =
        to->scheme == parsed->scheme && to->host == parsed->host && to->port == parsed->port;
    if (!is_same && (to->has_user || !to->user.empty() || !to->password.empty())) std::abort();
    return 0;
}
