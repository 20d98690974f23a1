# SPDX-License-Identifier: MIT
"""Keras models without Keras: reads the HDF5 files of Keras 1, 2 and 3, also those of weights alone
beside a JSON file of the structure, and the .keras archives of Keras 3 into a plain list of layers.
Only numpy and h5py: a converter that needs TensorFlow of the year in which a model was saved soon
cannot convert it.

What the engine cannot run is refused here, naming layer and class."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
import zlib
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import h5py
import numpy as np

from . import activations
from .errors import ModelError, UnreadableError, UsageError, read_bytes
from .graph import Layer, Model, infer_shapes, ordered

KerasModel = Model  # what the trainer calls it

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


# ---------------------------------------------------------------- configurations

_IGNORED = {
    "Dropout",
    "SpatialDropout2D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
    # Augmentation, which only training sees; further ones are named Random...
    "AugMix",
    "CutMix",
    "MixUp",
    "RandAugment",
}
_MODELS = ("Sequential", "Functional", "Model")
# Names of Keras 1, and what later ones call the same.
_OLD_CLASSES = {
    "Convolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "MaxPool2D": "MaxPooling2D",
    "AvgPool2D": "AveragePooling2D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
}
_MERGES = {"sum": "Add", "mul": "Multiply", "concat": "Concatenate"}
# What works instead of a class that is refused.
_NEAREST = {
    "Lambda": "it holds Python code; what it does to the input belongs in --input-scale, the rest in"
    " layers of Keras",
    "TFOpLambda": "written as an expression; use the layer that does the same, Add, Multiply, ReLU",
    "SlicingOpLambda": "written as an expression; use a layer",
    "GroupNormalization": "BatchNormalization works",
    "LayerNormalization": "BatchNormalization works",
    "UnitNormalization": "BatchNormalization works",
    "Conv2DTranspose": "Conv2D works",
    "LocallyConnected2D": "Conv2D works",
    "CenterCrop": "give the network an input of that size, and use a negative --margin-x, --margin-y",
    "RandomCrop": "it crops at inference, too: give the network an input of that size",
    "Maximum": "Add, Multiply and Concatenate work",
    "Average": "Add works",
    "Subtract": "Add works",
    "Permute": "channels_last works",
    "GlobalAveragePooling1D": "GlobalAveragePooling2D before any Reshape works",
}
_OLD_KEYS = {
    "nb_filter": "filters",
    "subsample": "strides",
    "border_mode": "padding",
    "bias": "use_bias",
    "output_dim": "units",
}
# Names of Keras, and what activations.py calls the same.
_ACTIVATIONS: Dict[str, Tuple[str, Dict[str, float]]] = {
    **{name: (name, {}) for name in activations.ELEMENTWISE if name not in ("clip", "hard_swish")},
    "softmax": ("softmax", {}),
    "relu6": ("relu", {"max_value": 6.0}),
    "leaky_relu": ("relu", {"slope": 0.2}),
    "silu": ("swish", {}),
    "selu": ("elu", activations.SELU),
}
_HARD = {"hard_sigmoid": "hard_sigmoid", "hard_swish": "hard_swish", "hard_silu": "hard_swish"}


class _Config:
    """A layer's configuration: unknown keys are ignored, missing ones get Keras' defaults."""

    def __init__(
        self, path: str, name: str, class_name: str, values: Dict[str, Any], version: str
    ) -> None:
        self.path, self.name, self.version = path, name, version
        self.class_name = class_name.split(">")[-1]  # "Custom>Name" of registered classes
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

    def count(self, key: str, default: int = 0) -> int:
        value = default if self.values.get(key) is None else self.number(key, default)
        if not 1 <= value <= 65535 or value != int(value):
            raise self.refuse(f"{key} {value!r} is not supported")
        return int(value)

    def numbers(self, key: str, default: Any) -> np.ndarray:
        """One number, or one per channel: float64 []  or [n]."""
        value = self.values.get(key, default)
        if isinstance(value, dict):
            value = value.get("config", {}).get("value")
        try:
            array = np.squeeze(np.asarray(value, np.float64))
        except (TypeError, ValueError):
            array = np.array(np.nan)
        if array.ndim > 1 or not array.size or not np.isfinite(array).all():
            raise self.refuse(f"{key} {value!r} is not a number, nor one per channel")
        return array

    def set_activation(self, layer: Layer) -> None:
        """From the key `activation`: a name, a serialized function or a serialized layer."""
        value = self.values.get("activation")
        if isinstance(value, dict):
            inner = value.get("config", value.get("class_name"))
            if isinstance(inner, dict) and value.get("class_name") in _ACTIVATION_LAYERS:
                item = _Config(self.path, self.name, value["class_name"], inner, self.version)
                made = _layer_of(item)
                layer.activation, layer.parameters = made.activation, made.parameters
                return
            value = inner.get("name") if isinstance(inner, dict) else inner
        if value is None:
            value = "linear"
        name = str(value).split(">")[-1]
        if name in _HARD:  # Keras 3 has another hard sigmoid than all before it
            third = self.version.startswith("3")
            steepness = {"alpha": 1 / 6 if third else 0.2, "beta": 0.5}
            layer.activation, layer.parameters = _HARD[name], steepness
        elif name in _ACTIVATIONS:
            layer.activation, layer.parameters = _ACTIVATIONS[name]
        else:
            known = ", ".join(sorted({*_ACTIVATIONS, *_HARD}))
            raise self.refuse(f"activation {value!r} is not supported ({known} are)")


_ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")


def _layer_of(config: _Config) -> Layer:
    """The layer that a configuration describes, without shapes and weights."""
    class_name = _OLD_CLASSES.get(config.class_name, config.class_name)
    if class_name == "Merge":
        mode = config.require("mode", tuple(_MERGES), None)
        class_name = _MERGES[mode]
    layer = Layer(config.name, config.class_name, "")
    if class_name in (
        "Conv2D",
        "SeparableConv2D",
        "DepthwiseConv2D",
        "MaxPooling2D",
        "AveragePooling2D",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling2D",
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
        layer.dilation = config.pair("dilation_rate", 1)
        layer.groups = config.count("groups", 1)
        if class_name != "Conv2D":
            layer.multiplier = config.count("depth_multiplier", 1)
        if class_name != "DepthwiseConv2D":
            layer.filters = config.count("filters")
        layer.use_bias = bool(config.values.get("use_bias", True))
        config.set_activation(layer)
    elif class_name == "Dense":
        layer.kind = "dense"
        layer.filters = config.count("units")
        layer.use_bias = bool(config.values.get("use_bias", True))
        config.set_activation(layer)
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
    elif class_name in _ACTIVATION_LAYERS:
        layer.kind = "activation"
        if class_name == "Activation":
            config.set_activation(layer)
        elif class_name == "Softmax":
            layer.activation = "softmax"
            config.require("axis", (-1, (-1,)), -1)
        elif class_name == "ELU":
            layer.activation, layer.parameters = "elu", {"alpha": config.number("alpha", 1.0)}
        elif class_name == "LeakyReLU":
            key = "alpha" if "alpha" in config.values else "negative_slope"
            layer.activation, layer.parameters = "relu", {"slope": config.number(key, 0.3)}
        else:
            layer.activation = "relu"
            if config.values.get("max_value") is not None:
                layer.parameters["max_value"] = config.number("max_value", 0)
                if not layer.parameters["max_value"] > 0:
                    raise config.refuse("max_value must be positive")
            for key, parameter in (("negative_slope", "slope"), ("threshold", "threshold")):
                if config.number(key, 0) != 0:
                    layer.parameters[parameter] = config.number(key, 0)
    elif class_name == "PReLU":
        layer.kind = "prelu"
        shared = config.values.get("shared_axes") or []
        layer.target = tuple(shared) if isinstance(shared, list) else (shared,)
    elif class_name == "Rescaling":
        layer.kind = "affine"
        layer.weights = {
            "factor": config.numbers("scale", 1.0),
            "offset": config.numbers("offset", 0.0),
        }
    elif class_name == "Normalization":
        layer.kind = "affine"
        config.require("invert", (False, None), False)
        axis = config.values.get("axis", -1)
        layer.axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        if axis == []:
            layer.axis = None
        if config.values.get("mean") is not None:
            mean, variance = config.numbers("mean", 0.0), config.numbers("variance", 1.0)
            layer.weights = _normalization(mean, variance)
    elif class_name in ("MaxPooling2D", "AveragePooling2D"):
        layer.kind = "max_pool" if class_name == "MaxPooling2D" else "avg_pool"
        layer.kernel = config.pair("pool_size", 2)
        layer.stride = config.pair("strides", layer.kernel)
        layer.padding = config.require("padding", ("same", "valid"), "valid")
    elif class_name in ("GlobalAveragePooling2D", "GlobalMaxPooling2D"):
        average = class_name == "GlobalAveragePooling2D"
        layer.kind = "global_avg_pool" if average else "global_max_pool"
        layer.keepdims = bool(config.values.get("keepdims", False))
    elif class_name in ("Add", "Multiply", "Concatenate"):
        layer.kind = {"Add": "add", "Multiply": "multiply", "Concatenate": "concat"}[class_name]
        if class_name == "Concatenate":
            key = "concat_axis" if "concat_axis" in config.values else "axis"
            layer.axis = int(config.number(key, -1))
    elif class_name == "Flatten":
        layer.kind = "flatten"
    elif class_name == "Reshape":
        layer.kind = "reshape"
        target = config.values.get("target_shape")
        if not isinstance(target, (list, tuple)) or not all(
            isinstance(v, int) and not isinstance(v, bool) and (v == -1 or 1 <= v < 1 << 28)
            for v in target
        ):
            raise config.refuse(f"target_shape {target!r} is not supported")
        layer.target = tuple(target)
    elif class_name == "Resizing":
        layer.kind = "resize"
        layer.target = (config.count("height"), config.count("width"))
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
    elif class_name in _IGNORED or (class_name.startswith("Random") and class_name not in _NEAREST):
        layer.kind = "identity"
    elif class_name == "InputLayer":
        layer.kind = "input"
    else:
        nearest = _NEAREST.get(class_name)
        raise config.refuse("this class is not supported" + (f" ({nearest})" if nearest else ""))
    return layer


def _normalization(mean: np.ndarray, variance: np.ndarray) -> Dict[str, np.ndarray]:
    """(x - mean) / deviation as factor and offset, with Keras' least deviation."""
    factor = 1 / np.maximum(np.sqrt(variance.astype(np.float64)), 1e-7)
    return {"factor": factor, "offset": -mean.astype(np.float64) * factor}


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


