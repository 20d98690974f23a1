// SPDX-License-Identifier: MIT
// What the weights and cascade fuzzers share: build an engine from whatever opened, and use it
// once.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/crc32.h"
#include "mien/mien.hpp"

namespace mien::fuzz {

// A copy whose checksum is right, so that the fuzzer gets past it to the parsers behind.
inline std::vector<std::uint8_t> with_right_checksum(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> file(data, data + size);
    if (size < 32) return file;
    const std::uint64_t file_bytes = size;
    std::memcpy(file.data() + 16, &file_bytes, 8);
    const std::span<const std::uint8_t> all = file;
    const std::uint32_t crc = crc32(all.subspan(28), crc32(all.first(24)));
    std::memcpy(file.data() + 24, &crc, 4);
    return file;
}

inline void use(const Cascade* cascade, const Model* model) {
    const bool finds = model != nullptr && model->finds_faces();
    Weights weights = {.cascade = cascade};
    (finds ? weights.detector : weights.heads[0]) = model;
    Config config;
    config.max_width = config.max_height = 96;
    config.max_candidates = 256;
    const std::size_t bytes = Engine::required_bytes(config, weights);
    if (bytes == 0 || bytes > (std::size_t{32} << 20)) return;
    const auto memory = std::make_unique<std::byte[]>(bytes);
    Engine engine;
    if (Engine::create(config, weights, {memory.get(), bytes}, engine) != Status::ok)
        __builtin_trap();
    std::vector<std::uint8_t> pixels(96 * 96);
    for (std::size_t i = 0; i < pixels.size(); ++i)
        pixels[i] = static_cast<std::uint8_t>(i * 2654435761u >> 24);
    const Frame frame = {pixels.data(), 96, 96, 96, PixelFormat::gray8};
    const Frame part = {pixels.data(), 45, 71, 96, PixelFormat::gray8};
    std::span<const Face> faces;
    Face face;
    if (cascade != nullptr && engine.process(frame, faces) != Status::ok) __builtin_trap();
    if (finds)
        for (const Frame& searched : {frame, part}) {
            const Status status = engine.process(searched, faces);
            if (status != Status::ok && status != Status::unsupported) __builtin_trap();
        }
    if (model != nullptr && !finds && engine.classify_crop(frame, face) != Status::ok)
        __builtin_trap();
}

}  // namespace mien::fuzz
