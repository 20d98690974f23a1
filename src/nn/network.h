// SPDX-License-Identifier: MIT
// Runs the layers of a Model, one after the other, in memory planned
// beforehand.
#pragma once

#include <cstdint>

#include "base/arena.h"
#include "kernels/kernels.h"
#include "nn/model_file.h"
#include "nn/team.h"

namespace mien {

// A tensor in memory: rows of pixels of `pixel_bytes` bytes (channels, padded with zeros), inside a
// border of zeros as wide as the padding of the convolutions that read it.
struct Tensor {
    TensorShape shape;
    int pixel_bytes;
    int border_top, border_left, border_bottom, border_right;
    std::ptrdiff_t row_bytes;
    std::int8_t* data;    // pixel (0, 0), inside the border
    std::int8_t* memory;  // first byte of the border
    bool nonnegative;     // no value of it can be negative
    // 0x80 if a value v is stored as v ^ 0x80, else 0; Observers always see values. Of signed values
    // that is "lifted" (kernels/net.h); unsigned ones become signed bytes, less by 128.
    std::uint8_t lift;
    bool is_unsigned;  // values are 0..255, else -127..127

    // What kernels see is unsigned.
    [[nodiscard]] bool seen_unsigned() const noexcept {
        return is_unsigned ? lift == 0 : nonnegative || lift != 0;
    }
    // Of what kernels see, in magnitude.
    [[nodiscard]] int largest_seen() const noexcept {
        if (is_unsigned) return lift == 0 ? 255 : 128;
        return lift == 0 ? 127 : 255;
    }
    // Value less what kernels see.
    [[nodiscard]] std::int32_t seen_offset() const noexcept {
        return lift == 0 ? 0 : is_unsigned ? 128 : -128;
    }
};

class Network {
public:
    // Called after each layer, for tests and verify(), on any of the threads of a run. What a layer
    // with LayerOutput::floats made is in result().
    struct Observer {
        void (*after_layer)(void* context, const Network& network, int layer);
        void* context;
        // tensors are left as they are stored: for observers that only take the time
        bool timing = false;
    };

    // Takes its memory from the arena and packs the weights; while the arena only measures, nothing
    // is written.
    // `size` is one that ModelAccess::accepts(), the largest that resize() can be given. With an
    // executor layers are made by several threads, rows of the output each; results do not depend
    // on it. `stop` is asked before each layer.
    void place(Arena& arena, const Model& model, const Kernels& kernels, InputSize size = {},
               const Executor& executor = {}, const Stop& stop = {}) noexcept;

    // The same with the packed weights of `original`, which outlives it: for a thread of its own.
    // Both are classifiers of that model. Measures when `original` only did.
    void place_twin(Arena& arena, const Network& original) noexcept;

    // Another size of the input for the runs that follow, one that ModelAccess::accepts(), neither
    // wider nor higher than that of place().
    void resize(InputSize size) noexcept;

    // pixels: height x width x channels bytes of the input. scores: one float per class; null for a
    // network of maps.
    // False: ended by the stop of place(); then there are no results.
    bool run(const std::uint8_t* pixels, float* scores,
             const Observer* observer = nullptr) noexcept;

    // The same for a caller who writes the pixels where the network reads them: packed pixels, row
    // y at data + y * stride, width x height of them; the rest of the input is 0. They are gone
    // after the run.
    struct InputRoom {
        std::uint8_t* data;
        std::ptrdiff_t stride;
    };
    [[nodiscard]] InputRoom input_room() const noexcept {
        return {reinterpret_cast<std::uint8_t*>(tensors_[0].data), tensors_[0].row_bytes};
    }
    struct Filler {
        // Writes the rows from `first` to `end`, perhaps several threads at once some each;
        // `thread` is below threads(), calls with the same one follow each other.
        void (*fill)(void* context, int first, int end, int thread);
        void* context;
    };
    bool run_filled(int width, int height, const Filler& filler, float* scores,
                    const Observer* observer = nullptr) noexcept;
    // That work for a run at most.
    [[nodiscard]] int threads() const noexcept { return team_.threads(); }

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

