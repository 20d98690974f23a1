// SPDX-License-Identifier: MIT
// Every kernel of every instruction set against a reference that only says what is meant, over
// shapes that do not divide evenly, extreme values, and memory that ends at a guard page.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "unit/helpers.h"

using namespace mien;
using namespace mien::test;

#if MIEN_TEST_VNNI_EVEX
namespace mien {
extern const NetKernels net_avxvnni_evex;
}
#endif

namespace {

std::int8_t reference_requantise(std::int64_t acc, float scale, int low) {
    const float value = static_cast<float>(static_cast<std::int32_t>(acc)) * scale;
    return static_cast<std::int8_t>(
        std::clamp(std::nearbyint(static_cast<double>(value)), static_cast<double>(low), 127.0));
}

// Bytes in -127..127, a good part of them extreme; never negative if asked.
void fill(std::int8_t* p, std::size_t n, Random& random, bool nonnegative) {
    for (std::size_t i = 0; i < n; ++i) {
        const int mode = random.between(0, 5);
        int v = mode == 0 ? 127 : mode == 1 ? -127 : random.between(-127, 127);
        if (nonnegative) v = std::abs(v);
        p[i] = static_cast<std::int8_t>(v);
    }
}

// Between values and what an instruction set stores for them.
void flip(const GuardedBuffer& buffer, std::uint8_t lift) {
    for (std::size_t i = 0; i < buffer.size(); ++i)
        buffer.bytes()[i] = static_cast<std::int8_t>(buffer.bytes()[i] ^ lift);
}

float random_scale(Random& random, int terms) {
    // Outputs of all sizes: many in range, some far outside.
    return static_cast<float>(random.between(1, 4000)) / 1000.0f / static_cast<float>(terms * 40);
}

// Every table to test: those of this processor, and AVX-VNNI's in another encoding where that one
// runs.
std::vector<Kernels> tables() {
    std::vector<Kernels> all;
    for (const Isa isa : isas()) all.push_back(kernels_for(isa));
#if MIEN_TEST_VNNI_EVEX
    const Kernels& base = kernels_for(Isa::avx512);
    if (base.isa == Isa::avx512)
        all.push_back({Isa::avxvnni, net_avxvnni_evex, base.detect, base.image});
#endif
    return all;
}

// Of a kernel or a stride. Structured bindings would not do: clang 14 cannot capture them, and the
// checks are lambdas.
struct Pair {
    int y, x;
};

struct ConvShape {
    int input_channels, kernel_h, kernel_w, stride_y, stride_x, output_w, output_h, output_channels;
    bool nonnegative, relu;
    bool is_unsigned = false;  // bytes 0..255, stored as Network stores an image
    int largest_weight = 127;
    bool extreme = false;  // all inputs the largest, all weights of an output the largest of a sign
};

// The numbers of a convolution, and what the reference makes of them. They are the same for every
// instruction set and made once: the reference takes longer than all kernels together.
struct ConvCase {
    ConvCase(const ConvShape& shape, Random& random);

    ConvShape shape;
    std::ptrdiff_t input_row, output_row;  // bytes
    int padded;                            // output channels
    GuardedBuffer input;
    std::vector<std::int8_t> weights;  // output channel, kernel row, the rest of a run
    std::vector<std::int32_t> bias;
    std::vector<float> scale;
    std::int8_t low;
    std::vector<std::int8_t> expected;

