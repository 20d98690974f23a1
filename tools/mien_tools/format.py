# SPDX-License-Identifier: MIT
""".mien files: write, read, validate. docs/FILE_FORMAT.md is the contract; the reader here refuses
what src/base/container.cpp, src/nn/model_file.cpp and src/detect/haar/cascade.cpp refuse."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from . import tensor_ops
from .errors import ModelError

MAGIC = b"MIEN"
MAJOR, MINOR = 1, 0
HEADER_BYTES, ENTRY_BYTES, INPUT_BYTES, LAYER_BYTES = 32, 16, 48, 64
MAX_SECTIONS, MAX_LAYERS, MAX_TESTS, MAX_CLASSES = 32, 256, 64, 1024
MAX_FILE_BYTES = 1 << 30
MAX_TENSOR = 1 << 28
LARGEST_FACTOR = 1e18
LARGEST_OUTPUT = 2147483000.0  # of a sum times its scale, before it is clamped to a byte
NO_TENSOR = 0xFFFF

(CONV, DEPTHWISE, MAX_POOL, AVG_POOL, ADD, RELU, GLOBAL_AVG_POOL, CONV_GAP, UPSAMPLE2) = range(
    1, 10
)
TABLE, CONCAT, MULTIPLY = range(10, 13)
OP_NAMES = (
    "",
    "conv",
    "depthwise",
    "max_pool",
    "avg_pool",
    "add",
    "relu",
    "global_avg_pool",
    "conv_gap",
    "upsample2",
    "table",
    "concat",
    "multiply",
)
WITH_WEIGHTS = (CONV, DEPTHWISE, CONV_GAP)
POOLS = (MAX_POOL, AVG_POOL)
WITH_SECOND = (ADD, CONCAT, MULTIPLY)  # with two inputs
TABLE_ENTRIES = 256  # for the values -128..127; -128 never occurs
MAPS_MAX_MULTIPLE, MAX_LEVELS, FACE_CHANNELS = 1024, 8, 16
UNIT_BYTES = 8

Shape = Tuple[int, int, int]


class FormatError(ModelError):
    """Not a valid .mien file."""

    def __init__(self, cause: str, subject: str = "file") -> None:
        super().__init__(subject, cause)
        self.cause = cause


@dataclass
class Layer:
    name: str
    op: int
    input: int
    size: Tuple[int, int, int]  # height, width, channels of the record
    relu: bool = False
    logits: bool = False  # a result: sums times scale, as floats
    kernel: Tuple[int, int] = (1, 1)
    stride: Tuple[int, int] = (1, 1)
    pads: tensor_ops.Pads = (0, 0, 0, 0)  # top, left, bottom, right
    input2: Optional[int] = None
    weights: Optional[np.ndarray] = (
        None  # int8 [out][ky][kx][in], or [ky][kx][channel] of a depthwise layer; [1 or out][256] of a table
    )
    bias: Optional[np.ndarray] = None  # int32 [out]
    scale: Optional[np.ndarray] = None  # float32 [out], or [1] of global_avg_pool
    float_weights: Optional[np.ndarray] = (
        None  # float32, of the float original: the file's float twin, in all layers or in none
    )
    float_bias: Optional[np.ndarray] = None
    quant: float = 0.0

    @property
    def op_name(self) -> str:
        return OP_NAMES[self.op]

    @property
    def output_shape(self) -> Shape:
        return (1, 1, self.size[2]) if self.op in (GLOBAL_AVG_POOL, CONV_GAP) else self.size

    @property
    def macs(self) -> int:
        each = self.weights.size if self.op in WITH_WEIGHTS else 0
        return each * self.size[0] * self.size[1]


@dataclass
class TestVector:
    __test__ = False  # not a test of pytest's

    pixels: np.ndarray  # uint8 [h, w, c]
    layer_crcs: List[int]
    logits: np.ndarray  # float32 [classes]
    probabilities: np.ndarray  # float32 [classes], of the float original


@dataclass
class FaceLevel:
    layer: int  # makes a map of FACE_CHANNELS floats per cell
    stride: int  # pixels of the input per cell


@dataclass
class FaceDetector:
    """What a network of maps means as a face detector; docs/DETECTOR.md."""

    levels: List[FaceLevel]
    min_score: float
    overlap: float  # of two boxes, beyond which the lower score goes
    crop: List[Tuple[float, float]]  # the five landmarks in the crop's square, -0.5..0.5


@dataclass
class Answer:
    """What a classifier's probabilities mean: section ANSW."""

    unsure_below: float = 0.0  # highest probability below which no class is named
    values: Optional[List[float]] = None  # of the classes, when they are a quantity
    unit: str = ""


