// SPDX-License-Identifier: MIT
// The checks of guard.h. Another site's page can make a browser send us requests. With our address
// it sends its own Origin; after rebinding its name to our address (DNS rebinding) it sends its own
// name as Host. A numeric Host involves no name, so all of those are accepted.
//
// A live view has no list of names, so it takes those that no public DNS can hold: without a dot,
// or under .local. So does a service that other machines may reach. Other pages may show a live
// view's image, as they may that of any camera, but not read it.
#include "serve/guard.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>

namespace mien::serve {
namespace {

constexpr std::size_t max_clients = 4096;

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

// "name:8084" -> "name", "[::1]:8084" -> "::1"; empty for what is neither, such as "[::1]name": the
// part that is not looked at could be the name that a browser was led here by.
std::string without_port(std::string_view host) {
    const bool bracketed = host.starts_with('[');
    const std::size_t end = bracketed ? host.find(']') : std::min(host.find(':'), host.size());
    if (end == std::string_view::npos) return {};
    const std::string name(host.substr(bracketed ? 1 : 0, bracketed ? end - 1 : end));
    unsigned char bytes[16];
    if (bracketed && ::inet_pton(AF_INET6, name.c_str(), bytes) != 1) return {};
    const std::string_view port = host.substr(bracketed ? end + 1 : end);
    if (port.empty()) return name;
    const bool digits =
        std::all_of(port.begin() + 1, port.end(), [](char c) { return c >= '0' && c <= '9'; });
    return port[0] == ':' && port.size() <= 6 && digits ? name : std::string();
}

bool is_address(const std::string& name) {
    unsigned char bytes[16];
    return ::inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
           ::inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

// The time does not depend on where the first difference is.
bool equal_secrets(std::string_view a, std::string_view b) {
    unsigned difference = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= static_cast<unsigned char>(a[i] ^ (b.empty() ? 0 : b[i % b.size()]));
    return difference == 0;
}

}  // namespace

bool Guard::known_host(std::string_view host) const {
    const std::string name = lower(without_port(host));
    if (name.empty()) return false;
    if (name == "localhost" || is_address(name)) return true;
    // Where others may connect, whoever can make such a name point here can connect, too.
    if ((options_.site == Site::live_view || !is_loopback(options_.address)) &&
        (name.find('.') == std::string::npos || name.ends_with(".local")))
        return true;
    if (options_.site == Site::live_view) return false;
    return std::any_of(options_.hosts.begin(), options_.hosts.end(), [&](const std::string& known) {
        return known == "*" || lower(known) == name;
    });
}

bool Guard::named_origin(std::string_view origin) const {
    return std::any_of(options_.origins.begin(), options_.origins.end(),
                       [&](const std::string& known) { return lower(known) == lower(origin); });
}

void Guard::allow_origin(const RequestHead& head, Answer& answer) const {
    if (head.origin.empty() || !named_origin(head.origin)) return;
    answer.headers.emplace_back("Access-Control-Allow-Origin", head.origin);
    answer.headers.emplace_back("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
}

bool Guard::within_rate(const std::string& client) {
    const auto now = std::chrono::steady_clock::now();
    const double full = std::max(1.0, 2 * options_.rate);
    // those that could ask at once again anyway; if there are none, everybody starts anew
    if (clients_.size() >= max_clients) {
        std::erase_if(clients_, [&](const auto& entry) {
            return entry.second.tokens +
                       options_.rate *
                           std::chrono::duration<double>(now - entry.second.last).count() >=
                   full;
        });
        if (clients_.size() >= max_clients) clients_.clear();
    }
    auto [entry, fresh] = clients_.try_emplace(client, Bucket{full, now});
    Bucket& bucket = entry->second;
    bucket.tokens = std::min(
        full,
        bucket.tokens + options_.rate * std::chrono::duration<double>(now - bucket.last).count());
    bucket.last = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
}

std::optional<Answer> Guard::judge(const RequestHead& head, bool open) {
    if (head.host.empty() && !head.http_1_0) return Refusal{400, "The request has no Host header."};
    if (!head.host.empty() && !known_host(head.host)) {
        return Refusal{403, "This name is not one of the service's.",
                       options_.site == Site::service
                           ? "mien serve --allow-host NAME makes it one"
                           : "use the machine's address, as in http://192.168.0.2:8090/"};
    }
    const std::string own = lower(head.host);
    const bool foreign_origin = !head.origin.empty() && lower(head.origin) != "http://" + own &&
                                lower(head.origin) != "https://" + own;
    const bool foreign_site = options_.site == Site::service &&
                              (head.fetch_site == "cross-site" || head.fetch_site == "same-site");
    // following a link to the page
    const bool link = open && head.method == "GET" && head.fetch_mode == "navigate";
    if ((foreign_origin || (foreign_site && !link)) && !named_origin(head.origin)) {
        return Refusal{403, "Pages of this origin may not ask.",
                       options_.site == Site::service ? "mien serve --cors ORIGIN lets them" : ""};
    }
    if (open) return {};
    if (options_.rate > 0 && !within_rate(head.client))
        return Refusal{429, "Too many requests from this address."};
    if (options_.token.empty() || head.method == "OPTIONS") return {};
    constexpr std::string_view scheme = "bearer ";
    const bool bearer =
        head.authorization.size() > scheme.size() &&
        lower(std::string_view(head.authorization).substr(0, scheme.size())) == scheme;
    if (bearer &&
        equal_secrets(std::string_view(head.authorization).substr(scheme.size()), options_.token))
        return {};
    // as CompreFace's clients send it
    if (!head.api_key.empty() && equal_secrets(head.api_key, options_.token)) return {};
    Answer answer = Refusal{401, "A valid token is needed: Authorization: Bearer TOKEN."};
    answer.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"mien\"");
    return answer;
}

}  // namespace mien::serve
