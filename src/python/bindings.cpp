// SPDX-License-Identifier: MIT
// The module mien._engine: engines, trackers, decoding and drawing on NumPy arrays, with plain
// tuples as results. mien/*.py turns them into typed objects; users never see this module.
//
// Pixels are borrowed, never copied, whenever the pixels of a row lie side by side: any row stride,
// also a negative one, and channels in either order. Other views are packed first. The GIL is
// released while the engine works; an engine that is called by several threads at once works for
// each of them with memory of its own, on the same weights.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/crc32.h"
#include "host/codec/image_file.h"
#include "host/codec/jpeg.h"
#include "host/draw/draw.h"
#include "host/draw/heatmap.h"
#include "host/results/report.h"
#include "host/weights/engine_owner.h"
#include "mien/thread_pool.hpp"
#include "mien/tracker.hpp"
#ifdef MIEN_HAS_EXPLAIN
#include "explain/explain.h"
#endif

namespace nb = nanobind;
using namespace nb::literals;

namespace mien::python {
namespace {

// Become mien.WeightsError and mien.PictureError.
struct WeightsProblem : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct PictureProblem : std::runtime_error {
    using std::runtime_error::runtime_error;
};

using Array = nb::ndarray<nb::ro>;
using Bytes = nb::ndarray<std::uint8_t, nb::numpy>;

// ---- pixels ----

struct Pixels {
    Frame frame;
    std::vector<std::uint8_t> packed;  // only for views that the engine cannot walk
};

[[noreturn]] void refuse_shape(const Array& array, const char* wanted) {
    std::string shape;
    for (std::size_t i = 0; i < array.ndim(); ++i)
        shape += (i ? ", " : "") + std::to_string(array.shape(i));
    throw nb::value_error(("the array has shape (" + shape + "), not " + wanted).c_str());
}

int side(std::size_t pixels) {
    if (pixels == 0) throw nb::value_error("the image is empty");
    if (pixels > static_cast<std::size_t>(max_frame_side)) {
        throw nb::value_error(("an image may have " + std::to_string(max_frame_side) +
                               " pixels a side, not " + std::to_string(pixels))
                                  .c_str());
    }
    return static_cast<int>(pixels);
}

Pixels borrow(const Array& array, PixelFormat format) {
    if (array.dtype() != nb::dtype<std::uint8_t>())
        throw nb::type_error("pixels must be of type uint8 (0 to 255)");
    const std::size_t channels = static_cast<std::size_t>(bytes_per_pixel(format)),
                      dimensions = array.ndim();
    const bool flat = channels == 1 && dimensions == 2;
    if (!flat && (dimensions != 3 || array.shape(2) != channels)) {
        const std::string wanted =
            channels == 1 ? "(height, width)" : "(height, width, " + std::to_string(channels) + ")";
        refuse_shape(array, wanted.c_str());
    }
    Pixels pixels;
    Frame& frame = pixels.frame;
    frame.format = format;
    frame.width = side(array.shape(1));
    std::size_t rows = array.shape(0);
    if (format == PixelFormat::nv12) {
        if (rows % 3 != 0) refuse_shape(array, "(height * 3 / 2, width) of NV12");
        frame.height = side(rows / 3 * 2);
    } else {
        frame.height = side(rows);
    }
    frame.data = static_cast<const std::uint8_t*>(array.data());
    const std::size_t row_bytes = array.shape(1) * channels;
    const std::int64_t row = array.stride(0), column = array.stride(1),
                       channel = flat ? 1 : array.stride(2);
    const std::int64_t step = static_cast<std::int64_t>(channels);
    const bool rows_apart = rows == 1 || row >= static_cast<std::int64_t>(row_bytes) ||
                            -row >= static_cast<std::int64_t>(row_bytes);
    const bool side_by_side = rows_apart && (column == step || frame.width == 1) &&
                              (format != PixelFormat::nv12 || row > 0);
    frame.stride_bytes =
        rows == 1 ? static_cast<std::ptrdiff_t>(row_bytes) : static_cast<std::ptrdiff_t>(row);
    if (side_by_side && (channel == 1 || channels == 1)) return pixels;
    if (side_by_side && channel == -1 && channels == 3) {  // frame[:, :, ::-1]
        frame.data -= 2;
        frame.format = format == PixelFormat::rgb24 ? PixelFormat::bgr24 : PixelFormat::rgb24;
        return pixels;
    }
    pixels.packed.resize(rows * row_bytes);
    std::uint8_t* out = pixels.packed.data();
    for (std::size_t y = 0; y < rows; ++y) {
        for (std::size_t x = 0; x < array.shape(1); ++x) {
            const std::uint8_t* in = frame.data + static_cast<std::int64_t>(y) * row +
                                     static_cast<std::int64_t>(x) * column;
            for (std::size_t c = 0; c < channels; ++c)
                *out++ = in[static_cast<std::int64_t>(c) * channel];
        }
    }
    frame.data = pixels.packed.data();
    frame.stride_bytes = static_cast<std::ptrdiff_t>(row_bytes);
    return pixels;
}

// A new array that owns its pixels.
Bytes owned(std::unique_ptr<std::uint8_t[]> pixels, std::size_t height, std::size_t width,
            std::size_t channels) {
    std::uint8_t* data = pixels.release();
    nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<std::uint8_t*>(p); });
    const std::size_t shape[3] = {height, width, channels};
    return Bytes(data, channels == 1 ? 2 : 3, shape, owner);
}

