// SPDX-License-Identifier: MIT
#include "serve/message.h"

#include <nlohmann/json.hpp>

namespace mien::serve {

Answer::Answer(const Refusal& refusal) : status(refusal.status) {
    nlohmann::ordered_json json = {{"error", refusal.text}};
    if (!refusal.detail.empty()) json["detail"] = refusal.detail;
    body = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    // Too many requests, or no room for this one: both pass.
    if (status == 429 || status == 503) headers.emplace_back("Retry-After", "1");
}

}  // namespace mien::serve
