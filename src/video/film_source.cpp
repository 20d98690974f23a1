// SPDX-License-Identifier: MIT
// Films of any kind by FFmpeg's libraries (build with -DMIEN_FFMPEG=ON); without them the error
// shows a pipe that does the same.
#include "host/clock.h"
#include "host/files/file_io.h"
#include "video/network.h"
#include "video/source.h"

#if MIEN_HAS_FFMPEG
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
}

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <vector>
#endif

namespace mien::video {

#if MIEN_HAS_FFMPEG

namespace {

struct FreeFormat {
    void operator()(AVFormatContext* p) const { avformat_close_input(&p); }
};
struct FreeCodec {
    void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
};
struct FreeFrame {
    void operator()(AVFrame* p) const { av_frame_free(&p); }
};
struct FreePacket {
    void operator()(AVPacket* p) const { av_packet_free(&p); }
};
struct FreeScaler {
    void operator()(SwsContext* p) const { sws_freeContext(p); }
};

std::string ffmpeg_error(int code) {
    char text[AV_ERROR_MAX_STRING_SIZE] = {};
    av_strerror(code, text, sizeof text);
    return text;
}

class FilmSource : public Source {
public:
    // A file, never a protocol: "http://..." or "concat:..." in a file name must not reach the
    // network or other files.
    host::Result<> open_file(const std::string& path) { return open("file:" + path, nullptr); }

    // `stop` must live as long as the source.
    host::Result<> open_address(const NetworkOptions& options, const StopFlag& stop) {
        stop_ = &stop;
        timeout_ns_ = static_cast<std::uint64_t>(options.timeout_s * 1e9);
        wait_from_now();
        const std::string& scheme = options.address.scheme;
        const bool is_rtsp = scheme == "rtsp" || scheme == "rtsps";
        AVDictionary* settings = nullptr;
        const auto set = [&settings](const char* name, const std::string& value) {
            av_dict_set(&settings, name, value.c_str(), 0);
        };
        // Playlists and redirections lead to the network only, never to files.
        set("protocol_whitelist",
            is_rtsp ? "rtsp,rtsps,rtp,srtp,udp,tcp,tls" : "http,https,tls,tcp,httpproxy,crypto");
        set("rtsp_transport", options.udp ? "udp" : "tcp");
        // Long enough to learn the size; what it takes is given all the same.
        if (is_rtsp) set("analyzeduration", "1500000");
        set("tls_verify", options.insecure ? "0" : "1");
        const host::Result<> done = open(full_address(options.address), &settings);
        av_dict_free(&settings);
        is_live_ = is_rtsp || (done && format_->duration <= 0);
        return done;
    }

private:
    void wait_from_now() { deadline_ns_ = host::monotonic_ns() + timeout_ns_; }
    bool gives_up() const { return *stop_ || host::monotonic_ns() >= deadline_ns_; }

    host::Result<> open(const std::string& url, AVDictionary** settings) {
        av_log_set_level(AV_LOG_QUIET);
        AVFormatContext* format = avformat_alloc_context();
        if (format == nullptr) return host::Error::memory("not enough memory");
        if (stop_ != nullptr)
            format->interrupt_callback = {
                [](void* self) { return static_cast<FilmSource*>(self)->gives_up() ? 1 : 0; },
                this};
        if (const int code = avformat_open_input(&format, url.c_str(), nullptr, settings); code < 0)
            return refusal(code);
        format_.reset(format);
        if (const int code = avformat_find_stream_info(format, nullptr); code < 0)
            return host::Error::input(reason(code));
        const AVCodec* codec = nullptr;
        stream_ = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
        if (stream_ < 0 || codec == nullptr)
            return host::Error::input("has no image that FFmpeg can decode");
        codec_.reset(avcodec_alloc_context3(codec));
        const AVStream* stream = format->streams[stream_];
        if (!codec_ || avcodec_parameters_to_context(codec_.get(), stream->codecpar) < 0)
            return host::Error::memory("not enough memory");
        codec_->max_pixels = static_cast<std::int64_t>(max_pixels);
        if (const int code = avcodec_open2(codec_.get(), codec, nullptr); code < 0)
            return host::Error::input(ffmpeg_error(code));
        frame_.reset(av_frame_alloc());
        packet_.reset(av_packet_alloc());
        if (!frame_ || !packet_) return host::Error::memory("not enough memory");
        const AVRational rate =
            stream->avg_frame_rate.num > 0 ? stream->avg_frame_rate : AVRational{30, 1};
        fps_ = av_q2d(rate);
        orientation_ = orientation_of_stream(*stream);
        return {};
    }

public:
    Next next(Packet& packet, int) override {
        if (stop_ != nullptr) wait_from_now();
        for (;;) {
            const int code = avcodec_receive_frame(codec_.get(), frame_.get());
            if (code == 0) return give(packet);
            if (code == AVERROR_EOF) return Next::end;
            if (code != AVERROR(EAGAIN))
                return fail("frame " + std::to_string(number_) + ": " + ffmpeg_error(code));
            if (!feed()) return Next::failed;
        }
    }
    const std::string& error() const override { return error_; }
    bool is_live() const override { return is_live_; }
    // By a fault that waiting does not mend.
    bool is_refused() const { return is_refused_; }
    // Frames of one rate have the mean rate. Else the step that fits all their times, which of
    // interlaced films is half of a frame.
    double frame_rate() const override {
        if (is_live_) return 0;
        const AVStream* stream = format_->streams[stream_];
        const double step = stream->r_frame_rate.num > 0 ? av_q2d(stream->r_frame_rate) : 0;
        const double frames = step / fps_;
        const bool is_multiple = std::abs(frames - std::round(frames)) < 0.01;
        return is_multiple || step > fastest ? std::min(fps_, fastest) : step;
    }
    std::string description() const override {
        char rate[32];
        std::snprintf(rate, sizeof rate, "%.4g", fps_);
        return std::to_string(codec_->width) + " x " + std::to_string(codec_->height) + " " +
               avcodec_get_name(codec_->codec_id) + ", " + rate + " frames per second";
    }

private:
    static constexpr double fastest = 240;  // of steps that are frames and not the clock's

