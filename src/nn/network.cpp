// SPDX-License-Identifier: MIT
// The arithmetic is that of docs/QUANTIZATION.md.
#include "nn/network.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

namespace mien {
namespace {

// Bytes of output that one part of a layer has: some microseconds' work.
constexpr std::ptrdiff_t part_bytes = 1 << 12;
constexpr int most_parts_per_thread = 4;

constexpr int max_tensors = ModelAccess::max_layers + 1;

std::int8_t round_clamped(float v, float low) noexcept {
    return static_cast<std::int8_t>(std::lrint(std::clamp(v, low, 127.0f)));
}

std::int8_t low_limit(const LayerView& layer) noexcept {
    return layer.op == LayerOp::relu || layer.activation == Activation::relu ? std::int8_t{0}
                                                                             : std::int8_t{-127};
}

// One whose sums become bytes, by the kernels of the instruction set.
bool makes_bytes_by_conv(const LayerView& layer) noexcept {
    return layer.op == LayerOp::conv && layer.output == LayerOutput::bytes;
}

int largest_weight(const ModelAccess& access, const LayerView& layer, int inputs) noexcept {
    const std::int8_t* const first = access.weights(layer);
    const std::ptrdiff_t count =
        std::ptrdiff_t{layer.kernel_h} * layer.kernel_w * inputs * layer.out_c;
    const auto [low, high] = std::minmax_element(first, first + count);
    return std::max<int>(-*low, *high);
}

ConvGeometry geometry_of(const ModelAccess& access, const LayerView& layer,
                         const Tensor& in) noexcept {
    return {layer.kernel_h,
            layer.kernel_w,
            layer.stride_x,
            in.pixel_bytes,
            in.shape.channels,
            layer.out_c,
            round_up(layer.out_c, channel_multiple),
            in.largest_seen(),
            largest_weight(access, layer, in.shape.channels),
            in.seen_unsigned()};
}

const std::int8_t* receptive_field(const Tensor& in, const LayerView& layer) noexcept {
    return in.data == nullptr
               ? nullptr
               : in.data - layer.pad_top * in.row_bytes - layer.pad_left * in.pixel_bytes;
}

// Zeros, stored as the tensor stores them, around the rows from `first` to `end`. Between two rows
// the right border of the upper and the left border of the lower one touch, and go with the upper
// one; both are whole groups of eight bytes, except in a tensor of pixels.
void clear_border(const Tensor& t, int first, int end) noexcept {
    const int left = t.border_left * t.pixel_bytes, right = t.border_right * t.pixel_bytes,
              last = t.shape.height - 1;
    const std::ptrdiff_t width = std::ptrdiff_t{t.shape.width} * t.pixel_bytes;
    const std::int64_t eight = t.lift != 0 ? static_cast<std::int64_t>(0x8080808080808080u) : 0;
    if (first == 0 && (t.border_top > 0 || left > 0))
        std::memset(t.data - t.border_top * t.row_bytes - left, t.lift,
                    static_cast<std::size_t>(t.border_top * t.row_bytes + left));
    if (left + right > 0) {
        std::int8_t* gap = t.data + first * t.row_bytes + width;
        for (int y = first; y < std::min(end, last); ++y, gap += t.row_bytes) {
            int i = 0;
            for (; i + 8 <= left + right; i += 8) std::memcpy(gap + i, &eight, 8);
            for (; i < left + right; ++i) gap[i] = static_cast<std::int8_t>(t.lift);
        }
    }
    if (end > last && (t.border_bottom > 0 || right > 0))
        std::memset(t.data + last * t.row_bytes + width, t.lift,
                    static_cast<std::size_t>(t.border_bottom * t.row_bytes + right));
}

// Turns stored bytes into values, or back.
void flip(const Tensor& t) noexcept {
    for (int y = 0; t.lift != 0 && y < t.shape.height; ++y)
        for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{t.shape.width} * t.pixel_bytes; ++i)
            t.data[y * t.row_bytes + i] =
                static_cast<std::int8_t>(t.data[y * t.row_bytes + i] ^ t.lift);
}

}  // namespace

// ------------------------------------------------------------------------ set-up

// Where each tensor lies. Tensors that are never alive together share memory: largest first, each
// at the lowest offset that is free during its life (the greedy planner that TensorFlow Lite Micro
// describes).
struct Network::Plan {
    struct Entry {
        Tensor tensor;
        std::size_t bytes, offset;
        int born, dies;
    };
    Entry entries[max_tensors];
    int count = 0;
    std::size_t total = 0;

    Plan(const Model& model, const Shapes& shapes, std::uint8_t lift) noexcept {
        const ModelAccess access{model};
        count = model.layer_count();  // the last layer makes a result, no tensor
        for (int t = 0; t < count; ++t) {
            const TensorShape shape = shapes.of[t];
            entries[t] = {};
            entries[t].tensor.shape = shape;
            entries[t].tensor.pixel_bytes =
                t == 0 ? shape.channels : round_up(shape.channels, channel_multiple);
            entries[t].tensor.is_unsigned = t == 0 && access.input_unsigned();
            entries[t].born = entries[t].dies = t - 1;
        }
        for (int i = 0; i < model.layer_count(); ++i) {
            const LayerView layer = access.layer(i);
            note_use(layer.input, i);
            if (layer.has_second_input()) note_use(layer.input2, i);
            if (layer.has_weights()) widen_border(entries[layer.input].tensor, layer);
            if (i + 1 < count) entries[i + 1].tensor.nonnegative = makes_nonnegative(access, layer);
        }
        for (int t = 0; t < count; ++t) {
            Tensor& tensor = entries[t].tensor;
            if (tensor.is_unsigned)  // as the kernels' other operand is signed or not
                tensor.lift = lift != 0 ? std::uint8_t{0} : std::uint8_t{0x80};
            else
                tensor.lift = tensor.nonnegative ? std::uint8_t{0} : lift;
            tensor.row_bytes =
                std::ptrdiff_t{tensor.border_left + tensor.shape.width + tensor.border_right} *
                tensor.pixel_bytes;
            const auto rows = static_cast<std::size_t>(tensor.border_top + tensor.shape.height +
                                                       tensor.border_bottom);
            if (t > 0 && access.layer(t - 1).output == LayerOutput::floats) continue;
            entries[t].bytes = round_up(
                rows * static_cast<std::size_t>(tensor.row_bytes) + read_slack, Arena::alignment);
        }
        assign_offsets();
    }

private:
    void note_use(int t, int layer) noexcept { entries[t].dies = std::max(entries[t].dies, layer); }

