// SPDX-License-Identifier: MIT
// Frames from a pipe or a file of frames: YUV4MPEG2 (its header describes it), motion JPEG (images
// one after the other, or in AVI), raw pixels (the user describes them). What `ffmpeg` and `rpicam-vid` write
// to a pipe.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "host/clock.h"
#include "host/files/file_io.h"
#include "video/avi_splitter.h"
#include "video/jpeg_splitter.h"
#include "video/source.h"

namespace mien::video {
namespace {

constexpr std::size_t read_bytes = 1 << 16;
constexpr std::size_t max_line = 4096;
constexpr double default_fps = 30;
constexpr std::size_t max_frame_bytes = std::size_t{1} << 29;

// Bytes of a descriptor as they come; an interrupted or late read is no error.
class ByteReader {
public:
    explicit ByteReader(int descriptor) : descriptor_(descriptor) {}
    ByteReader(const ByteReader&) = delete;
    ByteReader& operator=(const ByteReader&) = delete;
    ~ByteReader() { ::close(descriptor_); }

    enum class State { more, wait, end, failed };
    // Appends up to `room` bytes to `out`.
    State read(std::vector<std::uint8_t>& out, std::size_t room, int timeout_ms) {
        struct pollfd wanted = {descriptor_, POLLIN, 0};
        const int ready = ::poll(&wanted, 1, timeout_ms);
        if (ready == 0 || (ready < 0 && errno == EINTR)) return State::wait;
        const std::size_t before = out.size();
        out.resize(before + room);
        const ssize_t got = ::read(descriptor_, out.data() + before, room);
        out.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got > 0) return State::more;
        if (got == 0) return State::end;
        if (errno == EINTR || errno == EAGAIN) return State::wait;
        error_ = std::strerror(errno);
        return State::failed;
    }
    const std::string& error() const { return error_; }

private:
    int descriptor_;
    std::string error_;
};

// What a stream is that neither this program nor its splitter reads, by its first bytes; null if
// they say nothing.
const char* name_of_other(const std::vector<std::uint8_t>& bytes) {
    const auto has = [&bytes](std::size_t at, std::string_view text) {
        return bytes.size() >= at + text.size() &&
               std::memcmp(bytes.data() + at, text.data(), text.size()) == 0;
    };
    using namespace std::string_view_literals;
    if (has(0, "\0\0\0\1"sv) || has(0, "\0\0\1"sv)) return "H.264 or another MPEG stream";
    if (has(0, "\x1a\x45\xdf\xa3"sv)) return "Matroska or WebM";
    if (has(4, "ftyp"sv)) return "MP4 or QuickTime";
    if (has(0, "RIFF"sv) && !has(8, "AVI "sv)) return "a RIFF file, but no AVI";
    if (has(0, "\x89PNG"sv)) return "PNG";
    if (has(0, "GIF8"sv)) return "GIF";
    if (has(0, "OggS"sv)) return "Ogg";
    if (has(0, "FLV\1"sv)) return "Flash video";
    return nullptr;
}

constexpr const char* by_ffmpeg =
    "; run: ffmpeg -v error -i FILE -f yuv4mpegpipe -pix_fmt yuv420p - | mien video -";

constexpr std::string_view mark_of_part = "content-type: image/jp";  // jpeg, or jpg of some cameras
// A stream that is joined in the middle shows what it is at the end of the first image.
constexpr std::size_t longest_start = std::size_t{1} << 23;

// Does a part of a multipart stream begin in `bytes`, as cameras send it over HTTP, or an image right
// after another?
bool has_motion_jpeg(std::span<const std::uint8_t> bytes) {
    const auto lower = [](std::uint8_t c) {
        return static_cast<std::uint8_t>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    };
    constexpr std::string_view header = mark_of_part;
    constexpr std::uint8_t two_images[] = {0xff, 0xd9, 0xff, 0xd8, 0xff};
    return std::search(bytes.begin(), bytes.end(), header.begin(), header.end(),
                       [lower](std::uint8_t have, char want) {
                           return lower(have) == static_cast<std::uint8_t>(want);
                       }) != bytes.end() ||
           std::search(bytes.begin(), bytes.end(), std::begin(two_images), std::end(two_images)) !=
               bytes.end();
}

// Strides to which drivers and encoders pad rows.
std::vector<std::size_t> padded_strides(const StreamOptions& options) {
    const std::size_t row = row_bytes(options.layout, options.width),
                      given = options.stride != 0 ? options.stride : row;
    std::vector<std::size_t> strides;
    for (std::size_t unit = 4; unit <= 512; unit *= 2) {
        const std::size_t padded = (row + unit - 1) / unit * unit;
        if (padded != given && (strides.empty() || strides.back() != padded))
            strides.push_back(padded);
    }
    return strides;
}

// How far bytes are from those a stride below, on average.
double row_difference(std::span<const std::uint8_t> bytes, std::size_t stride) {
    constexpr std::size_t most = 1 << 16;
    const std::size_t pairs = bytes.size() - stride, step = pairs / most + 1;
    std::uint64_t sum = 0, count = 0;
    for (std::size_t i = 0; i < pairs; i += step, ++count)
        sum += static_cast<std::uint64_t>(std::abs(bytes[i] - bytes[i + stride]));
    return static_cast<double>(sum) / static_cast<double>(count);
}

class StreamSource : public Source {
public:
    StreamSource(int descriptor, const StreamOptions& options)
        : reader_(descriptor),
          options_(options),
          fps_(options.fps > 0 ? options.fps : default_fps) {}

