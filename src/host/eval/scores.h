// SPDX-License-Identifier: MIT
// Accuracy of a network on labeled images: the figures of tools/train/metrics.py, by the same
// formulas.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mien::host {

// 95 % interval of a share, of which `hits` of `count` images are known (Wilson 1927).
struct Interval {
    double low = 0, high = 1;
};
Interval wilson(std::int64_t hits, std::int64_t count);

class Scores {
public:
    // An answer whose probability is below `unsure_below` is counted like every other, and apart in
    // coverage() and accuracy_confident().
    explicit Scores(std::vector<std::string> labels, float unsure_below = 0);

    // One image; the first of equal probabilities is the answer.
    void add(int label, std::span<const float> probabilities);

    std::int64_t count() const { return count_; }
    double accuracy() const;
    Interval accuracy_interval() const;
    double balanced_accuracy() const;  // mean recall of the classes that occur
    double macro_f1() const;           // mean F1 of the classes that occur
    // expected calibration error over 15 equal bins of confidence
    double calibration_error() const;
    double log_loss() const;  // nats
    // Of the images, the share whose answer is not unsure; and the accuracy of these answers.
    double coverage() const;
    double accuracy_confident() const;

    std::int64_t pictures(int label) const;
    double precision(int label) const;
    double recall(int label) const;
    double f1(int label) const;

    // A summary, with a threshold the coverage, per class figures and the confusion matrix, aligned
    // for a terminal.
    std::string text() const;
    // One object, without a newline; coverage is in it with a threshold. `unreadable` counts images
    // that are in none of the figures.
    std::string json(const std::string& source, const std::string& model,
                     std::size_t unreadable) const;

private:
    std::int64_t& cell(int label, int answer) {
        return confusion_[static_cast<std::size_t>(label) * labels_.size() +
                          static_cast<std::size_t>(answer)];
    }
    std::int64_t cell(int label, int answer) const {
        return confusion_[static_cast<std::size_t>(label) * labels_.size() +
                          static_cast<std::size_t>(answer)];
    }
    std::int64_t answers(int answer) const;
    std::int64_t hits() const;
    int classes() const { return static_cast<int>(labels_.size()); }

    static constexpr int bins = 15;
    std::vector<std::string> labels_;
    std::vector<std::int64_t> confusion_;  // [label, answer]
    double confidence_[bins] = {}, right_[bins] = {}, loss_ = 0;
    float unsure_below_;
    std::int64_t count_ = 0, confident_ = 0, confident_right_ = 0;
};

}  // namespace mien::host
