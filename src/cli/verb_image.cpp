// SPDX-License-Identifier: MIT
// mien image, mien classify: from image files to results, annotated images and network inputs. Both
// use one loop; they differ in whether faces are searched or the image is one.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include "cli/engine_options.h"
#include "cli/exit_codes.h"
#include "cli/files.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/results.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "host/clock.h"
#include "host/codec/image_file.h"
#include "host/draw/cover.h"
#include "host/draw/draw.h"
#include "host/draw/face_crop.h"
#include "host/files/batch.h"
#include "host/results/csv.h"
#include "host/results/json.h"

namespace mien::cli {
namespace {

struct PhotoOptions {
    EngineOptions engine;
    std::vector<std::string> inputs;
    std::string out;
    std::string style = "gender";
    std::string crop_folder;  // of the networks' inputs
    std::string face_folder;  // of faces
    host::CropStyle face_style;
    bool json = false, csv = false, top = false, overwrite = false, quiet = false, strict = false;
    bool blur = false, cover = false;  // rather than boxes and labels
    bool detect = true;
};

// ---- options ----

void add_common_options(CLI::App& app, PhotoOptions& options) {
    app.add_flag("--json", options.json, "Print one JSON object per image, one per line");
    app.add_flag("--csv", options.csv,
                 "Print a table: a row per face, and one per image without a face");
    app.add_flag("--top", options.top,
                 "All expressions with their scores, best first, and a sentence");
    app.add_option("--dump-crop", options.crop_folder,
                   "Save the networks' input pixels as PNG files")
        ->type_name("FOLDER");
    app.add_flag("-y,--yes", options.overwrite, "Overwrite existing results");
    app.add_flag("--strict", options.strict,
                 "Refuse damaged images, which are otherwise read as far as they go");
    app.add_flag("-q,--quiet", options.quiet, "No progress and no notes; errors are still printed");
    add_confidence_option(app, options.engine.setup.config.min_confidence);
    add_weights_options(app, options.engine, options.detect);
}

bool parse_image(int argc, char** argv, PhotoOptions& options, int& exit_code) {
    CLI::App app("Finds every face in images and reads its expression, gender and age.\nFormats: " +
                 host::image_format_names() +
                 "; rotated as their EXIF asks.\nOf animations and pages the first one.\n");
    style_app(app, "image");
    app.add_option("PHOTO", options.inputs, "Images, folders of them, - for standard input")
        ->required()
        ->type_name("");
    app.add_option("-o,--out", options.out,
                   "Write annotated images: a .png or .jpg file, or a folder\n"
                   "(required for several images; created if missing)")
        ->type_name("PATH");
    app.add_option("--style", options.style, "Color the boxes by gender or emotion")
        ->check(CLI::IsMember({"gender", "emotion"}))
        ->type_name("NAME");
    app.add_flag("--blur", options.blur, "In --out, make faces unrecognizable; nothing is drawn");
    app.add_flag("--cover", options.cover, "The same, with gray ellipses");
    app.add_option("--crops", options.face_folder,
                   "Save each face as a PNG file, NAME.face1.png and so on, as large as it is in\n"
                   "its image; --max-faces 1 saves the largest alone")
        ->type_name("FOLDER");
    app.add_flag("--aligned", options.face_style.aligned,
                 "With --crops: squares, turned so that the eyes are level");
    app.add_option("--crop-margin", options.face_style.margin,
                   "With --crops: more on each side, as a share of the box")
        ->check(CLI::Range(0.0, 2.0))
        ->type_name("SHARE");
    add_landmarks_option(app, options.engine);
    add_common_options(app, options);
    add_detector_options(app, options.engine);
    add_selection_options(app, options.engine);
    return parse_options(app, argc, argv, exit_code);
}

bool parse_classify(int argc, char** argv, PhotoOptions& options, int& exit_code) {
    CLI::App app(
        "Reads expression, gender and age of images that are one face each, already cut out.\n");
    style_app(app, "classify");
    app.add_option("CROP", options.inputs, "Images of one face, or folders of them")
        ->required()
        ->type_name("");
    add_common_options(app, options);
    return parse_options(app, argc, argv, exit_code);
}

// ---- where results go ----

struct OutputPlan {
    bool draw = false;
    std::string file;    // a file, for one image
    std::string folder;  // or a folder, for several
    host::ImageFormat file_format = host::ImageFormat::png;
    host::Overwrite overwrite = host::Overwrite::no;
};

// False after printing an error, with the exit code.
bool plan_output(const PhotoOptions& options, OutputPlan& plan, int& exit_code) {
    plan.overwrite = options.overwrite ? host::Overwrite::yes : host::Overwrite::no;
    exit_code = exit_output;
    for (const std::string& folder : {options.crop_folder, options.face_folder})
        if (!folder.empty() && !make_folder(folder)) return false;
    if (options.out.empty()) return true;
    plan.draw = true;
    const auto format = host::format_of_name(options.out);
    const bool one_picture = options.inputs.size() == 1 && !host::is_folder(options.inputs[0]);
    const bool names_folder = options.out.back() == '/' || host::is_folder(options.out);
    if (one_picture && !names_folder) {
        // Not a known file type, but a place where any type goes.
        std::error_code ignored;
        const bool is_device = std::filesystem::is_character_file(options.out, ignored);
        if (!format && !is_device) {
            complain("--out " + options.out, format.error().text + "; for a folder, end it with /");
            exit_code = exit_usage;
            return false;
        }
        plan.file = options.out;
        plan.file_format = format ? *format : host::ImageFormat::png;
        return true;
    }
    if (format && !names_folder) {
        complain("--out " + options.out, "several images need a folder");
        exit_code = exit_usage;
        return false;
    }
    plan.folder = options.out;
    return make_folder(plan.folder);
}

// ---- the work ----

// One run. The steps of an image return an error code after printing the error.
class PhotoRun {
public:
    PhotoRun(const PhotoOptions& options, const OutputPlan& plan, host::EngineOwner& engine,
             std::span<const std::string> files)
        : options_(options), plan_(plan), engine_(engine), files_(files), color_(use_color()) {}