    bool makes_nonnegative(const ModelAccess& access, const LayerView& layer) const noexcept {
        switch (layer.op) {
            case LayerOp::conv:
            case LayerOp::depthwise: return layer.activation == Activation::relu;
            case LayerOp::add:
                return layer.activation == Activation::relu ||
                       (entries[layer.input].tensor.nonnegative &&
                        entries[layer.input2].tensor.nonnegative);
            case LayerOp::relu: return true;
            case LayerOp::concat:
            case LayerOp::multiply:
                return entries[layer.input].tensor.nonnegative &&
                       entries[layer.input2].tensor.nonnegative;
            case LayerOp::table: {
                const std::int8_t* const first = access.weights(layer);
                return std::all_of(first, first + std::size_t{layer.tables} * table_entries,
                                   [](std::int8_t v) { return v >= 0; });
            }
            case LayerOp::max_pool:
            case LayerOp::avg_pool:
            case LayerOp::upsample2:
            case LayerOp::global_avg_pool: return entries[layer.input].tensor.nonnegative;
            case LayerOp::conv_gap: return false;
        }
        return false;
    }

    static void widen_border(Tensor& t, const LayerView& layer) noexcept {
        t.border_top = std::max(t.border_top, layer.pad_top);
        t.border_left = std::max(t.border_left, layer.pad_left);
        t.border_bottom = std::max(t.border_bottom, layer.pad_bottom);
        t.border_right = std::max(t.border_right, layer.pad_right);
    }

    void assign_offsets() noexcept {
        std::uint16_t order[max_tensors];
        for (int t = 0; t < count; ++t) order[t] = static_cast<std::uint16_t>(t);
        std::sort(order, order + count, [this](int a, int b) {
            return entries[a].bytes != entries[b].bytes ? entries[a].bytes > entries[b].bytes
                                                        : a < b;
        });
        for (int i = 0; i < count; ++i) {
            Entry& entry = entries[order[i]];
            std::size_t offset = 0;
            // past every tensor placed before that is alive at the same time
            for (bool moved = true; moved;) {
                moved = false;
                for (int k = 0; k < i; ++k) {
                    const Entry& other = entries[order[k]];
                    const bool together = other.born <= entry.dies && entry.born <= other.dies;
                    if (together && offset < other.offset + other.bytes &&
                        other.offset < offset + entry.bytes) {
                        offset = other.offset + other.bytes;
                        moved = true;
                    }
                }
            }
            entry.offset = offset;
            total = std::max(total, offset + entry.bytes);
        }
    }
};

LayerView Network::layer_at(int index, const Shapes& shapes) const noexcept {
    LayerView layer = ModelAccess{model_}.layer(index);
    // The record of conv_gap has the positions that it sums over; its input has one size only.
    if (layer.op == LayerOp::conv_gap) return layer;
    layer.out_h = shapes.of[index + 1].height;
    layer.out_w = shapes.of[index + 1].width;
    return layer;
}

namespace {

// Scratch of a head or of a mean; null for other layers.
std::int32_t* take_sums(Arena& arena, const LayerView& layer, const Tensor& in) noexcept {
    std::size_t count = 0;
    if (layer.output == LayerOutput::floats)
        count = static_cast<std::size_t>(layer.kernel_h * layer.kernel_w) *
                static_cast<std::size_t>(in.shape.channels);
    else if (layer.op == LayerOp::global_avg_pool)
        count = static_cast<std::size_t>(in.pixel_bytes);
    return count > 0 ? arena.take<std::int32_t>(count) : nullptr;
}

}  // namespace

void Network::place(Arena& arena, const Model& model, const Kernels& kernels, InputSize size,
                    const Executor& executor, const Stop& stop) noexcept {
    model_ = model;
    kernels_ = &kernels;
    stop_ = stop;
    place_all(arena, size, executor, nullptr);
}

void Network::place_twin(Arena& arena, const Network& original) noexcept {
    model_ = original.model_;
    kernels_ = original.kernels_;
    stop_ = original.stop_;
    place_all(arena, {}, {}, &original);
}

void Network::place_all(Arena& arena, InputSize size, const Executor& executor,
                        const Network* original) noexcept {
    const Model& model = model_;
    const Kernels& kernels = *kernels_;
    const Shapes shapes(model, size);
    const auto layers = static_cast<std::size_t>(model.layer_count());
    team_.place(arena, executor, model.layer_count() + 1);
    tensors_ = arena.take<Tensor>(layers + 1);
    steps_ = arena.take<Step>(layers);
    constants_ = arena.take<Constants>(layers);
    logits_ = arena.take<float>(static_cast<std::size_t>(model.class_count()));
    const Plan plan(model_, shapes, kernels.net.lift);
    place_tensors(arena, plan);
    scratch_bytes_ = 0;
    for (int i = 0; i < model.layer_count(); ++i) {
        const LayerView layer = layer_at(i, shapes);
        if (layer.op == LayerOp::depthwise && kernels.net.depthwise3 != nullptr)
            scratch_bytes_ =
                std::max(scratch_bytes_, kernels.net.depthwise3->scratch_bytes(
                                             layer.out_w, round_up(layer.out_c, channel_multiple)));
        if (makes_bytes_by_conv(layer) && kernels.net.conv_packing != nullptr)
            scratch_bytes_ = std::max(
                scratch_bytes_, kernels.net.conv_packing->scratch_bytes(geometry_of(
                                    ModelAccess{model_}, layer, plan.entries[layer.input].tensor)));
    }
    scratch_bytes_ = round_up(scratch_bytes_, Arena::alignment);
    const std::size_t all_scratch = scratch_bytes_ * static_cast<std::size_t>(team_.threads());
    scratch_ = arena.take<std::int8_t>(all_scratch);
    if (scratch_ != nullptr) std::memset(scratch_, 0, all_scratch);
    for (int i = 0; i < model.layer_count(); ++i) {
        if (original == nullptr)
            place_layer(arena, i, shapes, plan);
        else
            place_twin_layer(arena, i, plan, *original);
    }
    if (tensors_ == nullptr || steps_ == nullptr || constants_ == nullptr ||
        tensors_[0].memory == nullptr)
        return;  // only measured
    set_shapes(shapes);

    const ModelAccess access{model_};
    const Tensor& input = tensors_[0];
    const float inverse_quant = 1.0f / access.input_quant(), low = input.is_unsigned ? 0 : -127.0f,
                high = input.is_unsigned ? 255.0f : 127.0f;
    table_flips_ = true;
    for (int p = 0; p < 256; ++p) {
        const float x = static_cast<float>(p) * access.input_scale() + access.input_offset();
        const long value = std::lrint(std::clamp(x * inverse_quant, low, high));
        input_table_[p] = static_cast<std::uint8_t>(static_cast<std::uint8_t>(value) ^ input.lift);
        table_flips_ = table_flips_ && input_table_[p] == (p ^ input.lift);
    }
}

