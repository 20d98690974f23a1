// SPDX-License-Identifier: MIT
// The rows of a frame that the tracker has asked for so far (FrameRows).
#pragma once

#include <algorithm>

#include "mien/tracker.hpp"
#include "track/frame_timer.h"

namespace mien {

class RowSupply {
public:
    // A new frame. Without `rows` all of it is there.
    void begin(int height, const FrameRows& rows, FrameTimer& timer) noexcept {
        rows_ = rows;
        timer_ = &timer;
        height_ = height;
        first_ = height;
        last_ = 0;
        failed_ = false;
    }
    // Rows first to last - 1 will be read; beyond the frame there are none. False: they cannot be had.
    // The time that it takes is none of the frame's.
    bool need(int first, int last) noexcept {
        first = std::max(first, 0);
        last = std::min(last, height_);
        if (rows_.need == nullptr || first >= last || (first >= first_ && last <= last_))
            return !failed_;
        if (failed_) return false;
        // All that lie between two parts are there, too, as the rows of a JPEG come.
        first_ = std::min(first_, first);
        last_ = std::max(last_, last);
        const std::uint64_t before = timer_->now();
        failed_ = rows_.need(rows_.context, first_, last_) == 0;
        timer_->leave_out(timer_->now() - before);
        return !failed_;
    }
    bool need_all() noexcept { return need(0, height_); }
    // False: need() has nothing to do.
    [[nodiscard]] bool come_late() const noexcept { return rows_.need != nullptr; }
    [[nodiscard]] bool failed() const noexcept { return failed_; }

private:
    FrameRows rows_;
    FrameTimer* timer_ = nullptr;
    int height_ = 0, first_ = 0, last_ = 0;  // first_ to last_ - 1 are there
    bool failed_ = false;
};

}  // namespace mien
