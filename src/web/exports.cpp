// SPDX-License-Identifier: MIT
// What a web page calls: one engine in one module's memory, by plain numbers (mien.js is the other
// side). All memory is taken here when weights are brought and when the engine is opened; frames
// take none, so memory does not grow while images are processed.
#include <cstddef>
#include <cstdint>

#include "mien/mien.h"
#include "mien/mien.hpp"

#define MIEN_EXPORT(name) extern "C" __attribute__((export_name(#name))) auto name

extern "C" std::uint8_t __heap_base;  // from the linker: everything from here on is free

namespace {

// A face as mien.js reads it, in 32-bit words: box, neighbors, score, landmarks, then the reading
// of each head. mien_web_face_words and the like say where things are, so that fields can be added.
struct WebFace {
    std::int32_t x, y, width, height, neighbors;
    float score;
    std::int32_t landmark_count;
    float landmarks[5][2];
    struct Reading {
        std::uint32_t count;
        const float* probabilities;
        std::int32_t unsure, has_value;
        float value, low, high;
    } readings[MIEN_MAX_HEADS];
};
constexpr std::size_t word = 4;

constexpr std::size_t page = 65536;

std::size_t top = 0;  // memory in use; 0: nothing taken yet
std::size_t after_weights = 0;
mien_weights weights;
mien_engine* engine = nullptr;
std::uint8_t* pixels = nullptr;
WebFace* faces = nullptr;  // [max_faces]
std::size_t face_count = 0;
char text[64];

// Null if the browser gives no more memory.
void* take(std::size_t bytes) {
    if (top == 0) top = reinterpret_cast<std::size_t>(&__heap_base);
    const std::size_t from = (top + 63) / 64 * 64, size = __builtin_wasm_memory_size(0) * page;
    if (bytes > SIZE_MAX - from - page) return nullptr;
    if (from + bytes > size &&
        __builtin_wasm_memory_grow(0, (from + bytes - size + page - 1) / page) == SIZE_MAX)
        return nullptr;
    top = from + bytes;
    return reinterpret_cast<void*>(from);  // NOLINT: addresses are numbers here
}

mien_frame frame(std::int32_t width, std::int32_t height, std::int32_t stride,
                 std::uint32_t format) {
    mien_frame f;
    mien_frame_init(&f);
    f.data = pixels;
    f.width = width;
    f.height = height;
    f.stride_bytes = stride;
    f.format = format;
    return f;
}

void copy_faces() {
    for (std::size_t i = 0; i < face_count; ++i) {
        mien_face face;
        if (mien_face_at(engine, i, &face) != MIEN_OK) continue;
        WebFace& out = faces[i];
        out = {face.x,
               face.y,
               face.width,
               face.height,
               face.neighbors,
               face.score,
               static_cast<std::int32_t>(face.landmark_count),
               {},
               {}};
        static_assert(sizeof out.landmarks == sizeof face.landmarks);
        __builtin_memcpy(out.landmarks, face.landmarks, sizeof out.landmarks);
        for (int h = 0; h < MIEN_MAX_HEADS; ++h) {
            mien_reading reading;
            if (mien_reading_at(engine, i, h, &reading) == MIEN_OK)
                out.readings[h] = {reading.count,     reading.probabilities, reading.unsure,
                                   reading.has_value, reading.value,         reading.low,
                                   reading.high};
        }
    }
}

}  // namespace

// Where to write a weights file, before the engine is opened: of the cascade (-1), the detector
// network (-2) or a head; null: no memory.
MIEN_EXPORT(mien_web_weights)(std::int32_t head, std::size_t bytes)->void* {
    if (head < -2 || head >= MIEN_MAX_HEADS || after_weights != 0) return nullptr;
    if (weights.struct_size == 0) mien_weights_init(&weights);
    void* const place = take(bytes);
    (head == -1   ? weights.cascade
     : head == -2 ? weights.detector
                  : weights.heads[head]) = {place, bytes};
    return place;
}