// ---- results as tuples ----

nb::object probabilities_tuple(std::span<const float> values) {
    if (values.empty()) return nb::none();
    nb::object tuple = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
    for (std::size_t i = 0; i < values.size(); ++i) {
        PyTuple_SetItem(tuple.ptr(), static_cast<Py_ssize_t>(i),
                        PyFloat_FromDouble(static_cast<double>(values[i])));
    }
    return tuple;
}

// One object per head.
template <class Make>
nb::list by_head(Make make) {
    nb::list list;
    for (const Head head : named_heads) list.append(make(head));
    return list;
}

std::vector<Point> points_of(const std::vector<float>& numbers) {
    std::vector<Point> points;
    for (std::size_t k = 0; k + 1 < numbers.size(); k += 2)
        points.push_back({numbers[k], numbers[k + 1]});
    return points;
}

nb::object landmarks_tuple(std::span<const Point> landmarks) {
    nb::list points;
    for (const Point& p : landmarks)
        points.append(nb::make_tuple(static_cast<double>(p.x), static_cast<double>(p.y)));
    return nb::tuple(points);
}

// The pixels that a head was given.
struct Crop {
    std::unique_ptr<std::uint8_t[]> pixels;
    int width = 0, height = 0, channels = 0;

    explicit Crop(const Frame& seen)
        : width(seen.width), height(seen.height), channels(bytes_per_pixel(seen.format)) {
        const std::size_t row =
            static_cast<std::size_t>(width) * static_cast<std::size_t>(channels);
        pixels = std::make_unique<std::uint8_t[]>(row * static_cast<std::size_t>(height));
        for (int y = 0; y < height; ++y)
            std::copy_n(seen.data + y * seen.stride_bytes, row,
                        pixels.get() + static_cast<std::size_t>(y) * row);
    }
    // Leaves nothing here.
    Bytes array() {
        return owned(std::move(pixels), static_cast<std::size_t>(height),
                     static_cast<std::size_t>(width), static_cast<std::size_t>(channels));
    }
};

// (probabilities, unsure, value, low, high); the last three are None where there is no quantity.
nb::tuple answer_tuple(std::span<const float> probabilities, bool unsure, const Quantity& q,
                       bool is_quantity) {
    const auto number = [&](float v) {
        return is_quantity ? nb::object(nb::float_(static_cast<double>(v)))
                           : nb::object(nb::none());
    };
    return nb::make_tuple(probabilities_tuple(probabilities), unsure, number(q.value),
                          number(q.low), number(q.high));
}

nb::object reading_tuple(const host::Reading& reading, const host::HeadInfo& head) {
    if (!reading.known()) return nb::none();
    return answer_tuple(reading.probabilities, reading.unsure, reading.quantity, head.quantity);
}

// (width, height, dropped, (gray, detect, crop, times by head), [(x, y, w, h, neighbors, readings
// by head: answer_tuple or None, score, landmarks, crop or None)]). `crops`: one per face, or none.
nb::tuple report_tuple(const host::ImageReport& report, const host::EngineInfo& info,
                       std::vector<Crop> crops = {}) {
    nb::list faces;
    for (std::size_t i = 0; i < report.faces.size(); ++i) {
        const host::FaceReport& face = report.faces[i];
        faces.append(nb::make_tuple(
            face.box.x, face.box.y, face.box.width, face.box.height, face.neighbors,
            by_head([&](Head head) { return reading_tuple(face[head], info[head]); }),
            static_cast<double>(face.score), landmarks_tuple(face.landmarks),
            i < crops.size() ? nb::cast(crops[i].array()) : nb::object(nb::none())));
    }
    const host::StepTimes& t = report.times;
    return nb::make_tuple(
        report.width, report.height, report.faces_dropped,
        nb::make_tuple(t.gray, t.detect, t.crop, by_head([&](Head head) { return t.heads[head]; })),
        faces);
}

// ---- the engine ----

