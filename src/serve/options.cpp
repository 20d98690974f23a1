// SPDX-License-Identifier: MIT
#include "serve/options.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace mien::serve {
namespace {

bool parse_port(std::string_view text, std::uint16_t& port) {
    std::uint16_t number = 0;  // "127.0.0.1" begins with one, too
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return false;
    port = number;
    return true;
}

// In the shortest spelling; a zone ("fe80::1%eth0") stays. Empty for what is none.
std::string ipv6_address(std::string_view text) {
    const std::size_t zone = std::min(text.find('%'), text.size());
    unsigned char bytes[16];
    char out[INET6_ADDRSTRLEN];
    if (::inet_pton(AF_INET6, std::string(text.substr(0, zone)).c_str(), bytes) != 1 ||
        ::inet_ntop(AF_INET6, bytes, out, sizeof out) == nullptr)
        return {};
    return out + std::string(text.substr(zone));
}

}  // namespace

bool parse_address(std::string_view text, Options& options, bool& has_port) {
    has_port = parse_port(text, options.port);
    if (has_port) return true;
    std::string_view address = text, port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return false;
        address = text.substr(1, end - 1);
        port = text.substr(end + 1);
        if (!port.empty() && !port.starts_with(':')) return false;
        has_port = !port.empty();
        port.remove_prefix(has_port);
    } else if (std::count(text.begin(), text.end(), ':') == 1) {
        address = text.substr(0, text.find(':'));
        port = text.substr(text.find(':') + 1);
        has_port = true;
    }
    if (has_port && !parse_port(port, options.port)) return false;
    unsigned char bytes[4];
    if (text.starts_with('[') || address.find(':') != std::string_view::npos) {
        options.address = ipv6_address(address);
        return !options.address.empty();
    }
    options.address = address == "localhost" ? "127.0.0.1" : address;
    if (has_port) return !address.empty();  // what is no address at all cannot be listened on
    return ::inet_pton(AF_INET, options.address.c_str(), bytes) == 1;
}

std::optional<std::string> parse_prefix(std::string_view text) {
    while (text.ends_with('/')) text.remove_suffix(1);
    if (text.starts_with('/')) text.remove_prefix(1);
    if (text.empty()) return std::string();
    constexpr std::string_view marks = "-._~";
    const auto plain = [=](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               marks.find(c) != std::string_view::npos;
    };
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::string_view name = rest.substr(0, rest.find('/'));
        if (name.empty() || name == "." || name == ".." ||
            !std::all_of(name.begin(), name.end(), plain))
            return {};
        rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    }
    if (text.size() > 200) return {};
    return "/" + std::string(text);
}

std::string host_of_url(const std::string& address) {
    return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

bool is_every_network(const std::string& address) {
    return address == "0.0.0.0" || address == "::";
}

bool is_loopback(const std::string& address) {
    return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

}  // namespace mien::serve
