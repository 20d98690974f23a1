// SPDX-License-Identifier: MIT
// Weights files that are cut, altered or inconsistent are refused, and what is accepted can be run.
#include <doctest/doctest.h>

#include <filesystem>
#include <limits>
#include <memory>

#include "unit/file_builder.h"

using namespace mien;
using namespace mien::test;

namespace {

Status open_network(const ByteVector& file) {
    Model model;
    return Model::open(file, model);
}
Status open_cascade(const ByteVector& file) {
    Cascade cascade;
    return Cascade::open(file, cascade);
}
Status open_any(const ByteVector& file) {
    const Status status = open_network(file);
    return status == Status::wrong_kind ? open_cascade(file) : status;
}

// Runs an engine made from whatever opened; returns false if it could not be built in 64 MB.
bool run_once(const ByteVector& file) {
    Model model;
    Cascade cascade;
    const bool network = Model::open(file, model) == Status::ok;
    if (!network && Cascade::open(file, cascade) != Status::ok) return false;
    Config config;
    config.max_width = config.max_height = 64;
    config.max_candidates = 64;
    const std::size_t bytes = Engine::required_bytes(
        config, {.cascade = network ? nullptr : &cascade, .heads = {network ? &model : nullptr}});
    if (bytes == 0 || bytes > (std::size_t{64} << 20)) return false;
    const auto memory = std::make_unique<std::byte[]>(bytes);
    Engine engine;
    REQUIRE(Engine::create(
                config,
                {.cascade = network ? nullptr : &cascade, .heads = {network ? &model : nullptr}},
                {memory.get(), bytes}, engine) == Status::ok);
    const ByteVector pixels = test_picture(1, 64 * 64);
    const Frame frame = {pixels.data(), 64, 64, 64, PixelFormat::gray8};
    Face face;
    std::span<const Face> faces;
    CHECK((network ? engine.classify_crop(frame, face) : engine.process(frame, faces)) ==
          Status::ok);
    return true;
}

std::vector<std::string> shipped_files() {
    std::vector<std::string> found;
    for (const char* folder : {MIEN_TEST_DATA "/models", MIEN_TEST_DATA "/cascades", MIEN_WEIGHTS})
        for (const auto& entry : std::filesystem::directory_iterator(folder))
            if (entry.path().extension() == ".mien") found.push_back(entry.path().string());
    return found;
}

}  // namespace

TEST_CASE("what the builders make is accepted and runs") {
    CHECK(open_network(NetworkBuilder::every_op(1).build()) == Status::ok);
    CHECK(run_once(NetworkBuilder::every_op(1).build()));
    CHECK(run_once(NetworkBuilder::with_gap_head(1).build()));
    for (const bool trees : {false, true})
        for (const bool tilted : {false, true})
            CHECK(run_once(make_cascade(1, 20, 16, trees, tilted, false)));
}

TEST_CASE("a file cut anywhere or with any byte changed is refused") {
    for (const ByteVector& file :
         {NetworkBuilder::every_op(1).build(), make_cascade(1, 20, 16, true, true, true)}) {
        REQUIRE(open_any(file) == Status::ok);
        for (std::size_t n = 0; n < file.size(); ++n) {
            CHECK(open_any(ByteVector(
                      file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n))) != Status::ok);
            ByteVector changed = file;
            changed[n] ^= static_cast<std::uint8_t>(1 + n % 255);
            CHECK(open_any(changed) != Status::ok);
        }
        ByteVector longer = file;
        longer.resize(longer.size() + 16);
        CHECK(open_any(longer) != Status::ok);
    }
}

TEST_CASE("shipped files open, and not with a byte changed") {
    const auto files = shipped_files();
    CHECK(files.size() >= 3);
    for (const std::string& path : files) {
        ByteVector file = read_file(path);
        CHECK_MESSAGE(open_any(file) == Status::ok, path);
        const std::size_t step = file.size() / 97 + 1;
        for (std::size_t n = 0; n < file.size(); n += step) {
            file[n] ^= 0x40;
            CHECK_MESSAGE(open_any(file) != Status::ok, path, " byte ", n);
            file[n] ^= 0x40;
            CHECK_MESSAGE(
                open_any(ByteVector(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n))) !=
                    Status::ok,
                path, " cut at ", n);
        }
    }
}

