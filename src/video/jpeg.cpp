// SPDX-License-Identifier: MIT
#include "video/jpeg.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "host/codec/image_file.h"
#include "video/source.h"

#if MIEN_HAS_TURBOJPEG
#include <jerror.h>
#include <jpeglib.h>
#endif

namespace mien::video {
namespace {

// ITU-T T.81, tables K.3 to K.6: how many codes of each length, then their values.
constexpr std::uint8_t dc_luma[] = {0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0,  0,
                                    0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
constexpr std::uint8_t dc_chroma[] = {0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0,  0,
                                      0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
constexpr std::uint8_t ac_luma[] = {
    0,    2,    1,    3,    3,    2,    4,    3,    5,    5,    4,    4,    0,    0,    1,
    0x7d, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51,
    0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15,
    0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a,
    0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44,
    0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63,
    0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
    0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5,
    0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
    0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7,
    0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};
constexpr std::uint8_t ac_chroma[] = {
    0,    2,    1,    2,    4,    4,    3,    4,    7,    5,    4,    4,    0,    1,    2,
    0x77, 0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07,
    0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23,
    0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17,
    0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43,
    0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a,
    0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79,
    0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3,
    0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9,
    0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6,
    0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};

[[maybe_unused]] constexpr std::uint8_t marker_sof0 = 0xc0, marker_dht = 0xc4, marker_soi = 0xd8,
                                        marker_eoi = 0xd9, marker_sos = 0xda;
bool is_restart(std::uint8_t marker) { return marker >= 0xd0 && marker <= 0xd7; }
bool stands_alone(std::uint8_t marker) { return is_restart(marker) || marker == 0x01; }

}  // namespace

std::vector<std::uint8_t> with_huffman_tables(std::span<const std::uint8_t> bytes) {
    std::size_t at = 2;
    while (at + 4 <= bytes.size() && bytes[at] == 0xff) {
        const std::uint8_t marker = bytes[at + 1];
        if (marker == marker_dht) return {};
        if (marker == marker_sos) {
            std::vector<std::uint8_t> out(bytes.begin(),
                                          bytes.begin() + static_cast<std::ptrdiff_t>(at));
            const auto table = [&out](std::uint8_t id, std::span<const std::uint8_t> values) {
                out.push_back(id);
                out.insert(out.end(), values.begin(), values.end());
            };
            constexpr std::size_t length =
                2 + 4 + sizeof dc_luma + sizeof dc_chroma + sizeof ac_luma + sizeof ac_chroma;
            out.insert(out.end(), {0xff, marker_dht, length >> 8, length & 255});
            table(0x00, dc_luma);
            table(0x10, ac_luma);
            table(0x01, dc_chroma);
            table(0x11, ac_chroma);
            out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end());
            return out;
        }
        if (marker == 0xff) {
            ++at;
            continue;
        }
        if (stands_alone(marker)) {
            at += 2;
            continue;
        }
        at += 2 + (std::size_t{bytes[at + 2]} << 8 | bytes[at + 3]);
    }
    return {};
}

#if MIEN_HAS_TURBOJPEG

namespace {

host::Error too_large(unsigned width, unsigned height) {
    return host::Error::input("too large: " + std::to_string(width) + " x " +
                              std::to_string(height) + " pixels");
}

struct Errors {
    jpeg_error_mgr manager;  // first: libjpeg hands its address around
    std::jmp_buf escape;
    bool damaged;
    char text[JMSG_LENGTH_MAX];
};
Errors& errors_of(j_common_ptr info) { return *reinterpret_cast<Errors*>(info->err); }

void on_error(j_common_ptr info) {
    Errors& errors = errors_of(info);
    info->err->format_message(info, errors.text);
    std::longjmp(errors.escape, 1);
}
// Bytes between markers do no harm; every other warning means that pixels are guessed.
void on_message(j_common_ptr info, int level) {
    if (level >= 0 || info->err->msg_code == JWRN_EXTRANEOUS_DATA) return;
    Errors& errors = errors_of(info);
    if (!errors.damaged) info->err->format_message(info, errors.text);
    errors.damaged = true;
}
void say_nothing(j_common_ptr) {}

jpeg_error_mgr* quiet_errors(Errors& errors) {
    jpeg_std_error(&errors.manager);
    errors.manager.error_exit = on_error;
    errors.manager.emit_message = on_message;
    errors.manager.output_message = say_nothing;
    errors.damaged = false;
    errors.text[0] = '\0';
    return &errors.manager;
}

// No object with a destructor may live in here: longjmp would skip it.
bool decode_into(jpeg_decompress_struct& info, Errors& errors, std::span<const std::uint8_t> bytes,
                 JpegPixels wanted, int scale, JpegPicture& out, bool& large) {
    if (setjmp(errors.escape) != 0) return false;
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
    large = info.image_width > static_cast<unsigned>(max_side) ||
            info.image_height > static_cast<unsigned>(max_side) ||
            std::uint64_t{info.image_width} * info.image_height > max_pixels;
    if (large) return false;
    const bool colour = info.jpeg_color_space == JCS_YCbCr;
    out.kind = info.jpeg_color_space == JCS_GRAYSCALE ? JpegPixels::gray
               : colour                               ? wanted
                                                      : JpegPixels::rgb;
    info.out_color_space = out.kind == JpegPixels::gray    ? JCS_GRAYSCALE
                           : out.kind == JpegPixels::ycbcr ? JCS_YCbCr
                                                           : JCS_RGB;
    info.scale_num = 1;
    info.scale_denom = static_cast<unsigned>(scale);
    info.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&info);
    out.width = static_cast<int>(info.output_width);
    out.height = static_cast<int>(info.output_height);
    const std::size_t row = static_cast<std::size_t>(info.output_width) *
                            static_cast<std::size_t>(info.output_components);
    out.pixels.resize(row * info.output_height);
    while (info.output_scanline < info.output_height) {
        JSAMPROW line = out.pixels.data() + row * info.output_scanline;
        jpeg_read_scanlines(&info, &line, 1);
    }
    jpeg_finish_decompress(&info);
    return true;
}

bool encode_from(jpeg_compress_struct& info, Errors& errors, const std::uint8_t* rgb,
                 std::size_t stride, int quality, unsigned char*& data, unsigned long& bytes) {
    if (setjmp(errors.escape) != 0) return false;
    jpeg_mem_dest(&info, &data, &bytes);
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    info.dct_method = JDCT_FASTEST;
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW line = const_cast<JSAMPROW>(rgb + stride * info.next_scanline);
        jpeg_write_scanlines(&info, &line, 1);
    }
    jpeg_finish_compress(&info);
    return true;
}

}  // namespace