struct Options {
    // A path; empty: inside the module; none: off.
    std::optional<std::string> cascade, net;
    std::vector<std::optional<std::string>> networks;  // by head
    double scale_factor = 1.3;
    int min_neighbors = 5, min_size = 0, max_size = 0, detect_width = 0, threads = 1;
    std::string isa = "best";
    // Of the detector network.
    float min_score = 0;
    int enlarge_to = 0;
    bool any_rotation = false;
    host::FaceSelection selection;
    bool crops = false;  // faces of process() have their crops
    float min_confidence = -1;
    double network_limit = 1;
    bool stage_weights = false;  // search() gives them
};

Isa isa_of(const std::string& name) {
    if (name == "best") return Isa::best;
    for (const Isa isa : all_isas) {
        if (name != isa_name(isa)) continue;
        if (!isa_available(isa)) throw nb::value_error(("this processor has no " + name).c_str());
        return isa;
    }
    throw nb::value_error(("there is no instruction set called " + name).c_str());
}

const Model& model_of(const host::EngineOwner& owner, Head head) {
    const Model* model = owner.model(head);
    if (model == nullptr)
        throw nb::value_error(
            (std::string("the engine has no ") + head_name(head) + " network").c_str());
    return *model;
}

// After fork() the child has none of the pool's threads, and its end would wait for them for ever:
// there the pool is left alone.
struct EndInItsProcess {
    pid_t process = ::getpid();
    void operator()(ThreadPool* pool) const {
        if (::getpid() == process) delete pool;
    }
};

class SharedEngine {
public:
    explicit SharedEngine(const Options& options) : pool_(new ThreadPool(options.threads)) {
        if (options.threads < 1 || options.threads > 64)
            throw nb::value_error("threads must be 1 to 64");
        host::EngineSetup setup;
        const auto choose = [](const std::optional<std::string>& path,
                               host::WeightsChoice& choice) {
            choice.use = path.has_value();
            if (path) choice.path = *path;
        };
        choose(options.cascade, setup.cascade);
        choose(options.net, setup.detector);
        if (options.networks.size() != std::size(named_heads))
            throw nb::value_error("there is one network per head");
        for (const Head head : named_heads)
            choose(options.networks[static_cast<std::size_t>(head)], setup.heads[head]);
        setup.config.detector = {options.scale_factor, options.min_neighbors, options.min_size,
                                 options.max_size, options.min_score};
        setup.config.enlarge_to = options.enlarge_to;
        setup.config.any_rotation = options.any_rotation;
        setup.selection = options.selection;
        crops_ = options.crops;
        setup.config.detect_width = options.detect_width;
        setup.config.isa = isa_of(options.isa);
        setup.config.min_confidence = options.min_confidence;
        setup.config.stage_weights = options.stage_weights;
        setup.network_limit = options.network_limit;
        if (pool_->threads() > 1) setup.config.executor = pool_->executor();
        config_ = setup.config;
        auto owner = host::EngineOwner::create(setup);
        if (!owner) {
            const host::Error& error = owner.error();
            if (error.kind == host::Error::Kind::usage) throw nb::value_error(error.text.c_str());
            throw WeightsProblem(error.text);
        }
        root_ = std::move(*owner);
    }

    const host::EngineOwner& root() const { return *root_; }
    const Config& config() const { return config_; }

    // An engine that nobody else uses until the lease ends.
    class Lease {
    public:
        explicit Lease(SharedEngine& shared) : shared_(shared), engine_(shared.take()) {}
        ~Lease() { shared_.give_back(std::move(engine_)); }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        host::EngineOwner* operator->() { return engine_.get(); }

    private:
        SharedEngine& shared_;
        std::unique_ptr<host::EngineOwner> engine_;
    };

    template <class Work>
    nb::tuple run(const Array& array, PixelFormat format, Work work, bool with_crops = false) {
        const Pixels pixels = borrow(array, format);
        host::ImageReport report;
        host::Result<> done;
        std::vector<Crop> crops;
        {
            nb::gil_scoped_release release;
            Lease engine(*this);
            done = work(engine, pixels.frame, report);
            if (done && with_crops) done = cut(engine, pixels.frame, report, crops);
        }
        if (!done) throw PictureProblem(done.error().text);
        return report_tuple(report, root_->info(), std::move(crops));
    }
    [[nodiscard]] bool wants_crops() const { return crops_; }

    // Faces with options of this call: [(x, y, w, h, neighbors, stage weight, score, landmarks)].
    nb::list search(const Array& array, PixelFormat format, const DetectorOptions& options) {
        const Pixels pixels = borrow(array, format);
        host::ImageReport report;
        host::Result<> done;
        {
            nb::gil_scoped_release release;
            Lease engine(*this);
            done = engine->detect(pixels.frame, options, report);
        }
        if (!done) throw PictureProblem(done.error().text);
        nb::list found;
        for (const host::FaceReport& face : report.faces)
            found.append(nb::make_tuple(face.box.x, face.box.y, face.box.width, face.box.height,
                                        face.neighbors, face.stage_weight,
                                        static_cast<double>(face.score),
                                        landmarks_tuple(face.landmarks)));
        return found;
    }

