// SPDX-License-Identifier: MIT
#include "video/recorder.h"

#include <fcntl.h>
#include <sys/stat.h>
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
    part_path_ = path_;
    if (part_ > 1) part_path_.insert(path_.size() - 4, "-" + std::to_string(part_));
    const auto overwrite = overwrite_ ? host::Overwrite::yes : host::Overwrite::no;
    if (const host::Result<> free = host::check_output(part_path_, overwrite); !free) return free;
    part_path_ = host::followed_link(part_path_);
    struct stat old{};
    const bool replaces = ::stat(part_path_.c_str(), &old) == 0;
    if (replaces && !S_ISREG(old.st_mode)) return host::Error::output("is no regular file");
    open_path_ = part_path_;
    for (int number = 1;; ++number) {
        if (replaces) {
            const std::string word = number == 1 ? ".part" : ".part-" + std::to_string(number);
            open_path_ = part_path_;
            open_path_.insert(part_path_.size() - 4, word);
        }
        descriptor_ = ::open(open_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor_ >= 0) break;
        // The .part of a recording that was killed is kept: it can be played.
        if (!replaces || errno != EEXIST) return host::Error::output(std::strerror(errno));
    }
    // Where the file system has no modes, the file has those that all files there have.
    if (replaces) static_cast<void>(::fchmod(descriptor_, old.st_mode & 0777));
    index_.clear();
    written_ = 0;
    largest_ = movie_bytes_ = 0;
    return {};
}

host::Error Recorder::failure(int number) {
    failed_ = true;
    const std::string cause = number == ENOSPC  ? "no space left on the disk"
                              : number == EFBIG ? "the file is as large as it may be"
                                                : std::strerror(number);
    return host::Error::output(cause + "; the recording ends here" +
                               (open_path_ == part_path_ ? "" : ", in " + open_path_));
}

// Sizes and rate are those known now. An index is not obligatory; a header that announces one which
// is not there yet would make players repair the file.
std::vector<std::uint8_t> Recorder::header(bool with_index) const {
    const auto frames = static_cast<std::uint32_t>(index_.size());
    const double seconds = static_cast<double>(last_ns_ - first_ns_) * 1e-9;
    const double fps = rate_ > 0                   ? std::clamp(rate_, 0.1, 1000.0)
                       : frames > 1 && seconds > 0 ? std::clamp((frames - 1) / seconds, 0.1, 1000.0)
                                                   : 30;
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
         {0u, 0u, with_index ? index_flag : 0u, frames, 0u, 1u, largest_, w, h, 0u, 0u, 0u, 0u})
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
    put32(out, 4 + movie_bytes_);
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
            // The partial frame is removed, so that the rest can be played.
            if (::ftruncate(descriptor_, static_cast<off_t>(written_)) == 0)
                ::lseek(descriptor_, static_cast<off_t>(written_), SEEK_SET);
            return failure(number);
        }
        done += static_cast<std::size_t>(n);
    }
    written_ += bytes.size();
    return {};
}

// AVI has one rate. A chunk without bytes stands for a step in which nothing changes.
host::Result<> Recorder::fill_gap(std::uint64_t time_ns) {
    constexpr double longest_gap_s = 60;
    if (rate_ <= 0 || index_.empty() || time_ns <= first_ns_) return {};
    const double step = static_cast<double>(time_ns - first_ns_) * 1e-9 * rate_;
    const double missing = std::floor(step + 0.5) - static_cast<double>(index_.size());
    if (missing < 1) return {};
    if (missing > longest_gap_s * rate_) {  // what follows comes that much earlier
        const double over_ns = (missing - std::floor(longest_gap_s * rate_)) / rate_ * 1e9;
        first_ns_ += static_cast<std::uint64_t>(over_ns);
    }
    const auto count = static_cast<std::size_t>(std::min(missing, longest_gap_s * rate_));
    std::vector<std::uint8_t> chunks;
    for (std::size_t i = 0; i < count; ++i) {
        index_.push_back({static_cast<std::uint32_t>(written_ + chunks.size()), 0});
        put_name(chunks, "00dc");
        put32(chunks, 0);
    }
    if (const host::Result<> done = write(chunks); !done) {
        index_.resize(index_.size() - count);
        return done;
    }
    movie_bytes_ += static_cast<std::uint32_t>(chunks.size());
    return {};
}

host::Result<> Recorder::write_header(bool with_index) {
    const std::vector<std::uint8_t> bytes = header(with_index);
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t n = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return failure(n < 0 ? errno : EIO);
        done += static_cast<std::size_t>(n);
    }
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
        if (const host::Result<> done = write(header(false)); !done) return done.error();
    } else if (width != width_ || height != height_) {
        failed_ = true;
        return host::Error::output("the frames changed their size; the recording ends here" +
                                   (open_path_ == part_path_ ? "" : ", in " + open_path_));
    }
    if (const host::Result<> done = fill_gap(time_ns); !done) return done;
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
    movie_bytes_ += static_cast<std::uint32_t>(chunk.size());
    ++all_frames_;
    return write_header(false);
}

host::Result<> Recorder::finish() {
    if (descriptor_ < 0) return {};
    host::Result<> done;
    if (!index_.empty()) {
        // offsets of the index count from there
        const std::size_t movie_name = header(true).size() - 4;
        std::vector<std::uint8_t> index;
        put_name(index, "idx1");
        put32(index, static_cast<std::uint32_t>(index_.size() * index_entry_bytes));
        for (const Entry& entry : index_) {
            put_name(index, "00dc");
            put32(index, entry.bytes > 0 ? index_flag : 0);
            put32(index, static_cast<std::uint32_t>(entry.offset - movie_name));
            put32(index, entry.bytes);
        }
        done = write(index);
        // Without its index the film is as long as before.
        if (done) done = write_header(true);
    }
    const host::Result<> closed = close_part();
    return done ? closed : done;
}

host::Result<> Recorder::close_part() {
    const bool replaces = open_path_ != part_path_;
    const bool safe = !replaces || index_.empty() || ::fsync(descriptor_) == 0;
    const int number = errno;
    const bool closed = ::close(descriptor_) == 0;
    descriptor_ = -1;
    if (index_.empty()) {
        ::unlink(open_path_.c_str());
        return {};
    }
    if (failed_) return {};
    if (!safe) return failure(number);
    if (!closed || (replaces && ::rename(open_path_.c_str(), part_path_.c_str()) != 0))
        return failure(errno);
    return {};
}

}  // namespace mien::video
