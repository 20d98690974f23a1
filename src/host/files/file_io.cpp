// SPDX-License-Identifier: MIT
// Reading and writing of whole files by POSIX calls (see file_io.h).
#include "host/files/file_io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

namespace mien::host {
namespace {

// Path of the temporary file in progress, for remove_partial_file(). One at a time: only the main
// thread of the command line writes files. `partial_active` is set after the path is complete and
// cleared before it changes.
char partial_path[4096];
volatile std::sig_atomic_t partial_active = 0;

Error system_error(Error::Kind kind, int number) {
    switch (number) {
        case ENOENT: return {kind, "no such file"};
        case EACCES:
        case EPERM: return {kind, "no permission"};
        case EISDIR: return {kind, "is a folder"};
        case ENOTDIR: return {kind, "a part of the path is not a folder"};
        case ENOSPC: return {kind, "no space left on the disk"};
        case EROFS: return {kind, "the disk is read-only"};
        default: return {kind, std::strerror(number)};
    }
}

constexpr const char* exists_text = "exists already (-y overwrites)";

// Of a file that is read, and of one that is written.
Error read_error(int number) { return system_error(Error::Kind::input, number); }
Error write_error(int number) { return system_error(Error::Kind::output, number); }

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }
    // Network disks report a failed write only here.
    int close() {
        const int fd = fd_;
        fd_ = -1;
        return ::close(fd);
    }

private:
    int fd_;
};

// `safely`: on the disk before it returns. A rename without that may survive a power failure which
// the bytes did not, and then neither the old file nor the new one is there.
Result<> write_all(Descriptor& file, std::span<const std::uint8_t> bytes, bool safely) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return write_error(errno);
        }
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    if (safely && ::fsync(file.get()) != 0 && errno != EINVAL) return write_error(errno);
    if (file.close() != 0) return write_error(errno);
    return {};
}

// Device and inode of what is read.
class Inputs {
public:
    void add(const struct stat& info) {
        if (!S_ISREG(info.st_mode)) return;
        const std::lock_guard lock(mutex_);
        known_.insert(identity(info));
    }
    void clear() {
        const std::lock_guard lock(mutex_);
        known_.clear();
    }
    bool has(const struct stat& info) {
        const std::lock_guard lock(mutex_);
        return known_.contains(identity(info));
    }

private:
    using Identity = std::pair<std::uint64_t, std::uint64_t>;
    static Identity identity(const struct stat& info) {
        return {static_cast<std::uint64_t>(info.st_dev), static_cast<std::uint64_t>(info.st_ino)};
    }
    std::mutex mutex_;
    std::set<Identity> known_;
};

Inputs& inputs() {
    static Inputs all;
    return all;
}

Error folder_error(int number) {
    if (number == ENOENT) return Error::output("cannot write: no such folder");
    return Error::output("cannot write: " + write_error(number).text);
}

// Gives `temporary` its final name. A hard link is the one way to do that without replacing a file
// which appeared meanwhile; disks without hard links (FAT) fall back to a rename.
Result<> publish(const std::string& temporary, const std::string& path, Overwrite overwrite) {
    if (overwrite == Overwrite::no) {
        if (::link(temporary.c_str(), path.c_str()) == 0) {
            ::unlink(temporary.c_str());
            return {};
        }
        if (const Result<> free = check_output(path, overwrite); !free) return free.error();
        if (errno == EEXIST) return Error::output(exists_text);
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) return folder_error(errno);
    return {};
}

Result<> write_directly(const std::string& path, std::span<const std::uint8_t> bytes) {
    Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (file.get() < 0) return folder_error(errno);
    if (const Result<> done = write_all(file, bytes, false); !done)
        return Error::output("cannot write: " + done.error().text);
    return {};
}

