// SPDX-License-Identifier: MIT
#include "video/recorder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "host/files/file_io.h"

namespace mien::video {
namespace {

void put32(std::vector<std::uint8_t>& out, std::uint32_t v) {
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
}
void put16(std::vector<std::uint8_t>& out, std::uint32_t v) {
    out.push_back(static_cast<std::uint8_t>(v));
    out.push_back(static_cast<std::uint8_t>(v >> 8));
}
void put_name(std::vector<std::uint8_t>& out, const char* name) {
    out.insert(out.end(), name, name + 4);
}

host::Error io_error(int number) {
    if (number == ENOSPC)
        return host::Error::output("no space left on the disk; the recording ends here");
    if (number == EFBIG)
        return host::Error::output("the file is as large as it may be; the recording ends here");
    return host::Error::output(std::strerror(number));
}

constexpr std::uint32_t index_flag = 0x10;  // AVIF_HASINDEX, and AVIIF_KEYFRAME in the index
constexpr std::size_t index_entry_bytes = 16;

}  // namespace

host::Result<std::unique_ptr<Recorder>> Recorder::create(const std::string& path, bool overwrite,
                                                         std::uint64_t max_bytes) {
    if (path.size() < 5 || path.compare(path.size() - 4, 4, ".avi") != 0)
        return host::Error::usage("recordings are .avi files (motion JPEG)");
    std::unique_ptr<Recorder> recorder(new Recorder());
    recorder->path_ = path;
    recorder->overwrite_ = overwrite;
    recorder->max_bytes_ = max_bytes;
    if (const host::Result<> done = recorder->open_part(); !done) return done.error();
    return recorder;
}

Recorder::~Recorder() { static_cast<void>(finish()); }

host::Result<> Recorder::open_part() {
    part_path_ = part_ == 1
                     ? path_
                     : path_.substr(0, path_.size() - 4) + "-" + std::to_string(part_) + ".avi";
    descriptor_ = ::open(part_path_.c_str(),
                         O_WRONLY | O_CREAT | O_CLOEXEC | (overwrite_ ? O_TRUNC : O_EXCL), 0666);
    if (descriptor_ < 0)
        return errno == EEXIST ? host::Error::output("exists already; -y overwrites it")
                               : host::Error::output(std::strerror(errno));
    index_.clear();
    written_ = 0;
    largest_ = 0;
    return {};
}

// Sizes and rate are those known now; the header is written again at the end.
std::vector<std::uint8_t> Recorder::header() const {
    const auto frames = static_cast<std::uint32_t>(index_.size());
    const double seconds = static_cast<double>(last_ns_ - first_ns_) * 1e-9;
    const double fps =
        frames > 1 && seconds > 0 ? std::clamp((frames - 1) / seconds, 0.1, 1000.0) : 30;
    const auto w = static_cast<std::uint32_t>(width_), h = static_cast<std::uint32_t>(height_);
    std::vector<std::uint8_t> out;
    put_name(out, "RIFF");
    put32(out, written_ > 8 ? static_cast<std::uint32_t>(written_ - 8) : 0);
    put_name(out, "AVI ");
    put_name(out, "LIST");
    put32(out, 4 + 8 + 56 + 12 + 8 + 56 + 8 + 40);
    put_name(out, "hdrl");
    put_name(out, "avih");
    put32(out, 56);
    put32(out, static_cast<std::uint32_t>(std::lround(1e6 / fps)));
    for (const std::uint32_t v :
         {0u, 0u, index_flag, frames, 0u, 1u, largest_, w, h, 0u, 0u, 0u, 0u})
        put32(out, v);
    put_name(out, "LIST");
    put32(out, 4 + 8 + 56 + 8 + 40);
    put_name(out, "strl");
    put_name(out, "strh");
    put32(out, 56);
    put_name(out, "vids");
    put_name(out, "MJPG");
    for (const std::uint32_t v :
         {0u, 0u, 0u, 1000u, static_cast<std::uint32_t>(std::lround(fps * 1000)), 0u, frames,
          largest_, ~0u, 0u})
        put32(out, v);
    for (const std::uint32_t v : {0u, 0u, w, h}) put16(out, v);
    put_name(out, "strf");
    put32(out, 40);
    put32(out, 40);
    put32(out, w);
    put32(out, h);
    put16(out, 1);
    put16(out, 24);
    put_name(out, "MJPG");
    for (const std::uint32_t v : {3 * w * h, 0u, 0u, 0u, 0u}) put32(out, v);
    put_name(out, "LIST");
    std::uint32_t movie = 4;
    for (const Entry& entry : index_) movie += 8 + entry.bytes + (entry.bytes & 1);
    put32(out, movie);
    put_name(out, "movi");
    return out;
}

host::Result<> Recorder::write(std::span<const std::uint8_t> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t n = ::write(descriptor_, bytes.data() + done, bytes.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const int number = errno;
            failed_ = true;
            // The partial frame is removed, so that the rest can be played.
            if (::ftruncate(descriptor_, static_cast<off_t>(written_)) == 0)
                ::lseek(descriptor_, static_cast<off_t>(written_), SEEK_SET);
            return io_error(number);
        }
        done += static_cast<std::size_t>(n);
    }
    written_ += bytes.size();
    return {};
}

