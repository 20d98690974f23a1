// SPDX-License-Identifier: MIT
#include "cli/manual.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "cli/exit_codes.h"
#include "cli/files.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "host/files/file_io.h"
#include "mien/mien.hpp"

namespace mien::cli {
namespace {

std::string replaced(std::string text, std::string_view what, std::string_view by) {
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
        text.replace(at, what.size(), by);
    return text;
}

// ---- manual pages -----------------------------------------------------------------------------

// Text for roff: hyphens that stay hyphens, and no line that looks like a request.
std::string roff(const std::string& text) {
    std::string out;
    bool line_begins = true;
    for (const char c : text) {
        if (line_begins && (c == '.' || c == '\'')) out += "\\&";
        line_begins = c == '\n';
        out += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
    }
    return out;
}

// A line of text as it is, without its end.
std::string paragraph(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return roff(text) + "\n";
}

std::string header(const std::string& title) {
    return ".TH " + replaced(title, "-", "\\-") + " 1 \"\" \"mien " + version() +
           "\" \"mien manual\"\n";
}

std::string argument(const OptionText& option) {
    const std::string name = "\\fI" + roff(option.value) + "\\fR";
    return option.is_required ? name : "[" + name + "]";
}

std::string option_entry(const OptionText& option) {
    std::string names;
    for (const std::string* name : {&option.short_name, &option.long_name}) {
        if (name->empty()) continue;
        names += (names.empty() ? "" : ", ") + ("\\fB" + roff(*name) + "\\fR");
    }
    if (!option.value.empty())
        names += (names.empty() ? "" : " ") + ("\\fI" + roff(option.value) + "\\fR");
    names += roff(option.optional_value);
    std::string text = replaced(option.description, "\n", " ");
    if (!option.standard.empty()) text += " (default " + option.standard + ")";
    std::string choices;
    for (const std::string& choice : option.choices)
        choices += (choices.empty() ? "One of " : ", ") + choice;
    if (!choices.empty()) text += ". " + choices + ".";
    return ".TP\n" + names + "\n" + paragraph(text);
}

std::string exit_status() { return ".SH EXIT STATUS\n" + paragraph(exit_code_help); }

// ---- completions ------------------------------------------------------------------------------

// For '...' of a shell.
std::string quoted(const std::string& text) { return "'" + replaced(text, "'", "'\\''") + "'"; }

std::string first_sentence(const std::string& description) {
    std::string line = replaced(description, "\n", " ");
    for (const char* end : {"; ", ": ", " ("})
        if (const std::size_t at = line.find(end); at != std::string::npos && at > 12)
            line.resize(at);
    return line;
}

std::string names_of(const VerbText& verb) {
    std::string words;
    for (const OptionText& option : verb.options)
        for (const std::string* name : {&option.long_name, &option.short_name})
            if (!name->empty()) words += (words.empty() ? "" : " ") + *name;
    return words;
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : separator) + word;
    return all;
}

// What an argument of the verb may be; empty: anything.
std::string argument_choices(const VerbText& verb) {
    for (const OptionText& option : verb.options)
        if (option.is_argument() && !option.choices.empty()) return joined(option.choices, " ");
    return {};
}

std::string either(const OptionText& option) {  // "--out|-o", as a pattern of bash's case
    return option.short_name.empty()  ? option.long_name
           : option.long_name.empty() ? option.short_name
                                      : option.long_name + "|" + option.short_name;
}

int write_all(const std::string& folder, const std::vector<VerbText>& verbs) {
    std::vector<std::pair<std::string, std::string>> files = {
        {"man1/mien.1", manual_page(verbs)},
        {"mien", bash_completion(verbs)},
        {"_mien", zsh_completion(verbs)},
        {"mien.fish", fish_completion(verbs)},
    };
    for (const VerbText& verb : verbs)
        files.emplace_back("man1/mien-" + verb.name + ".1", manual_page(verb));
    if (!make_folder(folder + "/man1")) return exit_output;
    for (const auto& [name, text] : files) {
        const std::string path = folder + "/" + name;
        const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text.data());
        if (const host::Result<> done =
                host::write_file(path, {bytes, text.size()}, host::Overwrite::yes);
            !done)
            return complain(path, done.error());
    }
    return exit_done;
}

}  // namespace

bool OptionText::takes_path() const {
    for (const char* word : {"FILE", "FOLDER", "PATH", "PHOTO", "DATA", "FILM", "DEVICE"})
        if (value.find(word) != std::string::npos) return true;
    return false;
}

bool OptionText::takes_folder() const { return value.starts_with("FOLDER"); }