@dataclass
class Network:
    input_shape: Shape
    input_scale: float
    input_offset: float
    input_quant: float
    labels: List[str]
    layers: List[Layer]
    softmax: bool = True
    margin_x: float = 0.0
    margin_y: float = 0.0
    meta: Dict[str, Any] = field(default_factory=dict)
    tests: List[TestVector] = field(default_factory=list)
    maps: bool = False  # several results that are maps, no classes
    multiple: int = 0  # maps: the input's sides may be any multiple of it; 0: one size
    unsigned_input: bool = False
    face: Optional[FaceDetector] = None
    answer: Optional[Answer] = None

    @property
    def class_count(self) -> int:
        return len(self.labels)

    def tensor_shape(self, t: int) -> Shape:
        return self.input_shape if t == 0 else self.layers[t - 1].output_shape

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    def at_size(self, height: int, width: int) -> "Network":
        """The same network of maps with another size of the input recorded, without test vectors."""
        net = replace(self, input_shape=(height, width, self.input_shape[2]), layers=[], tests=[])
        for layer in self.layers:
            h, w, _ = net.tensor_shape(layer.input)
            if layer.op in WITH_WEIGHTS or layer.op in POOLS:
                h, w = tensor_ops.output_size((h, w), layer.kernel, layer.stride, layer.pads)
            elif layer.op == UPSAMPLE2:
                h, w = 2 * h, 2 * w
            net.layers.append(replace(layer, size=(h, w, layer.size[2])))
        return net


@dataclass
class Feature:
    tilted: bool
    rectangles: List[Tuple[int, int, int, int, float]]  # x, y, width, height, weight


@dataclass
class Tree:
    nodes: List[Tuple[int, int, int, float]]  # left, right, feature, threshold
    leaves: List[float]


@dataclass
class Cascade:
    width: int
    height: int
    stages: List[Tuple[float, List[Tree]]]  # threshold, trees
    features: List[Feature]
    meta: Dict[str, Any] = field(default_factory=dict)

    @property
    def trees(self) -> List[Tree]:
        return [tree for _, trees in self.stages for tree in trees]

    @property
    def stumps(self) -> bool:
        return all(len(tree.nodes) == 1 and tree.nodes[0][:2] == (0, -1) for tree in self.trees)


# ---------------------------------------------------------------- container


