# SPDX-License-Identifier: MIT
"""From Keras layers to the eight ops of a .mien file, still in real numbers (float64).

Batch normalization goes into the convolution before it, ReLU into whatever can apply it, a separable
convolution becomes two, a dense layer a convolution over the whole map, and a last convolution with
global average pooling behind it becomes conv_gap. What cannot be said in these ops is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Dict, List, NoReturn, Optional, Tuple

import numpy as np

from . import format as mien
from . import tensor_ops
from .errors import ModelError
from .keras_file import KerasModel, Layer

NO_PADS = (0, 0, 0, 0)


@dataclass
class Op:
    """Op i makes tensor i + 1; tensor 0 is the image. Weights as in the file, but real."""

    name: str
    op: int
    inputs: List[int]
    size: Tuple[int, int, int]  # of the convolution, where global pooling follows in the same op
    kernel: Tuple[int, int] = (1, 1)
    stride: Tuple[int, int] = (1, 1)
    pads: tensor_ops.Pads = NO_PADS
    weights: Optional[np.ndarray] = None
    bias: Optional[np.ndarray] = None
    relu: bool = False
    logits: bool = False

    @property
    def output_shape(self) -> Tuple[int, int, int]:
        return (
            (1, 1, self.size[2]) if self.op in (mien.GLOBAL_AVG_POOL, mien.CONV_GAP) else self.size
        )

    def run(self, ins: List[np.ndarray]) -> np.ndarray:
        """The op on a batch, in the type of its input."""
        x = ins[0]
        if self.weights is not None:
            function = tensor_ops.depthwise if self.op == mien.DEPTHWISE else tensor_ops.conv
            y = function(
                x, self.weights.astype(x.dtype), self.stride, self.pads
            ) + self.bias.astype(x.dtype)
            if self.op == mien.CONV_GAP:
                y = y.mean(axis=(1, 2), keepdims=True)
        elif self.op == mien.MAX_POOL:
            y = tensor_ops.max_pool(x, self.kernel, self.stride, self.pads)
        elif self.op == mien.AVG_POOL:
            counts = tensor_ops.pool_counts(x.shape[1:3], self.kernel, self.stride, self.pads)
            y = tensor_ops.window_sum(x, self.kernel, self.stride, self.pads) / counts[
                ..., None
            ].astype(x.dtype)
        elif self.op == mien.ADD:
            y = ins[0] + ins[1]
        elif self.op == mien.RELU:
            y = np.maximum(x, 0)
        elif self.op == mien.UPSAMPLE2:
            y = tensor_ops.upsample2(x)
        else:
            assert self.op == mien.GLOBAL_AVG_POOL
            y = x.mean(axis=(1, 2), keepdims=True)
        return np.maximum(y, 0) if self.relu else y


@dataclass
class FloatNet:
    input_shape: Tuple[int, int, int]
    ops: List[Op]
    softmax: bool
    maps: bool = False  # results are maps, at any size of input that `multiple` allows
    multiple: int = 0
    unsigned_input: bool = False  # all eight bits for inputs that are never negative

    def last_uses(self) -> Dict[int, int]:
        """For each tensor the last op that reads it."""
        return {t: i for i, op in enumerate(self.ops) for t in op.inputs}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Real input [N, h, w, c] to logits [N, classes]."""
        return self.results(x)[len(self.ops) - 1].reshape(len(x), -1)

    def results(self, x: np.ndarray) -> Dict[int, np.ndarray]:
        """Real input [N, h, w, c] to what each op with results makes."""
        values, last_use = {0: x}, self.last_uses()
        results: Dict[int, np.ndarray] = {}
        for i, op in enumerate(self.ops):
            made = op.run([values[t] for t in op.inputs])
            (results if op.logits else values)[i if op.logits else i + 1] = made
            for t in op.inputs:
                if last_use[t] == i:
                    values.pop(t, None)
        return results

    @property
    def macs(self) -> int:
        return sum(
            op.weights.size * op.size[0] * op.size[1] for op in self.ops if op.weights is not None
        )


