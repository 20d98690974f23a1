// SPDX-License-Identifier: MIT
// The network computes what its file says: test vectors of the numpy reference, a second opinion in
// float by Eigen, and the same bits on every instruction set.
#include <doctest/doctest.h>

#include <Eigen/Core>
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/crc32.h"
#include "nn/network.h"
#include "unit/file_builder.h"

using namespace mien;
using namespace mien::test;

namespace {

struct PlacedNetwork {
    std::unique_ptr<std::byte[]> memory;
    Network network;

    PlacedNetwork(const Model& model, Isa isa, InputSize input = {},
                  const Executor& executor = {}) {
        Arena measure;
        network.place(measure, model, kernels_for(isa), input, executor);
        const std::size_t size = measure.required_bytes();
        memory = std::make_unique<std::byte[]>(size);
        Arena arena(memory.get(), size);
        network.place(arena, model, kernels_for(isa), input, executor);
        CHECK(arena.ok());
    }

    // Of an image as large as the input, that much at the top left.
    void run_part(const ByteVector& image, int width, int height,
                  const Network::Observer* observer = nullptr) {
        struct Copy {
            const ByteVector& image;
            const Network& network;
        } copy = {image, network};
        const Network::Filler filler = {
            [](void* context, int first, int end, int) {
                const auto& [from, to] = *static_cast<const Copy*>(context);
                const std::ptrdiff_t row =
                    std::ptrdiff_t{to.input_shape().width} * to.input_shape().channels;
                for (int y = first; y < end; ++y)
                    std::copy_n(from.data() + y * row, row,
                                to.input_room().data + y * to.input_room().stride);
            },
            &copy};
        network.run_filled(width, height, filler, nullptr, observer);
    }
};

// One row for each position, one column for each channel.
using Map = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Map to_map(const Tensor& t) {
    Map map(t.shape.height * t.shape.width, t.shape.channels);
    for (int y = 0; y < t.shape.height; ++y)
        for (int x = 0; x < t.shape.width; ++x)
            for (int c = 0; c < t.shape.channels; ++c)
                map(y * t.shape.width + x, c) =
                    t.data[y * t.row_bytes + std::ptrdiff_t{x} * t.pixel_bytes + c];
    return map;
}

// Checks each layer in float: what Eigen computes from the layer's own inputs, real values
// throughout, must be the engine's result to half a quantization step.
class FloatOpinion {
public:
    explicit FloatOpinion(const Model& model) : access_{model} {}

    void start(const Network& network, const std::uint8_t* pixels) {
        (void)network;
        const TensorShape shape = access_.tensor_shape(0);
        Map input(shape.height * shape.width, shape.channels);
        for (Eigen::Index i = 0; i < input.size(); ++i) {
            const float x =
                static_cast<float>(pixels[i]) * access_.input_scale() + access_.input_offset();
            const float step = std::nearbyint(x / access_.input_quant());
            input.data()[i] = access_.input_unsigned() ? std::clamp(step, 0.0f, 255.0f)
                                                       : std::clamp(step, -127.0f, 127.0f);
        }
        maps_ = {input};
        quants_ = {access_.input_quant()};
        worst_ = 0;
    }

    static void after_layer(void* context, const Network& network, int index) {
        static_cast<FloatOpinion*>(context)->check(network, index);
    }
    [[nodiscard]] double worst() const { return worst_; }

private:
    // The receptive fields of every output position as rows; positions outside the input are zero.
    Map fields(const LayerView& l, const Map& in, const TensorShape& shape) const {
        Map out = Map::Zero(l.out_h * l.out_w, l.kernel_h * l.kernel_w * shape.channels);
        for (int y = 0; y < l.out_h; ++y)
            for (int x = 0; x < l.out_w; ++x)
                for (int ky = 0; ky < l.kernel_h; ++ky)
                    for (int kx = 0; kx < l.kernel_w; ++kx) {
                        const int iy = y * l.stride_y + ky - l.pad_top,
                                  ix = x * l.stride_x + kx - l.pad_left;
                        if (iy < 0 || iy >= shape.height || ix < 0 || ix >= shape.width) continue;
                        out.block(y * l.out_w + x, (ky * l.kernel_w + kx) * shape.channels, 1,
                                  shape.channels) = in.row(iy * shape.width + ix);
                    }
        return out;
    }

