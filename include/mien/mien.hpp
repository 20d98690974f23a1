// SPDX-License-Identifier: MIT
// mien: finds faces in a frame and reads their expression and gender.
//
// The whole public C++ API. Three values and two verbs:
//   Cascade, Model   read-only views of weights that the caller keeps alive (file mapping, flash,
//                    vector)
//   Engine           everything that changes; lives in memory that the caller gives
//   Engine::process  a frame in, faces out Engine::classify a frame and a box in, one face out
//
// Contract of every function here: no exception leaves it, nothing is printed, no file, clock or
// thread is touched. After Engine::create no heap is used. Coordinates are pixels, origin top left,
// x to the right, y down.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#if defined(__GNUC__)
#define MIEN_CPP_API __attribute__((visibility("default")))
#else
#define MIEN_CPP_API
#endif

namespace mien {

enum class Status : int {
    ok = 0,
    bad_argument,  // a size, stride, option or pointer that cannot be
    bad_file,      // weights cut short, altered, or inconsistent with themselves
    // a weights file of the other kind (network where a cascade is wanted, or the reverse)
    wrong_kind,
    unsupported,      // a newer format version, or a feature this build lacks
    too_small,        // the memory given is smaller than required_bytes()
    frame_too_large,  // the frame is larger than Config::max_width x max_height
    verify_failed,    // the engine does not reproduce the test vectors of the file
};

// Static text, never null, no trailing newline: "weights file is cut short or altered".
[[nodiscard]] MIEN_CPP_API const char* message(Status status) noexcept;

// Semantic version of the library, "0.1.0".
[[nodiscard]] MIEN_CPP_API const char* version() noexcept;

// The YUV formats are those of cameras: Y is the gray that is searched, as it is; a network that
// wants colour gets BT.601 with Y from 16 to 235. They mean what COLOR_YUV2GRAY_* and
// COLOR_YUV2RGB_* of OpenCV mean.
//   yuyv, uyvy   Y U Y V or U Y V Y: two pixels in four bytes; the width is even
//   nv12         a plane of Y, then at data + stride_bytes * height a plane of U V, one for two by
//                two pixels, with the same stride; width and height are even, the stride is
//                positive
enum class PixelFormat : std::uint8_t { gray8, rgb24, bgr24, rgba32, bgra32, yuyv, uyvy, nv12 };

// Of the first plane; 0 for what is no format.
[[nodiscard]] constexpr int bytes_per_pixel(PixelFormat format) noexcept {
    switch (format) {
        case PixelFormat::gray8:
        case PixelFormat::nv12: return 1;
        case PixelFormat::yuyv:
        case PixelFormat::uyvy: return 2;
        case PixelFormat::rgb24:
        case PixelFormat::bgr24: return 3;
        case PixelFormat::rgba32:
        case PixelFormat::bgra32: return 4;
    }
    return 0;
}

// A borrowed picture. Row y starts at data + y * stride_bytes; pixels of a row are packed.
struct Frame {
    const std::uint8_t* data = nullptr;
    int width = 0;
    int height = 0;
    std::ptrdiff_t stride_bytes = 0;
    PixelFormat format = PixelFormat::gray8;
};

struct Rect {
    int x = 0, y = 0, width = 0, height = 0;
    friend bool operator==(const Rect&, const Rect&) = default;
};

// Instruction set of the kernels. `best` takes the fastest that this processor has; every one gives
// the same bits. avx512 means F, BW, DQ, VL and VNNI; dotprod and i8mm are NEON with those
// extensions.
enum class Isa : std::uint8_t {
    best,
    scalar,
    sse41,
    avx2,
    avxvnni,
    avx512,
    neon,
    dotprod,
    i8mm,
    simd128
};
inline constexpr Isa all_isas[] = {Isa::scalar, Isa::sse41, Isa::avx2, Isa::avxvnni,
                                   // all but `best`, slowest first
                                   Isa::avx512, Isa::neon, Isa::dotprod, Isa::i8mm, Isa::simd128};

// The enumerator's own name: "best", "scalar", "sse41", ...
[[nodiscard]] MIEN_CPP_API const char* isa_name(Isa isa) noexcept;
// The instruction set that `wanted` becomes on this processor; Isa::scalar if it is not available.
[[nodiscard]] MIEN_CPP_API Isa resolve_isa(Isa wanted) noexcept;
[[nodiscard]] MIEN_CPP_API bool isa_available(Isa isa) noexcept;

// A Haar cascade (kind CASC). Owns nothing: `bytes` must outlive the view and every Engine made
// from it.
class MIEN_CPP_API Cascade {
public:
    // Validates everything (size, checksum, offsets, ranges); later use needs no checks. 8-byte
    // alignment is not needed.
    [[nodiscard]] static Status open(std::span<const std::uint8_t> bytes, Cascade& out) noexcept;