@dataclass
class _Value:
    """What a Keras layer's output has become."""

    tensor: int
    shape: Tuple[int, int, int]
    flat: bool = False  # a vector to Keras; here it stays the map that it was
    pads: tensor_ops.Pads = NO_PADS  # zeros around it that only exist on paper yet
    padder: str = ""


@dataclass
class _Folder:
    model: KerasModel
    ops: List[Op] = field(default_factory=list)

    def refuse(self, layer: Layer, what: str) -> NoReturn:
        raise ModelError(self.model.path, f"layer '{layer.name}' ({layer.class_name}): {what}")

    def shape_of(self, tensor: int) -> Tuple[int, int, int]:
        return self.model.input_shape if tensor == 0 else self.ops[tensor - 1].output_shape

    def add(self, op: Op) -> _Value:
        if len(self.ops) >= mien.MAX_LAYERS:
            raise ModelError(self.model.path, f"more than {mien.MAX_LAYERS} layers")
        self.ops.append(op)
        return _Value(len(self.ops), op.output_shape)

    def nonnegative(self, tensor: int) -> bool:
        if tensor == 0:
            return False
        op = self.ops[tensor - 1]
        if op.relu or op.op == mien.RELU:
            return True
        return op.op in (mien.MAX_POOL, mien.AVG_POOL, mien.ADD) and all(
            self.nonnegative(t) for t in op.inputs
        )


def _simplify(model: KerasModel) -> List[Layer]:
    """Activations become layers of their own; layers without effect vanish."""
    layers: List[Layer] = []
    renamed: Dict[str, str] = {}
    for layer in model.layers:
        layer = replace(layer, inputs=[renamed[name] for name in layer.inputs])
        # Global pooling to 1 x 1 and flattening 1 x 1 are the same to us; a linear activation is nothing.
        if layer.kind == "identity" or (
            layer.kind == "activation" and layer.activation == "linear"
        ):
            renamed[layer.name] = layer.inputs[0]
            continue
        activation = layer.activation
        if layer.kind != "activation" and activation != "linear":
            layers.append(replace(layer, activation="linear"))
            name = f"{layer.name}/{activation}"
            layers.append(
                Layer(
                    name,
                    layer.class_name,
                    "activation",
                    [layer.name],
                    activation=activation,
                    input_shape=layer.output_shape,
                    output_shape=layer.output_shape,
                )
            )
            renamed[layer.name] = name
        else:
            layers.append(layer)
            renamed[layer.name] = layer.name
    return layers


def _affine(layer: Layer) -> Tuple[np.ndarray, np.ndarray]:
    """Batch normalization as factor and offset, in double."""
    w = {role: array.astype(np.float64) for role, array in layer.weights.items()}
    factor = w.get("gamma", 1.0) / np.sqrt(w["moving_variance"] + layer.epsilon)
    return factor, w.get("beta", 0.0) - w["moving_mean"] * factor


def fold(model: KerasModel) -> FloatNet:
    folder = _Folder(model)
    layers = _simplify(model)
    uses: Dict[str, int] = {}
    for layer in layers:
        for name in layer.inputs:
            uses[name] = uses.get(name, 0) + 1
    values: Dict[str, _Value] = {}
    softmax = False
    for layer in layers:
        if softmax:
            folder.refuse(layer, "a layer behind the softmax is not supported")
        ins = [values[name] for name in layer.inputs]
        alone = len(ins) == 1 and uses[layer.inputs[0]] == 1
        if layer.kind == "input":
            values[layer.name] = _Value(0, model.input_shape)
        elif layer.kind == "activation" and layer.activation == "softmax":
            if uses.get(layer.name):
                folder.refuse(layer, "softmax is supported only at the end")
            softmax = True
            values[layer.name] = ins[0]
        else:
            values[layer.name] = _fold_layer(folder, layer, ins, alone)
    _make_head(folder, layers[-1], values[layers[-1].name])
    return FloatNet(model.input_shape, folder.ops, softmax)


