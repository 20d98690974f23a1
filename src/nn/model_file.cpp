// SPDX-License-Identifier: MIT
// Validates the untrusted bytes of a network once, so that it can run without further checks.
#include "nn/model_file.h"

#include <algorithm>
#include <cstring>

#include "base/container.h"

namespace mien {
namespace {

constexpr std::size_t input_bytes = 48, layer_bytes = 64;
constexpr int max_side = 1024, max_classes = 1024, max_tests = 64;
constexpr std::uint64_t max_tensor_elements = std::uint64_t{1} << 28;
// Sides do not grow beyond it, so that no product of shapes overflows; a tensor that large is
// refused.
constexpr int beyond_any_side = 1 << 23;

bool too_large(TensorShape s) noexcept {
    return static_cast<std::uint64_t>(s.height) * static_cast<std::uint64_t>(s.width) *
               static_cast<std::uint64_t>(s.channels) >
           max_tensor_elements;
}

// The zero-terminated string at `offset`, or false when none ends inside the section.
bool text_at(Bytes section, std::size_t offset, std::string_view& out) noexcept {
    if (offset >= section.size()) return false;
    const std::uint8_t* begin = section.data() + offset;
    const auto* end =
        static_cast<const std::uint8_t*>(std::memchr(begin, 0, section.size() - offset));
    if (end == nullptr) return false;
    out = {reinterpret_cast<const char*>(begin), static_cast<std::size_t>(end - begin)};
    return true;
}

// Far beyond any real network, and small enough that no float of the engine can become infinite.
constexpr float largest_factor = 1e18f;
bool valid_factor(float v) noexcept { return v > 0 && v <= largest_factor; }

// Of a sum times its scale: beyond it a conversion to 32 bits might fail.
constexpr double largest_output = 2147483000.0;

bool pools(LayerOp op) noexcept { return op == LayerOp::max_pool || op == LayerOp::avg_pool; }

// A pooling window must touch the input, or there would be nothing to take the mean of.
bool touches(const LayerView& layer, TensorShape in, TensorShape out) noexcept {
    return (out.height - 1) * layer.stride_y - layer.pad_top < in.height &&
           (out.width - 1) * layer.stride_x - layer.pad_left < in.width;
}

// Whether an op of two inputs can take them, whatever the number of channels that it makes: concat
// other channels of the same positions, multiply also one number for each channel.
bool fits(const LayerView& layer, TensorShape in, TensorShape second) noexcept {
    const bool same_size = in.height == second.height && in.width == second.width;
    if (layer.op == LayerOp::concat) return same_size;
    const bool broadcast = layer.op == LayerOp::multiply && second.height == 1 && second.width == 1;
    return in.channels == second.channels && (same_size || broadcast);
}

// UTF-8 without control characters, overlong forms and surrogates (RFC 3629).
bool is_plain_utf8(Bytes text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        const std::uint8_t first = text[at];
        const std::size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || text.size() - at <= more)
            return false;
        std::uint32_t letter = more == 0 ? first : first & (0x3fu >> more);
        for (std::size_t i = 1; i <= more; ++i) {
            if ((text[at + i] & 0xc0) != 0x80) return false;
            letter = letter << 6 | (text[at + i] & 0x3fu);
        }
        constexpr std::uint32_t least[] = {0x20, 0xa0, 0x800, 0x10000};
        if (letter < least[more] || letter == 0x7f || letter > 0x10ffff ||
            (letter >= 0xd800 && letter <= 0xdfff))
            return false;
        at += more + 1;
    }
    return true;
}

// Exactly `count` zero-terminated names of classes: readable, and each another one, since they
// become the keys of results.
bool valid_labels(Bytes section, int count) noexcept {
    if (count == 0) return section.empty();
    if (std::count(section.begin(), section.end(), std::uint8_t{0}) != count || section.empty() ||
        section.back() != 0)
        return false;
    const auto next = [](Bytes& rest) {
        const auto end = std::find(rest.begin(), rest.end(), std::uint8_t{0});
        const Bytes label = rest.first(static_cast<std::size_t>(end - rest.begin()));
        rest = rest.subspan(label.size() + 1);
        return label;
    };
    for (Bytes rest = section; !rest.empty();) {
        const Bytes label = next(rest);
        if (label.empty() || !is_plain_utf8(label)) return false;
        for (Bytes later = rest; !later.empty();) {
            const Bytes other = next(later);
            if (std::equal(label.begin(), label.end(), other.begin(), other.end())) return false;
        }
    }
    return true;
}

}  // namespace

