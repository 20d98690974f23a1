// SPDX-License-Identifier: MIT
// Is OpenCV's XML read as OpenCV reads it, refused with its line, and does mien::cv answer as OpenCV?
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "host/codec/image_file.h"
#include "mien/cascade_xml.hpp"
#include "mien/compat/opencv.hpp"
#include "mien/mien.h"
#include "opencv/sha256.h"
#include "opencv/xml.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::test;

namespace {

std::span<const std::uint8_t> bytes_of_text(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string xml_with(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE_MESSAGE(at != std::string::npos, from);
    return text.replace(at, from.size(), to);
}

// A tree of two nodes, one feature tilted and one of three rectangles.
const std::string new_layout_xml = R"(<?xml version="1.0"?>
<!-- License
  of mine -->
<opencv_storage>
<cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType>
  <featureType>HAAR</featureType>
  <height>18</height>
  <width>20</width>
  <stages>
    <!-- stage 0 -->
    <_><maxWeakCount>1</maxWeakCount>
      <stageThreshold>-0.25</stageThreshold>
      <weakClassifiers>
        <_><internalNodes>1 0 0 1.5e-02 -1 -2 1 -.5</internalNodes>
          <leafValues>1. <!-- left --> -2. 3.25</leafValues></_></weakClassifiers></_></stages>
  <features>
    <_><rects><_>2 3 6 4 -1.</_><_>4 3 2 4 3.</_></rects></_>
    <_><rects><_>9 1 3 4 -1.</_><_>9 1 2 4 2.</_><_>9 1 1 1 0.</_></rects>
      <tilted>1</tilted></_></features></cascade>
</opencv_storage>
)";
const std::string old_layout_xml = R"(<opencv_storage>
<made_up type_id='opencv-haar-classifier'><size>20 18</size>
<stages><_><trees><_>
  <_><feature><rects><_>2 3 6 4 -1.</_><_>4 3 2 4 3.</_></rects><tilted>0</tilted></feature>
     <threshold>1.5e-02</threshold><left_node>1</left_node><right_val>1.</right_val></_>
  <_><feature><rects><_>9 1 3 4 -1.</_><_>9 1 2 4 2.</_></rects><tilted>1</tilted></feature>
     <threshold>-.5</threshold><left_val>-2.</left_val><right_val>3.25</right_val></_>
</_></trees><stage_threshold>-0.25</stage_threshold><parent>-1</parent><next>-1</next></_></stages>
</made_up></opencv_storage>)";

// Of a file that must be taken, without what its provenance says.
std::vector<std::uint8_t> cascade_part(const std::string& text) {
    std::string error;
    std::vector<std::uint8_t> file = cascade_of_xml(bytes_of_text(text), "made.xml", error);
    REQUIRE_MESSAGE(!file.empty(), error);
    Cascade cascade;
    REQUIRE(Cascade::open(file, cascade) == Status::ok);
    const auto meta = cascade.meta();
    const auto begin =
        static_cast<std::size_t>(reinterpret_cast<const std::uint8_t*>(meta.data()) - file.data());
    // From behind the table, which has the size of the provenance.
    return {file.begin() + 160, file.begin() + static_cast<std::ptrdiff_t>(begin)};
}

std::string xml_refusal(const std::string& text) {
    std::string error;
    CHECK(cascade_of_xml(bytes_of_text(text), "made.xml", error).empty());
    return error;
}

}  // namespace

TEST_CASE("cascade XML: both layouts give the same cascade") {
    CHECK(cascade_part(new_layout_xml) == cascade_part(old_layout_xml));
    std::string error;
    const auto file = cascade_of_xml(bytes_of_text(new_layout_xml), "folder/made.up.xml", error);
    Cascade cascade;
    REQUIRE(Cascade::open(file, cascade) == Status::ok);
    CHECK(cascade.window_width() == 20);
    CHECK(cascade.window_height() == 18);
    CHECK(cascade.stage_count() == 1);
    CHECK(cascade.node_count() == 2);
    CHECK(cascade.has_tilted());
    const std::string sha = opencv::sha256(bytes_of_text(new_layout_xml));
    CHECK(
        cascade.meta() ==
        "{\n \"name\": \"made.up\",\n \"source\": {\n  \"file\": \"made.up.xml\",\n  \"sha256\": "
        "\"" +
            sha +
            "\"\n },\n \"converter\": \"mien convert_cascade 1.0\",\n \"stages\": 1,\n \"trees\": "
            "1,\n \"nodes\": 2,\n \"licence_text\": \" License\\n  of mine \"\n}");
}