// One for which the instruction set has a kernel of its own.
bool Network::is_depthwise3(const LayerView& layer) const noexcept {
    return kernels_->net.depthwise3 != nullptr && layer.op == LayerOp::depthwise &&
           layer.kernel_h == 3 && layer.kernel_w == 3 && layer.stride_y == 1 && layer.stride_x == 1;
}

void Network::place_tensors(Arena& arena, const Plan& plan) noexcept {
    std::int8_t* const memory = arena.take<std::int8_t>(plan.total);
    if (tensors_ == nullptr) return;
    // kernels may read (and ignore) bytes past a tensor: let them be defined
    if (memory != nullptr) std::memset(memory, 0, plan.total);
    for (int t = 0; t < plan.count; ++t) {
        const Plan::Entry& entry = plan.entries[t];
        tensors_[t] = entry.tensor;
        // a result lies elsewhere
        if (memory != nullptr && entry.bytes > 0) tensors_[t].memory = memory + entry.offset;
    }
    tensors_[plan.count] = {};
}

void Network::resize(InputSize size) noexcept {
    if (size.width == tensors_[0].shape.width && size.height == tensors_[0].shape.height) return;
    set_shapes(Shapes(model_, size));
}

// A smaller input makes every tensor smaller, so that each has room where the largest one lies.
void Network::set_shapes(const Shapes& shapes) noexcept {
    for (int t = 0; t < model_.layer_count(); ++t) {
        Tensor& tensor = tensors_[t];
        if (tensor.memory == nullptr) continue;
        tensor.shape = shapes.of[t];
        tensor.row_bytes =
            std::ptrdiff_t{tensor.border_left + tensor.shape.width + tensor.border_right} *
            tensor.pixel_bytes;
        tensor.data = tensor.memory + tensor.border_top * tensor.row_bytes +
                      tensor.border_left * tensor.pixel_bytes;
    }
    for (int i = 0; i < model_.layer_count(); ++i) set_step(i, shapes);
}

// Of what a layer keeps only sums change with a run.
void Network::place_twin_layer(Arena& arena, int index, const Plan& plan,
                               const Network& original) noexcept {
    const LayerView layer = ModelAccess{model_}.layer(index);
    Constants constants = original.constants_ != nullptr ? original.constants_[index] : Constants{};
    constants.sums = take_sums(arena, layer, plan.entries[layer.input].tensor);
    if (constants_ != nullptr) constants_[index] = constants;
}

void Network::place_layer(Arena& arena, int index, const Shapes& shapes,
                          const Plan& plan) noexcept {
    const LayerView layer = layer_at(index, shapes);
    const Tensor& in = plan.entries[layer.input].tensor;
    Constants constants = {};
    if (layer.output == LayerOutput::floats && model_.task() == Task::maps) {
        place_map(arena, layer, in, constants);
        constants.values = arena.take<float>(shapes.of[index + 1].elements());
    } else if (layer.output == LayerOutput::floats) {
        constants.sums = take_sums(arena, layer, in);
    } else {
        switch (layer.op) {
            case LayerOp::conv: place_conv(arena, layer, in, constants); break;
            case LayerOp::depthwise: place_depthwise(arena, layer, in, constants); break;
            case LayerOp::relu: {
                const auto row = static_cast<std::size_t>(layer.out_w * in.pixel_bytes);
                constants.zeros = arena.take<std::int8_t>(row);
                if (constants.zeros != nullptr) std::memset(constants.zeros, 0, row);
                break;
            }
            case LayerOp::global_avg_pool: constants.sums = take_sums(arena, layer, in); break;
            case LayerOp::max_pool:
            case LayerOp::avg_pool:
            case LayerOp::add:
            case LayerOp::upsample2:
            case LayerOp::table:
            case LayerOp::concat:
            case LayerOp::multiply:
            case LayerOp::conv_gap: break;
        }
    }
    if (constants_ != nullptr) constants_[index] = constants;
}

// Where a layer reads and writes at these shapes.
void Network::set_step(int index, const Shapes& shapes) noexcept {
    const ModelAccess access{model_};
    const LayerView layer = layer_at(index, shapes);
    const Constants& constants = constants_[index];
    const Tensor &in = tensors_[layer.input], &out = tensors_[index + 1];
    steps_[index] = {};
    Step& step = steps_[index];
    step.op = layer.op;
    step.output = layer.output;
    const std::int8_t* const field = receptive_field(in, layer);
    if (layer.output == LayerOutput::floats && model_.task() == Task::maps) {
        step.map = {field,
                    in.row_bytes,
                    in.pixel_bytes,
                    in.shape.channels,
                    reinterpret_cast<const std::int16_t*>(constants.weights),
                    constants.bias,
                    constants.scale,
                    round_up(layer.out_c, channel_multiple),
                    constants.values,
                    in.lift,
                    in.seen_unsigned(),
                    constants.packed3,
                    layer};
    } else if (layer.output == LayerOutput::floats) {
        step.head = {field,          in.row_bytes,   in.pixel_bytes, in.shape.channels,
                     layer.kernel_h, layer.kernel_w, layer.stride_y, layer.stride_x,
                     layer.out_h,    layer.out_w,    layer.out_c,    access.weights(layer),
                     constants.sums, in.lift,        layer};
    } else {
        set_bytes(step, index, layer, constants, out);
    }
}

