// SPDX-License-Identifier: MIT
// The time of one frame against the tracker's budget, by the engine's clock.
#pragma once

#include <cstdint>

#include "mien/tracker.hpp"

namespace mien {

class FrameTimer {
public:
    FrameTimer() noexcept = default;
    explicit FrameTimer(const TrackerConfig& config) noexcept
        : clock_ns_(config.engine.clock_ns), budget_ns_(config.budget_ns) {}

    // Work on a frame begins.
    void begin() noexcept {
        left_out_ns_ = 0;
        start_ = now();
    }
    // Without what is left out; 0 without a clock.
    [[nodiscard]] std::uint64_t now() const noexcept {
        return clock_ns_ != nullptr ? clock_ns_() - left_out_ns_ : 0;
    }
    // So much of the time so far was not the tracker's.
    void leave_out(std::uint64_t ns) noexcept { left_out_ns_ += ns; }
    [[nodiscard]] std::uint64_t left_out() const noexcept { return left_out_ns_; }
    [[nodiscard]] std::uint64_t start() const noexcept { return start_; }
    // True when work of that length would end beyond the budget.
    [[nodiscard]] bool over_budget(double more_ns) const noexcept {
        return budget_ns_ > 0 &&
               static_cast<double>(now() - start_) + more_ns > static_cast<double>(budget_ns_);
    }
    // Learns what one of `count` pieces of work, begun at `before`, costs: a mean that forgets.
    // Nothing without a clock or work.
    void learn(std::uint64_t before, std::int64_t count, double& ns_each) const noexcept {
        if (clock_ns_ == nullptr || count <= 0) return;
        const double measured = static_cast<double>(now() - before) / static_cast<double>(count);
        ns_each = ns_each > 0 ? 0.9 * ns_each + 0.1 * measured : measured;
    }

private:
    std::uint64_t (*clock_ns_)() = nullptr;
    std::uint64_t budget_ns_ = 0, start_ = 0, left_out_ns_ = 0;
};

}  // namespace mien
