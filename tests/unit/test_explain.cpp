// SPDX-License-Identifier: MIT
// Does the float network compute what the integer engine computes, are its gradients those of
// finite differences, and do the maps mean what they say?
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include "explain/explain.h"
#include "host/codec/image_file.h"
#include "mien/thread_pool.hpp"
#include "unit/file_builder.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::test;
using namespace mien::explain;

namespace {

struct Loaded {
    std::string name;
    ByteVector file;
    Model model;
};

// Networks with every layer kind, the small ones of the converter's tests, and the shipped ones.
std::vector<std::unique_ptr<Loaded>> models(bool shipped) {
    std::vector<std::unique_ptr<Loaded>> found;
    const auto add = [&](std::string name, ByteVector file) {
        auto loaded = std::make_unique<Loaded>();
        loaded->name = std::move(name);
        loaded->file = std::move(file);
        if (Model::open(loaded->file, loaded->model) == Status::ok)
            found.push_back(std::move(loaded));
    };
    add("every_op", NetworkBuilder::every_op(1).build());
    add("with_gap_head", NetworkBuilder::with_gap_head(2).build());
    std::vector<std::string> folders = {MIEN_TEST_DATA "/models"};
    if (shipped) folders.emplace_back(MIEN_WEIGHTS);
    for (const std::string& folder : folders) {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            if (entry.path().extension() == ".mien")
                add(entry.path().filename().string(), read_file(entry.path().string()));
        }
    }
    return found;
}

ByteVector picture(const Model& model, std::uint32_t seed) {
    return test_picture(seed, static_cast<std::size_t>(model.input_width()) *
                                  static_cast<std::size_t>(model.input_height()) *
                                  static_cast<std::size_t>(model.input_channels()));
}

}  // namespace

TEST_CASE("explain: gradients through concat, products and tables") {
    // Straight tables, up and down: with others, finite differences see single steps.
    NetworkBuilder builder = NetworkBuilder::with_tables(3);
    for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
        const NetworkBuilder::Layer& l = builder.layers[i];
        for (std::uint32_t k = 0; k < 256 * l.tables; ++k) {
            const int value = std::max(static_cast<int>(k % 256) - 128, -127);
            builder.weights[l.weight + k] = static_cast<std::int8_t>(i == 1 ? value : -value);
        }
    }
    const ByteVector file = builder.build();
    Model model;
    REQUIRE(Model::open(file, model) == Status::ok);
    FloatNetwork network(model);
    network.forward(picture(model, 5).data());
    const Map input = network.value(0), logits = network.logits();
    Map seed = Map::Zero(1, logits.cols());
    seed(0, 1) = 1;
    network.backward(network.tensors() - 1, seed, Rule::gradient);
    const Map gradient = network.gradient(0);
    for (Eigen::Index i = 0; i < input.size(); i += 5) {
        Map moved = input;
        constexpr double step = 1e-3;
        moved.data()[i] += step;
        network.forward(moved);
        const double above = network.logits()(0, 1);
        moved.data()[i] -= 2 * step;
        network.forward(moved);
        const double difference = (above - network.logits()(0, 1)) / (2 * step);
        CHECK(std::abs(difference - gradient.data()[i]) <= 1e-3 * gradient.cwiseAbs().maxCoeff());
    }
}

TEST_CASE("explain: gradients are those of finite differences") {
    for (const auto& loaded : models(true)) {
        CAPTURE(loaded->name);
        if (loaded->file.size() > 200000) continue;  // emulated processors would take minutes
        FloatNetwork network(loaded->model);
        const ByteVector pixels = picture(loaded->model, 5);
        network.forward(pixels.data());
        const int last = network.tensors() - 1;
        const Map input = network.value(0), logits = network.logits();
        for (int k = 0; k < loaded->model.class_count(); k += 3) {
            Map seed = Map::Zero(1, logits.cols());
            seed(0, k) = 1;
            network.forward(input);
            network.backward(last, seed, Rule::gradient);
            const Map gradient = network.gradient(0);
            // Along random directions; small enough that hardly any ReLU turns on the way.
            Random random(static_cast<std::uint32_t>(k) + 1);
            for (int trial = 0; trial < 4; ++trial) {
                Map direction(input.rows(), input.cols());
                for (Eigen::Index i = 0; i < direction.size(); ++i)
                    direction.data()[i] = random.between(-1000, 1000) / 1000.0;
                const double step = 1e-6, expected = gradient.cwiseProduct(direction).sum();
                network.forward(input + step * direction);
                const double up = network.logits()(0, k);
                network.forward(input - step * direction);
                const double down = network.logits()(0, k);
                CHECK((up - down) / (2 * step) == doctest::Approx(expected).epsilon(1e-4));
            }
        }
    }
}

