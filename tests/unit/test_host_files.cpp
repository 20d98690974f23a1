// SPDX-License-Identifier: MIT
// Are files written whole or not at all, never over others, and are result names apart? And what
// does the JSON look like?
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "host/codec/image_file.h"
#include "host/files/batch.h"
#include "host/files/file_io.h"
#include "host/results/face_json.h"
#include "host/results/json.h"
#include "host/results/order.h"
#include "host/weights/engine_owner.h"

using namespace mien;
using namespace mien::host;

namespace {

namespace fs = std::filesystem;

struct TemporaryFolder {
    fs::path path;
    TemporaryFolder() {
        std::string pattern = (fs::temp_directory_path() / "mien-test-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
        forget_inputs();  // of the tests before: the numbers of deleted files are used again
    }
    ~TemporaryFolder() { fs::remove_all(path); }
    std::string operator/(const char* name) const { return (path / name).string(); }
    std::size_t files() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(path), fs::directory_iterator()));
    }
};

const ByteVector one = {1, 2, 3}, two = {4, 5};

}  // namespace

TEST_CASE("files are read whole, within a limit") {
    const TemporaryFolder folder;
    CHECK(write_file(folder / "a", one, Overwrite::no));
    const auto bytes = read_file(folder / "a", 3);
    REQUIRE(bytes);
    CHECK(*bytes == one);
    CHECK(read_file(folder / "a", 2).error().text.find("larger") != std::string::npos);
    const auto missing = read_file(folder / "none", 9);
    CHECK(missing.error().text == "no such file");
    CHECK(missing.error().kind == Error::Kind::input);
    CHECK(read_file(folder.path.string(), 9).error().text == "is a folder");
}

TEST_CASE("an existing file is replaced only with permission") {
    const TemporaryFolder folder;
    CHECK(write_file(folder / "a", one, Overwrite::no));
    const Result<> refused = write_file(folder / "a", two, Overwrite::no);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::output);
    CHECK(refused.error().text.find("exists") != std::string::npos);
    CHECK(*read_file(folder / "a", 9) == one);
    forget_inputs();
    CHECK(write_file(folder / "a", two, Overwrite::yes));
    CHECK(*read_file(folder / "a", 9) == two);
    CHECK(folder.files() == 1);  // no temporary file is left
}

TEST_CASE("a link is followed, a device written to, a missing folder named") {
    const TemporaryFolder folder;
    CHECK(write_file(folder / "a", one, Overwrite::no));
    fs::create_symlink("a", folder.path / "link");
    CHECK(write_file(folder / "link", two, Overwrite::yes));
    CHECK(fs::is_symlink(folder.path / "link"));
    CHECK(*read_file(folder / "a", 9) == two);
    CHECK(write_file("/dev/null", one, Overwrite::no));
    CHECK(fs::is_character_file("/dev/null"));
    CHECK(write_file(folder / "no/where", one, Overwrite::no).error().text.find("no such folder") !=
          std::string::npos);
    CHECK(write_file(folder.path.string(), one, Overwrite::yes).error().text.find("folder") !=
          std::string::npos);
}

TEST_CASE("names of results are unique") {
    UniqueNames names;
    CHECK(names.claim("a", ".png") == "a.png");
    CHECK(names.claim("a", ".jpg") == "a.jpg");
    CHECK(names.claim("a", ".png") == "a-2.png");
    CHECK(names.claim("A", ".PNG") == "A-3.PNG");
    CHECK(names.claim("a-2", ".png") == "a-2-2.png");
    CHECK(stem_of("x/y.tar.gz") == "y.tar");
    CHECK(stem_of("x/.hidden") == ".hidden");
}

TEST_CASE("folders become their images, sorted") {
    const TemporaryFolder folder;
    fs::create_directories(folder.path / "sub");
    for (const char* name : {"b.JPG", "a.png", "note.txt", "sub/c.gif"})
        std::ofstream(folder.path / name) << 'x';
    fs::create_directory_symlink("..", folder.path / "sub" / "up");  // a loop, if it were followed
    const std::vector<std::string> arguments = {folder.path.string(), "given.xyz"};
    const InputList list = expand_inputs(arguments);
    REQUIRE(list.files.size() == 4);
    CHECK(list.files[0] == folder / "a.png");
    CHECK(list.files[1] == folder / "b.JPG");
    CHECK(list.files[2] == folder / "sub/c.gif");
    CHECK(list.files[3] == "given.xyz");
    CHECK(list.problems.empty());
    CHECK(is_input(folder / "sub/../a.png"));
    CHECK_FALSE(is_input(folder / "note.txt"));
    CHECK_FALSE(is_input(folder / "new.png"));
    REQUIRE(list.notes.size() == 1);
    CHECK(list.notes[0].path == folder.path.string());
    CHECK(list.notes[0].cause == "left out 1 file that mien does not read: 1 .txt");
}

