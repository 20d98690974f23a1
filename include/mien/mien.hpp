// SPDX-License-Identifier: MIT
// mien: finds faces in a frame and reads their expression, gender and age.
//
// The C++ API of the core. It has three kinds of values and two verbs:
//   Cascade, Model    read-only views of weights; the caller keeps the bytes alive (mapped file,
//                     flash, vector)
//   Engine            everything that changes; lives in memory that the caller provides
//   Engine::process   takes a frame, returns its faces
//   Engine::classify  takes a frame and a box, returns one face
//
// Contract of every function here: it throws nothing, prints nothing, and touches no file, clock
// or thread. After Engine::create it uses no heap. Coordinates are pixels; the origin is the top
// left corner, x points right, y points down.
//
// mien/owned.hpp is the same with a heap: weights from files, memory that grows with the frame.
// Until version 1.0 a new minor version may change this interface; mien/mien.h (C) stays
// compatible.
#pragma once

#if !defined(_MSVC_LANG) && __cplusplus < 202002L
#error "mien needs C++20: compile with -std=c++20 (CMake: target_compile_features(... cxx_std_20))"
#endif

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "mien/version.h"

#if defined(__GNUC__)
#define MIEN_CPP_API __attribute__((visibility("default")))
#else
#define MIEN_CPP_API
#endif

namespace mien {

enum class [[nodiscard]] Status : int {
    ok = 0,
    bad_argument,     // an impossible size, stride, option or pointer
    bad_file,         // weights cut short, altered, or inconsistent with themselves
    wrong_kind,       // another kind of weights file than the one wanted
    unsupported,      // a newer format version, or a feature this build lacks
    too_small,        // the memory given is smaller than required_bytes()
    frame_too_large,  // the frame is larger than Config::max_width x max_height
    verify_failed,    // the engine does not reproduce the test vectors of the file
    too_costly,       // a network needs more operations or memory than its limit
    stopped,          // Config::stop asked to end the call
};

// Static text, never null, no trailing newline: "weights file is cut short or altered".
[[nodiscard]] MIEN_CPP_API const char* message(Status status) noexcept;

// Semantic version of the library, "0.1.0".
[[nodiscard]] MIEN_CPP_API const char* version() noexcept;

// The YUV formats are those of cameras. Their Y is used as gray unchanged; a network that wants
// color gets BT.601 with Y from 16 to 235, as COLOR_YUV2GRAY_* and COLOR_YUV2RGB_* of OpenCV do.
//   yuyv, uyvy   Y U Y V or U Y V Y: two pixels in four bytes; the width is even
//   nv12         a plane of Y, then at data + stride_bytes * height a plane of U V, one for two by
//                two pixels, with the same stride; width and height are even, the stride is
//                positive
enum class PixelFormat : std::uint8_t { gray8, rgb24, bgr24, rgba32, bgra32, yuyv, uyvy, nv12 };

// Bytes per pixel of the first plane; 0 for an invalid format.
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

// A borrowed image. Row y starts at data + y * stride_bytes; pixels of a row are packed.
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

struct Point {
    float x = 0, y = 0;
    friend bool operator==(const Point&, const Point&) = default;
};

// A rectangle of an image, turned about its middle, clockwise.
struct TurnedRect {
    Rect rect;  // before it is turned
    float degrees = 0;
};

// All of a frame, as a rectangle.
[[nodiscard]] constexpr Rect bounds(const Frame& frame) noexcept {
    return {0, 0, frame.width, frame.height};
}

// Instruction set of the kernels. `best` takes the fastest that this processor has; every one gives
// the same bits. avx512 means F, BW, DQ, VL and VNNI; dotprod and i8mm are NEON with those
// extensions; rvv is RISC-V's V, version 1.0. The numbers are fixed: mien.h has them too.
enum class Isa : std::uint8_t {
    best = 0,
    scalar = 1,
    sse41 = 2,
    avx2 = 3,
    avxvnni = 4,
    avx512 = 5,
    neon = 6,
    dotprod = 7,
    i8mm = 8,
    simd128 = 9,
    rvv = 10,
};
inline constexpr Isa all_isas[] = {Isa::scalar, Isa::sse41, Isa::avx2, Isa::avxvnni,
                                   // all but `best`, slowest first
                                   Isa::avx512, Isa::neon, Isa::dotprod, Isa::i8mm, Isa::simd128,
                                   Isa::rvv};

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
    static Status open(std::span<const std::uint8_t> bytes, Cascade& out) noexcept;

