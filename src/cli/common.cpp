// SPDX-License-Identifier: MIT
// The common part of all verbs (see common.h). Output goes by write(2): no stream objects to set up
// at each start.
#include "cli/common.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "host/files/batch.h"

namespace mien::cli {

const char* const exit_code_help =
    "Exit code: 0 done (also with no face), 1 a result could not be written, 2 wrong usage,\n"
    "  3 an input could not be read (the others are done), 4 weights unusable, 130 interrupted.\n"
    "Results go to standard output, messages to standard error.\n";

int exit_code_of(host::Error::Kind kind) {
    using Kind = host::Error::Kind;
    switch (kind) {
        case Kind::usage: return exit_usage;
        case Kind::input: return exit_input;
        case Kind::weights: return exit_model;
        case Kind::output:
        case Kind::memory:
        case Kind::internal: break;
    }
    return exit_output;
}

namespace {

volatile std::sig_atomic_t interrupt_count = 0;
int stdout_error = 0;
bool progress_shown = false;

void on_interrupt(int) {
    if (interrupt_count != 0) {
        host::remove_partial_file();
        ::_exit(exit_interrupted);
    }
    interrupt_count = 1;
}

// False with errno when not all could be written.
bool write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

std::string one_line(std::string_view text) {
    std::string line(text);
    for (char& c : line) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 32 || byte == 127) c = '?';
    }
    return line;
}

// Steps (insert, delete, change, swap of neighbours) from one word to the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        now[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = std::min(now[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(now);
    }
    return last[b.size()];
}

// First word left over that looks like an option; a lone "-" is none.
std::string unknown_option(const CLI::App& app) {
    for (const std::string& word : app.remaining()) {
        if (word.size() > 1 && word[0] == '-') return word.substr(0, word.find('='));
    }
    return {};
}

// "--min-face PIXELS (default 0)" instead of the library's notation for types, ranges and sets.
class HelpFormatter : public CLI::Formatter {
public:
    std::string make_option_opts(const CLI::Option* option) const override {
        std::string text;
        if (option->get_type_size() != 0 && !option->get_positional())
            text += " " + type_word(option);
        return text;
    }
    std::string make_option_desc(const CLI::Option* option) const override {
        const std::string standard = option->get_default_str();
        const bool shown =
            option->get_type_size() != 0 && !option->get_positional() && !standard.empty();
        return option->get_description() + (shown ? " (default " + standard + ")" : "");
    }

private:
    // The library appends the allowed values to the name of the type: "NAME:INT in [0 - 9]".
    static std::string type_word(const CLI::Option* option) {
        const std::string all = option->get_type_name();
        return all.substr(0, all.find(':'));
    }
};

int usage_error(const CLI::App& app, const std::string& text) {
    complain(text + "; `mien " + app.get_name() + " --help` shows the options");
    return exit_usage;
}

int report_unknown_option(const CLI::App& app, const std::string& word) {
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
    const std::string near = nearest(word, known);
    return usage_error(
        app, "unknown option " + word + (near.empty() ? "" : ", did you mean " + near + "?"));
}

}  // namespace

std::string format(const char* pattern, ...) {
    std::array<char, 512> buffer{};
    va_list arguments;
    va_start(arguments, pattern);
    const int needed = std::vsnprintf(buffer.data(), buffer.size(), pattern, arguments);
    va_end(arguments);
    if (needed < static_cast<int>(buffer.size()))
        return {buffer.data(), static_cast<std::size_t>(std::max(needed, 0))};
    std::string text(static_cast<std::size_t>(needed) + 1, '\0');
    va_start(arguments, pattern);
    std::vsnprintf(text.data(), text.size(), pattern, arguments);
    va_end(arguments);
    text.pop_back();
    return text;
}

std::string padded(std::string_view text, std::size_t width) {
    const auto letters =
        static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
            return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
        }));
    return std::string(text) + std::string(width > letters ? width - letters : 0, ' ');
}

void show_progress(std::string_view text) {
    if ((text.empty() && !progress_shown) || !is_terminal(2)) return;
    write_all(2, "\r\033[K" + std::string(text));
    progress_shown = !text.empty();
}

