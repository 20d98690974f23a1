// SPDX-License-Identifier: MIT
// The networks that come with mien beside the default ones: weights/HEAD-NAME.mien, such as
// emotion-large.mien, which `--emotion large` means. They are not inside the program.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "host/files/file_io.h"
#include "host/files/result.h"
#include "mien/mien.hpp"

namespace mien::host {

// The names for a head, sorted: "fer2013", "large", ...
std::vector<std::string> network_names(Head head);
// The same for a sentence: "fer2013, large".
std::string listed_names(Head head);

// Folders in which their files may lie: beside the running program, where an installation or the
// wheel has them, and those of the sources that it was built in.
std::vector<std::string> weights_folders();
// Asked only when a file is looked for: most runs name none.
using WeightsFolders = std::function<std::vector<std::string>()>;

// The file that an option of a network means: that of the name, else `choice` itself. An error if
// it looks like a name and is none, or if its file is in none of the folders.
Result<std::string> network_file(Head head, const std::string& choice,
                                 const WeightsFolders& folders = weights_folders);

// The bytes of weights that come with mien, by the name of their file without its ending
// ("emotion", "emotion-large", "detector"), those inside the program first; else of a file.
Result<ByteVector> read_weights(const std::string& choice,
                                const WeightsFolders& folders = weights_folders);

}  // namespace mien::host
