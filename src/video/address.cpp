// SPDX-License-Identifier: MIT
#include "video/address.h"

#include <cstdint>

#include "host/files/base64.h"

namespace mien::video {
namespace {

constexpr std::size_t longest = 4096;
constexpr std::string_view separator = "://";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool in_scheme(char c) { return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.'; }
char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
bool is_unreserved(char c) {  // RFC 3986
    return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}
int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    c = small(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void put_percent(std::string& out, char c) {
    constexpr char digits[] = "0123456789ABCDEF";
    const auto byte = static_cast<std::uint8_t>(c);
    out += '%';
    out += digits[byte >> 4];
    out += digits[byte & 15];
}
std::string percent_encoded(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c))
            out += c;
        else
            put_percent(out, c);
    }
    return out;
}

// Path and query as a request may have them; what is behind a # is the reader's own.
std::string request_target(std::string_view text) {
    text = text.substr(0, text.find('#'));
    std::string out;
    if (text.empty() || text[0] != '/') out += '/';
    for (const char c : text) {
        if (c <= ' ' || c > '~' || c == '"' || c == '<' || c == '>')
            put_percent(out, c);
        else
            out += c;
    }
    return out;
}

host::Result<int> port_of(std::string_view text) {
    int port = 0;
    if (text.empty() || text.size() > 5) return host::Error::input("has a port that is no number");
    for (const char c : text) {
        if (!is_digit(c)) return host::Error::input("has a port that is no number");
        port = 10 * port + (c - '0');
    }
    if (port < 1 || port > 65535) return host::Error::input("has a port that is not 1 to 65535");
    return port;
}

// In brackets: an IPv6 address, perhaps with %ZONE.
bool is_fit_for_brackets(std::string_view host) {
    const std::size_t zone = std::min(host.size(), host.find('%'));
    const std::string_view number = host.substr(0, zone);
    if (number.find(':') == std::string_view::npos || zone + 1 == host.size()) return false;
    for (const char c : number)
        if (hex_digit(c) < 0 && c != ':' && c != '.') return false;
    for (const char c : host.substr(std::min(host.size(), zone + 1)))
        if (!is_unreserved(c)) return false;
    return host.size() < 256;
}

bool is_fit_for_host(std::string_view host) {
    for (const char c : host) {
        if (c <= ' ' || c > '~' || c == '/' || c == '\\' || c == '@' || c == '[' || c == ']' ||
            c == ':' || c == '%')
            return false;
    }
    return !host.empty() && host.size() < 256;
}

// [USER[:PASSWORD]@]HOST[:PORT]
host::Result<> parse_authority(std::string_view text, Address& out) {
    if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
        const std::string_view info = text.substr(0, at);
        const std::size_t colon = info.find(':');
        out.has_user = true;
        out.user = percent_decoded(info.substr(0, colon));
        if (colon != std::string_view::npos) out.password = percent_decoded(info.substr(colon + 1));
        text.remove_prefix(at + 1);
    }
    std::string_view port;
    bool has_port = false;
    const bool bracketed = !text.empty() && text[0] == '[';
    if (bracketed) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return host::Error::input("has a [ without its ]");
        out.host = percent_decoded(text.substr(1, end - 1));
        text.remove_prefix(end + 1);
        if (!text.empty() && text[0] != ':')
            return host::Error::input("has something between ] and its port");
        has_port = !text.empty();
        port = has_port ? text.substr(1) : text;
    } else {
        const std::size_t colon = text.find(':');
        out.host = std::string(text.substr(0, colon));
        has_port = colon != std::string_view::npos;
        if (has_port) port = text.substr(colon + 1);
    }
    if (bracketed ? !is_fit_for_brackets(out.host) : !is_fit_for_host(out.host))
        return host::Error::input("names no host");
    if (!has_port || port.empty()) return {};
    const host::Result<int> number = port_of(port);
    if (!number) return number.error();
    out.port = *number;
    return {};
}

std::size_t scheme_length(std::string_view text) {
    std::size_t length = 0;
    while (length < text.size() && in_scheme(text[length])) ++length;
    const bool is_one = length > 0 && is_letter(text[0]) && length < 32 &&
                        text.substr(length, separator.size()) == separator;
    return is_one ? length : 0;
}

bool is_same_place(const Address& a, const Address& b) {
    return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

}  // namespace

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1,
                  low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        out += low >= 0 ? static_cast<char>(16 * high + low) : text[i];
        if (low >= 0) i += 2;
    }
    return out;
}

bool is_address(std::string_view text) { return scheme_length(text) > 0; }

