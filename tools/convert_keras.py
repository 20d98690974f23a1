#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Convert a Keras model (HDF5 of Keras 1 to 3, .keras) or an ONNX file to a quantized .mien network.

  convert_keras.py emotion_model.hdf5 -o emotion.mien --task emotion --calibrate fer2013/train.npz
  convert_keras.py fer.h5 --json fer.json -o emotion.mien --task emotion --calibrate faces/

  convert_keras.py torch_model.onnx -o emotion.mien --task emotion --softmax --calibrate faces/

Needs numpy and h5py, no Keras, for ONNX the package onnx; Pillow only where images are read from
files. Layers it can convert: docs/NETWORKS.md. Exit status: 0 done, 2 wrong usage, 3 a file cannot
be read or written, 4 the model is damaged or not supported."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

try:
    import numpy as np
    import h5py  # noqa: F401  (keras_file needs it; better said here than in a traceback)
except ImportError as error:
    sys.exit(f"convert_keras: {error.name} is missing: pip install numpy h5py")

from mien_tools import (
    __version__,
    converter,
    errors,
    fold,
    graph,
    keras_file,
    onnx_file,
    pictures,
    quantize,
)
from mien_tools import reference
from mien_tools import format as mien

TASK_LABELS = {
    "emotion": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
    "gender": ["woman", "man"],
}
SYNTHETIC_SEED = 20130713
TEST_SEED = 7


def number(text: str) -> float:
    """A decimal or a fraction such as 1/127.5."""
    top, _, bottom = text.partition("/")
    try:
        value = float(top) / (float(bottom) if bottom else 1.0)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not np.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not finite")
    return value


def numbers(text: str) -> List[float]:
    return [number(part) for part in text.split(",")]


