// SPDX-License-Identifier: MIT
// Where does a network's time go? Layer by layer for every instruction set, beside the peak of that
// instruction set; and what a face costs when there are many.
#include <memory>

#include "harness.h"
#include "host/files/file_io.h"
#include "nn/network.h"
#include "peak.h"
#include "pictures.h"

namespace mien::bench {
namespace {

struct NamedModel {
    std::string name;
    Model model;
};

std::vector<NamedModel> chosen_models(const Options& options) {
    if (options.models.empty())
        return {{"emotion", default_emotion()}, {"gender", default_gender()}};
    // the views borrow from here until the program ends
    static std::vector<host::ByteVector> files;
    files.reserve(options.models.size());
    std::vector<NamedModel> models;
    for (const std::string& path : options.models) {
        auto bytes = host::read_file(path, std::size_t{1} << 30);
        if (!bytes) fail(path + ": " + bytes.error().text);
        files.push_back(std::move(*bytes));
        NamedModel& named = models.emplace_back();
        named.name = path.substr(path.find_last_of('/') + 1);
        need(Model::open(files.back(), named.model), path.c_str());
    }
    return models;
}

// A network on one instruction set, run with the clock read after each layer, and without.
struct Subject {
    Subject(const Model& model, Isa the_isa, int rounds)
        : isa(the_isa),
          pixels(ModelAccess{model}.tensor_shape(0).elements()),
          scores(static_cast<std::size_t>(model.class_count())),
          ticks(static_cast<std::size_t>(model.layer_count()) + 1) {
        const Kernels& kernels = kernels_for(isa);
        Arena measured;
        network.place(measured, model, kernels);
        memory.resize(measured.required_bytes());
        Arena arena(memory.data(), memory.size());
        network.place(arena, model, kernels);
        for (std::size_t i = 0; i < pixels.size(); ++i)
            pixels[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
        layers.assign(static_cast<std::size_t>(model.layer_count()), Series());
        for (Series& layer : layers) layer = Series(repeats * rounds);
    }

    // a round: a layer of microseconds needs more looks than a frame
    static constexpr int repeats = 20;

    void run_watched() {
        const Network::Observer observer = {
            [](void* context, const Network&, int layer) {
                static_cast<Subject*>(context)->ticks[static_cast<std::size_t>(layer) + 1] =
                    now_ns();
            },
            this, true};
        for (int i = 0; i < repeats; ++i) {
            ticks[0] = now_ns();
            network.run(pixels.data(), scores.data(), &observer);
            if (current_round() < 0) continue;
            for (std::size_t l = 0; l < layers.size(); ++l)
                layers[l].add(static_cast<double>(ticks[l + 1] - ticks[l]));
        }
    }

    Isa isa;
    Network network;
    std::vector<std::byte> memory;
    std::vector<std::uint8_t> pixels;
    std::vector<float> scores;
    std::vector<std::uint64_t> ticks;
    std::vector<Series> layers;
};

std::string shape_text(const TensorShape& in, const LayerView& layer) {
    const TensorShape out = layer.output_shape();
    std::string text = format("%dx%dx%d > %dx%dx%d", in.height, in.width, in.channels, out.height,
                              out.width, out.channels);
    if (layer.kernel_h * layer.kernel_w > 1)
        text += format(", %dx%d", layer.kernel_h, layer.kernel_w);
    if (layer.stride_y > 1) text += format(" / %d", layer.stride_y);
    return text;
}

std::string share_text(double gmacs, double peak) {
    return peak > 0 ? format("%.1f %%", 100 * gmacs / peak) : "-";
}

void report_model(const NamedModel& named, const Options& options, Report& report) {
    const Model& model = named.model;
    const ModelAccess access{model};
    std::vector<std::unique_ptr<Subject>> subjects;
    std::vector<Case> cases;
    for (const Isa isa : options.isas) {
        Subject& subject =
            *subjects.emplace_back(std::make_unique<Subject>(model, isa, options.round_count()));
        cases.push_back({.run = [&subject] { subject.run_watched(); }, .calls = 1});
        cases.push_back({.run = [&subject] {
            subject.network.run(subject.pixels.data(), subject.scores.data());
        }});
    }
    measure(cases, options.round_count());
    const double clock = clock_cost_ns();
    std::uint64_t total_macs = 0;
    for (int l = 0; l < model.layer_count(); ++l) total_macs += access.mac_count(access.layer(l));

    Json by_isa = Json::array();
    for (std::size_t s = 0; s < subjects.size(); ++s) {
        const Subject& subject = *subjects[s];
        const double peak = peak_gmacs(subject.isa, options.round_count());
        Table table({"layer", "shape", "MAC", "min us", "median", "GMAC/s", "of peak", "of time"});
        Json layers = Json::array();
        double sum = 0;
        const auto cost = [&](const Series& series) {
            return std::max(series.minimum() - clock, 0.0);
        };
        for (const Series& series : subject.layers) sum += cost(series);
        for (int l = 0; l < model.layer_count(); ++l) {
            const LayerView layer = access.layer(l);
            const Series& series = subject.layers[static_cast<std::size_t>(l)];
            const auto macs = static_cast<double>(access.mac_count(layer));
            const double ns = cost(series), gmacs = ns > 0 ? macs / ns : 0;
            const std::string shape = shape_text(access.tensor_shape(layer.input), layer);
            const bool multiplies = macs > 0;
            table.row({format("%d %s", l, op_name(layer.op)), shape,
                       multiplies ? format("%.0f", macs) : "-", format("%.2f", ns * 1e-3),
                       format("%.2f", (series.median() - clock) * 1e-3),
                       multiplies ? format("%.1f", gmacs) : "-",
                       multiplies ? share_text(gmacs, peak) : "-",
                       format("%.1f %%", sum > 0 ? 100 * ns / sum : 0)});
            layers.push_back({{"layer", l},
                              {"op", op_name(layer.op)},
                              {"name", layer.name},
                              {"shape", shape},
                              {"macs", macs},
                              {"min_us", rounded(ns * 1e-3)},
                              {"median_us", rounded((series.median() - clock) * 1e-3)},
                              {"gmacs", rounded(gmacs)},
                              {"share_of_peak", peak > 0 ? Json(rounded(gmacs / peak)) : Json()}});
        }
        const Case& whole = cases[2 * s + 1];
        const double gmacs = static_cast<double>(total_macs) / whole.ns.minimum();
        table.row({"whole", "without looking at layers",
                   format("%.0f", static_cast<double>(total_macs)),
                   format("%.2f", whole.min_ms() * 1e3), format("%.2f", whole.median_ms() * 1e3),
                   format("%.1f", gmacs), share_text(gmacs, peak), ""});
        report.text += format("\n%s on %s, peak %s\n", named.name.c_str(), isa_name(subject.isa),
                              peak > 0 ? format("%.0f GMAC/s", peak).c_str() : "not known");
        report.text += table.text();
        by_isa.push_back({{"isa", isa_name(subject.isa)},
                          {"peak_gmacs", rounded(peak)},
                          {"min_us", rounded(whole.min_ms() * 1e3)},
                          {"median_us", rounded(whole.median_ms() * 1e3)},
                          {"gmacs", rounded(gmacs)},
                          {"share_of_peak", peak > 0 ? Json(rounded(gmacs / peak)) : Json()},
                          {"sum_of_layers_us", rounded(sum * 1e-3)},
                          {"layers", std::move(layers)}});
    }
    report.json["models"].push_back(
        {{"model", named.name}, {"macs", total_macs}, {"isas", std::move(by_isa)}});
}

// Frames with one and with 20 faces: what the engine spends on a face, in the state in which the
// detector leaves the caches.
void report_batch(const Options& options, Report& report) {
    struct Scene {
        std::unique_ptr<OwnedEngine> engine;
        Picture picture;
        Isa isa;
        int found = 0;
        Series crop, emotion, gender;
    };
    std::vector<Scene> scenes;
    for (const Isa isa : options.isas) {
        for (const int faces : {1, 20}) {
            Config config;
            config.max_width = 1280;
            config.max_height = 720;
            config.detector.min_size = 60;  // the detector is not what is asked
            config.isa = isa;
            config.clock_ns = now_ns;
            const int rounds = options.round_count();
            scenes.push_back({std::make_unique<OwnedEngine>(config, &default_cascade(),
                                                            &default_emotion(), &default_gender()),
                              generated_picture(1280, 720, faces, 100), isa, 0, Series(rounds),
                              Series(rounds), Series(rounds)});
        }
    }
    std::vector<Case> cases;
    for (Scene& scene : scenes) {
        cases.push_back({.run =
                             [&scene] {
                                 std::span<const Face> faces;
                                 need(scene.engine->engine.process(scene.picture.frame(), faces),
                                      "process");
                                 scene.found = static_cast<int>(faces.size());
                                 if (faces.empty()) fail("no face in the generated frame");
                                 if (current_round() < 0) return;
                                 const Timings& t = scene.engine->engine.timings();
                                 const auto count = static_cast<double>(faces.size());
                                 scene.crop.add(static_cast<double>(t.crop) / count);
                                 scene.emotion.add(static_cast<double>(t.heads[0]) / count);
                                 scene.gender.add(static_cast<double>(t.heads[1]) / count);
                             },
                         .calls = 1});
    }
    measure(cases, options.round_count());
    Table table({"set", "faces", "crop us", "emotion us", "gender us", "a face us", "of one"});
    Json rows = Json::array();
    double one = 0;
    for (const Scene& scene : scenes) {
        const double crop = scene.crop.minimum() * 1e-3, emotion = scene.emotion.minimum() * 1e-3,
                     gender = scene.gender.minimum() * 1e-3;
        const double all = crop + emotion + gender;
        const bool first = (&scene - scenes.data()) % 2 == 0;
        if (first) one = all;
        table.row({isa_name(scene.isa), format("%d", scene.found), format("%.1f", crop),
                   format("%.1f", emotion), format("%.1f", gender), format("%.1f", all),
                   format("%.2f", all / one)});
        rows.push_back({{"isa", isa_name(scene.isa)},
                        {"faces", scene.found},
                        {"crop_us", rounded(crop)},
                        {"emotion_us", rounded(emotion)},
                        {"gender_us", rounded(gender)},
                        {"face_us", rounded(all)},
                        {"of_one", rounded(all / one)}});
    }
    report.text +=
        "\nA face in a frame of several, minima of crop + emotion + gender\n" + table.text();
    report.json["faces_in_a_frame"] = std::move(rows);
}

}  // namespace

Report bench_net(const Options& options) {
    Report report{"Networks, one face, times with the clock's own cost taken off\n",
                  {{"models", Json::array()}}};
    for (const NamedModel& named : chosen_models(options)) report_model(named, options, report);
    report_batch(options, report);
    return report;
}

}  // namespace mien::bench
