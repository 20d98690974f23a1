// SPDX-License-Identifier: MIT
// The methods (see explain.h).
#include "explain/explain.h"

#include <algorithm>
#include <cmath>

namespace mien::explain {
namespace {

using Eigen::Index;

Heatmap map_of(const TensorShape& shape) {
    return {shape.width, shape.height, std::vector<float>(static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(shape.height))};
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
        case Method::occlusion: return "occlusion";
        case Method::original_cam: return "original-cam";
        case Method::original_guided: return "original-guided";
    }
    return "";
}

bool is_signed(Method method) { return method != Method::grad_cam && method != Method::original_cam; }

Heatmap resized(const Heatmap& map, int width, int height) {
    Heatmap out{width, height, std::vector<float>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height))};
    const auto place = [](int i, int from, int to, int& low, int& high) {
        const float position = std::clamp((static_cast<float>(i) + 0.5f) * static_cast<float>(from) / static_cast<float>(to) - 0.5f, 0.0f, static_cast<float>(from - 1));
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
            const auto value = [&](int row, int column) { return map.values[static_cast<std::size_t>(row) * static_cast<std::size_t>(map.width) + static_cast<std::size_t>(column)]; };
            out.values[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)] =
                (value(y0, x0) * (1 - fx) + value(y0, x1) * fx) * (1 - fy) + (value(y1, x0) * (1 - fx) + value(y1, x1) * fx) * fy;
        }
    }
    return out;
}

Explainer::Explainer(const Model& model) : model_(model), network_(model) {}

void Explainer::look(const std::uint8_t* pixels) {
    const TensorShape in = network_.shape(0);
    pixels_.assign(pixels, pixels + in.elements());
    network_.forward(pixels);
    const Map& logits = network_.logits();
    const float top = logits.maxCoeff();
    const Eigen::RowVectorXf powers = (logits.row(0).array() - top).exp();
    probabilities_.assign(powers.data(), powers.data() + powers.size());
    for (float& p : probabilities_) p /= powers.sum();
}

int Explainer::tensor_of(std::string_view layer) const {
    for (int i = 0; i < model_.layer_count(); ++i) {
        if (network_.layer(i).name == layer) return i + 1;
    }
    return -1;
}

bool Explainer::explain(Method method, int class_index, int tensor, Heatmap& out) {
    if (tensor < 0) tensor = network_.last_map();
    const TensorShape shape = network_.shape(tensor);
    const bool needs_map = method != Method::cam && method != Method::guided && method != Method::occlusion;
    if (class_index < 0 || class_index >= model_.class_count() || (needs_map && (tensor == 0 || shape.height * shape.width < 2))) return false;
    const Map score = one_hot(network_.logits().cols(), class_index);
    const int last = network_.tensors() - 1;
    switch (method) {
        case Method::cam: return cam(class_index, out);
        case Method::grad_cam: return grad_cam(class_index, tensor, false, out);
        case Method::original_cam: return grad_cam(class_index, tensor, true, out);
        case Method::guided: guided(score, last, out); return true;
        case Method::guided_cam: {
            Heatmap weights;
            if (!grad_cam(class_index, tensor, false, weights)) return false;
            guided(score, last, out);
            weights = resized(weights, out.width, out.height);
            for (std::size_t i = 0; i < out.values.size(); ++i) out.values[i] *= weights.values[i];
            return true;
        }
        case Method::original_guided: {
            const Map& value = network_.value(tensor);
            Map seed = Map::Zero(value.rows(), value.cols());
            for (Index p = 0; p < value.rows(); ++p) {
                Index best;
                value.row(p).maxCoeff(&best);
                seed(p, best) = 1;
            }
            guided(seed, tensor, out);
            return true;
        }
        case Method::occlusion: occlusion(class_index, out); return true;
    }
    return false;
}

