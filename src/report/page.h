// SPDX-License-Identifier: MIT
// Results of a network on a labeled set as one HTML page, self-contained: no script, no font, no
// external address.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/codec/image_file.h"
#include "host/eval/scores.h"

namespace mien::report {

struct Sample {
    std::string name;
    int label = 0;
    std::vector<float> probabilities;

    int answer() const;
    float confidence() const { return probabilities[static_cast<std::size_t>(answer())]; }
};

// A property of images and its values; `of_sample` has the value's index, or -1 where the table has
// none.
struct Property {
    std::string name;
    std::vector<std::string> values;
    std::vector<int> of_sample;
};

struct Mistake {
    std::size_t sample = 0;
    host::Image face;
    host::Image for_answer, for_label;  // maps over it; without pixels if there is none
};

struct Page {
    std::string source, split, model, method, date;
    std::vector<std::string> labels;
    std::vector<Sample> samples;
    std::vector<Property> properties;
    std::vector<Mistake> mistakes;
    std::vector<std::pair<std::string, std::size_t>> left_out;  // reason, images
    std::size_t mistakes_in_all = 0;
    const host::Scores* scores = nullptr;
};

std::string html(const Page& page);

}  // namespace mien::report
