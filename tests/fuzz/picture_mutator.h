// SPDX-License-Identifier: MIT
// Changes of JPEG and PNG files that keep their outer structure: segments, scans and chunks move,
// double, go, or are changed inside; lengths and checksums are made right afterwards.
#pragma once

#include <string_view>

#include "base/crc32.h"
#include "mutate.h"

namespace mien::fuzz {

// A picture as a list of pieces: markers with segment and scan data, or chunks.
struct Picture {
    struct Piece {
        std::uint8_t marker = 0;  // of JPEG
        bool has_length = false;
        File bytes;  // segment; of PNG the tag and the data
        File scan;   // what follows a start of scan
    };
    bool png = false;
    std::vector<Piece> pieces;

    static constexpr std::string_view png_magic{"\x89PNG\r\n\x1a\n", 8};

    bool read(const std::uint8_t* data, std::size_t size) {
        if (size >= 8 && std::memcmp(data, png_magic.data(), 8) == 0) return read_png(data, size);
        if (size >= 4 && data[0] == 0xff && data[1] == 0xd8) return read_jpeg(data, size);
        return false;
    }
    File written() const {
        File file;
        if (png) file.assign(png_magic.begin(), png_magic.end());
        for (const Piece& piece : pieces) {
            if (png) {
                big(file, piece.bytes.size() - 4, 4);
                file.insert(file.end(), piece.bytes.begin(), piece.bytes.end());
                big(file, crc32(piece.bytes), 4);
                continue;
            }
            file.push_back(0xff);
            file.push_back(piece.marker);
            if (piece.has_length) big(file, piece.bytes.size() + 2, 2);
            file.insert(file.end(), piece.bytes.begin(), piece.bytes.end());
            file.insert(file.end(), piece.scan.begin(), piece.scan.end());
        }
        return file;
    }

