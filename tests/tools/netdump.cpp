// SPDX-License-Identifier: MIT
// What does the engine compute inside? Test program: images in, scores (and all layers) out, for
// tests/compare_keras.py.
//
//   mien-netdump MODEL.mien [--isa NAME] [--layers] < images > results
// stdin: any number of images of height * width * channels bytes, already of the network's input
// size stdout: for each image f32 logits, f32 probabilities; with --layers instead each layer's
// int8 tensor (channels last,
//         no padding) and for the last layer its f32 logits
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "nn/network.h"

namespace {

std::vector<std::uint8_t> read_all(std::FILE* file) {
    std::vector<std::uint8_t> bytes;
    std::uint8_t buffer[65536];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;)
        bytes.insert(bytes.end(), buffer, buffer + n);
    return bytes;
}

void write_layer(void*, const mien::Network& network, int layer) {
    if (layer + 1 == network.model().layer_count()) {
        std::fwrite(network.logits(), sizeof(float),
                    static_cast<std::size_t>(network.model().class_count()), stdout);
        return;
    }
    const mien::Tensor& t = network.output(layer);
    for (int y = 0; y < t.shape.height; ++y)
        for (int x = 0; x < t.shape.width; ++x)
            std::fwrite(t.data + y * t.row_bytes + std::ptrdiff_t{x} * t.pixel_bytes, 1,
                        static_cast<std::size_t>(t.shape.channels), stdout);
}

int fail(const char* what) {
    std::fprintf(stderr, "mien-netdump: %s\n", what);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    const char* path = nullptr;
    bool layers = false;
    mien::Isa isa = mien::Isa::best;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--layers") {
            layers = true;
        } else if (argument == "--isa" && i + 1 < argc) {
            const std::string_view name = argv[++i];
            for (const mien::Isa candidate : mien::all_isas)
                if (name == mien::isa_name(candidate)) isa = candidate;
        } else {
            path = argv[i];
        }
    }
    if (path == nullptr)
        return fail("usage: mien-netdump MODEL.mien [--isa NAME] [--layers] < images > results");
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return fail("cannot read the weights file");
    const std::vector<std::uint8_t> bytes = read_all(file);
    std::fclose(file);
    mien::Model model;
    if (const mien::Status status = mien::Model::open(bytes, model); status != mien::Status::ok)
        return fail(mien::message(status));

    mien::Network network;
    mien::Arena measure;
    network.place(measure, model, mien::kernels_for(isa));
    const std::size_t size = measure.required_bytes();
    const auto memory = std::make_unique<std::byte[]>(size);
    mien::Arena arena(memory.get(), size);
    network.place(arena, model, mien::kernels_for(isa));

    const std::size_t picture = mien::ModelAccess{model}.tensor_shape(0).elements();
    const auto classes = static_cast<std::size_t>(model.class_count());
    std::vector<std::uint8_t> pixels(picture);
    std::vector<float> scores(classes);
    const mien::Network::Observer observer = {write_layer, nullptr};
    while (std::fread(pixels.data(), 1, picture, stdin) == picture) {
        network.run(pixels.data(), scores.data(), layers ? &observer : nullptr);
        if (layers) continue;
        std::fwrite(network.logits(), sizeof(float), classes, stdout);
        std::fwrite(scores.data(), sizeof(float), classes, stdout);
    }
    return 0;
}
