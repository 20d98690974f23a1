// SPDX-License-Identifier: MIT
// Can text from a client break the readers of JSON bodies, base64, data URLs, queries, addresses or
// prefixes, or get more out of them than it put in? No image is decoded.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "host/files/base64.h"
#include "serve/compat.h"
#include "serve/json_request.h"
#include "serve/options.h"

namespace {

using namespace mien;

void require(bool holds) {
    if (!holds) std::abort();
}

void read_body(std::span<const std::uint8_t> body) {
    bool too_many = false;
    const auto read = serve::parse_json_images(body, 3, too_many);
    if (!read) {
        require(!read.error().text.empty());
        return;
    }
    require(!too_many && read->images.size() <= 3 && read->options.size() <= 64);
    std::size_t bytes = 0;
    for (const host::ByteVector& image : read->images) bytes += image.size();
    require(bytes <= body.size());
    for (const auto& [name, value] : read->options)
        require(name.size() <= 256 && value.size() <= 256 && !serve::is_image_name(name));
    (void)serve::CompatOptions().read_deepface(read->options);
    (void)serve::CompatOptions().read_compreface(read->options);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    read_body({data, size});
    if (const auto bytes = host::from_base64(text)) {
        require(bytes->size() <= size * 3 / 4);
        const auto again = host::from_base64(host::base64(*bytes));
        require(again && *again == *bytes);
    }
    if (const auto image = serve::image_of_text(text)) require(image->size() <= size);
    if (const auto options = serve::query_options(text)) {
        require(options->size() <= 32);
        (void)serve::CompatOptions().read_compreface(*options);
    }
    serve::Options options;
    bool has_port = false;
    (void)serve::parse_address(text, options, has_port);
    if (const auto prefix = serve::parse_prefix(text))
        require(prefix->find_first_of("\r\n ?\\") == std::string::npos && !prefix->ends_with('/'));
    return 0;
}