// The same of a layer whose output is bytes.
void Network::set_bytes(Step& step, int index, const LayerView& layer, const Constants& constants,
                        const Tensor& out) noexcept {
    const ModelAccess access{model_};
    const Tensor& in = tensors_[layer.input];
    const std::int8_t* const field = receptive_field(in, layer);
    switch (layer.op) {
        case LayerOp::conv:
            step.conv = {field,
                         in.row_bytes,
                         in.pixel_bytes,
                         layer.kernel_h,
                         round_up(layer.kernel_w * in.pixel_bytes, kernels_->net.conv_layout.group),
                         layer.stride_y,
                         layer.stride_x,
                         layer.out_h,
                         layer.out_w,
                         out.pixel_bytes,
                         constants.weights,
                         constants.bias,
                         constants.scale,
                         out.data,
                         out.row_bytes,
                         out.pixel_bytes,
                         low_limit(layer),
                         in.seen_unsigned(),
                         out.lift,
                         nullptr};
            break;
        case LayerOp::depthwise:
            step.depthwise = {field,
                              in.row_bytes,
                              layer.kernel_h,
                              layer.kernel_w,
                              layer.stride_y,
                              layer.stride_x,
                              layer.out_h,
                              layer.out_w,
                              out.pixel_bytes,
                              reinterpret_cast<const std::int16_t*>(constants.weights),
                              constants.bias,
                              constants.scale,
                              out.data,
                              out.row_bytes,
                              low_limit(layer),
                              in.seen_unsigned(),
                              in.lift,
                              out.lift,
                              constants.small_weights,
                              constants.packed3,
                              nullptr};
            break;
        case LayerOp::max_pool:
        case LayerOp::avg_pool:
            step.pool = {in.data,        in.row_bytes,   in.shape.height, in.shape.width,
                         layer.kernel_h, layer.kernel_w, layer.stride_y,  layer.stride_x,
                         layer.pad_top,  layer.pad_left, layer.out_h,     layer.out_w,
                         in.pixel_bytes, out.data,       out.row_bytes,   in.lift};
            break;
        case LayerOp::add:
        case LayerOp::relu: {
            Tensor second = {};  // relu: max(x + 0, 0), with one row of zeros
            if (layer.op == LayerOp::add)
                second = tensors_[layer.input2];
            else
                second.data = constants.zeros;
            step.add = {in.data,          second.data,   in.row_bytes,
                        second.row_bytes, layer.out_h,   layer.out_w * in.pixel_bytes,
                        out.data,         out.row_bytes, low_limit(layer),
                        in.lift,          second.lift,   out.lift};
            break;
        }
        case LayerOp::global_avg_pool:
            step.average = {in, out.data, access.scale(layer, 0), out.lift, constants.sums};
            break;
        case LayerOp::upsample2: step.upsample = {in, out}; break;
        case LayerOp::table: step.channels = {in, {}, out, index}; break;
        case LayerOp::concat:
        case LayerOp::multiply: step.channels = {in, tensors_[layer.input2], out, index}; break;
        case LayerOp::conv_gap: break;  // always a result
    }
}

namespace {

// Weights and per-channel constants of one convolution in the order its kernel reads them.
template <class Element>
void pack_conv(const ModelAccess& access, const LayerView& layer, const Tensor& in,
               const ConvLayout& layout, int run, int blocks, Element* packed) noexcept {
    const std::int8_t* w = access.weights(layer);
    const int channels = in.shape.channels;
    for (int block = 0; block < blocks; ++block)
        for (int ky = 0; ky < layer.kernel_h; ++ky)
            for (int k = 0; k < run; k += layout.group)
                for (int n = 0; n < layout.out_block; ++n)
                    for (int i = 0; i < layout.group; ++i) {
                        const int out = block * layout.out_block + n, kx = (k + i) / in.pixel_bytes,
                                  c = (k + i) % in.pixel_bytes;
                        const bool real = out < layer.out_c && kx < layer.kernel_w && c < channels;
                        const std::ptrdiff_t at =
                            ((std::ptrdiff_t{out} * layer.kernel_h + ky) * layer.kernel_w + kx) *
                                channels +
                            c;
                        *packed++ = real ? Element{w[at]} : Element{0};
                    }
}

void fill_constants(const ModelAccess& access, const LayerView& layer, int padded,
                    std::int32_t* bias, float* scale) noexcept {
    for (int n = 0; n < padded; ++n) {
        bias[n] = n < layer.out_c ? access.bias(layer, n) : 0;
        scale[n] = n < layer.out_c ? access.scale(layer, n) : 1.0f;
    }
}

}  // namespace

void Network::place_conv(Arena& arena, const LayerView& layer, const Tensor& in,
                         Constants& constants) noexcept {
    const ConvLayout& layout = kernels_->net.conv_layout;
    const int run = round_up(layer.kernel_w * in.pixel_bytes, layout.group);
    const int padded = round_up(round_up(layer.out_c, channel_multiple), layout.out_block),
              blocks = padded / layout.out_block;
    const ModelAccess access{model_};
    const ConvPacking* const packing = kernels_->net.conv_packing;
    const ConvGeometry geometry = geometry_of(access, layer, in);
    const std::size_t elements = static_cast<std::size_t>(padded) *
                                 static_cast<std::size_t>(layer.kernel_h) *
                                 static_cast<std::size_t>(run);
    auto* const packed = arena.take<std::byte>(
        packing != nullptr ? packing->packed_bytes(geometry)
                           : elements * static_cast<std::size_t>(layout.element_bytes));
    auto* const bias = arena.take<std::int32_t>(static_cast<std::size_t>(padded));
    auto* const scale = arena.take<float>(static_cast<std::size_t>(padded));
    constants.weights = packed;
    constants.bias = bias;
    constants.scale = scale;
    if (packed == nullptr || bias == nullptr || scale == nullptr) return;
    if (packing != nullptr)
        packing->pack(geometry, access.weights(layer), packed);
    else if (layout.element_bytes == 1)
        pack_conv(access, layer, in, layout, run, blocks, reinterpret_cast<std::int8_t*>(packed));
    else
        pack_conv(access, layer, in, layout, run, blocks, reinterpret_cast<std::int16_t*>(packed));
    fill_constants(access, layer, padded, bias, scale);
    if (in.lift == 0) return;
    const auto offset = static_cast<std::uint32_t>(in.seen_offset());
    const std::ptrdiff_t terms =
        std::ptrdiff_t{layer.kernel_h} * layer.kernel_w * in.shape.channels;
    for (int n = 0; n < layer.out_c; ++n) {
        const std::int8_t* w = access.weights(layer) + n * terms;
        std::uint32_t sum = 0;  // modulo 2^32, as the kernel adds
        for (std::ptrdiff_t k = 0; k < terms; ++k) sum += static_cast<std::uint32_t>(w[k]);
        bias[n] = static_cast<std::int32_t>(static_cast<std::uint32_t>(bias[n]) + sum * offset);
    }
}