// A new file beside `path`, which nobody else uses. Leftovers of killed processes, whose number this
// one may have again (in a container it is always 1), are passed by. Its path is in partial_path.
int open_partial(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string start = (slash == std::string::npos ? "" : path.substr(0, slash + 1)) +
                              ".mien-" + std::to_string(::getpid());
    for (unsigned number = 1;; ++number) {
        const std::string temporary = start + "-" + std::to_string(number) + ".part";
        if (temporary.size() >= sizeof partial_path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        std::memcpy(partial_path, temporary.c_str(), temporary.size() + 1);
        const int file =
            ::open(partial_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (file >= 0 || errno != EEXIST) return file;
    }
}

volatile std::sig_atomic_t reading_stopped = 0;

// False when stop_reading() was called. It looks now and then rather than waiting for a signal,
// which may come just before the wait begins.
bool wait_for_bytes(int descriptor) {
    constexpr int look_ms = 100;
    pollfd wanted{descriptor, POLLIN, 0};
    while (reading_stopped == 0)
        if (::poll(&wanted, 1, look_ms) > 0) return true;
    return false;
}

}  // namespace

void stop_reading() noexcept { reading_stopped = 1; }

std::string followed_link(const std::string& path) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
    char* const real = ::realpath(path.c_str(), nullptr);
    if (real == nullptr) return path;
    std::string result(real);
    std::free(real);
    return result;
}

void note_input(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) == 0) inputs().add(info);
}

void note_input(int descriptor) {
    struct stat info{};
    if (::fstat(descriptor, &info) == 0) inputs().add(info);
}

bool is_input(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 && inputs().has(info);
}

void forget_inputs() { inputs().clear(); }

Result<ByteVector> read_file(const std::string& path, std::size_t max_bytes) {
    // Without O_NONBLOCK a pipe that nobody writes to yet is waited for here, deaf to stop_reading().
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) return read_error(errno);
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return read_error(errno);
    if (S_ISDIR(info.st_mode)) return Error::input("is a folder");
    // A device may never end. A terminal does, and standard input may be one.
    if (S_ISBLK(info.st_mode) || (S_ISCHR(info.st_mode) && ::isatty(file.get()) == 0))
        return Error::input("is a device");
    inputs().add(info);
    const auto too_large = [max_bytes] {
        return Error::input("file is larger than " + std::to_string(max_bytes >> 20) + " MiB");
    };
    if (S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) > max_bytes)
        return too_large();

    // One byte more than the size, so that a regular file is read and its end seen without growing
    // the buffer.
    ByteVector bytes(S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) + 1
                                           : std::size_t{1} << 16);
    std::size_t used = 0;
    for (;;) {
        if (!S_ISREG(info.st_mode) && !wait_for_bytes(file.get()))
            return Error::input("interrupted");
        const ssize_t got = ::read(file.get(), bytes.data() + used, bytes.size() - used);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (got < 0) return read_error(errno);
        if (got == 0) break;
        used += static_cast<std::size_t>(got);
        if (used > max_bytes) return too_large();
        if (used == bytes.size()) bytes.resize(std::min(bytes.size() * 2, max_bytes + 1));
    }
    bytes.resize(used);
    return bytes;
}

Result<> check_output(const std::string& path, Overwrite overwrite) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return {};
    if (S_ISDIR(info.st_mode)) return Error::output("cannot write: is a folder");
    if (inputs().has(info)) return Error::output("would overwrite an input of this run");
    if (S_ISREG(info.st_mode) && overwrite == Overwrite::no) return Error::output(exists_text);
    return {};
}

Result<> write_file(const std::string& wanted_path, std::span<const std::uint8_t> bytes,
                    Overwrite overwrite) {
    const std::string path = followed_link(wanted_path);
    if (const Result<> free = check_output(path, overwrite); !free) return free.error();
    struct stat old{};
    const bool replaces = ::stat(path.c_str(), &old) == 0;
    if (replaces && !S_ISREG(old.st_mode)) return write_directly(path, bytes);

    Descriptor file(open_partial(path));
    if (file.get() < 0) return folder_error(errno);
    partial_active = 1;
    // Where the file system has no modes, the file has those that all files there have.
    if (replaces) static_cast<void>(::fchmod(file.get(), old.st_mode & 0777));
    Result<> done = write_all(file, bytes, replaces);
    done = done ? publish(partial_path, path, overwrite)
                : Error::output("cannot write: " + done.error().text);
    if (!done) ::unlink(partial_path);
    partial_active = 0;
    return done;
}

void remove_partial_file() noexcept {
    if (partial_active) ::unlink(partial_path);
}

}  // namespace mien::host
