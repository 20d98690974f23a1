# SPDX-License-Identifier: MIT
"""Two plain networks in numpy: the float one that a list of layers describes, and the integer one that a
.mien file describes. The second computes docs/QUANTIZATION.md to the bit; the checksums of the test
vectors inside the files come from it. Written for reading, not for speed."""

from __future__ import annotations

import zlib
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np

from . import activations, tensor_ops
from . import format as mien
from .graph import CONVOLUTIONS, Layer, Model

# ---------------------------------------------------------------- layers, float


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _activate(x: np.ndarray, layer: Layer) -> np.ndarray:
    if layer.activation == "softmax":
        return softmax(x)
    return activations.apply(x, layer.activation, layer.parameters)


def _with_bias(x: np.ndarray, layer: Layer) -> np.ndarray:
    return x + layer.weights["bias"].astype(x.dtype) if layer.use_bias else x


def _convolution(layer: Layer, x: np.ndarray) -> np.ndarray:
    """One of the three kinds, without bias; dilated kernels have zeros in between, and outputs of a
    group read its inputs alone."""
    pads, stride = layer.pads, layer.stride
    if layer.kind == "conv":
        kernel = tensor_ops.dilated(layer.weights["kernel"].astype(x.dtype), layer.dilation)
        inputs = np.split(x, layer.groups, axis=3)
        outputs = np.split(kernel.transpose(3, 0, 1, 2), layer.groups)
        made = [tensor_ops.conv(a, w, stride, pads) for a, w in zip(inputs, outputs)]
        return made[0] if len(made) == 1 else np.concatenate(made, axis=3)
    kernel = layer.weights["depthwise_kernel"].astype(x.dtype)
    kernel = tensor_ops.dilated(kernel, layer.dilation)
    h, w, c, m = kernel.shape
    y = tensor_ops.depthwise(x.repeat(m, axis=3), kernel.reshape(h, w, c * m), stride, pads)
    if layer.kind == "separable":
        pointwise = layer.weights["pointwise_kernel"].astype(x.dtype)
        y = tensor_ops.conv(y, pointwise.transpose(3, 0, 1, 2), (1, 1), (0, 0, 0, 0))
    return y


def float_layer(layer: Layer, ins: List[np.ndarray]) -> np.ndarray:
    """One layer on a batch, in the type of its input."""
    x = ins[0]
    if layer.kind in CONVOLUTIONS:
        return _activate(_with_bias(_convolution(layer, x), layer), layer)
    w = {role: array.astype(x.dtype) for role, array in layer.weights.items()}
    if layer.kind == "dense":
        return _activate(_with_bias(x @ w["kernel"], layer), layer)
    if layer.kind == "batch_norm":
        factor = 1 / np.sqrt(w["moving_variance"] + np.asarray(layer.epsilon, x.dtype))
        if layer.scale:
            factor = factor * w["gamma"]
        y = (x - w["moving_mean"]) * factor
        return y + w["beta"] if layer.center else y
    if layer.kind == "affine":
        return x * w["factor"] + w["offset"]
    if layer.kind == "activation":
        return _activate(x, layer)
    if layer.kind == "prelu":
        return np.where(x < 0, x * w["alpha"], x)
    if layer.kind == "max_pool":
        return tensor_ops.max_pool(x, layer.kernel, layer.stride, layer.pads)
    if layer.kind == "avg_pool":
        counts = tensor_ops.pool_counts(x.shape[1:3], layer.kernel, layer.stride, layer.pads)
        return tensor_ops.window_sum(x, layer.kernel, layer.stride, layer.pads) / counts[
            ..., None
        ].astype(x.dtype)
    if layer.kind == "global_avg_pool":
        return x.mean(axis=(1, 2), keepdims=layer.keepdims)
    if layer.kind == "global_max_pool":
        return x.max(axis=(1, 2), keepdims=layer.keepdims)
    if layer.kind == "add":
        return sum(ins[1:], ins[0])
    if layer.kind == "multiply":
        y = x
        for other in ins[1:]:
            if other.ndim != y.ndim:  # a vector, one number per channel
                y, other = (v.reshape(len(v), 1, 1, -1) if v.ndim == 2 else v for v in (y, other))
            y = y * other
        return y
    if layer.kind == "concat":
        return np.concatenate(ins, axis=-1)
    if layer.kind == "flatten":
        if layer.order == "chw" and x.ndim == 4:
            x = x.transpose(0, 3, 1, 2)
        return x.reshape(x.shape[0], -1)
    if layer.kind == "reshape":
        return x.reshape(x.shape[0], *layer.output_shape)
    if layer.kind == "zero_pad":
        return tensor_ops.pad(x, layer.pads)
    return x  # input, identity