// A status; the memory of an engine opened before is used again. -1: the browser gives no more
// memory.
MIEN_EXPORT(mien_web_open)
(std::int32_t max_width, std::int32_t max_height, double scale_factor, std::int32_t min_neighbors,
 std::int32_t min_size, std::int32_t max_size, std::int32_t detect_width, std::int32_t max_faces,
 double min_score, std::int32_t enlarge_to, double min_confidence)
    ->std::int32_t {
    if (after_weights == 0) after_weights = top;
    top = after_weights;
    engine = nullptr;
    pixels = nullptr;
    faces = nullptr;
    face_count = 0;
    mien_config config;
    mien_config_init(&config);
    config.max_width = max_width;
    config.max_height = max_height;
    config.scale_factor = scale_factor;
    config.min_neighbors = min_neighbors;
    config.min_size = min_size;
    config.max_size = max_size;
    config.detect_width = detect_width;
    config.max_faces = max_faces;
    config.min_score = static_cast<float>(min_score);
    config.enlarge_to = enlarge_to;
    config.min_confidence = static_cast<float>(min_confidence);
    if (weights.struct_size == 0) mien_weights_init(&weights);
    const std::size_t bytes = mien_required_bytes(&config, &weights);
    if (bytes == 0) {
        std::byte nothing;
        mien_engine* none = nullptr;
        const int status = mien_create(&config, &weights, &nothing, 1, &none);
        return status == MIEN_OK || status == MIEN_TOO_SMALL ? MIEN_BAD_ARGUMENT : status;
    }
    void* const memory = take(bytes);
    pixels = static_cast<std::uint8_t*>(
        take(static_cast<std::size_t>(max_width) * static_cast<std::size_t>(max_height) * 4));
    faces = static_cast<WebFace*>(take(static_cast<std::size_t>(max_faces) * sizeof(WebFace)));
    if (memory == nullptr || pixels == nullptr || faces == nullptr) return -1;
    return mien_create(&config, &weights, memory, bytes, &engine);
}

// Where to write an image: four bytes for each of max_width x max_height pixels.
MIEN_EXPORT(mien_web_pixels)()->void* { return pixels; }

// 0: faces with their readings, 1: boxes only, 2: the image is a crop of one face. A status.
MIEN_EXPORT(mien_web_run)(std::int32_t what, std::int32_t width, std::int32_t height,
                          std::int32_t stride, std::uint32_t format)
    ->std::int32_t {
    const mien_frame view = frame(width, height, stride, format);
    face_count = 0;
    int status;
    if (what == 0) {
        status = mien_process(engine, &view, &face_count);
    } else if (what == 1) {
        status = mien_detect(engine, &view, nullptr, nullptr, &face_count);
    } else {
        status = mien_classify_crop(engine, &view);
        face_count = status == MIEN_OK ? 1 : 0;
    }
    if (status == MIEN_OK) copy_faces();
    return status;
}
MIEN_EXPORT(mien_web_face_words)()->std::size_t { return sizeof(WebFace) / word; }
MIEN_EXPORT(mien_web_reading_word)()->std::size_t { return offsetof(WebFace, readings) / word; }
MIEN_EXPORT(mien_web_reading_words)()->std::size_t { return sizeof(WebFace::Reading) / word; }
MIEN_EXPORT(mien_web_faces)()->const void* { return faces; }
MIEN_EXPORT(mien_web_count)()->std::size_t { return face_count; }

// Texts, ended by a zero byte; valid until the next of these calls.
MIEN_EXPORT(mien_web_label)(std::int32_t head, std::int32_t i)->const char* {
    mien_label(engine, head, i, text, sizeof text);
    return text;
}
MIEN_EXPORT(mien_web_unit)(std::int32_t head)->const char* {
    mien_unit(engine, head, text, sizeof text);
    return text;
}
MIEN_EXPORT(mien_web_head_name)(std::int32_t head)->const char* { return mien_head_name(head); }
MIEN_EXPORT(mien_web_message)(std::int32_t status)->const char* { return mien_message(status); }
MIEN_EXPORT(mien_web_version)()->const char* { return mien_version(); }
MIEN_EXPORT(mien_web_isa)()->const char* {
    return mien::isa_name(mien::resolve_isa(mien::Isa::best));
}