void complain(std::string_view text) {
    show_progress("");
    write_all(2, "mien: " + one_line(text) + "\n");
}
void complain(std::string_view subject, std::string_view text) {
    complain(std::string(subject) + ": " + std::string(text));
}
int complain(std::string_view subject, const host::Error& error) {
    complain(subject, error.text);
    return exit_code_of(error.kind);
}

bool print(std::string_view text) {
    if (stdout_error == 0 && !write_all(1, text)) stdout_error = errno;
    return stdout_error == 0;
}

int output_exit_code() {
    if (stdout_error == 0) return exit_done;
    if (stdout_error == EPIPE) return exit_closed_pipe;
    complain("standard output", std::strerror(stdout_error));
    return exit_output;
}

std::string compiler_name() {
#if defined(__clang__)
    return std::string("clang++ ") + __clang_version__;
#else
    return std::string("g++ ") + __VERSION__;
#endif
}

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

bool use_color() {
    const char* no_color = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    return is_terminal(1) && (no_color == nullptr || *no_color == '\0') &&
           (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

void catch_interrupts() {
    struct sigaction action{};
    // without SA_RESTART: a read from a pipe that says nothing must end, too
    action.sa_handler = on_interrupt;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_count != 0; }

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
    std::string best;
    // At most a third of the letters wrong, or the beginning of exactly that word.
    std::size_t best_distance = word.size() / 3 + 1;
    for (const std::string& candidate : candidates) {
        const bool begins = word.size() >= 4 && candidate.compare(0, word.size(), word) == 0;
        const std::size_t distance = begins ? 1 : edit_distance(word, candidate);
        if (distance < best_distance || (distance == best_distance && best.empty())) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

void style_app(CLI::App& app, const std::string& verb) {
    app.name(verb);
    app.footer(exit_code_help);
    const auto formatter = std::make_shared<HelpFormatter>();
    formatter->column_width(26);
    app.formatter(formatter);
    app.set_help_flag("-h,--help", "Show this text");
    app.allow_extras();  // so that an unknown option can be answered with the nearest one
    app.option_defaults()->always_capture_default();
}

bool parse_options(CLI::App& app, int argc, char** argv, int& exit_code) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        std::string help = app.help();
        const std::string usage = "Usage: " + app.get_name();
        if (const std::size_t at = help.find(usage); at != std::string::npos)
            help.insert(at + 7, "mien ");
        print(help);
        exit_code = output_exit_code();
        return false;
    } catch (const CLI::ParseError& error) {
        const std::string unknown = unknown_option(app);
        exit_code =
            unknown.empty() ? usage_error(app, error.what()) : report_unknown_option(app, unknown);
        return false;
    }
    const std::string unknown = unknown_option(app);
    if (!unknown.empty()) {
        exit_code = report_unknown_option(app, unknown);
        return false;
    }
    if (!app.remaining().empty()) {
        exit_code = usage_error(app, "too many arguments: " + app.remaining().front());
        return false;
    }
    return true;
}

void add_weights_options(CLI::App& app, EngineOptions& options, bool with_cascade) {
    host::EngineSetup& setup = options.setup;
    setup.cascade.use = with_cascade;
    const char* group = "Weights (default: those inside the program)";
    app.add_option("--emotion", setup.emotion.path, "Expression network, a .mien file")
        ->type_name("FILE")
        ->group(group);
    app.add_option("--gender", setup.gender.path, "Gender network, a .mien file")
        ->type_name("FILE")
        ->group(group);
    if (with_cascade) {
        app.add_option("--cascade", setup.cascade.path, "Face detector, a .mien file")
            ->type_name("FILE")
            ->group(group);
    }
    app.add_flag("--no-gender", options.no_gender, "Read the expression only")->group(group);
    add_isa_option(app, options.isa);
}

void add_isa_option(CLI::App& app, std::string& isa) {
    app.add_option("--isa", isa,
                   "Instruction set (best, scalar, sse41, avx2, ..., neon, ...); also by MIEN_ISA")
        ->envname("MIEN_ISA")
        ->type_name("NAME");
}

void add_detector_options(CLI::App& app, EngineOptions& options) {
    Config& config = options.setup.config;
    const char* group = "Detector";
    app.add_option("--threads", options.threads,
                   "Threads that look for faces; 0: one for each processor")
        ->check(CLI::Range(0, 64))
        ->type_name("COUNT")
        ->group(group);
    const int top = max_frame_side;
    app.add_option("--min-face", config.detector.min_size,
                   "Smallest face in pixels; 0: the detector's window (24)")
        ->check(CLI::Range(0, top))
        ->type_name("PIXELS")
        ->group(group);
    app.add_option("--max-face", config.detector.max_size, "Largest face in pixels; 0: the picture")
        ->check(CLI::Range(0, top))
        ->type_name("PIXELS")
        ->group(group);
    app.add_option("--min-neighbors", config.detector.min_neighbors,
                   "Agreeing windows that make a face; more: fewer false ones")
        ->check(CLI::Range(0, 1000000))
        ->type_name("COUNT")
        ->group(group);
    app.add_option("--scale-factor", config.detector.scale_factor,
                   "Step from one face size to the next; smaller finds more, slower")
        ->check(CLI::Range(1.001, 1e6))
        ->type_name("FACTOR")
        ->group(group);
    app.add_option("--max-width", config.detect_width,
                   "Shrink wider pictures to this width to find faces; 0: never")
        ->check(CLI::Range(0, top))
        ->type_name("PIXELS")
        ->group(group);
}

bool make_folder(const std::string& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (!error || host::is_folder(folder)) return true;
    complain(folder, "cannot make this folder: " + error.message());
    return false;
}

std::span<const Isa> available_isas() {
    static const std::vector<Isa> list = [] {
        std::vector<Isa> found;
        for (const Isa isa : all_isas) {
            if (isa_available(isa)) found.push_back(isa);
        }
        return found;
    }();
    return list;
}

bool find_isa(const std::string& name, Isa& out) {
    out = Isa::best;
    if (name == isa_name(Isa::best)) return true;
    std::string names = isa_name(Isa::best);
    for (const Isa isa : available_isas()) {
        out = isa;
        if (name == isa_name(isa)) return true;
        names += std::string(", ") + isa_name(isa);
    }
    complain("instruction set \"" + name + "\" does not run here; there is " + names);
    return false;
}

std::unique_ptr<host::EngineOwner> open_engine(EngineOptions& options, int& exit_code) {
    exit_code = exit_usage;
    const DetectorOptions& detector = options.setup.config.detector;
    if (detector.max_size > 0 && detector.max_size < detector.min_size) {
        complain("--max-face is smaller than --min-face");
        return nullptr;
    }
    if (!std::isfinite(detector.scale_factor)) {  // which the range check lets through
        complain("--scale-factor is no number");
        return nullptr;
    }
    if (!find_isa(options.isa, options.setup.config.isa)) return nullptr;
    if (options.no_gender) options.setup.gender.use = false;
    if (options.setup.cascade.use && options.threads != 1) {
        options.pool = std::make_unique<ThreadPool>(options.threads);
        options.setup.config.executor = options.pool->executor();
    }
    auto owner = host::EngineOwner::create(options.setup);
    if (!owner) {
        complain(owner.error().text);
        exit_code = exit_code_of(owner.error().kind);
        return nullptr;
    }
    exit_code = exit_done;
    return std::move(*owner);
}

double now_ms() {
    return std::chrono::duration<double, std::milli>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

host::Result<host::Image> load_picture(const std::string& path, bool quiet) {
    const host::ImageLimits limits;
    const auto bytes = host::read_file(path, limits.max_file_bytes);
    if (!bytes) return bytes.error();
    auto decoded = host::decode_image(*bytes, limits);
    if (!decoded) return decoded.error();
    if (!decoded->note.empty() && !quiet && !interrupted()) complain(path, decoded->note);
    return std::move(decoded->image);
}

std::string too_small_for(const host::EngineOwner& engine, int width, int height) {
    const Cascade* const cascade = engine.cascade();
    if (cascade == nullptr ||
        (width >= cascade->window_width() && height >= cascade->window_height()))
        return {};
    return format("too small: %d x %d pixels, the detector's window is %d x %d", width, height,
                  cascade->window_width(), cascade->window_height());
}

}  // namespace mien::cli
