// SPDX-License-Identifier: MIT
// Folders and .npz files of labeled faces (see labelled_faces.h). tools/train/datasets.py reads the
// same and more.
#include "host/eval/labelled_faces.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "host/files/batch.h"

namespace mien::host {
namespace {

constexpr std::size_t max_npz_bytes = std::size_t{1} << 31;
constexpr const char* split_names[] = {"train", "validation", "test"};

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return out;
}

// The split that a folder's name means, or an empty string.
std::string split_of_folder(std::string_view name) {
    static const std::map<std::string, std::string, std::less<>> names = {
        {"train", "train"},           {"training", "train"},
        {"val", "validation"},        {"valid", "validation"},
        {"validation", "validation"}, {"dev", "validation"},
        {"publictest", "validation"}, {"test", "test"},
        {"testing", "test"},          {"privatetest", "test"}};
    const auto found = names.find(lower(name));
    return found == names.end() ? std::string() : found->second;
}

std::vector<std::string> sub_folders(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error)) {
        std::error_code ignored;
        const std::string name = it->path().filename().string();
        if (it->is_directory(ignored) && !name.starts_with('.')) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace

int class_index(const std::vector<std::string>& labels, std::string_view name) {
    static const std::map<std::string, std::string, std::less<>> synonyms = {
        {"anger", "angry"}, {"an", "angry"},        {"mad", "angry"},    {"disgusted", "disgust"},
        {"di", "disgust"},  {"afraid", "fear"},     {"fearful", "fear"}, {"scared", "fear"},
        {"af", "fear"},     {"happiness", "happy"}, {"ha", "happy"},     {"joy", "happy"},
        {"smile", "happy"}, {"sadness", "sad"},     {"sa", "sad"},       {"surprised", "surprise"},
        {"su", "surprise"}, {"ne", "neutral"},      {"calm", "neutral"}, {"female", "woman"},
        {"f", "woman"},     {"women", "woman"},     {"male", "man"},     {"m", "man"},
        {"men", "man"}};
    const auto index = [&](const std::string& key) {
        const auto found = std::find(labels.begin(), labels.end(), key);
        return found == labels.end() ? -1 : static_cast<int>(found - labels.begin());
    };
    std::string key = lower(name);
    // "0_angry", "3 happy": a number in front only sorts.
    const std::size_t digits = key.find_first_not_of("0123456789");
    if (digits != std::string::npos && digits > 0 &&
        std::string_view(" _.-").find(key[digits]) != std::string_view::npos) {
        const std::size_t word = key.find_first_not_of(" _.-", digits);
        if (word != std::string::npos) key = key.substr(word);
    }
    if (const int found = index(key); found >= 0) return found;
    const auto synonym = synonyms.find(key);
    return synonym == synonyms.end() ? -1 : index(synonym->second);
}

Result<LabelledFaces> LabelledFaces::open(const std::string& path,
                                          const std::vector<std::string>& labels,
                                          const std::string& split) {
    LabelledFaces faces;
    const Result<> done =
        is_folder(path) ? faces.scan(path, labels, split) : faces.load(path, labels, split);
    if (!done) return done.error();
    if (faces.items_.empty()) {
        std::string cause = "no labeled image in it";
        if (split != "all") cause += " for the split " + split;
        for (const auto& [reason, count] : faces.rejected_)
            cause += "; " + std::to_string(count) + ": " + reason;
        return Error::input(cause);
    }
    return faces;
}

Result<> LabelledFaces::scan(const std::string& folder, const std::vector<std::string>& labels,
                             const std::string& split) {
    folder_ = folder;
    const std::vector<std::string> names = sub_folders(folder);
    const bool has_splits =
        !names.empty() && std::all_of(names.begin(), names.end(),
                                      [](const auto& n) { return !split_of_folder(n).empty(); });
    if (!has_splits && split != "all")
        return Error::input("has no sub-folders " + split + " (use --split all)");
    const std::vector<std::string> roots = has_splits ? names : std::vector<std::string>{""};
    for (const std::string& root : roots) {
        if (has_splits && split != "all" && split_of_folder(root) != split) continue;
        const std::string base = root.empty() ? folder : joined_path(folder, root);
        for (const std::string& name : sub_folders(base)) {
            const int label = class_index(labels, name);
            const std::string inputs[] = {joined_path(base, name)};
            const InputList list = expand_inputs(inputs);
            if (label < 0) {
                if (!list.files.empty())
                    rejected_["folder '" + name + "' is none of the classes"] += list.files.size();
                continue;
            }
            for (const std::string& file : list.files) items_.push_back({file, label, 0});
        }
    }
    return {};
}

Result<> LabelledFaces::load(const std::string& path, const std::vector<std::string>& labels,
                             const std::string& split) {
    const auto bytes = read_file(path, max_npz_bytes);
    if (!bytes) return bytes.error();
    const auto npz = NpzFile::open(*bytes);
    if (!npz) return npz.error();
    const bool utkface = npz->has("jpeg") && npz->has("offset") && npz->has("gender");
    auto label = npz->read(utkface ? "gender" : "labels", max_npz_bytes);
    if (!label) return label.error();
    if (!label->is_integer() || label->shape.size() != 1)
        return Error::input("its labels are not one integer per image");
    const std::size_t count = label->count();
    if (utkface) {
        auto jpeg = npz->read("jpeg", max_npz_bytes), offset = npz->read("offset", max_npz_bytes);
        if (!jpeg) return jpeg.error();
        if (!offset) return offset.error();
        if (jpeg->type != "|u1" || jpeg->shape.size() != 1 || !offset->is_integer() ||
            offset->shape.size() != 1 || offset->count() != count + 1) {
            return Error::input("its arrays do not belong together");
        }
        jpeg_ = std::move(*jpeg);
        offset_ = std::move(*offset);
    } else {
        auto images = npz->read("images", max_npz_bytes);
        if (!images) return images.error();
        const auto& shape = images->shape;
        const bool shaped =
            (shape.size() == 3 || (shape.size() == 4 && (shape[3] == 1 || shape[3] == 3))) &&
            shape[0] == count;
        if (images->type != "|u1" || !shaped || shape[1] < 1 || shape[1] > 65535 || shape[2] < 1 ||
            shape[2] > 65535) {
            return Error::input(
                "`images` is not u8 [N, height, width] or [N, height, width, 1 or 3] with a label "
                "for each");
        }
        images_ = std::move(*images);
    }
    NpzArray part;
    if (split != "all") {
        if (!npz->has("split")) return Error::input("has no array `split` (use --split all)");
        auto read = npz->read("split", max_npz_bytes);
        if (!read) return read.error();
        if (!read->is_integer() || read->count() != count)
            return Error::input("its array `split` is not one integer per image");
        part = std::move(*read);
    }
    const auto woman = std::find(labels.begin(), labels.end(), "woman"),
               man = std::find(labels.begin(), labels.end(), "man");
    if (utkface && (woman == labels.end() || man == labels.end()))
        return Error::input("has genders, but the network has other classes");
    const std::int64_t wanted =
        std::find(std::begin(split_names), std::end(split_names), split) - std::begin(split_names);
    for (std::size_t row = 0; row < count; ++row) {
        if (split != "all" && part.integer(row) != wanted) continue;
        std::int64_t value = label->integer(row);
        if (utkface && (value == 0 || value == 1))
            value = (value == 0 ? man : woman) - labels.begin();
        if (value < 0 || value >= static_cast<std::int64_t>(labels.size())) {
            ++rejected_["a label outside the classes"];
            continue;
        }
        items_.push_back({"row " + std::to_string(row), static_cast<int>(value), row});
    }
    return {};
}

Result<Frame> LabelledFaces::picture(std::size_t i) {
    const Item& item = items_[i];
    if (!images_.shape.empty()) {
        const int height = static_cast<int>(images_.shape[1]),
                  width = static_cast<int>(images_.shape[2]);
        const bool colour = images_.shape.size() == 4 && images_.shape[3] == 3;
        const std::size_t stride = images_.shape[2] * (colour ? 3 : 1);
        return Frame{images_.bytes.data() + item.row * stride * images_.shape[1], width, height,
                     static_cast<std::ptrdiff_t>(stride),
                     colour ? PixelFormat::rgb24 : PixelFormat::gray8};
    }
    ByteVector file;
    std::span<const std::uint8_t> bytes;
    const ImageLimits limits;
    if (folder_.empty()) {
        const std::int64_t begin = offset_.integer(item.row), end = offset_.integer(item.row + 1);
        if (begin < 0 || end < begin || end > static_cast<std::int64_t>(jpeg_.bytes.size()))
            return Error::input("its offset is outside of the images");
        bytes =
            std::span(jpeg_.bytes)
                .subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    } else {
        auto read = read_file(item.name, limits.max_file_bytes);
        if (!read) return read.error();
        file = std::move(*read);
        bytes = file;
    }
    auto decoded = decode_image(bytes, limits);
    if (!decoded) return decoded.error();
    decoded_ = std::move(*decoded);
    return decoded_.image.frame();
}

}  // namespace mien::host
