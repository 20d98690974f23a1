// SPDX-License-Identifier: MIT
#include "video/jpeg_splitter.h"

#include <cstring>

#include "host/codec/jpeg_markers.h"

namespace mien::video {

using host::is_restart, host::stands_alone;
using host::marker_eoi, host::marker_soi, host::marker_sos;

void JpegSplitter::add(std::span<const std::uint8_t> bytes) {
    if (begin_ > 0) {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
        at_ -= begin_;
        begin_ = 0;
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

std::span<const std::uint8_t> JpegSplitter::next() {
    while (state_ != State::whole) {
        if (state_ != State::start && at_ - begin_ > max_picture_bytes) give_up();
        if (!step()) return {};
    }
    const std::span<const std::uint8_t> picture(buffer_.data() + begin_, at_ - begin_);
    begin_ = at_;
    state_ = State::start;
    return picture;
}

bool JpegSplitter::step() {
    switch (state_) {
        case State::start: return find_start();
        case State::marker: return read_marker();
        case State::segment: return skip_segment();
        case State::scan: return skip_scan();
        case State::whole: break;
    }
    return true;
}

void JpegSplitter::give_up() {
    skipped_ += 2;
    begin_ += 2;
    at_ = begin_;
    state_ = State::start;
}

bool JpegSplitter::find_start() {
    while (has(2) && !(buffer_[at_] == 0xff && buffer_[at_ + 1] == marker_soi)) ++at_;
    skipped_ += at_ - begin_;
    begin_ = at_;
    if (!has(2)) return false;
    at_ += 2;
    state_ = State::marker;
    return true;
}

bool JpegSplitter::read_marker() {
    if (!has(2)) return false;
    const std::uint8_t marker = buffer_[at_ + 1];
    if (buffer_[at_] != 0xff || marker == marker_soi || marker == 0) {
        give_up();
    } else if (marker == 0xff) {  // padding
        ++at_;
    } else if (marker == marker_eoi) {
        at_ += 2;
        state_ = State::whole;
    } else if (stands_alone(marker)) {
        at_ += 2;
    } else {
        state_ = State::segment;
    }
    return true;
}

bool JpegSplitter::skip_segment() {
    if (!has(4)) return false;
    const std::size_t length = std::size_t{buffer_[at_ + 2]} << 8 | buffer_[at_ + 3];
    if (length < 2) {
        give_up();
        return true;
    }
    if (!has(2 + length)) return false;
    state_ = buffer_[at_ + 1] == marker_sos ? State::scan : State::marker;
    at_ += 2 + length;
    return true;
}

bool JpegSplitter::skip_scan() {
    while (has(2) &&
           (buffer_[at_] != 0xff || buffer_[at_ + 1] == 0 || is_restart(buffer_[at_ + 1]))) {
        const auto* found = static_cast<const std::uint8_t*>(
            std::memchr(buffer_.data() + at_ + 1, 0xff, buffer_.size() - at_ - 1));
        at_ = found != nullptr ? static_cast<std::size_t>(found - buffer_.data()) : buffer_.size();
    }
    if (!has(2)) return false;
    state_ = State::marker;
    return true;
}

}  // namespace mien::video