TEST_CASE("the two kinds are not exchanged") {
    CHECK(open_network(make_cascade(1, 20, 20, false, false, false)) == Status::wrong_kind);
    CHECK(open_cascade(NetworkBuilder::every_op(1).build()) == Status::wrong_kind);
    ByteVector newer = NetworkBuilder::every_op(1).build();
    newer[4] = 2;
    fix_crc(newer);
    CHECK(open_network(newer) == Status::unsupported);
    newer[4] = 1;
    newer[6] = 9;  // a minor version adds sections that may be skipped
    fix_crc(newer);
    CHECK(open_network(newer) == Status::ok);
}

TEST_CASE("labels are readable, and each another one") {
    const auto opened = [](std::string label) {
        NetworkBuilder b = NetworkBuilder::every_op(1);
        b.labels = {std::move(label)};
        return open_network(b.build());
    };
    for (const char* good : {"happy", "glücklich", "嬉しい", "\xf0\x9f\x98\x80", "a b", "class"})
        CHECK_MESSAGE(opened(good) == Status::ok, good);
    for (const char* bad :
         {"", "class1", "\033[2J", "a\nb", "\x7f", "\xc2\x9b", "\xff", "\xc3", "\xc0\x80",
          "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "a\x80"})
        CHECK_MESSAGE(opened(bad) == Status::bad_file, bad);
}

TEST_CASE("each rule for networks is checked") {
    using Layer = NetworkBuilder::Layer;
    const auto spoiled = [](auto change) {
        NetworkBuilder b = NetworkBuilder::every_op(1);
        change(b);
        return open_network(b.build());
    };
    const auto layer = [&](std::size_t i, auto change) {
        return spoiled([&](NetworkBuilder& b) { change(b.layers[i]); });
    };
    CHECK(spoiled([](NetworkBuilder&) {}) == Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.channels = 2; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.height = 0; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.height = 2000; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.classes = 4; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.softmax = 2; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.quant = 0; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.scale = std::numeric_limits<float>::infinity(); }) !=
          Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) {
              b.margin_x = std::numeric_limits<float>::quiet_NaN();
          }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.margin_y = 5; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.weights[3] = -128; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.biases[0] = std::numeric_limits<int>::min(); }) !=
          Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.scales[0] = 0; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.scales[0] = -1; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.scales[0] = 1e30f; }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.weights.pop_back(); }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.layers.pop_back(); }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.layers.clear(); }) != Status::ok);
    CHECK(spoiled([](NetworkBuilder& b) { b.tests = ByteWriter{}.put(std::uint32_t{1}).data; }) !=
          Status::ok);
    CHECK(layer(0, [](Layer& l) { l.op = 0; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.op = 9; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.activation = 2; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.output = 1; }) != Status::ok);
    CHECK(layer(9, [](Layer& l) { l.output = 0; }) != Status::ok);
    CHECK(layer(9, [](Layer& l) { l.activation = 1; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.kernel_h = 0; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.stride_x = 0; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.pad_top = 3; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.out_w = 8; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.input = 1; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.input2 = 0; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.weight = 1u << 31; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.bias = 0xffffffffu; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.scale = 0xffffffffu; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.quant = 0; }) != Status::ok);
    CHECK(layer(0, [](Layer& l) { l.name = 6; }) != Status::ok);
    CHECK(layer(1, [](Layer& l) { l.out_c = 6; }) != Status::ok);
    CHECK(layer(5, [](Layer& l) { l.input2 = 0xffff; }) != Status::ok);
    CHECK(layer(5, [](Layer& l) { l.input2 = 3; }) != Status::ok);
    CHECK(layer(6, [](Layer& l) { l.kernel_h = 2; }) != Status::ok);
    CHECK(layer(6, [](Layer& l) { l.pad_left = 1; }) != Status::ok);
    CHECK(layer(8, [](Layer& l) { l.out_h = 2; }) != Status::ok);
    CHECK(layer(9, [](Layer& l) { l.input = 8; }) != Status::ok);
}

