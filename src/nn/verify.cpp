// SPDX-License-Identifier: MIT
// Replays the test vectors inside a network file.
#include <algorithm>
#include <bit>
#include <cmath>
#include <new>

#include "base/crc32.h"
#include "nn/network.h"

namespace mien {
namespace {

struct VerifyMemory {
    Network* network;
    float* scores;
};

VerifyMemory place_verify(Arena& arena, const Model& model, Isa isa) noexcept {
    VerifyMemory memory = {arena.take<Network>(1),
                           arena.take<float>(static_cast<std::size_t>(model.class_count()))};
    Network measured;
    Network* const network = memory.network != nullptr ? new (memory.network) Network{} : &measured;
    network->place(arena, model, kernels_for(isa));
    return memory;
}

// Compares each layer's bytes with the checksum in the file.
struct LayerCheck {
    const std::uint8_t* crcs;
    int failed_layer = -1;

    static void after_layer(void* context, const Network& network, int layer) {
        auto& self = *static_cast<LayerCheck*>(context);
        if (self.failed_layer >= 0) return;
        std::uint32_t crc = 0;
        const Network::Result result = network.result(layer);
        if (result.values != nullptr) {
            for (std::size_t i = 0; i < result.shape.elements(); ++i) {
                const auto bits = std::bit_cast<std::uint32_t>(result.values[i]);
                const std::uint8_t bytes[4] = {
                    static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(bits >> 8),
                    static_cast<std::uint8_t>(bits >> 16), static_cast<std::uint8_t>(bits >> 24)};
                crc = crc32(bytes, crc);
            }
        } else {
            const Tensor& t = network.output(layer);
            for (int y = 0; y < t.shape.height; ++y)
                for (int x = 0; x < t.shape.width; ++x) {
                    const std::int8_t* pixel =
                        t.data + y * t.row_bytes + std::ptrdiff_t{x} * t.pixel_bytes;
                    crc = crc32({reinterpret_cast<const std::uint8_t*>(pixel),
                                 static_cast<std::size_t>(t.shape.channels)},
                                crc);
                }
        }
        if (crc != load_u32(self.crcs + 4 * static_cast<std::size_t>(layer)))
            self.failed_layer = layer;
    }
};

}  // namespace

std::size_t verify_required_bytes(const Model& model) noexcept {
    if (!model) return 0;
    std::size_t bytes = 0;
    for (const Isa isa : all_isas) {
        if (!isa_available(isa)) continue;
        Arena arena;
        place_verify(arena, model, isa);
        bytes = std::max(bytes, arena.required_bytes());
    }
    return bytes;
}

Status verify(const Model& model, Isa isa, std::span<std::byte> memory,
              VerifyReport& report) noexcept {
    report = {};
    if (!model || memory.data() == nullptr) return Status::bad_argument;
    if (memory.size() < verify_required_bytes(model)) return Status::too_small;
    Arena arena(memory.data(), memory.size());
    const VerifyMemory placed = place_verify(arena, model, isa);
    if (!arena.ok()) return Status::too_small;
    const ModelAccess access{model};
    for (int v = 0; v < model.test_vector_count(); ++v) {
        const ModelAccess::TestVector vector = access.test_vector(v);
        LayerCheck check{vector.layer_crcs};
        const Network::Observer observer = {LayerCheck::after_layer, &check};
        placed.network->run(vector.pixels, placed.scores, &observer);
        ++report.vectors;
        for (int c = 0; c < model.class_count(); ++c) {
            const std::size_t at = 4 * static_cast<std::size_t>(c);
            report.max_float_error =
                std::max(report.max_float_error,
                         std::abs(placed.scores[c] - load_f32(vector.probabilities + at)));
            if (check.failed_layer < 0 &&
                placed.network->logits()[c] != load_f32(vector.logits + at))
                check.failed_layer = model.layer_count();
        }
        if (check.failed_layer >= 0) {
            report.failed_vector = v;
            report.failed_layer = check.failed_layer;
            return Status::verify_failed;
        }
    }
    return Status::ok;
}

}  // namespace mien
