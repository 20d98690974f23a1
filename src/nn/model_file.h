// SPDX-License-Identifier: MIT
// Typed access to the records of an opened (hence valid) Model; docs/FILE_FORMAT.md, NETW.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "mien/mien.hpp"

namespace mien {

enum class LayerOp : std::uint8_t {
    conv = 1,
    depthwise = 2,
    max_pool = 3,
    avg_pool = 4,
    add = 5,
    relu = 6,
    global_avg_pool = 7,
    conv_gap = 8,
    upsample2 = 9,
    table = 10,
    concat = 11,
    multiply = 12,
};
[[nodiscard]] const char* op_name(LayerOp op) noexcept;

enum class Activation : std::uint8_t { none = 0, relu = 1 };
// bytes: a tensor that later layers read. floats: int32 sum times scale, a result of the network.
enum class LayerOutput : std::uint8_t { bytes = 0, floats = 1 };

// Shape of a tensor of the network, channels last, without any padding.
struct TensorShape {
    int height, width, channels;
    friend bool operator==(const TensorShape&, const TensorShape&) = default;
    [[nodiscard]] std::size_t elements() const noexcept {
        return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
               static_cast<std::size_t>(channels);
    }
};

constexpr int no_tensor = 0xffff;

// The side of an input; 0 x 0: the size that the file records.
struct InputSize {
    int width = 0, height = 0;
};

// Entries of one table: for the values -128..127, in this order; -128 never occurs.
constexpr int table_entries = 256;

// Layer i reads tensor `input` (and `input2`) and makes tensor i + 1; tensor 0 is the image.
struct LayerView {
    LayerOp op;
    Activation activation;
    LayerOutput output;
    int kernel_h, kernel_w, stride_y, stride_x;
    int pad_top, pad_left, pad_bottom, pad_right;
    int input, input2;
    // of the record: for conv_gap and global pooling see output_shape()
    int out_h, out_w, out_c;
    std::uint32_t weight_offset, bias_index, scale_index, name_offset;
    std::uint32_t tables;  // of op table: 1, or one for each channel; else 0
    float quant;           // real value of one step of the output; 0 for logits
    std::string_view name;

    [[nodiscard]] bool has_weights() const noexcept {
        return op == LayerOp::conv || op == LayerOp::depthwise || op == LayerOp::conv_gap;
    }
    [[nodiscard]] bool has_scale() const noexcept {
        return has_weights() || op == LayerOp::global_avg_pool || op == LayerOp::multiply;
    }
    [[nodiscard]] bool has_second_input() const noexcept {
        return op == LayerOp::add || op == LayerOp::concat || op == LayerOp::multiply;
    }
    // What the layer really makes: 1 x 1 x channels for the ops that reduce over positions.
    [[nodiscard]] TensorShape output_shape() const noexcept {
        if (op == LayerOp::conv_gap || op == LayerOp::global_avg_pool) return {1, 1, out_c};
        return {out_h, out_w, out_c};
    }
};

struct ModelAccess {
    static constexpr int max_layers = 256;

    const Model& model;

    [[nodiscard]] LayerView layer(int i) const noexcept;
    // Shape of tensor t: 0 the input, i + 1 the output of layer i.
    [[nodiscard]] TensorShape tensor_shape(int t) const noexcept;
    // Shape of what `layer` makes of an input of that shape.
    [[nodiscard]] static TensorShape shape_of(const LayerView& layer, TensorShape in) noexcept;
    // True when the network can run on an input of that size (0 x 0: always).
    [[nodiscard]] bool accepts(InputSize size) const noexcept;
    [[nodiscard]] std::uint64_t weight_count(const LayerView& layer) const noexcept;
    [[nodiscard]] std::uint64_t mac_count(const LayerView& layer) const noexcept;
    // Canonical weights, [out][kernel y][kernel x][in], or [kernel y][kernel x][channel] of a
    // depthwise layer.
    [[nodiscard]] const std::int8_t* weights(const LayerView& layer) const noexcept {
        return reinterpret_cast<const std::int8_t*>(model.weights_.data()) + layer.weight_offset;
    }
    // The table of a channel.
    [[nodiscard]] const std::int8_t* table(const LayerView& layer, int channel) const noexcept {
        return weights(layer) + (layer.tables > 1 ? std::ptrdiff_t{channel} * table_entries : 0);
    }
    [[nodiscard]] std::int32_t bias(const LayerView& layer, int channel) const noexcept {
        return load_i32(model.biases_.data() +
                        (layer.bias_index + static_cast<std::size_t>(channel)) * 4);
    }
    [[nodiscard]] float scale(const LayerView& layer, int channel) const noexcept {
        return load_f32(model.scales_.data() +
                        (layer.scale_index + static_cast<std::size_t>(channel)) * 4);
    }
    // Bytes of tensor 0 are 0..255; only convolutions with bytes as output read it then.
    [[nodiscard]] bool input_unsigned() const noexcept { return model.input_unsigned_; }
    [[nodiscard]] float input_scale() const noexcept { return model.input_scale_; }
    [[nodiscard]] float input_offset() const noexcept { return model.input_offset_; }
    [[nodiscard]] float input_quant() const noexcept { return model.input_quant_; }
    [[nodiscard]] bool softmax() const noexcept { return load_u32(model.input_.data() + 36) == 1; }

