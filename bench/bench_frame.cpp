// SPDX-License-Identifier: MIT
// What does a whole frame cost, and which step is how much of it? Engine::process as a program
// would call it.
#include <memory>

#include "harness.h"
#include "pictures.h"

namespace mien::bench {
namespace {

constexpr int step_count = 5;
constexpr const char* step_names[step_count] = {"gray", "detect", "crop", "emotion", "gender"};

struct Subject {
    std::string name;
    const char* format_name = nullptr;
    std::vector<std::uint8_t> pixels;
    Frame frame;
    std::unique_ptr<OwnedEngine> engine;
    std::size_t faces = 0;
    Series steps[step_count];
    Series total;
};

Subject subject_of(const Picture& picture, PixelFormat pixel_format, const char* format_name,
                   Isa isa, int rounds) {
    Config config;
    config.max_width = picture.width;
    config.max_height = picture.height;
    config.isa = isa;
    config.clock_ns = now_ns;
    Subject s;
    s.name = picture.name;
    s.format_name = format_name;
    s.pixels = converted(picture, pixel_format);
    s.total = Series(rounds);
    const std::ptrdiff_t pixel_bytes = pixel_format == PixelFormat::gray8   ? 1
                                       : pixel_format == PixelFormat::rgb24 ? 3
                                                                            : 4;
    s.frame = {s.pixels.data(), picture.width, picture.height, picture.width * pixel_bytes,
               pixel_format};
    s.engine = std::make_unique<OwnedEngine>(config, &default_cascade(), &default_emotion(),
                                             &default_gender());
    for (Series& step : s.steps) step = Series(rounds);
    return s;
}

void run(Subject& s) {
    std::span<const Face> faces;
    need(s.engine->engine.process(s.frame, faces), "process");
    s.faces = faces.size();
    if (current_round() < 0) return;
    const Timings& t = s.engine->engine.timings();
    const std::uint64_t spent[step_count] = {t.gray, t.detect, t.crop, t.heads[0], t.heads[1]};
    for (int i = 0; i < step_count; ++i) s.steps[i].add(static_cast<double>(spent[i]));
    s.total.add(static_cast<double>(t.total));
}

}  // namespace

Report bench_frame(const Options& options) {
    const Isa isa = options.isas.back();
    const int rounds = options.round_count();
    std::vector<Subject> subjects;
    const auto add = [&](const Picture& picture) {
        subjects.push_back(subject_of(picture, PixelFormat::gray8, "gray8", isa, rounds));
        subjects.push_back(subject_of(picture, PixelFormat::rgb24, "rgb24", isa, rounds));
        subjects.push_back(subject_of(picture, PixelFormat::bgra32, "bgra32", isa, rounds));
    };
    if (options.quick) {
        add(generated_picture(320, 240, 1, 80));
    } else {
        for (const auto& [w, h] : {std::pair{320, 240}, std::pair{640, 480}, std::pair{1280, 720},
                                   std::pair{1920, 1080}})
            add(generated_picture(w, h, w >= 640 ? 3 : 1, h / 4));
    }
    for (const std::string& path : options.photos) add(read_picture(path));

    std::vector<Case> cases;
    for (Subject& s : subjects) cases.push_back({.run = [&s] { run(s); }, .calls = 1});
    measure(cases, rounds);

    std::vector<std::string> head = {"frame", "format", "faces"};
    for (const char* step : step_names) head.emplace_back(step);
    for (const char* column : {"total min", "median", "frames/s", "not detect or net"})
        head.emplace_back(column);
    Table table(std::move(head));
    Json rows = Json::array();
    for (const Subject& s : subjects) {
        std::vector<std::string> row = {s.name, s.format_name, format("%zu", s.faces)};
        Json steps = Json::object();
        double sum = 0, rest = 0;
        for (int i = 0; i < step_count; ++i) {
            const double ms = s.steps[i].minimum() * 1e-6;
            sum += ms;
            if (i == 0 || i == 2) rest += ms;
            row.push_back(format("%.3f", ms));
            steps[step_names[i]] = {{"min", rounded(ms)},
                                    {"median", rounded(s.steps[i].median() * 1e-6)}};
        }
        const double total = s.total.minimum() * 1e-6;
        row.push_back(format("%.3f", total));
        row.push_back(format("%.3f", s.total.median() * 1e-6));
        row.push_back(format("%.0f", 1e3 / total));
        row.push_back(format("%.1f %%", 100 * rest / sum));
        table.row(std::move(row));
        rows.push_back({{"frame", s.name},
                        {"width", s.frame.width},
                        {"height", s.frame.height},
                        {"format", s.format_name},
                        {"faces", s.faces},
                        {"steps_ms", std::move(steps)},
                        {"min_ms", rounded(total)},
                        {"median_ms", rounded(s.total.median() * 1e-6)}});
    }
    return {format("Whole frames at (1.3, 5) with both networks, %s, one thread, milliseconds "
                   "(minima of each step)\n",
                   isa_name(isa)) +
                table.text(),
            {{"isa", isa_name(isa)}, {"frames", std::move(rows)}}};
}

}  // namespace mien::bench