TEST_CASE("each rule for tables, concat and products is checked") {
    using Layer = NetworkBuilder::Layer;
    const auto layer = [](std::size_t i, auto change) {
        NetworkBuilder b = NetworkBuilder::with_tables(1);
        change(b.layers[i], b);
        return open_network(b.build());
    };
    const auto refused = [&](std::size_t i, auto change) {
        return layer(i, [&](Layer& l, NetworkBuilder&) { change(l); }) == Status::bad_file;
    };
    CHECK(layer(0, [](Layer&, NetworkBuilder&) {}) == Status::ok);
    CHECK(refused(0, [](Layer& l) { l.tables = 1; }));
    for (const std::uint32_t tables : {0u, 2u, 6u, 1u << 24, 0x01000001u, 0xffffffffu})
        CHECK(refused(1, [&](Layer& l) { l.tables = tables; }));
    for (const std::uint32_t weight : {1u << 20, 0xffffffffu, 0xfffffff0u})
        CHECK(refused(1, [&](Layer& l) { l.weight = weight; }));
    CHECK(layer(2, [](Layer& l, NetworkBuilder& b) { b.weights[l.weight + 255] = -128; }) ==
          Status::bad_file);
    // The last bytes of the section belong to a table that is one byte too long.
    CHECK(layer(2, [](Layer& l, NetworkBuilder& b) {
              l.weight = static_cast<std::uint32_t>(b.weights.size()) - 255;
          }) == Status::bad_file);
    CHECK(refused(1, [](Layer& l) { l.activation = 1; }));
    CHECK(refused(1, [](Layer& l) { l.kernel_w = 2; }));
    CHECK(refused(1, [](Layer& l) { l.out_w = 5; }));
    CHECK(refused(1, [](Layer& l) { l.input2 = 0; }));
    CHECK(refused(1, [](Layer& l) { l.output = 1; }));
    for (const int channels : {5, 9, 11})
        CHECK(refused(3, [&](Layer& l) { l.out_c = static_cast<std::uint16_t>(channels); }));
    CHECK(refused(3, [](Layer& l) { l.input2 = 0xffff; }));
    CHECK(refused(3, [](Layer& l) { l.input2 = 4; }));
    CHECK(refused(3, [](Layer& l) { l.activation = 1; }));
    CHECK(refused(5, [](Layer& l) { l.input2 = 3; }));  // five channels instead of ten
    CHECK(refused(5, [](Layer& l) { l.scale = 0xffffffffu; }));
    CHECK(layer(5, [](Layer& l, NetworkBuilder& b) { b.scales[l.scale] = 0; }) == Status::bad_file);
    CHECK(layer(5, [](Layer& l, NetworkBuilder& b) { b.scales[l.scale] = 2e5f; }) ==
          Status::bad_file);
    CHECK(refused(7, [](Layer& l) { l.input = 7; }));  // one position times 42
    CHECK(layer(7, [](Layer& l, NetworkBuilder&) { l.input2 = 6; }) == Status::ok);
}

TEST_CASE("sums that could overflow are refused") {
    NetworkBuilder b = NetworkBuilder::with_gap_head(1);
    CHECK(open_network(b.build()) == Status::ok);
    b.biases.back() = std::numeric_limits<int>::max() / 30 + 1;  // thirty positions
    CHECK(open_network(b.build()) != Status::ok);

    NetworkBuilder c = NetworkBuilder::every_op(1);
    CHECK(open_network(c.build()) == Status::ok);
    c.scales.front() = 1e6f;  // an output of thousands of millions, where bytes are wanted
    CHECK(open_network(c.build()) != Status::ok);
}

TEST_CASE("altered files with a right checksum never crash the engine") {
    // A light fuzzer that runs everywhere; the real ones are in tests/fuzz.
    const ByteVector originals[] = {
        NetworkBuilder::every_op(2).build(), NetworkBuilder::with_gap_head(2).build(),
        NetworkBuilder::with_tables(2).build(), make_cascade(2, 12, 14, false, true, false),
        make_cascade(3, 12, 14, true, true, true)};
    Random random(77);
    int opened = 0;
    for (const ByteVector& original : originals)
        for (int round = 0; round < 1500; ++round) {
            ByteVector file = original;
            for (int k = random.between(1, 3); k > 0; --k)
                file[static_cast<std::size_t>(
                    random.between(0, static_cast<int>(file.size()) - 1))] =
                    static_cast<std::uint8_t>(random.between(0, 255));
            fix_crc(file);
            opened += run_once(file);
        }
    CHECK(opened > 100);  // weights and leaves may be anything, so many of these must run
}

