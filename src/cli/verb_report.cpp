// SPDX-License-Identifier: MIT
// mien report: a labeled set as one page: figures, confusions, groups, and the most confident
// mistakes with what the network looked at.
#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/labelled.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#if defined(MIEN_HAS_EXPLAIN)

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "explain/explain.h"
#include "host/files/batch.h"
#include "host/results/json.h"
#include "report/groups.h"
#include "report/page.h"
#include "report/sheet.h"

namespace mien::cli {
namespace {

constexpr std::size_t max_table_bytes = std::size_t{256} << 20;
constexpr int mistake_side = 96;

struct ReportOptions : LabelledOptions {
    std::string out, groups, method = "cam";
    int mistakes = 24;
};

void sort_into_groups(const report::GroupTable& table, report::Page& page, std::size_t& unknown) {
    for (const std::string& name : table.properties()) page.properties.push_back({name, {}, {}});
    for (const report::Sample& sample : page.samples) {
        const std::vector<std::string>* values = table.find(sample.name);
        unknown += values == nullptr;
        for (std::size_t p = 0; p < page.properties.size(); ++p) {
            report::Property& property = page.properties[p];
            int index = -1;
            if (values != nullptr && !(*values)[p].empty()) {
                const auto found =
                    std::find(property.values.begin(), property.values.end(), (*values)[p]);
                index = static_cast<int>(found - property.values.begin());
                if (found == property.values.end()) property.values.push_back((*values)[p]);
            }
            property.of_sample.push_back(index);
        }
    }
    // In alphabetical order, whatever the order of the images.
    for (report::Property& property : page.properties) {
        std::vector<std::string> sorted = property.values;
        std::sort(sorted.begin(), sorted.end());
        for (int& index : property.of_sample)
            if (index >= 0)
                index = static_cast<int>(
                    std::lower_bound(sorted.begin(), sorted.end(),
                                     property.values[static_cast<std::size_t>(index)]) -
                    sorted.begin());
        property.values = std::move(sorted);
    }
}

// The most confident wrong answers, with their maps.
int show_mistakes(const ReportOptions& options, explain::Method method, host::LabelledFaces& faces,
                  host::EngineOwner& engine, const std::vector<std::size_t>& rows,
                  report::Page& page) {
    std::vector<std::size_t> wrong;
    for (std::size_t i = 0; i < page.samples.size(); ++i)
        if (page.samples[i].answer() != page.samples[i].label) wrong.push_back(i);
    page.mistakes_in_all = wrong.size();
    std::stable_sort(wrong.begin(), wrong.end(), [&](std::size_t a, std::size_t b) {
        return page.samples[a].confidence() > page.samples[b].confidence();
    });
    wrong.resize(std::min(wrong.size(), static_cast<std::size_t>(options.mistakes)));
    explain::Explainer explainer(*engine.model(options.head()));
    for (const std::size_t i : wrong) {
        if (interrupted()) return exit_interrupted;
        const auto frame = faces.picture(rows[i]);
        host::ImageReport again;
        // it was readable before; the file has gone since
        if (!frame || !engine.classify_crop(*frame, again)) continue;
        report::Mistake mistake;
        mistake.sample = i;
        mistake.face = report::tile_of(*frame, mistake_side);
        explainer.look(engine.engine().last_crop(options.head()).data);
        report::MapOfMethod map;
        map.method = method;
        if (explainer.explain(method, page.samples[i].answer(), explain::usual_place, map.map))
            mistake.for_answer = report::map_picture(mistake.face, map);
        if (explainer.explain(method, page.samples[i].label, explain::usual_place, map.map))
            mistake.for_label = report::map_picture(mistake.face, map);
        page.mistakes.push_back(std::move(mistake));
    }
    return exit_done;
}

std::string today() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    return ::gmtime_r(&now, &parts) == nullptr
               ? std::string()
               : format("%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

host::Result<explain::Method> method_of(const std::string& name) {
    explain::Method method{};
    if (explain::find_method(name, method)) return method;
    std::string list;
    for (const explain::Method each : explain::all_methods)
        list += std::string(list.empty() ? "" : ", ") + explain::method_name(each);
    return host::Error::usage("is none of " + list);
}

host::Result<std::optional<report::GroupTable>> read_groups(const std::string& path) {
    if (path.empty()) return std::optional<report::GroupTable>();
    const auto bytes = host::read_file(path, max_table_bytes);
    if (!bytes) return bytes.error();
    auto table = report::GroupTable::parse(*bytes);
    if (!table) return table.error();
    return std::optional<report::GroupTable>(std::move(*table));
}

// Reads every face into `page` and its scores; `rows` are the numbers of the samples in the set.
int measure(const ReportOptions& options, host::LabelledFaces& faces, host::EngineOwner& engine,
            host::Scores& scores, report::Page& page, std::vector<std::size_t>& rows,
            std::size_t& unreadable) {
    const int code =
        read_faces(options, faces, engine, unreadable,
                   [&](std::size_t i, const std::vector<float>& probabilities) {
                       scores.add(faces.label(i), probabilities);
                       page.samples.push_back({faces.name(i), faces.label(i), probabilities});
                       rows.push_back(i);
                   });
    if (code != exit_done) return code;
    for (const auto& [reason, count] : faces.rejected()) {
        complain(options.data, format("%zu left out: %s", count, reason.c_str()));
        page.left_out.emplace_back(reason, count);
    }
    if (unreadable > 0) page.left_out.emplace_back("could not be read", unreadable);
    if (!page.samples.empty()) return exit_done;
    complain(options.data, "no image could be read");
    return exit_input;
}

int add_groups(const ReportOptions& options, const report::GroupTable& table, report::Page& page) {
    std::size_t unknown = 0;
    sort_into_groups(table, page, unknown);
    if (unknown == page.samples.size()) {
        complain(options.groups,
                 "names none of the images; the first is '" + page.samples[0].name + "'");
        return exit_input;
    }
    if (unknown > 0 && !options.quiet)
        complain(options.groups,
                 format("%zu of %zu images are not in it", unknown, page.samples.size()));
    return exit_done;
}

host::Result<> write_page(const ReportOptions& options, const std::string& html) {
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(html.data()), html.size());
    return host::write_file(options.out, bytes, options.overwriting());
}

int run(ReportOptions& options) {
    const auto method = method_of(options.method);
    if (!method) return complain("--method " + options.method, method.error());
    int code = exit_done;
    const auto engine = open_network(options, code);
    if (engine == nullptr) return code;
    const host::HeadInfo& head = head_of(options, *engine);
    const auto table = read_groups(options.groups);
    if (!table) return complain(options.groups, table.error());
    catch_interrupts();
    auto faces = host::LabelledFaces::open(options.data, head.labels, options.split);
    if (!faces) return complain(options.data, faces.error());
    if (const auto free = host::check_output(options.out, options.overwriting()); !free)
        return complain(options.out, free.error());

    host::Scores scores(head.labels, head.unsure_below);
    report::Page page;
    page.source = options.data;
    page.split = options.split;
    page.model = head.model_name;
    page.method = explain::method_name(*method);
    page.date = today();
    page.labels = head.labels;
    page.scores = &scores;
    std::vector<std::size_t> rows;
    std::size_t unreadable = 0;
    code = measure(options, *faces, *engine, scores, page, rows, unreadable);
    if (code == exit_done && *table) code = add_groups(options, **table, page);
    if (code == exit_done) code = show_mistakes(options, *method, *faces, *engine, rows, page);
    if (code != exit_done) return code;
    const std::string html = report::html(page);
    if (interrupted()) return exit_interrupted;
    if (const host::Result<> done = write_page(options, html); !done)
        return complain(options.out, done.error());

    if (options.json) {
        print(scores.json(options.data, head.model_name, unreadable) + "\n");
    } else {
        print(headline(options, head) + "\n" + scores.text() + "\n" + printable(options.out) +
              ": the page, " + format("%zu kB\n", html.size() / 1000));
    }
    if (const int output = output_exit_code(); output != exit_done) return output;
    return unreadable == 0 ? exit_done : exit_input;
}

}  // namespace

int run_report(int argc, char** argv) {
    ReportOptions options;
    CLI::App app(
        "Measures a network on labeled faces, as `mien eval` does, and writes one page with "
        "everything: confusions, reliability,\n"
        "precision and recall, results by group, and the most confident mistakes with what the "
        "network looked at.\n");
    style_app(app, "report");
    app.add_option(
           "DATA", options.data,
           "Folder with one sub-folder per class, or a NumPy .npz with `images` and `labels`")
        ->required()
        ->type_name("");
    app.add_option("-o,--out", options.out, "The page")->required()->type_name("FILE.html");
    add_network_options(app, options);
    app.add_option("--groups", options.groups,
                   "A table, comma or tab separated: the image's name (or row), then one column "
                   "per property")
        ->type_name("FILE");
    app.add_option("--mistakes", options.mistakes, "Number of mistakes to show")
        ->check(CLI::Range(0, 1000))
        ->type_name("COUNT");
    app.add_option("--method", options.method, "Method of the maps; see `mien explain --help`")
        ->type_name("NAME");
    app.add_flag("--json", options.json, "Also print the figures as one JSON object");
    app.add_flag("-y,--yes", options.overwrite, "Overwrite an existing page");
    app.add_flag("-q,--quiet", options.quiet, "No progress and no notes");
    add_isa_option(app, options.isa);
    int exit_code = exit_done;
    return parse_options(app, argc, argv, exit_code) ? run(options) : exit_code;
}

}  // namespace mien::cli

#else

namespace mien::cli {

int run_report(int, char**) {
    return run_left_out("report", "cmake -DMIEN_EXPLAIN=ON, with Eigen installed");
}

}  // namespace mien::cli

#endif
