#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Networks of torchvision through the converter: python3 bench/other_networks.py [NAME...] [--out FOLDER]

Needs torch, torchvision, onnx, numpy and h5py. Each network has seven classes and random weights;
one with batch normalization is trained for a few steps on noise, so that this has seen something.
Prints a row per network: the largest difference between its own outputs and those of mien's list of
layers (numpy, float64), then what `convert_keras.py --plain --report` says of the integers, on the
same images. The files stay in the folder.
"""
from __future__ import annotations

import argparse
import pathlib
import re
import subprocess
import sys
import warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import numpy as np
import torch
import torchvision

from mien_tools import onnx_file, reference

SIZES = {
    "mobilenet_v2": 96,
    "mobilenet_v3_small": 96,
    "resnet18": 64,
    "squeezenet1_1": 96,
    "efficientnet_b0": 64,
    "vgg11_bn": 64,
}


def network(name: str) -> torch.nn.Module:
    if name == "vgg11_bn":  # with one dense layer in place of three of 4096
        features = torchvision.models.vgg11_bn().features
        return torch.nn.Sequential(features, torch.nn.Flatten(), torch.nn.Linear(512 * 2 * 2, 7))
    return getattr(torchvision.models, name)(num_classes=7)


def trained(name: str, steps: int) -> torch.nn.Module:
    torch.manual_seed(1)
    net, size = network(name), SIZES[name]
    if not any(isinstance(part, torch.nn.BatchNorm2d) for part in net.modules()):
        return net.eval()
    optimizer = torch.optim.SGD(net.parameters(), 1e-2)
    for _ in range(steps):
        images, labels = torch.rand(16, 3, size, size) * 2 - 1, torch.randint(0, 7, (16,))
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--out", default="build/other-networks", help="folder for the files")
    parser.add_argument("--steps", type=int, default=12, help="of training on noise")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in SIZES]
    if unknown:
        parser.error(f"{unknown[0]} is none of {', '.join(SIZES)}")
    warnings.filterwarnings("ignore")
    folder = pathlib.Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    print("| network | layers | ops | multiply-adds | logits in int8 |\n|---|---:|---:|---:|---:|")
    for name in options.names or SIZES:
        net, size, path = trained(name, options.steps), SIZES[name], folder / f"{name}.onnx"
        torch.onnx.export(
            net, (torch.zeros(1, 3, size, size),), str(path), opset_version=13, dynamo=False
        )
        images = torch.rand(3, 3, size, size) * 2 - 1
        with torch.no_grad():
            wanted = net(images).numpy()
        model = onnx_file.read_model(str(path))
        got = reference.float_forward(model, images.numpy().transpose(0, 2, 3, 1))
        error = np.abs(got.reshape(wanted.shape) - wanted).max()
        command = [sys.executable, "tools/convert_keras.py", path.resolve(), "-y", "--softmax"]
        command += ["-o", path.resolve().with_suffix(".mien"), "--calibrate-count", "8"]
        done = subprocess.run(
            [str(word) for word in command + ["--plain", "--report"]],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            print(f"| {name} | {error:.0e} | | | refused: {done.stderr.splitlines()[-1]} |")
            continue
        decibels = re.search(r"signal to noise (\S+) dB", done.stdout + done.stderr)
        layers, products = re.search(r"(\d+) layers, (\d+) MAC", done.stdout + done.stderr).groups()
        print(
            f"| {name} | {error:.0e} | {layers} | {int(products):,} | {decibels[1]} dB |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