const char* op_name(LayerOp op) noexcept {
    switch (op) {
        case LayerOp::conv: return "conv";
        case LayerOp::depthwise: return "depthwise";
        case LayerOp::max_pool: return "max_pool";
        case LayerOp::avg_pool: return "avg_pool";
        case LayerOp::add: return "add";
        case LayerOp::relu: return "relu";
        case LayerOp::global_avg_pool: return "global_avg_pool";
        case LayerOp::conv_gap: return "conv_gap";
        case LayerOp::upsample2: return "upsample2";
        case LayerOp::table: return "table";
        case LayerOp::concat: return "concat";
        case LayerOp::multiply: return "multiply";
    }
    return "unknown";
}

LayerView ModelAccess::layer(int i) const noexcept {
    const std::uint8_t* p = model.layers_.data() + static_cast<std::size_t>(i) * layer_bytes;
    LayerView layer = {};
    layer.op = static_cast<LayerOp>(p[0]);
    layer.activation = static_cast<Activation>(p[1]);
    layer.output = static_cast<LayerOutput>(p[2]);
    layer.kernel_h = p[4];
    layer.kernel_w = p[5];
    layer.stride_y = p[6];
    layer.stride_x = p[7];
    layer.pad_top = p[8];
    layer.pad_left = p[9];
    layer.pad_bottom = p[10];
    layer.pad_right = p[11];
    layer.input = load_u16(p + 12);
    layer.input2 = load_u16(p + 14);
    layer.out_h = load_u16(p + 16);
    layer.out_w = load_u16(p + 18);
    layer.out_c = load_u16(p + 20);
    layer.weight_offset = load_u32(p + 24);
    layer.bias_index = load_u32(p + 28);
    layer.scale_index = load_u32(p + 32);
    layer.quant = load_f32(p + 36);
    layer.name_offset = load_u32(p + 40);
    layer.tables = load_u32(p + 44);
    text_at(model.names_, layer.name_offset, layer.name);
    return layer;
}

TensorShape ModelAccess::tensor_shape(int t) const noexcept {
    if (t == 0) return {model.input_height_, model.input_width_, model.input_channels_};
    return layer(t - 1).output_shape();
}

TensorShape ModelAccess::shape_of(const LayerView& layer, TensorShape in) noexcept {
    switch (layer.op) {
        case LayerOp::global_avg_pool:
        case LayerOp::conv_gap: return {1, 1, layer.out_c};
        case LayerOp::add:
        case LayerOp::relu:
        case LayerOp::table:
        case LayerOp::concat:
        case LayerOp::multiply: return {in.height, in.width, layer.out_c};
        case LayerOp::upsample2:
            return {std::min(2 * in.height, beyond_any_side),
                    std::min(2 * in.width, beyond_any_side), layer.out_c};
        case LayerOp::conv:
        case LayerOp::depthwise:
        case LayerOp::max_pool:
        case LayerOp::avg_pool: break;
    }
    const int span_h = in.height + layer.pad_top + layer.pad_bottom - layer.kernel_h,
              span_w = in.width + layer.pad_left + layer.pad_right - layer.kernel_w;
    if (span_h < 0 || span_w < 0) return {0, 0, layer.out_c};
    return {span_h / layer.stride_y + 1, span_w / layer.stride_x + 1, layer.out_c};
}

