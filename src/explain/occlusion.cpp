// SPDX-License-Identifier: MIT
// The batch of patches (see occlusion.h).
#include "explain/occlusion.h"

#include <algorithm>
#include <memory>
#include <numeric>

namespace mien::explain {
namespace {

constexpr int sides_in_face = 5;  // patches side by side
constexpr int whole_face = -1;

struct Patch {
    int face;
    int x0, y0, x1, y1;  // x0 == whole_face: nothing is hidden
    float probability;
};

// One engine per thread, each in memory of its own.
class Worker {
public:
    bool open(const Model& model, Isa isa) {
        Config config;
        config.max_width = model.input_width();
        config.max_height = model.input_height();
        config.max_faces = 1;
        config.isa = isa;
        memory_.resize(Engine::required_bytes(config, {.heads = {&model}}));
        return Engine::create(config, {.heads = {&model}}, memory_, engine_) == Status::ok;
    }
    void run(const Model& model, std::span<const OcclusionFace> faces,
             std::span<const std::uint8_t> grays, Patch& patch) {
        const int width = model.input_width(), height = model.input_height(),
                  channels = model.input_channels();
        const OcclusionFace& face = faces[static_cast<std::size_t>(patch.face)];
        const std::ptrdiff_t row = std::ptrdiff_t{width} * channels;
        pixels_.assign(face.pixels, face.pixels + row * height);
        if (patch.x0 != whole_face) {
            for (int y = patch.y0; y < patch.y1; ++y) {
                std::fill_n(pixels_.begin() + y * row + std::ptrdiff_t{patch.x0} * channels,
                            (patch.x1 - patch.x0) * channels,
                            grays[static_cast<std::size_t>(patch.face)]);
            }
        }
        Face read;
        const Status status =
            engine_.classify_crop({pixels_.data(), width, height, row,
                                   channels == 3 ? PixelFormat::rgb24 : PixelFormat::gray8},
                                  read);
        patch.probability =
            status == Status::ok
                ? read[Head::emotion].probabilities[static_cast<std::size_t>(face.class_index)]
                : 0.0f;
    }

private:
    std::vector<std::byte> memory_;
    std::vector<std::uint8_t> pixels_;
    Engine engine_;
};

struct Batch {
    const Model& model;
    std::span<const OcclusionFace> faces;
    std::vector<std::uint8_t> grays;
    std::vector<Patch> patches;
    std::vector<Worker> workers;

    // Worker i takes every workers.size()-th patch.
    static void work(void* argument, int index) {
        auto& self = *static_cast<Batch*>(argument);
        for (std::size_t i = static_cast<std::size_t>(index); i < self.patches.size();
             i += self.workers.size())
            self.workers[static_cast<std::size_t>(index)].run(self.model, self.faces, self.grays,
                                                              self.patches[i]);
    }
};

}  // namespace

std::vector<Heatmap> occlusion(const Model& model, std::span<const OcclusionFace> faces,
                               const Executor& executor, Isa isa) {
    if (!model || faces.empty()) return {};
    const int width = model.input_width(), height = model.input_height();
    const std::size_t bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                              static_cast<std::size_t>(model.input_channels());
    const int size = std::max(std::min(width, height) / sides_in_face, 1),
              step = std::max(size / 2, 1);
    Batch batch{model, faces, {}, {}, {}};
    for (std::size_t f = 0; f < faces.size(); ++f) {
        const std::uint64_t sum =
            std::accumulate(faces[f].pixels, faces[f].pixels + bytes, std::uint64_t{0});
        batch.grays.push_back(static_cast<std::uint8_t>(sum / bytes));
        batch.patches.push_back({static_cast<int>(f), whole_face, 0, 0, 0, 0});
        for (int top = step - size; top < height; top += step)
            for (int left = step - size; left < width; left += step)
                batch.patches.push_back({static_cast<int>(f), std::max(left, 0), std::max(top, 0),
                                         std::min(left + size, width), std::min(top + size, height),
                                         0});
    }
    batch.workers = std::vector<Worker>(
        static_cast<std::size_t>(executor.run != nullptr ? executor.threads : 1));
    for (Worker& worker : batch.workers)
        if (!worker.open(model, isa)) return {};
    if (executor.run != nullptr)
        executor.run(executor.context, static_cast<int>(batch.workers.size()), Batch::work, &batch);
    else
        Batch::work(&batch, 0);

    std::vector<Heatmap> maps(faces.size());
    std::vector<float> count;
    float whole = 0;
    for (std::size_t i = 0; i < batch.patches.size(); ++i) {
        const Patch& patch = batch.patches[i];
        Heatmap& map = maps[static_cast<std::size_t>(patch.face)];
        if (patch.x0 == whole_face) {
            map = {width, height,
                   std::vector<float>(static_cast<std::size_t>(width) *
                                      static_cast<std::size_t>(height))};
            count.assign(map.values.size(), 0);
            whole = patch.probability;
            continue;
        }
        for (int y = patch.y0; y < patch.y1; ++y)
            for (int x = patch.x0; x < patch.x1; ++x) {
                const std::size_t at =
                    static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                    static_cast<std::size_t>(x);
                map.values[at] += whole - patch.probability;
                count[at] += 1;
            }
        const bool last = i + 1 == batch.patches.size() || batch.patches[i + 1].face != patch.face;
        for (std::size_t k = 0; last && k < count.size(); ++k)
            map.values[k] /= std::max(count[k], 1.0f);
    }
    return maps;
}

}  // namespace mien::explain