TEST_CASE("explain: the float network gives the engine's answers") {
    for (const char* name : {"emotion.mien", "gender.mien"}) {
        CAPTURE(name);
        const ByteVector file = read_file(weights_path(name));
        Model model;
        REQUIRE(Model::open(file, model) == Status::ok);
        Explainer explainer(model);
        Config config;
        config.max_width = model.input_width();
        config.max_height = model.input_height();
        std::vector<std::byte> memory(Engine::required_bytes(config, {.heads = {&model}}));
        Engine engine;
        REQUIRE(Engine::create(config, {.heads = {&model}}, memory, engine) == Status::ok);
        double worst = 0;
        for (std::uint32_t seed = 0; seed < 6; ++seed) {
            // Smooth images; noise drives the integers to their ends.
            ByteVector pixels(static_cast<std::size_t>(model.input_width() * model.input_height()));
            for (std::size_t i = 0; i < pixels.size(); ++i) {
                const double x = static_cast<double>(i %
                                                     static_cast<std::size_t>(model.input_width())),
                             y = static_cast<double>(i /
                                                     static_cast<std::size_t>(model.input_width()));
                pixels[i] = static_cast<std::uint8_t>(128 + 60 * std::sin(x / (4 + seed) + seed) +
                                                      50 * std::cos(y / 7 - seed));
            }
            explainer.look(pixels.data());
            Face face;
            REQUIRE(engine.classify_crop({pixels.data(), model.input_width(), model.input_height(),
                                          model.input_width(), PixelFormat::gray8},
                                         face) == Status::ok);
            for (std::size_t k = 0; k < face[Head::emotion].probabilities.size(); ++k)
                worst = std::max(
                    worst, static_cast<double>(std::fabs(face[Head::emotion].probabilities[k] -
                                                         explainer.probabilities()[k])));
        }
        CHECK(worst < 0.2);
    }
}

TEST_CASE("explain: the class activation map adds up to the score") {
    int maps = 0;
    for (const auto& loaded : models(true)) {
        CAPTURE(loaded->name);
        Explainer explainer(loaded->model);
        explainer.look(picture(loaded->model, 9).data());
        Heatmap map;
        if (!explainer.explain(Method::cam, 0, -1, map)) continue;
        double sum = 0;
        for (const float v : map.values) sum += static_cast<double>(v);
        CHECK(
            sum / static_cast<double>(map.values.size()) ==
            doctest::Approx(static_cast<double>(explainer.network().logits()(0, 0))).epsilon(1e-3));
        ++maps;
    }
    CHECK(maps >= 4);
}

TEST_CASE("explain: guided back-propagation stops negative gradients at every ReLU") {
    const auto all = models(false);
    for (const auto& loaded : all) {
        CAPTURE(loaded->name);
        FloatNetwork network(loaded->model);
        network.forward(picture(loaded->model, 3).data());
        Map seed = Map::Zero(1, network.logits().cols());
        seed(0, 0) = 1;
        network.backward(network.tensors() - 1, seed, Rule::guided);
        for (int i = 0; i < network.tensors() - 1; ++i) {
            const LayerView& l = network.layer(i);
            if (l.op != LayerOp::relu) continue;
            // What a ReLU layer alone hands on is never negative.
            bool alone = true;
            for (int j = 0; j < network.tensors() - 1; ++j)
                alone = alone && (j == i || (network.layer(j).input != l.input &&
                                             network.layer(j).input2 != l.input));
            if (alone) CHECK(network.gradient(l.input).minCoeff() >= 0);
        }
    }
}

TEST_CASE("explain: every method gives a finite map, or says that it cannot") {
    const auto all = models(false);
    for (const auto& loaded : all) {
        CAPTURE(loaded->name);
        Explainer explainer(loaded->model);
        explainer.look(picture(loaded->model, 1).data());
        for (const Method method : all_methods) {
            Heatmap map;
            if (!explainer.explain(method, 0, -1, map)) continue;
            CHECK(map.values.size() ==
                  static_cast<std::size_t>(map.width) * static_cast<std::size_t>(map.height));
            for (const float v : map.values) {
                CHECK(std::isfinite(v));
                if (!is_signed(method)) CHECK(v >= 0);
            }
        }
        Heatmap map;
        CHECK_FALSE(explainer.explain(Method::cam, -1, -1, map));
        CHECK_FALSE(explainer.explain(Method::grad_cam, 0, 0, map));
        CHECK(explainer.place_of("no such layer") == no_place);
    }
}

