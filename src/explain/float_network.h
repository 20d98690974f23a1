// SPDX-License-Identifier: MIT
// The network without rounding, and its gradients: the layers of a Model in float with Eigen,
// forward and backward. For explanations only, never the engine's own path.
//
// The weights are those of the float original where the file has them (its float twin,
// docs/FILE_FORMAT.md). Else they are the file's integers, and values are in the steps of the file:
// a tensor's integers taken for real numbers. The real value of a channel is such a number times a
// positive factor that only the converter knows, so signs, ReLUs, every product of a value with its
// gradient and gradients with respect to the pixels are those of the original, up to the rounding
// of its weights.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <span>
#include <vector>

#include "base/container.h"
#include "mien/mien.hpp"
#include "nn/model_file.h"

namespace mien::explain {

// A tensor: a row for each position (line by line), a column for each channel. In double: where a
// ReLU's input is nearly 0, rounding decides whether a gradient passes, and with it what a map
// shows.
using Map = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

enum class Rule {
    gradient,  // the derivative
    // guided back-propagation: a ReLU also stops what is negative (Springenberg et al. 2015)
    guided,
};

enum class WeightsFrom {
    twin_or_integers,
    integers,
};

// The float weights and biases that a weights file may hold beside its integers, one for each of
// these; empty without.
struct FloatTwin {
    Bytes weights, biases;
    explicit operator bool() const { return !weights.empty(); }
};
FloatTwin float_twin(const Model& model);

class FloatNetwork {
public:
    // The model's bytes must outlive this object.
    explicit FloatNetwork(const Model& model, WeightsFrom from = WeightsFrom::twin_or_integers);

    // Puts the weights of each layer into another order: the same numbers, but an untrained
    // network. For tests of whether a map depends on what was learned (Adebayo et al. 2018).
    void shuffle_weights(std::uint32_t seed);

    // pixels: input_height x input_width x input_channels. Keeps every tensor.
    void forward(const std::uint8_t* pixels);
    // The same from values of tensor 0, positions x channels.
    void forward(const Map& input);

    // Tensors count as in the file: 0 is the image, i + 1 the output of layer i.
    int tensors() const { return static_cast<int>(layers_.size()) + 1; }
    TensorShape shape(int tensor) const;
    const Map& value(int tensor) const { return values_[static_cast<std::size_t>(tensor)]; }
    // The last tensor, 1 x classes.
    const Map& logits() const { return values_.back(); }
    // The head's scores at each position, positions x classes, so that the mean over positions (or
    // their sum) is the logits up to the bias; empty if the head is of another kind. Class
    // activation map (Zhou et al. 2016).
    const Map& score_map() const { return score_map_; }
    TensorShape score_map_shape() const { return score_map_shape_; }

    // Sets gradient() of every tensor up to `tensor` for a quantity whose derivative by
    // value(tensor) is `seed`.
    void backward(int tensor, const Map& seed, Rule rule);
    // The same from the head's score map (seed: positions x classes); all tensors before it get
    // their gradient.
    void backward_from_scores(const Map& seed, Rule rule);
    // With respect to value(tensor); zeros where nothing flows.
    const Map& gradient(int tensor) const { return gradients_[static_cast<std::size_t>(tensor)]; }

    // The tensor that the last convolution with a map makes, and that the original's Grad-CAM looks
    // at: for conv_gap the scores at each position are inside the head, so this is the tensor that
    // the head reads.
    int last_map() const { return last_map_; }
    const LayerView& layer(int i) const { return layers_[static_cast<std::size_t>(i)]; }
    // Derivative of a tensor 0 value by its pixel.
    double step_per_pixel() const { return step_per_pixel_; }

private:
    struct Weights {
        // [out, kernel_h * kernel_w * in], or [kernel_h * kernel_w, channels] of a depthwise layer
        Map kernel;
        Eigen::RowVectorXd bias, scale;
    };
    static Weights weights_of(const ModelAccess& access, const LayerView& layer,
                              const FloatTwin& twin);
    // Where pooling takes the mean of a convolution with a channel for each class, the features are
    // what that convolution reads, as for conv_gap, which is the same in one layer.
    void look_before_pooling();
    void run_layer(int i);
    // The score map of a head that pools and then multiplies: multiplying at each position and then
    // pooling is the same.
    void score_each_position(const LayerView& layer, const Weights& weights);
    void back_layer(int i, Rule rule);
    void clear_gradients(int tensor);
    Map gather(const LayerView& layer, const Map& input) const;  // im2col
    // its transpose, added
    void scatter(const LayerView& layer, const Map& columns, Map& input) const;

    const Model& model_;
    std::vector<LayerView> layers_;
    std::vector<Weights> weights_;
    std::vector<Map> values_, gradients_;
    // of max pooling: for each output element the input's position
    std::vector<std::vector<std::int32_t>> winners_;
    Map score_map_;
    TensorShape score_map_shape_{0, 0, 0};
    int last_map_ = 0;
    double input_table_[256] = {}, step_per_pixel_ = 0;
};

}  // namespace mien::explain
