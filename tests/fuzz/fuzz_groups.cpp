// SPDX-License-Identifier: MIT
// Can any bytes make the reader of tables of groups crash or lose a field? Every line that it takes
// has a value for each property.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "report/groups.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto table = mien::report::GroupTable::parse({data, size});
    if (!table) {
        if (table.error().text.empty()) std::abort();
        return 0;
    }
    if (table->properties().empty()) std::abort();
    for (const char* name : {"a.png", "x/a.png", "row 0", "row 7", ""}) {
        const auto* values = table->find(name);
        if (values != nullptr && values->size() != table->properties().size()) std::abort();
    }
    return 0;
}
