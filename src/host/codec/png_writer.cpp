// SPDX-License-Identifier: MIT
// PNG (ISO/IEC 15948) around zlib (RFC 1950) around deflate (RFC 1951) with dynamic Huffman codes
// (see png_writer.h).
#include "host/codec/png_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "base/crc32.h"

namespace mien::host {
namespace {

// ---- filters: what is left of a row when each byte is predicted from its neighbors

constexpr int largest_pixel = 3;

int paeth(int left, int above, int corner) {
    const int to_left = std::abs(above - corner), to_above = std::abs(left - corner),
              to_corner = std::abs(left + above - 2 * corner);
    const int other = to_above <= to_corner ? above : corner;
    return to_left <= to_above && to_left <= to_corner ? left : other;
}

// Writes the filtered row; returns the sum of what is left, as signed numbers. `row` and `above`
// have `pixel` bytes of zero before them.
template <int pixel, class Predict>
std::uint32_t filter_row(const std::uint8_t* row, const std::uint8_t* above, int bytes,
                         std::uint8_t* out, Predict predict) {
    std::uint32_t sum = 0;
    for (int i = 0; i < bytes; ++i) {
        const auto left =
            static_cast<std::uint8_t>(row[i] - predict(row[i - pixel], above[i], above[i - pixel]));
        out[i] = left;
        sum += std::min<std::uint8_t>(left, static_cast<std::uint8_t>(-left));
    }
    return sum;
}

// Rows one after the other, filtered.
class RowFilter {
public:
    RowFilter(int bytes, int pixel) : bytes_(bytes), pixel_(pixel) {
        for (ByteVector& row : rows_) row.resize(largest_pixel + static_cast<std::size_t>(bytes));
        for (ByteVector& candidate : candidates_)
            candidate.resize(1 + static_cast<std::size_t>(bytes));
    }
    // The number of the filter, then the row; valid until the next call.
    const ByteVector& next(const std::uint8_t* pixels) {
        std::memcpy(rows_[0].data() + largest_pixel, pixels, static_cast<std::size_t>(bytes_));
        const ByteVector& best = pixel_ == 1 ? choose<1>() : choose<3>();
        std::swap(rows_[0], rows_[1]);
        return best;
    }

private:
    template <int pixel>
    const ByteVector& choose() {
        const std::uint8_t *const row = rows_[0].data() + largest_pixel, *const above =
                                                                             rows_[1].data() +
                                                                             largest_pixel;
        std::uint32_t smallest = ~0u;
        const ByteVector* best = nullptr;
        int used = 0;
        const auto attempt = [&](std::uint8_t type, auto predict) {
            ByteVector& out = candidates_[static_cast<std::size_t>(used++)];
            out[0] = type;
            const std::uint32_t sum =
                filter_row<pixel>(row, above, bytes_, out.data() + 1, predict);
            if (sum < smallest) {
                smallest = sum;
                best = &out;
            }
        };
        attempt(1, [](int left, int, int) { return left; });
        attempt(2, [](int, int up, int) { return up; });
        attempt(3, [](int left, int up, int) { return (left + up) >> 1; });
        attempt(4, [](int left, int up, int corner) { return paeth(left, up, corner); });
        return *best;
    }

