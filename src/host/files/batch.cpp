// SPDX-License-Identifier: MIT
// Folders to files, and names for results (see batch.h).
#include "host/files/batch.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

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
            found.push_back(at->path().string());
        }
    }
    if (error) {
        const bool denied = error == std::errc::permission_denied;
        list.problems.push_back(
            {folder.string(), denied ? "folder cannot be read: no permission"
                                     : "folder cannot be read: " + error.message()});
    }
}

bool identity_of(const std::string& path, std::pair<std::uint64_t, std::uint64_t>& out) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return false;
    out = {static_cast<std::uint64_t>(info.st_dev), static_cast<std::uint64_t>(info.st_ino)};
    return true;
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

FileSet::FileSet(std::span<const std::string> paths) {
    std::pair<std::uint64_t, std::uint64_t> identity;
    for (const std::string& path : paths) {
        if (identity_of(path, identity)) identities_.insert(identity);
    }
}

bool FileSet::contains(const std::string& path) const {
    std::pair<std::uint64_t, std::uint64_t> identity;
    return identity_of(path, identity) && identities_.count(identity) > 0;
}

}  // namespace mien::host
