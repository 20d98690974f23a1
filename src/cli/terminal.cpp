// SPDX-License-Identifier: MIT
#include "cli/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/exit_codes.h"
#include "host/clock.h"
#include "video/address.h"

namespace mien::cli {
namespace {

int stdout_error = 0;
bool progress_shown = false;

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

}  // namespace

std::string printable(std::string_view text) {
    std::string line(text);
    for (std::size_t i = 0; i < line.size(); ++i) {
        const auto byte = static_cast<unsigned char>(line[i]);
        const auto next = i + 1 < line.size() ? static_cast<unsigned char>(line[i + 1]) : 0u;
        if (byte < 32 || byte == 127) line[i] = '?';
        if (byte == 0xc2 && next >= 0x80 && next < 0xa0) line.replace(i, 2, "?");
    }
    return line;
}

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

namespace {

// In a log: a line now and then, the first when a run has lasted that long.
void log_progress(std::string_view text) {
    static const double every_ms = [] {
        const char* const seconds = std::getenv("MIEN_PROGRESS_SECONDS");
        return 1e3 * (seconds != nullptr ? std::strtod(seconds, nullptr) : 30.0);
    }();
    static double last = host::now_ms();
    const double now = host::now_ms();
    if (text.empty() || !(now - last >= every_ms)) return;
    last = now;
    write_all(2, "mien: " + printable(text) + "\n");
}

}  // namespace

void show_progress(std::string_view text) {
    if (!is_terminal(2)) return log_progress(text);
    if (text.empty() && !progress_shown) return;
    write_all(2, "\r\033[K" + std::string(text));
    progress_shown = !text.empty();
}

void complain(std::string_view text) {
    show_progress("");
    // Whatever argument is in it: a line on a terminal or in a log is no place for a password.
    write_all(2, "mien: " + printable(video::without_credentials(text)) + "\n");
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

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

bool use_color() {
    const char* no_color = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    return is_terminal(1) && (no_color == nullptr || *no_color == '\0') &&
           (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

}  // namespace mien::cli
