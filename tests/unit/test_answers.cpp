// SPDX-License-Identifier: MIT
// What a network answers with beyond its probabilities: "unsure", and quantities (section ANSW).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "mien/mien.h"
#include "mien/mien.hpp"
#include "unit/file_builder.h"

using namespace mien;
using namespace mien::test;

namespace {

// A network of five classes, none of which gets nearly all of the probability.
NetworkBuilder soft_builder() {
    NetworkBuilder b = NetworkBuilder::every_op(4);
    for (std::size_t i = b.scales.size() - 5; i < b.scales.size(); ++i) b.scales[i] *= 0.1f;
    return b;
}

// Its classes are ages.
NetworkBuilder age_builder() {
    NetworkBuilder b = soft_builder();
    b.answer_with(0, "years", {2, 7, 12, 20, 40});
    return b;
}

Status open_answer(const ByteVector& answer, NetworkBuilder b = NetworkBuilder::every_op(4)) {
    b.answer = answer;
    Model model;
    return Model::open(b.build(), model);
}

ByteVector answer_of(float unsure_below, std::string_view unit, const std::vector<float>& values) {
    NetworkBuilder b;
    b.answer_with(unsure_below, unit, values);
    return b.answer;
}

// An engine with one network, and a made-up crop for it.
struct OneHead {
    ByteVector file;
    Model model;
    std::vector<std::byte> memory;
    Engine engine;
    std::vector<std::uint8_t> pixels = std::vector<std::uint8_t>(9 * 9 * 3);
    Face face;

    OneHead(const NetworkBuilder& builder, float min_confidence) : file(builder.build()) {
        REQUIRE(Model::open(file, model) == Status::ok);
        Weights weights;
        weights.heads[static_cast<int>(Head::age)] = &model;
        Config config;
        config.max_width = config.max_height = 32;
        config.min_confidence = min_confidence;
        memory.resize(Engine::required_bytes(config, weights));
        REQUIRE(Engine::create(config, weights, memory, engine) == Status::ok);
        Random random(8);
        for (std::uint8_t& p : pixels) p = static_cast<std::uint8_t>(random.between(0, 255));
        REQUIRE(engine.classify_crop({pixels.data(), 9, 9, 27, PixelFormat::rgb24}, face) ==
                Status::ok);
    }
    [[nodiscard]] mien::Reading reading() const { return face[Head::age]; }
};

}  // namespace

TEST_CASE("a quantity is the mean of the values, in a range of four fifths") {
    const ByteVector file = age_builder().build();
    Model model;
    REQUIRE(Model::open(file, model) == Status::ok);
    CHECK(model.answers_quantity());
    CHECK(model.unit() == "years");
    CHECK(model.value(1) == 7.0f);
    CHECK_FALSE(model.value(5).has_value());
    CHECK_FALSE(model.value(-1).has_value());
    CHECK(model.unsure_below() == 0.0f);

    // Class 0 is spread over 0..4.5, class 1 over 4.5..9.5, class 2 over 9.5..16, the last one over
    // 30..50.
    const float first[] = {0.5f, 0.25f, 0.25f, 0, 0};
    CHECK(model.quantity(first) == Quantity{5.75f, 0.9f, 13.4f});
    const float sure[] = {0, 1, 0, 0, 0};
    CHECK(model.quantity(sure) == Quantity{7, 5, 9});
    const float oldest[] = {0, 0, 0, 0, 2};  // the sum need not be 1
    CHECK(model.quantity(oldest) == Quantity{40, 32, 48});
    const float youngest[] = {1, 0, 0, 0, 0};
    CHECK(model.quantity(youngest) == Quantity{2, 0.45f, 4.05f});
    // A few outliers pull the mean out of the range, which then reaches to it.
    const float skewed[] = {0.9375f, 0, 0, 0, 0.0625f};
    CHECK(model.quantity(skewed) == Quantity{4.375f, 0.48f, 4.375f});
    // Exactly what tools/mien_tools/reference.py computes.
    const float spread[] = {0.1f, 0.2f, 0.3f, 0.25f, 0.15f};
    CHECK(model.quantity(spread) == Quantity{16.2f, 4.5f, 36.666668f});

    const float none[] = {0, 0, 0, 0, 0};
    CHECK(model.quantity(none) == Quantity{});
    CHECK(model.quantity(std::span(first).first(4)) == Quantity{});
    const float broken[] = {0, std::nanf(""), 0, 0, 0};
    CHECK(model.quantity(broken) == Quantity{});
}

