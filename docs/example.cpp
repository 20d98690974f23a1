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
    const auto cascade_file = load(weights + "/haarcascade_frontalface_default.mien"),
               emotion_file = load(weights + "/emotion.mien");
    const std::vector<std::uint8_t> pixels(640 * 480 * 3, 128);  // your camera's frame

    mien::Cascade cascade;
    mien::Model emotion;
    if (mien::Cascade::open(cascade_file, cascade) != mien::Status::ok ||
        mien::Model::open(emotion_file, emotion) != mien::Status::ok)
        return 4;
    mien::Config config;
    std::vector<std::byte> memory(
        mien::Engine::required_bytes(config, {.cascade = &cascade, .heads = {&emotion}}));
    mien::Engine engine;
    if (mien::Engine::create(config, {.cascade = &cascade, .heads = {&emotion}}, memory, engine) !=
        mien::Status::ok)
        return 4;
    std::span<const mien::Face> faces;
    const mien::Status status =
        engine.process({pixels.data(), 640, 480, 640 * 3, mien::PixelFormat::rgb24}, faces);
    for (const mien::Face& face : faces)
        std::printf("face at %d, %d: %.2f happy\n", face.box.x, face.box.y,
                    face[mien::Head::emotion].probabilities[3]);
    std::printf("%zu faces, %s\n", faces.size(), mien::message(status));
    return static_cast<int>(status);
}