    // What the first head that reads saw of each face; reading it again is the price.
    host::Result<> cut(Lease& engine, const Frame& frame, const host::ImageReport& report,
                       std::vector<Crop>& crops) {
        host::ImageReport again;
        for (const host::FaceReport& face : report.faces) {
            const host::Result<> done = engine->classify(frame, face.box, again, face.landmarks);
            if (!done) return done;
            for (const Head head : named_heads) {
                const Frame seen = engine->engine().last_crop(head);
                if (seen.data == nullptr) continue;
                crops.emplace_back(seen);
                break;
            }
        }
        return {};
    }

    // The input of the network of `head` for `box`, or for the whole image, and its answer.
    struct Seen {
        std::vector<std::uint8_t> pixels;
        std::vector<float> probabilities;
        TurnedRect crop;  // of the image
    };
    Seen look(const Array& array, PixelFormat format, const std::optional<Rect>& box, Head head,
              const std::vector<Point>& landmarks = {}) {
        const Pixels pixels = borrow(array, format);
        const Model& model = model_of(*root_, head);
        Seen out;
        host::ImageReport report;
        host::Result<> done;
        {
            nb::gil_scoped_release release;
            Lease engine(*this);
            done = box ? engine->classify(pixels.frame, *box, report, landmarks)
                       : engine->classify_crop(pixels.frame, report);
            if (done) {
                const Frame seen = engine->engine().last_crop(head);
                const std::ptrdiff_t bytes =
                    std::ptrdiff_t{seen.width} * bytes_per_pixel(seen.format);
                for (int y = 0; y < seen.height; ++y) {
                    const std::uint8_t* const row = seen.data + y * seen.stride_bytes;
                    out.pixels.insert(out.pixels.end(), row, row + bytes);
                }
            }
        }
        if (!done) throw PictureProblem(done.error().text);
        host::FaceReport& face = report.faces.at(0);
        out.probabilities = std::move(face[head].probabilities);
        out.crop = box ? model.crop_of(*box, landmarks, root_->detector(), pixels.frame.width,
                                       pixels.frame.height)
                       : TurnedRect{{0, 0, pixels.frame.width, pixels.frame.height}};
        return out;
    }

#ifdef MIEN_HAS_EXPLAIN
    // (map, class, probabilities, whether values below 0 speak against it, (x, y, width, height) of
    // the image that the map covers, degrees by which that is turned)
    nb::tuple explain(const Array& array, PixelFormat format, const std::optional<Rect>& box,
                      const std::vector<Point>& landmarks, Head head,
                      const std::string& method_name, int label, const std::string& layer) {
        explain::Method method;
        if (!explain::find_method(method_name, method))
            throw nb::value_error(
                ("there is no method of explanation called " + method_name).c_str());
        const Seen seen = look(array, format, box, head, landmarks);
        const Model& model = model_of(*root_, head);
        if (label >= model.class_count()) throw nb::value_error("there is no class of that number");
        if (label < 0) label = static_cast<int>(host::Reading{seen.probabilities}.best());
        explain::Heatmap map;
        int place = explain::usual_place;
        bool done = false;
        {
            nb::gil_scoped_release release;
            const std::lock_guard lock(explain_mutex_);
            std::unique_ptr<explain::Explainer>& explainer = explainers_[head];
            if (explainer == nullptr) explainer = std::make_unique<explain::Explainer>(model);
            if (!layer.empty()) place = explainer->place_of(layer);
            if (place != explain::no_place) {
                explainer->look(seen.pixels.data());
                done = explainer->explain(method, label, place, map);
            }
        }
        if (place == explain::no_place)
            throw nb::value_error(("the network has no layer called " + layer).c_str());
        if (!done)
            throw nb::value_error(("the network has no map for " + method_name +
                                   (layer.empty() ? "" : " at " + layer))
                                      .c_str());
        auto* values = new float[map.values.size()];
        std::memcpy(values, map.values.data(), map.values.size() * sizeof(float));
        nb::capsule owner(values, [](void* p) noexcept { delete[] static_cast<float*>(p); });
        const std::size_t shape[2] = {static_cast<std::size_t>(map.height),
                                      static_cast<std::size_t>(map.width)};
        return nb::make_tuple(nb::ndarray<float, nb::numpy>(values, 2, shape, owner), label,
                              probabilities_tuple(seen.probabilities), explain::is_signed(method),
                              nb::make_tuple(seen.crop.rect.x, seen.crop.rect.y,
                                             seen.crop.rect.width, seen.crop.rect.height),
                              seen.crop.degrees);
    }
#endif

private:
    std::unique_ptr<host::EngineOwner> take() {
        {
            const std::lock_guard lock(mutex_);
            if (!free_.empty()) {
                auto engine = std::move(free_.back());
                free_.pop_back();
                return engine;
            }
        }
        return root_->sharing_weights();
    }
    void give_back(std::unique_ptr<host::EngineOwner> engine) {
        const std::lock_guard lock(mutex_);
        free_.push_back(std::move(engine));
    }

