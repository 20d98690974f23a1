// SPDX-License-Identifier: MIT
// Are labeled faces read as they are meant, and scored by the right formulas? (Whole runs are in
// e2e/test_cli.py.)
#include <doctest/doctest.h>

#include <cmath>

#include "host/eval/labelled_faces.h"
#include "host/eval/npz.h"
#include "host/eval/scores.h"
#include "host/files/file_io.h"

using namespace mien;
using namespace mien::host;

namespace {

ByteVector corpus(const char* name) {
    auto bytes = read_file(std::string(MIEN_TEST_DATA "/corpus/npz/") + name, 1 << 20);
    REQUIRE(bytes);
    return *bytes;
}

const std::vector<std::string> emotions = {"angry", "disgust",  "fear",   "happy",
                                           "sad",   "surprise", "neutral"};

}  // namespace

TEST_CASE("npz: stored and packed arrays hold the same") {
    const ByteVector packed = corpus("packed.npz"), stored = corpus("stored.npz");
    const auto a = NpzFile::open(packed), b = NpzFile::open(stored);
    REQUIRE(a);
    REQUIRE(b);
    const auto x = a->read("images", 1 << 20), y = b->read("images", 1 << 20);
    REQUIRE(x);
    REQUIRE(y);
    CHECK(x->shape == std::vector<std::size_t>{3, 8, 8});
    CHECK(y->shape == std::vector<std::size_t>{3, 8, 8, 1});
    CHECK(x->bytes == y->bytes);
    const auto wide = a->read("labels", 1 << 20), narrow = b->read("labels", 1 << 20);
    REQUIRE(wide);
    REQUIRE(narrow);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(wide->integer(i) == static_cast<std::int64_t>(i));
        CHECK(narrow->integer(i) == static_cast<std::int64_t>(i));
    }
}

TEST_CASE("npz: limits and damage are told") {
    const ByteVector packed = corpus("packed.npz");
    const auto file = NpzFile::open(packed);
    REQUIRE(file);
    CHECK_FALSE(file->read("images", 100));
    CHECK_FALSE(file->read("absent", 1 << 20));
    for (const char* name : {"cut.npz", "altered.npz", "huge.npz", "fortran.npz"}) {
        CAPTURE(name);
        const ByteVector bytes = corpus(name);
        const auto damaged = NpzFile::open(bytes);
        CHECK_FALSE((damaged && damaged->read("images", std::size_t{1} << 31) &&
                     damaged->read("labels", std::size_t{1} << 31)));
    }
    // Every prefix is refused without a crash; every flipped byte either changes nothing that is
    // read or is refused.
    for (std::size_t n = 0; n < packed.size(); ++n)
        CHECK_FALSE(NpzFile::open(std::span(packed).first(n)));
    const auto whole = file->read("images", 1 << 20);
    for (std::size_t i = 0; i < packed.size(); ++i) {
        ByteVector altered = packed;
        altered[i] ^= 0x41;
        const auto other = NpzFile::open(altered);
        if (!other) continue;
        const auto images = other->read("images", 1 << 20);
        if (images) CHECK(images->bytes == whole->bytes);
    }
}

TEST_CASE("class names may be synonyms and numbered") {
    CHECK(class_index(emotions, "happy") == 3);
    CHECK(class_index(emotions, "Happiness") == 3);
    CHECK(class_index(emotions, "3_happy") == 3);
    CHECK(class_index(emotions, "0 - ANGER") == 0);
    CHECK(class_index(emotions, "af") == 2);
    CHECK(class_index(emotions, "contempt") == -1);
    CHECK(class_index(emotions, "7") == -1);
    CHECK(class_index({"woman", "man"}, "Female") == 0);
    CHECK(class_index({"female", "male"}, "female") == 0);
}

TEST_CASE("scores by hand") {
    Scores scores({"a", "b"});
    const float rows[4][2] = {{0.9f, 0.1f}, {0.6f, 0.4f}, {0.3f, 0.7f}, {0.8f, 0.2f}};
    const int labels[4] = {0, 1, 1, 0};
    for (int i = 0; i < 4; ++i) scores.add(labels[i], rows[i]);
    CHECK(scores.accuracy() == 0.75);
    CHECK(scores.precision(0) == doctest::Approx(2.0 / 3));
    CHECK(scores.recall(1) == 0.5);
    CHECK(scores.macro_f1() == doctest::Approx((0.8 + 2.0 / 3) / 2));
    CHECK(scores.balanced_accuracy() == 0.75);
    CHECK(scores.calibration_error() == doctest::Approx((0.1 + 0.6 + 0.3 + 0.2) / 4));
    CHECK(scores.log_loss() ==
          doctest::Approx(-(std::log(0.9) + std::log(0.4) + std::log(0.7) + std::log(0.8)) / 4));
    // Two of four are sure: 0.9, right, and 0.8, right; of 0.7 and 0.6 only one is.
    Scores shy({"a", "b"}, 0.75f);
    for (int i = 0; i < 4; ++i) shy.add(labels[i], rows[i]);
    CHECK(shy.accuracy() == 0.75);
    CHECK(shy.text().find("accuracy 75.00 % of 4 (95 % interval: 30.06 to 95.44), balanced") !=
          std::string::npos);
    CHECK(shy.coverage() == 0.5);
    CHECK(shy.accuracy_confident() == 1);
    CHECK(shy.text().find("sure of 50.00 % of them (at least 0.75), with an accuracy of 100.00 % "
                          "there") != std::string::npos);
    CHECK(shy.json("d", "m", 0).find(R"("coverage":0.5,"accuracy_confident":1.0)") !=
          std::string::npos);
    CHECK(scores.coverage() == 1);
    CHECK(scores.text().find("sure of") == std::string::npos);
    CHECK(scores.json("d", "m", 0).find("coverage") == std::string::npos);
    CHECK(Scores({"a", "b"}).accuracy() == 0);  // nothing, not a division by it
}
