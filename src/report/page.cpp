// SPDX-License-Identifier: MIT
// The page's parts, in the order in which they are read (see page.h).
#include "report/page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "host/files/base64.h"
#include "host/files/resource.h"
#include "mien/mien.hpp"

namespace mien::report {

// page.html and page.css, inside the program.
std::span<const host::Resource> page_files() noexcept;

namespace {

constexpr int bins = 15;  // as host::Scores

// As printf; the compiler checks the values against the pattern.
__attribute__((format(printf, 1, 2))) std::string text(const char* pattern, ...) {
    std::va_list values, again;
    va_start(values, pattern);
    va_copy(again, values);
    std::string out(static_cast<std::size_t>(std::vsnprintf(nullptr, 0, pattern, values)), '\0');
    std::vsnprintf(out.data(), out.size() + 1, pattern, again);
    va_end(again);
    va_end(values);
    return out;
}
std::string percent(double share) { return text("%.1f&thinsp;%%", 100 * share); }

// How many bytes the UTF-8 character at the beginning takes; 0 if invalid.
std::size_t letter_bytes(std::string_view s) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
    const std::size_t n = byte(0) < 0x80                      ? 1
                          : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                          : byte(0) >= 0xe0 && byte(0) < 0xf0 ? 3
                          : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                              : 0;
    if (n == 0 || n > s.size()) return 0;
    for (std::size_t i = 1; i < n; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    return n;
}

std::string escaped(std::string_view s) {
    std::string out;
    while (!s.empty()) {
        const std::size_t n = letter_bytes(s);
        const char c = s[0];
        if (n == 0 || (n == 1 && (static_cast<unsigned char>(c) < 32 || c == 127)))
            out += '?';
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '&')
            out += "&amp;";
        else if (c == '"')
            out += "&quot;";
        else
            out += s.substr(0, n);
        s.remove_prefix(std::max<std::size_t>(n, 1));
    }
    return out;
}

std::string picture(const host::Image& image, const std::string& alt) {
    if (image.pixels == nullptr) return {};
    const auto bytes = host::encode_image(image.frame(), host::ImageFormat::png);
    if (!bytes) return {};
    return text("<img width=\"%d\" height=\"%d\" alt=\"", image.width, image.height) +
           escaped(alt) + "\" src=\"data:image/png;base64," + host::base64(*bytes) + "\">";
}

// Of 0..1 on both axes, in a square with a frame.
struct Graph {
    static constexpr int left = 34, top = 8, size = 200;
    static double x(double v) { return left + size * v; }
    static double y(double v) { return top + size * (1 - v); }
    static std::string open(const std::string& title) {
        std::string out = text("<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
                               left + size + 12, top + size + 22) +
                          escaped(title) + "\">";
        out += text("<rect class=\"axis\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", left,
                    top, size, size);
        for (const double v : {0.0, 0.5, 1.0}) {
            out += text("<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>", x(v),
                        top + size + 15, 100 * v);
            out += text("<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%.0f</text>", left - 4,
                        y(v) + 4, 100 * v);
        }
        return out;
    }
};

// `page` with each {{name}} replaced. Inserted text is not searched again.
std::string filled(std::string_view page,
                   std::initializer_list<std::pair<std::string_view, std::string>> values) {
    std::string out;
    for (;;) {
        const std::size_t open = page.find("{{");
        out += page.substr(0, open);
        if (open == page.npos) return out;
        const std::size_t close = page.find("}}", open);
        const std::string_view name = page.substr(open + 2, close - open - 2);
        for (const auto& [key, value] : values)
            if (key == name) out += value;
        page.remove_prefix(close + 2);
    }
}

std::string origin(const Page& page) {
    return text("%zu labeled images, split ", page.samples.size()) + escaped(page.split) +
           "; mien " + version() + (page.date.empty() ? "" : ", " + escaped(page.date));
}

std::string figures(const Page& page) {
    const host::Scores& s = *page.scores;
    const host::Interval interval = s.accuracy_interval();
    std::string out =
        "<section aria-labelledby=\"figures\"><h2 id=\"figures\">Figures</h2>\n<dl "
        "class=\"figures\">";
    out += "<div><dt>Accuracy</dt><dd>" + percent(s.accuracy()) + "</dd><dt>" +
           percent(interval.low) + " to " + percent(interval.high) + "</dt></div>";
    out += "<div><dt>Balanced accuracy</dt><dd>" + percent(s.balanced_accuracy()) +
           "</dd><dt>mean recall of the classes</dt></div>";
    out +=
        text("<div><dt>Macro F1</dt><dd>%.3f</dd><dt>mean of the classes</dt></div>", s.macro_f1());
    out += text("<div><dt>Calibration error</dt><dd>%.3f</dd><dt>0 is perfect</dt></div>",
                s.calibration_error());
    out += text("<div><dt>Log loss</dt><dd>%.3f</dd><dt>nats</dt></div></dl>\n", s.log_loss());
    for (const auto& [reason, count] : page.left_out)
        out += text("<p class=\"note\">%zu left out: ", count) + escaped(reason) + ".</p>\n";
    return out +
           "<p class=\"note\">Ranges are 95 % intervals (Wilson). Two networks that differ by less "
           "than their ranges may be equally good.</p></section>\n";
}

// A cell's color shows its share of the row. The text color switches where the other one is more
// readable: on paper beyond 80 %, in the dark beyond 58 % (contrast 4.5 there).
std::string cell(std::int64_t count, double share, bool hit) {
    return text(
        "<td class=\"cell%s%s%s\" style=\"--share:%.0f%%\" title=\"%.1f %% of the row\">%lld</td>",
        hit ? " hit" : "", share > 0.8 ? " most" : "", share > 0.58 ? " much" : "", 100 * share,
        100 * share, static_cast<long long>(count));
}

std::string confusion(const Page& page) {
    const std::size_t n = page.labels.size();
    std::vector<std::int64_t> cells(n * n), sums(n);
    for (const Sample& sample : page.samples) {
        ++cells[static_cast<std::size_t>(sample.label) * n +
                static_cast<std::size_t>(sample.answer())];
        ++sums[static_cast<std::size_t>(sample.label)];
    }
    std::string out =
        "<section aria-labelledby=\"confusion\"><h2 id=\"confusion\">Confusions</h2>\n<div "
        "class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\"><table>"
        "<caption>Rows: the label. Columns: the network's answer. Color: share of the "
        "row.</caption><thead><tr><td></td>";
    for (const std::string& label : page.labels)
        out += "<th scope=\"col\">" + escaped(label) + "</th>";
    out += "<th scope=\"col\">images</th></tr></thead><tbody>";
    for (std::size_t k = 0; k < n; ++k) {
        out += "<tr><th scope=\"row\">" + escaped(page.labels[k]) + "</th>";
        for (std::size_t a = 0; a < n; ++a) {
            const double share =
                sums[k] == 0 ? 0
                             : static_cast<double>(cells[k * n + a]) / static_cast<double>(sums[k]);
            out += cell(cells[k * n + a], share, a == k);
        }
        out += text("<td>%lld</td></tr>", static_cast<long long>(sums[k]));
    }
    out += "</tbody></table></div>\n";
    // The confused pairs in words, since readers look for these.
    std::vector<std::pair<double, std::size_t>> pairs;
    for (std::size_t i = 0; i < n * n; ++i)
        if (i / n != i % n && cells[i] > 0)
            pairs.emplace_back(static_cast<double>(cells[i]) / static_cast<double>(sums[i / n]), i);
    std::sort(pairs.rbegin(), pairs.rend());
    if (!pairs.empty()) out += "<h3>The most frequent</h3><ol>";
    for (std::size_t i = 0; i < std::min<std::size_t>(pairs.size(), 5); ++i) {
        out += "<li>" + percent(pairs[i].first) + " of " +
               escaped(page.labels[pairs[i].second / n]) + " read as " +
               escaped(page.labels[pairs[i].second % n]) +
               text(" (%lld)</li>", static_cast<long long>(cells[pairs[i].second]));
    }
    return out + (pairs.empty() ? "" : "</ol>") + "</section>\n";
}

std::string calibration(const Page& page) {
    std::array<double, bins> confidence{}, right{};
    std::array<std::int64_t, bins> count{};
    for (const Sample& sample : page.samples) {
        const auto bin = static_cast<std::size_t>(
            std::min(static_cast<int>(sample.confidence() * bins), bins - 1));
        confidence[bin] += static_cast<double>(sample.confidence());
        right[bin] += sample.answer() == sample.label;
        ++count[bin];
    }
    std::string out =
        "<section aria-labelledby=\"calibration\"><h2 id=\"calibration\">Reliability</h2>\n<p "
        "class=\"note\">Of the answers given with 80 %, 80 of 100 should be right. "
        "Below the dashed line the network is overconfident. Bars: how many images have that "
        "confidence.</p><figure class=\"one\">" +
        Graph::open(
            "Reliability curve: accuracy over confidence; the table behind it has the numbers");
    const std::int64_t most =
        std::max<std::int64_t>(*std::max_element(count.begin(), count.end()), 1);
    std::string line, rows;
    for (std::size_t b = 0; b < bins; ++b) {
        if (count[b] == 0) continue;
        const double share = static_cast<double>(count[b]) / static_cast<double>(most),
                     n = static_cast<double>(count[b]);
        out += text("<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                    Graph::x(static_cast<double>(b) / bins) + 1, Graph::y(share * 0.4),
                    static_cast<double>(Graph::size) / bins - 2, Graph::size * share * 0.4);
        line += text("%s%.1f,%.1f", line.empty() ? "" : " ", Graph::x(confidence[b] / n),
                     Graph::y(right[b] / n));
        rows += "<tr><th scope=\"row\">" +
                text("%.0f to %.0f %%", 100.0 * static_cast<double>(b) / bins,
                     100.0 * static_cast<double>(b + 1) / bins) +
                "</th><td>" + percent(confidence[b] / n) + "</td><td>" + percent(right[b] / n) +
                text("</td><td>%lld</td></tr>", static_cast<long long>(count[b]));
    }
    out += text("<line class=\"ideal\" x1=\"%.0f\" y1=\"%.0f\" x2=\"%.0f\" y2=\"%.0f\"/>",
                Graph::x(0), Graph::y(0), Graph::x(1), Graph::y(1)) +
           "<polyline class=\"curve\" points=\"" + line +
           "\"/></svg>"
           "<figcaption>Across: confidence, %. Up: accuracy, "
           "%.</figcaption></figure>\n<details><summary>The numbers</summary><table><thead><tr><th "
           "scope=\"col\">confidence</th>"
           "<th scope=\"col\">mean</th><th scope=\"col\">right</th><th "
           "scope=\"col\">pictures</th></tr></thead><tbody>" +
           rows + "</tbody></table></details></section>\n";
    return out;
}

std::string curves(const Page& page) {
    const host::Scores& s = *page.scores;
    std::string out =
        "<section aria-labelledby=\"curves\"><h2 id=\"curves\">Precision and recall</h2>\n<div "
        "class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Figures of each "
        "class\"><table><thead><tr><th scope=\"col\">class</th>"
        "<th scope=\"col\">images</th><th scope=\"col\">precision</th><th "
        "scope=\"col\">recall</th><th scope=\"col\">F1</th></tr></thead><tbody>";
    for (std::size_t k = 0; k < page.labels.size(); ++k) {
        const int label = static_cast<int>(k);
        out += "<tr><th scope=\"row\">" + escaped(page.labels[k]) +
               text("</th><td>%lld</td><td>%.3f</td><td>%.3f</td><td>%.3f</td></tr>",
                    static_cast<long long>(s.pictures(label)), s.precision(label), s.recall(label),
                    s.f1(label));
    }
    out +=
        "</tbody></table></div>\n<p class=\"note\">The curves ask each class alone: everything "
        "above a threshold counts as that class, and the threshold falls from 1 to 0. "
        "The dot is where the network stands when it takes the most probable class.</p><div "
        "class=\"graphs\">";
    for (std::size_t k = 0; k < page.labels.size(); ++k) {
        const int label = static_cast<int>(k);
        if (s.pictures(label) == 0) continue;
        std::vector<std::pair<float, bool>> order;
        for (const Sample& sample : page.samples)
            order.emplace_back(sample.probabilities[k], sample.label == label);
        std::sort(order.begin(), order.end(),
                  [](const auto& a, const auto& b) { return a.first > b.first; });
        std::string line;
        double hits = 0, area = 0, last_recall = 0, drawn = -1;
        for (std::size_t i = 0; i < order.size(); ++i) {
            hits += order[i].second;
            if (i + 1 < order.size() && order[i + 1].first == order[i].first) continue;
            const double recall = hits / static_cast<double>(s.pictures(label)),
                         precision = hits / static_cast<double>(i + 1);
            area += (recall - last_recall) * precision;
            last_recall = recall;
            if (recall - drawn < 0.005 && i + 1 < order.size()) continue;
            drawn = recall;
            line +=
                text("%s%.1f,%.1f", line.empty() ? "" : " ", Graph::x(recall), Graph::y(precision));
        }
        out += "<figure>" + Graph::open(page.labels[k] + ": precision over recall") +
               "<polyline class=\"curve\" points=\"" + line + "\"/>" +
               text("<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/></svg>",
                    Graph::x(s.recall(label)), Graph::y(s.precision(label))) +
               "<figcaption><b>" + escaped(page.labels[k]) +
               text(
                   "</b>: average precision %.3f. Across: recall, %%. Up: precision, "
                   "%%.</figcaption></figure>",
                   area);
    }
    return out + "</div></section>\n";
}

// The images of one group: how many, how many were read right, and per class how many have that
// label, were read so, and went in or out of it.
struct GroupCounts {
    std::int64_t images = 0, right = 0;
    std::vector<std::int64_t> labelled, answered, changed;
};

// Those whose property has the value number `value`; -1: those that are not in the table.
GroupCounts count_group(const Page& page, const Property& property, int value) {
    const std::size_t n = page.labels.size();
    GroupCounts counts;
    for (auto* list : {&counts.labelled, &counts.answered, &counts.changed}) list->resize(n);
    for (std::size_t i = 0; i < page.samples.size(); ++i) {
        if (property.of_sample[i] != value) continue;
        const Sample& sample = page.samples[i];
        const auto label = static_cast<std::size_t>(sample.label),
                   answer = static_cast<std::size_t>(sample.answer());
        ++counts.images;
        ++counts.labelled[label];
        ++counts.answered[answer];
        if (answer == label) {
            ++counts.right;
        } else {
            ++counts.changed[label];
            ++counts.changed[answer];
        }
    }
    return counts;
}

std::string group_row(const std::string& name, const GroupCounts& counts) {
    const host::Interval range = host::wilson(counts.right, counts.images);
    const double total = static_cast<double>(counts.images);
    std::string out = "<tr><th scope=\"row\">" + name +
                      text("</th><td>%lld</td><td>", static_cast<long long>(counts.images)) +
                      percent(static_cast<double>(counts.right) / total) + "</td><td>" +
                      percent(range.low) + " to " + percent(range.high) + "</td>";
    for (std::size_t k = 0; k < counts.labelled.size(); ++k) {
        const auto labelled = static_cast<double>(counts.labelled[k]),
                   answered = static_cast<double>(counts.answered[k]);
        const double difference = answered - labelled;
        // McNemar: of the images that went in or out, a fair coin would send as many each way.
        const bool marked =
            std::fabs(difference) > 2 * std::sqrt(static_cast<double>(counts.changed[k]));
        out += text("<td%s>%.0f &rarr; %.0f (%+.1f)</td>", marked ? " class=\"low\"" : "",
                    100 * labelled / total, 100 * answered / total, 100 * difference / total);
    }
    return out + "</tr>";
}

std::string group_table(const Page& page, const Property& property) {
    const std::string name = escaped(property.name);
    std::string out =
        "<h3>" + name +
        "</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Groups by " +
        name + "\"><table><thead><tr><th scope=\"col\">" + name +
        "</th><th scope=\"col\">images</th><th scope=\"col\">accuracy</th><th "
        "scope=\"col\">95 % range</th>";
    for (const std::string& label : page.labels)
        out += "<th scope=\"col\">" + escaped(label) + "</th>";
    out += "</tr></thead><tbody>";
    const auto add = [&](const std::string& value, int number) {
        const GroupCounts counts = count_group(page, property, number);
        if (counts.images > 0) out += group_row(value, counts);
    };
    for (std::size_t v = 0; v < property.values.size(); ++v)
        add(escaped(property.values[v]), static_cast<int>(v));
    add("(not in the table)", -1);
    return out + "</tbody></table></div>\n";
}

std::string groups(const Page& page) {
    if (page.properties.empty()) return {};
    std::string out =
        "<section aria-labelledby=\"groups\"><h2 id=\"groups\">Groups</h2>\n<p class=\"note\">Is "
        "the network as good for everybody, and does it say a word more often of one group than "
        "the labels do? "
        "Under each class: how many of the group have that label, how many were read so (both in "
        "%), and the difference. A difference is marked where it is more than twice its "
        "standard error: then the property itself, or what goes with it, is read as that "
        "class.</p>";
    for (const Property& property : page.properties) out += group_table(page, property);
    return out + "</section>\n";
}

std::string mistakes(const Page& page) {
    std::string out =
        "<section aria-labelledby=\"mistakes\"><h2 id=\"mistakes\">The most confident "
        "mistakes</h2>\n";
    if (page.mistakes.empty()) return out + "<p>There are none.</p></section>\n";
    out += text(
               "<p class=\"note\">%zu of %zu mistakes, the surest first. Beside each face: what "
               "spoke for the answer, and what spoke for the label (method ",
               page.mistakes.size(), page.mistakes_in_all) +
           escaped(page.method) +
           "; red speaks for, blue against, or light for the most where the scale has one end). A "
           "map shows where the network looked, not why.</p><ol class=\"mistakes\">\n";
    for (const Mistake& mistake : page.mistakes) {
        const Sample& sample = page.samples[mistake.sample];
        const std::string& answer = page.labels[static_cast<std::size_t>(sample.answer())];
        const std::string& label = page.labels[static_cast<std::size_t>(sample.label)];
        out += "<li><figure><div class=\"row\">" + picture(mistake.face, "Face labeled " + label) +
               picture(mistake.for_answer, "What spoke for " + answer) +
               picture(mistake.for_label, "What spoke for " + label) +
               "</div><figcaption>Read as <b>" + escaped(answer) + "</b> " +
               text("%.0f&thinsp;%%", 100 * static_cast<double>(sample.confidence())) +
               ", labeled <b>" + escaped(label) + "</b> " +
               text("%.0f&thinsp;%%",
                    100 * static_cast<double>(
                              sample.probabilities[static_cast<std::size_t>(sample.label)])) +
               "<br><span class=\"name\">" + escaped(sample.name);
        for (const Property& property : page.properties) {
            const int value = property.of_sample[mistake.sample];
            if (value >= 0)
                out += "; " + escaped(property.name) + ": " +
                       escaped(property.values[static_cast<std::size_t>(value)]);
        }
        out += "</span></figcaption></figure></li>\n";
    }
    return out + "</ol></section>\n";
}

}  // namespace

int Sample::answer() const {
    return static_cast<int>(std::max_element(probabilities.begin(), probabilities.end()) -
                            probabilities.begin());
}

std::string html(const Page& page) {
    const std::string groups_link =
        page.properties.empty() ? "" : "<li><a href=\"#groups\">Groups</a></li>\n";
    return filled(host::find_resource(page_files(), "page.html")->text(),
                  {{"title", escaped(page.model) + " on " + escaped(page.source)},
                   {"style", host::find_resource(page_files(), "page.css")->text()},
                   {"origin", origin(page)},
                   {"groups", groups_link},
                   {"sections", figures(page) + confusion(page) + calibration(page) + curves(page) +
                                    groups(page) + mistakes(page)}});
}

}  // namespace mien::report
