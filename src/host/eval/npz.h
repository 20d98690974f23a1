// SPDX-License-Identifier: MIT
// The arrays of a NumPy .npz file, read from its bytes in memory: a ZIP archive of .npy files,
// stored or deflated. Only plain arrays in C order of the types below; everything else is refused
// with a reason. Nothing is unpacked before it is asked for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/files/file_io.h"
#include "host/files/result.h"

namespace mien::host {

struct NpzArray {
    std::string type;  // as NumPy writes it: "|u1", "<i8", "<U24", ...
    std::vector<std::size_t> shape;
    ByteVector bytes;  // little endian, last dimension fastest

    std::size_t count() const;
    std::size_t element_bytes() const { return count() == 0 ? 0 : bytes.size() / count(); }
    // Whole number of an array of u1, i1, u2, i2, u4, i4, u8 or i8; `index` counts elements.
    std::int64_t integer(std::size_t index) const;
    bool is_integer() const;
};

class NpzFile {
public:
    // `bytes` must outlive this object.
    static Result<NpzFile> open(std::span<const std::uint8_t> bytes);

    bool has(std::string_view name) const { return find(name) != nullptr; }
    // Unpacks the array of that name (without ".npy"); more than `max_bytes` is an error.
    Result<NpzArray> read(std::string_view name, std::size_t max_bytes) const;

private:
    struct Entry {
        std::string name;
        std::size_t packed = 0, unpacked = 0, header = 0;  // sizes, and where the local header is
        bool deflated = false;
        std::uint32_t crc = 0;
    };
    const Entry* find(std::string_view name) const;

    std::span<const std::uint8_t> bytes_;
    std::vector<Entry> entries_;
};

}  // namespace mien::host
