// SPDX-License-Identifier: MIT
#include "cli/options.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/exit_codes.h"
#include "cli/terminal.h"

namespace mien::cli {
namespace {

// Steps (insert, delete, change, swap of neighbors) from one word to the other.
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

// First remaining word that looks like an option; a lone "-" does not, and nothing does behind "--".
std::string unknown_option(const CLI::App& app) {
    for (const std::string& word : app.remaining()) {
        if (word == "--") break;
        if (word.size() > 1 && word[0] == '-') return word.substr(0, word.find('='));
    }
    return {};
}

// The library appends the allowed values to the name of the type: "NAME:INT in [0 - 9]",
// "NAME:{a,b}". A name may itself have a colon: "[ADDRESS:]PORT".
std::string type_word(const CLI::Option* option) {
    const std::string all = option->get_type_name();
    std::size_t end = all.size();
    for (const char* appended : {":{", ":INT in [", ":UINT in [", ":FLOAT in ["})
        end = std::min(end, all.find(appended));
    return all.substr(0, end);
}

std::vector<std::string> choices_of(const CLI::Option* option) {
    const std::string all = option->get_type_name();
    const std::size_t from = all.rfind(":{"), to = all.rfind('}');
    if (from == std::string::npos || to == std::string::npos || to < from) return {};
    return CLI::detail::split(all.substr(from + 2, to - from - 2), ',');
}

// The default, where it is worth telling.
std::string standard_of(const CLI::Option* option) {
    return option->get_type_size() != 0 && !option->get_positional() ? option->get_default_str()
                                                                     : "";
}

// A flag that may have a value: "--ros2{/mien}" in the library's notation.
bool may_have_value(const CLI::Option* option) {
    return option->get_name(false, true).find('{') != std::string::npos;
}
constexpr const char* optional_value = "[=NAME]";

constexpr std::size_t help_width = 100, name_width = 26;

// Words of `text` in lines of at most `width` letters, where no word is longer.
std::string wrapped(const std::string& text, std::size_t width, const std::string& indent = "") {
    std::string out, line;
    for (const std::string& word : CLI::detail::split(text, ' ')) {
        if (!line.empty() && line.size() + 1 + word.size() > width) {
            out += line + "\n" + indent;
            line.clear();
        }
        line += (line.empty() ? "" : " ") + word;
    }
    return out + line;
}

// The text of a verb: a line that ends within a sentence goes on in the next one, indented lines are
// examples and stay.
std::string wrapped_lines(const std::string& text) {
    std::vector<std::string> lines;
    const auto goes_on = [](const std::string& line) {
        return !line.empty() && line[0] != ' ' && line.back() != '.' && line.back() != ':';
    };
    for (const std::string& line : CLI::detail::split(text, '\n')) {
        if (!lines.empty() && !line.empty() && line[0] != ' ' && goes_on(lines.back()))
            lines.back() += " " + line;
        else
            lines.push_back(line);
    }
    std::string out;
    for (const std::string& line : lines)
        out += (line.empty() || line[0] == ' ' ? line : wrapped(line, help_width)) + "\n";
    return out;
}

// "--min-face PIXELS (default 0)" instead of the library's notation for types, ranges and sets.
class HelpFormatter : public CLI::Formatter {
public:
    std::string make_description(const CLI::App* app) const override {
        return wrapped_lines(app->get_description()) + "\n";
    }
    std::string make_option(const CLI::Option* option, bool is_positional) const override {
        std::string name =
            "  " + make_option_name(option, is_positional) + make_option_opts(option);
        std::string text = make_option_desc(option);
        std::replace(text.begin(), text.end(), '\n', ' ');
        const std::string indent(name_width, ' ');
        if (name.size() >= name_width)
            name += "\n" + indent;
        else
            name.resize(name_width, ' ');
        return name + wrapped(text, help_width - name_width, indent) + "\n";
    }
    std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
        std::string name = CLI::Formatter::make_option_name(option, is_positional);
        const std::size_t begin = name.find('{'), end = name.find('}');
        if (begin != std::string::npos && end != std::string::npos)
            name.replace(begin, end + 1 - begin, optional_value);
        return name;
    }
    std::string make_option_opts(const CLI::Option* option) const override {
        std::string text;
        if (option->get_type_size() != 0 && !option->get_positional() && !may_have_value(option))
            text += " " + type_word(option);
        return text;
    }
    std::string make_option_desc(const CLI::Option* option) const override {
        const std::string standard = standard_of(option);
        return option->get_description() + (standard.empty() ? "" : " (default " + standard + ")");
    }
};

VerbText* described = nullptr;  // while describe_verb() waits for parse_options()

void describe(const CLI::App& app, VerbText& out) {
    out.description = app.get_description();
    for (const CLI::Option* option : app.get_options()) {
        OptionText text;
        if (!option->get_snames().empty()) text.short_name = "-" + option->get_snames().front();
        if (!option->get_lnames().empty()) text.long_name = "--" + option->get_lnames().front();
        if (option->get_positional())
            text.value = option->get_name() + (option->get_expected_max() > 1 ? "..." : "");
        else if (may_have_value(option))
            text.optional_value = optional_value;
        else if (option->get_type_size() != 0)
            text.value = type_word(option);
        text.is_required = option->get_required();
        text.description = option->get_description();
        text.standard = standard_of(option);
        text.group = option->get_group();
        text.choices = choices_of(option);
        if (!text.group.empty()) out.options.push_back(std::move(text));  // else it is hidden
    }
    // As --help shows them: options of a group together.
    std::vector<std::string> groups;
    for (const OptionText& option : out.options)
        if (std::find(groups.begin(), groups.end(), option.group) == groups.end())
            groups.push_back(option.group);
    const auto place = [&groups](const OptionText& option) {
        return std::find(groups.begin(), groups.end(), option.group) - groups.begin();
    };
    std::stable_sort(out.options.begin(), out.options.end(),
                     [&](const OptionText& a, const OptionText& b) { return place(a) < place(b); });
}

// The library's text, with the program's name and one empty line (not two) before a group.
std::string help_text(const CLI::App& app) {
    std::string help = app.help();
    const std::string usage = "Usage: " + app.get_name();
    if (const std::size_t at = help.find(usage); at != std::string::npos)
        help.insert(at + 7, "mien ");
    for (std::size_t at = 0; (at = help.find("\n\n\n", at)) != std::string::npos;)
        help.erase(at, 1);
    return help;
}

int usage_error(const CLI::App& app, const std::string& text) {
    complain(text + "; `mien " + app.get_name() + " --help` shows the options");
    return exit_usage;
}

// The library's "--every: Value abc not in range 0.000000 to 1000000.000000" as "--every: abc is no
// number from 0 to 1000000"; other texts as they are.
std::string in_plain_words(const std::string& text) {
    constexpr std::string_view value = ": Value ", range = " not in range ", to = " to ";
    const std::size_t name = text.find(value), limits = text.find(range),
                      upper = text.find(to, std::min(limits, text.size()));
    if (name != std::string::npos && limits != std::string::npos && upper != std::string::npos) {
        const std::size_t from = name + value.size();
        return text.substr(0, name) + ": " + text.substr(from, limits - from) +
               " is no number from " +
               format("%.10g to %.10g", std::strtod(text.c_str() + limits + range.size(), nullptr),
                      std::strtod(text.c_str() + upper + to.size(), nullptr));
    }
    // "--style: blue not in {gender,emotion}"
    constexpr std::string_view none_of = " not in {";
    if (const std::size_t at = text.find(none_of); at != std::string::npos && text.ends_with('}')) {
        std::string choices;
        for (const char c : text.substr(at + none_of.size()))
            choices += c == ',' ? ", " : c == '}' ? "" : std::string(1, c);
        return text.substr(0, at) + " is none of " + choices;
    }
    if (text.find(" required ") != std::string::npos && text.ends_with(" missing"))
        return text.substr(0, text.find(": ")) + ": a value is missing";
    return text;
}

// What other programs call it, and our option, where the verb has it.
constexpr std::pair<const char*, const char*> others_call_it[] = {
    {"--port", "--listen"},         {"--host", "--listen"},
    {"--bind", "--listen"},         {"--output", "--out"},
    {"--output", "--record"},       {"--out", "--record"},
    {"--threshold", "--min-score"}, {"--confidence", "--min-confidence"},
    {"--conf", "--min-confidence"}, {"--device", "--camera"},
    {"--resolution", "--size"},     {"--port", "--mjpeg"},
};

DescribeVerbs describe_all = nullptr;

// "camera and video": the verbs that have an option of this name.
std::string verbs_with(const std::string& option) {
    std::vector<std::string> names;
    for (const VerbText& verb : describe_all != nullptr ? describe_all() : std::vector<VerbText>{})
        if (std::any_of(verb.options.begin(), verb.options.end(), [&](const OptionText& text) {
                return text.long_name == option || text.short_name == option;
            }))
            names.push_back(verb.name);
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i)
        text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " and ") + names[i];
    return text;
}

