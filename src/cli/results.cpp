// SPDX-License-Identifier: MIT
// Readable text from an ImageReport (see results.h).
#include "cli/results.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "cli/terminal.h"

namespace mien::cli {
namespace {

// ANSI colors near to those of the drawing.
const char* color_code(const std::string& label) {
    if (label == "happy") return "33";
    if (label == "angry" || label == "man") return "31";
    if (label == "sad" || label == "woman") return "34";
    if (label == "surprise") return "36";
    return "32";
}

std::string percent_of(const host::Reading& reading) {
    return format("%3d %%", static_cast<int>(std::lround(reading.best_probability() * 100)));
}

// A column of one head. Sure answers have their percents below each other.
struct Column {
    Head head;
    std::string title;
    std::size_t label_width, width;
};

Column column_of(Head head, const host::ImageReport& report, const host::EngineInfo& info) {
    std::size_t label_width = 0;
    if (!info[head].quantity) {
        label_width = 4;
        for (const std::string& label : info[head].labels)
            label_width = std::max(label_width, label.size());
    }
    const std::string title = printable(host::head_title(head, info[head]));
    std::size_t width = std::max(label_width + 6, title.size());
    for (const host::FaceReport& face : report.faces)
        width = std::max(width, host::answer_figures(face[head], info[head]).size());
    return {head, title, label_width, width};
}

std::string reading_cell(const host::Reading& reading, const host::HeadInfo& head,
                         const Column& column, bool last, bool color) {
    if (!reading.known()) return padded("-", last ? 0 : column.width);
    const bool sure = !reading.unsure && !head.quantity;
    const std::string text =
        sure ? padded(head.labels[reading.best()], column.label_width) + " " + percent_of(reading)
             : host::answer_figures(reading, head);
    const std::string shown = padded(text, last ? 0 : column.width);
    if (!color || !sure) return shown;
    return std::string("\033[") + color_code(head.labels[reading.best()]) + "m" +
           shown.substr(0, column.label_width) + "\033[0m" + shown.substr(column.label_width);
}

std::string count_of_faces(std::size_t count) {
    return count == 1 ? "1 face" : std::to_string(count) + " faces";
}

}  // namespace

std::string face_table(const host::ImageReport& report, const host::EngineInfo& info, bool color) {
    const bool found = !report.faces.empty();
    const char* bold = color ? "\033[1m" : "";
    const char* plain = color ? "\033[0m" : "";
    std::string text =
        bold + printable(report.source) + plain + ": " +
        (found ? count_of_faces(report.faces.size()) : "no face found") +
        format(", %d x %d pixels, %.0f ms\n", report.width, report.height, report.times.total);
    if (!found) return text;
    std::vector<Column> columns;
    for (const Head head : named_heads) {
        if (!info[head].labels.empty()) columns.push_back(column_of(head, report, info));
    }
    const bool scored = !info.detector_name.empty();
    text += std::string("    #      x      y         size") + (scored ? "  score" : "");
    for (const Column& column : columns) {
        const bool last = &column == &columns.back();
        text += "  " + padded(column.title, last ? 0 : column.width);
    }
    text += '\n';
    int number = 0;
    for (const host::FaceReport& face : report.faces) {
        const std::string size = format("%d x %d", face.box.width, face.box.height);
        text += format("%5d  %5d  %5d  %11s", ++number, face.box.x, face.box.y, size.c_str());
        if (scored) text += format("   %.2f", static_cast<double>(face.score));
        for (const Column& column : columns) {
            text += "  " + reading_cell(face[column.head], info[column.head], column,
                                        &column == &columns.back(), color);
        }
        text += '\n';
    }
    return text;
}

std::string score_list(const host::ImageReport& report, const host::EngineInfo& info,
                       bool with_title) {
    if (report.faces.empty()) return printable(report.source) + ": no face found\n";
    std::string text;
    int number = 0;
    for (const host::FaceReport& face : report.faces) {
        ++number;
        if (with_title) {
            text += printable(report.source) + format(": face %d of %zu at %d, %d, size %d x %d\n",
                                                      number, report.faces.size(), face.box.x,
                                                      face.box.y, face.box.width, face.box.height);
        }
        const std::vector<float>& p = face[Head::emotion].probabilities;
        if (p.empty()) continue;
        std::vector<std::size_t> order(p.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&p](std::size_t a, std::size_t b) { return p[a] > p[b]; });
        for (const std::size_t i : order) {
            text += info[Head::emotion].labels[i] +
                    format(" (score = %.5f)\n", static_cast<double>(p[i]));
        }
        const std::string title = host::head_title(Head::emotion, info[Head::emotion]);
        text += (title == host::head_title(Head::emotion) ? "The expression of the person is "
                                                          : printable(title) + ": ") +
                info[Head::emotion].labels[order[0]] + "\n";
    }
    return text;
}

}  // namespace mien::cli
