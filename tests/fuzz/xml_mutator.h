// SPDX-License-Identifier: MIT
// Changes of XML that a parser still takes for XML: an element goes, comes twice, changes its place
// or its name, a number becomes another.
#pragma once

#include <cctype>
#include <string>

#include "mutate.h"

namespace mien::fuzz {

// The element that begins at the '<' at `at`: up to behind its end tag, by counting tags of its
// name. Empty where there is none.
inline std::string element_at(const std::string& text, std::size_t at) {
    std::size_t end = at + 1;
    while (end < text.size() && !std::isspace(static_cast<unsigned char>(text[end])) &&
           text[end] != '>' && text[end] != '/')
        ++end;
    const std::string name = text.substr(at + 1, end - at - 1);
    if (name.empty() || name[0] == '/' || name[0] == '!' || name[0] == '?') return {};
    int depth = 0;
    for (std::size_t i = at; i < text.size(); ++i) {
        if (text.compare(i, name.size() + 1, "<" + name) == 0) ++depth;
        if (text.compare(i, name.size() + 2, "</" + name) == 0 && --depth == 0) {
            const std::size_t close = text.find('>', i);
            return close == std::string::npos ? std::string() : text.substr(at, close + 1 - at);
        }
    }
    return {};
}

inline void change_number(Dice& dice, std::string& text) {
    static constexpr const char* values[] = {
        "0",          "-1", "1", "-0.5", "1e9", "1e400", "-1e-400", "nan", "255",
        "2147483648", ".",  "3", "20",   "+2.", "1e-5x", "0x10",    "inf", "-2"};
    std::size_t at = dice.below(text.size());
    while (at < text.size() && !std::isdigit(static_cast<unsigned char>(text[at]))) ++at;
    if (at == text.size()) return;
    std::size_t end = at;
    while (at > 0 && std::strchr("0123456789.-+e", text[at - 1]) != nullptr) --at;
    while (end < text.size() && std::strchr("0123456789.-+e", text[end]) != nullptr) ++end;
    text.replace(at, end - at,
                 dice.one_in(2) ? std::to_string(static_cast<int>(dice.below(30)) - 4)
                                : values[dice.below(std::size(values))]);
}

inline std::size_t mutate_xml(std::uint8_t* data, std::size_t size, std::size_t max_size,
                              unsigned seed) {
    static constexpr const char* words[] = {
        "stages",          "trees",          "_",           "feature",   "rects",
        "features",        "tilted",         "width",       "height",    "size",
        "weakClassifiers", "internalNodes",  "leafValues",  "left_node", "right_val",
        "threshold",       "stageThreshold", "featureType", "LBP",       "HOG"};
    Dice dice(seed);
    if (size == 0 || dice.one_in(10)) return LLVMFuzzerMutate(data, size, max_size);
    std::string text(reinterpret_cast<const char*>(data), size);
    for (std::size_t changes = 1 + dice.below(4); changes > 0 && !text.empty(); --changes) {
        const std::size_t at = text.find('<', dice.below(text.size()));
        const std::string element = at == std::string::npos ? std::string() : element_at(text, at);
        switch (dice.below(7)) {
            case 0:
                if (!element.empty()) text.erase(at, element.size());
                break;
            case 1:
                if (!element.empty()) text.insert(at, element);
                break;
            case 2:
                if (const std::size_t to = text.find('<', dice.below(text.size()));
                    !element.empty() && to != std::string::npos) {
                    text.erase(at, element.size());
                    text.insert(std::min(to, text.size()), element);
                }
                break;
            case 3: {
                const std::string from = words[dice.below(std::size(words))],
                                  to = words[dice.below(std::size(words))];
                for (std::size_t i = 0; (i = text.find(from, i)) != std::string::npos;
                     i += to.size())
                    if (dice.one_in(2))
                        text.replace(i, from.size(), to);
                    else
                        i += from.size() > to.size() ? from.size() - to.size() : 0;
                break;
            }
            default: change_number(dice, text);
        }
        if (text.size() > max_size) text.resize(max_size);
    }
    return give(File(text.begin(), text.end()), data, size, max_size);
}

}  // namespace mien::fuzz
