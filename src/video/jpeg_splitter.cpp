// SPDX-License-Identifier: MIT
#include "video/jpeg_splitter.h"

#include <cstring>

namespace mien::video {
namespace {

constexpr std::uint8_t marker_soi = 0xd8, marker_eoi = 0xd9, marker_sos = 0xda;
bool is_restart(std::uint8_t marker) { return marker >= 0xd0 && marker <= 0xd7; }
bool stands_alone(std::uint8_t marker) { return is_restart(marker) || marker == 0x01; }

}  // namespace

void JpegSplitter::add(std::span<const std::uint8_t> bytes) {
    if (begin_ > 0) {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
        at_ -= begin_;
        begin_ = 0;
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

std::span<const std::uint8_t> JpegSplitter::next() {
    const auto have = [&](std::size_t n) { return at_ + n <= buffer_.size(); };
    const auto give_up = [&] {  // no picture begins where it seemed to
        skipped_ += 2;
        begin_ += 2;
        at_ = begin_;
        state_ = State::start;
    };
    for (;;) {
        if (state_ != State::start && at_ - begin_ > max_picture_bytes) give_up();
        switch (state_) {
            case State::start: {
                while (have(2) && !(buffer_[at_] == 0xff && buffer_[at_ + 1] == marker_soi)) ++at_;
                skipped_ += at_ - begin_;
                begin_ = at_;
                if (!have(2)) return {};
                at_ += 2;
                state_ = State::marker;
                break;
            }
            case State::marker: {
                if (!have(2)) return {};
                if (buffer_[at_] != 0xff) {
                    give_up();
                    break;
                }
                const std::uint8_t marker = buffer_[at_ + 1];
                if (marker == 0xff) {
                    ++at_;
                } else if (marker == marker_eoi) {
                    at_ += 2;
                    const std::span<const std::uint8_t> picture(buffer_.data() + begin_,
                                                                at_ - begin_);
                    begin_ = at_;
                    state_ = State::start;
                    return picture;
                } else if (marker == marker_soi || marker == 0) {
                    give_up();
                } else if (stands_alone(marker)) {
                    at_ += 2;
                } else {
                    state_ = State::segment;
                }
                break;
            }
            case State::segment: {
                if (!have(4)) return {};
                const std::size_t length = std::size_t{buffer_[at_ + 2]} << 8 | buffer_[at_ + 3];
                if (length < 2) {
                    give_up();
                    break;
                }
                if (!have(2 + length)) return {};
                state_ = buffer_[at_ + 1] == marker_sos ? State::scan : State::marker;
                at_ += 2 + length;
                break;
            }
            case State::scan: {
                while (have(2) && (buffer_[at_] != 0xff || buffer_[at_ + 1] == 0 ||
                                   is_restart(buffer_[at_ + 1]))) {
                    const auto* found = static_cast<const std::uint8_t*>(
                        std::memchr(buffer_.data() + at_ + 1, 0xff, buffer_.size() - at_ - 1));
                    at_ = found != nullptr ? static_cast<std::size_t>(found - buffer_.data())
                                           : buffer_.size();
                }
                if (!have(2)) return {};
                state_ = State::marker;
                break;
            }
        }
    }
}

}  // namespace mien::video
