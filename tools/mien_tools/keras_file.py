# SPDX-License-Identifier: MIT
"""Keras models without Keras: reads the HDF5 files of Keras 1, 2 and 3 and the .keras archives of
Keras 3 into a plain list of layers. Only numpy and h5py: a converter that needs TensorFlow of the
year in which a model was saved soon cannot convert it.

What the engine cannot run is refused here, naming layer and class."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import h5py
import numpy as np

from . import tensor_ops
from .errors import ModelError, UnreadableError, read_bytes

Shape = Tuple[int, ...]  # (height, width, channels), or (features,) behind Flatten and the like

# What a broken file makes h5py raise.
_HDF5_ERRORS = (
    OSError,
    KeyError,
    ValueError,
    RuntimeError,
    TypeError,
    AttributeError,
    IndexError,
    UnicodeDecodeError,
)
_LARGEST_WEIGHTS = 1 << 30  # bytes; an archive that unpacks to more is not one of ours


@dataclass
class Layer:
    """One layer. `kind` decides which attributes are meaningful."""

    name: str
    class_name: str
    kind: str
    inputs: List[str] = field(default_factory=list)
    weights: Dict[str, np.ndarray] = field(default_factory=dict)
    activation: str = "linear"
    kernel: Tuple[int, int] = (1, 1)
    stride: Tuple[int, int] = (1, 1)
    padding: str = "valid"
    filters: int = 0
    use_bias: bool = True
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    axis: int = -1
    keepdims: bool = False
    rate: float = 0.0  # of a dropout
    pads: tensor_ops.Pads = (0, 0, 0, 0)  # resolved, never "same"
    input_shape: Shape = ()
    output_shape: Shape = ()

    def weight_shapes(self) -> List[Tuple[str, Shape]]:
        """Names and shapes of its weights, in the order in which every Keras stores them."""
        c = self.input_shape[-1]
        kh, kw = self.kernel
        bias = [("bias", (self.filters,))] if self.use_bias else []
        if self.kind == "conv":
            return [("kernel", (kh, kw, c, self.filters))] + bias
        if self.kind == "separable":
            return [
                ("depthwise_kernel", (kh, kw, c, 1)),
                ("pointwise_kernel", (1, 1, c, self.filters)),
            ] + bias
        if self.kind == "depthwise":
            return [("depthwise_kernel", (kh, kw, c, 1))] + (
                [("bias", (c,))] if self.use_bias else []
            )
        if self.kind == "dense":
            return [("kernel", (c, self.filters))] + bias
        if self.kind == "batch_norm":
            names = (
                ["gamma"] * self.scale + ["beta"] * self.center + ["moving_mean", "moving_variance"]
            )
            return [(name, (c,)) for name in names]
        return []


@dataclass
class KerasModel:
    path: str
    sha256: str
    name: str
    keras_version: str
    input_shape: Tuple[int, int, int]
    layers: List[Layer]  # in order of execution; the first is the input, the last makes the output

    @property
    def parameter_count(self) -> int:
        return sum(w.size for layer in self.layers for w in layer.weights.values())

    @property
    def class_count(self) -> int:
        return self.layers[-1].output_shape[-1]


# ---------------------------------------------------------------- configurations

_IGNORED = {
    "Dropout",
    "SpatialDropout2D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
}
# Names of Keras 1, and what later ones call the same.
_OLD_CLASSES = {
    "Convolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Merge": "Add",
}
_OLD_KEYS = {
    "nb_filter": "filters",
    "subsample": "strides",
    "border_mode": "padding",
    "bias": "use_bias",
    "output_dim": "units",
}
_ACTIVATIONS = ("linear", "relu", "softmax")


class _Config:
    """A layer's configuration: unknown keys are ignored, missing ones get Keras' defaults."""

    def __init__(self, path: str, name: str, class_name: str, values: Dict[str, Any]) -> None:
        self.path, self.name, self.class_name = path, name, class_name
        self.values = {_OLD_KEYS.get(key, key): value for key, value in values.items()}

    def refuse(self, what: str) -> ModelError:
        return ModelError(self.path, f"layer '{self.name}' ({self.class_name}): {what}")

    def pair(self, key: str, default: Any) -> Tuple[int, int]:
        value = self.values.get(key)
        if value is None:
            value = default
        if isinstance(value, int) and not isinstance(value, bool):
            value = (value, value)
        if (
            not isinstance(value, (list, tuple))
            or len(value) != 2
            or not all(isinstance(v, int) and 1 <= v <= 255 for v in value)
        ):
            raise self.refuse(f"{key} {value!r} is not supported")
        return int(value[0]), int(value[1])

    def require(self, key: str, allowed: Sequence[Any], default: Any) -> Any:
        value = self.values.get(key, default)
        if isinstance(value, list):
            value = tuple(value)
        if value not in allowed:
            raise self.refuse(f"{key} {value!r} is not supported")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        if isinstance(value, dict):  # numpy scalars as Keras 3 writes them
            value = value.get("config", {}).get("value")
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            raise self.refuse(f"{key} {value!r} is not a number")
        return float(value)

    def count(self, key: str) -> int:
        value = self.number(key, 0)
        if not 1 <= value <= 65535 or value != int(value):
            raise self.refuse(f"{key} {value!r} is not supported")
        return int(value)

    def activation(self, default: str = "linear") -> str:
        value = self.values.get("activation", default)
        if isinstance(value, dict):  # a serialized function
            value = value.get("config", value.get("class_name"))
            if isinstance(value, dict):
                value = value.get("name")
        if value is None:
            value = "linear"
        if value not in _ACTIVATIONS:
            raise self.refuse(
                f"activation {value!r} is not supported ({', '.join(_ACTIVATIONS)} are)"
            )
        return value


def _layer_of(config: _Config) -> Layer:
    """The layer that a configuration describes, without shapes and weights."""
    class_name = _OLD_CLASSES.get(config.class_name, config.class_name)
    layer = Layer(config.name, config.class_name, "")
    if class_name in (
        "Conv2D",
        "SeparableConv2D",
        "DepthwiseConv2D",
        "MaxPooling2D",
        "AveragePooling2D",
        "GlobalAveragePooling2D",
        "Flatten",
        "ZeroPadding2D",
    ):
        config.require("data_format", ("channels_last", None), None)
        config.require("dim_ordering", ("tf", "default"), "tf")
    if class_name in ("Conv2D", "SeparableConv2D", "DepthwiseConv2D"):
        layer.kind = {
            "Conv2D": "conv",
            "SeparableConv2D": "separable",
            "DepthwiseConv2D": "depthwise",
        }[class_name]
        if "nb_row" in config.values:
            config.values["kernel_size"] = [config.values["nb_row"], config.values.get("nb_col")]
        layer.kernel = config.pair("kernel_size", None)
        layer.stride = config.pair("strides", 1)
        layer.padding = config.require("padding", ("same", "valid"), "valid")
        config.require("dilation_rate", (1, (1, 1)), 1)
        config.require("groups", (1, None), 1)
        if class_name != "Conv2D":
            config.require("depth_multiplier", (1, None), 1)
        if class_name != "DepthwiseConv2D":
            layer.filters = config.count("filters")
        layer.use_bias = bool(config.values.get("use_bias", True))
        layer.activation = config.activation()
    elif class_name == "Dense":
        layer.kind = "dense"
        layer.filters = config.count("units")
        layer.use_bias = bool(config.values.get("use_bias", True))
        layer.activation = config.activation()
    elif class_name == "BatchNormalization":
        layer.kind = "batch_norm"
        config.require("mode", (0,), 0)
        axis = config.values.get("axis", -1)
        if isinstance(axis, list) and len(axis) == 1:
            axis = axis[0]
        layer.axis = axis
        layer.epsilon = config.number("epsilon", 1e-3)
        if layer.epsilon < 0:
            raise config.refuse("negative epsilon")
        layer.center = bool(config.values.get("center", True))
        layer.scale = bool(config.values.get("scale", True))
    elif class_name in ("Activation", "ReLU", "Softmax"):
        layer.kind = "activation"
        if class_name == "Activation":
            layer.activation = config.activation()
        elif class_name == "Softmax":
            layer.activation = "softmax"
            config.require("axis", (-1, (-1,)), -1)
        else:
            layer.activation = "relu"
            if (
                config.values.get("max_value") is not None
                or config.number("threshold", 0) != 0
                or config.number("negative_slope", 0) != 0
            ):
                raise config.refuse("only the plain ReLU is supported")
    elif class_name in ("MaxPooling2D", "AveragePooling2D"):
        layer.kind = "max_pool" if class_name == "MaxPooling2D" else "avg_pool"
        layer.kernel = config.pair("pool_size", 2)
        layer.stride = config.pair("strides", layer.kernel)
        layer.padding = config.require("padding", ("same", "valid"), "valid")
    elif class_name == "GlobalAveragePooling2D":
        layer.kind = "global_avg_pool"
        layer.keepdims = bool(config.values.get("keepdims", False))
    elif class_name == "Add":
        layer.kind = "add"
        if config.class_name == "Merge":
            config.require("mode", ("sum",), None)
    elif class_name == "Flatten":
        layer.kind = "flatten"
    elif class_name == "ZeroPadding2D":
        layer.kind = "zero_pad"
        padding = config.values.get("padding", 1)
        try:
            rows, cols = (padding, padding) if isinstance(padding, int) else padding
            (top, bottom), (left, right) = (
                (v, v) if isinstance(v, int) else v for v in (rows, cols)
            )
            layer.pads = (int(top), int(left), int(bottom), int(right))
        except (TypeError, ValueError):
            layer.pads = (-1, 0, 0, 0)
        if not all(0 <= v <= 254 for v in layer.pads):
            raise config.refuse(f"padding {padding!r} is not supported")
    elif class_name in _IGNORED:
        layer.kind = "identity"
    elif class_name == "InputLayer":
        layer.kind = "input"
    else:
        raise config.refuse("this class is not supported")
    return layer


# ---------------------------------------------------------------- graph


def _tensor_names(config: _Config, node: Any) -> List[str]:
    """Layers whose output a node takes: the nested lists of Keras 1 and 2, or the tensors of Keras 3."""
    found: List[str] = []

    def reference(name: Any, tensor_index: Any) -> None:
        if not isinstance(name, str) or tensor_index != 0:
            raise config.refuse("takes an output other than the first of a layer")
        found.append(name)

    def walk(value: Any, depth: int = 0) -> None:
        if depth > 8:
            raise config.refuse("damaged inbound_nodes")
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                history = value.get("config", {}).get("keras_history")
                if not isinstance(history, list) or len(history) != 3:
                    raise config.refuse("damaged inbound_nodes")
                reference(history[0], history[2])
            elif "args" in value:
                walk(value["args"], depth + 1)
                for item in value.get("kwargs", {}).values():
                    walk(item, depth + 1)
        elif isinstance(value, (list, tuple)):
            # ["name", node index, tensor index] and perhaps {call arguments}
            if (
                len(value) in (3, 4)
                and isinstance(value[0], str)
                and all(isinstance(v, int) for v in value[1:3])
            ):
                reference(value[0], value[2])
                if len(value) == 4 and isinstance(value[3], dict):
                    for item in value[3].values():
                        walk(item, depth + 1)
            else:
                for item in value:
                    walk(item, depth + 1)

    walk(node)
    return found


def _end_points(value: Any) -> List[str]:
    """Names in input_layers / output_layers: ["a", 0, 0] or a list of these, or a dict of them."""
    if isinstance(value, dict):
        value = list(value.values())
    if (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    ):
        return [value[0]]
    if not isinstance(value, list):
        return []
    return [name for item in value for name in _end_points(item)]


def _ordered(path: str, layers: Dict[str, Layer], last: str) -> List[Layer]:
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


def _spatial_input(path: str, name: str, values: Dict[str, Any]) -> Optional[Tuple[int, int, int]]:
    shape = values.get("batch_input_shape", values.get("batch_shape"))
    if shape is None and isinstance(values.get("input_shape"), list):
        shape = [None] + values["input_shape"]
    if shape is None:
        return None
    if not isinstance(shape, (list, tuple)) or len(shape) != 4:
        raise ModelError(
            path, f"layer '{name}': the input has shape {shape!r}, not that of an image"
        )
    if not all(isinstance(v, int) for v in shape[1:]):
        raise ModelError(path, f"layer '{name}': the input size {tuple(shape[1:])!r} is not fixed")
    h, w, c = shape[1:]
    if not (1 <= h <= 1024 and 1 <= w <= 1024 and c in (1, 3)):
        raise ModelError(
            path,
            f"layer '{name}': an input of {h} x {w} x {c} is not supported (1..1024 x 1..1024 x 1 or 3)",
        )
    return h, w, c


def _read_graph(path: str, config: Any) -> Tuple[str, Tuple[int, int, int], List[Layer]]:
    if not isinstance(config, dict) or not isinstance(config.get("config"), (dict, list)):
        raise ModelError(path, "damaged model configuration")
    kind, body = config.get("class_name"), config["config"]
    records = body if isinstance(body, list) else body.get("layers")
    name = "" if isinstance(body, list) else str(body.get("name", ""))
    if kind not in ("Sequential", "Functional", "Model"):
        raise ModelError(
            path, f"a model of class {kind!r} is not supported (Sequential and Functional are)"
        )
    if (
        not isinstance(records, list)
        or not records
        or not all(isinstance(r, dict) for r in records)
    ):
        raise ModelError(path, "damaged model configuration: no list of layers")
    layers: Dict[str, Layer] = {}
    input_shape: Optional[Tuple[int, int, int]] = None
    input_count = 0
    previous: Optional[str] = None
    for record in records:
        values, class_name = record.get("config"), str(record.get("class_name"))
        if not isinstance(values, (dict, list)):
            raise ModelError(path, "damaged model configuration: a layer without config")
        layer_name = (
            record.get("name")
            or (values.get("name") if isinstance(values, dict) else None)
            or f"layer {len(layers)}"
        )
        item = _Config(
            path, str(layer_name), class_name, values if isinstance(values, dict) else {}
        )
        layer = _layer_of(item)
        if layer.name in layers:
            raise item.refuse("a second layer of this name")
        own_input = (
            _spatial_input(path, layer.name, item.values)
            if layer.kind == "input" or kind == "Sequential"
            else None
        )
        if kind == "Sequential":
            if layer.kind == "input":
                if previous is not None:
                    raise item.refuse("an input that is not the first layer")
            elif (
                previous is None
            ):  # without an InputLayer of its own, the first layer says what it takes
                own_input = own_input or _spatial_input(
                    path,
                    layer.name,
                    {
                        "batch_shape": (
                            body.get("build_input_shape") if isinstance(body, dict) else None
                        )
                    },
                )
                layers["input"] = Layer("input", "InputLayer", "input")
                previous = "input"
            if previous is not None:
                layer.inputs = [previous]
            previous = layer.name
        else:
            nodes = record.get("inbound_nodes", [])
            if not isinstance(nodes, list):
                raise item.refuse("damaged inbound_nodes")
            if len(nodes) > 1:
                raise item.refuse("used more than once (shared layers are not supported)")
            layer.inputs = _tensor_names(item, nodes[0]) if nodes else []
            if (layer.kind == "input") != (not layer.inputs):
                raise item.refuse(
                    "is not connected" if layer.kind != "input" else "an input with an input"
                )
        if layer.kind == "input":
            input_count += 1
        input_shape = input_shape or own_input
        if len(layer.inputs) > 1 and layer.kind != "add":
            raise item.refuse("takes more than one input")
        if layer.kind == "add" and len(layer.inputs) < 2:
            raise item.refuse("needs two inputs")
        layers[layer.name] = layer
    if kind == "Sequential":
        last = list(layers)[-1]
    else:
        outputs, inputs = _end_points(body.get("output_layers")), _end_points(
            body.get("input_layers")
        )
        if len(outputs) != 1 or len(inputs) > 1 or input_count != 1:
            raise ModelError(
                path,
                f"{max(len(inputs), input_count)} inputs and {len(outputs)} outputs (one of each is supported)",
            )
        last = outputs[0]
    if input_shape is None:
        raise ModelError(path, "the size of the input is not known")
    return name, input_shape, _ordered(path, layers, last)


def infer_shapes(path: str, layers: List[Layer], input_shape: Tuple[int, int, int]) -> None:
    """Fills in shapes and turns "same" into explicit pads."""
    shapes: Dict[str, Shape] = {}
    for layer in layers:
        refuse = lambda what: ModelError(
            path, f"layer '{layer.name}' ({layer.class_name}): {what}"
        )  # noqa: B023,E731
        ins = [shapes[name] for name in layer.inputs]
        shape = layer.input_shape = ins[0] if ins else input_shape
        if layer.kind in (
            "conv",
            "separable",
            "depthwise",
            "max_pool",
            "avg_pool",
            "zero_pad",
            "global_avg_pool",
        ):
            if len(shape) != 3:
                raise refuse("its input is not a map")
        if layer.kind in ("conv", "separable", "depthwise", "max_pool", "avg_pool"):
            if layer.padding == "same":
                layer.pads = tensor_ops.same_pads(shape[:2], layer.kernel, layer.stride)
            h, w = tensor_ops.output_size(shape[:2], layer.kernel, layer.stride, layer.pads)
            if h < 1 or w < 1:
                raise refuse(f"its kernel {layer.kernel} is larger than its input {shape[:2]}")
            shape = (h, w, layer.filters or shape[2])
        elif layer.kind == "zero_pad":
            top, left, bottom, right = layer.pads
            shape = (shape[0] + top + bottom, shape[1] + left + right, shape[2])
        elif layer.kind == "global_avg_pool":
            shape = (1, 1, shape[2]) if layer.keepdims else (shape[2],)
        elif layer.kind == "flatten":
            shape = (int(np.prod(shape)),)
        elif layer.kind == "dense":
            if len(shape) != 1 and shape[:2] != (1, 1):
                raise refuse("a dense layer on a map is not supported (flatten it first)")
            shape = shape[:-1] + (layer.filters,)
        elif layer.kind == "add" and any(other != shape for other in ins):
            raise refuse(f"its inputs differ in shape: {ins}")
        elif layer.kind == "batch_norm" and layer.axis not in (-1, len(shape)):
            raise refuse(f"axis {layer.axis!r} is not supported (the last one is)")
        if not all(1 <= v for v in shape) or int(np.prod(shape)) > 1 << 28:
            raise refuse(f"an output of shape {shape} is not supported")
        layer.output_shape = shapes[layer.name] = shape


# ---------------------------------------------------------------- weights

_ROLE_NAMES = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
}


def _assign_weights(
    path: str, layer: Layer, arrays: List[np.ndarray], names: Sequence[str] = ()
) -> None:
    """By name where every name tells its role, else by order, which is the same in every Keras."""
    expected = layer.weight_shapes()
    refuse = lambda what: ModelError(
        path, f"layer '{layer.name}' ({layer.class_name}): {what}"
    )  # noqa: E731
    if len(arrays) != len(expected):
        raise refuse(f"{len(arrays)} weights in the file, {len(expected)} expected")
    roles = [re.sub(r":\d+$", "", name).split("/")[-1] for name in names]
    roles = [_ROLE_NAMES.get(role, role) for role in roles]
    if layer.kind == "depthwise":
        roles = ["depthwise_kernel" if role == "kernel" else role for role in roles]
    if sorted(roles) == sorted(role for role, _ in expected):
        by_role = dict(zip(roles, arrays))
        arrays = [by_role[role] for role, _ in expected]
    for (role, shape), array in zip(expected, arrays):
        if array.shape != shape:
            raise refuse(f"{role} has shape {array.shape}, {shape} expected")
        if array.dtype.kind != "f":
            raise refuse(f"{role} is not of a float type")
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise refuse(f"{role} has values that are not finite")
        if role == "moving_variance" and (array < 0).any():
            raise refuse("negative variance")
        layer.weights[role] = array


def _text_list(attributes: Any, key: str) -> List[str]:
    """An attribute of strings; Keras spreads long ones over key0, key1, ..."""
    parts = [attributes[key]] if key in attributes else []
    while not parts or f"{key}{len(parts)}" in attributes:
        if f"{key}{len(parts)}" not in attributes:
            break
        parts.append(attributes[f"{key}{len(parts)}"])
    return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for part in parts for v in part]


def _as_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else value.tobytes()
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _load_json(path: str, text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError(path, f"{what} is not JSON") from None


def _array(path: str, item: Any, where: str) -> np.ndarray:
    if not isinstance(item, h5py.Dataset):
        raise ModelError(path, f"{where} is not an array")
    if item.size > _LARGEST_WEIGHTS // 4:
        raise ModelError(path, f"{where} is too large")
    return np.asarray(item[()])


def _open_hdf5(path: str, data: bytes) -> h5py.File:
    try:
        return h5py.File(io.BytesIO(data), "r")
    except _HDF5_ERRORS:
        raise UnreadableError(path, "a damaged HDF5 file") from None


def _read_hdf5(path: str, data: bytes, sha256: str) -> KerasModel:
    with _open_hdf5(path, data) as file:
        try:
            if "model_config" not in file.attrs:
                raise ModelError(
                    path, "no model_config in it (weights alone do not say what the network is)"
                )
            config = _load_json(path, _as_text(file.attrs["model_config"]), "model_config")
            name, input_shape, layers = _read_graph(path, config)
            infer_shapes(path, layers, input_shape)
            group = file["model_weights"]
            version = _as_text(
                file.attrs.get("keras_version", group.attrs.get("keras_version", ""))
            )
            for layer in layers:
                if not layer.weight_shapes():
                    continue
                if layer.name not in group:
                    raise ModelError(
                        path, f"layer '{layer.name}' ({layer.class_name}): its weights are missing"
                    )
                names = _text_list(group[layer.name].attrs, "weight_names")
                arrays = [_array(path, group[layer.name][n], f"{layer.name}/{n}") for n in names]
                _assign_weights(path, layer, arrays, names)
        except _HDF5_ERRORS as error:
            raise ModelError(path, f"damaged: {str(error) or type(error).__name__}") from None
    return KerasModel(path, sha256, name, version, input_shape, layers)


def _snake_case(name: str) -> str:
    """How Keras 3 derives a group's name from a layer's class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _archive_member(path: str, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ModelError(path, f"no {name} in the archive") from None
    if info.file_size > _LARGEST_WEIGHTS:
        raise ModelError(path, f"{name} is too large")
    with archive.open(info) as member:
        return member.read(info.file_size + 1)


def _read_archive(path: str, data: bytes, sha256: str) -> KerasModel:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            config = _load_json(
                path, _archive_member(path, archive, "config.json").decode("utf-8"), "config.json"
            )
            weights = _archive_member(path, archive, "model.weights.h5")
            version = ""
            if "metadata.json" in archive.namelist():
                metadata = _load_json(
                    path,
                    _archive_member(path, archive, "metadata.json").decode("utf-8"),
                    "metadata.json",
                )
                version = (
                    str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""
                )
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        zlib.error,
    ):
        raise UnreadableError(path, "a damaged .keras archive") from None
    name, input_shape, layers = _read_graph(path, config)
    infer_shapes(path, layers, input_shape)
    with _open_hdf5(path, weights) as file:
        try:
            group = file["layers"] if "layers" in file else file["_layer_checkpoint_dependencies"]
            # Groups are named after classes, not layers; newer files tell the layer's name in an attribute.
            by_name = {
                _as_text(group[g].attrs["name"]): group[g]
                for g in group
                if "name" in group[g].attrs
            }
            used: Dict[str, int] = {}
            for layer in _config_order(config, layers):
                key = _snake_case(layer.class_name)
                number = used.get(key, 0)
                used[key] = number + 1
                if not layer.weight_shapes():
                    continue
                key = f"{key}_{number}" if number else key
                found = by_name.get(layer.name) or group.get(key) or group.get(layer.name)
                if found is None or "vars" not in found:
                    raise ModelError(
                        path, f"layer '{layer.name}' ({layer.class_name}): its weights are missing"
                    )
                variables = found["vars"]
                arrays = [
                    _array(path, variables[str(i)], f"{layer.name}/{i}")
                    for i in range(len(variables))
                ]
                _assign_weights(path, layer, arrays)
        except _HDF5_ERRORS as error:
            raise ModelError(path, f"damaged: {str(error) or type(error).__name__}") from None
    return KerasModel(path, sha256, name, version, input_shape, layers)


def _config_order(config: Any, layers: List[Layer]) -> List[Layer]:
    """The layers in the order of the configuration: the numbers in group names count that way."""
    by_name = {layer.name: layer for layer in layers}
    order = []
    for record in config["config"]["layers"]:
        name = record.get("name") or record["config"].get("name")
        order.append(
            by_name.get(name) or Layer(str(name), str(record.get("class_name")), "identity")
        )
    return order


def read_model(path: str) -> KerasModel:
    """Reads a model file of any of the supported kinds."""
    path = str(path)
    data = read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return _read_hdf5(path, data, sha256)
    if data[:4] == b"PK\x03\x04":
        return _read_archive(path, data, sha256)
    raise UnreadableError(path, "neither an HDF5 file nor a .keras archive")