namespace {

// Of the magnitudes of a channel's weights.
int largest_tap_sum(const std::int8_t* weights, int taps, int channels) noexcept {
    int largest = 0;
    for (int c = 0; c < channels; ++c) {
        int sum = 0;
        for (int t = 0; t < taps; ++t) sum += std::abs(weights[std::ptrdiff_t{t} * channels + c]);
        largest = std::max(largest, sum);
    }
    return largest;
}

}  // namespace

void Network::place_depthwise(Arena& arena, const LayerView& layer, const Tensor& in,
                              Constants& constants) noexcept {
    const int taps = layer.kernel_h * layer.kernel_w, pairs = (taps + 1) / 2,
              padded = round_up(layer.out_c, channel_multiple);
    auto* const packed = arena.take<std::int16_t>(static_cast<std::size_t>(pairs * 2) *
                                                  static_cast<std::size_t>(padded));
    auto* const bias = arena.take<std::int32_t>(static_cast<std::size_t>(padded));
    auto* const scale = arena.take<float>(static_cast<std::size_t>(padded));
    constants.weights = reinterpret_cast<std::byte*>(packed);
    constants.bias = bias;
    constants.scale = scale;
    const Depthwise3* const fast = kernels_->net.depthwise3;
    const bool is3 = is_depthwise3(layer);
    auto* const packed3 = is3 ? arena.take<std::byte>(fast->packed_bytes(padded)) : nullptr;
    constants.packed3 = packed3;
    if (packed == nullptr || bias == nullptr || scale == nullptr || (is3 && packed3 == nullptr))
        return;
    const ModelAccess access{model_};
    const std::int8_t* w = access.weights(layer);
    for (int tap = 0; tap < pairs * 2; ++tap)
        for (int c = 0; c < padded; ++c) {
            const bool real = tap < taps && c < layer.out_c;
            packed[(tap / 2 * padded + c) * 2 + tap % 2] =
                real ? w[std::ptrdiff_t{tap} * layer.out_c + c] : std::int16_t{0};
        }
    fill_constants(access, layer, padded, bias, scale);
    if (in.lift == 0 && layer.out_c == padded &&
        largest_tap_sum(w, taps, padded) <= largest_small_sum)
        constants.small_weights = w;
    if (is3) fast->pack(w, layer.out_c, padded, bias, scale, in.lift, packed3);
}

void Network::place_map(Arena& arena, const LayerView& layer, const Tensor& in,
                        Constants& constants) noexcept {
    const int terms = layer.kernel_h * layer.kernel_w *
                      (layer.op == LayerOp::depthwise ? 1 : in.shape.channels),
              padded = round_up(layer.out_c, channel_multiple);
    auto* const packed = arena.take<std::int16_t>(static_cast<std::size_t>(terms) *
                                                  static_cast<std::size_t>(padded));
    auto* const bias = arena.take<std::int32_t>(static_cast<std::size_t>(padded));
    auto* const scale = arena.take<float>(static_cast<std::size_t>(padded));
    constants.weights = reinterpret_cast<std::byte*>(packed);
    constants.bias = bias;
    constants.scale = scale;
    std::byte* packed3 = nullptr;
    if (is_depthwise3(layer) && padded % 16 == 0 && layer.out_c == padded)
        packed3 = arena.take<std::byte>(kernels_->net.depthwise3->packed_bytes(padded));
    constants.packed3 = packed3;
    if (packed == nullptr || bias == nullptr || scale == nullptr) return;
    const ModelAccess access{model_};
    const std::int8_t* w = access.weights(layer);
    for (std::ptrdiff_t t = 0; t < terms; ++t)
        for (std::ptrdiff_t n = 0; n < padded; ++n) {
            const std::ptrdiff_t at =
                layer.op == LayerOp::depthwise ? t * layer.out_c + n : n * terms + t;
            packed[t * padded + n] = n < layer.out_c ? w[at] : std::int16_t{0};
        }
    fill_constants(access, layer, padded, bias, scale);
    if (packed3 != nullptr)
        kernels_->net.depthwise3->pack(w, layer.out_c, padded, bias, scale, in.lift, packed3);
}

// ----------------------------------------------------------------------- running

bool Network::run(const std::uint8_t* pixels, float* scores, const Observer* observer) noexcept {
    const TensorShape shape = input_shape();
    struct Copy {
        const std::uint8_t* pixels;
        std::size_t row;
        InputRoom room;
    } copy = {pixels,
              static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(shape.channels),
              input_room()};
    const Filler filler = {[](void* context, int first, int end, int) {
                               const auto& [from, row, room] = *static_cast<const Copy*>(context);
                               for (int y = first; y < end; ++y)
                                   std::memcpy(room.data + y * room.stride,
                                               from + static_cast<std::size_t>(y) * row, row);
                           },
                           &copy};
    return run_filled(shape.width, shape.height, filler, scores, observer);
}

bool Network::run_filled(int width, int height, const Filler& filler, float* scores,
                         const Observer* observer) noexcept {
    Pass pass = {*this, width, height, filler, observer};
    // The first step is the input, the others are the layers.
    const Team::Work work = {&pass, model_.layer_count() + 1,
                             [](void* context, int step) {
                                 const Network& network =
                                     static_cast<const Pass*>(context)->network;
                                 return network.parts_of(network.rows_of_step(step));
                             },
                             [](void* context, int step, int part, int thread) {
                                 const Pass& all = *static_cast<const Pass*>(context);
                                 all.network.make_part(all, step, part, thread);
                             },
                             [](void* context, int step) {
                                 const Pass& all = *static_cast<const Pass*>(context);
                                 return all.network.finish_step(all, step);
                             }};
    if (!team_.run(work)) return false;
    if (model_.task() == Task::maps) return true;
    if (ModelAccess{model_}.softmax())
        softmax(logits_, model_.class_count(), scores);
    else
        std::copy_n(logits_, model_.class_count(), scores);
    return true;
}