    [[nodiscard]] int run() const { return shape.kernel_w * shape.input_channels; }
    [[nodiscard]] const std::int8_t* weights_of(int channel, int kernel_row) const {
        return weights.data() + (channel * shape.kernel_h + kernel_row) * run();
    }
};

ConvCase::ConvCase(const ConvShape& s, Random& random)
    : shape(s),
      input_row(std::ptrdiff_t{(s.output_w - 1) * s.stride_x + s.kernel_w} * s.input_channels),
      output_row(std::ptrdiff_t{s.output_w} * round_up(s.output_channels, channel_multiple)),
      padded(round_up(s.output_channels, channel_multiple)),
      input(static_cast<std::size_t>(input_row * ((s.output_h - 1) * s.stride_y + s.kernel_h)) +
            read_slack),
      weights(static_cast<std::size_t>(s.output_channels * s.kernel_h * run())),
      bias(static_cast<std::size_t>(s.output_channels)),
      scale(bias.size()),
      low(s.relu ? 0 : -127),
      expected(static_cast<std::size_t>(output_row * s.output_h)) {
    fill(input.bytes(), input.size(), random, s.nonnegative && !s.is_unsigned);
    for (std::size_t i = 0; s.is_unsigned && i < input.size(); i += 3)
        input.data()[i] = random.between(0, 1) == 1 ? 255 : 128;
    fill(weights.data(), weights.size(), random, false);
    for (std::int8_t& v : weights)
        v = static_cast<std::int8_t>(std::clamp<int>(v, -s.largest_weight, s.largest_weight));
    if (s.extreme) {
        std::memset(input.data(), s.is_unsigned ? 255 : 127, input.size());
        for (std::size_t i = 0; i < weights.size(); ++i)
            weights[i] = static_cast<std::int8_t>(
                i / static_cast<std::size_t>(s.kernel_h * run()) % 2 == 0 ? s.largest_weight
                                                                          : -s.largest_weight);
    }
    for (std::size_t n = 0; n < bias.size(); ++n) {
        bias[n] = random.between(-100000, 100000);
        scale[n] = random_scale(random, s.kernel_h * run());
    }
    for (int y = 0; y < s.output_h; ++y)
        for (int x = 0; x < s.output_w; ++x)
            for (int n = 0; n < s.output_channels; ++n) {
                std::int64_t acc = bias[static_cast<std::size_t>(n)];
                for (int ky = 0; ky < s.kernel_h; ++ky) {
                    const std::ptrdiff_t at =
                        (y * s.stride_y + ky) * input_row + x * s.stride_x * s.input_channels;
                    const std::int8_t* const w = weights_of(n, ky);
                    for (int k = 0; k < run(); ++k)
                        acc += w[k] * (s.is_unsigned ? int{input.data()[at + k]}
                                                     : int{input.bytes()[at + k]});
                }
                expected[static_cast<std::size_t>(y * output_row + x * padded + n)] =
                    reference_requantise(acc, scale[static_cast<std::size_t>(n)], low);
            }
}

// Packs canonical weights as Network does; kept apart from it on purpose.
ByteVector pack(const ConvCase& c, const ConvLayout& layout) {
    const ConvShape& s = c.shape;
    const int blocks = round_up(s.output_channels, layout.out_block) / layout.out_block;
    ByteVector out;
    for (int b = 0; b < blocks; ++b)
        for (int ky = 0; ky < s.kernel_h; ++ky)
            for (int k = 0; k < c.run(); k += layout.group)
                for (int n = 0; n < layout.out_block; ++n)
                    for (int g = 0; g < layout.group; ++g) {
                        const int o = b * layout.out_block + n, at = k + g;
                        const int v =
                            o < s.output_channels && at < c.run() ? c.weights_of(o, ky)[at] : 0;
                        if (layout.element_bytes == 2) {  // in the machine's byte order
                            std::uint8_t bytes[2];
                            const auto wide = static_cast<std::int16_t>(v);
                            std::memcpy(bytes, &wide, sizeof bytes);
                            out.insert(out.end(), bytes, bytes + sizeof bytes);
                        } else {
                            out.push_back(static_cast<std::uint8_t>(v));
                        }
                    }
    return out;
}

void check_conv(const Kernels& kernels, const ConvCase& c) {
    const ConvShape& s = c.shape;
    const ConvLayout& layout = kernels.net.conv_layout;
    const auto constants = static_cast<std::size_t>(round_up(c.padded, layout.out_block));
    const bool keeps_unsigned = s.is_unsigned && kernels.net.lift != 0;
    const std::uint8_t lift = keeps_unsigned  ? std::uint8_t{0}
                              : s.is_unsigned ? std::uint8_t{0x80}
                              : s.nonnegative ? std::uint8_t{0}
                                              : kernels.net.lift;
    const std::uint8_t output_lift = s.relu ? std::uint8_t{0} : kernels.net.lift;
    const bool seen_unsigned = s.is_unsigned ? keeps_unsigned : s.nonnegative || lift != 0;
    const ConvPacking* const packing = kernels.net.conv_packing;
    const int largest = !s.is_unsigned ? (lift == 0 ? 127 : 255) : keeps_unsigned ? 255 : 128;
    const ConvGeometry geometry = {
        s.kernel_h,        s.kernel_w, s.stride_x, s.input_channels, s.input_channels,
        s.output_channels, c.padded,   largest,    s.largest_weight, seen_unsigned};
    const ByteVector packed_bytes = packing != nullptr ? ByteVector() : pack(c, layout);
    GuardedBuffer packed(packing != nullptr ? packing->packed_bytes(geometry)
                                            : packed_bytes.size());
    if (packing != nullptr)
        packing->pack(geometry, c.weights.data(), packed.data());
    else
        std::memcpy(packed.data(), packed_bytes.data(), packed_bytes.size());
    const GuardedBuffer scratch(packing != nullptr ? packing->scratch_bytes(geometry) : 0);
    std::vector<std::int32_t> lifted = c.bias;
    for (int n = 0; n < s.output_channels; ++n)
        for (int k = 0; k < s.kernel_h * c.run(); ++k)
            lifted[static_cast<std::size_t>(n)] -=
                (s.is_unsigned ? -lift : lift) * c.weights_of(n, 0)[k];
    lifted.resize(constants, 0);
    std::vector<float> scale = c.scale;
    scale.resize(constants, 1.0f);
    GuardedBuffer output(c.expected.size());
    std::memset(output.data(), 0x55, output.size());
    flip(c.input, lift);
    kernels.net.conv({c.input.bytes(),
                      c.input_row,
                      s.input_channels,
                      s.kernel_h,
                      round_up(c.run(), layout.group),
                      s.stride_y,
                      s.stride_x,
                      s.output_h,
                      s.output_w,
                      c.padded,
                      packed.data(),
                      lifted.data(),
                      scale.data(),
                      output.bytes(),
                      c.output_row,
                      c.padded,
                      c.low,
                      seen_unsigned,
                      output_lift,
                      scratch.bytes()});
    flip(c.input, lift);
    flip(output, output_lift);
    CHECK_MESSAGE(std::equal(c.expected.begin(), c.expected.end(), output.bytes()),
                  isa_name(kernels.isa), " conv in ", s.input_channels, " kernel ", s.kernel_h, "x",
                  s.kernel_w, " stride ", s.stride_y, "x", s.stride_x, " out ", s.output_w, "x",
                  s.output_h, "x", s.output_channels);
}

void check_depthwise(const std::vector<Kernels>& all, int channels, Pair kernel, Pair stride,
                     int output_w, int largest, Random& random) {
    const int output_h = random.between(1, 3), taps = kernel.y * kernel.x, pairs = (taps + 1) / 2;
    const int input_w = (output_w - 1) * stride.x + kernel.x,
              input_h = (output_h - 1) * stride.y + kernel.y;
    const std::ptrdiff_t input_row = std::ptrdiff_t{input_w} * channels,
                         output_row = std::ptrdiff_t{output_w} * channels;
    const GuardedBuffer input(static_cast<std::size_t>(input_row * input_h) + read_slack);
    const bool nonnegative = random.between(0, 1) == 1;
    fill(input.bytes(), input.size(), random, nonnegative);
    std::vector<std::int8_t> w(static_cast<std::size_t>(taps * channels));
    fill(w.data(), w.size(), random, false);
    for (auto& v : w) v = static_cast<std::int8_t>(std::clamp<int>(v, -largest, largest));
    if (random.between(0, 3) == 0) {  // the largest sums that there are
        std::memset(input.data(), 127, input.size());
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = static_cast<std::int8_t>(i % 2 == 0 ? largest : -largest);
    }
    int largest_sum = 0;
    for (int c = 0; c < channels; ++c) {
        int sum = 0;
        for (int t = 0; t < taps; ++t)
            sum += std::abs(w[static_cast<std::size_t>(t * channels + c)]);
        largest_sum = std::max(largest_sum, sum);
    }
    std::vector<std::int16_t> packed(static_cast<std::size_t>(pairs * 2 * channels), 0);
    for (int t = 0; t < taps; ++t)
        for (int c = 0; c < channels; ++c)
            packed[static_cast<std::size_t>((t / 2 * channels + c) * 2 + t % 2)] =
                w[static_cast<std::size_t>(t * channels + c)];
    std::vector<std::int32_t> bias(static_cast<std::size_t>(channels));
    std::vector<float> scale(static_cast<std::size_t>(channels));
    for (auto& b : bias) b = random.between(-30000, 30000);
    for (auto& v : scale) v = random_scale(random, taps);
    const std::int8_t low = random.between(0, 1) == 1 ? 0 : -127;
    std::vector<std::int8_t> expected(static_cast<std::size_t>(output_row * output_h));
    for (int y = 0; y < output_h; ++y)
        for (int x = 0; x < output_w; ++x)
            for (int c = 0; c < channels; ++c) {
                std::int64_t acc = bias[static_cast<std::size_t>(c)];
                for (int t = 0; t < taps; ++t)
                    acc += w[static_cast<std::size_t>(t * channels + c)] *
                           input.bytes()[(y * stride.y + t / kernel.x) * input_row +
                                         (x * stride.x + t % kernel.x) * channels + c];
                expected[static_cast<std::size_t>(y * output_row + x * channels + c)] =
                    reference_requantise(acc, scale[static_cast<std::size_t>(c)], low);
            }
    for (const Kernels& kernels : all) {
        const std::uint8_t lift = nonnegative ? std::uint8_t{0} : kernels.net.lift;
        const std::uint8_t output_lift = low == 0 ? std::uint8_t{0} : kernels.net.lift;
        const Depthwise3* const fast =
            kernel.y == 3 && kernel.x == 3 && stride.y == 1 && stride.x == 1
                ? kernels.net.depthwise3
                : nullptr;
        GuardedBuffer packed3(fast != nullptr ? fast->packed_bytes(channels) : 1);
        GuardedBuffer scratch(
            fast != nullptr ? round_up(fast->scratch_bytes(output_w, channels), std::size_t{64})
                            : 1);
        if (fast != nullptr)
            fast->pack(w.data(), channels, channels, bias.data(), scale.data(), lift,
                       packed3.data());
        GuardedBuffer output(expected.size());
        flip(input, lift);
        kernels.net.depthwise({input.bytes(),
                               input_row,
                               kernel.y,
                               kernel.x,
                               stride.y,
                               stride.x,
                               output_h,
                               output_w,
                               channels,
                               packed.data(),
                               bias.data(),
                               scale.data(),
                               output.bytes(),
                               output_row,
                               low,
                               nonnegative || lift != 0,
                               lift,
                               output_lift,
                               lift == 0 && largest_sum <= largest_small_sum ? w.data() : nullptr,
                               fast != nullptr ? packed3.data() : nullptr,
                               scratch.bytes()});
        flip(input, lift);
        flip(output, output_lift);
        CHECK_MESSAGE(std::equal(expected.begin(), expected.end(), output.bytes()),
                      isa_name(kernels.isa), " depthwise ", channels, " kernel ", kernel.y, "x",
                      kernel.x, " stride ", stride.y, "x", stride.x, " width ", output_w);
    }
}

void check_pools(const std::vector<Kernels>& all, int channels, Pair kernel, int size, int pad,
                 Pair stride, Random& random) {
    const int width = size + 3;
    const int output_h = (size + 2 * pad - kernel.y) / stride.y + 1,
              output_w = (width + 2 * pad - kernel.x) / stride.x + 1;
    // No window may lie beside the map alone.
    if (pad >= std::min(kernel.y, kernel.x) || size + 2 * pad < kernel.y ||
        width + 2 * pad < kernel.x || (output_h - 1) * stride.y - pad >= size ||
        (output_w - 1) * stride.x - pad >= width)
        return;
    const std::ptrdiff_t input_row = std::ptrdiff_t{width} * channels,
                         output_row = std::ptrdiff_t{output_w} * channels;
    const GuardedBuffer input(static_cast<std::size_t>(input_row * size) + read_slack);
    fill(input.bytes(), input.size(), random, false);
    std::vector<std::int8_t> maxima(static_cast<std::size_t>(output_row * output_h)),
        means(maxima.size());
    for (int y = 0; y < output_h; ++y)
        for (int x = 0; x < output_w; ++x)
            for (int c = 0; c < channels; ++c) {
                int best = -127, sum = 0, count = 0;
                for (int ky = 0; ky < kernel.y; ++ky)
                    for (int kx = 0; kx < kernel.x; ++kx) {
                        const int iy = y * stride.y - pad + ky, ix = x * stride.x - pad + kx;
                        if (iy < 0 || iy >= size || ix < 0 || ix >= width) continue;
                        const int v = input.bytes()[iy * input_row + ix * channels + c];
                        best = std::max(best, v);
                        sum += v;
                        ++count;
                    }
                const auto at = static_cast<std::size_t>(y * output_row + x * channels + c);
                maxima[at] = static_cast<std::int8_t>(best);
                means[at] = reference_requantise(sum, 1.0f / static_cast<float>(count), -127);
            }
    for (const Kernels& kernels : all) {
        const std::uint8_t lift = kernels.net.lift;
        flip(input, lift);
        for (const bool maximum : {true, false}) {
            const std::vector<std::int8_t>& expected = maximum ? maxima : means;
            GuardedBuffer out(expected.size());
            const PoolArgs args = {input.bytes(), input_row,   size,       width,
                                   kernel.y,      kernel.x,    stride.y,   stride.x,
                                   pad,           pad,         output_h,   output_w,
                                   channels,      out.bytes(), output_row, lift};
            (maximum ? kernels.net.max_pool : kernels.net.avg_pool)(args);
            flip(out, lift);
            CHECK_MESSAGE(std::equal(expected.begin(), expected.end(), out.bytes()),
                          isa_name(kernels.isa), maximum ? " max" : " avg", " pool ", size,
                          " kernel ", kernel.y, "x", kernel.x, " stride ", stride.y, "x", stride.x,
                          " channels ", channels);
        }
        flip(input, lift);
    }
}

}  // namespace

