// SPDX-License-Identifier: MIT
// Runs a fuzz target without libFuzzer: files as they are, so that the corpus is an ordinary test,
// and many changed copies of them, in a build that is fast (tests/fuzz/run.sh volume).
//   replay_TARGET [--count N] [--seconds N] [--seed N] [--max-bytes N] [--crashes FOLDER]
//                 FILE-or-FOLDER...
// Each file is also run cut short at several places, since that is what broken files look like.
// Then N changed copies, by the target's own mutator where it has one. A copy lies between two
// pages that nobody may touch, so that a read beyond its end is seen without a sanitizer. One that
// crashes, or takes longer than 20 s, is written to FOLDER.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" [[gnu::weak]] std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                                             std::size_t max_size, unsigned seed);

namespace {

using File = std::vector<std::uint8_t>;
mien::fuzz::Dice dice;
std::vector<File> files;

void run_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const File bytes{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    for (const int part : {1, 3, 7}) {
        // A copy of the exact size, so that a sanitizer sees any read past the cut.
        const File cut(bytes.begin(),
                       bytes.begin() + static_cast<std::ptrdiff_t>(
                                           bytes.size() * static_cast<std::size_t>(part) / 8));
        LLVMFuzzerTestOneInput(cut.data(), cut.size());
    }
    files.push_back(bytes);
}

struct Settings {
    std::uint64_t count = 0, seconds = 0, seed = 1;
    std::size_t max_bytes = 1 << 14;
    std::string crashes = ".";
};

// The copy that runs, for the handlers of signals.
const std::uint8_t* current = nullptr;
std::size_t current_size = 0;
char crash_path[4096];
volatile std::uint64_t done = 0, seen = ~std::uint64_t{0};
volatile std::sig_atomic_t stopped = 0;

void keep_current() {
    const int file = ::open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return;
    [[maybe_unused]] const auto written = ::write(file, current, current_size);
    ::close(file);
}

void on_crash(int number) {
    keep_current();
    std::signal(number, SIG_DFL);
    std::raise(number);
}

void on_alarm(int) {
    if (done == seen) {
        keep_current();
        [[maybe_unused]] const auto written = ::write(2, "an execution takes 20 s\n", 24);
        ::_exit(1);
    }
    seen = done;
    ::alarm(20);
}

// Memory between two forbidden pages.
class Fenced {
public:
    explicit Fenced(std::size_t room) {
        const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        room_ = (room + page - 1) / page * page;
        void* all = ::mmap(nullptr, room_ + 2 * page, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) std::abort();
        begin_ = static_cast<std::uint8_t*>(all) + page;
        ::mprotect(begin_ - page, page, PROT_NONE);
        ::mprotect(begin_ + room_, page, PROT_NONE);
    }
    // Ends at the page behind, now and then begins at the one before.
    std::uint8_t* place(const std::uint8_t* bytes, std::size_t size, bool first) {
        std::uint8_t* at = first ? begin_ : begin_ + room_ - size;
        std::memcpy(at, bytes, size);
        return at;
    }

private:
    std::uint8_t* begin_;
    std::size_t room_;
};

void run_changed(const Settings& settings) {
    for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
        std::signal(number, on_crash);
    std::signal(SIGALRM, on_alarm);
    for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { stopped = 1; });
    std::snprintf(crash_path, sizeof crash_path, "%s/crash-%llu", settings.crashes.c_str(),
                  static_cast<unsigned long long>(settings.seed));
    ::alarm(20);
    dice.state = settings.seed * 0x9e3779b97f4a7c15u + 1;
    Fenced fenced(settings.max_bytes);
    File work(settings.max_bytes);
    std::size_t size = 0;
    const auto start = std::chrono::steady_clock::now();
    const auto elapsed = [start] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    double last = 0;
    const auto print = [&] {
        struct rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        std::printf("%llu executions, %.0f s, %.0f per second, %ld MiB at most\n",
                    static_cast<unsigned long long>(done), elapsed(),
                    static_cast<double>(done) / std::max(elapsed(), 1e-9), usage.ru_maxrss / 1024);
        std::fflush(stdout);
    };
    while (!stopped && (settings.count == 0 || done < settings.count)) {
        if (done % 256 == 0) {
            const double now = elapsed();
            if (settings.seconds > 0 && now >= static_cast<double>(settings.seconds)) break;
            if (now - last >= 30) {
                print();
                last = now;
            }
        }
        // One in four is a change of the last one, so that changes add up.
        if (done == 0 || dice.below(4) != 0) {
            const File& file = files[dice.below(files.size())];
            size = std::min(file.size(), settings.max_bytes);
            std::copy_n(file.begin(), size, work.begin());
        }
        if (LLVMFuzzerCustomMutator != nullptr)
            size = LLVMFuzzerCustomMutator(work.data(), size, settings.max_bytes,
                                           static_cast<unsigned>(dice()));
        else
            size = mien::fuzz::change_bytes(dice, work.data(), size, settings.max_bytes);
        current = fenced.place(work.data(), size, dice.below(8) == 0);
        current_size = size;
        LLVMFuzzerTestOneInput(current, size);
        done = done + 1;
    }
    ::alarm(0);
    print();
}

}  // namespace

// What mutators call for a change without structure; libFuzzer has its own.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size,
                                        std::size_t max_size) {
    return mien::fuzz::change_bytes(dice, data, size, max_size);
}

int main(int argc, char** argv) {
    Settings settings;
    std::vector<std::filesystem::path> paths;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (!word.starts_with("--") || i + 1 == argc) {
            paths.emplace_back(word);
            continue;
        }
        const std::string value = argv[++i];
        if (word == "--count") settings.count = std::stoull(value);
        if (word == "--seconds") settings.seconds = std::stoull(value);
        if (word == "--seed") settings.seed = std::stoull(value);
        if (word == "--max-bytes") settings.max_bytes = std::stoull(value);
        if (word == "--crashes") settings.crashes = value;
    }
    for (const std::filesystem::path& path : paths) {
        if (!std::filesystem::is_directory(path)) {
            if (std::filesystem::exists(path)) run_file(path);
            continue;
        }
        // sorted, so that a seed means the same everywhere
        std::vector<std::filesystem::path> found;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
            if (entry.is_regular_file()) found.push_back(entry.path());
        std::sort(found.begin(), found.end());
        for (const auto& file : found) run_file(file);
    }
    std::printf("%zu files replayed\n", files.size());
    if (files.empty()) return 1;
    if (settings.count > 0 || settings.seconds > 0) run_changed(settings);
    return 0;
}