    struct TestVector {
        const std::uint8_t* pixels;         // input_h * input_w * input_c
        const std::uint8_t* layer_crcs;     // u32 per layer
        const std::uint8_t* logits;         // f32 per class
        const std::uint8_t* probabilities;  // f32 per class, of the float original
    };
    [[nodiscard]] TestVector test_vector(int i) const noexcept;

    // Section FACE, of a model for which Model::finds_faces() holds.
    struct FaceLevel {
        int layer, stride;
    };
    static constexpr int max_levels = 8, level_channels = 16, landmarks = 5;
    [[nodiscard]] int level_count() const noexcept {
        return static_cast<int>(load_u32(model.face_.data()));
    }
    [[nodiscard]] FaceLevel level(int i) const noexcept {
        const std::uint8_t* p = model.face_.data() + 56 + 8 * static_cast<std::size_t>(i);
        return {static_cast<int>(load_u32(p)), static_cast<int>(load_u32(p + 4))};
    }
    [[nodiscard]] float min_score() const noexcept { return load_f32(model.face_.data() + 8); }
    // The least score of a face unless a program chooses one: min_score(), and a little less for gray
    // frames, whose faces score lower (docs/DETECTOR.md, "Gray").
    [[nodiscard]] float default_score(PixelFormat format) const noexcept {
        constexpr float gray_allowance = 0.1f, smallest = 0.1f;
        const float score = min_score();
        return format == PixelFormat::gray8 && score > smallest
                   ? std::max(score - gray_allowance, smallest)
                   : score;
    }
    [[nodiscard]] float overlap() const noexcept { return load_f32(model.face_.data() + 12); }
    // Where landmark i lies in the square of the crop.
    [[nodiscard]] Point crop_landmark(int i) const noexcept {
        const std::uint8_t* p = model.face_.data() + 16 + 8 * static_cast<std::size_t>(i);
        return {load_f32(p), load_f32(p + 4)};
    }

    static Status open(std::span<const std::uint8_t> file, Model& out, double times) noexcept;

private:
    // Model::cost() of layers whose shapes are valid.
    [[nodiscard]] NetworkCost cost() const noexcept;
    [[nodiscard]] bool valid_layer(int index, const LayerView& layer) const noexcept;
    [[nodiscard]] bool valid_numbers(const LayerView& layer) const noexcept;
    [[nodiscard]] bool valid_output(int index, const LayerView& layer) const noexcept;
    [[nodiscard]] bool valid_weights(const LayerView& layer) const noexcept;
    [[nodiscard]] bool valid_tables(const LayerView& layer) const noexcept;
    [[nodiscard]] bool valid_face() const noexcept;
    // Reads section ANSW into `model`; false when it breaks a rule of the format.
    static bool read_answer(std::span<const std::uint8_t> section, Model& model) noexcept;
    [[nodiscard]] std::size_t test_vector_bytes() const noexcept;
};

// The shapes of all tensors for one size of the input (0 x 0: the recorded one): 0 the input, i + 1
// what layer i makes.
struct Shapes {
    Shapes(const Model& model, InputSize size) noexcept;
    TensorShape of[ModelAccess::max_layers + 1];
};

[[nodiscard]] inline LayerView layer_view(const Model& model, int i) noexcept {
    return ModelAccess{model}.layer(i);
}

}  // namespace mien