def _align(n: int, to: int = 16) -> int:
    return -(-n // to) * to


def checksum(data: bytes) -> int:
    """CRC-32 of the whole file but for the four bytes that hold it."""
    return zlib.crc32(data[28:], zlib.crc32(data[:24]))


def write_container(kind: bytes, sections: Dict[str, bytes]) -> bytes:
    end = HEADER_BYTES + ENTRY_BYTES * len(sections)
    table, body = b"", bytearray()
    start = _align(end)
    body += bytes(start - end)
    for tag, data in sections.items():
        table += struct.pack("<4sIII", tag.encode("ascii"), start, len(data), 0)
        body += data + bytes(_align(len(data)) - len(data))
        start += _align(len(data))
    if start > MAX_FILE_BYTES or len(sections) > MAX_SECTIONS:
        raise FormatError("too large for a .mien file")
    head = struct.pack("<4sHH4sIQ", MAGIC, MAJOR, MINOR, kind, len(sections), start)
    data = head + bytes(8) + table + bytes(body)
    return data[:24] + struct.pack("<I", checksum(data)) + data[28:]


def read_container(data: bytes, kind: Optional[bytes] = None) -> Tuple[bytes, Dict[str, bytes]]:
    """The kind and the sections; refuses any damage."""
    if len(data) < HEADER_BYTES or data[:4] != MAGIC:
        raise FormatError("not a .mien file")
    major, _, found, count, size, crc, zero = struct.unpack_from("<HH4sIQII", data, 4)
    if major != MAJOR:
        raise FormatError(f"version {major} of the format, {MAJOR} is known")
    if (
        size != len(data)
        or size > MAX_FILE_BYTES
        or not 1 <= count <= MAX_SECTIONS
        or zero != 0
        or crc != checksum(data)
    ):
        raise FormatError("damaged: size or checksum is wrong")
    if kind is not None and found != kind:
        raise FormatError(f"a file of kind {found!r}, {kind!r} expected")
    sections: Dict[str, bytes] = {}
    end = HEADER_BYTES + ENTRY_BYTES * count
    for i in range(count):
        if end > size:
            raise FormatError("damaged section table")
        tag_bytes, offset, length, zero = struct.unpack_from(
            "<4sIII", data, HEADER_BYTES + ENTRY_BYTES * i
        )
        tag = tag_bytes.decode("latin-1")
        if (
            zero
            or offset != _align(end)
            or offset > size
            or length > size - offset
            or any(data[end:offset])
            or tag in sections
        ):
            raise FormatError(f"damaged section {tag!r}")
        sections[tag] = data[offset : offset + length]
        end = offset + length
    if _align(end) != size or any(data[end:]):
        raise FormatError("damaged: bytes behind the last section")
    return found, sections


def _need(sections: Dict[str, bytes], *tags: str) -> None:
    for tag in tags:
        if tag not in sections:
            raise FormatError(f"section {tag} is missing")


def _encode_meta(meta: Dict[str, Any]) -> bytes:
    return json.dumps(meta, ensure_ascii=False, indent=1, allow_nan=False).encode("utf-8")


def _decode_meta(data: bytes) -> Dict[str, Any]:
    try:
        meta = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise FormatError("META is not JSON") from None
    if not isinstance(meta, dict):
        raise FormatError("META is not a JSON object")
    return meta


def _strings(data: bytes, what: str) -> List[str]:
    if not data or data[-1] != 0:
        raise FormatError(f"{what}: a text without end")
    try:
        return [part.decode("utf-8") for part in data[:-1].split(b"\0")]
    except UnicodeDecodeError:
        raise FormatError(f"{what} is not UTF-8") from None


def _text_bytes(text: str) -> bytes:
    if "\0" in text:
        raise FormatError(f"a zero byte in {text!r}")
    return text.encode("utf-8") + b"\0"


def _factor(v: float) -> bool:
    return 0 < v <= LARGEST_FACTOR


# ---------------------------------------------------------------- networks


def largest_sums(layer: Layer, unsigned_input: bool = False) -> np.ndarray:
    """For each output channel, what |sum| can never exceed; int64."""
    axes = (0, 1) if layer.op == DEPTHWISE else (1, 2, 3)
    magnitude = np.abs(layer.weights.astype(np.int64)).sum(axis=axes)
    total = magnitude * (256 if unsigned_input else 127) + np.abs(layer.bias.astype(np.int64))
    return total * (layer.size[0] * layer.size[1] if layer.op == CONV_GAP else 1)


def check_network(net: Network) -> None:
    """Every rule of the format; raises FormatError."""
    h, w, c = net.input_shape
    if not (1 <= h <= 1024 and 1 <= w <= 1024 and c in (1, 3)):
        raise FormatError(f"an input of {h} x {w} x {c}")
    if net.maps:
        if net.class_count or net.softmax:
            raise FormatError("a network of maps with classes")
        if (
            not 0 <= net.multiple <= MAPS_MAX_MULTIPLE
            or net.multiple
            and (h % net.multiple or w % net.multiple)
        ):
            raise FormatError(f"an input of {h} x {w} in steps of {net.multiple}")
    elif not 1 <= net.class_count <= MAX_CLASSES or net.multiple:
        raise FormatError(f"{net.class_count} classes, steps of {net.multiple}")
    if not (
        abs(net.input_scale) <= LARGEST_FACTOR
        and abs(net.input_offset) <= LARGEST_FACTOR
        and _factor(net.input_quant)
        and net.input_quant >= 1 / LARGEST_FACTOR
    ):
        raise FormatError("input scale, offset or quant is out of range")
    if not all(np.float32(-0.4) <= m <= 4 for m in (net.margin_x, net.margin_y)):
        raise FormatError("a margin outside -0.4..4")
    if not 1 <= len(net.layers) <= MAX_LAYERS:
        raise FormatError(f"{len(net.layers)} layers")
    for i, layer in enumerate(net.layers):
        problem = _layer_problem(net, i, layer)
        if problem:
            raise FormatError(f"layer {i} '{layer.name}': {problem}")
    if len(net.tests) > MAX_TESTS:
        raise FormatError(f"{len(net.tests)} test vectors")
    if net.face is not None:
        _check_face(net, net.face)
    if net.answer is not None:
        check_answer(net, net.answer)


def check_answer(net: Network, answer: Answer) -> None:
    """Every rule of section ANSW; raises FormatError."""
    if net.maps or not net.softmax:
        raise FormatError("an answer of a network without probabilities")
    if not 0 <= answer.unsure_below <= 1:
        raise FormatError(f"unsure below {answer.unsure_below}, which is not in 0..1")
    if len(answer.unit.encode()) > UNIT_BYTES or "\0" in answer.unit:
        raise FormatError(f"the unit {answer.unit!r}, which is longer than {UNIT_BYTES} bytes")
    if answer.values is None:
        if answer.unit:
            raise FormatError("a unit without values")
        return
    values = np.float32(answer.values)
    if answer.unsure_below:
        raise FormatError("a quantity that may be unsure")
    if len(values) != net.class_count or len(values) < 2:
        raise FormatError(f"{len(values)} values of {net.class_count} classes")
    if not (np.abs(values) <= LARGEST_FACTOR).all() or not (np.diff(values) > 0).all():
        raise FormatError("values that do not ascend or are not finite")


def _check_face(net: Network, face: FaceDetector) -> None:
    if not net.maps or net.input_shape[2] != 3:
        raise FormatError("a face detector that is no network of maps of an RGB image")
    if (
        not 1 <= len(face.levels) <= MAX_LEVELS
        or not 0 < face.min_score <= 1
        or not 0 <= face.overlap <= 1
    ):
        raise FormatError("levels, score or overlap of the face detector")
    if len(face.crop) != 5 or not all(abs(v) <= 4 for point in face.crop for v in point):
        raise FormatError("the face detector's crop")
    x, y = np.float32(face.crop).T
    if not np.square(x - x.mean()).sum() + np.square(y - y.mean()).sum() > 1e-6:
        raise FormatError("the face detector's crop")
    for level in face.levels:
        if not 0 <= level.layer < len(net.layers) or not net.layers[level.layer].logits:
            raise FormatError(f"level of the face detector: layer {level.layer} makes no map")
        h, w, c = net.layers[level.layer].output_shape
        if c != FACE_CHANNELS or (h * level.stride, w * level.stride) != net.input_shape[:2]:
            raise FormatError(
                f"level of the face detector: {h} x {w} x {c} at stride {level.stride}"
            )


def _layer_problem(net: Network, i: int, layer: Layer) -> str:
    op, (oh, ow, oc) = layer.op, layer.size
    if not CONV <= op <= MULTIPLY:
        return f"op {op}"
    if (
        not 0 <= layer.input <= i
        or (op in WITH_SECOND) != (layer.input2 is not None)
        or (op in WITH_SECOND and not 0 <= layer.input2 <= i)
    ):
        return "an input that is not made before it"
    if min(layer.size) < 1 or max(layer.size) > 65535 or oh * ow * oc > MAX_TENSOR:
        return f"an output of {layer.size}"
    ih, iw, ic = net.tensor_shape(layer.input)
    if op in WITH_WEIGHTS or op in POOLS:
        if not all(1 <= v <= 255 for v in layer.kernel + layer.stride):
            return "kernel or stride"
        (kh, kw), (top, left, bottom, right) = layer.kernel, layer.pads
        if min(layer.pads) < 0 or max(top, bottom) >= kh or max(left, right) >= kw:
            return "padding as large as its kernel"
        if ih + top + bottom < kh or iw + left + right < kw:
            return "a kernel larger than its input"
        if (oh, ow) != tensor_ops.output_size((ih, iw), layer.kernel, layer.stride, layer.pads):
            return "output size does not agree"
        if op in POOLS and (
            (oh - 1) * layer.stride[0] - top >= ih or (ow - 1) * layer.stride[1] - left >= iw
        ):
            return "a pooling window outside of its input"
    elif layer.kernel != (1, 1) or layer.stride != (1, 1) or any(layer.pads):
        return "kernel, stride or padding where its op has none"
    if op in (DEPTHWISE,) + POOLS and oc != ic:
        return "number of channels"
    if (
        op in (RELU, ADD)
        and layer.size != (ih, iw, ic)
        or op == ADD
        and layer.size != net.tensor_shape(layer.input2)
    ):
        return "shapes differ"
    if op in (TABLE, MULTIPLY) and layer.size != (ih, iw, ic):
        return "shapes differ"
    if op in (CONCAT, MULTIPLY):
        second = net.tensor_shape(layer.input2)
        if op == MULTIPLY and (second[2] != ic or second[:2] not in ((ih, iw), (1, 1))):
            return "shapes differ"
        if op == CONCAT and (second[:2] != (ih, iw) or layer.size != (ih, iw, ic + second[2])):
            return "shapes differ"
    if op == TABLE:
        tables = layer.weights
        if (
            tables is None
            or tables.dtype != np.int8
            or tables.shape not in ((1, TABLE_ENTRIES), (oc, TABLE_ENTRIES))
            or (tables == -128).any()
        ):
            return "tables"
    if op == UPSAMPLE2 and layer.size != (2 * ih, 2 * iw, ic):
        return "shape"
    if op == GLOBAL_AVG_POOL and (layer.size != (1, 1, ic) or ih * iw > 1 << 16):
        return "shape"
    if layer.relu and op not in (CONV, DEPTHWISE, ADD):
        return "an activation where its op has none"
    problem = _output_problem(net, i, layer)
    if problem:
        return problem
    if layer.logits:
        if layer.relu or layer.quant != 0:
            return "activation or quant of a result"
    elif not _factor(layer.quant):
        return "quant is not a positive number"
    if op in (GLOBAL_AVG_POOL, MULTIPLY) or op in WITH_WEIGHTS:
        scales = layer.scale
        if (
            scales is None
            or len(scales) != (1 if op == GLOBAL_AVG_POOL else oc)
            or not all(_factor(float(s)) for s in scales)
        ):
            return "scales"
        if op == MULTIPLY and (127 * 127 * np.asarray(scales, np.float64) >= LARGEST_OUTPUT).any():
            return "a scale far too large for its products"
    if op in WITH_WEIGHTS:
        (kh, kw), weights = layer.kernel, layer.weights
        shape = (kh, kw, oc) if op == DEPTHWISE else (oc, kh, kw, ic)
        if weights is None or weights.shape != shape or weights.dtype != np.int8:
            return "weights"
        if layer.bias is None or layer.bias.shape != (oc,):
            return "biases"
        if (weights == -128).any():
            return "a weight of -128"
        largest = largest_sums(layer, net.unsigned_input and layer.input == 0)
        if (largest >= 1 << 31).any():
            return "its sums may overflow 32 bits"
        if not layer.logits and (largest * np.asarray(scales, np.float64) >= LARGEST_OUTPUT).any():
            return "a scale far too large for its sums"
    return ""


def _output_problem(net: Network, i: int, layer: Layer) -> str:
    """Which layers make results, and which read them or the image's bytes."""
    last, inputs = i == len(net.layers) - 1, [layer.input] + [layer.input2] * (
        layer.input2 is not None
    )
    if any(t > 0 and net.layers[t - 1].logits for t in inputs):
        return "reads a result"
    if net.unsigned_input and 0 in inputs and (layer.op != CONV or layer.logits):
        return "reads the image's unsigned bytes, which only conv with bytes as output can"
    if net.maps:
        if (
            layer.op in (CONV_GAP, GLOBAL_AVG_POOL)
            or layer.logits
            and layer.op not in (CONV, DEPTHWISE)
        ):
            return "an op that a network of maps has not"
        return "a network of maps ends with a map" if last and not layer.logits else ""
    if layer.logits != last or layer.op == CONV_GAP and not last:
        return "logits come from the last layer and no other"
    if last and layer.op != CONV_GAP and (layer.op != CONV or layer.size[:2] != (1, 1)):
        return "logits come from a conv with a 1 x 1 output or conv_gap"
    return "channels of the logits" if last and layer.size[2] != net.class_count else ""


def encode_network(net: Network) -> bytes:
    check_network(net)
    weights, biases, scales, names, records = bytearray(), [], [], bytearray(), b""
    for layer in net.layers:
        offset, first_bias, first_scale = 0, 0, 0
        if layer.weights is not None:
            offset, first_bias = len(weights), len(biases)
            weights += np.ascontiguousarray(layer.weights, np.int8).tobytes()
        if layer.bias is not None:
            biases += layer.bias.tolist()
        if layer.scale is not None:
            first_scale = len(scales)
            scales += layer.scale.tolist()
        name_offset = len(names)
        names += _text_bytes(layer.name)
        records += struct.pack(
            "<4B4B4B5HHIIIfII16x",
            layer.op,
            layer.relu,
            layer.logits,
            0,
            *layer.kernel,
            *layer.stride,
            *layer.pads,
            layer.input,
            NO_TENSOR if layer.input2 is None else layer.input2,
            *layer.size,
            0,
            offset,
            first_bias,
            first_scale,
            layer.quant,
            name_offset,
            len(layer.weights) if layer.op == TABLE else 0,
        )
    twin: Dict[str, bytes] = {}
    weighted = [layer for layer in net.layers if layer.op in WITH_WEIGHTS]
    if any(layer.float_weights is not None for layer in weighted):
        for layer in weighted:
            if (
                layer.float_weights is None
                or layer.float_weights.shape != layer.weights.shape
                or layer.float_bias.shape != layer.bias.shape
            ):
                raise FormatError(f"layer '{layer.name}': its float twin is of another shape")
        twin = {
            "FLTW": b"".join(
                np.ascontiguousarray(layer.float_weights, "<f4").tobytes() for layer in weighted
            ),
            "FLTB": b"".join(
                np.ascontiguousarray(layer.float_bias, "<f4").tobytes() for layer in weighted
            ),
        }
    tests = struct.pack("<I", len(net.tests))
    for test in net.tests:
        pixels = np.ascontiguousarray(test.pixels, np.uint8).tobytes()
        tests += pixels + bytes(_align(len(pixels), 4) - len(pixels))
        tests += np.asarray(test.layer_crcs, "<u4").tobytes()
        tests += (
            np.asarray(test.logits, "<f4").tobytes()
            + np.asarray(test.probabilities, "<f4").tobytes()
        )
    if net.face is not None:
        face = net.face
        twin["FACE"] = struct.pack("<IIff", len(face.levels), 0, face.min_score, face.overlap)
        twin["FACE"] += struct.pack("<10f", *(v for point in face.crop for v in point))
        twin["FACE"] += b"".join(
            struct.pack("<II", level.layer, level.stride) for level in face.levels
        )
    if net.answer is not None:
        values = net.answer.values
        twin["ANSW"] = struct.pack(
            "<If8s", int(values is not None), net.answer.unsure_below, net.answer.unit.encode()
        )
        twin["ANSW"] += np.asarray(values or [], "<f4").tobytes()
    return write_container(
        b"NETW",
        {
            "INPT": struct.pack(
                "<3I5fIIBBHI",
                *net.input_shape,
                net.input_scale,
                net.input_offset,
                net.input_quant,
                net.margin_x,
                net.margin_y,
                net.class_count,
                int(net.softmax),
                int(net.maps),
                int(net.unsigned_input),
                0,
                net.multiple,
            ),
            "LAYR": records,
            "WGHT": bytes(weights),
            "BIAS": np.asarray(biases, "<i4").tobytes(),
            "SCAL": np.asarray(scales, "<f4").tobytes(),
            "NAME": bytes(names),
            "LABL": b"".join(_text_bytes(label) for label in net.labels),
            "META": _encode_meta(net.meta),
            "TEST": tests,
            **twin,
        },
    )


def decode_network(data: bytes) -> Network:
    _, sections = read_container(data, b"NETW")
    _need(sections, "INPT", "LAYR", "WGHT", "BIAS", "SCAL", "NAME", "LABL", "META", "TEST")
    inpt, layr, names = sections["INPT"], sections["LAYR"], sections["NAME"]
    if (
        len(inpt) != INPUT_BYTES
        or len(layr) % LAYER_BYTES
        or len(sections["BIAS"]) % 4
        or len(sections["SCAL"]) % 4
    ):
        raise FormatError("a section of a wrong size")
    (
        h,
        w,
        c,
        scale,
        offset,
        quant,
        margin_x,
        margin_y,
        classes,
        score,
        task,
        unsigned,
        zero,
        multiple,
    ) = struct.unpack("<3I5fIIBBHI", inpt)
    if (
        score > 1
        or task > 1
        or unsigned > 1
        or zero
        or classes > MAX_CLASSES
        or (classes == 0) != (task == 1)
    ):
        raise FormatError("INPT is damaged")
    labels = _strings(sections["LABL"], "LABL") if classes or sections["LABL"] else []
    if len(labels) != classes:
        raise FormatError(f"{len(labels)} labels for {classes} classes")
    net = Network(
        (h, w, c),
        scale,
        offset,
        quant,
        labels,
        [],
        score == 1,
        margin_x,
        margin_y,
        _decode_meta(sections["META"]),
        maps=task == 1,
        multiple=multiple,
        unsigned_input=unsigned == 1,
    )
    wght = np.frombuffer(sections["WGHT"], np.int8)
    bias, scal = np.frombuffer(sections["BIAS"], "<i4"), np.frombuffer(sections["SCAL"], "<f4")
    # An optional part: one that does not fit is no twin, as in src/explain.
    fltw, fltb = (
        np.frombuffer(sections[tag], "<f4") if len(sections.get(tag, b"x")) % 4 == 0 else None
        for tag in ("FLTW", "FLTB")
    )
    twin = (
        fltw is not None and fltb is not None and fltw.size == wght.size and fltb.size == bias.size
    )
    count = len(layr) // LAYER_BYTES
    if not 1 <= count <= MAX_LAYERS:
        raise FormatError(f"{count} layers")
    for i in range(count):
        record = layr[i * LAYER_BYTES : (i + 1) * LAYER_BYTES]
        (
            op,
            act,
            out,
            zero,
            kh,
            kw,
            sy,
            sx,
            top,
            left,
            bottom,
            right,
            in1,
            in2,
            oh,
            ow,
            oc,
            zero2,
            w_at,
            b_at,
            s_at,
            quant,
            name_at,
            tables,
        ) = struct.unpack("<4B4B4B5HHIIIfII16x", record)
        end = names.find(b"\0", name_at)
        if (
            act > 1
            or out > 1
            or zero
            or zero2
            or any(record[48:])
            or (tables != 0 if op != TABLE else tables not in (1, oc))
            or name_at >= len(names)
            or end < 0
        ):
            raise FormatError(f"layer {i} is damaged")
        layer = Layer(
            names[name_at:end].decode("utf-8", "replace"),
            op,
            in1,
            (oh, ow, oc),
            act == 1,
            out == 1,
            (kh, kw),
            (sy, sx),
            (top, left, bottom, right),
            None if in2 == NO_TENSOR else in2,
            quant=quant,
        )
        if in1 > i:
            raise FormatError(f"layer {i} takes a tensor that is not made before it")
        if op in WITH_WEIGHTS:
            shape = (kh, kw, oc) if op == DEPTHWISE else (oc, kh, kw, net.tensor_shape(in1)[2])
            size = int(np.prod(shape))
            if (
                w_at > wght.size
                or size > wght.size - w_at
                or b_at > bias.size
                or oc > bias.size - b_at
            ):
                raise FormatError(f"layer {i}: weights or biases outside of their section")
            layer.weights = wght[w_at : w_at + size].reshape(shape)
            layer.bias = bias[b_at : b_at + oc]
            if twin:
                layer.float_weights, layer.float_bias = (
                    fltw[w_at : w_at + size].reshape(shape),
                    fltb[b_at : b_at + oc],
                )
        if op == TABLE:
            size = tables * TABLE_ENTRIES
            if w_at > wght.size or size > wght.size - w_at:
                raise FormatError(f"layer {i}: tables outside of their section")
            layer.weights = wght[w_at : w_at + size].reshape(tables, TABLE_ENTRIES)
        if op in WITH_WEIGHTS or op in (GLOBAL_AVG_POOL, MULTIPLY):
            size = 1 if op == GLOBAL_AVG_POOL else oc
            if s_at > scal.size or size > scal.size - s_at:
                raise FormatError(f"layer {i}: scales outside of their section")
            layer.scale = scal[s_at : s_at + size]
        net.layers.append(layer)
    if "FACE" in sections:
        net.face = _decode_face(sections["FACE"])
    if "ANSW" in sections:
        net.answer = _decode_answer(sections["ANSW"])
    check_network(net)
    _decode_tests(net, sections["TEST"])
    return net


def _decode_face(data: bytes) -> FaceDetector:
    if len(data) < 56:
        raise FormatError("FACE is cut")
    count, zero, min_score, overlap = struct.unpack_from("<IIff", data)
    if zero or not 1 <= count <= MAX_LEVELS or len(data) != 56 + 8 * count:
        raise FormatError("FACE is damaged")
    crop = struct.unpack_from("<10f", data, 16)
    levels = [FaceLevel(*struct.unpack_from("<II", data, 56 + 8 * i)) for i in range(count)]
    return FaceDetector(levels, min_score, overlap, list(zip(crop[::2], crop[1::2])))


def _decode_answer(data: bytes) -> Answer:
    if len(data) < 16 or len(data) % 4:
        raise FormatError("ANSW is cut")
    kind, unsure_below, unit = struct.unpack_from("<If8s", data)
    text = unit.rstrip(b"\0")
    if kind > 1 or (kind == 0 and len(data) != 16):
        raise FormatError("ANSW is damaged")
    try:
        name = text.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError("ANSW: the unit is not UTF-8") from None
    values = np.frombuffer(data, "<f4", offset=16).tolist() if kind == 1 else None
    return Answer(unsure_below, values, name)


def _decode_tests(net: Network, data: bytes) -> None:
    if len(data) < 4:
        raise FormatError("TEST is cut")
    count = struct.unpack_from("<I", data)[0]
    pixels = int(np.prod(net.input_shape))
    layers, classes = len(net.layers), net.class_count
    size = _align(pixels, 4) + 4 * (layers + 2 * classes)
    if count > MAX_TESTS or len(data) - 4 != count * size:
        raise FormatError("TEST is damaged")
    for i in range(count):
        at = 4 + i * size
        picture = np.frombuffer(data, np.uint8, pixels, at).reshape(net.input_shape)
        at += _align(pixels, 4)
        crcs = np.frombuffer(data, "<u4", layers, at).tolist()
        at += 4 * layers
        net.tests.append(
            TestVector(
                picture,
                crcs,
                np.frombuffer(data, "<f4", classes, at),
                np.frombuffer(data, "<f4", classes, at + 4 * classes),
            )
        )


# ---------------------------------------------------------------- cascades


def check_cascade(cascade: Cascade) -> None:
    """Every rule of the format; raises FormatError."""
    width, height = cascade.width, cascade.height
    if not (4 <= width <= 255 and 4 <= height <= 255):
        raise FormatError(f"a window of {width} x {height}")
    if not cascade.stages or not cascade.features:
        raise FormatError("no stages or no features")
    for i, feature in enumerate(cascade.features):
        if not 1 <= len(feature.rectangles) <= 3:
            raise FormatError(f"feature {i} has {len(feature.rectangles)} rectangles")
        for x, y, w, h, weight in feature.rectangles:
            inside = (
                x - h >= 0 and x + w <= width and y + w + h <= height
                if feature.tilted
                else x + w <= width and y + h <= height
            )
            if not (
                w >= 1
                and h >= 1
                and 0 <= x <= 255
                and 0 <= y <= 255
                and w <= 255
                and h <= 255
                and inside
            ):
                raise FormatError(f"feature {i}: rectangle {x} {y} {w} {h} leaves the window")
            if not np.isfinite(weight):
                raise FormatError(f"feature {i}: a weight that is not finite")
    for s, (threshold, trees) in enumerate(cascade.stages):
        if not trees or not np.isfinite(threshold):
            raise FormatError(f"stage {s} is empty or its threshold is not finite")
        for t, tree in enumerate(trees):
            where = f"stage {s}, tree {t}"
            count = len(tree.nodes)
            if not 1 <= count <= 32767 or len(tree.leaves) != count + 1:
                raise FormatError(f"{where}: {count} nodes and {len(tree.leaves)} leaves")
            if not np.isfinite(tree.leaves).all():
                raise FormatError(f"{where}: a leaf that is not finite")
            for n, (left, right, feature_index, node_threshold) in enumerate(tree.nodes):
                for child in (left, right):
                    if not (n < child < count if child > 0 else -child <= count):
                        raise FormatError(f"{where}: child {child} of node {n}")
                if not 0 <= feature_index < len(cascade.features) or not np.isfinite(
                    node_threshold
                ):
                    raise FormatError(f"{where}: feature or threshold of node {n}")


def encode_cascade(cascade: Cascade) -> bytes:
    check_cascade(cascade)
    stages, trees, nodes, leaves, features = (bytearray() for _ in range(5))
    weights = sorted(
        {float(np.float32(r[4])) for feature in cascade.features for r in feature.rectangles}
    )
    if len(weights) > 256 or (cascade.stumps and len(cascade.features) > 65536):
        raise FormatError(
            f"{len(weights)} different weights and {len(cascade.features)} features (at most 256 and, of stumps, 65536)"
        )
    tree_count = node_count = leaf_count = 0
    for threshold, stage_trees in cascade.stages:
        stages += struct.pack("<IIf", tree_count, len(stage_trees), threshold)
        for tree in stage_trees:
            if not cascade.stumps:
                trees += struct.pack("<IIII", node_count, leaf_count, len(tree.nodes), 0)
            for left, right, feature, node_threshold in tree.nodes:
                nodes += (
                    struct.pack("<Hf", feature, node_threshold)
                    if cascade.stumps
                    else struct.pack("<hhIf", left, right, feature, node_threshold)
                )
            leaves += np.asarray(tree.leaves, "<f4").tobytes()
            tree_count, node_count, leaf_count = (
                tree_count + 1,
                node_count + len(tree.nodes),
                leaf_count + len(tree.leaves),
            )
    for feature in cascade.features:
        record = bytes([len(feature.rectangles) | (0x80 if feature.tilted else 0)])
        record += b"".join(
            bytes([*r[:4], weights.index(float(np.float32(r[4])))]) for r in feature.rectangles
        )
        features += record + bytes(16 - len(record))
    return write_container(
        b"CASC",
        {
            "WIND": struct.pack("<4I", cascade.width, cascade.height, int(cascade.stumps), 0),
            "STAG": bytes(stages),
            "TREE": bytes(trees),
            "NODE": bytes(nodes),
            "LEAF": bytes(leaves),
            "FEAT": bytes(features),
            "WGHT": np.asarray(weights, "<f4").tobytes(),
            "META": _encode_meta(cascade.meta),
        },
    )


def decode_cascade(data: bytes) -> Cascade:
    _, sections = read_container(data, b"CASC")
    _need(sections, "WIND", "META", "STAG", "TREE", "NODE", "LEAF", "FEAT", "WGHT")
    if len(sections["WIND"]) != 16:
        raise FormatError("WIND is damaged")
    width, height, flags, zero = struct.unpack("<4I", sections["WIND"])
    if flags > 1 or zero:
        raise FormatError("WIND is damaged")
    sizes = {
        "STAG": 12,
        "LEAF": 4,
        "FEAT": 16,
        "WGHT": 4,
        **({"NODE": 6} if flags else {"TREE": 16, "NODE": 12}),
    }
    if any(len(sections[tag]) % size or not sections[tag] for tag, size in sizes.items()) or (
        flags and sections["TREE"]
    ):
        raise FormatError("a section of a wrong size")
    leaves = np.frombuffer(sections["LEAF"], "<f4").tolist()
    weights = np.frombuffer(sections["WGHT"], "<f4").tolist()
    if flags:
        nodes = [(0, -1, *record) for record in struct.iter_unpack("<Hf", sections["NODE"])]
        tree_records = [(i, 2 * i, 1, 0) for i in range(len(nodes))]
    else:
        nodes = list(struct.iter_unpack("<hhIf", sections["NODE"]))
        tree_records = list(struct.iter_unpack("<IIII", sections["TREE"]))
    features = []
    for at in range(0, len(sections["FEAT"]), 16):
        record = sections["FEAT"][at : at + 16]
        count = record[0] & 0x7F
        if not 1 <= count <= 3 or any(record[5 + 5 * r] >= len(weights) for r in range(count)):
            raise FormatError(f"feature {at // 16} is damaged")
        features.append(
            Feature(
                record[0] >= 0x80,
                [
                    (*record[1 + 5 * r : 5 + 5 * r], weights[record[5 + 5 * r]])
                    for r in range(count)
                ],
            )
        )
    trees, node_at, leaf_at = [], 0, 0
    for first_node, first_leaf, count, zero in tree_records:
        if (
            (first_node, first_leaf, zero) != (node_at, leaf_at, 0)
            or count > len(nodes) - node_at
            or count + 1 > len(leaves) - leaf_at
        ):
            raise FormatError(f"tree {len(trees)} is damaged")
        trees.append(Tree(nodes[node_at : node_at + count], leaves[leaf_at : leaf_at + count + 1]))
        node_at, leaf_at = node_at + count, leaf_at + count + 1
    stages, tree_at = [], 0
    for first, count, threshold in struct.iter_unpack("<IIf", sections["STAG"]):
        if first != tree_at or not 1 <= count <= len(trees) - tree_at:
            raise FormatError(f"stage {len(stages)} is damaged")
        stages.append((threshold, trees[tree_at : tree_at + count]))
        tree_at += count
    if tree_at != len(trees) or node_at != len(nodes) or leaf_at != len(leaves):
        raise FormatError("stages, trees, nodes and leaves do not add up")
    cascade = Cascade(width, height, stages, features, _decode_meta(sections["META"]))
    check_cascade(cascade)
    return cascade