    void check(const Network& network, int index) {
        const LayerView l = access_.layer(index);
        const TensorShape shape = access_.tensor_shape(l.input);
        const float in_quant = quants_[static_cast<std::size_t>(l.input)];
        const Map in = maps_[static_cast<std::size_t>(l.input)] * in_quant;  // real values
        const float out_quant = l.output == LayerOutput::floats ? 1.0f : l.quant;
        const int positions = l.op == LayerOp::conv_gap ? l.out_h * l.out_w : 1;
        // The real weight of one step follows from scale = in * weight / out (conv_gap: / positions
        // too).
        const auto weight_step = [&](int n) {
            return access_.scale(l, n) * out_quant * static_cast<float>(positions) / in_quant;
        };
        Map out;
        switch (l.op) {
            case LayerOp::conv:
            case LayerOp::conv_gap: {
                const Map columns = fields(l, in, shape);
                Map weights(columns.cols(), l.out_c);
                Eigen::RowVectorXf bias(l.out_c);
                for (int n = 0; n < l.out_c; ++n) {
                    for (Eigen::Index k = 0; k < columns.cols(); ++k)
                        weights(k, n) =
                            static_cast<float>(access_.weights(l)[n * columns.cols() + k]) *
                            weight_step(n);
                    bias(n) = static_cast<float>(access_.bias(l, n)) * weight_step(n) * in_quant;
                }
                out = (columns * weights).rowwise() + bias;
                if (l.op == LayerOp::conv_gap) out = Map(out.colwise().mean());
                break;
            }
            case LayerOp::depthwise: {
                const Map columns = fields(l, in, shape);
                out = Map::Zero(columns.rows(), l.out_c);
                for (int c = 0; c < l.out_c; ++c) {
                    for (int t = 0; t < l.kernel_h * l.kernel_w; ++t)
                        out.col(c) += columns.col(t * l.out_c + c) *
                                      (static_cast<float>(access_.weights(l)[t * l.out_c + c]) *
                                       weight_step(c));
                    out.col(c).array() +=
                        static_cast<float>(access_.bias(l, c)) * weight_step(c) * in_quant;
                }
                break;
            }
            case LayerOp::max_pool:
            case LayerOp::avg_pool: {
                out = Map(l.out_h * l.out_w, l.out_c);
                for (int y = 0; y < l.out_h; ++y)
                    for (int x = 0; x < l.out_w; ++x) {
                        Eigen::RowVectorXf best = Eigen::RowVectorXf::Constant(l.out_c, -1e30f),
                                           sum = Eigen::RowVectorXf::Zero(l.out_c);
                        int count = 0;
                        for (int ky = 0; ky < l.kernel_h; ++ky)
                            for (int kx = 0; kx < l.kernel_w; ++kx) {
                                const int iy = y * l.stride_y + ky - l.pad_top,
                                          ix = x * l.stride_x + kx - l.pad_left;
                                if (iy < 0 || iy >= shape.height || ix < 0 || ix >= shape.width)
                                    continue;
                                best = best.cwiseMax(in.row(iy * shape.width + ix));
                                sum += in.row(iy * shape.width + ix);
                                ++count;
                            }
                        out.row(y * l.out_w + x) =
                            l.op == LayerOp::max_pool
                                ? best
                                : Eigen::RowVectorXf(sum / static_cast<float>(count));
                    }
                break;
            }
            case LayerOp::add:
                out = in + Map(maps_[static_cast<std::size_t>(l.input2)] *
                               quants_[static_cast<std::size_t>(l.input2)]);
                break;
            case LayerOp::relu: out = in.cwiseMax(0.0f); break;
            case LayerOp::upsample2:
                out = Map(l.out_h * l.out_w, l.out_c);
                for (int i = 0; i < l.out_h * l.out_w; ++i)
                    out.row(i) = in.row(i / l.out_w / 2 * shape.width + i % l.out_w / 2);
                break;
            case LayerOp::table:
                out = in;
                for (Eigen::Index i = 0; i < out.size(); ++i) {
                    const int at = 128 + static_cast<int>(std::lround(in.data()[i] / in_quant));
                    const std::int8_t* const table =
                        access_.weights(l) + (l.tables > 1 ? 256 * (i % l.out_c) : 0);
                    out.data()[i] = static_cast<float>(table[at]) * out_quant;
                }
                break;
            case LayerOp::concat:
                out = Map(in.rows(), l.out_c);
                out << in / in_quant, maps_[static_cast<std::size_t>(l.input2)];
                out *= out_quant;
                break;
            case LayerOp::multiply: {
                const Map& second = maps_[static_cast<std::size_t>(l.input2)];
                out = in / in_quant;
                for (Eigen::Index i = 0; i < out.size(); ++i) {
                    const Eigen::Index n = i % l.out_c, row = second.rows() == 1 ? 0 : i / l.out_c;
                    out.data()[i] *=
                        second(row, n) * access_.scale(l, static_cast<int>(n)) * out_quant;
                }
                break;
            }
            case LayerOp::global_avg_pool:
                out = Map(in.colwise().mean()) *
                      (access_.scale(l, 0) * out_quant * static_cast<float>(in.rows()) / in_quant);
                break;
        }
        if (l.activation == Activation::relu) out = out.cwiseMax(0.0f);
        if (l.output == LayerOutput::floats) {
            const float* got = network.result(index).values;
            for (Eigen::Index i = 0; i < out.size(); ++i) {
                const double error =
                    std::abs(got[i] - out.data()[i]) / (1e-3 + std::abs(out.data()[i]));
                // Within a thousandth: scaled so that this is the half that int8 outputs may be off.
                worst_ = std::max(worst_, error * 500);
            }
            maps_.emplace_back();
            quants_.push_back(0);
            return;
        }
        const Map got = to_map(network.output(index));
        const Map expected = (out / out_quant).cwiseMax(-127.0f).cwiseMin(127.0f);
        worst_ = std::max(worst_, static_cast<double>((got - expected).cwiseAbs().maxCoeff()));
        maps_.push_back(got);
        quants_.push_back(out_quant);
    }

