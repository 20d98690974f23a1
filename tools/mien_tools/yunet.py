# SPDX-License-Identifier: MIT
"""YuNet face detectors: the arrays of a libfacedetection library or of an ONNX file, and the layers
that they belong to, still in real numbers.

Widths are read off the arrays, so the smaller and the larger network and own trainings are alike:
a 3x3 stem, stages of units, a neck from coarse to fine, and four branches per level. A unit is a
1x1 convolution without activation and a 3x3 depthwise one, most with a ReLU behind it."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

from . import format as mien
from . import quantize
from .errors import ModelError, UnreadableError
from .fold import FloatNet, Op

BRANCHES = (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))  # the order of a result's channels
FIRST_STRIDE = 8
RECORDED = 64  # side of the input that the file records; test vectors have this size
PADS = (1, 1, 1, 1)
# Fitting weights again, as for classifiers, lowers all scores; strong edges need the whole range.
OPTIONS = quantize.Options(range_method="max", refit=False)


@dataclass
class Unit:
    pointwise: np.ndarray  # [out][1][1][in]
    pointwise_bias: np.ndarray
    depthwise: np.ndarray  # [3][3][out]
    depthwise_bias: np.ndarray


@dataclass
class Arrays:
    """A network as it was found, in float64; the stem's inputs in the order blue, green, red."""

    stem: np.ndarray  # [out][3][3][3]
    stem_bias: np.ndarray
    stages: List[List[Unit]]  # the first has the units behind the stem
    neck: List[Unit]  # fine to coarse
    heads: List[Dict[str, Unit]]  # fine to coarse, by branch

    @property
    def parameters(self) -> int:
        units = [u for stage in self.stages for u in stage] + self.neck
        units += [unit for head in self.heads for unit in head.values()]
        return (
            self.stem.size
            + self.stem_bias.size
            + sum(
                a.size
                for u in units
                for a in (u.pointwise, u.pointwise_bias, u.depthwise, u.depthwise_bias)
            )
        )


# ---------------------------------------------------------------- files


def _unit(path: str, name: str, found: Dict[str, np.ndarray], taps_first: bool) -> Unit:
    """From four flat arrays; all shapes follow from the sizes of the biases."""
    parts = [
        found.get(f"{name}.{part}") for part in ("pw_weight", "pw_bias", "dw_weight", "dw_bias")
    ]
    if any(part is None for part in parts):
        raise ModelError(path, f"arrays of '{name}' are missing")
    pw, pw_bias, dw, dw_bias = (part.astype(np.float64).ravel() for part in parts)
    out = pw_bias.size
    if not out or pw.size % out or dw.size != 9 * out or dw_bias.size != out:
        raise ModelError(path, f"arrays of '{name}' do not fit each other")
    depthwise = dw.reshape(3, 3, out) if taps_first else dw.reshape(out, 3, 3).transpose(1, 2, 0)
    return Unit(pw.reshape(out, 1, 1, -1), pw_bias, depthwise, dw_bias)


def _assemble(path: str, found: Dict[str, np.ndarray], taps_first: bool) -> Arrays:
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise ModelError(path, f"'{name}' has values that are not numbers")
    stem_bias = found.get("backbone.model0.stem_bias")
    if stem_bias is None or "backbone.model0.stem_weight" not in found:
        raise ModelError(path, "no stem of a YuNet")
    stem = found["backbone.model0.stem_weight"].astype(np.float64)
    if stem.shape != (stem_bias.size, 3, 3, 3):
        raise ModelError(path, f"a stem of {stem.shape}")

    def numbered(pattern: str) -> List[str]:
        units = {
            m.group(1): int(m.group(2)) for m in (re.match(pattern, name) for name in found) if m
        }
        return sorted(units, key=units.__getitem__)

    def unit(name: str) -> Unit:
        return _unit(path, name, found, taps_first)

    stages = [
        [unit(name) for name in numbered(rf"({re.escape(stage)}\.unit(\d+))\.pw_weight")]
        for stage in numbered(r"(backbone\.model(\d+))\.unit\d+\.pw_weight")
    ]
    neck = [unit(name) for name in numbered(r"(neck\.(\d+))\.pw_weight")]
    heads = [
        {branch: unit(f"head.{branch}.{level}") for branch, _ in BRANCHES}
        for level in range(len(neck))
    ]
    if len(neck) < 1 or len(stages) < len(neck) + 2 or not all(stages):
        raise ModelError(path, f"{len(stages)} stages and {len(neck)} levels")
    for head in heads:
        for branch, channels in BRANCHES:
            if head[branch].pointwise_bias.size != channels:
                raise ModelError(
                    path, f"branch '{branch}' with {head[branch].pointwise_bias.size} channels"
                )
    return Arrays(stem, stem_bias.astype(np.float64), stages, neck, heads)