def range_method(text: str) -> str:
    if text in ("max", "mse"):
        return text
    try:
        if 50 <= float(text) <= 100:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is neither max, mse nor a percentile of 50..100")


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    defaults = quantize.Options()
    parser = errors.Parser(prog="convert_keras", description=__doc__.split("\n\n")[0])
    parser.add_argument("model", help="HDF5 file, .keras archive or ONNX file")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="the structure (model.to_json()) of an HDF5 file of weights alone; found by itself where"
        " its name is that of the weights",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT.mien")
    parser.add_argument("-y", "--yes", action="store_true", help="overwrite the output")
    parser.add_argument(
        "--task",
        default="",
        help="emotion, gender or a name of your own; the first two know their labels",
    )
    parser.add_argument(
        "--labels",
        help="class labels in order, separated by commas; of one sigmoid output that of 0, that of 1",
    )
    parser.add_argument("--name", help="default: the output's file name")
    parser.add_argument("--source", default="", help="where the float model is from")
    parser.add_argument("--license", default="", help="of the float model")
    answers = parser.add_argument_group("what the probabilities mean")
    answers.add_argument(
        "--softmax",
        action="store_true",
        help="the outputs are logits, as of most networks of PyTorch: put a softmax behind them",
    )
    answers.add_argument(
        "--temperature",
        type=number,
        default=1.0,
        metavar="T",
        help="divide the logits by T: above 1 for a network that is surer than it is right (default 1)",
    )
    answers.add_argument(
        "--unsure-below",
        type=number,
        metavar="P",
        help="an answer whose highest probability is below P names no class (0..1)",
    )
    answers.add_argument(
        "--values",
        type=numbers,
        metavar="V,V,...",
        help="the classes are these values of a quantity, ascending: 2,7,12,...",
    )
    answers.add_argument("--unit", default="", help="of the values, at most 8 bytes: years")
    preparation = parser.add_argument_group("preparation of a face")
    preparation.add_argument(
        "--input-scale",
        type=number,
        help="x = pixel * scale + offset (default 1/127.5; 1 where the network begins with a Rescaling"
        " or Normalization)",
    )
    preparation.add_argument(
        "--input-offset", type=number, help="(default -1; 0 where --input-scale is 1 by default)"
    )
    preparation.add_argument(
        "--input-mean",
        type=numbers,
        metavar="M[,M,M]",
        help="instead of scale and offset: x = (pixel / 255 - mean) / std, per channel, as torchvision",
    )
    preparation.add_argument(
        "--input-std", type=numbers, metavar="S[,S,S]", help="(default 1, with --input-mean)"
    )
    preparation.add_argument(
        "--margin-x",
        type=number,
        default=0.0,
        help="grow the face box on each side by this fraction (-0.4..4)",
    )
    preparation.add_argument("--margin-y", type=number, default=0.0)
    calibration = parser.add_argument_group("quantization")
    calibration.add_argument(
        "--calibrate", metavar="NPZ-OR-FOLDER", help="images to take ranges from"
    )
    calibration.add_argument("--calibrate-count", type=int, default=500)
    calibration.add_argument(
        "--calibrate-name", metavar="TEXT", help="what these images are, for the file's description"
    )
    calibration.add_argument(
        "--calibrate-pad",
        type=int,
        default=0,
        metavar="PIXELS",
        help="repeat the edge of each image",
    )
    calibration.add_argument(
        "--range",
        type=range_method,
        default=defaults.range_method,
        metavar="max|mse|PERCENTILE",
        help=f"(default {defaults.range_method})",
    )
    calibration.add_argument(
        "--plain",
        action="store_true",
        help="one step a tensor, weights rounded to nearest, no correction",
    )
    calibration.add_argument(
        "--weight-bits",
        type=int,
        choices=(6, 7, 8),
        default=defaults.weight_bits,
        help="fewer: faster on processors without dot products of bytes (default"
        f" {defaults.weight_bits})",
    )
    parser.add_argument(
        "--float-twin",
        action="store_true",
        help="also keep the float weights (four times the size), for `mien explain`",
    )
    parser.add_argument(
        "--test-image", nargs="+", default=[], metavar="FILE", help="more test vectors"
    )
    parser.add_argument(
        "--report", action="store_true", help="print layers, and how close integers and floats are"
    )
    parser.add_argument("--version", action="version", version=f"convert_keras {__version__}")
    args = parser.parse_args(arguments)
    if args.calibrate_count < 1 or args.calibrate_pad < 0:
        parser.error("--calibrate-count and --calibrate-pad must be positive")
    if not (-0.4 <= args.margin_x <= 4 and -0.4 <= args.margin_y <= 4):
        parser.error("margins lie in -0.4..4")
    if args.input_scale == 0:
        parser.error("--input-scale must not be 0")
    if args.input_mean is None and args.input_std is not None:
        parser.error("--input-std needs --input-mean")
    if args.input_mean is not None:
        if args.input_scale is not None or args.input_offset is not None:
            parser.error("--input-mean is instead of --input-scale and --input-offset")
        args.input_std = args.input_std or [1.0]
        if not all(s > 0 for s in args.input_std):
            parser.error("--input-std must be above 0")
    if not args.temperature > 0:
        parser.error("--temperature must be above 0")
    if args.unsure_below is not None and not 0 <= args.unsure_below <= 1:
        parser.error("--unsure-below lies in 0..1")
    if args.values is None and args.unit:
        parser.error("--unit needs --values")
    if args.values is not None and args.unsure_below:
        parser.error("--unsure-below is for classes; a quantity has a range")
    if 2 + len(args.test_image) > mien.MAX_TESTS:
        parser.error(f"at most {mien.MAX_TESTS - 2} test images")
    return args


def labels_for(args: argparse.Namespace, model: graph.Model) -> List[str]:
    if args.labels is not None:
        labels = [label.strip() for label in args.labels.split(",")]
    elif model.one_sigmoid:
        raise errors.UsageError(
            args.model, "one sigmoid output: say what 0 and what 1 means, --labels ZERO,ONE"
        )
    else:
        labels = TASK_LABELS.get(args.task, [str(i) for i in range(model.class_count)])
    if len(labels) != model.class_count:
        raise errors.UsageError(
            args.model, f"{len(labels)} labels for {model.class_count} classes (use --labels)"
        )
    if len(set(labels)) != len(labels) or not all(labels):
        raise errors.UsageError(args.model, "empty or repeated labels")
    return labels