TEST_CASE("explain: resizing keeps a constant and interpolates between centers") {
    const Heatmap flat{2, 2, {3, 3, 3, 3}}, ramp{2, 1, {0, 1}};
    for (const float v : resized(flat, 7, 5).values) CHECK(v == 3);
    const Heatmap wide = resized(ramp, 4, 1);
    CHECK(wide.values == std::vector<float>{0, 0.25f, 0.75f, 1});
}

namespace {

struct Shipped {
    ByteVector file;
    Model model;
    explicit Shipped(const char* name) : file(read_file(weights_path(name))) {
        REQUIRE(Model::open(file, model) == Status::ok);
    }
};

// Faces of the sample photos as the network sees them.
std::vector<ByteVector> sample_faces(const Model& model) {
    // networks with the same input get the same images
    static std::map<int, std::vector<ByteVector>> of_side;
    std::vector<ByteVector>& found = of_side[model.input_width()];
    if (!found.empty()) return found;
    const ByteVector cascade_file = read_file(weights_path("haarcascade_frontalface_default.mien"));
    Cascade cascade;
    REQUIRE(Cascade::open(cascade_file, cascade) == Status::ok);
    for (const char* name : {"photos/montage.jpg", "photos/astronaut.jpg"}) {
        const auto decoded = host::decode_image(read_file(data_path(name)));
        REQUIRE(decoded);
        const Frame frame = decoded->image.frame();
        Config config;
        config.max_width = frame.width;
        config.max_height = frame.height;
        std::vector<std::byte> memory(
            Engine::required_bytes(config, {.cascade = &cascade, .heads = {&model}}));
        Engine engine;
        REQUIRE(Engine::create(config, {.cascade = &cascade, .heads = {&model}}, memory, engine) ==
                Status::ok);
        std::span<const Face> faces;
        REQUIRE(engine.process(frame, faces) == Status::ok);
        std::vector<Rect> boxes;
        for (const Face& face : faces) boxes.push_back(face.box);
        for (const Rect& box : boxes) {
            Face face;
            REQUIRE(engine.classify(frame, box, face) == Status::ok);
            const Frame crop = engine.last_crop(Head::emotion);
            found.emplace_back(crop.data, crop.data + crop.stride_bytes * crop.height);
        }
    }
    REQUIRE(found.size() == 6);
    return found;
}

int best_of(const Explainer& explainer) {
    const auto& p = explainer.probabilities();
    return static_cast<int>(std::max_element(p.begin(), p.end()) - p.begin());
}

}  // namespace

TEST_CASE("explain: rank correlation") {
    CHECK(rank_correlation({1, 2, 3, 4}, {10, 20, 21, 400}) == doctest::Approx(1));
    CHECK(rank_correlation({1, 2, 3, 4}, {4, 3, 2, 1}) == doctest::Approx(-1));
    CHECK(rank_correlation({1, 2, 3}, {5, 5, 5}) == 0);
    // ties at their middle
    CHECK(rank_correlation({1, 2, 2, 3}, {1, 2, 3, 4}) == doctest::Approx(0.9486833));
    CHECK(rank_correlation({}, {}) == 0);
    CHECK(rank_correlation({1}, {1, 2}) == 0);
}

TEST_CASE("explain: the int8 engine's activation map is the float network's") {
    const Shipped shipped("emotion.mien");
    Explainer explainer(shipped.model);
    Config config;
    config.max_width = shipped.model.input_width();
    config.max_height = shipped.model.input_height();
    std::vector<std::byte> memory(Engine::required_bytes(config, {.heads = {&shipped.model}}));
    Engine engine;
    REQUIRE(Engine::create(config, {.heads = {&shipped.model}}, memory, engine) == Status::ok);
    for (const ByteVector& pixels : sample_faces(shipped.model)) {
        explainer.look(pixels.data());
        Face face;
        REQUIRE(engine.classify_crop({pixels.data(), config.max_width, config.max_height,
                                      config.max_width, PixelFormat::gray8},
                                     face) == Status::ok);
        const int k = best_of(explainer);
        std::vector<float> integers(shipped.model.class_map_size().count());
        REQUIRE(engine.class_map(Head::emotion, k, integers) == Status::ok);
        Heatmap floats;
        REQUIRE(explainer.explain(Method::cam, k, usual_place, floats));
        CHECK(rank_correlation(integers, floats.values) > 0.9);
    }
}