    // What a layer keeps in memory whatever the size of the input; null what it does not need.
    struct Constants {
        std::byte* weights;  // packed for the kernel
        std::int32_t* bias;
        float* scale;
        std::byte* packed3;                // Depthwise3
        const std::int8_t* small_weights;  // DepthwiseArgs
        std::int32_t* sums;                // scratch of a head or of a mean
        std::int8_t* zeros;                // a row, of relu
        float* values;                     // of a map, as large as it gets
    };

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
        const std::int16_t* weights;  // [tap][input channel, 1 if depthwise][padded]
        const std::int32_t* bias;     // [padded]
        const float* scale;
        int padded;  // output channels
        float* values;
        std::uint8_t lift;  // of the input
        bool input_unsigned;
        const void* packed3;  // null: no kernel of its own
        LayerView layer;
    };
    struct UpsampleArgs {
        Tensor input, output;
    };
    // table, concat and multiply, which all instruction sets share.
    struct ChannelArgs {
        Tensor a, b, output;
        int layer;
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
            UpsampleArgs upsample;
            ChannelArgs channels;
        };
    };

    [[nodiscard]] bool is_depthwise3(const LayerView& layer) const noexcept;
    void place_all(Arena& arena, InputSize size, const Executor& executor,
                   const Network* original) noexcept;
    void place_tensors(Arena& arena, const Plan& plan) noexcept;
    void place_twin_layer(Arena& arena, int index, const Plan& plan,
                          const Network& original) noexcept;
    void place_layer(Arena& arena, int index, const Shapes& shapes, const Plan& plan) noexcept;
    void place_conv(Arena& arena, const LayerView& layer, const Tensor& in,
                    Constants& constants) noexcept;
    void place_depthwise(Arena& arena, const LayerView& layer, const Tensor& in,
                         Constants& constants) noexcept;
    void place_map(Arena& arena, const LayerView& layer, const Tensor& in,
                   Constants& constants) noexcept;
    void set_shapes(const Shapes& shapes) noexcept;
    void set_step(int index, const Shapes& shapes) noexcept;
    void set_bytes(Step& step, int index, const LayerView& layer, const Constants& constants,
                   const Tensor& out) noexcept;
    // Rows of a layer: of the output, of upsample2's input. A row_bytes of 0: rows are not made
    // apart from each other.
    struct Extent {
        int rows;
        std::ptrdiff_t row_bytes;
    };
    [[nodiscard]] Extent extent_of(const Step& step) const noexcept;
    // What the threads of a run share. Its first step is the input, the others are the layers.
    struct Pass {
        Network& network;
        int width, height;
        const Filler& filler;
        const Observer* observer;
    };
    [[nodiscard]] Extent rows_of_step(int step) const noexcept;
    [[nodiscard]] int parts_of(const Extent& extent) const noexcept;
    void make_part(const Pass& pass, int step, int part, int thread) noexcept;
    bool finish_step(const Pass& pass, int step) noexcept;
    void fill_rows(const Pass& pass, int first, int end, int thread) noexcept;
    // Some of them, and the thread whose scratch is used.
    struct Rows {
        int first, count, thread;
    };
    void run_rows(const Step& step, const Rows& rows) noexcept;
    void run_head(const HeadArgs& args) noexcept;
    void run_map(const MapArgs& args, const Rows& rows, std::int8_t* scratch) noexcept;
    void run_table(const ChannelArgs& args, int first, int count) noexcept;
    static void run_concat(const ChannelArgs& args, int first, int count) noexcept;
    void run_multiply(const ChannelArgs& args, int first, int count) noexcept;
    static void run_upsample(const UpsampleArgs& args, int first, int count) noexcept;
    void run_global_average(const AverageArgs& args) noexcept;

    Model model_;
    const Kernels* kernels_ = nullptr;
    Tensor* tensors_ = nullptr;       // layer_count + 1
    Step* steps_ = nullptr;           // layer_count
    Constants* constants_ = nullptr;  // layer_count
    float* logits_ = nullptr;
    Stop stop_;
    Team team_;
    std::int8_t* scratch_ = nullptr;      // of kernels, for each thread
    std::size_t scratch_bytes_ = 0;       // of one
    std::uint8_t input_table_[256] = {};  // pixel -> quantized input, as it is stored
    bool table_flips_ = false;            // the table is p -> p ^ the input's lift
};

// exp(x) for x <= 0, relative error below 1e-15, the same bits on every platform (std::exp is not).
[[nodiscard]] double portable_exp(double x) noexcept;

// scores[i] = exp(logits[i]) / sum, computed in double from the largest logit down, rounded to
// float.
void softmax(const float* logits, int count, float* scores) noexcept;

}  // namespace mien