    ModelAccess access_;
    std::vector<Map> maps_;
    std::vector<float> quants_;
    double worst_ = 0;
};

void check_model(const ByteVector& file, const std::string& name) {
    Model model;
    REQUIRE_MESSAGE(Model::open(file, model) == Status::ok, name);
    const std::size_t pixels = ModelAccess{model}.tensor_shape(0).elements();
    std::vector<float> first;
    for (const Isa isa : isas()) {
        PlacedNetwork placed(model, isa);
        FloatOpinion opinion(model);
        const Network::Observer observer = {FloatOpinion::after_layer, &opinion};
        std::vector<float> all, scores(static_cast<std::size_t>(model.class_count()));
        for (std::uint32_t seed = 1; seed <= 2; ++seed) {
            const ByteVector picture = test_picture(seed, pixels);
            opinion.start(placed.network, picture.data());
            placed.network.run(picture.data(), scores.data(), &observer);
            CHECK_MESSAGE(opinion.worst() <= 0.502, name, " ", isa_name(isa), " is off by ",
                          opinion.worst(), " steps");
            all.insert(all.end(), scores.begin(), scores.end());
            for (int i = 0; i < model.layer_count(); ++i) {
                const Network::Result result = placed.network.result(i);
                if (result.values != nullptr)
                    all.insert(all.end(), result.values, result.values + result.shape.elements());
            }
        }
        if (first.empty()) first = all;
        CHECK_MESSAGE(first == all, name, " ", isa_name(isa));
    }
}

}  // namespace