def read_library(data: bytes, path: str) -> Arrays:
    """The arrays that a shared library of libfacedetection exports."""
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise UnreadableError(path, "reading a library needs pyelftools") from None
    found: Dict[str, np.ndarray] = {}
    names = (
        (r"backbone__model0_pw_(weight|bias)", r"backbone.model0.stem_\1"),
        (r"backbone__model(\d+)_dp(\d*)_([pd]w_\w+)", r"backbone.model\1.unit0\2.\3"),
        (r"neck__lateral_convs__(\d+)_([pd]w_\w+)", r"neck.\1.\2"),
        (r"bbox_head__multi_level_(\w+?)__(\d+)_([pd]w_\w+)", r"head.\1.\2.\3"),
    )
    try:
        elf = ELFFile(io.BytesIO(data))
        table = elf.get_section_by_name(".dynsym")
        for symbol in table.iter_symbols() if table is not None else ():
            for pattern, name in names:
                if re.fullmatch(pattern, symbol.name):
                    at, size = (
                        next(elf.address_offsets(symbol["st_value"], symbol["st_size"])),
                        symbol["st_size"],
                    )
                    found[re.sub(pattern, name, symbol.name)] = np.frombuffer(
                        data, "<f4", size // 4, at
                    )
    except (ELFError, StopIteration, ValueError, KeyError, UnicodeDecodeError):
        raise UnreadableError(path, "not a library that can be read") from None
    stem, bias = found.get("backbone.model0.stem_weight"), found.get("backbone.model0.stem_bias")
    # The stem's 27 weights per output, padded to 32.
    if stem is not None and bias is not None and stem.size == 32 * bias.size:
        found["backbone.model0.stem_weight"] = stem.reshape(-1, 32)[:, :27].reshape(-1, 3, 3, 3)
    return _assemble(path, found, taps_first=True)


