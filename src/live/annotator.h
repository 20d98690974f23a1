// SPDX-License-Identifier: MIT
// Draws the results of a frame on it and makes a JPEG of it, on a thread of its own where there is
// more than one processor: meanwhile the next frame is waited for, decoded and searched.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "host/draw/draw.h"
#include "host/files/file_io.h"
#include "host/results/report.h"
#include "live/feed.h"
#include "mien/mien.hpp"

namespace mien::live {

// A map of a face and where it lies.
struct DrawnMap {
    TurnedRect area;
    std::vector<float> values;
    MapSize size;
};

// All that drawing needs, so that the frame and its results may go.
struct Annotated {
    std::vector<std::uint8_t> pixels;  // packed RGB
    int width = 0, height = 0;
    std::vector<DrawnMap> maps;
    std::vector<host::FaceReport> faces;
    std::uint64_t time_ns = 0;
    bool to_feed = false;
    host::ByteVector jpeg;  // empty: it could not be made

    [[nodiscard]] std::ptrdiff_t row_bytes() const { return 3 * std::ptrdiff_t{width}; }
};

class Annotator {
public:
    struct Settings {
        const host::EngineInfo* info;
        host::Style style;
        bool landmarks;
        Feed* feed;           // takes pictures at once; may be null
        bool has_own_thread;  // else begin() does the work
    };
    explicit Annotator(const Settings& settings);
    ~Annotator();
    Annotator(const Annotator&) = delete;
    Annotator& operator=(const Annotator&) = delete;

    // The picture to be filled; after finish(), or before the first begin().
    [[nodiscard]] Annotated& picture() { return picture_; }
    void draw();
    // Draws, unless that is done, encodes and feeds.
    void begin(bool is_drawn = false);
    // From begin() to finish().
    [[nodiscard]] bool is_begun() const { return begun_; }
    // True when finish() would not wait.
    [[nodiscard]] bool is_ready();
    // Waits until the picture is complete.
    void finish();

private:
    void work(bool is_drawn);
    void run();

    Settings settings_;
    Annotated picture_;
    bool begun_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool ordered_ = false, drawn_ = false, ended_ = false;  // under the mutex
    std::thread thread_;
};

}  // namespace mien::live