    std::unique_ptr<ThreadPool, EndInItsProcess> pool_;
    Config config_;
    bool crops_ = false;
    std::unique_ptr<host::EngineOwner> root_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<host::EngineOwner>> free_;
#ifdef MIEN_HAS_EXPLAIN
    std::mutex explain_mutex_;
    host::PerHead<std::unique_ptr<explain::Explainer>> explainers_;
#endif
};

nb::object head_tuple(Head of, const host::EngineOwner& owner) {
    const Model* const model = owner.model(of);
    const host::HeadInfo& head = owner.info()[of];
    if (model == nullptr) return nb::none();
    nb::list labels;
    for (const std::string& label : head.labels)
        labels.append(nb::str(label.c_str(), label.size()));
    const auto text = [](const std::string& s) { return nb::str(s.c_str(), s.size()); };
    return nb::make_tuple(head.model_name, nb::tuple(labels), model->input_width(),
                          model->input_height(), model->input_channels(), text(head.unit),
                          head.quantity, text(host::head_title(of, head)));
}

// Identifies the weights: the checksums of their files.
std::string fingerprint_of(const host::EngineOwner& owner) {
    std::string text;
    const auto add = [&text](const auto* weights) {
        char digits[16];
        std::snprintf(digits, sizeof digits, "%s%08x", text.empty() ? "" : "-",
                      weights == nullptr ? 0u : static_cast<unsigned>(crc32(weights->bytes())));
        text += digits;
    };
    // An engine has one detector.
    if (owner.detector() != nullptr)
        add(owner.detector());
    else
        add(owner.cascade());
    for (const Head head : named_heads) add(owner.model(head));
    return text;
}

// ---- faces over time ----

class SharedTracker {
public:
    SharedTracker(std::shared_ptr<SharedEngine> engine, const TrackerConfig& config)
        : shared_(std::move(engine)), config_(config) {
        if (shared_->root().cascade() == nullptr && shared_->root().detector() == nullptr)
            throw nb::value_error("a tracker needs an engine with a detector");
        config_.engine = shared_->config();
        if (Tracker::required_bytes(config_, shared_->root().weights()) == 0) {
            throw nb::value_error("a tracker option is out of range");
        }
    }

    nb::tuple process(const Array& array, PixelFormat format, std::uint64_t time_ns) {
        const Pixels pixels = borrow(array, format);
        std::span<const TrackedFace> faces;
        Status status = Status::ok;
        std::unique_lock lock(mutex_, std::defer_lock);
        {
            nb::gil_scoped_release release;
            lock.lock();
            status = prepare(pixels.frame);
            if (status == Status::ok) status = tracker_.process(pixels.frame, time_ns, faces);
        }
        if (status != Status::ok) throw PictureProblem(message(status));
        nb::list list;
        for (const TrackedFace& face : faces) {
            last_id_ = std::max(last_id_, id_base_ + face.id);
            list.append(
                nb::make_tuple(id_base_ + face.id, face.box.x, face.box.y, face.box.width,
                               face.box.height, face.neighbors, face.missed, face.frames,
                               by_head([&](Head head) { return reading(head, face[head]); }),
                               static_cast<double>(face.score), landmarks_tuple(face.landmarks)));
        }
        return nb::make_tuple(pixels.frame.width, pixels.frame.height, tracker_.stats().full, list);
    }

    void reset() {
        const std::lock_guard lock(mutex_);
        tracker_.reset();
    }

private:
    nb::object reading(Head head, const TrackedReading& reading) const {
        if (reading.label < 0) return nb::none();
        const host::HeadInfo& info = shared_->root().info()[head];
        return nb::make_tuple(
            reading.label, probabilities_tuple(reading.smoothed),
            answer_tuple(reading.probabilities, reading.unsure, reading.quantity, info.quantity));
    }

    // Grows for larger frames; face numbers continue.
    Status prepare(const Frame& frame) {
        if (tracker_ && frame.width <= config_.engine.max_width &&
            frame.height <= config_.engine.max_height)
            return Status::ok;
        config_.engine.max_width =
            tracker_ ? std::max(config_.engine.max_width, frame.width) : frame.width;
        config_.engine.max_height =
            tracker_ ? std::max(config_.engine.max_height, frame.height) : frame.height;
        id_base_ = last_id_;
        tracker_ = Tracker();
        const host::EngineOwner& owner = shared_->root();
        memory_.assign(Tracker::required_bytes(config_, owner.weights()), std::byte{});
        return Tracker::create(config_, owner.weights(), memory_, tracker_);
    }

