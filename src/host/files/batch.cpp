// SPDX-License-Identifier: MIT
// Folders to files, and names for results (see batch.h).
#include "host/files/batch.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "host/files/file_io.h"

namespace mien::host {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return text;
}

bool has_picture_ending(const fs::path& path) {
    static constexpr std::string_view endings[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png",
                                                   ".bmp", ".gif",  ".ppm", ".pgm",  ".pnm"};
    const std::string ending = lower(path.extension().string());
    return std::find(std::begin(endings), std::end(endings), ending) != std::end(endings);
}

// Own recursion instead of the library's iterator, which gives up the whole walk at the first
// folder it may not read.
void collect(const fs::path& folder, InputList& list, std::vector<std::string>& found) {
    std::error_code error;
    fs::directory_iterator at(folder, error);
    for (; !error && at != fs::directory_iterator(); at.increment(error)) {
        std::error_code ignored;
        if (at->is_directory(ignored) && !at->is_symlink(ignored)) {
            collect(at->path(), list, found);
        } else if (has_picture_ending(at->path()) && !at->is_directory(ignored)) {
            // Nobody named it, so a pipe here would stop the run for good. A link that leads
            // nowhere is kept: reading reports it.
            if (at->is_regular_file(ignored) || (at->is_symlink(ignored) && !at->exists(ignored)))
                found.push_back(at->path().string());
            else
                list.problems.push_back({at->path().string(), "is no regular file"});
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
        const std::size_t problems = list.problems.size();
        collect(argument, list, found);
        if (found.empty() && list.problems.size() == problems) {
            list.problems.push_back(
                {argument, "no image in this folder (JPEG, PNG, BMP, GIF, PNM)"});
        }
        std::sort(found.begin(), found.end());
        list.files.insert(list.files.end(), found.begin(), found.end());
    }
    for (const std::string& file : list.files) note_input(file);
    return list;
}

bool is_folder(const std::string& path) {
    std::error_code ignored;
    return fs::is_directory(path, ignored);
}

std::string stem_of(const std::string& path) { return fs::path(path).stem().string(); }

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
