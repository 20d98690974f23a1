// SPDX-License-Identifier: MIT
// The groups of each labeled image, a table for `mien report`: one line per image, one column per
// property ("glasses", "age").
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/files/result.h"

namespace mien::report {

// Comma or tab separated with a line of names; fields may be quoted as in RFC 4180. The first
// column names the image: its file's name or path, or its row in an .npz (0, 1, ... or "row 0").
class GroupTable {
public:
    static host::Result<GroupTable> parse(std::span<const std::uint8_t> text);

    const std::vector<std::string>& properties() const { return properties_; }
    // One value per property, or null if the image is not in the table. `name` as LabelledFaces has
    // it; its last parts are tried, too.
    const std::vector<std::string>* find(std::string_view name) const;

private:
    std::vector<std::string> properties_;
    std::map<std::string, std::vector<std::string>, std::less<>> rows_;
};

}  // namespace mien::report