Network::Extent Network::rows_of_step(int step) const noexcept {
    if (step > 0) return extent_of(steps_[step - 1]);
    return {tensors_[0].shape.height, tensors_[0].row_bytes};
}

int Network::parts_of(const Extent& extent) const noexcept {
    if (team_.threads() == 1) return 1;
    const std::ptrdiff_t parts = extent.rows * extent.row_bytes / part_bytes;
    return static_cast<int>(std::clamp<std::ptrdiff_t>(
        parts, 1, std::clamp(extent.rows / 2, 1, most_parts_per_thread * team_.threads())));
}

namespace {

// In pairs, as 3x3 depthwise kernels make them.
int first_row(int rows, int part, int parts) noexcept {
    return std::min((rows + 1) / 2 * part / parts * 2, rows);
}

}  // namespace

void Network::make_part(const Pass& pass, int step, int part, int thread) noexcept {
    const Extent extent = rows_of_step(step);
    const int parts = parts_of(extent), first = first_row(extent.rows, part, parts),
              end = first_row(extent.rows, part + 1, parts);
    if (step == 0) return fill_rows(pass, first, end, thread);
    const Step& made = steps_[step - 1];
    if (made.output == LayerOutput::bytes) {
        const int height = tensors_[step].shape.height;
        clear_border(tensors_[step], first_row(height, part, parts),
                     first_row(height, part + 1, parts));
    }
    run_rows(made, {first, end - first, thread});
}

// False: the stop, which is asked before each layer, wants an end.
bool Network::finish_step(const Pass& pass, int step) noexcept {
    if (step > 0 && pass.observer != nullptr) {
        const Observer& observer = *pass.observer;
        const bool show = steps_[step - 1].output == LayerOutput::bytes && !observer.timing;
        if (show) flip(tensors_[step]);
        observer.after_layer(observer.context, *this, step - 1);
        if (show) flip(tensors_[step]);
    }
    return step == model_.layer_count() || !stop_();
}

// Rows of the input, as the first layer reads them.
void Network::fill_rows(const Pass& pass, int first, int end, int thread) noexcept {
    const Tensor& input = tensors_[0];
    clear_border(input, first, end);
    const int filled = std::min(end, pass.height);
    if (first < filled) pass.filler.fill(pass.filler.context, first, filled, thread);
    const InputRoom room = input_room();
    const std::ptrdiff_t given = std::ptrdiff_t{pass.width} * input.pixel_bytes,
                         all = std::ptrdiff_t{input.shape.width} * input.pixel_bytes;
    for (int y = first; y < end; ++y) {
        std::uint8_t* const row = room.data + y * room.stride;
        const std::ptrdiff_t kept = y < pass.height ? given : 0;
        if (!table_flips_) {
            for (std::ptrdiff_t i = 0; i < kept; ++i) row[i] = input_table_[row[i]];
        } else if (input.lift != 0) {
            for (std::ptrdiff_t i = 0; i < kept; ++i) row[i] ^= std::uint8_t{0x80};
        }
        std::memset(row + kept, input_table_[0], static_cast<std::size_t>(all - kept));
    }
}

namespace {

// Those rows of the output alone, and what they are made from.
template <class Args>
Args rows_of(Args args, int first, int count) noexcept {
    args.input += std::ptrdiff_t{first} * args.stride_y * args.input_row;
    args.output += first * args.output_row;
    args.output_h = count;
    return args;
}

PoolArgs pool_rows_of(const PoolArgs& all, int first, int count) noexcept {
    PoolArgs args = rows_of(all, first, count);
    args.input_h -= first * args.stride_y;
    return args;
}

}  // namespace

Network::Extent Network::extent_of(const Step& step) const noexcept {
    if (step.output == LayerOutput::floats && model_.task() != Task::maps) return {};
    if (step.output == LayerOutput::floats) {
        const LayerView& l = step.map.layer;
        return {l.out_h, std::ptrdiff_t{l.out_w} * l.out_c * static_cast<int>(sizeof(float))};
    }
    switch (step.op) {
        case LayerOp::conv: return {step.conv.output_h, step.conv.output_row};
        case LayerOp::depthwise: return {step.depthwise.output_h, step.depthwise.output_row};
        case LayerOp::max_pool:
        case LayerOp::avg_pool:
            // With padding the first row's windows are clipped, so that rows are not made apart.
            return {step.pool.output_h, step.pool.pad_top == 0 ? step.pool.output_row : 0};
        case LayerOp::add:
        case LayerOp::relu: return {step.add.rows, step.add.output_row};
        case LayerOp::upsample2:
            return {step.upsample.input.shape.height, 2 * step.upsample.output.row_bytes};
        case LayerOp::table:
        case LayerOp::concat:
        case LayerOp::multiply:
            return {step.channels.output.shape.height, step.channels.output.row_bytes};
        case LayerOp::global_avg_pool:
        case LayerOp::conv_gap: break;
    }
    return {};
}

void Network::run_rows(const Step& step, const Rows& rows) noexcept {
    std::int8_t* const scratch = scratch_ + static_cast<std::size_t>(rows.thread) * scratch_bytes_;
    const int first = rows.first, count = rows.count;
    if (step.output == LayerOutput::floats)
        return model_.task() == Task::maps ? run_map(step.map, rows, scratch) : run_head(step.head);
    switch (step.op) {
        case LayerOp::conv: {
            ConvArgs args = rows_of(step.conv, first, count);
            args.scratch = scratch;
            kernels_->net.conv(args);
            break;
        }
        case LayerOp::depthwise: {
            DepthwiseArgs args = rows_of(step.depthwise, first, count);
            args.scratch = scratch;
            kernels_->net.depthwise(args);
            break;
        }
        case LayerOp::max_pool:
            kernels_->net.max_pool(pool_rows_of(step.pool, first, count));
            break;
        case LayerOp::avg_pool:
            kernels_->net.avg_pool(pool_rows_of(step.pool, first, count));
            break;
        case LayerOp::add:
        case LayerOp::relu: {
            AddArgs args = step.add;
            args.a += first * args.a_row;
            args.b += first * args.b_row;
            args.output += first * args.output_row;
            args.rows = count;
            kernels_->net.add(args);
            break;
        }
        case LayerOp::upsample2: run_upsample(step.upsample, first, count); break;
        case LayerOp::table: run_table(step.channels, first, count); break;
        case LayerOp::concat: run_concat(step.channels, first, count); break;
        case LayerOp::multiply: run_multiply(step.channels, first, count); break;
        case LayerOp::global_avg_pool: run_global_average(step.average); break;
        case LayerOp::conv_gap: break;  // always a result
    }
}

