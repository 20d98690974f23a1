// SPDX-License-Identifier: MIT
#include "base/container.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/crc32.h"

namespace mien {
namespace {

constexpr std::size_t header_bytes = 32, entry_bytes = 16, crc_offset = 24, section_alignment = 16;
constexpr std::uint64_t max_file_bytes = std::uint64_t{1} << 30;

bool all_zero(Bytes bytes) noexcept {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

}  // namespace

Status Container::open(Bytes file, const char (&kind)[5], Container& out) noexcept {
    if (file.size() < header_bytes || std::memcmp(file.data(), "MIEN", 4) != 0)
        return Status::bad_file;
    const std::uint8_t* p = file.data();
    if (load_u16(p + 4) != 1) return Status::unsupported;
    const std::uint32_t count = load_u32(p + 12);
    if (load_u64(p + 16) != file.size() || file.size() > max_file_bytes) return Status::bad_file;
    if (count == 0 || count > max_sections || load_u32(p + 28) != 0) return Status::bad_file;
    const std::uint32_t crc = crc32(file.subspan(crc_offset + 4), crc32(file.first(crc_offset)));
    if (crc != load_u32(p + crc_offset)) return Status::bad_file;
    // The kind comes last, so that a damaged file is reported as damaged, not as another kind.
    if (std::memcmp(p + 8, kind, 4) != 0) return Status::wrong_kind;

    Container result;
    std::size_t end = header_bytes + count * entry_bytes;
    if (end > file.size()) return Status::bad_file;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint8_t* entry = p + header_bytes + i * entry_bytes;
        const std::size_t offset = load_u32(entry + 4), size = load_u32(entry + 8);
        const std::size_t expected = round_up(end, section_alignment);
        if (load_u32(entry + 12) != 0 || offset != expected || offset > file.size() ||
            size > file.size() - offset)
            return Status::bad_file;
        if (!all_zero(file.subspan(end, offset - end))) return Status::bad_file;
        for (std::uint32_t k = 0; k < i; ++k)
            if (std::memcmp(result.sections_[k].tag, entry, 4) == 0) return Status::bad_file;
        std::memcpy(result.sections_[i].tag, entry, 4);
        result.sections_[i].bytes = file.subspan(offset, size);
        end = offset + size;
    }
    if (round_up(end, section_alignment) != file.size() || !all_zero(file.subspan(end)))
        return Status::bad_file;
    result.count_ = count;
    out = result;
    return Status::ok;
}

bool Container::find(const char (&tag)[5], Bytes& out) const noexcept {
    for (std::uint32_t i = 0; i < count_; ++i)
        if (std::memcmp(sections_[i].tag, tag, 4) == 0) {
            out = sections_[i].bytes;
            return true;
        }
    return false;
}

}  // namespace mien
