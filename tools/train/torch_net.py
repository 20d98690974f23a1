# SPDX-License-Identifier: MIT
"""A list of Keras layers as a torch module: trains any model that the converter reads, gives logits (no softmax).

Plain torch rather than Keras on its torch backend: the same network trains about three times faster
(channels last, bfloat16, no per-layer Python of Keras). Weights go both ways, so the file is Keras'.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

import numpy as np
import torch
from mien_tools.keras_file import KerasModel, Layer
from torch import nn
from torch.nn import functional as F

MOMENTUM = 0.03  # of the batch normalization's running statistics, torch's sense


def _symmetric(pads: Tuple[int, int, int, int]) -> bool:
    return pads[0] == pads[2] and pads[1] == pads[3]


class _Conv(nn.Module):
    """Convolution with Keras' padding (which may be on one side only)."""

    def __init__(self, layer: Layer, depthwise: bool = False) -> None:
        super().__init__()
        inputs = layer.input_shape[-1]
        top, left, bottom, right = layer.pads
        self.pads = None if _symmetric(layer.pads) else (left, right, top, bottom)
        self.conv = nn.Conv2d(
            inputs,
            inputs if depthwise else layer.filters,
            layer.kernel,
            layer.stride,
            (top, left) if self.pads is None else 0,
            groups=inputs if depthwise else 1,
            bias=layer.use_bias and layer.kind != "separable",
        )
        halves = (
            depthwise
            and tuple(layer.stride) == (2, 2)
            and tuple(layer.kernel) == (3, 3)
            and max(layer.pads) == 1
        )
        self.first = (
            (1 - top, 1 - left) if halves else None
        )  # of the places that the stride leaves, when computed with stride 1
        self.skips = tuple(layer.kernel) == (1, 1) and max(layer.stride) > 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.skips:
            # oneDNN's gradient of a strided 1x1 convolution in channels_last float32 writes past its buffer when there are fewer channels than
            # a vector holds (uxlfoundation/oneDNN issue 6035): a crash, or wrong weights. Leaving the places out first gives the same.
            rows, columns = self.conv.stride
            return F.conv2d(
                x[:, :, ::rows, ::columns],
                self.conv.weight,
                self.conv.bias,
                groups=self.conv.groups,
            )
        if self.first is not None and self.training:
            # torch's bfloat16 gradient of a strided depthwise convolution takes many times that of one with stride 1.
            return F.conv2d(x, self.conv.weight, self.conv.bias, 1, 1, 1, self.conv.groups)[
                :, :, self.first[0] :: 2, self.first[1] :: 2
            ]
        return self.conv(x if self.pads is None else F.pad(x, self.pads))


