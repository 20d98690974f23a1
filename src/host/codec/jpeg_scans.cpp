// SPDX-License-Identifier: MIT
// The codes of JPEG scans (ITU-T T.81, annexes F and G), without what they mean.
#include "host/codec/jpeg_scans.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>

#include "host/codec/jpeg_markers.h"

namespace mien::host {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr const char* ends_early = "premature end of data segment";
constexpr const char* scans_missing = "scans are missing";

struct HuffmanCodes {
    std::array<int, 17> count{}, first_code{}, first_symbol{};
    std::array<std::uint8_t, 256> symbols{};
};

// The bits of a scan, between two restart marks.
class ScanBits {
public:
    explicit ScanBits(Bytes bytes) : bytes_(bytes) {}

    // -1 behind the end, for ever.
    int next() {
        if (left_ == 0 && !load()) return -1;
        --left_;
        return byte_ >> left_ & 1;
    }
    // False behind the end.
    bool skip(int count) {
        while (count-- > 0) {
            if (next() < 0) return false;
        }
        return true;
    }
    int read(int count) {
        int value = 0;
        while (count-- > 0) {
            const int bit = next();
            if (bit < 0) return -1;
            value = value << 1 | bit;
        }
        return value;
    }
    // A symbol, -1 behind the end, -2 for a code that means nothing.
    int symbol(const HuffmanCodes& table) {
        int code = 0;
        for (std::size_t length = 1; length <= 16; ++length) {
            const int bit = next();
            if (bit < 0) return -1;
            code = code << 1 | bit;
            const int index = code - table.first_code[length];
            if (index >= 0 && index < table.count[length])
                return table.symbols[static_cast<std::size_t>(table.first_symbol[length] + index)];
        }
        return -2;
    }
    // Is the next restart mark reached, or the data's end?
    bool at_restart() const {
        return at_ + 1 < bytes_.size() && bytes_[at_] == 0xff && is_restart(bytes_[at_ + 1]);
    }
    // Goes to the next restart mark, or to the data's end. Before it were bytes that no block needed,
    // if `stray` is not empty; filling does not count.
    void pass_by(JpegScans::Range& stray) {
        left_ = 0;
        stray = {at_, at_};
        bool filling = true;
        for (; at_ < bytes_.size() && !at_restart(); ++at_)
            filling = filling && bytes_[at_] == 0xff;
        if (!filling) stray.end = at_;
    }
    // Takes the restart mark and returns its number, 0 to 7; -1 at the data's end.
    int restart() {
        if (!at_restart()) return -1;
        at_ += 2;
        return bytes_[at_ - 1] & 7;
    }

private:
    bool load() {
        if (at_ >= bytes_.size()) return false;
        const std::uint8_t byte = bytes_[at_];
        if (byte == 0xff) {
            if (at_ + 1 >= bytes_.size() || bytes_[at_ + 1] != 0) return false;
            ++at_;
        }
        ++at_;
        byte_ = byte;
        left_ = 8;
        return true;
    }
    Bytes bytes_;
    std::size_t at_ = 0;
    int byte_ = 0, left_ = 0;
};

constexpr std::size_t block_coefficients = 64;

struct ScanPart {
    int id = 0, h = 1, v = 1;
    int dc = 0, ac = 0;  // tables of the scan
    // per coefficient: how many of its last bits are unknown, 255: all
    std::array<std::uint8_t, block_coefficients> unknown{};
};

class ScanWalk {
public:
    explicit ScanWalk(Bytes bytes) : bytes_(bytes) {}
    JpegScans check();

private:
    struct Scan {
        std::array<int, 4> parts{};
        int count = 0, first = 0, last = 63, high = 0, low = 0;
    };
    void read_tables(Bytes segment);
    void read_frame(Bytes segment);
    bool read_scan(Bytes segment, Scan& scan);
    // `at` is where the data begins in the file. False: nothing more can be said.
    bool walk_scan(const Scan& scan, Bytes data, std::size_t at);
    bool walk_unit(const Scan& scan, ScanBits& bits);
    void note_stray(JpegScans::Range stray, std::size_t at, unsigned marker);
    bool walk_block(const Scan& scan, const ScanPart& part, ScanBits& bits);
    int blocks(int side, int factor, int most) const {
        const int samples = (side * factor + most - 1) / most;
        return (samples + 7) / 8;
    }

