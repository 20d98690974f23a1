// SPDX-License-Identifier: MIT
// What does finding faces cost? By frame size, parameters and instruction set; and stage by stage.
#include <memory>

#include "detect/haar/cascade.h"
#include "detect/haar/pyramid.h"
#include "harness.h"
#include "pictures.h"
#include "pyramid.h"

namespace mien::bench {
namespace {

struct Search {
    double scale_factor;
    int min_neighbors;
};
constexpr Search searches[] = {{1.3, 5}, {1.1, 3}};

struct GrayPicture {
    std::string name;
    int width, height;
    std::vector<std::uint8_t> gray;

    [[nodiscard]] Frame frame() const {
        return {gray.data(), width, height, width, PixelFormat::gray8};
    }
};

std::vector<GrayPicture> pictures_of(const Options& options) {
    std::vector<GrayPicture> out;
    const auto add = [&](const Picture& p) {
        out.push_back({p.name, p.width, p.height, gray_of(p)});
    };
    if (options.quick) {
        add(generated_picture(320, 240, 1, 80));
    } else {
        for (const auto& [w, h] :
             {std::pair{640, 480}, std::pair{1280, 720}, std::pair{1920, 1080}})
            add(generated_picture(w, h, 3, h / 5));
    }
    for (const std::string& path : options.photos) add(read_picture(path));
    return out;
}

std::unique_ptr<OwnedEngine> detector(const GrayPicture& picture, const Search& search, Isa isa,
                                      const Cascade& cascade) {
    Config config;
    config.detector.scale_factor = search.scale_factor;
    config.detector.min_neighbors = search.min_neighbors;
    config.max_width = picture.width;
    config.max_height = picture.height;
    config.isa = isa;
    return std::make_unique<OwnedEngine>(config, &cascade, nullptr, nullptr);
}

void run_detect(OwnedEngine& owned, const GrayPicture& picture) {
    std::span<const Face> faces;
    need(owned.engine.detect(picture.frame(), faces), "detect");
}

void report_frames(const std::vector<GrayPicture>& pictures, const Options& options,
                   Report& report) {
    Table table({"frame", "search", "set", "min ms", "median", "Mwin/s", "windows", "candidates",
                 "faces", "ratio"});
    Json rows = Json::array();
    for (const GrayPicture& picture : pictures) {
        for (const Search& search : searches) {
            std::vector<std::unique_ptr<OwnedEngine>> engines;
            std::vector<Case> cases;
            for (const Isa isa : options.isas) {
                OwnedEngine& owned =
                    *engines.emplace_back(detector(picture, search, isa, default_cascade()));
                cases.push_back({.run = [&owned, &picture] { run_detect(owned, picture); }});
            }
            measure(cases, options.round_count());
            for (std::size_t i = 0; i < cases.size(); ++i) {
                std::span<const Face> faces;
                need(engines[i]->engine.detect(picture.frame(), faces), "detect");
                const DetectorStats& stats = engines[i]->engine.detector_stats();
                const double rate =
                    static_cast<double>(stats.windows) / cases[i].ns.minimum() * 1e3;
                const double ratio = cases[0].ns.minimum() / cases[i].ns.minimum();
                table.row({picture.name,
                           format("%.2g, %d", search.scale_factor, search.min_neighbors),
                           isa_name(options.isas[i]), format("%.3f", cases[i].min_ms()),
                           format("%.3f", cases[i].median_ms()), format("%.1f", rate),
                           format("%lld", static_cast<long long>(stats.windows)),
                           format("%d", stats.candidates), format("%zu", faces.size()),
                           format("%.2f", ratio)});
                rows.push_back({{"frame", picture.name},
                                {"width", picture.width},
                                {"height", picture.height},
                                {"scale_factor", search.scale_factor},
                                {"min_neighbors", search.min_neighbors},
                                {"isa", isa_name(options.isas[i])},
                                {"min_ms", rounded(cases[i].min_ms())},
                                {"median_ms", rounded(cases[i].median_ms())},
                                {"windows", stats.windows},
                                {"million_windows_per_s", rounded(rate)},
                                {"candidates", stats.candidates},
                                {"faces", faces.size()}});
            }
        }
    }
    report.text += "Detector on gray frames, one thread; ratio to the slowest set\n" + table.text();
    report.json["frames"] = std::move(rows);
}

// What windows stand on: every level's rows made and integrated as the detector does it, with no
// window looked at.
void report_levels(const GrayPicture& picture, const Search& search, const Options& options,
                   Report& report) {
    const Cascade& cascade = default_cascade();
    DetectorOptions detector_options;
    detector_options.scale_factor = search.scale_factor;
    struct Bands {
        IntegralBand band;
        std::vector<std::byte> memory;
    };
    std::vector<std::unique_ptr<Bands>> bands;
    std::vector<Case> cases;
    for (const Isa isa : options.isas)
        for (const bool integrate : {false, true}) {
            Bands& owned = *bands.emplace_back(std::make_unique<Bands>());
            const auto place = [&](Arena& arena) {
                owned.band.place(arena, picture.width, picture.height, cascade.window_height(),
                                 false, kernels_for(isa));
            };
            Arena measured;
            place(measured);
            owned.memory.resize(measured.required_bytes());
            Arena arena(owned.memory.data(), owned.memory.size());
            place(arena);
            cases.push_back({.run = [&owned, &picture, &cascade, detector_options, integrate] {
                Pyramid levels(cascade.window_width(), cascade.window_height(), picture.width,
                               picture.height, detector_options);
                for (Level level; levels.next(level);) {
                    owned.band.begin(
                        {picture.gray.data(), picture.width, picture.width, picture.height}, level,
                        0, level.rows * level.step);
                    if (integrate)
                        for (int row = 0; row < level.rows; ++row)
                            (void)owned.band.row(row * level.step);
                    else
                        for (int y = 0; y < level.height; ++y) (void)owned.band.level_row(y);
                }
            }});
        }
    measure(cases, options.round_count());
    Table table({"set", "resize ms", "median", "integral ms", "both ms"});
    Json rows = Json::array();
    for (std::size_t i = 0; i < options.isas.size(); ++i) {
        const Case &resize = cases[2 * i], &both = cases[2 * i + 1];
        table.row({isa_name(options.isas[i]), format("%.3f", resize.min_ms()),
                   format("%.3f", resize.median_ms()),
                   format("%.3f", both.min_ms() - resize.min_ms()), format("%.3f", both.min_ms())});
        rows.push_back({{"isa", isa_name(options.isas[i])},
                        {"resize_min_ms", rounded(resize.min_ms())},
                        {"resize_median_ms", rounded(resize.median_ms())},
                        {"integral_min_ms", rounded(both.min_ms() - resize.min_ms())},
                        {"both_min_ms", rounded(both.min_ms())}});
    }
    report.text += format("\nLevels of %s at %.2g: resize, and integral images as the difference\n",
                          picture.name.c_str(), search.scale_factor) +
                   table.text();
    report.json["levels"].push_back({{"frame", picture.name},
                                     {"scale_factor", search.scale_factor},
                                     {"isas", std::move(rows)}});
}

// The time of a stage is the difference between two cascades of which one rejects everything a
// stage later.
void report_stages(const GrayPicture& picture, const Search& search, Isa isa,
                   const Options& options, Report& report) {
    const Cascade& cascade = default_cascade();
    DetectorOptions detector_options;
    detector_options.scale_factor = search.scale_factor;
    const StageCounts counts =
        count_stages(cascade, picture.gray.data(), picture.width, picture.height, detector_options);
    if (counts.alive.empty()) return;

    const auto stages = static_cast<std::size_t>(cascade.stage_count());
    std::vector<std::vector<std::uint8_t>> files(stages);
    std::vector<Cascade> cut(stages);
    std::vector<std::unique_ptr<OwnedEngine>> engines;
    std::vector<Case> cases;
    for (std::size_t k = 0; k <= stages; ++k) {
        if (k < stages) {
            files[k] = cut_cascade(cascade, static_cast<int>(k));
            need(Cascade::open(files[k], cut[k]), "cut cascade");
        }
        OwnedEngine& owned =
            *engines.emplace_back(detector(picture, search, isa, k < stages ? cut[k] : cascade));
        cases.push_back({.run = [&owned, &picture] { run_detect(owned, picture); }});
    }
    measure(cases, options.round_count());

    const DetectorStats& stats = engines[stages]->engine.detector_stats();
    if (stats.candidates != counts.alive[stages] || stats.windows != counts.positions)
        fail(format("the bench counts %lld windows and %lld candidates, the detector %lld and %d",
                    static_cast<long long>(counts.positions),
                    static_cast<long long>(counts.alive[stages]),
                    static_cast<long long>(stats.windows), stats.candidates));
    Table table(
        {"stage", "trees", "alive", "share", "up to here ms", "stage ms", "ns an alive window"});
    Json rows = Json::array();
    double before = 0;
    for (std::size_t k = 0; k < stages; ++k) {
        const double until = cases[k].ns.minimum(), spent = until - before;
        const double share =
            static_cast<double>(counts.alive[k]) / static_cast<double>(counts.positions);
        const double each = counts.alive[k] > 0 ? spent / static_cast<double>(counts.alive[k]) : 0;
        const std::uint32_t trees = CascadeAccess{cascade}.stage(static_cast<int>(k)).tree_count;
        table.row({format("%zu", k), format("%u", trees),
                   format("%lld", static_cast<long long>(counts.alive[k])),
                   format("%.2f %%", 100 * share), format("%.3f", until * 1e-6),
                   format("%.3f", spent * 1e-6), format("%.1f", each)});
        rows.push_back({{"stage", k},
                        {"trees", trees},
                        {"alive", counts.alive[k]},
                        {"share", rounded(share)},
                        {"until_ms", rounded(until * 1e-6)},
                        {"stage_ms", rounded(spent * 1e-6)},
                        {"ns_per_alive_window", rounded(each)}});
        before = until;
    }
    const double whole = cases[stages].ns.minimum();
    const std::int64_t looked = counts.alive[0];
    const double stumps =
        looked > 0 ? static_cast<double>(counts.stumps) / static_cast<double>(looked) : 0;
    report.text += format(
        "\nStages on %s, (%.2g, %d), %s: %lld windows, %lld flat, %lld skipped, %lld evaluated "
        "with %.1f trees each, %lld pass; %.3f ms\n",
        picture.name.c_str(), search.scale_factor, search.min_neighbors, isa_name(isa),
        static_cast<long long>(counts.positions), static_cast<long long>(counts.flat),
        static_cast<long long>(counts.skipped), static_cast<long long>(looked), stumps,
        static_cast<long long>(counts.alive[stages]), whole * 1e-6);
    report.text +=
        "(stage 0 includes resize, integral images and deviations; times may be negative by noise "
        "where few windows are alive)\n" +
        table.text();
    report.json["stages"].push_back({{"frame", picture.name},
                                     {"scale_factor", search.scale_factor},
                                     {"isa", isa_name(isa)},
                                     {"windows", counts.positions},
                                     {"flat", counts.flat},
                                     {"skipped", counts.skipped},
                                     {"evaluated", looked},
                                     {"trees_per_window", rounded(stumps)},
                                     {"passed", counts.alive[stages]},
                                     {"whole_ms", rounded(whole * 1e-6)},
                                     {"stages", std::move(rows)}});
}

}  // namespace

Report bench_detect(const Options& options) {
    Report report;
    const std::vector<GrayPicture> pictures = pictures_of(options);
    report_frames(pictures, options, report);
    report.json["stages"] = Json::array();
    report.json["levels"] = Json::array();
    for (const GrayPicture& picture : pictures) {
        const bool is_photo = &picture - pictures.data() >= (options.quick ? 1 : 3);
        if (&picture != pictures.data() && !is_photo) continue;
        report_levels(picture, searches[0], options, report);
        report_stages(picture, searches[0], options.isas.back(), options, report);
    }
    return report;
}

}  // namespace mien::bench
