// SPDX-License-Identifier: MIT
// Files and folders that the user names, with complaints about them.
#pragma once

#include <string>

#include "host/codec/image_file.h"
#include "host/files/batch.h"
#include "host/files/result.h"

namespace mien::cli {

// The image in a file, or in standard input ("-"). What the decoder had to note is printed unless
// `quiet`; with `strict` a damaged image is an error.
host::Result<host::DecodedImage> load_image(const std::string& path, bool quiet,
                                            bool strict = false);

// Makes the folder and missing parents; false after printing an error.
bool make_folder(const std::string& folder);

// Prints what expand_inputs() had to say: problems, also as JSON, which make `worst` an error; notes
// unless `quiet`. False if standard output cannot be written.
bool report_inputs(const host::InputList& inputs, bool json, bool quiet, int& worst);

}  // namespace mien::cli