bool has_turbojpeg() { return true; }

host::Result<> decode_jpeg(std::span<const std::uint8_t> bytes, JpegPixels wanted, int scale,
                           JpegPicture& out) {
    jpeg_decompress_struct info{};
    Errors errors;
    info.err = quiet_errors(errors);
    bool large = false;
    const bool done = decode_into(info, errors, bytes, wanted, scale, out, large);
    const unsigned width = info.image_width, height = info.image_height;
    jpeg_destroy_decompress(&info);
    if (large) return too_large(width, height);
    if (!done) return host::Error::input(std::string("not a whole JPEG: ") + errors.text);
    if (errors.damaged) return host::Error::input(std::string("damaged JPEG: ") + errors.text);
    return {};
}

host::Result<> encode_jpeg(const std::uint8_t* rgb, int width, int height, std::size_t stride,
                           int quality, std::vector<std::uint8_t>& out) {
    jpeg_compress_struct info{};
    Errors errors;
    info.err = quiet_errors(errors);
    unsigned char* data = nullptr;
    unsigned long bytes = 0;
    jpeg_create_compress(&info);
    info.image_width = static_cast<JDIMENSION>(width);
    info.image_height = static_cast<JDIMENSION>(height);
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    const bool done = encode_from(info, errors, rgb, stride, quality, data, bytes);
    if (done) out.assign(data, data + bytes);
    jpeg_destroy_compress(&info);
    std::free(data);
    if (!done) return host::Error::output(errors.text);
    return {};
}

#else

bool has_turbojpeg() { return false; }

