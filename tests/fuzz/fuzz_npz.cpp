// SPDX-License-Identifier: MIT
// Can any bytes make the .npz reader crash, hang or fill the memory? Every array that it gives must
// be as large as its shape says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "host/eval/npz.h"
#include "zip_mutator.h"

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
    return mien::fuzz::mutate_archive(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto file = mien::host::NpzFile::open({data, size});
    if (!file) return 0;
    for (const char* name : {"images", "labels", "jpeg", "offset", "gender", "split"}) {
        if (!file->has(name)) continue;
        const auto array = file->read(name, 1 << 20);
        if (!array) {
            if (array.error().text.empty()) std::abort();
            continue;
        }
        if (array->bytes.size() != array->count() * array->element_bytes()) std::abort();
        if (array->is_integer()) {
            [[maybe_unused]] volatile std::int64_t sink =
                array->count() > 0 ? array->integer(array->count() - 1) : 0;
        }
    }
    return 0;
}
