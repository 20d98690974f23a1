// SPDX-License-Identifier: MIT
// The methods (see explain.h).
#include "explain/explain.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mien::explain {
namespace {

using Eigen::Index;

Heatmap map_of(const TensorShape& shape) {
    return {shape.width, shape.height,
            std::vector<float>(static_cast<std::size_t>(shape.width) *
                               static_cast<std::size_t>(shape.height))};
}

Map one_hot(Index classes, int class_index) {
    Map seed = Map::Zero(1, classes);
    seed(0, class_index) = 1;
    return seed;
}

}  // namespace

const char* method_name(Method method) {
    switch (method) {
        case Method::cam: return "cam";
        case Method::grad_cam: return "grad-cam";
        case Method::guided: return "guided";
        case Method::guided_cam: return "guided-cam";
        case Method::gradient: return "gradient";
        case Method::occlusion: return "occlusion";
        case Method::original_cam: return "original-cam";
        case Method::original_guided: return "original-guided";
    }
    return "";
}

bool find_method(std::string_view name, Method& out) {
    for (const Method method : all_methods) {
        out = method;
        if (name == method_name(method)) return true;
    }
    return false;
}

bool is_signed(Method method) {
    return method != Method::grad_cam && method != Method::original_cam;
}

Heatmap resized(const Heatmap& map, int width, int height) {
    Heatmap out{
        width, height,
        std::vector<float>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height))};
    const auto place = [](int i, int from, int to, int& low, int& high) {
        const float position = std::clamp(
            (static_cast<float>(i) + 0.5f) * static_cast<float>(from) / static_cast<float>(to) -
                0.5f,
            0.0f, static_cast<float>(from - 1));
        low = static_cast<int>(position);
        high = std::min(low + 1, from - 1);
        return position - static_cast<float>(low);
    };
    for (int y = 0; y < height; ++y) {
        int y0, y1;
        const float fy = place(y, map.height, height, y0, y1);
        for (int x = 0; x < width; ++x) {
            int x0, x1;
            const float fx = place(x, map.width, width, x0, x1);
            const auto value = [&](int row, int column) {
                return map
                    .values[static_cast<std::size_t>(row) * static_cast<std::size_t>(map.width) +
                            static_cast<std::size_t>(column)];
            };
            out.values[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                       static_cast<std::size_t>(x)] =
                (value(y0, x0) * (1 - fx) + value(y0, x1) * fx) * (1 - fy) +
                (value(y1, x0) * (1 - fx) + value(y1, x1) * fx) * fy;
        }
    }
    return out;
}

Explainer::Explainer(const Model& model, WeightsFrom from) : model_(model), network_(model, from) {}

void Explainer::look(const std::uint8_t* pixels) {
    const TensorShape in = network_.shape(0);
    pixels_.assign(pixels, pixels + in.elements());
    network_.forward(pixels);
    const Map& logits = network_.logits();
    Eigen::RowVectorXd powers = (logits.row(0).array() - logits.maxCoeff()).exp();
    powers /= powers.sum();
    probabilities_.assign(powers.data(), powers.data() + powers.size());
}

int Explainer::place_of(std::string_view layer) const {
    const int count = model_.layer_count();
    for (int i = 0; i < count; ++i) {
        if (network_.layer(i).name == layer)
            return i + 1 == count && network_.layer(i).op == LayerOp::conv_gap ? head_place : i + 1;
    }
    return no_place;
}

bool Explainer::has_map(int place) const {
    if (place == head_place) return network_.score_map().rows() > 1;
    if (place < 1 || place >= network_.tensors()) return false;
    const TensorShape shape = network_.shape(place);
    return shape.height * shape.width > 1;
}

bool Explainer::explain(Method method, int class_index, int place, Heatmap& out) {
    if (!make_map(method, class_index, place, out)) return false;
    for (float& v : out.values)
        // weights may be so large that sums overflow; sorting and drawing must not break
        if (!std::isfinite(v)) v = 0;
    return true;
}

