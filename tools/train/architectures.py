# SPDX-License-Identifier: MIT
"""The networks that can be trained, as lists of Keras layers (mien_tools.keras_file.Layer) without weights.

One description serves training (torch_net.py), the HDF5 file (keras_writer.py) and the converter, so
that they cannot differ. The tables of the original's five are those of oarriaga/face_classification.

  name         parameters, 7 classes  input    where from
  simple_CNN                  642,935  48x48x1      original
  simpler_CNN                 559,671  48x48x1      original
  tiny_XCEPTION                18,314  64x64x1      original (stem 5, 5)
  mini_XCEPTION                58,423  64x64x1      original
  big_XCEPTION                208,871  64x64x1      original
  small                        59,287  48x48x1      ours, for weights/emotion.mien
  large                       613,527  48x48x1      ours, for weights/emotion-large.mien
  mobilenet                 3,235,463  96x96x1      MobileNet v1, for teachers that start from a face network (`train face-net`)
"""

from __future__ import annotations

import copy
from typing import Callable, Dict, List, Tuple

import numpy as np
from mien_tools.keras_file import KerasModel, Layer, infer_shapes

from augment import LUMA


class Builder:
    """Appends layers; each method returns the name of the layer that makes its result."""

    def __init__(self, name: str, input_shape: Tuple[int, int, int]) -> None:
        self.name, self.input_shape = name, input_shape
        self.layers: List[Layer] = [Layer("input_1", "InputLayer", "input")]
        self.count: Dict[str, int] = {"input": 1}

    def add(self, kind: str, class_name: str, inputs: List[str], **values: object) -> str:
        number = self.count[kind] = self.count.get(kind, 0) + 1
        name = f"{kind}_{number}"
        self.layers.append(Layer(name, class_name, kind, inputs, **values))  # type: ignore[arg-type]
        return name

    def conv(
        self,
        x: str,
        filters: int,
        kernel: int,
        stride: int = 1,
        padding: str = "same",
        bias: bool = False,
    ) -> str:
        return self.add(
            "conv",
            "Conv2D",
            [x],
            filters=filters,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            padding=padding,
            use_bias=bias,
        )

    def separable(self, x: str, filters: int, stride: int = 1, kernel: int = 3) -> str:
        return self.add(
            "separable",
            "SeparableConv2D",
            [x],
            filters=filters,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            padding="same",
            use_bias=False,
        )

    def depthwise(self, x: str, stride: int = 1, kernel: int = 3) -> str:
        return self.add(
            "depthwise",
            "DepthwiseConv2D",
            [x],
            kernel=(kernel, kernel),
            stride=(stride, stride),
            padding="same",
            use_bias=False,
        )

    def norm(self, x: str) -> str:
        return self.add("batch_norm", "BatchNormalization", [x])

    def relu(self, x: str) -> str:
        return self.add("activation", "Activation", [x], activation="relu")

    def max_pool(self, x: str, size: int = 3, stride: int = 2) -> str:
        return self.add(
            "max_pool",
            "MaxPooling2D",
            [x],
            kernel=(size, size),
            stride=(stride, stride),
            padding="same",
        )

    def avg_pool(self, x: str, size: int = 2) -> str:
        return self.add(
            "avg_pool",
            "AveragePooling2D",
            [x],
            kernel=(size, size),
            stride=(size, size),
            padding="same",
        )

    def dropout(self, x: str, rate: float) -> str:
        return self.add("identity", "Dropout", [x], rate=rate)

    def plus(self, a: str, b: str) -> str:
        return self.add("add", "Add", [a, b])

    def finish(self, x: str, classes: int, head: str) -> KerasModel:
        if head == "map":  # the original's: a score at each position, then their mean
            x = self.conv(x, classes, 3, bias=True)
            x = self.add("global_avg_pool", "GlobalAveragePooling2D", [x])
            self.layers.append(
                Layer("predictions", "Activation", "activation", [x], activation="softmax")
            )
        elif head == "flat":
            x = self.add("flatten", "Flatten", [x])
            self.layers.append(
                Layer("predictions", "Activation", "activation", [x], activation="softmax")
            )
        else:
            x = self.add("global_avg_pool", "GlobalAveragePooling2D", [x])
            x = self.dropout(x, 0.2)
            self.layers.append(
                Layer("predictions", "Dense", "dense", [x], filters=classes, activation="softmax")
            )
        infer_shapes("", self.layers, self.input_shape)
        return KerasModel("", "", self.name, "3.0", self.input_shape, self.layers)


# ---------------------------------------------------------------- the original's


def xception(
    name: str,
    input_shape: Tuple[int, int, int],
    classes: int,
    stem: Tuple[int, int],
    widths: List[int],
    stem_stride: int = 1,
    late_relu: bool = False,
) -> KerasModel:
    """Stem of two "valid" 3x3 convolutions, then modules of two separable ones and a 3x3 max pool beside a 1x1 shortcut."""
    b = Builder(name, input_shape)
    x = b.relu(b.norm(b.conv("input_1", stem[0], 3, stem_stride, "valid")))
    x = b.relu(b.norm(b.conv(x, stem[1], 3, 1, "valid")))
    for k, width in enumerate(widths):
        shortcut = b.norm(b.conv(x, width, 1, 2))
        if late_relu and k > 0:
            x = b.relu(x)
        x = b.relu(b.norm(b.separable(x, width)))
        x = b.norm(b.separable(x, width))
        x = b.plus(b.max_pool(x), shortcut)
    return b.finish(x, classes, "map")