TEST_CASE(
    "explain: occlusion is the same for any number of threads, and finds what the others find") {
    const Shipped shipped("emotion.mien");
    std::vector<ByteVector> faces = sample_faces(shipped.model);
    Explainer explainer(shipped.model);
    std::vector<OcclusionFace> batch;
    faces.resize(2);  // some 1,000 runs of the network each
    for (const ByteVector& pixels : faces) {
        explainer.look(pixels.data());
        batch.push_back({pixels.data(), best_of(explainer)});
    }
    const std::vector<Heatmap> alone = occlusion(shipped.model, batch);
    ThreadPool pool(3);
    const std::vector<Heatmap> together = occlusion(shipped.model, batch, pool.executor());
    REQUIRE(alone.size() == faces.size());
    REQUIRE(together.size() == faces.size());
    double largest = 0;
    for (std::size_t i = 0; i < faces.size(); ++i) {
        CHECK(alone[i].values == together[i].values);
        CHECK(alone[i].width == shipped.model.input_width());
        if (i == 0) {  // by the explainer it is the same
            explainer.look(faces[i].data());
            Heatmap one;
            REQUIRE(explainer.explain(Method::occlusion, batch[i].class_index, usual_place, one));
            CHECK(one.values == alone[i].values);
        }
        largest = std::max(largest, static_cast<double>(*std::max_element(alone[i].values.begin(),
                                                                          alone[i].values.end())));
    }
    CHECK(largest > 0.005);  // hiding something matters, even to a network that is sure of a smile
    CHECK(occlusion(shipped.model, {}).empty());
    CHECK(occlusion(Model(), batch).empty());
}

// Adebayo et al. 2018: a map that does not change when the network forgets what it learned shows
// the image, not the network.
TEST_CASE("explain: shuffled weights give other maps") {
    const Shipped shipped("emotion.mien");
    const std::vector<ByteVector> faces = sample_faces(shipped.model);
    Explainer explainer(shipped.model), shuffled(shipped.model), again(shipped.model);
    double sum[std::size(all_methods)] = {};
    int count = 0;
    for (std::size_t f = 0; f < faces.size(); f += 2) {
        explainer.look(faces[f].data());
        const int best = best_of(explainer);
        Heatmap maps[std::size(all_methods)];
        // occlusion asks the engine, whose weights are the file's
        for (const Method method : all_methods) {
            if (method != Method::occlusion)
                REQUIRE(explainer.explain(method, best, usual_place,
                                          maps[static_cast<std::size_t>(method)]));
        }
        for (const std::uint32_t seed : {1u, 2u, 3u, 4u, 5u, 6u}) {
            Explainer other(shipped.model);
            other.shuffle_weights(seed);
            other.look(faces[f].data());
            ++count;
            for (const Method method : all_methods) {
                if (method == Method::occlusion) continue;
                Heatmap map;
                REQUIRE(other.explain(method, best, usual_place, map));
                sum[static_cast<std::size_t>(method)] +=
                    rank_correlation(maps[static_cast<std::size_t>(method)].values, map.values);
            }
        }
    }
    for (const Method method : all_methods) {
        CAPTURE(method_name(method));
        CHECK(std::fabs(sum[static_cast<std::size_t>(method)] / count) < 0.6);
    }
    // The same network twice gives the same map; the same seed the same shuffle.
    shuffled.shuffle_weights(5);
    again.shuffle_weights(5);
    shuffled.look(faces[0].data());
    again.look(faces[0].data());
    Heatmap a, b;
    REQUIRE(shuffled.explain(Method::gradient, 0, usual_place, a));
    REQUIRE(again.explain(Method::gradient, 0, usual_place, b));
    CHECK(a.values == b.values);
}

TEST_CASE("explain: layers are found by name, and maps look there") {
    const Shipped shipped("emotion-mini_XCEPTION.mien");  // its head is a convolution of its own
    Explainer explainer(shipped.model);
    explainer.look(sample_faces(shipped.model)[0].data());
    const LayerView last = explainer.network().layer(shipped.model.layer_count() - 1);
    REQUIRE(explainer.place_of(last.name) == head_place);
    // Grad-CAM at the head's own convolution is its activation map without what speaks against.
    Heatmap at_head, cam;
    REQUIRE(explainer.explain(Method::grad_cam, 3, head_place, at_head));
    REQUIRE(explainer.explain(Method::cam, 3, usual_place, cam));
    for (std::size_t i = 0; i < cam.values.size(); ++i)
        CHECK(at_head.values[i] ==
              doctest::Approx(std::max(cam.values[i], 0.0f) / static_cast<float>(cam.values.size()))
                  .epsilon(1e-4));
    const int first = explainer.place_of(explainer.network().layer(0).name);
    CHECK(first == 1);
    REQUIRE(explainer.explain(Method::grad_cam, 3, first, at_head));
    CHECK(at_head.width == explainer.network().shape(1).width);
    CHECK_FALSE(explainer.explain(Method::grad_cam, 3, no_place, at_head));
}