bool ModelAccess::accepts(InputSize size) const noexcept {
    if (size.width == 0 && size.height == 0) return true;
    const int multiple = model.input_multiple_;
    if (size.width == model.input_width_ && size.height == model.input_height_) return true;
    if (multiple == 0 || size.width < 1 || size.height < 1 || size.width > max_frame_side ||
        size.height > max_frame_side || size.width % multiple != 0 || size.height % multiple != 0)
        return false;
    // The shapes that follow: none may vanish or be too large, and what is added must still agree.
    const Shapes shapes(model, size);
    for (int i = 0; i < model.layer_count_; ++i) {
        const LayerView l = layer(i);
        const TensorShape in = shapes.of[l.input], out = shapes.of[i + 1];
        if (out.height < 1 || out.width < 1 || too_large(out)) return false;
        if (l.has_second_input() && !fits(l, in, shapes.of[l.input2])) return false;
        if (pools(l.op) && !touches(l, in, out)) return false;
    }
    for (int i = 0; model.finds_faces() && i < level_count(); ++i) {
        const TensorShape map = shapes.of[level(i).layer + 1];
        if (map.height * level(i).stride != size.height ||
            map.width * level(i).stride != size.width)
            return false;
    }
    return !too_large(shapes.of[0]);
}

Shapes::Shapes(const Model& model, InputSize size) noexcept {
    const ModelAccess access{model};
    of[0] = access.tensor_shape(0);
    if (size.width > 0) {
        of[0].width = size.width;
        of[0].height = size.height;
    }
    for (int i = 0; i < model.layer_count(); ++i) {
        const LayerView layer = access.layer(i);
        of[i + 1] = ModelAccess::shape_of(layer, of[layer.input]);
    }
}

std::uint64_t ModelAccess::weight_count(const LayerView& layer) const noexcept {
    if (!layer.has_weights()) return 0;
    const std::uint64_t taps =
        static_cast<std::uint64_t>(layer.kernel_h) * static_cast<std::uint64_t>(layer.kernel_w);
    const auto out = static_cast<std::uint64_t>(layer.out_c);
    return layer.op == LayerOp::depthwise
               ? taps * out
               : taps * out * static_cast<std::uint64_t>(tensor_shape(layer.input).channels);
}

std::uint64_t ModelAccess::mac_count(const LayerView& layer) const noexcept {
    return std::uint64_t{weight_count(layer)} * static_cast<std::uint64_t>(layer.out_h) *
           static_cast<std::uint64_t>(layer.out_w);
}

NetworkCost ModelAccess::cost() const noexcept {
    InputSize size;
    if (model.input_multiple_ > 0)
        size.width = size.height = max_side / model.input_multiple_ * model.input_multiple_;
    const Shapes shapes(model, size);
    const int count = model.layer_count_;
    double operations = 0, bytes = 0;
    for (int i = 0; i < count; ++i) {
        const LayerView l = layer(i);
        const TensorShape in = shapes.of[l.input],
                          out = l.op == LayerOp::conv_gap ? TensorShape{l.out_h, l.out_w, l.out_c}
                                                          : shapes.of[i + 1];
        const auto values = [](TensorShape s) {
            return static_cast<double>(s.height) * s.width * s.channels;
        };
        double each = 1;  // operations for a value of the output
        if (l.has_weights() || pools(l.op)) each = static_cast<double>(l.kernel_h) * l.kernel_w;
        if (l.op == LayerOp::conv || l.op == LayerOp::conv_gap) each *= in.channels;
        operations += l.op == LayerOp::global_avg_pool ? values(in) : each * values(out);
    }
    // Each tensor from the layer that makes it to the last that reads it, with the widest padding.
    struct Room {
        double bytes;
        int dies;
    } rooms[max_layers + 1];
    for (int t = 0; t <= count; ++t) {
        int pad_h = 0, pad_w = 0;
        rooms[t].dies = t - 1;
        for (int i = t; i < count; ++i) {
            const LayerView l = layer(i);
            if (l.input != t && (!l.has_second_input() || l.input2 != t)) continue;
            rooms[t].dies = i;
            if (!l.has_weights()) continue;
            pad_h = std::max(pad_h, l.pad_top + l.pad_bottom);
            pad_w = std::max(pad_w, l.pad_left + l.pad_right);
        }
        const TensorShape s = shapes.of[t];
        const int value_bytes =
            t > 0 && layer(t - 1).output == LayerOutput::floats ? sizeof(float) : 1;
        rooms[t].bytes =
            static_cast<double>(s.height + pad_h) * (s.width + pad_w) * s.channels * value_bytes;
    }
    for (int i = 0; i < count; ++i) {
        double together = 0;
        for (int t = 0; t <= i + 1; ++t)
            if (t == i + 1 || rooms[t].dies >= i) together += rooms[t].bytes;
        bytes = std::max(bytes, together);
    }
    return {static_cast<std::uint64_t>(operations), static_cast<std::uint64_t>(bytes)};
}

