// SPDX-License-Identifier: MIT
// The results for one image as plain values that outlive the engine's next call. Table, JSON,
// drawing and service are made from them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "mien/mien.hpp"

namespace mien::host {

struct Reading {
    std::vector<float> probabilities;  // one per class; empty without that network

    bool known() const { return !probabilities.empty(); }
    // Index of the most probable class; the first of equals.
    std::size_t best() const {
        std::size_t top = 0;
        for (std::size_t i = 1; i < probabilities.size(); ++i) {
            if (probabilities[i] > probabilities[top]) top = i;
        }
        return top;
    }
    float best_probability() const { return known() ? probabilities[best()] : 0; }
};

// Where the most probable class is supported (Engine::class_map), if the engine was asked for it.
struct FaceMap {
    int width = 0, height = 0;
    Rect crop;  // of the image, which it covers
    std::vector<float> values;
};

struct FaceReport {
    Rect box;
    int neighbors = 0;
    Reading emotion;
    Reading gender;
    FaceMap emotion_map = {};  // empty: none
};

// What each head calls its classes, and the weights it comes from.
struct HeadInfo {
    std::string model_name;  // empty: the head is off
    std::vector<std::string> labels;
};
struct EngineInfo {
    std::string cascade_name;
    HeadInfo emotion, gender;
};

struct StepTimes {
    // ms
    double decode = 0, gray = 0, detect = 0, crop = 0, emotion = 0, gender = 0, draw = 0,
           encode = 0, total = 0;
};

struct ImageReport {
    std::string source;
    int width = 0, height = 0;  // after turning by EXIF
    StepTimes times;
    std::vector<FaceReport> faces;
    int faces_dropped = 0;  // found beyond Config::max_faces
};

}  // namespace mien::host
