// SPDX-License-Identifier: MIT
// JPEG by libjpeg-turbo (see jpeg.h). Its errors arrive by longjmp: the functions that call setjmp
// hold no object with a destructor, and their callers allocate and clean up.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "host/codec/jpeg.h"
#include "host/codec/jpeg_markers.h"

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

// clang-format off: they need FILE and size_t, and jerror.h needs jpeglib.h
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#ifndef LIBJPEG_TURBO_VERSION
#error "this libjpeg is not libjpeg-turbo; configure with -DMIEN_TURBOJPEG=OFF"
#endif
#define MIEN_TEXT(version) #version
#define MIEN_VERSION_TEXT(version) MIEN_TEXT(version)

namespace mien::host {
namespace {

// libjpeg's messages by code; "%s" or "%d" stand for parameters. Together with the error manager
// below they keep the file of jpeg_std_error() out of the program: it prints to stderr, and in
// static libraries built for programs alone that cannot be linked into a Python module.
#define JCOPYRIGHT_SHORT ""  // of a header that is not installed
#define JVERSION ""
constexpr const char* messages[] = {
#define JMESSAGE(code, text) text,
#include <jerror.h>
};

}  // namespace

// Named, since a member of JpegRows has it.
namespace turbo {
struct Errors {
    jpeg_error_mgr manager;  // first: libjpeg passes its address around
    std::jmp_buf escape;
    int max_scans;  // of this image (jpeg_markers.h)
    Stop stop;
    bool stopped;
    bool guessed;  // pixels are guessed: data ended too early or was out of step
    bool no_end;   // the file ends without its mark; pixels need not be missing
    char text[JMSG_LENGTH_MAX];
    char leftover[JMSG_LENGTH_MAX];  // not empty: bytes that no pixel needed
};
}  // namespace turbo

namespace {

using turbo::Errors;

Errors& errors_of(j_common_ptr info) { return *reinterpret_cast<Errors*>(info->err); }

void format_message(j_common_ptr info, char* out) {
    const auto code = static_cast<std::size_t>(info->err->msg_code);
    const char* text = messages[code < std::size(messages) ? code : std::size_t{JMSG_NOMESSAGE}];
    const std::string_view prefix = "Corrupt JPEG data: ";  // ours say "damaged"
    if (std::string_view(text).starts_with(prefix)) text += prefix.size();
    const auto& values = info->err->msg_parm;
    if (std::strstr(text, "%s") != nullptr)
        std::snprintf(out, JMSG_LENGTH_MAX, text, values.s);
    else
        std::snprintf(out, JMSG_LENGTH_MAX, text, values.i[0], values.i[1], values.i[2],
                      values.i[3], values.i[4], values.i[5], values.i[6], values.i[7]);
}

void on_error(j_common_ptr info) {
    Errors& errors = errors_of(info);
    format_message(info, errors.text);
    std::longjmp(errors.escape, 1);
}

// Warnings that change no pixel: stray bytes before a marker, an end without its mark (a second
// message tells of pixels that are missing before it), and headers that break a rule which the
// decoder does not need.
bool is_harmless(int code) {
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JPEG_EOF || code == JWRN_JFIF_MAJOR ||
           code == JWRN_ADOBE_XFORM || code == JWRN_NOT_SEQUENTIAL ||
           code == JWRN_BOGUS_PROGRESSION;
}

void on_message(j_common_ptr info, int level) {
    const int code = info->err->msg_code;
    if (level >= 0) return;
    Errors& errors = errors_of(info);
    const bool in_scan =
        info->is_decompressor && reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > 0;
    if (code == JWRN_EXTRANEOUS_DATA && in_scan) format_message(info, errors.leftover);
    if (code == JWRN_JPEG_EOF) errors.no_end = true;
    if (is_harmless(code)) return;
    if (!errors.guessed) format_message(info, errors.text);
    errors.guessed = true;
}

void print_nothing(j_common_ptr) {}

void reset_messages(j_common_ptr info) {
    info->err->num_warnings = 0;
    info->err->msg_code = 0;
}

jpeg_error_mgr* quiet(Errors& errors) {
    errors.manager = {};
    errors.manager.error_exit = on_error;
    errors.manager.emit_message = on_message;
    errors.manager.output_message = print_nothing;
    errors.manager.format_message = format_message;
    errors.manager.reset_error_mgr = reset_messages;
    errors.guessed = errors.no_end = false;
    errors.max_scans = 0;
    errors.stop = {};
    errors.stopped = false;
    errors.text[0] = errors.leftover[0] = '\0';
    return &errors.manager;
}

void on_progress(j_common_ptr info) {
    const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
    if (errors_of(info).stop()) {
        errors_of(info).stopped = true;
        std::longjmp(errors_of(info).escape, 1);
    }
    // The decoder of arithmetic codes takes missing data for zeros and does not tell. The last codes
    // may be left out as zeros; of two rows of blocks before that, it is suspected.
    if (info->is_decompressor && decompress->arith_code && !decompress->progressive_mode &&
        decompress->unread_marker != 0 && errors_of(info).leftover[0] == '\0' &&
        decompress->input_iMCU_row + 2 < decompress->total_iMCU_rows)
        std::snprintf(errors_of(info).leftover, JMSG_LENGTH_MAX, "the data ends early");
    if (!info->is_decompressor || decompress->input_scan_number <= errors_of(info).max_scans)
        return;
    std::snprintf(errors_of(info).text, JMSG_LENGTH_MAX, "too many scans");
    std::longjmp(errors_of(info).escape, 1);
}

// Settles what will be decoded: afterwards `info` has the size of the result.
bool read_header(jpeg_decompress_struct& info, Errors& errors, std::span<const std::uint8_t> bytes,
                 const JpegRequest& request) {
    if (setjmp(errors.escape) != 0) return false;
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
    const J_COLOR_SPACE stored = info.jpeg_color_space;
    if (stored == JCS_CMYK || stored == JCS_YCCK)
        info.out_color_space = JCS_CMYK;
    else if (stored == JCS_GRAYSCALE && request.pixels != JpegPixels::rgb)
        info.out_color_space = JCS_GRAYSCALE;
    else if (stored == JCS_YCbCr && request.pixels == JpegPixels::gray)
        info.out_color_space = JCS_GRAYSCALE;
    else if (stored == JCS_YCbCr && request.pixels == JpegPixels::ycbcr)
        info.out_color_space = JCS_YCbCr;
    else
        info.out_color_space = JCS_RGB;
    info.scale_num = 1;
    info.scale_denom = static_cast<unsigned>(request.scale);
    info.dct_method = JDCT_ISLOW;
    jpeg_calc_output_dimensions(&info);
    return true;
}

// A file that ends properly may still lack scans: those of a whole channel, or of a progressive file,
// where some coefficients are then not known to their last bit. libjpeg does not tell.
bool lacks_scans(const jpeg_decompress_struct& info) {
    for (int c = 0; c < info.num_components; ++c) {
        const jpeg_component_info& channel = info.comp_info[c];
        // Its table is taken over when its first scan begins.
        if (channel.component_needed && channel.quant_table == nullptr) return true;
        if (!info.progressive_mode || info.coef_bits == nullptr) continue;
        for (int i = 0; i < DCTSIZE2; ++i)
            if (info.coef_bits[c][i] != 0) return true;
    }
    return false;
}

// Begins to make pixels; of a progressive file, all of its scans are read.
bool start(jpeg_decompress_struct& info, Errors& errors) {
    if (setjmp(errors.escape) != 0) return false;
    jpeg_start_decompress(&info);
    return true;
}

// Rows `first` to `last` - 1, not above those read before. `cmyk` is room for a row of 4 bytes per
// pixel, if that is what libjpeg gives; else null.
bool read_rows(jpeg_decompress_struct& info, Errors& errors, std::uint8_t* out,
               std::size_t row_bytes, std::uint8_t* cmyk, unsigned first, unsigned last) {
    if (setjmp(errors.escape) != 0) return false;
    if (first > info.output_scanline) jpeg_skip_scanlines(&info, first - info.output_scanline);
    while (info.output_scanline < last) {
        std::uint8_t* const row = out + row_bytes * info.output_scanline;
        JSAMPROW line = cmyk != nullptr ? cmyk : row;
        jpeg_read_scanlines(&info, &line, 1);
        if (cmyk == nullptr) continue;
        // As Adobe stores it, which everybody follows: 255 is no ink. Rounded to nearest.
        for (std::size_t x = 0; x < info.output_width; ++x) {
            const unsigned black = cmyk[4 * x + 3];
            for (std::size_t c = 0; c < 3; ++c)
                row[3 * x + c] = static_cast<std::uint8_t>((cmyk[4 * x + c] * black + 127) / 255);
        }
    }
    return true;
}

// After the last row.
bool finish(jpeg_decompress_struct& info, Errors& errors) {
    if (setjmp(errors.escape) != 0) return false;
    if (!errors.guessed && lacks_scans(info)) {
        std::snprintf(errors.text, JMSG_LENGTH_MAX, "scans are missing");
        errors.guessed = true;
    }
    jpeg_finish_decompress(&info);
    return true;
}

bool write_pixels(jpeg_compress_struct& info, Errors& errors, const Frame& frame,
                  const JpegSettings& settings, unsigned char*& data, unsigned long& bytes) {
    if (setjmp(errors.escape) != 0) return false;
    jpeg_create_compress(&info);
    const bool gray = frame.format == PixelFormat::gray8;
    info.image_width = static_cast<JDIMENSION>(frame.width);
    info.image_height = static_cast<JDIMENSION>(frame.height);
    info.input_components = gray ? 1 : 3;
    info.in_color_space = gray ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_mem_dest(&info, &data, &bytes);
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, settings.quality, TRUE);
    if (settings.full_color) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
    info.dct_method = settings.fast ? JDCT_FASTEST : JDCT_ISLOW;
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        const std::uint8_t* const row =
            frame.data + static_cast<std::ptrdiff_t>(info.next_scanline) * frame.stride_bytes;
        JSAMPROW line = const_cast<JSAMPROW>(row);
        jpeg_write_scanlines(&info, &line, 1);
    }
    jpeg_finish_compress(&info);
    return true;
}

