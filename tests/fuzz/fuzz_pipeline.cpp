// SPDX-License-Identifier: MIT
// Can any image make the whole way fail, from the file to the readings: decoder, search by cascade
// or by network, crop, networks? Small images, so that it runs often; every number that comes out
// is checked. The last byte chooses the detector and how the image is cut.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "host/codec/image_file.h"
#include "host/weights/engine_owner.h"
#include "picture_mutator.h"

namespace {

using namespace mien;

constexpr int largest_side = 96;

// How far the inputs came, printed at the end.
struct Progress {
    unsigned long long inputs = 0, decoded = 0, with_faces = 0, faces = 0, crops = 0;
    ~Progress() {
        std::printf(
            "%llu inputs, %llu decoded and searched, %llu with %llu faces, %llu as a crop\n",
            inputs, decoded, with_faces, faces, crops);
    }
} progress;

host::EngineSetup setup_of(bool network) {
    host::EngineSetup setup;
    setup.cascade.use = !network;
    setup.detector.use = network;
    setup.config.max_width = setup.config.max_height = largest_side;
    return setup;
}

void check(const host::ImageReport& report, int width, int height) {
    for (const auto& face : report.faces) {
        if (face.box.width < 1 || face.box.height < 1 || !std::isfinite(face.score)) std::abort();
        if (face.box.x > width || face.box.y > height) std::abort();
        for (const Head head : named_heads) {
            const host::Reading& reading = face[head];
            float sum = 0;
            for (const float probability : reading.probabilities) {
                if (!(probability >= 0 && probability <= 1.0001f)) std::abort();
                sum += probability;
            }
            if (!reading.probabilities.empty() && std::abs(sum - 1) > 1e-3f) std::abort();
        }
    }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    return mien::fuzz::mutate_picture(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) return 0;
    ++progress.inputs;
    host::ImageLimits limits;
    limits.max_side = largest_side;
    limits.max_file_bytes = 1 << 16;
    const auto decoded = host::decode_image({data, size}, limits);
    if (!decoded) return 0;
    static const auto cascade = host::EngineOwner::create(setup_of(false));
    static const auto network = host::EngineOwner::create(setup_of(true));
    if (!cascade || !network) std::abort();
    const host::Image& image = decoded->image;
    const Frame frame = image.frame();
    host::EngineOwner& engine = data[size - 1] % 2 == 0 ? **cascade : **network;
    host::ImageReport report;
    if (!engine.process(frame, report)) std::abort();
    check(report, image.width, image.height);
    ++progress.decoded;
    progress.with_faces += !report.faces.empty();
    progress.faces += report.faces.size();
    // Every image comes to the networks now and then, also without a face.
    if (data[size - 1] % 8 == 2) {
        ++progress.crops;
        if (!engine.classify_crop(frame, report)) std::abort();
        check(report, image.width, image.height);
    }
    return 0;
}