TEST_CASE("a quantity may be below zero") {
    NetworkBuilder b = NetworkBuilder::every_op(4);
    b.answer_with(0, "", {-10, -5, 0, 5, 10});
    const ByteVector file = b.build();
    Model model;
    REQUIRE(Model::open(file, model) == Status::ok);
    CHECK(model.answers_quantity());
    CHECK(model.unit().empty());
    const float lowest[] = {1, 0, 0, 0, 0};
    CHECK(model.quantity(lowest) == Quantity{-10, -12, -8});
}

TEST_CASE("a section ANSW that breaks a rule is refused") {
    const std::vector<float> ages = {2, 7, 12, 20, 40};
    CHECK(open_answer(answer_of(0.5f, "", {})) == Status::ok);
    CHECK(open_answer(answer_of(1, "", {})) == Status::ok);
    CHECK(open_answer(answer_of(0, "12345678", ages)) == Status::ok);
    CHECK(open_answer(answer_of(1.01f, "", {})) == Status::bad_file);
    CHECK(open_answer(answer_of(-0.01f, "", {})) == Status::bad_file);
    CHECK(open_answer(answer_of(std::nanf(""), "", {})) == Status::bad_file);
    CHECK(open_answer(answer_of(0.5f, "years", {})) == Status::bad_file);
    CHECK(open_answer(answer_of(0.5f, "years", ages)) == Status::bad_file);
    CHECK(open_answer(answer_of(0, std::string_view("a\0b", 3), ages)) == Status::bad_file);
    CHECK(open_answer(answer_of(0, "years", {2, 7, 12, 20})) == Status::bad_file);
    CHECK(open_answer(answer_of(0, "years", {2, 7, 7, 20, 40})) == Status::bad_file);
    CHECK(open_answer(answer_of(0, "years", {2, 7, 5, 20, 40})) == Status::bad_file);
    const float inf = std::numeric_limits<float>::infinity();
    CHECK(open_answer(answer_of(0, "years", {2, 7, 12, 20, inf})) == Status::bad_file);
    CHECK(open_answer(answer_of(0, "years", {std::nanf(""), 7, 12, 20, 40})) == Status::bad_file);
    ByteVector unknown = answer_of(0, "years", ages);
    unknown[0] = 2;
    CHECK(open_answer(unknown) == Status::bad_file);
    CHECK(open_answer(ByteVector(15)) == Status::bad_file);
    ByteVector longer = answer_of(0.5f, "", {});
    longer.push_back(0);
    CHECK(open_answer(longer) == Status::bad_file);

    const ByteVector half = answer_of(0.5f, "", {});
    NetworkBuilder logits = NetworkBuilder::every_op(4);
    logits.softmax = 0;
    CHECK(open_answer(half, logits) == Status::bad_file);
    CHECK(open_answer(half, NetworkBuilder::of_maps(1)) == Status::bad_file);
}

TEST_CASE("an answer is unsure below the threshold of the file, or of the program") {
    NetworkBuilder b = soft_builder();
    const auto top = [](const OneHead& head) {
        const std::span<const float> p = head.reading().probabilities;
        return *std::max_element(p.begin(), p.end());
    };
    const float highest = top(OneHead(b, -1));
    REQUIRE(highest > 0.25f);
    REQUIRE(highest < 0.95f);
    b.answer_with(highest);
    CHECK_FALSE(OneHead(b, -1).reading().unsure);
    b.answer_with(std::nextafter(highest, 1.0f));
    CHECK(OneHead(b, -1).reading().unsure);
    CHECK(OneHead(b, -1).engine.unsure_below(Head::age) == std::nextafter(highest, 1.0f));
    CHECK(OneHead(b, -1).engine.unsure_below(Head::gender) == 0.0f);
    // The program's choice counts more, in both directions.
    CHECK_FALSE(OneHead(b, 0).reading().unsure);
    CHECK_FALSE(OneHead(b, 0.2f).reading().unsure);
    b.answer.clear();
    CHECK_FALSE(OneHead(b, -1).reading().unsure);
    CHECK(OneHead(b, 0.95f).reading().unsure);
    // Logits have no threshold.
    b.softmax = 0;
    CHECK_FALSE(OneHead(b, 1).reading().unsure);
    CHECK(OneHead(b, 1).engine.unsure_below(Head::age) == 0.0f);

    Config config;
    for (const float wrong : {1.01f, std::nanf("")}) {
        config.min_confidence = wrong;
        CHECK(Engine::required_bytes(config, {}) == 0);
    }
}

