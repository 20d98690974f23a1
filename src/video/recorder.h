// SPDX-License-Identifier: MIT
// Records live frames as motion JPEG in an AVI file, which every player opens; needs no library and
// one write per frame. After each frame the file is a whole film: a recording that is killed can be
// played up to the last frame.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/files/result.h"

namespace mien::video {

class Recorder {
public:
    // Fails when the file exists (unless `overwrite`), is read by this process (file_io.h) or cannot
    // be made, or when its name does not end in .avi. An existing file stays as it is until the new
    // one, FILE.part.avi, is complete; after a failure both are left.
    static host::Result<std::unique_ptr<Recorder>> create(const std::string& path, bool overwrite,
                                                          std::uint64_t max_bytes = std::uint64_t{1}
                                                                                    << 30);
    // Writes the index and the true rate, so that what was recorded can be played, also after a
    // failure.
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    // Of frames whose times come in steps of 1 / `fps`: a step without a frame is recorded as one in
    // which the frame before goes on. Without it, or for 0, the film has the mean rate.
    void keep_times(double fps) { rate_ = fps; }
    // All frames have the size of the first. After a failure (a full disk) nothing more is written.
    // Past `max_bytes` it continues in FILE-2.avi.
    host::Result<> add(std::span<const std::uint8_t> jpeg, int width, int height,
                       std::uint64_t time_ns);
    // The same, while a failure can still be reported.
    host::Result<> finish();
    [[nodiscard]] std::uint64_t frames() const { return all_frames_; }
    // Of the file that is written now; past `max_bytes`, of the latest part.
    [[nodiscard]] const std::string& path() const { return part_path_; }

private:
    Recorder() = default;
    host::Result<> open_part();
    host::Result<> write(std::span<const std::uint8_t> bytes);
    host::Result<> fill_gap(std::uint64_t time_ns);
    host::Result<> write_header(bool with_index);
    host::Result<> close_part();
    host::Error failure(int number);
    std::vector<std::uint8_t> header(bool with_index) const;

    std::string path_;
    std::string part_path_;  // of this part, in the end
    std::string open_path_;  // and while it is written: another one if it replaces a file
    bool overwrite_ = false;
    std::uint64_t max_bytes_ = 0;
    int part_ = 1, descriptor_ = -1;
    int width_ = 0, height_ = 0;
    std::uint64_t all_frames_ = 0, first_ns_ = 0, last_ns_ = 0;
    std::uint64_t written_ = 0;  // bytes of this part
    double rate_ = 0;
    struct Entry {
        std::uint32_t offset, bytes;
    };
    std::vector<Entry> index_;
    std::uint32_t largest_ = 0, movie_bytes_ = 0;
    bool failed_ = false;
};

}  // namespace mien::video
