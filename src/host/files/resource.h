// SPDX-License-Identifier: MIT
// A file inside of the program (cmake/embed.cmake puts it there).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mien::host {

struct Resource {
    std::string_view path;  // the file's name
    std::string_view type;  // media type, as HTTP names it
    std::span<const std::uint8_t> bytes;

    std::string text() const { return {bytes.begin(), bytes.end()}; }
};

// Null if no file has this name.
inline const Resource* find_resource(std::span<const Resource> files, std::string_view path) {
    const auto found = std::find_if(files.begin(), files.end(),
                                    [path](const Resource& file) { return file.path == path; });
    return found == files.end() ? nullptr : &*found;
}

}  // namespace mien::host
