// SPDX-License-Identifier: MIT
// The library in ten lines: weights in, engine made, a frame in, faces out. Compiled and run as a
// test.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <mien/mien.hpp>
#include <string>
#include <vector>

static std::vector<std::uint8_t> load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

int main(int argc, char** argv) {
    const std::string weights = argc > 1 ? argv[1] : "weights";
    const auto detector_file = load(weights + "/detector.mien"),
               emotion_file = load(weights + "/emotion.mien");
    const std::vector<std::uint8_t> pixels(640 * 480 * 3, 128);  // your camera's frame

    mien::Model detector, emotion;
    if (mien::Model::open(detector_file, detector) != mien::Status::ok ||
        mien::Model::open(emotion_file, emotion) != mien::Status::ok)
        return 4;
    const mien::Config config;
    const mien::Weights in_use = {.detector = &detector, .heads = {&emotion}};
    std::vector<std::byte> memory(mien::Engine::required_bytes(config, in_use));
    mien::Engine engine;
    if (mien::Engine::create(config, in_use, memory, engine) != mien::Status::ok) return 4;
    std::span<const mien::Face> faces;
    const mien::Status status =
        engine.process({pixels.data(), 640, 480, 640 * 3, mien::PixelFormat::rgb24}, faces);
    for (const mien::Face& face : faces)
        std::printf("face at %d, %d: %.2f happy\n", face.box.x, face.box.y,
                    face[mien::Head::emotion].probabilities[3]);
    std::printf("%zu faces, %s\n", faces.size(), mien::message(status));
    return static_cast<int>(status);
}