def prepare_input(args: argparse.Namespace, model: graph.Model) -> None:
    """Sets args.input_scale and args.input_offset: what the user asked for, or what the network
    itself says about its input."""
    if args.input_mean is not None:
        mean, std = np.asarray(args.input_mean), np.asarray(args.input_std)
        for option, values in (("--input-mean", mean), ("--input-std", std)):
            if values.size not in (1, model.input_shape[2]):
                raise errors.UsageError(
                    args.model,
                    f"{option}: {values.size} numbers for {model.input_shape[2]} channels",
                )
        model.normalize_input(1 / (255 * std), -mean / std)
    own = model.scales_itself
    if args.input_scale is None:
        args.input_scale = 1.0 if own else 1 / 127.5
        if args.input_offset is None:
            args.input_offset = 0.0 if own else -1.0
    elif args.input_offset is None:
        args.input_offset = 0.0 if own else -1.0


def read_model(args: argparse.Namespace) -> graph.Model:
    if args.model.lower().endswith(".onnx"):
        if args.json is not None:
            raise errors.UsageError(args.model, "is no HDF5 file, so --json has no meaning")
        model = onnx_file.read_model(args.model)
    else:
        model = keras_file.read_model(args.model, args.json)
    if args.softmax:
        if model.last_activation() in ("softmax", "sigmoid"):
            raise errors.UsageError(args.model, "ends in a softmax or sigmoid of its own")
        model.add_softmax()
    return model


def answer_of(args: argparse.Namespace, net: mien.Network) -> Optional[mien.Answer]:
    """Section ANSW of the file; none when nothing was asked for."""
    if args.values is None and not args.unsure_below:
        return None
    answer = mien.Answer(float(np.float32(args.unsure_below or 0)), args.values, args.unit)
    try:
        mien.check_answer(net, answer)
    except mien.FormatError as error:
        raise errors.UsageError(args.output, error.cause) from None
    return answer


def cool(float_net: fold.FloatNet, temperature: float) -> None:
    """Divides the logits by the temperature, in the weights of the layer that makes them."""
    last = float_net.ops[-1]
    last.weights, last.bias = last.weights / temperature, last.bias / temperature


class Progress:
    """One line that rewrites itself, only on a terminal and only when it takes long."""

    def __init__(self) -> None:
        self.shown = False
        self.start = self.last = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if (
            sys.stderr.isatty()
            and now - self.start > 1
            and (now - self.last > 0.2 or done == total)
        ):
            print(f"\r{what}: {done} of {total}\033[K", end="", file=sys.stderr, flush=True)
            self.shown, self.last = True, now

    def close(self) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def test_vectors(
    net: mien.Network,
    model: graph.Model,
    pixels: np.ndarray,
    preparation: Tuple[float, float],
    temperature: float,
) -> List[mien.TestVector]:
    """Images with what every layer must make of them, and what the float original does."""
    result = []
    for picture in pixels:
        crcs, logits = reference.layer_checksums(net, picture)
        x = reference.scale_pixels(picture[None], *preparation).astype(np.float64)
        scores = reference.class_scores(model, reference.float_forward(model, x))[0]
        if temperature != 1:
            scores = reference.softmax(np.log(np.maximum(scores, 1e-300)) / temperature)
        result.append(mien.TestVector(picture, crcs, logits, scores.astype(np.float32)))
    return result


def compare(net: mien.Network, float_net: fold.FloatNet, pixels: np.ndarray) -> None:
    """How close the integers' answers are to the floats'."""
    x = reference.scale_pixels(pixels, net.input_scale, net.input_offset)
    wanted = np.concatenate([float_net.forward(x[i : i + 64]) for i in range(0, len(x), 64)])
    got = reference.integer_forward(net, pixels)
    same = (wanted.argmax(axis=1) == got.argmax(axis=1)).mean()
    noise = np.square(got - wanted - (got - wanted).mean(axis=1, keepdims=True)).sum()
    power = np.square(wanted - wanted.mean(axis=1, keepdims=True)).sum()
    difference = np.abs(reference.softmax(got) - reference.softmax(wanted))
    print(
        f"on the {len(pixels)} calibration images: same class {100 * same:.2f} %, logits' signal to noise "
        f"{10 * np.log10(power / max(noise, 1e-30)):.1f} dB, mean and largest difference of a probability "
        f"{difference.mean():.4f} {difference.max():.4f}"
    )