// The pixels of a photo are written once, so that the kernel's work for each new page of 4 kB shows:
// in pages of 2 MB there is 1/512 of it. A hint, which may fail.
void take_large_pages([[maybe_unused]] std::uint8_t* pixels, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
    constexpr std::size_t page = std::size_t{1} << 21;
    const std::size_t before = (page - reinterpret_cast<std::uintptr_t>(pixels) % page) % page;
    if (bytes < before + page) return;
    ::madvise(pixels + before, (bytes - before) / page * page, MADV_HUGEPAGE);
#endif
}

}  // namespace

bool jpeg_is_read(JpegKind kind) {
#ifdef D_ARITH_CODING_SUPPORTED
    return kind == JpegKind::huffman || kind == JpegKind::arithmetic;
#else
    return kind == JpegKind::huffman;
#endif
}

const char* jpeg_library() { return "libjpeg-turbo " MIEN_VERSION_TEXT(LIBJPEG_TURBO_VERSION); }

// Frees what libjpeg holds, on every way out.
struct JpegRows::Impl {
    std::span<const std::uint8_t> bytes;
    JpegRequest request;
    JpegPicture* out = nullptr;
    PixelBuffer cmyk;
    jpeg_decompress_struct info{};
    jpeg_progress_mgr progress{};
    Errors errors;
    unsigned first = 0, last = 0;  // rows first to last - 1 are decoded
    bool ended = false, failed = false;