// Every rule of docs/FILE_FORMAT.md for the shapes of layer `index`, the layers before it being
// valid.
bool ModelAccess::valid_layer(int index, const LayerView& layer) const noexcept {
    const std::uint8_t* p = model.layers_.data() + static_cast<std::size_t>(index) * layer_bytes;
    if (p[3] != 0 || load_u16(p + 22) != 0 ||
        std::any_of(p + 48, p + 64, [](std::uint8_t b) { return b != 0; }))
        return false;
    if (p[0] < 1 || p[0] > 12 || p[1] > 1 || p[2] > 1 || layer.name.data() == nullptr) return false;
    if (layer.input > index ||
        (layer.has_second_input() ? layer.input2 > index : layer.input2 != no_tensor) ||
        (layer.op != LayerOp::table && layer.tables != 0))
        return false;
    if (input_unsigned() && (layer.input == 0 || layer.input2 == 0) &&
        (layer.op != LayerOp::conv || layer.output == LayerOutput::floats))
        return false;
    const TensorShape in = tensor_shape(layer.input), out = {layer.out_h, layer.out_w, layer.out_c};
    if (out.height < 1 || out.width < 1 || out.channels < 1 || too_large(out)) return false;

    const bool pool = pools(layer.op);
    if (layer.has_weights() || pool) {
        if (layer.kernel_h < 1 || layer.kernel_w < 1 || layer.stride_y < 1 || layer.stride_x < 1)
            return false;
        if (layer.pad_top >= layer.kernel_h || layer.pad_bottom >= layer.kernel_h ||
            layer.pad_left >= layer.kernel_w || layer.pad_right >= layer.kernel_w)
            return false;
        // What the record says of conv_gap is the convolution before the sum over positions.
        LayerView convolution = layer;
        if (layer.op == LayerOp::conv_gap) convolution.op = LayerOp::conv;
        if (shape_of(convolution, in) != out || (pool && !touches(layer, in, out))) return false;
    } else if (std::any_of(p + 4, p + 8, [](std::uint8_t b) { return b != 1; }) ||
               std::any_of(p + 8, p + 12, [](std::uint8_t b) { return b != 0; })) {
        return false;
    }
    switch (layer.op) {
        case LayerOp::conv:
        case LayerOp::conv_gap: break;
        case LayerOp::depthwise:
        case LayerOp::max_pool:
        case LayerOp::avg_pool:
            if (out.channels != in.channels) return false;
            break;
        case LayerOp::relu:
            if (out != in) return false;
            break;
        case LayerOp::upsample2:
            if (out != shape_of(layer, in) || out.channels != in.channels) return false;
            break;
        case LayerOp::add:
            if (out != in || !fits(layer, in, tensor_shape(layer.input2))) return false;
            break;
        case LayerOp::multiply:
            if (out != in || !fits(layer, in, tensor_shape(layer.input2))) return false;
            break;
        case LayerOp::concat: {
            const TensorShape second = tensor_shape(layer.input2);
            if (!fits(layer, in, second) ||
                out != TensorShape{in.height, in.width, in.channels + second.channels})
                return false;
            break;
        }
        case LayerOp::table:
            if (out != in || !valid_tables(layer)) return false;
            break;
        case LayerOp::global_avg_pool:
            if (out != TensorShape{1, 1, in.channels}) return false;
            // The float sum of bytes must be exact.
            if (static_cast<std::size_t>(in.height) * static_cast<std::size_t>(in.width) >
                (1u << 16))
                return false;
            break;
    }
    const bool may_activate =
        layer.op == LayerOp::conv || layer.op == LayerOp::depthwise || layer.op == LayerOp::add;
    if (layer.activation != Activation::none && !may_activate) return false;
    return valid_output(index, layer);
}

