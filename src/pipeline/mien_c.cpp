// SPDX-License-Identifier: MIT
// The C interface: translates structs, adds nothing.
#include <algorithm>
#include <new>

#include "base/arena.h"
#include "mien/mien.h"
#include "mien/mien.hpp"

using mien::Status;

struct mien_engine {
    mien::Engine engine;
    mien::Model heads[2];
    mien_face* faces;  // [max_faces]
};

namespace {

// What a caller's arguments mean in C++; null files stay empty.
struct Arguments {
    mien::Config config;
    mien::Cascade cascade;
    mien::Model heads[2];

    [[nodiscard]] const mien::Cascade* cascade_or_null() const noexcept {
        return cascade ? &cascade : nullptr;
    }
    [[nodiscard]] const mien::Model* head_or_null(int i) const noexcept {
        return heads[i] ? &heads[i] : nullptr;
    }
};

std::span<const std::uint8_t> as_bytes(const void* data, std::size_t size) noexcept {
    return {static_cast<const std::uint8_t*>(data), size};
}

Status translate(const mien_config* config, const mien_weights* weights, Arguments& out) noexcept {
    if (config == nullptr || weights == nullptr || config->struct_size != sizeof(mien_config))
        return Status::bad_argument;
    out.config = {};
    out.config.detector = {config->scale_factor, config->min_neighbors, config->min_size,
                           config->max_size};
    out.config.max_width = config->max_width;
    out.config.max_height = config->max_height;
    out.config.detect_width = config->detect_width;
    out.config.max_faces = config->max_faces;
    out.config.max_candidates = config->max_candidates;
    out.config.executor = {config->run, config->run_context, config->threads};
    out.config.isa = static_cast<mien::Isa>(std::min(config->isa, 255u));
    if (weights->cascade != nullptr)
        if (const Status s = mien::Cascade::open(as_bytes(weights->cascade, weights->cascade_bytes),
                                                 out.cascade);
            s != Status::ok)
            return s;
    if (weights->emotion != nullptr)
        if (const Status s =
                mien::Model::open(as_bytes(weights->emotion, weights->emotion_bytes), out.heads[0]);
            s != Status::ok)
            return s;
    if (weights->gender != nullptr)
        if (const Status s =
                mien::Model::open(as_bytes(weights->gender, weights->gender_bytes), out.heads[1]);
            s != Status::ok)
            return s;
    return Status::ok;
}

// The handle and the C results come first in the caller's memory, the engine takes the rest.
struct Layout {
    mien_engine* handle;
    mien_face* faces;
    std::byte* rest;
    std::size_t rest_bytes;
};
Layout place(mien::Arena& arena, const Arguments& arguments) noexcept {
    Layout layout = {};
    layout.handle = arena.take<mien_engine>(1);
    layout.faces =
        arena.take<mien_face>(static_cast<std::size_t>(std::max(arguments.config.max_faces, 0)));
    layout.rest_bytes =
        mien::Engine::required_bytes(arguments.config, arguments.cascade_or_null(),
                                     arguments.head_or_null(0), arguments.head_or_null(1));
    layout.rest = arena.take<std::byte>(layout.rest_bytes);
    return layout;
}

bool translate(const mien_frame* frame, mien::Frame& out) noexcept {
    if (frame == nullptr || frame->format > MIEN_NV12) return false;
    out = {frame->data, frame->width, frame->height, frame->stride_bytes,
           static_cast<mien::PixelFormat>(frame->format)};
    return true;
}

mien_face translate(const mien::Face& face) noexcept {
    return {face.box.x,
            face.box.y,
            face.box.width,
            face.box.height,
            face.neighbors,
            static_cast<std::uint32_t>(face.emotion.size()),
            static_cast<std::uint32_t>(face.gender.size()),
            face.emotion.data(),
            face.gender.data()};
}

using FrameVerb = Status (mien::Engine::*)(const mien::Frame&,
                                           std::span<const mien::Face>&) noexcept;

int run(mien_engine* engine, const mien_frame* frame, const mien_face** faces, std::size_t* count,
        FrameVerb verb) noexcept {
    mien::Frame view;
    if (engine == nullptr || faces == nullptr || count == nullptr || !translate(frame, view))
        return MIEN_BAD_ARGUMENT;
    *faces = engine->faces;
    *count = 0;
    std::span<const mien::Face> found;
    const Status status = (engine->engine.*verb)(view, found);
    for (const mien::Face& face : found) engine->faces[(*count)++] = translate(face);
    return static_cast<int>(status);
}

}  // namespace