TEST_CASE("cascade XML: tolerant of what makes no difference") {
    const auto same = cascade_part(new_layout_xml);
    CHECK(cascade_part("\xef\xbb\xbf" + new_layout_xml) == same);
    std::string windows;
    for (const char c : new_layout_xml) {
        if (c == '\n') windows += '\r';
        windows += c;
    }
    CHECK(cascade_part(windows) == same);
    CHECK(cascade_part(xml_with(new_layout_xml, " type_id=\"opencv-cascade-classifier\"", "")) ==
          same);
    CHECK(cascade_part(xml_with(new_layout_xml, "<stages>", "<later what=\"a > b\"/><stages>")) ==
          same);
    // The children of stumps do not matter, and a third rectangle of weight 0 is left out.
    const std::string stump =
        xml_with(xml_with(new_layout_xml, "1 0 0 1.5e-02 -1 -2 1 -.5", "0 -1 1 -.5"),
                 "1. <!-- left --> ", "");
    CHECK(cascade_part(stump) == cascade_part(xml_with(stump, "0 -1 1", "0 0 1")));
    CHECK(cascade_part(new_layout_xml) ==
          cascade_part(xml_with(new_layout_xml, "<_>9 1 1 1 0.</_>", "")));
    // A child before its parent is put behind it.
    const std::string three = xml_with(
        xml_with(new_layout_xml, "1 0 0 1.5e-02 -1 -2 1 -.5", "2 0 0 .5 -2 -3 0 .25 1 -1 1 .75"),
        "3.25", "3.25 4.");
    CHECK(cascade_part(three) == cascade_part(xml_with(three, "2 0 0 .5 -2 -3 0 .25 1 -1 1 .75",
                                                       "1 0 0 .5 2 -1 1 .75 -2 -3 0 .25")));
}

TEST_CASE("cascade XML: refused with line and reason") {
    const auto refused = [&](const std::string& from, const std::string& to) {
        return xml_refusal(xml_with(new_layout_xml, from, to));
    };
    CHECK(refused("HAAR", "LBP") ==
          "line 6: is a cascade of LBP features; mien reads those of Haar features");
    CHECK(refused(">HAAR<", "> HOG <") ==
          "line 6: is a cascade of HOG features; mien reads those of Haar features");
    CHECK(refused("BOOST", "OTHER") == "line 5: the cascade's stageType is not BOOST");
    CHECK(refused("<height>18</height>", "") == "line 5: <height> is missing in <cascade>");
    CHECK(refused("<height>18", "<height>18 1") == "line 7: <height> is not one number");
    CHECK(refused("<height>18", "<height>300") ==
          "line 5: a window of 20 x 300, 4 x 4 to 255 x 255 are possible");
    CHECK(refused("2 3 6 4", "2 3 19 4") == "line 17: a rectangle that leaves the window");
    CHECK(refused("9 1 3 4", "3 1 3 4") == "line 18: a rectangle that leaves the window");
    CHECK(refused("2 3 6 4", "2.5 3 6 4") == "line 17: a number of a rectangle is not an integer");
    CHECK(refused("2 3 6 4 -1.", "2 3 6 4") ==
          "line 17: a rectangle is not x y width height weight");
    CHECK(refused("3.25", "3.25x") == "line 15: <leafValues> holds something that is not a number");
    CHECK(refused("3.25", "1e39") == "line 15: <leafValues> holds a number that is not finite");
    CHECK(refused("3.25", "") == "line 14: a tree of 2 nodes and 2 leaves");
    CHECK(refused("1 0 0", "1 0 7") == "line 14: a node of feature 7, there are 2");
    CHECK(refused("1 0 0", "1 0 0 1") == "line 14: <internalNodes> are not four numbers a node");
    CHECK(refused("-1 -2 1 -.5", "1 -2 1 -.5") ==
          "line 14: a tree whose nodes form a loop or name nodes that are not there");
    CHECK(refused("1 0 0", "9 0 0") ==
          "line 14: a tree whose nodes form a loop or name nodes that are not there");
    CHECK(refused("<opencv_storage>", "<!DOCTYPE a><opencv_storage>") ==
          "line 4: a DOCTYPE, entities and CDATA are not accepted");
    CHECK(refused("<opencv_storage>", "<storage>") ==
          "line 20: not XML: </opencv_storage> where <storage> is open");
    CHECK(refused("<stages>", "<stages a=\"b>").starts_with("line 9: not XML: the tag <stages>"));
    CHECK(xml_refusal(new_layout_xml.substr(0, new_layout_xml.find("</features>")))
              .find("cut short: <") != std::string::npos);
    CHECK(xml_refusal(new_layout_xml + "<more/>") == "line 21: not XML: two roots");
    CHECK(xml_refusal(new_layout_xml + "more") == "line 20: not XML: text outside of the elements");
    CHECK(xml_refusal("<opencv_storage><a>1</a></opencv_storage>") ==
          "line 1: not an OpenCV cascade");
    CHECK(xml_refusal("<html></html>") == "line 1: not an OpenCV cascade");
    CHECK(xml_refusal("") == "line 1: not XML: no element");
    CHECK(xml_refusal(std::string("<a>\0</a>", 8)) == "line 1: a zero byte");
    std::string deep;
    for (int i = 0; i < 1000; ++i) deep += "<a>";
    CHECK(xml_refusal(deep) == "line 1: elements are nested too deeply");
    std::string wide = "<a>";
    for (std::size_t i = 0; i <= opencv::XmlDocument::max_elements; ++i) wide += "<b/>";
    CHECK(xml_refusal(wide + "</a>") == "line 1: too many elements");
}

