// SPDX-License-Identifier: MIT
// Changes of weights files and cascades that get past the container's checks (docs/FILE_FORMAT.md):
// a section or a field of it is changed, then offsets, sizes, padding and checksum are made right.
// Mostly, the layers of a network are made to fit each other again as well: shapes, the offsets of
// their weights and the sizes of those sections.
#pragma once

#include <array>
#include <cstring>
#include <string_view>

#include "base/bytes.h"
#include "base/crc32.h"
#include "mutate.h"

namespace mien::fuzz {

inline void put_u16(std::uint8_t* p, std::size_t v) {
    p[0] = static_cast<std::uint8_t>(v);
    p[1] = static_cast<std::uint8_t>(v >> 8);
}
inline void put_u32(std::uint8_t* p, std::size_t v) {
    put_u16(p, v);
    put_u16(p + 2, v >> 16);
}

class ContainerFile {
public:
    // False if the bytes are no container at all.
    bool read(const std::uint8_t* data, std::size_t size) {
        sections_.clear();
        if (size < 32) return false;
        std::copy_n(data, 32, head_.begin());
        const std::size_t count = std::min<std::size_t>(load_u32(data + 12), 32);
        for (std::size_t i = 0; i < count && 48 + 16 * i <= size; ++i) {
            const std::uint8_t* entry = data + 32 + 16 * i;
            const std::size_t offset = load_u32(entry + 4), bytes = load_u32(entry + 8);
            if (offset > size || bytes > size - offset) break;
            Section section;
            std::copy_n(entry, 4, section.tag.begin());
            section.bytes.assign(data + offset, data + offset + bytes);
            sections_.push_back(std::move(section));
        }
        return !sections_.empty();
    }

    void change(Dice& dice, std::size_t room) {
        for (std::size_t changes = 1 + dice.below(3); changes > 0; --changes)
            change_once(dice, room);
        if (!dice.one_in(4)) fit_layers();
    }

    File written() const {
        File file(head_.begin(), head_.end());
        put_u32(&file[12], sections_.size());
        file.resize(32 + 16 * sections_.size());
        for (std::size_t i = 0; i < sections_.size(); ++i) {
            file.resize(round_up(file.size(), std::size_t{16}));
            const Section& section = sections_[i];
            std::uint8_t* entry = &file[32 + 16 * i];
            std::copy(section.tag.begin(), section.tag.end(), entry);
            put_u32(entry + 4, file.size());
            put_u32(entry + 8, section.bytes.size());
            file.insert(file.end(), section.bytes.begin(), section.bytes.end());
        }
        file.resize(round_up(file.size(), std::size_t{16}));
        put_u32(&file[16], file.size());
        put_u32(&file[20], 0);
        const std::span<const std::uint8_t> all = file;
        put_u32(&file[24], crc32(all.subspan(28), crc32(all.first(24))));
        return file;
    }

private:
    struct Section {
        std::array<char, 4> tag{};
        File bytes;
        bool is(std::string_view name) const { return std::string_view(tag.data(), 4) == name; }
    };
    static constexpr std::size_t layer_bytes = 64;

    Section* find(std::string_view name) {
        for (Section& section : sections_)
            if (section.is(name)) return &section;
        return nullptr;
    }
    // Bytes of a record, so that whole ones are moved.
    static std::size_t record_bytes(const Section& section) {
        if (section.is("LAYR")) return layer_bytes;
        if (section.is("STAG") || section.is("NODE")) return 12;
        if (section.is("TREE") || section.is("FEAT")) return 16;
        return 4;
    }

    void change_once(Dice& dice, std::size_t room) {
        Section& section = sections_[dice.below(sections_.size())];
        // The largest sections are those whose contents matter least.
        Section* const layers = find("LAYR");
        Section& wanted = layers != nullptr && dice.one_in(3) ? *layers : section;
        File& bytes = wanted.bytes;
        const std::size_t record = record_bytes(wanted);
        switch (dice.below(9)) {
            case 0:
            case 1:
            case 2:
                if (!bytes.empty()) change_field(dice, bytes, record);
                break;
            case 3:  // a record goes, is doubled, or changes place
                if (bytes.size() >= record) {
                    const auto at = [&] {
                        return static_cast<std::ptrdiff_t>(dice.below(bytes.size() / record) *
                                                           record);
                    };
                    const auto from = bytes.begin() + at();
                    const File moved(from, from + static_cast<std::ptrdiff_t>(record));
                    if (!dice.one_in(3))
                        bytes.erase(from, from + static_cast<std::ptrdiff_t>(record));
                    if (!dice.one_in(3) && bytes.size() >= record)
                        bytes.insert(bytes.begin() + at(), moved.begin(), moved.end());
                }
                break;
            case 4: change_piece(bytes, std::min<std::size_t>(room, 64)); break;
            case 5:  // of another size
                bytes.resize(dice.one_in(2) ? dice.below(bytes.size() + 1)
                                            : bytes.size() + dice.below(4 * record));
                break;
            case 6:  // the section goes
                if (sections_.size() > 1 && dice.one_in(2))
                    sections_.erase(sections_.begin() + (&section - sections_.data()));
                break;
            case 7:  // the order of sections
                std::swap(section, sections_[dice.below(sections_.size())]);
                break;
            default:
                if (dice.one_in(4))
                    change_field(dice, head_, 4);
                else if (sections_.size() < 32 && dice.one_in(2))
                    sections_.push_back(section);
                else
                    section.tag[dice.below(4)] = static_cast<char>('A' + dice.below(26));
        }
    }
    template <class Bytes>
    static void change_field(Dice& dice, Bytes& bytes, std::size_t record) {
        static constexpr float floats[] = {0.0f,   -0.0f, 1e18f, 1e-18f, 3.4e38f,
                                           1e-45f, 0.5f,  -1.0f, 1.0f,   127.0f};
        // within the fields of a record, at their own alignment
        const std::size_t width = std::size_t{1} << dice.below(3);
        const std::size_t records = std::max<std::size_t>(bytes.size() / record, 1);
        const std::size_t at = dice.below(records) * record +
                               dice.below(std::max<std::size_t>(record / width, 1)) * width;
        if (at + width > bytes.size()) return;
        std::uint8_t number[8];
        if (width == 4 && dice.one_in(3)) {
            const float value = floats[dice.below(std::size(floats))];
            std::memcpy(number, &value, 4);
            if (dice.one_in(8)) put_u32(number, 0x7f800000 + dice.below(2));  // infinite, none
        } else {
            put_u32(number, static_cast<std::size_t>(special_number(dice)));
        }
        std::copy_n(number, width, bytes.begin() + static_cast<std::ptrdiff_t>(at));
    }

