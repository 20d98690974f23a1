// SPDX-License-Identifier: MIT
// The option tables behind --help as manual pages (man 7 man-pages) and as completions of shells.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace mien::cli {

// What --help says of an option.
struct OptionText {
    std::string short_name, long_name;  // "-o", "--out"; both empty: an argument
    std::string value;                  // "PATH"; empty: takes none. Of an argument its name
    std::string optional_value;         // "[=NAME]" of a flag that may have one
    std::string description;            // lines
    std::string standard;               // its default; empty: none worth telling
    std::string group;                  // "Options", "Detector", ...
    std::vector<std::string> choices;   // empty: free
    bool is_required = false;

    bool is_argument() const { return short_name.empty() && long_name.empty(); }
    // Does it name a file or a folder? Only a folder?
    bool takes_path() const;
    bool takes_folder() const;
};
struct VerbText {
    std::string name, summary, description;
    std::vector<OptionText> options;
};

// The page of `verb`: mien-image(1).
std::string manual_page(const VerbText& verb);
// mien(1), which names the verbs.
std::string manual_page(const std::vector<VerbText>& verbs);

std::string bash_completion(const std::vector<VerbText>& verbs);
std::string zsh_completion(const std::vector<VerbText>& verbs);
std::string fish_completion(const std::vector<VerbText>& verbs);

// `mien manual` and `mien completion`: print one of them; `manual --all FOLDER` writes all of them,
// for an installation. `describe` is called once the options are read: it asks these two as well.
using DescribeVerbs = std::vector<VerbText> (*)();
int run_manual(int argc, char** argv, const std::vector<std::string>& names,
               DescribeVerbs describe);
int run_completion(int argc, char** argv, DescribeVerbs describe);

}  // namespace mien::cli
