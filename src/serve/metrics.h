// SPDX-License-Identifier: MIT
// Load of the service and duration of its steps: counters in Prometheus' text format. No label
// comes from a client.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "host/results/report.h"
#include "live/feed.h"

namespace mien::serve {

// Values that are not counted but read on request.
struct Gauges {
    int connections = 0, in_flight = 0, waiting = 0, busy = 0, workers = 0;
    std::uint64_t body_bytes = 0;
};

class Metrics {
public:
    void request(const char* route, int status, double seconds);
    void image(const host::ImageReport& report);
    void queued(double seconds);
    void refused_connection();

    // `feed` is null without a camera.
    std::string text(const Gauges& gauges, const live::Feed* feed) const;

private:
    // Seconds; the last bucket is everything.
    static constexpr std::array<double, 14> bounds = {.0005, .001, .0025, .005, .01, .025, .05,
                                                      .1,    .25,  .5,    1,    2.5, 5,    10};
    struct Histogram {
        std::array<std::uint64_t, bounds.size() + 1> counts{};
        double sum = 0;
        void add(double seconds);
    };
    static void print(std::string& out, const char* name, const std::string& labels,
                      const Histogram& histogram);

    mutable std::mutex mutex_;
    std::map<std::pair<std::string, int>, std::uint64_t> requests_;  // route, status
    std::map<std::string, Histogram> durations_, steps_;
    std::uint64_t images_ = 0, faces_ = 0, refused_ = 0;
};

}  // namespace mien::serve