TEST_CASE("what is left out of a folder is said, what a Mac adds is passed by") {
    const TemporaryFolder folder;
    fs::create_directories(folder.path / "__MACOSX");
    for (const char* name :
         {"a.jpg", "._a.jpg", "__MACOSX/b.jpg", "c.psd", "d.PSD", "e.cr2", "nameless"})
        std::ofstream(folder.path / name) << 'x';
    const std::vector<std::string> arguments = {folder.path.string()};
    const InputList list = expand_inputs(arguments);
    CHECK(list.files == std::vector{folder / "a.jpg"});
    CHECK(list.problems.empty());
    REQUIRE(list.notes.size() == 1);
    CHECK(list.notes[0].cause ==
          "left out 4 files that mien does not read: 1 without an ending, 1 .cr2, 2 .psd");
    fs::remove(folder.path / "a.jpg");
    const InputList none = expand_inputs(arguments);
    CHECK(none.notes.empty());
    REQUIRE(none.problems.size() == 1);
    CHECK(none.problems[0].cause.find("no image in this folder") == 0);
    CHECK(none.problems[0].cause.find("2 .psd") != std::string::npos);
}

TEST_CASE("numbers in names count by their value") {
    const char* const sorted[] = {"",
                                  "-1.jpg",
                                  "0",
                                  "00",
                                  "1.jpg",
                                  "01.jpg",
                                  "2.jpg",
                                  "10.jpg",
                                  "10a.jpg",
                                  "a",
                                  "a/b",
                                  "a1b2",
                                  "a1b10",
                                  "a2b1",
                                  "a99999999999999999998",
                                  "a99999999999999999999",
                                  "b"};
    for (std::size_t i = 0; i < std::size(sorted); ++i)
        for (std::size_t j = 0; j < std::size(sorted); ++j) {
            CAPTURE(sorted[i]);
            CAPTURE(sorted[j]);
            const bool same_number = (i == 2 && j == 3) || (i == 3 && j == 2) ||
                                     (i == 4 && j == 5) || (i == 5 && j == 4);
            if (!same_number) CHECK(natural_less(sorted[i], sorted[j]) == (i < j));
        }
    CHECK(natural_less("01.jpg", "1.jpg"));
    CHECK_FALSE(natural_less("1.jpg", "01.jpg"));
}

TEST_CASE("a pipe or a device in a folder is a problem, not an image") {
    const TemporaryFolder folder;
    std::ofstream(folder.path / "a.png") << 'x';
    REQUIRE(::mkfifo((folder / "b.png").c_str(), 0600) == 0);
    fs::create_symlink("/dev/zero", folder.path / "c.png");
    const std::vector<std::string> arguments = {folder.path.string()};
    const InputList list = expand_inputs(arguments);
    CHECK(list.files == std::vector<std::string>{folder / "a.png"});
    REQUIRE(list.problems.size() == 2);
    CHECK(list.problems[0].cause == "is no regular file");
    const auto endless = read_file("/dev/zero", 1 << 20);
    REQUIRE_FALSE(endless);
    CHECK(endless.error().text == "is a device");
}

TEST_CASE("what is read is never written, under none of its names") {
    const TemporaryFolder folder;
    const ByteVector bytes = {1, 2, 3};
    const auto put = [&](const std::string& path) {
        return write_file(path, bytes, Overwrite::yes);
    };
    std::ofstream(folder.path / "read.png") << "kept";
    fs::create_symlink("read.png", folder.path / "link.png");
    fs::create_hard_link(folder.path / "read.png", folder.path / "twin.png");
    REQUIRE(put(folder / "twin.png"));  // nobody read it yet, and only one of its names changes
    CHECK(fs::file_size(folder.path / "read.png") == 4);
    fs::remove(folder.path / "twin.png");
    fs::create_hard_link(folder.path / "read.png", folder.path / "twin.png");
    REQUIRE(read_file(folder / "read.png", 100));
    for (const char* name : {"read.png", "link.png", "twin.png", "./read.png"}) {
        CAPTURE(name);
        const Result<> written = put(folder / name);
        REQUIRE_FALSE(written);
        CHECK(written.error().text == "would overwrite an input of this run");
        CHECK_FALSE(check_output(folder / name, Overwrite::yes));
        CHECK(fs::file_size(folder / name) == 4);
    }
    REQUIRE(put(folder / "other.png"));
    CHECK(check_output(folder / "other.png", Overwrite::yes));
    CHECK_FALSE(check_output(folder / "other.png", Overwrite::no));
}

