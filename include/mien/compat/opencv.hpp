// SPDX-License-Identifier: MIT
// CascadeClassifier and FaceDetectorYN in the shape of OpenCV's, without OpenCV: for programs that
// called cv::CascadeClassifier, which OpenCV 5 no longer has. Header only, over mien/owned.hpp.
//
//   mien::cv::CascadeClassifier face("haarcascade_frontalface_default.xml");
//   std::vector<cv::Rect> faces;                        // or mien::Rect
//   face.detectMultiScale(image, faces, 1.3, 5);        // image: cv::Mat, or mien::cv::ImageView
//
// An image is anything with the members data, rows, cols and step and the functions channels() and
// depth() of cv::Mat: 8 bits, with one channel, BGR or BGRA. Rectangles, counts, levels and weights
// are those of OpenCV 4.14, in the order in which one thread of it finds them. Where OpenCV throws
// cv::Exception, these throw mien::cv::Exception. Calls on one object must not overlap.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mien/owned.hpp"

namespace mien::cv {

class Exception : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Converts from cv::Size.
struct Size {
    int width = 0, height = 0;
    constexpr Size() = default;
    constexpr Size(int w, int h) : width(w), height(h) {}
    template <class Other>
        requires requires(const Other& o) {
            static_cast<int>(o.width);
            static_cast<int>(o.height);
        }
    constexpr Size(const Other& o)
        : width(static_cast<int>(o.width)), height(static_cast<int>(o.height)) {}
};

// Pixels that somebody else owns, for programs without cv::Mat. `step`: bytes from row to row.
struct ImageView {
    const std::uint8_t* data = nullptr;
    int rows = 0, cols = 0;
    std::size_t step = 0;
    int channel_count = 1;
    [[nodiscard]] int channels() const { return channel_count; }
    [[nodiscard]] int depth() const { return 0; }  // CV_8U
};

enum : int {  // accepted and ignored, as by OpenCV 4
    CASCADE_DO_CANNY_PRUNING = 1,
    CASCADE_SCALE_IMAGE = 2,
    CASCADE_FIND_BIGGEST_OBJECT = 4,
    CASCADE_DO_ROUGH_SEARCH = 8
};

namespace detail {

template <class Image>
Frame frame_of(const Image& image) {
    if (image.depth() != 0) throw Exception("an image of another depth than CV_8U");
    Frame frame;
    switch (image.channels()) {
        case 1: frame.format = PixelFormat::gray8; break;
        case 3: frame.format = PixelFormat::bgr24; break;
        case 4: frame.format = PixelFormat::bgra32; break;
        default: throw Exception("an image of other than 1, 3 or 4 channels");
    }
    frame.data = image.data;
    frame.width = image.cols;
    frame.height = image.rows;
    frame.stride_bytes = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(image.step));
    return frame;
}

template <class Image>
bool is_empty(const Image& image) {
    return image.data == nullptr || image.rows <= 0 || image.cols <= 0;
}

}  // namespace detail

class CascadeClassifier {
public:
    CascadeClassifier() = default;
    explicit CascadeClassifier(const std::string& filename) { load(filename); }

    // False, and empty(), if the file cannot be opened; Exception for one that is damaged or has no
    // Haar features (LBP, HOG). OpenCV's XML, old and new, or a .mien file.
    bool load(const std::string& filename) {
        loaded_.reset();
        std::FILE* const file = std::fopen(filename.c_str(), "rb");
        if (file == nullptr) return false;
        std::fclose(file);
        auto loaded = std::make_shared<Loaded>();
        if (!loaded->cascade.load(filename)) throw Exception(loaded->cascade.error());
        loaded_ = std::move(loaded);
        return true;
    }
    [[nodiscard]] bool empty() const { return loaded_ == nullptr; }
    [[nodiscard]] Size getOriginalWindowSize() const {
        return {cascade().window_width(), cascade().window_height()};
    }
    [[nodiscard]] int getFeatureType() const { return static_cast<void>(cascade()), 0; }  // HAAR
    [[nodiscard]] bool isOldFormatCascade() const { return false; }

