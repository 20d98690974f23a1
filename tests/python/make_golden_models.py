#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the small Keras models that test_models.py reads, their outputs by Keras itself, and their .mien versions.

  KERAS_BACKEND=torch python tests/python/make_golden_models.py

Needs keras 3 and torch (made with 3.15 and 2.13). Weights are random (seeded), no training, no data. Also defines the
five architectures at full size, which test_models.py builds where Keras is there."""

from __future__ import annotations

import gzip
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Sequence, Tuple

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools"))

from mien_tools import fold, keras_file, pictures, quantize, reference  # noqa: E402
from mien_tools import format as mien  # noqa: E402

PICTURES, SEED = 4, 11
Size = Tuple[int, int, int]


# ---------------------------------------------------------------- the five architectures, by their description


def simple_cnn(size: Size, classes: int, width: float = 1.0) -> Any:
    """Pairs of convolutions, each with batch normalization, then average pooling."""
    from keras import Sequential
    from keras import layers as L

    net = Sequential([L.Input(size)])
    for channels, kernel in ((16, 7), (32, 5), (64, 3), (128, 3)):
        channels = int(channels * width)
        for _ in range(2):
            net.add(L.Conv2D(channels, kernel, padding="same"))
            net.add(L.BatchNormalization())
        net.add(L.Activation("relu"))
        net.add(L.AveragePooling2D(2, padding="same"))
        net.add(L.Dropout(0.5))
    net.add(L.Conv2D(int(256 * width), 3, padding="same"))
    net.add(L.BatchNormalization())
    net.add(L.Conv2D(classes, 3, padding="same"))
    net.add(L.GlobalAveragePooling2D())
    net.add(L.Activation("softmax", name="predictions"))
    return net


def simpler_cnn(size: Size, classes: int, width: float = 1.0) -> Any:
    """Strides instead of pooling, down to one position."""
    from keras import Sequential
    from keras import layers as L

    net = Sequential([L.Input(size)])
    for first, first_kernel, second, kernel in (
        (16, 5, 16, 5),
        (32, 5, 32, 5),
        (64, 3, 64, 3),
        (64, 1, 128, 3),
    ):
        net.add(L.Conv2D(int(first * width), first_kernel, padding="same"))
        net.add(L.BatchNormalization())
        net.add(L.Conv2D(int(second * width), kernel, strides=2, padding="same"))
        net.add(L.BatchNormalization())
        net.add(L.Activation("relu"))
        net.add(L.Dropout(0.25))
    net.add(L.Conv2D(int(256 * width), 1, padding="same"))
    net.add(L.BatchNormalization())
    net.add(L.Conv2D(int(128 * width), 3, strides=2, padding="same"))
    net.add(L.Conv2D(int(256 * width), 1, padding="same"))
    net.add(L.BatchNormalization())
    net.add(L.Conv2D(classes, 3, strides=2, padding="same"))
    net.add(L.Flatten())
    net.add(L.Activation("softmax", name="predictions"))
    return net


def _xception_module(x: Any, channels: int, relu_first: bool = False) -> Any:
    from keras import layers as L

    shortcut = L.BatchNormalization()(
        L.Conv2D(channels, 1, strides=2, padding="same", use_bias=False)(x)
    )
    if relu_first:
        x = L.Activation("relu")(x)
    x = L.BatchNormalization()(L.SeparableConv2D(channels, 3, padding="same", use_bias=False)(x))
    x = L.Activation("relu")(x)
    x = L.BatchNormalization()(L.SeparableConv2D(channels, 3, padding="same", use_bias=False)(x))
    return L.add([L.MaxPooling2D(3, strides=2, padding="same")(x), shortcut])


def xception(
    size: Size,
    classes: int,
    stem: Sequence[int],
    modules: Sequence[int],
    stem_stride: int = 1,
    big: bool = False,
) -> Any:
    """tiny: stem 5, 5, modules 8..64; mini: 8, 8, 16..128; big: 32 with stride 2, 64, modules 128, 256."""
    from keras import Model
    from keras import layers as L

    inputs = x = L.Input(size)
    for k, channels in enumerate(stem):
        x = L.Conv2D(channels, 3, strides=stem_stride if k == 0 else 1, use_bias=False)(x)
        x = L.Activation("relu")(L.BatchNormalization()(x))
    for k, channels in enumerate(modules):
        x = _xception_module(x, channels, relu_first=big and k > 0)
    x = L.GlobalAveragePooling2D()(L.Conv2D(classes, 3, padding="same")(x))
    return Model(inputs, L.Activation("softmax", name="predictions")(x))


FULL: Dict[str, Callable[[], Any]] = {
    "simple_CNN": lambda: simple_cnn((48, 48, 3), 2),
    "simpler_CNN": lambda: simpler_cnn((48, 48, 1), 7),
    "tiny_XCEPTION": lambda: xception((64, 64, 1), 7, (5, 5), (8, 16, 32, 64)),
    "mini_XCEPTION": lambda: xception((64, 64, 1), 7, (8, 8), (16, 32, 64, 128)),
    "big_XCEPTION": lambda: xception((64, 64, 1), 7, (32, 64), (128, 256), stem_stride=2, big=True),
}


# ---------------------------------------------------------------- everything else that is supported


def odd_layers() -> Any:
    """Layers in places where they cannot simply be folded away."""
    from keras import Model
    from keras import layers as L

    inputs = L.Input((21, 18, 1))
    x = L.ZeroPadding2D(((1, 0), (2, 1)))(inputs)
    x = L.Conv2D(6, (3, 4), strides=(1, 2), activation="relu")(x)
    y = L.DepthwiseConv2D(3, strides=1, padding="same")(x)
    y = L.BatchNormalization(scale=False)(y)
    z = L.SeparableConv2D(6, (2, 3), padding="same", activation="relu")(x)
    x = L.add([x, y, z])
    x = L.BatchNormalization(center=False, epsilon=0.01)(x)  # behind a sum
    x = L.SpatialDropout2D(0.1)(L.GaussianNoise(0.1)(x))
    a = L.ReLU()(x)  # x is used again: a relu of its own
    b = L.AveragePooling2D((3, 2), strides=(2, 2), padding="same")(x)
    a = L.ZeroPadding2D((1, 1))(a)
    a = L.MaxPooling2D((3, 2), strides=2)(a)
    b = L.DepthwiseConv2D((1, 1))(b)
    a = L.Conv2D(6, 1)(a)
    x = L.Activation("relu")(L.add([a, L.Conv2D(6, 3, padding="same")(b)]))
    x = L.GlobalAveragePooling2D(keepdims=True)(x)
    x = L.Flatten()(x)
    x = L.Dropout(0.5)(L.Dense(9, activation="relu")(x))
    return Model(inputs, L.Dense(4, activation="softmax")(x))


def dense_head() -> Any:
    """A flattened map into dense layers; logits without softmax."""
    from keras import Sequential
    from keras import layers as L

    return Sequential(
        [
            L.Input((13, 16, 3)),
            L.Conv2D(5, 3, strides=2, padding="same"),
            L.ReLU(),
            L.MaxPooling2D(2),
            L.Conv2D(4, 3, padding="same"),
            L.Flatten(),
            L.Dropout(0.2),
            L.Dense(10),
            L.BatchNormalization(),
            L.Activation("relu"),
            L.Dense(3),
        ]
    )


def pooled_relu() -> Any:
    """Ends in global pooling of a rectified map, so that nothing but a copy can make the logits."""
    from keras import Sequential
    from keras import layers as L

    return Sequential(
        [
            L.Input((9, 11, 1)),
            L.Conv2D(8, 3, padding="same", activation="relu"),
            L.AveragePooling2D(2),
            L.SeparableConv2D(5, 3, padding="same"),
            L.BatchNormalization(),
            L.ReLU(),
            L.GlobalAveragePooling2D(),
            L.Softmax(),
        ]
    )


SMALL: Dict[str, Callable[[], Any]] = {
    "simple_cnn.h5": lambda: simple_cnn((24, 20, 3), 2, 1 / 8),
    "simpler_cnn.keras": lambda: simpler_cnn((33, 48, 1), 7, 1 / 8),
    "tiny_xception.keras": lambda: xception((33, 33, 3), 7, (3, 3), (4, 8)),
    "mini_xception.h5": lambda: xception((31, 29, 1), 7, (8, 8), (12, 16)),
    "big_xception.h5": lambda: xception((37, 40, 1), 7, (8, 10), (12, 16), stem_stride=2, big=True),
    "odd_layers.h5": odd_layers,
    "odd_layers.keras": odd_layers,
    "dense_head.keras": dense_head,
    "pooled_relu.h5": pooled_relu,
}


def randomise(model: Any, seed: int) -> None:
    """Random weights, with running statistics that do something, and logits that differ from image to image."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        values = []
        for weight, value in zip(layer.weights, layer.get_weights()):
            role = weight.path.split("/")[-1]
            if role in ("gamma", "moving_variance"):
                values.append(random.uniform(0.5, 1.5, value.shape))
            elif role in ("beta", "moving_mean", "bias"):
                values.append(random.normal(0, 0.2, value.shape))
            else:
                fan_in = (
                    np.prod(value.shape[:2])
                    if role == "depthwise_kernel" or value.shape[-1] == 1
                    else np.prod(value.shape[:-1])
                )
                values.append(random.normal(0, 1.4 / np.sqrt(fan_in), value.shape))
        layer.set_weights(
            [np.round(v * 512) / 512 for v in values]
        )  # few bits: the files shall compress well