TEST_CASE("a new file has the mode of the old one, and leftovers do not stop it") {
    const TemporaryFolder folder;
    const ByteVector bytes = {1, 2, 3};
    std::ofstream(folder.path / "a") << "old";
    REQUIRE(::chmod((folder / "a").c_str(), 0640) == 0);
    // of killed processes of the same number
    for (int number = 1; number <= 3; ++number)
        std::ofstream(folder.path / (".mien-" + std::to_string(::getpid()) + "-" +
                                     std::to_string(number) + ".part"))
            << "half";
    REQUIRE(write_file(folder / "a", bytes, Overwrite::yes));
    struct stat info{};
    REQUIRE(::stat((folder / "a").c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0640);
    CHECK(info.st_size == 3);
    std::size_t left = 0;
    for (const auto& entry : fs::directory_iterator(folder.path))
        left += entry.path().extension() == ".part";
    CHECK(left == 3);
}

TEST_CASE("a folder without images is a problem") {
    const TemporaryFolder folder;
    const std::vector<std::string> arguments = {folder.path.string()};
    CHECK(expand_inputs(arguments).problems.size() == 1);
}

TEST_CASE("a face as JSON is that of the golden file") {
    const auto read = [](const char* name) {
        const auto bytes = read_file(std::string(MIEN_TEST_DATA) + name, 1 << 20);
        REQUIRE(bytes);
        return *bytes;
    };
    const ByteVector text = read("/../golden/faces.json");
    const Json golden = Json::parse(text);
    const auto photo =
        decode_image(read(("/photos/" + golden["photo"].get<std::string>()).c_str()));
    REQUIRE(photo);
    for (const char* const detector : {"haar", "net"}) {
        CAPTURE(detector);
        EngineSetup setup;
        setup.cascade.use = detector == std::string("haar");
        setup.detector.use = !setup.cascade.use;
        setup.config.enlarge_to = 640;  // as programs do with the network
        const auto engine = EngineOwner::create(setup);
        REQUIRE(engine);
        ImageReport report;
        REQUIRE((*engine)->process(photo->image.frame(), report));
        Json faces = Json::array();
        for (const FaceReport& face : report.faces) {
            Json json;
            put_face(json, face, (*engine)->info());
            faces.push_back(json);
        }
        CHECK(faces.dump(1) == golden[detector].dump(1));
    }
}

TEST_CASE("the label of a reading need not be the most probable class") {
    EngineInfo info;
    info[Head::emotion] = {"e", {"happy", "sad"}};
    FaceReport face;
    face[Head::emotion] = {{0.25f, 0.75f}, 0, {}};
    Json json;
    put_face(json, face, info);
    CHECK(json["emotion"]["label"] == "happy");
    CHECK_FALSE(json.contains("gender"));
}

TEST_CASE("answers as JSON and in words") {
    EngineInfo info;
    info[Head::emotion] = {"e", {"happy", "sad"}};
    info[Head::age] = {"a", {"child", "adult"}, true, "years"};
    FaceReport face;
    face[Head::emotion].probabilities = {0.25f, 0.41f};
    face[Head::age].probabilities = {0.5f, 0.5f};
    face[Head::age].quantity = {34.16f, 27.04f, 42.25f};
    const auto json_of_face = [&] {
        Json json;
        put_face(json, face, info);
        return json;
    };
    CHECK(json_of_face()["emotion"].dump() ==
          R"({"label":"sad","unsure":false,"probabilities":{"happy":0.25,"sad":0.41}})");
    CHECK(json_of_face()["age"].dump() == R"({"value":34.2,"range":[27.0,42.3],"unit":"years",)"
                                          R"("probabilities":{"child":0.5,"adult":0.5}})");
    const host::Reading &emotion = face[Head::emotion], &age = face[Head::age];
    CHECK(answer_word(emotion, info[Head::emotion]) == "sad");
    CHECK(answer_line(emotion, info[Head::emotion]) == "sad 41 %");
    CHECK(answer_figures(emotion, info[Head::emotion]) == "sad 41 %");
    CHECK(answer_word(age, info[Head::age]) == "34 years");
    CHECK(answer_line(age, info[Head::age]) == "34 years");
    CHECK(answer_figures(age, info[Head::age]) == "34 (27-42)");
    info[Head::age].unit.clear();
    CHECK(answer_word(age, info[Head::age]) == "34");
    face[Head::emotion].unsure = true;
    CHECK(json_of_face()["emotion"]["unsure"] == true);
    CHECK(json_of_face()["emotion"]["label"] == "sad");
    CHECK(answer_word(emotion, info[Head::emotion]) == "unsure");
    CHECK(answer_line(emotion, info[Head::emotion]) == "unsure 41 %");
    CHECK(answer_figures(emotion, info[Head::emotion]) == "unsure (sad 41 %)");
    CHECK(answer_word(face[Head::gender], info[Head::gender]).empty());
    CHECK(answer_line(face[Head::gender], info[Head::gender]).empty());
}

TEST_CASE("the shape of the JSON") {
    EngineInfo info;
    info.cascade_name = "cascade";
    info[Head::emotion] = {"e", {"happy", "sad"}};
    info[Head::gender] = {"g", {"woman", "man"}};
    ImageReport report;
    report.source = "bad \xff name";
    report.width = 10;
    report.height = 20;
    report.times.decode = 1.23456;
    report.faces.push_back({{1, 2, 3, 4}, 7});
    report.faces[0][Head::emotion].probabilities = {0.25f, 0.75f};
    const std::string line = to_json(report, info);
    CHECK(line.find('\n') == std::string::npos);
    const auto json = nlohmann::json::parse(line);
    CHECK(json["schema"] == 2);
    CHECK(json["width"] == 10);
    CHECK(json["height"] == 20);
    CHECK(json["models"]["emotion"] == "e");
    CHECK(json["timing_ms"]["decode"] == 1.235);
    for (const char* step : {"decode", "gray", "detect", "crop", "emotion", "gender", "age", "draw",
                             "encode", "total"}) {
        CHECK(json["timing_ms"].contains(step));
    }
    REQUIRE(json["faces"].size() == 1);
    const auto& face = json["faces"][0];
    CHECK(face["box"] == nlohmann::json({{"x", 1}, {"y", 2}, {"width", 3}, {"height", 4}}));
    CHECK(face["neighbors"] == 7);
    CHECK(face["emotion"]["label"] == "sad");
    CHECK(face["emotion"]["probabilities"]["happy"] == 0.25);
    CHECK_FALSE(face.contains("gender"));
    const auto error = nlohmann::json::parse(error_to_json("a", "b"));
    CHECK(error["source"] == "a");
    CHECK(error["error"] == "b");
    report.faces.clear();
    CHECK(nlohmann::json::parse(to_json(report, info))["faces"].is_array());
}

TEST_CASE("faces in reading order, largest first, and the largest only") {
    std::vector<FaceReport> faces;
    for (const Rect& box : {Rect{300, 12, 40, 40},
                            {10, 15, 50, 50},
                            {150, 100, 40, 40},
                            {20, 105, 30, 40},
                            {150, 5, 40, 40},
                            {90, 200, 80, 80}})
        faces.push_back({.box = box});
    const auto lefts = [&](const FaceSelection& selection, bool by_reading) {
        std::vector<FaceReport> chosen = faces;
        select_faces(selection, by_reading, chosen);
        std::vector<int> all;
        for (const FaceReport& face : chosen) all.push_back(face.box.x);
        return all;
    };
    using Lefts = std::vector<int>;
    CHECK(lefts({}, true) == Lefts{10, 150, 300, 20, 150, 90});
    CHECK(lefts({}, false) == Lefts{300, 10, 150, 20, 150, 90});
    CHECK(lefts({.largest_first = true}, true) == Lefts{90, 10, 300, 150, 150, 20});
    CHECK(lefts({.max_faces = 3}, false) == Lefts{300, 10, 90});
    CHECK(lefts({.max_faces = 3}, true) == Lefts{10, 300, 90});
    CHECK(lefts({.largest_first = true, .max_faces = 1}, false) == Lefts{90});
    CHECK(lefts({.max_faces = 100}, false).size() == faces.size());
    faces.clear();
    CHECK(lefts({.largest_first = true, .max_faces = 3}, true).empty());
}