    int bytes_, pixel_;
    ByteVector rows_[2];  // this row and the one above
    ByteVector candidates_[4];
};

// ---- Huffman codes

struct Code {
    std::uint16_t bits = 0;  // as they are written, lowest first
    std::uint8_t length = 0;
};

// Depths of the leaves of Huffman's tree for counts that ascend; returns the largest. Leaves and
// inner nodes are two queues that each ascend, so the two smallest are always at their heads.
int tree_depths(const std::uint32_t* counts, int leaves, std::uint8_t* depths) {
    std::array<std::uint32_t, 2 * 286> weight{};
    std::array<int, 2 * 286> parent{}, depth{};
    std::copy_n(counts, leaves, weight.begin());
    int leaf = 0, inner = leaves, nodes = leaves;
    const auto smallest = [&] {
        return inner == nodes || (leaf < leaves && weight[static_cast<std::size_t>(leaf)] <=
                                                       weight[static_cast<std::size_t>(inner)])
                   ? leaf++
                   : inner++;
    };
    for (; nodes < 2 * leaves - 1; ++nodes) {
        const auto a = static_cast<std::size_t>(smallest()),
                   b = static_cast<std::size_t>(smallest());
        weight[static_cast<std::size_t>(nodes)] = weight[a] + weight[b];
        parent[a] = parent[b] = nodes;
    }
    int largest = 0;
    for (int i = 2 * leaves - 3; i >= 0; --i) {
        const auto at = static_cast<std::size_t>(i);
        depth[at] = depth[static_cast<std::size_t>(parent[at])] + 1;
        if (i >= leaves) continue;
        depths[i] = static_cast<std::uint8_t>(depth[at]);
        largest = std::max(largest, depth[at]);
    }
    return largest;
}

// Codes of at most `limit` bits for the symbols that occur. A deeper tree is made again with counts
// that differ less, until it fits; that costs little, since only rare symbols are so deep.
template <std::size_t symbols>
void make_codes(const std::array<std::uint32_t, symbols>& counts, int limit,
                std::array<Code, symbols>& codes) {
    codes = {};
    std::array<std::uint16_t, symbols> order{};
    int used = 0;
    for (std::size_t s = 0; s < symbols; ++s)
        if (counts[s] > 0) order[static_cast<std::size_t>(used++)] = static_cast<std::uint16_t>(s);
    // A tree needs two leaves; a second symbol that never occurs does no harm.
    for (std::size_t s = 0; used < 2; ++s)
        if (counts[s] == 0) order[static_cast<std::size_t>(used++)] = static_cast<std::uint16_t>(s);
    std::sort(order.begin(), order.begin() + used, [&](std::uint16_t a, std::uint16_t b) {
        return counts[a] != counts[b] ? counts[a] < counts[b] : a < b;
    });
    std::array<std::uint32_t, symbols> sorted{};
    for (std::size_t i = 0; i < static_cast<std::size_t>(used); ++i)
        sorted[i] = std::max(counts[order[i]], 1u);
    std::array<std::uint8_t, symbols> depths{};
    while (tree_depths(sorted.data(), used, depths.data()) > limit)
        for (std::uint32_t& count : sorted) count = count / 2 + 1;
    for (std::size_t i = 0; i < static_cast<std::size_t>(used); ++i)
        codes[order[i]].length = depths[i];

    // Canonical: codes of one length are consecutive numbers, in the order of the symbols, highest
    // bit first.
    int next = 0;
    for (int length = 1; length <= limit; ++length, next <<= 1) {
        for (Code& code : codes) {
            if (code.length != length) continue;
            for (int bit = 0; bit < length; ++bit)
                code.bits =
                    static_cast<std::uint16_t>(code.bits | (next >> bit & 1) << (length - 1 - bit));
            ++next;
        }
    }
}

// ---- deflate

// Bits, lowest first, into memory that has 8 bytes more than they need.
class BitWriter {
public:
    void put(std::uint32_t bits, int count) {
        held_ |= std::uint64_t{bits} << held_count_;
        held_count_ += count;
    }
    void put(Code code) { put(code.bits, code.length); }
    // After at most 56 bits.
    void flush(std::uint8_t*& out) {
        // one store
        for (int i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(held_ >> (8 * i));
        const int bytes = held_count_ >> 3;
        out += bytes;
        held_ = bytes == 8 ? 0 : held_ >> (8 * bytes);
        held_count_ &= 7;
    }
    // Zeros up to a whole byte.
    void align(std::uint8_t*& out) {
        held_count_ = (held_count_ + 7) & ~7;
        flush(out);
    }

private:
    std::uint64_t held_ = 0;
    int held_count_ = 0;
};

constexpr std::size_t literal_symbols = 286, length_symbols = 19, end_of_block = 256;
constexpr int longest_run = 258;

// Lengths 3..258 have the symbols from 257 on, four to an octave, with extra bits for what is
// between.
struct LengthSymbol {
    std::uint16_t symbol = 0;
    std::uint8_t extra_bits = 0, extra = 0;
};
constexpr auto length_table = [] {
    std::array<LengthSymbol, longest_run + 1> table{};
    int length = 3;
    for (std::uint16_t symbol = 257; symbol < 285; ++symbol) {
        const int extra_bits = symbol < 265 ? 0 : (symbol - 261) / 4;
        for (int extra = 0; extra < 1 << extra_bits; ++extra, ++length)
            if (length < longest_run)
                table[static_cast<std::size_t>(length)] = {symbol,
                                                           static_cast<std::uint8_t>(extra_bits),
                                                           static_cast<std::uint8_t>(extra)};
    }
    table[longest_run] = {285, 0, 0};
    return table;
}();

using LiteralCodes = std::array<Code, literal_symbols>;

// The code lengths of a block, themselves Huffman-coded; runs of them are cut short by the symbols
// 16 (repeat), 17 and 18 (zeros).
void put_code_lengths(const LiteralCodes& codes, BitWriter& bits, std::uint8_t*& out) {
    std::array<std::uint8_t, literal_symbols + 1> lengths{};
    for (std::size_t s = 0; s < literal_symbols; ++s) lengths[s] = codes[s].length;
    lengths[literal_symbols] = 1;  // the only distance is 1
    struct Item {
        std::uint8_t symbol, extra_bits, extra;
    };
    std::array<Item, literal_symbols + 1> items{};
    std::array<std::uint32_t, length_symbols> counts{};
    std::size_t item_count = 0;
    const auto add = [&](int symbol, int extra_bits, int extra) {
        items[item_count++] = {static_cast<std::uint8_t>(symbol),
                               static_cast<std::uint8_t>(extra_bits),
                               static_cast<std::uint8_t>(extra)};
        ++counts[static_cast<std::size_t>(symbol)];
    };
    for (std::size_t i = 0; i < lengths.size();) {
        const std::uint8_t value = lengths[i];
        int run = 1;
        while (i + static_cast<std::size_t>(run) < lengths.size() &&
               lengths[i + static_cast<std::size_t>(run)] == value)
            ++run;
        i += static_cast<std::size_t>(run);
        if (value != 0) {
            add(value, 0, 0);
            --run;
        }
        while (run >= 3) {
            const int part = std::min(run, value != 0 ? 6 : 138);
            if (value != 0)
                add(16, 2, part - 3);
            else if (part <= 10)
                add(17, 3, part - 3);
            else
                add(18, 7, part - 11);
            run -= part;
        }
        for (; run > 0; --run) add(value, 0, 0);
    }
    std::array<Code, length_symbols> length_codes;
    make_codes(counts, 7, length_codes);
    static constexpr std::uint8_t order[length_symbols] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                           11, 4,  12, 3, 13, 2, 14, 1, 15};
    bits.put(literal_symbols - 257, 5);
    bits.put(0, 5);   // one distance
    bits.put(15, 4);  // all 19 lengths
    for (const std::uint8_t symbol : order) {
        bits.put(length_codes[symbol].length, 3);
        bits.flush(out);
    }
    for (std::size_t i = 0; i < item_count; ++i) {
        bits.put(length_codes[items[i].symbol]);
        bits.put(items[i].extra, items[i].extra_bits);
        bits.flush(out);
    }
}

// A token is a byte, or 256 plus the length of a run of the byte before.
using Tokens = std::vector<std::uint16_t>;

std::size_t tokenise(const std::uint8_t* data, std::size_t size, Tokens& tokens,
                     std::array<std::uint32_t, literal_symbols>& counts) {
    std::uint16_t* out = tokens.data();
    // Two tables of counts, since neighbors are often equal and would wait for each other.
    std::array<std::uint32_t, 256> even{}, odd{};
    const auto literal = [&](std::size_t i) {
        ++(i % 2 == 0 ? even : odd)[data[i]];
        *out++ = data[i];
    };
    std::size_t i = 0;
    if (size > 0) literal(i++);
    while (i + 3 <= size) {
        std::uint32_t four;
        std::memcpy(&four, data + i - 1, 4);
        if (four != (four >> 8 | four << 24)) {  // a byte that equals its neighbor all around
            literal(i++);
            continue;
        }
        std::size_t end = i + 3;
        const std::size_t last = std::min(size, i + longest_run);
        while (end < last && data[end] == data[i]) ++end;
        ++counts[length_table[end - i].symbol];
        *out++ = static_cast<std::uint16_t>(256 + (end - i));
        i = end;
    }
    while (i < size) literal(i++);
    for (std::size_t s = 0; s < 256; ++s) counts[s] = even[s] + odd[s];
    return static_cast<std::size_t>(out - tokens.data());
}

void put_tokens(const std::uint16_t* token, const std::uint16_t* end, const LiteralCodes& codes,
                BitWriter& bits, std::uint8_t*& out) {
    while (token != end) {
        if (end - token >= 3 && token[0] < 256 && token[1] < 256 && token[2] < 256) {
            for (int i = 0; i < 3; ++i) bits.put(codes[token[i]]);
            token += 3;
        } else if (*token < 256) {
            bits.put(codes[*token++]);
        } else {
            const LengthSymbol length = length_table[static_cast<std::size_t>(*token++ - 256)];
            bits.put(codes[length.symbol]);
            bits.put(length.extra, length.extra_bits);
            bits.put(0, 1);  // distance 1
        }
        bits.flush(out);
    }
}

// Of RFC 1950. Sums of 4096 bytes, weighted by their distance to the end, fit in 32 bits.
class Adler32 {
public:
    void add(const std::uint8_t* data, std::size_t size) {
        while (size > 0) {
            const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(size, 4096));
            std::uint32_t sum = 0, weighted = 0;
            for (std::uint32_t i = 0; i < count; ++i) {
                sum += data[i];
                weighted += (count - i) * data[i];
            }
            b_ = (b_ + count * a_ + weighted % base) % base;
            a_ = (a_ + sum) % base;
            data += count;
            size -= count;
        }
    }
    std::uint32_t value() const { return b_ << 16 | a_; }

private:
    static constexpr std::uint32_t base = 65521;
    std::uint32_t a_ = 1, b_ = 0;
};

// ---- the file

void append_u32(ByteVector& out, std::uint32_t value) {
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

class PngFile {
public:
    void begin_chunk(std::string_view type) {
        start_ = bytes.size();
        append_u32(bytes, 0);
        bytes.insert(bytes.end(), type.begin(), type.end());
    }
    void end_chunk() {
        const std::size_t size = bytes.size() - start_ - 8;
        for (std::size_t i = 0; i < 4; ++i)
            bytes[start_ + i] = static_cast<std::uint8_t>(size >> (24 - 8 * i));
        append_u32(bytes, crc32({bytes.data() + start_ + 4, size + 4}));
    }
    ByteVector bytes;

private:
    std::size_t start_ = 0;
};

}  // namespace

ByteVector write_png(const Frame& frame) {
    const int pixel = frame.format == PixelFormat::gray8 ? 1 : 3;
    const int row_bytes = frame.width * pixel;
    PngFile file;
    file.bytes = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    file.begin_chunk("IHDR");
    append_u32(file.bytes, static_cast<std::uint32_t>(frame.width));
    append_u32(file.bytes, static_cast<std::uint32_t>(frame.height));
    for (const int value : {8, pixel == 1 ? 0 : 2, 0, 0, 0})
        file.bytes.push_back(static_cast<std::uint8_t>(value));
    file.end_chunk();

    // A block has its own codes; each makes a chunk, with the bits of an unfinished byte carried to
    // the next.
    constexpr std::size_t block_bytes = 1 << 17;
    RowFilter filter(row_bytes, pixel);
    BitWriter bits;
    Adler32 adler;
    ByteVector block;
    Tokens tokens;
    block.reserve(block_bytes + static_cast<std::size_t>(row_bytes) + 1);
    bits.put(0x0178, 16);  // zlib: deflate, 32 KiB window, fast
    for (int y = 0; y < frame.height; ++y) {
        const ByteVector& row = filter.next(frame.data + y * frame.stride_bytes);
        block.insert(block.end(), row.begin(), row.end());
        const bool last = y + 1 == frame.height;
        if (!last && block.size() < block_bytes) continue;
        adler.add(block.data(), block.size());
        tokens.resize(block.size());
        std::array<std::uint32_t, literal_symbols> counts{};
        const std::size_t token_count = tokenise(block.data(), block.size(), tokens, counts);
        counts[end_of_block] = 1;
        LiteralCodes codes;
        make_codes(counts, 15, codes);

        file.begin_chunk("IDAT");
        const std::size_t begin = file.bytes.size();
        std::size_t token_bits = 0;
        for (std::size_t s = 0; s < literal_symbols; ++s)
            token_bits += counts[s] * (std::size_t{codes[s].length} + (s > end_of_block ? 6 : 0));
        file.bytes.resize(begin + token_bits / 8 + 1024);
        std::uint8_t* out = file.bytes.data() + begin;
        bits.put(last ? 1 : 0, 1);
        bits.put(2, 2);  // dynamic codes
        put_code_lengths(codes, bits, out);
        put_tokens(tokens.data(), tokens.data() + token_count, codes, bits, out);
        bits.put(codes[end_of_block]);
        bits.flush(out);
        if (last) bits.align(out);
        file.bytes.resize(static_cast<std::size_t>(out - file.bytes.data()));
        if (last) append_u32(file.bytes, adler.value());
        file.end_chunk();
        block.clear();
    }
    file.begin_chunk("IEND");
    file.end_chunk();
    return std::move(file.bytes);
}

}  // namespace mien::host
