// SPDX-License-Identifier: MIT
// Which part of a face supports an answer: maps over the network's input, by methods of the
// literature.
//
//   cam            class activation map (Zhou et al. 2016): what each position of the last map adds
//                  to the score. No gradients.
//   grad_cam       Grad-CAM (Selvaraju et al. 2017): activations of a layer, weighed by the mean
//                  gradient of the score, ReLU
//   guided         guided back-propagation (Springenberg et al. 2015) of the score to the pixels
//   guided_cam     guided back-propagation times Grad-CAM
//   gradient       the derivative of the score by each pixel (Simonyan et al. 2014)
//   occlusion      how much the probability falls when a gray patch hides the place (occlusion.h),
//                  by the int8 engine itself
//   original_cam, original_guided   the recipes of the face_classification demos, at their last
//                                   convolution: Grad-CAM of the probability
//                  with the gradient divided by its root mean square and 1 added; guided
//                  back-propagation of the sum over positions of
//                  the largest channel
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "explain/float_network.h"
#include "explain/occlusion.h"

namespace mien::explain {

enum class Method : std::uint8_t {
    cam,
    grad_cam,
    guided,
    guided_cam,
    gradient,
    occlusion,
    original_cam,
    original_guided
};
inline constexpr Method all_methods[] = {
    Method::cam,      Method::grad_cam,  Method::guided,       Method::guided_cam,
    Method::gradient, Method::occlusion, Method::original_cam, Method::original_guided};
const char* method_name(Method method);
// False for an unknown name.
bool find_method(std::string_view name, Method& out);
// True if negative values mean "opposes"; others have no negative values.
bool is_signed(Method method);

// The map at another size: bilinear, edges repeated.
Heatmap resized(const Heatmap& map, int width, int height);

// Where in the network a method looks: a tensor (0 is the image, i + 1 the output of layer i), or
// one of these. Grad-CAM: the last map before the head; the original's: its last convolution
inline constexpr int usual_place = -1;
// the head's convolution at each position, before the mean
inline constexpr int head_place = -2;
inline constexpr int no_place = -3;

class Explainer {
public:
    // The model's bytes must outlive this object.
    explicit Explainer(const Model& model, WeightsFrom from = WeightsFrom::twin_or_integers);

    // Takes an image of input_height x input_width x input_channels bytes. Everything below is
    // about the last one.
    void look(const std::uint8_t* pixels);
    // Probabilities by the float network.
    const std::vector<double>& probabilities() const { return probabilities_; }

    // False when the network has no such map (a head that does not pool, for cam), or `place` is no
    // map.
    bool explain(Method method, int class_index, int place, Heatmap& out);

    // The place of a layer's name; no_place for an unknown name.
    int place_of(std::string_view layer) const;
    const FloatNetwork& network() const { return network_; }
    void shuffle_weights(std::uint32_t seed) { network_.shuffle_weights(seed); }

private:
    bool make_map(Method method, int class_index, int place, Heatmap& out);
    bool cam(int class_index, Heatmap& out);
    bool grad_cam(int class_index, int place, bool original, Heatmap& out);
    bool has_map(int place) const;
    void pixel_map(Heatmap& out) const;

    const Model& model_;
    FloatNetwork network_;
    std::vector<std::uint8_t> pixels_;
    std::vector<double> probabilities_;
};

// Spearman's rank correlation of two maps of one size, ties at their middle; 0 if one is constant.
double rank_correlation(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace mien::explain
