// SPDX-License-Identifier: MIT
// The elements of an XML document of OpenCV's: enough of XML for its FileStorage, and no more. No
// DOCTYPE and no entities, since those are how a small file becomes a large one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mien::opencv {

struct XmlElement {
    static constexpr int none = -1;
    std::string_view name, attributes;
    std::string_view inner;  // all between its two tags
    std::size_t at = 0;      // offset of its tag
    int first_child = none, next = none;
};

class XmlDocument {
public:
    static constexpr std::size_t max_depth = 64, max_elements = std::size_t{1} << 20;

    // The text must outlive the document. False: error() says why.
    [[nodiscard]] bool parse(std::string_view text);
    // "line 3: ...".
    [[nodiscard]] const std::string& error() const { return error_; }
    // Sets error(); always false.
    bool fail(std::size_t at, const std::string& what);

    // Element 0 is the root.
    [[nodiscard]] const XmlElement& element(int index) const {
        return elements_[static_cast<std::size_t>(index)];
    }
    // The first child of that name; XmlElement::none if there is none.
    [[nodiscard]] int find(int parent, std::string_view name) const;
    // The value of an attribute; empty without it.
    [[nodiscard]] static std::string_view attribute(const XmlElement& element,
                                                    std::string_view name);
    // What is in the comments before the first <stages>, one after the other.
    [[nodiscard]] const std::vector<std::string_view>& comments() const { return comments_; }

private:
    struct Tag {
        std::string_view name, attributes;
        bool ends = false, closed = false;  // </name>, <name/>
    };
    bool read_tag(std::size_t& at, Tag& tag);
    bool skip_other(std::size_t& at, bool& skipped);
    bool open(const Tag& tag, std::size_t at, std::size_t inner);

    struct Open {
        int index, last_child;
        std::size_t inner;
    };
    std::string_view text_;
    std::vector<XmlElement> elements_;
    std::vector<Open> open_;
    std::vector<std::string_view> comments_;
    bool in_stages_ = false;
    std::string error_;
};

[[nodiscard]] constexpr bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace mien::opencv