host::Result<> Recorder::add(std::span<const std::uint8_t> jpeg, int width, int height,
                             std::uint64_t time_ns) {
    if (failed_) return {};
    if (descriptor_ >= 0 &&
        written_ + jpeg.size() + (index_.size() + 2) * index_entry_bytes + 64 > max_bytes_ &&
        !index_.empty()) {
        if (const host::Result<> done = finish(); !done) return done.error();
        ++part_;
        if (const host::Result<> done = open_part(); !done) {
            failed_ = true;
            return done.error();
        }
    }
    if (index_.empty()) {
        width_ = width;
        height_ = height;
        first_ns_ = time_ns;
        if (const host::Result<> done = write(header()); !done) return done.error();
    } else if (width != width_ || height != height_) {
        failed_ = true;
        return host::Error::output("the frames changed their size; the recording ends here");
    }
    last_ns_ = time_ns;
    std::vector<std::uint8_t> chunk;
    chunk.reserve(jpeg.size() + 9);
    put_name(chunk, "00dc");
    put32(chunk, static_cast<std::uint32_t>(jpeg.size()));
    chunk.insert(chunk.end(), jpeg.begin(), jpeg.end());
    if (chunk.size() % 2 != 0) chunk.push_back(0);
    const auto offset = static_cast<std::uint32_t>(written_);
    if (const host::Result<> done = write(chunk); !done) return done.error();
    index_.push_back({offset, static_cast<std::uint32_t>(jpeg.size())});
    largest_ = std::max(largest_, static_cast<std::uint32_t>(jpeg.size()));
    ++all_frames_;
    return {};
}

host::Result<> Recorder::finish() {
    if (descriptor_ < 0) return {};
    host::Result<> done;
    if (!index_.empty()) {
        // offsets of the index count from there
        const std::size_t movie_name = header().size() - 4;
        std::vector<std::uint8_t> index;
        put_name(index, "idx1");
        put32(index, static_cast<std::uint32_t>(index_.size() * index_entry_bytes));
        for (const Entry& entry : index_) {
            put_name(index, "00dc");
            put32(index, index_flag);
            put32(index, static_cast<std::uint32_t>(entry.offset - movie_name));
            put32(index, entry.bytes);
        }
        done = write(index);
        const std::vector<std::uint8_t> head = header();
        if (::pwrite(descriptor_, head.data(), head.size(), 0) !=
                static_cast<ssize_t>(head.size()) &&
            done)
            done = io_error(errno);
    }
    const bool empty = index_.empty();
    if (::close(descriptor_) != 0 && done) done = io_error(errno);
    descriptor_ = -1;
    if (empty) ::unlink(part_path_.c_str());
    return done;
}

}  // namespace mien::video