TEST_CASE(
    "networks with every op agree with Eigen's float opinion, the same on every instruction set") {
    for (std::uint32_t seed = 1; seed <= 3; ++seed) {
        check_model(NetworkBuilder::every_op(seed).build(), "every_op");
        check_model(NetworkBuilder::with_gap_head(seed).build(), "with_gap_head");
        check_model(NetworkBuilder::with_tables(seed).build(), "with_tables");
    }
}

namespace {

// What a layer of a network of maps must give: plain sums over the tensor that it reads, whose
// values an observer has copied.
std::vector<float> plain_map(const ModelAccess& access, const LayerView& l, const TensorShape& in,
                             const std::vector<int>& values) {
    const TensorShape out = ModelAccess::shape_of(l, in);
    std::vector<float> map;
    for (int y = 0; y < out.height; ++y)
        for (int x = 0; x < out.width; ++x)
            for (int n = 0; n < out.channels; ++n) {
                int sum = access.bias(l, n);
                for (int ky = 0; ky < l.kernel_h; ++ky)
                    for (int kx = 0; kx < l.kernel_w; ++kx)
                        for (int c = 0; c < in.channels; ++c) {
                            const int row = y * l.stride_y + ky - l.pad_top,
                                      column = x * l.stride_x + kx - l.pad_left,
                                      tap = ky * l.kernel_w + kx;
                            const bool inside =
                                row >= 0 && row < in.height && column >= 0 && column < in.width;
                            const bool own = l.op != LayerOp::depthwise || c == n;
                            if (!inside || !own) continue;
                            const int weight =
                                l.op == LayerOp::depthwise
                                    ? access.weights(l)[tap * in.channels + c]
                                    : access.weights(
                                          l)[(n * l.kernel_h * l.kernel_w + tap) * in.channels + c];
                            sum += weight * values[static_cast<std::size_t>(
                                                (row * in.width + column) * in.channels + c)];
                        }
                map.push_back(static_cast<float>(sum) * access.scale(l, n));
            }
    return map;
}

struct TensorCopies {
    std::vector<std::vector<int>> values = {{}};  // by tensor
    static void after_layer(void* context, const Network& network, int layer) {
        auto& self = *static_cast<TensorCopies*>(context);
        self.values.emplace_back();
        if (network.result(layer).values != nullptr) return;
        const Map map = to_map(network.output(layer));
        for (Eigen::Index i = 0; i < map.size(); ++i)
            self.values.back().push_back(static_cast<int>(map.data()[i]));
    }
};

}  // namespace

TEST_CASE("a network of maps gives them at every size of its input, on every instruction set") {
    for (const bool is_unsigned : {false, true}) {
        const ByteVector file = is_unsigned ? NetworkBuilder::of_unsigned_maps(7).build()
                                            : NetworkBuilder::of_maps(7).build();
        Model model;
        REQUIRE(Model::open(file, model) == Status::ok);
        CHECK(model.task() == Task::maps);
        CHECK(model.class_count() == 0);
        const ModelAccess access{model};
        for (const InputSize refused : {InputSize{10, 8}, {0, 8}, {-4, 4}, {1 << 20, 4}})
            CHECK(!access.accepts(refused));
        for (const InputSize size : {InputSize{12, 8}, {4, 4}, {20, 36}, {44, 4}}) {
            REQUIRE(access.accepts(size));
            const Shapes shapes(model, size);
            const ByteVector image = test_picture(3, shapes.of[0].elements());
            std::vector<float> first;
            for (const Isa isa : isas()) {
                PlacedNetwork placed(model, isa, size);
                CHECK(placed.network.input_shape() == shapes.of[0]);
                TensorCopies copies;
                const Network::Observer observer = {TensorCopies::after_layer, &copies};
                placed.network.run(image.data(), nullptr, &observer);
                std::vector<float> all;
                for (int layer = 0; layer < model.layer_count(); ++layer) {
                    const LayerView l = access.layer(layer);
                    const Network::Result result = placed.network.result(layer);
                    CHECK((result.values != nullptr) == (l.output == LayerOutput::floats));
                    if (result.values == nullptr) continue;
                    REQUIRE(result.shape == shapes.of[layer + 1]);
                    const std::vector<float> got(result.values,
                                                 result.values + result.shape.elements());
                    CHECK(got == plain_map(access, l, shapes.of[l.input],
                                           copies.values[static_cast<std::size_t>(l.input)]));
                    all.insert(all.end(), got.begin(), got.end());
                }
                if (first.empty()) first = all;
                CHECK_MESSAGE(first == all, isa_name(isa));
            }
        }
    }
}

