// SPDX-License-Identifier: MIT
// mien info: prints the shapes, cost, labels and provenance of a weights file, as text or JSON.
#include <nlohmann/json.hpp>

#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "host/files/file_io.h"
#include "host/weights/engine_owner.h"
#include "host/weights/named_networks.h"
#include "mien/cascade_xml.hpp"
#include "nn/model_file.h"

namespace mien::cli {
namespace {

using Json = nlohmann::ordered_json;

Json meta_json(std::string_view meta) {
    const Json json = Json::parse(meta, nullptr, false);
    return json.is_discarded() ? Json(std::string(meta)) : json;
}

const char* activation_name(Activation activation) {
    return activation == Activation::relu ? "relu" : "none";
}

Json shape_json(const TensorShape& shape) { return {shape.height, shape.width, shape.channels}; }

Json layer_json(const Model& model, int index) {
    const ModelAccess access{model};
    const LayerView layer = layer_view(model, index);
    Json inputs = {layer.input};
    if (layer.input2 != no_tensor) inputs.push_back(layer.input2);
    return {{"name", layer.name},
            {"op", op_name(layer.op)},
            {"activation", activation_name(layer.activation)},
            {"inputs", std::move(inputs)},
            {"kernel", {layer.kernel_h, layer.kernel_w}},
            {"stride", {layer.stride_y, layer.stride_x}},
            {"padding",
             {{"top", layer.pad_top},
              {"left", layer.pad_left},
              {"bottom", layer.pad_bottom},
              {"right", layer.pad_right}}},
            {"output", shape_json(access.tensor_shape(index + 1))},
            {"weights", access.weight_count(layer)},
            {"macs", access.mac_count(layer)},
            {"quant", layer.quant}};
}

// What the probabilities mean: section ANSW of the file.
Json answer_json(const Model& model) {
    if (!model.answers_quantity())
        return {{"kind", "class"}, {"unsure_below", model.unsure_below()}};
    Json values = Json::array();
    for (int i = 0; i < model.class_count(); ++i) values.push_back(model.value(i).value());
    return {{"kind", "quantity"}, {"unit", model.unit()}, {"values", std::move(values)}};
}

Json network_json(const std::string& path, const Model& model) {
    const ModelAccess access{model};
    Json layers = Json::array(), labels = Json::array();
    std::uint64_t macs = 0, weights = 0;
    for (int i = 0; i < model.layer_count(); ++i) {
        layers.push_back(layer_json(model, i));
        macs += access.mac_count(layer_view(model, i));
        weights += access.weight_count(layer_view(model, i));
    }
    for (int i = 0; i < model.class_count(); ++i) labels.push_back(model.label(i));
    return {{"file", path},
            {"kind", "network"},
            {"bytes", model.bytes().size()},
            {"input",
             {{"height", model.input_height()},
              {"width", model.input_width()},
              {"channels", model.input_channels()},
              {"scale", access.input_scale()},
              {"offset", access.input_offset()},
              {"quant", access.input_quant()},
              {"margin_x", model.margin_x()},
              {"margin_y", model.margin_y()}}},
            {"labels", std::move(labels)},
            {"softmax", access.softmax()},
            {"answer", answer_json(model)},
            {"weights", weights},
            {"macs", macs},
            {"cost", {{"operations", model.cost().operations}, {"bytes", model.cost().bytes}}},
            {"test_vectors", model.test_vector_count()},
            {"layers", std::move(layers)},
            {"meta", meta_json(model.meta())}};
}

Json cascade_json(const std::string& path, const Cascade& cascade) {
    return {{"file", path},
            {"kind", "cascade"},
            {"bytes", cascade.bytes().size()},
            {"window", {{"width", cascade.window_width()}, {"height", cascade.window_height()}}},
            {"stages", cascade.stage_count()},
            {"trees", cascade.tree_count()},
            {"nodes", cascade.node_count()},
            {"features", cascade.feature_count()},
            {"tilted", cascade.has_tilted()},
            {"meta", meta_json(cascade.meta())}};
}

// 10163392 as "10,163,392".
std::string grouped(std::uint64_t value) {
    std::string text = std::to_string(value);
    for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
    return text;
}

std::string kernel_text(const LayerView& layer) {
    if (layer.op == LayerOp::add || layer.op == LayerOp::relu ||
        layer.op == LayerOp::global_avg_pool || layer.op == LayerOp::upsample2 ||
        layer.op == LayerOp::table || layer.op == LayerOp::concat || layer.op == LayerOp::multiply)
        return "";
    std::string text = format("%dx%d", layer.kernel_h, layer.kernel_w);
    if (layer.stride_y != 1 || layer.stride_x != 1) {
        text += layer.stride_y == layer.stride_x
                    ? format(" /%d", layer.stride_y)
                    : format(" /%d,%d", layer.stride_y, layer.stride_x);
    }
    return text;
}

std::string layer_text(const Model& model, int index) {
    const ModelAccess access{model};
    const LayerView layer = layer_view(model, index);
    const TensorShape shape = access.tensor_shape(index + 1);
    const std::string op =
        std::string(op_name(layer.op)) + (layer.activation == Activation::relu ? " + relu" : "");
    const std::string reads = layer.input2 == no_tensor
                                  ? std::to_string(layer.input)
                                  : format("%d+%d", layer.input, layer.input2);
    return format("%5d  %7s  %-17s %-8s %-14s %10s %12s  %s\n", index + 1, reads.c_str(),
                  op.c_str(), kernel_text(layer).c_str(),
                  format("%d x %d x %d", shape.height, shape.width, shape.channels).c_str(),
                  layer.has_weights() ? grouped(access.weight_count(layer)).c_str() : "",
                  access.mac_count(layer) > 0 ? grouped(access.mac_count(layer)).c_str() : "",
                  printable(layer.name).c_str());
}

// Provenance line by line; long texts (a license) by their first line.
std::string meta_text(std::string_view meta) {
    const Json json = meta_json(meta);
    if (!json.is_object()) return "";
    std::string text;
    for (const auto& [key, value] : json.items()) {
        std::string shown = value.is_string()
                                ? value.get<std::string>()
                                : value.dump(-1, ' ', false, Json::error_handler_t::replace);
        const std::size_t end = shown.find('\n');
        const bool cut = end != std::string::npos || shown.size() > 160;
        if (cut)
            shown = shown.substr(0, std::min<std::size_t>(end, 160)) + " ... (--json shows all)";
        text += padded(printable(key), 13) + " " + printable(shown) + "\n";
    }
    return text;
}

std::string answer_text(const Model& model) {
    if (model.answers_quantity()) {
        const int last = model.class_count() - 1;
        return format("answer        a quantity, %g to %g ",
                      static_cast<double>(model.value(0).value()),
                      static_cast<double>(model.value(last).value())) +
               printable(model.unit()) + "\n";
    }
    if (model.unsure_below() == 0) return {};
    return format("answer        unsure below a probability of %g\n",
                  static_cast<double>(model.unsure_below()));
}

std::string network_text(const std::string& path, const Model& model) {
    const ModelAccess access{model};
    std::uint64_t macs = 0, weights = 0;
    std::string layers;
    for (int i = 0; i < model.layer_count(); ++i) {
        const LayerView layer = layer_view(model, i);
        layers += layer_text(model, i);
        macs += access.mac_count(layer);
        weights += access.weight_count(layer);
    }
    std::string labels;
    for (int i = 0; i < model.class_count(); ++i)
        labels += (i > 0 ? ", " : "") + printable(model.label(i));
    std::string text = printable(path) + ": network, " + grouped(model.bytes().size()) + " bytes\n";
    text += format("input         %d x %d, %s; value = pixel * %g %+g\n", model.input_height(),
                   model.input_width(), model.input_channels() == 1 ? "gray" : "RGB",
                   static_cast<double>(access.input_scale()),
                   static_cast<double>(access.input_offset()));
    text += format("crop          face box, wider by %g and higher by %g of it on each side\n",
                   static_cast<double>(model.margin_x()), static_cast<double>(model.margin_y()));
    text += "classes       " + labels + (access.softmax() ? " (softmax)\n" : " (logits)\n");
    text += answer_text(model);
    text += "weights       " + grouped(weights) + " of 8 bits\n";
    text += "MACs          " + grouped(macs) + "\n";
    text += "cost          " + grouped(model.cost().operations) + " operations and " +
            grouped(model.cost().bytes) + " bytes" +
            (model.input_multiple() > 0 ? " for a million pixels\n" : " a run\n");
    text += format("test vectors  %d (`mien verify` replays them)\n", model.test_vector_count());
    text += meta_text(model.meta());
    return text +
           "\nlayer    reads  operation         kernel   output            weights         MACs  "
           "name\n" +
           layers;
}

std::string cascade_text(const std::string& path, const Cascade& cascade) {
    std::string text =
        printable(path) + ": Haar cascade, " + grouped(cascade.bytes().size()) + " bytes\n";
    text += format("window        %d x %d\n", cascade.window_width(), cascade.window_height());
    text += format("stages        %d\n", cascade.stage_count());
    text += format("trees         %d with %d nodes\n", cascade.tree_count(), cascade.node_count());
    text += format("features      %d, %s\n", cascade.feature_count(),
                   cascade.has_tilted() ? "some tilted" : "upright");
    return text + meta_text(cascade.meta());
}

int show(const std::string& path, double network_limit, bool json) {
    auto bytes = host::read_weights(path);
    if (!bytes) return complain(path, bytes.error());
    if (is_xml(*bytes)) {
        std::string cause;
        *bytes = cascade_of_xml(*bytes, path, cause);
        if (bytes->empty()) return complain(path, host::Error::weights(cause));
    }
    Model model;
    Cascade cascade;
    Status status = Model::open(*bytes, model, network_limit);
    const bool is_cascade = status == Status::wrong_kind;
    if (is_cascade) status = Cascade::open(*bytes, cascade);
    if (status == Status::too_costly) return complain(path, host::cost_error(model.cost()));
    if (status != Status::ok) return complain(path, host::weights_error(*bytes, status));
    if (json) {
        const Json object = is_cascade ? cascade_json(path, cascade) : network_json(path, model);
        print(object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    } else {
        print(is_cascade ? cascade_text(path, cascade) : network_text(path, model));
    }
    return output_exit_code();
}

}  // namespace

int run_info(int argc, char** argv) {
    CLI::App app(
        "Shows what a weights file holds: layers with shapes and cost, or the facts of a "
        "cascade.\n");
    style_app(app, "info");
    std::string path;
    double network_limit = 1;
    bool json = false;
    app.add_option("FILE", path,
                   "A .mien file, the XML of an OpenCV cascade, or what comes with mien: emotion, "
                   "emotion-large, gender, detector, ...")
        ->required()
        ->type_name("");
    app.add_flag("--json", json, "As one JSON object");
    add_network_limit_option(app, network_limit);
    int exit_code = exit_done;
    return parse_options(app, argc, argv, exit_code) ? show(path, network_limit, json) : exit_code;
}

}  // namespace mien::cli