TEST_CASE("convolutions equal the reference on every instruction set") {
    const std::vector<Kernels> all = tables();
    Random random(11);
    const auto check = [&](const ConvShape& shape) {
        const ConvCase c(shape, random);
        for (const Kernels& kernels : all) check_conv(kernels, c);
    };
    for (const int input_channels : {1, 3, 8, 16, 24, 40})
        for (const int kernel : {1, 3, 5})
            for (const int stride : {1, 2})
                for (const int output_w : {1, 3, 4, 5, 8, 9, 11, 12, 21})
                    for (const int output_channels : {1, 7, 8, 9, 16, 24, 33, 64, 120})
                        check({input_channels, kernel, kernel, stride, stride, output_w, 2,
                               output_channels, random.between(0, 1) == 1,
                               random.between(0, 1) == 1});
    check({128, 1, 1, 1, 1, 4, 4, 128, false, false});
    check({128, 7, 7, 1, 1, 1, 1, 16, false, false});
    check({3, 7, 7, 2, 2, 13, 5, 16, true, true});
    for (const int channels : {1, 3})
        for (const int stride : {1, 2})
            for (const int output_w : {1, 5, 8, 13, 24})
                for (const int output_channels : {5, 16, 40})
                    check({channels, 3, 3, stride, stride, output_w, 3, output_channels, false,
                           random.between(0, 1) == 1, true});
    // Weights of which few or many products can be added in 16 bits, for inputs of up to 127 and
    // 255; just as many as can.
    for (const int largest : {16, 17, 31, 32, 33, 63, 64, 65, 90})
        for (const int input_channels : {8, 16, 24, 32, 40, 64, 128})
            for (const int output_w : {3, 8, 13})
                for (const int kernel : {1, 3})
                    check({input_channels, kernel, kernel, 1, 1, output_w, 2, 24,
                           random.between(0, 1) == 1, random.between(0, 1) == 1, false, largest,
                           output_w == 3});
    for (const int largest : {16, 17, 31, 64, 65, 127})
        check({3, 3, 3, 2, 2, 9, 2, 16, false, false, true, largest, true});
    // Neither kernels nor strides need to be square.
    for (const int input_channels : {1, 3, 16})
        for (const int output_w : {1, 5, 12})
            for (const int output_channels : {7, 24, 64}) {
                const bool nonnegative = random.between(0, 1) == 1;
                check(
                    {input_channels, 5, 3, 2, 1, output_w, 2, output_channels, nonnegative, true});
                check(
                    {input_channels, 1, 4, 1, 3, output_w, 3, output_channels, nonnegative, false});
            }
}

