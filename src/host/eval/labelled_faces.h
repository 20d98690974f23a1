// SPDX-License-Identifier: MIT
// Labeled faces from a folder or an .npz file, for measuring a network.
//
//   folder  one sub-folder per class, perhaps below train, validation and test (the usual other names
//           too)
//   .npz    images u8 [N, h, w] or [N, h, w, 1 or 3] and labels [N]; or UTKFace: jpeg, offset,
//           gender (0 man, 1 woman). With an array `split` 0 is train, 1 validation, 2 test.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/codec/image_file.h"
#include "host/eval/npz.h"

namespace mien::host {

class LabelledFaces {
public:
    // `labels` are the network's classes in order; a folder's name may be a synonym ("anger",
    // "female"). `split` is "train", "validation", "test" or "all".
    static Result<LabelledFaces> open(const std::string& path,
                                      const std::vector<std::string>& labels,
                                      const std::string& split);

    std::size_t size() const { return items_.size(); }
    int label(std::size_t i) const { return items_[i].label; }
    const std::string& name(std::size_t i) const { return items_[i].name; }
    // The image; its pixels live until the next call.
    Result<Frame> picture(std::size_t i);

    // Images left out at open(), by reason.
    const std::map<std::string, std::size_t>& rejected() const { return rejected_; }

private:
    struct Item {
        std::string name;  // path below the folder, or "row 12"
        int label = 0;
        std::size_t row = 0;  // in the arrays
    };
    Result<> scan(const std::string& folder, const std::vector<std::string>& labels,
                  const std::string& split);
    Result<> load(const std::string& path, const std::vector<std::string>& labels,
                  const std::string& split);

    std::string folder_;  // empty for an .npz
    std::vector<Item> items_;
    std::map<std::string, std::size_t> rejected_;
    NpzArray images_, jpeg_, offset_;
    DecodedImage decoded_;
};

// Index of the class that `name` means ("Anger", "3 happy", "female"), or -1.
int class_index(const std::vector<std::string>& labels, std::string_view name);

}  // namespace mien::host
