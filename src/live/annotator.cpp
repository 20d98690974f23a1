// SPDX-License-Identifier: MIT
#include "live/annotator.h"

#include "host/codec/jpeg.h"
#include "host/draw/heatmap.h"
#include "host/quiet_thread.h"

namespace mien::live {
namespace {

constexpr int jpeg_quality = 80;

}  // namespace

Annotator::Annotator(const Settings& settings) : settings_(settings) {
    if (!settings.has_own_thread) return;
    thread_ = host::quiet_thread([this] { run(); });
}

Annotator::~Annotator() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void Annotator::draw() {
    Annotated& p = picture_;
    const host::Canvas canvas{p.pixels.data(), p.width, p.height, p.row_bytes()};
    for (const DrawnMap& drawn : p.maps) {
        const host::MapView map{drawn.values, drawn.size.width, drawn.size.height};
        host::draw_map(canvas, drawn.area, map, host::color_limit(map), true);
    }
    host::annotate(canvas, p.faces, *settings_.info, settings_.style, settings_.landmarks);
}

void Annotator::work(bool is_drawn) {
    if (!is_drawn) draw();
    Annotated& p = picture_;
    const Frame frame{p.pixels.data(), p.width, p.height, p.row_bytes(), PixelFormat::rgb24};
    const host::JpegSettings settings{.quality = jpeg_quality, .full_color = false, .fast = true};
    if (!host::encode_jpeg(frame, settings, p.jpeg)) p.jpeg.clear();
    if (p.to_feed && settings_.feed != nullptr && !p.jpeg.empty())
        settings_.feed->publish_picture({p.jpeg.begin(), p.jpeg.end()});
}

void Annotator::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return ordered_ || ended_; });
        if (!ordered_) return;
        const bool is_drawn = drawn_;
        lock.unlock();
        work(is_drawn);
        lock.lock();
        ordered_ = false;
        changed_.notify_all();
    }
}

void Annotator::begin(bool is_drawn) {
    begun_ = true;
    if (!thread_.joinable()) return work(is_drawn);
    {
        const std::lock_guard lock(mutex_);
        ordered_ = true;
        drawn_ = is_drawn;
    }
    changed_.notify_all();
}

bool Annotator::is_ready() {
    const std::lock_guard lock(mutex_);
    return !ordered_;
}

void Annotator::finish() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ordered_; });
    begun_ = false;
}

}  // namespace mien::live
