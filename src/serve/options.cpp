// SPDX-License-Identifier: MIT
#include "serve/options.h"

#include <charconv>

namespace mien::serve {

bool parse_address(std::string_view text, Options& options) {
    const std::size_t colon = text.rfind(':');
    const std::string_view port = colon == std::string_view::npos ? text : text.substr(colon + 1);
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc() || end != port.data() + port.size()) return false;
    options.port = number;
    if (colon == std::string_view::npos) return true;
    std::string_view address = text.substr(0, colon);
    if (address.size() > 2 && address.front() == '[' && address.back() == ']')
        address = address.substr(1, address.size() - 2);
    options.address = address == "localhost" ? "127.0.0.1" : address;
    return true;
}

}  // namespace mien::serve