TEST_CASE("what a network costs is known and limited when its file is opened") {
    const auto open = [](const ByteVector& file, double times, Model& model) {
        return Model::open(file, model, times);
    };
    Model model;
    SUBCASE("of a size of its own") {
        // 9 x 9 RGB: 3 x 3 x 3 x 5, depthwise 3 x 3, and so on; counted by hand for two layers
        NetworkBuilder b = NetworkBuilder::every_op(3);
        const ByteVector file = b.build();
        REQUIRE(open(file, 1, model) == Status::ok);
        std::uint64_t macs = 0;
        for (int i = 0; i < model.layer_count(); ++i)
            macs += ModelAccess{model}.mac_count(layer_view(model, i));
        CHECK(model.cost().operations > macs);  // with pools and sums
        CHECK(model.cost().operations < 2 * macs);
        CHECK(model.cost().bytes >= std::uint64_t{2 * 9 * 9 * 5});
        const double share = static_cast<double>(model.cost().operations) /
                             static_cast<double>(network_limit.operations);
        CHECK(open(file,
                   1.01 * std::max(share, static_cast<double>(model.cost().bytes) /
                                              static_cast<double>(network_limit.bytes)),
                   model) == Status::ok);
        const NetworkCost cost = model.cost();
        CHECK(open(file, 0.99 * share, model) == Status::too_costly);
        CHECK_FALSE(model);
        CHECK(model.cost().operations == cost.operations);
        CHECK(model.cost().bytes == cost.bytes);
        for (const double wrong : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
            CHECK(open(file, wrong, model) == Status::bad_argument);
    }
    SUBCASE("of any size: as for a million pixels") {
        const NetworkBuilder b = NetworkBuilder::of_maps(3);
        REQUIRE(open(b.build(), 1, model) == Status::ok);
        // stem 5 x 27 at a quarter of the pixels, depthwise 9 x 5, pool and map at a sixteenth
        const std::uint64_t pixels = 1024 * 1024;
        CHECK(model.cost().operations ==
              pixels / 4 * (5 * 27 + 9 * 5) + pixels / 16 * (4 * 5 + 2 * 9 * 5));
    }
    SUBCASE("a small file that would run for minutes") {
        Random random(1);
        NetworkBuilder b;
        b.height = b.width = 1024;
        b.channels = 1;
        // pools of 255 x 255 cost nothing in the file
        for (std::uint16_t i = 0; i < 100; ++i) {
            NetworkBuilder::Layer pool{.op = 4, .kernel_h = 255, .kernel_w = 255};
            pool.pad_top = pool.pad_left = pool.pad_bottom = pool.pad_right = 127;
            pool.input = i;
            pool.out_h = pool.out_w = 1024;
            b.layers.push_back(pool);
        }
        b.layers.push_back({.op = 1,
                            .output = 1,
                            .kernel_h = 1,
                            .kernel_w = 1,
                            .stride_y = 255,
                            .stride_x = 255,
                            .input = 100,
                            .out_h = 5,
                            .out_w = 5,
                            .out_c = 2,
                            .quant = 0});
        b.layers.back().op = 8;
        b.weigh(2, 2, random, 0.01f);
        const ByteVector file = b.build();
        CHECK(file.size() < 20000);
        REQUIRE(open(file, 1, model) == Status::too_costly);
        CHECK(model.cost().operations / 1'000'000'000 == 6818);
        CHECK(open(file, 682, model) == Status::ok);
    }
    SUBCASE("shapes that would overflow") {
        NetworkBuilder b = NetworkBuilder::of_maps(3);
        for (std::uint16_t i = 0; i < 40; ++i) {  // 2^40 times the width
            NetworkBuilder::Layer up{.op = 9, .out_h = 8, .out_w = 12, .out_c = 5};
            up.input = i == 0 ? std::uint16_t{1} : static_cast<std::uint16_t>(4 + i);
            up.out_h = static_cast<std::uint16_t>(i < 12 ? 8u << i : 0u);
            up.out_w = static_cast<std::uint16_t>(i < 12 ? 12u << i : 0u);
            b.layers.push_back(up);
        }
        CHECK(open(b.build(), 1e6, model) == Status::bad_file);
    }
    for (const std::string& path : shipped_files()) {
        CAPTURE(path);
        const ByteVector file = read_file(path);
        if (Model::open(file, model) != Status::ok) continue;  // a cascade
        CHECK(10 * model.cost().operations < network_limit.operations);
        CHECK(2 * model.cost().bytes < network_limit.bytes);
    }
}