_MOST_LAYERS, _DEEPEST = 4096, 16


class _GraphReader:
    """Collects the layers of a model and of those nested in it, whose layers get their names before
    their own: "features/conv1"."""

    def __init__(self, path: str, version: str) -> None:
        self.path, self.version = path, version
        self.layers: Dict[str, Layer] = {}
        self.input_shape: Optional[Tuple[int, int, int]] = None
        self.input_count = 0

    def add(self, item: _Config, layer: Layer) -> None:
        if layer.name in self.layers:
            raise item.refuse("a second layer of this name")
        if len(self.layers) >= _MOST_LAYERS:
            raise ModelError(self.path, f"more than {_MOST_LAYERS} layers")
        self.layers[layer.name] = layer

    def add_input(self, item: _Config, layer: Layer, source: Optional[str]) -> None:
        """An input of the whole network, or of a nested one that takes `source`."""
        if source is not None:
            layer.kind, layer.inputs = "identity", [source]
        else:
            self.input_count += 1
        self.add(item, layer)

    def read(self, config: Any, outer: Tuple[str, ...], source: Optional[str]) -> str:
        """The model `config`, nested in `outer`, fed by the layer `source`; returns its last layer."""
        records = _records(self.path, config)
        if len(outer) > _DEEPEST:
            raise ModelError(self.path, "models nested too deep")
        kind, body = config["class_name"], config["config"]
        prefix = "".join(f"{name}/" for name in outer)
        previous: Optional[str] = None
        inputs_before = self.input_count
        for record in records:
            values, class_name = record.get("config"), str(record.get("class_name"))
            if not isinstance(values, (dict, list)):
                raise ModelError(self.path, "damaged model configuration: a layer without config")
            own = _own_name(record, len(self.layers))
            name = prefix + own
            item = _Config(
                self.path,
                name,
                class_name,
                values if isinstance(values, dict) else {},
                self.version,
            )
            nested = item.class_name in _MODELS
            layer = Layer(name, class_name, "identity") if nested else _layer_of(item)
            layer.path = outer + (own,)
            own_input = (
                _spatial_input(self.path, name, item.values)
                if source is None and (layer.kind == "input" or kind == "Sequential" and not nested)
                else None
            )
            if kind == "Sequential":
                if layer.kind == "input":
                    if previous is not None:
                        raise item.refuse("an input that is not the first layer")
                    self.add_input(item, layer, source)
                elif previous is None and source is not None:
                    previous = source
                elif previous is None and not nested:
                    # Without an InputLayer of its own, the first layer says what it takes.
                    own_input = own_input or _spatial_input(
                        self.path,
                        name,
                        {
                            "batch_shape": (
                                body.get("build_input_shape") if isinstance(body, dict) else None
                            )
                        },
                    )
                    previous = prefix + "input"
                    self.add_input(item, Layer(previous, "InputLayer", "input"), None)
                if layer.kind != "input" and previous is not None and not layer.inputs:
                    layer.inputs = [previous]
                previous = name
            else:
                nodes = record.get("inbound_nodes", [])
                if not isinstance(nodes, list):
                    raise item.refuse("damaged inbound_nodes")
                if len(nodes) > 1:
                    raise item.refuse("used more than once (shared layers are not supported)")
                names = _tensor_names(item, nodes[0]) if nodes else []
                layer.inputs = [prefix + name for name in names]
                if (layer.kind == "input") != (not layer.inputs):
                    raise item.refuse(
                        "is not connected" if layer.kind != "input" else "an input with an input"
                    )
                if layer.kind == "input":
                    self.add_input(item, layer, source)
            self.input_shape = self.input_shape or own_input
            if nested:
                if len(layer.inputs) > 1:
                    raise item.refuse("takes more than one input")
                last = self.read(
                    {"class_name": item.class_name, "config": values},
                    layer.path,
                    layer.inputs[0] if layer.inputs else None,
                )
                layer.inputs = [last]
            if len(layer.inputs) > 1 and layer.kind not in ("add", "multiply", "concat"):
                raise item.refuse("takes more than one input")
            if len(layer.inputs) < 2 and layer.kind in ("add", "multiply", "concat"):
                raise item.refuse("needs two inputs")
            if layer.name not in self.layers:
                self.add(item, layer)
        if kind == "Sequential":
            assert previous is not None
            return previous
        outputs, inputs = (_end_points(body.get(f"{end}_layers")) for end in ("output", "input"))
        count = max(len(inputs), self.input_count - inputs_before)
        if len(outputs) != 1 or len(inputs) > 1 or count != (source is None and 1 or len(inputs)):
            raise ModelError(
                self.path,
                f"{count} inputs and {len(outputs)} outputs (one of each is supported)",
            )
        return prefix + outputs[0]