int report_unknown_option(const CLI::App& app, const std::string& word) {
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
    std::string near;
    for (const auto& [theirs, ours] : others_call_it) {
        if (near.empty() && word == theirs &&
            std::find(known.begin(), known.end(), ours) != known.end())
            near = ours;
    }
    if (near.empty()) {
        if (const std::string others = verbs_with(word); !others.empty())
            return usage_error(app, "unknown option " + word + ", an option of " + others);
        near = nearest(word, known);
    }
    return usage_error(
        app, "unknown option " + word + (near.empty() ? "" : ", did you mean " + near + "?"));
}

// A word behind an option whose value needs an equals sign; empty if there is none. Of those that may
// be an argument, such as a device, only if `any` of them counts.
std::string value_apart(const CLI::App& app, int argc, char** argv, bool any) {
    const auto is_name = [](const char* word) {
        std::error_code error;
        return std::strpbrk(word, "/.:") == nullptr &&
               std::isalpha(static_cast<unsigned char>(word[0])) != 0 &&
               !std::filesystem::exists(word, error);
    };
    for (int i = 1; i + 1 < argc && std::strcmp(argv[i], "--") != 0; ++i) {
        const CLI::Option* const option = app.get_option_no_throw(argv[i]);
        const char* const word = argv[i + 1];
        if (option == nullptr || !may_have_value(option) || word[0] == '-') continue;
        if (!any && !is_name(word)) continue;
        const std::string name = argv[i];
        return "a value of " + name + " needs an equals sign: " + name + "=" + word;
    }
    return {};
}

}  // namespace