    void change(Dice& dice, std::size_t room) {
        Piece& piece = pieces[dice.below(pieces.size())];
        const std::size_t growth = std::min<std::size_t>(room, 256);
        switch (dice.below(8)) {
            case 0:  // changes place
                std::swap(piece, pieces[dice.below(pieces.size())]);
                break;
            case 1: {  // doubled: at once, or elsewhere
                const Piece copy = piece;
                pieces.insert(
                    pieces.begin() + static_cast<std::ptrdiff_t>(dice.below(pieces.size() + 1)),
                    copy);
                break;
            }
            case 2:
                if (pieces.size() > 2 && dice.one_in(2))
                    pieces.erase(pieces.begin() + (&piece - pieces.data()));
                break;
            case 3:
            case 4: change_head(dice, growth); break;
            case 5: change_scan(dice, growth); break;
            default: change_inside(piece, growth);
        }
    }

private:
    static void big(File& file, std::size_t number, int bytes) {
        for (int i = bytes - 1; i >= 0; --i)
            file.push_back(static_cast<std::uint8_t>(number >> 8 * i));
    }
    void change_inside(Piece& piece, std::size_t growth) {
        if (png) {
            File data(piece.bytes.begin() + 4, piece.bytes.end());
            change_piece(data, growth);
            piece.bytes.resize(4);
            piece.bytes.insert(piece.bytes.end(), data.begin(), data.end());
        } else if (piece.has_length) {
            change_piece(piece.bytes, growth);
            piece.bytes.resize(std::min<std::size_t>(piece.bytes.size(), 65533));
        }
    }
    // Size, sampling, components and scan parameters, with values that are nearly right.
    void change_head(Dice& dice, std::size_t growth) {
        for (int tries = 0; tries < 8; ++tries) {
            Piece& piece = pieces[dice.below(pieces.size())];
            const bool head = png ? std::memcmp(piece.bytes.data(), "IHDR", 4) == 0
                                  : piece.marker >= 0xc0 && piece.marker <= 0xc2;
            const bool parameters = !png && (piece.marker == 0xda || piece.marker == 0xdd);
            if (!(head || parameters) || piece.bytes.size() < 5) continue;
            if (dice.one_in(8)) {
                if (!png && head) piece.marker = static_cast<std::uint8_t>(0xc0 + dice.below(3));
                return change_inside(piece, growth);
            }
            const std::size_t first = png ? 4 : 0;
            std::uint8_t& byte = piece.bytes[first + dice.below(piece.bytes.size() - first)];
            static constexpr std::uint8_t values[] = {0,    1,    2,    3,    4,    5,    6,   7,
                                                      8,    9,    16,   17,   32,   33,   63,  64,
                                                      0x11, 0x12, 0x21, 0x22, 0x14, 0x41, 0x44};
            byte = values[dice.below(std::size(values))];
            return;
        }
    }
    void change_scan(Dice& dice, std::size_t growth) {
        for (int tries = 0; tries < 8; ++tries) {
            Piece& piece = pieces[dice.below(pieces.size())];
            if (png) {
                if (std::memcmp(piece.bytes.data(), "IDAT", 4) != 0) continue;
                return change_inside(piece, growth);
            }
            if (piece.marker != 0xda || piece.scan.empty()) continue;
            File& scan = piece.scan;
            switch (dice.below(4)) {
                case 0: scan.resize(dice.below(scan.size() + 1)); break;
                case 1: {  // a restart
                    const auto at = static_cast<std::ptrdiff_t>(dice.below(scan.size()));
                    const std::uint8_t mark[] = {0xff,
                                                 static_cast<std::uint8_t>(0xd0 + dice.below(8))};
                    scan.insert(scan.begin() + at, mark, mark + 2);
                    break;
                }
                default:
                    change_piece(scan, growth);
                    // Without markers that would end it, mostly.
                    if (dice.one_in(8)) return;
                    for (std::size_t i = 0; i + 1 < scan.size(); ++i)
                        if (scan[i] == 0xff && (scan[i + 1] & 0xf8) != 0xd0) scan[i + 1] = 0;
                    if (!scan.empty() && scan.back() == 0xff) scan.back() = 0xfe;
            }
            return;
        }
    }
    bool read_png(const std::uint8_t* data, std::size_t size) {
        png = true;
        std::size_t at = 8;
        while (at + 12 <= size) {
            const std::size_t length = std::size_t{data[at]} << 24 |
                                       std::size_t{data[at + 1]} << 16 |
                                       std::size_t{data[at + 2]} << 8 | data[at + 3];
            if (length > size - at - 12) break;
            Piece piece;
            piece.bytes.assign(data + at + 4, data + at + 8 + length);
            pieces.push_back(std::move(piece));
            at += 12 + length;
        }
        return !pieces.empty();
    }
    bool read_jpeg(const std::uint8_t* data, std::size_t size) {
        std::size_t at = 0;
        while (at + 2 <= size) {
            if (data[at] != 0xff) break;
            Piece piece;
            piece.marker = data[at + 1];
            at += 2;
            const bool alone = piece.marker == 0xd8 || piece.marker == 0xd9 ||
                               (piece.marker & 0xf8) == 0xd0 || piece.marker <= 1;
            if (!alone && piece.marker != 0xff) {
                if (at + 2 > size) break;
                const std::size_t length = std::size_t{data[at]} << 8 | data[at + 1];
                if (length < 2 || length > size - at) break;
                piece.has_length = true;
                piece.bytes.assign(data + at + 2, data + at + length);
                at += length;
            }
            if (piece.marker == 0xda) {
                std::size_t end = at;
                while (end + 1 < size &&
                       !(data[end] == 0xff && data[end + 1] != 0 && (data[end + 1] & 0xf8) != 0xd0))
                    ++end;
                if (end + 1 >= size) end = size;
                piece.scan.assign(data + at, data + end);
                at = end;
            }
            if (piece.marker == 0xff) --at;
            if (piece.marker != 0xff) pieces.push_back(std::move(piece));
        }
        return pieces.size() > 2;
    }
};

// One in six is a change that knows nothing of all this, as are those of other formats.
inline std::size_t mutate_picture(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                  unsigned seed) {
    Dice dice(seed);
    Picture picture;
    if (dice.one_in(6) || !picture.read(data, size)) return LLVMFuzzerMutate(data, size, max_size);
    for (std::size_t changes = 1 + dice.below(3); changes > 0 && !picture.pieces.empty(); --changes)
        picture.change(dice, max_size - size);
    return give(picture.written(), data, size, max_size);
}

}  // namespace mien::fuzz
