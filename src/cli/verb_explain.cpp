// SPDX-License-Identifier: MIT
// mien explain: shows which parts of a face led to a network's answer: maps by several methods, as
// a contact sheet and as numbers.
#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/files.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "host/clock.h"

#if defined(MIEN_HAS_EXPLAIN)

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "explain/explain.h"
#include "host/codec/image_file.h"
#include "host/eval/labelled_faces.h"
#include "host/files/batch.h"
#include "host/results/face_json.h"
#include "host/results/json.h"
#include "report/sheet.h"

namespace mien::cli {
namespace {

using explain::Method;
using host::Json;

constexpr const char* every_head = "all";

struct ExplainOptions {
    EngineOptions engine;
    std::vector<std::string> inputs, methods = {"cam", "grad-cam", "guided", "guided-cam"};
    std::string out, class_name, layer, head = every_head;
    bool json = false, overwrite = false, quiet = false, crops = false, sanity = false,
         integers = false;
    int seed = 1;
};

host::Overwrite overwrite_of(const ExplainOptions& options) {
    return options.overwrite ? host::Overwrite::yes : host::Overwrite::no;
}

// One network, and the question.
struct Question {
    Head head;
    const Model* model;
    const host::HeadInfo* info;
    int class_index = -1;  // -1: the predicted one
    int place = explain::usual_place;
    std::unique_ptr<explain::Explainer> explainer, shuffled;
};

// A face with one question, before and after the maps.
struct Row {
    std::size_t face = 0;
    Question* question = nullptr;
    int class_index = 0;
    TurnedRect crop;                   // of the image that the maps cover
    std::vector<std::uint8_t> pixels;  // what the network saw
    std::vector<float> probabilities;  // of the engine
    double forward_ms = 0;
    report::ExplainedFace shown;
};

class ExplainRun {
public:
    ExplainRun(const ExplainOptions& options, host::EngineOwner& engine,
               std::vector<Method> methods, std::vector<Question>& questions)
        : options_(options), engine_(engine), methods_(std::move(methods)), questions_(questions) {}

    // 0, or the error code of this image.
    int run(const std::string& path);
    // The sheet of all images since the last call.
    int write_sheet(const std::string& path);
    bool has_rows() const { return !rows_.empty(); }

private:
    int fail(const std::string& path, const host::Error& error) {
        if (interrupted()) return exit_interrupted;
        const int code = complain(path, error);
        if (options_.json && !print(host::error_to_json(path, error.text) + "\n"))
            return output_exit_code();
        return code;
    }
    Row make_row(const std::string& path, const Frame& frame, const host::ImageReport& report,
                 std::size_t face, Question& question) const;
    void occlude(std::vector<Row>& rows) const;
    void explain_face(Row& row);
    std::string answer_text(const Row& row) const;
    host::FaceReport asked_of(const host::FaceReport& face) const;
    Json json_of(const std::string& path, const host::ImageReport& report,
                 const std::vector<Row>& rows) const;
    std::string text_of(const std::string& path, const host::ImageReport& report,
                        const std::vector<Row>& rows) const;