host::Result<Address> parse_address(std::string_view text) {
    if (text.size() > longest) return host::Error::input("is too long for an address");
    const std::size_t length = scheme_length(text);
    if (length == 0) return host::Error::input("is no address");
    Address address;
    for (const char c : text.substr(0, length)) address.scheme += small(c);
    text.remove_prefix(length + separator.size());
    const std::size_t end = std::min(text.size(), text.find_first_of("/?#"));
    const std::string_view rest = text.substr(end);
    // http://user:pa/ss@host would otherwise be a host "user", and its rest shown to everybody.
    if (rest.find('@') != std::string_view::npos)
        return host::Error::input(
            "has an at sign behind its host: write it %40 there, and in a password / as %2F, ? as "
            "%3F, # as %23");
    if (const host::Result<> done = parse_authority(text.substr(0, end), address); !done)
        return done.error();
    for (const std::string* const part : {&address.user, &address.password}) {
        for (const char c : *part) {
            if (static_cast<std::uint8_t>(c) < 32 || c == 127)
                return host::Error::input("has a control character in its user or password");
        }
    }
    if (address.user.find(':') != std::string::npos)
        return host::Error::input("has a colon in its user, which nobody can ask for");
    address.target = request_target(rest);
    return address;
}

host::Result<Address> redirected(const Address& from, std::string_view location) {
    host::Result<Address> to = from;
    if (is_address(location) || location.substr(0, 2) == "//") {
        const std::string whole = is_address(location) ? std::string(location)
                                                       : from.scheme + ":" + std::string(location);
        to = parse_address(whole);
        if (!to) return to;
        to->has_user = false;
        to->user.clear();
        to->password.clear();
        if (is_same_place(from, *to)) {
            to->has_user = from.has_user;
            to->user = from.user;
            to->password = from.password;
        }
        return to;
    }
    if (location.size() > longest) return host::Error::input("is too long for an address");
    if (location.empty()) return host::Error::input("leads nowhere");
    if (location[0] == '/') {
        to->target = request_target(location);
    } else {
        const std::string path = from.target.substr(0, from.target.find('?'));
        to->target =
            location[0] == '?'
                ? request_target(path + std::string(location))
                : request_target(path.substr(0, path.rfind('/') + 1) + std::string(location));
    }
    if (to->target.size() > 4 * longest) return host::Error::input("is too long for an address");
    return to;
}

std::string host_and_port(const Address& address) {
    std::string host = address.host;
    if (host.find(':') != std::string::npos) {
        host = "[";
        for (const char c : address.host)  // a percent sign stands before a zone: RFC 6874
            host += c == '%' ? "%25" : std::string(1, c);
        host += "]";
    }
    return host + (address.port != 0 ? ":" + std::to_string(address.port) : "");
}

std::string shown_address(const Address& address) {
    // rtsp://host/user=admin_password=secret_channel=1 is what a common kind of camera wants.
    const std::size_t end = address.target.find_first_of("?=");
    std::string path = address.target.substr(0, end);
    if (end != std::string::npos) path += address.target[end] + std::string("...");
    return address.scheme + std::string(separator) + host_and_port(address) + path;
}

std::string full_address(const Address& address) {
    std::string info;
    if (address.has_user) info = percent_encoded(address.user);
    if (!address.password.empty()) info += ":" + percent_encoded(address.password);
    if (address.has_user) info += "@";
    return address.scheme + std::string(separator) + info + host_and_port(address) + address.target;
}

std::string basic_credentials(const Address& address) {
    const std::string text = address.user + ":" + address.password;
    return "Basic " +
           host::base64({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::string without_credentials(std::string_view text) {
    const std::size_t colon = text.find(separator);
    if (colon == std::string_view::npos || colon == 0 || !in_scheme(text[colon - 1]))
        return std::string(text);
    const std::size_t begin = colon + separator.size();
    std::string out(text.substr(0, begin));
    std::string_view rest = text.substr(begin);
    // A password may hold anything, even spaces, when it is typed as it is.
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
        out += "...";
        rest.remove_prefix(at);
    }
    const std::size_t end = std::min(rest.size(), rest.find_first_of(" '\"\t\r\n"));
    const std::size_t query = rest.find_first_of("?=");
    if (query < end) {
        out += rest.substr(0, query + 1);
        out += "...";
        // The colon that ends an argument in a line of ours.
        if (rest[end - 1] == ':') out += ':';
    } else {
        out += rest.substr(0, end);
    }
    return out + without_credentials(rest.substr(end));
}

}  // namespace mien::video