TEST_CASE("a network that was resized computes what one placed at that size does") {
    for (const char* name : {"maps", "detector"}) {
        const ByteVector file = std::string_view(name) == "maps"
                                    ? NetworkBuilder::of_unsigned_maps(7).build()
                                    : read_file(weights_path("detector.mien"));
        Model model;
        REQUIRE(Model::open(file, model) == Status::ok);
        const int step = model.input_multiple();
        for (const Isa isa : isas()) {
            PlacedNetwork large(model, isa, {5 * step, 4 * step});
            for (const auto& [w, h] : {std::pair{5, 1}, {1, 1}, {2, 4}, {5, 4}, {3, 2}}) {
                const InputSize size = {w * step, h * step};
                PlacedNetwork own(model, isa, size);
                const Shapes shapes(model, size);
                // All of the image, or a part of it beside zeros.
                for (const int cut : {0, 3}) {
                    ByteVector image = test_picture(3, shapes.of[0].elements());
                    const int width = size.width - cut, height = size.height - cut;
                    large.network.resize(size);
                    REQUIRE(large.network.input_shape() == shapes.of[0]);
                    const ByteVector whole = image;
                    for (int y = 0; y < size.height; ++y)
                        for (int x = 0; x < size.width; ++x)
                            if (x >= width || y >= height)
                                std::fill_n(image.data() + (y * size.width + x) * 3, 3,
                                            std::uint8_t{0});
                    own.network.run(image.data(), nullptr);
                    large.run_part(whole, width, height);
                    bool same = true;
                    for (int i = 0; i < model.layer_count(); ++i) {
                        const Network::Result a = own.network.result(i),
                                              b = large.network.result(i);
                        same = same && a.shape == b.shape &&
                               std::equal(a.values, a.values + a.shape.elements(), b.values);
                    }
                    CHECK_MESSAGE(same, name, " ", isa_name(isa), " ", size.width, " x ",
                                  size.height);
                }
            }
        }
    }
}

