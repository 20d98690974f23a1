// SPDX-License-Identifier: MIT
// mien video: the same as `camera` for films, numbered images, and frames on stdin.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/camera_options.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/live.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "video/network.h"

namespace mien::cli {
namespace {

struct VideoOptions {
    LiveOptions live;
    std::string path, size, raw;
    int stride = 0;
    double fps = 0;
    bool is_live = false;
    std::string transport = "tcp";
    video::NetworkOptions network;
};

// Streams are recognized by their first bytes; the rest is left to FFmpeg, which also reads AVI of
// other codecs, where it is there.
bool looks_like_stream(int descriptor) {
    char begin[12] = {};
    const ssize_t got = ::pread(descriptor, begin, sizeof begin, 0);
    return (got >= 9 && std::memcmp(begin, "YUV4MPEG2", 9) == 0) ||
           (got >= 3 && std::memcmp(begin, "\xff\xd8\xff", 3) == 0) ||
           (!video::has_ffmpeg() && got >= 12 && std::memcmp(begin, "RIFF", 4) == 0 &&
            std::memcmp(begin + 8, "AVI ", 4) == 0);
}

host::Result<std::unique_ptr<video::Source>> open_video(const VideoOptions& options,
                                                        const video::StreamOptions& stream) {
    if (options.path == "-") return video::open_stream(::dup(0), stream);
    std::error_code error;
    if (std::filesystem::is_directory(options.path, error))
        return video::open_sequence(options.path, options.fps);
    const int descriptor = ::open(options.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        const int number = errno;
        if (number == ENOENT && video::is_sequence_pattern(options.path))
            return video::open_sequence(options.path, options.fps);
        if (number == ENOENT && options.path.find_first_not_of("0123456789") == std::string::npos)
            return host::Error::input("no such file; cameras are `mien camera " + options.path +
                                      "`");
        return host::Error::input(number == ENOENT   ? "no such file"
                                  : number == EACCES ? "no permission"
                                                     : std::strerror(number));
    }
    if (stream.raw || !std::filesystem::is_regular_file(options.path, error) ||
        looks_like_stream(descriptor))
        return video::open_stream(descriptor, stream);
    ::close(descriptor);
    if (std::filesystem::file_size(options.path, error) == 0) return host::Error::input("is empty");
    return video::open_film(options.path);
}

int watch_address(VideoOptions& options) {
    auto address = video::parse_address(options.path);
    if (!address) {
        complain("the address " + address.error().text);
        return exit_usage;
    }
    const std::string name = video::shown_address(*address);
    if (!options.raw.empty() || options.stride != 0) {
        complain(name, "--raw and --stride are for files and pipes");
        return exit_usage;
    }
    Notices notices;
    options.network.address = std::move(*address);
    options.network.fps = options.fps;
    options.network.udp = options.transport == "udp";
    options.network.interrupted = interrupted;
    options.network.tell = [&notices, &name](const std::string& text) {
        notices.add(name + ": " + text);
    };
    return run_live(options.live, name, notices, exit_interrupted, Ending::results,
                    [&](bool) { return video::open_network(options.network); });
}

}  // namespace

int run_video(int argc, char** argv) {
    CLI::App app(
        "Reads the faces of a film, of numbered images, or of frames on standard input (-):\n\n"
        "  ffmpeg -v error -i FILM -f yuv4mpegpipe -pix_fmt yuv420p - | mien video -\n"
        "  rpicam-vid -t 0 -n --codec mjpeg --width 640 --height 480 -o - | mien video - --live\n");
    style_app(app, "video");
    VideoOptions options;
    app.add_option("FILE", options.path,
                   "A film, a folder of images, names such as frame_%04d.png, -, or an address:\n"
                   "http://[USER:PASSWORD@]HOST[:PORT]/PATH of motion JPEG or of one JPEG; with "
                   "FFmpeg\nalso rtsp and https. The newest image wins, as with --live")
        ->type_name("")
        ->required();
    app.add_option("--raw", options.raw,
                   "Frames are plain pixels, of one of\n" + layouts_in_lines())
        ->type_name("FORMAT");
    app.add_option("--size", options.size, "Size of plain pixels")->type_name("WxH");
    app.add_option(
           "--stride", options.stride,
           "Bytes from row to row of plain pixels where rows are padded, as rpicam-vid pads "
           "yuv420\nto 64 or 128 (chroma rows then have half of it); 0: not padded")
        ->check(CLI::Range(0, 1 << 20))
        ->type_name("BYTES");
    app.add_option("--fps", options.fps, "Frames per second if the file does not state it; 0: 30")
        ->check(CLI::Range(0.0, 100000.0))
        ->type_name("RATE");
    app.add_flag("--live", options.is_live,
                 "Frames come from a camera: the newest wins, older ones are dropped");
    app.add_flag("--as-stored", options.live.as_stored,
                 "Neither turn frames nor stretch them to square pixels as the file says");
    const char* group = "Addresses";
    app.add_flag("--reconnect", options.network.reconnect,
                 "Wait for an address that is missing or has gone: 0.5 s, up to 10 s")
        ->group(group);
    app.add_option("--timeout", options.network.timeout_s,
                   "Seconds without an answer or an image until an address has gone")
        ->check(CLI::Range(0.1, 86400.0))
        ->type_name("S")
        ->group(group);
    app.add_option("--transport", options.transport, "How RTSP sends its images: tcp, udp")
        ->check(CLI::IsMember({"tcp", "udp"}))
        ->type_name("NAME")
        ->group(group);
    app.add_flag("--insecure", options.network.insecure,
                 "Do not check who answers by https, as for certificates that a camera made itself")
        ->group(group);
    add_live_options(app, options.live);
    int code = exit_done;
    if (!parse_options(app, argc, argv, code)) return code;
    hide_credentials(argc, argv);
    if (video::is_address(options.path)) return watch_address(options);
    video::StreamOptions stream;
    stream.fps = options.fps;
    stream.live = options.is_live;
    if (!options.raw.empty()) {
        stream.raw = true;
        if (!video::find_layout(options.raw, stream.layout)) {
            complain("--raw " + options.raw + " is none of " + video::layout_names);
            return exit_usage;
        }
        if (stream.layout != video::PixelLayout::jpeg) {
            if (options.size.empty()) {
                complain("--raw needs --size WxH");
                return exit_usage;
            }
            if (!parse_size(options.size, stream.width, stream.height)) return exit_usage;
        }
    }
    if (options.stride != 0 && (!stream.raw || stream.layout == video::PixelLayout::jpeg)) {
        complain("--stride is for plain pixels: --raw FORMAT --size WxH");
        return exit_usage;
    }
    stream.stride = static_cast<std::size_t>(options.stride);
    Notices notices;
    stream.tell = [&notices, &options](const std::string& text) {
        notices.add((options.path == "-" ? "standard input" : options.path) + ": " + text);
    };
    return run_live(options.live, options.path, notices, exit_interrupted, Ending::results,
                    [&](bool) -> host::Result<std::unique_ptr<video::Source>> {
                        auto opened = open_video(options, stream);
                        if (opened && options.is_live) return video::newest_of(std::move(*opened));
                        return opened;
                    });
}

}  // namespace mien::cli
