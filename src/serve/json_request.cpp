// SPDX-License-Identifier: MIT
// nlohmann's parser tells of each value as it comes (it keeps no tree and does not call itself), so
// memory is bounded by the longest string, and depth and number by the limits below.
#include "serve/json_request.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "host/files/base64.h"

namespace mien::serve {
namespace {

using host::Error;

constexpr std::size_t max_depth = 8, max_keys = 64, max_option = 256;

constexpr const char* no_object = "the body must be an object, as {\"image\": \"BASE64\"}";

class ImageReader {
public:
    using Json = nlohmann::json;

    explicit ImageReader(std::size_t max_images) : max_images_(max_images) {}

    // What the parser calls; false ends it.
    bool null() { return plain("", "null"); }
    bool boolean(bool value) { return plain(value ? "true" : "false", "a truth value"); }
    bool number_integer(Json::number_integer_t value) {
        return plain(std::to_string(value), "a number");
    }
    bool number_unsigned(Json::number_unsigned_t value) {
        return plain(std::to_string(value), "a number");
    }
    bool number_float(Json::number_float_t, const std::string& text) {
        return plain(text, "a number");
    }
    bool binary(Json::binary_t&) { return fail("bytes are not JSON"); }
    bool string(std::string& value) {
        if (!reads_image()) return plain(value, "a string");
        if (found.images.size() == max_images_) {
            too_many = true;
            return fail("more than " + std::to_string(max_images_) + " images");
        }
        auto image = image_of_text(value);
        if (!image) return fail(key_ + ": " + image.error().text);
        found.images.push_back(std::move(*image));
        return true;
    }
    bool key(std::string& name) {
        if (depth_ != 1) return true;
        if (++keys_ > max_keys) return fail("more than 64 keys");
        if (name.size() > max_option) return fail("a key of more than 256 bytes");
        for (const std::string& known : keys_so_far_) {
            if (known == name) return fail("two values of " + name);
        }
        keys_so_far_.push_back(name);
        key_ = name;
        return true;
    }
    bool start_object(std::size_t) {
        if (depth_ > 0 && reads_image()) return fail(key_ + ": an object, not base64");
        return deeper();
    }
    bool end_object() { return higher(); }
    bool start_array(std::size_t) {
        if (depth_ == 0) return fail(no_object);
        if (depth_ > 1 && reads_image()) return fail(key_ + ": a list in a list");
        return deeper();
    }
    bool end_array() { return higher(); }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
        return fail("no JSON after " + std::to_string(position > 0 ? position - 1 : 0) + " bytes");
    }

    JsonImages found;
    std::string error;
    bool too_many = false;

private:
    bool reads_image() const { return is_image_name(key_); }
    bool fail(std::string text) {
        if (error.empty()) error = std::move(text);
        return false;
    }
    bool deeper() { return ++depth_ <= max_depth || fail("more than 8 levels of JSON"); }
    bool higher() {
        --depth_;
        return true;
    }
    // A value that is no image.
    bool plain(const std::string& text, const char* kind) {
        if (depth_ == 0) return fail(no_object);
        if (reads_image()) return fail(key_ + ": " + kind + ", not base64");
        if (depth_ > 2) return true;
        TextOptions& options = found.options;
        if (options.empty() || options.back().first != key_)
            options.emplace_back(key_, "");
        else if (options.back().second.size() < max_option)
            options.back().second += ',';
        std::string& value = options.back().second;
        if (value.size() + text.size() > max_option) return fail(key_ + ": more than 256 bytes");
        value += text;
        return true;
    }

    std::size_t max_images_, depth_ = 0, keys_ = 0;
    std::string key_;
    std::vector<std::string> keys_so_far_;
};

// For messages and comparisons: the first letters, small.
std::string beginning(std::string_view text) {
    std::string out(text.substr(0, 64));
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

}  // namespace

bool is_json(std::string_view media_type) {
    return media_type == "application/json" || media_type == "text/json" ||
           (media_type.starts_with("application/") && media_type.ends_with("+json"));
}

bool is_image_name(std::string_view name) {
    constexpr std::string_view names[] = {"img", "image", "images", "images[]", "file", "img_path"};
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

host::Result<host::ByteVector> image_of_text(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\n' || text.front() == '\r'))
        text.remove_prefix(1);
    if (text.empty()) return Error::input("an empty text");
    const std::string start = beginning(text);
    if (start.starts_with("data:")) {
        // "data:image/jpeg;base64," and perhaps a name in between
        const std::size_t comma = text.substr(0, max_option).find(',');
        if (comma == std::string_view::npos ||
            !beginning(text.substr(comma < 7 ? 0 : comma - 7, 7)).starts_with(";base64"))
            return Error::input("a data URL without ;base64,");
        text.remove_prefix(comma + 1);
    } else if (start.starts_with("//") || start.starts_with("file:") ||
               start.find("://") != std::string::npos) {
        return Error::input("an address; the service fetches nothing, send the image itself");
    }
    // The base64 of a JPEG begins with /9j, that of no other image with a slash.
    const bool path = start.starts_with('/') && !start.starts_with("/9j");
    auto bytes = path ? std::nullopt : host::from_base64(text);
    if (!bytes) return Error::input("no base64; the service opens no files, send the image itself");
    return std::move(*bytes);
}

host::Result<JsonImages> parse_json_images(std::span<const std::uint8_t> body,
                                           std::size_t max_images, bool& too_many) {
    ImageReader reader(max_images);
    const bool read = nlohmann::json::sax_parse(body.begin(), body.end(), &reader);
    too_many = reader.too_many;
    if (!read || !reader.error.empty()) return Error::input(reader.error);
    return std::move(reader.found);
}

}  // namespace mien::serve