    // 0, or the error code of this image.
    int run(const std::string& path);

private:
    int fail(const std::string& subject, const host::Error& error);
    int run_loaded(const std::string& path, host::Image& image, host::ImageReport& report);
    host::Result<> read_faces(const host::Image& image, host::ImageReport& report);
    int dump_crops(const std::string& path, const host::Image& image,
                   const host::ImageReport& report);
    int save_faces(const std::string& path, const host::Image& image, host::ImageReport& report);
    int write_drawn(const std::string& path, host::Image& image, host::ImageReport& report);
    int write_picture(const std::string& path, const Frame& frame, host::ImageFormat format);
    std::string output_path(const std::string& source, host::ImageFormat& format);
    std::string text_of(const host::ImageReport& report) const;

    const PhotoOptions& options_;
    const OutputPlan& plan_;
    host::EngineOwner& engine_;
    std::span<const std::string> files_;
    host::UniqueNames picture_names_, crop_stems_, face_stems_;
    bool color_;
    std::string source_;
};

int PhotoRun::fail(const std::string& subject, const host::Error& error) {
    if (interrupted()) return exit_interrupted;
    const int code = complain(subject, error);
    if (options_.json) {
        const std::string cause = subject == source_ ? error.text : subject + ": " + error.text;
        if (!print(host::error_to_json(source_, cause) + "\n")) return output_exit_code();
    }
    return code;
}

int PhotoRun::run(const std::string& path) {
    source_ = path;
    const double start = host::now_ms();
    // Checked before the work: a result that must not be written costs nothing.
    if (!plan_.file.empty()) {
        if (const host::Result<> free = host::check_output(plan_.file, plan_.overwrite); !free)
            return fail(plan_.file, free.error());
    }
    auto picture = load_image(path, options_.quiet, options_.strict);
    if (!picture) return fail(path, picture.error());
    if (interrupted()) return exit_interrupted;

    host::ImageReport report;
    report.source = path;
    report.note = picture->note;
    report.times.decode = host::now_ms() - start;
    if (const int code = run_loaded(path, picture->image, report); code != exit_done) return code;
    report.times.total = host::now_ms() - start;
    if (interrupted()) return exit_interrupted;
    return print(text_of(report)) ? exit_done : output_exit_code();
}

int PhotoRun::run_loaded(const std::string& path, host::Image& image, host::ImageReport& report) {
    if (const host::Result<> fits = check_size(engine_, image.width, image.height); !fits)
        return fail(path, fits.error());
    if (const host::Result<> done = read_faces(image, report); !done)
        return fail(path, done.error());
    if (interrupted()) return exit_interrupted;
    if (!options_.crop_folder.empty()) {
        if (const int code = dump_crops(path, image, report); code != exit_done) return code;
    }
    if (!options_.face_folder.empty()) {
        if (const int code = save_faces(path, image, report); code != exit_done) return code;
    }
    return plan_.draw ? write_drawn(path, image, report) : int{exit_done};
}

host::Result<> PhotoRun::read_faces(const host::Image& image, host::ImageReport& report) {
    return options_.detect ? engine_.process(image.frame(), report)
                           : engine_.classify_crop(image.frame(), report);
}

int PhotoRun::dump_crops(const std::string& path, const host::Image& image,
                         const host::ImageReport& report) {
    const std::string stem = crop_stems_.claim(host::stem_of(path), "");
    host::ImageReport again;  // of one face; the engine remembers only the crops of its last one
    int number = 0;
    for (const host::FaceReport& face : report.faces) {
        ++number;
        if (options_.detect) {
            if (const host::Result<> done =
                    engine_.classify(image.frame(), face.box, again, face.landmarks);
                !done)
                return fail(path, done.error());
        }
        for (const Head head : named_heads) {
            const Frame crop = engine_.engine().last_crop(head);
            if (crop.data == nullptr) continue;
            const std::string name = stem + format(".face%d.%s.png", number, head_name(head));
            const int code = write_picture(host::joined_path(options_.crop_folder, name), crop,
                                           host::ImageFormat::png);
            if (code != exit_done) return code;
        }
    }
    return exit_done;
}

int PhotoRun::save_faces(const std::string& path, const host::Image& image,
                         host::ImageReport& report) {
    const std::string stem = face_stems_.claim(host::stem_of(path), "");
    int number = 0;
    for (host::FaceReport& face : report.faces) {
        const auto crop = host::crop_face(image.frame(), face, options_.face_style);
        if (!crop) return fail(path, crop.error());
        const std::string name = stem + format(".face%d.png", ++number),
                          target = host::joined_path(options_.face_folder, name);
        const int code = write_picture(target, crop->frame(), host::ImageFormat::png);
        if (code != exit_done) return code;
        face.crop_file = target;
    }
    return exit_done;
}

int PhotoRun::write_picture(const std::string& path, const Frame& frame, host::ImageFormat format) {
    const auto bytes = host::encode_image(frame, format);
    if (!bytes) return fail(path, bytes.error());
    if (interrupted()) return exit_interrupted;
    if (const host::Result<> done = host::write_file(path, *bytes, plan_.overwrite); !done)
        return fail(path, done.error());
    return exit_done;
}

// In a folder a JPEG stays one, everything else becomes PNG.
std::string PhotoRun::output_path(const std::string& source, host::ImageFormat& format) {
    format = plan_.file_format;
    if (!plan_.file.empty()) return plan_.file;
    const auto source_format = host::format_of_name(source);
    format = source_format ? *source_format : host::ImageFormat::png;
    const char* ending = format == host::ImageFormat::jpeg ? ".jpg" : ".png";
    return host::joined_path(plan_.folder, picture_names_.claim(host::stem_of(source), ending));
}

int PhotoRun::write_drawn(const std::string& path, host::Image& image, host::ImageReport& report) {
    const double start = host::now_ms();
    const host::Canvas canvas = host::canvas_of(image);
    if (options_.blur || options_.cover) {
        host::cover_faces(canvas, report.faces,
                          options_.cover ? host::Cover::fill : host::Cover::blur);
    } else {
        const host::Style style =
            options_.style == "emotion" ? host::Style::emotion : host::Style::gender;
        host::annotate(canvas, report.faces, engine_.info(), style, options_.engine.landmarks);
    }
    const double drawn = host::now_ms();
    host::ImageFormat format{};
    const std::string target = output_path(path, format);
    if (const int code = write_picture(target, image.frame(), format); code != exit_done)
        return code;
    report.times.draw = drawn - start;
    report.times.encode = host::now_ms() - drawn;
    return exit_done;
}

std::string PhotoRun::text_of(const host::ImageReport& report) const {
    if (options_.json) return host::to_json(report, engine_.info()) + "\n";
    if (options_.csv) return host::csv_rows(report, engine_.info(), !options_.face_folder.empty());
    if (options_.top)
        return score_list(report, engine_.info(), files_.size() > 1 || report.faces.size() > 1);
    return face_table(report, engine_.info(), color_);
}

int run_photos(PhotoOptions& options) {
    if (int{options.json} + int{options.top} + int{options.csv} > 1) {
        complain("--json, --csv and --top exclude each other");
        return exit_usage;
    }
    if ((options.blur || options.cover) && options.out.empty()) {
        complain(std::string(options.cover ? "--cover" : "--blur") + " needs --out");
        return exit_usage;
    }
    if (options.face_folder.empty() &&
        (options.face_style.aligned || options.face_style.margin > 0)) {
        complain(std::string(options.face_style.aligned ? "--aligned" : "--crop-margin") +
                 " needs --crops");
        return exit_usage;
    }
    if (options.face_style.aligned && !options.engine.setup.detector.use) {
        complain("--aligned needs the detector network, which gives landmarks");
        return exit_usage;
    }
    int code = exit_done;
    OutputPlan plan;
    std::unique_ptr<host::EngineOwner> engine = open_engine(options.engine, code);
    if (!engine || !plan_output(options, plan, code)) return code;
    catch_interrupts();
    const host::InputList inputs = host::expand_inputs(options.inputs);
    int worst = exit_done;
    if (!report_inputs(inputs, options.json, options.quiet, worst)) return output_exit_code();
    if (options.csv && !print(host::csv_header(engine->info(), !options.face_folder.empty())))
        return output_exit_code();
    PhotoRun run(options, plan, *engine, inputs.files);
    // In a terminal the results themselves show progress.
    const bool progress = !options.quiet && inputs.files.size() > 1 && !is_terminal(1);
    std::size_t done = 0;
    for (const std::string& file : inputs.files) {
        if (progress) show_progress(format("image %zu of %zu", ++done, inputs.files.size()));
        code = interrupted() ? int{exit_interrupted} : run.run(file);
        if (code == exit_interrupted || code == exit_closed_pipe) return code;
        if (const int output = output_exit_code(); output != exit_done) return output;
        worst = std::max(worst, code);
    }
    show_progress("");
    return worst;
}

}  // namespace

int run_image(int argc, char** argv) {
    PhotoOptions options;
    int exit_code = exit_done;
    return parse_image(argc, argv, options, exit_code) ? run_photos(options) : exit_code;
}

int run_classify(int argc, char** argv) {
    PhotoOptions options;
    options.detect = false;
    int exit_code = exit_done;
    return parse_classify(argc, argv, options, exit_code) ? run_photos(options) : exit_code;
}

}  // namespace mien::cli