TEST_CASE("a reading has the quantity, which is never unsure") {
    const OneHead head(age_builder(), 1);
    CHECK_FALSE(head.reading().unsure);
    CHECK(head.reading().quantity == head.model.quantity(head.reading().probabilities));
    CHECK(head.reading().quantity.low > 0);
    CHECK(head.reading().quantity.high > head.reading().quantity.low);
    CHECK(OneHead(NetworkBuilder::every_op(4), -1).reading().quantity == Quantity{});
}

TEST_CASE("answers through the C interface") {
    const OneHead same(age_builder(), -1);
    mien_config config;
    mien_config_init(&config);
    CHECK(config.min_confidence == -1);
    config.max_width = config.max_height = 32;
    NetworkBuilder shy = NetworkBuilder::every_op(4);
    shy.answer_with(1);
    const ByteVector shy_file = shy.build();
    mien_weights weights;
    mien_weights_init(&weights);
    weights.heads[MIEN_AGE] = {same.file.data(), same.file.size()};
    weights.heads[MIEN_GENDER] = {shy_file.data(), shy_file.size()};
    std::vector<std::byte> memory(mien_required_bytes(&config, &weights));
    mien_engine* engine = nullptr;
    REQUIRE(mien_create(&config, &weights, memory.data(), memory.size(), &engine) == MIEN_OK);
    mien_frame crop;
    mien_frame_init(&crop);
    crop.data = same.pixels.data();
    crop.width = crop.height = 9;
    crop.stride_bytes = 27;
    crop.format = MIEN_RGB24;
    REQUIRE(mien_classify_crop(engine, &crop) == MIEN_OK);
    mien_reading reading;
    REQUIRE(mien_reading_at(engine, 0, MIEN_AGE, &reading) == MIEN_OK);
    CHECK(reading.has_value == 1);
    CHECK(reading.unsure == 0);
    CHECK(Quantity{reading.value, reading.low, reading.high} == same.reading().quantity);
    REQUIRE(mien_reading_at(engine, 0, MIEN_GENDER, &reading) == MIEN_OK);
    CHECK(reading.has_value == 0);
    CHECK(reading.unsure == 1);
    CHECK(reading.value == 0);
    CHECK(mien_unsure_below(engine, MIEN_GENDER) == 1);
    CHECK(mien_unsure_below(engine, MIEN_EMOTION) == 0);
    char unit[4];
    CHECK(mien_unit(engine, MIEN_AGE, unit, sizeof unit) == 5);  // "years", cut
    CHECK(std::string_view(unit) == "yea");
    CHECK(mien_unit(engine, MIEN_GENDER, unit, sizeof unit) == 0);
    CHECK(std::string_view(unit).empty());

    // A caller that knows less of the structures gets as much as it knows.
    config.struct_size = offsetof(mien_config, min_confidence);
    config.min_confidence = 0;  // beyond what it says it has
    REQUIRE(mien_create(&config, &weights, memory.data(), memory.size(), &engine) == MIEN_OK);
    CHECK(mien_unsure_below(engine, MIEN_GENDER) == 1);
    config.struct_size = sizeof config;
    REQUIRE(mien_create(&config, &weights, memory.data(), memory.size(), &engine) == MIEN_OK);
    CHECK(mien_unsure_below(engine, MIEN_GENDER) == 0);
    config.min_confidence = 2;
    CHECK(mien_required_bytes(&config, &weights) == 0);
}
