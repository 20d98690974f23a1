// SPDX-License-Identifier: MIT
// What clients send as text: base64, JSON with images, addresses, prefixes.
#ifdef MIEN_HAS_SERVE
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "host/files/base64.h"
#include "serve/compat.h"
#include "serve/json_request.h"
#include "serve/options.h"

using namespace mien;

namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string as_text(const host::ByteVector& bytes) { return {bytes.begin(), bytes.end()}; }

host::Result<serve::JsonImages> read_json(std::string_view text, std::size_t most = 3) {
    bool too_many = false;
    auto read = serve::parse_json_images(bytes_of(text), most, too_many);
    CHECK(too_many == (!read && read.error().text.starts_with("more than 3 images")));
    return read;
}

std::string json_error(std::string_view text) {
    const auto read = read_json(text);
    return read ? "" : read.error().text;
}

}  // namespace

TEST_CASE("base64: each length there and back, and what programs make of it") {
    std::string plain;
    for (int i = 0; i < 300; ++i) {
        const auto back = host::from_base64(host::base64(bytes_of(plain)));
        REQUIRE(back);
        REQUIRE(as_text(*back) == plain);
        plain += static_cast<char>(i * 37);
    }
    const auto decoded = [](std::string_view text) { return as_text(*host::from_base64(text)); };
    CHECK(decoded("TWE=") == "Ma");
    CHECK(decoded("TWE") == "Ma");  // without padding
    CHECK(decoded("TQ") == "M");
    CHECK(decoded("TW\r\nFu\n") == "Man");  // lines
    CHECK(decoded("--__") == decoded("++//"));
    for (const char* bad : {"T", "TWFuT", "TW=u", "TWE==", "TWFu=", "=", "TW.u", "a\0bc", "TWé="})
        CHECK_FALSE(host::from_base64(bad));
}

TEST_CASE("JSON: images under the names of other services") {
    for (const char* name : {"img", "image", "images", "images[]", "file", "img_path"}) {
        const auto read = read_json("{\"" + std::string(name) + "\":\"TWFu\"}");
        REQUIRE(read);
        REQUIRE(read->images.size() == 1);
        CHECK(as_text(read->images[0]) == "Man");
        CHECK(read->options.empty());
    }
    const auto several = read_json(
        "\xef\xbb\xbf {\"images\": [\"TWFu\", \"data:image\\/png;base64,TWE=\"], \"img\": \"TQ\"}");
    REQUIRE(several);
    REQUIRE(several->images.size() == 3);
    CHECK(as_text(several->images[1]) == "Ma");
    const auto options = read_json(
        R"({"actions":["age","gender"],"img":"TWFu","limit":2,"x":true,"o":{"img":["a"]},"n":null})");
    REQUIRE(options);
    CHECK(options->options ==
          serve::TextOptions{{"actions", "age,gender"}, {"limit", "2"}, {"x", "true"}, {"n", ""}});
    CHECK(as_text(*serve::image_of_text("DATA:IMAGE/PNG;name=a.png;BASE64,TWFu")) == "Man");
}

TEST_CASE("JSON: what is no image is refused by what it is") {
    const auto says = [](std::string_view text, const char* words) {
        const std::string error = json_error(text);
        CAPTURE(text);
        CAPTURE(error);
        CHECK(error.find(words) != std::string::npos);
    };
    for (const char* address : {"http://a/b.jpg", "HTTPS://a/b", "ftp://x", "file:///etc/passwd",
                                "file:/etc/passwd", "//a/b.jpg", "gopher://x", "s3://a/b"})
        says("{\"img\":\"" + std::string(address) + "\"}", "fetches nothing");
    for (const char* path : {"/etc/passwd", "photo.jpg", "../a.jpg", "C:\\\\a.jpg", "~/a", "/a"})
        says("{\"img_path\":\"" + std::string(path) + "\"}", "opens no files");
    CHECK(json_error("{\"img\":\"/9j/4AAQ\"}").empty());  // a JPEG begins so
    says(R"({"img":null})", "img: null");
    says(R"({"img":7})", "img: a number");
    says(R"({"img":1.5})", "img: a number");
    says(R"({"img":true})", "img: a truth value");
    says(R"({"img":{"a":"TWFu"}})", "img: an object");
    says(R"({"img":[["TWFu"]]})", "img: a list in a list");
    says(R"({"img":""})", "an empty text");
    says(R"({"img":"data:image/png,abc"})", "without ;base64");
    says(R"({"img":"data:;base64"})", "without ;base64");
    says(R"({"img":"TWFu","img":"TWFu"})", "two values of img");
    says(R"({"images":["TQ","TQ","TQ","TQ"]})", "more than 3 images");
    says("[\"TWFu\"]", "must be an object");
    says("\"TWFu\"", "must be an object");
    says("", "no JSON");
    says("{\"img\":\"TWFu\"", "no JSON");
    says("{\"img\":\"TWFu\"} x", "no JSON");
    says("{\"img\":\"TW\nFu\"}", "no JSON");
    says("{\"img\":\"\xff\"}", "no JSON");
    says("{\"a\":" + std::string(100000, '['), "8 levels");
    std::string wide = "{", long_list = "{\"a\":[";
    for (int i = 0; i < 70; ++i) wide += "\"k" + std::to_string(i) + "\":1,";
    for (int i = 0; i < 200; ++i) long_list += "1,";
    says(wide, "more than 64 keys");
    says(long_list, "more than 256 bytes");
    says("{\"" + std::string(300, 'k') + "\":1}", "more than 256 bytes");
}

