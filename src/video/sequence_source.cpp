// SPDX-License-Identifier: MIT
// Images as frames: a folder in the order of its names, or a numbered sequence (frame_%04d.png)
// from its first number to the first gap.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "host/codec/image_file.h"
#include "host/files/file_io.h"
#include "video/source.h"

namespace mien::video {
namespace {

constexpr int max_first_number = 10;

struct Pattern {
    std::string before, after;
    int digits = 0;  // padded with zeros to so many

    std::string name(std::uint64_t number) const {
        std::string text = std::to_string(number);
        if (text.size() < static_cast<std::size_t>(digits))
            text.insert(0, static_cast<std::size_t>(digits) - text.size(), '0');
        return before + text + after;
    }
};

// %d or %04d, once. The name never reaches printf: it is the user's.
bool parse_pattern(const std::string& path, Pattern& out) {
    const std::size_t percent = path.find('%');
    if (percent == std::string::npos || path.find('%', percent + 1) != std::string::npos)
        return false;
    std::size_t at = percent + 1;
    int digits = 0;
    while (at < path.size() && path[at] >= '0' && path[at] <= '9' && digits < 100)
        digits = digits * 10 + (path[at++] - '0');
    if (at >= path.size() || path[at] != 'd' || digits > 18) return false;
    out = {path.substr(0, percent), path.substr(at + 1), digits};
    return true;
}

class SequenceSource : public Source {
public:
    SequenceSource(std::vector<std::string> names, double fps)
        : names_(std::move(names)), fps_(fps) {}
    SequenceSource(Pattern pattern, std::uint64_t first, double fps)
        : pattern_(std::move(pattern)), first_(first), fps_(fps) {}

    Next next(Packet& packet, int) override {
        if (!error_.empty()) return Next::failed;
        const std::string name = names_.empty() ? pattern_.name(first_ + number_)
                                 : number_ < names_.size()
                                     ? names_[static_cast<std::size_t>(number_)]
                                     : "";
        std::error_code ignored;
        if (name.empty() || (names_.empty() && !std::filesystem::exists(name, ignored)))
            return Next::end;
        auto bytes = host::read_file(name, host::ImageLimits{}.max_file_bytes);
        if (!bytes) {
            error_ = name + ": " + bytes.error().text;
            return Next::failed;
        }
        bytes_ = std::move(*bytes);
        packet = {
            PixelLayout::picture,
            bytes_,
            0,
            0,
            0,
            static_cast<std::uint64_t>(std::llround(static_cast<double>(number_) * 1e9 / fps_)),
            number_};
        ++number_;
        return Next::packet;
    }
    const std::string& error() const override { return error_; }
    std::string description() const override {
        return names_.empty() ? "numbered images" : std::to_string(names_.size()) + " images";
    }
    double frame_rate() const override { return fps_; }

private:
    std::vector<std::string> names_;
    Pattern pattern_;
    std::uint64_t first_ = 0, number_ = 0;
    double fps_;
    host::ByteVector bytes_;
    std::string error_;
};

}  // namespace

bool is_sequence_pattern(const std::string& path) {
    Pattern pattern;
    return parse_pattern(path, pattern);
}

host::Result<std::unique_ptr<Source>> open_sequence(const std::string& path, double fps) {
    namespace fs = std::filesystem;
    if (fps <= 0) fps = 30;
    std::error_code error;
    if (fs::is_directory(path, error)) {
        std::vector<std::string> names;
        for (fs::directory_iterator entry(path, error), end; !error && entry != end;
             entry.increment(error)) {
            if (entry->is_regular_file(error) && host::format_of_name(entry->path().string()))
                names.push_back(entry->path().string());
        }
        if (error) return host::Error::input(error.message());
        if (names.empty()) return host::Error::input("no JPEG or PNG files in this folder");
        std::sort(names.begin(), names.end());
        for (const std::string& name : names) host::note_input(name);
        return std::unique_ptr<Source>(std::make_unique<SequenceSource>(std::move(names), fps));
    }
    Pattern pattern;
    if (!parse_pattern(path, pattern))
        return host::Error::input("is not a numbered name such as frame_%04d.png");
    for (std::uint64_t first = 0; first <= max_first_number; ++first) {
        if (!fs::exists(pattern.name(first), error)) continue;
        for (std::uint64_t i = first; fs::exists(pattern.name(i), error); ++i)
            host::note_input(pattern.name(i));
        return std::unique_ptr<Source>(std::make_unique<SequenceSource>(pattern, first, fps));
    }
    return host::Error::input("no such files: the first would be " + pattern.name(0) + " or " +
                              pattern.name(1));
}

}  // namespace mien::video
