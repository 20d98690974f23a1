# SPDX-License-Identifier: MIT
"""What the converters of networks do alike: their test images, the table of layers, the output."""

from __future__ import annotations

import argparse
from typing import Callable, List, Tuple

import numpy as np

from . import errors, pictures
from . import format as mien


def test_images(files: List[str], size: Tuple[int, int, int]) -> List[np.ndarray]:
    """Each image as the network's input: uint8 [1, height, width, channels]."""
    return [
        pictures.image.to_network_input(pictures.read_picture(file)[None], *size) for file in files
    ]


def print_layers(net: mien.Network) -> None:
    print(f"{'layer':<34}{'op':<16}{'output':>14}{'step':>12}{'weights':>9}")
    for layer in net.layers:
        op = layer.op_name + ("+relu" if layer.relu else "")
        size = " x ".join(str(v) for v in layer.output_shape)
        step = "floats" if layer.logits else f"{layer.quant:.6g}"
        weights = 0 if layer.weights is None else layer.weights.size
        print(f"{layer.name[:33]:<34}{op:<16}{size:>14}{step:>12}{weights:>9}")


def finish(
    net: mien.Network, args: argparse.Namespace, source: str, compare: Callable[[], None]
) -> None:
    """Writes the network that was made from `source` to args.output and prints a summary; with
    args.report the layers before it, and what `compare` prints of integers and floats."""
    try:
        data = mien.encode_network(net)
    except mien.FormatError as error:
        raise errors.ModelError(source, str(error)) from None
    errors.write_file(args.output, data, args.yes)
    if args.report:
        print_layers(net)
        compare()
    size = f" at {net.meta['macs_at']}" if "macs_at" in net.meta else ""
    print(
        f"{args.output}: {len(net.layers)} layers, {net.meta['macs']} MAC{size}, {len(data)} bytes"
    )
