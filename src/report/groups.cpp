// SPDX-License-Identifier: MIT
// The reader of the table of groups (see groups.h). Its bytes are not trusted.
#include "report/groups.h"

#include <algorithm>
#include <optional>

namespace mien::report {
namespace {

constexpr std::size_t max_columns = 64, max_field = 4096, max_lines = 10'000'000;

// Fields one after the other; `end_of_line` after the last of a line.
class Reader {
public:
    Reader(std::string_view text, char separator) : text_(text), separator_(separator) {}
    bool at_end() const { return at_ >= text_.size(); }
    std::size_t line() const { return line_; }

    // Empty if broken; `cause` has the reason.
    std::optional<std::string> field(bool& end_of_line, const char*& cause) {
        std::string out;
        if (!at_end() && text_[at_] == '"') {
            for (++at_;; ++at_) {
                if (at_end()) return cause = "a quoted field without end", std::nullopt;
                if (text_[at_] == '"') {
                    if (at_ + 1 < text_.size() && text_[at_ + 1] == '"')
                        ++at_;
                    else
                        break;
                }
                out += text_[at_];
                if (out.size() > max_field)
                    return cause = "a field of more than 4096 bytes", std::nullopt;
            }
            ++at_;
            if (!at_end() && text_[at_] != separator_ && text_[at_] != '\n' && text_[at_] != '\r')
                return cause = "letters behind a quoted field", std::nullopt;
        } else {
            while (!at_end() && text_[at_] != separator_ && text_[at_] != '\n' &&
                   text_[at_] != '\r') {
                out += text_[at_++];
                if (out.size() > max_field)
                    return cause = "a field of more than 4096 bytes", std::nullopt;
            }
        }
        end_of_line = at_end() || text_[at_] != separator_;
        if (end_of_line) {
            if (!at_end() && text_[at_] == '\r') ++at_;
            if (!at_end() && text_[at_] == '\n') ++at_;
            ++line_;
        } else {
            ++at_;
        }
        return out;
    }

private:
    std::string_view text_;
    char separator_;
    std::size_t at_ = 0, line_ = 1;
};

}  // namespace

host::Result<GroupTable> GroupTable::parse(std::span<const std::uint8_t> bytes) {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
    if (text.find('\0') != std::string_view::npos)
        return host::Error::input("is not text: it has a zero byte");
    const std::string_view first_line = text.substr(0, text.find_first_of("\r\n"));
    const char separator = first_line.find('\t') != std::string_view::npos ? '\t' : ',';
    Reader reader(text, separator);
    GroupTable table;
    std::size_t columns = 0;
    while (!reader.at_end()) {
        const std::size_t line = reader.line();
        std::vector<std::string> fields;
        for (bool end_of_line = false; !end_of_line;) {
            const char* cause = "";
            auto field = reader.field(end_of_line, cause);
            if (!field) return host::Error::input("line " + std::to_string(line) + ": " + cause);
            fields.push_back(std::move(*field));
            if (fields.size() > max_columns)
                return host::Error::input("line " + std::to_string(line) +
                                          ": more than 64 columns");
        }
        if (fields.size() == 1 && fields[0].empty()) continue;
        if (columns == 0) {
            columns = fields.size();
            if (columns < 2)
                return host::Error::input(
                    "its first line must name the image's column and at least one property, "
                    "separated by commas or tabs");
            table.properties_.assign(fields.begin() + 1, fields.end());
            continue;
        }
        if (fields.size() != columns) {
            return host::Error::input("line " + std::to_string(line) + " has " +
                                      std::to_string(fields.size()) + " fields, the first line " +
                                      std::to_string(columns));
        }
        if (table.rows_.size() >= max_lines)
            return host::Error::input("more than 10 million lines");
        std::string name = std::move(fields[0]);
        fields.erase(fields.begin());
        const bool number =
            !name.empty() && name.size() < 12 &&
            std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (number) name = "row " + name;
        const auto [old, added] = table.rows_.emplace(std::move(name), std::move(fields));
        if (!added)
            return host::Error::input("line " + std::to_string(line) + ": the image '" +
                                      old->first + "' is there twice");
    }
    if (columns == 0) return host::Error::input("is empty");
    return table;
}

const std::vector<std::string>* GroupTable::find(std::string_view name) const {
    for (;;) {
        if (const auto found = rows_.find(name); found != rows_.end()) return &found->second;
        const std::size_t slash = name.find('/');
        if (slash == std::string_view::npos) return nullptr;
        name.remove_prefix(slash + 1);
    }
}

}  // namespace mien::report