def _records(path: str, config: Any) -> List[Dict[str, Any]]:
    """The configurations of a model's layers."""
    if not isinstance(config, dict) or not isinstance(config.get("config"), (dict, list)):
        raise ModelError(path, "damaged model configuration")
    kind, body = config.get("class_name"), config["config"]
    if kind not in _MODELS:
        raise ModelError(
            path, f"a model of class {kind!r} is not supported (Sequential and Functional are)"
        )
    records = body if isinstance(body, list) else body.get("layers")
    if (
        not isinstance(records, list)
        or not records
        or not all(isinstance(r, dict) for r in records)
    ):
        raise ModelError(path, "damaged model configuration: no list of layers")
    return records


def _own_name(record: Dict[str, Any], number: int) -> str:
    values = record.get("config")
    named = values.get("name") if isinstance(values, dict) else None
    return str(record.get("name") or named or f"layer {number}")


def _read_graph(
    path: str, config: Any, version: str
) -> Tuple[str, Tuple[int, int, int], List[Layer]]:
    reader = _GraphReader(path, version)
    last = reader.read(config, (), None)
    if reader.input_count != 1:
        raise ModelError(path, f"{reader.input_count} inputs (one is supported)")
    if reader.input_shape is None:
        raise ModelError(path, "the size of the input is not known")
    body = config["config"]
    name = str(body.get("name", "")) if isinstance(body, dict) else ""
    layers = ordered(path, reader.layers, last)
    infer_shapes(path, layers, reader.input_shape)
    return name, reader.input_shape, layers


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
    if layer.class_name.split(">")[-1] == "Normalization":  # how many images it has seen: no matter
        names = names[:2]
        arrays = arrays[:2]
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
    if layer.kind == "affine":
        layer.weights = _normalization(layer.weights["mean"], layer.weights["variance"])


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


