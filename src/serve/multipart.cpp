// SPDX-License-Identifier: MIT
// RFC 7578 as browsers and curl write it (see multipart.h): no nesting, no transfer encodings,
// headers of at most 4 KiB a part.
#include "serve/multipart.h"

#include <cctype>
#include <optional>

namespace mien::serve {
namespace {

using host::Error;

constexpr std::size_t max_part_header = 4096, max_boundary = 70, max_name = 255;

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Value of `key` in "type; key=value; other=\"quoted\"". Nothing when it is missing or not closed.
std::optional<std::string> parameter(std::string_view field, std::string_view key) {
    std::size_t at = field.find(';');
    while (at < field.size()) {
        ++at;
        std::size_t equals = at;
        while (equals < field.size() && field[equals] != '=' && field[equals] != ';') ++equals;
        const std::string name = lower(trimmed(field.substr(at, equals - at)));
        if (equals >= field.size()) return std::nullopt;
        if (field[equals] == ';') {
            at = equals;
            continue;
        }
        std::string value;
        at = equals + 1;
        while (at < field.size() && (field[at] == ' ' || field[at] == '\t')) ++at;
        if (at < field.size() && field[at] == '"') {
            for (++at;; ++at) {
                if (at >= field.size()) return std::nullopt;
                if (field[at] == '"') break;
                if (field[at] == '\\' && at + 1 < field.size() &&
                    (field[at + 1] == '"' || field[at + 1] == '\\'))
                    ++at;
                value += field[at];
            }
            at = field.find(';', at);
        } else {
            const std::size_t end = std::min(field.find(';', at), field.size());
            value = std::string(trimmed(field.substr(at, end - at)));
            at = end;
        }
        if (name == key) return value;
    }
    return std::nullopt;
}

std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Fills names and type from the lines between boundary and bytes.
host::Result<> read_part_header(std::string_view header, Part& part) {
    bool named = false;
    while (!header.empty()) {
        const std::size_t end = std::min(header.find("\r\n"), header.size());
        const std::string_view line = header.substr(0, end);
        header.remove_prefix(std::min(end + 2, header.size()));
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos)
            return Error::input("a part's header line without a colon");
        const std::string field = lower(trimmed(line.substr(0, colon)));
        const std::string_view value = trimmed(line.substr(colon + 1));
        if (field == "content-type") part.content_type = media_type(value);
        if (field == "content-transfer-encoding" && lower(value) != "binary" &&
            lower(value) != "8bit" && lower(value) != "7bit") {
            return Error::input("a part with a transfer encoding");
        }
        if (field == "content-encoding" && lower(value) != "identity")
            return Error::input("a part with a Content-Encoding");
        if (field != "content-disposition") continue;
        if (named) return Error::input("a part with two dispositions");
        if (media_type(value) != "form-data") return Error::input("a part that is no form-data");
        const auto name = parameter(value, "name");
        if (!name || name->empty() || name->size() > max_name)
            return Error::input("a part without a name of at most 255 bytes");
        part.name = *name;
        if (const auto file_name = parameter(value, "filename"))
            part.file_name = file_name->substr(0, max_name);
        named = true;
    }
    if (!named) return Error::input("a part without Content-Disposition");
    return {};
}

}  // namespace

std::string media_type(std::string_view content_type) {
    return lower(trimmed(content_type.substr(0, content_type.find(';'))));
}

host::Result<std::vector<Part>> parse_multipart(std::string_view content_type,
                                                std::span<const std::uint8_t> body,
                                                std::size_t max_parts, bool& too_many) {
    too_many = false;
    const auto boundary = parameter(content_type, "boundary");
    if (!boundary || boundary->empty() || boundary->size() > max_boundary)
        return Error::input("multipart without a boundary of 1 to 70 letters");
    const std::string_view all = text_of(body);
    const std::string first = "--" + *boundary, next = "\r\n--" + *boundary;
    // What stands before the first boundary means nothing, but must end with a line's end.
    std::size_t at = all.starts_with(first) ? first.size() : all.find(next);
    if (at == std::string_view::npos) return Error::input("multipart body without its boundary");
    if (!all.starts_with(first)) at += next.size();

    std::vector<Part> parts;
    for (;;) {
        const std::string_view rest = all.substr(at);
        if (rest.starts_with("--")) return parts;
        std::size_t line = 0;  // spaces may follow a boundary
        while (line < rest.size() && line < 64 && (rest[line] == ' ' || rest[line] == '\t')) ++line;
        if (rest.substr(line, 2) != "\r\n")
            return Error::input("multipart body cut short, or a damaged boundary");
        at += line + 2;
        if (parts.size() == max_parts) {
            too_many = true;
            return Error::input("more than " + std::to_string(max_parts) + " parts");
        }
        const std::string_view head = all.substr(at, max_part_header);
        const std::size_t head_end = head.starts_with("\r\n") ? 0 : head.find("\r\n\r\n");
        if (head_end == std::string_view::npos)
            return Error::input("a part's header is cut short or longer than 4096 bytes");
        Part part;
        if (const host::Result<> done = read_part_header(head.substr(0, head_end), part); !done)
            return done.error();
        at += head_end + 4;
        const std::size_t end = all.find(next, at);
        if (end == std::string_view::npos)
            return Error::input("multipart body cut short: no closing boundary");
        part.bytes = body.subspan(at, end - at);
        parts.push_back(std::move(part));
        at = end + next.size();
    }
}

}  // namespace mien::serve
