// SPDX-License-Identifier: MIT
// Turns a packet into a frame for the engine and an image to draw on, with as little work as
// possible: pixels stay where they are, color is made only when asked for.
#pragma once

#include <cstdint>
#include <vector>

#include "host/codec/image_file.h"
#include "host/codec/jpeg.h"
#include "host/files/result.h"
#include "mien/mien.hpp"
#include "mien/tracker.hpp"
#include "video/frame_shape.h"
#include "video/pixels.h"
#include "video/source.h"

namespace mien::video {

struct DecoderOptions {
    bool engine_wants_color = false;  // a network reads R, G, B
    bool picture_wanted = false;      // picture() may be called: JPEG is decoded with its colors
    int jpeg_scale = 1;               // 1, 2, 4, 8
    int orientation = 1;              // in which the camera hangs (host/codec/orientation.h)
    bool as_stored = false;           // films are neither turned nor stretched as they say
};

// A frame before it was given the shape in which its file wants it shown.
struct StoredShape {
    int width = 0, height = 0;
    PixelAspect aspect;
    int orientation = 1;
    bool is_changed = false;  // else the frame is shown as it is stored, but for the options
};

class Decoder {
public:
    explicit Decoder(const DecoderOptions& options) : options_(options) {}

    // The frame points into the packet or into the decoder; valid until the next call. The gray of
    // a frame does not depend on the options, except that engine_wants_color has JPEG decoded to
    // RGB, and frames that are turned made RGB. Unless it is wanted `whole`, rows of a JPEG that is
    // shown as it is stored are decoded when rows() is asked for them.
    host::Result<> decode(const Packet& packet, Frame& frame, bool whole = true);
    // Of the last packet, for Tracker::process().
    [[nodiscard]] FrameRows rows();
    // Why rows could not be had; ok if they could.
    [[nodiscard]] const host::Result<>& rows_read() const { return rows_read_; }
    // Of the last packet.
    [[nodiscard]] const StoredShape& stored() const { return stored_; }
    // The last packet as packed RGB, width x height of the frame: `out` is resized.
    void picture(std::vector<std::uint8_t>& out);

private:
    host::Result<> decode_plain(const Packet& packet, Frame& frame);
    host::Result<> decode_picture(const Packet& packet, Frame& frame);
    host::Result<> decode_jpeg(const Packet& packet, Frame& frame);
    bool read_rows(int first, int last);
    void picture_as_it_came(std::vector<std::uint8_t>& out);
    void reshape(Frame& frame);

    DecoderOptions options_;
    Packet packet_;
    bool whole_ = true;
    Frame frame_;  // as it came
    PixelMemory converted_;
    host::JpegPicture jpeg_;
    host::JpegRows jpeg_rows_;
    host::Result<> rows_read_;
    host::Image image_;
    std::vector<std::uint8_t> plane_;  // the gray of a JPEG in color; NV12 made of YU12
    StoredShape stored_;
    int shown_width_ = 0;  // before it is turned
    int orientation_ = 1;  // the file's and the camera's
    RowStretcher stretcher_;
    std::vector<std::uint8_t> before_turn_, stretched_, turned_;
};

}  // namespace mien::video
