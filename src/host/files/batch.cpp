// SPDX-License-Identifier: MIT
// Folders to files, and names for results (see batch.h).
#include "host/files/batch.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>

#include "host/files/file_io.h"
#include "host/files/image_kinds.h"

namespace mien::host {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return text;
}

bool has_picture_ending(const fs::path& path) {
    const std::span<const std::string_view> endings = image_endings();
    return std::find(endings.begin(), endings.end(), lower(path.extension().string())) !=
           endings.end();
}

// Of a Mac's archive: not the image of that name, but what the Mac knows about it.
bool is_of_mac(const std::string& name) { return name == "__MACOSX" || name.starts_with("._"); }

// Files of each ending that are no images by their name.
using LeftOut = std::map<std::string, std::size_t>;

std::string said_of(const LeftOut& left_out) {
    std::size_t total = 0;
    std::string text;
    for (const auto& [ending, count] : left_out) {
        total += count;
        text += (text.empty() ? "" : ", ") + std::to_string(count) + " " +
                (ending.empty() ? "without an ending" : ending);
    }
    return "left out " + std::to_string(total) + (total == 1 ? " file" : " files") +
           " that mien does not read: " + text;
}

// Own recursion instead of the library's iterator, which gives up the whole walk at the first
// folder it may not read.
void collect(const fs::path& folder, InputList& list, std::vector<std::string>& found,
             LeftOut& left_out) {
    std::error_code error;
    fs::directory_iterator at(folder, error);
    for (; !error && at != fs::directory_iterator(); at.increment(error)) {
        std::error_code ignored;
        if (is_of_mac(at->path().filename().string())) continue;
        if (at->is_directory(ignored) && !at->is_symlink(ignored)) {
            collect(at->path(), list, found, left_out);
        } else if (has_picture_ending(at->path()) && !at->is_directory(ignored)) {
            // Nobody named it, so a pipe here would stop the run for good. A link that leads
            // nowhere is kept: reading reports it.
            if (at->is_regular_file(ignored) || (at->is_symlink(ignored) && !at->exists(ignored)))
                found.push_back(at->path().string());
            else
                list.problems.push_back({at->path().string(), "is no regular file"});
        } else if (at->is_regular_file(ignored)) {
            ++left_out[lower(at->path().extension().string())];
        }
    }
    if (error) {
        const bool denied = error == std::errc::permission_denied;
        list.problems.push_back(
            {folder.string(), denied ? "folder cannot be read: no permission"
                                     : "folder cannot be read: " + error.message()});
    }
}

}  // namespace

InputList expand_inputs(std::span<const std::string> arguments) {
    InputList list;
    for (const std::string& argument : arguments) {
        if (!is_folder(argument)) {
            list.files.push_back(argument);
            continue;
        }
        std::vector<std::string> found;
        LeftOut left_out;
        const std::size_t problems = list.problems.size();
        collect(argument, list, found, left_out);
        if (found.empty() && list.problems.size() == problems) {
            list.problems.push_back(
                {argument, "no image in this folder (" + image_format_names() + ")" +
                               (left_out.empty() ? "" : "; " + said_of(left_out))});
        } else if (!left_out.empty()) {
            list.notes.push_back({argument, said_of(left_out)});
        }
        std::sort(found.begin(), found.end(), natural_less);
        list.files.insert(list.files.end(), found.begin(), found.end());
    }
    for (const std::string& file : list.files) {
        if (file == "-")
            note_input(STDIN_FILENO);
        else
            note_input(file);
    }
    return list;
}

bool natural_less(std::string_view a, std::string_view b) {
    constexpr std::string_view digits = "0123456789";
    // The digits that text begins with; without leading zeros, unless it is one.
    const auto number_of = [digits](std::string_view text, std::size_t& length) {
        length = std::min(text.find_first_not_of(digits), text.size());
        std::string_view number = text.substr(0, length);
        while (number.size() > 1 && number[0] == '0') number.remove_prefix(1);
        return number;
    };
    std::string_view rest_a = a, rest_b = b;
    while (!rest_a.empty() && !rest_b.empty()) {
        std::size_t length_a = 0, length_b = 0;
        const std::string_view number_a = number_of(rest_a, length_a);
        const std::string_view number_b = number_of(rest_b, length_b);
        if (length_a > 0 && length_b > 0) {
            if (number_a.size() != number_b.size()) return number_a.size() < number_b.size();
            if (number_a != number_b) return number_a < number_b;
        } else {
            if (rest_a[0] != rest_b[0]) return rest_a.substr(0, 1) < rest_b.substr(0, 1);
            length_a = length_b = 1;
        }
        rest_a.remove_prefix(length_a);
        rest_b.remove_prefix(length_b);
    }
    if (rest_a.empty() != rest_b.empty()) return rest_a.empty();
    return a < b;  // 01.jpg and 1.jpg: always in the same order
}

bool is_folder(const std::string& path) {
    std::error_code ignored;
    return fs::is_directory(path, ignored);
}

std::string stem_of(const std::string& path) {
    return path == "-" ? "stdin" : fs::path(path).stem().string();
}

std::string joined_path(const std::string& folder, const std::string& name) {
    return (fs::path(folder) / name).string();
}

std::string UniqueNames::claim(const std::string& stem, const std::string& ending) {
    std::string name = stem + ending;
    for (int number = 2; !taken_.insert(lower(name)).second; ++number)
        name = stem + "-" + std::to_string(number) + ending;
    return name;
}

}  // namespace mien::host
