// SPDX-License-Identifier: MIT
// Are the colors of maps even and ordered, are maps drawn where they belong, and are tables of
// groups read as they are meant?
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "host/draw/heatmap.h"
#include "unit/helpers.h"
#if defined(MIEN_HAS_EXPLAIN)
#include "report/groups.h"
#include "report/page.h"
#include "report/sheet.h"
#endif

using namespace mien;
using namespace mien::test;

namespace {

// CIE L*a*b* (D65), another space than the one that the scales are computed in.
std::array<double, 3> lab_of(host::Color color) {
    const auto linear = [](std::uint8_t v) {
        const double x = v / 255.0;
        return x <= 0.04045 ? x / 12.92 : std::pow((x + 0.055) / 1.055, 2.4);
    };
    const double r = linear(color.r), g = linear(color.g), b = linear(color.b);
    const auto f = [](double t) {
        return t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116;
    };
    const double x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047),
                 y = f(0.2126729 * r + 0.7151522 * g + 0.0721750 * b),
                 z = f((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883);
    return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

std::vector<std::uint8_t> painted(const host::MapView& map, bool is_signed, const Rect& area) {
    std::vector<std::uint8_t> pixels(30 * 20 * 3, 100);
    host::draw_map({pixels.data(), 30, 20, 90}, {area, 0}, map, host::color_limit(map), is_signed);
    return pixels;
}

}  // namespace

TEST_CASE("heatmap: the sequential scale rises in lightness, by even steps to the eye") {
    double last = -1, smallest = 1e9, largest = 0;
    for (int i = 0; i <= 16; ++i) {
        const auto lab = lab_of(host::sequential_color(static_cast<float>(i) / 16));
        CHECK(lab[0] > last);
        last = lab[0];
        if (i == 0) continue;
        const auto before = lab_of(host::sequential_color(static_cast<float>(i - 1) / 16));
        const double step = std::hypot(lab[0] - before[0], lab[1] - before[1], lab[2] - before[2]);
        smallest = std::min(smallest, step);
        largest = std::max(largest, step);
    }
    CHECK(smallest > 4);  // far above what can be told apart (about 1)
    // OKLab is even, L*a*b* only nearly; the rainbow that it replaces has 12 and more
    CHECK(largest < 3.5 * smallest);
}

TEST_CASE("heatmap: the diverging scale is lightest in the middle and alike on both sides") {
    for (const float v : {0.25f, 0.5f, 0.75f, 1.0f}) {
        const auto against = lab_of(host::diverging_color(-v)),
                   for_it = lab_of(host::diverging_color(v));
        CHECK(against[0] == doctest::Approx(for_it[0]).epsilon(0.12));
        CHECK(against[0] < lab_of(host::diverging_color(v - 0.25f))[0]);
        CHECK(against[2] < for_it[2]);  // blue against red
        CHECK(against[1] < for_it[1]);
    }
    CHECK(host::diverging_color(-7) == host::diverging_color(-1));
    CHECK(host::sequential_color(std::nanf("")) == host::sequential_color(0));
    CHECK(host::diverging_color(std::nanf("")) == host::diverging_color(0));
}

TEST_CASE("heatmap: a map is drawn inside of its area, and nothing where it is 0") {
    const float values[] = {0, 0, 0, 1};
    const auto pixels = painted({values, 2, 2}, true, {10, 5, 8, 8});
    const auto at = [&](int x, int y) {
        return std::array<int, 3>{pixels[static_cast<std::size_t>(y * 30 + x) * 3],
                                  pixels[static_cast<std::size_t>(y * 30 + x) * 3 + 1],
                                  pixels[static_cast<std::size_t>(y * 30 + x) * 3 + 2]};
    };
    const std::array<int, 3> untouched{100, 100, 100};
    CHECK(at(9, 9) == untouched);
    CHECK(at(18, 12) == untouched);
    CHECK(at(10, 5) == untouched);
    CHECK(at(17, 12) != untouched);
    CHECK(at(17, 12)[0] > at(17, 12)[2]);  // red
    // Outside of the image, of no size, with too few values: nothing happens.
    for (const Rect area :
         {Rect{-100, -100, 20, 20}, Rect{25, 15, 50, 50}, Rect{0, 0, 0, 5}, Rect{-5, -5, 60, 60}})
        painted({values, 2, 2}, false, area);
    CHECK(painted({std::span(values).first(3), 2, 2}, true, {0, 0, 30, 20}) ==
          std::vector<std::uint8_t>(30 * 20 * 3, 100));
    CHECK(host::color_limit({}) == 1);
    const float odd[] = {std::nanf(""), 1, HUGE_VALF, -1};
    CHECK(host::color_limit({odd, 2, 2}) == 1);
    painted({odd, 2, 2}, true, {0, 0, 30, 20});
    painted({odd, 2, 2}, false, {0, 0, 30, 20});
    const float zeros[4] = {};
    CHECK(host::color_limit({zeros, 2, 2}) == 1);
}

#if defined(MIEN_HAS_EXPLAIN)

namespace {
host::Result<report::GroupTable> table_of(std::string_view text) {
    return report::GroupTable::parse(
        {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}
}  // namespace

TEST_CASE("report: tables of groups") {
    const auto table = table_of(
        "\xef\xbb\xbfpicture,glasses,\"age, years\"\r\na.png,yes,\"20 \"\"or "
        "so\"\"\"\r\nsub/b.png,no,\n7,no,old");
    REQUIRE(table);
    CHECK(table->properties() == std::vector<std::string>{"glasses", "age, years"});
    REQUIRE(table->find("/somewhere/happy/a.png") != nullptr);
    CHECK((*table->find("/somewhere/happy/a.png"))[1] == "20 \"or so\"");
    CHECK(table->find("x/sub/b.png") != nullptr);
    CHECK(table->find("b.png") == nullptr);
    CHECK(table->find("row 7") != nullptr);
    const auto tabs = table_of("file\tgroup\na,b.png\tx\n");
    REQUIRE(tabs);
    CHECK(tabs->find("a,b.png") != nullptr);
    for (const std::string_view bad : {"", "only one column\na\n", "a,b\nc\n", "a,b\n\"x,y\n",
                                       "a,b\n\"x\"y,z\n", "a,b\nx,1\nx,2\n"}) {
        CAPTURE(bad);
        const auto failed = table_of(bad);
        CHECK_FALSE(failed);
        CHECK_FALSE(failed.error().text.empty());
    }
    CHECK_FALSE(table_of(std::string_view("a,b\n\0,c\n", 8)));
    CHECK_FALSE(table_of("a,b\n" + std::string(5000, 'x') + ",1\n"));
    CHECK_FALSE(table_of(std::string(100, ',') + "\n"));
}

TEST_CASE("report: intervals are Wilson's") {
    const host::Interval half = host::wilson(50, 100), none = host::wilson(0, 10),
                         all = host::wilson(10, 10);
    CHECK(half.low == doctest::Approx(0.40383).epsilon(1e-4));
    CHECK(half.high == doctest::Approx(0.59617).epsilon(1e-4));
    CHECK(none.low == doctest::Approx(0));
    CHECK(none.high == doctest::Approx(0.27753).epsilon(1e-4));
    CHECK(all.low == doctest::Approx(0.72247).epsilon(1e-4));
    CHECK(host::wilson(0, 0).high == 1);
}

TEST_CASE("report: nothing of a name or label becomes markup") {
    host::Scores scores({"<a>", "b&\"c"});
    report::Page page;
    page.source = "<script>alert(1)</script>\xff\n";
    page.model = "m";
    page.labels = {"<a>", "b&\"c"};
    page.scores = &scores;
    for (int i = 0; i < 4; ++i) {
        page.samples.push_back({"<img src=x>", i % 2, {0.7f, 0.3f}});
        scores.add(i % 2, page.samples.back().probabilities);
    }
    page.properties.push_back({"<p>", {"<v>"}, {0, 0, -1, 0}});
    page.mistakes.push_back({1, {}, {}, {}});
    const std::string html = report::html(page);
    for (const char* bad : {"<script", "<img src=x", "<a>", "<v>", "<p>:", "\xff", "b&\""})
        CHECK(html.find(bad) == std::string::npos);
    CHECK(html.find("&lt;script&gt;") != std::string::npos);
    CHECK(html.find("50.0") != std::string::npos);
    CHECK(html.find("http") == std::string::npos);  // no address: it opens offline
}

TEST_CASE("report: a sheet has a row for each face, however many") {
    for (const std::size_t count : {std::size_t{1}, std::size_t{20}, report::max_rows + 5}) {
        std::vector<report::ExplainedFace> rows(count);
        for (report::ExplainedFace& row : rows) {
            const std::uint8_t pixels[4] = {0, 90, 180, 255};
            row.title = std::string(200, 'x');
            row.answer = "happy 98 %";
            row.face = report::tile_of({pixels, 2, 2, 2, PixelFormat::gray8}, 16);
            row.maps.push_back({explain::Method::cam, {2, 1, {-1, 1}}});
            row.maps.push_back({explain::Method::grad_cam, {1, 1, {0}}});
        }
        const host::Image sheet = report::sheet(rows, 16);
        CHECK(sheet.width == 8 + 3 * 24);
        CHECK(sheet.height > static_cast<int>(std::min(count, report::max_rows)) * 24);
    }
    CHECK(report::tile_side(1) > report::tile_side(100));
}

TEST_CASE("heatmap: a turned area shows the same map, turned") {
    // red above, blue below; half a turn exchanges them, a quarter puts red to the right
    const std::vector<float> values = {1, 1, -1, -1};
    const host::MapView map{values, 2, 2};
    const auto paint = [&](float degrees) {
        std::vector<std::uint8_t> pixels(20 * 20 * 3, 100);
        host::draw_map({pixels.data(), 20, 20, 60}, {{4, 4, 12, 12}, degrees}, map,
                       host::color_limit(map), true);
        return pixels;
    };
    const auto at = [](const std::vector<std::uint8_t>& pixels, int x, int y) {
        const std::uint8_t* p = pixels.data() + 3 * (20 * y + x);
        return std::array<int, 3>{p[0], p[1], p[2]};
    };
    const auto upright = paint(0), half = paint(180), quarter = paint(90), diagonal = paint(45);
    CHECK(at(upright, 10, 5)[0] > at(upright, 10, 5)[2]);
    for (int y = 0; y < 20; ++y)
        for (int x = 0; x < 20; ++x) {
            CAPTURE(x);
            CAPTURE(y);
            for (std::size_t c = 0; c < 3; ++c) {
                CHECK(std::abs(at(half, x, y)[c] - at(upright, 19 - x, 19 - y)[c]) <= 1);
                CHECK(std::abs(at(quarter, 19 - y, x)[c] - at(upright, x, y)[c]) <= 1);
            }
        }
    CHECK(at(diagonal, 4, 4) == std::array<int, 3>{100, 100, 100});  // its corners are elsewhere
    CHECK(at(diagonal, 10, 2) != std::array<int, 3>{100, 100, 100});
    std::vector<std::uint8_t> pixels(20 * 20 * 3, 100);
    host::draw_map({pixels.data(), 20, 20, 60}, {{-40, -40, 12, 12}, 45}, map, 1, true);
    CHECK(pixels == std::vector<std::uint8_t>(20 * 20 * 3, 100));
}

TEST_CASE("report: a turned area is shown upright, its edges repeated") {
    std::vector<std::uint8_t> ramp(32 * 32);
    for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<std::uint8_t>(i % 32 * 8);
    const Frame frame = {ramp.data(), 32, 32, 32, PixelFormat::gray8};
    const host::Image plain = report::tile_of(frame, {{8, 8, 16, 16}, 0}, 16),
                      turned = report::tile_of(frame, {{8, 8, 16, 16}, 90}, 16);
    for (int y = 1; y < 15; ++y)
        for (int x = 1; x < 15; ++x)
            CHECK(std::abs(plain.pixels[static_cast<std::size_t>(3 * (16 * y + x))] -
                           turned.pixels[static_cast<std::size_t>(3 * (16 * (15 - x) + y))]) <= 1);
    const host::Image outside = report::tile_of(frame, {{-200, 0, 30, 30}, 3}, 8);
    for (int i = 0; i < 64; ++i) CHECK(outside.pixels[static_cast<std::size_t>(3 * i)] == 0);
}

TEST_CASE("report: tiles average where they shrink and keep a constant") {
    std::vector<std::uint8_t> stripes(64 * 64);
    for (std::size_t i = 0; i < stripes.size(); ++i) stripes[i] = i % 2 == 0 ? 0 : 200;
    const host::Image small = report::tile_of({stripes.data(), 64, 64, 64, PixelFormat::gray8}, 8);
    for (int i = 0; i < 64; ++i) {
        const bool edge = i % 8 == 0 || i % 8 == 7;  // there the outermost pixel is repeated
        CHECK(std::abs(small.pixels[static_cast<std::size_t>(3 * i)] - 100) <= (edge ? 20 : 2));
    }
    const std::vector<std::uint8_t> flat(9, 77);
    const host::Image large =
        report::tile_of({flat.data(), 3, 3, 3, PixelFormat::gray8}, {{1, 1, 1, 1}, 0}, 20);
    for (int i = 0; i < 400 * 3; ++i) CHECK(large.pixels[static_cast<std::size_t>(i)] == 77);
}

#endif