host::Result<> decode_jpeg(std::span<const std::uint8_t> bytes, JpegPixels, int scale,
                           JpegPicture& out) {
    // Everything behind the end mark is padding; the decoder of files would call it damage.
    JpegSplitter splitter;
    splitter.add(bytes);
    const std::span<const std::uint8_t> picture = splitter.next();
    if (picture.empty()) return host::Error::input("not a whole JPEG");
    const std::vector<std::uint8_t> complete = with_huffman_tables(picture);
    host::ImageLimits limits;
    limits.max_pixels = max_pixels;
    const auto decoded = host::decode_image(
        complete.empty() ? picture : std::span<const std::uint8_t>(complete), limits);
    if (!decoded) return decoded.error();
    const host::Image& image = decoded->image;
    out.kind = JpegPixels::rgb;
    out.width = (image.width + scale - 1) / scale;
    out.height = (image.height + scale - 1) / scale;
    out.pixels.resize(3 * static_cast<std::size_t>(out.width) *
                      static_cast<std::size_t>(out.height));
    std::uint8_t* to = out.pixels.data();
    // the mean of scale x scale pixels, as a scaled decoder gives it
    for (int y = 0; y < out.height; ++y) {
        for (int x = 0; x < out.width; ++x) {
            unsigned sum[3] = {}, count = 0;
            for (int v = y * scale; v < std::min((y + 1) * scale, image.height); ++v) {
                for (int u = x * scale; u < std::min((x + 1) * scale, image.width); ++u, ++count) {
                    const std::uint8_t* p = image.pixels.get() +
                                            static_cast<std::size_t>(v) * image.row_bytes() +
                                            3 * static_cast<std::size_t>(u);
                    for (int c = 0; c < 3; ++c) sum[c] += p[c];
                }
            }
            for (const unsigned s : sum) *to++ = static_cast<std::uint8_t>((s + count / 2) / count);
        }
    }
    return {};
}

host::Result<> encode_jpeg(const std::uint8_t* rgb, int width, int height, std::size_t stride, int,
                           std::vector<std::uint8_t>& out) {
    auto encoded = host::encode_image(
        {rgb, width, height, static_cast<std::ptrdiff_t>(stride), PixelFormat::rgb24},
        host::ImageFormat::jpeg);
    if (!encoded) return encoded.error();
    out = std::move(*encoded);
    return {};
}

#endif

// --------------------------------------------------------------------- splitting

void JpegSplitter::add(std::span<const std::uint8_t> bytes) {
    if (begin_ > 0) {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
        at_ -= begin_;
        begin_ = 0;
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

std::span<const std::uint8_t> JpegSplitter::next() {
    const auto have = [&](std::size_t n) { return at_ + n <= buffer_.size(); };
    const auto give_up = [&] {  // no picture begins where it seemed to
        skipped_ += 2;
        begin_ += 2;
        at_ = begin_;
        state_ = State::start;
    };
    for (;;) {
        if (state_ != State::start && at_ - begin_ > max_picture_bytes) give_up();
        switch (state_) {
            case State::start: {
                while (have(2) && !(buffer_[at_] == 0xff && buffer_[at_ + 1] == marker_soi)) ++at_;
                skipped_ += at_ - begin_;
                begin_ = at_;
                if (!have(2)) return {};
                at_ += 2;
                state_ = State::marker;
                break;
            }
            case State::marker: {
                if (!have(2)) return {};
                if (buffer_[at_] != 0xff) {
                    give_up();
                    break;
                }
                const std::uint8_t marker = buffer_[at_ + 1];
                if (marker == 0xff) {
                    ++at_;
                } else if (marker == marker_eoi) {
                    at_ += 2;
                    const std::span<const std::uint8_t> picture(buffer_.data() + begin_,
                                                                at_ - begin_);
                    begin_ = at_;
                    state_ = State::start;
                    return picture;
                } else if (marker == marker_soi || marker == 0) {
                    give_up();
                } else if (stands_alone(marker)) {
                    at_ += 2;
                } else {
                    state_ = State::segment;
                }
                break;
            }
            case State::segment: {
                if (!have(4)) return {};
                const std::size_t length = std::size_t{buffer_[at_ + 2]} << 8 | buffer_[at_ + 3];
                if (length < 2) {
                    give_up();
                    break;
                }
                if (!have(2 + length)) return {};
                state_ = buffer_[at_ + 1] == marker_sos ? State::scan : State::marker;
                at_ += 2 + length;
                break;
            }
            case State::scan: {
                while (have(2) && (buffer_[at_] != 0xff || buffer_[at_ + 1] == 0 ||
                                   is_restart(buffer_[at_ + 1]))) {
                    const auto* found = static_cast<const std::uint8_t*>(
                        std::memchr(buffer_.data() + at_ + 1, 0xff, buffer_.size() - at_ - 1));
                    at_ = found != nullptr ? static_cast<std::size_t>(found - buffer_.data())
                                           : buffer_.size();
                }
                if (!have(2)) return {};
                state_ = State::marker;
                break;
            }
        }
    }
}

}  // namespace mien::video
