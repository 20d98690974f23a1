// SPDX-License-Identifier: MIT
#include "live/statistics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mien::live {

void Histogram::add(double ms) {
    const double bucket = ms > smallest ? std::log(ms / smallest) / std::log(step) : 0;
    ++buckets_[static_cast<std::size_t>(
        std::clamp(bucket, 0.0, static_cast<double>(buckets_.size() - 1)))];
    ++count_;
    sum_ += ms;
    maximum_ = std::max(maximum_, ms);
}

double Histogram::at(double share) const {
    if (count_ == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(
        std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen >= std::max<std::uint64_t>(wanted, 1))
            return std::min(smallest * std::pow(step, static_cast<double>(i) + 0.5), maximum_);
    }
    return maximum_;
}

void Statistics::sample_memory() {
    memory.push_back({frames, resident_mib()});
    if (memory.size() <= 16) return;
    // Drops every other one; the first and the last stay.
    std::vector<MemorySample> kept;
    for (std::size_t i = 0; i < memory.size(); i += 2) kept.push_back(memory[i]);
    if (memory.size() % 2 == 0) kept.push_back(memory.back());
    memory = std::move(kept);
}

double resident_mib() {
    long total = 0, resident = 0;
    if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = 0;
        std::fclose(file);
    }
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double cpu_seconds_now() {
    struct rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace mien::live