def _fold_layer(folder: _Folder, layer: Layer, ins: List[_Value], alone: bool) -> _Value:
    source = ins[0]
    if any(v.pads != NO_PADS for v in ins) and layer.kind not in (
        "conv",
        "separable",
        "depthwise",
        "max_pool",
        "zero_pad",
    ):
        folder.refuse(
            layer,
            f"takes zero padding ('{next(v.padder for v in ins if v.padder)}'), which only convolutions can",
        )
    producer = folder.ops[source.tensor - 1] if source.tensor > 0 else None
    if layer.kind in ("conv", "separable", "depthwise"):
        return _fold_convolution(folder, layer, source)
    if layer.kind == "dense":
        h, w, c = source.shape
        if max(h, w) > 255:
            folder.refuse(layer, f"a dense layer on a map of {h} x {w} is not supported")
        kernel = layer.weights["kernel"].astype(np.float64).reshape(h, w, c, layer.filters)
        return folder.add(
            Op(
                layer.name,
                mien.CONV,
                [source.tensor],
                (1, 1, layer.filters),
                (h, w),
                weights=kernel.transpose(3, 0, 1, 2),
                bias=_bias(layer, layer.filters),
            )
        )
    if layer.kind == "batch_norm":
        if source.flat and source.shape[:2] != (1, 1):
            folder.refuse(layer, "batch normalization of a flattened map is not supported")
        factor, offset = _affine(layer)
        if producer is not None and alone and producer.weights is not None and not producer.relu:
            channel_axis = (-1,) if producer.op == mien.DEPTHWISE else (-1, 1, 1, 1)
            producer.weights = producer.weights * factor.reshape(channel_axis)
            producer.bias = producer.bias * factor + offset
            return source
        # Nothing to fold it into: a depthwise convolution with a kernel of one.
        h, w, c = source.shape
        return replace(
            folder.add(
                Op(
                    layer.name,
                    mien.DEPTHWISE,
                    [source.tensor],
                    source.shape,
                    weights=factor.reshape(1, 1, c),
                    bias=offset + np.zeros(c),
                )
            ),
            flat=source.flat,
        )
    if layer.kind == "activation":  # relu; the others were taken care of
        if producer is not None and alone and producer.op in (mien.CONV, mien.DEPTHWISE, mien.ADD):
            producer.relu = True
            return source
        return replace(
            folder.add(Op(layer.name, mien.RELU, [source.tensor], source.shape)), flat=source.flat
        )
    if layer.kind in ("max_pool", "avg_pool"):
        op = mien.MAX_POOL if layer.kind == "max_pool" else mien.AVG_POOL
        pads = layer.pads
        if source.pads != NO_PADS:
            # Zeros do not change the largest of numbers that are not negative, so such padding may be left out of the count.
            pads = tuple(a + b for a, b in zip(pads, source.pads))
            if not folder.nonnegative(source.tensor):
                folder.refuse(
                    layer,
                    f"zero padding ('{source.padder}') before it is supported only behind a ReLU",
                )
        _check_pads(folder, layer, pads)
        return folder.add(
            Op(
                layer.name,
                op,
                [source.tensor],
                layer.output_shape,
                layer.kernel,
                layer.stride,
                pads,
            )
        )
    if layer.kind == "global_avg_pool":
        if source.shape[0] * source.shape[1] > 1 << 16:
            folder.refuse(layer, "a map of more than 65536 positions is not supported")
        return folder.add(
            Op(layer.name, mien.GLOBAL_AVG_POOL, [source.tensor], (1, 1, source.shape[2]))
        )
    if layer.kind == "add":
        if any(v.shape != source.shape for v in ins):
            folder.refuse(layer, "adds flattened maps of different shapes")
        total = source
        for k, other in enumerate(ins[1:], 1):
            name = layer.name if k == len(ins) - 1 else f"{layer.name}/{k}"
            total = folder.add(Op(name, mien.ADD, [total.tensor, other.tensor], source.shape))
        return replace(total, flat=source.flat)
    if layer.kind == "flatten":
        return replace(source, flat=True)
    assert layer.kind == "zero_pad"
    pads = tuple(a + b for a, b in zip(source.pads, layer.pads))
    return replace(source, pads=pads, padder=layer.name)