TEST_CASE("options of a query, decoded") {
    CHECK(*serve::query_options("a=b&c=%2c+d&e&&f=") ==
          serve::TextOptions{{"a", "b"}, {"c", ", d"}, {"e", ""}, {"f", ""}});
    CHECK(serve::query_options("")->empty());
    for (const char* bad : {"a=%", "a=%2", "a=%zz"}) CHECK_FALSE(serve::query_options(bad));
    std::string many;
    for (int i = 0; i < 40; ++i) many += "a=b&";
    CHECK_FALSE(serve::query_options(many));
    serve::CompatOptions deepface, compreface;
    CHECK_FALSE(deepface.read_deepface({{"actions", "['age', 'race']"}, {"align", "x"}}));
    CHECK(deepface.heads[Head::age]);
    CHECK_FALSE(deepface.heads[Head::gender]);
    CHECK(deepface.read_deepface({{"actions", "mood"}})->status == 400);
    CHECK(deepface.read_deepface({{"enforce_detection", "perhaps"}})->status == 400);
    CHECK_FALSE(
        compreface.read_compreface({{"limit", "2"}, {"face_plugins", "landmarks,age,pose"}}));
    CHECK(compreface.limit == 2);
    CHECK(compreface.landmarks);
    CHECK(compreface.heads[Head::age]);
    CHECK_FALSE(compreface.heads[Head::emotion]);
    CHECK(compreface.read_compreface({{"limit", "-1"}})->status == 400);
    CHECK(compreface.read_compreface({{"det_prob_threshold", "2"}})->status == 400);
}

TEST_CASE("addresses to listen on, of both kinds") {
    const auto read = [](std::string_view text) -> std::string {
        serve::Options options;
        bool has_port = false;
        if (!serve::parse_address(text, options, has_port)) return "none";
        return serve::host_of_url(options.address) + ":" + (has_port ? "" : "-") +
               std::to_string(options.port);
    };
    CHECK(read("8090") == "127.0.0.1:8090");
    CHECK(read("0.0.0.0:80") == "0.0.0.0:80");
    CHECK(read("localhost:80") == "127.0.0.1:80");
    CHECK(read("localhost") == "127.0.0.1:-8084");
    CHECK(read("0.0.0.0") == "0.0.0.0:-8084");
    CHECK(read("127.0.0.2") == "127.0.0.2:-8084");
    CHECK(read("[::1]:8080") == "[::1]:8080");
    CHECK(read("[::]:0") == "[::]:0");
    CHECK(read("::") == "[::]:-8084");
    CHECK(read("[::1]") == "[::1]:-8084");
    CHECK(read("0:0:0:0:0:0:0:1") == "[::1]:-8084");
    CHECK(read("fe80::1%eth0") == "[fe80::1%eth0]:-8084");
    CHECK(read("[FE80::1%eth0]:9") == "[fe80::1%eth0]:9");
    for (const char* bad : {"", ":", "x", "[::1", "[::1]x", "[::1]:", "[1.2.3.4]:80",
                            "1.2.3.4:", "1.2.3.4:99999", "::g", "[::1]:8080:1", "8090/"})
        CHECK(read(bad) == "none");
    CHECK(serve::is_loopback("::1"));
    CHECK_FALSE(serve::is_loopback("::"));
    CHECK(serve::is_every_network("::"));
}

TEST_CASE("prefixes of paths") {
    for (const char* same : {"mien", "/mien", "/mien/", "mien//"})
        CHECK(*serve::parse_prefix(same) == "/mien");
    CHECK(*serve::parse_prefix("/a/b-c_1.~") == "/a/b-c_1.~");
    CHECK(serve::parse_prefix("")->empty());
    CHECK(serve::parse_prefix("/")->empty());
    for (const char* bad :
         {"a b", "//a", "/a//b", "/..", "/a/./b", "http://x", "/a?b", "/a\r\nX: y"})
        CHECK_FALSE(serve::parse_prefix(bad));
}
#endif