def _version_in(attributes: Any) -> str:
    return _as_text(attributes["keras_version"]) if "keras_version" in attributes else ""


def _nested_names(layer: Layer, names: List[str]) -> List[str]:
    """The names of its weights among those of the whole nested model, which are stored together."""
    expected = len(layer.weight_shapes())
    for depth in range(1, len(layer.path)):
        own = list(layer.path[depth:])
        found = [n for n in names if n.split("/")[:-1][-len(own) :] == own]
        if len(found) == expected:
            return found
    return []


def _assign_from_groups(path: str, layers: List[Layer], group: Any) -> None:
    """Weights as Keras 1 and 2 laid them out: a group for each layer of the outermost model."""
    for layer in layers:
        if not layer.weight_shapes():
            continue
        missing = ModelError(
            path, f"layer '{layer.name}' ({layer.class_name}): its weights are missing"
        )
        top = layer.path[0]
        if top not in group:
            raise missing
        names = _text_list(group[top].attrs, "weight_names")
        if len(layer.path) > 1:
            names = _nested_names(layer, names)
            if not names:
                raise missing
        arrays = [_array(path, group[top][n], f"{top}/{n}") for n in names]
        _assign_weights(path, layer, arrays, names)


def _read_hdf5(path: str, data: bytes, sha256: str, structure: Optional[str]) -> Model:
    with _open_hdf5(path, data) as file:
        try:
            version = _version_in(file.attrs)
            if "model_config" in file.attrs:
                if structure is not None:
                    raise UsageError(path, "has its structure inside, so --json has no meaning")
                group = file["model_weights"]
                version = version or _version_in(group.attrs)
                where, text = "model_config", _as_text(file.attrs["model_config"])
            else:
                where = structure or _structure_beside(path)
                text = read_bytes(where, _LARGEST_STRUCTURE).decode("utf-8")
                group = file
            config = _load_json(path, text, where)
            if isinstance(config, dict):
                # Keras 3 names the module of everything, and no version.
                version = version or str(config.get("keras_version", "3" * ("module" in config)))
            name, input_shape, layers = _read_graph(path, config, version)
            if "layers" in group or "_layer_checkpoint_dependencies" in group:
                _assign_from_containers(path, config, layers, group)
            else:
                _assign_from_groups(path, layers, group)
        except _HDF5_ERRORS as error:
            raise ModelError(path, f"damaged: {str(error) or type(error).__name__}") from None
    return Model(path, sha256, name, version, input_shape, layers)