// The scales and weights of a valid_layer().
bool ModelAccess::valid_numbers(const LayerView& layer) const noexcept {
    if (!layer.has_scale()) return true;
    const std::size_t scales =
        layer.op == LayerOp::global_avg_pool ? 1 : static_cast<std::size_t>(layer.out_c);
    const std::size_t scale_total = model.scales_.size() / 4;
    if (layer.scale_index > scale_total || scales > scale_total - layer.scale_index) return false;
    for (std::size_t c = 0; c < scales; ++c)
        if (!valid_factor(scale(layer, static_cast<int>(c))) ||
            (layer.op == LayerOp::multiply &&
             127.0 * 127.0 * static_cast<double>(scale(layer, static_cast<int>(c))) >=
                 largest_output))
            return false;
    return !layer.has_weights() || valid_weights(layer);
}

// Which layers make results. A classifier has one, the last layer, without positions. A network of
// maps has any number of them, the last layer among them, and none is read by another layer.
bool ModelAccess::valid_output(int index, const LayerView& layer) const noexcept {
    const bool last = index == model.layer_count_ - 1;
    const bool result = layer.output == LayerOutput::floats;
    if (result && (layer.activation != Activation::none || !(layer.quant == 0))) return false;
    if (!result && !valid_factor(layer.quant)) return false;
    const auto reads_bytes = [this](int tensor) {
        return tensor == 0 || tensor == no_tensor ||
               this->layer(tensor - 1).output == LayerOutput::bytes;
    };
    if (!reads_bytes(layer.input) || !reads_bytes(layer.input2) || (last && !result)) return false;
    if (model.task_ == Task::maps) {
        if (layer.op == LayerOp::conv_gap || layer.op == LayerOp::global_avg_pool) return false;
        return !result || layer.op == LayerOp::conv || layer.op == LayerOp::depthwise;
    }
    if (result != last || (layer.op == LayerOp::conv_gap && !last)) return false;
    if (!last) return true;
    const bool one_position = layer.op == LayerOp::conv && layer.out_h == 1 && layer.out_w == 1;
    return (layer.op == LayerOp::conv_gap || one_position) && layer.out_c == model.class_count_;
}

// Ranges inside their sections, no -128, and no 32-bit sum can overflow.
bool ModelAccess::valid_weights(const LayerView& layer) const noexcept {
    const auto channels = static_cast<std::size_t>(layer.out_c);
    const std::size_t bias_total = model.biases_.size() / 4;
    if (layer.weight_offset > model.weights_.size() ||
        weight_count(layer) > model.weights_.size() - layer.weight_offset)
        return false;
    const auto count = static_cast<std::size_t>(weight_count(layer));
    if (layer.bias_index > bias_total || channels > bias_total - layer.bias_index) return false;
    const std::int8_t* w = weights(layer);
    const std::int64_t positions =
        layer.op == LayerOp::conv_gap ? std::int64_t{layer.out_h} * layer.out_w : 1;
    const std::size_t per_channel = count / channels;
    for (std::size_t c = 0; c < channels; ++c) {
        std::int64_t magnitude = 0;
        for (std::size_t k = 0; k < per_channel; ++k) {
            const int v =
                layer.op == LayerOp::depthwise ? w[k * channels + c] : w[c * per_channel + k];
            if (v == -128) return false;
            magnitude += v < 0 ? -v : v;
        }
        const std::int64_t bias_value = bias(layer, static_cast<int>(c));
        const int byte = input_unsigned() && layer.input == 0 ? 256 : 127;
        const std::int64_t largest = magnitude * byte + (bias_value < 0 ? -bias_value : bias_value);
        if (largest > INT32_MAX / positions) return false;
        // An output that large would be a thousand times beyond its range; conversions may rely on
        // it fitting in 32 bits.
        if (layer.output != LayerOutput::floats &&
            static_cast<double>(largest) * static_cast<double>(scale(layer, static_cast<int>(c))) >=
                largest_output)
            return false;
    }
    return true;
}

// One table, or one for each channel, inside the section, without -128.
bool ModelAccess::valid_tables(const LayerView& layer) const noexcept {
    if (layer.tables != 1 && layer.tables != static_cast<std::uint32_t>(layer.out_c)) return false;
    const std::size_t count = std::size_t{layer.tables} * table_entries;
    if (layer.weight_offset > model.weights_.size() ||
        count > model.weights_.size() - layer.weight_offset)
        return false;
    const std::int8_t* const first = weights(layer);
    return std::find(first, first + count, std::int8_t{-128}) == first + count;
}