    std::shared_ptr<SharedEngine> shared_;
    TrackerConfig config_;
    std::mutex mutex_;
    std::vector<std::byte> memory_;
    Tracker tracker_;
    std::uint32_t id_base_ = 0, last_id_ = 0;
};

// ---- images ----

nb::tuple decode(const nb::bytes& bytes, std::uint64_t max_pixels) {
    const std::span<const std::uint8_t> span(reinterpret_cast<const std::uint8_t*>(bytes.c_str()),
                                             bytes.size());
    host::ImageLimits limits;
    if (max_pixels > 0) limits.max_pixels = max_pixels;
    std::optional<host::Result<host::DecodedImage>> decoded;
    {
        nb::gil_scoped_release release;
        decoded = host::decode_image(span, limits);
    }
    if (!*decoded) throw PictureProblem(decoded->error().text);
    host::Image& image = (*decoded)->image;
    std::uint8_t* data = image.pixels.release();
    nb::capsule owner(data, [](void* p) noexcept { std::free(p); });
    const std::size_t shape[3] = {static_cast<std::size_t>(image.height),
                                  static_cast<std::size_t>(image.width), 3};
    return nb::make_tuple(Bytes(data, 3, shape, owner), (*decoded)->note,
                          (*decoded)->damage != host::Damage::none);
}

nb::bytes encode(const Array& array, PixelFormat format, bool jpeg) {
    if (format != PixelFormat::gray8 && format != PixelFormat::rgb24)
        throw nb::value_error("only gray and rgb images are written");
    Pixels pixels = borrow(array, format);
    if (pixels.frame.format == PixelFormat::bgr24)
        throw nb::value_error("a reversed view: pass numpy.ascontiguousarray of it");
    std::optional<host::Result<host::ByteVector>> encoded;
    {
        nb::gil_scoped_release release;
        encoded = host::encode_image(pixels.frame,
                                     jpeg ? host::ImageFormat::jpeg : host::ImageFormat::png);
    }
    if (!*encoded) throw PictureProblem(encoded->error().text);
    return nb::bytes((*encoded)->data(), (*encoded)->size());
}

using Paper = nb::ndarray<std::uint8_t, nb::shape<-1, -1, 3>, nb::c_contig, nb::device::cpu>;

host::Canvas canvas_of(const Paper& paper) {
    return {paper.data(), side(paper.shape(1)), side(paper.shape(0)),
            static_cast<std::ptrdiff_t>(paper.stride(0))};
}

using FaceTuple = std::vector<int>;
// By head: probabilities (empty: not read), unsure, and the quantity or nothing.
using FaceReadings = std::vector<std::tuple<std::vector<float>, bool, std::vector<float>>>;

// Paints boxes and labels as `mien image --out` does: boxes [x, y, w, h], a line of text per head,
// landmarks [x, y, x, y, ..] per face if there are any.
void annotate(const Paper& paper, const SharedEngine& engine, const std::vector<FaceTuple>& boxes,
              const std::vector<FaceReadings>& readings, bool by_emotion,
              const std::vector<std::vector<float>>& landmarks) {
    if (boxes.size() != readings.size())
        throw nb::value_error("boxes and readings differ in number");
    const host::EngineInfo& info = engine.root().info();
    std::vector<host::FaceReport> faces;
    for (std::size_t i = 0; i < boxes.size(); ++i) {
        if (boxes[i].size() != 4) throw nb::value_error("a box has four numbers");
        host::FaceReport face;
        face.box = {boxes[i][0], boxes[i][1], boxes[i][2], boxes[i][3]};
        if (readings[i].size() != std::size(named_heads))
            throw nb::value_error("a face has one reading per head");
        for (const Head head : named_heads) {
            const auto& [probabilities, unsure, q] = readings[i][static_cast<std::size_t>(head)];
            face[head].probabilities = probabilities;
            face[head].unsure = unsure;
            if (q.size() == 3) face[head].quantity = {q[0], q[1], q[2]};
            if (face[head].known() && face[head].probabilities.size() != info[head].labels.size())
                throw nb::value_error("the readings are of another engine");
        }
        if (i < landmarks.size()) face.landmarks = points_of(landmarks[i]);
        faces.push_back(std::move(face));
    }
    const host::Canvas canvas = canvas_of(paper);
    nb::gil_scoped_release release;
    host::annotate(canvas, faces, info, by_emotion ? host::Style::emotion : host::Style::gender,
                   !landmarks.empty());
}

