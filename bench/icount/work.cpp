// SPDX-License-Identifier: MIT
// What is counted? One kind of work, N times, on generated pixels; MIEN_ISA chooses the instruction
// set.
//   mien-icount-work KIND N
//     emotion, gender   a face as it comes from the detector: crop, resize, network
//     detect            a gray 640x480 frame, detector at (1.3, 5)
//     frame             the same frame as RGB: gray and detector (there is no face in it)
//     net               an RGB frame of 320x240, detector network
//     isa               nothing; prints the instruction set
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "common/scene.h"
#include "host/weights/embedded_weights.h"
#include "mien/mien.hpp"

namespace {

using namespace mien;

void need(Status status) {
    if (status == Status::ok) return;
    std::fprintf(stderr, "mien-icount-work: %s\n", message(status));
    std::exit(1);
}

Isa wanted_isa() {
    const char* name = std::getenv("MIEN_ISA");
    if (name == nullptr) return Isa::best;
    for (const Isa isa : all_isas)
        if (std::string_view(name) == isa_name(isa) && isa_available(isa)) return isa;
    std::fprintf(stderr, "mien-icount-work: this processor has no %s\n", name);
    std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view kind = argc > 1 ? argv[1] : "";
    const int times = argc > 2 ? std::atoi(argv[2]) : 0;
    const bool emotion_work = kind == "emotion", gender_work = kind == "gender",
               haar_work = kind == "detect" || kind == "frame", net_work = kind == "net",
               detector_work = haar_work || net_work;
    if (kind == "isa") {
        std::puts(isa_name(resolve_isa(wanted_isa())));
        return 0;
    }
    if (!(emotion_work || gender_work || detector_work) || times < 0) {
        std::fputs("usage: mien-icount-work emotion|gender|detect|frame|net|isa N\n", stderr);
        return 2;
    }

    Cascade cascade;
    Model model;
    if (haar_work)
        need(Cascade::open(host::embedded_cascade(), cascade));
    else if (net_work)
        need(Model::open(host::embedded_detector(), model));
    else
        need(Model::open(emotion_work ? host::embedded_network(Head::emotion)
                                      : host::embedded_network(Head::gender),
                         model));
    Weights weights;
    if (haar_work) weights.cascade = &cascade;
    if (net_work) weights.detector = &model;
    if (emotion_work) weights.heads[static_cast<int>(Head::emotion)] = &model;
    if (gender_work) weights.heads[static_cast<int>(Head::gender)] = &model;

    const bench::Scene scene(net_work ? 320 : 640, net_work ? 240 : 480);
    Frame frame{scene.rgb.data(), scene.width, scene.height, std::ptrdiff_t{scene.width} * 3,
                PixelFormat::rgb24};
    std::vector<std::uint8_t> gray;
    if (kind == "detect") {
        for (std::size_t i = 1; i < scene.rgb.size(); i += 3) gray.push_back(scene.rgb[i]);
        frame = {gray.data(), scene.width, scene.height, scene.width, PixelFormat::gray8};
    }

    Config config;
    config.isa = wanted_isa();
    std::vector<std::byte> memory(Engine::required_bytes(config, weights));
    Engine engine;
    need(Engine::create(config, weights, memory, engine));
    Face face;
    std::span<const Face> faces;
    for (int i = 0; i < times; ++i) {
        if (detector_work)
            need(engine.detect(frame, faces));
        else
            need(engine.classify(frame, {200, 150, 120, 120}, face));
    }
    return 0;
}
