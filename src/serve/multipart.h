// SPDX-License-Identifier: MIT
// The parts of a multipart/form-data body, as views into it; hostile bytes are expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/files/result.h"

namespace mien::serve {

struct Part {
    std::string name, file_name;
    std::string content_type;             // empty: not said
    std::span<const std::uint8_t> bytes;  // into the body
};

// "multipart/form-data" of "multipart/form-data; boundary=x", in small letters.
std::string media_type(std::string_view content_type);

// `content_type` is that of the request and names the boundary. More than `max_parts` parts are an
// error as well; `too_many` distinguishes it.
host::Result<std::vector<Part>> parse_multipart(std::string_view content_type,
                                                std::span<const std::uint8_t> body,
                                                std::size_t max_parts, bool& too_many);

}  // namespace mien::serve
