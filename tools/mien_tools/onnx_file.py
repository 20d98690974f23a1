# SPDX-License-Identifier: MIT
"""ONNX files of classifiers, as the exporters of PyTorch and TensorFlow write them, as a list of
layers (graph.py). The package onnx reads the file; nothing else needs it.

Tensors of images are [1, channels, height, width] to ONNX and maps to graph.py. Transpositions cost
nothing: they only change how a tensor is called here. Shapes that a network computes from its
input's are computed once, at a batch of one.

What the engine cannot run is refused here, naming node and operator."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, NoReturn, Optional, Sequence, Tuple

import numpy as np

from . import activations, graph, tensor_ops
from .errors import ModelError, UnreadableError, read_bytes
from .graph import Layer, Model

_OLDEST_OPSET = 7
_MOST_NODES = 20000
_LARGEST_CONSTANT = 1 << 28  # values
# Where dimension i of a map [height, width, channels] is in ONNX' tensor.
_LAYOUTS = {"nchw": (2, 3, 1), "nhwc": (1, 2, 3)}

# What works instead of an operator that is refused.
_NEAREST = {
    "ConvTranspose": "Conv works",
    "InstanceNormalization": "BatchNormalization works",
    "LayerNormalization": "BatchNormalization works",
    "GroupNormalization": "BatchNormalization works",
    "LRN": "BatchNormalization works",
    "Resize": "mien scales each face to the network's input",
    "Upsample": "mien scales each face to the network's input",
    "QuantizeLinear": "export the float network; mien quantizes it",
    "DequantizeLinear": "export the float network; mien quantizes it",
    "ArgMax": "export the network without it; mien names the class",
    "TopK": "export the network without it; mien names the class",
    "LSTM": "only networks of single images are supported",
    "GRU": "only networks of single images are supported",
    "Split": "write what reads the parts as layers of their own",
    "If": "export with fixed shapes",
    "Loop": "export with fixed shapes",
    "ReduceL2": "it belongs to networks of embeddings; classifiers are supported",
}


@dataclass
class _Value:
    """What an ONNX tensor is: a layer's output, in a layout; "flat" is [1, features]."""

    layer: str
    layout: str


_Constants = Dict[str, np.ndarray]


def _gather(data: np.ndarray, at: np.ndarray, axis: int = 0) -> np.ndarray:
    return np.take(data, at, axis=axis)


def _slice(x: np.ndarray, *rest: np.ndarray, **attributes: Any) -> np.ndarray:
    given = [r.tolist() for r in rest] or [
        attributes[key] for key in ("starts", "ends", "axes") if key in attributes
    ]
    starts, ends = given[:2]
    axes = given[2] if len(given) > 2 else list(range(len(starts)))
    steps = given[3] if len(given) > 3 else [1] * len(starts)
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps):
        index[axis] = slice(start, end if abs(end) < 1 << 31 else None, step)
    return x[tuple(index)]


def _squeeze(x: np.ndarray, axes: Any = None, **attributes: Any) -> np.ndarray:
    axes = attributes.get("axes", axes)
    return np.squeeze(x, None if axes is None else tuple(int(a) for a in np.ravel(axes)))


def _unsqueeze(x: np.ndarray, axes: Any = None, **attributes: Any) -> np.ndarray:
    axes = attributes.get("axes", axes)
    return np.expand_dims(x, tuple(int(a) for a in np.ravel(axes)))


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a // b if a.dtype.kind in "iu" else a / b


def _filled(shape: np.ndarray, value: np.ndarray = np.zeros(1, np.float32)) -> np.ndarray:
    if not 0 <= np.prod(shape.astype(np.float64)) <= _LARGEST_CONSTANT:
        raise ValueError
    return np.full([int(n) for n in shape], value[0])


