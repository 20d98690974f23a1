# SPDX-License-Identifier: MIT
"""From layers (graph.py) to the ops of a .mien file, still in real numbers (float64).

Batch normalization goes into the convolution before it, ReLU into whatever can apply it, a separable
convolution becomes two, a dense layer a convolution over the whole map, and a last convolution with
global average pooling behind it becomes conv_gap. What cannot be said in these ops is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Callable, Dict, List, NoReturn, Optional, Tuple

import numpy as np

from . import activations, tensor_ops
from . import format as mien
from .errors import ModelError
from .graph import Layer, Model

NO_PADS = (0, 0, 0, 0)
Function = Callable[[np.ndarray], np.ndarray]  # of each value alone; channels are the last axis


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
    limit: Optional[float] = None  # of a relu: the largest value
    function: Optional[Function] = None  # of a table
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
            y = np.clip(x, 0, self.limit)
        elif self.op == mien.UPSAMPLE2:
            y = tensor_ops.upsample2(x)
        elif self.op == mien.TABLE:
            y = self.function(x).astype(x.dtype)
        elif self.op == mien.CONCAT:
            y = np.concatenate(ins, axis=-1)
        elif self.op == mien.MULTIPLY:
            y = ins[0] * ins[1]
        else:
            assert self.op == mien.GLOBAL_AVG_POOL
            y = x.mean(axis=(1, 2), keepdims=True)
        return np.clip(y, 0, self.limit) if self.relu else y


@dataclass
class FloatNet:
    input_shape: Tuple[int, int, int]
    ops: List[Op]
    softmax: bool
    maps: bool = False  # results are maps, at any size of input that `multiple` allows
    multiple: int = 0
    unsigned_input: bool = False  # all eight bits for inputs that are never negative
    # The ops' input is the network's times `scale` plus `offset`: a Rescaling at its start.
    scale: float = 1.0
    offset: float = 0.0

    def use_all_bits(self, scale: float, offset: float, wanted: bool) -> None:
        """Unsigned bytes for pixels * scale + offset, where none is negative and what reads them
        can take them."""
        readers = [op for op in self.ops if 0 in op.inputs]
        self.unsigned_input = (
            wanted
            and min(offset, 255 * scale + offset) >= 0
            and all(op.op == mien.CONV and not op.logits for op in readers)
        )

    def last_uses(self) -> Dict[int, int]:
        """For each tensor the last op that reads it."""
        return {t: i for i, op in enumerate(self.ops) for t in op.inputs}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Real input of the ops [N, h, w, c] to logits [N, classes]."""
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
    """What a layer's output has become."""

    tensor: int
    shape: Tuple[int, int, int]
    flat: bool = False  # a vector to the layers; here it stays the map that it was
    order: str = "hwc"  # in which it was flattened
    pads: tensor_ops.Pads = NO_PADS  # zeros around it that only exist on paper yet
    padder: str = ""


@dataclass
class _Folder:
    model: Model
    ops: List[Op] = field(default_factory=list)
    uses: Dict[str, int] = field(default_factory=dict)  # how many layers read a layer
    scale: float = 1.0  # of the input, as in FloatNet
    offset: float = 0.0

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


