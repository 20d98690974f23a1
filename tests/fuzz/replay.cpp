// SPDX-License-Identifier: MIT
// Runs files through a fuzz target without libFuzzer, so that the corpus is an ordinary test.
//   replay_TARGET FILE-or-FOLDER...
// Each file is also run cut short at several places, since that is what broken files look like.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

int run_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    for (const int part : {1, 3, 7}) {
        // A copy of the exact size, so that a sanitizer sees any read past the cut.
        const std::vector<std::uint8_t> cut(
            bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(
                                               bytes.size() * static_cast<std::size_t>(part) / 8));
        LLVMFuzzerTestOneInput(cut.data(), cut.size());
    }
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    int files = 0;
    for (int i = 1; i < argc; ++i) {
        if (!std::filesystem::is_directory(argv[i])) {
            if (std::filesystem::exists(argv[i])) files += run_file(argv[i]);
            continue;
        }
        for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i]))
            if (entry.is_regular_file()) files += run_file(entry.path());
    }
    std::printf("%d files replayed\n", files);
    return files > 0 ? 0 : 1;
}