_LARGEST_STRUCTURE = 64 << 20


def _structure_beside(path: str) -> str:
    """The JSON file that tutorials save beside a file of weights alone."""
    stem = re.sub(r"\.(weights\.)?[^.]*$", "", os.path.basename(path))
    plain = re.sub(r"[-_.]?weights?$", "", stem)
    candidates = [f"{name}.json" for name in dict.fromkeys((stem, plain or stem, "model"))]
    for name in candidates:
        found = os.path.join(os.path.dirname(path), name)
        if os.path.isfile(found):
            return found
    raise ModelError(
        path,
        "weights alone, which do not say what the network is: name the file that model.to_json()"
        f" was written to with --json ({' or '.join(candidates)} beside it would be found)",
    )


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


def _read_archive(path: str, data: bytes, sha256: str) -> Model:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(name.endswith("data.pkl") for name in archive.namelist()):
                raise UnreadableError(path, "a file of PyTorch: torch.onnx.export() it")
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
    name, input_shape, layers = _read_graph(path, config, version)
    with _open_hdf5(path, weights) as file:
        try:
            _assign_from_containers(path, config, layers, file)
        except _HDF5_ERRORS as error:
            raise ModelError(path, f"damaged: {str(error) or type(error).__name__}") from None
    return Model(path, sha256, name, version, input_shape, layers)


