// SPDX-License-Identifier: MIT
// Addresses are taken apart or refused, and nothing that is shown of them is a secret; answers of
// network cameras become images however they are cut and framed.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "video/address.h"
#include "video/http_reader.h"

using namespace mien;
using namespace mien::video;

namespace {

Address address_of(const std::string& text) {
    const auto parsed = parse_address(text);
    REQUIRE_MESSAGE(parsed, text);
    return *parsed;
}

}  // namespace

TEST_CASE("address: user, password, host, port and target") {
    Address a = address_of("HTTP://cam.local/stream.mjpg?res=1#top");
    CHECK(a.scheme == "http");
    CHECK(a.host == "cam.local");
    CHECK(a.port == 0);
    CHECK(a.target == "/stream.mjpg?res=1");
    CHECK_FALSE(a.has_user);
    a = address_of("rtsp://ad%6Din:p%40ss%3A1@10.0.0.7:8554");
    CHECK(a.user == "admin");
    CHECK(a.password == "p@ss:1");
    CHECK(a.host == "10.0.0.7");
    CHECK(a.port == 8554);
    CHECK(a.target == "/");
    CHECK(address_of("http://u:p@ss@host/").password == "p@ss");  // as it is typed
    CHECK(address_of("http://u@host").password == "");
    CHECK(address_of("http://:@host").has_user);
    a = address_of("http://[fe80::1%25eth0]:81/a b\xc3\xa4");
    CHECK(a.host == "fe80::1%eth0");
    CHECK(full_address(a).starts_with("http://[fe80::1%25eth0]:81/"));
    CHECK(host_and_port(address_of("http://[::1]:81/")) == "[::1]:81");
    CHECK(a.target == "/a%20b%C3%A4");
    CHECK(address_of("http://h?x").target == "/?x");
    CHECK(address_of("http://h:/x").port == 0);
    for (const char* bad : {"http://",           "http:///x",
                            "http://:80/",       "http://h:x/",
                            "http://h:0/",       "http://h:65536/",
                            "http://h:123456/",  "http://[::1",
                            "http://[::1]x/",    "http://[]/",
                            "http://[h%4]/",     "http://[::1%25]/",
                            "http://[::%3f]/",   "http://[::1%25a%2541]/",
                            "http://a b/",       "http://u:p\n@h/",
                            "http://u%0a:p@h/",  "http://a%3Ab:p@h/",
                            "http://a:pa/ss@h/", "http://h/x@y",
                            "http://h\x01/",     "http://h\xff/",
                            "http://a:b:c/"}) {
        const auto parsed = parse_address(bad);
        CHECK_MESSAGE(!parsed, bad);
        if (!parsed) CHECK(parsed.error().text.find("pa/ss") == std::string::npos);
    }
    CHECK_FALSE(parse_address("http://" + std::string(5000, 'a')));
    for (const char* file :
         {"film.mp4", "/a/b", "://x", "1a://x", "a:/x", "", "-", "C:\\x", "a b://c"})
        CHECK_FALSE(is_address(file));
    CHECK(is_address("rtsp://x"));
}

TEST_CASE("address: nothing that is shown is a secret") {
    for (const char* text :
         {"http://admin:geheim@cam:81/v?user=a&pwd=geheim#geheim",
          "rtsp://cam/user=admin_password=geheim_channel=1", "rtsp://geheim@cam/",
          "http://cam/?geheim", "http://a:ge%68eim@cam/x"}) {
        const std::string shown = shown_address(address_of(text));
        CHECK_MESSAGE(shown.find("eheim") == std::string::npos, shown);
        CHECK(shown.find("cam") != std::string::npos);
    }
    CHECK(shown_address(address_of("http://a:b@cam:81/x/y.mjpg")) == "http://cam:81/x/y.mjpg");
    CHECK(shown_address(address_of("http://cam/x?y")) == "http://cam/x?...");
    for (const char* text :
         {"http://a:geheim@cam/: no such file", "unknown: http://a:ge heim geheim@cam/x",
          "x http://a:geheim/geheim@cam y", "http://cam/a?pwd=geheim: no such file",
          "rtsp://cam/password=geheim", "one http://cam/x two http://a:geheim@cam",
          "http://a:geheim@cam/?x=geheim http://cam?geheim"}) {
        const std::string shown = without_credentials(text);
        CHECK_MESSAGE(shown.find("geheim") == std::string::npos, shown);
    }
    CHECK(without_credentials("http://a:b@cam/x: no such file") ==
          "http://...@cam/x: no such file");
    CHECK(without_credentials("http://cam/a?b=c: no such file") ==
          "http://cam/a?...: no such file");
    for (const char* same : {"", "plain", "a@b", "://@", "at http://127.0.0.1:80/, for all",
                             "x?y=z", "http://cam/x: 5 of 6, why?"})
        CHECK(without_credentials(same) == same);
}

TEST_CASE("address: what is opened is what was said") {
    CHECK(full_address(address_of("rtsp://a%2Fb@h/")) == "rtsp://a%2Fb@h/");
    CHECK(full_address(address_of("rtsp://ab:c d@h:1/x?y=z")) == "rtsp://ab:c%20d@h:1/x?y=z");
    CHECK(full_address(address_of("http://[::1]/")) == "http://[::1]/");
    for (const char* text : {"http://u:p%2F%40%3A@[::1]:9/x?y", "rtsp://h", "https://:x@h/%20"}) {
        const Address once = address_of(text);
        CHECK(address_of(full_address(once)) == once);
    }
}

