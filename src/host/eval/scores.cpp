// SPDX-License-Identifier: MIT
// Confusion matrix and what follows from it (see scores.h).
#include "host/eval/scores.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "host/results/json.h"

namespace mien::host {
namespace {

double ratio(std::int64_t part, std::int64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

template <class... Values>
std::string line(const char* pattern, Values... values) {
    char buffer[256];
    const int n = std::snprintf(buffer, sizeof buffer, pattern, values...);
    return {buffer,
            static_cast<std::size_t>(std::clamp(n, 0, static_cast<int>(sizeof buffer) - 1))};
}

}  // namespace

Interval wilson(std::int64_t hits, std::int64_t count) {
    if (count == 0) return {};
    constexpr double z = 1.959963984540054;
    const double n = static_cast<double>(count), p = static_cast<double>(hits) / n;
    const double middle = (p + z * z / (2 * n)) / (1 + z * z / n),
                 reach = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return {std::max(middle - reach, 0.0), std::min(middle + reach, 1.0)};
}

Scores::Scores(std::vector<std::string> labels, float unsure_below)
    : labels_(std::move(labels)),
      confusion_(labels_.size() * labels_.size()),
      unsure_below_(unsure_below) {}

void Scores::add(int label, std::span<const float> probabilities) {
    const auto best = std::max_element(probabilities.begin(), probabilities.end());
    const int answer = static_cast<int>(best - probabilities.begin());
    ++cell(label, answer);
    const double confidence = static_cast<double>(*best);
    const int bin = std::min(static_cast<int>(confidence * bins), bins - 1);
    confidence_[bin] += confidence;
    right_[bin] += answer == label ? 1 : 0;
    loss_ -= std::log(
        std::max(static_cast<double>(probabilities[static_cast<std::size_t>(label)]), 1e-12));
    ++count_;
    if (*best < unsure_below_) return;
    ++confident_;
    confident_right_ += answer == label ? 1 : 0;
}

std::int64_t Scores::pictures(int label) const {
    std::int64_t sum = 0;
    for (int answer = 0; answer < classes(); ++answer) sum += cell(label, answer);
    return sum;
}

std::int64_t Scores::answers(int answer) const {
    std::int64_t sum = 0;
    for (int label = 0; label < classes(); ++label) sum += cell(label, answer);
    return sum;
}

double Scores::precision(int label) const { return ratio(cell(label, label), answers(label)); }
double Scores::recall(int label) const { return ratio(cell(label, label), pictures(label)); }
double Scores::f1(int label) const {
    return ratio(2 * cell(label, label), answers(label) + pictures(label));
}

std::int64_t Scores::hits() const {
    std::int64_t sum = 0;
    for (int label = 0; label < classes(); ++label) sum += cell(label, label);
    return sum;
}

double Scores::accuracy() const { return ratio(hits(), count_); }
Interval Scores::accuracy_interval() const { return wilson(hits(), count_); }

double Scores::balanced_accuracy() const {
    double sum = 0;
    int present = 0;
    for (int label = 0; label < classes(); ++label) {
        if (pictures(label) == 0) continue;
        sum += recall(label);
        ++present;
    }
    return present == 0 ? 0 : sum / present;
}

double Scores::macro_f1() const {
    double sum = 0;
    int present = 0;
    for (int label = 0; label < classes(); ++label) {
        if (pictures(label) == 0) continue;
        sum += f1(label);
        ++present;
    }
    return present == 0 ? 0 : sum / present;
}

double Scores::calibration_error() const {
    double gap = 0;
    for (int bin = 0; bin < bins; ++bin) gap += std::fabs(confidence_[bin] - right_[bin]);
    return count_ == 0 ? 0 : gap / static_cast<double>(count_);
}

double Scores::log_loss() const { return count_ == 0 ? 0 : loss_ / static_cast<double>(count_); }

double Scores::coverage() const { return ratio(confident_, count_); }
double Scores::accuracy_confident() const { return ratio(confident_right_, confident_); }

std::string Scores::text() const {
    std::size_t width = 8;
    for (const std::string& label : labels_) width = std::max(width, label.size());
    const int w = static_cast<int>(width);
    const Interval interval = accuracy_interval();
    std::string out = line(
        "accuracy %.2f %% of %lld (95 %% interval: %.2f to %.2f), balanced %.2f %%, macro F1 %.4f, "
        "calibration error %.4f, log loss %.4f\n",
        100 * accuracy(), static_cast<long long>(count_), 100 * interval.low, 100 * interval.high,
        100 * balanced_accuracy(), macro_f1(), calibration_error(), log_loss());
    if (unsure_below_ > 0)
        out +=
            line("sure of %.2f %% of them (at least %g), with an accuracy of %.2f %% there\n",
                 100 * coverage(), static_cast<double>(unsure_below_), 100 * accuracy_confident());
    out += '\n';
    out += line("%-*s %8s %9s %7s %7s  ", w, "label", "pictures", "precision", "recall", "F1");
    for (const std::string& label : labels_)
        out += line(" %*s", std::max(6, static_cast<int>(label.size())), label.c_str());
    out += '\n';
    for (int k = 0; k < classes(); ++k) {
        out +=
            line("%-*s %8lld %9.3f %7.3f %7.3f  ", w, labels_[static_cast<std::size_t>(k)].c_str(),
                 static_cast<long long>(pictures(k)), precision(k), recall(k), f1(k));
        for (int answer = 0; answer < classes(); ++answer) {
            out += line(
                " %*lld",
                std::max(6, static_cast<int>(labels_[static_cast<std::size_t>(answer)].size())),
                static_cast<long long>(cell(k, answer)));
        }
        out += '\n';
    }
    return out;
}

std::string Scores::json(const std::string& source, const std::string& model,
                         std::size_t unreadable) const {
    nlohmann::ordered_json object;
    object["schema"] = json_schema;
    object["source"] = source;
    object["model"] = model;
    object["unreadable"] = unreadable;
    object["count"] = count_;
    object["accuracy"] = accuracy();
    object["accuracy_interval"] = {accuracy_interval().low, accuracy_interval().high};
    object["balanced_accuracy"] = balanced_accuracy();
    object["macro_f1"] = macro_f1();
    object["calibration_error"] = calibration_error();
    object["log_loss"] = log_loss();
    if (unsure_below_ > 0) {
        object["min_confidence"] = unsure_below_;
        object["coverage"] = coverage();
        object["accuracy_confident"] = accuracy_confident();
    }
    object["classes"] = labels_;
    for (int k = 0; k < classes(); ++k) {
        object["per_class"].push_back({{"label", labels_[static_cast<std::size_t>(k)]},
                                       {"count", pictures(k)},
                                       {"precision", precision(k)},
                                       {"recall", recall(k)},
                                       {"f1", f1(k)}});
    }
    for (int k = 0; k < classes(); ++k) {
        nlohmann::ordered_json row = nlohmann::ordered_json::array();
        for (int answer = 0; answer < classes(); ++answer) row.push_back(cell(k, answer));
        object["confusion"].push_back(row);
    }
    return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace mien::host