    [[nodiscard]] int window_width() const noexcept { return window_width_; }
    [[nodiscard]] int window_height() const noexcept { return window_height_; }
    [[nodiscard]] int stage_count() const noexcept { return stage_count_; }
    [[nodiscard]] int tree_count() const noexcept { return tree_count_; }
    [[nodiscard]] int node_count() const noexcept { return node_count_; }
    [[nodiscard]] int feature_count() const noexcept { return feature_count_; }
    [[nodiscard]] bool has_tilted() const noexcept { return has_tilted_; }
    // Provenance and license, JSON text as the converter wrote it.
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
    int table_counts_[2][6] = {};
    int early_stages_ = 0, middle_stages_ = 0;
    bool has_tilted_ = false, stumps_only_ = false, has_large_trees_ = false;
};

struct MapSize {
    int width = 0, height = 0;
    [[nodiscard]] std::size_t count() const noexcept {
        return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    }
};

// What a network answers with.
enum class Task : std::uint8_t {
    classify = 0,  // one score per class
    maps = 1,      // several outputs, each a map of numbers over the input (nn/network.h)
};

// A number that a network answers with, in Model::unit(): what it expects, and a range that holds
// the truth in four of five cases if its probabilities are right.
struct Quantity {
    float value = 0, low = 0, high = 0;
    friend bool operator==(const Quantity&, const Quantity&) = default;
};

// What a network takes. One whose input may have any size: of an input of about a million pixels.
struct NetworkCost {
    // Of one run: multiply-adds, and the values that pooling and other layers without weights read.
    std::uint64_t operations = 0;
    // Of the tensors that are needed at the same time.
    std::uint64_t bytes = 0;
};

// More than this is refused by default: 170 times the largest network of ours.
inline constexpr NetworkCost network_limit = {10'000'000'000, std::uint64_t{256} << 20};

// A network (kind NETW). Owns nothing, like Cascade.
class MIEN_CPP_API Model {
public:
    // Validates everything, as Cascade::open(). A small file can take hours to run: too_costly is
    // one that exceeds `times` times network_limit, > 0; then `out` is empty but for its cost().
    static Status open(std::span<const std::uint8_t> bytes, Model& out, double times = 1) noexcept;

    [[nodiscard]] Task task() const noexcept { return task_; }
    [[nodiscard]] int input_width() const noexcept { return input_width_; }
    [[nodiscard]] int input_height() const noexcept { return input_height_; }
    [[nodiscard]] int input_channels() const noexcept { return input_channels_; }  // 1 gray, 3 RGB
    // 0: the input has exactly the size above. Else its sides may be any multiple of this number,
    // chosen when the network is placed in memory.
    [[nodiscard]] int input_multiple() const noexcept { return input_multiple_; }
    // True for a network of maps that is a face detector (section FACE of the file).
    [[nodiscard]] bool finds_faces() const noexcept { return !face_.empty(); }
    // 0 unless task() is Task::classify.
    [[nodiscard]] int class_count() const noexcept { return class_count_; }
    // Empty when i is out of range.
    [[nodiscard]] std::string_view label(int i) const noexcept;
    // True when the classes are values of a quantity (section ANSW of the file), such as ages:
    // quantity() is the answer then, not the most probable class.
    [[nodiscard]] bool answers_quantity() const noexcept { return !values_.empty(); }
    // The unit of the quantity, UTF-8 of at most 8 bytes ("years"); empty without one.
    [[nodiscard]] std::string_view unit() const noexcept;
    // The value of class i, in unit(); ascends with i. Nothing without a quantity, or when i is out
    // of range.
    [[nodiscard]] std::optional<float> value(int i) const noexcept;
    // The quantity that `probabilities` mean, one per class, >= 0. With v the values, p the
    // probabilities, P their sum, and class i spread evenly over e[i]..e[i + 1], where e[i] is the
    // middle of v[i - 1] and v[i] and both ends mirror their neighbors (of values >= 0, at least 0):
    //   value      the sum of p[i] v[i] / P
    //   low, high  below them lies 0.1 P and 0.9 P; moved to `value` should it be outside
    // In double and in the order of the classes: the same bits everywhere. All zero without a
    // quantity, for another number of probabilities, or when P is not positive.
    [[nodiscard]] Quantity quantity(std::span<const float> probabilities) const noexcept;
    // An answer whose highest probability is below this is unsure, 0..1; 0: none is. What the file
    // says, or with Config::min_confidence what follows from it; 0 for scores that are no
    // probabilities and for quantities, which have a range.
    [[nodiscard]] float unsure_below(float min_confidence = -1) const noexcept;
    [[nodiscard]] int layer_count() const noexcept { return layer_count_; }
    [[nodiscard]] const NetworkCost& cost() const noexcept { return cost_; }
    // The crop is the face box grown on each side by these fractions of its width and height.
    [[nodiscard]] float margin_x() const noexcept { return margin_x_; }
    [[nodiscard]] float margin_y() const noexcept { return margin_y_; }
    [[nodiscard]] int test_vector_count() const noexcept { return test_count_; }
    // Size of Engine::class_map; 0 x 0 when the network does not end in a mean over positions.
    [[nodiscard]] MapSize class_map_size() const noexcept;
    // The part of a frame that the network sees of a face: the box with its margins, clamped.
    [[nodiscard]] Rect crop_of(const Rect& face, int frame_width, int frame_height) const noexcept;
    // The same of a face with the landmarks of `detector`: a square turned with the face, perhaps
    // reaching beyond the frame; rounded to pixels, unlike what the network is given. Without
    // landmarks or detector it is the box with its margins, not turned.
    [[nodiscard]] TurnedRect crop_of(const Rect& face, std::span<const Point> landmarks,
                                     const Model* detector, int frame_width,
                                     int frame_height) const noexcept;
    // Provenance, JSON text as the converter wrote it.
    [[nodiscard]] std::string_view meta() const noexcept { return meta_; }
    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }
    explicit operator bool() const noexcept { return layer_count_ > 0; }

private:
    friend struct ModelAccess;
    std::span<const std::uint8_t> bytes_, input_, layers_, weights_, biases_, scales_, names_,
        labels_, tests_, face_, values_;
    std::string_view meta_, unit_;
    Task task_ = Task::classify;
    bool input_unsigned_ = false;
    int input_multiple_ = 0;
    int input_width_ = 0, input_height_ = 0, input_channels_ = 0, class_count_ = 0,
        layer_count_ = 0, test_count_ = 0;
    float input_scale_ = 0, input_offset_ = 0, input_quant_ = 0, margin_x_ = 0, margin_y_ = 0,
          unsure_below_ = 0;
    NetworkCost cost_;
};