// Lays a map of values over a part of the image, in the colors of `mien explain`.
void draw_map(const Paper& paper, const FaceTuple& area, float degrees,
              const nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& values,
              bool is_signed) {
    if (area.size() != 4) throw nb::value_error("an area has four numbers: x, y, width, height");
    const host::MapView map = {
        {values.data(), values.size()}, side(values.shape(1)), side(values.shape(0))};
    const host::Canvas canvas = canvas_of(paper);
    nb::gil_scoped_release release;
    host::draw_map(canvas, {{area[0], area[1], area[2], area[3]}, degrees}, map,
                   host::color_limit(map), is_signed);
}

// ---- the module ----

constexpr auto format = [](int number) { return static_cast<PixelFormat>(number); };

std::optional<Rect> box_of(const std::optional<std::vector<int>>& box) {
    if (!box) return {};
    if (box->size() != 4) throw nb::value_error("a box has four numbers: x, y, width, height");
    return Rect{(*box)[0], (*box)[1], (*box)[2], (*box)[3]};
}

void define_facts(nb::module_& module) {
    module.doc() = "The engine, for mien/*.py. Nothing here is an interface to rely on.";
    module.attr("version") = MIEN_VERSION;
    module.attr("jpeg_library") = host::jpeg_library();
    nb::list endings;
    for (const std::string_view ending : host::image_endings())
        endings.append(nb::str(ending.data(), ending.size()));
    module.attr("image_formats") = nb::str(host::image_format_names().c_str());
    module.attr("image_endings") = nb::tuple(endings);
    module.attr("heads") = nb::tuple(by_head([](Head h) { return nb::str(head_name(h)); }));
    nb::exception<WeightsProblem>(module, "WeightsProblem");
    nb::exception<PictureProblem>(module, "PictureProblem");
#ifdef MIEN_HAS_EXPLAIN
    module.attr("has_explain") = true;
    nb::list methods;
    for (const auto method : explain::all_methods)
        methods.append(nb::str(explain::method_name(method)));
    module.attr("explain_methods") = nb::tuple(methods);
#else
    module.attr("has_explain") = false;
    module.attr("explain_methods") = nb::make_tuple();
#endif
}