    // Identifies the stream. A camera's program may take seconds to send its first byte: then
    // begun_ stays false, and next() tries again.
    host::Result<> begin(int timeout_ms) {
        if (options_.raw) {
            begun_ = true;
            kind_ = options_.layout == PixelLayout::jpeg ? Kind::mjpeg : Kind::raw;
            layout_ = options_.layout;
            width_ = options_.width;
            height_ = options_.height;
            stride_ = options_.stride;
            return kind_ == Kind::raw ? check_size() : host::Result<>();
        }
        constexpr std::string_view y4m = "YUV4MPEG2";
        constexpr std::size_t enough = 12;  // to know each of them
        while (buffer_.size() < enough) {
            const ByteReader::State state = reader_.read(buffer_, read_bytes, timeout_ms);
            if (state == ByteReader::State::failed) return host::Error::input(reader_.error());
            if (state == ByteReader::State::end) break;
            if (state == ByteReader::State::wait) return {};
        }
        begun_ = true;
        if (buffer_.empty()) return host::Error::input("is empty");
        if (buffer_.size() >= y4m.size() &&
            std::memcmp(buffer_.data(), y4m.data(), y4m.size()) == 0) {
            kind_ = Kind::y4m;
            return begin_y4m();
        }
        if (const char* other = name_of_other(buffer_); other != nullptr)
            return host::Error::input(std::string("is ") + other + by_ffmpeg);
        if (buffer_.size() >= enough && std::memcmp(buffer_.data(), "RIFF", 4) == 0)
            return begin_avi();
        begun_ = false;
        const bool starts =
            buffer_.size() >= 3 && buffer_[0] == 0xff && buffer_[1] == 0xd8 && buffer_[2] == 0xff;
        while (!starts && !has_motion_jpeg(std::span(buffer_).subspan(searched_))) {
            searched_ = buffer_.size() - std::min(buffer_.size(), mark_of_part.size());
            const ByteReader::State state = buffer_.size() < longest_start
                                                ? reader_.read(buffer_, read_bytes, timeout_ms)
                                                : ByteReader::State::end;
            if (state == ByteReader::State::failed) return host::Error::input(reader_.error());
            if (state == ByteReader::State::wait) return {};
            if (state == ByteReader::State::end)
                return host::Error::input(
                    "is no YUV4MPEG2 and no motion JPEG; for raw pixels give --raw FORMAT and "
                    "--size");
        }
        begun_ = true;
        kind_ = Kind::mjpeg;
        layout_ = PixelLayout::jpeg;
        splitter_.add(buffer_);
        buffer_.clear();
        return {};
    }