def sharpen(model: Any, x: np.ndarray) -> None:
    """Centers and scales what goes into the softmax over the given images: random networks else say the same of all."""
    import keras

    layers = [layer for layer in model.layers if layer.get_weights()]
    last = layers[-1]
    if (
        not last.__class__.__name__ in ("Conv2D", "Dense")
        or model.layers[-1].__class__.__name__ == "Dense"
        and last.activation.__name__ == "softmax"
    ):
        return
    at = model.layers.index(last)
    tail = [layer for layer in model.layers[at + 1 :] if layer.__class__.__name__ != "Activation"]
    head = keras.Model(model.inputs, (tail[-1] if tail else last).output)
    y = head.predict(x, verbose=0).reshape(len(x), -1)
    kernel, bias = last.get_weights()
    factor = 1.5 / max(float(y.std(axis=0).mean()), 1e-6)
    last.set_weights(
        [np.round(v * 512) / 512 for v in (kernel * factor, (bias - y.mean(axis=0)) * factor)]
    )


def main() -> None:
    golden, models = HERE / "golden", HERE.parent / "data" / "models"
    golden.mkdir(exist_ok=True)
    models.mkdir(exist_ok=True)
    outputs = {}
    for number, (name, build) in enumerate(SMALL.items()):
        import keras

        keras.utils.clear_session()
        model = build()
        randomise(model, 100 + number)
        size = model.input_shape[1:]
        sharpen(model, pixels_to_input(pictures.synthetic(64, size, 5)))
        path = golden / name
        model.save(path)
        compress(path)
        x = pixels_to_input(pictures.synthetic(PICTURES, size, SEED))
        outputs[name] = model.predict(x, verbose=0).reshape(PICTURES, -1).astype(np.float32)
        print(name, outputs[name][0])
        if name != "odd_layers.keras":  # the same layers as odd_layers.h5
            convert(path, models / (path.stem + ".mien"))
        if path.suffix == ".h5":
            path.unlink()
    np.savez(golden / "outputs.npz", **outputs)


