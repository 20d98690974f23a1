// SPDX-License-Identifier: MIT
// Layout: Microsoft's "AVI RIFF File Reference".
#include "video/avi_splitter.h"

#include <algorithm>
#include <cstring>

#include "video/jpeg_splitter.h"

namespace mien::video {
namespace {

constexpr std::size_t chunk_head = 8;  // a name of four characters, and the bytes that follow
constexpr std::uint32_t longest_header = 1 << 16;
constexpr double highest_rate = 1e5, lowest_rate = 1e-3;

bool plausible(double rate) { return rate > lowest_rate && rate < highest_rate; }

}  // namespace

void AviSplitter::add(std::span<const std::uint8_t> bytes) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ = 0;
    const std::size_t skipped = static_cast<std::size_t>(
        std::min<std::uint64_t>(skip_, buffer_.empty() ? bytes.size() : 0));
    skip_ -= skipped;
    const auto rest = bytes.subspan(skipped);
    buffer_.insert(buffer_.end(), rest.begin(), rest.end());
}

std::uint32_t AviSplitter::number(std::size_t offset) const {
    const std::uint8_t* p = buffer_.data() + at_ + offset;
    return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
           static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
}

bool AviSplitter::is(std::size_t offset, const char* name) const {
    return std::memcmp(buffer_.data() + at_ + offset, name, 4) == 0;
}

// "00dc" of the first stream: compressed, or "00db": which some write of JPEG, too.
bool AviSplitter::is_frame() const {
    const std::uint8_t* p = buffer_.data() + at_;
    return p[0] == '0' + video_ / 10 && p[1] == '0' + video_ % 10 && p[2] == 'd' &&
           (p[3] == 'c' || p[3] == 'b');
}

bool AviSplitter::fail(std::string text) {
    error_ = std::move(text);
    return false;
}

// "LIST" or "RIFF", a size, and what the list holds. A list is left by reading on behind its last
// chunk, so that its size does not matter.
bool AviSplitter::enter_list() {
    if (have() < chunk_head + 4) return false;
    if (!started_ && !is(8, "AVI ")) return fail("is no AVI");
    started_ = true;
    const bool known = is(8, "hdrl") || is(8, "strl") || is(8, "movi") || is(8, "rec ") ||
                       is(8, "AVI ") || is(8, "AVIX");
    if (is(8, "movi")) {
        if (video_ < 0) return fail("is AVI without a film");
        in_movie_ = true;
    }
    const std::uint32_t bytes = number(4);
    at_ += chunk_head + 4;
    if (!known) skip_ = std::uint64_t{bytes} + bytes % 2 - std::min<std::uint32_t>(bytes, 4);
    return true;
}

bool AviSplitter::read_header(std::uint32_t bytes) {
    if (bytes > longest_header) return fail("is AVI with a header that is too long");
    if (have() < chunk_head + bytes) return false;
    if (is(0, "avih") && bytes >= 4) {
        const std::uint32_t microseconds = number(chunk_head);
        if (const double rate = microseconds > 0 ? 1e6 / microseconds : 0; plausible(rate))
            frame_rate_ = rate;
    } else if (is(0, "strh") && bytes >= 28) {
        if (is(chunk_head, "vids") && video_ < 0) {
            video_ = streams_;
            const std::uint32_t scale = number(chunk_head + 20), ticks = number(chunk_head + 24);
            if (const double rate = scale > 0 ? static_cast<double>(ticks) / scale : 0;
                plausible(rate))
                frame_rate_ = rate;
        }
        ++streams_;
    } else if (is(0, "strf") && bytes >= 20 && video_ >= 0 && video_ == streams_ - 1) {
        std::string codec;
        for (std::size_t i = 0; i < 4; ++i) {
            const char c = static_cast<char>(buffer_[at_ + chunk_head + 16 + i]);
            codec += c > ' ' && c < 127 ? c : '?';
        }
        if (codec != "MJPG" && codec != "mjpg")
            return fail("is AVI with the codec " + codec + ", not motion JPEG");
    }
    skip_ = std::uint64_t{chunk_head} + bytes + bytes % 2;
    return true;
}

AviSplitter::Step AviSplitter::next(std::span<const std::uint8_t>& frame) {
    for (;;) {
        const std::size_t skipped =
            static_cast<std::size_t>(std::min<std::uint64_t>(skip_, have()));
        at_ += skipped;
        skip_ -= skipped;
        if (skip_ > 0 || have() < chunk_head) return Step::more;
        const std::uint32_t bytes = number(4);
        const bool list = is(0, "LIST") || is(0, "RIFF");
        if (!list && !started_) fail("is no AVI");
        if (!error_.empty()) return Step::failed;
        if (list) {
            const bool movie = have() >= chunk_head + 4 && is(8, "movi");
            if (!enter_list()) return error_.empty() ? Step::more : Step::failed;
            if (movie) return Step::movie;
        } else if (!in_movie_ && (is(0, "avih") || is(0, "strh") || is(0, "strf"))) {
            if (!read_header(bytes)) return error_.empty() ? Step::more : Step::failed;
        } else if (is(0, "idx1") && in_movie_) {
            return Step::end;
        } else if (in_movie_ && is_frame()) {
            if (bytes > JpegSplitter::max_picture_bytes) {
                fail("has a frame of " + std::to_string(bytes) + " bytes");
                return Step::failed;
            }
            if (have() < chunk_head + bytes) return Step::more;
            frame = std::span(buffer_).subspan(at_ + chunk_head, bytes);
            skip_ = std::uint64_t{chunk_head} + bytes + bytes % 2;
            return bytes > 0 ? Step::frame : Step::repeat;
        } else {
            skip_ = std::uint64_t{chunk_head} + bytes + bytes % 2;
        }
    }
}

}  // namespace mien::video