    struct Shape {
        std::size_t height = 0, width = 0, channels = 0;
    };
    // What a layer makes of its input, written into its record; and the offsets of what it reads.
    void fit_layers() {
        Section *input = find("INPT"), *layers = find("LAYR");
        if (input == nullptr || layers == nullptr || input->bytes.size() < 48) return;
        const std::uint8_t* in = input->bytes.data();
        std::vector<Shape> shapes = {{load_u32(in), load_u32(in + 4), load_u32(in + 8)}};
        std::size_t weights = 0, values = 0, scales = 0;
        const std::size_t count = std::min<std::size_t>(layers->bytes.size() / layer_bytes, 256);
        for (std::size_t i = 0; i < count; ++i) {
            std::uint8_t* p = layers->bytes.data() + i * layer_bytes;
            if (load_u16(p + 12) > i) put_u16(p + 12, i);  // reads the layer before
            const Shape from = shapes[load_u16(p + 12)];
            Shape to = {1, 1, from.channels};
            const std::uint8_t op = p[0];
            const bool slides = op == 1 || op == 2 || op == 3 || op == 4 || op == 8;
            const bool sums = op == 1 || op == 2 || op == 8;
            if (slides && p[6] > 0 && p[7] > 0) {
                to.height = slid(from.height, p[4], p[6], p[8], p[10]);
                to.width = slid(from.width, p[5], p[7], p[9], p[11]);
            } else if (op != 7) {
                to = from;
                if (op == 9) to = {2 * from.height, 2 * from.width, from.channels};
            }
            if (op == 1 || op == 8) to.channels = load_u16(p + 20);
            put_u16(p + 16, to.height);
            put_u16(p + 18, to.width);
            put_u16(p + 20, to.channels);
            if (sums) {
                put_u32(p + 24, weights);
                put_u32(p + 28, values);
                put_u32(p + 32, scales);
                weights += std::size_t{p[4]} * p[5] * to.channels * (op == 2 ? 1 : from.channels);
                values += to.channels;
                scales += to.channels;
            } else if (op == 7) {
                put_u32(p + 32, scales++);
            }
            shapes.push_back(op == 8 ? Shape{1, 1, to.channels} : to);
        }
        constexpr std::size_t most = 1 << 20;
        if (weights > most || values > most || scales > most) return;
        resize("WGHT", weights, {1});
        resize("BIAS", 4 * values, {0});
        resize("SCAL", 4 * scales, {0x0a, 0xd7, 0x23, 0x3c});  // 0.01
        if (Section* tests = find("TEST"); tests != nullptr && tests->bytes.size() >= 4) {
            tests->bytes.resize(4);
            put_u32(tests->bytes.data(), 0);
        }
    }
    static std::size_t slid(std::size_t side, std::size_t kernel, std::size_t stride,
                            std::size_t before, std::size_t after) {
        const std::size_t padded = side + before + after;
        return padded < kernel ? 0 : (padded - kernel) / stride + 1;
    }
    void resize(std::string_view name, std::size_t bytes, const File& filler) {
        Section* const section = find(name);
        if (section == nullptr) return;
        const std::size_t had = section->bytes.size();
        section->bytes.resize(bytes);
        for (std::size_t i = had; i < bytes; ++i) section->bytes[i] = filler[i % filler.size()];
    }

    std::array<std::uint8_t, 32> head_{};
    std::vector<Section> sections_;
};

// One in eight is a change that knows nothing of all this.
inline std::size_t mutate_container(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
    Dice dice(seed);
    ContainerFile file;
    if (dice.one_in(8) || !file.read(data, size)) return LLVMFuzzerMutate(data, size, max_size);
    file.change(dice, max_size - size);
    return give(file.written(), data, size, max_size);
}

}  // namespace mien::fuzz