def read_onnx(data: bytes, path: str) -> Arrays:
    """The convolutions of an ONNX file in the order of its graph, with batch normalization folded
    in, as OpenCV's model zoo and libfacedetection.train write them."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise UnreadableError(path, "reading ONNX needs the package onnx") from None
    try:
        graph = onnx.load_model_from_string(data).graph
        constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    except Exception:  # protobuf's errors have no common base
        raise UnreadableError(path, "not an ONNX file that can be read") from None
    convs: List[Tuple[str, np.ndarray, np.ndarray]] = []
    made = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        if len(node.input) != 3 or any(name not in constants for name in node.input[1:]):
            raise ModelError(path, f"a convolution '{node.name}' without constant weights and bias")
        convs.append((node.input[0], constants[node.input[1]], constants[node.input[2]]))
    if len(convs) < 3 or convs[0][1].shape[1:] != (3, 3, 3):
        raise ModelError(path, "does not begin as a YuNet")
    found = {
        "backbone.model0.stem_weight": convs[0][1].transpose(0, 2, 3, 1),
        "backbone.model0.stem_bias": convs[0][2],
    }
    # Pairs of convolutions are units. Their names in training give the place; where an exporter
    # has lost them, the first convolution of each pair keeps its own.
    weights = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "Conv"}
    patterns = (
        (r"backbone\.model(\d+)\.conv(\d+)\.conv1\.weight", r"backbone.model\1.unit\2"),
        (r"neck\.lateral_convs\.(\d+)\.conv1\.weight", r"neck.\1"),
        (r"bbox_head\.multi_level_(\w+)\.(\d+)\.conv1\.weight", r"head.\1.\2"),
    )
    for node in graph.node:
        if node.op_type != "Conv" or constants[node.input[1]].shape[1:] != (1, 3, 3):
            continue
        before = made.get(node.input[0])
        name = weights.get(node.input[0], "")
        for pattern, short in patterns:
            if before is not None and re.fullmatch(pattern, name):
                unit = re.sub(pattern, short, name)
                found[f"{unit}.pw_weight"] = constants[before.input[1]]
                found[f"{unit}.pw_bias"] = constants[before.input[2]]
                found[f"{unit}.dw_weight"] = constants[node.input[1]]
                found[f"{unit}.dw_bias"] = constants[node.input[2]]
    return _assemble(path, found, taps_first=False)


def read(data: bytes, path: str) -> Arrays:
    return read_library(data, path) if data[:4] == b"\x7fELF" else read_onnx(data, path)


# ---------------------------------------------------------------- layers


def fold(arrays: Arrays, path: str, side: int = RECORDED) -> Tuple[FloatNet, List[mien.FaceLevel]]:
    """The network on RGB images of any size in steps of its coarsest stride. The four branches of a
    level are one unit, whose channels are class, object, box (x, y, width, height), landmarks.
    `side` is that of the input that the layers' sizes are for."""
    ops: List[Op] = []
    multiple = FIRST_STRIDE << (len(arrays.neck) - 1)
    if side % multiple:
        raise ModelError(path, f"{len(arrays.neck)} levels")

    def shape(tensor: int) -> Tuple[int, int, int]:
        return (side, side, 3) if tensor == 0 else ops[tensor - 1].size

    def add(op: Op) -> int:
        ops.append(op)
        return len(ops)

    def unit(name: str, source: int, u: Unit, result: bool = False) -> int:
        h, w, c = shape(source)
        if u.pointwise.shape[3] != c:
            raise ModelError(path, f"'{name}' wants {u.pointwise.shape[3]} channels, {c} are there")
        size = (h, w, u.pointwise_bias.size)
        middle = add(
            Op(
                f"{name}/pointwise",
                mien.CONV,
                [source],
                size,
                weights=u.pointwise,
                bias=u.pointwise_bias,
            )
        )
        return add(
            Op(
                f"{name}/depthwise",
                mien.DEPTHWISE,
                [middle],
                size,
                (3, 3),
                pads=PADS,
                weights=u.depthwise,
                bias=u.depthwise_bias,
                relu=not result,
                logits=result,
            )
        )

    def pool(name: str, source: int) -> int:
        h, w, c = shape(source)
        return add(Op(name, mien.MAX_POOL, [source], (h // 2, w // 2, c), (2, 2), (2, 2)))

    half = side // 2
    at = add(
        Op(
            "stem",
            mien.CONV,
            [0],
            (half, half, arrays.stem_bias.size),
            (3, 3),
            (2, 2),
            PADS,
            arrays.stem[..., ::-1],
            arrays.stem_bias,
            relu=True,
        )
    )  # blue, green, red to ours
    levels = len(arrays.neck)
    first = len(arrays.stages) - levels
    maps: List[int] = []
    for s, stage in enumerate(arrays.stages):
        # A stride of 4 is reached in stage 1; from `first` on each stage halves it once more.
        if s == 1 or s >= first:
            at = pool(f"pool{s}", at)
        for k, u in enumerate(stage):
            at = unit(f"stage{s}/{k}", at, u)
        if s >= first:
            maps.append(at)
    if shape(maps[0])[0] * FIRST_STRIDE != side:
        raise ModelError(path, f"its finest level has a stride of {side // shape(maps[0])[0]}")
    for level in range(levels - 1, -1, -1):
        if level < levels - 1:
            up = add(
                Op(
                    f"neck{level}/upsample",
                    mien.UPSAMPLE2,
                    [maps[level + 1]],
                    tuple(v * f for v, f in zip(shape(maps[level + 1]), (2, 2, 1))),
                )
            )
            maps[level] = add(
                Op(f"neck{level}/add", mien.ADD, [maps[level], up], shape(maps[level]))
            )
        maps[level] = unit(f"neck{level}", maps[level], arrays.neck[level])
    faces: List[mien.FaceLevel] = []
    for level, head in enumerate(arrays.heads):
        units = [head[branch] for branch, _ in BRANCHES]
        joined = Unit(
            *(
                np.concatenate([getattr(u, part) for u in units], axis=axis)
                for part, axis in (
                    ("pointwise", 0),
                    ("pointwise_bias", 0),
                    ("depthwise", 2),
                    ("depthwise_bias", 0),
                )
            )
        )
        layer = unit(f"head{level}", maps[level], joined, result=True) - 1
        faces.append(mien.FaceLevel(layer, FIRST_STRIDE << level))
    return (
        FloatNet((side, side, 3), ops, False, maps=True, multiple=multiple, unsigned_input=True),
        faces,
    )