    Next next(Packet& packet, int timeout_ms) override {
        if (done_) return error_.empty() ? Next::end : Next::failed;
        if (!begun_) {
            if (const host::Result<> done = begin(timeout_ms); !done)
                return fail(done.error().text);
            if (!begun_) return Next::wait;
        }
        switch (kind_) {
            case Kind::mjpeg: return next_jpeg(packet, timeout_ms);
            case Kind::avi: return next_of_avi(packet, timeout_ms);
            default: return next_plain(packet, timeout_ms);
        }
    }
    const std::string& error() const override { return error_; }
    std::string description() const override {
        char rate[32];
        if (!begun_) return "waiting for the first frame";
        std::snprintf(rate, sizeof rate, "%.4g", fps_);
        const std::string size = layout_ == PixelLayout::jpeg ? ""
                                                              : std::to_string(width_) + " x " +
                                                                    std::to_string(height_) + " ";
        return size + layout_name(layout_) +
               (options_.live ? ", live" : std::string(", ") + rate + " frames per second");
    }
    bool is_live() const override { return options_.live; }
    double frame_rate() const override { return options_.live ? 0 : fps_; }

private:
    enum class Kind { y4m, mjpeg, avi, raw };

    host::Result<> check_size() const {
        if (width_ < 1 || height_ < 1 || width_ > max_side || height_ > max_side ||
            static_cast<std::uint64_t>(width_) * static_cast<std::uint64_t>(height_) > max_pixels) {
            return host::Error::input("frames cannot be " + std::to_string(width_) + " x " +
                                      std::to_string(height_) + " pixels");
        }
        const std::size_t row = row_bytes(layout_, width_);
        if (stride_ != 0 && stride_ < row)
            return host::Error::usage("--stride " + std::to_string(stride_) +
                                      " is less than a row, which has " + std::to_string(row) +
                                      " bytes");
        if (packet_bytes(layout_, width_, height_, stride_) > max_frame_bytes)
            return host::Error::usage("--stride " + std::to_string(stride_) +
                                      " makes frames too large");
        return {};
    }

    // Reads up to the first frame, which says how many come in a second.
    host::Result<> begin_avi() {
        kind_ = Kind::avi;
        layout_ = PixelLayout::jpeg;
        std::span<const std::uint8_t> frame;
        avi_.add(buffer_);
        for (AviSplitter::Step step; (step = avi_.next(frame)) != AviSplitter::Step::movie;) {
            if (step == AviSplitter::Step::failed)
                return host::Error::input(avi_.error() + by_ffmpeg);
            buffer_.clear();
            if (reader_.read(buffer_, read_bytes, 1000) != ByteReader::State::more)
                return host::Error::input("cut short in the header of AVI");
            avi_.add(buffer_);
        }
        buffer_.clear();
        if (options_.fps <= 0 && avi_.frame_rate() > 0) fps_ = avi_.frame_rate();
        return {};
    }

    // "YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg"
    host::Result<> begin_y4m() {
        std::size_t end = 0;
        while ((end = find_newline()) == buffer_.size()) {
            if (buffer_.size() > max_line)
                return host::Error::input("the YUV4MPEG2 header has no end");
            const ByteReader::State state = reader_.read(buffer_, read_bytes, 1000);
            if (state != ByteReader::State::more)
                return host::Error::input("cut short in the YUV4MPEG2 header");
        }
        const std::string line(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(end));
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(end) + 1);
        std::string colour = "420";
        for (std::size_t at = line.find(' '); at != std::string::npos;
             at = line.find(' ', at + 1)) {
            const std::string field = line.substr(at + 1, line.find(' ', at + 1) - at - 1);
            if (field.empty()) continue;
            const std::string value = field.substr(1);
            if (field[0] == 'W')
                width_ = static_cast<int>(
                    std::clamp(std::strtol(value.c_str(), nullptr, 10), -1L, 1L << 20));
            if (field[0] == 'H')
                height_ = static_cast<int>(
                    std::clamp(std::strtol(value.c_str(), nullptr, 10), -1L, 1L << 20));
            if (field[0] == 'C') colour = value;
            if (field[0] == 'A') aspect_ = ratio_of(value);
            if (field[0] == 'F' && options_.fps <= 0) {
                char* rest = nullptr;
                const double over = std::strtod(value.c_str(), &rest),
                             under = *rest == ':' ? std::strtod(rest + 1, nullptr) : 1;
                if (over > 0 && under > 0 && over / under < 1e5 && over / under > 1e-3)
                    fps_ = over / under;
            }
        }
        const bool mono = colour == "mono", c420 = colour == "420" || colour == "420jpeg" ||
                                                   colour == "420mpeg2" || colour == "420paldv";
        if (!mono && !c420)
            return host::Error::input("YUV4MPEG2 of colour type " + colour.substr(0, 16) +
                                      "; let ffmpeg write -pix_fmt yuv420p");
        layout_ = mono ? PixelLayout::gray8 : PixelLayout::yu12;
        return check_size();
    }
    static PixelAspect ratio_of(const std::string& text) {
        char* rest = nullptr;
        const auto part = [&rest](const char* from) {
            return static_cast<int>(std::clamp(std::strtol(from, &rest, 10), -1L, 1L << 30));
        };
        const int width = part(text.c_str());
        return {width, *rest == ':' ? part(rest + 1) : 0};
    }
    std::size_t find_newline() const {
        return static_cast<std::size_t>(
            std::find(buffer_.begin(), buffer_.end(), std::uint8_t{'\n'}) - buffer_.begin());
    }

