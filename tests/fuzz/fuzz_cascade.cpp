// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as a cascade file; what opens must run.
#include "container_mutator.h"
#include "run_engine.h"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    return mien::fuzz::mutate_container(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    for (const auto& file : {std::vector<std::uint8_t>(data, data + size),
                             mien::fuzz::with_right_checksum(data, size)}) {
        mien::Cascade cascade;
        if (mien::Cascade::open(file, cascade) == mien::Status::ok && cascade.node_count() < 5000)
            mien::fuzz::use(&cascade, nullptr);
    }
    return 0;
}