// Levels that lie on a grid over the input at every size, and a crop that five points define.
bool ModelAccess::valid_face() const noexcept {
    constexpr std::size_t head = 56;
    const std::span<const std::uint8_t> face = model.face_;
    if (model.task_ != Task::maps || model.input_channels_ != 3 || model.input_multiple_ == 0 ||
        face.size() < head)
        return false;
    const std::uint32_t levels = load_u32(face.data());
    if (levels < 1 || levels > max_levels || face.size() != head + 8 * std::size_t{levels} ||
        load_u32(face.data() + 4) != 0)
        return false;
    if (!(min_score() > 0 && min_score() <= 1) || !(overlap() >= 0 && overlap() <= 1)) return false;
    double mean_x = 0, mean_y = 0, spread = 0;
    for (int i = 0; i < landmarks; ++i) {
        const Point p = crop_landmark(i);
        if (!(p.x >= -4 && p.x <= 4 && p.y >= -4 && p.y <= 4)) return false;
        mean_x += static_cast<double>(p.x) / landmarks;
        mean_y += static_cast<double>(p.y) / landmarks;
    }
    for (int i = 0; i < landmarks; ++i) {
        const double x = crop_landmark(i).x - mean_x, y = crop_landmark(i).y - mean_y;
        spread += x * x + y * y;
    }
    if (!(spread > 1e-6)) return false;
    for (std::uint32_t i = 0; i < levels; ++i) {
        const std::uint8_t* p = face.data() + head + 8 * std::size_t{i};
        const std::uint32_t index = load_u32(p), stride = load_u32(p + 4);
        if (index >= static_cast<std::uint32_t>(model.layer_count_) || stride < 1 ||
            stride > static_cast<std::uint32_t>(max_side))
            return false;
        const LayerView l = layer(static_cast<int>(index));
        if (l.output != LayerOutput::floats || l.out_c != level_channels ||
            l.out_h * static_cast<int>(stride) != model.input_height_ ||
            l.out_w * static_cast<int>(stride) != model.input_width_)
            return false;
    }
    return true;
}

// What a classifier's probabilities mean: classes that may be unsure, or the values of a quantity.
bool ModelAccess::read_answer(Bytes section, Model& model) noexcept {
    constexpr std::size_t head = 16, unit_bytes = 8;
    if (model.task_ != Task::classify || load_u32(model.input_.data() + 36) != 1 ||
        section.size() < head)
        return false;
    const std::uint32_t kind = load_u32(section.data());
    model.unsure_below_ = load_f32(section.data() + 4);
    const auto* const unit = reinterpret_cast<const char*>(section.data() + 8);
    const char* const unit_end = std::find(unit, unit + unit_bytes, '\0');
    if (!(model.unsure_below_ >= 0 && model.unsure_below_ <= 1) ||
        std::any_of(unit_end, unit + unit_bytes, [](char c) { return c != 0; }))
        return false;
    if (kind == 0) return section.size() == head && unit_end == unit;
    const auto classes = static_cast<std::size_t>(model.class_count_);
    if (kind != 1 || model.unsure_below_ != 0 || classes < 2 ||
        section.size() != head + 4 * classes)
        return false;
    model.unit_ = {unit, static_cast<std::size_t>(unit_end - unit)};
    model.values_ = section.subspan(head);
    for (std::size_t i = 0; i < classes; ++i) {
        const float v = load_f32(model.values_.data() + 4 * i);
        if (!(v >= -largest_factor && v <= largest_factor) ||
            (i > 0 && !(v > load_f32(model.values_.data() + 4 * (i - 1)))))
            return false;
    }
    return true;
}

std::size_t ModelAccess::test_vector_bytes() const noexcept {
    const std::size_t pixels = tensor_shape(0).elements();
    return round_up(pixels, std::size_t{4}) +
           4 * (static_cast<std::size_t>(model.layer_count_) +
                2 * static_cast<std::size_t>(model.class_count_));
}

