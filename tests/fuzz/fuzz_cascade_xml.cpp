// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as the XML of a cascade. What is taken must open as a cascade, and run;
// what is refused has a reason of one line.
#include <cstdlib>

#include "mien/cascade_xml.hpp"
#include "run_engine.h"
#include "xml_mutator.h"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    return mien::fuzz::mutate_xml(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string error;
    const std::vector<std::uint8_t> file = mien::cascade_of_xml({data, size}, "a/b.xml", error);
    if (file.empty() != !error.empty()) std::abort();
    for (const char c : error)
        if (static_cast<unsigned char>(c) < ' ') std::abort();
    if (file.empty()) return 0;
    mien::Cascade cascade;
    if (mien::Cascade::open(file, cascade) != mien::Status::ok) std::abort();
    if (cascade.node_count() < 5000) mien::fuzz::use(&cascade, nullptr);
    return 0;
}
