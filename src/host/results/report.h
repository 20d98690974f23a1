// SPDX-License-Identifier: MIT
// The results for one image as plain values that outlive the engine's next call. Table, JSON,
// drawing and service are made from them.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "mien/mien.hpp"

namespace mien::host {

// One value per head.
template <class T>
class PerHead {
public:
    T& operator[](Head head) { return values_[static_cast<std::size_t>(head)]; }
    const T& operator[](Head head) const { return values_[static_cast<std::size_t>(head)]; }

private:
    std::array<T, max_heads> values_{};
};

// What people call a head: the title of a column, the name of an option's group.
inline const char* head_title(Head head) {
    return head == Head::emotion ? "expression" : head_name(head);
}

// Where the most probable class is supported (Engine::class_map), if the engine was asked for it.
struct FaceMap {
    int width = 0, height = 0;
    TurnedRect crop;  // of the image, which it covers
    std::vector<float> values;
};

// What a head answered about a face.
struct Reading {
    std::vector<float> probabilities;  // one per class; empty without that network
    int label = -1;                    // the class to name; -1: the most probable
    FaceMap map = {};                  // empty: none
    bool unsure = false;               // that class is not probable enough to be named
    Quantity quantity = {};            // of a head with HeadInfo::quantity

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
    // Index of the class to name.
    std::size_t named() const { return label >= 0 ? static_cast<std::size_t>(label) : best(); }
};

struct FaceReport {
    Rect box;
    int neighbors = 0;
    PerHead<Reading> readings = {};
    float score = 0;                    // detector network
    std::vector<Point> landmarks = {};  // detector network: five, as Face has them
    std::string crop_file = {};         // where it was saved as an image of its own
    std::uint64_t number = 0;           // of a tracked face, for its tag; 0: its place in the list
    double stage_weight = 0;            // as Face::stage_weight

    Reading& operator[](Head head) { return readings[head]; }
    const Reading& operator[](Head head) const { return readings[head]; }
};

// What a head calls its classes, and the weights it comes from.
struct HeadInfo {
    std::string model_name;  // empty: the head is off
    std::vector<std::string> labels;
    bool quantity = false;   // the answer is Reading::quantity, in `unit`, and no class
    std::string unit = {};   // may be empty
    float unsure_below = 0;  // Engine::unsure_below()
    std::string task = {};   // as the file calls its question; empty: it does not say
};

// The same with this network, which may answer another question: "glasses".
std::string head_title(Head head, const HeadInfo& info);

// The answer in a word or two: "happy", "unsure", "34 years". Empty for a reading that is not
// known or has no such class.
std::string answer_word(const Reading& reading, const HeadInfo& head);
// The same with how sure it is: "happy 93 %", "unsure (happy 41 %)", "34 (27-42)".
std::string answer_figures(const Reading& reading, const HeadInfo& head);
// The word with the probability of its class: "happy 93 %", "unsure 41 %", "34 years".
std::string answer_line(const Reading& reading, const HeadInfo& head);

struct EngineInfo {
    std::string cascade_name;   // empty: no Haar detector
    std::string detector_name;  // empty: no detector network
    PerHead<HeadInfo> heads;

    HeadInfo& operator[](Head head) { return heads[head]; }
    const HeadInfo& operator[](Head head) const { return heads[head]; }
};

struct StepTimes {
    // ms
    double decode = 0, gray = 0, detect = 0, crop = 0, draw = 0, encode = 0, total = 0;
    PerHead<double> heads;
};

struct ImageReport {
    std::string source;
    std::string note;           // of the decoder: DecodedImage::note
    int width = 0, height = 0;  // after turning by EXIF
    StepTimes times;
    std::vector<FaceReport> faces;
    int faces_dropped = 0;  // found beyond Config::max_faces
};

}  // namespace mien::host
