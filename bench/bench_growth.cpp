// SPDX-License-Identifier: MIT
// How does the cost grow with the pixels, the faces, the scale factor and the smallest face?
// Curves, and the law fitted.
#include <cmath>
#include <memory>

#include "harness.h"
#include "pictures.h"
#include "pyramid.h"

namespace mien::bench {
namespace {

// One measured place on a curve: x is what was varied, work is what the law is about.
struct Point {
    double x = 0, work = 0;
    Picture picture;
    std::unique_ptr<OwnedEngine> engine;
    std::size_t faces = 0;
    Series ns;  // of the part that the curve is about
};

struct Curve {
    std::string name, x_name, work_name, y_name;
    bool whole = false;  // y is what faces cost and the whole frame, else the detector
    std::vector<Point> points;
};

Point point(double x, Picture picture, const DetectorOptions& detector, const Options& options) {
    Config config;
    config.detector = detector;
    config.max_width = picture.width;
    config.max_height = picture.height;
    config.isa = options.isas.back();
    config.clock_ns = now_ns;
    Point p;
    p.x = x;
    p.work =
        pyramid_pixels(pyramid(default_cascade(), picture.width, picture.height, detector)) * 1e-6;
    p.picture = std::move(picture);
    p.engine = std::make_unique<OwnedEngine>(config, &default_cascade(), &default_emotion(),
                                             &default_gender());
    p.ns = Series(options.round_count());
    return p;
}

// The user's first photo at that size, or a generated frame.
Picture picture_at(int width, int height, const Options& options) {
    if (options.photos.empty()) return generated_picture(width, height, 3, height / 5);
    return scaled(read_picture(options.photos[0]), width, height);
}

void run(Point& p, bool whole) {
    std::span<const Face> faces;
    need(p.engine->engine.process(p.picture.frame(), faces), "process");
    p.faces = faces.size();
    if (current_round() < 0) return;
    const Timings& t = p.engine->engine.timings();
    p.ns.add(static_cast<double>(whole ? t.total : t.detect));
}

void report_curve(Curve& curve, const Options& options, Report& report) {
    std::vector<Case> cases;
    for (Point& p : curve.points)
        cases.push_back({.run = [&p, whole = curve.whole] { run(p, whole); }, .calls = 1});
    measure(cases, options.round_count());
    std::vector<double> work, ms;
    for (Point& p : curve.points) {
        if (curve.whole) p.work = static_cast<double>(p.faces);
        work.push_back(p.work);
        ms.push_back(p.ns.minimum() * 1e-6);
    }
    const Fit fit = fit_line(work, ms);
    Table table(
        {curve.x_name, curve.work_name, "faces", curve.y_name + ", min", "median", "law", "off"});
    Json rows = Json::array();
    for (std::size_t i = 0; i < curve.points.size(); ++i) {
        const Point& p = curve.points[i];
        const double law = fit.a + fit.b * p.work;
        table.row({format("%g", p.x), format("%.4g", p.work), format("%zu", p.faces),
                   format("%.3f", ms[i]), format("%.3f", p.ns.median() * 1e-6), format("%.3f", law),
                   format("%+.0f %%", 100 * (ms[i] / law - 1))});
        rows.push_back({{"x", p.x},
                        {"work", rounded(p.work)},
                        {"faces", p.faces},
                        {"min_ms", rounded(ms[i])},
                        {"median_ms", rounded(p.ns.median() * 1e-6)}});
    }
    report.text += format("\n%s: %s = %.4f + %.4f x %s, R2 = %.4f\n", curve.name.c_str(),
                          curve.y_name.c_str(), fit.a, fit.b, curve.work_name.c_str(), fit.r2);
    report.text += table.text();
    report.json["curves"].push_back({{"name", curve.name},
                                     {"x", curve.x_name},
                                     {"work", curve.work_name},
                                     {"y", curve.y_name},
                                     {"a", rounded(fit.a)},
                                     {"b", rounded(fit.b)},
                                     {"r2", rounded(fit.r2)},
                                     {"points", std::move(rows)}});
}

}  // namespace

Report bench_growth(const Options& options) {
    Report report{format("Growth, %s, one thread, %s\n", isa_name(options.isas.back()),
                         options.photos.empty() ? "generated frames" : options.photos[0].c_str()),
                  {{"isa", isa_name(options.isas.back())},
                   {"picture", options.photos.empty() ? "generated" : options.photos[0]},
                   {"curves", Json::array()}}};
    const bool quick = options.quick;
    for (const auto& [scale_factor, min_neighbors] : {std::pair{1.3, 5}, std::pair{1.1, 3}}) {
        Curve curve{format("pixels at (%g, %d)", scale_factor, min_neighbors),
                    "Mpx",
                    "Mpx of pyramid",
                    "detect ms",
                    false,
                    {}};
        for (const double megapixels : quick
                                           ? std::vector<double>{0.05, 0.1, 0.2}
                                           : std::vector<double>{0.1, 0.2, 0.3, 0.5, 1, 2, 4, 8}) {
            const int width =
                static_cast<int>(std::lrint(std::sqrt(megapixels * 1e6 * 4 / 3) / 4)) * 4;
            curve.points.push_back(point(megapixels, picture_at(width, width * 3 / 4, options),
                                         {scale_factor, min_neighbors, 0, 0}, options));
        }
        report_curve(curve, options, report);
    }
    {
        Curve curve{"faces in 1280x720", "faces pasted", "faces found", "frame ms", true, {}};
        for (const int faces :
             quick ? std::vector<int>{0, 1, 3} : std::vector<int>{0, 1, 2, 5, 10, 20, 35, 50})
            curve.points.push_back(
                point(faces, generated_picture(quick ? 640 : 1280, quick ? 480 : 720, faces, 64),
                      {1.3, 5, 0, 0}, options));
        report_curve(curve, options, report);
    }
    const int width = quick ? 320 : 640, height = quick ? 240 : 480;
    {
        Curve curve{format("scale factor in %dx%d", width, height),
                    "scale factor",
                    "Mpx of pyramid",
                    "detect ms",
                    false,
                    {}};
        for (const double factor : quick ? std::vector<double>{1.2, 1.3, 1.5}
                                         : std::vector<double>{1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5})
            curve.points.push_back(
                point(factor, picture_at(width, height, options), {factor, 5, 0, 0}, options));
        report_curve(curve, options, report);
    }
    {
        Curve curve{format("smallest face in %dx%d at (1.1, 3)", width, height),
                    "smallest face",
                    "Mpx of pyramid",
                    "detect ms",
                    false,
                    {}};
        for (const int size : quick ? std::vector<int>{24, 48, 80}
                                    : std::vector<int>{24, 30, 40, 50, 64, 80, 100, 140, 200})
            curve.points.push_back(
                point(size, picture_at(width, height, options), {1.1, 3, size, 0}, options));
        report_curve(curve, options, report);
    }
    return report;
}

}  // namespace mien::bench