    Next fail(std::string text) {
        error_ = std::move(text);
        done_ = true;
        return Next::failed;
    }

    Next next_plain(Packet& packet, int timeout_ms) {
        if (given_ > 0) {
            buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(given_));
            given_ = 0;
        }
        const std::size_t bytes = packet_bytes(layout_, width_, height_, stride_),
                          least = stride_ != 0
                                      ? least_packet_bytes(layout_, width_, height_, stride_)
                                      : bytes;
        for (;;) {
            std::size_t head = 0;
            bool whole_head = true;
            if (kind_ == Kind::y4m) {
                const std::size_t end = find_newline_of_frame();
                whole_head = end < buffer_.size();
                head = end + 1;
                if (buffer_.size() >= 5 && std::memcmp(buffer_.data(), "FRAME", 5) != 0)
                    return fail("frame " + std::to_string(number_) + " does not begin with FRAME");
                if (!whole_head && buffer_.size() > max_line)
                    return fail("frame " + std::to_string(number_) + " has a header without end");
            }
            if (whole_head && buffer_.size() >= head + bytes)
                return give_plain(packet, head, bytes);
            const std::size_t room =
                whole_head ? std::min<std::size_t>(head + bytes - buffer_.size(), 1 << 20)
                           : read_bytes;
            switch (reader_.read(buffer_, room, timeout_ms)) {
                case ByteReader::State::more: break;
                case ByteReader::State::wait: return Next::wait;
                case ByteReader::State::failed: return fail(reader_.error());
                case ByteReader::State::end:
                    done_ = true;
                    if (buffer_.empty()) return Next::end;
                    if (whole_head && buffer_.size() >= head + least) {
                        // the last row need not be padded
                        buffer_.resize(head + bytes);
                        return give_plain(packet, head, bytes);
                    }
                    return fail("cut short in frame " + std::to_string(number_) + ": " +
                                std::to_string(buffer_.size()) + " of " +
                                std::to_string(head + bytes) + " bytes" + hint_at_end());
            }
        }
    }
    Next give_plain(Packet& packet, std::size_t head, std::size_t bytes) {
        const std::span<const std::uint8_t> pixels(buffer_.data() + head, bytes);
        if (kind_ == Kind::raw && number_ == 0 && options_.tell) {
            if (const std::size_t stride = stride_by_look(pixels, options_); stride != 0) {
                options_.tell("frame 0 looks skewed, as if its rows were " +
                              std::to_string(stride) + " bytes apart; try --stride " +
                              std::to_string(stride));
            }
        }
        packet = {layout_, pixels, width_, height_, stride_, stamp(), number_++};
        packet.aspect = aspect_;
        given_ = head + bytes;
        return Next::packet;
    }
    std::string hint_at_end() const {
        if (kind_ != Kind::raw) return {};
        const std::uint64_t total =
            number_ * packet_bytes(layout_, width_, height_, stride_) + buffer_.size();
        std::size_t stride = stride_by_length(total, options_);
        if (stride == 0 && number_ == 0) stride = stride_by_look(buffer_, options_);
        if (stride == 0) return {};
        return "; rows may be " + std::to_string(stride) + " bytes apart: try --stride " +
               std::to_string(stride);
    }
    std::size_t find_newline_of_frame() const {
        const auto limit = static_cast<std::ptrdiff_t>(std::min(buffer_.size(), max_line + 1));
        const auto found = std::find(buffer_.begin(), buffer_.begin() + limit, std::uint8_t{'\n'});
        return found == buffer_.begin() + limit ? buffer_.size()
                                                : static_cast<std::size_t>(found - buffer_.begin());
    }

    Next next_jpeg(Packet& packet, int timeout_ms) {
        for (;;) {
            const std::span<const std::uint8_t> picture = splitter_.next();
            if (!picture.empty()) {
                packet = {PixelLayout::jpeg, picture, 0, 0, 0, stamp(), number_++};
                return Next::packet;
            }
            buffer_.clear();
            const ByteReader::State state = reader_.read(buffer_, read_bytes, timeout_ms);
            if (state == ByteReader::State::wait) return Next::wait;
            if (state == ByteReader::State::failed) return fail(reader_.error());
            if (state == ByteReader::State::end) {
                done_ = true;
                if (number_ == 0 || splitter_.buffered_bytes() > 1)
                    return fail(number_ == 0 ? "has no whole JPEG"
                                             : "cut short in frame " + std::to_string(number_));
                return Next::end;
            }
            splitter_.add(buffer_);
        }
    }

    Next next_of_avi(Packet& packet, int timeout_ms) {
        for (;;) {
            std::span<const std::uint8_t> frame;
            switch (avi_.next(frame)) {
                case AviSplitter::Step::frame:
                    packet = {PixelLayout::jpeg, frame, 0, 0, 0, stamp(), number_++};
                    return Next::packet;
                case AviSplitter::Step::repeat: ++repeats_; continue;
                case AviSplitter::Step::movie: continue;
                case AviSplitter::Step::failed: return fail(avi_.error());
                case AviSplitter::Step::end: done_ = true; return Next::end;
                case AviSplitter::Step::more: break;
            }
            buffer_.clear();
            switch (reader_.read(buffer_, read_bytes, timeout_ms)) {
                case ByteReader::State::more: avi_.add(buffer_); break;
                case ByteReader::State::wait: return Next::wait;
                case ByteReader::State::failed: return fail(reader_.error());
                case ByteReader::State::end:
                    done_ = true;
                    if (avi_.buffered_bytes() > 0)
                        return fail("cut short in frame " + std::to_string(number_));
                    return Next::end;
            }
        }
    }

    std::uint64_t stamp() const {
        return options_.live ? host::monotonic_ns()
                             : static_cast<std::uint64_t>(std::llround(
                                   static_cast<double>(number_ + repeats_) * 1e9 / fps_));
    }

    ByteReader reader_;
    StreamOptions options_;
    Kind kind_ = Kind::raw;
    PixelLayout layout_ = PixelLayout::yu12;
    int width_ = 0, height_ = 0;
    std::size_t stride_ = 0;
    PixelAspect aspect_;
    double fps_;
    std::vector<std::uint8_t> buffer_;
    std::size_t searched_ = 0;  // no motion JPEG begins before
    std::size_t given_ = 0;     // bytes at the buffer's front that the last packet uses
    JpegSplitter splitter_;
    AviSplitter avi_;
    std::uint64_t number_ = 0, repeats_ = 0;  // frames so far; of AVI, those that stayed the same
    bool begun_ = false, done_ = false;
    std::string error_;
};

}  // namespace