    [[nodiscard]] int window_width() const noexcept { return window_width_; }
    [[nodiscard]] int window_height() const noexcept { return window_height_; }
    [[nodiscard]] int stage_count() const noexcept { return stage_count_; }
    [[nodiscard]] int tree_count() const noexcept { return tree_count_; }
    [[nodiscard]] int node_count() const noexcept { return node_count_; }
    [[nodiscard]] int feature_count() const noexcept { return feature_count_; }
    [[nodiscard]] bool has_tilted() const noexcept { return has_tilted_; }
    // Provenance and licence, JSON text as the converter wrote it.
    [[nodiscard]] std::string_view meta() const noexcept { return meta_; }
    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }
    explicit operator bool() const noexcept { return stage_count_ > 0; }

private:
    friend struct CascadeAccess;
    std::span<const std::uint8_t> bytes_, stages_, trees_, nodes_, leaves_, features_, weights_;
    std::string_view meta_;
    int window_width_ = 0, window_height_ = 0;
    int stage_count_ = 0, tree_count_ = 0, node_count_ = 0, leaf_count_ = 0, feature_count_ = 0;
    // how many of each kind the detector's tables will hold: early stages, late stages
    int stump_kinds_[2][6] = {};
    int early_stages_ = 0, middle_stages_ = 0;
    bool has_tilted_ = false, stumps_only_ = false;
};

struct MapSize {
    int width = 0, height = 0;
    [[nodiscard]] std::size_t count() const noexcept {
        return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    }
};

// A classification network (kind NETW). Owns nothing, like Cascade.
class MIEN_CPP_API Model {
public:
    [[nodiscard]] static Status open(std::span<const std::uint8_t> bytes, Model& out) noexcept;

    [[nodiscard]] int input_width() const noexcept { return input_width_; }
    [[nodiscard]] int input_height() const noexcept { return input_height_; }
    [[nodiscard]] int input_channels() const noexcept { return input_channels_; }  // 1 gray, 3 RGB
    [[nodiscard]] int class_count() const noexcept { return class_count_; }
    // Empty when i is out of range.
    [[nodiscard]] std::string_view label(int i) const noexcept;
    [[nodiscard]] int layer_count() const noexcept { return layer_count_; }
    // The crop is the face box grown on each side by these fractions of its width and height.
    [[nodiscard]] float margin_x() const noexcept { return margin_x_; }
    [[nodiscard]] float margin_y() const noexcept { return margin_y_; }
    [[nodiscard]] int test_vector_count() const noexcept { return test_count_; }
    // Of Engine::class_map; 0 x 0 when the network does not end in a mean over positions.
    [[nodiscard]] MapSize class_map_size() const noexcept;
    // What of a frame the network sees of a face: the box with its margins, clamped.
    [[nodiscard]] Rect crop_of(const Rect& face, int frame_width, int frame_height) const noexcept;
    // Provenance, JSON text as the converter wrote it.
    [[nodiscard]] std::string_view meta() const noexcept { return meta_; }
    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }
    explicit operator bool() const noexcept { return layer_count_ > 0; }

private:
    friend struct ModelAccess;
    std::span<const std::uint8_t> bytes_, input_, layers_, weights_, biases_, scales_, names_,
        labels_, tests_;
    std::string_view meta_;
    int input_width_ = 0, input_height_ = 0, input_channels_ = 0, class_count_ = 0,
        layer_count_ = 0, test_count_ = 0;
    float input_scale_ = 0, input_offset_ = 0, input_quant_ = 0, margin_x_ = 0, margin_y_ = 0;
};

// Options of detectMultiScale, with its meaning. Defaults are those of the face_classification
// demos.
struct DetectorOptions {
    double scale_factor = 1.3;  // > 1; step from one window size to the next
    int min_neighbors = 5;      // 0: raw candidates, ungrouped
    int min_size = 0;           // smallest face, pixels of the frame; 0: the cascade's window
    int max_size = 0;           // largest face; 0: the frame
};

inline constexpr int max_frame_side = 1 << 15;

// Threads that the caller lends to the engine. The library starts none itself; mien/thread_pool.hpp
// has a small pool.
struct Executor {
    // Calls task(argument, i) once for every i in [0, count), on any threads, and returns when all
    // calls have returned.
    void (*run)(void* context, int count, void (*task)(void* argument, int index),
                void* argument) = nullptr;
    void* context = nullptr;
    int threads = 1;  // how many calls can run at the same time, 1..64
};

struct Config {
    DetectorOptions detector;
    // the largest frame that process() will be given; at most max_frame_side
    int max_width = 640;
    int max_height = 480;
    // > 0: a wider frame is shrunk to this width for detection only; crops keep full size
    int detect_width = 0;
    int max_faces = 256;         // further faces are dropped and counted in Engine::faces_dropped()
    int max_candidates = 16384;  // room for candidate windows of one frame
    Isa isa = Isa::best;
    bool class_maps = false;  // fill Face::emotion_map and gender_map
    // none: everything runs on the calling thread. Results do not depend on it
    Executor executor;
    std::uint64_t (*clock_ns)() = nullptr;  // for Engine::timings(); null: all zero
};

