// SPDX-License-Identifier: MIT
// The images of a JSON body, in base64 or as data URLs, and the options beside them; hostile bytes
// are expected. Nothing is fetched and no file is opened: what names one is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/files/file_io.h"
#include "host/files/result.h"

namespace mien::serve {

// Names of options with their values as text: true, 2, or the strings of a list with commas between.
using TextOptions = std::vector<std::pair<std::string, std::string>>;

struct JsonImages {
    std::vector<host::ByteVector> images;
    TextOptions options;
};

// "application/json" and its relatives, in small letters.
bool is_json(std::string_view media_type);
// Whether an image may stand under this name: img, image, images, images[], file or img_path.
bool is_image_name(std::string_view name);

// An object with images under such names, each a string or a list of them. More than `max_images`
// are an error as well; `too_many` distinguishes it.
host::Result<JsonImages> parse_json_images(std::span<const std::uint8_t> body,
                                           std::size_t max_images, bool& too_many);

// The bytes of a data URL, or of base64 alone.
host::Result<host::ByteVector> image_of_text(std::string_view text);

}  // namespace mien::serve