TEST_CASE("depthwise convolutions equal the reference on every instruction set") {
    const std::vector<Kernels> all = tables();
    Random random(12);
    for (const int channels : {8, 16, 24, 32, 40, 64, 72, 128})
        for (const Pair kernel : {Pair{1, 1}, {2, 2}, {3, 3}, {5, 5}, {1, 3}, {5, 2}, {3, 4}})
            for (const Pair stride : {Pair{1, 1}, {2, 2}, {1, 2}, {3, 1}})
                for (const int output_w : {1, 2, 3, 5, 8, 17})
                    check_depthwise(all, channels, kernel, stride, output_w, 127, random);
    // Rows that are made in strips.
    for (const int channels : {8, 16, 24, 40, 64, 128})
        for (const int output_w : {32, 33, 65, 127, 129, 200, 263})
            check_depthwise(all, channels, {3, 3}, {1, 1}, output_w, 127, random);
    // Weights of which more or less can be added in 16 bits.
    for (const int channels : {8, 16, 24, 64})
        for (const int largest : {21, 22, 28, 29, 31, 43, 44, 57, 58, 63, 64, 65, 103, 104})
            for (const int output_w : {1, 4, 9})
                check_depthwise(all, channels, {3, 3}, {1, 1}, output_w, largest, random);
}