    static int orientation_of(const std::uint8_t* data, std::size_t size) {
        std::int32_t matrix[9];
        if (data == nullptr || size < sizeof matrix) return 1;
        std::memcpy(matrix, data, sizeof matrix);
        return orientation_of_matrix(matrix);
    }
    static int orientation_of_stream(const AVStream& stream) {
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
        const AVPacketSideData* side =
            av_packet_side_data_get(stream.codecpar->coded_side_data,
                                    stream.codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
        return side != nullptr ? orientation_of(side->data, side->size) : 1;
#else
        std::size_t size = 0;
        const std::uint8_t* data =
            av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
        return orientation_of(data, size);
#endif
    }
    // What a frame itself says counts for it alone.
    int orientation_now() const {
        const AVFrameSideData* side =
            av_frame_get_side_data(frame_.get(), AV_FRAME_DATA_DISPLAYMATRIX);
        return side != nullptr ? orientation_of(side->data, side->size) : orientation_;
    }

    host::Error refusal(int code) {
        is_refused_ = code == AVERROR_HTTP_UNAUTHORIZED || code == AVERROR_HTTP_FORBIDDEN ||
                      code == AVERROR_PROTOCOL_NOT_FOUND;
        return host::Error::input(reason(code));
    }
    // Of a failure; nothing of the address is in it.
    std::string reason(int code) const {
        if (code == AVERROR_EXIT || (stop_ != nullptr && gives_up()))
            return "no answer or no image in time";
        if (code == AVERROR_HTTP_UNAUTHORIZED)
            return "asks for a user and a password, or other ones";
        return ffmpeg_error(code);
    }
    Next fail(std::string text) {
        error_ = std::move(text);
        return Next::failed;
    }
    bool feed() {
        for (;;) {
            const int code = av_read_frame(format_.get(), packet_.get());
            if (code < 0 && code != AVERROR_EOF && stop_ != nullptr) {
                error_ = reason(code);
                return false;
            }
            if (code < 0) {
                avcodec_send_packet(codec_.get(), nullptr);  // the end: give what is still inside
                return true;
            }
            const bool ours = packet_->stream_index == stream_;
            // damage is concealed or skipped, as players do it
            if (ours) avcodec_send_packet(codec_.get(), packet_.get());
            av_packet_unref(packet_.get());
            if (ours) return true;
        }
    }
    Next give(Packet& packet) {
        AVFrame& frame = *frame_;
        const int w = frame.width, h = frame.height;
        if (w < 1 || h < 1 || w > max_side || h > max_side)
            return fail("a frame of " + std::to_string(w) + " x " + std::to_string(h) + " pixels");
        scaler_.reset(
            sws_getCachedContext(scaler_.release(), w, h, static_cast<AVPixelFormat>(frame.format),
                                 w, h, AV_PIX_FMT_YUV420P, SWS_POINT, nullptr, nullptr, nullptr));
        if (!scaler_) return fail("pixels of a kind that cannot be converted");
        const std::size_t stride = (static_cast<std::size_t>(w) + 31) / 32 * 32,
                          chroma = stride / 2;
        pixels_.resize(packet_bytes(PixelLayout::yu12, w, h, stride) + 64);
        std::uint8_t* planes[4] = {pixels_.data(),
                                   pixels_.data() + stride * static_cast<std::size_t>(h), nullptr,
                                   nullptr};
        planes[2] = planes[1] + chroma * ((static_cast<std::size_t>(h) + 1) / 2);
        const int strides[4] = {static_cast<int>(stride), static_cast<int>(chroma),
                                static_cast<int>(chroma), 0};
        sws_scale(scaler_.get(), frame.data, frame.linesize, 0, h, planes, strides);
        const AVRational base = format_->streams[stream_]->time_base;
        const std::int64_t begin = format_->streams[stream_]->start_time == AV_NOPTS_VALUE
                                       ? 0
                                       : format_->streams[stream_]->start_time;
        const std::int64_t stamp = frame.best_effort_timestamp;
        const double seconds = stamp == AV_NOPTS_VALUE
                                   ? static_cast<double>(number_) / fps_
                                   : static_cast<double>(stamp - begin) * av_q2d(base);
        const std::uint64_t time =
            is_live_
                ? host::monotonic_ns()
                : static_cast<std::uint64_t>(std::llround(std::clamp(seconds, 0.0, 1e8) * 1e9));
        const AVRational aspect =
            av_guess_sample_aspect_ratio(format_.get(), format_->streams[stream_], frame_.get());
        packet = {PixelLayout::yu12,
                  {pixels_.data(), packet_bytes(PixelLayout::yu12, w, h, stride)},
                  w,
                  h,
                  stride,
                  time,
                  number_++};
        packet.aspect = {aspect.num, aspect.den};
        packet.orientation = orientation_now();
        return Next::packet;
    }

    std::unique_ptr<AVFormatContext, FreeFormat> format_;
    std::unique_ptr<AVCodecContext, FreeCodec> codec_;
    std::unique_ptr<AVFrame, FreeFrame> frame_;
    std::unique_ptr<AVPacket, FreePacket> packet_;
    std::unique_ptr<SwsContext, FreeScaler> scaler_;
    const StopFlag* stop_ = nullptr;  // of an address
    std::uint64_t timeout_ns_ = 0, deadline_ns_ = 0;
    bool is_live_ = false, is_refused_ = false;
    int stream_ = -1;
    int orientation_ = 1;
    double fps_ = 30;
    std::vector<std::uint8_t> pixels_;
    std::uint64_t number_ = 0;
    std::string error_;
};

}  // namespace

bool has_ffmpeg() { return true; }

host::Result<std::unique_ptr<Source>> open_film(const std::string& path) {
    host::note_input(path);
    auto source = std::make_unique<FilmSource>();
    if (const host::Result<> done = source->open_file(path); !done) return done.error();
    return std::unique_ptr<Source>(std::move(source));
}

SourceOrFailure open_network_film(const NetworkOptions& options, const StopFlag& stop) {
    constexpr const char* schemes[] = {"http", "https", "rtsp", "rtsps"};
    if (std::find(std::begin(schemes), std::end(schemes), options.address.scheme) ==
        std::end(schemes))
        return OpenFailure{host::Error::input("addresses begin with http, https, rtsp or rtsps"),
                           true};
    auto source = std::make_unique<FilmSource>();
    if (const host::Result<> done = source->open_address(options, stop); !done)
        return OpenFailure{done.error(), source->is_refused()};
    return SourceOrFailure(std::unique_ptr<Source>(std::move(source)));
}

#else

bool has_ffmpeg() { return false; }

SourceOrFailure open_network_film(const NetworkOptions& options, const StopFlag&) {
    const std::string& scheme = options.address.scheme;
    if (scheme == "rtsp" || scheme == "rtsps")
        return OpenFailure{
            host::Error::input(
                "RTSP needs a build with FFmpeg; run: ffmpeg -v error -rtsp_transport tcp -i "
                "ADDRESS -f yuv4mpegpipe -pix_fmt yuv420p - | mien video - --live"),
            true};
    if (scheme == "https")
        return OpenFailure{host::Error::input("HTTPS needs a build with FFmpeg; run: curl -sN "
                                              "ADDRESS | mien video - --live"),
                           true};
    return OpenFailure{
        host::Error::input(
            "addresses begin with http, in builds with FFmpeg also with https or rtsp"),
        true};
}

host::Result<std::unique_ptr<Source>> open_film(const std::string& path) {
    return host::Error::input("this mien was built without FFmpeg; run: ffmpeg -v error -i '" +
                              path + "' -f yuv4mpegpipe -pix_fmt yuv420p - | mien video -");
}

#endif

}  // namespace mien::video
