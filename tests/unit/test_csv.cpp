// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "host/results/csv.h"

namespace mien::host {
namespace {

EngineInfo with_heads() {
    EngineInfo info;
    info.detector_name = "net";
    info[Head::emotion] = {"e", {"calm", "so, so"}};
    info[Head::age] = {"a", {"1", "90"}, true, "years"};
    return info;
}

TEST_CASE("values of a table are quoted where they must be") {
    CHECK(csv_value("plain name.jpg") == "plain name.jpg");
    CHECK(csv_value("") == "");
    CHECK(csv_value("a,b") == "\"a,b\"");
    CHECK(csv_value("say \"hi\"\n") == "\"say \"\"hi\"\"\n\"");
}

TEST_CASE("a table has as many values per row as columns") {
    const EngineInfo info = with_heads();
    CHECK(csv_header(info) ==
          "source,face,x,y,width,height,neighbors,score,emotion,emotion_unsure,emotion_calm,"
          "\"emotion_so, so\",age,age_low,age_high,age_1,age_90\n");
    ImageReport report;
    report.source = "a \"b\".jpg";
    CHECK(csv_rows(report, info) == "\"a \"\"b\"\".jpg\",,,,,,,,,,,,,,,,\n");
    FaceReport face;
    face.box = {1, -2, 3, 4};
    face.score = 0.75F;
    face[Head::emotion].probabilities = {0.25F, 0.75F};
    face[Head::emotion].unsure = true;
    face[Head::age].probabilities = {0.5F, 0.5F};
    face[Head::age].quantity = {45.25F, 1, 90};
    report.faces = {face, FaceReport{}};
    CHECK(csv_rows(report, info) ==
          "\"a \"\"b\"\".jpg\",0,1,-2,3,4,0,0.750000,\"so, so\",true,0.250000,0.750000,45.3,1.0,"
          "90.0,0.500000,0.500000\n"
          "\"a \"\"b\"\".jpg\",1,0,0,0,0,0,0.000000,,,,,,,,,\n");
    EngineInfo haar;
    haar.cascade_name = "haar";
    CHECK(csv_header(haar) == "source,face,x,y,width,height,neighbors\n");
    report.faces.clear();
    CHECK(csv_rows(report, haar) == "\"a \"\"b\"\".jpg\",,,,,,\n");
    CHECK(csv_header(haar, true) == "source,face,x,y,width,height,neighbors,crop_file\n");
    CHECK(csv_rows(report, haar, true) == "\"a \"\"b\"\".jpg\",,,,,,,\n");
    report.faces = {{.box = {1, 2, 3, 4}, .neighbors = 5, .crop_file = "a,b.png"}};
    CHECK(csv_rows(report, haar, true) == "\"a \"\"b\"\".jpg\",0,1,2,3,4,5,\"a,b.png\"\n");
}

}  // namespace
}  // namespace mien::host
