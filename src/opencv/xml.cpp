// SPDX-License-Identifier: MIT
#include "opencv/xml.h"

#include <algorithm>

namespace mien::opencv {
namespace {

constexpr std::size_t npos = std::string_view::npos;

bool is_name_character(char c) {
    return !is_space(c) && c != '<' && c != '>' && c != '/' && c != '=' && c != '"' && c != '\'' &&
           c != '&' && c != '\0';
}

// A name for a message: short, and in one line.
std::string shown(std::string_view name) {
    std::string text(name.substr(0, 40));
    std::replace_if(
        text.begin(), text.end(),
        [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
    return text;
}

}  // namespace

bool XmlDocument::fail(std::size_t at, const std::string& what) {
    const auto lines =
        std::count(text_.begin(),
                   text_.begin() + static_cast<std::ptrdiff_t>(std::min(at, text_.size())), '\n');
    error_ = "line " + std::to_string(lines + 1) + ": " + what;
    return false;
}

// A comment, a processing instruction, or what is refused.
bool XmlDocument::skip_other(std::size_t& at, bool& skipped) {
    const std::string_view rest = text_.substr(at);
    const auto skip_to = [&](std::string_view end, std::size_t from, const char* what) {
        const std::size_t found = rest.find(end, from);
        if (found == npos) return fail(at, std::string(what) + " without end");
        if (end == "-->" && !in_stages_) comments_.push_back(rest.substr(from, found - from));
        at += found + end.size();
        return true;
    };
    skipped = true;
    if (rest.starts_with("<!--")) return skip_to("-->", 4, "a comment");
    if (rest.starts_with("<?")) return skip_to("?>", 2, "a processing instruction");
    if (rest.starts_with("<!")) return fail(at, "a DOCTYPE, entities and CDATA are not accepted");
    skipped = false;
    return true;
}

// The tag at `at`, which moves behind it.
bool XmlDocument::read_tag(std::size_t& at, Tag& tag) {
    const std::size_t begin = at;
    ++at;
    tag.ends = at < text_.size() && text_[at] == '/';
    if (tag.ends) ++at;
    const std::size_t name = at;
    while (at < text_.size() && is_name_character(text_[at])) ++at;
    tag.name = text_.substr(name, at - name);
    const std::size_t attributes = at;
    for (char quote = '\0'; at < text_.size(); ++at) {  // '>' may stand between quotes
        const char c = text_[at];
        if (quote != '\0') {
            if (c == quote) quote = '\0';
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>' || c == '<') {
            break;
        }
    }
    if (tag.name.empty()) return fail(begin, "not XML: '<' without a name");
    if (at == text_.size() || text_[at] != '>')
        return fail(begin, "not XML: the tag <" + shown(tag.name) + "> has no end");
    tag.attributes = text_.substr(attributes, at - attributes);
    tag.closed = tag.attributes.ends_with('/');
    if (tag.closed) tag.attributes.remove_suffix(1);
    ++at;
    return true;
}

bool XmlDocument::open(const Tag& tag, std::size_t at, std::size_t inner) {
    if (open_.size() == max_depth) return fail(at, "elements are nested too deeply");
    if (elements_.size() == max_elements) return fail(at, "too many elements");
    const int index = static_cast<int>(elements_.size());
    XmlElement element;
    element.name = tag.name;
    element.attributes = tag.attributes;
    element.at = at;
    elements_.push_back(element);
    if (!open_.empty()) {
        Open& parent = open_.back();
        int& link = parent.last_child == XmlElement::none
                        ? elements_[static_cast<std::size_t>(parent.index)].first_child
                        : elements_[static_cast<std::size_t>(parent.last_child)].next;
        link = index;
        parent.last_child = index;
    }
    in_stages_ = in_stages_ || tag.name == "stages";
    if (!tag.closed) open_.push_back({index, XmlElement::none, inner});
    return true;
}

bool XmlDocument::parse(std::string_view text) {
    text_ = text;
    elements_.clear();
    open_.clear();
    comments_.clear();
    in_stages_ = false;
    error_.clear();
    if (const std::size_t zero = text.find('\0'); zero != npos) return fail(zero, "a zero byte");
    std::size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
    while (at < text.size()) {
        if (text[at] != '<') {
            const std::size_t next = std::min(text.find('<', at), text.size());
            if (open_.empty() &&
                !std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at),
                             text.begin() + static_cast<std::ptrdiff_t>(next), is_space))
                return fail(at, "not XML: text outside of the elements");
            at = next;
            continue;
        }
        bool skipped = false;
        if (!skip_other(at, skipped)) return false;
        if (skipped) continue;
        const std::size_t begin = at;
        Tag tag;
        if (!read_tag(at, tag)) return false;
        if (!tag.ends) {
            if (open_.empty() && !elements_.empty()) return fail(begin, "not XML: two roots");
            if (!open(tag, begin, at)) return false;
            continue;
        }
        if (open_.empty()) return fail(begin, "not XML: </" + shown(tag.name) + "> ends nothing");
        XmlElement& element = elements_[static_cast<std::size_t>(open_.back().index)];
        if (element.name != tag.name)
            return fail(begin, "not XML: </" + shown(tag.name) + "> where <" + shown(element.name) +
                                   "> is open");
        element.inner = text.substr(open_.back().inner, begin - open_.back().inner);
        open_.pop_back();
    }
    if (!open_.empty())
        return fail(text.size(),
                    "cut short: <" + shown(element(open_.back().index).name) + "> has no end");
    if (elements_.empty()) return fail(text.size(), "not XML: no element");
    return true;
}

int XmlDocument::find(int parent, std::string_view name) const {
    int child = element(parent).first_child;
    while (child != XmlElement::none && element(child).name != name) child = element(child).next;
    return child;
}

std::string_view XmlDocument::attribute(const XmlElement& element, std::string_view name) {
    const std::string_view text = element.attributes;
    for (std::size_t at = 0; at < text.size();) {
        while (at < text.size() && is_space(text[at])) ++at;
        const std::size_t begin = at;
        while (at < text.size() && is_name_character(text[at])) ++at;
        const std::string_view key = text.substr(begin, at - begin);
        while (at < text.size() && (is_space(text[at]) || text[at] == '=')) ++at;
        if (at == text.size() || (text[at] != '"' && text[at] != '\'')) return {};
        const std::size_t end = text.find(text[at], at + 1);
        if (end == npos) return {};
        if (key == name) return text.substr(at + 1, end - at - 1);
        at = end + 1;
    }
    return {};
}

}  // namespace mien::opencv