def float_forward(
    model: Model,
    x: np.ndarray,
    batch: int = 64,
    progress: Optional[Callable[[int, int], None]] = None,
) -> np.ndarray:
    """x [N, h, w, c] as the network wants it (scaled already); its output [N, outputs], float32 or float64 as x."""
    results = []
    last_use = {name: i for i, layer in enumerate(model.layers) for name in layer.inputs}
    for start in range(0, len(x), batch):
        values: Dict[str, np.ndarray] = {}
        for i, layer in enumerate(model.layers):
            ins = [values[name] for name in layer.inputs] or [x[start : start + batch]]
            values[layer.name] = float_layer(layer, ins)
            for name in layer.inputs:
                if last_use[name] == i:
                    values.pop(name, None)
        results.append(values[model.layers[-1].name].reshape(len(ins[0]), -1))
        if progress:
            progress(min(start + batch, len(x)), len(x))
    return np.concatenate(results)


def class_scores(model: Model, outputs: np.ndarray) -> np.ndarray:
    """What float_forward() made, one score for each class."""
    return np.concatenate([1 - outputs, outputs], axis=1) if model.one_sigmoid else outputs


def scale_pixels(pixels: np.ndarray, scale: float, offset: float) -> np.ndarray:
    """uint8 to the network's real input: two float32 operations, as the engine's table."""
    table = np.arange(256, dtype=np.float32) * np.float32(scale) + np.float32(offset)
    return table[pixels]


# ---------------------------------------------------------------- .mien, integer


def input_table(net: mien.Network) -> np.ndarray:
    """int8 or uint8 [256]: what each pixel value becomes."""
    x = np.arange(256, dtype=np.float32) * np.float32(net.input_scale) + np.float32(
        net.input_offset
    )
    q = np.rint(x * (np.float32(1) / np.float32(net.input_quant)))
    if net.unsigned_input:
        return np.clip(q, 0, 255).astype(np.uint8)
    return np.clip(q, -127, 127).astype(np.int8)


def _sums(layer: mien.Layer, x: np.ndarray) -> np.ndarray:
    """int64 [N, oh, ow, out]: bias + sum of products. Floats do the work where that is exact: no partial
    sum, in whatever order, can be larger than what largest_sums() says."""
    limit = int(mien.largest_sums(layer, x.dtype == np.uint8).max())
    work = np.float32 if limit < 1 << 24 else np.float64
    function = tensor_ops.depthwise if layer.op == mien.DEPTHWISE else tensor_ops.conv
    acc = function(x.astype(work), layer.weights.astype(work), layer.stride, layer.pads)
    return acc.astype(np.int64) + layer.bias.astype(np.int64)


def _requantize(v: np.ndarray, scale: np.ndarray, relu: bool) -> np.ndarray:
    q = np.rint(v.astype(np.float32) * scale.astype(np.float32))
    return np.clip(q, 0 if relu else -127, 127).astype(np.int8)


def integer_layer(layer: mien.Layer, x: np.ndarray, x2: Optional[np.ndarray] = None) -> np.ndarray:
    """int8 [N, h, w, c] (or uint8, the image) to int8, or to float32 for results."""
    if layer.op == mien.CONV_GAP:
        acc = _sums(layer, x).sum(axis=(1, 2), keepdims=True)
        return acc.astype(np.float32) * layer.scale
    if layer.op in (mien.CONV, mien.DEPTHWISE):
        acc = _sums(layer, x)
        if layer.logits:
            return acc.astype(np.float32) * layer.scale
        return _requantize(acc, layer.scale, layer.relu)
    if layer.op == mien.MAX_POOL:
        return tensor_ops.max_pool(x, layer.kernel, layer.stride, layer.pads)
    if layer.op == mien.AVG_POOL:
        total = tensor_ops.window_sum(x.astype(np.int32), layer.kernel, layer.stride, layer.pads)
        counts = tensor_ops.pool_counts(x.shape[1:3], layer.kernel, layer.stride, layer.pads)
        return _requantize(total, (np.float32(1) / counts.astype(np.float32))[..., None], False)
    if layer.op == mien.ADD:
        total = x.astype(np.int16) + x2.astype(np.int16)
        return np.clip(total, 0 if layer.relu else -127, 127).astype(np.int8)
    if layer.op == mien.RELU:
        return np.maximum(x, 0)
    if layer.op == mien.UPSAMPLE2:
        return tensor_ops.upsample2(x)
    if layer.op == mien.TABLE:
        return layer.weights[
            np.arange(x.shape[-1]) if len(layer.weights) > 1 else 0, x.astype(np.int64) + 128
        ]
    if layer.op == mien.CONCAT:
        return np.concatenate([x, x2], axis=-1)
    if layer.op == mien.MULTIPLY:
        return _requantize(x.astype(np.int64) * x2.astype(np.int64), layer.scale, False)
    assert layer.op == mien.GLOBAL_AVG_POOL
    return _requantize(x.astype(np.int64).sum(axis=(1, 2), keepdims=True), layer.scale, False)