// A convolution summed over its positions is linear in its input: add up what each weight meets,
// then multiply once.
void Network::run_head(const HeadArgs& args) noexcept {
    std::int32_t* sums = args.sums;
    for (int ky = 0; ky < args.kernel_h; ++ky)
        for (int kx = 0; kx < args.kernel_w; ++kx, sums += args.input_channels) {
            const std::int8_t* const first =
                args.input + ky * args.input_row + std::ptrdiff_t{kx} * args.input_pixel;
            kernels_->net.sum_positions({first, args.stride_y * args.input_row,
                                         std::ptrdiff_t{args.stride_x} * args.input_pixel,
                                         args.output_h, args.output_w, args.input_channels,
                                         args.lift, sums});
        }
    const ModelAccess access{model_};
    const int terms = args.kernel_h * args.kernel_w * args.input_channels,
              positions = args.output_h * args.output_w;
    const std::int8_t* w = args.weights;
    for (int n = 0; n < args.classes; ++n, w += terms) {
        const std::int32_t acc =
            access.bias(args.layer, n) * positions + kernels_->net.dot(args.sums, w, terms);
        logits_[n] = static_cast<float>(acc) * access.scale(args.layer, n);
    }
}

// Eight channels at a time, written so that compilers vectorize it.
void Network::run_map(const MapArgs& args, const Rows& rows, std::int8_t* scratch) noexcept {
    const LayerView& l = args.layer;
    const bool depthwise = l.op == LayerOp::depthwise;
    float* out = args.values + std::ptrdiff_t{rows.first} * l.out_w * l.out_c;
    if (args.packed3 != nullptr) {
        DepthwiseArgs fast = {};
        fast.input = args.input + rows.first * args.input_row;
        fast.input_row = args.input_row;
        fast.output_h = rows.count;
        fast.output_w = l.out_w;
        fast.channels = args.padded;
        fast.input_unsigned = args.input_unsigned;
        fast.packed3 = args.packed3;
        fast.scratch = scratch;
        return kernels_->net.depthwise3->floats(fast, out);
    }
    const int inputs = depthwise ? 1 : args.input_channels;
    for (int y = rows.first; y < rows.first + rows.count; ++y)
        for (int x = 0; x < l.out_w; ++x)
            for (int n = 0; n < args.padded; n += channel_multiple) {
                const std::int8_t* const field = args.input + y * l.stride_y * args.input_row +
                                                 std::ptrdiff_t{x} * l.stride_x * args.input_pixel +
                                                 (depthwise ? n : 0);
                const std::int16_t* w = args.weights + n;
                std::int32_t sums[channel_multiple];
                std::memcpy(sums, args.bias + n, sizeof sums);
                for (int ky = 0; ky < l.kernel_h; ++ky)
                    for (int kx = 0; kx < l.kernel_w; ++kx) {
                        const std::int8_t* const pixel =
                            field + ky * args.input_row + std::ptrdiff_t{kx} * args.input_pixel;
                        for (int c = 0; c < inputs; ++c, w += args.padded)
                            for (int i = 0; i < channel_multiple; ++i)
                                sums[i] += w[i] * static_cast<std::int8_t>(
                                                      pixel[depthwise ? i : c] ^ args.lift);
                    }
                const int count = std::min(l.out_c - n, channel_multiple);
                for (int i = 0; i < count; ++i)
                    *out++ = static_cast<float>(sums[i]) * args.scale[n + i];
            }
}

void Network::run_upsample(const UpsampleArgs& args, int first, int count) noexcept {
    const Tensor &in = args.input, &out = args.output;
    const auto pixel = static_cast<std::size_t>(in.pixel_bytes);
    for (int y = first; y < first + count; ++y) {
        const std::int8_t* from = in.data + y * in.row_bytes;
        std::int8_t* const row = out.data + 2 * y * out.row_bytes;
        std::int8_t* to = row;
        for (int x = 0; x < in.shape.width; ++x, from += pixel, to += 2 * pixel) {
            std::memcpy(to, from, pixel);
            std::memcpy(to + pixel, from, pixel);
        }
        std::memcpy(row + out.row_bytes, row, static_cast<std::size_t>(to - row));
    }
}

// Stored bytes index a table of stored bytes: what lifts is in the index and in the result.
void Network::run_table(const ChannelArgs& args, int first, int count) noexcept {
    const ModelAccess access{model_};
    const LayerView layer = access.layer(args.layer);
    const Tensor &in = args.a, &out = args.output;
    const std::int8_t* const tables = access.weights(layer);
    const std::ptrdiff_t next = layer.tables > 1 ? table_entries : 0;
    const auto turn = static_cast<std::uint8_t>(in.lift ^ 0x80);
    const int channels = out.shape.channels;
    for (int y = first; y < first + count; ++y) {
        const std::int8_t* from = in.data + y * in.row_bytes;
        std::int8_t* to = out.data + y * out.row_bytes;
        for (int x = 0; x < out.shape.width; ++x, from += in.pixel_bytes, to += out.pixel_bytes) {
            const std::int8_t* table = tables;
            for (int c = 0; c < channels; ++c, table += next)
                to[c] = static_cast<std::int8_t>(table[static_cast<std::uint8_t>(from[c] ^ turn)] ^
                                                 out.lift);
            std::memset(to + channels, out.lift,
                        static_cast<std::size_t>(out.pixel_bytes - channels));
        }
    }
}

void Network::run_concat(const ChannelArgs& args, int first, int count) noexcept {
    const Tensor &a = args.a, &b = args.b, &out = args.output;
    const int a_channels = a.shape.channels, channels = out.shape.channels;
    const auto a_turn = static_cast<std::uint8_t>(a.lift ^ out.lift),
               b_turn = static_cast<std::uint8_t>(b.lift ^ out.lift);
    for (int y = first; y < first + count; ++y) {
        const std::int8_t* from_a = a.data + y * a.row_bytes;
        const std::int8_t* from_b = b.data + y * b.row_bytes;
        std::int8_t* to = out.data + y * out.row_bytes;
        for (int x = 0; x < out.shape.width; ++x) {
            for (int c = 0; c < a_channels; ++c)
                to[c] = static_cast<std::int8_t>(from_a[c] ^ a_turn);
            for (int c = a_channels; c < channels; ++c)
                to[c] = static_cast<std::int8_t>(from_b[c - a_channels] ^ b_turn);
            std::memset(to + channels, out.lift,
                        static_cast<std::size_t>(out.pixel_bytes - channels));
            from_a += a.pixel_bytes;
            from_b += b.pixel_bytes;
            to += out.pixel_bytes;
        }
    }
}