class _MaxPool(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.kernel, self.stride = layer.kernel, layer.stride
        top, left, bottom, right = layer.pads
        self.pads = (left, right, top, bottom)
        # Padding at the end only, as Keras pads even sizes, is what ceil_mode does without a copy.
        self.ceil = top == left == 0 and max(layer.pads) > 0
        self.explicit = max(top, left) > 0 and not _symmetric(layer.pads)
        self.padding = (top, left) if _symmetric(layer.pads) else 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.explicit:
            return F.max_pool2d(F.pad(x, self.pads, value=float("-inf")), self.kernel, self.stride)
        return F.max_pool2d(x, self.kernel, self.stride, self.padding, ceil_mode=self.ceil)


class _Separable(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.depthwise = _Conv(layer, depthwise=True)
        self.pointwise = nn.Conv2d(layer.input_shape[-1], layer.filters, 1, bias=layer.use_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.depthwise(x))


class KerasNet(nn.Module):
    """Input [N, c, h, w], logits [N, classes]; `features` is what the last layer with weights takes."""

    def __init__(self, model: KerasModel) -> None:
        super().__init__()
        self.model = model
        self.blocks = nn.ModuleDict()
        self.plan: List[Tuple[str, str, List[str]]] = []  # kind, layer, inputs
        for layer in model.layers:
            self.plan.append((layer.kind, layer.name, layer.inputs))
            module = self._module(layer)
            if module is not None:
                self.blocks[layer.name] = module
        for layer in model.layers:
            plain = (layer.dilation, layer.groups, layer.multiplier) == ((1, 1), 1, 1)
            if (
                not plain
                or layer.parameters
                or layer.activation not in ("linear", "relu", "softmax")
            ):
                raise ValueError(
                    f"layer '{layer.name}' ({layer.class_name}) cannot be trained here"
                )
        self.relu_behind = {
            layer.name
            for layer in model.layers
            if layer.activation == "relu" and layer.kind != "activation"
        }
        self.uses: Dict[str, int] = {}
        for layer in model.layers:
            for name in layer.inputs:
                self.uses[name] = self.uses.get(name, 0) + 1
        if any(layer.weights for layer in model.layers):
            self.load_keras()

    @staticmethod
    def _module(layer: Layer) -> nn.Module | None:
        if layer.kind in ("conv", "depthwise"):
            return _Conv(layer, layer.kind == "depthwise")
        if layer.kind == "separable":
            return _Separable(layer)
        if layer.kind == "dense":
            return nn.Linear(layer.input_shape[-1], layer.filters, bias=layer.use_bias)
        if layer.kind == "batch_norm":
            return nn.BatchNorm2d(layer.output_shape[-1], eps=layer.epsilon, momentum=MOMENTUM)
        if layer.kind == "max_pool":
            return _MaxPool(layer)
        if layer.kind == "identity" and layer.class_name == "Dropout":
            return nn.Dropout(layer.rate)
        if layer.kind in (
            "input",
            "activation",
            "avg_pool",
            "global_avg_pool",
            "add",
            "flatten",
            "identity",
        ):
            return None
        raise ValueError(f"layer '{layer.name}' ({layer.class_name}) cannot be trained here")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x)[0]

    def run(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """Logits, and the vector [N, c] behind the last pooling or before the last dense layer."""
        values: Dict[str, torch.Tensor] = {}
        left = dict(self.uses)
        features = y = x
        for layer, (kind, name, inputs) in zip(self.model.layers, self.plan):
            y = values[inputs[0]] if inputs else x
            if kind == "activation":
                if layer.activation == "relu":
                    y = F.relu(y)
            elif kind == "add":
                for other in inputs[1:]:
                    y = y + values[other]
            elif kind == "avg_pool":
                top, left_pad, bottom, right = layer.pads
                if top or left_pad:
                    raise ValueError(f"layer '{name}': this padding cannot be trained here")
                y = F.avg_pool2d(
                    y,
                    layer.kernel,
                    layer.stride,
                    ceil_mode=bool(bottom or right),
                    count_include_pad=False,
                )
            elif kind == "global_avg_pool":
                features = y = y.mean((2, 3), keepdim=layer.keepdims)
            elif kind == "flatten":
                y = y.permute(0, 2, 3, 1).flatten(1)
            elif name in self.blocks:
                if kind == "dense":
                    features = y = y.flatten(1)
                y = self.blocks[name](y)
            if name in self.relu_behind:
                y = F.relu(y)
            values[name] = y
            for source in inputs:
                left[source] -= 1
                if not left[source]:
                    values.pop(source, None)
        return y, features

    # ------------------------------------------------------------ weights

    def _parts(self, layer: Layer) -> List[Tuple[str, torch.Tensor, Tuple[int, ...] | None]]:
        """(role, torch tensor, permutation from Keras to torch) of each of a layer's weights."""
        block = self.blocks[layer.name] if layer.name in self.blocks else None
        if layer.kind == "conv":
            parts = [("kernel", block.conv.weight, (3, 2, 0, 1))]
            return parts + ([("bias", block.conv.bias, None)] if layer.use_bias else [])
        if layer.kind == "depthwise":
            parts = [("depthwise_kernel", block.conv.weight, (2, 3, 0, 1))]
            return parts + ([("bias", block.conv.bias, None)] if layer.use_bias else [])
        if layer.kind == "separable":
            parts = [
                ("depthwise_kernel", block.depthwise.conv.weight, (2, 3, 0, 1)),
                ("pointwise_kernel", block.pointwise.weight, (3, 2, 0, 1)),
            ]
            return parts + ([("bias", block.pointwise.bias, None)] if layer.use_bias else [])
        if layer.kind == "dense":
            return [("kernel", block.weight, (1, 0))] + (
                [("bias", block.bias, None)] if layer.use_bias else []
            )
        if layer.kind == "batch_norm":
            parts = [("gamma", block.weight, None)] * layer.scale + [
                ("beta", block.bias, None)
            ] * layer.center
            return parts + [
                ("moving_mean", block.running_mean, None),
                ("moving_variance", block.running_var, None),
            ]
        return []

    @torch.no_grad()
    def load_keras(self) -> None:
        """Takes the weights of the list of layers."""
        for layer in self.model.layers:
            for role, tensor, order in self._parts(layer):
                array = layer.weights[role]
                tensor.copy_(
                    torch.from_numpy(
                        np.ascontiguousarray(array if order is None else array.transpose(order))
                    )
                )

    @torch.no_grad()
    def store_keras(self) -> KerasModel:
        """Puts the weights into the list of layers."""
        for layer in self.model.layers:
            for role, tensor, order in self._parts(layer):
                array = tensor.detach().float().cpu().contiguous().numpy()
                layer.weights[role] = np.ascontiguousarray(
                    array if order is None else array.transpose(np.argsort(order))
                )
        return self.model