# Operators on constants: shapes, and weights that an exporter computes at the last moment.
_ON_CONSTANTS: Dict[str, Callable[..., np.ndarray]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Neg": np.negative,
    "Sqrt": np.sqrt,
    "Reciprocal": np.reciprocal,
    "Identity": lambda x: x,
    "Cast": lambda x, **_: x,
    "Gather": _gather,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": lambda *parts, axis: np.concatenate(parts, axis=axis),
    "Transpose": lambda x, perm=None: np.transpose(x, perm),
    "Reshape": lambda x, shape, **_: x.reshape([int(v) for v in shape]),
    "ConstantOfShape": _filled,
    "ReduceProd": lambda x, **_: np.prod(x, keepdims=True),
    "Floor": np.floor,
    "Ceil": np.ceil,
}


class _Reader:
    def __init__(self, path: str, onnx: Any, constants: _Constants) -> None:
        self.path, self.onnx, self.constants = path, onnx, constants
        self.values: Dict[str, _Value] = {}
        self.layers: Dict[str, Layer] = {}
        self.node: Any = None
        self.attributes: Dict[str, Any] = {}

    # ---------------------------------------------------------------- helpers

    def refuse(self, what: str) -> NoReturn:
        name = self.node.name or (self.node.output[0] if self.node.output else "")
        raise ModelError(self.path, f"node '{name}' ({self.node.op_type}): {what}")

    def value(self, i: int = 0) -> _Value:
        name = self.node.input[i]
        if name not in self.values:
            self.refuse(f"takes '{name}', which no node before it makes")
        return self.values[name]

    def constant(self, i: int, what: str, default: Any = None) -> np.ndarray:
        """Input i; `default` where the node has none."""
        if i >= len(self.node.input) or not self.node.input[i]:
            if default is None:
                self.refuse(f"no {what}")
            return np.asarray(default)
        if self.node.input[i] not in self.constants:
            self.refuse(f"its {what} is not constant")
        return self.constants[self.node.input[i]]

    def option(self, key: str, i: int, default: Any) -> Any:
        """An attribute in old opsets, an input in newer ones; numbers of a list, or None."""
        if key in self.attributes:
            return self.attributes[key]
        found = self.constant(i, key, default) if default is not None else None
        if default is None and i < len(self.node.input) and self.node.input[i]:
            found = self.constant(i, key)
        return None if found is None else np.asarray(found).tolist()

    def shape(self, value: _Value) -> Tuple[int, ...]:
        """As ONNX has it."""
        own = self.layers[value.layer].output_shape
        if value.layout == "flat":
            return 1, int(np.prod(own))
        shape = [1, 1, 1, 1]
        for n, at in zip(own if len(own) == 3 else (1, 1, *own), _LAYOUTS[value.layout]):
            shape[at] = n
        return tuple(shape)

    def map(self, i: int = 0) -> str:
        """The layer of input i, which must be an image's, channels first."""
        value = self.value(i)
        if value.layout != "nchw":
            self.refuse("takes a tensor that is not [1, channels, height, width]")
        return self.as_map(value)

    def as_map(self, value: _Value) -> str:
        shape = self.layers[value.layer].output_shape
        if len(shape) == 3:
            return value.layer
        made = self.add("reshape", [value.layer], suffix="/map", target=(1, 1, *shape))
        return made.name

    def add(self, kind: str, inputs: List[str], suffix: str = "", **values: Any) -> Layer:
        base = (self.node.name or self.node.output[0]).lstrip("/") + suffix
        name, number = base, 1
        while name in self.layers:
            number += 1
            name = f"{base}:{number}"
        layer = Layer(name, self.node.op_type, kind, inputs, **values)
        graph.infer_layer(self.path, layer, [self.layers[i].output_shape for i in inputs])
        self.layers[name] = layer
        return layer

    def set(self, layer: Layer, layout: str) -> None:
        self.values[self.node.output[0]] = _Value(layer.name, layout)

    def same(self) -> None:
        self.values[self.node.output[0]] = self.value()

    def finite(self, array: np.ndarray, what: str) -> np.ndarray:
        if array.dtype.kind != "f":
            self.refuse(f"its {what} is not of a float type")
        if not np.isfinite(array).all():
            self.refuse(f"its {what} has values that are not finite")
        return array.astype(np.float32)

    def per_channel(self, value: _Value, array: np.ndarray) -> np.ndarray:
        """A constant beside a tensor: one number, or one for each channel."""
        rank = 2 if value.layout == "flat" else 4
        axis = {"flat": 1, "nchw": 1, "nhwc": 3}[value.layout]
        wide = array.reshape((1,) * (rank - array.ndim) + array.shape)
        if wide.ndim != rank or wide.size != wide.shape[axis]:
            self.refuse(f"a constant of shape {array.shape}, which is not one number per channel")
        return self.finite(wide.ravel(), "constant").astype(np.float64)

    def pads_of(self, size: Tuple[int, ...]) -> tensor_ops.Pads:
        """Explicit padding of a window over an input of `size`; kernel_shape is known."""
        kernel, stride = self.attributes["kernel_shape"], self.pair("strides")
        dilation = self.pair("dilations")
        span = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation))
        auto = self.attributes.get("auto_pad", b"NOTSET")
        auto = auto.decode() if isinstance(auto, bytes) else auto
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            top, left, bottom, right = tensor_ops.same_pads(size, span, stride)
            return (
                (top, left, bottom, right) if auto == "SAME_UPPER" else (bottom, right, top, left)
            )
        pads = [0, 0, 0, 0] if auto == "VALID" else self.attributes.get("pads", [0, 0, 0, 0])
        if len(pads) != 4 or not all(0 <= p <= 254 for p in pads):
            self.refuse(f"pads {pads} are not supported")
        top, left, bottom, right = pads
        if self.attributes.get("ceil_mode", 0):
            # The last window may begin inside and end outside; what is outside does not count.
            more = []
            for n, before, after, k, s in zip(size, (top, left), (bottom, right), span, stride):
                count = -(-(n + before + after - k) // s) + 1
                if (count - 1) * s >= n + before:
                    count -= 1
                more.append(max((count - 1) * s + k - n - before, 0))
            bottom, right = more
        return top, left, bottom, right

    def pair(self, key: str) -> Tuple[int, int]:
        value = self.attributes.get(key, [1, 1])
        if len(value) != 2 or not all(1 <= v <= 255 for v in value):
            self.refuse(f"{key} {value} are not supported")
        return int(value[0]), int(value[1])

    def activation(self, name: str, **parameters: float) -> None:
        value = self.value()
        made = self.add("activation", [value.layer], activation=name, parameters=parameters)
        self.set(made, value.layout)

    # ---------------------------------------------------------------- nodes

    def run(self, node: Any) -> None:
        self.node = node
        try:
            value_of = self.onnx.helper.get_attribute_value
            self.attributes = {a.name: value_of(a) for a in node.attribute}
        except ValueError:
            self.refuse("damaged attributes")
        for key, value in self.attributes.items():
            if isinstance(value, self.onnx.TensorProto):
                self.attributes[key] = self.array(value)
        try:
            self.dispatch()
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError):
            self.refuse("damaged")

    def dispatch(self) -> None:
        node = self.node
        if node.domain not in ("", "ai.onnx"):
            self.refuse(f"an operator of {node.domain!r} is not supported")
        if node.op_type == "Constant":
            self.constants[node.output[0]] = self.constant_node()
        elif node.op_type == "Shape":
            source = self.constants.get(node.input[0])
            shape = source.shape if source is not None else self.shape(self.value())
            end = self.attributes.get("end", len(shape))
            shape = shape[self.attributes.get("start", 0) : end]
            self.constants[node.output[0]] = np.asarray(shape, np.int64)
        elif all(name in self.constants for name in node.input if name):
            self.on_constants()
        else:
            method = getattr(self, f"op_{node.op_type}", None)
            if method is None:
                nearest = _NEAREST.get(node.op_type)
                self.refuse("this operator is not supported" + (f" ({nearest})" if nearest else ""))
            method()

    def array(self, tensor: Any) -> np.ndarray:
        try:
            return np.asarray(self.onnx.numpy_helper.to_array(tensor))
        except Exception:  # the package's errors have no common base
            raise ModelError(self.path, f"the constant '{tensor.name}' is damaged") from None

    def constant_node(self) -> np.ndarray:
        for key, kind in (("value_float", np.float32), ("value_int", np.int64)):
            if key in self.attributes:
                return np.asarray(self.attributes[key], kind)
        for key, kind in (("value_floats", np.float32), ("value_ints", np.int64)):
            if key in self.attributes:
                return np.asarray(self.attributes[key], kind)
        if not isinstance(self.attributes.get("value"), np.ndarray):
            self.refuse("a constant of this kind is not supported")
        return self.attributes["value"]

    def on_constants(self) -> None:
        function = _ON_CONSTANTS.get(self.node.op_type)
        if function is None:
            self.refuse("not supported on constants (simplify the file, onnxsim does)")
        ins = [self.constants[name] for name in self.node.input if name]
        try:
            with np.errstate(all="ignore"):
                made = np.asarray(function(*ins, **self.attributes))
        except Exception:  # whatever a damaged node makes numpy raise
            self.refuse("damaged")
        if made.size > _LARGEST_CONSTANT:
            self.refuse("a constant too large")
        self.constants[self.node.output[0]] = made

    def op_Conv(self) -> None:
        source = self.map()
        kernel = self.finite(self.constant(1, "kernel"), "kernel")
        if kernel.ndim != 4:
            self.refuse(f"a kernel of {kernel.ndim} dimensions")
        self.attributes["kernel_shape"] = list(kernel.shape[2:])
        if not all(1 <= k <= 255 for k in kernel.shape[2:]):
            self.refuse(f"a kernel of {kernel.shape[2:]} is not supported")
        weights = {"kernel": kernel.transpose(2, 3, 1, 0)}
        has_bias = len(self.node.input) > 2 and bool(self.node.input[2])
        if has_bias:
            weights["bias"] = self.finite(self.constant(2, "bias"), "bias")
        groups = int(self.attributes.get("group", 1))
        shape = self.layers[source].output_shape
        if groups < 1 or kernel.shape[1] * groups != shape[2]:
            self.refuse(f"a kernel of {kernel.shape} in {groups} groups for {shape[2]} channels")
        if has_bias and weights["bias"].shape != kernel.shape[:1]:
            self.refuse("biases and kernel do not fit each other")
        made = self.add(
            "conv",
            [source],
            kernel=kernel.shape[2:],
            stride=self.pair("strides"),
            dilation=self.pair("dilations"),
            pads=self.pads_of(shape[:2]),
            padding="explicit",
            filters=kernel.shape[0],
            groups=groups,
            use_bias=has_bias,
            weights=weights,
        )
        self.set(made, "nchw")

    def op_Gemm(self) -> None:
        scale, more = self.attributes.get("alpha", 1.0), self.attributes.get("beta", 1.0)
        if self.attributes.get("transA", 0):
            self.refuse("transA is not supported")
        kernel = self.constant(1, "matrix")
        kernel = kernel.T if self.attributes.get("transB", 0) else kernel
        bias = self.constant(2, "bias", np.zeros(1, np.float32)) * np.float32(more)
        self.dense(kernel * np.float32(scale), bias)

    def op_MatMul(self) -> None:
        self.dense(self.constant(1, "right side"), np.zeros(1, np.float32))

    def dense(self, kernel: np.ndarray, bias: np.ndarray) -> None:
        value = self.value()
        kernel, bias = self.finite(kernel, "matrix"), self.finite(bias, "bias").ravel()
        if value.layout == "nchw" or kernel.ndim != 2:
            self.refuse(f"a product of {self.shape(value)} and {kernel.shape} is not supported")
        features = self.shape(value)[-1]
        if kernel.shape[0] != features or bias.size not in (1, kernel.shape[1]):
            self.refuse(f"a matrix of {kernel.shape} for {features} numbers")
        weights = {"kernel": kernel, "bias": bias + np.zeros(kernel.shape[1], np.float32)}
        self.set(
            self.add("dense", [value.layer], filters=kernel.shape[1], weights=weights),
            value.layout,
        )

    def op_BatchNormalization(self) -> None:
        value = self.value()
        if self.attributes.get("training_mode", 0):
            self.refuse("in training mode (export with model.eval())")
        if value.layout == "nhwc":
            self.refuse("takes a tensor that is not [1, channels, height, width]")
        roles = ("gamma", "beta", "moving_mean", "moving_variance")
        weights = {
            role: self.finite(self.constant(i, role), role) for i, role in enumerate(roles, 1)
        }
        count = self.shape(value)[1]
        if any(array.shape != (count,) for array in weights.values()):
            self.refuse(f"not one number for each of {count} channels")
        if (weights["moving_variance"] < 0).any():
            self.refuse("negative variance")
        epsilon = float(self.attributes.get("epsilon", 1e-5))
        made = self.add("batch_norm", [value.layer], weights=weights, epsilon=epsilon)
        self.set(made, value.layout)

    def pool(self, kind: str) -> None:
        source = self.map()
        kernel = self.pair("kernel_shape")
        shape = self.layers[source].output_shape
        stride, pads = self.pair("strides"), self.pads_of(shape[:2])
        if self.pair("dilations") != (1, 1):
            self.refuse("dilations are not supported")
        if kind == "avg_pool" and self.attributes.get("count_include_pad", 0) and any(pads):
            if self.attributes.get("ceil_mode", 0):
                self.refuse("count_include_pad with ceil_mode is not supported")
            # Zeros that count: a convolution with the same weight everywhere.
            weight = np.full((*kernel, shape[2], 1), 1 / (kernel[0] * kernel[1]), np.float32)
            made = self.add(
                "depthwise",
                [source],
                kernel=kernel,
                stride=stride,
                pads=pads,
                padding="explicit",
                use_bias=False,
                weights={"depthwise_kernel": weight},
            )
        else:
            made = self.add(
                kind, [source], kernel=kernel, stride=stride, pads=pads, padding="explicit"
            )
        self.set(made, "nchw")

    def op_MaxPool(self) -> None:
        if len(self.node.output) > 1:
            self.refuse("indices are not supported")
        self.pool("max_pool")

    def op_AveragePool(self) -> None:
        self.pool("avg_pool")

    def op_GlobalAveragePool(self) -> None:
        self.set(self.add("global_avg_pool", [self.map()], keepdims=True), "nchw")

    def op_GlobalMaxPool(self) -> None:
        self.set(self.add("global_max_pool", [self.map()], keepdims=True), "nchw")

    def reduce(self, kind: str) -> None:
        value, axes = self.value(), self.option("axes", 1, None)
        if value.layout == "flat" or axes is None:
            self.refuse("is supported over height and width only")
        h, w, _ = _LAYOUTS[value.layout]
        if sorted(a % 4 for a in np.ravel(axes).tolist()) != [h, w]:
            self.refuse(f"over axes {axes} is not supported (height and width are)")
        keep = bool(self.attributes.get("keepdims", 1))
        made = self.add(kind, [self.as_map(value)], keepdims=keep)
        self.set(made, value.layout if keep else "flat")

    def op_ReduceMean(self) -> None:
        self.reduce("global_avg_pool")

    def op_ReduceMax(self) -> None:
        self.reduce("global_max_pool")

    def op_Pad(self) -> None:
        value = self.value()
        mode = self.attributes.get("mode", b"constant")
        if (mode.decode() if isinstance(mode, bytes) else mode) != "constant":
            self.refuse(f"mode {mode!r} is not supported (zeros are)")
        if self.attributes.get("value", 0) or np.any(self.constant(2, "value", 0.0)):
            self.refuse("padding with other numbers than 0 is not supported")
        pads = self.option("pads", 1, None)
        if value.layout == "flat" or pads is None or len(pads) != 8 or len(self.node.input) > 3:
            self.refuse("is supported for height and width only")
        h, w, c = _LAYOUTS[value.layout]
        found = (pads[h], pads[w], pads[4 + h], pads[4 + w])
        if any((pads[0], pads[4], pads[c], pads[4 + c])) or not all(0 <= p <= 254 for p in found):
            self.refuse(f"pads {pads} are not supported")
        made = self.add("zero_pad", [self.as_map(value)], pads=tuple(int(p) for p in found))
        self.set(made, value.layout)

    # ---------------------------------------------------------------- sums, products

    def op_Add(self) -> None:
        self.arithmetic("add")

    def op_Sub(self) -> None:
        self.arithmetic("subtract")

    def op_Mul(self) -> None:
        self.arithmetic("multiply")

    def op_Div(self) -> None:
        self.arithmetic("divide")

    def arithmetic(self, kind: str) -> None:
        fixed = [i for i in (0, 1) if self.node.input[i] in self.constants]
        if not fixed:
            return self.two_tensors(kind)
        (at,) = fixed
        value = self.value(1 - at)
        number = self.per_channel(value, self.constant(at, "constant"))
        factor, offset = np.ones(1), np.zeros(1)
        if kind == "add":
            offset = number
        elif kind == "subtract":
            factor, offset = (np.ones(1), -number) if at == 1 else (-np.ones(1), number)
        elif kind == "multiply":
            factor = number
        elif at == 1 and (number != 0).all():
            factor = 1 / number
        else:
            self.refuse("a division by the tensor, or by 0")
        weights = {"factor": factor, "offset": offset}
        self.set(self.add("affine", [value.layer], weights=weights), value.layout)

    def two_tensors(self, kind: str) -> None:
        a, b = self.value(0), self.value(1)
        if kind not in ("add", "multiply"):
            self.refuse("of two tensors is not supported (Add and Mul are)")
        if a.layout != b.layout:
            self.refuse("takes tensors of different kinds")
        layers = [v.layer if a.layout == "flat" else self.as_map(v) for v in (a, b)]
        self.set(self.add(kind, layers), a.layout)

    def op_Concat(self) -> None:
        values = [self.value(i) for i in range(len(self.node.input))]
        layout = values[0].layout
        if any(v.layout != layout for v in values):
            self.refuse("takes tensors of different kinds")
        rank, channel = (2, 1) if layout == "flat" else (4, _LAYOUTS[layout][2])
        if self.attributes.get("axis", 1) % rank != channel:
            self.refuse("is supported for channels only")
        layers = [v.layer if layout == "flat" else self.as_map(v) for v in values]
        self.set(self.add("concat", layers), layout)

    # ---------------------------------------------------------------- shapes

    def op_Identity(self) -> None:
        self.same()

    op_Dropout = op_Cast = op_Identity

    def op_Flatten(self) -> None:
        if self.attributes.get("axis", 1) not in (1, 1 - len(self.shape(self.value()))):
            self.refuse("axis 1 is supported")
        self.reshape((1, -1))

    def op_Reshape(self) -> None:
        self.reshape(tuple(int(v) for v in self.constant(1, "shape").tolist()))

    def op_Squeeze(self) -> None:
        shape, axes = list(self.shape(self.value())), self.option("axes", 1, None)
        drop = {a % len(shape) for a in np.ravel(axes).tolist()} if axes is not None else set()
        drop = drop or {i for i, n in enumerate(shape) if n == 1 and i > 0}
        self.reshape(tuple(n for i, n in enumerate(shape) if i not in drop))

    def op_Unsqueeze(self) -> None:
        shape = list(self.shape(self.value()))
        axes = [int(a) for a in np.ravel(self.option("axes", 1, None))]
        rank = len(shape) + len(axes)
        for axis in sorted(a % rank for a in axes):
            shape.insert(axis, 1)
        self.reshape(tuple(shape))

    def reshape(self, target: Sequence[int]) -> None:
        """To a vector, or to 1 x 1 x channels; a batch is one image."""
        value = self.value()
        before = self.shape(value)
        if not self.attributes.get("allowzero", 0):
            target = [before[i] if n == 0 and i < len(before) else n for i, n in enumerate(target)]
        total = int(np.prod(before))
        target = list(target)
        if target.count(-1) == 1:
            target[target.index(-1)] = total // max(1, -int(np.prod(target)))
        if int(np.prod(target)) != total or min(target, default=0) < 1:
            self.refuse(f"{before} as {tuple(target)}")
        if tuple(target) == before:
            return self.same()
        if target in ([1, total], [total]):
            order = "chw" if value.layout == "nchw" else "hwc"
            made = self.add("flatten", [value.layer], order=order)
            return self.set(made, "flat")
        if len(target) == 4 and total in (target[1], target[3]):
            made = self.add("reshape", [value.layer], target=(1, 1, total))
            return self.set(made, "nchw" if target[1] == total else "nhwc")
        self.refuse(
            f"{before} as {tuple(target)} is not supported (a vector, and channels x 1 x 1, are)"
        )

    def op_Transpose(self) -> None:
        value = self.value()
        if value.layout == "flat":
            self.refuse("of a vector is not supported")
        perm = list(self.attributes.get("perm", (3, 2, 1, 0)))
        places = tuple(perm.index(at) for at in _LAYOUTS[value.layout])
        for layout, wanted in _LAYOUTS.items():
            if places == wanted and perm[0] == 0:
                self.values[self.node.output[0]] = _Value(value.layer, layout)
                return
        self.refuse(f"perm {perm} is not supported (from channels first to last, and back, is)")

    # ---------------------------------------------------------------- functions

    def op_Relu(self) -> None:
        self.activation("relu")

    def op_Clip(self) -> None:
        low, high = self.option("min", 1, -np.inf), self.option("max", 2, np.inf)
        low, high = float(np.ravel(low)[0]), float(np.ravel(high)[0])
        if not low < high:
            self.refuse(f"between {low} and {high}")
        if low == 0:
            limit = {"max_value": high} if np.isfinite(high) and high < 3e38 else {}
            return self.activation("relu", **limit)
        self.activation("clip", low=low, high=high)

    def op_LeakyRelu(self) -> None:
        self.activation("relu", slope=float(self.attributes.get("alpha", 0.01)))

    def op_PRelu(self) -> None:
        value = self.value()
        slope = self.per_channel(value, self.constant(1, "slope"))
        shape = self.layers[value.layer].output_shape
        slope = (slope + np.zeros(shape[-1])).astype(np.float32)
        shared = tuple(range(1, len(shape)))
        alpha = slope.reshape((1,) * (len(shape) - 1) + (-1,))
        made = self.add("prelu", [value.layer], weights={"alpha": alpha}, target=shared)
        self.set(made, value.layout)

    def op_HardSigmoid(self) -> None:
        alpha, beta = self.attributes.get("alpha", 0.2), self.attributes.get("beta", 0.5)
        self.activation("hard_sigmoid", alpha=float(alpha), beta=float(beta))

    def op_HardSwish(self) -> None:
        self.activation("hard_swish", alpha=1 / 6, beta=0.5)

    def op_Elu(self) -> None:
        self.activation("elu", alpha=float(self.attributes.get("alpha", 1.0)))

    def op_Selu(self) -> None:
        alpha = float(self.attributes.get("alpha", activations.SELU["alpha"]))
        scale = float(self.attributes.get("gamma", activations.SELU["scale"]))
        self.activation("elu", alpha=alpha, scale=scale)

    def op_Gelu(self) -> None:
        tanh = self.attributes.get("approximate", b"none") in (b"tanh", "tanh")
        self.activation("gelu", approximate=float(tanh))

    def op_Sigmoid(self) -> None:
        self.activation("sigmoid")

    def op_Tanh(self) -> None:
        self.activation("tanh")

    def op_Softplus(self) -> None:
        self.activation("softplus")

    def op_Softsign(self) -> None:
        self.activation("softsign")

    def op_Mish(self) -> None:
        self.activation("mish")

    def op_Exp(self) -> None:
        self.activation("exponential")

    def op_Softmax(self) -> None:
        value = self.value()
        rank = 2 if value.layout == "flat" else 4
        channel = 1 if value.layout in ("flat", "nchw") else 3
        shape = self.layers[value.layer].output_shape
        axis = self.attributes.get("axis", -1 if value.layout != "nchw" else 1) % rank
        if axis != channel or int(np.prod(shape)) != shape[-1]:
            self.refuse("is supported over the classes only")
        self.activation("softmax")

    op_LogSoftmax = op_Softmax  # the same probabilities