    const ExplainOptions& options_;
    host::EngineOwner& engine_;
    std::vector<Method> methods_;
    std::vector<Question>& questions_;
    std::vector<report::ExplainedFace> rows_;
    std::size_t left_out_ = 0;
};

Row ExplainRun::make_row(const std::string& path, const Frame& frame,
                         const host::ImageReport& report, std::size_t f, Question& question) const {
    const host::FaceReport& face = report.faces[f];
    const host::Reading& reading = face[question.head];
    Row row;
    row.face = f;
    row.question = &question;
    row.class_index =
        question.class_index >= 0 ? question.class_index : static_cast<int>(reading.best());
    row.crop = options_.crops
                   ? TurnedRect{face.box, 0}
                   : question.model->crop_of(face.box, face.landmarks, engine_.detector(),
                                             frame.width, frame.height);
    row.probabilities = reading.probabilities;
    const Frame seen = engine_.engine().last_crop(question.head);
    row.pixels.assign(seen.data, seen.data + seen.stride_bytes * seen.height);
    row.shown.title =
        host::stem_of(path) + format(", face %zu, %s", f + 1, head_name(question.head));
    row.shown.answer = answer_text(row);
    if (!options_.out.empty()) row.shown.face = report::tile_of(frame, row.crop, 192);
    return row;
}

// Occlusion asks the engine hundreds of times per face: all faces of an image are one batch.
void ExplainRun::occlude(std::vector<Row>& rows) const {
    if (std::find(methods_.begin(), methods_.end(), Method::occlusion) == methods_.end()) return;
    for (const Question& question : questions_) {
        std::vector<explain::OcclusionFace> batch;
        std::vector<Row*> owners;
        for (Row& row : rows) {
            if (row.question != &question) continue;
            batch.push_back({row.pixels.data(), row.class_index});
            owners.push_back(&row);
        }
        const double start = host::now_ms();
        std::vector<explain::Heatmap> maps =
            explain::occlusion(*question.model, batch, options_.engine.setup.config.executor,
                               options_.engine.setup.config.isa);
        const double occlusion_ms = host::now_ms() - start;
        for (std::size_t i = 0; i < maps.size(); ++i)
            owners[i]->shown.maps.push_back({Method::occlusion, std::move(maps[i]),
                                             occlusion_ms / static_cast<double>(maps.size())});
    }
}

int ExplainRun::run(const std::string& path) {
    const auto picture = load_image(path, options_.quiet);
    if (!picture) return fail(path, picture.error());
    if (interrupted()) return exit_interrupted;
    const Frame frame = picture->image.frame();
    if (const host::Result<> fits = check_size(engine_, frame.width, frame.height); !fits)
        return fail(path, fits.error());
    host::ImageReport report;
    if (const host::Result<> done =
            options_.crops ? engine_.classify_crop(frame, report) : engine_.process(frame, report);
        !done)
        return fail(path, done.error());

    std::vector<Row> rows;
    for (std::size_t f = 0; f < report.faces.size(); ++f) {
        host::ImageReport again;  // the engine remembers only the crops of its last face
        if (!options_.crops) {
            if (const host::Result<> done =
                    engine_.classify(frame, report.faces[f].box, again, report.faces[f].landmarks);
                !done)
                return fail(path, done.error());
        }
        for (Question& question : questions_) {
            if (report.faces[f][question.head].known())
                rows.push_back(make_row(path, frame, report, f, question));
        }
    }
    occlude(rows);
    for (Row& row : rows) {
        if (interrupted()) return exit_interrupted;
        explain_face(row);
    }
    const bool printed = print(
        options_.json
            ? json_of(path, report, rows).dump(-1, ' ', false, Json::error_handler_t::replace) +
                  "\n"
            : text_of(path, report, rows));
    if (!printed) return output_exit_code();
    if (!options_.out.empty()) {
        for (Row& row : rows) {
            if (rows_.size() < report::max_rows)
                rows_.push_back(std::move(row.shown));
            else
                ++left_out_;
        }
    }
    return exit_done;
}

void ExplainRun::explain_face(Row& row) {
    Question& question = *row.question;
    const double looking = host::now_ms();
    question.explainer->look(row.pixels.data());
    row.forward_ms = host::now_ms() - looking;
    if (options_.sanity) question.shuffled->look(row.pixels.data());
    std::vector<report::MapOfMethod> maps;
    for (const Method method : methods_) {
        report::MapOfMethod entry;
        entry.method = method;
        const double start = host::now_ms();
        if (method == Method::occlusion) {
            for (report::MapOfMethod& made : row.shown.maps) entry = std::move(made);
        } else if (!question.explainer->explain(method, row.class_index, question.place,
                                                entry.map)) {
            continue;
        } else {
            entry.ms = host::now_ms() - start;
            explain::Heatmap other;
            if (options_.sanity &&
                question.shuffled->explain(method, row.class_index, question.place, other))
                entry.sanity = explain::rank_correlation(entry.map.values, other.values);
        }
        maps.push_back(std::move(entry));
    }
    row.shown.maps = std::move(maps);
}

std::string ExplainRun::answer_text(const Row& row) const {
    const host::Reading reading{row.probabilities};
    const host::HeadInfo& info = *row.question->info;
    const auto label = [&](std::size_t i) {
        // "28 years, 22 %", not "28 22 %"
        const std::string unit = info.quantity && !info.unit.empty() ? " " + info.unit : "";
        return info.labels[i] + unit + (info.quantity ? "," : "") +
               format(" %.0f %%", static_cast<double>(row.probabilities[i]) * 100);
    };
    const auto asked = static_cast<std::size_t>(row.class_index);
    return asked == reading.best() ? label(asked)
                                   : label(reading.best()) + ", explained: " + label(asked);
}

// The face with the readings that are explained, and no others.
host::FaceReport ExplainRun::asked_of(const host::FaceReport& face) const {
    host::FaceReport asked = face;
    asked.readings = {};
    for (const Question& question : questions_) asked[question.head] = face[question.head];
    return asked;
}

Json ExplainRun::json_of(const std::string& path, const host::ImageReport& report,
                         const std::vector<Row>& rows) const {
    Json faces = Json::array();
    for (std::size_t f = 0; f < report.faces.size(); ++f) {
        Json face;
        host::put_face(face, asked_of(report.faces[f]), engine_.info());
        for (const Row& row : rows) {
            if (row.face != f) continue;
            const host::HeadInfo& info = *row.question->info;
            Json maps = Json::array();
            for (const report::MapOfMethod& map : row.shown.maps) {
                Json entry = {{"method", explain::method_name(map.method)},
                              {"signed", explain::is_signed(map.method)},
                              {"width", map.map.width},
                              {"height", map.map.height},
                              {"ms", std::round(map.ms * 1e3) / 1e3}};
                if (map.sanity <= 1) entry["shuffled_rank_correlation"] = map.sanity;
                entry["values"] = map.map.values;
                maps.push_back(std::move(entry));
            }
            Json& reading = face[head_name(row.question->head)];
            reading["class"] = info.labels[static_cast<std::size_t>(row.class_index)];
            reading["probabilities"] = host::probabilities_json(row.probabilities, info, false);
            reading["crop"] = host::crop_json(row.crop);
            reading["forward_ms"] = std::round(row.forward_ms * 1e3) / 1e3;
            reading["maps"] = std::move(maps);
        }
        faces.push_back(std::move(face));
    }
    return {{"schema", host::json_schema},
            {"source", path},
            {"width", report.width},
            {"height", report.height},
            {"faces", std::move(faces)}};
}

// Where the map is largest, in words and in percent of the crop.
std::string strongest(const explain::Heatmap& map) {
    const auto top = std::max_element(map.values.begin(), map.values.end());
    if (top == map.values.end() || !(*top > 0)) return "nothing supports it";
    const auto at = static_cast<int>(top - map.values.begin());
    const double x = (at % map.width + 0.5) / map.width, y = (at / map.width + 0.5) / map.height;
    static constexpr const char* rows[] = {"upper", "middle", "lower"};
    static constexpr const char* columns[] = {"left", "middle", "right"};
    const int row = std::min(static_cast<int>(y * 3), 2),
              column = std::min(static_cast<int>(x * 3), 2);
    const std::string where =
        row == 1 && column == 1 ? "in the middle" : std::string(rows[row]) + " " + columns[column];
    return "strongest " + where + format(", at %.0f %%, %.0f %% of the crop", x * 100, y * 100);
}

std::string ExplainRun::text_of(const std::string& path, const host::ImageReport& report,
                                const std::vector<Row>& rows) const {
    std::string text = printable(path) +
                       (report.faces.empty() ? ": no face found\n"
                                             : format(": %zu %s\n", report.faces.size(),
                                                      report.faces.size() == 1 ? "face" : "faces"));
    for (const Row& row : rows) {
        const host::HeadInfo& info = *row.question->info;
        text += format("  face %zu, ", row.face + 1) +
                printable(host::head_title(row.question->head, info)) + ": " + row.shown.answer +
                "\n";
        for (const report::MapOfMethod& map : row.shown.maps) {
            text += "    " + padded(explain::method_name(map.method), 16) + strongest(map.map);
            if (map.sanity <= 1)
                text += format("; rank correlation with shuffled weights %.2f", map.sanity);
            text += "\n";
        }
    }
    return text;
}

int ExplainRun::write_sheet(const std::string& path) {
    const auto format_of_file = host::format_of_name(path);
    const int side = report::tile_side(rows_.size());
    for (report::ExplainedFace& row : rows_)
        if (row.face.width != side) row.face = report::tile_of(row.face.frame(), side);
    const host::Image image = report::sheet(rows_, side);
    if (left_out_ > 0)
        complain(path, format("a sheet has at most %zu rows; %zu more were left out",
                              report::max_rows, left_out_));
    rows_.clear();
    left_out_ = 0;
    const auto bytes = host::encode_image(
        image.frame(), format_of_file ? *format_of_file : host::ImageFormat::png);
    if (!bytes) return fail(path, bytes.error());
    if (interrupted()) return exit_interrupted;
    if (const host::Result<> done = host::write_file(path, *bytes, overwrite_of(options_)); !done)
        return fail(path, done.error());
    return exit_done;
}

bool read_methods(const ExplainOptions& options, std::vector<Method>& methods) {
    std::vector<std::string> known = {"all"};
    for (const Method method : explain::all_methods)
        known.emplace_back(explain::method_name(method));
    for (const std::string& name : options.methods) {
        Method method{};
        if (name == "all") {
            methods.assign(std::begin(explain::all_methods), std::end(explain::all_methods));
        } else if (explain::find_method(name, method)) {
            if (std::find(methods.begin(), methods.end(), method) == methods.end())
                methods.push_back(method);
        } else {
            const std::string near = nearest(name, known);
            std::string list;
            for (const std::string& each : known) list += (list.empty() ? "" : ", ") + each;
            complain("--method " + name,
                     near.empty() ? "is none of " + list : "unknown, did you mean " + near + "?");
            return false;
        }
    }
    return true;
}

// The networks and questions; false after printing an error.
bool read_questions(const ExplainOptions& options, const host::EngineOwner& engine,
                    std::vector<Question>& questions) {
    std::vector<std::string> classes, layers;
    for (const Head head : named_heads) {
        const Model* const model = engine.model(head);
        if (model == nullptr) continue;
        Question question{head,    model,  &engine.info()[head], -1, explain::usual_place,
                          nullptr, nullptr};
        const auto from = options.integers ? explain::WeightsFrom::integers
                                           : explain::WeightsFrom::twin_or_integers;
        question.explainer = std::make_unique<explain::Explainer>(*model, from);
        if (options.sanity) {
            question.shuffled = std::make_unique<explain::Explainer>(*model, from);
            question.shuffled->shuffle_weights(static_cast<std::uint32_t>(options.seed));
        }
        if (!options.class_name.empty())
            question.class_index = host::class_index(question.info->labels, options.class_name);
        if (!options.layer.empty()) question.place = question.explainer->place_of(options.layer);
        classes.insert(classes.end(), question.info->labels.begin(), question.info->labels.end());
        for (int i = 0; i < model->layer_count(); ++i)
            layers.emplace_back(question.explainer->network().layer(i).name);
        if ((options.class_name.empty() || question.class_index >= 0) &&
            question.place != explain::no_place)
            questions.push_back(std::move(question));
    }
    if (!questions.empty()) return true;
    if (classes.empty())
        complain("--head " + options.head, "not loaded");
    else if (!options.class_name.empty() &&
             std::none_of(classes.begin(), classes.end(), [&](const std::string& c) {
                 return host::class_index({c}, options.class_name) == 0;
             })) {
        std::string list;
        for (const std::string& label : classes) list += (list.empty() ? "" : ", ") + label;
        complain("--class " + options.class_name, "is none of " + list);
    } else {
        const std::string near = nearest(options.layer, layers);
        complain("--layer " + options.layer,
                 "no selected network has this layer" +
                     (near.empty() ? std::string("; `mien info` lists them")
                                   : ", did you mean " + near + "?"));
    }
    return false;
}

// Whether the sheet's file can be written, as far as that is known before the work.
int check_out(const ExplainOptions& options) {
    if (const auto format = host::format_of_name(options.out); !format) {
        complain("--out " + options.out, format.error().text + "; for a folder, end it with /");
        return exit_code_of(format.error().kind);
    }
    const host::Result<> free = host::check_output(options.out, overwrite_of(options));
    return free ? int{exit_done} : complain(options.out, free.error());
}

int run_files(const ExplainOptions& options, bool to_folder, std::span<const std::string> files,
              ExplainRun& work, int worst) {
    host::UniqueNames names;
    std::size_t done = 0;
    for (const std::string& file : files) {
        if (!options.quiet && files.size() > 1 && !is_terminal(1))
            show_progress(format("image %zu of %zu", ++done, files.size()));
        int code = interrupted() ? int{exit_interrupted} : work.run(file);
        if (code == exit_done && to_folder && work.has_rows()) {
            const std::string name = names.claim(host::stem_of(file) + ".explain", ".png");
            code = work.write_sheet(host::joined_path(options.out, name));
        }
        if (code == exit_interrupted || code == exit_closed_pipe) return code;
        if (const int output = output_exit_code(); output != exit_done) return output;
        worst = std::max(worst, code);
    }
    show_progress("");
    if (options.out.empty() || to_folder) return worst;
    if (work.has_rows()) return std::max(worst, work.write_sheet(options.out));
    complain(options.out, "not written: no face found");
    return worst;
}

int run(ExplainOptions& options) {
    std::vector<Method> methods;
    std::vector<Question> questions;
    if (!read_methods(options, methods)) return exit_usage;
    // A file is one sheet of everything; a folder gets one sheet per image.
    const bool to_folder =
        !options.out.empty() && (options.out.back() == '/' || host::is_folder(options.out));
    int code = exit_done;
    if (options.crops) options.engine.setup.cascade.use = options.engine.setup.detector.use = false;
    for (const Head head : named_heads) {
        if (options.head != every_head && options.head != head_name(head))
            options.engine.setup.heads[head].use = false;
    }
    const std::unique_ptr<host::EngineOwner> engine = open_engine(options.engine, code);
    if (!engine) return code;
    if (!read_questions(options, *engine, questions)) return exit_usage;
    if (to_folder && !make_folder(options.out)) return exit_output;
    catch_interrupts();
    const host::InputList inputs = host::expand_inputs(options.inputs);
    if (!options.out.empty() && !to_folder) code = check_out(options);
    if (code != exit_done) return code;
    int worst = exit_done;
    if (!report_inputs(inputs, options.json, options.quiet, worst)) return output_exit_code();
    ExplainRun work(options, *engine, methods, questions);
    return run_files(options, to_folder, inputs.files, work, worst);
}

}  // namespace

int run_explain(int argc, char** argv) {
    ExplainOptions options;
    CLI::App app(
        "Shows which parts of a face led to the networks' answers, as maps over the face by "
        "several methods.\n"
        "How to read them: docs/EXPLAIN.md.\n");
    style_app(app, "explain");
    app.add_option("PHOTO", options.inputs, "Images, folders of them, - for standard input")
        ->required()
        ->type_name("");
    app.add_option("-o,--out", options.out,
                   "Draw the maps: a .png or .jpg with all faces, or a folder with a sheet for "
                   "each image")
        ->type_name("PATH");
    app.add_option("--method", options.methods,
                   "cam, grad-cam, guided, guided-cam, gradient, occlusion, original-cam, "
                   "original-guided, or all")
        ->delimiter(',')
        ->default_str("cam,grad-cam,guided,guided-cam")
        ->expected(1)
        ->take_all()
        ->type_name("NAME,...");
    app.add_option("--class", options.class_name, "Explain this class instead of the predicted one")
        ->type_name("NAME");
    std::vector<std::string> heads;
    for (const Head head : named_heads) heads.emplace_back(head_name(head));
    heads.emplace_back(every_head);
    app.add_option("--head", options.head,
                   "Which networks to ask: " + CLI::detail::join(heads, ", "))
        ->transform(CLI::Transformer(std::map<std::string, std::string>{{"both", every_head}}))
        ->check(CLI::IsMember(heads))
        ->type_name("NAME");
    app.add_option("--layer", options.layer,
                   "Where Grad-CAM and the original's methods look; `mien info` lists the layers")
        ->type_name("NAME");
    app.add_flag("--crop", options.crops, "Each image is one face, already cut out");
    app.add_flag("--sanity", options.sanity,
                 "Also compare each map with that of the same network with shuffled weights");
    app.add_option("--seed", options.seed, "Seed of the shuffling")
        ->check(CLI::Range(0, 1000000000))
        ->type_name("N");
    app.add_flag("--integers", options.integers,
                 "Use the file's integer weights even if it has float ones");
    app.add_flag("--json", options.json,
                 "Print one JSON object per image, with the maps as numbers");
    app.add_flag("-y,--yes", options.overwrite, "Overwrite existing results");
    app.add_flag("-q,--quiet", options.quiet, "No progress and no notes");
    add_weights_options(app, options.engine, true);
    add_detector_options(app, options.engine);
    int exit_code = exit_done;
    return parse_options(app, argc, argv, exit_code) ? run(options) : exit_code;
}

}  // namespace mien::cli

#else

namespace mien::cli {

int run_explain(int, char**) {
    return run_left_out("explain", "cmake -DMIEN_EXPLAIN=ON, with Eigen installed");
}

}  // namespace mien::cli

#endif