void define_engine(nb::module_& module) {
    nb::class_<SharedEngine>(module, "Engine")
        .def(
            "__init__",
            [](SharedEngine* self, std::optional<std::string> cascade,
               std::vector<std::optional<std::string>> networks, double scale_factor,
               int min_neighbors, int min_size, int max_size, int detect_width, int threads,
               const std::string& isa, std::optional<std::string> net, float min_score,
               int enlarge_to, bool any_rotation, bool largest_first, int max_faces, bool crops,
               float min_confidence, double network_limit, bool stage_weights) {
                new (self) SharedEngine({std::move(cascade),
                                         std::move(net),
                                         std::move(networks),
                                         scale_factor,
                                         min_neighbors,
                                         min_size,
                                         max_size,
                                         detect_width,
                                         threads,
                                         isa,
                                         min_score,
                                         enlarge_to,
                                         any_rotation,
                                         {largest_first, max_faces},
                                         crops,
                                         min_confidence,
                                         network_limit,
                                         stage_weights});
            },
            "cascade"_a.none(), "networks"_a, "scale_factor"_a, "min_neighbors"_a, "min_size"_a,
            "max_size"_a, "detect_width"_a, "threads"_a, "isa"_a, "net"_a.none(), "min_score"_a,
            "enlarge_to"_a, "any_rotation"_a, "largest_first"_a, "max_faces"_a, "crops"_a,
            "min_confidence"_a, "network_limit"_a, "stage_weights"_a = false)
        .def("process",
             [](SharedEngine& self, const Array& array, int f) {
                 return self.run(
                     array, format(f),
                     [](SharedEngine::Lease& engine, const Frame& frame,
                        host::ImageReport& report) { return engine->process(frame, report); },
                     self.wants_crops());
             })
        .def("detect",
             [](SharedEngine& self, const Array& array, int f) {
                 return self.run(
                     array, format(f),
                     [](SharedEngine::Lease& engine, const Frame& frame,
                        host::ImageReport& report) { return engine->detect(frame, report); });
             })
        .def("search",
             [](SharedEngine& self, const Array& array, int f, double scale_factor,
                int min_neighbors, int min_width, int min_height, int max_width, int max_height,
                float min_score) {
                 return self.search(array, format(f),
                                    {scale_factor, min_neighbors, min_width, max_width, min_score,
                                     min_height, max_height});
             })
        .def("window",
             [](const SharedEngine& self) {  // of the cascade: width, height, stages
                 const Cascade* const cascade = self.root().cascade();
                 if (cascade == nullptr) throw nb::value_error("the engine has no cascade");
                 return nb::make_tuple(cascade->window_width(), cascade->window_height(),
                                       cascade->stage_count());
             })
        .def("classify",
             [](SharedEngine& self, const Array& array, int f, int x, int y, int width, int height,
                const std::vector<float>& landmarks) {
                 const std::vector<Point> points = points_of(landmarks);
                 return self.run(array, format(f),
                                 [&](SharedEngine::Lease& engine, const Frame& frame,
                                     host::ImageReport& report) {
                                     return engine->classify(frame, {x, y, width, height}, report,
                                                             points);
                                 });
             })
        .def("classify_crop",
             [](SharedEngine& self, const Array& array, int f) {
                 return self.run(array, format(f),
                                 [](SharedEngine::Lease& engine, const Frame& frame,
                                    host::ImageReport& report) {
                                     return engine->classify_crop(frame, report);
                                 });
             })
        .def(
            "network_input",
            [](SharedEngine& self, const Array& array, int f,
               const std::optional<std::vector<int>>& box, int head,
               const std::vector<float>& landmarks) {
                const auto which = static_cast<Head>(head);
                const std::vector<std::uint8_t> seen =
                    self.look(array, format(f), box_of(box), which, points_of(landmarks)).pixels;
                const Model& model = model_of(self.root(), which);
                auto pixels = std::make_unique<std::uint8_t[]>(seen.size());
                std::memcpy(pixels.get(), seen.data(), seen.size());
                return owned(std::move(pixels), static_cast<std::size_t>(model.input_height()),
                             static_cast<std::size_t>(model.input_width()),
                             static_cast<std::size_t>(model.input_channels()));
            },
            "array"_a, "format"_a, "box"_a.none(), "head"_a, "landmarks"_a)
#ifdef MIEN_HAS_EXPLAIN
        .def(
            "explain",
            [](SharedEngine& self, const Array& array, int f,
               const std::optional<std::vector<int>>& box, int head, const std::string& method,
               int label, const std::string& layer, const std::vector<float>& landmarks) {
                return self.explain(array, format(f), box_of(box), points_of(landmarks),
                                    static_cast<Head>(head), method, label, layer);
            },
            "array"_a, "format"_a, "box"_a.none(), "head"_a, "method"_a, "label"_a, "layer"_a,
            "landmarks"_a)
#endif
        .def("info", [](const SharedEngine& self) {
            const host::EngineOwner& owner = self.root();
            return nb::make_tuple(owner.info().cascade_name,
                                  by_head([&](Head head) { return head_tuple(head, owner); }),
                                  isa_name(resolve_isa(self.config().isa)), fingerprint_of(owner),
                                  owner.info().detector_name);
        });
}

void define_tracker(nb::module_& module) {
    nb::class_<SharedTracker>(module, "Tracker")
        .def("__init__",
             [](SharedTracker* self, std::shared_ptr<SharedEngine> engine, int smoothing,
                float average_weight, int max_tracks, int full_every, std::uint64_t cycle_ns,
                std::uint64_t lost_ns, int keep_neighbors) {
                 TrackerConfig config;
                 config.smoothing = static_cast<Smoothing>(smoothing);
                 config.average_weight = average_weight;
                 config.max_tracks = max_tracks;
                 config.full_every = full_every;
                 config.cycle_ns = cycle_ns;
                 config.lost_ns = lost_ns;
                 config.keep_neighbors = keep_neighbors;
                 new (self) SharedTracker(std::move(engine), config);
             })
        .def("process",
             [](SharedTracker& self, const Array& array, int f, std::uint64_t time_ns) {
                 return self.process(array, format(f), time_ns);
             })
        .def("reset", &SharedTracker::reset, nb::call_guard<nb::gil_scoped_release>());
}

void define_images(nb::module_& module) {
    module.def("decode", &decode);
    module.def("encode",
               [](const Array& array, int f, bool jpeg) { return encode(array, format(f), jpeg); });
    module.def("annotate", &annotate);
    module.def("draw_map", &draw_map);
    module.def("draw_text", [](const Paper& paper, int left, int top, const std::string& text,
                               float size, int r, int g, int b) {
        host::draw_text(canvas_of(paper), left, top, text, size,
                        {static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(g),
                         static_cast<std::uint8_t>(b)});
    });
    module.def("text_size", [](const std::string& text, float size) {
        const host::TextSize t = host::text_size(text, size);
        return nb::make_tuple(t.width, t.height);
    });
}

}  // namespace
}  // namespace mien::python

NB_MODULE(_engine, module) {
    mien::python::define_facts(module);
    mien::python::define_engine(module);
    mien::python::define_tracker(module);
    mien::python::define_images(module);
}