def convert(args: argparse.Namespace) -> int:
    errors.refuse_existing(args.output, args.yes)
    model = read_model(args)
    prepare_input(args, model)
    float_net = fold.fold(model)
    if args.temperature != 1 and not float_net.softmax:
        raise errors.UsageError(
            args.model, "no softmax at its end, so --temperature has no meaning"
        )
    cool(float_net, args.temperature)
    labels = labels_for(args, model)
    scale = args.input_scale * float_net.scale
    offset = args.input_offset * float_net.scale + float_net.offset
    float_net.use_all_bits(scale, offset, model.scales_itself)
    if args.calibrate:
        pixels = pictures.load(
            args.calibrate, args.calibrate_count, model.input_shape, args.calibrate_pad
        )
        calibration: Dict[str, Any] = {
            "pictures": args.calibrate_name or os.path.basename(os.path.normpath(args.calibrate)),
            "count": len(pixels),
        }
        if args.calibrate_pad:
            calibration["padding"] = args.calibrate_pad
    else:
        print(
            "convert_keras: warning: no calibration images, ranges are taken from synthetic ones",
            file=sys.stderr,
        )
        pixels = pictures.synthetic(
            min(args.calibrate_count, 64), model.input_shape, SYNTHETIC_SEED
        )
        calibration = {"pictures": "synthetic", "count": len(pixels)}
    options = quantize.Options(range_method=args.range, weight_bits=args.weight_bits)
    if args.plain:
        options = dataclasses.replace(
            options, equalize=0, shift=False, refit=False, rounding="nearest"
        )
    calibration.update(options.described())
    progress = Progress()
    net = quantize.quantize(float_net, pixels, scale, offset, labels, options, progress)
    progress.close()
    if args.float_twin:
        if any(layer.op == mien.TABLE for layer in net.layers):
            raise errors.UsageError(args.model, "--float-twin has no place for tables")
        for layer, op in zip(net.layers, float_net.ops):
            if op.weights is not None:
                layer.float_weights, layer.float_bias = op.weights.astype(
                    np.float32
                ), op.bias.astype(np.float32)
    net.margin_x, net.margin_y = (float(np.float32(m)) for m in (args.margin_x, args.margin_y))
    net.answer = answer_of(args, net)
    net.meta = {
        "name": args.name or Path(args.output).stem,
        "task": args.task,
        "source": args.source,
        "licence": args.license,
        "made_from": {
            "file": os.path.basename(args.model),
            "sha256": model.sha256,
            model.version_key: model.version,
            "parameters": model.parameter_count,
        },
        "macs": float_net.macs,
        "converter": f"mien convert_keras {__version__}",
        "calibration": calibration,
    }
    if args.temperature != 1:
        net.meta["temperature"] = args.temperature
    tests = np.concatenate(
        [
            pictures.synthetic(2, model.input_shape, TEST_SEED),
            *converter.test_images(args.test_image, model.input_shape),
        ]
    )
    preparation = args.input_scale, args.input_offset
    net.tests = test_vectors(net, model, tests, preparation, args.temperature)
    converter.finish(net, args, args.model, lambda: compare(net, float_net, pixels))
    if not net.softmax:
        print("no softmax at its end: its scores are not probabilities (--softmax adds one)")
    if model.one_sigmoid:
        print(f"its one output: 0 is {labels[0]!r}, 1 is {labels[1]!r}")
    if model.scales_itself:
        print(f"its input, as the network scales it: pixel * {scale:.6g} + {offset:.6g}")
    return 0


if __name__ == "__main__":
    errors.run_tool("convert_keras", lambda: convert(parse_arguments(None)))
