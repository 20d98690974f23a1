// SPDX-License-Identifier: MIT
// Occlusion sensitivity (Zeiler and Fergus 2014): hides parts of the face. No gradients, no float
// network, only the engine's own answers, so it checks the methods that use them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mien/mien.hpp"

namespace mien::explain {

// Values by position, line by line; color inputs of pixel methods are summed over their channels.
struct Heatmap {
    int width = 0, height = 0;
    std::vector<float> values;
};

// A network's input (input_height x input_width x input_channels bytes) and the class in question.
struct OcclusionFace {
    const std::uint8_t* pixels = nullptr;
    int class_index = 0;
};

// Patches of a fifth of the shorter side, in the mean gray of the face, moved by half of their
// size; a position's value is the mean drop of the probability over all patches that hide it. The
// patches of all faces are one batch, spread over the executor's threads; maps are as large as the
// input, in the order of the faces, and do not depend on the number of threads. Empty when there is
// no memory or no model.
std::vector<Heatmap> occlusion(const Model& model, std::span<const OcclusionFace> faces,
                               const Executor& executor = {}, Isa isa = Isa::best);

}  // namespace mien::explain
