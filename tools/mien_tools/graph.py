# SPDX-License-Identifier: MIT
"""A float network as a list of layers, whatever file it was read from: what the readers of Keras
and ONNX files make, what reference.py computes and fold.py turns into the ops of a .mien file.

Tensors are maps [height, width, channels] or vectors. Weights have Keras' shapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import numpy as np

from . import tensor_ops
from .errors import ModelError

Shape = Tuple[int, ...]  # (height, width, channels), or (features,) behind Flatten and the like

CONVOLUTIONS = ("conv", "separable", "depthwise")
WINDOWS = CONVOLUTIONS + ("max_pool", "avg_pool")


@dataclass
class Layer:
    """One layer. `kind` decides which attributes are meaningful."""

    name: str
    class_name: str
    kind: str
    inputs: List[str] = field(default_factory=list)
    weights: Dict[str, np.ndarray] = field(default_factory=dict)
    activation: str = "linear"  # "softmax", or one of activations.ELEMENTWISE
    parameters: Dict[str, float] = field(default_factory=dict)  # of the activation
    kernel: Tuple[int, int] = (1, 1)
    stride: Tuple[int, int] = (1, 1)
    dilation: Tuple[int, int] = (1, 1)
    padding: str = "valid"
    filters: int = 0
    groups: int = 1  # of a convolution
    multiplier: int = 1  # outputs per channel of a depthwise or separable one
    use_bias: bool = True
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    axis: Optional[int] = -1
    keepdims: bool = False
    rate: float = 0.0  # of a dropout
    target: Shape = ()  # of a reshape, where -1 is what is left; the axes that a prelu shares
    order: str = "hwc"  # in which a map is flattened
    pads: tensor_ops.Pads = (0, 0, 0, 0)  # resolved, never "same"
    path: Tuple[str, ...] = ()  # names of the models that it is nested in, and its own
    input_shape: Shape = ()
    output_shape: Shape = ()

    @property
    def field(self) -> Tuple[int, int]:
        """What its kernel spans."""
        (kh, kw), (dy, dx) = self.kernel, self.dilation
        return (kh - 1) * dy + 1, (kw - 1) * dx + 1

    def weight_shapes(self) -> List[Tuple[str, Shape]]:
        """Names and shapes of its weights, in the order in which every Keras stores them."""
        c = self.input_shape[-1]
        kh, kw = self.kernel
        bias = [("bias", (self.filters,))] if self.use_bias else []
        if self.kind == "conv":
            return [("kernel", (kh, kw, c // self.groups, self.filters))] + bias
        if self.kind == "separable":
            return [
                ("depthwise_kernel", (kh, kw, c, self.multiplier)),
                ("pointwise_kernel", (1, 1, c * self.multiplier, self.filters)),
            ] + bias
        if self.kind == "depthwise":
            return [("depthwise_kernel", (kh, kw, c, self.multiplier))] + (
                [("bias", (c * self.multiplier,))] if self.use_bias else []
            )
        if self.kind == "dense":
            return [("kernel", (c, self.filters))] + bias
        if self.kind == "batch_norm":
            names = (
                ["gamma"] * self.scale + ["beta"] * self.center + ["moving_mean", "moving_variance"]
            )
            return [(name, (c,)) for name in names]
        if self.kind == "affine" and "factor" not in self.weights:  # of a Normalization
            return [(name, () if self.axis is None else (c,)) for name in ("mean", "variance")]
        if self.kind == "prelu":
            shape = [1 if i + 1 in self.target else n for i, n in enumerate(self.input_shape)]
            return [("alpha", tuple(shape))]
        return []


@dataclass
class Model:
    path: str
    sha256: str
    name: str
    version: str  # of what wrote it; "3.4.1" of Keras, "pytorch 2.5"
    input_shape: Tuple[int, int, int]
    layers: List[Layer]  # in order of execution; the first is the input, the last makes the output
    version_key: str = "keras_version"  # under which a file's description has `version`

    @property
    def parameter_count(self) -> int:
        return sum(w.size for layer in self.layers for w in layer.weights.values())

    @property
    def output_count(self) -> int:
        return self.layers[-1].output_shape[-1]

    @property
    def one_sigmoid(self) -> bool:
        """Its only output is the probability of the second of two classes."""
        return self.output_count == 1 and self.last_activation() == "sigmoid"

    @property
    def class_count(self) -> int:
        return 2 if self.one_sigmoid else self.output_count

    @property
    def scales_itself(self) -> bool:
        """The first thing that happens to the input is a Rescaling or the like."""
        first = self.layers[0].name
        readers = [layer for layer in self.layers if first in layer.inputs]
        while len(readers) == 1 and readers[0].kind in ("identity", "zero_pad"):
            first = readers[0].name
            readers = [layer for layer in self.layers if first in layer.inputs]
        return bool(readers) and all(layer.kind == "affine" for layer in readers)

    def normalize_input(self, factor: np.ndarray, offset: np.ndarray) -> None:
        """Puts x * factor + offset, per channel (or one number), before everything else."""
        source = self.layers[0]
        name = f"{source.name}/normalize"
        for layer in self.layers:
            layer.inputs = [name if each == source.name else each for each in layer.inputs]
        shape = source.output_shape
        layer = Layer(name, "Normalize", "affine", [source.name], input_shape=shape)
        layer.output_shape = shape
        layer.weights = {"factor": factor, "offset": offset}
        self.layers.insert(1, layer)

    def add_softmax(self) -> None:
        last = self.layers[-1]
        layer = Layer(f"{last.name}/softmax", "Softmax", "activation", [last.name])
        layer.activation, layer.input_shape = "softmax", last.output_shape
        layer.output_shape = last.output_shape
        self.layers.append(layer)

    def last_activation(self) -> str:
        """The function that makes the output, behind which at most its shape changes."""
        by_name = {layer.name: layer for layer in self.layers}
        layer = self.layers[-1]
        while layer.kind in ("identity", "reshape", "flatten") and layer.inputs:
            layer = by_name[layer.inputs[0]]
        return layer.activation


def ordered(path: str, layers: Dict[str, Layer], last: str) -> List[Layer]:
    """Those that `last` needs, each after its inputs, else in file order."""
    needed, stack = set(), [last]
    while stack:
        name = stack.pop()
        if name in needed:
            continue
        if name not in layers:
            raise ModelError(path, f"layer '{name}' is named as an input but does not exist")
        needed.add(name)
        stack.extend(layers[name].inputs)
    result: List[Layer] = []
    done: set = set()
    waiting = [layer for layer in layers.values() if layer.name in needed]
    while waiting:
        ready = [layer for layer in waiting if all(i in done for i in layer.inputs)]
        if not ready:
            raise ModelError(path, f"layer '{waiting[0].name}' is part of a loop")
        # One at a time, so that file order is kept as far as it is possible.
        result.append(ready[0])
        done.add(ready[0].name)
        waiting.remove(ready[0])
    return result


def infer_shapes(path: str, layers: List[Layer], input_shape: Tuple[int, int, int]) -> None:
    """Fills in shapes and turns "same" into explicit pads."""
    shapes: Dict[str, Shape] = {}
    for layer in layers:
        ins = [shapes[name] for name in layer.inputs] or [input_shape]
        infer_layer(path, layer, ins)
        shapes[layer.name] = layer.output_shape


def infer_layer(path: str, layer: Layer, ins: List[Shape]) -> None:
    """The same for one layer, from the shapes of its inputs."""
    shape = layer.input_shape = ins[0]
    problem = ""
    if layer.kind in WINDOWS + ("zero_pad", "global_avg_pool", "global_max_pool"):
        if len(shape) != 3:
            problem = "its input is not a map"
    if not problem:
        shape, problem = _output_shape(layer, shape, ins)
    if not problem and (min(shape) < 1 or int(np.prod(shape)) > 1 << 28):
        problem = f"an output of shape {shape} is not supported"
    if problem:
        raise ModelError(path, f"layer '{layer.name}' ({layer.class_name}): {problem}")
    layer.output_shape = shape


def _output_shape(layer: Layer, shape: Shape, ins: List[Shape]) -> Tuple[Shape, str]:
    """What the layer makes of `shape` (and the others of `ins`), or what is wrong."""
    if layer.kind in WINDOWS:
        if layer.padding == "same":
            layer.pads = tensor_ops.same_pads(shape[:2], layer.field, layer.stride)
        h, w = tensor_ops.output_size(shape[:2], layer.field, layer.stride, layer.pads)
        if h < 1 or w < 1:
            return shape, f"its kernel {layer.field} is larger than its input {shape[:2]}"
        if layer.kind == "conv" and (shape[2] % layer.groups or layer.filters % layer.groups):
            return shape, f"{layer.groups} groups of {shape[2]} to {layer.filters} channels"
        channels = layer.filters or shape[2] * layer.multiplier
        return (h, w, channels), ""
    if layer.kind == "zero_pad":
        top, left, bottom, right = layer.pads
        return (shape[0] + top + bottom, shape[1] + left + right, shape[2]), ""
    if layer.kind in ("global_avg_pool", "global_max_pool"):
        return ((1, 1, shape[2]) if layer.keepdims else (shape[2],)), ""
    if layer.kind == "flatten":
        return (int(np.prod(shape)),), ""
    if layer.kind == "reshape":
        return _reshaped(layer, shape)
    if layer.kind == "resize":
        h, w = layer.target
        hint = (
            f"mien scales each face to the network's input: make that {h} x {w}, without this layer"
        )
        return shape, "" if shape[:2] == layer.target else hint
    if layer.kind == "dense":
        return shape[:-1] + (layer.filters,), ""
    if layer.kind == "add":
        if any(other != shape for other in ins):
            return shape, f"its inputs differ in shape: {ins}"
    elif layer.kind == "multiply":
        largest = max(ins, key=lambda s: (len(s), int(np.prod(s))))
        for other in ins:
            whole, each = other == largest, other[-1] == largest[-1]
            if not whole and not (each and int(np.prod(other)) == other[-1]):
                return shape, f"its inputs differ in shape: {ins}"
        return largest, ""
    elif layer.kind == "concat":
        if any(other[:-1] != shape[:-1] for other in ins):
            return shape, f"its inputs differ in shape: {ins}"
        if layer.axis not in (-1, len(shape)):
            return shape, f"axis {layer.axis!r} is not supported (the last one, of channels, is)"
        return shape[:-1] + (sum(other[-1] for other in ins),), ""
    elif layer.kind in ("batch_norm", "affine"):
        if layer.axis not in (-1, len(shape)) and (layer.kind, layer.axis) != ("affine", None):
            return shape, f"axis {layer.axis!r} is not supported (the last one is)"
        for array in layer.weights.values() if layer.kind == "affine" else ():
            if array.size not in (1, shape[-1]):
                return shape, f"{array.size} numbers for {shape[-1]} channels"
    return shape, ""


def _reshaped(layer: Layer, shape: Shape) -> Tuple[Shape, str]:
    total = int(np.prod(shape))
    target = list(layer.target)
    if target.count(-1) == 1:
        rest = -int(np.prod(target))
        target[target.index(-1)] = total // rest if rest > 0 else 0
    if int(np.prod(target)) != total or min(target, default=0) < 1:
        return shape, f"target shape {layer.target} of {shape}"
    if tuple(target) != shape and len(target) != 1 and tuple(target) != (1, 1, total):
        return shape, (
            f"target shape {layer.target} of {shape} is not supported"
            " (a vector of all values, and 1 x 1 x channels, are)"
        )
    return tuple(target), ""