    template <class Image, class Box>
    void detectMultiScale(const Image& image, std::vector<Box>& objects, double scaleFactor = 1.1,
                          int minNeighbors = 3, int = 0, Size minSize = {}, Size maxSize = {}) {
        give(find(image, scaleFactor, minNeighbors, minSize, maxSize, false), objects);
    }
    // With the number of windows that each was made of.
    template <class Image, class Box>
    void detectMultiScale(const Image& image, std::vector<Box>& objects,
                          std::vector<int>& numDetections, double scaleFactor = 1.1,
                          int minNeighbors = 3, int = 0, Size minSize = {}, Size maxSize = {}) {
        const auto faces = find(image, scaleFactor, minNeighbors, minSize, maxSize, false);
        give(faces, objects);
        numDetections.clear();
        for (const Face& face : faces) numDetections.push_back(face.neighbors);
    }
    // With the stages that each passed (all of them) and the sum of the last one.
    template <class Image, class Box>
    void detectMultiScale(const Image& image, std::vector<Box>& objects,
                          std::vector<int>& rejectLevels, std::vector<double>& levelWeights,
                          double scaleFactor = 1.1, int minNeighbors = 3, int = 0,
                          Size minSize = {}, Size maxSize = {}, bool outputRejectLevels = false) {
        const auto faces =
            find(image, scaleFactor, minNeighbors, minSize, maxSize, outputRejectLevels);
        give(faces, objects);
        rejectLevels.clear();
        levelWeights.clear();
        if (!outputRejectLevels) return;
        for (const Face& face : faces) {
            rejectLevels.push_back(cascade().stage_count());
            levelWeights.push_back(face.stage_weight);
        }
    }

private:
    struct Loaded {
        OwnedCascade cascade;
        std::unique_ptr<OwnedEngine> engines[2];  // without and with weights
    };

    [[nodiscard]] const Cascade& cascade() const {
        if (empty()) throw Exception("!empty(): no cascade is loaded");
        return *loaded_->cascade.cascade();
    }
    template <class Image>
    std::span<const Face> find(const Image& image, double factor, int neighbors, Size low,
                               Size high, bool weights) {
        Weights view;
        view.cascade = &cascade();
        if (!(factor > 1)) throw Exception("scaleFactor > 1 is needed");
        if (factor < 1.001) throw Exception("mien needs a scaleFactor of 1.001 or more");
        if (detail::is_empty(image)) return {};
        const Frame frame = detail::frame_of(image);
        if (high.width == 0 || high.height == 0) high = {};
        if (high.width < 0 || high.height < 0) return {};
        DetectorOptions options;
        options.scale_factor = std::min(factor, 1e6);
        options.min_neighbors = std::max(neighbors, 0);
        options.min_size = std::max(low.width, 0);
        options.min_height = low.height > 0 ? low.height : -1;
        options.max_size = high.width;
        options.max_height = high.height;
        std::unique_ptr<OwnedEngine>& engine = loaded_->engines[weights ? 1 : 0];
        if (engine == nullptr) {
            Config config;
            config.stage_weights = weights;
            engine = std::make_unique<OwnedEngine>(view, config);
        }
        const auto faces = engine->detect(frame, bounds(frame), options);
        if (engine->status() != Status::ok) throw Exception(engine->error());
        return faces;
    }
    template <class Box>
    static void give(std::span<const Face> faces, std::vector<Box>& objects) {
        objects.clear();
        for (const Face& face : faces)
            objects.push_back(Box{face.box.x, face.box.y, face.box.width, face.box.height});
    }

    std::shared_ptr<Loaded> loaded_;  // copies share it, as OpenCV's do
};

// OpenCV's network detector with mien's detector, which is YuNet in int8.
class FaceDetectorYN {
public:
    using Row = std::array<float, 15>;

