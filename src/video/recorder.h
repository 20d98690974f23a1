// SPDX-License-Identifier: MIT
// Records live frames as motion JPEG in an AVI file, which every player opens; needs no library and
// one write per frame.
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
    // Fails when the file exists (unless `overwrite`) or cannot be made, or when its name does not
    // end in .avi.
    static host::Result<std::unique_ptr<Recorder>> create(const std::string& path, bool overwrite,
                                                          std::uint64_t max_bytes = std::uint64_t{1}
                                                                                    << 30);
    // Writes the index and the true rate, so that what was recorded can be played, also after a
    // failure.
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    // All frames have the size of the first. After a failure (a full disk) nothing more is written.
    // Past `max_bytes` it continues in FILE-2.avi.
    host::Result<> add(std::span<const std::uint8_t> jpeg, int width, int height,
                       std::uint64_t time_ns);
    // The same, while a failure can still be reported.
    host::Result<> finish();
    [[nodiscard]] std::uint64_t frames() const { return all_frames_; }

private:
    Recorder() = default;
    host::Result<> open_part();
    host::Result<> write(std::span<const std::uint8_t> bytes);
    std::vector<std::uint8_t> header() const;

    std::string path_, part_path_;
    bool overwrite_ = false;
    std::uint64_t max_bytes_ = 0;
    int part_ = 1, descriptor_ = -1;
    int width_ = 0, height_ = 0;
    std::uint64_t all_frames_ = 0, first_ns_ = 0, last_ns_ = 0;
    std::uint64_t written_ = 0;  // bytes of this part
    struct Entry {
        std::uint32_t offset, bytes;
    };
    std::vector<Entry> index_;
    std::uint32_t largest_ = 0;
    bool failed_ = false;
};

}  // namespace mien::video
