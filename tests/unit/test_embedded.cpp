// SPDX-License-Identifier: MIT
// Are the files inside the program those on the disk, byte for byte?
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>

#include "helpers.h"
#include "host/weights/embedded_weights.h"

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