// The second tensor has the positions of the first, or one.
void Network::run_multiply(const ChannelArgs& args, int first, int count) noexcept {
    const ModelAccess access{model_};
    const LayerView layer = access.layer(args.layer);
    const Tensor &a = args.a, &b = args.b, &out = args.output;
    const int channels = out.shape.channels;
    const bool one = b.shape.height == 1 && b.shape.width == 1;
    const std::ptrdiff_t b_row = one ? 0 : b.row_bytes, b_pixel = one ? 0 : b.pixel_bytes;
    for (int y = first; y < first + count; ++y) {
        const std::int8_t* from_a = a.data + y * a.row_bytes;
        const std::int8_t* from_b = b.data + y * b_row;
        std::int8_t* to = out.data + y * out.row_bytes;
        for (int x = 0; x < out.shape.width; ++x) {
            for (int c = 0; c < channels; ++c) {
                const int product = static_cast<std::int8_t>(from_a[c] ^ a.lift) *
                                    static_cast<std::int8_t>(from_b[c] ^ b.lift);
                to[c] = static_cast<std::int8_t>(
                    round_clamped(static_cast<float>(product) * access.scale(layer, c), -127.0f) ^
                    out.lift);
            }
            std::memset(to + channels, out.lift,
                        static_cast<std::size_t>(out.pixel_bytes - channels));
            from_a += a.pixel_bytes;
            from_b += b_pixel;
            to += out.pixel_bytes;
        }
    }
}

Network::Result Network::result(int layer) const noexcept {
    const Step& step = steps_[layer];
    if (step.output != LayerOutput::floats) return {};
    if (model_.task() == Task::maps)
        return {{step.map.layer.out_h, step.map.layer.out_w, step.map.layer.out_c},
                step.map.values};
    return {{1, 1, model_.class_count()}, logits_};
}

void Network::run_global_average(const AverageArgs& args) noexcept {
    const Tensor& in = args.input;
    kernels_->net.sum_positions({in.data, in.row_bytes, in.pixel_bytes, in.shape.height,
                                 in.shape.width, in.pixel_bytes, in.lift, args.sums});
    for (int c = 0; c < in.pixel_bytes; ++c)  // padding channels sum to zero
        args.output[c] = static_cast<std::int8_t>(
            round_clamped(static_cast<float>(args.sums[c]) * args.scale, -127.0f) ^
            args.output_lift);
}

// The tensor that the head reads is the last one that was made, and what global pooling reads lives
// as long as what it makes: both are still in memory after a run.
void Network::class_map(int class_index, float* out) const noexcept {
    const int count = model_.layer_count();
    const HeadArgs& head = steps_[count - 1].head;
    const ModelAccess access{model_};
    const MapSize shape = model_.class_map_size();
    const int terms = head.kernel_h * head.kernel_w * head.input_channels;
    const std::int8_t* const w = head.weights + std::ptrdiff_t{class_index} * terms;
    const std::int32_t bias = access.bias(head.layer, class_index);
    const float scale = access.scale(head.layer, class_index),
                positions = static_cast<float>(shape.height * shape.width);
    if (head.layer.op == LayerOp::conv_gap) {
        for (int y = 0; y < shape.height; ++y)
            for (int x = 0; x < shape.width; ++x) {
                const std::int8_t* const field =
                    head.input + y * head.stride_y * head.input_row +
                    std::ptrdiff_t{x} * head.stride_x * head.input_pixel;
                std::int32_t sum = bias;
                const std::int8_t* tap = w;
                for (int ky = 0; ky < head.kernel_h; ++ky)
                    for (int kx = 0; kx < head.kernel_w; ++kx, tap += head.input_channels) {
                        const std::int8_t* const pixel =
                            field + ky * head.input_row + std::ptrdiff_t{kx} * head.input_pixel;
                        for (int c = 0; c < head.input_channels; ++c)
                            sum += tap[c] * static_cast<std::int8_t>(pixel[c] ^ head.lift);
                    }
                *out++ = static_cast<float>(sum) * (scale * positions);
            }
        return;
    }
    const AverageArgs& average = steps_[count - 2].average;
    const Tensor& in = average.input;
    for (int y = 0; y < shape.height; ++y)
        for (int x = 0; x < shape.width; ++x) {
            const std::int8_t* const pixel =
                in.data + y * in.row_bytes + std::ptrdiff_t{x} * in.pixel_bytes;
            std::int32_t sum = 0;
            for (int c = 0; c < head.input_channels; ++c)
                sum += w[c] * static_cast<std::int8_t>(pixel[c] ^ in.lift);
            *out++ =
                (static_cast<float>(sum) * (average.scale * positions) + static_cast<float>(bias)) *
                scale;
        }
}

double portable_exp(double x) noexcept {
    if (x < -700) return 0;
    // exp(x) = 2^n exp(r), |r| <= ln(2) / 2; ln 2 in two parts so that n * the first is exact.
    const double n = std::floor(x * 1.4426950408889634 + 0.5);
    const double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double term = 1, sum = 1;
    for (int i = 1; i <= 14; ++i) {
        term *= r / i;
        sum += term;
    }
    return std::ldexp(sum, static_cast<int>(n));
}

void softmax(const float* logits, int count, float* scores) noexcept {
    const double largest = *std::max_element(logits, logits + count);
    constexpr int kept = 16;  // of many classes the later ones are computed twice
    double exps[kept], sum = 0;
    for (int i = 0; i < count; ++i) {
        const double e = portable_exp(logits[i] - largest);
        if (i < kept) exps[i] = e;
        sum += e;
    }
    for (int i = 0; i < count; ++i)
        scores[i] =
            static_cast<float>((i < kept ? exps[i] : portable_exp(logits[i] - largest)) / sum);
}

}  // namespace mien
