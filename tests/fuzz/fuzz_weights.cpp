// SPDX-License-Identifier: MIT
// Fuzz target: any bytes as a network file; what opens must run.
#include "../../src/nn/model_file.h"
#include "container_mutator.h"
#include "run_engine.h"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    return mien::fuzz::mutate_container(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    for (const auto& file : {std::vector<std::uint8_t>(data, data + size),
                             mien::fuzz::with_right_checksum(data, size)}) {
        mien::Model model;
        if (mien::Model::open(file, model) != mien::Status::ok) continue;
        std::uint64_t macs = 0;
        for (int i = 0; i < model.layer_count(); ++i)
            macs += mien::ModelAccess{model}.mac_count(mien::layer_view(model, i));
        // huge networks are legal, but not for a fuzzer
        if (macs < 50'000'000) mien::fuzz::use(nullptr, &model);
    }
    return 0;
}