Observer = Callable[[int, int, np.ndarray], None]


def integer_results(
    net: mien.Network, pixels: np.ndarray, observer: Optional[Observer] = None, first: int = 0
) -> Dict[int, np.ndarray]:
    """uint8 [N, h, w, c] to what each layer with floats makes, float32 [N, oh, ow, channels].
    h and w are the file's, or others that a network of maps accepts. observer(layer, first image,
    output) sees every layer."""
    last_use = {t: i for i, layer in enumerate(net.layers) for t in (layer.input, layer.input2)}
    values = {0: input_table(net)[pixels]}
    results: Dict[int, np.ndarray] = {}
    for i, layer in enumerate(net.layers):
        x2 = None if layer.input2 is None else values[layer.input2]
        made = integer_layer(layer, values[layer.input], x2)
        (results if layer.logits else values)[i if layer.logits else i + 1] = made
        if observer:
            observer(i, first, made)
        for t in (layer.input, layer.input2):
            if last_use.get(t) == i:
                values.pop(t, None)
    return results


def integer_forward(
    net: mien.Network,
    pixels: np.ndarray,
    batch: int = 64,
    observer: Optional[Observer] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> np.ndarray:
    """uint8 [N, h, w, c] to float32 logits [N, classes] of a classifier."""
    logits = np.zeros((len(pixels), net.class_count), np.float32)
    for start in range(0, len(pixels), batch):
        results = integer_results(net, pixels[start : start + batch], observer, start)
        logits[start : start + batch] = results[len(net.layers) - 1].reshape(-1, net.class_count)
        if progress:
            progress(min(start + batch, len(pixels)), len(pixels))
    return logits


def portable_exp(x: np.ndarray) -> np.ndarray:
    """The engine's exponential: range reduction and 14 terms, only operations that every machine rounds alike."""
    x = np.asarray(x, np.float64)
    n = np.floor(x * 1.4426950408889634 + 0.5)
    r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10
    term, total = np.ones_like(x), np.ones_like(x)
    for i in range(1, 15):
        term = term * (r / i)
        total = total + term
    return np.where(x < -700, 0.0, np.ldexp(total, n.astype(np.int32)))


def scores(net: mien.Network, logits: np.ndarray) -> np.ndarray:
    """float32 probabilities, or the logits where the network has no softmax."""
    if not net.softmax:
        return logits
    wide = logits.astype(np.float64)
    e = portable_exp(wide - wide.max(axis=-1, keepdims=True))
    total = np.zeros(e.shape[:-1])
    for i in range(e.shape[-1]):  # in order: numpy's own sum adds pairwise
        total = total + e[..., i]
    return (e / total[..., None]).astype(np.float32)


def quantity(net: mien.Network, probabilities: np.ndarray) -> np.ndarray:
    """float32 value, low and high of the quantity that `probabilities` [classes] mean, to the bit: Model::quantity."""
    v = np.float32(net.answer.values).astype(np.float64)
    p = np.float32(probabilities).astype(np.float64)
    total = value = np.float64(0)
    for pi, vi in zip(p, v):  # in order, as in scores()
        total, value = total + pi, value + pi * vi
    value = value / total
    edges = [v[0] - (v[1] - v[0]) / 2, *(v[1:] + v[:-1]) / 2, v[-1] + (v[-1] - v[-2]) / 2]
    if v[0] >= 0:
        edges[0] = max(edges[0], 0.0)

    def quantile(share: float) -> float:
        wanted, below, i = share * total, np.float64(0), 0
        while i + 1 < len(p) and below + p[i] < wanted:
            below, i = below + p[i], i + 1
        return edges[i] + (edges[i + 1] - edges[i]) * np.clip((wanted - below) / p[i], 0, 1)

    return np.float32([value, min(quantile(0.1), value), max(quantile(0.9), value)])


def layer_checksums(net: mien.Network, pixels: np.ndarray) -> Tuple[List[int], np.ndarray]:
    """For one image [h, w, c]: the CRC-32 of each layer's output, and the logits (none of maps)."""
    crcs: List[int] = []

    def note(_: int, __: int, value: np.ndarray) -> None:
        stored = value.astype("<f4") if value.dtype.kind == "f" else value
        crcs.append(zlib.crc32(np.ascontiguousarray(stored).tobytes()))

    results = integer_results(net, pixels[None], note)
    logits = np.zeros(0, np.float32) if net.maps else results[len(net.layers) - 1].reshape(-1)
    return crcs, logits
