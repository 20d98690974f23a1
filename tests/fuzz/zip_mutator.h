// SPDX-License-Identifier: MIT
// Changes of .npz files that get past the archive's checks: an array's header, its values, its name
// or its place is changed, then sizes, checksums and the directory are written anew.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/crc32.h"
#include "container_mutator.h"
#include "host/codec/inflate.h"
#include "mutate.h"

namespace mien::fuzz {

class Archive {
public:
    bool read(const std::uint8_t* data, std::size_t size) {
        for (std::size_t at = 0; at + 30 <= size && load_u32(data + at) == 0x04034b50;) {
            Entry entry;
            const std::uint8_t* p = data + at;
            const std::size_t name = load_u16(p + 26), extra = load_u16(p + 28);
            const std::size_t packed = load_u32(p + 18);
            entry.unpacked = load_u32(p + 22);
            entry.method = load_u16(p + 8);
            if (packed > size || 30 + name + extra + packed > size - at) break;
            entry.name.assign(reinterpret_cast<const char*>(p) + 30, name);
            p += 30 + name + extra;
            entry.bytes.assign(p, p + packed);
            at += 30 + name + extra + packed;
            entries_.push_back(std::move(entry));
        }
        return !entries_.empty();
    }

    void change(Dice& dice, std::size_t room) {
        static constexpr const char* names[] = {"images", "labels", "jpeg",
                                                "offset", "gender", "split"};
        Entry& entry = entries_[dice.below(entries_.size())];
        switch (dice.below(8)) {
            case 0: std::swap(entry, entries_[dice.below(entries_.size())]); break;
            case 1:
                if (entries_.size() < 12) entries_.push_back(Entry(entry));
                break;
            case 2: entry.name = std::string(names[dice.below(6)]) + ".npy"; break;
            case 3:
                if (dice.one_in(3)) entry.method = dice.one_in(2) ? 0 : dice.below(10);
                if (dice.one_in(3)) entry.unpacked = static_cast<std::size_t>(special_number(dice));
                break;
            case 4: change_piece(entry.bytes, std::min<std::size_t>(room, 64)); break;
            default: change_array(dice, entry);
        }
    }

    File written(Dice& dice) const {
        File file, directory;
        for (const Entry& entry : entries_) {
            std::uint8_t head[30] = {'P', 'K', 3, 4, 20};
            const std::size_t at = file.size();
            File whole(entry.method == 8 ? std::min<std::size_t>(entry.unpacked, 1 << 20) : 0);
            File packed = entry.bytes;
            packed.resize(packed.size() + host::inflate_margin);
            const bool inflated = entry.method == 8 && host::inflate_raw(packed, whole);
            const std::size_t unpacked = entry.method == 0 ? entry.bytes.size() : entry.unpacked;
            put_u16(head + 8, entry.method);
            put_u32(head + 14, dice.one_in(50) ? 1 : crc32(inflated ? whole : entry.bytes));
            put_u32(head + 18, entry.bytes.size());
            put_u32(head + 22, unpacked);
            put_u16(head + 26, entry.name.size());
            file.insert(file.end(), head, head + 30);
            file.insert(file.end(), entry.name.begin(), entry.name.end());
            file.insert(file.end(), entry.bytes.begin(), entry.bytes.end());
            std::uint8_t record[46] = {'P', 'K', 1, 2, 20};
            std::copy(head + 4, head + 30, record + 6);
            put_u32(record + 42, at);
            directory.insert(directory.end(), record, record + 46);
            directory.insert(directory.end(), entry.name.begin(), entry.name.end());
        }
        std::uint8_t end[22] = {'P', 'K', 5, 6};
        put_u16(end + 8, entries_.size());
        put_u16(end + 10, entries_.size());
        put_u32(end + 12, directory.size());
        put_u32(end + 16, file.size());
        file.insert(file.end(), directory.begin(), directory.end());
        file.insert(file.end(), end, end + 22);
        return file;
    }

private:
    struct Entry {
        std::string name;
        std::size_t method = 0, unpacked = 0;
        File bytes;
    };
    // Writes an array of a few values anew, of any type and shape.
    static void change_array(Dice& dice, Entry& entry) {
        static constexpr const char* types[] = {"|u1", "<i8", "<i4",       "<f4", "|b1",
                                                "<U4", "|S3", "<u8",       ">i4", "|O",
                                                "<i2", "<U",  "<U99999999"};
        static constexpr std::size_t sizes[] = {1, 8, 4, 4, 1, 16, 3, 8, 4, 8, 2, 4, 4};
        const std::size_t type = dice.below(std::size(types));
        std::string shape = "(";
        std::size_t values = 1;
        for (std::size_t i = dice.below(4); i > 0; --i) {
            const std::size_t side =
                dice.one_in(12) ? static_cast<std::size_t>(special_number(dice)) : dice.below(9);
            values = std::min<std::size_t>(values * std::min<std::size_t>(side, 64), 4096);
            shape += std::to_string(side) + ", ";
        }
        std::string text = "{'descr': '" + std::string(types[type]) +
                           "', 'fortran_order': " + (dice.one_in(12) ? "True" : "False") +
                           ", 'shape': " + shape + "), }";
        if (dice.one_in(6)) {
            File changed(text.begin(), text.end());
            change_piece(changed, 16);
            text.assign(changed.begin(), changed.end());
        }
        const bool wide = dice.one_in(4);
        const std::uint8_t magic[] = {
            0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<std::uint8_t>(wide ? 2 : 1), 0};
        entry.bytes.assign(magic, magic + 8);
        std::uint8_t length[4];
        put_u32(length, text.size() + (dice.one_in(20) ? 1 : 0));
        entry.bytes.insert(entry.bytes.end(), length, length + (wide ? 4 : 2));
        entry.bytes.insert(entry.bytes.end(), text.begin(), text.end());
        for (std::size_t i = values * sizes[type]; i > 0; --i)
            entry.bytes.push_back(static_cast<std::uint8_t>(dice.one_in(3) ? 0xff : dice()));
        entry.method = 0;
        entry.unpacked = entry.bytes.size();
    }

    std::vector<Entry> entries_;
};

inline std::size_t mutate_archive(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                  unsigned seed) {
    Dice dice(seed);
    Archive archive;
    if (dice.one_in(8) || !archive.read(data, size)) return LLVMFuzzerMutate(data, size, max_size);
    for (std::size_t changes = 1 + dice.below(3); changes > 0; --changes)
        archive.change(dice, max_size - size);
    return give(archive.written(dice), data, size, max_size);
}

}  // namespace mien::fuzz