def _input_of(path: str, tensor: Any) -> Tuple[Tuple[int, int, int], str]:
    """Height, width and channels, and the layout."""
    dims = [d.dim_value for d in tensor.type.tensor_type.shape.dim]
    if len(dims) != 4:
        raise ModelError(path, f"the input '{tensor.name}' has {len(dims)} dimensions, 4 expected")
    layout = "nhwc" if dims[3] in (1, 3) and dims[1] not in (1, 3) else "nchw"
    h, w, c = (dims[at] for at in _LAYOUTS[layout])
    if not h or not w:
        raise ModelError(
            path, f"the size of the input '{tensor.name}' is not fixed (export it with one)"
        )
    if dims[0] > 1:
        raise ModelError(
            path, f"the input '{tensor.name}' is a batch of {dims[0]} (export it with one image)"
        )
    if not (1 <= h <= 1024 and 1 <= w <= 1024 and c in (1, 3)):
        raise ModelError(
            path,
            f"an input of {h} x {w} x {c} is not supported (1..1024 x 1..1024 x 1 or 3)",
        )
    return (h, w, c), layout


def read_model(path: str) -> Model:
    """Reads an ONNX file; its weights may lie in a file beside it, as exporters write them."""
    try:
        import onnx
        import onnx.external_data_helper
        import onnx.numpy_helper
    except ImportError:
        raise UnreadableError(path, "reading ONNX needs a package: pip install onnx") from None
    data = read_bytes(path)
    digest = hashlib.sha256(data)
    try:
        model = onnx.load_model_from_string(data)
        graph_ = model.graph
        opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")))
    except Exception:  # protobuf's errors have no common base
        raise UnreadableError(path, "not an ONNX file that can be read") from None
    outside = [t for t in graph_.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    _read_outside(path, outside, digest)
    if opset < _OLDEST_OPSET:
        raise ModelError(path, f"opset {opset} is not supported ({_OLDEST_OPSET} and later are)")
    if len(graph_.node) > _MOST_NODES:
        raise ModelError(path, f"more than {_MOST_NODES} nodes")
    reader = _Reader(path, onnx, {})
    reader.constants = {t.name: reader.array(t) for t in graph_.initializer}
    inputs = [i for i in graph_.input if i.name not in reader.constants]
    if len(inputs) != 1 or len(graph_.output) != 1:
        raise ModelError(
            path,
            f"{len(inputs)} inputs and {len(graph_.output)} outputs (one of each is supported)",
        )
    input_shape, layout = _input_of(path, inputs[0])
    name = inputs[0].name
    source = Layer(name, "input", "input", input_shape=input_shape, output_shape=input_shape)
    reader.layers[name] = source
    reader.values[name] = _Value(name, layout)
    for node in graph_.node:
        if not node.output:
            continue
        reader.run(node)
    last: Optional[_Value] = reader.values.get(graph_.output[0].name)
    if last is None:
        raise ModelError(path, f"its output '{graph_.output[0].name}' does not depend on an image")
    layers = graph.ordered(path, reader.layers, last.layer)
    if layers[0] is not source:
        raise ModelError(path, "its output does not depend on the image")
    version = f"{model.producer_name} {model.producer_version}".strip()
    return Model(path, digest.hexdigest(), graph_.name, version, input_shape, layers, "producer")


def _read_outside(path: str, tensors: List[Any], digest: Any) -> None:
    """Weights in files beside the model, whose names must be plain."""
    files: Dict[str, bytes] = {}
    for tensor in tensors:
        where = {entry.key: entry.value for entry in tensor.external_data}
        name = where.get("location", "")
        if not name or os.path.basename(name) != name or name in (".", ".."):
            raise ModelError(path, f"weights in {name!r}, which is no file beside it")
        if name not in files:
            files[name] = read_bytes(os.path.join(os.path.dirname(path), name))
            digest.update(files[name])
        try:
            start = int(where.get("offset", 0))
            size = int(where.get("length", len(files[name]) - start))
        except ValueError:
            start = size = -1
        if start < 0 or size < 0 or start + size > len(files[name]):
            raise ModelError(path, f"the constant '{tensor.name}' is outside of {name}")
        tensor.raw_data = files[name][start : start + size]
        tensor.data_location = 0
        del tensor.external_data[:]
