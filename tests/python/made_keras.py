# SPDX-License-Identifier: MIT
"""Small Keras files without Keras: layers by class and configuration, random weights, the layouts of HDF5
that the versions of Keras write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import h5py
import numpy as np

Record = Dict[str, Any]
Weights = Dict[Tuple[str, ...], List[Tuple[str, np.ndarray]]]


def layer(class_name: str, name: str, *inputs: str, **config: Any) -> Record:
    """A layer of a functional model, or, without inputs, of a Sequential one."""
    record: Record = {
        "class_name": class_name,
        "name": name,
        "config": {"name": name, **config},
    }
    if inputs:
        record["inbound_nodes"] = [[[source, 0, 0, {}] for source in inputs]]
    return record


def image(height: int, width: int, channels: int, name: str = "image") -> Record:
    return {
        **layer("InputLayer", name, batch_input_shape=[None, height, width, channels]),
        "inbound_nodes": [],
    }


def sequential(layers: List[Record], name: str = "net") -> Record:
    return {"class_name": "Sequential", "config": {"name": name, "layers": layers}}


def functional(layers: List[Record], last: str, name: str = "net") -> Record:
    config = {
        "name": name,
        "layers": layers,
        "input_layers": [[layers[0]["name"], 0, 0]],
        "output_layers": [[last, 0, 0]],
    }
    return {"class_name": "Functional", "config": config}


def nested(model: Record, name: str, *inputs: str) -> Record:
    return {
        **layer(model["class_name"], name, *inputs),
        "config": {**model["config"], "name": name},
    }


class Made:
    """Random weights that make the scores differ; `shapes` are those of the weights, by layer."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.weights: Weights = {}

    def conv(self, path: str, kernel: Tuple[int, ...], bias: Optional[int] = None) -> None:
        """A kernel and biases: of Conv2D and Dense."""
        fan_in = int(np.prod(kernel[:-1]))
        arrays = [("kernel", self.random.normal(0, 1.6 / np.sqrt(fan_in), kernel))]
        if bias is not None:
            arrays.append(("bias", self.random.normal(0, 0.2, bias)))
        self.set(path, arrays)

    def norm(self, path: str, count: int) -> None:
        roles = ("gamma", "beta", "moving_mean", "moving_variance")
        uniform, normal = self.random.uniform, self.random.normal
        values = [uniform(0.5, 1.5, count), *normal(0, 0.2, (2, count)), uniform(0.5, 1.5, count)]
        self.set(path, list(zip(roles, values)))

    def set(self, path: str, arrays: List[Tuple[str, np.ndarray]]) -> None:
        self.weights[tuple(path.split("/"))] = [
            (role, np.asarray(array, np.float32)) for role, array in arrays
        ]

    def groups(self, group: h5py.Group) -> None:
        """As Keras 1 and 2 store them: all of a nested model in the group of its name."""
        tops: Dict[str, List[Tuple[str, np.ndarray]]] = {}
        for path, arrays in self.weights.items():
            for role, array in arrays:
                tops.setdefault(path[0], []).append((f"{path[-1]}/{role}:0", array))
        group.attrs["layer_names"] = np.array([top.encode() for top in tops])
        group.attrs["keras_version"] = "2.15.0"
        for top, arrays in tops.items():
            part = group.create_group(top)
            part.attrs["weight_names"] = np.array([name.encode() for name, _ in arrays])
            for name, array in arrays:
                part.create_dataset(name, data=array)


def write(path: Path, model: Record, made: Made, version: str = "2.15.0") -> Path:
    """The whole network."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["model_config"] = json.dumps(model)
        made.groups(file.create_group("model_weights"))
    return path


def write_apart(weights: Path, structure: Path, model: Record, made: Made) -> None:
    """Weights alone, and model.to_json()."""
    with h5py.File(weights, "w") as file:
        made.groups(file)
    structure.write_text(json.dumps({**model, "keras_version": "2.15.0", "backend": "tensorflow"}))