TEST_CASE("cascade XML in C") {
    std::size_t needed = 0;
    char error[40] = "x";
    const auto call = [&](const std::string& text, void* file, std::size_t bytes) {
        return mien_cascade_of_xml(text.data(), text.size(), "made.xml", file, bytes, &needed,
                                   error, sizeof error);
    };
    CHECK(call(new_layout_xml, nullptr, 0) == MIEN_OK);
    CHECK(std::string(error).empty());
    std::vector<std::uint8_t> file(needed);
    CHECK(call(new_layout_xml, file.data(), needed - 1) == MIEN_TOO_SMALL);
    CHECK(call(new_layout_xml, file.data(), needed) == MIEN_OK);
    std::string cause;
    CHECK(file == cascade_of_xml(bytes_of_text(new_layout_xml), "made.xml", cause));
    CHECK(call("<html></html>", nullptr, 0) == MIEN_BAD_FILE);
    CHECK(std::string(error) == "line 1: not an OpenCV cascade");
    CHECK(mien_cascade_of_xml(nullptr, 0, nullptr, nullptr, 0, nullptr, nullptr, 0) ==
          MIEN_BAD_ARGUMENT);
}

TEST_CASE("SHA-256") {  // FIPS 180-4's examples, and lengths about a block
    CHECK(opencv::sha256({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(opencv::sha256(bytes_of_text("abc")) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(
        opencv::sha256(bytes_of_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(opencv::sha256(bytes_of_text(std::string(1000, 'a'))) ==
          "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

// ---- mien::cv ----

namespace {

// What cv::Mat has of what the header uses; another type than ImageView, so that it is no accident.
struct LikeMat {
    struct Step {
        std::size_t bytes;
        operator std::size_t() const { return bytes; }
    };
    std::uint8_t* data = nullptr;
    int rows = 0, cols = 0;
    Step step{0};
    int channel_count = 1, kind = 0;
    std::vector<float> floats;
    [[nodiscard]] int channels() const { return channel_count; }
    [[nodiscard]] int depth() const { return kind; }
    void create(int r, int c, int type) {
        REQUIRE(type == 5);
        rows = r;
        cols = c;
        floats.assign(static_cast<std::size_t>(r * c), 0.0f);
    }
    void release() { rows = cols = 0; }
    template <class T>
    T* ptr(int row) {
        return floats.data() + row * cols;
    }
};
struct LikeSize {
    int width, height;
};
struct LikeRect {
    int x, y, width, height;
    friend bool operator==(const LikeRect&, const LikeRect&) = default;
};

// The photo as BGR, with bytes between the rows.
struct BgrPhoto {
    std::vector<std::uint8_t> pixels;
    LikeMat mat;
    explicit BgrPhoto(const char* name) {
        const auto decoded = host::decode_image(read_file(data_path(name)));
        REQUIRE(decoded);
        const Frame rgb = decoded->image.frame();
        const std::size_t step = static_cast<std::size_t>(rgb.width) * 3 + 7;
        pixels.resize(step * static_cast<std::size_t>(rgb.height));
        for (int y = 0; y < rgb.height; ++y)
            for (int x = 0; x < rgb.width * 3; ++x)
                pixels[static_cast<std::size_t>(y) * step + static_cast<std::size_t>(x)] =
                    rgb.data[y * rgb.stride_bytes + x / 3 * 3 + 2 - x % 3];
        mat.data = pixels.data();
        mat.rows = rgb.height;
        mat.cols = rgb.width;
        mat.step.bytes = step;
        mat.channel_count = 3;
    }
};

}  // namespace

// The numbers are those of OpenCV 4.14.0 in Python, cv2.setNumThreads(1),
// CascadeClassifier("haarcascade_frontalface_default.xml").detectMultiScale3(
//     cv2.imread("astronaut_320.png"), *arguments, outputRejectLevels=True)
TEST_CASE("mien::cv: OpenCV's rectangles, levels and weights") {
    const BgrPhoto photo("photos/astronaut_320.png");
    mien::cv::CascadeClassifier cascade(weights_path("haarcascade_frontalface_default.mien"));
    REQUIRE(!cascade.empty());
    CHECK(cascade.getOriginalWindowSize().width == 24);
    std::vector<LikeRect> boxes;
    std::vector<int> levels;
    std::vector<double> weights;
    const auto detect = [&](double factor, int neighbors, LikeSize low, LikeSize high) {
        cascade.detectMultiScale(photo.mat, boxes, levels, weights, factor, neighbors,
                                 mien::cv::CASCADE_SCALE_IMAGE, low, high, true);
    };
    detect(1.1, 3, {0, 0}, {0, 0});
    CHECK(boxes == std::vector<LikeRect>{{110, 40, 62, 62}});
    CHECK(levels == std::vector<int>{25});
    CHECK(weights == std::vector<double>{3.8830249793245457});
    detect(1.2, 2, {0, 0}, {70, 60});
    CHECK(boxes == std::vector<LikeRect>{{111, 43, 58, 58}});
    CHECK(weights == std::vector<double>{1.7038970724097453});
    detect(1.2, 1, {30, 0}, {0, 0});
    CHECK(boxes == std::vector<LikeRect>{{109, 40, 62, 62}, {185, 86, 72, 72}});
    CHECK(weights == std::vector<double>{5.86519999516895, -0.9198540087672882});
    detect(1.05, 0, {60, 90}, {0, 0});
    CHECK(boxes == std::vector<LikeRect>{{172, 71, 90, 90}});
    CHECK(weights == std::vector<double>{-0.9158449764945544});
    detect(1.3, 0, {100, 101}, {100, 300});  // no size fits: the one next to the smallest
    CHECK(boxes == std::vector<LikeRect>{{171, 71, 89, 89}});
    detect(1.3, 0, {300, 300}, {310, 310});
    CHECK(boxes.empty());
    CHECK(levels.empty());

    mien::cv::CascadeClassifier copy = cascade;
    std::vector<Rect> rects;
    copy.detectMultiScale(photo.mat, rects);
    CHECK(rects == std::vector<Rect>{{110, 40, 62, 62}});
    std::vector<int> counts;
    copy.detectMultiScale(photo.mat, rects, counts, 1.1, 3);
    REQUIRE(counts.size() == 1);
    CHECK(counts[0] > 3);
    mien::cv::ImageView none;
    copy.detectMultiScale(none, rects);
    CHECK(rects.empty());
}

TEST_CASE("mien::cv: weights do not depend on threads or instruction sets") {
    const BgrPhoto photo("photos/astronaut_320.png");
    const ByteVector file = read_file(weights_path("haarcascade_frontalface_default.mien"));
    Cascade cascade;
    REQUIRE(Cascade::open(file, cascade) == Status::ok);
    Weights view;
    view.cascade = &cascade;
    const auto weights_with = [&](Isa isa, Executor executor) {
        Config config;
        config.stage_weights = true;
        config.isa = isa;
        config.executor = executor;
        config.detector = {1.1, 0};
        OwnedEngine engine(view, config);
        std::vector<double> found;
        for (const Face& face : engine.detect(mien::cv::detail::frame_of(photo.mat)))
            found.push_back(face.stage_weight);
        REQUIRE(engine.status() == Status::ok);
        return found;
    };
    const auto backwards = [](void*, int count, void (*task)(void*, int), void* argument) {
        for (int i = count; i-- > 0;) task(argument, i);
    };
    const auto plain = weights_with(Isa::scalar, {});
    CHECK(plain.size() > 10);
    CHECK(weights_with(Isa::best, {}) == plain);
    CHECK(weights_with(Isa::best, {backwards, nullptr, 3}) == plain);
}

TEST_CASE("mien::cv: what is refused, and what is empty") {
    using mien::cv::CascadeClassifier;
    using mien::cv::Exception;
    CascadeClassifier none("/nowhere/cascade.xml");
    CHECK(none.empty());
    std::vector<Rect> rects;
    const BgrPhoto photo("photos/astronaut_320.png");
    CHECK_THROWS_AS(none.detectMultiScale(photo.mat, rects), Exception);
    CHECK_THROWS_AS(static_cast<void>(none.getOriginalWindowSize()), Exception);
    CascadeClassifier face(weights_path("haarcascade_frontalface_default.mien"));
    CHECK_THROWS_AS(face.detectMultiScale(photo.mat, rects, 1.0), Exception);
    LikeMat floats = photo.mat;
    floats.kind = 5;
    CHECK_THROWS_AS(face.detectMultiScale(floats, rects), Exception);
    LikeMat two = photo.mat;
    two.channel_count = 2;
    CHECK_THROWS_AS(face.detectMultiScale(two, rects), Exception);
    CHECK_THROWS_AS(CascadeClassifier(data_path("photos/astronaut.jpg")), Exception);
    CHECK_THROWS_AS(face.load(data_path("photos/astronaut.jpg")), Exception);
    CHECK(face.empty());
}

TEST_CASE("mien::cv: FaceDetectorYN") {
    const BgrPhoto photo("photos/astronaut_320.png");
    const auto detector = mien::cv::FaceDetectorYN::create(weights_path("detector.mien"), "",
                                                           LikeSize{320, 320}, 0.6f);
    std::vector<mien::cv::FaceDetectorYN::Row> faces;
    CHECK(detector->detect(photo.mat, faces) == 1);
    REQUIRE(faces.size() == 1);
    CHECK(faces[0][14] > 0.8f);
    CHECK(faces[0][4] < faces[0][6]);   // her right eye is on the left
    CHECK(faces[0][5] < faces[0][11]);  // eyes above the mouth
    CHECK(faces[0][0] > 100);
    CHECK(faces[0][0] + faces[0][2] < 180);
    LikeMat mat;
    CHECK(detector->detect(photo.mat, mat) == 1);
    CHECK(mat.rows == 1);
    CHECK(mat.cols == 15);
    CHECK(std::equal(faces[0].begin(), faces[0].end(), mat.floats.begin()));
    detector->setScoreThreshold(0.999f);
    CHECK(detector->detect(photo.mat, mat) == 1);
    CHECK(mat.rows == 0);
    detector->setInputSize({100, 100});
    CHECK_THROWS_AS(detector->detect(photo.mat, faces), mien::cv::Exception);
    CHECK_THROWS_AS(mien::cv::FaceDetectorYN::create(weights_path("emotion.mien"), "", {9, 9}),
                    mien::cv::Exception);
    CHECK_THROWS_AS(mien::cv::FaceDetectorYN::create("/nowhere.onnx", "", {9, 9}),
                    mien::cv::Exception);
}