    // `model`: detector.mien, or another detector in a .mien file; `config` and what follows
    // `top_k` change nothing, and `nms_threshold` is the file's. Exception if it cannot be read.
    static std::shared_ptr<FaceDetectorYN> create(const std::string& model, const std::string&,
                                                  Size input_size, float score_threshold = 0.9f,
                                                  float nms_threshold = 0.3f, int top_k = 5000,
                                                  int = 0, int = 0) {
        return std::shared_ptr<FaceDetectorYN>(
            new FaceDetectorYN(model, input_size, score_threshold, nms_threshold, top_k));
    }
    void setInputSize(Size size) { size_ = size; }
    [[nodiscard]] Size getInputSize() const { return size_; }
    void setScoreThreshold(float score) { score_ = score; }
    [[nodiscard]] float getScoreThreshold() const { return score_; }
    void setNMSThreshold(float overlap) { overlap_ = overlap; }
    [[nodiscard]] float getNMSThreshold() const { return overlap_; }
    void setTopK(int count) { top_ = count; }
    [[nodiscard]] int getTopK() const { return top_; }

    // Per face, the best first: x, y, width, height, right eye, left eye, tip of the nose, right and
    // left corner of the mouth, score. 0 for an empty image, else 1.
    template <class Image>
    int detect(const Image& image, std::vector<Row>& faces) {
        faces.clear();
        if (detail::is_empty(image)) return 0;
        if (image.cols != size_.width || image.rows != size_.height)
            throw Exception(
                "Size does not match. Call setInputSize(size) if input size does not "
                "match the preset size");
        if (score_ > 1) return 1;
        const Frame frame = detail::frame_of(image);
        DetectorOptions options;
        options.min_score = std::max(score_, 1e-6f);
        for (const Face& face : engine_->detect(frame, bounds(frame), options)) {
            if (top_ > 0 && faces.size() == static_cast<std::size_t>(top_)) break;
            Row row = {static_cast<float>(face.box.x), static_cast<float>(face.box.y),
                       static_cast<float>(face.box.width), static_cast<float>(face.box.height)};
            for (std::size_t k = 0; k < face.landmarks.size() && k < 5; ++k) {
                row[4 + 2 * k] = face.landmarks[k].x;
                row[5 + 2 * k] = face.landmarks[k].y;
            }
            row[14] = face.score;
            faces.push_back(row);
        }
        if (engine_->status() != Status::ok) throw Exception(engine_->error());
        return 1;
    }
    // The same into a cv::Mat of floats, n x 15; released if there are none.
    template <class Image, class Mat>
        requires requires(Mat& m) {
            m.create(1, 15, 5);
            m.release();
            m.template ptr<float>(0);
        }
    int detect(const Image& image, Mat& faces) {
        std::vector<Row> rows;
        const int done = detect(image, rows);
        faces.release();
        if (rows.empty()) return done;
        faces.create(static_cast<int>(rows.size()), 15, 5);  // CV_32F
        for (std::size_t i = 0; i < rows.size(); ++i)
            std::memcpy(faces.template ptr<float>(static_cast<int>(i)), rows[i].data(),
                        sizeof(Row));
        return done;
    }

private:
    FaceDetectorYN(const std::string& model, Size size, float score, float overlap, int top)
        : size_(size), score_(score), overlap_(overlap), top_(top) {
        std::string error;
        if (!read_file(model, bytes_, error)) throw Exception(error);
        const Status status = Model::open(bytes_, model_);
        if (status != Status::ok) throw Exception(model + ": " + message(status));
        if (!model_.finds_faces()) throw Exception(model + ": is a network, but no face detector");
        Weights weights;
        weights.detector = &model_;
        engine_ = std::make_unique<OwnedEngine>(weights);
    }

    std::vector<std::uint8_t> bytes_;
    Model model_;
    std::unique_ptr<OwnedEngine> engine_;
    Size size_;
    float score_, overlap_;
    int top_;
};

}  // namespace mien::cv