ModelAccess::TestVector ModelAccess::test_vector(int i) const noexcept {
    const std::uint8_t* p =
        model.tests_.data() + 4 + static_cast<std::size_t>(i) * test_vector_bytes();
    const std::uint8_t* crcs = p + round_up(tensor_shape(0).elements(), std::size_t{4});
    const std::uint8_t* logits = crcs + 4 * static_cast<std::size_t>(model.layer_count_);
    return {p, crcs, logits, logits + 4 * static_cast<std::size_t>(model.class_count_)};
}

Status ModelAccess::open(std::span<const std::uint8_t> file, Model& out, double times) noexcept {
    if (!(times > 0)) return Status::bad_argument;
    Container container;
    if (const Status status = Container::open(file, "NETW", container); status != Status::ok)
        return status;
    Model m;
    m.bytes_ = file;
    Bytes meta;
    if (!container.find("INPT", m.input_) || !container.find("LAYR", m.layers_) ||
        !container.find("WGHT", m.weights_) || !container.find("BIAS", m.biases_) ||
        !container.find("SCAL", m.scales_) || !container.find("NAME", m.names_) ||
        !container.find("LABL", m.labels_) || !container.find("META", meta) ||
        !container.find("TEST", m.tests_))
        return Status::bad_file;
    if (m.input_.size() != input_bytes || m.layers_.size() % layer_bytes != 0 ||
        m.layers_.size() / layer_bytes < 1 || m.layers_.size() / layer_bytes > max_layers ||
        m.biases_.size() % 4 != 0 || m.scales_.size() % 4 != 0 || m.tests_.size() < 4)
        return Status::bad_file;
    m.meta_ = {reinterpret_cast<const char*>(meta.data()), meta.size()};

    const std::uint8_t* p = m.input_.data();
    const std::uint32_t height = load_u32(p), width = load_u32(p + 4), channels = load_u32(p + 8),
                        classes = load_u32(p + 32);
    const std::uint32_t task = p[40], multiple = load_u32(p + 44);
    const bool maps = task == static_cast<std::uint32_t>(Task::maps);
    if (task > 1 || p[41] > 1 || load_u16(p + 42) != 0 ||
        (maps ? classes != 0 || load_u32(p + 36) != 0 || multiple > max_side
              : classes < 1 || multiple != 0))
        return Status::bad_file;
    if (multiple > 0 && (height % multiple != 0 || width % multiple != 0)) return Status::bad_file;
    m.task_ = static_cast<Task>(task);
    m.input_unsigned_ = p[41] == 1;
    m.input_multiple_ = static_cast<int>(multiple);
    if (height < 1 || height > max_side || width < 1 || width > max_side ||
        (channels != 1 && channels != 3) || classes > max_classes || load_u32(p + 36) > 1)
        return Status::bad_file;
    m.input_height_ = static_cast<int>(height);
    m.input_width_ = static_cast<int>(width);
    m.input_channels_ = static_cast<int>(channels);
    m.class_count_ = static_cast<int>(classes);
    m.input_scale_ = load_f32(p + 12);
    m.input_offset_ = load_f32(p + 16);
    m.input_quant_ = load_f32(p + 20);
    m.margin_x_ = load_f32(p + 24);
    m.margin_y_ = load_f32(p + 28);
    const auto moderate = [](float v) { return v >= -largest_factor && v <= largest_factor; };
    if (!moderate(m.input_scale_) || !moderate(m.input_offset_) || !valid_factor(m.input_quant_) ||
        m.input_quant_ < 1 / largest_factor)
        return Status::bad_file;
    for (const float margin : {m.margin_x_, m.margin_y_})
        if (!(margin >= -0.4f && margin <= 4.0f)) return Status::bad_file;
    if (!valid_labels(m.labels_, m.class_count_)) return Status::bad_file;

    m.layer_count_ = static_cast<int>(m.layers_.size() / layer_bytes);
    const ModelAccess access{m};
    for (int i = 0; i < m.layer_count_; ++i)
        if (!access.valid_layer(i, access.layer(i))) return Status::bad_file;
    m.cost_ = access.cost();
    const auto exceeds = [times](std::uint64_t cost, std::uint64_t limit) {
        return static_cast<double>(cost) > times * static_cast<double>(limit);
    };
    if (exceeds(m.cost_.operations, network_limit.operations) ||
        exceeds(m.cost_.bytes, network_limit.bytes)) {
        out = {};
        out.cost_ = m.cost_;
        return Status::too_costly;
    }
    for (int i = 0; i < m.layer_count_; ++i)
        if (!access.valid_numbers(access.layer(i))) return Status::bad_file;

    const std::uint32_t tests = load_u32(m.tests_.data());
    if (tests > max_tests || m.tests_.size() - 4 != tests * access.test_vector_bytes())
        return Status::bad_file;
    m.test_count_ = static_cast<int>(tests);
    if (container.find("FACE", m.face_) && !access.valid_face()) return Status::bad_file;
    if (Bytes answer; container.find("ANSW", answer) && !read_answer(answer, m))
        return Status::bad_file;
    out = m;
    return Status::ok;
}