// `emotion` and `gender` hold one probability per class of the model, in the order of its labels;
// empty without model. They point into the engine and are valid until its next call.
struct Face {
    Rect box;           // from the detector, inside the frame
    int neighbors = 0;  // candidate windows merged into this box
    std::span<const float> emotion;
    std::span<const float> gender;
    // Class activation maps of the most probable class, with Config::class_maps: see
    // Engine::class_map. Empty without.
    std::span<const float> emotion_map;
    std::span<const float> gender_map;
};

// What the detector did in the last call.
struct DetectorStats {
    int levels = 0;            // of the pyramid
    std::int64_t windows = 0;  // positions, all levels
    int candidates = 0;        // windows that passed every stage
    // beyond Config::max_candidates: boxes may then differ from OpenCV's
    int candidates_dropped = 0;
};

// Nanoseconds of the last call, by Config::clock_ns.
struct Timings {
    std::uint64_t gray = 0, detect = 0, crop = 0, emotion = 0, gender = 0, total = 0;
};

enum class Head : std::uint8_t { emotion, gender };

// One per thread or stream; views (Cascade, Model) may be shared. Movable, not copyable; destroying
// it frees nothing, since the memory is the caller's.
class MIEN_CPP_API Engine {
public:
    Engine() noexcept = default;
    Engine(Engine&& other) noexcept : impl_(other.impl_) { other.impl_ = nullptr; }
    Engine& operator=(Engine&& other) noexcept {
        impl_ = other.impl_;
        other.impl_ = nullptr;
        return *this;
    }
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Bytes that create() needs for the same arguments; 0 when an argument is invalid. `cascade`
    // may be null (then only classify() works), as may either model.
    [[nodiscard]] static std::size_t required_bytes(const Config& config, const Cascade* cascade,
                                                    const Model* emotion,
                                                    const Model* gender) noexcept;
    // Builds the engine inside `memory` (any alignment), which must outlive it. The views must
    // outlive it too.
    [[nodiscard]] static Status create(const Config& config, const Cascade* cascade,
                                       const Model* emotion, const Model* gender,
                                       std::span<std::byte> memory, Engine& out) noexcept;

    // Faces of the frame in a fixed order (that of OpenCV's single-threaded detectMultiScale).
    [[nodiscard]] Status process(const Frame& frame, std::span<const Face>& faces) noexcept;
    // Boxes only, no networks; with the options of create(), or others for this call.
    [[nodiscard]] Status detect(const Frame& frame, std::span<const Face>& faces) noexcept;
    [[nodiscard]] Status detect(const Frame& frame, const DetectorOptions& options,
                                std::span<const Face>& faces) noexcept;
    // Reads the face in `box` (clamped to the frame; margins of each model are added).
    [[nodiscard]] Status classify(const Frame& frame, const Rect& box, Face& face) noexcept;
    // Reads the whole frame as one network input, without margins: for pictures that are face crops
    // already.
    [[nodiscard]] Status classify_crop(const Frame& crop, Face& face) noexcept;

    // The pixels that the network of `head` was given last: input_height x input_width x
    // input_channels, packed.
    [[nodiscard]] Frame last_crop(Head head) const noexcept;
    // Which places of the crop speak for a class, and which against it: the class activation map, a
    // few numbers line by line over the crop, whose mean is the class's logit. It is read out of
    // what the network left behind, so it costs microseconds. Of the face that was read last; `out`
    // has room for Model::class_map_size().count(). bad_argument: nothing was read, or there is no
    // map.
    [[nodiscard]] Status class_map(Head head, int class_index, std::span<float> out) const noexcept;
    [[nodiscard]] const Timings& timings() const noexcept;
    [[nodiscard]] const DetectorStats& detector_stats() const noexcept;
    [[nodiscard]] int faces_dropped() const noexcept;
    [[nodiscard]] Isa isa() const noexcept;
    explicit operator bool() const noexcept { return impl_ != nullptr; }

private:
    struct Impl;
    Impl* impl_ = nullptr;
};

// Replays the test vectors inside the file. `memory` as for Engine::create with only this model.
struct VerifyReport {
    int vectors = 0;            // replayed
    int failed_vector = -1;     // first vector that differs, or -1
    int failed_layer = -1;      // first layer of it that differs, or layer_count for the scores
    float max_float_error = 0;  // largest |probability - probability of the float original|
};
[[nodiscard]] MIEN_CPP_API std::size_t verify_required_bytes(const Model& model) noexcept;
[[nodiscard]] MIEN_CPP_API Status verify(const Model& model, Isa isa, std::span<std::byte> memory,
                                         VerifyReport& report) noexcept;

}  // namespace mien