TEST_CASE("pooling equals the reference on every instruction set") {
    const std::vector<Kernels> all = tables();
    Random random(13);
    for (const int channels : {8, 16, 24, 32, 40, 48, 56, 64, 128})
        for (const Pair kernel : {Pair{2, 2}, {3, 3}, {3, 2}, {1, 3}})
            for (const int size : {1, 2, 5, 8, 9})
                for (const auto& [pad, stride] : {std::pair{0, Pair{1, 1}},
                                                  {0, {2, 2}},
                                                  {0, {3, 3}},
                                                  {1, {1, 1}},
                                                  {1, {2, 2}},
                                                  {0, {1, 2}},
                                                  {1, {2, 1}}})
                    check_pools(all, channels, kernel, size, pad, stride, random);
}

TEST_CASE("add saturates on every instruction set") {
    for (const Kernels& kernels : tables()) {
        Random random(14);
        for (const int row_bytes : {8, 24, 32, 40, 136})
            for (const auto& [low, b_lifted] : {std::pair{std::int8_t{-127}, false},
                                                {std::int8_t{0}, false},
                                                {std::int8_t{-127}, true},
                                                {std::int8_t{0}, true}}) {
                const int rows = 3;
                GuardedBuffer a(static_cast<std::size_t>(row_bytes * rows)), b(a.size()),
                    out(a.size());
                fill(a.bytes(), a.size(), random, false);
                fill(b.bytes(), b.size(), random, false);
                const std::uint8_t lift = kernels.net.lift,
                                   b_lift = b_lifted ? lift : std::uint8_t{0},
                                   output_lift = low == 0 ? std::uint8_t{0} : lift;
                flip(a, lift);
                flip(b, b_lift);
                kernels.net.add({a.bytes(), b.bytes(), row_bytes, row_bytes, rows, row_bytes,
                                 out.bytes(), row_bytes, low, lift, b_lift, output_lift});
                flip(a, lift);
                flip(b, b_lift);
                flip(out, output_lift);
                int wrong = 0;
                for (std::size_t i = 0; i < a.size(); ++i)
                    wrong +=
                        out.bytes()[i] != std::clamp<int>(a.bytes()[i] + b.bytes()[i], low, 127);
                CHECK(wrong == 0);
            }
    }
}