std::string manual_page(const VerbText& verb) {
    std::string upper = verb.name;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    std::string page = header("MIEN-" + upper);
    page += ".SH NAME\nmien\\-" + verb.name + " \\- " + roff(verb.summary) + "\n.SH SYNOPSIS\n";
    page += "\\fBmien " + verb.name + "\\fR [\\fIOPTIONS\\fR]";
    for (const OptionText& option : verb.options)
        if (option.is_argument()) page += " " + argument(option);
    page += "\n.SH DESCRIPTION\n" + paragraph(verb.description);
    for (const OptionText& option : verb.options)
        if (option.is_argument()) page += option_entry(option);
    page += ".SH OPTIONS\n";
    std::string group;
    for (const OptionText& option : verb.options) {
        if (option.is_argument()) continue;
        const std::string now = option.group == "Options" ? "" : option.group;
        if (now != group && !now.empty()) page += ".SS " + roff(now) + "\n";
        group = now;
        page += option_entry(option);
    }
    return page + exit_status() + ".SH SEE ALSO\n.BR mien (1)\n";
}

std::string manual_page(const std::vector<VerbText>& verbs) {
    std::string page = header("MIEN");
    page += ".SH NAME\nmien \\- find faces in images, read expression, gender and age\n";
    page += ".SH SYNOPSIS\n\\fBmien\\fR \\fIVERB\\fR [\\fIOPTIONS\\fR]\n.SH VERBS\n";
    for (const VerbText& verb : verbs)
        page += ".TP\n\\fB" + verb.name + "\\fR\n" + paragraph(verb.summary);
    page += ".SH OPTIONS\n.TP\n\\fB\\-\\-help\\fR\nShow the verbs\n.TP\n\\fB\\-\\-version\\fR\n";
    page += "Show version, instruction set, compiler, weights and JPEG decoder\n" + exit_status();
    page += ".SH SEE ALSO\n";
    for (std::size_t i = 0; i < verbs.size(); ++i)
        page += ".BR mien\\-" + verbs[i].name + " (1)" + (i + 1 < verbs.size() ? "," : "") + "\n";
    return page;
}

std::string bash_completion(const std::vector<VerbText>& verbs) {
    std::string names;
    for (const VerbText& verb : verbs) names += (names.empty() ? "" : " ") + verb.name;
    std::string script =
        "# bash completion for mien; made by `mien completion bash`\n"
        "_mien() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "    local options= values= arguments= kind=\n"
        "    COMPREPLY=()\n"
        "    # --style=em comes as three words\n"
        "    if [ \"$word\" = = ]; then\n"
        "        word=\n"
        "    elif [ \"$before\" = = ]; then\n"
        "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "    fi\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
        "        COMPREPLY=($(compgen -W " +
        quoted(names + " --help --version") +
        " -- \"$word\"))\n"
        "        return\n"
        "    fi\n"
        "    case ${COMP_WORDS[1]} in\n";
    for (const VerbText& verb : verbs) {
        script += "        " + verb.name + ")\n            options=" + quoted(names_of(verb)) +
                  "\n            case $before in\n";
        for (const OptionText& option : verb.options) {
            if (option.is_argument() || option.value.empty()) continue;
            const std::string set = !option.choices.empty()
                                        ? "values=" + quoted(joined(option.choices, " "))
                                    : option.takes_folder() ? "kind=folder"
                                    : option.takes_path()   ? "kind=file"
                                                            : "kind=none";
            script += "                " + either(option) + ") " + set + " ;;\n";
        }
        script += "            esac\n";
        if (const std::string choices = argument_choices(verb); !choices.empty())
            script += "            arguments=" + quoted(choices) + "\n";
        script += "            ;;\n";
    }
    return script +
           "    esac\n"
           "    if [ -n \"$values\" ]; then\n"
           "        COMPREPLY=($(compgen -W \"$values\" -- \"$word\"))\n"
           "    elif [ \"$kind\" = folder ]; then\n"
           "        compopt +o bashdefault +o default -o filenames 2>/dev/null\n"
           "        mapfile -t COMPREPLY < <(compgen -d -- \"$word\")\n"
           "    elif [ \"$kind\" = none ]; then\n"
           "        compopt +o bashdefault +o default 2>/dev/null\n"
           "    elif [ \"$kind\" = file ]; then\n"
           "        :\n"
           "    elif [[ $word == -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
           "    elif [ -n \"$arguments\" ] && [ \"$COMP_CWORD\" -eq 2 ]; then\n"
           "        COMPREPLY=($(compgen -W \"$arguments\" -- \"$word\"))\n"
           "    fi\n"
           "}\n"
           "complete -o bashdefault -o default -F _mien mien\n";
}

// What may be the value, as _arguments has it; a space: nothing is offered.
std::string zsh_action(const OptionText& option) {
    return !option.choices.empty() ? "(" + joined(option.choices, " ") + ")"
           : option.takes_folder() ? "_files -/"
           : option.takes_path()   ? "_files"
                                   : " ";
}

