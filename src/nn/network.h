// SPDX-License-Identifier: MIT
// Runs the layers of a Model, one after the other, in memory planned
// beforehand.
#pragma once

#include <cstdint>

#include "base/arena.h"
#include "kernels/kernels.h"
#include "nn/model_file.h"

namespace mien {

// A tensor in memory: rows of pixels of `pixel_bytes` bytes (channels, padded with zeros), inside a
// border of zeros as wide as the padding of the convolutions that read it.
struct Tensor {
    TensorShape shape;
    int pixel_bytes;
    int border_top, border_left, border_bottom, border_right;
    std::ptrdiff_t row_bytes;
    std::int8_t* data;  // pixel (0, 0), inside the border
    bool nonnegative;   // no value of it can be negative
    // 0x80 if stored lifted (kernels/net.h), else 0; Observers always see values
    std::uint8_t lift;
};

class Network {
public:
    // Called after each layer, for tests and verify(). What a layer with LayerOutput::floats made is
    // in result().
    struct Observer {
        void (*after_layer)(void* context, const Network& network, int layer);
        void* context;
        // tensors are left as they are stored: for observers that only take the time
        bool timing = false;
    };

    // Takes its memory from the arena and packs the weights; while the arena only measures, nothing
    // is written.
    // `size` is one that ModelAccess::accepts().
    void place(Arena& arena, const Model& model, const Kernels& kernels,
               InputSize size = {}) noexcept;

    // pixels: height x width x channels bytes of the input. scores: one float per class; null for a
    // network of maps.
    void run(const std::uint8_t* pixels, float* scores,
             const Observer* observer = nullptr) noexcept;

    // What layer i, one with LayerOutput::floats, made last: height x width x channels floats, in
    // this order. Valid until the next run.
    struct Result {
        TensorShape shape;
        const float* values;
    };
    [[nodiscard]] Result result(int layer) const noexcept;
    [[nodiscard]] TensorShape input_shape() const noexcept { return tensors_[0].shape; }

    [[nodiscard]] const Model& model() const noexcept { return model_; }
    // The result of the last layer.
    [[nodiscard]] const float* logits() const noexcept { return logits_; }
    // Class activation map (Zhou et al. 2016) of the last run: what each position adds to a class's
    // score, before the head's mean over positions. Their mean is the logit, up to the rounding of
    // floats, or of a pooled tensor to bytes. Model::class_map_size() floats, line by line; costs
    // the head's multiply-adds of one class, nothing is run again.
    void class_map(int class_index, float* out) const noexcept;
    // The output of layer i (one with LayerOutput::bytes), valid inside Observer::after_layer(i).
    [[nodiscard]] const Tensor& output(int layer) const noexcept { return tensors_[layer + 1]; }

private:
    struct Plan;
    // A layer as the file has it, with the output size that it has here.
    LayerView layer_at(int index, const Shapes& shapes) const noexcept;

    // conv_gap, and a convolution with a single position: both end in logits
    struct HeadArgs {
        const std::int8_t* input;  // first byte of the receptive field of position (0, 0)
        std::ptrdiff_t input_row;
        int input_pixel, input_channels;
        int kernel_h, kernel_w, stride_y, stride_x, output_h, output_w, classes;
        const std::int8_t* weights;  // canonical
        std::int32_t* sums;          // scratch: kernel_h * kernel_w * input_channels
        std::uint8_t lift;           // of the input
        LayerView layer;
    };
    struct AverageArgs {
        Tensor input;
        std::int8_t* output;
        float scale;
        std::uint8_t output_lift;
        std::int32_t* sums;  // scratch: channels
    };
    // A convolution or depthwise layer of a network of maps that makes a result.
    struct MapArgs {
        const std::int8_t* input;  // first byte of the receptive field of position (0, 0)
        std::ptrdiff_t input_row;
        int input_pixel, input_channels;
        float* values;
        std::uint8_t lift;  // of the input
        LayerView layer;
    };
    struct Step {
        LayerOp op;
        LayerOutput output;
        union {
            ConvArgs conv;
            DepthwiseArgs depthwise;
            PoolArgs pool;
            AddArgs add;
            HeadArgs head;
            MapArgs map;
            AverageArgs average;
        };
    };

    void place_tensors(Arena& arena, const Shapes& shapes) noexcept;
    void place_layer(Arena& arena, int index, const Shapes& shapes) noexcept;
    void place_conv(Arena& arena, const LayerView& layer, const Tensor& in, const Tensor& out,
                    Step& step) noexcept;
    void place_depthwise(Arena& arena, const LayerView& layer, const Tensor& in, const Tensor& out,
                         Step& step) noexcept;
    void run_step(const Step& step) noexcept;
    void run_head(const HeadArgs& args) noexcept;
    void run_map(const MapArgs& args) noexcept;
    void run_global_average(const AverageArgs& args) noexcept;

    Model model_;
    const Kernels* kernels_ = nullptr;
    Tensor* tensors_ = nullptr;  // layer_count + 1
    Step* steps_ = nullptr;      // layer_count
    float* logits_ = nullptr;
    std::int8_t* scratch_ = nullptr;     // of the depthwise kernels
    std::int8_t input_table_[256] = {};  // pixel -> quantized input
};

// exp(x) for x <= 0, relative error below 1e-15, the same bits on every platform (std::exp is not).
[[nodiscard]] double portable_exp(double x) noexcept;

// scores[i] = exp(logits[i]) / sum, computed in double from the largest logit down, rounded to
// float.
void softmax(const float* logits, int count, float* scores) noexcept;

}  // namespace mien