def _simplify(model: Model) -> List[Layer]:
    """Activations become layers of their own; layers without effect vanish."""
    layers: List[Layer] = []
    renamed: Dict[str, str] = {}
    for layer in model.layers:
        layer = replace(layer, inputs=[renamed[name] for name in layer.inputs])
        # Global pooling to 1 x 1 and flattening 1 x 1 are the same to us; a linear activation is nothing.
        if layer.kind in ("identity", "resize") or (
            layer.kind == "activation" and layer.activation == "linear"
        ):
            renamed[layer.name] = layer.inputs[0]
            continue
        activation = layer.activation
        if layer.kind != "activation" and activation != "linear":
            layers.append(replace(layer, activation="linear", parameters={}))
            name = f"{layer.name}/{activation}"
            layers.append(
                Layer(
                    name,
                    layer.class_name,
                    "activation",
                    [layer.name],
                    activation=activation,
                    parameters=layer.parameters,
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
    """Batch normalization and the like as factor and offset, in double."""
    if layer.kind == "affine":
        c = layer.output_shape[-1]
        return layer.weights["factor"] + np.zeros(c), layer.weights["offset"] + np.zeros(c)
    w = {role: array.astype(np.float64) for role, array in layer.weights.items()}
    factor = w.get("gamma", 1.0) / np.sqrt(w["moving_variance"] + layer.epsilon)
    return factor, w.get("beta", 0.0) - w["moving_mean"] * factor


def fold(model: Model) -> FloatNet:
    folder = _Folder(model)
    layers = _simplify(model)
    uses: Dict[str, int] = {}
    for layer in layers:
        for name in layer.inputs:
            uses[name] = uses.get(name, 0) + 1
    folder.uses = uses
    values: Dict[str, _Value] = {}
    ending: Optional[str] = None  # what makes the scores, behind the logits
    for layer in layers:
        ins = [values[name] for name in layer.inputs]
        if ending is not None:
            if layer.kind not in ("flatten", "reshape"):
                folder.refuse(layer, f"a layer behind the {ending} is not supported")
            values[layer.name] = ins[0]
            continue
        alone = len(ins) == 1 and uses[layer.inputs[0]] == 1
        if layer.kind == "input":
            values[layer.name] = _Value(0, model.input_shape)
        elif layer.kind == "activation" and layer.activation == "softmax":
            if not _ends(layers, layer):
                folder.refuse(layer, "softmax is supported only at the end")
            ending = "softmax"
            values[layer.name] = ins[0]
        elif layer.kind == "activation" and layer.activation == "sigmoid" and _ends(layers, layer):
            if layer.output_shape[-1] != 1:
                folder.refuse(
                    layer,
                    f"{layer.output_shape[-1]} scores that do not exclude each other are not"
                    " supported (one sigmoid for two classes is, and softmax)",
                )
            ending = "sigmoid"
            values[layer.name] = ins[0]
        else:
            values[layer.name] = _fold_layer(folder, layer, ins, alone)
    _make_head(folder, layers[-1], values[layers[-1].name])
    if ending == "sigmoid":
        _second_class(folder.ops[-1])
    return FloatNet(
        model.input_shape,
        folder.ops,
        ending is not None,
        scale=folder.scale,
        offset=folder.offset,
    )


def _ends(layers: List[Layer], layer: Layer) -> bool:
    """Nothing but a change of shape comes behind it."""
    behind = layers[layers.index(layer) + 1 :]
    return all(other.kind in ("flatten", "reshape") for other in behind)


def _second_class(last: Op) -> None:
    """Logits 0 and z: their softmax is 1 - sigmoid(z) and sigmoid(z)."""
    last.weights = np.concatenate([np.zeros_like(last.weights), last.weights])
    last.bias = np.concatenate([[0.0], last.bias])
    last.size = (*last.size[:2], 2)


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
        return _fold_dense(folder, layer, source)
    if layer.kind in ("batch_norm", "affine"):
        return _fold_affine(folder, layer, source, producer, alone)
    if layer.kind == "activation":
        limit = layer.parameters.get("max_value")
        if layer.activation != "relu" or set(layer.parameters) - {"max_value"}:
            return _fold_function(folder, layer, source, producer if alone else None)
        if producer is not None and alone and producer.op == mien.TABLE:
            return _fold_function(folder, layer, source, producer)
        if producer is not None and alone and producer.op in (mien.CONV, mien.DEPTHWISE, mien.ADD):
            limits = [v for v in (producer.limit, limit) if v is not None]
            producer.relu, producer.limit = True, min(limits, default=None)
            return source
        op = Op(layer.name, mien.RELU, [source.tensor], source.shape, limit=limit)
        return replace(folder.add(op), flat=source.flat, order=source.order)
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
    if layer.kind == "global_max_pool":
        h, w, c = source.shape
        if max(h, w) > 255:
            folder.refuse(layer, f"a map of {h} x {w} is not supported")
        return folder.add(Op(layer.name, mien.MAX_POOL, [source.tensor], (1, 1, c), (h, w), (h, w)))
    if layer.kind == "add":
        if any((v.shape, v.order) != (source.shape, source.order) for v in ins):
            folder.refuse(layer, "adds flattened maps of different shapes")
        total = source
        for k, other in enumerate(ins[1:], 1):
            name = layer.name if k == len(ins) - 1 else f"{layer.name}/{k}"
            total = folder.add(Op(name, mien.ADD, [total.tensor, other.tensor], source.shape))
        return replace(total, flat=source.flat, order=source.order)
    if layer.kind == "prelu":
        return _fold_function(folder, layer, source, producer if alone else None)
    if layer.kind in ("multiply", "concat"):
        if any(v.flat and v.shape[:2] != (1, 1) for v in ins):
            folder.refuse(layer, "of flattened maps is not supported (do it before Flatten)")
        return _fold_pairs(folder, layer, ins)
    if layer.kind == "flatten" or layer.kind == "reshape" and len(layer.output_shape) == 1:
        order = source.order if source.flat else layer.order
        return replace(source, flat=True, order=order)
    if layer.kind == "reshape":
        if source.shape != layer.output_shape:
            folder.refuse(layer, f"a map of {source.shape} as {layer.output_shape}")
        return replace(source, flat=False)
    if layer.kind != "zero_pad":
        folder.refuse(layer, "is not supported")
    pads = tuple(a + b for a, b in zip(source.pads, layer.pads))
    return replace(source, pads=pads, padder=layer.name)


def _fold_dense(folder: _Folder, layer: Layer, source: _Value) -> _Value:
    h, w, c = source.shape
    kernel = layer.weights["kernel"].astype(np.float64)
    if not source.flat:  # the same at every position
        h = w = 1
    if max(h, w) > 255:
        folder.refuse(layer, f"a dense layer on a map of {h} x {w} is not supported")
    if source.order == "chw":
        kernel = kernel.reshape(c, h, w, layer.filters).transpose(1, 2, 0, 3)
    return replace(
        folder.add(
            Op(
                layer.name,
                mien.CONV,
                [source.tensor],
                ((1, 1) if source.flat else source.shape[:2]) + (layer.filters,),
                (h, w),
                weights=kernel.reshape(h, w, c, layer.filters).transpose(3, 0, 1, 2),
                bias=_bias(layer, layer.filters),
            )
        ),
        flat=source.flat,
    )


def _fold_affine(
    folder: _Folder, layer: Layer, source: _Value, producer: Optional[Op], alone: bool
) -> _Value:
    """`producer`: the op that makes the source; `alone`: nothing else reads it."""
    if source.flat and source.shape[:2] != (1, 1):
        folder.refuse(layer, "normalization of a flattened map is not supported")
    factor, offset = _affine(layer)
    if layer.kind == "affine" and source.tensor == 0:
        return _scale_input(folder, layer, source, factor, offset, alone and not folder.ops)
    if producer is not None and alone and producer.op == mien.TABLE:
        return _fold_function(folder, layer, source, producer)
    if producer is not None and alone and producer.weights is not None and not producer.relu:
        channel_axis = (-1,) if producer.op == mien.DEPTHWISE else (-1, 1, 1, 1)
        producer.weights = producer.weights * factor.reshape(channel_axis)
        producer.bias = producer.bias * factor + offset
        return source
    if layer.kind == "affine":
        return _fold_function(folder, layer, source, None)
    # Nothing to fold it into: a depthwise convolution with a kernel of one.
    c = source.shape[2]
    op = Op(
        layer.name,
        mien.DEPTHWISE,
        [source.tensor],
        source.shape,
        weights=factor.reshape(1, 1, c),
        bias=offset + np.zeros(c),
    )
    return replace(folder.add(op), flat=source.flat)


def _function_of(folder: _Folder, layer: Layer) -> Function:
    """What the layer does to each value."""
    if layer.kind in ("affine", "batch_norm"):
        factor, offset = _affine(layer)
        return lambda x: x * factor + offset
    if layer.kind == "prelu":
        alpha = layer.weights["alpha"].astype(np.float64)
        slope = alpha.reshape(-1, alpha.shape[-1])
        if (slope != slope[0]).any():
            folder.refuse(
                layer, "slopes that vary over positions are not supported (shared_axes=[1, 2] is)"
            )
        return lambda x: np.where(x < 0, x * slope[0], x)
    return lambda x: activations.apply(x, layer.activation, layer.parameters)


def _fold_function(folder: _Folder, layer: Layer, source: _Value, producer: Optional[Op]) -> _Value:
    """`producer`: the op that makes the source, if nothing else reads it. Functions one after the
    other are one table."""
    function = _function_of(folder, layer)
    if source.flat and source.shape[:2] != (1, 1) and layer.kind == "prelu":
        folder.refuse(layer, "slopes of a flattened map are not supported")
    if producer is not None and producer.op == mien.TABLE:
        before = producer.function
        producer.function = lambda x: function(before(x))
        return source
    op = Op(layer.name, mien.TABLE, [source.tensor], source.shape, function=function)
    return replace(folder.add(op), flat=source.flat, order=source.order)


def _fold_pairs(folder: _Folder, layer: Layer, ins: List[_Value]) -> _Value:
    """Products and concatenations of two or more."""
    total = ins[0]
    for k, other in enumerate(ins[1:], 1):
        name = layer.name if k == len(ins) - 1 else f"{layer.name}/{k}"
        (h, w, c), second = total.shape, other.shape
        if layer.kind == "concat":
            size = (h, w, c + second[2])
            total = folder.add(Op(name, mien.CONCAT, [total.tensor, other.tensor], size))
            continue
        own = len(ins) == 2 and _by_itself(folder, layer, ins)
        if own:
            return own
        a, b = (total, other) if second[:2] in ((h, w), (1, 1)) else (other, total)
        total = folder.add(Op(name, mien.MULTIPLY, [a.tensor, b.tensor], a.shape))
    return total


def _by_itself(folder: _Folder, layer: Layer, ins: List[_Value]) -> Optional[_Value]:
    """x * f(x), as swish is often written, is a function, too."""
    for x, made, name in ((ins[0], ins[1], layer.inputs[1]), (ins[1], ins[0], layer.inputs[0])):
        op = folder.ops[made.tensor - 1] if made.tensor > 0 else None
        if op is None or op.op != mien.TABLE or op.inputs != [x.tensor]:
            continue
        if folder.uses[name] == 1:
            before = op.function
            op.function = lambda v: v * before(v)
            return made
    return None


def _scale_input(
    folder: _Folder,
    layer: Layer,
    source: _Value,
    factor: np.ndarray,
    offset: np.ndarray,
    alone: bool,
) -> _Value:
    """An affine layer on the image: into the scale of the file where all channels have the same,
    else a convolution of 1 x 1 on bytes of their own."""
    c = source.shape[2]
    if alone and (factor == factor[0]).all() and (offset == offset[0]).all():
        if factor[0] == 0:
            folder.refuse(layer, "a scale of 0")
        folder.scale *= float(factor[0])
        folder.offset = folder.offset * float(factor[0]) + float(offset[0])
        return source
    weights = np.diag(factor).reshape(c, 1, 1, c)
    op = Op(layer.name, mien.CONV, [0], source.shape, weights=weights, bias=offset + np.zeros(c))
    return folder.add(op)


def _bias(layer: Layer, count: int) -> np.ndarray:
    return layer.weights["bias"].astype(np.float64) if layer.use_bias else np.zeros(count)


def _check_pads(folder: _Folder, layer: Layer, pads: tensor_ops.Pads) -> None:
    if max(pads[0], pads[2]) >= layer.field[0] or max(pads[1], pads[3]) >= layer.field[1]:
        folder.refuse(
            layer,
            f"padding {pads} (top, left, bottom, right) as large as its kernel {layer.kernel} is not supported",
        )


def _fold_convolution(folder: _Folder, layer: Layer, source: _Value) -> _Value:
    pads = tuple(a + b for a, b in zip(layer.pads, source.pads))
    if max(layer.field) > 255:
        folder.refuse(layer, f"a kernel that spans {layer.field} is not supported (255 is)")
    _check_pads(folder, layer, pads)
    h, w, c = layer.output_shape
    weights = {role: array.astype(np.float64) for role, array in layer.weights.items()}
    if layer.kind == "conv":
        kernel = tensor_ops.dilated(weights["kernel"], layer.dilation)
        if layer.groups > 1 and layer.groups == source.shape[2] == c:
            return _add_depthwise(folder, layer, layer.name, source, kernel.transpose(0, 1, 3, 2))
        kernel = tensor_ops.grouped(kernel, layer.groups)
        return folder.add(
            Op(
                layer.name,
                mien.CONV,
                [source.tensor],
                (h, w, c),
                layer.field,
                layer.stride,
                pads,
                kernel.transpose(3, 0, 1, 2),
                _bias(layer, c),
            )
        )
    kernel = tensor_ops.dilated(weights["depthwise_kernel"], layer.dilation)
    if layer.kind == "depthwise":
        return _add_depthwise(folder, layer, layer.name, source, kernel)
    value = _add_depthwise(folder, layer, f"{layer.name}/depthwise", source, kernel)
    return folder.add(
        Op(
            f"{layer.name}/pointwise",
            mien.CONV,
            [value.tensor],
            (h, w, c),
            weights=weights["pointwise_kernel"].transpose(3, 0, 1, 2),
            bias=_bias(layer, c),
        )
    )


def _add_depthwise(
    folder: _Folder, layer: Layer, name: str, source: _Value, kernel: np.ndarray
) -> _Value:
    """kernel [y][x][channel][multiplier]. Several outputs per channel are a convolution, most of
    whose weights are 0."""
    pads = tuple(a + b for a, b in zip(layer.pads, source.pads))
    h, w, c, m = kernel.shape
    bias = np.zeros(c * m) if layer.kind == "separable" else _bias(layer, c * m)
    op, weights = mien.DEPTHWISE, kernel[..., 0]
    if m > 1:
        op = mien.CONV
        weights = tensor_ops.grouped(kernel.reshape(h, w, 1, c * m), c).transpose(3, 0, 1, 2)
    size = (*layer.output_shape[:2], c * m)
    return folder.add(
        Op(name, op, [source.tensor], size, layer.field, layer.stride, pads, weights, bias)
    )


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