    Bytes bytes_;
    std::array<std::array<HuffmanCodes, 4>, 2> tables_{};
    std::array<ScanPart, 4> parts_{};
    int part_count_ = 0, width_ = 0, height_ = 0, max_h_ = 1, max_v_ = 1, restart_every_ = 0,
        end_of_band_run_ = 0;
    bool progressive_ = false, confused_ = false;
    JpegScans found_;
};

int big(Bytes bytes, std::size_t at) { return bytes[at] << 8 | bytes[at + 1]; }

void ScanWalk::read_tables(Bytes segment) {
    while (segment.size() >= 17) {
        HuffmanCodes& table = tables_[segment[0] >> 4 & 1][segment[0] & 3];
        table = {};
        int code = 0, symbols = 0;
        for (std::size_t length = 1; length <= 16; ++length) {
            table.count[length] = segment[length];
            table.first_code[length] = code;
            table.first_symbol[length] = symbols;
            code = (code + table.count[length]) << 1;
            symbols += table.count[length];
        }
        const auto count =
            std::min({static_cast<std::size_t>(symbols), segment.size() - 17, std::size_t{256}});
        std::copy_n(segment.begin() + 17, count, table.symbols.begin());
        segment = segment.subspan(17 + count);
    }
}

void ScanWalk::read_frame(Bytes segment) {
    if (segment.size() < 6) return;
    height_ = big(segment, 1);
    width_ = big(segment, 3);
    part_count_ = std::min<int>(segment[5], 4);
    for (int i = 0; i < part_count_; ++i) {
        const std::size_t at = 6 + 3 * static_cast<std::size_t>(i);
        if (at + 3 > segment.size()) {
            part_count_ = 0;
            return;
        }
        ScanPart& part = parts_[static_cast<std::size_t>(i)];
        part = {.id = segment[at], .h = segment[at + 1] >> 4, .v = segment[at + 1] & 15};
        part.unknown.fill(255);
        if (part.h < 1 || part.h > 4 || part.v < 1 || part.v > 4) part_count_ = 0;
        max_h_ = std::max(max_h_, part.h);
        max_v_ = std::max(max_v_, part.v);
    }
}

bool ScanWalk::read_scan(Bytes segment, Scan& scan) {
    if (segment.empty() || segment[0] < 1 || segment[0] > 4) return false;
    scan.count = segment[0];
    const std::size_t end = 1 + 2 * static_cast<std::size_t>(scan.count);
    if (segment.size() < end + 3) return false;
    for (int i = 0; i < scan.count; ++i) {
        const std::size_t at = 1 + 2 * static_cast<std::size_t>(i);
        int found = 0;
        while (found < part_count_ && parts_[static_cast<std::size_t>(found)].id != segment[at])
            ++found;
        if (found == part_count_) return false;
        scan.parts[static_cast<std::size_t>(i)] = found;
        parts_[static_cast<std::size_t>(found)].dc = segment[at + 1] >> 4 & 3;
        parts_[static_cast<std::size_t>(found)].ac = segment[at + 1] & 3;
    }
    if (progressive_) {
        scan.first = segment[end];
        scan.last = segment[end + 1];
        scan.high = segment[end + 2] >> 4;
        scan.low = segment[end + 2] & 15;
        if (scan.first > scan.last || scan.last > 63) return false;
    }
    for (int i = 0; i < scan.count; ++i)
        for (int k = scan.first; k <= scan.last; ++k)
            parts_[static_cast<std::size_t>(scan.parts[static_cast<std::size_t>(i)])]
                .unknown[static_cast<std::size_t>(k)] = static_cast<std::uint8_t>(scan.low);
    return true;
}

bool ScanWalk::walk_block(const Scan& scan, const ScanPart& part, ScanBits& bits) {
    const auto tell = [this](int symbol) {
        if (symbol == -2) confused_ = true;  // the decoder says so
        return false;
    };
    int k = scan.first;
    if (k == 0) {
        if (scan.high > 0) return bits.skip(1);
        const int size = bits.symbol(tables_[0][static_cast<std::size_t>(part.dc)]);
        if (size < 0) return tell(size);
        if (!bits.skip(size & 15)) return false;
        k = 1;
    }
    if (end_of_band_run_ > 0) {
        --end_of_band_run_;
        return true;
    }
    while (k <= scan.last) {
        const int symbol = bits.symbol(tables_[1][static_cast<std::size_t>(part.ac)]);
        if (symbol < 0) return tell(symbol);
        const int run = symbol >> 4, size = symbol & 15;
        if (size == 0 && run < 15) {
            if (!progressive_) return true;
            const int more = bits.read(run);
            if (more < 0) return false;
            end_of_band_run_ = (1 << run) + more - 1;
            return true;
        }
        if (!bits.skip(size)) return false;
        k += run + 1;
    }
    return true;
}

bool ScanWalk::walk_unit(const Scan& scan, ScanBits& bits) {
    for (int i = 0; i < scan.count; ++i) {
        const ScanPart& part =
            parts_[static_cast<std::size_t>(scan.parts[static_cast<std::size_t>(i)])];
        for (int b = scan.count > 1 ? part.h * part.v : 1; b > 0; --b)
            if (!walk_block(scan, part, bits)) return false;
    }
    return true;
}

void ScanWalk::note_stray(JpegScans::Range stray, std::size_t at, unsigned marker) {
    if (stray.begin == stray.end) return;
    found_.strays.push_back({at + stray.begin, at + stray.end});
    char text[80];
    std::snprintf(text, sizeof text, "%zu extraneous bytes before marker 0x%02x",
                  stray.end - stray.begin, marker);
    found_.leftover = text;
}

bool ScanWalk::walk_scan(const Scan& scan, Bytes data, std::size_t at) {
    if (scan.first > 0 && scan.high > 0) return true;  // depends on earlier values
    ScanBits bits(data);
    JpegScans::Range stray{};
    end_of_band_run_ = 0;
    const ScanPart& alone = parts_[static_cast<std::size_t>(scan.parts[0])];
    const bool mixed = scan.count > 1;
    const int across = mixed ? blocks(width_, 1, max_h_) : blocks(width_, alone.h, max_h_),
              down = mixed ? blocks(height_, 1, max_v_) : blocks(height_, alone.v, max_v_);
    const std::int64_t units = std::int64_t{across} * down;
    const std::int64_t interval = restart_every_ > 0 ? restart_every_ : units;
    for (std::int64_t unit = 0; unit < units; ++unit) {
        if (unit > 0 && unit % interval == 0) {
            const int wanted = static_cast<int>((unit / interval - 1) % 8);
            bits.pass_by(stray);
            const int number = bits.restart();
            if (number < 0) {
                found_.missing = ends_early;
                return false;
            }
            const auto marker = 0xd0u + static_cast<unsigned>(number);
            note_stray(stray, at, marker);
            if (number != wanted) {
                char text[80];
                std::snprintf(text, sizeof text, "found marker 0x%02x instead of RST%d", marker,
                              wanted);
                found_.lost = text;
                return false;
            }
            end_of_band_run_ = 0;
        }
        if (walk_unit(scan, bits)) continue;
        if (confused_) return false;
        found_.missing = ends_early;
        if (!bits.at_restart()) return false;
        unit += interval - 1 - unit % interval;  // the decoder goes on behind the mark
    }
    while (bits.restart() >= 0) {
    }  // one more at the end does no harm
    bits.pass_by(stray);
    const std::size_t end = at + data.size();
    note_stray(stray, at, end + 1 < bytes_.size() ? bytes_[end + 1] : 0u);
    return true;
}

JpegScans ScanWalk::check() {
    for (std::size_t at = 2; at + 1 < bytes_.size();) {
        if (bytes_[at] != 0xff || bytes_[at + 1] == 0xff || bytes_[at + 1] == 0) {
            ++at;
            continue;
        }
        const std::uint8_t marker = bytes_[at + 1];
        at += 2;
        if (marker == marker_eoi) break;
        if (marker == marker_soi || stands_alone(marker)) continue;
        if (bytes_.size() - at < 2) break;
        const auto length = static_cast<std::size_t>(big(bytes_, at));
        if (length < 2 || length > bytes_.size() - at) break;
        const Bytes segment = bytes_.subspan(at + 2, length - 2);
        at += length;
        if (marker == marker_dht) read_tables(segment);
        if (marker == 0xdd && segment.size() >= 2) restart_every_ = big(segment, 0);
        if (marker >= 0xc0 && marker <= 0xc2) {
            progressive_ = marker == 0xc2;
            read_frame(segment);
        }
        if (marker != marker_sos) continue;
        Scan scan;
        if (part_count_ == 0 || !read_scan(segment, scan)) return found_;
        const std::size_t end = end_of_jpeg_scan(bytes_, at);
        if (!walk_scan(scan, bytes_.subspan(at, end - at), at)) return found_;
        at = end;
    }
    for (int i = 0; i < part_count_; ++i) {
        for (const std::uint8_t bits : parts_[static_cast<std::size_t>(i)].unknown)
            if (bits > 0 && found_.missing.empty()) found_.missing = scans_missing;
    }
    return found_;
}

}  // namespace

JpegScans check_jpeg_scans(Bytes bytes) { return ScanWalk(bytes).check(); }

}  // namespace mien::host