void know_verbs(DescribeVerbs describe) { describe_all = describe; }

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
    std::string best;
    // At most a third of the letters wrong (two of five), or three and more that begin exactly one
    // word.
    const std::size_t letters = word.size() - std::min(word.size(), word.find_first_not_of('-'));
    std::size_t best_distance = (letters + 1) / 3 + 1;
    const auto begins = [word](const std::string& candidate) {
        return candidate.compare(0, word.size(), word) == 0;
    };
    const bool is_prefix =
        letters >= 3 && std::count_if(candidates.begin(), candidates.end(), begins) == 1;
    for (const std::string& candidate : candidates) {
        const std::size_t distance =
            is_prefix && begins(candidate) ? 1 : edit_distance(word, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

void style_app(CLI::App& app, const std::string& verb) {
    app.name(verb);
    app.footer(exit_code_help);
    app.formatter(std::make_shared<HelpFormatter>());
    app.set_help_flag("-h,--help", "Show this text");
    app.allow_extras();  // so that an unknown option can be answered with the nearest one
    app.option_defaults()->always_capture_default();
}

VerbText describe_verb(const char* name, const char* summary, int (*run)(int argc, char** argv)) {
    VerbText text;
    text.name = name;
    text.summary = summary;
    std::string word = name;
    char* argv[] = {word.data(), nullptr};
    described = &text;
    run(1, argv);
    described = nullptr;
    return text;
}

int run_left_out(const char* verb, const char* how) {
    const std::string text = std::string("this mien was built without it (") + how + ")";
    if (described != nullptr)
        described->description = text + "\n";
    else
        complain(std::string(verb) + ": " + text);
    return exit_usage;
}

bool parse_options(CLI::App& app, int argc, char** argv, int& exit_code) {
    if (described != nullptr) {
        describe(app, *described);
        return false;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        print(help_text(app));
        exit_code = output_exit_code();
        return false;
    } catch (const CLI::ParseError& error) {
        const std::string unknown = unknown_option(app);
        exit_code = unknown.empty() ? usage_error(app, in_plain_words(error.what()))
                                    : report_unknown_option(app, unknown);
        return false;
    }
    const std::string unknown = unknown_option(app);
    if (!unknown.empty()) {
        exit_code = report_unknown_option(app, unknown);
        return false;
    }
    std::vector<std::string> rest = app.remaining();
    if (const auto end = std::find(rest.begin(), rest.end(), "--"); end != rest.end())
        rest.erase(end);
    if (!rest.empty()) {
        const std::string hint = value_apart(app, argc, argv, true);
        exit_code = usage_error(
            app, "too many arguments: " + rest.front() + (hint.empty() ? "" : "; " + hint));
        return false;
    }
    if (const std::string hint = value_apart(app, argc, argv, false); !hint.empty()) {
        exit_code = usage_error(app, hint);
        return false;
    }
    return true;
}

void hide_credentials(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        char* const begin = std::strstr(argv[i], "://");
        char* const at = begin != nullptr ? std::strrchr(begin, '@') : nullptr;
        if (at != nullptr) std::memset(begin + 3, '*', static_cast<std::size_t>(at - begin - 3));
    }
}

}  // namespace mien::cli
