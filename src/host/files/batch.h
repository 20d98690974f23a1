// SPDX-License-Identifier: MIT
// Expands the inputs of a command line to files, and names their results in one folder so that they
// do not overwrite each other.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mien::host {

struct InputProblem {
    std::string path;
    std::string cause;  // one line
};

struct InputList {
    std::vector<std::string> files;
    std::vector<InputProblem> problems;  // folders that cannot be read, or hold no image
    std::vector<InputProblem> notes;     // folders with files that were left out
};

// Files as they are named (reading reports missing ones), "-" for standard input; folders become
// the images below them (image_endings() in any case), sorted by path, numbers in it by their
// value. Links to folders are not followed, and what a Mac puts beside its files (._NAME, __MACOSX)
// is passed by. All of them count as inputs (file_io.h) from now on.
InputList expand_inputs(std::span<const std::string> arguments);

// Does `a` come before `b`, where digits in a row are numbers: 2.jpg before 10.jpg?
bool natural_less(std::string_view a, std::string_view b);

bool is_folder(const std::string& path);

// File name without folders and without its last ending; "stdin" for "-".
std::string stem_of(const std::string& path);
std::string joined_path(const std::string& folder, const std::string& name);

// Gives out names that are unique in this run: stem + ending, then stem-2 + ending, ... Upper and
// lower case count as equal, since some file systems do not distinguish them.
class UniqueNames {
public:
    std::string claim(const std::string& stem, const std::string& ending);

private:
    std::set<std::string> taken_;
};

}  // namespace mien::host