def simple_cnn(input_shape: Tuple[int, int, int], classes: int) -> KerasModel:
    """Pairs of convolutions with bias; only a pair's end has a ReLU, a pool and a dropout."""
    b = Builder("simple_CNN", input_shape)
    x = "input_1"
    for filters, kernel in ((16, 7), (32, 5), (64, 3), (128, 3)):
        x = b.norm(b.conv(x, filters, kernel, bias=True))
        x = b.relu(b.norm(b.conv(x, filters, kernel, bias=True)))
        x = b.dropout(b.avg_pool(x), 0.5)
    x = b.norm(b.conv(x, 256, 3, bias=True))
    return b.finish(x, classes, "map")


def simpler_cnn(input_shape: Tuple[int, int, int], classes: int) -> KerasModel:
    """Halves by strides instead of pools, down to one position."""
    b = Builder("simpler_CNN", input_shape)
    x = "input_1"
    for filters, kernel in ((16, 5), (32, 5), (64, 3)):
        x = b.norm(b.conv(x, filters, kernel, bias=True))
        x = b.dropout(b.relu(b.norm(b.conv(x, filters, kernel, 2, bias=True))), 0.25)
    x = b.norm(b.conv(x, 64, 1, bias=True))
    x = b.dropout(b.relu(b.norm(b.conv(x, 128, 3, 2, bias=True))), 0.25)
    x = b.norm(b.conv(x, 256, 1, bias=True))
    x = b.conv(x, 128, 3, 2, bias=True)
    x = b.norm(b.conv(x, 256, 1, bias=True))
    return b.finish(b.conv(x, classes, 3, 2, bias=True), classes, "flat")


# ---------------------------------------------------------------- ours


def residual(
    name: str,
    input_shape: Tuple[int, int, int],
    classes: int,
    stem: Tuple[int, int],
    stages: List[Tuple[int, int]],
) -> KerasModel:
    """Separable convolutions in residual units of two, deeper and at higher resolution than the original's for the same cost.

    stem    channels of a 3x3 convolution at full size and of one with stride 2
    stages  (channels, units) of each; all but the first halve the size
    """
    b = Builder(name, input_shape)
    x = b.relu(b.norm(b.conv("input_1", stem[0], 3)))
    x = b.relu(b.norm(b.conv(x, stem[1], 3, 2)))
    inputs = stem[1]
    for k, (width, units) in enumerate(stages):
        for unit in range(units):
            halve = k > 0 and unit == 0
            shortcut = x
            if halve:
                shortcut = b.norm(b.conv(b.avg_pool(x), width, 1))
            elif inputs != width:
                shortcut = b.norm(b.conv(x, width, 1))
            x = b.norm(b.separable(x, width))
            x = b.relu(b.max_pool(x) if halve else x)
            x = b.norm(b.separable(x, width))
            x = b.relu(b.plus(x, shortcut))
            inputs = width
    return b.finish(x, classes, "dense")


# ---------------------------------------------------------------- others'

MOBILENET = (
    [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    + [(512, 1)] * 5
    + [(1024, 2), (1024, 1)]
)


def mobilenet(input_shape: Tuple[int, int, int], classes: int) -> KerasModel:
    """MobileNet v1 (Howard and others, 2017, table 1) of full width, with ReLU instead of ReLU6."""
    b = Builder("mobilenet", input_shape)
    x = b.relu(b.norm(b.conv("input_1", 32, 3, 2)))
    for width, stride in MOBILENET:
        x = b.relu(b.norm(b.depthwise(x, stride)))
        x = b.relu(b.norm(b.conv(x, width, 1)))
    return b.finish(x, classes, "dense")


Maker = Callable[[Tuple[int, int, int], int], KerasModel]

ARCHITECTURES: Dict[str, Tuple[Tuple[int, int, int], Maker]] = {
    "simple_CNN": ((48, 48, 1), simple_cnn),
    "simpler_CNN": ((48, 48, 1), simpler_cnn),
    "tiny_XCEPTION": (
        (64, 64, 1),
        lambda s, n: xception("tiny_XCEPTION", s, n, (5, 5), [8, 16, 32, 64]),
    ),
    "mini_XCEPTION": (
        (64, 64, 1),
        lambda s, n: xception("mini_XCEPTION", s, n, (8, 8), [16, 32, 64, 128]),
    ),
    "big_XCEPTION": (
        (64, 64, 1),
        lambda s, n: xception("big_XCEPTION", s, n, (32, 64), [128, 256], 2, True),
    ),
    "small": (
        (48, 48, 1),
        lambda s, n: residual("small", s, n, (8, 24), [(32, 2), (48, 4), (72, 2)]),
    ),
    "large": (
        (48, 48, 1),
        lambda s, n: residual("large", s, n, (16, 48), [(56, 2), (120, 5), (224, 4)]),
    ),
    "mobilenet": ((96, 96, 1), mobilenet),
}


def in_color(model: KerasModel) -> KerasModel:
    """A gray network as one for RGB with the same answers: its first layer sees the luma."""
    return _with_first_kernel(model, 3, lambda kernel: kernel * np.array(LUMA, np.float32)[:, None])


def in_gray(model: KerasModel) -> KerasModel:
    """A network for RGB as one for gray images that answers as it does when all three channels are equal."""
    return _with_first_kernel(model, 1, lambda kernel: kernel.sum(2, keepdims=True))


def _with_first_kernel(
    model: KerasModel, channels: int, change: Callable[[np.ndarray], np.ndarray]
) -> KerasModel:
    """`change` makes the first convolution's kernel [h, w, channels, filters]."""
    if model.input_shape[2] == channels:
        return model
    model = copy.deepcopy(model)
    first = next(layer for layer in model.layers if layer.kind == "conv")
    first.weights["kernel"] = change(first.weights["kernel"])
    model.input_shape = (*model.input_shape[:2], channels)
    infer_shapes(model.path, model.layers, model.input_shape)
    return model