bool Explainer::make_map(Method method, int class_index, int place, Heatmap& out) {
    if (class_index < 0 || class_index >= model_.class_count()) return false;
    const bool original = method == Method::original_cam || method == Method::original_guided;
    if (place == usual_place)
        place = original && has_map(head_place) ? head_place : network_.last_map();
    const Map score = one_hot(network_.logits().cols(), class_index);
    const int last = network_.tensors() - 1;
    switch (method) {
        case Method::cam: return cam(class_index, out);
        case Method::grad_cam: return grad_cam(class_index, place, false, out);
        case Method::original_cam: return grad_cam(class_index, place, true, out);
        case Method::guided:
        case Method::gradient:
            network_.backward(last, score,
                              method == Method::guided ? Rule::guided : Rule::gradient);
            pixel_map(out);
            return true;
        case Method::guided_cam: {
            Heatmap weights;
            if (!grad_cam(class_index, place, false, weights)) return false;
            network_.backward(last, score, Rule::guided);
            pixel_map(out);
            weights = resized(weights, out.width, out.height);
            for (std::size_t i = 0; i < out.values.size(); ++i) out.values[i] *= weights.values[i];
            return true;
        }
        case Method::original_guided: {
            if (!has_map(place)) return false;
            const Map& value = place == head_place ? network_.score_map() : network_.value(place);
            Map seed = Map::Zero(value.rows(), value.cols());
            for (Index p = 0; p < value.rows(); ++p) {
                Index best;
                value.row(p).maxCoeff(&best);
                seed(p, best) = 1;
            }
            if (place == head_place)
                network_.backward_from_scores(seed, Rule::guided);
            else
                network_.backward(place, seed, Rule::guided);
            pixel_map(out);
            return true;
        }
        case Method::occlusion: {
            const OcclusionFace face{pixels_.data(), class_index};
            std::vector<Heatmap> maps = mien::explain::occlusion(model_, {&face, 1});
            if (maps.empty()) return false;
            out = std::move(maps[0]);
            return true;
        }
    }
    return false;
}

bool Explainer::cam(int class_index, Heatmap& out) {
    if (network_.score_map().size() == 0) return false;
    out = map_of(network_.score_map_shape());
    for (std::size_t i = 0; i < out.values.size(); ++i)
        out.values[i] =
            static_cast<float>(network_.score_map()(static_cast<Index>(i), class_index));
    return true;
}

bool Explainer::grad_cam(int class_index, int place, bool original, Heatmap& out) {
    if (!has_map(place)) return false;
    Map seed = one_hot(network_.logits().cols(), class_index);
    if (original) {  // of the probability, not of the logit
        const Map p = Eigen::Map<const Eigen::Matrix<double, 1, Eigen::Dynamic>>(
            probabilities_.data(), 1, static_cast<Index>(probabilities_.size()));
        seed = p(0, class_index) * (seed - p);
    }
    const Map* value = &network_.score_map();
    Map gradient;
    if (place == head_place) {
        gradient = seed.replicate(value->rows(), 1) / static_cast<double>(value->rows());
        out = map_of(network_.score_map_shape());
    } else {
        network_.backward(network_.tensors() - 1, seed, Rule::gradient);
        value = &network_.value(place);
        gradient = network_.gradient(place);
        out = map_of(network_.shape(place));
    }
    Eigen::RowVectorXd weights = gradient.colwise().mean();
    if (original) weights /= std::sqrt(gradient.array().square().mean()) + 1e-5;
    const Eigen::VectorXf map = (((*value) * weights.transpose()).array() + (original ? 1.0 : 0.0))
                                    .cwiseMax(0.0)
                                    .cast<float>();
    std::copy(map.data(), map.data() + map.size(), out.values.begin());
    return true;
}

void Explainer::pixel_map(Heatmap& out) const {
    out = map_of(network_.shape(0));
    const Eigen::VectorXf sum =
        (network_.gradient(0).rowwise().sum() * network_.step_per_pixel()).cast<float>();
    std::copy(sum.data(), sum.data() + sum.size(), out.values.begin());
}

double rank_correlation(const std::vector<float>& a, const std::vector<float>& b) {
    const auto ranks = [](const std::vector<float>& values) {
        std::vector<std::size_t> order(values.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(),
                  [&](std::size_t i, std::size_t k) { return values[i] < values[k]; });
        Eigen::ArrayXd rank(static_cast<Index>(values.size()));
        for (std::size_t first = 0; first < order.size();) {
            std::size_t end = first;
            while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
            for (std::size_t i = first; i < end; ++i)
                rank(static_cast<Index>(order[i])) = static_cast<double>(first + end - 1) / 2;
            first = end;
        }
        // the mean of ranks, with ties shared
        return Eigen::ArrayXd(rank - (static_cast<double>(values.size()) - 1) / 2);
    };
    if (a.size() != b.size() || a.empty()) return 0;
    const Eigen::ArrayXd x = ranks(a), y = ranks(b);
    const double power = std::sqrt(x.square().sum() * y.square().sum());
    return power > 0 ? (x * y).sum() / power : 0;
}

}  // namespace mien::explain
