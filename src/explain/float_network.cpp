// SPDX-License-Identifier: MIT
// Layers in float, forward and backward (see float_network.h). Plain loops around Eigen's products:
// a face takes milliseconds.
#include "explain/float_network.h"

#include <cmath>
#include <limits>
#include <random>

#include "base/bytes.h"

namespace mien::explain {
namespace {

using Eigen::Index;

Index at(int v) { return static_cast<Index>(v); }

// Calls visit(output position, input position) for each pair that the window's element (ky, kx)
// joins.
template <class Visit>
void for_positions(const LayerView& l, const TensorShape& in, int ky, int kx, Visit visit) {
    for (int y = 0; y < l.out_h; ++y) {
        const int sy = y * l.stride_y + ky - l.pad_top;
        if (sy < 0 || sy >= in.height) continue;
        for (int x = 0; x < l.out_w; ++x) {
            const int sx = x * l.stride_x + kx - l.pad_left;
            if (sx >= 0 && sx < in.width) visit(at(y) * l.out_w + x, at(sy) * in.width + sx);
        }
    }
}

// How many positions of the input each window covers: padding does not count in an average.
Eigen::VectorXd covered(const LayerView& l, const TensorShape& in) {
    Eigen::VectorXd count = Eigen::VectorXd::Zero(at(l.out_h) * l.out_w);
    for (int ky = 0; ky < l.kernel_h; ++ky)
        for (int kx = 0; kx < l.kernel_w; ++kx)
            for_positions(l, in, ky, kx, [&](Index out, Index) { count(out) += 1; });
    return count;
}

// A table as a function of real numbers, in units of its integers: straight between two entries.
// `table` points to the entry of 0.
double between_entries(const std::int8_t* table, double x) {
    x = std::clamp(x, -127.0, 127.0);
    const int below = std::min(static_cast<int>(std::floor(x)), 126);
    const double part = x - below;
    return (1 - part) * table[below] + part * table[below + 1];
}

// Its slope over a few entries around x: that between two neighbors is all rounding.
double slope(const std::int8_t* table, double x) {
    constexpr int reach = 4;
    if (!(std::abs(x) < 127)) return 0;
    const int at = static_cast<int>(std::lround(x));
    const int low = std::max(at - reach, -127), high = std::min(at + reach, 127);
    return static_cast<double>(table[high] - table[low]) / (high - low);
}

}  // namespace

FloatTwin float_twin(const Model& model) {
    Container file;
    Bytes integers, biases;
    FloatTwin twin;
    // Tables are functions of integers alone.
    for (int i = 0; i < model.layer_count(); ++i)
        if (ModelAccess{model}.layer(i).op == LayerOp::table) return twin;
    const bool found = Container::open(model.bytes(), "NETW", file) == Status::ok &&
                       file.find("WGHT", integers) && file.find("BIAS", biases) &&
                       file.find("FLTW", twin.weights) && file.find("FLTB", twin.biases);
    if (!found || twin.weights.size() != 4 * integers.size() || twin.biases.size() != biases.size())
        return {};
    for (const Bytes& part : {twin.weights, twin.biases})
        for (std::size_t i = 0; i < part.size(); i += 4)
            if (!(std::abs(load_f32(part.data() + i)) < 1e18f)) return {};
    return twin;
}

FloatNetwork::Weights FloatNetwork::weights_of(const ModelAccess& access, const LayerView& l,
                                               const FloatTwin& twin) {
    Weights w;
    const TensorShape in = access.tensor_shape(l.input);
    if (l.has_weights()) {
        const bool depthwise = l.op == LayerOp::depthwise;
        const Index rows = depthwise ? at(l.kernel_h) * l.kernel_w : at(l.out_c);
        const Index columns = depthwise ? at(l.out_c) : at(l.kernel_h) * l.kernel_w * in.channels;
        using Signed = Eigen::Matrix<std::int8_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
        w.kernel = Eigen::Map<const Signed>(access.weights(l), rows, columns).cast<double>();
        w.bias.resize(l.out_c);
        for (int c = 0; c < l.out_c; ++c) w.bias(c) = static_cast<double>(access.bias(l, c));
        if (twin) {
            for (Index k = 0; k < w.kernel.size(); ++k)
                w.kernel.data()[k] = static_cast<double>(load_f32(
                    twin.weights.data() + 4 * (l.weight_offset + static_cast<std::size_t>(k))));
            for (int c = 0; c < l.out_c; ++c)
                w.bias(c) = static_cast<double>(load_f32(
                    twin.biases.data() + 4 * (l.bias_index + static_cast<std::size_t>(c))));
        }
    }
    if (l.has_scale()) {
        w.scale.resize(l.out_c);
        // Global pooling has one scale for all channels. With real numbers all that is left of
        // the scales is the mean over positions.
        const bool pools = l.op == LayerOp::global_avg_pool || l.op == LayerOp::conv_gap;
        const int positions = l.op == LayerOp::conv_gap ? l.out_h * l.out_w : in.height * in.width;
        for (int c = 0; c < l.out_c; ++c)
            w.scale(c) = twin ? (pools ? 1.0 / static_cast<double>(positions) : 1.0)
                              : static_cast<double>(
                                    access.scale(l, l.op == LayerOp::global_avg_pool ? 0 : c));
    }
    return w;
}

void FloatNetwork::look_before_pooling() {
    if (last_map_ > 0 && layers_[static_cast<std::size_t>(last_map_) - 1].op == LayerOp::conv) {
        const LayerView& maker = layers_[static_cast<std::size_t>(last_map_) - 1];
        const TensorShape features = shape(maker.input);
        const bool pooled =
            static_cast<std::size_t>(last_map_) < layers_.size() &&
            layers_[static_cast<std::size_t>(last_map_)].op == LayerOp::global_avg_pool;
        if (pooled && maker.activation == Activation::none && maker.out_c == model_.class_count() &&
            maker.input > 0 && features.height * features.width > 1)
            last_map_ = maker.input;
    }
}

FloatNetwork::FloatNetwork(const Model& model, WeightsFrom from) : model_(model) {
    const ModelAccess access{model};
    const FloatTwin twin = from == WeightsFrom::integers ? FloatTwin{} : float_twin(model);
    const double input_quant = twin ? 1.0 : static_cast<double>(access.input_quant());
    const auto count = static_cast<std::size_t>(model.layer_count());
    values_.resize(count + 1);
    gradients_.resize(count + 1);
    winners_.resize(count);
    for (int i = 0; i < model.layer_count(); ++i) {
        const LayerView l = access.layer(i);
        layers_.push_back(l);
        weights_.push_back(weights_of(access, l, twin));
        const TensorShape in = access.tensor_shape(l.input);
        if (in.height * in.width > 1 && l.output_shape().height * l.output_shape().width == 1)
            last_map_ = l.input;
    }
    look_before_pooling();
    for (int p = 0; p < 256; ++p)
        input_table_[p] = static_cast<double>(
            (static_cast<double>(p) * static_cast<double>(access.input_scale()) +
             static_cast<double>(access.input_offset())) /
            input_quant);
    step_per_pixel_ = static_cast<double>(static_cast<double>(access.input_scale()) / input_quant);
}

void FloatNetwork::shuffle_weights(std::uint32_t seed) {
    std::mt19937 random(seed);
    for (Weights& w : weights_) {
        for (Index i = w.kernel.size() - 1; i > 0; --i)
            std::swap(w.kernel.data()[i],
                      w.kernel.data()[random() % static_cast<std::uint32_t>(i + 1)]);
    }
}

TensorShape FloatNetwork::shape(int tensor) const {
    return ModelAccess{model_}.tensor_shape(tensor);
}

Map FloatNetwork::gather(const LayerView& l, const Map& input) const {
    const TensorShape in = shape(l.input);
    Map columns = Map::Zero(at(l.out_h) * l.out_w, at(l.kernel_h) * l.kernel_w * in.channels);
    for (int ky = 0; ky < l.kernel_h; ++ky) {
        for (int kx = 0; kx < l.kernel_w; ++kx) {
            const Index first = (at(ky) * l.kernel_w + kx) * in.channels;
            for_positions(l, in, ky, kx, [&](Index out, Index source) {
                columns.row(out).segment(first, in.channels) = input.row(source);
            });
        }
    }
    return columns;
}

void FloatNetwork::scatter(const LayerView& l, const Map& columns, Map& input) const {
    const TensorShape in = shape(l.input);
    for (int ky = 0; ky < l.kernel_h; ++ky) {
        for (int kx = 0; kx < l.kernel_w; ++kx) {
            const Index first = (at(ky) * l.kernel_w + kx) * in.channels;
            for_positions(l, in, ky, kx, [&](Index out, Index source) {
                input.row(source) += columns.row(out).segment(first, in.channels);
            });
        }
    }
}

void FloatNetwork::forward(const std::uint8_t* pixels) {
    const TensorShape in = shape(0);
    Map input(at(in.height) * in.width, in.channels);
    for (Index i = 0; i < input.size(); ++i) input.data()[i] = input_table_[pixels[i]];
    forward(input);
}

void FloatNetwork::forward(const Map& input) {
    values_[0] = input;
    score_map_.resize(0, 0);
    for (int i = 0; i < model_.layer_count(); ++i) run_layer(i);
}

void FloatNetwork::run_layer(int i) {
    const LayerView& l = layers_[static_cast<std::size_t>(i)];
    const Weights& w = weights_[static_cast<std::size_t>(i)];
    const Map& x = values_[static_cast<std::size_t>(l.input)];
    Map& out = values_[static_cast<std::size_t>(i) + 1];
    const TensorShape in = shape(l.input);
    const Index positions = at(l.out_h) * l.out_w;
    switch (l.op) {
        case LayerOp::conv:
        case LayerOp::conv_gap:
            out.noalias() = gather(l, x) * w.kernel.transpose();
            out.rowwise() += w.bias;
            out.array().rowwise() *= w.scale.array();
            if (l.op == LayerOp::conv_gap) {
                // so that their mean is the logits, as scale divides by positions
                score_map_ = out * static_cast<double>(positions);
                score_map_shape_ = {l.out_h, l.out_w, l.out_c};
                out = out.colwise().sum().eval();
            }
            break;
        case LayerOp::depthwise:
            out = w.bias.replicate(positions, 1);
            for (int ky = 0; ky < l.kernel_h; ++ky)
                for (int kx = 0; kx < l.kernel_w; ++kx) {
                    const auto kernel = w.kernel.row(at(ky) * l.kernel_w + kx);
                    for_positions(l, in, ky, kx, [&](Index o, Index s) {
                        out.row(o) += x.row(s).cwiseProduct(kernel);
                    });
                }
            out.array().rowwise() *= w.scale.array();
            break;
        case LayerOp::max_pool: {
            out = Map::Constant(positions, in.channels, -std::numeric_limits<double>::infinity());
            auto& winner = winners_[static_cast<std::size_t>(i)];
            winner.assign(static_cast<std::size_t>(out.size()), 0);
            for (int ky = 0; ky < l.kernel_h; ++ky)
                for (int kx = 0; kx < l.kernel_w; ++kx)
                    for_positions(l, in, ky, kx, [&](Index o, Index s) {
                        for (Index c = 0; c < in.channels; ++c) {
                            if (x(s, c) > out(o, c)) {  // the first of equals
                                out(o, c) = x(s, c);
                                winner[static_cast<std::size_t>(o * in.channels + c)] =
                                    static_cast<std::int32_t>(s);
                            }
                        }
                    });
            break;
        }
        case LayerOp::avg_pool: {
            out = Map::Zero(positions, in.channels);
            for (int ky = 0; ky < l.kernel_h; ++ky)
                for (int kx = 0; kx < l.kernel_w; ++kx)
                    for_positions(l, in, ky, kx, [&](Index o, Index s) { out.row(o) += x.row(s); });
            out.array().colwise() /= covered(l, in).array();
            break;
        }
        case LayerOp::add: out = x + values_[static_cast<std::size_t>(l.input2)]; break;
        case LayerOp::relu: out = x.cwiseMax(0.0); break;
        case LayerOp::upsample2: {
            out.resize(positions, in.channels);
            for (Index o = 0; o < positions; ++o)
                out.row(o) = x.row(o / l.out_w / 2 * in.width + o % l.out_w / 2);
            break;
        }
        case LayerOp::global_avg_pool: out = x.colwise().sum().cwiseProduct(w.scale); break;
        case LayerOp::table:
            out.resize(positions, in.channels);
            for (Index c = 0; c < in.channels; ++c) {
                const std::int8_t* const table =
                    ModelAccess{model_}.table(l, static_cast<int>(c)) + table_entries / 2;
                for (Index o = 0; o < positions; ++o) out(o, c) = between_entries(table, x(o, c));
            }
            break;
        case LayerOp::concat: {
            const Map& second = values_[static_cast<std::size_t>(l.input2)];
            out.resize(positions, l.out_c);
            out << x, second;
            break;
        }
        case LayerOp::multiply: {
            const Map& second = values_[static_cast<std::size_t>(l.input2)];
            out = x;
            for (Index o = 0; o < positions; ++o)
                out.row(o).array() *= second.row(second.rows() == 1 ? 0 : o).array();
            out.array().rowwise() *= w.scale.array();
            break;
        }
    }
    if (l.activation == Activation::relu) out = out.cwiseMax(0.0);
    if (l.output == LayerOutput::floats) score_each_position(l, w);
}

void FloatNetwork::score_each_position(const LayerView& l, const Weights& w) {
    if (l.op != LayerOp::conv || l.input <= 0 || l.kernel_h != 1 || l.kernel_w != 1) return;
    const LayerView& before = layers_[static_cast<std::size_t>(l.input) - 1];
    if (before.op != LayerOp::global_avg_pool) return;
    const TensorShape map = shape(before.input);
    const Map pooled = values_[static_cast<std::size_t>(before.input)].array().rowwise() *
                       (weights_[static_cast<std::size_t>(l.input) - 1].scale.array() *
                        static_cast<double>(map.height * map.width));
    score_map_.noalias() = pooled * w.kernel.transpose();
    score_map_.rowwise() += w.bias;
    score_map_.array().rowwise() *= w.scale.array();
    score_map_shape_ = {map.height, map.width, l.out_c};
}

void FloatNetwork::backward(int tensor, const Map& seed, Rule rule) {
    clear_gradients(tensor);
    gradients_[static_cast<std::size_t>(tensor)] = seed;
    for (int i = tensor - 1; i >= 0; --i) back_layer(i, rule);
}

void FloatNetwork::clear_gradients(int tensor) {
    for (int t = 0; t <= tensor; ++t)
        gradients_[static_cast<std::size_t>(t)] = Map::Zero(value(t).rows(), value(t).cols());
}

void FloatNetwork::backward_from_scores(const Map& seed, Rule rule) {
    const int last = tensors() - 2;  // the layer that makes the logits
    const LayerView& l = layers_[static_cast<std::size_t>(last)];
    const Weights& w = weights_[static_cast<std::size_t>(last)];
    clear_gradients(last + 1);
    const Map scaled =
        seed.array().rowwise() *
        (w.scale.array() * (l.op == LayerOp::conv_gap ? static_cast<double>(seed.rows()) : 1.0));
    int next = last;
    if (l.op == LayerOp::conv_gap) {
        scatter(l, scaled * w.kernel, gradients_[static_cast<std::size_t>(l.input)]);
    } else {  // pooling, then a product at each position
        next = l.input - 1;
        const Weights& pooling = weights_[static_cast<std::size_t>(next)];
        const LayerView& before = layers_[static_cast<std::size_t>(next)];
        gradients_[static_cast<std::size_t>(before.input)] =
            (scaled * w.kernel).array().rowwise() *
            (pooling.scale.array() * static_cast<double>(seed.rows()));
    }
    for (int i = next - 1; i >= 0; --i) back_layer(i, rule);
}

void FloatNetwork::back_layer(int i, Rule rule) {
    const LayerView& l = layers_[static_cast<std::size_t>(i)];
    const Weights& w = weights_[static_cast<std::size_t>(i)];
    Map g = gradients_[static_cast<std::size_t>(i) + 1];
    const Map& out = values_[static_cast<std::size_t>(i) + 1];
    Map& dx = gradients_[static_cast<std::size_t>(l.input)];
    const TensorShape in = shape(l.input);
    const Index positions = at(l.out_h) * l.out_w;
    if (l.activation == Activation::relu || l.op == LayerOp::relu) {
        g = (out.array() > 0).select(g, 0.0);
        if (rule == Rule::guided) g = g.cwiseMax(0.0);
    }
    switch (l.op) {
        case LayerOp::conv:
        case LayerOp::conv_gap: {
            if (l.op == LayerOp::conv_gap) g = g.replicate(positions, 1).eval();
            g.array().rowwise() *= w.scale.array();
            scatter(l, g * w.kernel, dx);
            break;
        }
        case LayerOp::depthwise:
            g.array().rowwise() *= w.scale.array();
            for (int ky = 0; ky < l.kernel_h; ++ky)
                for (int kx = 0; kx < l.kernel_w; ++kx) {
                    const auto kernel = w.kernel.row(at(ky) * l.kernel_w + kx);
                    for_positions(l, in, ky, kx, [&](Index o, Index s) {
                        dx.row(s) += g.row(o).cwiseProduct(kernel);
                    });
                }
            break;
        case LayerOp::max_pool: {
            const auto& winner = winners_[static_cast<std::size_t>(i)];
            for (Index o = 0; o < positions; ++o)
                for (Index c = 0; c < in.channels; ++c)
                    dx(winner[static_cast<std::size_t>(o * in.channels + c)], c) += g(o, c);
            break;
        }
        case LayerOp::avg_pool:
            g.array().colwise() /= covered(l, in).array();
            for (int ky = 0; ky < l.kernel_h; ++ky)
                for (int kx = 0; kx < l.kernel_w; ++kx)
                    for_positions(l, in, ky, kx, [&](Index o, Index s) { dx.row(s) += g.row(o); });
            break;
        case LayerOp::add:
            dx += g;
            gradients_[static_cast<std::size_t>(l.input2)] += g;
            break;
        case LayerOp::relu: dx += g; break;
        case LayerOp::upsample2:
            for (Index o = 0; o < positions; ++o)
                dx.row(o / l.out_w / 2 * in.width + o % l.out_w / 2) += g.row(o);
            break;
        case LayerOp::global_avg_pool: dx.rowwise() += g.row(0).cwiseProduct(w.scale); break;
        case LayerOp::table: {
            const Map& x = values_[static_cast<std::size_t>(l.input)];
            for (Index c = 0; c < in.channels; ++c) {
                const std::int8_t* const table =
                    ModelAccess{model_}.table(l, static_cast<int>(c)) + table_entries / 2;
                for (Index o = 0; o < positions; ++o) dx(o, c) += g(o, c) * slope(table, x(o, c));
            }
            break;
        }
        case LayerOp::concat: {
            Map& second = gradients_[static_cast<std::size_t>(l.input2)];
            dx += g.leftCols(in.channels);
            second += g.rightCols(second.cols());
            break;
        }
        case LayerOp::multiply: {
            const Map& x = values_[static_cast<std::size_t>(l.input)];
            const Map& y = values_[static_cast<std::size_t>(l.input2)];
            Map& dy = gradients_[static_cast<std::size_t>(l.input2)];
            g.array().rowwise() *= w.scale.array();
            for (Index o = 0; o < positions; ++o) {
                const Index p = y.rows() == 1 ? 0 : o;
                dx.row(o) += g.row(o).cwiseProduct(y.row(p));
                dy.row(p) += g.row(o).cwiseProduct(x.row(o));
            }
            break;
        }
    }
}

}  // namespace mien::explain