const char* mien_version(void) { return mien::version(); }

const char* mien_message(int status) { return mien::message(static_cast<Status>(status)); }

void mien_config_init(mien_config* config) {
    if (config == nullptr) return;
    const mien::Config defaults;
    *config = {sizeof(mien_config),
               0,
               defaults.detector.scale_factor,
               defaults.detector.min_neighbors,
               defaults.detector.min_size,
               defaults.detector.max_size,
               defaults.max_width,
               defaults.max_height,
               defaults.detect_width,
               defaults.max_faces,
               defaults.max_candidates,
               1,
               nullptr,
               nullptr};
}

size_t mien_required_bytes(const mien_config* config, const mien_weights* weights) {
    Arguments arguments;
    if (translate(config, weights, arguments) != Status::ok) return 0;
    mien::Arena arena;
    return place(arena, arguments).rest_bytes == 0 ? 0 : arena.required_bytes();
}

int mien_create(const mien_config* config, const mien_weights* weights, void* memory, size_t bytes,
                mien_engine** engine) {
    if (engine == nullptr) return MIEN_BAD_ARGUMENT;
    *engine = nullptr;
    Arguments arguments;
    if (const Status s = translate(config, weights, arguments); s != Status::ok)
        return static_cast<int>(s);
    if (memory == nullptr) return MIEN_BAD_ARGUMENT;
    mien::Arena arena(static_cast<std::byte*>(memory), bytes);
    const Layout layout = place(arena, arguments);
    if (layout.rest_bytes == 0) return MIEN_BAD_ARGUMENT;
    if (!arena.ok()) return MIEN_TOO_SMALL;
    auto* const handle = new (layout.handle) mien_engine{};
    handle->faces = layout.faces;
    for (int h = 0; h < 2; ++h) handle->heads[h] = arguments.heads[h];
    const Status status = mien::Engine::create(arguments.config, arguments.cascade_or_null(),
                                               arguments.head_or_null(0), arguments.head_or_null(1),
                                               {layout.rest, layout.rest_bytes}, handle->engine);
    if (status == Status::ok) *engine = handle;
    return static_cast<int>(status);
}

int mien_process(mien_engine* engine, const mien_frame* frame, const mien_face** faces,
                 size_t* count) {
    return run(engine, frame, faces, count, &mien::Engine::process);
}

int mien_detect(mien_engine* engine, const mien_frame* frame, const mien_face** faces,
                size_t* count) {
    return run(engine, frame, faces, count, &mien::Engine::detect);
}

int mien_classify(mien_engine* engine, const mien_frame* frame, int32_t x, int32_t y, int32_t width,
                  int32_t height, mien_face* face) {
    mien::Frame view;
    if (engine == nullptr || face == nullptr || !translate(frame, view)) return MIEN_BAD_ARGUMENT;
    mien::Face result;
    const Status status = engine->engine.classify(view, {x, y, width, height}, result);
    *face = translate(result);
    return static_cast<int>(status);
}

int mien_classify_crop(mien_engine* engine, const mien_frame* crop, mien_face* face) {
    mien::Frame view;
    if (engine == nullptr || face == nullptr || !translate(crop, view)) return MIEN_BAD_ARGUMENT;
    mien::Face result;
    const Status status = engine->engine.classify_crop(view, result);
    *face = translate(result);
    return static_cast<int>(status);
}

size_t mien_label(const mien_engine* engine, int head, int i, char* text, size_t bytes) {
    if (text != nullptr && bytes > 0) text[0] = 0;
    if (engine == nullptr || head < 0 || head > 1) return 0;
    const std::string_view label = engine->heads[head].label(i);
    if (text != nullptr && bytes > 0) {
        const std::size_t copied = std::min(label.size(), bytes - 1);
        std::copy_n(label.data(), copied, text);
        text[copied] = 0;
    }
    return label.size();
}
