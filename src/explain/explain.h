// SPDX-License-Identifier: MIT
// Which part of a face speaks for an answer? Maps over the network's input, by methods of the literature.
//
//   cam            class activation map (Zhou et al. 2016): what each position of the last map adds to the score. No gradients.
//   grad_cam       Grad-CAM (Selvaraju et al. 2017): activations of a layer, weighed by the mean gradient of the score, ReLU
//   guided         guided back-propagation (Springenberg et al. 2015) of the score to the pixels
//   guided_cam     guided back-propagation times Grad-CAM
//   occlusion      how much the probability falls when a gray patch hides the place, by the int8 engine itself
//   original_cam, original_guided   the recipes of the face_classification demos: Grad-CAM with the gradient divided by its root mean
//                  square and 1 added; guided back-propagation of the sum over positions of a layer's largest channel
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "explain/float_network.h"

namespace mien::explain {

enum class Method : std::uint8_t { cam, grad_cam, guided, guided_cam, occlusion, original_cam, original_guided };
inline constexpr Method all_methods[] = {Method::cam,       Method::grad_cam,     Method::guided,         Method::guided_cam,
                                         Method::occlusion, Method::original_cam, Method::original_guided};
const char* method_name(Method method);
// True when values below zero mean "speaks against"; the others are 0 and more.
bool is_signed(Method method);

// Values by position, line by line; colour inputs of pixel methods are summed over their channels.
struct Heatmap {
    int width = 0, height = 0;
    std::vector<float> values;
};

// The map at another size: bilinear, edges repeated.
Heatmap resized(const Heatmap& map, int width, int height);

class Explainer {
public:
    // The model's bytes must outlive this object.
    explicit Explainer(const Model& model);

    // Looks at a picture: input_height x input_width x input_channels bytes. Everything below is about the last one.
    void look(const std::uint8_t* pixels);
    // Probabilities by the float network.
    const std::vector<float>& probabilities() const { return probabilities_; }

    // False when the network has no such map (a head that does not pool, for cam), or `tensor` is no map. `tensor` is what Grad-CAM and the
    // original's guided back-propagation look at: -1 takes the last map.
    bool explain(Method method, int class_index, int tensor, Heatmap& out);

    // The tensor of a layer's name, or -1.
    int tensor_of(std::string_view layer) const;
    const FloatNetwork& network() const { return network_; }

private:
    bool cam(int class_index, Heatmap& out);
    bool grad_cam(int class_index, int tensor, bool original, Heatmap& out);
    void guided(const Map& seed, int tensor, Heatmap& out);
    void occlusion(int class_index, Heatmap& out);

    const Model& model_;
    FloatNetwork network_;
    std::vector<std::uint8_t> pixels_;
    std::vector<float> probabilities_;
    std::vector<std::byte> engine_memory_;
    Engine engine_;  // for occlusion
};

}  // namespace mien::explain