std::size_t stride_by_look(std::span<const std::uint8_t> bytes, const StreamOptions& options) {
    const std::size_t row = row_bytes(options.layout, options.width),
                      given = options.stride != 0 ? options.stride : row;
    if (row == 0) return 0;
    // The planes behind the first one have other rows.
    bytes = bytes.first(
        std::min(bytes.size(), given * static_cast<std::size_t>(std::max(options.height, 0))));
    if (bytes.size() < 4 * given) return 0;
    const double now = row_difference(bytes, given);
    double best = now / 2;
    std::size_t found = 0;
    for (const std::size_t stride : padded_strides(options)) {
        if (bytes.size() < 4 * stride) continue;
        const double there = row_difference(bytes, stride);
        if (there < best && there + 2 < now) {
            best = there;
            found = stride;
        }
    }
    return found;
}

std::size_t stride_by_length(std::uint64_t total, const StreamOptions& options) {
    for (const std::size_t stride : padded_strides(options)) {
        const std::uint64_t frame =
            packet_bytes(options.layout, options.width, options.height, stride);
        if (total > 0 && frame > 0 && total % frame == 0) return stride;
    }
    return 0;
}

host::Result<std::unique_ptr<Source>> open_stream(int descriptor, const StreamOptions& options) {
    host::note_input(descriptor);
    auto source = std::make_unique<StreamSource>(descriptor, options);
    if (const host::Result<> done = source->begin(1000); !done) return done.error();
    return std::unique_ptr<Source>(std::move(source));
}

}  // namespace mien::video
