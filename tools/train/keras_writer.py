# SPDX-License-Identifier: MIT
"""Writes a list of layers with weights as a Keras HDF5 model, without Keras: what Keras 2 and 3, the converter and torch_net.py read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Dict, List

import h5py
import numpy as np
from mien_tools import tensor_ops
from mien_tools.errors import ModelError, write_file
from mien_tools.keras_file import KerasModel, Layer

_INITIAL = {"class_name": "GlorotUniform", "config": {"seed": None}}


def _config(layer: Layer, model: KerasModel) -> Dict[str, Any]:
    common: Dict[str, Any] = {"name": layer.name, "trainable": True, "dtype": "float32"}
    if layer.kind == "input":
        return {
            "name": layer.name,
            "batch_input_shape": [None, *model.input_shape],
            "dtype": "float32",
            "sparse": False,
        }
    if layer.kind in ("conv", "separable", "depthwise"):
        common.update(
            kernel_size=list(layer.kernel),
            strides=list(layer.stride),
            padding=layer.padding,
            data_format="channels_last",
            dilation_rate=[1, 1],
            activation=layer.activation,
            use_bias=layer.use_bias,
        )
        if layer.kind != "depthwise":
            common["filters"] = layer.filters
        if layer.kind != "conv":
            common["depth_multiplier"] = 1
        if layer.kind == "conv":
            common.update(groups=1, kernel_initializer=_INITIAL)
    elif layer.kind == "dense":
        common.update(
            units=layer.filters,
            activation=layer.activation,
            use_bias=layer.use_bias,
            kernel_initializer=_INITIAL,
        )
    elif layer.kind == "batch_norm":
        common.update(
            axis=-1, momentum=0.99, epsilon=layer.epsilon, center=layer.center, scale=layer.scale
        )
    elif layer.kind == "activation":
        common["activation"] = layer.activation
    elif layer.kind in ("max_pool", "avg_pool"):
        common.update(
            pool_size=list(layer.kernel),
            strides=list(layer.stride),
            padding=layer.padding,
            data_format="channels_last",
        )
    elif layer.kind == "global_avg_pool":
        common.update(data_format="channels_last", keepdims=layer.keepdims)
    elif layer.kind == "zero_pad":
        top, left, bottom, right = layer.pads
        common.update(padding=[[top, bottom], [left, right]], data_format="channels_last")
    elif layer.kind == "identity" and layer.class_name == "Dropout":
        common["rate"] = layer.rate
    elif layer.kind == "flatten":
        common["data_format"] = "channels_last"
    return common


def _class_name(layer: Layer) -> str:
    names = {
        "conv": "Conv2D",
        "separable": "SeparableConv2D",
        "depthwise": "DepthwiseConv2D",
        "add": "Add",
    }
    # An activation that was read from a ReLU or a Softmax layer says no more than this.
    return "Activation" if layer.kind == "activation" else names.get(layer.kind, layer.class_name)


def _check(model: KerasModel) -> None:
    for layer in model.layers:
        if layer.kind in ("conv", "separable", "depthwise", "max_pool", "avg_pool"):
            same = (
                tensor_ops.same_pads(layer.input_shape[:2], layer.kernel, layer.stride)
                if layer.padding == "same"
                else (0, 0, 0, 0)
            )
            if tuple(layer.pads) != tuple(same):
                raise ModelError(
                    model.path or model.name,
                    f"layer '{layer.name}': padding {layer.pads} is not Keras' \"{layer.padding}\"",
                )
        missing = [role for role, _ in layer.weight_shapes() if role not in layer.weights]
        if missing:
            raise ModelError(model.path or model.name, f"layer '{layer.name}' has no {missing[0]}")


def _keras_order(layers: List[Layer]) -> List[Layer]:
    """The order of a functional model's own `layers`, by which Keras hands out weights: falling distance from the output, and
    among equals in the order in which a walk from the output to the input first meets them."""
    by_name = {layer.name: layer for layer in layers}
    met: Dict[str, int] = {}
    stack = [layers[-1].name]
    while stack:  # depth first, a layer's first input first
        name = stack.pop()
        if name not in met:
            met[name] = len(met)
            stack.extend(reversed(by_name[name].inputs))
    depth: Dict[str, int] = {}
    for layer in reversed(layers):  # each comes after all that read it
        own = depth.setdefault(layer.name, 0)
        for source in layer.inputs:
            depth[source] = max(depth.get(source, 0), own + 1)
    return sorted(
        (layer for layer in layers if layer.name in met),
        key=lambda layer: (-depth[layer.name], met[layer.name]),
    )


def encode(model: KerasModel) -> bytes:
    """The file's bytes; the same model always gives the same bytes."""
    _check(model)
    layers: List[Dict[str, Any]] = []
    ordered = _keras_order(model.layers)
    for layer in ordered:
        layers.append(
            {
                "class_name": _class_name(layer) if layer.kind != "input" else "InputLayer",
                "name": layer.name,
                "config": _config(layer, model),
                "inbound_nodes": (
                    [[[name, 0, 0, {}] for name in layer.inputs]] if layer.inputs else []
                ),
            }
        )
    config = {
        "class_name": "Functional",
        "config": {
            "name": model.name or "model",
            "trainable": True,
            "layers": layers,
            "input_layers": [[model.layers[0].name, 0, 0]],
            "output_layers": [[model.layers[-1].name, 0, 0]],
        },
    }
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True) as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        group = file.create_group("model_weights", track_order=True)
        group.attrs["keras_version"] = "2.15.0"
        group.attrs["backend"] = "tensorflow"
        group.attrs["layer_names"] = np.array([layer.name.encode() for layer in ordered])
        for layer in ordered:
            part = group.create_group(layer.name, track_order=True)
            names = [f"{layer.name}/{role}:0" for role, _ in layer.weight_shapes()]
            part.attrs["weight_names"] = (
                np.array([n.encode() for n in names]) if names else np.array([], dtype="S1")
            )
            for (role, _), name in zip(layer.weight_shapes(), names):
                part.create_dataset(name, data=layer.weights[role].astype(np.float32))
    return buffer.getvalue()


def write(model: KerasModel, path: Path, overwrite: bool = False) -> int:
    data = encode(model)
    write_file(path, data, overwrite)
    return len(data)
