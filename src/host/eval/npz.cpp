// SPDX-License-Identifier: MIT
// The ZIP directory is at the end of the file and says where each member is; a .npy member is a
// short text header and the numbers. ZIP: PKWARE's APPNOTE 4.3; .npy: NumPy's numpy.lib.format.
// (See npz.h.)
#include "host/eval/npz.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crc32.h"
#include "host/codec/inflate.h"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint32_t local_signature = 0x04034b50, member_signature = 0x02014b50,
                        end_signature = 0x06054b50;
constexpr std::size_t local_bytes = 30, member_bytes = 46, end_bytes = 22;
constexpr std::size_t max_members = 1000;

Error damaged() { return Error::input("a damaged .npz file"); }

// The value behind 'key': in a .npy header, which is the text of a Python dictionary.
std::string_view header_value(std::string_view header, std::string_view key) {
    const std::size_t at = header.find(key);
    if (at == std::string_view::npos) return {};
    const std::size_t colon = header.find(':', at + key.size());
    if (colon == std::string_view::npos) return {};
    const std::size_t begin = header.find_first_not_of(' ', colon + 1);
    return begin == std::string_view::npos ? std::string_view{} : header.substr(begin);
}

// "(28709, 48, 48)" to numbers; false if it is no such list or the product is beyond 2^31.
bool parse_shape(std::string_view text, std::vector<std::size_t>& shape) {
    if (text.empty() || text[0] != '(') return false;
    // elements; more do not fit into a file that is read
    constexpr std::size_t largest = std::size_t{1} << 31;
    std::size_t product = 1, value = 0;
    bool digits = false;
    for (const char c : text.substr(1)) {
        if (c >= '0' && c <= '9') {
            if (value > largest / 16) return false;
            value = value * 10 + static_cast<std::size_t>(c - '0');
            digits = true;
        } else if (c == ',' || c == ')') {
            if (digits) {
                if (value != 0 && product > largest / value) return false;
                product *= value;
                shape.push_back(value);
                if (shape.size() > 8) return false;
            }
            value = 0;
            digits = false;
            if (c == ')') return true;
        } else if (c != ' ') {
            return false;
        }
    }
    return false;
}

// Bytes of an element of a type like "<i8" or "<U24" (four bytes per letter); 0 for types that are
// not read.
std::size_t element_size(std::string_view type) {
    if (type.size() < 3 || (type[0] != '|' && type[0] != '<') ||
        std::string_view("biufUS").find(type[1]) == std::string_view::npos)
        return 0;
    std::size_t size = 0;
    for (const char c : type.substr(2)) {
        if (c < '0' || c > '9' || size > 1 << 16) return 0;
        size = size * 10 + static_cast<std::size_t>(c - '0');
    }
    return type[1] == 'U' ? size * 4 : size;
}

Result<NpzArray> parse_npy(ByteVector bytes) {
    constexpr std::uint8_t magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    if (bytes.size() < 10 || !std::equal(std::begin(magic), std::end(magic), bytes.begin()))
        return damaged();
    const bool wide = bytes[6] >= 2;
    if (bytes[6] < 1 || bytes[6] > 3 || (wide && bytes.size() < 12)) return damaged();
    const std::size_t begin = wide ? 12 : 10,
                      length = wide ? load_u32(bytes.data() + 8) : load_u16(bytes.data() + 8);
    if (length > bytes.size() - begin) return damaged();
    const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + begin, length);
    const std::string_view type = header_value(header, "'descr'");
    if (type.empty() || type[0] != '\'')
        return Error::input("an array of records or objects, which is not supported");
    NpzArray array;
    array.type = type.substr(1, type.find('\'', 1) - 1);
    if (header_value(header, "'fortran_order'").starts_with("True"))
        return Error::input("an array in Fortran order, which is not supported");
    if (!parse_shape(header_value(header, "'shape'"), array.shape)) return damaged();
    const std::size_t size = element_size(array.type);
    if (size == 0)
        return Error::input("an array of type " + array.type + ", which is not supported");
    const std::size_t left = bytes.size() - begin - length;
    if (left % size != 0 || array.count() != left / size) return damaged();
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(begin + length));
    array.bytes = std::move(bytes);
    return array;
}

}  // namespace

std::size_t NpzArray::count() const {
    std::size_t product = 1;
    for (const std::size_t n : shape) product *= n;
    return product;
}

bool NpzArray::is_integer() const {
    return type.size() == 3 && (type[1] == 'u' || type[1] == 'i') &&
           std::string_view("1248").find(type[2]) != std::string_view::npos;
}

