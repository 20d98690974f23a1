// SPDX-License-Identifier: MIT
// OpenCV's cascade XML to the bytes of a .mien file, with the numbers as OpenCV itself stores them:
// every decimal becomes a double, then a float; thresholds of stages are lowered by 1e-5 in float.
// tools/mien_tools/cascade.py is the same in Python; tests compare their bytes.
#include "mien/cascade_xml.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <system_error>
#include <utility>
#include <version>
#ifdef __cpp_lib_to_chars
#include <charconv>
#else
#include <locale>
#include <sstream>
#endif

#include "base/bytes.h"
#include "base/crc32.h"
#include "opencv/sha256.h"
#include "opencv/xml.h"

namespace mien {
namespace opencv {
namespace {

constexpr int none = XmlElement::none;
constexpr float third_ignored_in_old_files = 1.1920929e-07f;  // FLT_EPSILON, as OpenCV has it

// Locale or not, a decimal means the same. `word` has no spaces.
bool number_of(std::string_view word, double& value) {
    if (word.starts_with('+')) word.remove_prefix(1);
#ifdef __cpp_lib_to_chars
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (end != word.data() + word.size()) return false;
    if (error == std::errc::result_out_of_range) {
        const std::size_t exponent = word.find_first_of("eE");
        const bool small = exponent != std::string_view::npos && exponent + 1 < word.size() &&
                           word[exponent + 1] == '-';
        value = small ? 0 : HUGE_VAL;
        return true;
    }
    return error == std::errc();
#else
    std::istringstream stream{std::string(word)};
    stream.imbue(std::locale::classic());
    return stream >> value && stream.eof();
#endif
}

struct Node {
    int left, right;
    std::uint32_t feature;
    float threshold;
};
struct Tree {
    std::size_t first_node, first_leaf;
    std::size_t nodes, leaves;
};
struct Stage {
    std::size_t first_tree, trees;
    float threshold;
};
struct Feature {
    bool tilted = false;
    int count = 0;
    struct {
        int x, y, width, height;
        float weight;
    } rects[3] = {};
};

class Reader {
public:
    explicit Reader(XmlDocument& document) : xml_(document) {}

    [[nodiscard]] bool read();
    [[nodiscard]] std::vector<std::uint8_t> encode(std::span<const std::uint8_t> file,
                                                   std::string_view name);

private:
    using Numbers = std::vector<double>;

    bool fail(int element, const std::string& what) {
        return xml_.fail(xml_.element(element).at, what);
    }
    static std::string tag(const XmlElement& element) {
        return "<" + std::string(element.name.substr(0, 40)) + ">";
    }
    bool child(int parent, std::string_view name, int& out) {
        out = xml_.find(parent, name);
        return out != none || fail(parent, "<" + std::string(name) + "> is missing in " +
                                               tag(xml_.element(parent)));
    }
    bool numbers(int element, Numbers& out);
    bool number(int parent, std::string_view name, double& out);
    bool integer(int element, double value, const char* what, int& out);
    bool stage_threshold(int stage, std::string_view name, float& out);
    bool read_feature(int element, float ignored_third);
    bool read_new(int cascade);
    bool read_new_tree(int element);
    bool read_old(int cascade);
    bool read_old_tree(int element);
    bool read_old_node(int element, std::size_t first_leaf);
    bool finish_tree(int element);
    bool check_features(int element, const std::vector<int>& where);
    // Renumbers so that each child comes after its parent.
    bool parents_first(const Tree& tree);
    [[nodiscard]] std::string meta(std::span<const std::uint8_t> file, std::string_view name) const;