MapSize Model::class_map_size() const noexcept {
    if (layer_count_ == 0) return {};
    const ModelAccess access{*this};
    const LayerView last = access.layer(layer_count_ - 1);
    if (last.op == LayerOp::conv_gap) return {last.out_w, last.out_h};
    if (layer_count_ < 2 || last.input != layer_count_ - 1 || last.kernel_h != 1 ||
        last.kernel_w != 1)
        return {};
    const LayerView before = access.layer(layer_count_ - 2);
    if (before.op != LayerOp::global_avg_pool) return {};
    const TensorShape in = access.tensor_shape(before.input);
    return {in.width, in.height};
}

Status Model::open(std::span<const std::uint8_t> bytes, Model& out, double times) noexcept {
    return ModelAccess::open(bytes, out, times);
}

float Model::unsure_below(float min_confidence) const noexcept {
    if (layer_count_ == 0 || answers_quantity() || !ModelAccess{*this}.softmax()) return 0;
    return min_confidence < 0 ? unsure_below_ : min_confidence;
}

std::string_view Model::unit() const noexcept { return unit_; }

std::optional<float> Model::value(int i) const noexcept {
    const auto at = 4 * static_cast<std::size_t>(i);
    if (i < 0 || at >= values_.size()) return {};
    return load_f32(values_.data() + at);
}

Quantity Model::quantity(std::span<const float> probabilities) const noexcept {
    const std::size_t classes = values_.size() / 4;
    if (classes == 0 || probabilities.size() != classes) return {};
    const auto v = [this](std::size_t i) {
        return static_cast<double>(load_f32(values_.data() + 4 * i));
    };
    double total = 0, sum = 0;
    for (std::size_t i = 0; i < classes; ++i) {
        const auto p = static_cast<double>(probabilities[i]);
        total += p;
        sum += p * v(i);
    }
    if (!(total > 0)) return {};
    const auto edge = [&](std::size_t i) {
        if (i == 0) {
            const double mirrored = v(0) - (v(1) - v(0)) / 2;
            return v(0) >= 0 ? std::max(mirrored, 0.0) : mirrored;
        }
        if (i == classes) return v(i - 1) + (v(i - 1) - v(i - 2)) / 2;
        return (v(i - 1) + v(i)) / 2;
    };
    const auto quantile = [&](double share) {
        const double wanted = share * total;
        double below = 0;
        std::size_t i = 0;
        for (; i + 1 < classes && below + static_cast<double>(probabilities[i]) < wanted; ++i)
            below += static_cast<double>(probabilities[i]);
        const double part = (wanted - below) / static_cast<double>(probabilities[i]);
        return edge(i) + (edge(i + 1) - edge(i)) * std::clamp(part, 0.0, 1.0);
    };
    const double value = sum / total;
    return {static_cast<float>(value), static_cast<float>(std::min(quantile(0.1), value)),
            static_cast<float>(std::max(quantile(0.9), value))};
}

std::string_view Model::label(int i) const noexcept {
    if (i < 0 || i >= class_count_) return {};
    std::size_t offset = 0;
    std::string_view text;
    for (int k = 0; k <= i; ++k) {
        if (!text_at(labels_, offset, text)) return {};
        offset += text.size() + 1;
    }
    return text;
}

}  // namespace mien
