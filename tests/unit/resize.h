// SPDX-License-Identifier: MIT
// The resize of the crops with memory of its own, for tests.
#pragma once

#include <vector>

#include "image/linear.h"
#include "kernels/kernels.h"
#include "unit/helpers.h"

namespace mien::test {

inline ByteVector resized(const Frame& frame, const Rect& part, int channels, int width, int height,
                          Isa isa = Isa::best) {
    Arena measure;
    LinearScratch scratch;
    scratch.place(measure, width, channels);
    std::vector<std::byte> memory(measure.required_bytes());
    Arena arena(memory.data(), memory.size());
    scratch.place(arena, width, channels);
    // Exactly as large as the result, so that a write past it is seen.
    const GuardedBuffer out(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                            static_cast<std::size_t>(channels));
    resize_linear(frame, part, channels, width, height, kernels_for(isa).image, scratch,
                  out.data());
    return {out.data(), out.data() + out.size()};
}

}  // namespace mien::test
