// SPDX-License-Identifier: MIT
// Are the files inside the program those on the disk, byte for byte?
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>

#include "helpers.h"
#include "host/weights/embedded_weights.h"
#include "host/weights/named_networks.h"

using namespace mien;
using namespace mien::test;

TEST_CASE("embedded weights are the files of weights/") {
    const auto files = host::embedded_weights();
    const auto is_there = [](Head head) {
        return std::filesystem::exists(std::string(MIEN_WEIGHTS "/") + head_name(head) + ".mien");
    };
    const auto heads = std::ranges::count_if(named_heads, is_there);
    REQUIRE(heads >= 2);
    REQUIRE(files.size() == 2 + static_cast<std::size_t>(heads));
    for (const host::Resource& file : files) {
        CAPTURE(file.path);
        const auto expected = read_file(std::string(MIEN_WEIGHTS "/").append(file.path));
        CHECK(std::ranges::equal(file.bytes, expected));
        CHECK(reinterpret_cast<std::uintptr_t>(file.bytes.data()) % 64 == 0);
        CHECK(file.type == "application/octet-stream");
        CHECK(host::find_resource(files, file.path) == &file);
    }
    CHECK_FALSE(host::embedded_cascade().empty());
    for (const Head head : named_heads)
        CHECK(host::embedded_network(head).empty() == !is_there(head));
    CHECK_FALSE(host::embedded_detector().empty());
    CHECK(host::find_resource(files, "emotion") == nullptr);
}

TEST_CASE("networks that come with mien have names") {
    const std::string weights = MIEN_WEIGHTS;
    using Folders = std::vector<std::string>;
    const auto nowhere = [] { return Folders{"/nowhere"}; };
    const auto in_weights = [&] { return Folders{weights}; };
    std::size_t found = 0;
    for (const Head head : named_heads) {
        for (const std::string& name : host::network_names(head)) {
            CAPTURE(name);
            const auto file =
                host::network_file(head, name, [&] { return Folders{"/nowhere", weights}; });
            REQUIRE(file);
            CHECK(*file == weights + "/" + head_name(head) + "-" + name + ".mien");
            CHECK(std::filesystem::exists(*file));
            const auto missing = host::network_file(head, name, nowhere);
            REQUIRE_FALSE(missing);
            CHECK(missing.error().kind == host::Error::Kind::weights);
            ++found;
        }
        CHECK(*host::network_file(head, "", in_weights) == "");
        CHECK(*host::network_file(head, "./large", in_weights) == "./large");
        CHECK(*host::network_file(head, "large.mien", in_weights) == "large.mien");
    }
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(MIEN_WEIGHTS))
        files += entry.path().extension() == ".mien" &&
                 entry.path().stem().string().find('-') != std::string::npos;
    CHECK(found == files);
    const auto unknown = host::network_file(Head::emotion, "huge", in_weights);
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().text ==
          "huge: no such file, and none of " + host::listed_names(Head::emotion));
    // Inside the program, beside it, a file.
    for (const char* const name : {"emotion", "emotion-large", MIEN_WEIGHTS "/gender.mien"}) {
        const auto bytes = host::read_weights(name, in_weights);
        REQUIRE(bytes);
        Model model;
        CHECK(Model::open(*bytes, model) == Status::ok);
    }
    CHECK_FALSE(host::read_weights("emotion-large", nowhere));
    CHECK_FALSE(host::read_weights("emotional", in_weights));
}