inline constexpr int max_heads = 8;

// A question that a network answers about a face. A head of an engine is any number below
// max_heads; these have a name.
enum class Head : std::uint8_t { emotion = 0, gender = 1, age = 2 };
inline constexpr Head named_heads[] = {Head::emotion, Head::gender, Head::age};

// The enumerator's own name: "emotion", "gender", "age"; "" for a head without one.
[[nodiscard]] MIEN_CPP_API const char* head_name(Head head) noexcept;

// What an engine works with: views that outlive it. Any may be null, and one of the detectors must
// be. Without both only classify() works; a head without network gives no reading.
struct Weights {
    const Cascade* cascade = nullptr;    // the Haar detector
    const Model* detector = nullptr;     // the other detector, a network that finds_faces()
    const Model* heads[max_heads] = {};  // by Head; task() is Task::classify
    // One more than the last head with a network.
    [[nodiscard]] int head_count() const noexcept {
        int count = max_heads;
        while (count > 0 && heads[count - 1] == nullptr) --count;
        return count;
    }
    [[nodiscard]] const Model* head(Head h) const noexcept {
        return static_cast<int>(h) < max_heads ? heads[static_cast<int>(h)] : nullptr;
    }
};

// Options of a search. For Haar they are those of detectMultiScale, with its meaning; defaults are
// those of the face_classification demos.
struct DetectorOptions {
    double scale_factor = 1.3;  // Haar: > 1; step from one window size to the next
    int min_neighbors = 5;      // Haar; 0: raw candidates, ungrouped
    // Smallest face, pixels of the frame; 0: the cascade's window, or no limit. Of the network's
    // boxes the longer side counts.
    int min_size = 0;
    int max_size = 0;  // largest face; 0: the frame
    // Network: 0 to 1; 0: the default in its file, and 0.1 less than that for gray frames.
    float min_score = 0;
    // Haar, where the limits of the height are others than those of the width, as minSize and
    // maxSize of OpenCV may have them; 0: they are not. Negative: no face is too low.
    int min_height = 0, max_height = 0;
};

inline constexpr int max_frame_side = 1 << 15;

