// SPDX-License-Identifier: MIT
#include "video/http_reader.h"

#ifdef MIEN_HAS_HTTP

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "video/jpeg_splitter.h"

namespace mien::video {

namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;

struct HttpReader::Parser {
    http::response_parser<http::buffer_body> response;
    std::vector<std::uint8_t> input;  // that the parser has not taken yet
    std::array<std::uint8_t, 16384> piece{};
    JpegSplitter splitter;
    std::size_t since_picture = 0;
};

namespace {

// The first word of a header, in small letters; at most as long as such words are.
std::string first_word(std::string_view text, std::string_view ends) {
    std::string word(text.substr(0, std::min<std::size_t>(text.find_first_of(ends), 64)));
    for (char& c : word) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
        if (c < 33 || c > 126) c = '?';
    }
    return word;
}

}  // namespace

HttpReader::HttpReader() : parser_(std::make_unique<Parser>()) {
    parser_->response.header_limit(max_head_bytes);
    parser_->response.body_limit(std::numeric_limits<std::uint64_t>::max());
    parser_->response.eager(false);
}
HttpReader::~HttpReader() = default;

bool HttpReader::has_head() const { return parser_->response.is_header_done(); }
bool HttpReader::is_done() const { return parser_->response.is_done(); }

bool HttpReader::fail(std::string text) {
    error_ = std::move(text);
    return false;
}

void HttpReader::read_head() {
    const auto& message = parser_->response.get();
    const auto field = [&message](http::field name) {
        const auto value = message[name];
        return std::string_view(value.data(), value.size());
    };
    head_.status = static_cast<int>(message.result_int());
    head_.content_type = first_word(field(http::field::content_type), "; \t");
    head_.location = std::string(field(http::field::location));
    head_.authenticate = first_word(field(http::field::www_authenticate), " \t,");
}

bool HttpReader::add(std::span<const std::uint8_t> bytes) {
    if (!error_.empty()) return false;
    Parser& parser = *parser_;
    auto& response = parser.response;
    parser.input.insert(parser.input.end(), bytes.begin(), bytes.end());
    std::size_t taken = 0;
    while (taken < parser.input.size() && !response.is_done()) {
        if (has_head()) {
            response.get().body().data = parser.piece.data();
            response.get().body().size = parser.piece.size();
            response.get().body().more = true;
        }
        const bool had_head = has_head();
        ErrorCode code;
        const std::size_t used = response.put(
            boost::asio::buffer(parser.input.data() + taken, parser.input.size() - taken), code);
        taken += used;
        if (had_head) {
            const std::size_t got = parser.piece.size() - response.get().body().size;
            parser.splitter.add({parser.piece.data(), got});
            parser.since_picture += got;
        }
        if (!had_head && has_head()) read_head();
        if (code == http::error::need_more) break;
        if (code && code != http::error::need_buffer)
            return fail(has_head() ? "the HTTP answer is damaged: " + code.message()
                                   : "does not answer as HTTP does");
        if (used == 0 && !code && had_head == has_head()) break;
    }
    parser.input.erase(parser.input.begin(),
                       parser.input.begin() + static_cast<std::ptrdiff_t>(taken));
    // What the parser waits for is a head, or the line of a chunk.
    if (parser.input.size() > 2 * max_head_bytes)
        return fail("the HTTP answer has a line without end");
    return true;
}

bool HttpReader::close() {
    if (!error_.empty()) return false;
    if (!has_head()) return fail("closed the connection without an answer");
    if (is_done()) return true;
    ErrorCode code;
    parser_->response.put_eof(code);
    return code ? fail("the connection ended in the middle") : true;
}

std::span<const std::uint8_t> HttpReader::next_picture() {
    const std::span<const std::uint8_t> picture = parser_->splitter.next();
    if (!picture.empty())
        parser_->since_picture = 0;
    else if (parser_->since_picture > max_bytes_without_picture && error_.empty())
        error_ = "sends no JPEG";
    return picture;
}

}  // namespace mien::video

#endif
