// SPDX-License-Identifier: MIT
#include "host/weights/named_networks.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "host/weights/embedded_weights.h"
#include "host/weights/engine_owner.h"

namespace mien::host {
namespace {

// "emotion-large", ...: what weights/ had when mien was built, in the order of its names.
std::vector<std::string> stems() {
    std::vector<std::string> found;
    for (std::string_view rest = MIEN_NAMED_NETWORKS; !rest.empty();) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        found.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return found;
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

bool is_stem(const std::string& name) {
    const std::vector<std::string> all = stems();
    return std::find(all.begin(), all.end(), name) != all.end();
}

Result<std::string> file_of(const std::string& stem, const WeightsFolders& folders) {
    for (const std::string& folder : folders()) {
        const std::string path = folder + "/" + stem + ".mien";
        std::error_code error;
        if (std::filesystem::is_regular_file(path, error)) return path;
    }
    return Error::weights(
        stem +
        ".mien: not beside this program or in share/mien; it is in the folder "
        "weights of mien's sources, in Debian's package mien-data and in the wheel");
}

bool looks_like_a_name(const std::string& choice) {
    std::error_code error;
    return choice.find_first_of("/.") == std::string::npos &&
           !std::filesystem::exists(choice, error);
}

}  // namespace

std::vector<std::string> network_names(Head head) {
    const std::string prefix = std::string(head_name(head)) + "-";
    std::vector<std::string> names;
    for (const std::string& stem : stems())
        if (stem.starts_with(prefix)) names.push_back(stem.substr(prefix.size()));
    return names;
}

std::string listed_names(Head head) { return joined(network_names(head)); }

std::vector<std::string> weights_folders() {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    if (error || program.empty()) return {};
    const fs::path here = program.parent_path(), above = here.parent_path();
    std::vector<std::string> folders = {here / "weights", above / "share" / "mien"};
    // build/release/mien in a checkout
    if (above.filename() == "build") folders.push_back(above.parent_path() / "weights");
    // bin/mien of a virtual environment
    for (fs::directory_iterator at(above / "lib", error); !error && at != fs::directory_iterator();
         at.increment(error))
        if (at->path().filename().string().starts_with("python"))
            folders.push_back(at->path() / "site-packages" / "mien" / "weights");
    return folders;
}

Result<std::string> network_file(Head head, const std::string& choice,
                                 const WeightsFolders& folders) {
    if (const std::string stem = std::string(head_name(head)) + "-" + choice; is_stem(stem))
        return file_of(stem, folders);
    const std::string names = listed_names(head);
    if (!choice.empty() && !names.empty() && looks_like_a_name(choice))
        return Error::weights(choice + ": no such file, and none of " + names);
    return choice;
}

Result<ByteVector> read_weights(const std::string& choice, const WeightsFolders& folders) {
    if (const Resource* const inside = find_resource(embedded_weights(), choice + ".mien"))
        return ByteVector(inside->bytes.begin(), inside->bytes.end());
    std::string path = choice;
    if (is_stem(choice)) {
        Result<std::string> file = file_of(choice, folders);
        if (!file) return file.error();
        path = std::move(*file);
    } else if (!choice.empty() && looks_like_a_name(choice)) {
        std::vector<std::string> names;
        for (const Resource& inside : embedded_weights())
            names.emplace_back(inside.path.substr(0, inside.path.rfind('.')));
        for (std::string& stem : stems()) names.push_back(std::move(stem));
        return Error::input("no such file, and none of " + joined(names));
    }
    return read_file(path, max_weights_bytes);
}

}  // namespace mien::host
