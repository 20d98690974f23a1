// SPDX-License-Identifier: MIT
// Answers in words (see report.h).
#include "host/results/report.h"

#include <cmath>

namespace mien::host {
namespace {

std::string whole(float value) { return std::to_string(std::lround(value)); }

std::string percent(const Reading& reading) {
    return whole(reading.probabilities[reading.named()] * 100) + " %";
}

// A reading of another network's classes has no name here.
bool named_here(const Reading& reading, const HeadInfo& head) {
    return reading.known() && reading.named() < head.labels.size();
}

}  // namespace

std::string head_title(Head head, const HeadInfo& info) {
    if (info.task.empty()) return head_title(head);
    for (const Head other : named_heads)
        if (info.task == head_name(other)) return head_title(other);
    return info.task;
}

std::string answer_word(const Reading& reading, const HeadInfo& head) {
    if (!named_here(reading, head)) return {};
    if (head.quantity)
        return whole(reading.quantity.value) + (head.unit.empty() ? "" : " " + head.unit);
    return reading.unsure ? "unsure" : head.labels[reading.named()];
}

std::string answer_figures(const Reading& reading, const HeadInfo& head) {
    if (!named_here(reading, head)) return {};
    const Quantity& q = reading.quantity;
    if (head.quantity) return whole(q.value) + " (" + whole(q.low) + "-" + whole(q.high) + ")";
    const std::string figures = head.labels[reading.named()] + " " + percent(reading);
    return reading.unsure ? "unsure (" + figures + ")" : figures;
}

std::string answer_line(const Reading& reading, const HeadInfo& head) {
    const std::string word = answer_word(reading, head);
    return word.empty() || head.quantity ? word : word + " " + percent(reading);
}

}  // namespace mien::host