def compress(path: Path) -> None:
    """Archives are packed again, deflated; an HDF5 file gets a .gz beside it. With fixed dates."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        metadata = json.loads(members["metadata.json"])
        metadata["date_saved"] = "2000-01-01@00:00:00"
        members["metadata.json"] = json.dumps(metadata).encode()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, data in members.items():
                archive.writestr(
                    zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 9
                )
    else:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def pixels_to_input(pixels: np.ndarray) -> np.ndarray:
    return reference.scale_pixels(pixels, 1 / 127.5, -1)


def convert(source: Path, target: Path) -> None:
    model = keras_file.read_model(str(source))
    labels = [chr(ord("a") + k) for k in range(model.class_count)]
    net = quantize.quantize(
        fold.fold(model), pictures.synthetic(64, model.input_shape, 3), 1 / 127.5, -1, labels
    )
    net.meta = {
        "name": target.stem,
        "task": "test",
        "source": "random weights, tests/python/make_golden_models.py",
        "licence": "MIT",
    }
    for picture in pictures.synthetic(2, model.input_shape, 7):
        crcs, logits = reference.layer_checksums(net, picture)
        probabilities = reference.float_forward(
            model, pixels_to_input(picture[None]).astype(np.float64)
        )[0]
        net.tests.append(mien.TestVector(picture, crcs, logits, probabilities.astype(np.float32)))
    target.write_bytes(mien.encode_network(net))
    print(target.name, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
