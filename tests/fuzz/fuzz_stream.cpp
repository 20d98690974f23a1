// SPDX-License-Identifier: MIT
// Can any bytes on standard input or from a camera crash the splitter of streams or the decoder of
// camera JPEGs and pixels? The first byte chooses which, and the scale of JPEGs or the format of
// pixels, whose size is in the next bytes.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "video/decoder.h"
#include "video/source.h"

namespace {

// As gray, as YCbCr to draw on, and as RGB.
void decode(const mien::video::Packet& packet, int jpeg_scale) {
    constexpr std::pair<bool, bool> wanted[] = {{false, false}, {false, true}, {true, true}};
    for (const auto& [color, picture] : wanted) {
        mien::video::Decoder decoder({color, picture, jpeg_scale});
        mien::Frame frame;
        if (!decoder.decode(packet, frame)) continue;
        if (frame.width < 1 || frame.height < 1) std::abort();
        std::vector<std::uint8_t> rgb;
        decoder.picture(rgb);
        if (rgb.size() !=
            3 * static_cast<std::size_t>(frame.width) * static_cast<std::size_t>(frame.height))
            std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mien::video;
    if (size < 1 || size > 60000) return 0;  // a pipe holds 64 KiB without a reader
    const std::uint8_t kind = data[0];
    const int jpeg_scale = 1 << (kind / 2 % 4);
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);
    if (kind >= 128) {
        if (size < 5) return 0;
        const auto layout =
            static_cast<PixelLayout>(kind % (static_cast<int>(PixelLayout::rggb) + 1));
        const std::size_t row = row_bytes(layout, data[1]);
        decode({layout, bytes.subspan(3), data[1], data[2], row != 0 ? row + data[3] % 8 : 0, 0, 0},
               jpeg_scale);
        return 0;
    }
    if (kind % 2 == 0) {
        decode({PixelLayout::jpeg, bytes, 0, 0, 0, 0, 0}, jpeg_scale);
        return 0;
    }
    int ends[2];
    if (::pipe(ends) != 0 ||
        ::write(ends[1], bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        std::abort();
    ::close(ends[1]);
    const auto source = open_stream(ends[0], {});
    if (!source) {
        if (source.error().text.empty()) std::abort();
        return 0;
    }
    for (int frames = 0; frames < 8; ++frames) {
        Packet packet;
        if ((*source)->next(packet, 0) != Next::packet) break;
        decode(packet, jpeg_scale);
    }
    return 0;
}