bool Explainer::cam(int class_index, Heatmap& out) {
    if (network_.score_map().size() == 0) return false;
    out = map_of(network_.score_map_shape());
    for (std::size_t i = 0; i < out.values.size(); ++i) out.values[i] = network_.score_map()(static_cast<Index>(i), class_index);
    return true;
}

bool Explainer::grad_cam(int class_index, int tensor, bool original, Heatmap& out) {
    network_.backward(network_.tensors() - 1, one_hot(network_.logits().cols(), class_index), Rule::gradient);
    const Map& value = network_.value(tensor);
    Eigen::RowVectorXf weights = network_.gradient(tensor).colwise().mean();
    if (original) weights /= std::sqrt(network_.gradient(tensor).array().square().mean()) + 1e-5f;
    const Eigen::VectorXf map = ((value * weights.transpose()).array() + (original ? 1.0f : 0.0f)).cwiseMax(0.0f);
    out = map_of(network_.shape(tensor));
    std::copy(map.data(), map.data() + map.size(), out.values.begin());
    return true;
}

void Explainer::guided(const Map& seed, int tensor, Heatmap& out) {
    network_.backward(tensor, seed, Rule::guided);
    out = map_of(network_.shape(0));
    const Eigen::VectorXf sum = network_.gradient(0).rowwise().sum() * network_.step_per_pixel();
    std::copy(sum.data(), sum.data() + sum.size(), out.values.begin());
}

// A patch of a fifth of the side, moved by half of itself; a position's value is the mean fall of the probability over all patches
// that hide it.
void Explainer::occlusion(int class_index, Heatmap& out) {
    const TensorShape in = network_.shape(0);
    const PixelFormat format = in.channels == 3 ? PixelFormat::rgb24 : PixelFormat::gray8;
    if (!engine_) {
        Config config;
        config.max_width = in.width;
        config.max_height = in.height;
        engine_memory_.resize(Engine::required_bytes(config, nullptr, &model_, nullptr));
        if (Engine::create(config, nullptr, &model_, nullptr, engine_memory_, engine_) != Status::ok) return;
    }
    const auto probability = [&](const std::vector<std::uint8_t>& pixels) {
        Face face;
        const Status status = engine_.classify_crop({pixels.data(), in.width, in.height, std::ptrdiff_t{in.width} * in.channels, format}, face);
        return status == Status::ok ? face.emotion[static_cast<std::size_t>(class_index)] : 0.0f;
    };
    const float whole = probability(pixels_);
    const int size = std::max(std::min(in.width, in.height) / 5, 1), step = std::max(size / 2, 1);
    const auto mean = static_cast<std::uint8_t>(Eigen::Map<const Eigen::Array<std::uint8_t, Eigen::Dynamic, 1>>(pixels_.data(), static_cast<Index>(pixels_.size())).cast<float>().mean());
    out = map_of(in);
    std::vector<float> count(out.values.size());
    std::vector<std::uint8_t> hidden;
    for (int top = step - size; top < in.height; top += step) {
        for (int left = step - size; left < in.width; left += step) {
            hidden = pixels_;
            const int y0 = std::max(top, 0), y1 = std::min(top + size, in.height), x0 = std::max(left, 0), x1 = std::min(left + size, in.width);
            for (int y = y0; y < y1; ++y) std::fill_n(hidden.begin() + (std::ptrdiff_t{y} * in.width + x0) * in.channels, (x1 - x0) * in.channels, mean);
            const float fall = whole - probability(hidden);
            for (int y = y0; y < y1; ++y) {
                for (int x = x0; x < x1; ++x) {
                    const auto i = static_cast<std::size_t>(y) * static_cast<std::size_t>(in.width) + static_cast<std::size_t>(x);
                    out.values[i] += fall;
                    count[i] += 1;
                }
            }
        }
    }
    for (std::size_t i = 0; i < count.size(); ++i) out.values[i] /= std::max(count[i], 1.0f);
}

}  // namespace mien::explain
