// SPDX-License-Identifier: MIT
// Are live pictures the same on a thread of their own, in their order, and does nobody wait in vain?
#include <doctest/doctest.h>

#include <vector>

#include "live/annotator.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::live;

namespace {

void fill_picture(Annotated& picture, int n) {
    picture.width = 160;
    picture.height = 120;
    picture.pixels.resize(3 * 160 * 120);
    for (std::size_t i = 0; i < picture.pixels.size(); ++i)
        picture.pixels[i] = static_cast<std::uint8_t>(i / 97 + static_cast<std::size_t>(n) * 31);
    picture.faces.assign(1, {});
    picture.faces[0].number = static_cast<std::uint32_t>(n + 1);
    picture.faces[0].box = {20 + n, 30, 60, 60};
    picture.maps.assign(1, {{{40, 10, 80, 80}, 10}, {-1, 0.5f, 0, 1}, {2, 2}});
    picture.to_feed = n % 2 == 0;
}

}  // namespace

TEST_CASE(
    "annotator: the same pictures with and without a thread, each to the feed that wants it") {
    const host::EngineInfo info;
    std::vector<host::ByteVector> pictures[2];
    for (const bool own : {false, true}) {
        Feed feed;
        Annotator annotator({&info, host::Style::gender, false, &feed, own});
        CHECK_FALSE(annotator.is_begun());
        CHECK(annotator.is_ready());
        for (int n = 0; n < 20; ++n) {
            fill_picture(annotator.picture(), n);
            const bool drawn_before = n % 3 == 0;
            if (drawn_before) annotator.draw();
            annotator.begin(drawn_before);
            CHECK(annotator.is_begun());
            annotator.finish();
            CHECK_FALSE(annotator.is_begun());
            CHECK(annotator.is_ready());
            const host::ByteVector& jpeg = annotator.picture().jpeg;
            REQUIRE(jpeg.size() > 500);
            pictures[own].push_back(jpeg);
            CHECK(feed.latest().pictures == static_cast<std::uint64_t>(n / 2 + 1));
            if (n % 2 == 0) CHECK(*feed.latest().picture == std::string(jpeg.begin(), jpeg.end()));
        }
        CHECK(pictures[own][1] != pictures[own][2]);
    }
    CHECK(pictures[0] == pictures[1]);
}

TEST_CASE("annotator: ends with a picture under way, and without any") {
    const host::EngineInfo info;
    for (int n = 0; n < 10; ++n) {
        Annotator annotator({&info, host::Style::emotion, false, nullptr, true});
        if (n % 2 == 0) continue;
        fill_picture(annotator.picture(), n);
        annotator.begin();
    }
}