    Impl() {
        info.err = quiet(errors);
        progress.progress_monitor = on_progress;
    }
    ~Impl() { jpeg_destroy_decompress(&info); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Result<> begin();
    Result<> read(unsigned from, unsigned to);
    [[nodiscard]] Error refused() const {
        return Error::input(std::string("damaged JPEG file (") + errors.text + ")");
    }
    [[nodiscard]] Error failure() {
        failed = true;
        if (errors.stopped) return Error::stopped();
        if (errors.manager.msg_code == JERR_OUT_OF_MEMORY) return no_memory();
        return refused();
    }
};

JpegRows::JpegRows() = default;
JpegRows::~JpegRows() = default;

Result<> JpegRows::Impl::begin() {
    if (!read_header(info, errors, bytes, request)) return refused();
    info.progress = &progress;  // not before: jpeg_create_decompress() clears it
    if (const Result<> done =
            check_size(info.image_width, info.image_height, request.limits, "JPEG");
        !done)
        return done;
    errors.stop = request.limits.stop;
    errors.max_scans =
        max_jpeg_scans(info.image_width, info.image_height, request.limits.max_pixels);
    out->width = static_cast<int>(info.output_width);
    out->height = static_cast<int>(info.output_height);
    out->kind = info.out_color_space == JCS_GRAYSCALE ? JpegPixels::gray
                : info.out_color_space == JCS_YCbCr   ? JpegPixels::ycbcr
                                                      : JpegPixels::rgb;
    out->damage.clear();
    out->leftover.clear();
    if (out->bytes() > out->capacity) {
        out->capacity = 0;
        out->pixels.reset();  // before the new block, so that both are never held at once
        out->pixels = new_pixels(out->bytes());
        if (!out->pixels) return no_memory();
        out->capacity = out->bytes();
        take_large_pages(out->pixels.get(), out->capacity);
    }
    if (info.out_color_space == JCS_CMYK) {
        cmyk = new_pixels(4 * std::size_t{info.output_width});
        if (!cmyk) return no_memory();
    }
    return {};
}

Result<> JpegRows::Impl::read(unsigned from, unsigned to) {
    if (failed) return failure();
    if (last == 0 && !start(info, errors)) return failure();
    if (last == 0) first = from;
    const std::size_t width = info.output_width,
                      row_bytes = out->kind == JpegPixels::gray ? width : 3 * width;
    // From the first row on: rows between two parts are made, too.
    if (!read_rows(info, errors, out->pixels.get(), row_bytes, cmyk.get(), first, to))
        return failure();
    last = info.output_scanline;
    ended = last == info.output_height;
    if (ended && !finish(info, errors)) return failure();
    out->damage = errors.guessed ? errors.text : "";
    out->leftover = errors.leftover;
    if (out->leftover.empty() && errors.no_end) out->leftover = no_end_mark;
    return {};
}

Result<> JpegRows::begin(std::span<const std::uint8_t> bytes, const JpegRequest& request,
                         JpegPicture& out) {
    impl_.reset();  // first: its memory is free for the next one
    impl_ = std::make_unique<Impl>();
    impl_->bytes = bytes;
    impl_->request = request;
    impl_->out = &out;
    return impl_->begin();
}

Result<> JpegRows::read(int first, int last) {
    auto from = static_cast<unsigned>(first), to = static_cast<unsigned>(last);
    if (impl_->last > 0) {
        if (from >= impl_->first && to <= impl_->last) return {};
        if (from < impl_->first) {
            to = std::max(to, impl_->last);
            const std::span<const std::uint8_t> bytes = impl_->bytes;
            const JpegRequest request = impl_->request;
            if (const Result<> done = begin(bytes, request, *impl_->out); !done) return done;
        }
    }
    return impl_->read(from, to);
}

bool JpegRows::is_whole() const { return impl_ && impl_->first == 0 && impl_->ended; }

Result<> decode_jpeg(std::span<const std::uint8_t> bytes, const JpegRequest& request,
                     JpegPicture& out) {
    JpegRows rows;
    if (const Result<> done = rows.begin(bytes, request, out); !done) return done;
    return rows.read(0, out.height);
}

Result<> encode_jpeg(const Frame& frame, const JpegSettings& settings, ByteVector& out) {
    jpeg_compress_struct info{};
    Errors errors;
    info.err = quiet(errors);
    unsigned char* data = nullptr;
    unsigned long bytes = 0;
    const bool done = write_pixels(info, errors, frame, settings, data, bytes);
    if (done) out.assign(data, data + bytes);
    jpeg_destroy_compress(&info);
    std::free(data);
    if (!done) return Error::output(errors.text);
    return {};
}

}  // namespace mien::host