std::string zsh_completion(const std::vector<VerbText>& verbs) {
    // In a specification of _arguments brackets and colons have a meaning.
    const auto plain = [](const std::string& text) {
        std::string out;
        for (const char c : text) {
            if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
            out += c;
        }
        return out;
    };
    std::string script =
        "#compdef mien\n# zsh completion for mien; made by `mien completion zsh`\n"
        "local -a verbs\nverbs=(\n";
    for (const VerbText& verb : verbs)
        script += "    " + quoted(verb.name + ":" + plain(verb.summary)) + "\n";
    script +=
        ")\nif (( CURRENT == 2 )); then\n    _describe verb verbs\n    return\nfi\n"
        "local verb=${words[2]}\nshift words\n(( CURRENT-- ))\ncase $verb in\n";
    for (const VerbText& verb : verbs) {
        script += "    " + verb.name + ")\n        _arguments";
        std::string arguments;
        for (const OptionText& option : verb.options) {
            if (option.is_argument()) {
                const bool many = option.value.ends_with("...");
                arguments +=
                    " \\\n            " +
                    quoted((many ? "*:" : "1:") + plain(option.value) + ":" + zsh_action(option));
            }
            // "=-": only in the same word; "::": may be left out.
            const std::string may_take = option.optional_value.empty() ? "" : "::NAME:";
            const std::string takes =
                option.value.empty() ? "" : ":" + plain(option.value) + ":" + zsh_action(option);
            for (const std::string* name : {&option.long_name, &option.short_name})
                if (!name->empty())
                    script +=
                        " \\\n            " +
                        quoted(*name + (may_take.empty() ? "" : "=-") + "[" +
                               plain(first_sentence(option.description)) + "]" + may_take + takes);
        }
        script += arguments + "\n        ;;\n";
    }
    return script + "esac\n";
}

std::string fish_completion(const std::vector<VerbText>& verbs) {
    std::string script =
        "# fish completion for mien; made by `mien completion fish`\n"
        "complete -c mien -n __fish_use_subcommand -f\n";
    for (const VerbText& verb : verbs)
        script += "complete -c mien -n __fish_use_subcommand -a " + verb.name + " -d " +
                  quoted(verb.summary) + "\n";
    for (const VerbText& verb : verbs) {
        const std::string choices = argument_choices(verb);
        const bool has_files = std::any_of(
            verb.options.begin(), verb.options.end(),
            [](const OptionText& option) { return option.is_argument() && option.takes_path(); });
        if (!has_files)
            script += "complete -c mien -n '__fish_seen_subcommand_from " + verb.name + "' -f" +
                      (choices.empty() ? "" : " -a " + quoted(choices)) + "\n";
        for (const OptionText& option : verb.options) {
            if (option.is_argument()) continue;
            script += "complete -c mien -n '__fish_seen_subcommand_from " + verb.name + "'";
            if (!option.long_name.empty()) script += " -l " + option.long_name.substr(2);
            if (!option.short_name.empty()) script += " -s " + option.short_name.substr(1);
            if (option.takes_folder())
                script += " -x -a '(__fish_complete_directories)'";
            else if (!option.value.empty())
                script += option.takes_path() ? " -r -F" : " -x";
            if (!option.choices.empty()) script += " -a " + quoted(joined(option.choices, " "));
            script += " -d " + quoted(first_sentence(option.description)) + "\n";
        }
    }
    return script;
}

int run_manual(int argc, char** argv, const std::vector<std::string>& names,
               DescribeVerbs describe) {
    CLI::App app(
        "Prints the manual page of mien or of a verb, for man: mien manual image | man -l -\n");
    style_app(app, "manual");
    std::string verb, folder;
    // Completions offer the names; a wrong one is answered below, with the nearest.
    app.add_option("VERB", verb, "Its page; default: the one that names the verbs")
        ->type_name(":{" + joined(names, ",") + "}");
    app.add_option(
           "--all", folder,
           "Write all pages (man1/) and completions (mien, _mien, mien.fish) to this folder")
        ->type_name("FOLDER");
    int code = exit_done;
    if (!parse_options(app, argc, argv, code)) return code;
    const std::vector<VerbText> verbs = describe();
    if (!folder.empty()) return write_all(folder, verbs);
    if (verb.empty()) {
        print(manual_page(verbs));
        return output_exit_code();
    }
    for (const VerbText& text : verbs) {
        if (text.name != verb) continue;
        print(manual_page(text));
        return output_exit_code();
    }
    const std::string near = nearest(verb, names);
    complain("unknown verb " + verb + (near.empty() ? "" : ", did you mean " + near + "?") +
             "; `mien --help` shows the verbs");
    return exit_usage;
}

int run_completion(int argc, char** argv, DescribeVerbs describe) {
    CLI::App app(
        "Prints what a shell needs to complete verbs, options and their values.\n"
        "For this shell alone: source <(mien completion bash)\n");
    style_app(app, "completion");
    std::string shell;
    app.add_option("SHELL", shell, "bash, zsh or fish")
        ->check(CLI::IsMember({"bash", "zsh", "fish"}))
        ->type_name("")
        ->required();
    int code = exit_done;
    if (!parse_options(app, argc, argv, code)) return code;
    const std::vector<VerbText> verbs = describe();
    print(shell == "bash"  ? bash_completion(verbs)
          : shell == "zsh" ? zsh_completion(verbs)
                           : fish_completion(verbs));
    return output_exit_code();
}

}  // namespace mien::cli