    XmlDocument& xml_;
    Numbers scratch_;
    int width_ = 0, height_ = 0;
    std::vector<Stage> stages_;
    std::vector<Tree> trees_;
    std::vector<int> tree_elements_;
    std::vector<Node> nodes_;
    std::vector<float> leaves_;
    std::vector<Feature> features_;
    std::vector<float> weights_;  // of rectangles: different ones, ascending
    bool stumps_ = false;
};

// ---- values ----

bool Reader::numbers(int index, Numbers& out) {
    const XmlElement& element = xml_.element(index);
    out.clear();
    if (element.first_child != none) return fail(index, tag(element) + " holds elements");
    const std::string_view text = element.inner;
    for (std::size_t at = 0; at < text.size();) {
        if (is_space(text[at])) {
            ++at;
        } else if (text[at] == '<') {  // a comment, or it would be a child
            at = std::min(text.find("-->", at), text.size() - 3) + 3;
        } else {
            std::size_t end = at;
            while (end < text.size() && !is_space(text[end]) && text[end] != '<') ++end;
            double value = 0;
            if (!number_of(text.substr(at, end - at), value))
                return fail(index, tag(element) + " holds something that is not a number");
            if (!is_finite(static_cast<float>(value)))
                return fail(index, tag(element) + " holds a number that is not finite");
            out.push_back(value);
            at = end;
        }
    }
    return true;
}

bool Reader::number(int parent, std::string_view name, double& out) {
    int element = none;
    if (!child(parent, name, element) || !numbers(element, scratch_)) return false;
    if (scratch_.size() != 1) return fail(element, "<" + std::string(name) + "> is not one number");
    out = scratch_[0];
    return true;
}

bool Reader::integer(int element, double value, const char* what, int& out) {
    if (value != std::floor(value) || std::abs(value) > 1 << 30)
        return fail(element, std::string(what) + " is not an integer");
    out = static_cast<int>(value);
    return true;
}

bool Reader::stage_threshold(int stage, std::string_view name, float& out) {
    double value = 0;
    if (!number(stage, name, value)) return false;
    out = static_cast<float>(value) - 1e-5f;
    return true;
}

bool Reader::read_feature(int element, float ignored_third) {
    int list = none;
    if (!child(element, "rects", list)) return false;
    Feature feature;
    for (int r = xml_.element(list).first_child; r != none; r = xml_.element(r).next) {
        if (feature.count == 3) return fail(r, "a feature of more than three rectangles");
        if (!numbers(r, scratch_)) return false;
        if (scratch_.size() != 5) return fail(r, "a rectangle is not x y width height weight");
        auto& rect = feature.rects[feature.count++];
        const char* const what = "a number of a rectangle";
        if (!integer(r, scratch_[0], what, rect.x) || !integer(r, scratch_[1], what, rect.y) ||
            !integer(r, scratch_[2], what, rect.width) ||
            !integer(r, scratch_[3], what, rect.height))
            return false;
        rect.weight = static_cast<float>(scratch_[4]);
    }
    if (feature.count == 0) return fail(list, "a feature without rectangles");
    // OpenCV leaves it out of the sum.
    if (feature.count == 3 && std::abs(feature.rects[2].weight) <= ignored_third) --feature.count;
    if (const int tilted = xml_.find(element, "tilted"); tilted != none) {
        if (!numbers(tilted, scratch_)) return false;
        feature.tilted =
            std::any_of(scratch_.begin(), scratch_.end(), [](double value) { return value != 0; });
    }
    features_.push_back(feature);
    return true;
}

// ---- the two layouts ----

bool Reader::read_new(int cascade) {
    int stage_type = none, feature_type = none, features = none, stages = none;
    if (!child(cascade, "stageType", stage_type) || !child(cascade, "featureType", feature_type))
        return false;
    const auto word = [&](int element) {
        std::string_view text = xml_.element(element).inner;
        while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
        while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
        return text;
    };
    if (word(feature_type) == "LBP" || word(feature_type) == "HOG")
        return fail(feature_type, "is a cascade of " + std::string(word(feature_type)) +
                                      " features; mien reads those of Haar features");
    if (word(feature_type) != "HAAR")
        return fail(feature_type, "the cascade's featureType is not HAAR");
    if (word(stage_type) != "BOOST")
        return fail(stage_type, "the cascade's stageType is not BOOST");
    double width = 0, height = 0;
    if (!number(cascade, "width", width) || !number(cascade, "height", height) ||
        !integer(cascade, width, "<width>", width_) ||
        !integer(cascade, height, "<height>", height_) || !child(cascade, "features", features))
        return false;
    std::vector<int> where;
    for (int f = xml_.element(features).first_child; f != none; f = xml_.element(f).next) {
        if (!read_feature(f, 0)) return false;
        where.push_back(f);
    }
    if (!check_features(features, where) || !child(cascade, "stages", stages)) return false;
    for (int s = xml_.element(stages).first_child; s != none; s = xml_.element(s).next) {
        Stage stage = {trees_.size(), 0, 0};
        int weak = none;
        if (!child(s, "weakClassifiers", weak)) return false;
        for (int t = xml_.element(weak).first_child; t != none; t = xml_.element(t).next)
            if (!read_new_tree(t)) return false;
        stage.trees = trees_.size() - stage.first_tree;
        if (!stage_threshold(s, "stageThreshold", stage.threshold)) return false;
        if (stage.trees == 0) return fail(s, "a stage without trees");
        stages_.push_back(stage);
    }
    return !stages_.empty() || fail(stages, "no stages");
}

bool Reader::read_new_tree(int element) {
    int nodes = none, leaves = none;
    if (!child(element, "internalNodes", nodes) || !numbers(nodes, scratch_)) return false;
    if (scratch_.empty() || scratch_.size() % 4 != 0)
        return fail(nodes, "<internalNodes> are not four numbers a node");
    Tree tree = {nodes_.size(), leaves_.size(), scratch_.size() / 4, 0};
    for (std::size_t i = 0; i < scratch_.size(); i += 4) {
        Node node = {};
        int feature = 0;
        const char* const what = "a number of <internalNodes>";
        if (!integer(nodes, scratch_[i], what, node.left) ||
            !integer(nodes, scratch_[i + 1], what, node.right) ||
            !integer(nodes, scratch_[i + 2], what, feature))
            return false;
        if (feature < 0 || static_cast<std::size_t>(feature) >= features_.size())
            return fail(nodes, "a node of feature " + std::to_string(feature) + ", there are " +
                                   std::to_string(features_.size()));
        node.feature = static_cast<std::uint32_t>(feature);
        node.threshold = static_cast<float>(scratch_[i + 3]);
        nodes_.push_back(node);
    }
    if (!child(element, "leafValues", leaves) || !numbers(leaves, scratch_)) return false;
    for (const double value : scratch_) leaves_.push_back(static_cast<float>(value));
    tree.leaves = scratch_.size();
    trees_.push_back(tree);
    return finish_tree(element);
}

bool Reader::read_old(int cascade) {
    int size = none, stages = none;
    if (!child(cascade, "size", size) || !numbers(size, scratch_)) return false;
    if (scratch_.size() != 2) return fail(size, "<size> is not width height");
    if (!integer(size, scratch_[0], "the width", width_) ||
        !integer(size, scratch_[1], "the height", height_) || !child(cascade, "stages", stages))
        return false;
    for (int s = xml_.element(stages).first_child; s != none; s = xml_.element(s).next) {
        Stage stage = {trees_.size(), 0, 0};
        int trees = none;
        if (!child(s, "trees", trees)) return false;
        for (int t = xml_.element(trees).first_child; t != none; t = xml_.element(t).next)
            if (!read_old_tree(t)) return false;
        stage.trees = trees_.size() - stage.first_tree;
        if (!stage_threshold(s, "stage_threshold", stage.threshold)) return false;
        if (stage.trees == 0) return fail(s, "a stage without trees");
        stages_.push_back(stage);
    }
    return !stages_.empty() || fail(stages, "no stages");
}

bool Reader::read_old_tree(int element) {
    Tree tree = {nodes_.size(), leaves_.size(), 0, 0};
    std::vector<int> where;
    for (int n = xml_.element(element).first_child; n != none; n = xml_.element(n).next) {
        if (!read_old_node(n, tree.first_leaf)) return false;
        where.push_back(n);
    }
    tree.nodes = nodes_.size() - tree.first_node;
    tree.leaves = leaves_.size() - tree.first_leaf;
    trees_.push_back(tree);
    return check_features(element, where) && finish_tree(element);
}

bool Reader::read_old_node(int element, std::size_t first_leaf) {
    Node node = {};
    for (const bool is_left : {true, false}) {
        int& out = is_left ? node.left : node.right;
        const char* const link = is_left ? "left_node" : "right_node";
        double value = 0;
        if (xml_.find(element, link) != none) {
            if (!number(element, link, value) || !integer(element, value, link, out)) return false;
            if (out < 1) return fail(element, std::string("<") + link + "> is below 1");
        } else {  // leaves are numbered as they appear
            if (!number(element, is_left ? "left_val" : "right_val", value)) return false;
            out = -static_cast<int>(leaves_.size() - first_leaf);
            leaves_.push_back(static_cast<float>(value));
        }
    }
    double threshold = 0;
    int feature = none;
    if (!number(element, "threshold", threshold) || !child(element, "feature", feature) ||
        !read_feature(feature, third_ignored_in_old_files))
        return false;
    node.threshold = static_cast<float>(threshold);
    node.feature = static_cast<std::uint32_t>(features_.size() - 1);
    nodes_.push_back(node);
    return true;
}

// ---- the rules of docs/FILE_FORMAT.md ----

// The last where.size() features, which are of these elements.
bool Reader::check_features(int element, const std::vector<int>& where) {
    if (where.empty()) return fail(element, "no features");
    const std::size_t first = features_.size() - where.size();
    for (std::size_t i = 0; i < where.size(); ++i) {
        const Feature& feature = features_[first + i];
        for (int r = 0; r < feature.count; ++r) {
            const auto& [x, y, w, h, weight] = feature.rects[r];
            const bool sane = x >= 0 && y >= 0 && w >= 1 && h >= 1 && x <= 255 && y <= 255 &&
                              w <= 255 && h <= 255;
            const bool inside = feature.tilted
                                    ? x - h >= 0 && x + w <= width_ && y + w + h <= height_
                                    : x + w <= width_ && y + h <= height_;
            if (!sane || !inside) return fail(where[i], "a rectangle that leaves the window");
        }
    }
    return true;
}

bool Reader::finish_tree(int element) {
    const Tree& tree = trees_.back();
    tree_elements_.push_back(element);
    if (tree.nodes == 0 || tree.nodes > 32767 || tree.leaves != tree.nodes + 1)
        return fail(element, "a tree of " + std::to_string(tree.nodes) + " nodes and " +
                                 std::to_string(tree.leaves) + " leaves");
    return true;
}

bool Reader::parents_first(const Tree& tree) {
    const auto count = static_cast<int>(tree.nodes);
    const auto node = [&](int n) -> Node& {
        return nodes_[tree.first_node + static_cast<std::size_t>(n)];
    };
    bool in_order = true;
    for (int n = 0; n < count; ++n) {
        for (const int child : {node(n).left, node(n).right}) {
            if (child >= count || child < -count) return false;
            in_order = in_order && (child <= 0 || child > n);
        }
    }
    if (in_order) return true;
    std::vector<int> waiting(tree.nodes), place(tree.nodes), order;  // parents not placed yet
    for (int n = 0; n < count; ++n)
        for (const int child : {node(n).left, node(n).right})
            if (child > 0) ++waiting[static_cast<std::size_t>(child)];
    for (int n = 0; n < count; ++n)
        if (waiting[static_cast<std::size_t>(n)] == 0) order.push_back(n);
    for (std::size_t i = 0; i < order.size(); ++i) {
        const Node parent = node(order[i]);
        place[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
        for (const int child : {parent.left, parent.right})
            if (child > 0 && --waiting[static_cast<std::size_t>(child)] == 0)
                order.push_back(child);
    }
    if (order.size() != tree.nodes || order[0] != 0) return false;
    std::vector<Node> sorted;
    for (const int n : order) {
        sorted.push_back(node(n));
        for (int* const child : {&sorted.back().left, &sorted.back().right})
            if (*child > 0) *child = place[static_cast<std::size_t>(*child)];
    }
    std::copy(sorted.begin(), sorted.end(),
              nodes_.begin() + static_cast<std::ptrdiff_t>(tree.first_node));
    return true;
}

bool Reader::read() {
    const int root = 0, body = xml_.element(root).first_child;
    if (xml_.element(root).name != "opencv_storage" || body == none)
        return fail(root, "not an OpenCV cascade");
    const std::string_view type = XmlDocument::attribute(xml_.element(body), "type_id");
    if (type == "opencv-haar-classifier") {
        if (!read_old(body)) return false;
    } else if (xml_.find(body, "featureType") != none) {
        if (!read_new(body)) return false;
    } else {
        return fail(body, "not an OpenCV cascade");
    }
    if (width_ < 4 || width_ > 255 || height_ < 4 || height_ > 255)
        return fail(body, "a window of " + std::to_string(width_) + " x " +
                              std::to_string(height_) + ", 4 x 4 to 255 x 255 are possible");
    stumps_ = std::all_of(trees_.begin(), trees_.end(), [](const Tree& t) { return t.nodes == 1; });
    // OpenCV evaluates such cascades without looking at the children.
    if (stumps_)
        for (Node& node : nodes_) node.left = 0, node.right = -1;
    for (std::size_t t = 0; t < trees_.size(); ++t)
        if (!parents_first(trees_[t]))
            return fail(tree_elements_[t],
                        "a tree whose nodes form a loop or name nodes that are not there");
    for (const Feature& feature : features_)
        for (int r = 0; r < feature.count; ++r) {
            const float weight = feature.rects[r].weight;
            const auto at = std::lower_bound(weights_.begin(), weights_.end(), weight);
            if (at == weights_.end() || *at != weight) weights_.insert(at, weight);
            if (weights_.size() > 256) return fail(body, "more than 256 different weights");
        }
    if (stumps_ && features_.size() > 65536) return fail(body, "more than 65536 features");
    return true;
}

// ---- the file ----

void put_u16(std::vector<std::uint8_t>& out, std::uint32_t value) {
    for (int i = 0; i < 2; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
void put_u32(std::vector<std::uint8_t>& out, std::size_t value) {
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
void put_f32(std::vector<std::uint8_t>& out, float value) {
    put_u32(out, std::bit_cast<std::uint32_t>(value));
}

// The length of the UTF-8 sequence that `text` begins with; 0: it begins with none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
    };
    const std::uint8_t first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
    const bool outside = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
    return overlong || outside ? 0 : length;
}

// As json.dumps of Python writes it, letters beyond ASCII unescaped. What is not UTF-8 is taken for
// Latin-1.
std::string json_string(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const auto c = static_cast<std::uint8_t>(text[0]);
        if (length == 0) {
            out += static_cast<char>(0xc0 | c >> 6);
            out += static_cast<char>(0x80 | (c & 0x3f));
        } else if (length > 1) {
            out += text.substr(0, length);
        } else if (c == '"' || c == '\\') {
            (out += '\\') += text[0];
        } else if (c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f') {
            (out += '\\') += c == '\n'   ? 'n'
                             : c == '\r' ? 'r'
                             : c == '\t' ? 't'
                             : c == '\b' ? 'b'
                                         : 'f';
        } else if (c < 0x20) {
            (out += "\\u00") += c < 0x10 ? '0' : '1';
            out += "0123456789abcdef"[c & 15];
        } else {
            out += text[0];
        }
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return out + '"';
}

// Comments as XML gives them, with one kind of line end, and joined: the license.
std::string license_of(const std::vector<std::string_view>& comments) {
    std::string all;
    for (const std::string_view comment : comments) {
        std::string text;
        for (std::size_t i = 0; i < comment.size(); ++i) {
            if (comment[i] != '\r')
                text += comment[i];
            else if (i + 1 == comment.size() || comment[i + 1] != '\n')
                text += '\n';
        }
        if (std::all_of(text.begin(), text.end(), is_space)) continue;
        const std::size_t first = text.find_first_not_of('\n'), last = text.find_last_not_of('\n');
        if (!all.empty()) all += "\n\n";
        all += text.substr(first, last + 1 - first);
    }
    return all;
}

std::string Reader::meta(std::span<const std::uint8_t> file, std::string_view name) const {
    name = name.substr(name.find_last_of('/') + 1);
    const std::size_t dot = name.find_last_of('.'), letter = name.find_first_not_of('.');
    const std::string_view stem =
        dot != std::string_view::npos && letter < dot ? name.substr(0, dot) : name;
    const auto count = [](std::size_t n) { return std::to_string(n); };
    return "{\n \"name\": " + json_string(stem) +
           ",\n \"source\": {\n  \"file\": " + json_string(name) + ",\n  \"sha256\": \"" +
           sha256(file) + "\"\n },\n \"converter\": \"mien convert_cascade 1.0\",\n \"stages\": " +
           count(stages_.size()) + ",\n \"trees\": " + count(trees_.size()) +
           ",\n \"nodes\": " + count(nodes_.size()) +
           ",\n \"licence_text\": " + json_string(license_of(xml_.comments())) + "\n}";
}

std::vector<std::uint8_t> Reader::encode(std::span<const std::uint8_t> file,
                                         std::string_view name) {
    using Section = std::pair<const char*, std::vector<std::uint8_t>>;
    Section sections[] = {{"WIND", {}}, {"STAG", {}}, {"TREE", {}}, {"NODE", {}},
                          {"LEAF", {}}, {"FEAT", {}}, {"WGHT", {}}, {"META", {}}};
    auto& [window, stage_bytes, tree_bytes, node_bytes, leaf_bytes, feature_bytes, weight_bytes,
           meta_bytes] = sections;
    for (const int value : {width_, height_, stumps_ ? 1 : 0, 0})
        put_u32(window.second, static_cast<std::size_t>(value));
    for (const Stage& stage : stages_) {
        put_u32(stage_bytes.second, stage.first_tree);
        put_u32(stage_bytes.second, stage.trees);
        put_f32(stage_bytes.second, stage.threshold);
    }
    if (!stumps_)
        for (const Tree& tree : trees_)
            for (const std::size_t value :
                 {tree.first_node, tree.first_leaf, tree.nodes, std::size_t{0}})
                put_u32(tree_bytes.second, value);
    for (const Node& node : nodes_) {
        if (!stumps_)
            for (const int child : {node.left, node.right})
                put_u16(node_bytes.second, static_cast<std::uint32_t>(child));
        if (stumps_)
            put_u16(node_bytes.second, node.feature);
        else
            put_u32(node_bytes.second, node.feature);
        put_f32(node_bytes.second, node.threshold);
    }
    for (const float leaf : leaves_) put_f32(leaf_bytes.second, leaf);
    for (const Feature& feature : features_) {
        std::uint8_t record[16] = {
            static_cast<std::uint8_t>(feature.count | (feature.tilted ? 0x80 : 0))};
        for (int r = 0; r < feature.count; ++r) {
            const auto& [x, y, w, h, weight] = feature.rects[r];
            const auto which = std::lower_bound(weights_.begin(), weights_.end(), weight);
            std::uint8_t* const out = record + 1 + 5 * r;
            for (int i = 0; const int value : {x, y, w, h})
                out[i++] = static_cast<std::uint8_t>(value);
            out[4] = static_cast<std::uint8_t>(which - weights_.begin());
        }
        feature_bytes.second.insert(feature_bytes.second.end(), record, record + sizeof record);
    }
    for (const float weight : weights_) put_f32(weight_bytes.second, weight);
    const std::string text = meta(file, name);
    meta_bytes.second.assign(text.begin(), text.end());

    constexpr std::size_t alignment = 16, header = 32, entry = 16, crc_at = 24;
    std::size_t at = header + entry * std::size(sections);
    std::vector<std::uint8_t> out = {'M', 'I', 'E', 'N', 1, 0, 0, 0, 'C', 'A', 'S', 'C'};
    put_u32(out, std::size(sections));
    for (int i = 0; i < 4; ++i) put_u32(out, 0);  // size and checksum, below
    for (const auto& [tag, bytes] : sections) {
        out.insert(out.end(), tag, tag + 4);
        put_u32(out, at);
        put_u32(out, bytes.size());
        put_u32(out, 0);
        at += round_up(bytes.size(), alignment);
    }
    out.reserve(at);
    for (const auto& [tag, bytes] : sections) {
        out.insert(out.end(), bytes.begin(), bytes.end());
        out.resize(round_up(out.size(), alignment));
    }
    const auto patch = [&](std::size_t where, std::size_t value) {
        for (std::size_t i = 0; i < 4; ++i)
            out[where + i] = static_cast<std::uint8_t>(value >> (8 * i));
    };
    patch(16, out.size());
    const std::span<const std::uint8_t> all = out;
    patch(crc_at, crc32(all.subspan(crc_at + 4), crc32(all.first(crc_at))));
    return out;
}

}  // namespace
}  // namespace opencv

bool is_xml(std::span<const std::uint8_t> bytes) noexcept {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    while (!text.empty() && opencv::is_space(text.front())) text.remove_prefix(1);
    return text.starts_with('<');
}

std::vector<std::uint8_t> cascade_of_xml(std::span<const std::uint8_t> xml, std::string_view name,
                                         std::string& error) {
    error.clear();
    if (xml.size() > max_cascade_xml_bytes) {
        error = "too large for a cascade: more than 64 MiB of XML";
        return {};
    }
    opencv::XmlDocument document;
    opencv::Reader reader(document);
    if (!document.parse({reinterpret_cast<const char*>(xml.data()), xml.size()}) ||
        !reader.read()) {
        error = document.error();
        return {};
    }
    return reader.encode(xml, name);
}

}  // namespace mien
