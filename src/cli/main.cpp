// SPDX-License-Identifier: MIT
// The program `mien`: chooses the verb. Each verb reads its own options (verb_*.cpp); nothing else
// happens at start-up.
#include <csignal>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "cli/compiler.h"
#include "cli/exit_codes.h"
#include "cli/manual.h"
#include "cli/mqtt_output.h"
#include "cli/options.h"
#include "cli/ros2_output.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "host/codec/image_header.h"
#include "host/weights/embedded_weights.h"
#include "host/weights/engine_owner.h"
#include "mien/mien.hpp"

namespace {

using namespace mien;

struct Verb {
    const char* name;
    int (*run)(int argc, char** argv);
    const char* summary;  // stands alone: as the name of a manual page, in a shell's list
};
int run_manual(int argc, char** argv);
int run_completion(int argc, char** argv);
constexpr Verb verbs[] = {
    {"image", cli::run_image, "find every face in images, read expression, gender and age"},
    {"classify", cli::run_classify, "read images that are one face each, already cut out"},
    {"camera", cli::run_camera, "read the faces in front of a camera, live"},
    {"video", cli::run_video,
     "read the faces of films, numbered images, pipes and network cameras"},
    {"serve", cli::run_serve, "find and read faces as a web service, with a page"},
    {"explain", cli::run_explain, "show which parts of a face led to the answer"},
    {"info", cli::run_info, "print what a weights file contains"},
    {"verify", cli::run_verify, "replay the test vectors inside a weights file"},
    {"eval", cli::run_eval, "measure a network on labeled faces"},
    {"report", cli::run_report,
     "measure a network, and write a page with mistakes, their maps, groups"},
    {"bench", cli::run_bench, "measure each step on this machine"},
    {"manual", run_manual, "print a manual page"},
    {"completion", run_completion, "print what a shell needs to complete verbs and options"},
};

std::vector<std::string> verb_names() {
    std::vector<std::string> names;
    for (const Verb& verb : verbs) names.emplace_back(verb.name);
    return names;
}

std::vector<cli::VerbText> described_verbs() {
    std::vector<cli::VerbText> all;
    for (const Verb& verb : verbs)
        all.push_back(cli::describe_verb(verb.name, verb.summary, verb.run));
    return all;
}

int run_manual(int argc, char** argv) {
    return cli::run_manual(argc, argv, verb_names(), described_verbs);
}
int run_completion(int argc, char** argv) {
    return cli::run_completion(argc, argv, described_verbs);
}

std::string help_text() {
    std::string text =
        "mien finds faces in images and reads their expression, gender and age.\n\nUsage: mien "
        "VERB "
        "[OPTIONS]\n\n";
    for (const Verb& verb : verbs) text += "  " + cli::padded(verb.name, 12) + verb.summary + "\n";
    text +=
        "\n  mien VERB --help   options of a verb, with their defaults\n  mien --version     "
        "version, instruction set, compiler, weights, image formats\n\n";
    text += "For example: mien image photo.jpg --out result.png\n\n";
    return text + cli::exit_code_help;
}

template <class View>
std::string embedded_name(std::span<const std::uint8_t> bytes) {
    View view;
    const Status status = View::open(bytes, view);
    return status == Status::ok ? host::weights_name(view.meta())
                                : std::string("unusable: ") + message(status);
}

std::string format_lines() {
    std::string text = "images        " + host::image_format_names() + "\n";
    for (const host::ImageFormatInfo& format : host::image_formats())
        if (!format.library.empty()) text += cli::padded(format.name, 14) + format.library + "\n";
    return text;
}

std::string version_text() {
    std::string networks;
    for (const Head head : named_heads) {
        const auto bytes = host::embedded_network(head);
        if (!bytes.empty())
            networks +=
                cli::padded(host::head_title(head), 14) + embedded_name<Model>(bytes) + "\n";
    }
    return std::string("mien ") + version() + "\ninstructions  " +
           isa_name(resolve_isa(Isa::best)) + "\ncompiler      " + cli::compiler_name() +
           "\ndetector      " + embedded_name<Model>(host::embedded_detector()) +
           "\ncascade       " + embedded_name<Cascade>(host::embedded_cascade()) + "\n" + networks +
           format_lines() + "MQTT          " + cli::mqtt_library() + "\nROS 2         " +
           cli::ros2_library() + "\n";
}

int say(const std::string& text) {
    cli::print(text);
    return cli::output_exit_code();
}

// What other programs call it.
constexpr std::pair<const char*, const char*> first_words_elsewhere[] = {
    {"man", "manual"},   {"webcam", "camera"}, {"server", "serve"},
    {"-v", "--version"}, {"-?", "--help"},     {"film", "video"},
    {"photo", "image"},  {"detect", "image"},  {"benchmark", "bench"},
};

int unknown_verb(const std::string& word) {
    std::vector<std::string> names = verb_names();
    for (const char* option : {"--help", "--version"}) names.emplace_back(option);
    std::string near;
    for (const auto& [theirs, ours] : first_words_elsewhere)
        if (word == theirs) near = ours;
    if (near.empty()) near = cli::nearest(word, names);
    const std::string what = word[0] == '-' ? "unknown option " : "unknown verb ";
    cli::complain(what + word + (near.empty() ? "" : ", did you mean " + near + "?") +
                  "; `mien --help` shows the verbs");
    return cli::exit_usage;
}

int run(int argc, char** argv) {
    if (argc < 2) {
        std::string names;
        for (const std::string& name : verb_names()) names += (names.empty() ? "" : ", ") + name;
        cli::complain("a verb is missing: " + names + "; `mien --help` says what they do");
        return cli::exit_usage;
    }
    cli::know_verbs(described_verbs);
    const std::string word = argv[1];
    for (const Verb& verb : verbs) {
        if (word == verb.name) return verb.run(argc - 1, argv + 1);
    }
    if (word == "--version" || word == "-V" || word == "version") return say(version_text());
    if (word == "--help" || word == "-h") return say(help_text());
    if (word == "help") {
        if (argc == 2) return say(help_text());
        char option[] = "--help";
        char* help_arguments[] = {argv[2], option, nullptr};
        for (const Verb& verb : verbs) {
            if (std::string(argv[2]) == verb.name) return verb.run(2, help_arguments);
        }
        return unknown_verb(argv[2]);
    }
    return word.empty() ? unknown_verb("\"\"") : unknown_verb(word);
}

}  // namespace

int main(int argc, char** argv) {
    // a closed pipe is noticed by print(), which lets files be finished
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {  // std::bad_alloc is the only exception expected here
        cli::complain("internal error: " + std::string(error.what()));
        return cli::exit_output;
    }
}