def _bias(layer: Layer, count: int) -> np.ndarray:
    return layer.weights["bias"].astype(np.float64) if layer.use_bias else np.zeros(count)


def _check_pads(folder: _Folder, layer: Layer, pads: tensor_ops.Pads) -> None:
    if max(pads[0], pads[2]) >= layer.kernel[0] or max(pads[1], pads[3]) >= layer.kernel[1]:
        folder.refuse(
            layer,
            f"padding {pads} (top, left, bottom, right) as large as its kernel {layer.kernel} is not supported",
        )


def _fold_convolution(folder: _Folder, layer: Layer, source: _Value) -> _Value:
    pads = tuple(a + b for a, b in zip(layer.pads, source.pads))
    _check_pads(folder, layer, pads)
    h, w, c = layer.output_shape
    weights = {role: array.astype(np.float64) for role, array in layer.weights.items()}
    if layer.kind == "conv":
        return folder.add(
            Op(
                layer.name,
                mien.CONV,
                [source.tensor],
                (h, w, c),
                layer.kernel,
                layer.stride,
                pads,
                weights["kernel"].transpose(3, 0, 1, 2),
                _bias(layer, c),
            )
        )
    channels = source.shape[2]
    separable = layer.kind == "separable"
    value = folder.add(
        Op(
            f"{layer.name}/depthwise" if separable else layer.name,
            mien.DEPTHWISE,
            [source.tensor],
            (h, w, channels),
            layer.kernel,
            layer.stride,
            pads,
            weights["depthwise_kernel"][..., 0],
            np.zeros(channels) if separable else _bias(layer, channels),
        )
    )
    if separable:
        value = folder.add(
            Op(
                f"{layer.name}/pointwise",
                mien.CONV,
                [value.tensor],
                (h, w, c),
                weights=weights["pointwise_kernel"].transpose(3, 0, 1, 2),
                bias=_bias(layer, c),
            )
        )
    return value


def _make_head(folder: _Folder, layer: Layer, value: _Value) -> None:
    """The last op must make the logits; adds one that copies where none does."""
    if value.shape[:2] != (1, 1):
        folder.refuse(
            layer,
            f"the network's output is a map of {value.shape[0]} x {value.shape[1]} positions (scores of one face are needed)",
        )
    if value.pads != NO_PADS:
        folder.refuse(layer, "zero padding at the end is not supported")
    ops = folder.ops
    if value.tensor == 0:
        folder.refuse(layer, "the network has no layers that compute anything")
    last = ops[value.tensor - 1]
    if last.op == mien.GLOBAL_AVG_POOL and last.inputs[0] > 0:
        conv = ops[last.inputs[0] - 1]
        others = [op for op in ops if op is not last and last.inputs[0] in op.inputs]
        bound = (
            conv.weights[0].size * 127 * 127 * conv.size[0] * conv.size[1]
            if conv.op == mien.CONV
            else 0
        )
        if (
            conv.op == mien.CONV
            and not conv.relu
            and not others
            and last is ops[-1]
            and conv is ops[-2]
            and bound < 1.5 * 2**30
        ):
            conv.op, conv.logits = mien.CONV_GAP, True
            ops.pop()
            return
    if last.op == mien.CONV and not last.relu and last is ops[-1]:
        last.logits = True
        return
    c = value.shape[2]
    folder.add(
        Op(
            f"{layer.name}/logits",
            mien.CONV,
            [value.tensor],
            (1, 1, c),
            weights=np.eye(c).reshape(c, 1, 1, c),
            bias=np.zeros(c),
            logits=True,
        )
    )
