// SPDX-License-Identifier: MIT
// Can a file with a right checksum make the loaders of networks and cascades crash, or take what
// contradicts itself? Opened only, not run, so that it is much faster than fuzz_weights.
#include <cstdlib>

#include "../../src/nn/model_file.h"
#include "container_mutator.h"
#include "mien/mien.hpp"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    return mien::fuzz::mutate_container(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::uint8_t> bytes(data, size);
    mien::Cascade cascade;
    if (mien::Cascade::open(bytes, cascade) == mien::Status::ok && cascade.window_width() < 4)
        std::abort();
    mien::Model model;
    if (mien::Model::open(bytes, model) != mien::Status::ok) return 0;
    for (int i = 0; i < model.layer_count(); ++i) {
        const mien::LayerView layer = mien::layer_view(model, i);
        const mien::TensorShape out = layer.output_shape();
        if (out.height < 1 || out.width < 1 || out.channels < 1 || layer.input > i) std::abort();
        // the last weight and bias lie within the file
        const mien::ModelAccess access{model};
        if (!layer.has_weights()) continue;
        const auto* last = reinterpret_cast<const std::uint8_t*>(access.weights(layer)) +
                           access.weight_count(layer) - 1;
        if (last < data || last >= data + size) std::abort();
        [[maybe_unused]] volatile std::int32_t sink = *last + access.bias(layer, layer.out_c - 1);
    }
    for (int i = 0; i < model.class_count(); ++i)
        if (model.label(i).empty()) std::abort();
    return 0;
}