// Threads that the caller lends to the engine. The library starts none itself; mien/thread_pool.hpp
// has a small pool.
struct Executor {
    // Calls task(argument, i) once for every i in [0, count), on any threads, and returns when all
    // calls have returned. A task never calls run() again. A search by the network is one call, in
    // which threads wait for each other after each layer, in a loop.
    void (*run)(void* context, int count, void (*task)(void* argument, int index),
                void* argument) = nullptr;
    void* context = nullptr;
    int threads = 1;  // how many calls can run at the same time, 1..64
};

// Ends a call before its time, for programs that know a deadline or a client that has gone.
struct Stop {
    // Nonzero: the call ends with Status::stopped and no faces. Asked before each layer of a network
    // and every few rows of windows, on each of the threads that work; it may take nanoseconds.
    int (*wanted)(void* context) = nullptr;
    void* context = nullptr;
    [[nodiscard]] bool operator()() const { return wanted != nullptr && wanted(context) != 0; }
};

struct Config {
    DetectorOptions detector;
    // The largest frame that will come; at most max_frame_side a side.
    int max_width = 640;
    int max_height = 480;
    // > 0: a wider frame is shrunk to this width for detection only; crops keep full size.
    int detect_width = 0;
    // Network, > 0: a frame whose longer side is shorter is enlarged to that side for detection, at
    // most twice and not beyond detect_width. Finds smaller faces; 640 is good for photos.
    int enlarge_to = 0;
    // Network: search the frame also turned by 90, 180 and 270 degrees, for cameras on their side
    // and people who lie. Takes four times as long; memory is that of a square frame.
    bool any_rotation = false;
    int max_faces = 256;  // further faces are dropped and counted in Engine::faces_dropped()
    int max_candidates =
        16384;  // room for candidates of one frame: windows, or cells of the network
    Isa isa = Isa::best;
    bool class_maps = false;     // fill Reading::map
    bool stage_weights = false;  // Haar: fill Face::stage_weight, 8 bytes per candidate
    // An answer whose highest probability is below this is unsure, 0..1: 0 none, < 0 as the file of
    // each network says. Quantities have a range instead.
    float min_confidence = -1;
    // None: everything runs on the calling thread. Results do not depend on it. Either detector
    // and the networks of the heads use it, these for up to 8 faces at once, each of which needs
    // memory: Engine::required_bytes().
    Executor executor;
    Stop stop;  // none: calls end by themselves; a Tracker, which has a budget, does not ask
    // For Engine::timings(), on any of the threads that work; null: all zero.
    std::uint64_t (*clock_ns)() = nullptr;
};

// The answer of one network. Spans point into the engine and are valid until its next call.
struct Reading {
    // One per class, in the order of the model's labels; empty without that network.
    std::span<const float> probabilities;
    // With Config::class_maps: the class activation map of the most probable class (see
    // Engine::class_map); else empty.
    std::span<const float> map;
    // No class is probable enough to name one (Config::min_confidence); never of a quantity.
    bool unsure = false;
    // Of a network that answers_quantity(): Model::quantity(probabilities). Else all zero.
    Quantity quantity;
};

struct Face {
    Rect box;           // from the detector, inside the frame
    int neighbors = 0;  // Haar: candidate windows merged into this box
    // By Head, as many as the engine has; empty after detect(). Valid until the engine's next call.
    std::span<const Reading> readings;
    // The reading of one head; an empty one where there is none.
    [[nodiscard]] Reading operator[](Head head) const noexcept {
        const auto h = static_cast<std::size_t>(head);
        return h < readings.size() ? readings[h] : Reading{};
    }
    float score = 0;  // network: 0 to 1
    // Network: the person's right eye, left eye, tip of the nose, right and left corner of the
    // mouth, in pixels of the frame, perhaps outside of it. Else empty. Valid like readings.
    std::span<const Point> landmarks;
    // Haar, with Config::stage_weights: the sum of the last stage for the best of the merged
    // windows, levelWeights of OpenCV's detectMultiScale3.
    double stage_weight = 0;
};

// What the detector did in the last call.
struct DetectorStats {
    int levels = 0;  // Haar: of the pyramid
    // Haar: positions, all levels. Network: pixels that it was given, all sizes, with padding.
    std::int64_t windows = 0;
    int candidates = 0;  // windows that passed every stage, or cells that reached min_score
    // Beyond Config::max_candidates: Haar's boxes may then differ from OpenCV's; the network leaves
    // out those of the lowest scores.
    int candidates_dropped = 0;
};