TEST_CASE("a network of maps is refused as a head, and when its file contradicts itself") {
    const ByteVector file = NetworkBuilder::of_maps(7).build();
    Model model;
    REQUIRE(Model::open(file, model) == Status::ok);
    Engine engine;
    std::vector<std::byte> memory(1 << 20);
    CHECK(Engine::required_bytes({}, {.heads = {&model}}) == 0);
    CHECK(Engine::create({}, {.heads = {&model}}, memory, engine) == Status::wrong_kind);
    const auto refused = [](auto&& spoil) {
        NetworkBuilder b = NetworkBuilder::of_maps(7);
        spoil(b);
        const ByteVector bytes = b.build();
        Model bad;
        return Model::open(bytes, bad) == Status::bad_file;
    };
    CHECK(refused([](NetworkBuilder& b) { b.input_multiple = 5; }));  // 8 x 12 is no multiple
    CHECK(refused([](NetworkBuilder& b) { b.task = 2; }));
    CHECK(refused([](NetworkBuilder& b) { b.classes = 2; }));
    CHECK(refused([](NetworkBuilder& b) { b.softmax = 1; }));
    CHECK(refused([](NetworkBuilder& b) { b.layers[2].input = 2; }));  // reads a result
    CHECK(refused([](NetworkBuilder& b) {  // the last layer is no result
        b.layers[3].output = 0;
        b.layers[3].quant = 1;
    }));
    CHECK(refused([](NetworkBuilder& b) { b.layers[1].activation = 1; }));
    CHECK(refused([](NetworkBuilder& b) { b.layers[1].quant = 1; }));
    const auto unsigned_refused = [](auto&& spoil) {
        NetworkBuilder b = NetworkBuilder::of_unsigned_maps(7);
        spoil(b);
        const ByteVector bytes = b.build();
        Model bad;
        return Model::open(bytes, bad) == Status::bad_file;
    };
    CHECK(unsigned_refused([](NetworkBuilder& b) { b.layers[4].out_h = 2; }));
    CHECK(unsigned_refused([](NetworkBuilder& b) { b.layers[4].stride_x = 2; }));
    CHECK(unsigned_refused([](NetworkBuilder& b) { b.layers[4].activation = 1; }));
    CHECK(unsigned_refused([](NetworkBuilder& b) { b.layers[0].output = 1; }));  // of the image
    CHECK(unsigned_refused([](NetworkBuilder& b) {
        b.layers[2] = {.op = 3, .kernel_h = 4, .kernel_w = 4, .stride_y = 4, .stride_x = 4};
        b.layers[2].out_h = 2;
        b.layers[2].out_w = b.layers[2].out_c = 3;  // a pool of the image
    }));
}

TEST_CASE("shipped networks agree with Eigen and reproduce their test vectors") {
    int vectors = 0;
    for (const char* folder : {MIEN_TEST_DATA "/models", MIEN_WEIGHTS})
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            if (entry.path().extension() != ".mien") continue;
            const ByteVector file = read_file(entry.path().string());
            Model model;
            if (Model::open(file, model) != Status::ok) continue;  // a cascade
            check_model(file, entry.path().filename().string());
            for (const Isa isa : isas()) {
                std::vector<std::byte> memory(verify_required_bytes(model));
                VerifyReport report;
                CHECK_MESSAGE(verify(model, isa, memory, report) == Status::ok,
                              entry.path().string(), " layer ", report.failed_layer);
                CHECK(report.vectors == model.test_vector_count());
                CHECK(report.max_float_error < 0.2f);
                vectors += report.vectors;
                CHECK(verify(model, isa, std::span(memory).first(memory.size() / 2), report) ==
                      Status::too_small);
            }
        }
    CHECK(vectors > 0);
}

TEST_CASE("a network whose weights do not match its test vectors is found out") {
    // Builds a file whose one vector has wrong checksums.
    NetworkBuilder b = NetworkBuilder::with_gap_head(4);
    ByteWriter tests;
    tests.put(std::uint32_t{1}).zeros(10 * 13 + 2);
    for (int i = 0; i < 2; ++i) tests.put(std::uint32_t{12345});
    for (int i = 0; i < 6; ++i) tests.put(0.0f);
    b.tests = tests.data;
    const ByteVector file = b.build();
    Model model;
    REQUIRE(Model::open(file, model) == Status::ok);
    std::vector<std::byte> memory(verify_required_bytes(model));
    VerifyReport report;
    CHECK(verify(model, Isa::scalar, memory, report) == Status::verify_failed);
    CHECK(report.failed_vector == 0);
    CHECK(report.failed_layer == 0);
}

TEST_CASE("softmax and its exponential") {
    for (double x = 0; x > -600; x -= 0.37)
        CHECK(portable_exp(x) == doctest::Approx(std::exp(x)).epsilon(1e-14));
    CHECK(portable_exp(0) == 1);
    CHECK(portable_exp(-1e30) == 0);
    const float logits[3] = {1000.0f, 999.0f, -1e30f};
    float scores[3];
    softmax(logits, 3, scores);
    CHECK(scores[0] == doctest::Approx(1 / (1 + std::exp(-1.0))));
    CHECK(scores[2] == 0);
}