def _assign_from_containers(path: str, config: Any, layers: List[Layer], file: Any) -> None:
    """Weights as Keras 3 lays them out: groups named after classes, numbered in the order of the
    configuration, those of a nested model below its own group; newer files tell the layer's name in
    an attribute."""
    groups = dict(_containers(config, file, ()))
    for layer in layers:
        if not layer.weight_shapes():
            continue
        found = groups.get(layer.path)
        if found is None or "vars" not in found:
            raise ModelError(
                path, f"layer '{layer.name}' ({layer.class_name}): its weights are missing"
            )
        variables = found["vars"]
        arrays = [
            _array(path, variables[str(i)], f"{layer.name}/{i}") for i in range(len(variables))
        ]
        _assign_weights(path, layer, arrays)


def _containers(
    config: Any, model: Any, outer: Tuple[str, ...]
) -> Iterator[Tuple[Tuple[str, ...], Any]]:
    """For each layer its path and its group."""
    key = "layers" if "layers" in model else "_layer_checkpoint_dependencies"
    if key not in model:
        return
    group = model[key]
    by_name = {
        _as_text(group[g].attrs["name"]): group[g] for g in group if "name" in group[g].attrs
    }
    used: Dict[str, int] = {}
    for number, record in enumerate(_records("", config)):
        own, class_name = _own_name(record, number), str(record.get("class_name"))
        key = _snake_case(class_name.split(">")[-1])
        count = used.get(key, 0)
        used[key] = count + 1
        found = by_name.get(own) or group.get(f"{key}_{count}" if count else key) or group.get(own)
        if found is None:
            continue
        yield outer + (own,), found
        if class_name in _MODELS:
            yield from _containers(record, found, outer + (own,))


def read_model(path: str, structure: Optional[str] = None) -> Model:
    """Reads a model file of any of the supported kinds. `structure`: the JSON file that belongs to
    weights alone; without one it is looked for beside them."""
    path = str(path)
    data = read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return _read_hdf5(path, data, sha256, structure)
    if structure is not None:
        raise UsageError(path, "is no HDF5 file of weights, so --json has no meaning")
    if data[:4] == b"PK\x03\x04":
        return _read_archive(path, data, sha256)
    if data.lstrip()[:1] == b"{":
        raise ModelError(
            path, "a structure without weights: name the file of the weights, and this with --json"
        )
    if data[4:8] == b"TFL3":
        raise UnreadableError(path, "a TFLite file; what it was made from can be converted")
    raise UnreadableError(path, "neither HDF5, a .keras archive nor ONNX")