// Nanoseconds of the last call, by Config::clock_ns. With an executor `crop` and `heads` share out
// the time in which faces were read, as its threads spent theirs.
struct Timings {
    std::uint64_t gray = 0, detect = 0, crop = 0, total = 0;
    std::uint64_t heads[max_heads] = {};  // by Head
};

// One per thread or stream: calls on one engine must not overlap, different engines are
// independent. Views (Cascade, Model) may be shared. Movable, not copyable; destroying it frees
// nothing, since the memory is the caller's.
class MIEN_CPP_API Engine {
public:
    Engine() noexcept = default;
    Engine(Engine&& other) noexcept : impl_(other.impl_) { other.impl_ = nullptr; }
    Engine& operator=(Engine&& other) noexcept {
        Impl* const moved = other.impl_;
        other.impl_ = nullptr;
        impl_ = moved;
        return *this;
    }
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Bytes that create() needs for the same arguments; 0 when an argument is invalid.
    [[nodiscard]] static std::size_t required_bytes(const Config& config,
                                                    const Weights& weights) noexcept;
    // Builds the engine inside `memory` (any alignment). The memory and the views of `weights` must
    // outlive it. wrong_kind: a head whose task() is not Task::classify, or a detector that does not
    // find faces.
    static Status create(const Config& config, const Weights& weights, std::span<std::byte> memory,
                         Engine& out) noexcept;

    // Faces of the frame in a fixed order: Haar's is that of OpenCV's single-threaded
    // detectMultiScale, the network's is the score, best first. Where there are landmarks, a head
    // sees the face turned upright (docs/DETECTOR.md, "The crop").
    Status process(const Frame& frame, std::span<const Face>& faces) noexcept;
    // Boxes only, no networks, with the options of create().
    Status detect(const Frame& frame, std::span<const Face>& faces) noexcept;
    // The same with other options, inside `area`, which is clamped to the frame. The result is that
    // of a frame that holds nothing else; boxes are in pixels of `frame`. bad_argument: nothing is
    // left of `area`.
    Status detect(const Frame& frame, const Rect& area, const DetectorOptions& options,
                  std::span<const Face>& faces) noexcept;
    // Reads the face in `box` (clamped to the frame; margins of each model are added). Faces of an
    // earlier process() keep their boxes, but not their readings.
    Status classify(const Frame& frame, const Rect& box, Face& face) noexcept;
    // Reads a face that a detector network found before: its heads see the turned square of the
    // landmarks, as in process(). With no landmarks it is classify() of the box. bad_argument: other
    // than five of them, or an engine without that network.
    Status classify(const Frame& frame, const Rect& box, std::span<const Point> landmarks,
                    Face& face) noexcept;
    // Reads the whole frame as one network input, without margins: for images that are face crops
    // already.
    Status classify_crop(const Frame& crop, Face& face) noexcept;

    // The options of create().
    [[nodiscard]] DetectorOptions detector_options() const noexcept;
    // The network of a head; null without.
    [[nodiscard]] const Model* model(Head head) const noexcept;
    // The highest probability below which its answers are unsure: Config::min_confidence or
    // Model::unsure_below(); 0 of a quantity, and without a network.
    [[nodiscard]] float unsure_below(Head head) const noexcept;
    // The pixels that the network of `head` was given last: input_height x input_width x
    // input_channels, packed.
    [[nodiscard]] Frame last_crop(Head head) const noexcept;
    // Class activation map of the last face read: a small row-major grid over the crop
    // (Model::class_map_size()). Positive values support the class, negative ones oppose it; their
    // mean is the class's logit. Read from activations still in memory, so it takes microseconds.
    // bad_argument: nothing was read, or the network has no such map. too_small: `out` is.
    Status class_map(Head head, int class_index, std::span<float> out) const noexcept;
    [[nodiscard]] const Timings& timings() const noexcept;
    [[nodiscard]] const DetectorStats& detector_stats() const noexcept;
    [[nodiscard]] int faces_dropped() const noexcept;
    [[nodiscard]] Isa isa() const noexcept;
    explicit operator bool() const noexcept { return impl_ != nullptr; }

private:
    friend struct EngineAccess;
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
MIEN_CPP_API Status verify(const Model& model, Isa isa, std::span<std::byte> memory,
                           VerifyReport& report) noexcept;

}  // namespace mien