TEST_CASE("address: redirections") {
    const Address from = address_of("http://u:p@cam:81/a/b.mjpg?x=1");
    const auto to = [&from](const char* location) {
        const auto there = redirected(from, location);
        REQUIRE_MESSAGE(there, location);
        return *there;
    };
    CHECK(to("/c?d=/e").target == "/c?d=/e");
    CHECK(to("/c").password == "p");
    CHECK(to("c").target == "/a/c");
    CHECK(to("?y").target == "/a/b.mjpg?y");
    CHECK(to("http://cam:81/z").password == "p");
    // A user and a password are for whom they were given.
    for (const char* elsewhere : {"http://cam/z", "http://evil:81/z", "//evil/z", "https://cam:81/",
                                  "http://x:y@evil/", "rtsp://cam:81/"}) {
        CHECK_FALSE(to(elsewhere).has_user);
        CHECK(to(elsewhere).password == "");
        CHECK(to(elsewhere).user == "");
    }
    CHECK(to("//evil/z").host == "evil");
    CHECK_FALSE(redirected(from, ""));
    CHECK_FALSE(redirected(from, "http://"));
    CHECK_FALSE(redirected(from, std::string(5000, 'x')));
    CHECK(to("/a\r\nX: y").target == "/a%0D%0AX:%20y");
}

TEST_CASE("address: credentials in base64") {
    CHECK(basic_credentials(address_of("http://Aladdin:open%20sesame@h")) ==
          "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // the example of RFC 7617
    CHECK(basic_credentials(address_of("http://a:b@h")) == "Basic YTpi");
    CHECK(basic_credentials(address_of("http://ab@h")) == "Basic YWI6");
    CHECK(basic_credentials(address_of("http://@h")) == "Basic Og==");
    CHECK(basic_credentials(address_of("http://ab:c@h")) == "Basic YWI6Yw==");
}

#ifdef MIEN_HAS_HTTP

namespace {

// The smallest thing that has the markers of a JPEG.
const std::string tiny = std::string("\xff\xd8\xff\xe0\0\4ab\xff\xda\0\2scan", 16) + "\xff\xd9";

struct Answer {
    std::vector<std::string> pictures;
    HttpHead head;
    bool has_head = false, done = false, closed_well = false;
    std::string error;
};
Answer answer_of(const std::string& bytes, std::size_t piece = 1000) {
    HttpReader reader;
    Answer answer;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const std::size_t count = std::min(piece, bytes.size() - at);
        if (!reader.add({reinterpret_cast<const std::uint8_t*>(bytes.data()) + at, count})) break;
        for (auto picture = reader.next_picture(); !picture.empty();
             picture = reader.next_picture())
            answer.pictures.emplace_back(picture.begin(), picture.end());
    }
    answer.closed_well = reader.close();
    answer.has_head = reader.has_head();
    answer.done = reader.is_done();
    answer.head = reader.head();
    answer.error = reader.error();
    return answer;
}

}  // namespace

TEST_CASE("http: multipart, chunked and plain bodies in pieces of any length") {
    const std::string part = "--x\r\nContent-Type: image/jpeg\r\nContent-Length: 18\r\n\r\n" + tiny,
                      body = part + "\r\n" + part + "\r\n--x--\r\n";
    REQUIRE(tiny.size() == 18);
    const auto chunked = [](const std::string& text) {
        std::string out;
        for (std::size_t at = 0; at < text.size(); at += 23) {
            const std::string piece = text.substr(at, 23);
            constexpr char digits[] = "0123456789abcdef";
            out += std::string(1, digits[piece.size() / 16]) + digits[piece.size() % 16] +
                   ";a=b\r\n" + piece + "\r\n";
        }
        return out + "0\r\n\r\n";
    };
    const std::string type = "Content-Type: Multipart/X-Mixed-Replace;boundary=other\r\n";
    for (const std::size_t piece : {1u, 5u, 64u, 100000u}) {
        for (const std::string& text :
             {"HTTP/1.0 200 OK\r\n" + type + "\r\n" + body,
              "HTTP/1.1 200 OK\r\n" + type + "Transfer-Encoding: chunked\r\n\r\n" + chunked(body),
              "HTTP/1.1 200 OK\r\n" + type + "Content-Length: " + std::to_string(body.size()) +
                  "\r\n\r\n" + body}) {
            const Answer answer = answer_of(text, piece);
            CHECK(answer.pictures == std::vector<std::string>{tiny, tiny});
            CHECK(answer.head.status == 200);
            CHECK(answer.head.content_type == "multipart/x-mixed-replace");
            CHECK(answer.closed_well);
            CHECK(answer.error == "");
        }
    }
    const Answer one = answer_of(
        "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
        "Content-Length: 18\r\n\r\n" +
        tiny + "what follows");
    CHECK(one.done);
    CHECK(one.pictures.size() == 1);
}

TEST_CASE("http: heads, and answers that are none") {
    Answer answer = answer_of(
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"x\", nonce=1\r\n"
        "Content-Length: 0\r\n\r\n");
    CHECK(answer.head.status == 401);
    CHECK(answer.head.authenticate == "digest");
    CHECK(answer.done);
    answer = answer_of("HTTP/1.1 302 There\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    CHECK(answer.head.location == "/x");
    for (const std::string& bad :
         {std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string("RTSP/1.0 200 OK\r\n\r\n"),
          std::string("HTTP/1.1 200 OK\r\nX: " + std::string(20000, 'y')),
          std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
          std::string("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
          std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" +
                      std::string(100000, 'e'))}) {
        const Answer none = answer_of(bad, 4096);
        CHECK_FALSE(none.closed_well);
        CHECK(none.error != "");
    }
    CHECK(answer_of("").error == "closed the connection without an answer");
    CHECK(answer_of("HTTP/1.1 200").error != "");
    CHECK(answer_of("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + tiny).error ==
          "the connection ended in the middle");
}

#endif