std::int64_t NpzArray::integer(std::size_t index) const {
    const bool is_signed = type[1] == 'i';
    const std::uint8_t* p = bytes.data() + index * element_bytes();
    switch (element_bytes()) {
        case 1: return is_signed ? static_cast<std::int8_t>(p[0]) : p[0];
        case 2: return is_signed ? load_i16(p) : load_u16(p);
        case 4: return is_signed ? std::int64_t{load_i32(p)} : std::int64_t{load_u32(p)};
        default: return static_cast<std::int64_t>(load_u64(p));
    }
}

Result<NpzFile> NpzFile::open(Bytes bytes) {
    // The end record is followed by a comment of at most 65,535 bytes.
    if (bytes.size() < end_bytes) return Error::input("not an .npz file");
    std::size_t end = bytes.size() - end_bytes;
    const std::size_t lowest = end > 65535 ? end - 65535 : 0;
    while (load_u32(bytes.data() + end) != end_signature) {
        if (end == lowest) return Error::input("not an .npz file, or cut short");
        --end;
    }
    NpzFile file;
    file.bytes_ = bytes;
    const std::size_t count = load_u16(bytes.data() + end + 10);
    std::size_t at = load_u32(bytes.data() + end + 16);
    // also what ZIP64 looks like, which 4 GiB would need
    if (count > max_members || at > end) return damaged();
    for (std::size_t i = 0; i < count; ++i) {
        if (end - at < member_bytes || load_u32(bytes.data() + at) != member_signature)
            return damaged();
        const std::uint8_t* p = bytes.data() + at;
        const std::size_t name = load_u16(p + 28), extra = load_u16(p + 30),
                          comment = load_u16(p + 32);
        if (end - at - member_bytes < name + extra + comment) return damaged();
        Entry entry;
        entry.name.assign(reinterpret_cast<const char*>(p) + member_bytes, name);
        entry.crc = load_u32(p + 16);
        entry.packed = load_u32(p + 20);
        entry.unpacked = load_u32(p + 24);
        entry.header = load_u32(p + 42);
        const unsigned method = load_u16(p + 10);
        if ((load_u16(p + 8) & 1u) != 0 || (method != 0 && method != 8))
            return Error::input("an archive that is encrypted or packed in an unknown way");
        entry.deflated = method == 8;
        if (entry.name.ends_with(".npy")) {
            entry.name.resize(entry.name.size() - 4);
            file.entries_.push_back(std::move(entry));
        }
        at += member_bytes + name + extra + comment;
    }
    return file;
}

const NpzFile::Entry* NpzFile::find(std::string_view name) const {
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& entry) { return entry.name == name; });
    return found == entries_.end() ? nullptr : &*found;
}

Result<NpzArray> NpzFile::read(std::string_view name, std::size_t max_bytes) const {
    const Entry* entry = find(name);
    if (entry == nullptr) return Error::input("no `" + std::string(name) + "` in it");
    if (entry->unpacked > max_bytes)
        return Error::input("`" + std::string(name) + "` is larger than " +
                            std::to_string(max_bytes >> 20) + " MiB");
    // A stored member is as large as it says; a deflated one at most 1,032 times as large, so a lie
    // costs no memory.
    if (entry->deflated ? entry->unpacked / 1032 > entry->packed + 1
                        : entry->unpacked != entry->packed)
        return damaged();
    if (bytes_.size() < local_bytes || entry->header > bytes_.size() - local_bytes)
        return damaged();
    const std::uint8_t* p = bytes_.data() + entry->header;
    if (load_u32(p) != local_signature) return damaged();
    const std::size_t skip = local_bytes + load_u16(p + 26) + load_u16(p + 28);
    if (bytes_.size() - entry->header < skip ||
        bytes_.size() - entry->header - skip < entry->packed + inflate_margin)
        return damaged();
    const Bytes packed = bytes_.subspan(entry->header + skip, entry->packed);
    ByteVector unpacked;
    if (entry->deflated) {
        unpacked.resize(entry->unpacked);
        // The end record is still to come, so there are bytes behind every member.
        if (!inflate_raw(bytes_.subspan(entry->header + skip, entry->packed + inflate_margin),
                         unpacked))
            return damaged();
    } else {
        unpacked.assign(packed.begin(), packed.end());
    }
    if (crc32(unpacked) != entry->crc) return damaged();
    return parse_npy(std::move(unpacked));
}

}  // namespace mien::host