TEST_CASE("sums and dots equal the reference on every instruction set") {
    for (const Kernels& kernels : tables()) {
        const NetKernels& net = kernels.net;
        Random random(15);
        for (const int channels : {1, 7, 8, 16, 24, 40, 128})
            for (const auto& [height, width] : {std::pair{1, 1}, {4, 4}, {3, 5}, {40, 40}}) {
                const std::ptrdiff_t pixel = round_up(channels, 8) + 8, row = width * pixel + 8;
                GuardedBuffer input(static_cast<std::size_t>(height * row) + read_slack);
                fill(input.bytes(), input.size(), random, false);
                std::vector<std::int32_t> sums(static_cast<std::size_t>(channels)),
                    expected(sums.size(), 0);
                for (int y = 0; y < height; ++y)
                    for (int x = 0; x < width; ++x)
                        for (int c = 0; c < channels; ++c)
                            expected[static_cast<std::size_t>(c)] +=
                                input.bytes()[y * row + x * pixel + c];
                flip(input, net.lift);
                net.sum_positions(
                    {input.bytes(), row, pixel, height, width, channels, net.lift, sums.data()});
                CHECK(sums == expected);
                GuardedBuffer w(static_cast<std::size_t>(channels));
                fill(w.bytes(), w.size(), random, false);
                std::int32_t dot = 0;
                for (std::size_t c = 0; c < sums.size(); ++c) dot += sums[c] * w.bytes()[c];
                CHECK(net.dot(sums.data(), w.bytes(), channels) == dot);
            }
    }
}

TEST_CASE("an instruction set that is not there becomes scalar") {
    CHECK(kernels_for(static_cast<Isa>(99)).isa == Isa::scalar);
    CHECK(!isa_available(static_cast<Isa>(99)));
    CHECK(isa_available(Isa::scalar));
    CHECK(resolve_isa(Isa::best) == kernels_for(Isa::best).isa);
}
